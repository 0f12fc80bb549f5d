/* What the kernels of a device are called and what they are for. Pure functions of text; names are untrusted. */
#ifndef GNS_COLLECTORS_CUPTI_KERNEL_NAMES_H
#define GNS_COLLECTORS_CUPTI_KERNEL_NAMES_H

#include <stddef.h>

/* In the order of GNS_DEVICE_FAMILIES (record.h). */
enum gns_device_family {
	GNS_DEVICE_MATMUL = 0,
	GNS_DEVICE_ATTENTION,
	GNS_DEVICE_CONV,
	GNS_DEVICE_NORM,
	GNS_DEVICE_ELEMENTWISE,
	GNS_DEVICE_OPTIMIZER,
	GNS_DEVICE_COMM,
	GNS_DEVICE_COPY,
	GNS_DEVICE_OWN,
	GNS_DEVICE_OTHER,
	GNS_DEVICE_FAMILIES_N
};

#define GNS_KERNEL_NAME_MAX 88 /* of a KERNEL record, with a terminator here */

/* By the function's own name, as kernels of public libraries are called: demangled if possible, but a mangled name will do. Its template
 * arguments count where the function is a holder of others (CUTLASS), or says nothing itself. */
enum gns_device_family gns_kernel_family(const char *name);
const char *gns_device_family_name(enum gns_device_family family); /* "gpu matmul" */

/* For people: without return type and arguments, the arguments of template arguments as <...>, cut in the middle to `size` with its
 * terminator; printable ASCII whatever came in. */
void gns_kernel_pretty(const char *name, char *out, size_t size);

#endif
