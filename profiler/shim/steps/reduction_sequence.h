/* Reductions over ranks: which of them are gradients, and which of them make up one step.
 *
 * A rank sends g_r, the mean gradient of its own batch of b samples; what comes back is factor * sum over the W ranks of g_r, or, of a
 * reduce-scatter, one W-th of its elements. Up to the square of a constant that the trainer may have put into all g_r (a division by W
 * beforehand, a loss scale), which leaves B_noise alone,
 *     q_small = |sent|^2   (b samples)         q_big = |received / (factor W)|^2   (W b samples)
 * (McCandlish et al. 2018, arXiv 1812.06162, app. A.1; SCIENCE.md, "Other sources"). The norms of the parts that ranks get from a
 * reduce-scatter add up: GNS_SOURCE_SHARD.
 *
 * Gradients are reduced once in every step, in one order: a communicator (a track) is followed until the same sequence of reductions has
 * come again, call for call. Where a step ends is told by whoever knows (gns_reduction_boundary), or else is where the sequence
 * begins anew. Recurring is not enough: activations of a model that is split over ranks recur, too. So one of these must hold:
 *     - the reduction takes the mean (avg, or a factor), which a sum of partial products never does
 *     - as many elements were broadcast on the same communicator beforehand as are reduced in a step: the parameters
 *     - steps are told, nothing is reduced on this communicator while the model runs forward, and no second one is left
 *
 * Pure of the process around it: reductions.c binds it to the shim's state. Not thread-safe. Nothing is allocated. */
#ifndef GNS_PROFILER_SHIM_STEPS_REDUCTION_SEQUENCE_H
#define GNS_PROFILER_SHIM_STEPS_REDUCTION_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_REDUCE_TRACKS 16u
#define GNS_REDUCE_CALLS 384u   /* of one track in a step; three times as many are remembered */
#define GNS_REDUCE_BUCKETS 512u /* of all tracks */
#define GNS_REDUCE_SMALL 1024u  /* elements: fewer are metrics, flags, losses */

enum gns_reduction_kind { GNS_REDUCE_ALL = 0, GNS_REDUCE_SCATTER };

enum gns_reduction_why { /* not measured, and why; names for counters */
	GNS_REDUCE_IS = 0,
	GNS_REDUCE_FEW,         /* "few_elements" */
	GNS_REDUCE_TYPE,        /* "element_type" */
	GNS_REDUCE_OPERATION,   /* "operation": a maximum, a product */
	GNS_REDUCE_FACTOR,      /* "factor_unknown": on the device */
	GNS_REDUCE_ONE_RANK,    /* "one_rank" */
	GNS_REDUCE_CHAINED,     /* "chained": reduces further what another communicator has reduced */
	GNS_REDUCE_LEARNING,    /* "learning": has not recurred yet */
	GNS_REDUCE_CHANGED,     /* "sequence_changed" */
	GNS_REDUCE_FORWARD,     /* "in_forward": activations */
	GNS_REDUCE_UNSURE,      /* "unsure": nothing tells that it is a gradient */
	GNS_REDUCE_SEVERAL,     /* "several_communicators": and nothing tells which of them reduces gradients */
	GNS_REDUCE_TOO_MANY,    /* "too_many" */
	GNS_REDUCE_NOT_DEVICE,  /* "not_on_device": the buffer, or no kernels for this device */
	GNS_REDUCE_CAPTURED,    /* "captured": in a graph */
	GNS_REDUCE_PENDING,     /* "nonblocking": the library says later whether it was launched */
	GNS_REDUCE_FAILED,      /* "failed": the call did */
	GNS_REDUCE_BUSY,        /* "device_busy": no set of results, no slot */
	GNS_REDUCE_MANY_TIMES,  /* "every_micro_step": the accumulated gradient, again and again */
	GNS_REDUCE_INCOMPLETE,  /* "incomplete": some of a step's reductions did not come */
	GNS_REDUCE_MORE,        /* "more_than_parameters": something else is reduced, too */
	GNS_REDUCE_BATCH,       /* "batch_unknown": or is not the same on all devices of the process */
	GNS_REDUCE_WHYS
};
const char *gns_reduction_why_name(enum gns_reduction_why why);

