/* The estimator against closed forms and brute force on small numbers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "gnscope/estimate.h"
#include "test_estimate_sim.h"

static void near(double got, double want, double rel)
{
	cr_assert(fabs(got - want) <= rel * fabs(want), "got %.17g, want %.17g", got, want);
}

/* ---- two batch sizes ---- */

/* Samples {1, 3} drawn with replacement, n = 2, the first sample as the small batch: all four draws. */
Test(two_batch, enumerated)
{
	const double sample[] = {1, 3};
	struct gns_block pool;
	gns_block_clear(&pool);
	double ratios = 0;
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++) {
			double mean = (sample[i] + sample[j]) / 2, s, g2;
			cr_assert_eq(gns_two_batch(1, 2, sample[i] * sample[i], mean * mean, &s, &g2), 0);
			gns_block_add(&pool, &(struct gns_measured){i * 2 + j, s, g2, mean * mean, 2}, 1);
			ratios += s / g2;
		}
	near(ratios / 4, -19.0 / 7, 1e-15);
	struct gns_meanvar mv;
	struct gns_ratio ratio;
	gns_noise_from_blocks(&pool, 1, 0, &ratio, &mv);
	cr_assert_eq(mv.s, 1);  /* the variance of {1, 3} */
	cr_assert_eq(mv.g2, 4); /* the squared mean */
	cr_assert_eq(ratio.value, 0.25);
}

Test(two_batch, refuses_what_is_no_pair)
{
	double s, g2;
	const double bad[][4] = {{0, 2, 1, 1}, {2, 2, 1, 1}, {3, 2, 1, 1}, {-1, 2, 1, 1}, {1, INFINITY, 1, 1}, {1, 2, NAN, 1},
				 {1, 2, 1, INFINITY}, {NAN, 2, 1, 1}, {1, 2, 1e308, -1e308}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		s = g2 = 0;
		cr_assert_eq(gns_two_batch(bad[i][0], bad[i][1], bad[i][2], bad[i][3], &s, &g2), -EINVAL, "case %zu", i);
		cr_assert(isnan(s) && isnan(g2), "case %zu", i);
	}
}

Test(two_batch, q_is_g2_plus_s_over_n)
{
	double s, g2;
	gns_two_batch(3, 17, 5.5, 2.25, &s, &g2);
	near(g2 + s / 17, 2.25, 1e-14);
	near(g2 + s / 3, 5.5, 1e-14);
}

/* ---- blocks ---- */

#define STEPS 700
static double series_s[STEPS], series_g[STEPS];

static void make_series(uint64_t seed)
{
	struct sim_rng rng = sim_seed(seed);
	for (int i = 0; i < STEPS; i++) {
		series_g[i] = 2 + sim_normal(&rng);
		series_s[i] = 100 + 10 * sim_normal(&rng) - 3 * series_g[i];
	}
}

static size_t cut(struct gns_block *blocks, size_t size, size_t from, size_t to)
{
	size_t n = 0;
	for (size_t i = from; i < to; i++) {
		if ((i - from) % size == 0)
			gns_block_clear(&blocks[n++]);
		gns_block_add(&blocks[n - 1], &(struct gns_measured){(int64_t)i + 1, series_s[i], series_g[i], series_g[i] + series_s[i] / 32, 32}, 1);
	}
	return n;
}

