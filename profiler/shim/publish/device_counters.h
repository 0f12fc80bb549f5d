/* What is told of devices beside the results: counters, and events when something changes. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_DEVICE_COUNTERS_H
#define GNS_PROFILER_SHIM_PUBLISH_DEVICE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#define GNS_DEVICE_COUNTERS 13

struct gns_counter;
struct gns_publish;

/* GNS_DEVICE_COUNTERS of them, always at the same place; all zero in a process that never used a device. */
size_t gns_device_counters(struct gns_counter *out);
/* The events "device_off" (text: why, and the driver's number of the error) and "graph_captured" (how many so far), where they are news.
 * Under the core's lock. */
void gns_device_events(struct gns_publish *publish, uint32_t stream, uint64_t step);

#endif
