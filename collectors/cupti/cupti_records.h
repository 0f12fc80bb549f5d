/* What is told of a step's time on devices, as records. */
#ifndef GNS_COLLECTORS_CUPTI_CUPTI_RECORDS_H
#define GNS_COLLECTORS_CUPTI_CUPTI_RECORDS_H

#include "step_times.h"

#define GNS_CUPTI_FIRST_KERNEL 1000u /* ids of the kernels of devices; products have the ones below */

struct gns_publish;

/* Under the core's lock and the list's. `dropped`: records lost in the step's window. False when there was no room. */
bool gns_cupti_publish(struct gns_publish *publish, const struct gns_told *told, struct gns_activities *all, uint64_t dropped);

#endif
