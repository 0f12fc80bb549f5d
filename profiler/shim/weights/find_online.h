/* Finds weights among the operands of GEMMs in host memory, while the program runs: the half of product_roles.c that
 * is used only while learning. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_FIND_ONLINE_H
#define GNS_PROFILER_SHIM_WEIGHTS_FIND_ONLINE_H

#include "product_roles.h"

/* A GEMM of weight-gradient form whose operands were used before: the matrices that they were multiplied by become
 * candidates. */
void gns_find_online_gradient(struct gns_roles *roles, struct gns_operand_use **left, unsigned n_left,
			      struct gns_operand_use **right, unsigned n_right);
/* Checks that a weight or candidate has the same values as when the step began. False if they differ although it has
 * always passed: then a step boundary was missed, and the caller has to make up for it. */
bool gns_find_online_check(struct gns_roles *roles, struct gns_weight *candidate, const struct gns_operand *partner,
			   bool forward);
/* True if the candidate has passed a check and that use then led to a weight gradient. */
bool gns_find_online_has_record(const struct gns_weight *candidate);
/* A forward GEMM (of `trigger`) after a backward one: reads all candidates, and promotes or rejects them. True when
 * weights have changed. */
bool gns_find_online_boundary(struct gns_roles *roles, struct gns_weight *trigger, bool *learned);
/* Called for every GEMM, after its role is known. */
void gns_find_online_see(struct gns_roles *roles, const struct gns_product *product, const struct gns_verdict *verdict,
			 bool gradient_form);

#endif
