/* Calls and times of GEMMs and phases in measured steps. */
#include "kernel_table.h"

#include <string.h>

const char *gns_family_name(uint32_t family)
{
	static const char *const names[GNS_FAMILIES] = { "other", "forward", "dgrad", "wgrad", "backward", "phase" };
	return family < GNS_FAMILIES ? names[family] : "other";
}

static bool same(const struct gns_kernel *a, const struct gns_kernel *b)
{
	return a->m == b->m && a->n == b->n && a->k == b->k && a->family == b->family && a->form[0] == b->form[0] &&
	       a->form[1] == b->form[1] && strcmp(a->api, b->api) == 0;
}

/* The row of this kind, added if it is new; NULL when the table is full. */
static struct gns_kernel *row_of(struct gns_kernels *kernels, const struct gns_kernel *kind)
{
	for (uint32_t i = 0; i < kernels->n; i++)
		if (same(&kernels->row[i], kind))
			return &kernels->row[i];
	if (kernels->n == GNS_KERNELS_MAX) {
		kernels->overflow++;
		return NULL;
	}
	kernels->row[kernels->n] = *kind;
	return &kernels->row[kernels->n++];
}

static void add(struct gns_kernels *kernels, const struct gns_kernel *kind, uint64_t ns, double flops)
{
	struct gns_kernel *row = row_of(kernels, kind);
	if (!row)
		return;
	row->calls++;
	row->total_ns += ns;
	if (ns > row->max_ns)
		row->max_ns = ns;
	row->flops += flops;
}

void gns_kernels_add(struct gns_kernels *kernels, const char *api, uint32_t family, const struct gns_product *p,
		     uint32_t products, uint64_t ns)
{
	/* The transposition letters of this GEMM in a column-major BLAS call. */
	char left = p->left.sum_fast ? 'T' : 'N', right = p->right.sum_fast ? 'N' : 'T';
	struct gns_kernel kind = { .api = api, .family = family, .m = (uint32_t)p->m, .n = (uint32_t)p->n,
				   .k = (uint32_t)p->k, .form = { left, right } };
	add(kernels, &kind, ns, 2.0 * (double)p->m * (double)p->n * (double)p->k * products);
}

void gns_kernels_add_phase(struct gns_kernels *kernels, const char *name, uint64_t ns)
{
	struct gns_kernel kind = { .api = name, .family = GNS_FAMILY_PHASE };
	add(kernels, &kind, ns, 0);
}

void gns_kernels_told(struct gns_kernels *kernels)
{
	for (uint32_t i = 0; i < kernels->n; i++)
		kernels->row[i].told |= kernels->row[i].calls > 0;
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
