/* What a step measures of GEMMs on devices: for each weight, the slots of sets (device.h) for the norms of its
 * gradients, and the fingerprints that have to agree. The counterpart of product_sums.h for deferred values;
 * product_records.c passes it to deferred.h.
 *
 * For a weight with M passes a step of n samples each, every gradient GEMM P = alpha X^T dY + beta C:
 *   C is new each time (beta 0, or the C before is subtracted): as in product_sums.h, for each pass q_small = n sum
 *     alpha^2 |A_i|^2 and q_big = |P|^2, averaged over the passes;
 *   C is accumulated into (beta 1): as in layer_sums.h, for the whole step of N = n M samples: q_small = N sum
 *     alpha^2 |A_i|^2, q_big = |C|^2 after the last pass, and C must be 0 before the first.
 * The numbers are used only if the weight was the same at its first and last use in the step, and X the same in the
 * forward GEMM and in the gradient's (of the last pass). A weight with missing gradients is left out
 * ("gradients_incomplete").
 *
 * Under the core's lock. Nothing is allocated after gns_product_sums_device_init. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_DEVICE_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_DEVICE_H

#include "collectors/gpu/device.h"
#include "product_sums.h"
#include "profiler/shim/publish/publish.h"

#define GNS_DEVICE_GRADS 8192u

/* C is new; C is accumulated into for the first time in the step; again */
enum gns_grad_into { GNS_INTO_NEW = 0, GNS_INTO_ZERO, GNS_INTO_MORE };

struct gns_device_grad {
	struct gns_admitted of;
	struct gns_set *set;
	uint32_t small, big, zero;
	uint32_t x_then, x_now;
	bool any_big, any_x;
	enum gns_grad_into into;
	double factor;    /* alpha^2 */
	const void *c;
	uint64_t rows;
};

struct gns_device_weight { /* in this step */
	struct gns_set *set;     /* of the fingerprints */
	uint32_t first, last, x; /* slots of fingerprints: first use, last use, X in the last pass */
	const void *x_data;
	bool any_first, any_last, any_x;
	uint32_t grads, per_step;
	uint32_t in_all;         /* index + 1 of its latest gradient, once it is known to be this weight's */
	bool whole;              /* C is accumulated into: the numbers are of the whole step */
};

struct gns_product_sums_device {
	struct gns_device_grad *grad;
	uint32_t *next;          /* by gradient: the one before of the same weight, +1 */
	struct gns_device_weight *weight; /* by id - 1 */
	uint32_t n_grads, n_weights;
	struct gns_set *set[GNS_DEVICES_MAX];
	uint32_t n_sets;
	bool closed, handed;
};

bool gns_product_sums_device_init(struct gns_product_sums_device *step);
void gns_product_sums_device_free(struct gns_product_sums_device *step);
void gns_product_sums_device_clear(struct gns_product_sums_device *step);

/* NULL: id out of range. */
struct gns_device_weight *gns_product_sums_device_weight(struct gns_product_sums_device *step, uint32_t id);
/* Adds a gradient that is being measured. False: no room. */
bool gns_product_sums_device_add(struct gns_product_sums_device *step, const struct gns_device_grad *grad);
/* Has a gradient of this step been written to this C? */
bool gns_product_sums_device_met(const struct gns_product_sums_device *step, const void *c);
void gns_product_sums_device_used(struct gns_product_sums_device *step, struct gns_set *set);
/* This weight was multiplied by this dY in a data-gradient GEMM: an open gradient with this dY belongs to it. */
void gns_product_sums_device_settle(struct gns_product_sums_device *step, const void *dy, uint32_t id);
/* The step is complete: sets micro, n and rows of each sums->param[]. */
void gns_product_sums_device_close(struct gns_product_sums_device *step, struct gns_product_sums *sums);
/* Adds the items of a weight's numbers to its staged GRAD record; none if it was not measured on a device. */
void gns_product_sums_device_name(const struct gns_product_sums_device *step, struct gns_publish *publish,
				  struct gns_record *staged, const struct gns_product_sums *sums);
/* Makes the staged step wait for all its sets, and hands the sets to the queue of deferred steps. */
void gns_product_sums_device_hand_over(struct gns_product_sums_device *step, struct gns_publish *publish);
bool gns_product_sums_device_handed(const struct gns_product_sums_device *step, const struct gns_set *set);

#endif
