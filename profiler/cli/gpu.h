/* What is known of a run's devices, for a person and for a program. */
#ifndef GNS_PROFILER_CLI_GPU_H
#define GNS_PROFILER_CLI_GPU_H

#include <jansson.h>
#include <stdio.h>

#include "gnscope/store.h"

/* Adds "devices", "device_kernels", "libraries" and "kernel_times" (null, or why there are none). Empty arrays where there is no device. */
void gns_gpu_json(json_t *object, const struct gns_gpu *gpu);

/* Kernels of devices, or calls of the host: an array of objects. */
json_t *gns_kernels_json(const struct gns_kernel_row *rows, size_t n);

/* How steps went on each device, and the kernels that took most of the time; or the sentence why nothing is known; or nothing at all. */
void gns_gpu_print(FILE *out, const struct gns_gpu *gpu);

#endif
