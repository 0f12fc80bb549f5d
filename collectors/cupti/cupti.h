/* Kernel times: CUPTI, subscribed to in windows of a few whole steps (window.h), and what it recorded told by step (GNS_REC_DEVICE_STEP,
 * GNS_REC_KERNEL, GNS_REC_KERNEL_STEP). Where CUPTI is another's, or becomes another's, we let go of it at once and for the rest of the
 * process.
 *
 * No call to CUPTI or CUDA is made under the core's lock, none where a stream is being captured, and none in its hook `publish`,
 * which may run as the process ends. libcupti is looked for at the first window and not before. Nothing prints; errno is the caller's to keep. */
#ifndef GNS_COLLECTORS_CUPTI_CUPTI_H
#define GNS_COLLECTORS_CUPTI_CUPTI_H

#include <stdint.h>

#include "profiler/shim/steps/step_hooks.h"

struct gns_device;

/* Its row in the table of hooks. */
extern const struct gns_step_hooks gns_kernel_time_hooks;

/* device_mark.c: launches gns_mark on the stream. -EAGAIN: it is being captured; -EIO. */
int gns_device_mark(struct gns_device *device, void *stream, uint64_t step);

#endif
