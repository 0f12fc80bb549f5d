/* What the files plan*.c share: a plan while it is being made. */
#ifndef GNS_COLLECTORS_GPU_PLAN_PRIVATE_H
#define GNS_COLLECTORS_GPU_PLAN_PRIVATE_H

#include "plan.h"

#define GNS_PLAN_BLOCKS_A_SM 4

struct gns_plan_draft {
	struct gns_cu_plan *plan;
	const struct gns_cu_ground *ground;
	const char *scratch;
	int rc;
};

struct gns_plan_draft gns_plan_begin(struct gns_cu_plan *plan, const struct gns_cu_ground *ground);
/* A piece of scratch; NULL while it is only being counted. */
void *gns_plan_take(struct gns_plan_draft *draft, size_t count, size_t item);
/* The next kernel, gns_KERNEL_TYPE or gns_KERNEL; its arguments are still to be filled. */
struct gns_cu_launch *gns_plan_launch(struct gns_plan_draft *draft, const char *kernel, const char *type, size_t x, size_t y, size_t z);
/* The tensor, packed, to `out`. */
int gns_plan_copy(struct gns_plan_draft *draft, const struct gns_tensor *t, void *out, uint32_t to);
/* Their sum to the ground's `out`, or added to it; then the plan is complete. */
int gns_plan_end(struct gns_plan_draft *draft, const double *partial, size_t n);
/* Complete without a sum: the gate goes into all kernels. */
int gns_plan_seal(struct gns_plan_draft *draft);

size_t gns_plan_ceil_div(size_t a, size_t b);
size_t gns_plan_item_size(uint32_t dtype);
size_t gns_plan_acc_size(uint32_t dtype); /* of what its products are kept in */
const char *gns_plan_type_name(uint32_t dtype);
bool gns_plan_is_sound(const struct gns_cu_operand *m);
size_t gns_plan_multiprocessors(const struct gns_cu_ground *ground); /* at least 1, lest nothing be launched */

#endif
