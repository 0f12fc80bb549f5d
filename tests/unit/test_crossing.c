/* When does a noisy loss reach its target? Against laws whose answer is known, and beside the usual rules. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "gnscope/crossing.h"
#include "tests/unit/test_estimate_sim.h"

#define TARGET 0.5
#define MOST 16384

static double steps[MOST], losses[MOST];

/* loss = TARGET (k / to)^-power + noise */
static size_t curve(struct sim_rng *rng, double to, double power, double sigma, double share)
{
	size_t n = (size_t)(to * share);
	cr_assert_lt(n, MOST);
	for (size_t i = 0; i < n; i++) {
		steps[i] = (double)i + 1;
		losses[i] = TARGET * pow(steps[i] / to, -power) + (sigma > 0 ? sigma * sim_normal(rng) : 0);
	}
	return n;
}

Test(crossing, is_exact_where_the_loss_is_a_line_in_log_steps)
{
	struct gns_crossing c;
	for (size_t i = 0; i < 1000; i++) {
		steps[i] = 10 * ((double)i + 1);
		losses[i] = 2 - 0.25 * log(steps[i]);
	}
	cr_assert_eq(gns_crossing(steps, losses, 1000, 0.5, 1.5, &c), 0);
	cr_assert(c.crossed && !c.early);
	cr_expect_float_eq(c.step, exp(6), 1e-4 * exp(6), "%.9g", c.step);
	cr_expect_float_eq(c.step_se, 0, 1e-6 * exp(6));
	cr_assert_eq(gns_crossing(steps, losses, 1000, -1, 1.5, &c), 0);
	cr_expect(!c.crossed && isnan(c.step));
	cr_expect_float_eq(c.loss, 2 - 0.25 * log(c.centre), 1e-9);
	cr_expect_float_eq(c.centre, 10000 / sqrt(1.5), 10);
}

Test(crossing, is_within_one_percent_of_power_laws)
{
	struct gns_crossing c;
	for (double power = 0.1; power < 1.05; power += 0.1) {
		size_t n = curve(NULL, 1000, power, 0, 2);
		cr_assert_eq(gns_crossing(steps, losses, n, TARGET, GNS_CROSSING_WINDOW, &c), 0);
		cr_expect(fabs(c.step / 1000 - 1) < 0.01, "power %.1f: %g", power, c.step);
	}
}

Test(crossing, works_on_losses_that_are_few_and_uneven)
{
	struct gns_crossing c;
	size_t n = 0;
	for (double k = 50; k < 4000; k *= 1.3, n++) {
		steps[n] = floor(k);
		losses[n] = TARGET * pow(steps[n] / 1000, -0.3);
	}
	cr_assert_eq(gns_crossing(steps, losses, n, TARGET, 1.5, &c), 0);
	cr_expect(c.crossed && c.window_losses == GNS_CROSSING_LOSSES, "%zu", c.window_losses);
	cr_expect(fabs(c.step / 1000 - 1) < 0.07, "%g", c.step); /* eight such losses span a factor of six, where the law bends */
}

Test(crossing, says_when_it_was_there_from_the_start)
{
	struct gns_crossing c;
	size_t n = curve(NULL, 2, 0.3, 0, 50);
	cr_assert_eq(gns_crossing(steps, losses, n, TARGET, 1.5, &c), 0);
	cr_expect(c.crossed && c.early && isnan(c.step_se));
	cr_expect_float_eq(c.step, sqrt(8), 1e-9);
}

Test(crossing, refuses_what_makes_no_sense)
{
	struct gns_crossing c;
	size_t n = curve(NULL, 100, 0.3, 0, 2);
	cr_expect_eq(gns_crossing(steps, losses, 7, TARGET, 1.5, &c), -ENODATA);
	cr_expect(!c.crossed && isnan(c.step) && isnan(c.loss));
	cr_expect_eq(gns_crossing(steps, losses, n, NAN, 1.5, &c), -EINVAL);
	cr_expect_eq(gns_crossing(steps, losses, n, TARGET, 1, &c), -EINVAL);
	losses[50] = NAN;
	cr_expect_eq(gns_crossing(steps, losses, n, TARGET, 1.5, &c), -EINVAL);
	losses[50] = 1;
	steps[50] = steps[49];
	cr_expect_eq(gns_crossing(steps, losses, n, TARGET, 1.5, &c), -EINVAL);
}

/* ---- bias and error with noise, and the rules that were not taken ---- */

static double first_loss(size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (losses[i] <= TARGET)
			return steps[i];
	return NAN;
}

static double decaying_mean(size_t n, double half_life)
{
	double keep = exp2(-1 / half_life), mean = losses[0];
	for (size_t i = 1; i < n; i++) {
		mean = keep * mean + (1 - keep) * losses[i];
		if (mean <= TARGET)
			return steps[i];
	}
	return NAN;
}

struct tally {
	double n, sum, squares, inside, se;
};

static void note(struct tally *t, double step, double se)
{
	if (!isfinite(step))
		return;
	t->n++;
	t->sum += step;
	t->squares += step * step;
	t->se += isfinite(se) ? se : 0;
}

static double mean_off(const struct tally *t, double truth)
{
	return 100 * (t->sum / t->n / truth - 1);
}

/* B_crit 200 and S_min 150, so E_min 30,000; a sample's loss scatters by 0.7. 200 runs at each batch. */
Test(crossing, has_little_bias_at_any_batch)
{
	struct sim_rng rng = sim_seed(7);
	cr_log_info("| batch | steps | first loss | mean, 100 steps | mean, 4,096 samples | ours | scatter | told |");
	for (double batch = 4; batch <= 1024; batch *= 4) {
		double to = 150 * (1 + 200 / batch);
		struct tally raw = {0}, by_steps = {0}, by_samples = {0}, ours = {0};
		for (int trial = 0; trial < 200; trial++) {
			struct gns_crossing c;
			size_t n = curve(&rng, to, 0.3, 0.7 / sqrt(batch), 2);
			cr_assert_eq(gns_crossing(steps, losses, n, TARGET, GNS_CROSSING_WINDOW, &c), 0);
			note(&raw, first_loss(n), 0);
			note(&by_steps, decaying_mean(n, 100), 0);
			note(&by_samples, decaying_mean(n, 4096 / batch), 0);
			note(&ours, c.step, c.step_se);
			ours.inside += fabs(c.step - to) < 1.96 * c.step_se;
		}
		double scatter = sqrt(ours.squares / ours.n - pow(ours.sum / ours.n, 2)) / to;
		cr_log_info("| %g | %.0f | %+.0f%% | %+.0f%% | %+.0f%% | %+.1f%% | %.1f%% | %.1f%% |", batch, to, mean_off(&raw, to),
			    mean_off(&by_steps, to), mean_off(&by_samples, to), mean_off(&ours, to), 100 * scatter, 100 * ours.se / ours.n / to);
		cr_expect_eq(ours.n, 200);
		cr_expect(fabs(mean_off(&ours, to)) < 1.5, "batch %g: %+.2f%%", batch, mean_off(&ours, to));
		cr_expect(ours.inside > 0.88 * 200 && ours.inside <= 0.99 * 200, "batch %g: %g of 200 inside", batch, ours.inside);
	}
}
