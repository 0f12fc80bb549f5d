/* The maths: from squared gradient norms to B_noise, B_crit and the tradeoff. Pure functions of numbers;
 * no I/O, no allocation, no globals, any thread. An absent number is NaN. Formulas and words: SCIENCE.md
 * of the project; the source paper is named beside each.
 *
 * Units: B_noise and B_crit in samples; s (trace of the per-sample gradient covariance) and g2 (squared norm
 * of the true gradient) in squared gradient units; both may be negative in one step and are never clamped. */
#ifndef GNSCOPE_ESTIMATE_H
#define GNSCOPE_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_Z95 1.959963984540054

/* Two batch sizes, unbiased (McCandlish et al. 2018, arXiv 1812.06162, app. A.1):
 * g2 = (n q_big - b q_small) / (n - b), s = (q_small - q_big) / (1/b - 1/n). -EINVAL unless 0 < b < n and all finite. */
int gns_two_batch(double n_small, double n_big, double q_small, double q_big, double *s, double *g2);

/* Sums over measured steps, each times its weight: the steps that it represents, half the gap to each measured neighbour; the first
 * and the last reach to the ends of the window (SCIENCE.md, "Averages over a run"). Where every step is measured all weights
 * are 1. Blocks add without loss: a roll-up of roll-ups is exact. */
struct gns_block {
	int64_t first_step, last_step; /* of the run, inclusive */
	double count;                  /* measured steps */
	double weight, weight2;        /* sums of the weights and of their squares; weight: the steps represented */
	double s, g2;                  /* weighted sums */
	double ss, sg, gg;             /* weighted sums of products of the per-step values */
	double q_big, n_big;           /* weighted sums */
};
/* One measured step and what it says. */
struct gns_measured { int64_t step; double s, g2, q_big, n_big; };
/* A step whose s or g2 is not finite, or whose weight is not positive, is skipped; an empty block (count 0) merges as nothing. */
void gns_block_clear(struct gns_block *block);
void gns_block_add(struct gns_block *block, const struct gns_measured *step, double weight);
void gns_block_merge(struct gns_block *into, const struct gns_block *from);
/* The weight of a step that is in the block already turns out to be another, by `more` (which may be negative). */
void gns_block_reweigh(struct gns_block *block, const struct gns_measured *step, double weight, double more);

enum gns_var_method { GNS_VAR_NONE = 0, GNS_VAR_STEPS, GNS_VAR_BLOCKS, GNS_VAR_DIFFERENCES };

/* Variance and covariance of the means of s and g2, times (t/z)^2 of their degrees of freedom, so that limits at
 * z = GNS_Z95 have Student's coverage with few steps too. */
struct gns_meanvar {
	double s, g2; /* means */
	double v_s, v_g, v_sg;
	enum gns_var_method method;
};

/* From block means when there are enough blocks of at least 20 measured steps (autocorrelation included), else from the steps
 * inside the blocks as if independent. Blocks in order of steps. A block of c = weight^2 / weight2 effective steps contributes
 * weight^2 / c times the variance of a step. -ENODATA below 2 steps (the means are set when there is one). Enough: 10 blocks of
 * max(20, sqrt(steps)) steps; their deviations from the line through the neighbours count, so that a drift along the run does not pass
 * for noise. docs/reference/formulas.md has the coverage. */
int gns_meanvar_from_blocks(const struct gns_block *blocks, size_t n, struct gns_meanvar *out);

/* A ratio of two noisy means with its confidence set (Fieller 1954): the B with
 * (g2^2 - z^2 v_g) B^2 - 2 (s g2 - z^2 v_sg) B + (s^2 - z^2 v_s) <= 0. */