Test(blocks, merge_is_lossless)
{
	/* Whole numbers: every sum is exact in double, so any order of merging must agree to the bit. */
	struct sim_rng rng = sim_seed(5);
	struct gns_block all, part[20], tree;
	gns_block_clear(&all);
	for (int p = 0; p < 20; p++) {
		gns_block_clear(&part[p]);
		for (int i = 0; i < p; i++) {
			double s = (double)(sim_bits(&rng) % 2001) - 1000, g2 = (double)(sim_bits(&rng) % 201) - 100;
			gns_block_add(&all, &(struct gns_measured){p * 100 + i, s, g2, g2 * g2, 64}, 1);
			gns_block_add(&part[p], &(struct gns_measured){p * 100 + i, s, g2, g2 * g2, 64}, 1);
		}
	}
	gns_block_clear(&tree);
	for (int p = 19; p >= 10; p--)
		gns_block_merge(&tree, &part[p]);
	for (int p = 1; p < 10; p++)
		gns_block_merge(&part[0], &part[p]);
	gns_block_merge(&part[0], &tree);
	cr_assert_arr_eq(&part[0], &all, sizeof all);
	cr_assert_eq(all.count, 190);
	cr_assert_eq(all.first_step, 100);
	cr_assert_eq(all.last_step, 1918);
	struct gns_block before = all, empty;
	gns_block_clear(&empty);
	gns_block_merge(&all, &empty);
	cr_assert_arr_eq(&all, &before, sizeof all);
}

Test(blocks, a_step_that_is_not_finite_is_skipped)
{
	struct gns_block block;
	gns_block_clear(&block);
	gns_block_add(&block, &(struct gns_measured){1, NAN, 1, 1, 1}, 1);
	gns_block_add(&block, &(struct gns_measured){2, 1, INFINITY, 1, 1}, 1);
	cr_assert_eq(block.count, 0);
}

/* Plain variance of 15 steps in whatever blocks they come: there is one group of fewer than 20. */
Test(meanvar, few_steps_by_brute_force)
{
	make_series(11);
	const size_t n = 15;
	double ms = 0, mg = 0, ss = 0, sg = 0, gg = 0;
	for (size_t i = 0; i < n; i++) {
		ms += series_s[i] / (double)n;
		mg += series_g[i] / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		ss += (series_s[i] - ms) * (series_s[i] - ms);
		sg += (series_s[i] - ms) * (series_g[i] - mg);
		gg += (series_g[i] - mg) * (series_g[i] - mg);
	}
	double t = 2.144786688 / GNS_Z95, scale = t * t / (14.0 * 15.0); /* Student's t, 14 degrees of freedom */
	for (size_t size = 1; size <= 15; size += 7) {
		struct gns_block blocks[15];
		struct gns_meanvar mv;
		cr_assert_eq(gns_meanvar_from_blocks(blocks, cut(blocks, size, 0, n), &mv), 0);
		cr_assert_eq(mv.method, GNS_VAR_STEPS);
		near(mv.s, ms, 1e-13);
		near(mv.g2, mg, 1e-13);
		near(mv.v_s, ss * scale, 1e-5);
		near(mv.v_g, gg * scale, 1e-5);
		near(mv.v_sg, sg * scale, 1e-5);
	}
}

/* 700 steps make blocks of 27 from single steps (25 blocks, the last of 52), of 28 from sevens; squared deviations of the block means
 * from the line through their neighbours, each over the variance factor that it has for independent steps. */
Test(meanvar, block_means_by_brute_force)
{
	make_series(12);
	struct gns_block blocks[STEPS];
	for (size_t size = 1; size <= 7; size += 6) {
		size_t length = size == 1 ? 27 : 28, groups = 25;
		double m[25] = {0}, c[25], at[25], v = 0, weight = 0;
		for (size_t k = 0; k < groups; k++) {
			size_t to = k + 1 == groups ? STEPS : (k + 1) * length;
			c[k] = (double)(to - k * length);
			at[k] = (double)(to + k * length + 1) / 2;
			for (size_t i = k * length; i < to; i++)
				m[k] += series_g[i] / c[k];
		}
		for (size_t k = 1; k + 1 < groups; k++) {
			double slope = (m[k + 1] - m[k - 1]) / (at[k + 1] - at[k - 1]), d = m[k] - m[k - 1] - slope * (at[k] - at[k - 1]);
			double right = (at[k] - at[k - 1]) / (at[k + 1] - at[k - 1]), left = 1 - right;
			double share = (c[k - 1] + c[k] + c[k + 1]) / 3;
			v += share * d * d / (1 / c[k] + left * left / c[k - 1] + right * right / c[k + 1]);
			weight += share;
		}
		struct gns_meanvar mv;
		cr_assert_eq(gns_meanvar_from_blocks(blocks, cut(blocks, size, 0, STEPS), &mv), 0);
		cr_assert_eq(mv.method, GNS_VAR_BLOCKS);
		/* Student's t of 11.72 and of 12.10 degrees of freedom */
		near(mv.v_g, v / weight / STEPS * pow((size == 1 ? 2.1847 : 2.1768) / GNS_Z95, 2), 2e-4);
	}
}

