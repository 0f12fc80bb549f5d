/* From squared norms to sums over steps, and from sums to means with a variance. */
#include <errno.h>
#include <math.h>

#include "profiler/estimate/variance.h"

int gns_two_batch(double n_small, double n_big, double q_small, double q_big, double *s, double *g2)
{
	*s = *g2 = NAN;
	if (!(n_small > 0) || !(n_small < n_big) || !isfinite(n_big) || !isfinite(q_small) || !isfinite(q_big))
		return -EINVAL;
	double gap = n_big - n_small;
	/* 1/(1/b - 1/n) = n b / (n - b) */
	double trace = n_small * (n_big / gap) * (q_small - q_big);
	double norm = (n_big * q_big - n_small * q_small) / gap;
	if (!isfinite(trace) || !isfinite(norm))
		return -EINVAL;
	*s = trace;
	*g2 = norm;
	return 0;
}

void gns_block_clear(struct gns_block *block)
{
	*block = (struct gns_block){0};
}

void gns_block_add(struct gns_block *block, const struct gns_measured *step, double weight)
{
	if (!isfinite(step->s) || !isfinite(step->g2) || !(weight > 0))
		return;
	struct gns_block one = { .first_step = step->step, .last_step = step->step, .count = 1 };
	gns_block_reweigh(&one, step, 0, weight);
	gns_block_merge(block, &one);
}

void gns_block_reweigh(struct gns_block *block, const struct gns_measured *step, double weight, double more)
{
	block->weight += more;
	block->weight2 += more * (2 * weight + more);
	block->s += more * step->s;
	block->g2 += more * step->g2;
	block->ss += more * step->s * step->s;
	block->sg += more * step->s * step->g2;
	block->gg += more * step->g2 * step->g2;
	block->q_big += more * step->q_big;
	block->n_big += more * step->n_big;
}

void gns_block_merge(struct gns_block *into, const struct gns_block *from)
{
	if (!(from->count > 0))
		return;
	if (!(into->count > 0)) {
		*into = *from;
		return;
	}
	if (from->first_step < into->first_step)
		into->first_step = from->first_step;
	if (from->last_step > into->last_step)
		into->last_step = from->last_step;
	into->count += from->count;
	into->weight += from->weight;
	into->weight2 += from->weight2;
	into->s += from->s;
	into->g2 += from->g2;
	into->ss += from->ss;
	into->sg += from->sg;
	into->gg += from->gg;
	into->q_big += from->q_big;
	into->n_big += from->n_big;
}

/* Student's 97.5% quantile by the Cornish-Fisher expansion (Abramowitz and Stegun 1964, 26.7.5), within 0.1% from 3
 * degrees of freedom on; below, the exact values of 1 and 2, rounded towards the wider. */
static double student_t(double dof)
{
	if (dof < 2)
		return 12.706204736;
	if (dof < 3)
		return 4.302652730;
	double z = GNS_Z95, z2 = z * z;
	double g1 = z * (z2 + 1) / 4;
	double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
	double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
	double g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
	return z + (g1 + (g2 + (g3 + g4 / dof) / dof) / dof) / dof;
}

double gns_small_sample(double dof)
{
	double ratio = student_t(dof) / GNS_Z95;
	return ratio * ratio;
}

double gns_block_target(double steps)
{
	return fmax(GNS_BLOCK_STEPS, sqrt(steps));
}

double gns_total_steps(const struct gns_block *blocks, size_t n)
{
	double steps = 0;
	for (size_t i = 0; i < n; i++)
		if (blocks[i].count > 0)
			steps += blocks[i].count;
	return steps;
}

struct gns_grouping gns_group(const struct gns_block *blocks, size_t n, double target)
{
	return (struct gns_grouping){blocks, n, 0, gns_total_steps(blocks, n), target};
}

bool gns_group_next(struct gns_grouping *grouping, struct gns_block *group)
{
	gns_block_clear(group);
	while (grouping->next < grouping->n && grouping->left > 0) {
		const struct gns_block *block = &grouping->blocks[grouping->next++];
		if (!(block->count > 0))
			continue;
		gns_block_merge(group, block);
		grouping->left -= block->count;
		if (group->count >= grouping->target && grouping->left >= grouping->target)
			break;
	}
	return group->count > 0;
}

double gns_effective_steps(const struct gns_block *block)
{
	return block->weight * block->weight / block->weight2;
}

static void add_deviation(struct gns_residuals *series, const struct gns_point_of_line *next)
{
	const struct gns_point_of_line *before = &series->last[0], *mid = &series->last[1];
	double b = (mid->at - before->at) / (next->at - before->at), a = 1 - b;
	double ds = mid->s - a * before->s - b * next->s, dg = mid->g - a * before->g - b * next->g;
	double share = (before->share + mid->share + next->share) / 3;
	/* Of independent steps the deviation's variance is that of a step times: */
	double factor = 1 / mid->count + a * a / before->count + b * b / next->count;
	series->v_s += share * ds * ds / factor;
	series->v_g += share * dg * dg / factor;
	series->v_sg += share * ds * dg / factor;
	series->shares += share;
}

