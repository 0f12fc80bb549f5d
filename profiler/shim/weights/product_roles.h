/* Classifies GEMMs: forward, data gradient, weight gradient, other. One module for every collector.
 *
 * Sizes and names are not used, only addresses and values of operands. A linear layer makes three GEMMs of three
 * matrices:
 *   forward  X W -> Y       data gradient  dY W -> dX       weight gradient  X^T dY -> dW
 * and so does attention, with K or V in the place of W. A weight differs from K and V in when it is written:
 *   1. it is an operand at the same address step after step, in a forward product whose other operand returns in a
 *      product of weight-gradient form with an output of the weight's shape;
 *   2. its values at its GEMMs are the same as when the step began (an activation is written within the step), no
 *   GEMM of
 *      the step wrote them, and the forward use that passed this check leads to a weight gradient;
 *   3. its values change between steps, those of all weights together. A single candidate (a model of one layer, or
 *   the first matrix of a
 *      step, whose use shows that a step began) is accepted when another one, written in the same interval, passes
 *      (2). If there is no other, it is accepted when its partner is not at a fixed address, never changes, or
 *      changes more than it does.
 * (2) and (3) compare fingerprints (fingerprint.h) for equality, without a threshold. So they hold for full-batch
 * training, too, where activations change as slowly as weights. If memory cannot be read between GEMMs, (2) and (3)
 * cannot be checked and no weight is found. A step begins where a weight's values have changed at a forward product
 * that follows a weight gradient; if they have not changed it is another micro-step.
 *
 * Storage order: "wgrad_sum_fast" false is the usual one (a row of X is one sample's or token's features,
 * contiguous); the other one (features x samples) is tried in turn while the first finds nothing.
 *
 * Not thread-safe: the caller serialises. No allocation after gns_roles_init. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_PRODUCT_ROLES_H
#define GNS_PROFILER_SHIM_WEIGHTS_PRODUCT_ROLES_H

#include "fingerprint.h"
#include "product.h"
#include "operand_uses.h"

#define GNS_WEIGHTS_MAX 16384u /* with candidates; confirmed weights are far fewer */
#define GNS_WRITES 1024u
#define GNS_TURNS_MAX 8192u

enum gns_reason { /* why a product of weight-gradient form is not taken for one, or a candidate not for a weight */
	GNS_WHY_NONE = 0,
	GNS_WHY_NO_WEIGHT_MET,  /* neither operand was multiplied by a weight before: attention and the like */
	GNS_WHY_WRITTEN,        /* the supposed weight was written within the step: an activation */
	GNS_WHY_PRODUCED,       /* the supposed weight is a product's output: an activation */
	GNS_WHY_NOT_RECURRING,  /* the supposed weight was not used again at its address: an activation */
	GNS_WHY_NOT_YET,        /* still learning which operands are weights */
	GNS_WHY_WEIGHT_OPERAND, /* a weight is itself an operand: a product of weights */
	GNS_WHY_TABLE_FULL,
	/* on a device: the supposed weight changes like the other operand, or too few changes are known */
	GNS_WHY_ALIKE,
	GNS_WHYS
};
const char *gns_reason_name(enum gns_reason reason); /* "no_weight_met" */

enum gns_weight_state { GNS_W_FREE = 0, GNS_W_CANDIDATE, GNS_W_WEIGHT, GNS_W_REJECTED };

struct gns_weight {
	struct gns_key key;
	bool forward_sum_fast;  /* which of its dimensions the forward product sums over */
	uint8_t state, why;
	uint32_t id;            /* 1, 2, ... in order of forward use, once a weight */
	uint32_t order;         /* place of its forward product in the step */
	uint32_t last_scan;     /* scan number of its latest forward use */
	uint32_t checks, updates, strikes;
	/* while learning: gradient products since it changed, and in the step before */
	uint32_t gradients, gradients_last;
	/* on a device: gradient GEMMs and passes of a step, as learned; `gradients` counts those of this step */
	uint32_t per_step, passes;
	struct gns_fingerprint print; /* at the latest scan */
	uint32_t print_scan;    /* number of that scan, 0: never read */
	uint32_t changed_scan;  /* the latest scan that found it changed */
	/* the latest scan that its own use caused: such a scan proves nothing about it */
	uint32_t trigger_scan, triggers;
	uint32_t checked_scan, rejected_scan;
	uint32_t checked_seq, triggered_seq; /* place of the latest forward use that was checked; that caused a scan */
	uint32_t accepted;      /* checked uses that led to a weight gradient */
	bool trigger_accepted, trigger_confirmed;
	struct gns_fingerprint partner; /* the other operand of its forward product at that use */
	const void *partner_data;
	double last_change;       /* distance between its fingerprints before and after the latest change */
	bool lone_good;         /* the changes of its partner do not contradict that it is a weight */
};

