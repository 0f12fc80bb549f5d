/* The collector of kernel times, for the table in collectors.c. */
#ifndef GNS_CUPTI_COLLECTOR_H
#define GNS_CUPTI_COLLECTOR_H

#include "collectors/collector.h"

extern const struct gns_collector gns_cupti_collector;

#endif
