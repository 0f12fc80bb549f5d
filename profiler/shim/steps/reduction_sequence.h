/* Reductions over ranks: which of them are gradients, and which of them make up one step.
 *
 * A rank sends g_r, the mean gradient of its own batch of b samples, and receives factor * sum over the W ranks of
 * g_r, or, from a reduce-scatter, one W-th of its elements. Up to the square of a constant factor of all g_r (a
 * division by W beforehand, a loss scale), which does not change B_noise,
 *     q_small = |sent|^2   (b samples)         q_big = |received / (factor W)|^2   (W b samples)
 * (McCandlish et al. 2018, arXiv 1812.06162, app. A.1; SCIENCE.md, "Other sources"). The norms of the parts that
 * ranks get from a reduce-scatter add up: GNS_SOURCE_SHARD.
 *
 * Gradients are reduced once in every step, in the same order. Each communicator (a track) is followed until the same
 * sequence of reductions has come again, call for call. Another source gives the end of a step
 * (gns_reduction_boundary); without one, a step ends where the sequence begins again. A sequence that recurs need not
 * be gradients: activations of a model that is split over ranks recur, too. So one of these must hold:
 *     - the reduction takes the mean (avg, or a factor), which a sum of partial products never does
 *     - as many elements were broadcast on the same communicator beforehand as are reduced in a step: the parameters
 *     - another source gives the steps, nothing is reduced on this communicator during the forward pass, and no other
 *       communicator qualifies
 *
 * Independent of the process: reductions.c binds it to the shim's state. Not thread-safe. Nothing is allocated. */
#ifndef GNS_PROFILER_SHIM_STEPS_REDUCTION_SEQUENCE_H
#define GNS_PROFILER_SHIM_STEPS_REDUCTION_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_REDUCE_TRACKS 16u
#define GNS_REDUCE_CALLS 384u   /* of one track in a step; three times as many are kept while learning */
#define GNS_REDUCE_BUCKETS 512u /* of all tracks */
#define GNS_REDUCE_SMALL 1024u  /* elements: fewer are metrics, flags, losses */

enum gns_reduction_kind { GNS_REDUCE_ALL = 0, GNS_REDUCE_SCATTER };

enum gns_reduction_why { /* why a reduction is not measured; in quotes the counter's name */
	GNS_REDUCE_IS = 0,
	GNS_REDUCE_FEW,         /* "few_elements" */
	GNS_REDUCE_TYPE,        /* "element_type" */
	GNS_REDUCE_OPERATION,   /* "operation": a maximum, a product */
	GNS_REDUCE_FACTOR,      /* "factor_unknown": it is in device memory */
	GNS_REDUCE_ONE_RANK,    /* "one_rank" */
	GNS_REDUCE_CHAINED,     /* "chained": its input is the result of another communicator's reduction */
	GNS_REDUCE_LEARNING,    /* "learning": the sequence has not recurred yet */
	GNS_REDUCE_CHANGED,     /* "sequence_changed" */
	GNS_REDUCE_FORWARD,     /* "in_forward": activations */
	GNS_REDUCE_UNSURE,      /* "unsure": no evidence that it is a gradient */
	GNS_REDUCE_SEVERAL,     /* "several_communicators": no evidence which of them reduces gradients */
	GNS_REDUCE_TOO_MANY,    /* "too_many" */
	/* "not_on_device": the buffer is not on this device, or there are no kernels for the device */
	GNS_REDUCE_NOT_DEVICE,
	GNS_REDUCE_CAPTURED,    /* "captured": the call is captured into a graph */
	GNS_REDUCE_PENDING,     /* "nonblocking": the library reports later whether it was launched */
	GNS_REDUCE_FAILED,      /* "failed": the call returned an error */
	GNS_REDUCE_BUSY,        /* "device_busy": no free set or slot for the results */
	GNS_REDUCE_MANY_TIMES,  /* "every_micro_step": the accumulated gradient is reduced in every micro-step */
	GNS_REDUCE_INCOMPLETE,  /* "incomplete": some of a step's reductions are missing */
	GNS_REDUCE_MORE,        /* "more_than_parameters": something else is reduced, too */
	GNS_REDUCE_BATCH,       /* "batch_unknown": not known, or different on devices of the process */
	GNS_REDUCE_WHYS
};
const char *gns_reduction_why_name(enum gns_reduction_why why);