Test(meanvar, what_is_missing_is_said)
{
	struct gns_block blocks[4];
	struct gns_meanvar mv;
	struct gns_ratio ratio;
	for (int i = 0; i < 4; i++)
		gns_block_clear(&blocks[i]);
	cr_assert_eq(gns_meanvar_from_blocks(blocks, 4, &mv), -ENODATA);
	cr_assert(isnan(mv.s) && isnan(mv.v_s) && mv.method == GNS_VAR_NONE);
	cr_assert_eq(gns_meanvar_from_blocks(NULL, 0, &mv), -ENODATA);
	gns_block_add(&blocks[2], &(struct gns_measured){7, 3, 4, 5, 6}, 1);
	cr_assert_eq(gns_noise_from_blocks(blocks, 4, GNS_Z95, &ratio, &mv), -ENODATA);
	cr_assert(mv.s == 3 && mv.g2 == 4 && isnan(mv.v_g), "the mean of one step is known, its error is not");
	cr_assert(isnan(ratio.value) && isnan(ratio.lo) && isnan(ratio.hi) && !ratio.resolved && ratio.count == 1);
	cr_assert_eq(gns_bcrit_from_blocks(blocks, 4, GNS_Z95, &ratio), -ENODATA);
	cr_assert(isnan(ratio.value) && ratio.count == 1);
}

/* A smooth fall of |G|^2 by a factor of e^3 without any noise: plain block variance would give +-24%. */
Test(meanvar, drift_does_not_pass_for_noise)
{
	struct gns_block block[1000];
	for (int i = 0; i < 1000; i++) {
		gns_block_clear(&block[i]);
		gns_block_add(&block[i], &(struct gns_measured){i + 1, 100, exp(-3.0 * i / 1000), 1, 64}, 1);
	}
	struct gns_ratio ratio;
	cr_assert_eq(gns_noise_from_blocks(block, 1000, GNS_Z95, &ratio, NULL), 0);
	cr_assert(ratio.resolved);
	near(ratio.hi, ratio.value, 0.05);
}

/* ---- Fieller ---- */

static bool in_set(const struct gns_meanvar *mv, double z, double x)
{
	double g2 = mv->g2 * mv->g2 - z * z * mv->v_g, sg = mv->s * mv->g2 - z * z * mv->v_sg, s = mv->s * mv->s - z * z * mv->v_s;
	return g2 * x * x - 2 * sg * x + s <= 0;
}

