/* Live counters of a collector: each is one static struct beside its wrapper, added to a list at its first use, and
 * published with the shim's other counters (GNS_REC_COUNTER).
 *
 *     static struct gns_live_counter calls = { .collector = "cublas", .name = "cublasGemmEx" };
 *     gns_count(&calls);
 *
 * Any thread; no lock, nothing is allocated. At most GNS_LIVE_COUNTERS_MAX are published. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_COUNTERS_H
#define GNS_PROFILER_SHIM_PUBLISH_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_LIVE_COUNTERS_MAX 96u

struct gns_live_counter {
	const char *collector, *name; /* as in struct gns_rec_counter */
	_Atomic uint64_t value;
	_Atomic bool listed;
};

struct gns_counter;

void gns_count(struct gns_live_counter *counter);
/* Writes GNS_LIVE_COUNTERS_MAX counters, always in the same order; unused ones are all zero. */
size_t gns_live_counters(struct gns_counter *out);
/* In a child: sets all to 0. */
void gns_live_counters_clear(void);

#endif
