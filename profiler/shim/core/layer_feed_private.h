/* What the files of the layer feed share: the lock, and who is charged. */
#ifndef GNS_PROFILER_SHIM_CORE_LAYER_FEED_PRIVATE_H
#define GNS_PROFILER_SHIM_CORE_LAYER_FEED_PRIVATE_H

#include "layer_feed.h"

extern _Atomic bool gns_layer_feed_gave_up;
extern _Atomic uint64_t gns_layer_feed_unmeasured_ns; /* cost of steps that nobody measures: the next stream to end one bears it */
struct gns_layer_feed_timed {
	uint64_t from; /* 0: not between a pair of gns_layer_feed_time_begin and _end */
	int64_t stream;
};
extern __thread struct gns_layer_feed_timed gns_layer_feed_timed __attribute__((tls_model("initial-exec")));

/* Takes the lock, if there is a feed (or, with `wake`, one may be made). */
bool gns_layer_feed_enter(struct gns_guard *hold, bool wake);
void gns_layer_feed_leave(const struct gns_guard *hold);
/* The parameter, and the lock, if there is one; what is timed is charged to its stream. */
struct gns_layer_sums_param *gns_layer_feed_enter_param(struct gns_guard *hold, int64_t id);

/* Under the lock. Of the random signs: steps differ, and so do the passes of one step. */
uint64_t gns_layer_feed_seed(const struct gns_layer_sums_param *param);

/* Under the lock: some clock has changed its mind. */
void gns_layer_feed_show_measuring(void);
/* layer_feed_device.c; under the lock: uses that have not come will not. */
void gns_layer_feed_device_backward_done(void);

#endif