/* Random moments of every kind; the limits must be where membership of the set changes, found by asking it. */
Test(fieller, limits_bound_the_set)
{
	struct sim_rng rng = sim_seed(21);
	int resolved = 0, bounded_below = 0, nothing = 0, negative = 0;
	for (int i = 0; i < 200000; i++) {
		double v_s = exp(sim_normal(&rng)), v_g = exp(sim_normal(&rng)), rho = 2 * sim_uniform(&rng) - 1;
		struct gns_meanvar mv = {.s = 4 * sim_normal(&rng), .g2 = 3 * sim_normal(&rng), .v_s = v_s, .v_g = v_g,
					 .v_sg = rho * sqrt(v_s * v_g), .method = GNS_VAR_STEPS};
		struct gns_ratio r;
		cr_assert_eq(gns_fieller(&mv, GNS_Z95, &r), 0);
		double e = 1e-6;
		cr_assert_eq(r.resolved, mv.g2 > 0 && mv.g2 * mv.g2 > GNS_Z95 * GNS_Z95 * mv.v_g);
		if (r.resolved) {
			resolved++;
			double width = r.hi - r.lo;
			cr_assert(r.lo <= r.value && r.value <= r.hi && r.value == mv.s / mv.g2);
			cr_assert(in_set(&mv, GNS_Z95, r.lo + e * width) && in_set(&mv, GNS_Z95, r.hi - e * width));
			cr_assert(!in_set(&mv, GNS_Z95, r.lo - e * width) && !in_set(&mv, GNS_Z95, r.hi + e * width));
			continue;
		}
		cr_assert(isnan(r.value) && isnan(r.hi));
		if (!isnan(r.lo)) {
			bounded_below++;
			cr_assert(r.lo > 0 && mv.s > 0);
			cr_assert(in_set(&mv, GNS_Z95, r.lo * (1 + e)) && !in_set(&mv, GNS_Z95, r.lo * (1 - e)));
			for (double x = 0; x < 0.999; x += 0.05) /* no noise scale below lo is possible, all above are */
				cr_assert(!in_set(&mv, GNS_Z95, x * r.lo));
			for (double x = 1.001; x < 1e9; x *= 3)
				cr_assert(in_set(&mv, GNS_Z95, x * r.lo));
		} else if (mv.g2 * mv.g2 > GNS_Z95 * GNS_Z95 * mv.v_g || mv.s <= 0) {
			negative++;
		} else {
			nothing++;
			cr_assert(in_set(&mv, GNS_Z95, 0) && in_set(&mv, GNS_Z95, 1e12), "no bound, so both ends belong to the set");
		}
	}
	cr_assert(resolved > 1000 && bounded_below > 1000 && nothing > 1000 && negative > 1000, "%d %d %d %d", resolved,
		  bounded_below, nothing, negative);
}

