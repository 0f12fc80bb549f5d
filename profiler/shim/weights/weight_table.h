/* Weights and candidates, by address and shape: the table in struct gns_roles. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_WEIGHT_TABLE_H
#define GNS_PROFILER_SHIM_WEIGHTS_WEIGHT_TABLE_H

#include "product_roles.h"

#define GNS_WEIGHT_SLOTS (GNS_WEIGHTS_MAX * 2) /* of the index */

static inline bool gns_key_same(const struct gns_key *a, const struct gns_key *b)
{
	return a->data == b->data && a->slow_n == b->slow_n && a->fast_n == b->fast_n && a->dtype == b->dtype;
}

/* Where in the index the search for an address begins. */
static inline uint32_t gns_weight_home(const void *data)
{
	return (uint32_t)(((uint64_t)(uintptr_t)data * 0x9e3779b97f4a7c15ull) >> 49) & (GNS_WEIGHT_SLOTS - 1);
}

/* NULL: not in the table. Inline, because every operand of every GEMM is looked up. */
static inline struct gns_weight *gns_weight_find(struct gns_roles *r, const struct gns_key *key)
{
	for (uint32_t at = gns_weight_home(key->data);; at = (at + 1) & (GNS_WEIGHT_SLOTS - 1)) {
		uint32_t i = r->index[at];
		if (!i)
			return NULL;
		if (gns_key_same(&r->weights[i - 1].key, key))
			return &r->weights[i - 1];
	}
}

/* Adds a candidate with this key, which must not be in the table; NULL: the table is full. */
struct gns_weight *gns_weight_add(struct gns_roles *roles, const struct gns_key *key);
/* Removes the entries for which `keep` is false. Weights keep their order and so their indices (once found, they come
 * first). */
void gns_weights_keep(struct gns_roles *roles, bool (*keep)(const struct gns_roles *, const struct gns_weight *));

#endif
