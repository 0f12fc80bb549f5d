/* The step clock: where a step ends, whether it is measured, and what the shim costs.
 *
 * For the shim a step ends with its last weight gradient. It can then be published before the optimizer runs, so that a
 * program killed right after its step loses nothing. If the last gradient cannot be predicted (their number differs
 * from step to step), the step ends at the next step's first forward GEMM.
 *
 * Which steps are measured: every N-th if the user asks for that. Otherwise those that step_plan.h takes at an
 * interval K that keeps the shim's cost near the budget,
 *     K = (cost of a measured step - cost of another) / (0.85 * budget * step time - cost of another),
 * within these limits:
 *   - The first 3 steps are measured, to have a cost to go by.
 *   - Until 20 steps are measured up to 5 times the budget may be spent, but not more than 5% of the step time. From
 *     there to 100 measured steps this falls to the budget. Later steps do not make up for it.
 *   - Until 400 steps are measured K is at most 64, afterwards at most 1,024, whatever it costs.
 *   - K changes after a measured step only, by at most a factor of two.
 *   - With several ranks K is one of 2^(i/2), so that ranks of about the same cost measure the same steps.
 * The cost of start-up (loading a collector, finding the weights) is not part of these costs. */
#ifndef GNS_PROFILER_SHIM_STEPS_STEP_CLOCK_H
#define GNS_PROFILER_SHIM_STEPS_STEP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/shim/process/config.h"

#define GNS_RECENT 31
struct gns_recent { /* the latest values of a cost or duration */
	double value[GNS_RECENT];
	uint32_t n;
};

struct gns_step_clock {
	uint64_t step;          /* the present step, from 1; 0 while the weights are not found */
	uint64_t began_ns, began_real_ns; /* when the step before ended */
	uint64_t overhead_ns;   /* the shim's cost in the present step, timed calls scaled up */
	bool measured, published;
	bool startup;           /* overhead_ns contains the cost of start-up: GNS_STEP_STARTUP */
	uint32_t gradients;     /* weight gradients seen in this step */
	uint32_t expected;      /* weight gradients in the step before; 0: not predictable */
	uint32_t unsure;        /* steps until `expected` is used again */
	uint64_t late;          /* gradients that came after their step was published */
	bool marked;            /* the training program marks its steps */
	uint32_t interval;      /* in force, rounded: one step in K is measured */
	double planned;         /* K by the budget, 0 not yet */
	double rung;            /* with several ranks: K of the ladder, 0 not yet */
	uint64_t last_measured;
	uint64_t costed;        /* measured steps whose cost is known, start-up left out */
	bool cost_is_new;       /* the step before was one of these */
	/* ns: the shim's cost of unmeasured and of measured steps; time of steps without it */
	struct gns_recent plain, costly, wall;
};

void gns_step_clock_init(struct gns_step_clock *steps, uint64_t now);
/* A new step begins; decides whether it is measured. control: gns_publish_control. */
void gns_step_clock_begin(struct gns_step_clock *steps, const struct gns_config *config, uint32_t control,
			  uint64_t step);
/* The present step is complete: returns its duration and records its cost. The cost and time of a start-up step are not
 * recorded, because other steps differ from it. */
uint64_t gns_step_clock_close(struct gns_step_clock *steps, uint64_t now, uint64_t now_real);
/* A weight gradient has been seen (and measured, if the step is measured). True when it is the step's last. */
bool gns_step_clock_gradient(struct gns_step_clock *steps);

#endif
