/* Counters of devices, and events when a device is turned off or a graph is captured. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_DEVICE_COUNTERS_H
#define GNS_PROFILER_SHIM_PUBLISH_DEVICE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#define GNS_DEVICE_COUNTERS 13

struct gns_counter;
struct gns_publish;

/* Writes GNS_DEVICE_COUNTERS counters, always in the same order; all zero in a process that never used a device. */
size_t gns_device_counters(struct gns_counter *out);
/* Publishes the events "device_off" (text: why, and the driver's error number) and "graph_captured" (how many so
 * far), once for each change. Under the core's lock. */
void gns_device_events(struct gns_publish *publish, uint32_t stream, uint64_t step);

#endif