struct gns_reduction { /* a call, as a collector reports it */
	const void *comm;     /* its identity, until gns_reduction_forget */
	uint32_t world, rank; /* of the communicator */
	uint32_t kind, dtype; /* enum gns_reduction_kind; enum gns_dtype, 0: another type */
	uint64_t count;       /* elements that this rank sends */
	double factor;        /* received = factor * sum of what is sent; NaN: not known, 0: not a sum */
	const void *send, *received;
	int device;           /* the communicator's device; -1: not known */
};

struct gns_reduction_call {
	uint64_t count, ns;
	double factor;
	uintptr_t at; /* the address that is sent from */
	uint8_t kind, dtype;
};

/* a reduction of a sequence; shared by all tracks (devices of this process) with the same sequence */
struct gns_reduction_bucket {
	struct gns_reduction_call call;
	uint32_t world, tracks;
	uint32_t length; /* the first bucket of a sequence: length of the sequence; others 0 */
	bool told, new; /* PARAM was sent; PARAM is staged */
};

struct gns_reduction_track {
	const void *comm;
	uint32_t world, rank;
	int device;
	/* the sequence is known; some call of this step was missed, so it cannot be compared */
	bool learned, broken;
	bool mean;
	uint64_t calls, forward; /* candidate calls; those during the forward pass */
	uint64_t broadcast;      /* elements broadcast before the first reduction */
	uint64_t total;          /* elements of the sequence */
	uint64_t steps;          /* complete steps since the beginning */
	uint32_t n, n_last, n_filled, missed;
	/* calls of this step; while inferring: since learning began */
	struct gns_reduction_call call[3 * GNS_REDUCE_CALLS];
	struct gns_reduction_call last[GNS_REDUCE_CALLS];     /* calls of the step before; once learned: the sequence */
	uint16_t bucket[GNS_REDUCE_CALLS];
	bool filled[GNS_REDUCE_CALLS];
};

struct gns_reduction_sequence {
	bool inferring; /* no other source gives the ends of steps */
	struct gns_reduction_track track[GNS_REDUCE_TRACKS];
	uint32_t n_tracks;
	struct gns_reduction_bucket bucket[GNS_REDUCE_BUCKETS];
	uint32_t n_buckets;
	struct { const void *at; uint64_t count; } scattered[64]; /* results of this step's reduce-scatters */
	uint32_t n_scattered;
};

/* Could it be a gradient at all? */
enum gns_reduction_why gns_reduction_refuse(struct gns_reduction_sequence *reduce,
					    const struct gns_reduction *reduction);
/* NULL: too many */
struct gns_reduction_track *gns_reduction_track(struct gns_reduction_sequence *reduce,
						const struct gns_reduction *reduction);
/* Adds a candidate. Returns its place in the track's sequence; -1: the sequence is not learned (yet, or any more).
 * forward: the call is known to come during the forward pass. */
int gns_reduction_see(struct gns_reduction_sequence *reduce, struct gns_reduction_track *track,
		      const struct gns_reduction *reduction, bool forward, uint64_t now);
/* True when all calls of the sequence have come. While inferring, the next step of this track then begins:
 * gns_reduction_next. */
bool gns_reduction_complete(const struct gns_reduction_track *track);
void gns_reduction_next(struct gns_reduction_track *track);
/* Another source has ended a step: compares this step's calls of all tracks with the step before's, and learns those
 * that recur. */
void gns_reduction_boundary(struct gns_reduction_sequence *reduce);
/* Whether a learned track reduces gradients: GNS_REDUCE_IS, or why not. */
enum gns_reduction_why gns_reduction_what(const struct gns_reduction_sequence *reduce,
					  const struct gns_reduction_track *track);
/* This many elements were broadcast (or gathered on every rank) before training. */
void gns_reduction_broadcast(struct gns_reduction_sequence *reduce, const void *comm, uint32_t world, uint32_t rank,
			     uint64_t count);
void gns_reduction_forget(struct gns_reduction_sequence *reduce, const void *comm);
/* Switches inferring on or off; all tracks are learned anew. */
void gns_reduction_infer(struct gns_reduction_sequence *reduce, bool inferring);

/* The factor from |received|^2 to q_big; for a shard it includes W. */
double gns_reduction_scale_big(const struct gns_reduction_bucket *bucket);

#endif
