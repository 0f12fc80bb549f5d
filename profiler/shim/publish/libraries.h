/* The libraries that collectors have found in this process: path and version. Each is published once as
 * GNS_REC_LIBRARY, and again when its version becomes known.
 *
 *     gns_library_met("cublas", (void *)next, 130100);
 *
 * Any thread; no lock, nothing is allocated. At most GNS_LIBRARIES_MAX are kept. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_LIBRARIES_H
#define GNS_PROFILER_SHIM_PUBLISH_LIBRARIES_H

#include <stdint.h>

#define GNS_LIBRARIES_MAX 32u

struct gns_rec_library;

/* `address`: of any function in the library; gives its path. `number`: the version, encoded as CUDA's libraries do,
 * major * 10000 + minor * 100 + patch (130100: "13.1.0"), in old ones major * 1000 + ...; 0 not known. Not for the
 * hot path: it calls dladdr. */
void gns_library_met(const char *name, const void *address, uint64_t number);
/* The number of libraries; the i-th of them, NULL while another thread is adding it. */
uint32_t gns_library_count(void);
const struct gns_rec_library *gns_library_at(uint32_t i);

#endif
