/* A product on a device on its way through the core: before, around and after its call. Addresses are never looked at from here; what
 * is read is read by kernels on the call's own stream, around the call, from its own operands. Nothing waits for a device.
 *
 *   until weights are known   both operands' prints go to a log (product_log.h), of which weights are learned
 *   from then on              roles by address (gns_roles_follow). In a step that is not measured that is all. In one that is: the numbers of
 *                             each weight gradient, and prints that show late that each weight was the one (product_sums_device.h)
 *
 * Kernels are launched outside of the core's lock, under a lock of their context: a launch may wait for room in the driver's queue, and
 * the device for another thread. The first products to be learned in a process, on a device or in host memory, are the ones that are measured.
 *
 * A step whose first product is captured into a graph is measured whatever the interval says; it happens when the graph is replayed (deferred.h). */
#ifndef GNS_PROFILER_SHIM_CORE_PRODUCTS_DEVICE_H
#define GNS_PROFILER_SHIM_CORE_PRODUCTS_DEVICE_H

#include "core.h"

struct gns_products_device;

bool gns_products_device_won(void); /* one load */
/* In gns_core_before, instead of the rest of it. */
void gns_products_device_before(struct gns_call *call, const struct gns_product *product);
/* In gns_core_calling. */
void gns_products_device_calling(struct gns_call *call);
/* In gns_core_after: measures; then, under the lock, notes what was measured. */
void gns_products_device_run(struct gns_call *call);
void gns_products_device_record(struct gns_call *call);
/* Not under the lock: delivers what belongs to steps that are over. A load where there is nothing. */
void gns_products_device_finish(void);
/* The capture of which this stream is part ends: see graphs.h. */
void gns_products_device_capture_ends(void *stream);

#endif
