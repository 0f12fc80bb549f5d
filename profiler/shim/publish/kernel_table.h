/* Calls and times of the GEMMs, and of the phases, of measured steps, by kind. The table is bounded; what does not
 * fit is counted. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_KERNEL_TABLE_H
#define GNS_PROFILER_SHIM_PUBLISH_KERNEL_TABLE_H

#include "profiler/shim/weights/product.h"

#define GNS_KERNELS_MAX 256

/* The roles of GEMMs, and further families that only a collector that knows the phases of a step can report. */
enum gns_family { GNS_FAMILY_BACKWARD = GNS_ROLES, GNS_FAMILY_PHASE, GNS_FAMILIES };

struct gns_kernel {
	const char *api;
	uint32_t family, m, n, k; /* enum gns_product_role or gns_family */
	char form[3]; /* "NT": how the operands are stored */
	bool told;    /* its KERNEL record was sent */
	uint32_t calls;
	uint64_t total_ns, max_ns;
	double flops;
};

struct gns_kernels {
	struct gns_kernel row[GNS_KERNELS_MAX];
	uint32_t n;
	uint64_t overflow;
};

/* Adds one call of `products` equal GEMMs. `api` must be valid for the life of the table. */
void gns_kernels_add(struct gns_kernels *kernels, const char *api, uint32_t family, const struct gns_product *product,
		     uint32_t products, uint64_t ns);
/* Adds a phase of the step; `name` must be valid for the life of the table. */
void gns_kernels_add_phase(struct gns_kernels *kernels, const char *name, uint64_t ns);
void gns_kernels_told(struct gns_kernels *kernels); /* the KERNEL records of all rows with calls were sent */
/* The step is over: sets the counts to 0 and keeps the rows. */
void gns_kernels_clear(struct gns_kernels *kernels);
const char *gns_family_name(uint32_t family); /* "wgrad" */

#endif
