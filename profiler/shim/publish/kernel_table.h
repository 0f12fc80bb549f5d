/* The measured steps' products, and parts of steps, by kind: how often, how long. A bounded table; what does not fit is counted. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_KERNEL_TABLE_H
#define GNS_PROFILER_SHIM_PUBLISH_KERNEL_TABLE_H

#include "profiler/shim/weights/product.h"

#define GNS_KERNELS_MAX 256

/* The roles, and what is only told by those who know the parts of a step. */
enum gns_family { GNS_FAMILY_BACKWARD = GNS_ROLES, GNS_FAMILY_PHASE, GNS_FAMILIES };

struct gns_kernel {
	const char *api;
	uint32_t family, m, n, k; /* enum gns_product_role or gns_family */
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
void gns_kernels_add(struct gns_kernels *kernels, const char *api, uint32_t family, const struct gns_product *product,
		     uint32_t products, uint64_t ns);
/* A part of the step, by name; it must be a string that stays. */
void gns_kernels_add_phase(struct gns_kernels *kernels, const char *name, uint64_t ns);
void gns_kernels_told(struct gns_kernels *kernels); /* what has calls has been published */
/* The step is over: counts go to zero, names stay. */
void gns_kernels_clear(struct gns_kernels *kernels);
const char *gns_family_name(uint32_t family); /* "wgrad" */

#endif