Test(fieller, edges)
{
	struct gns_ratio r;
	struct gns_meanvar exact = {6, 2, 0, 0, 0, GNS_VAR_STEPS};
	cr_assert_eq(gns_fieller(&exact, GNS_Z95, &r), 0);
	cr_assert(r.resolved && r.value == 3 && r.lo == 3 && r.hi == 3);
	/* g2 exactly at the limit: the set is B >= c / 2b */
	struct gns_meanvar limit = {10, 2, 1, 1, 0, GNS_VAR_STEPS};
	cr_assert_eq(gns_fieller(&limit, 2, &r), 0);
	cr_assert(!r.resolved && isnan(r.hi));
	near(r.lo, (100 - 4) / 40.0, 1e-15);
	/* and continuous on both sides of it */
	limit.v_g = 1 + 1e-9;
	gns_fieller(&limit, 2, &r);
	near(r.lo, 2.4, 1e-8);
	limit.v_g = 1 - 1e-9;
	gns_fieller(&limit, 2, &r);
	cr_assert(r.resolved);
	near(r.lo, 2.4, 1e-8);
	/* no signal and no error: B_noise has no finite value, and no bound can be computed */
	struct gns_meanvar none = {1, 0, 0, 0, 0, GNS_VAR_STEPS};
	cr_assert_eq(gns_fieller(&none, GNS_Z95, &r), 0);
	cr_assert(!r.resolved && isnan(r.lo));
	/* a lower limit below zero is told as it is */
	struct gns_meanvar weak = {0.1, 10, 1, 0.01, 0, GNS_VAR_STEPS};
	cr_assert_eq(gns_fieller(&weak, GNS_Z95, &r), 0);
	cr_assert(r.resolved && r.lo < 0 && r.hi > 0);
	struct gns_meanvar bad[] = {{NAN, 1, 1, 1, 0, 1}, {1, NAN, 1, 1, 0, 1}, {1, 1, NAN, 1, 0, 1}, {1, 1, 1, -1, 0, 1},
				    {1, 1, 1, 1, NAN, 1}, {INFINITY, 1, 1, 1, 0, 1}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert(gns_fieller(&bad[i], GNS_Z95, &r) == -EINVAL && isnan(r.value) && !r.resolved, "case %zu", i);
	cr_assert_eq(gns_fieller(&exact, NAN, &r), -EINVAL);
}

/* ---- B_crit of the run ---- */

/* Without noise, the sums along a run whose B_noise grows: steps of dS_min = 1/(1 + B_noise/n). */
Test(bcrit, noiseless_run_by_brute_force)
{
	struct gns_block block[4000];
	const double n = 128;
	double s_min = 0, e_min = 0;
	for (int i = 0; i < 4000; i++) {
		double b_noise = 100 + 900.0 * i / 4000, s = 7, g2 = s / b_noise;
		gns_block_clear(&block[i]);
		gns_block_add(&block[i], &(struct gns_measured){i + 1, s, g2, g2 + s / n, n}, 1);
		s_min += 1 / (1 + b_noise / n);
		e_min += b_noise / (1 + b_noise / n);
	}
	struct gns_ratio r;
	cr_assert_eq(gns_bcrit_from_blocks(block, 4000, GNS_Z95, &r), 0);
	cr_assert(r.resolved && r.count == 4000);
	near(r.value, e_min / s_min, 1e-4);
	cr_assert(r.lo < r.value && r.value < r.hi);
	near(r.hi, r.lo, 0.03);
}

Test(bcrit, steps_without_any_gradient_are_left_out)
{
	struct gns_block block[60];
	for (int i = 0; i < 60; i++) {
		gns_block_clear(&block[i]);
		double g2 = i < 20 ? 0 : 1 + 0.1 * (i % 3), s = i < 20 ? 0 : 50;
		gns_block_add(&block[i], &(struct gns_measured){i + 1, s, g2, g2 + s / 10, 10}, 1);
	}
	struct gns_ratio r;
	cr_assert_eq(gns_bcrit_from_blocks(block, 60, GNS_Z95, &r), 0);
	cr_assert(r.count == 40 && r.value > 44 && r.value < 48);
	cr_assert_eq(gns_bcrit_from_blocks(block, 20, GNS_Z95, &r), -ENODATA);
}

/* ---- decaying weights ---- */

Test(ema, weighted_sums_by_brute_force)
{
	make_series(31);
	for (double half_life = 0.5; half_life < 2000; half_life *= 7) {
		struct gns_ema ema;
		gns_ema_init(&ema, half_life);
		for (int n = 1; n <= 300; n++) {
			gns_ema_add(&ema, &(struct gns_measured){0, series_s[n - 1], series_g[n - 1], 3, 5}, 1);
			struct gns_meanvar mv;
			int rc = gns_ema_meanvar(&ema, &mv);
			double w = 0, w2 = 0, s = 0, g = 0, dw = 0, dw2 = 0, dss = 0, dsg = 0;
			for (int i = 0; i < n; i++) {
				double weight = pow(0.5, (n - 1 - i) / half_life);
				w += weight;
				w2 += weight * weight;
				s += weight * series_s[i];
				g += weight * series_g[i];
				if (i == 0)
					continue;
				double ds = series_s[i] - series_s[i - 1], dg = series_g[i] - series_g[i - 1];
				dw += weight;
				dw2 += weight * weight;
				dss += weight * ds * ds / 2;
				dsg += weight * ds * dg / 2;
			}
			near(mv.s, s / w, 1e-12);
			near(mv.g2, g / w, 1e-12);
			if (n < 3) {
				cr_assert(rc == -ENODATA && isnan(mv.v_s));
				continue;
			}
			cr_assert(rc == 0 && mv.method == GNS_VAR_DIFFERENCES);
			double dof = 2.0 / 3 * dw * dw / dw2;
			if (dof < 30) { /* the small-sample factor has a test of its own */
				cr_assert(mv.v_s > dss / dw * w2 / (w * w));
				near(mv.v_sg / mv.v_s, dsg / dss, 1e-9);
				continue;
			}
			double t = GNS_Z95 + (pow(GNS_Z95, 3) + GNS_Z95) / (4 * dof); /* two terms: 0.3% from 30 on */
			near(mv.v_s, dss / dw * w2 / (w * w) * t * t / (GNS_Z95 * GNS_Z95), 0.01);
			near(mv.v_sg, dsg / dw * w2 / (w * w) * t * t / (GNS_Z95 * GNS_Z95), 0.01);
		}
	}
}

Test(ema, half_life_means_half)
{
	struct gns_ema ema;
	gns_ema_init(&ema, 10);
	gns_ema_add(&ema, &(struct gns_measured){0, 1, 1, 1, 1}, 1);
	double first = ema.s;
	for (int i = 0; i < 10; i++)
		gns_ema_add(&ema, &(struct gns_measured){0, 0, 0, 0, 0}, 1);
	near(ema.s, first / 2, 1e-14);
	struct gns_ratio r;
	cr_assert_eq(gns_ema_noise(&ema, GNS_Z95, &r), 0);
	cr_assert(r.count > 10 && r.count <= 11, "near the steps seen while few: %g", r.count);
	gns_ema_init(&ema, 0);
	gns_ema_add(&ema, &(struct gns_measured){0, 1, 1, 1, 1}, 1);
	struct gns_meanvar mv;
	cr_assert_eq(gns_ema_meanvar(&ema, &mv), -EINVAL);
	gns_ema_init(&ema, NAN);
	cr_assert_eq(gns_ema_noise(&ema, GNS_Z95, &r), -EINVAL);
}

/* ---- the tradeoff ---- */

Test(tradeoff, hyperbola)
{
	const double batch[] = {250, 1000, 4000}, steps[] = {5, 2, 1.25}, samples[] = {1.25, 2, 5};
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(gns_steps_factor(batch[i], 1000), steps[i]);
		cr_assert_eq(gns_samples_factor(batch[i], 1000), samples[i]);
		cr_assert_eq(gns_sample_efficiency(batch[i], 1000), 1 / samples[i]);
		cr_assert_eq(gns_lr_factor(batch[i], 1000), 1 / steps[i]);
		near((steps[i] - 1) * (samples[i] - 1), 1, 1e-15);
	}
	cr_assert(isnan(gns_steps_factor(0, 1000)) && isnan(gns_steps_factor(10, NAN)) && isnan(gns_samples_factor(10, 0)) &&
		  isnan(gns_samples_factor(10, -5)) && isnan(gns_lr_factor(-1, 5)) && isnan(gns_fastest_batch(10, 1, 0)));
}

