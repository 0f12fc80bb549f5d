/* What each collector stands before: the names of foreign functions that libgnscope.so exports. A new collector is one new file with its
 * wrappers and one line in the table of collectors.c. The table is data alone, for who tells people about collectors (`gnscope doctor`); a
 * test holds it against the exports of the library. */
#ifndef GNS_COLLECTORS_COLLECTOR_H
#define GNS_COLLECTORS_COLLECTOR_H

#include <stddef.h>

struct gns_collector {
	const char *name;           /* "cublas": of its counters and of the library it meets, too */
	const char *const *symbols; /* ends with NULL */
};

extern const struct gns_collector gns_collectors[]; /* ends with a name of NULL */

#endif
