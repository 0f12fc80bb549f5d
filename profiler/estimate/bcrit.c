/* B_crit of a run so far: E_min / S_min, summed along the run. */
#include <errno.h>
#include <math.h>

#include "profiler/estimate/variance.h"

/* One group's share of E_min and S_min per step. A ratio of means over m steps is biased by O(1/m), and no length of the run
 * averages that out; Tin's (1965, JASA 60, 294-307) modified ratio removes it: x/q (1 + c_xq/(x q) - c_qq/q^2), the c's being
 * variances of the means. q = g2 + s/n in each step. */
struct progress {
	double e, s;          /* dE_min, dS_min a step */
	double v_e, v_s, v_es; /* sums of products of the linearised residuals of the steps */
	struct gns_within within;
};

static bool progress_of(const struct gns_block *group, struct progress *out)
{
	double w = group->weight, n = group->n_big / w;
	double s = group->s / w, g = group->g2 / w, q = group->q_big / w;
	if (!(n > 0) || !(q > 0) || !isfinite(n) || !isfinite(q))
		return false;
	struct gns_within within = gns_within(group);
	double c_sq = within.ss / n + within.sg;
	double c_gq = within.sg / n + within.gg;
	double c_qq = c_sq / n + c_gq;
	double scale = within.dof > 0 ? 1 / (within.dof * within.count * q * q) : 0;
	double e = s / q, d = g / q;
	*out = (struct progress){
		.e = e + scale * (c_sq - e * c_qq),
		.s = d + scale * (c_gq - d * c_qq),
		.v_e = (within.ss - 2 * e * c_sq + e * e * c_qq) / (q * q),
		.v_s = (within.gg - 2 * d * c_gq + d * d * c_qq) / (q * q),
		.v_es = (within.sg - d * c_sq - e * c_gq + e * d * c_qq) / (q * q),
		.within = within,
	};
	return true;
}

static int progress_meanvar(const struct gns_block *blocks, size_t n, struct gns_meanvar *mv, double *steps)
{
	struct gns_grouping grouping = gns_group(blocks, n, gns_block_target(gns_total_steps(blocks, n)));
	struct gns_residuals series = {0};
	struct gns_pooled pooled = {0};
	struct progress part;
	struct gns_block group;
	double e = 0, s = 0, weight = 0;
	*steps = 0;
	while (gns_group_next(&grouping, &group)) {
		if (group.q_big == 0) /* no gradient at all: neither progress nor noise */
			continue;
		if (!progress_of(&group, &part))
			return -ENODATA;
		gns_residuals_add(&series, part.e, part.s, &group);
		gns_pooled_add(&pooled, &part.within, part.v_e, part.v_s, part.v_es);
		e += group.weight * part.e;
		s += group.weight * part.s;
		weight += group.weight;
		*steps += group.count;
	}
	if (!(*steps >= 2))
		return -ENODATA;
	mv->s = e / weight;
	mv->g2 = s / weight;
	if (series.blocks < GNS_BLOCKS_NEEDED)
		return gns_pooled_finish(&pooled, weight, mv) ? 0 : -ENODATA;
	gns_residuals_finish(&series, mv);
	return 0;
}

int gns_bcrit_from_blocks(const struct gns_block *blocks, size_t n, double z, struct gns_ratio *out)
{
	struct gns_meanvar mv;
	double steps = 0;
	*out = (struct gns_ratio){NAN, NAN, NAN, false, 0};
	int rc = progress_meanvar(blocks, n, &mv, &steps);
	if (rc == 0)
		rc = gns_fieller(&mv, z, out);
	out->count = steps;
	return rc;
}