struct gns_ratio {
	double value;  /* s / g2; NaN when unresolved */
	double lo, hi; /* hi NaN when unresolved; lo then the "B >= lo" of the verdict, NaN when not even that is known */
	bool resolved; /* g2^2 > z^2 v_g and g2 > 0 */
	double count;  /* measured steps behind it; with decaying weights the equivalent number, (sum w)^2 / sum w^2 */
};
/* -EINVAL when a moment is not finite or a variance negative. `count` is left NaN. */
int gns_fieller(const struct gns_meanvar *mv, double z, struct gns_ratio *out);

/* Pooled B_noise of any set of blocks: ratio of the means. */
int gns_noise_from_blocks(const struct gns_block *blocks, size_t n, double z, struct gns_ratio *out,
			  struct gns_meanvar *mv_or_null);

/* B_crit of a run so far = E_min / S_min, with dS_min = 1 / (1 + B_noise/B) a step and dE_min = B_noise dS_min
 * (McCandlish et al. 2018, sec. 2.3 and app. D). Since g2 + s/n = q_big, dS_min = g2 / q_big and dE_min = s / q_big of
 * each block: a ratio of means again, with Fieller limits. Blocks are merged into groups of max(20, sqrt(steps)) steps
 * first; the ratio of each group is corrected for the bias of few steps (Tin 1965). Every measured step counts alike.
 * -ENODATA below 2 steps that have a gradient. */
int gns_bcrit_from_blocks(const struct gns_block *blocks, size_t n, double z, struct gns_ratio *out);

/* Decaying weights with a half-life in measured steps, times the steps that each represents; variance from successive differences,
 * so that drift does not widen it, times sum w^2 / (sum w)^2. Bias-corrected start. */
struct gns_ema {
	double half_life;
	double count, weight, weight2; /* steps seen, sums of the decayed weights and of their squares */
	double s, g2, q_big, n_big; /* weighted sums */
	struct gns_measured last;
	double last_weight;
	double dss, dsg, dgg, dweight; /* of half squared successive differences, weighted */
};
void gns_ema_init(struct gns_ema *ema, double half_life);
void gns_ema_add(struct gns_ema *ema, const struct gns_measured *step, double weight);
void gns_ema_reweigh(struct gns_ema *ema, double more); /* the newest step represents `more` steps more than was said */
int gns_ema_meanvar(const struct gns_ema *ema, struct gns_meanvar *out); /* -ENODATA below 3 steps */
int gns_ema_noise(const struct gns_ema *ema, double z, struct gns_ratio *out);

/* Predicted variances of one step's s and g2 (SCIENCE.md, for planning and tests). */
struct gns_step_variance { double s, g2, cov; };
struct gns_step_variance gns_step_variance(double n, double b, double trace_sigma2, double g_sigma_g, double kappa4);

/* The tradeoff (McCandlish et al. 2018, eq. 2.11): relative to the least possible. */
double gns_steps_factor(double batch, double b_crit);    /* S / S_min = 1 + B_crit/B */
double gns_samples_factor(double batch, double b_crit);  /* E / E_min = 1 + B/B_crit */
double gns_sample_efficiency(double batch, double b_crit); /* share of samples that count: E_min / E */
double gns_lr_factor(double batch, double b_noise);      /* eps(B)/eps_max = 1/(1 + B_noise/B), SGD, ibid. eq. 2.6 */
/* Step time alpha + beta B: the B of least time to target, sqrt(B_crit alpha / beta). */
double gns_fastest_batch(double b_crit, double alpha, double beta);
/* Pollux (Qiao et al. 2021): efficiency at batch m against m0 with noise scale phi. */
double gns_pollux_efficiency(double phi, double m0, double m);
/* Kaplan et al. 2020: B_crit(L) = B* / L^(1/alpha_B), tokens; B* = 2e8, alpha_B = 0.21. */
double gns_kaplan_bcrit(double loss);
/* Gain of an adaptive schedule (McCandlish et al. 2018, app. D): gamma = (integral sqrt(B) ds)^2 / (S_min E_min) from
 * B_noise sampled at n points with weights ds. */
double gns_adaptive_gain(const double *b_noise, const double *ds, size_t n);

#endif
