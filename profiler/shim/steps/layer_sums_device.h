/* What a step of a stream has under way on devices: one set for each device, and in it slots for what is measured there.
 *
 * A parameter's sum over samples goes to one slot for each CUDA stream it was measured on, later uses adding to it; so does a loss.
 * All else has the newest value alone. When the step is staged each live term is named as an item (late.h) of the record it belongs to. */
#ifndef GNS_FEED_DEVICE_H
#define GNS_FEED_DEVICE_H

#include "collectors/gpu/layers_device.h"

#define GNS_FEED_DEVICES 4 /* of one stream's step */
#define GNS_FEED_TERMS 6

enum gns_feed_what {
	GNS_FEED_SUM = 0, /* over samples of |A_i|^2 */
	GNS_FEED_BIG,     /* |gradient|^2 */
	GNS_FEED_ZERO,    /* |what was in its place before|^2, which must be 0 */
	GNS_FEED_LOSS,
	GNS_FEED_SCALE,   /* the gradients and the loss are so many times those of the trainer's own loss */
};

struct gns_feed_term {
	struct gns_set *set;
	void *stream;
	uint32_t slot;
	uint8_t what;
	bool live; /* false: free, or what it holds was forgotten */
};

struct gns_feed_sets {
	uint32_t n;
	struct {
		struct gns_device *device;
		struct gns_set *set;
		void *stream; /* on which it was begun */
	} of[GNS_FEED_DEVICES];
};

/* Where the next value of `what` goes: the set of `device` (begun, if need be) and a slot for this stream. `terms`: GNS_FEED_TERMS of
 * them, a parameter's or a stream's. 0, -EBUSY, -ENOSPC, -EXDEV, -EIO of device.h, or -ENOSPC: no more terms. The term is live from now on;
 * gns_feed_term_kill where the measurement failed. */
int gns_feed_term(struct gns_feed_sets *sets, struct gns_feed_term *terms, enum gns_feed_what what, struct gns_device *device,
		  void *stream, struct gns_device_target *to);
/* What was measured is not to be told; slots are kept for the same streams. */
void gns_feed_terms_forget(struct gns_feed_term *terms);
void gns_feed_term_kill(struct gns_feed_term *terms, const struct gns_device_target *to);
/* The set of this device, begun if need be. */
int gns_feed_set(struct gns_feed_sets *sets, struct gns_device *device, void *stream, struct gns_set **set);

/* No more work follows in this step. 0; -EIO: no results will come; -ECANCELED: the set belongs to a graph, and the step ends outside its
 * capture: what a replay measures is not a step. */
int gns_feed_sets_finish(struct gns_feed_sets *sets);
/* Nobody else has taken the sets: they go back; those of a graph stay with it, and measure no more. */
void gns_feed_sets_release(struct gns_feed_sets *sets);

#endif
