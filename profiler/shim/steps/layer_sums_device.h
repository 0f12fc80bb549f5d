/* What a step of a stream has under way on devices: one set for each device, and in it slots for what is measured there.
 *
 * A parameter's sum over samples goes to one slot for each CUDA stream it was measured on, later uses adding to it; so does a loss.
 * All else has the newest value alone. When the step is staged each live term is named as an item (deferred.h) of the record it belongs to. */
#ifndef GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_DEVICE_H
#define GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_DEVICE_H

#include "collectors/gpu/layers_device.h"

#define GNS_LAYER_SUMS_DEVICES 4 /* of one stream's step */
#define GNS_LAYER_SUMS_TERMS 6

enum gns_layer_sums_what {
	GNS_LAYER_SUMS_SUM = 0, /* over samples of |A_i|^2 */
	GNS_LAYER_SUMS_BIG,     /* |gradient|^2 */
	GNS_LAYER_SUMS_ZERO,    /* |what was in its place before|^2, which must be 0 */
	GNS_LAYER_SUMS_LOSS,
	GNS_LAYER_SUMS_SCALE,   /* the gradients and the loss are so many times those of the trainer's own loss */
};

struct gns_layer_sums_term {
	struct gns_set *set;
	void *stream;
	uint32_t slot;
	uint8_t what;
	bool live; /* false: free, or what it holds was forgotten */
};

struct gns_layer_sums_sets {
	uint32_t n;
	struct {
		struct gns_device *device;
		struct gns_set *set;
		void *stream; /* on which it was begun */
	} of[GNS_LAYER_SUMS_DEVICES];
};

/* Where the next value of `what` goes: the set of `device` (begun, if need be) and a slot for this stream. `terms`: GNS_LAYER_SUMS_TERMS of
 * them, a parameter's or a stream's. 0, -EBUSY, -ENOSPC, -EXDEV, -EIO of device.h, or -ENOSPC: no more terms. The term is live from now on;
 * gns_layer_sums_term_kill where the measurement failed. */
int gns_layer_sums_term(struct gns_layer_sums_sets *sets, struct gns_layer_sums_term *terms, enum gns_layer_sums_what what, struct gns_device *device,
		  void *stream, struct gns_device_target *to);
/* What was measured is not to be told; slots are kept for the same streams. */
void gns_layer_sums_terms_forget(struct gns_layer_sums_term *terms);
void gns_layer_sums_term_kill(struct gns_layer_sums_term *terms, const struct gns_device_target *to);
/* The set of this device, begun if need be. */
int gns_layer_sums_set(struct gns_layer_sums_sets *sets, struct gns_device *device, void *stream, struct gns_set **set);

/* No more work follows in this step. 0; -EIO: no results will come; -ECANCELED: the set belongs to a graph, and the step ends outside its
 * capture: what a replay measures is not a step. */
int gns_layer_sums_sets_finish(struct gns_layer_sums_sets *sets);
/* Nobody else has taken the sets: they go back; those of a graph stay with it, and measure no more. */
void gns_layer_sums_sets_release(struct gns_layer_sums_sets *sets);

#endif
