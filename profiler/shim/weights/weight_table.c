/* Weights and candidates, by address and shape. */
#include "weight_table.h"

#include <string.h>

struct gns_weight *gns_weight_add(struct gns_roles *r, const struct gns_key *key)
{
	if (r->n_weights_used == GNS_WEIGHTS_MAX)
		return NULL;
	uint32_t at = gns_weight_home(key->data);
	while (r->index[at])
		at = (at + 1) & (GNS_WEIGHT_SLOTS - 1);
	r->index[at] = ++r->n_weights_used;
	struct gns_weight *w = &r->weights[r->n_weights_used - 1];
	*w = (struct gns_weight){ .key = *key, .state = GNS_W_CANDIDATE };
	return w;
}

/* Rebuilds the table. Weights keep their order and so their indices (once found, they come first). */
void gns_weights_keep(struct gns_roles *r, bool (*keep)(const struct gns_roles *, const struct gns_weight *))
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->n_weights_used; i++)
		if (keep(r, &r->weights[i]))
			r->weights[n++] = r->weights[i];
	memset(&r->weights[n], 0, (r->n_weights_used - n) * sizeof *r->weights);
	r->n_weights_used = n;
	memset(r->index, 0, GNS_WEIGHT_SLOTS * sizeof *r->index);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = gns_weight_home(r->weights[i].key.data);
		while (r->index[at])
			at = (at + 1) & (GNS_WEIGHT_SLOTS - 1);
		r->index[at] = i + 1;
	}
}
