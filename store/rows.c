/* Rows as readers get them, as far as they need no store. */
#include <math.h>
#include <stdlib.h>

#include "gnscope/store.h"

void gns_layers_outstanding(const struct gns_layer *layers, size_t n, const struct gns_layer **noisiest, const struct gns_layer **most)
{
	*noisiest = *most = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct gns_layer *l = &layers[i];
		if (l->excluded || !(l->count > 0))
			continue;
		if (l->b_noise.resolved && (!*noisiest || l->b_noise.value > (*noisiest)->b_noise.value))
			*noisiest = l;
		if (isfinite(l->share_s) && (!*most || l->share_s > (*most)->share_s))
			*most = l;
	}
}

const char *const gns_device_part_names[GNS_PARTS] = { "compute", "comm_exposed", "copy_exposed", "idle", "comm", "copy", "gnscope" };

void gns_gpu_free(struct gns_gpu *gpu)
{
	free(gpu->devices);
	free(gpu->kernels);
	free(gpu->libraries);
	*gpu = (struct gns_gpu){ 0 };
}
