/* B_crit measured: the hyperbola of steps against samples through runs at several batch sizes, and power laws over runs.
 * Pure functions of numbers, as estimate.h; they allocate what they need and free it. An absent number is NaN.
 *
 * The law (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.11): (S/S_min - 1)(E/E_min - 1) = 1, that is with E = B S
 * S(B) = S_min + E_min/B, B_crit = E_min/S_min in samples. docs/reference/fit.md has the coverage of all limits. */
#ifndef GNSCOPE_FIT_H
#define GNSCOPE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One training run. */
struct gns_fit_point {
	double batch;  /* samples a step */
	double steps;  /* to the target; censored: trained without reaching it */
	double lr;     /* learning rate, NaN unknown: such runs count as one learning rate */
	int64_t seed;  /* negative: unknown */
	int64_t run_id; /* for the caller, not used by the fit */
	bool censored;
};

/* A batch size of the sweep and the learning rate that was taken there: the one of the least median of steps, a censored run
 * counting as longer than any, over the seeds that all its rates have (over all runs where there is none such); between rates without a finite median that of the lesser share of censored runs,
 * then the one that was given up first (a bound that holds whatever the best rate is). */
struct gns_fit_batch {
	double batch, lr;
	size_t lrs;           /* learning rates tried */
	bool lr_edge;         /* the one taken is the smallest or largest of several tried: a better one may lie beyond */
	size_t runs, censored; /* at the rate taken */
	double steps;         /* their median, NaN when half or more are censored */
	double fitted;        /* S(B) of the law; NaN without a fit */
};

struct gns_interval {
	double value, lo, hi; /* hi NaN: no upper limit (value then NaN, too, when the best fit lies at infinity); lo 0: no lower */
};

enum gns_fit_scatter {
	GNS_SCATTER_NONE,    /* too few runs for an interval */
	GNS_SCATTER_EXACT,   /* none: the points lie on the law */
	GNS_SCATTER_RUNS,    /* of runs about the law */
	GNS_SCATTER_BATCHES, /* of batches about the law, which is larger than seeds explain */
};

struct gns_fit {
	struct gns_interval s_min, e_min, b_crit; /* steps, samples, samples; 95% */
	double b_cbs20; /* the batch of 20% more steps than linear scaling: S B = 1.2 E_min at 0.2 B_crit (Zhang et al. 2024, arXiv 2410.21676) */
	double b_sfo;   /* the tried batch of the least median of samples B S (the SFO complexity of Sato and Iiduka); the law itself has
			   no such minimum: its samples only grow with B */
	bool b_sfo_edge; /* it is the smallest or largest batch tried: the minimum may lie beyond */
	enum gns_fit_scatter scatter;
	double sigma, dof; /* scatter of log steps that the limits rest on, and its degrees of freedom */
	double seed_sigma; /* of runs of one batch about their mean, NaN without repeats */
	double fit_p;     /* does the law hold? F test of the scatter of batch means against that of seeds; NaN without repeats */
	double curve_p;   /* F test of a parabola in log batch left in the residuals; NaN below 4 batches (with 4, only against repeats) */
	bool law_fails;   /* either below 0.01 */
	size_t batches, runs, censored; /* that entered */
};

/* Fits. The error of a run's steps is lognormal with one sigma; a censored run enters by its probability to be that long (Tobin
 * 1958, Econometrica 26), maximum likelihood by Levenberg-Marquardt on the square roots of the deviances (cminpack). Limits are
 * those of the profile likelihood at Student's t, sigma^2 divided by the degrees of freedom.
 * Where the scatter of batches is larger than that of seeds (F test at 0.1: learning rates tuned unequally, a law that holds
 * roughly) the limits rest on the scatter of batches.
 * -EINVAL: a batch or steps that is not positive and finite. -ENODATA: no runs, all censored, or one batch size that was
 * reached; out then holds the counts. `table` may be NULL, else has room for n entries; sorted by batch. `taken` likewise: which of
 * the points entered. */
int gns_fit_hyperbola(const struct gns_fit_point *points, size_t n, struct gns_fit *out, struct gns_fit_batch *table,
		      size_t *n_table, bool *taken);

/* y = factor x^power by least squares of logs. */
struct gns_power_law {
	size_t n;
	double factor;
	struct gns_interval power; /* 95%, Student's t; the limits may be negative: NaN is what is absent here */
	double sigma;              /* of log y */
	double r2;
	double aicc; /* Hurvich and Tsai 1989 (Biometrika 76): 2k + n ln(rss/n) + 2k(k+1)/(n-k-1) with k = 3; less is better; NaN below 5 */
};
/* -EINVAL when a number is not positive and finite, -ENODATA below 3 points or without two distinct x. */
int gns_fit_power(const double *x, const double *y, size_t n, struct gns_power_law *out);

#endif
