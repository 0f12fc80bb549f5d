/* The values of a stream's step that are computed on devices: one set for each device, with a slot for each value.
 *
 * A parameter's sum over samples has one slot for each CUDA stream it was measured on, to which later uses are added;
 * so has a loss. Of other values only the latest is kept. When the step is staged, each live term becomes an item
 * (deferred.h) of its record. */
#ifndef GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_DEVICE_H
#define GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_DEVICE_H

#include "collectors/gpu/layers_device.h"

#define GNS_LAYER_SUMS_DEVICES 4 /* of one stream's step */
#define GNS_LAYER_SUMS_TERMS 6

enum gns_layer_sums_what {
	GNS_LAYER_SUMS_SUM = 0, /* over samples of |A_i|^2 */
	GNS_LAYER_SUMS_BIG,     /* |gradient|^2 */
	/* |content of the gradient's memory before the first backward pass|^2, which must be 0 */
	GNS_LAYER_SUMS_ZERO,
	GNS_LAYER_SUMS_LOSS,
	GNS_LAYER_SUMS_SCALE,   /* the loss scale: gradients and loss are this many times those of the unscaled loss */
};

struct gns_layer_sums_term {
	struct gns_set *set;
	void *stream;
	uint32_t slot;
	uint8_t what;
	bool live; /* false: free, or its value was forgotten */
};

struct gns_layer_sums_sets {
	uint32_t n;
	struct {
		struct gns_device *device;
		struct gns_set *set;
		void *stream; /* the CUDA stream it was begun on */
	} of[GNS_LAYER_SUMS_DEVICES];
};

/* Finds where the next value of `what` goes: the set of `device` (begun if needed) and a slot for this CUDA stream.
 * `terms`: the GNS_LAYER_SUMS_TERMS terms of a parameter or stream. 0; -EBUSY, -ENOSPC, -EXDEV, -EIO as in device.h;
 * -ENOSPC also: no term is free. The term is live from now on; call gns_layer_sums_term_kill if the measurement
 * fails. */
int gns_layer_sums_term(struct gns_layer_sums_sets *sets, struct gns_layer_sums_term *terms,
			enum gns_layer_sums_what what, struct gns_device *device,
		  void *stream, struct gns_device_target *to);
/* Forgets the values; the slots stay assigned to the same CUDA streams. */
void gns_layer_sums_terms_forget(struct gns_layer_sums_term *terms);
void gns_layer_sums_term_kill(struct gns_layer_sums_term *terms, const struct gns_device_target *to);
/* The set of this device, begun if needed. */
int gns_layer_sums_set(struct gns_layer_sums_sets *sets, struct gns_device *device, void *stream, struct gns_set **set);

/* No more kernels follow in this step. 0; -EIO: no results will come; -ECANCELED: the set belongs to a graph but the
 * step ends outside of the capture, so that a replay is not a whole step. */
int gns_layer_sums_sets_finish(struct gns_layer_sums_sets *sets);
/* Releases sets that were not handed to the queue of deferred steps. Sets of a graph stay allocated with it, but
 * measure no more. */
void gns_layer_sums_sets_release(struct gns_layer_sums_sets *sets);

#endif
