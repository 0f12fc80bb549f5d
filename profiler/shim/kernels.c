/* The measured steps' products by kind. */
#include "kernels.h"

#include <string.h>

const char *gns_role_family(uint32_t role)
{
	static const char *const names[GNS_ROLES] = { "other", "forward", "dgrad", "wgrad" };
	return role < GNS_ROLES ? names[role] : "other";
}

void gns_kernels_add(struct gns_kernels *kernels, const char *api, uint32_t role, const struct gns_product *p, uint32_t products,
		     uint64_t ns)
{
	/* The letters that a column-major BLAS call of this product has. */
	char left = p->left.sum_fast ? 'T' : 'N', right = p->right.sum_fast ? 'N' : 'T';
	struct gns_kernel *row = NULL;
	for (uint32_t i = 0; i < kernels->n && !row; i++) {
		struct gns_kernel *k = &kernels->row[i];
		if (k->m == p->m && k->n == p->n && k->k == p->k && k->role == role && k->form[0] == left && k->form[1] == right &&
		    strcmp(k->api, api) == 0)
			row = k;
	}
	if (!row) {
		if (kernels->n == GNS_KERNELS_MAX) {
			kernels->overflow++;
			return;
		}
		row = &kernels->row[kernels->n++];
		*row = (struct gns_kernel){ .api = api, .role = role, .m = (uint32_t)p->m, .n = (uint32_t)p->n, .k = (uint32_t)p->k,
					    .form = { left, right } };
	}
	row->calls++;
	row->total_ns += ns;
	if (ns > row->max_ns)
		row->max_ns = ns;
	row->flops += 2.0 * (double)p->m * (double)p->n * (double)p->k * products;
}

void gns_kernels_clear(struct gns_kernels *kernels)
{
	for (uint32_t i = 0; i < kernels->n; i++) {
		struct gns_kernel *k = &kernels->row[i];
		k->calls = 0;
		k->total_ns = k->max_ns = 0;
		k->flops = 0;
	}
}
