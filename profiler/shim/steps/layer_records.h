/* What the feed has to say of a step, as records of its stream. */
#ifndef GNS_PROFILER_SHIM_STEPS_LAYER_RECORDS_H
#define GNS_PROFILER_SHIM_STEPS_LAYER_RECORDS_H

#include "layer_sums.h"
#include "profiler/shim/publish/publish.h"

struct gns_layer_sums_report {
	struct gns_step_report step;
	uint32_t micro_steps;
	uint64_t n, samples;   /* in the step as measured, 0 not; of a micro-step as told, 0 not */
	uint32_t measured;     /* parameters with numbers */
	double lr;             /* NaN unknown */
};

/* One step with all that belongs to it, STEP last. False when it was dropped. */
bool gns_publish_feed(struct gns_publish *publish, const struct gns_config *config, struct gns_layer_sums *feed, uint32_t stream,
		      const struct gns_layer_sums_report *report, struct gns_kernels *kernels, const struct gns_counter *counters,
		      size_t n_counters);
/* The feed's own counters, at most GNS_LAYER_SUMS_COUNTS. */
size_t gns_layer_sums_counters(const struct gns_layer_sums *feed, struct gns_counter *out);

#endif
