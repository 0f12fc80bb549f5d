/* What is known of devices, as far as it needs no store. */
#include <stdlib.h>

#include "gnscope/store.h"

const char *const gns_device_part_names[GNS_PARTS] = { "compute", "comm_exposed", "copy_exposed", "idle", "comm", "copy", "gnscope" };

void gns_gpu_free(struct gns_gpu *gpu)
{
	free(gpu->devices);
	free(gpu->kernels);
	free(gpu->libraries);
	*gpu = (struct gns_gpu){ 0 };
}
