/* The libraries that collectors have met in this process: path and version, told as GNS_REC_LIBRARY once each, and again when more is
 * known.
 *
 *     gns_library_met("cublas", (void *)next, "13.1.0");
 *
 * Any thread; no lock, nothing is allocated. At most GNS_LIBRARIES_MAX are kept. */
#ifndef GNS_LIBRARIES_H
#define GNS_LIBRARIES_H

#include <stdint.h>

#define GNS_LIBRARIES_MAX 32u

struct gns_publish;

/* `address`: of any function in the library, which tells its path. `version` "" or NULL: not known. Cheap, but not for every call: it asks
 * the dynamic linker. */
void gns_library_met(const char *name, const void *address, const char *version);
/* "13.1.0" from 130100 (major * 10000 + minor * 100 + patch), as CUDA's libraries number themselves. */
void gns_library_version(char *text, unsigned size, uint64_t number);

/* For publish.c. Stages what this ring has not been told. */
void gns_libraries_stage(struct gns_publish *publish);

#endif
