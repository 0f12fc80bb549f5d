/* Finds weights where memory cannot be read between GEMMs (on a device): from a log of GEMMs, in program order, with
 * the fingerprints of both operands (fingerprint.h). The same task as find_online.c's, solved for several steps at
 * once:
 *
 *   1. A candidate is an operand in the place of W: some GEMM has the weight-gradient form X^T dY, and its X or its
 *   dY was multiplied by the
 *      candidate in an earlier GEMM (same address, same values).
 *   2. It is no weight if a GEMM wrote to its address between two of its uses.
 *   3. It is a weight if its values were the same in several passes (a forward use after a gradient, with another X),
 *   in all passes of two
 *      or more steps, while they do change from step to step. This decides under gradient accumulation, without a
 *      threshold.
 *   4. Where every pass is a step, weights and attention's K and V both change with each: a weight is then one that
 *   changes clearly less
 *      than X and than dY do (gns_fingerprint_distance, half at most) and that wanders: the distance over several
 *      steps is larger than that over one, or most of its elements stay the same (half precision). An activation of
 *      fresh data is as far from the next one as from any other. X must not wander: if the same data are used again
 *      and again (full batch), activations drift like weights, and no weight is found (GNS_WHY_ALIKE).
 *   5. Weights are written together: a step boundary is a place in the log between the old and the new values of the
 *   weights found by
 *      (3) or (4). A candidate that changes elsewhere is no weight; one that changes only there, and little, is a
 *      weight, too.
 * Thresholds were chosen by simulation: tests/unit/test_find_in_log.c. Values of one element type are compared with
 * their own kind.
 *
 * Pure: no clock, no device. Nothing is allocated after gns_find_in_log_init. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_FIND_IN_LOG_H
#define GNS_PROFILER_SHIM_WEIGHTS_FIND_IN_LOG_H

#include "product_roles.h"

#define GNS_LOG_MAX 16384u       /* products */
#define GNS_LOG_STEPS 32u        /* at most so many are evaluated: the latest */
#define GNS_LOG_CANDIDATES 4096u

struct gns_logged {
	struct gns_product product;
	struct gns_fingerprint print[2]; /* of L and of R */
};

struct gns_found {
	uint32_t n, order[GNS_LOG_CANDIDATES]; /* weights, in order of forward use: index into learn->candidate */
	uint32_t micro_steps, gradients;       /* of a step; gradients 0: their number differs */
	uint32_t points, point[GNS_LOG_STEPS]; /* where the latest steps begin: index into the log, ascending */
	uint32_t boundaries;                   /* all step boundaries in the log */
	uint32_t turns;                        /* gradients of the latest whole step that are in turn[] */
	uint16_t turn[GNS_TURNS_MAX];          /* the weight of each of these, in order: index into order[] */
	/* the most changes of any candidate: how long the search has been tried */
	uint32_t changes;
	uint64_t why[GNS_WHYS];                /* number of rejected candidates, by reason */
};

struct gns_log_event { /* a gradient of a candidate */
	uint32_t at, met;    /* the gradient GEMM; the one in which X or dY was multiplied by the candidate */
	uint32_t next;       /* +1 */
};

struct gns_log_candidate {
	struct gns_key key;
	uint32_t last_use, first_event, last_event; /* +1 */
	int32_t hint;               /* > 0: the forward product sums over the contiguous dimension */
	uint8_t verdict, why;
	bool forward_sum_fast;
	uint32_t order;             /* place of its forward use in the latest step */
	uint32_t per_step, passes;  /* gradients and passes of most steps */
};

struct gns_find_in_log {
	uint32_t *last;      /* by hash of address: latest use, +1 */
	uint32_t *previous;  /* by use: the one before in the same slot of `last`, +1 */
	uint32_t *following; /* by use: the one after in the same slot, +1 */
	uint32_t *use;       /* the uses of one candidate, in order */
	uint32_t *index;     /* by key: candidate, +1 */
	struct gns_log_candidate *candidate;
	struct gns_log_event *event;
	uint32_t n_candidates, n_events;
	bool wgrad_sum_fast;
	struct gns_found found, found_first; /* found_first: result for the storage order that is tried first */
};

bool gns_find_in_log_init(struct gns_find_in_log *learn);
void gns_find_in_log_free(struct gns_find_in_log *learn);
/* True when weights were found. learn->found has the weights and where steps begin, or why candidates were rejected. */
bool gns_find_in_log(struct gns_find_in_log *learn, const struct gns_logged *log, uint32_t n);

#endif
