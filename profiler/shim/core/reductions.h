/* Reductions over ranks: what the collector of a communication library (NCCL) calls around each collective call of
 * this process.
 *
 *     struct gns_reductions use;
 *     gns_reductions_before(&use, &reduction, stream);   // right before the call: the norm of what is sent
 *     ... the library's call ...
 *     gns_reductions_after(&use, GNS_REDUCE_IS);         // right after: the norm of what was received, or an error
 *
 * For several reductions that are launched together (a group): `before` of all, then `after` of all. Buffers are on
 * the device. Norms are computed on the reduction's own stream, whose order puts them right before and after the
 * reduction, and no call blocks. Step boundaries come from the layer API (layer_feed.h), from GEMMs (core.h) or from
 * marks (gnscope.h). Without these, the recurring sequence of reductions gives the steps (reduction_sequence.h), and
 * reductions_steps.c publishes them.
 *
 * The batch b of a rank is N of the layer API, the samples set by the user, or the rows of the GEMMs. Where none is
 * known, the unit of the whole run is the batch of a rank: n_small = 1, n_big = W (GNS_UNIT_RANK_BATCHES).
 *
 * Any thread may call, in any state of the shim; errno is kept. The core's lock is not held during a launch: the
 * launch may wait for another rank of the same process. */
#ifndef GNS_PROFILER_SHIM_CORE_REDUCTIONS_H
#define GNS_PROFILER_SHIM_CORE_REDUCTIONS_H

#include "gnscope/record.h"
#include "profiler/shim/steps/reduction_sequence.h"
#include "profiler/shim/steps/step_hooks.h"

struct gns_reductions_use {
	struct gns_reduction of;
	void *stream;
	uint64_t serial; /* of the step that it is measured in; 0: not measured */
	uint32_t slot;   /* first of two slots: norm of the sent, then of the received buffer */
	uint16_t track, place;
	bool seen, small;
};

/* False: this reduction is not measured, and gns_reductions_after need not be called (but may be). */
bool gns_reductions_before(struct gns_reductions_use *use, const struct gns_reduction *reduction, void *stream);
void gns_reductions_after(struct gns_reductions_use *use, enum gns_reduction_why failed);
void gns_reductions_broadcast(const void *comm, uint32_t world, uint32_t rank, uint64_t count);
void gns_reductions_forget(const void *comm);
void gns_reductions_count(enum gns_reduction_why why);

/* The reductions' row in the table of hooks. */
extern const struct gns_step_hooks gns_reduction_hooks;

#endif
