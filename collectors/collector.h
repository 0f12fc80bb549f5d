/* What a collector tells of itself, for the table in collectors.c. A new collector is one new file and one line there. */
#ifndef GNS_COLLECTOR_H
#define GNS_COLLECTOR_H

#include <stddef.h>

struct gns_collector {
	const char *name;               /* "blas" */
	const char *const *symbols;     /* what it stands before; ends with NULL */
};

/* NULL-terminated. */
extern const struct gns_collector *const gns_collectors[];

#endif
