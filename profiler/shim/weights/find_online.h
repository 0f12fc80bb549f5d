/* How weights become known: the half of roles.c that works only while learning. */
#ifndef GNS_LEARN_H
#define GNS_LEARN_H

#include "product_roles.h"

/* In roles.c, shared by the two. */
struct gns_weight *gns_weight_find(struct gns_roles *roles, const struct gns_key *key);
struct gns_weight *gns_weight_add(struct gns_roles *roles, const struct gns_key *key);
void gns_weights_keep(struct gns_roles *roles, bool (*keep)(const struct gns_roles *, const struct gns_weight *));

/* A product of weight-gradient form whose operands met something: all that they met may be weights. */
void gns_learn_gradient(struct gns_roles *roles, struct gns_use **left, unsigned n_left, struct gns_use **right, unsigned n_right);
/* A weight or candidate is an operand: is it as it was when the step began? False when it is not though it has always been: then a
 * boundary was overlooked and is to be made up for. */
bool gns_learn_check(struct gns_roles *roles, struct gns_weight *candidate, const struct gns_operand *partner, bool forward);
/* It has passed a check and its use then led to a weight gradient. */
bool gns_learn_has_record(const struct gns_weight *candidate);
/* A forward product (of `trigger`) after a backward one: read all, promote and reject. True when weights have changed. */
bool gns_learn_boundary(struct gns_roles *roles, struct gns_weight *trigger, bool *learned);
/* Every product, after its role is known. */
void gns_learn_see(struct gns_roles *roles, const struct gns_product *product, const struct gns_verdict *verdict, bool gradient_form);

#endif
