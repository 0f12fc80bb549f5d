/* What another batch size would cost: pure numbers behind the Tradeoff table.
 *
 * The target is the loss that this run has reached: at batch B it took `steps` steps, at B' it would take
 * steps (1 + B_crit/B') / (1 + B_crit/B) (McCandlish et al. 2018, eq. 2.11), learning rate tuned. Limits follow from the 95%
 * limits of B_crit and, for times, from what is known of the step time. An absent number is NaN. */
#ifndef GNS_TUI_COST_H
#define GNS_TUI_COST_H

#include "tui/model.h"

#define GNS_COST_POINTS 8

enum gns_time_rule {
	GNS_TIME_NONE = 0, /* no step time known */
	GNS_TIME_BOUNDS,   /* products in proportion to the batch, the rest somewhere between fixed and in proportion */
	GNS_TIME_FIT       /* alpha + beta B through step times measured at two or more batch sizes */
};

struct gns_step_time {
	enum gns_time_rule rule;
	double batch, ms;       /* measured, of the run that is shown; ms: the median */
	double stretch;         /* mean step over the median: what the run took, pauses included, is steps * ms * stretch */
	double fixed_ms;        /* BOUNDS: what may be fixed */
	double alpha, beta;     /* FIT, ms and ms a sample */
	double at[GNS_COST_POINTS], at_ms[GNS_COST_POINTS]; /* batch sizes that were measured, and their step times */
	size_t n;
};

/* From the model: the shown run, its split, and those of the marked runs that have as many weights and the same unit. */
struct gns_step_time gns_step_time_of(const struct gns_model *model);

struct gns_range { double value, lo, hi; }; /* value NaN: only limits */

struct gns_cost {
	double batch;
	bool now;            /* the batch in use: measured, not predicted */
	bool step_measured;  /* its step time was measured */
	struct gns_range steps_factor, samples_factor; /* S / S_min, E / E_min */
	struct gns_range steps, samples;  /* to the loss reached */
	struct gns_range steps_ratio, time_ratio; /* to the batch in use: 1 = the same */
	struct gns_range step_ms, seconds, device_hours, money;
};

/* devices 0: one for each rank; price 0: no money. */
struct gns_cost gns_cost_at(const struct gns_model *model, const struct gns_step_time *time, double batch, double devices, double price);
/* How many devices that is; NaN when it is not known. */
double gns_devices(const struct gns_model *model, double devices);
/* The batch of least time to target; with the bounds the largest it can be (value NaN, hi set). With a number of devices that
 * stays, the cheapest too. */
struct gns_range gns_fastest(const struct gns_model *model, const struct gns_step_time *time);

#endif