/* How an operand was summed over when it was first seen: a weight's forward product comes before its data gradient. */
struct gns_first_use {
	const void *data;
	size_t slow_n, fast_n;
	bool sum_fast;
};
#define GNS_FIRST_USES (1u << 14)

struct gns_verdict {
	enum gns_product_role role;
	enum gns_reason why;  /* for a product of weight-gradient form that is not one */
	bool boundary;        /* a new step begins with this product: weights have changed */
	bool learned;         /* with `boundary`: the set of weights is new */
	/* WGRAD: weights it may belong to, best first; more than one: several layers share X and shape */
	unsigned n;
	uint32_t weight[GNS_OPERAND_USES_FOUND]; /* indices into the table; FORWARD, DGRAD: [0] */
	/* WGRAD: the operand that is dY if it belongs to weight[i] */
	const void *output_gradient[GNS_OPERAND_USES_FOUND];
	uint64_t input;       /* FORWARD, DGRAD: fingerprint of the operand that is not the weight */
	bool forward_after_backward; /* FORWARD: a backward pass was seen since the last forward one */
};

/* A weight that is not at its address any more (model.to, reallocation): the next weight found with its shape gets
 * its id. */
struct gns_orphan {
	size_t slow_n, fast_n;
	uint32_t dtype, id;
};

#define GNS_SCAN_CHUNK 64

struct gns_scan { /* weights whose fingerprints are read in one call */
	const struct gns_key *keys[GNS_SCAN_CHUNK];
	struct gns_weight *which[GNS_SCAN_CHUNK];
	struct gns_fingerprint now[GNS_SCAN_CHUNK];
	bool ok[GNS_SCAN_CHUNK];
};

struct gns_roles {
	struct gns_scan scanning;
	struct gns_operand_uses uses;
	struct gns_weight *weights;  /* GNS_WEIGHTS_MAX */
	uint32_t *index;             /* hash by address into weights, +1 */
	uint32_t n_weights_used;     /* slots taken, candidates included */
	uint32_t n_weights;          /* confirmed weights */
	uint32_t ids;                /* the highest id given */
	struct gns_orphan *orphans;  /* ids of weights that are not at their address any more; GNS_WEIGHTS_MAX */
	uint32_t n_orphans;
	bool wgrad_sum_fast;
	bool learning, scan_works, backward_seen;
	bool any_record;             /* while learning: some candidate has passed check (2) once */
	bool announced;              /* the first weights have been reported */
	uint32_t scan;               /* scans so far */
	uint32_t settle;             /* boundaries until learning ends */
	uint64_t products, products_at_boundary, last_weight_use, step_products;
	uint32_t boundaries, relearn_at;
	uint64_t learning_since;     /* products */
	uint64_t gradients, step_gradients; /* products of weight-gradient form in this step and in the last */
	bool unclaimed, step_unclaimed;     /* some of them belonged to no weight */
	uint32_t steps_before;       /* steps that had passed when the first weights were learned */
	uint32_t expected_gradients; /* of those weights in the last of these steps */
	uint32_t layout_tries, fruitless;
	uint16_t *turn;              /* on a device: whose gradients a step has, in order, as learned; GNS_TURNS_MAX */
	uint32_t turns, turns_taken;
	bool adopted;                /* the weights come from a log, and no step has begun since */
	struct gns_key trigger;      /* while learning: the candidate whose use caused the latest scan */
	uint32_t held, learned_steps;
	struct gns_first_use *first; /* while learning; GNS_FIRST_USES */
	struct { const char *lo, *hi; } writes[GNS_WRITES]; /* latest outputs, while learning */
	uint32_t n_writes;
	uint64_t why[GNS_WHYS];
};

bool gns_roles_init(struct gns_roles *roles);
void gns_roles_free(struct gns_roles *roles);

/* Called with each product before it runs (operands are read), in the order of the program. */
void gns_roles_see(struct gns_roles *roles, const struct gns_product *product, struct gns_verdict *out);

/* On a device: replaces the table by the weights found in a log (find_in_log.h). The caller must then pass the log's
 * GEMMs of the step in progress to gns_roles_follow. */
struct gns_find_in_log;
void gns_roles_adopt(struct gns_roles *roles, const struct gns_find_in_log *found);
/* The role of a GEMM on a device, by addresses alone: no operand is read. A step begins where a weight is used whose
 * gradients are complete. */
void gns_roles_follow(struct gns_roles *roles, const struct gns_product *product, struct gns_verdict *out);
/* True if no weight was used for long: they have moved in memory. */
bool gns_roles_lost(const struct gns_roles *roles);

/* Searches for further weights in the next steps (unfrozen layers); known ones stay. */
void gns_roles_relearn(struct gns_roles *roles);
/* Forgets all addresses and searches again (moved parameters); a weight of the same shape gets its old id. */
void gns_roles_restart(struct gns_roles *roles);

#endif
