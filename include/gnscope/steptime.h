/* The time of a step at another batch size: t(B) = alpha + beta B. docs/reference/steptime.md explains the model on one page.
 * Pure functions of numbers, as estimate.h. Times are milliseconds of one step, batches are samples on one device, an absent
 * number is NaN. */
#ifndef GNSCOPE_STEPTIME_H
#define GNSCOPE_STEPTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "gnscope/fit.h"

/* Rows at which a product of matrices takes twice the time of its arithmetic alone, because the weight itself must be read or its
 * gradient written (Hockney's n_1/2, 1982): the products' fixed share is R/(R + rows). Taken, and the most that is allowed for. */
#define GNS_STEP_HALF_ROWS 8.0
#define GNS_STEP_HALF_ROWS_MOST 32.0
/* Fixed cost of the calls that surround one product of a weight in an interpreted framework (dispatch, bookkeeping), ms. */
#define GNS_STEP_CALL_MS 0.05

/* One kind of matrix product in a step. */
struct gns_step_product {
	double ms;    /* a step, all calls */
	double calls; /* a step */
	double rows;  /* of the batch that one call works on; NaN: its calls or all its sizes grow with the batch, nothing is fixed */
};

/* What one run shows. */
struct gns_step_seen {
	double batch, step_ms;
	double optimizer_ms; /* the optimizer's phase; NaN: phases were not seen */
	const struct gns_step_product *product;
	size_t n;
};

enum gns_step_rule {
	GNS_STEP_NONE,  /* no batch or no step time */
	GNS_STEP_WHOLE, /* no product was timed: anything between all fixed and all in proportion; no value, only limits */
	GNS_STEP_PARTS, /* one batch size: from the parts of its step */
	GNS_STEP_RUNS,  /* several batch sizes: a line through their step times */
};

struct gns_step_model {
	enum gns_step_rule rule;
	double batch, ms;    /* of the run that is asked about */
	double alpha, beta;  /* ms, ms a sample */
	double alpha_lo, alpha_hi; /* PARTS, WHOLE: the most and the least that can be fixed, the whole being ms at `batch` */
	/* PARTS: where alpha comes from. */
	double optimizer_ms, products_ms, products_fixed_ms, rest_ms, rest_fixed_ms;
	/* RUNS: for limits. */
	size_t runs, batches;
	double sigma, dof, xx, xy, yy; /* relative scatter; sums of squares of 1/t and B/t */
	double miss, miss_batch;       /* of the point farthest from the line: its time over the line's, and its batch */
};

/* From one run. Fixed are: the optimizer's phase; of each product R/(R + rows); of the rest, where phases were seen, as much as
 * GNS_STEP_CALL_MS a product explains, else (the optimizer hides in it) a half. The limits take R from 0 to
 * GNS_STEP_HALF_ROWS_MOST and none or all of the rest. Products that took longer than the step ran beside one another and are
 * scaled to it. */
void gns_step_from_parts(const struct gns_step_seen *seen, struct gns_step_model *out);

/* From the step times of runs of one program at several batch sizes, least squares of relative errors, alpha and beta not below
 * zero; `parts` is the model of the run that is asked about, and stays when there are not two distinct batch sizes. Limits are
 * Student's, from three runs on, in proportion (of the time's logarithm): never below zero. */
struct gns_step_point { double batch, ms; };
void gns_step_from_runs(const struct gns_step_point *points, size_t n, const struct gns_step_model *parts, struct gns_step_model *out);

/* t(B) with its range: lo and hi, NaN where there is none. At `batch` of a model of one run it is the measured time. */
struct gns_interval gns_step_at(const struct gns_step_model *model, double batch);

/* The batch of least time to a target, (1 + B_crit/B)(alpha + beta B/devices), and of least cost at a fixed number of devices:
 * sqrt(B_crit devices alpha/beta) (gns_fastest_batch), limits from those of B_crit and alpha. b_crit.hi NaN: no upper limit. */
struct gns_interval gns_step_fastest(const struct gns_step_model *model, struct gns_interval b_crit, double devices);

#endif
