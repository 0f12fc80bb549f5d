/* The records of a step whose measurements come from GEMMs. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_RECORDS_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_RECORDS_H

#include "product_sums.h"
#include "profiler/shim/publish/publish.h"

/* Sends one step with all its records, in stream 0. False when they were lost. */
bool gns_publish_step(struct gns_publish *publish, const struct gns_config *config,
		      const struct gns_step_report *report,
		      struct gns_product_sums *sums, struct gns_kernels *kernels, const struct gns_counter *counters, size_t n_counters);

#endif
