/* Do the intervals hold the truth as often as they say? Simulated runs with a known B_noise; run by hand with
 * `test_estimate_coverage --verbose -j1` this prints the table of docs/estimates.md. */
#include <criterion/criterion.h>

#include "gnscope/estimate.h"
#include "test_estimate_sim.h"

#define STEPS_MAX 4096

struct run {
	double n, ratio; /* samples a step; B_noise / n */
	double dims;     /* r = T^2 / F of the isotropic noise, also 1/phi */
	int steps;
	double growth;   /* B_noise at the end over that at the start, through a falling |G|^2 */
	double phi;      /* autocorrelation of log |G|^2 from step to step, of standard deviation 0.5; 0: none */
};

struct tally {
	int trials, covered, resolved, covered_resolved, below, above;
	double log_sum;
};

static void count(struct tally *tally, const struct gns_ratio *r, double truth)
{
	bool low = !isnan(r->lo) && truth < r->lo, high = r->resolved && truth > r->hi;
	tally->trials++;
	tally->below += low;
	tally->above += high;
	tally->covered += !low && !high;
	tally->resolved += r->resolved;
	tally->covered_resolved += r->resolved && !low && !high;
	if (r->resolved)
		tally->log_sum += log(r->value / truth);
}

struct truth { double b_noise, b_crit, b_ema; };

static struct truth simulate(struct sim_rng *rng, const struct run *run, struct gns_block *block, struct gns_ema *ema)
{
	double trace = 1, sum_g = 0, s_min = 0, ema_g = 0, ema_w = 0, x = sim_normal(rng), beta = exp2(-1 / ema->half_life);
	for (int t = 0; t < run->steps; t++) {
		double b_noise = run->ratio * run->n * pow(run->growth, (double)t / run->steps);
		if (run->phi > 0) {
			x = run->phi * x + sqrt(1 - run->phi * run->phi) * sim_normal(rng);
			b_noise *= exp(-0.5 * x);
		}
		struct sim_step step = {run->n, run->dims, trace, trace / b_noise};
		double q_small, q_big, s, g2;
		sim_gaussian_step(rng, &step, &q_small, &q_big);
		gns_two_batch(1, run->n, q_small, q_big, &s, &g2);
		gns_block_clear(&block[t]);
		gns_block_add(&block[t], t + 1, s, g2, q_big, run->n);
		gns_ema_add(ema, s, g2, q_big, run->n);
		sum_g += step.g2;
		s_min += 1 / (1 + b_noise / run->n);
		ema_g = beta * ema_g + step.g2;
		ema_w = beta * ema_w + 1;
	}
	return (struct truth){run->steps * trace / sum_g, run->n * (run->steps / s_min - 1), trace * ema_w / ema_g};
}

static void report(const char *what, const struct run *run, const struct tally *t)
{
	cr_log_info("%-8s B/n %4g r %4g steps %4d growth %g phi %g: coverage %.4f (below lo %.4f, above hi %.4f), resolved %.3f, "
		    "of these covered %.3f, median-free log bias %+.4f",
		    what, run->ratio, run->dims, run->steps, run->growth, run->phi, (double)t->covered / t->trials,
		    (double)t->below / t->trials, (double)t->above / t->trials, (double)t->resolved / t->trials,
		    (double)t->covered_resolved / t->resolved, t->log_sum / t->resolved);
}

struct result { struct tally noise, crit, ema; };

static struct result cover(uint64_t seed, struct run run, int trials, double half_life)
{
	static struct gns_block block[STEPS_MAX];
	struct sim_rng rng = sim_seed(seed);
	struct result result = {0};
	for (int i = 0; i < trials; i++) {
		struct gns_ema ema;
		struct gns_ratio r;
		gns_ema_init(&ema, half_life);
		struct truth truth = simulate(&rng, &run, block, &ema);
		cr_assert_eq(gns_noise_from_blocks(block, (size_t)run.steps, GNS_Z95, &r, NULL), 0);
		count(&result.noise, &r, truth.b_noise);
		cr_assert_eq(gns_bcrit_from_blocks(block, (size_t)run.steps, GNS_Z95, &r), 0);
		count(&result.crit, &r, truth.b_crit);
		cr_assert_eq(gns_ema_noise(&ema, GNS_Z95, &r), 0);
		count(&result.ema, &r, truth.b_ema);
	}
	report("b_noise", &run, &result.noise);
	report("b_crit", &run, &result.crit);
	report("ema", &run, &result.ema);
	return result;
}

static void covered(const struct tally *tally, double want, double tolerance)
{
	double got = (double)tally->covered / tally->trials;
	cr_assert(fabs(got - want) <= tolerance, "coverage %.4f, want %.3f +- %.3f", got, want, tolerance);
}

Test(coverage, explore)
{
	const double ratios[] = {0.1, 1, 5, 25}, dims[] = {10, 100, 1000};
	const int steps[] = {30, 100, 200, 1000};
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 3; j++)
			for (int k = 0; k < 4; k++)
				cover(1, (struct run){32, ratios[i], dims[j], steps[k], 1, 0}, 2000, 20);
	covered(&(struct tally){.trials = 1, .covered = 1}, 1, 0);
}
