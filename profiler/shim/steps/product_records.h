/* What the roles and the measurements of BLAS products have to say of a step, as records. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_RECORDS_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_RECORDS_H

#include "product_sums.h"
#include "profiler/shim/publish/publish.h"

/* One step with all that belongs to it, as stream 0. Returns false when it was dropped. */
bool gns_publish_step(struct gns_publish *publish, const struct gns_config *config, const struct gns_step_report *report,
		      struct gns_product_sums *measure, struct gns_kernels *kernels, const struct gns_counter *counters, size_t n_counters);

#endif
