/* The libraries that collectors have met in this process: path and version, told as GNS_REC_LIBRARY once each, and again when more is
 * known.
 *
 *     gns_library_met("cublas", (void *)next, 130100);
 *
 * Any thread; no lock, nothing is allocated. At most GNS_LIBRARIES_MAX are kept. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_LIBRARIES_H
#define GNS_PROFILER_SHIM_PUBLISH_LIBRARIES_H

#include <stdint.h>

#define GNS_LIBRARIES_MAX 32u

struct gns_rec_library;

/* `address`: of any function in the library, which gives its path. `number`: its version as CUDA's libraries number themselves,
 * major * 10000 + minor * 100 + patch (130100: "13.1.0"), in old ones major * 1000 + ...; 0 not known. Cheap, but not for every call: it
 * asks the dynamic linker. */
void gns_library_met(const char *name, const void *address, uint64_t number);
/* How many are listed; the i-th of them, NULL: another thread is about to list it. */
uint32_t gns_library_count(void);
const struct gns_rec_library *gns_library_at(uint32_t i);

#endif
