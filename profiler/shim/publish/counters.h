/* Counters that a collector keeps beside its wrappers: one static struct each, listed at its first use, told with the shim's other
 * counters (GNS_REC_COUNTER).
 *
 *     static struct gns_tally calls = { .collector = "cublas", .name = "cublasGemmEx" };
 *     gns_tally(&calls);
 *
 * Any thread; no lock, nothing is allocated. At most GNS_TALLIES_MAX are told. */
#ifndef GNS_TALLY_H
#define GNS_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_TALLIES_MAX 96u

struct gns_tally {
	const char *collector, *name; /* as in struct gns_rec_counter */
	_Atomic uint64_t value;
	_Atomic bool listed;
};

struct gns_counter;

void gns_tally(struct gns_tally *tally);
/* GNS_TALLIES_MAX counters, always at the same place; those that are not used yet are all zero. */
size_t gns_tallies(struct gns_counter *out);
/* In a child: all begin at 0 again. */
void gns_tallies_clear(void);

#endif
