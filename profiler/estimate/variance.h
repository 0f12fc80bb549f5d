/* Inside the estimator: how the variance of a mean is taken from a series of block means or steps.
 *
 * A long-run variance per step is estimated and divided by the number of steps behind the mean. Its own uncertainty is
 * folded in by gns_small_sample, so that Fieller limits at z = GNS_Z95 have Student's coverage. */
#ifndef GNS_VARIANCE_H
#define GNS_VARIANCE_H

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

/* Variance and covariance from half squared differences of successive block means (von Neumann et al. 1941): a slow drift cancels,
 * correlation within a block does not. Block means of unequal counts are weighted by their steps. */
struct gns_successive {
	double blocks, steps;          /* seen */
	double last_s, last_g, last_c; /* the previous block: means and count */
	double v_s, v_g, v_sg, weight;
};
void gns_successive_add(struct gns_successive *series, double s, double g, double count);
/* Of the mean over all steps seen; small-sample factor included. Needs two blocks. */
void gns_successive_finish(const struct gns_successive *series, struct gns_meanvar *out);

/* Centred sums of products of the steps inside a group. */
struct gns_within { double ss, sg, gg, dof; };
struct gns_within gns_within(const struct gns_block *group);

#endif
