#ifndef GNS_PROFILER_SHIM_PROCESS_CLOCK_H
#define GNS_PROFILER_SHIM_PROCESS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t gns_clock(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t gns_now(void) { return gns_clock(CLOCK_MONOTONIC); }
static inline uint64_t gns_realtime(void) { return gns_clock(CLOCK_REALTIME); }

#endif
