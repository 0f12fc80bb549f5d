/* The operand uses of this micro-step: which matrix was multiplied by which (possible) weight. A weight-gradient GEMM
 * is recognised by earlier uses of its operands: its X was the input of the weight's forward GEMM, its dY that of the
 * data-gradient GEMM, at the same address and with the same values. A bounded hash table by address; entries of older
 * cycles are overwritten. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_OPERAND_USES_H
#define GNS_PROFILER_SHIM_WEIGHTS_OPERAND_USES_H

#include "product.h"

#define GNS_OPERAND_USES_SLOTS (1u << 15)
#define GNS_OPERAND_USES_FOUND 16

struct gns_operand_use {
	/* the matrix that is not the weight: X of a forward product, dY of a data-gradient product */
	const void *data;
	uint32_t cycle;
	uint32_t seq;       /* order in the cycle */
	size_t rows, width; /* its dimension that is not summed over, and the one that is */
	struct gns_key weight;
	size_t weight_free; /* the weight's dimension that is not summed over */
	bool weight_sum_fast;
	bool taken;         /* its weight-gradient product has been seen */
	uint64_t print;     /* fingerprint of the matrix: its address may have been reused for another matrix since */
};

struct gns_operand_uses {
	struct gns_operand_use *slots;
	uint32_t cycle, seq;
	uint64_t lost; /* uses that found no slot near their hash */
	bool no_prints; /* compare addresses alone: enough for counting gradients in an unmeasured step */
};

bool gns_operand_uses_init(struct gns_operand_uses *uses);
void gns_operand_uses_free(struct gns_operand_uses *uses);
void gns_operand_uses_next_cycle(struct gns_operand_uses *uses);

/* Records that `matrix` was multiplied by `weight`, both operands of one GEMM. Returns the matrix's fingerprint, 0
 * with no_prints. */
uint64_t gns_operand_uses_add(struct gns_operand_uses *uses, const struct gns_operand *matrix,
			      const struct gns_operand *weight, uint32_t dtype);

/* The untaken uses in this cycle of `matrix` (an operand of a weight-gradient GEMM, which sums over its rows) with a
 * weight whose other dimension is `other_width`. Latest first; returns how many, at most GNS_OPERAND_USES_FOUND. */
unsigned gns_operand_uses_find(struct gns_operand_uses *uses, const struct gns_operand *matrix, size_t other_width,
			       uint32_t dtype, struct gns_operand_use **found);

#endif