Test(tradeoff, published_numbers)
{
	near(gns_kaplan_bcrit(2), 7.37e6, 1e-3);
	near(gns_pollux_efficiency(1000, 100, 1000), 0.55, 1e-15);
	near(gns_fastest_batch(1000, 0.4, 0.001), 632.4555320336759, 1e-14);
	/* the minimum of (1 + B_crit/B)(alpha + beta B), by looking */
	double best = 0, least = INFINITY;
	for (double b = 1; b < 5000; b += 0.01)
		if ((1 + 1000 / b) * (0.4 + 0.001 * b) < least) {
			least = (1 + 1000 / b) * (0.4 + 0.001 * b);
			best = b;
		}
	near(best, gns_fastest_batch(1000, 0.4, 0.001), 1e-3);
}

Test(tradeoff, adaptive_gain)
{
	size_t n = 100000;
	double *noise = malloc(n * sizeof *noise), *ds = malloc(n * sizeof *ds);
	cr_assert(noise && ds);
	for (size_t i = 0; i < n; i++) {
		noise[i] = 10 * sqrt(((double)i + 0.5) / (double)n);
		ds[i] = 1 / (double)n;
	}
	near(gns_adaptive_gain(noise, ds, n), 0.96, 1e-6);
	for (size_t i = 0; i < n; i++)
		noise[i] = 7;
	near(gns_adaptive_gain(noise, ds, n), 1, 1e-12); /* a constant noise scale has nothing to gain */
	noise[5] = NAN;
	cr_assert(isnan(gns_adaptive_gain(noise, ds, n)) && isnan(gns_adaptive_gain(noise, ds, 0)));
	free(noise);
	free(ds);
}
