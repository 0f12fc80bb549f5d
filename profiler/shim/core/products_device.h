/* GEMMs on devices: what the core does before, around and after the call. The host never reads the operands. Kernels
 * read them, enqueued on the call's own stream before and after the call. Nothing waits for a device.
 *
 *   until weights are known   the fingerprints of both operands go to a log (product_log.h) in which weights are found
 *   from then on              roles by address (gns_roles_follow). In a measured step also: the norms of each weight
 *                             gradient, and fingerprints that prove afterwards that each weight was the expected one
 *                             (product_sums_device.h)
 *
 * Kernels are launched without the core's lock, under a lock for each context: a launch may wait for room in the
 * driver's queue, and the device may wait for another thread. A process measures either GEMMs on devices or GEMMs in
 * host memory: those whose weights are found first.
 *
 * A step whose first GEMM is captured into a graph is always measured. Its values come when the graph is replayed
 * (deferred.h). */
#ifndef GNS_PROFILER_SHIM_CORE_PRODUCTS_DEVICE_H
#define GNS_PROFILER_SHIM_CORE_PRODUCTS_DEVICE_H

#include "core.h"

struct gns_products_device;

bool gns_products_device_won(void); /* one load */
/* Called by gns_core_before, which then returns. */
void gns_products_device_before(struct gns_call *call, const struct gns_product *product);
/* Called by gns_core_calling. */
void gns_products_device_calling(struct gns_call *call);
/* Called by gns_core_after: _run launches the kernels, without the lock; then _record, under the lock, adds the
 * gradients to the step. */
void gns_products_device_run(struct gns_call *call);
void gns_products_device_record(struct gns_call *call);
/* Not under the lock: finishes or releases the sets of steps that are over. One load where there are none. */
void gns_products_device_finish(void);
/* See gns_core_capture_ends (graphs.h). */
void gns_products_device_capture_ends(void *stream);

#endif
