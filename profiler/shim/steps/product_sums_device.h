/* What one step has measured on devices: for each weight, the slots of sets (device.h) in which its gradients' numbers will come, and what is
 * to be compared before they are believed. The counterpart of the sums in product_sums.h; product_records.c names it all to deferred.h.
 *
 * Of a weight with M passes a step, n samples each, every gradient product P = alpha X^T dY + beta C:
 *   C new each time (beta 0, or what was added is taken off again): as in product_sums.h, per pass: q_small = n sum alpha^2 |A_i|^2 and q_big = |P|^2,
 *     averaged over the passes;
 *   C added to (beta 1): as in layer_sums.h, of the whole step of N = n M samples: q_small = N sum alpha^2 |A_i|^2, q_big = |C|^2 after the last, and
 *     C must have been 0 before the first.
 * Believed only if the weight was the same at its first and its last use in the step, and X the same at the forward product and at the
 * gradient's (of the last pass). A weight that has not all its gradients is left out ("gradients_incomplete").
 *
 * Under the core's lock. Nothing is allocated after gns_product_sums_device_init. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_DEVICE_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_DEVICE_H

#include "collectors/gpu/device.h"
#include "product_sums.h"
#include "profiler/shim/publish/publish.h"

#define GNS_DEVICE_GRADS 8192u

enum gns_grad_into { GNS_INTO_NEW = 0, GNS_INTO_ZERO, GNS_INTO_MORE }; /* C: new; added to, the first of the step; added to */

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

struct gns_device_weight { /* of this step */
	struct gns_set *set;     /* of the prints */
	uint32_t first, last, x; /* its prints; that of its X in the last pass */
	const void *x_data;
	bool any_first, any_last, any_x;
	uint32_t grads, per_step;
	uint32_t in_all;         /* GNS_DEVICE_GRADS: index + 1 of its newest gradient, once settled */
	bool whole;              /* C is added to */
};

struct gns_product_sums_device {
	struct gns_device_grad *grad;
	uint32_t *next;          /* of the same weight, +1 */
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
/* A gradient that was measured. False: no room. */
bool gns_product_sums_device_add(struct gns_product_sums_device *step, const struct gns_device_grad *grad);
/* Has a product of this step had this C? */
bool gns_product_sums_device_met(const struct gns_product_sums_device *step, const void *c);
void gns_product_sums_device_used(struct gns_product_sums_device *step, struct gns_set *set);
/* A data-gradient product met this weight with this dY. */
void gns_product_sums_device_settle(struct gns_product_sums_device *step, const void *dy, uint32_t id);
/* All is in: counts go to measure->param[].micro, n and rows. */
void gns_product_sums_device_close(struct gns_product_sums_device *step, struct gns_product_sums *measure);
/* The numbers of a weight, to the GRAD that was staged for it; nothing where it was not measured on a device. */
void gns_product_sums_device_name(const struct gns_product_sums_device *step, struct gns_publish *publish, struct gns_record *staged,
			  const struct gns_product_sums *measure);
/* The step that is staged waits for all its sets, which are the queue's from then on. */
void gns_product_sums_device_hand_over(struct gns_product_sums_device *step, struct gns_publish *publish);
bool gns_product_sums_device_handed(const struct gns_product_sums_device *step, const struct gns_set *set);

#endif