void gns_residuals_add(struct gns_residuals *series, double s, double g, const struct gns_block *group)
{
	double count = gns_effective_steps(group);
	struct gns_point_of_line next = { s, g, ((double)group->first_step + (double)group->last_step) / 2, count,
					  group->weight * group->weight / count };
	if (series->blocks >= 2 && next.at > series->last[0].at)
		add_deviation(series, &next);
	series->last[0] = series->last[1];
	series->last[1] = next;
	series->blocks += 1;
	series->weight += group->weight;
	series->share += next.share;
	series->share2 += next.share * next.share;
}

void gns_residuals_finish(const struct gns_residuals *series, struct gns_meanvar *out)
{
	/* Of k even blocks the m = k - 2 deviations correlate by -2/3 and 1/6 with the next ones, and the variance of their mean square is
	 * 2/m^2 (m + 8/9 (m-1) + (m-2)/18) times its square. */
	double m = fmax(1, series->share * series->share / series->share2 - 2);
	double dof = m * m / (m + 8 * (m - 1) / 9 + fmax(0, m - 2) / 18);
	double scale = gns_small_sample(dof) * series->share / (series->shares * series->weight * series->weight);
	out->v_s = series->v_s * scale;
	out->v_g = series->v_g * scale;
	out->v_sg = series->v_sg * scale;
	out->method = GNS_VAR_BLOCKS;
}

struct gns_within gns_within(const struct gns_block *group)
{
	double mean_s = group->s / group->weight, mean_g = group->g2 / group->weight;
	double count = gns_effective_steps(group), each = count / group->weight;
	/* A sum of squares that is constant to rounding may come out a hair below zero. */
	return (struct gns_within){
		.ss = each * fmax(0, group->ss - group->s * mean_s),
		.sg = each * (group->sg - group->s * mean_g),
		.gg = each * fmax(0, group->gg - group->g2 * mean_g),
		.dof = fmax(0, count - 1),
		.share = group->weight * group->weight / count / count,
		.count = count,
	};
}

void gns_pooled_add(struct gns_pooled *pooled, const struct gns_within *part, double ss, double gg, double sg)
{
	pooled->ss += part->share * ss;
	pooled->gg += part->share * gg;
	pooled->sg += part->share * sg;
	pooled->dof += part->share * part->dof;
	pooled->dof2 += part->share * part->share * part->dof;
	pooled->count += part->share * part->count;
}

/* Without a degree of freedom there is no variance. */
bool gns_pooled_finish(const struct gns_pooled *pooled, double weight, struct gns_meanvar *out)
{
	if (!(pooled->dof > 0))
		return false;
	double scale = gns_small_sample(pooled->dof * pooled->dof / pooled->dof2) * pooled->count / (pooled->dof * weight * weight);
	out->v_s = fmax(0, pooled->ss) * scale;
	out->v_g = fmax(0, pooled->gg) * scale;
	out->v_sg = pooled->sg * scale;
	out->method = GNS_VAR_STEPS;
	return true;
}

static size_t variance_between(const struct gns_block *blocks, size_t n, double steps, struct gns_meanvar *out)
{
	struct gns_grouping grouping = gns_group(blocks, n, gns_block_target(steps));
	struct gns_residuals series = {0};
	struct gns_block group;
	while (gns_group_next(&grouping, &group))
		gns_residuals_add(&series, group.s / group.weight, group.g2 / group.weight, &group);
	if (series.blocks >= GNS_BLOCKS_NEEDED)
		gns_residuals_finish(&series, out);
	return (size_t)series.blocks;
}

static bool variance_within(const struct gns_block *blocks, size_t n, double weight, struct gns_meanvar *out)
{
	/* Short groups keep a drift over the run out of the variance of a step. */
	struct gns_grouping grouping = gns_group(blocks, n, GNS_BLOCK_STEPS / 2);
	struct gns_pooled pooled = {0};
	struct gns_block group;
	while (gns_group_next(&grouping, &group)) {
		struct gns_within part = gns_within(&group);
		gns_pooled_add(&pooled, &part, part.ss, part.gg, part.sg);
	}
	return gns_pooled_finish(&pooled, weight, out);
}

int gns_meanvar_from_blocks(const struct gns_block *blocks, size_t n, struct gns_meanvar *out)
{
	*out = (struct gns_meanvar){NAN, NAN, NAN, NAN, NAN, GNS_VAR_NONE};
	struct gns_block all;
	gns_block_clear(&all);
	for (size_t i = 0; i < n; i++)
		gns_block_merge(&all, &blocks[i]);
	if (all.count > 0) {
		out->s = all.s / all.weight;
		out->g2 = all.g2 / all.weight;
	}
	if (all.count < 2)
		return -ENODATA;
	if (variance_between(blocks, n, all.count, out) < GNS_BLOCKS_NEEDED && !variance_within(blocks, n, all.weight, out))
		return -ENODATA;
	return 0;
}
