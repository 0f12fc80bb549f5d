/* The records of a step of the layer API, in its stream. */
#ifndef GNS_PROFILER_SHIM_STEPS_LAYER_RECORDS_H
#define GNS_PROFILER_SHIM_STEPS_LAYER_RECORDS_H

#include "layer_sums.h"
#include "profiler/shim/publish/publish.h"

struct gns_layer_sums_report {
	struct gns_step_report step;
	uint32_t micro_steps;
	/* samples in the step as measured, 0: not measured; in a micro-step as the user set them, 0: not set */
	uint64_t n, samples;
	uint32_t measured;     /* parameters with numbers */
	double lr;             /* NaN unknown */
};

/* Sends one step with all its records, STEP last. False when they were lost. */
bool gns_publish_feed(struct gns_publish *publish, const struct gns_config *config, struct gns_layer_sums *sums,
		      uint32_t stream,
		      const struct gns_layer_sums_report *report, struct gns_kernels *kernels, const struct gns_counter *counters,
		      size_t n_counters);
/* The counters kept in `sums`, at most GNS_LAYER_SUMS_COUNTS. */
size_t gns_layer_sums_counters(const struct gns_layer_sums *sums, struct gns_counter *out);

#endif
