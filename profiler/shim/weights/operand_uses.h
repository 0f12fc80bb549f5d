/* The uses of this micro-step: which matrix was multiplied with which (possible) weight. A weight-gradient product is
 * known by its operands' earlier uses: its X was the input of the weight's forward product, its dY that of the
 * data-gradient product, at the same address and with the same values. A bounded hash by address; entries of an older cycle are stale and are overwritten. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_OPERAND_USES_H
#define GNS_PROFILER_SHIM_WEIGHTS_OPERAND_USES_H

#include "product.h"

#define GNS_OPERAND_USES_SLOTS (1u << 15)
#define GNS_OPERAND_USES_FOUND 16

struct gns_operand_use {
	const void *data;   /* the matrix that is not the weight: X of a forward product, dY of a data-gradient product */
	uint32_t cycle;
	uint32_t seq;       /* order in the cycle */
	size_t rows, width; /* its dimension that stays and the one summed over */
	struct gns_key weight;
	size_t weight_free; /* the weight's dimension that stays */
	bool weight_sum_fast;
	bool taken;         /* its weight-gradient product has been seen */
	uint64_t print;     /* what stood there: an address alone may have been given to another matrix since */
};

struct gns_operand_uses {
	struct gns_operand_use *slots;
	uint32_t cycle, seq;
	uint64_t lost; /* no room in the neighbourhood */
	bool no_prints; /* addresses alone: enough to count with in a step that is not measured */
};

bool gns_operand_uses_init(struct gns_operand_uses *uses);
void gns_operand_uses_free(struct gns_operand_uses *uses);
void gns_operand_uses_next_cycle(struct gns_operand_uses *uses);

/* Notes that `matrix` was multiplied with `weight`; both are operands of one product. Returns the matrix' fingerprint, 0 with no_prints. */
uint64_t gns_operand_uses_add(struct gns_operand_uses *uses, const struct gns_operand *matrix, const struct gns_operand *weight, uint32_t dtype);

/* The untaken uses of this cycle in which `matrix` (an operand of a weight-gradient product: its rows are summed over now, its width
 * stays) met a weight whose other dimension is `other_width`. Newest first; returns how many, at most GNS_OPERAND_USES_FOUND. */
unsigned gns_operand_uses_find(struct gns_operand_uses *uses, const struct gns_operand *matrix, size_t other_width, uint32_t dtype,
			    struct gns_operand_use **found);

#endif
