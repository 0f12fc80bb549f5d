/* The clock of steps: where one ends, whether it is measured, what the shim itself costs.
 *
 * A step ends, for us, with its last weight gradient: it can be published before the optimizer runs, so that a trainer
 * killed right after its step has lost nothing. Where that is not predictable (the number of gradients differs from step to step), it ends
 * at the next step's first forward product. */
#ifndef GNS_STEPS_H
#define GNS_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define GNS_RECENT 31
struct gns_recent { /* the newest values of something */
	double value[GNS_RECENT];
	uint32_t n;
};

struct gns_steps {
	uint64_t step;          /* the present one, from 1; 0 while nothing is learned */
	uint64_t began_ns, began_real_ns; /* where the last one ended */
	uint64_t overhead_ns;   /* of the present step, timed calls scaled up */
	bool measured, published;
	uint32_t gradients;     /* weight gradients seen in this step */
	uint32_t expected;      /* in the last one; 0: not predictable */
	uint32_t unsure;        /* steps until the number is trusted again */
	uint64_t late;          /* gradients that came after their step was published */
	bool marked;            /* the trainer marks its steps */
	uint32_t interval;      /* in force: every K-th step is measured */
	uint32_t planned;       /* by the budget; 0 not yet */
	uint64_t last_measured;
	struct gns_recent plain, costly, wall; /* ns: the shim's cost of steps not measured and measured; steps' wall time */
	double learning_cost;   /* ns, until the weights were known */
};

void gns_steps_init(struct gns_steps *steps, uint64_t now);
/* A new step begins; decides whether it is measured. control: the session's word. By the budget, with several ranks, intervals are powers
 * of two and steps their multiples, so that ranks measure the same ones. */
void gns_steps_begin(struct gns_steps *steps, const struct gns_config *config, uint32_t control, uint64_t step);
/* The present step is complete: returns its duration and closes its account. What a step costs while weights are still being
 * learned says nothing about the others. */
uint64_t gns_steps_close(struct gns_steps *steps, uint64_t now, uint64_t now_real, bool learning);
/* A weight gradient has been seen (and measured, if the step is). True when it is the step's last. */
bool gns_steps_gradient(struct gns_steps *steps);

#endif
