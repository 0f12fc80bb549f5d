/* Shared by the layer_feed*.c files: entering with the lock, and which stream pays for the time spent. */
#ifndef GNS_PROFILER_SHIM_CORE_LAYER_FEED_PRIVATE_H
#define GNS_PROFILER_SHIM_CORE_LAYER_FEED_PRIVATE_H

#include "layer_feed.h"

extern _Atomic bool gns_layer_feed_gave_up;
/* cost in unmeasured steps: charged to the next stream that ends a step */
extern _Atomic uint64_t gns_layer_feed_unmeasured_ns;
struct gns_layer_feed_timed {
	uint64_t from; /* 0: not between a pair of gns_layer_feed_time_begin and _end */
	int64_t stream;
};
extern __thread struct gns_layer_feed_timed gns_layer_feed_timed __attribute__((tls_model("initial-exec")));

/* Takes the lock if layer_sums exists, or, with `wake`, may be created. */
bool gns_layer_feed_enter(struct gns_guard *hold, bool wake);
void gns_layer_feed_leave(const struct gns_guard *hold);
/* Returns the parameter with the lock held, or NULL without it. The time of this call is charged to the parameter's
 * stream. */
struct gns_layer_sums_param *gns_layer_feed_enter_param(struct gns_guard *hold, int64_t id);

/* Under the lock. The seed of the random signs: another one for every step, and for every backward pass of a step. */
uint64_t gns_layer_feed_seed(const struct gns_layer_sums_param *param);

/* Under the lock: updates gns_core.feeding after a stream's clock has changed `measured`. */
void gns_layer_feed_show_measuring(void);
/* layer_feed_device.c; under the lock, at the end of a backward pass: drops shared parameters whose uses are not
 * complete. */
void gns_layer_feed_device_backward_done(void);

#endif
