/* How weights become known where memory cannot be looked at between products (a device): from a log of products, in the order of the
 * program, each with what its two operands held (fingerprint.h). The same question as find_online.c's, asked of several steps at once:
 *
 *   1. A candidate is an operand that stands in the place of W: a product of weight-gradient form X^T dY whose X met it (same address,
 *      same values) in an earlier product, or whose dY did.
 *   2. It is no weight where a product wrote its address between two of its uses.
 *   3. It is a weight where its values were the same in several passes (a forward use after a gradient, with another X), through all
 *      of two steps or more, while they do change from step to step. So it is under gradient accumulation, without any threshold.
 *   4. Where every pass is a step, weights and attention's K and V both change with each: a weight is then one that changes clearly less
 *      than X and than dY do (gns_fingerprint_distance, half at most) and that wanders: the distance over several steps is larger than that over
 *      one, or most of its elements stay the same (half precision); an activation of fresh data is as far from the next as from any other.
 *      X must not wander: where the same data come again and again (full batch) activations drift like weights, nothing can be told, and
 *      nothing is learned (GNS_WHY_ALIKE).
 *   5. Weights are written together: a boundary of steps is a place in the log that lies between the old and the new values of those
 *      found by (3) or (4). What changes elsewhere is no weight; what changes only there is one, too, if it changes little.
 * Thresholds were chosen by simulation: tests/unit/test_find_in_log.c. Values of one element type are compared with their own kind.
 *
 * Pure: no clock, no device. Nothing is allocated after gns_find_in_log_init. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_FIND_IN_LOG_H
#define GNS_PROFILER_SHIM_WEIGHTS_FIND_IN_LOG_H

#include "product_roles.h"

#define GNS_LOG_MAX 16384u       /* products */
#define GNS_LOG_STEPS 32u        /* of these are looked at; the newest */
#define GNS_LOG_CANDIDATES 4096u

struct gns_logged {
	struct gns_product product;
	struct gns_fingerprint print[2]; /* of L and of R */
};

struct gns_found {
	uint32_t n, order[GNS_LOG_CANDIDATES]; /* weights, in order of forward use: index into learn->candidate */
	uint32_t micro_steps, gradients;       /* of a step; gradients 0: their number differs */
	uint32_t points, point[GNS_LOG_STEPS]; /* where steps begin: index into the log, ascending; the newest */
	uint32_t boundaries;                   /* how many there were */
	uint32_t turns;                        /* gradients of the newest whole step that are in turn[] */
	uint16_t turn[GNS_TURNS_MAX];          /* whose they were, in order: index into order[] */
	uint32_t changes;                      /* the most that any candidate changed: how long the log has been tried */
	uint64_t why[GNS_WHYS];                /* of candidates that are none */
};

struct gns_log_event { /* a gradient of a candidate */
	uint32_t at, met;    /* the product; that in which X or dY met the candidate */
	uint32_t next;       /* +1 */
};

struct gns_log_candidate {
	struct gns_key key;
	uint32_t last_use, first_event, last_event; /* +1 */
	int32_t hint;               /* > 0: the forward product sums over the contiguous dimension */
	uint8_t verdict, why;
	bool forward_sum_fast;
	uint32_t order;             /* its forward use in the newest step */
	uint32_t per_step, passes;  /* gradients and passes of a step, as is usual */
};

struct gns_find_in_log {
	uint32_t *last;      /* by address: newest use, +1 */
	uint32_t *previous;  /* by use: the one before at this place of `last`, +1 */
	uint32_t *following; /* and the one after, +1 */
	uint32_t *use;       /* of one candidate, in order */
	uint32_t *index;     /* by key: candidate, +1 */
	struct gns_log_candidate *candidate;
	struct gns_log_event *event;
	uint32_t n_candidates, n_events;
	bool wgrad_sum_fast;
	struct gns_found found, found_first; /* found_first: of the first way of reading the log */
};

bool gns_find_in_log_init(struct gns_find_in_log *learn);
void gns_find_in_log_free(struct gns_find_in_log *learn);
/* True when weights were found; learn->found says which and where steps begin, also why not. */
bool gns_find_in_log(struct gns_find_in_log *learn, const struct gns_logged *log, uint32_t n);

#endif
