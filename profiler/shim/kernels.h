/* The measured steps' products by kind: how often, how long. A bounded table; what does not fit is counted. */
#ifndef GNS_KERNELS_H
#define GNS_KERNELS_H

#include "product.h"

#define GNS_KERNELS_MAX 256

struct gns_kernel {
	const char *api;
	uint32_t role, m, n, k;
	char form[3]; /* "NT": how the operands are stored */
	bool told;    /* its KERNEL record has been published */
	uint32_t calls;
	uint64_t total_ns, max_ns;
	double flops;
};

struct gns_kernels {
	struct gns_kernel row[GNS_KERNELS_MAX];
	uint32_t n;
	uint64_t overflow;
};

/* One call of `products` equal products. `api` must be a string that stays. */
void gns_kernels_add(struct gns_kernels *kernels, const char *api, uint32_t role, const struct gns_product *product,
		     uint32_t products, uint64_t ns);
/* The step is over: counts go to zero, names stay. */
void gns_kernels_clear(struct gns_kernels *kernels);
const char *gns_role_family(uint32_t role); /* "wgrad" */

#endif
