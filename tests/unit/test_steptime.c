/* The step time's model: the parts of one run, the line through several, the batch of least time. */
#include <criterion/criterion.h>

#include "gnscope/estimate.h"
#include "gnscope/steptime.h"
#include "test_estimate_sim.h"

static void near(double got, double want, double rel)
{
	cr_assert(fabs(got - want) <= rel * fabs(want), "got %.17g, want %.17g", got, want);
}

/* A step of 10 ms at batch 128: optimizer 1, products 6 (half of them of a weight at 128 rows), the rest 3. */
static const struct gns_step_product parts[] = {{3, 5, 128}, {3, 100, NAN}};
static const struct gns_step_seen seen = {128, 10, 1, parts, 2};

Test(steptime, parts_of_one_run)
{
	struct gns_step_model m;
	gns_step_from_parts(&seen, &m);
	double products = 3 * 8.0 / 136, rest = 5 * GNS_STEP_CALL_MS;
	cr_assert_eq(m.rule, GNS_STEP_PARTS);
	near(m.products_ms, 6, 1e-15);
	near(m.rest_ms, 3, 1e-15);
	near(m.alpha, 1 + products + rest, 1e-14);
	near(m.alpha + 128 * m.beta, 10, 1e-14);
	near(m.alpha_lo, 1, 1e-15);
	near(m.alpha_hi, 1 + 3 * 32.0 / 160 + 3, 1e-14);
	struct gns_interval t = gns_step_at(&m, 512);
	near(t.value, m.alpha + 4 * (10 - m.alpha), 1e-14);
	near(t.lo, m.alpha_hi + 4 * (10 - m.alpha_hi), 1e-14);
	near(t.hi, 1 + 4 * 9.0, 1e-14);
	t = gns_step_at(&m, 128);
	cr_assert(t.value == 10 && t.lo == 10 && t.hi == 10);
	t = gns_step_at(&m, 32);
	cr_assert(t.lo < t.value && t.value < t.hi && t.lo > 2.5);
}

Test(steptime, without_phases_half_of_the_rest)
{
	struct gns_step_seen blas = seen;
	struct gns_step_model m;
	blas.optimizer_ms = NAN;
	gns_step_from_parts(&blas, &m);
	near(m.rest_ms, 4, 1e-15);
	near(m.alpha, 3 * 8.0 / 136 + 2, 1e-14);
	cr_assert(m.alpha_lo == 0 && m.alpha_hi > m.alpha);
}

Test(steptime, odd_steps)
{
	struct gns_step_seen s = seen;
	struct gns_step_model m;
	s.n = 0;
	gns_step_from_parts(&s, &m);
	struct gns_interval t = gns_step_at(&m, 256);
	cr_assert(m.rule == GNS_STEP_WHOLE && isnan(t.value));
	near(t.lo, 10, 1e-15);
	near(t.hi, 19, 1e-15);
	s = seen;
	s.step_ms = 4; /* products beside one another: 6 ms in 4 */
	gns_step_from_parts(&s, &m);
	near(m.products_ms, 3, 1e-15);
	cr_assert(m.rest_ms == 0 && m.alpha <= m.alpha_hi && m.alpha_lo <= m.alpha);
	s.step_ms = NAN;
	gns_step_from_parts(&s, &m);
	cr_assert(m.rule == GNS_STEP_NONE && isnan(gns_step_at(&m, 5).value));
	s = seen;
	s.optimizer_ms = 50; /* longer than the step: all of it */
	gns_step_from_parts(&s, &m);
	near(m.alpha, 10, 1e-12);
}

Test(steptime, runs_at_several_batches)
{
	struct gns_step_model m, one;
	struct gns_step_point p[8];
	gns_step_from_parts(&seen, &one);
	for (int i = 0; i < 5; i++)
		p[i] = (struct gns_step_point){16 << i, 2 + 0.05 * (16 << i)};
	gns_step_from_runs(p, 5, &one, &m);
	cr_assert(m.rule == GNS_STEP_RUNS && m.runs == 5 && m.batches == 5);
	near(m.alpha, 2, 1e-12);
	near(m.beta, 0.05, 1e-12);
	near(gns_step_at(&m, 1024).value, 53.2, 1e-12);
	gns_step_from_runs(p, 1, &one, &m);
	cr_assert_eq(m.rule, GNS_STEP_PARTS);
	p[1] = p[0];
	gns_step_from_runs(p, 2, &one, &m);
	cr_assert_eq(m.rule, GNS_STEP_PARTS);
	struct gns_step_point falling[] = {{16, 4}, {32, 3}}, steep[] = {{16, 1}, {32, 3}};
	gns_step_from_runs(falling, 2, &one, &m);
	cr_assert(m.beta == 0 && m.alpha > 3 && isnan(gns_step_at(&m, 64).lo));
	gns_step_from_runs(steep, 2, &one, &m);
	cr_assert(m.alpha == 0 && m.beta > 1.0 / 16);
}

Test(steptime, limits_of_several_runs_hold_one_more)
{
	struct sim_rng rng = sim_seed(7);
	struct gns_step_model m, one;
	gns_step_from_parts(&seen, &one);
	int held = 0, trials = 4000;
	for (int trial = 0; trial < trials; trial++) {
		struct gns_step_point p[5];
		for (int i = 0; i < 5; i++) {
			double batch = 16 << i;
			p[i] = (struct gns_step_point){batch, (2 + 0.05 * batch) * exp(0.05 * sim_normal(&rng))};
		}
		gns_step_from_runs(p, 5, &one, &m);
		double next = (2 + 0.05 * 512) * exp(0.05 * sim_normal(&rng));
		struct gns_interval t = gns_step_at(&m, 512);
		held += t.lo <= next && next <= t.hi;
	}
	cr_assert(held >= 0.93 * trials && held <= 0.97 * trials, "%d of %d", held, trials);
}

Test(steptime, fastest_batch)
{
	struct gns_step_model m, one;
	struct gns_step_point p[] = {{100, 0.5}, {1000, 1.4}};
	gns_step_from_parts(&seen, &one);
	gns_step_from_runs(p, 2, &one, &m);
	struct gns_interval crit = {1000, 810, 1440}, best = gns_step_fastest(&m, crit, 1);
	near(best.value, 632.4555320336759, 1e-12);
	near(best.lo, 0.9 * 632.4555320336759, 1e-12);
	near(best.hi, 1.2 * 632.4555320336759, 1e-12);
	/* By trying: no other batch takes less time. */
	double least = (1 + 1000 / best.value) * gns_step_at(&m, best.value).value;
	for (double b = 10; b < 1e5; b *= 1.1)
		cr_assert((1 + 1000 / b) * gns_step_at(&m, b).value >= least * (1 - 1e-12));
	near(gns_step_fastest(&m, crit, 4).value, 2 * 632.4555320336759, 1e-12);
	crit.hi = NAN;
	cr_assert(isnan(gns_step_fastest(&m, crit, 1).hi));
	best = gns_step_fastest(&one, (struct gns_interval){1000, 500, 2000}, 1);
	cr_assert(best.lo < best.value && best.value < best.hi);
}
