/* Reductions over ranks in this process: what a collector of a communication library calls around each one.
 *
 *     struct gns_reductions use;
 *     gns_reductions_before(&use, &reduction, stream);   // right before the library launches it: the norm of what is sent
 *     ... the library's call ...
 *     gns_reductions_after(&use, GNS_REDUCE_IS);         // right after: the norm of what was received; or why it was not launched
 *
 * Of several that are launched together (a group), `before` of all, then `after` of all. Buffers are on the device; norms are taken on
 * the reduction's own stream, so its order keeps them apart, and nothing waits. Steps are those of whoever tells them: a collector that feeds
 * (layer_feed.h), products (core.h), marks (gnscope.h); else the recurring sequence makes them (reduction_sequence.h) and this file hands them over.
 *
 * The batch b of a rank is N of the feed, the samples told, or the products' rows. Where none is known the unit of the whole run is the
 * batch of a rank: n_small = 1, n_big = W (GNS_UNIT_RANK_BATCHES).
 *
 * Any thread, any state; errno is kept. The core's lock is not held while anything is launched: a thread that waits in a launch may wait
 * for another rank of this very process. */
#ifndef GNS_PROFILER_SHIM_CORE_REDUCTIONS_H
#define GNS_PROFILER_SHIM_CORE_REDUCTIONS_H

#include "gnscope/record.h"
#include "profiler/shim/steps/reduction_sequence.h"
#include "profiler/shim/steps/step_hooks.h"

struct gns_reductions_use {
	struct gns_reduction of;
	void *stream;
	uint64_t serial; /* of the step it is measured in, 0 not */
	uint32_t slot;   /* two of them */
	uint16_t track, place;
	bool seen, small;
};

/* False: there is nothing to be done afterwards (but gns_reductions_after may be called). */
bool gns_reductions_before(struct gns_reductions_use *use, const struct gns_reduction *reduction, void *stream);
void gns_reductions_after(struct gns_reductions_use *use, enum gns_reduction_why failed);
void gns_reductions_broadcast(const void *comm, uint32_t world, uint32_t rank, uint64_t count);
void gns_reductions_forget(const void *comm);
void gns_reductions_count(enum gns_reduction_why why);

/* Its row in the table of hooks. */
extern const struct gns_step_hooks gns_reduction_hooks;

#endif
