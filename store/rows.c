/* The weights that a sentence about all of them names. */
#include <math.h>

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
