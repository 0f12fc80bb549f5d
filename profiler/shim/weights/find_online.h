/* How weights become known: the half of product_roles.c that works only while learning. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_FIND_ONLINE_H
#define GNS_PROFILER_SHIM_WEIGHTS_FIND_ONLINE_H

#include "product_roles.h"

/* A product of weight-gradient form whose operands met something: all that they met may be weights. */
void gns_find_online_gradient(struct gns_roles *roles, struct gns_operand_use **left, unsigned n_left, struct gns_operand_use **right, unsigned n_right);
/* A weight or candidate is an operand: is it as it was when the step began? False when it is not though it has always been: then a
 * boundary was overlooked and is to be made up for. */
bool gns_find_online_check(struct gns_roles *roles, struct gns_weight *candidate, const struct gns_operand *partner, bool forward);
/* It has passed a check and its use then led to a weight gradient. */
bool gns_find_online_has_record(const struct gns_weight *candidate);
/* A forward product (of `trigger`) after a backward one: read all, promote and reject. True when weights have changed. */
bool gns_find_online_boundary(struct gns_roles *roles, struct gns_weight *trigger, bool *learned);
/* Every product, after its role is known. */
void gns_find_online_see(struct gns_roles *roles, const struct gns_product *product, const struct gns_verdict *verdict, bool gradient_form);

#endif
