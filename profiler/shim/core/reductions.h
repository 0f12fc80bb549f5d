/* Reductions over ranks in this process: what a collector of a communication library calls around each one.
 *
 *     struct gns_reducing use;
 *     gns_reducing_before(&use, &reduction, stream);   // right before the library launches it: the norm of what is sent
 *     ... the library's call ...
 *     gns_reducing_after(&use, GNS_REDUCE_IS);         // right after: the norm of what was received; or why it was not launched
 *
 * Of several that are launched together (a group), `before` of all, then `after` of all. Buffers are on the device; norms are taken on
 * the reduction's own stream, so its order keeps them apart, and nothing waits. Steps are those of whoever tells them: a collector that feeds
 * (feeding.h), products (core.h), marks (gnscope.h); else the recurring sequence makes them (reduce.h) and this file hands them over.
 *
 * The batch b of a rank is N of the feed, the samples told, or the products' rows. Where none is known the unit of the whole run is the
 * batch of a rank: n_small = 1, n_big = W (GNS_UNIT_RANK_BATCHES).
 *
 * Any thread, any state; errno is kept. The core's lock is not held while anything is launched: a thread that waits in a launch may wait
 * for another rank of this very process. */
#ifndef GNS_REDUCING_H
#define GNS_REDUCING_H

#include "gnscope/record.h"
#include "profiler/shim/steps/reduction_sequence.h"

struct gns_publish;

struct gns_reducing_use {
	struct gns_reduction of;
	void *stream;
	uint64_t serial; /* of the step it is measured in, 0 not */
	uint32_t slot;   /* two of them */
	uint16_t track, place;
	bool seen, small;
};

/* False: there is nothing to be done afterwards (but gns_reducing_after may be called). */
bool gns_reducing_before(struct gns_reducing_use *use, const struct gns_reduction *reduction, void *stream);
void gns_reducing_after(struct gns_reducing_use *use, enum gns_reduce_why failed);
void gns_reducing_broadcast(const void *comm, uint32_t world, uint32_t rank, uint64_t count);
void gns_reducing_forget(const void *comm);
void gns_reducing_count(enum gns_reduce_why why);

/* The rest is the shim's own, under the core's lock. */

/* Another step begins, of the clock that goes; the one before was closed or is given up. */
void gns_reducing_begin(uint64_t step, bool measured);
void gns_reducing_mark(uint64_t next); /* marks alone tell the steps: one ends */
/* The process is about to be told of: by then its rank should be known. */
void gns_reducing_hello(void);
/* A backward pass has begun in the step in progress. */
void gns_reducing_backward(void);
/* Reductions of the step in progress are still to come: it is not over with its last product. */
bool gns_reducing_expects(void);
/* Stages what was measured in this step: PARAM, GRAD and their late values. */
struct gns_reducing_step_of {
	uint64_t step;
	uint32_t stream;
	uint64_t n;      /* samples (or rows) of it in this process, 0 not known */
	uint32_t micro;  /* micro-steps */
	double scale;    /* gradients are so many times those of the loss */
	uint64_t numel;  /* of all parameters, 0 not known: who reduces more does not reduce gradients alone */
};
/* The number of GRAD records, which are the newest staged. */
uint32_t gns_reducing_stage(struct gns_publish *publish, const struct gns_reducing_step_of *of);
void gns_reducing_sent(bool sent); /* what was staged: if not, what is told once is to be told again */
uint64_t gns_reducing_told(void); /* the newest step that was handed over by the clock of reductions, 0 none */
/* What is counted as one, where the clock of reductions has said so already. */
enum gns_unit gns_reducing_unit(enum gns_unit other);
void gns_reducing_free(void);

#endif