struct gns_reduction { /* a call, as a collector tells it */
	const void *comm;     /* its identity, until gns_reduction_forget */
	uint32_t world, rank; /* of the communicator */
	uint32_t kind, dtype; /* enum gns_dtype, 0 another */
	uint64_t count;       /* elements that this rank sends */
	double factor;        /* received = factor * sum of what is sent; NaN not known, 0 not a sum */
	const void *send, *received;
	int device;           /* the communicator's, -1 not known */
};

struct gns_reduction_call {
	uint64_t count, ns;
	double factor;
	uintptr_t at; /* the address that is sent from */
	uint8_t kind, dtype;
};

struct gns_reduction_bucket { /* a reduction of a sequence, one for all tracks (devices of this process) that have the same sequence */
	struct gns_reduction_call call;
	uint32_t world, tracks;
	uint32_t length; /* of its sequence, whose first it is; else 0 */
	bool told, new; /* PARAM was sent; is about to be */
};

struct gns_reduction_track {
	const void *comm;
	uint32_t world, rank;
	int device;
	bool learned, broken;    /* broken: something of this step was missed; not comparable */
	bool mean;
	uint64_t calls, forward; /* candidates; of which while the model ran forward */
	uint64_t broadcast;      /* elements, before the first reduction */
	uint64_t total;          /* elements of the sequence */
	uint64_t steps;          /* complete ones since the beginning */
	uint32_t n, n_last, n_filled, missed;
	struct gns_reduction_call call[3 * GNS_REDUCE_CALLS]; /* of this step, or while inferring since learning began */
	struct gns_reduction_call last[GNS_REDUCE_CALLS];     /* the step before, and once learned the sequence */
	uint16_t bucket[GNS_REDUCE_CALLS];
	bool filled[GNS_REDUCE_CALLS];
};

struct gns_reduction_sequence {
	bool inferring; /* nobody tells where steps end */
	struct gns_reduction_track track[GNS_REDUCE_TRACKS];
	uint32_t n_tracks;
	struct gns_reduction_bucket bucket[GNS_REDUCE_BUCKETS];
	uint32_t n_buckets;
	struct { const void *at; uint64_t count; } scattered[64]; /* what came of this step's reduce-scatters */
	uint32_t n_scattered;
};

/* Could it be a gradient at all? */
enum gns_reduction_why gns_reduction_refuse(struct gns_reduction_sequence *reduce, const struct gns_reduction *reduction);
struct gns_reduction_track *gns_reduction_track(struct gns_reduction_sequence *reduce, const struct gns_reduction *reduction); /* NULL: too many */
/* A candidate comes. Its place in the track's sequence, or -1: not learned (yet, or any more). forward: the model is known to run forward. */
int gns_reduction_see(struct gns_reduction_sequence *reduce, struct gns_reduction_track *track, const struct gns_reduction *reduction, bool forward, uint64_t now);
/* All of the sequence has come. Inferring, the next step of this track begins then: gns_reduction_next. */
bool gns_reduction_complete(const struct gns_reduction_track *track);
void gns_reduction_next(struct gns_reduction_track *track);
/* A step ended, told by who knows. Of all tracks: those that are to be measured in the next step are learned. */
void gns_reduction_boundary(struct gns_reduction_sequence *reduce);
/* What a learned track reduces, GNS_REDUCE_IS: gradients. */
enum gns_reduction_why gns_reduction_what(const struct gns_reduction_sequence *reduce, const struct gns_reduction_track *track);
/* Elements were broadcast (or this many are to be had on every rank) before training. */
void gns_reduction_broadcast(struct gns_reduction_sequence *reduce, const void *comm, uint32_t world, uint32_t rank, uint64_t count);
void gns_reduction_forget(struct gns_reduction_sequence *reduce, const void *comm);
/* From inferring to being told, or back: learning begins anew. */
void gns_reduction_infer(struct gns_reduction_sequence *reduce, bool inferring);

/* What the norm of what was received is to be multiplied with for q_big; of a shard with W, too. */
double gns_reduction_scale_big(const struct gns_reduction_bucket *bucket);

#endif
