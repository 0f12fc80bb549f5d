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

void gns_block_add(struct gns_block *block, int64_t step, double s, double g2, double q_big, double n_big)
{
	if (!isfinite(s) || !isfinite(g2))
		return;
	struct gns_block one = {
		.first_step = step, .last_step = step, .count = 1, .s = s, .g2 = g2,
		.ss = s * s, .sg = s * g2, .gg = g2 * g2, .q_big = q_big, .n_big = n_big,
	};
	gns_block_merge(block, &one);
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

void gns_successive_add(struct gns_successive *series, double s, double g, double count)
{
	if (series->blocks > 0) {
		double ds = s - series->last_s, dg = g - series->last_g;
		/* d^2 / (1/c + 1/c') estimates the variance per step; its weight is the pair's steps, (c + c')/2. */
		double half = series->last_c * count / 2;
		series->v_s += half * ds * ds;
		series->v_g += half * dg * dg;
		series->v_sg += half * ds * dg;
		series->weight += (series->last_c + count) / 2;
	}
	series->last_s = s;
	series->last_g = g;
	series->last_c = count;
	series->blocks += 1;
	series->steps += count;
}

void gns_successive_finish(const struct gns_successive *series, struct gns_meanvar *out)
{
	double k = series->blocks;
	/* Var of the mean half squared difference of k normals is sigma^4 (3k - 4)/(k - 1)^2 (von Neumann et al. 1941). */
	double dof = 2 * (k - 1) * (k - 1) / (3 * k - 4);
	double scale = gns_small_sample(dof) / (series->weight * series->steps);
	out->v_s = series->v_s * scale;
	out->v_g = series->v_g * scale;
	out->v_sg = series->v_sg * scale;
	out->method = GNS_VAR_BLOCKS;
}

struct gns_within gns_within(const struct gns_block *group)
{
	double mean_s = group->s / group->count, mean_g = group->g2 / group->count;
	/* A sum of squares that is constant to rounding may come out a hair below zero. */
	return (struct gns_within){
		.ss = fmax(0, group->ss - group->s * mean_s),
		.sg = group->sg - group->s * mean_g,
		.gg = fmax(0, group->gg - group->g2 * mean_g),
		.dof = group->count - 1,
	};
}

static size_t variance_between(const struct gns_block *blocks, size_t n, double steps, struct gns_meanvar *out)
{
	struct gns_grouping grouping = gns_group(blocks, n, gns_block_target(steps));
	struct gns_successive series = {0};
	struct gns_block group;
	while (gns_group_next(&grouping, &group))
		gns_successive_add(&series, group.s / group.count, group.g2 / group.count, group.count);
	if (series.blocks >= GNS_BLOCKS_NEEDED)
		gns_successive_finish(&series, out);
	return (size_t)series.blocks;
}

static void variance_within(const struct gns_block *blocks, size_t n, double steps, struct gns_meanvar *out)
{
	/* Short groups keep a drift over the run out of the variance of a step. */
	struct gns_grouping grouping = gns_group(blocks, n, GNS_BLOCK_STEPS / 2);
	struct gns_within sum = {0};
	struct gns_block group;
	while (gns_group_next(&grouping, &group)) {
		struct gns_within part = gns_within(&group);
		sum.ss += part.ss;
		sum.sg += part.sg;
		sum.gg += part.gg;
		sum.dof += part.dof;
	}
	double scale = gns_small_sample(sum.dof) / (sum.dof * steps);
	out->v_s = sum.ss * scale;
	out->v_g = sum.gg * scale;
	out->v_sg = sum.sg * scale;
	out->method = GNS_VAR_STEPS;
}

int gns_meanvar_from_blocks(const struct gns_block *blocks, size_t n, struct gns_meanvar *out)
{
	*out = (struct gns_meanvar){NAN, NAN, NAN, NAN, NAN, GNS_VAR_NONE};
	struct gns_block all;
	gns_block_clear(&all);
	for (size_t i = 0; i < n; i++)
		gns_block_merge(&all, &blocks[i]);
	if (all.count > 0) {
		out->s = all.s / all.count;
		out->g2 = all.g2 / all.count;
	}
	if (all.count < 2)
		return -ENODATA;
	if (variance_between(blocks, n, all.count, out) < GNS_BLOCKS_NEEDED)
		variance_within(blocks, n, all.count, out);
	return 0;
}
