/* Inside the estimator: how the variance of a mean is taken from a series of block means or steps.
 *
 * A long-run variance per step is estimated and divided by the number of steps behind the mean. Its own uncertainty is
 * folded in by gns_small_sample, so that Fieller limits at z = GNS_Z95 have Student's coverage. */
#ifndef GNS_PROFILER_ESTIMATE_VARIANCE_H
#define GNS_PROFILER_ESTIMATE_VARIANCE_H

#include "gnscope/estimate.h"

#define GNS_BLOCK_STEPS 20.0  /* least steps of a block whose mean is used (SCIENCE.md, error bars) */
#define GNS_BLOCKS_NEEDED 10  /* least blocks for a variance between blocks; fewer: from the steps inside them */

/* (t / z)^2 at 95% with `dof` degrees of freedom, not below 1. With a variance of exactly that many degrees of freedom the
 * Fieller set is Student's: (s - B g2)^2 / v(B) is F(1, dof). */
double gns_small_sample(double dof);

/* Steps a block should have when n steps are cut into blocks: max(20, sqrt(n)). The square root rule lets the
 * blocks outgrow any finite correlation time (Flegal and Jones 2010, Annals of Statistics 38(2), batch means). */
double gns_block_target(double steps);

double gns_total_steps(const struct gns_block *blocks, size_t n);

/* Cuts blocks, in order, into groups of at least `target` steps; what is left at the end joins the last group. */
struct gns_grouping {
	const struct gns_block *blocks;
	size_t n, next;
	double left, target;
};
struct gns_grouping gns_group(const struct gns_block *blocks, size_t n, double target);
bool gns_group_next(struct gns_grouping *grouping, struct gns_block *group);

double gns_effective_steps(const struct gns_block *block); /* weight^2 / weight2: its measured steps where all weights are equal */

/* Variance and covariance from the deviations of each block mean from the line through its two neighbours (Gasser, Sroka and
 * Jennen-Steinmetz 1986, Biometrika 73): a drift that is straight over three blocks cancels, correlation within a block does not. The
 * mean over all is sum(weight * block mean) / sum(weight), so that a block has the share weight^2 / (effective steps) of the variance of
 * a step in that of the mean. */
struct gns_point_of_line { double s, g, at, count, share; };
struct gns_residuals {
	struct gns_point_of_line last[2]; /* the block before the last, the last */
	double blocks, weight;
	double v_s, v_g, v_sg, shares;    /* sums over deviations */
	double share, share2;             /* sums over blocks, and of the squares */
};
void gns_residuals_add(struct gns_residuals *series, double s, double g, const struct gns_block *group);
/* Of the mean over all steps seen; small-sample factor included. Needs three blocks. */
void gns_residuals_finish(const struct gns_residuals *series, struct gns_meanvar *out);

/* Centred sums of products of the steps inside a group, as of `count` steps of equal weight. */
struct gns_within {
	double ss, sg, gg, dof, count;
	double share; /* of the variance of one of these steps in that of a sum over all groups */
};
struct gns_within gns_within(const struct gns_block *group);

/* One variance of a step from inside of many groups. */
struct gns_pooled { double ss, gg, sg, dof, dof2, count; };
void gns_pooled_add(struct gns_pooled *pooled, const struct gns_within *part, double ss, double gg, double sg);
/* Of the mean over groups that represent `weight` steps in all; small-sample factor included. False: no degree of freedom. */
bool gns_pooled_finish(const struct gns_pooled *pooled, double weight, struct gns_meanvar *out);

#endif
