/* Fingerprints of matrices: a few elements at fixed places. They distinguish the same, slightly changed and other
 * values at a cost that does not depend on the size of the matrix. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_FINGERPRINT_H
#define GNS_PROFILER_SHIM_WEIGHTS_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "product.h"

#define GNS_PRINT_N 16

struct gns_fingerprint {
	uint64_t bits[GNS_PRINT_N]; /* the elements' bit patterns */
};

/* Reads memory directly: call only while the matrix is an operand of a call in progress. */
void gns_fingerprint_take(const struct gns_key *key, struct gns_fingerprint *out);

/* Reads through the kernel, so that unmapped memory is an error and not a fault: by process_vm_readv, or through a
 * pipe where seccomp forbids that. ok[i] says whether out[i] could be read. False, and nothing was read, when neither
 * is possible (seccomp, no free descriptors). */
bool gns_fingerprint_scan(const struct gns_key *const *keys, size_t n, struct gns_fingerprint *out, bool *ok);

static inline bool gns_fingerprint_same(const struct gns_fingerprint *a, const struct gns_fingerprint *b)
{
	return __builtin_memcmp(a, b, sizeof *a) == 0;
}

/* A 64-bit hash of the fingerprint of a matrix, read directly: shows whether an address still holds the same matrix. */
uint64_t gns_fingerprint_hash(const struct gns_key *key);

/* |a - b| / (|a| + |b|), between 0 and 1; 1 when not finite. */
double gns_fingerprint_distance(const struct gns_fingerprint *a, const struct gns_fingerprint *b, uint32_t dtype);

#endif
