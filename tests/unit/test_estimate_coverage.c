/* Do the intervals hold the truth as often as they say? Simulated runs with a known B_noise; run by hand with
 * `test_estimate_coverage --verbose -j1` this prints the table of docs/reference/formulas.md. */
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
		gns_block_add(&block[t], &(struct gns_measured){t + 1, s, g2, q_big, run->n}, 1);
		gns_ema_add(ema, &(struct gns_measured){0, s, g2, q_big, run->n}, 1);
		sum_g += step.g2;
		s_min += 1 / (1 + b_noise / run->n);
		ema_g = beta * ema_g + step.g2;
		ema_w = beta * ema_w + 1;
	}
	return (struct truth){run->steps * trace / sum_g, run->n * (run->steps / s_min - 1), trace * ema_w / ema_g};
}

static void report(const char *what, const struct run *run, const struct tally *t)
{
	cr_log_info("%-7s B/n %4g  r %4g  steps %4d  growth %3g  corr %.1f | covered %.4f (below lo %.4f, above hi %.4f) | resolved "
		    "%.3f, of these covered %.3f, mean log error %+.4f",
		    what, run->ratio, run->dims, run->steps, run->growth, run->phi, (double)t->covered / t->trials,
		    (double)t->below / t->trials, (double)t->above / t->trials, (double)t->resolved / t->trials,
		    (double)t->covered_resolved / t->resolved, t->log_sum / t->resolved);
}

#define HALF_LIFE 20
struct result { struct tally noise, crit, ema; };

static struct result cover(uint64_t seed, struct run run, int trials)
{
	static struct gns_block block[STEPS_MAX];
	struct sim_rng rng = sim_seed(seed);
	struct result result = {0};
	for (int i = 0; i < trials; i++) {
		struct gns_ema ema;
		struct gns_ratio r;
		gns_ema_init(&ema, HALF_LIFE);
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

static void covered(const struct tally *tally, double least, double most)
{
	double got = (double)tally->covered / tally->trials;
	cr_assert(got >= least && got <= most, "coverage %.4f, want %.3f to %.3f", got, least, most);
}

/* The case of SCIENCE.md where the noise is 25 times the batch: delta and jackknife intervals fail here. */
Test(coverage, mostly_noise)
{
	const struct run runs[] = {
		{32, 25, 100, 60, 1, 0}, {32, 25, 100, 200, 1, 0}, {32, 25, 100, 1000, 1, 0}, {32, 25, 1000, 200, 1, 0},
	};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct result r = cover(201 + i, runs[i], 4000);
		covered(&r.noise, 0.94, 0.96);
		covered(&r.crit, 0.94, 0.96);
		covered(&r.ema, 0.94, 0.96);
		int resolved = r.noise.resolved;
		cr_assert(i != 0 || (resolved > 0.2 * 4000 && resolved < 0.8 * 4000), "both verdicts are met: %d", resolved);
	}
}

/* A noise of few directions has the most skewed sums: the hardest case for a normal interval. */
Test(coverage, few_directions)
{
	const struct run runs[] = {{32, 25, 10, 200, 1, 0}, {32, 5, 10, 30, 1, 0}, {32, 1, 10, 200, 1, 0}};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct result r = cover(211 + i, runs[i], 4000);
		covered(&r.noise, 0.935, 0.97);
		covered(&r.crit, 0.935, 0.97);
		covered(&r.ema, 0.935, 0.97);
	}
}

Test(coverage, resolved)
{
	const struct run runs[] = {
		{32, 0.1, 100, 30, 1, 0}, {32, 1, 100, 8, 1, 0}, {32, 1, 100, 100, 1, 0}, {32, 1, 100, 200, 1, 0}, {32, 5, 1000, 1000, 1, 0},
	};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct result r = cover(221 + i, runs[i], 2500);
		cr_assert(r.noise.resolved == r.noise.trials && r.crit.resolved == r.crit.trials);
		covered(&r.noise, 0.935, 0.965);
		covered(&r.crit, 0.935, 0.965);
		covered(&r.ema, 0.935, 0.97);
		/* with a constant noise scale B_crit is B_noise, whatever the batch and however short the groups */
		cr_assert(fabs(r.crit.log_sum / r.crit.trials) < 0.01, "bias %g", r.crit.log_sum / r.crit.trials);
	}
}

/* A bias of short groups does not average out: without its correction B_crit reads 3.4% high in the first of these. */
Test(coverage, long_run_of_short_groups)
{
	const struct run runs[] = {{32, 10, 10, 4000, 1, 0}, {32, 25, 100, 4000, 1, 0}};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct result r = cover(271 + i, runs[i], 400);
		covered(&r.noise, 0.92, 0.98);
		covered(&r.crit, 0.92, 0.98);
		double bias = (r.crit.log_sum - r.noise.log_sum) / r.crit.trials;
		cr_assert(fabs(bias) < 0.004, "B_crit off by %g", bias);
	}
}

/* A noise scale that grows along the run; B_noise of the pooled steps and B_crit are different numbers then. */
Test(coverage, drift)
{
	const struct run runs[] = {{32, 2, 100, 1000, 10, 0}, {32, 2, 100, 200, 10, 0}, {32, 2, 100, 1000, 100, 0}};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct result r = cover(231 + i, runs[i], 1500);
		covered(&r.noise, 0.94, 1);
		covered(&r.crit, 0.94, 1);
		covered(&r.ema, 0.93, 0.97);
		cr_assert(fabs(r.crit.log_sum / r.crit.trials) < 0.01, "bias %g", r.crit.log_sum / r.crit.trials);
	}
}

/* |G|^2 wanders with a memory of some steps; the blocks outgrow it and the interval may only become wider. */
Test(coverage, wandering_gradient)
{
	const struct run runs[] = {{32, 2, 100, 1000, 1, 0.8}, {32, 2, 100, 200, 1, 0.8}};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct result r = cover(241 + i, runs[i], 1500);
		covered(&r.noise, 0.95, 1);
		covered(&r.ema, 0.94, 1);
	}
}

/* As above, but the question is the mean over all the runs there could be: E |G|^2 = exp(1/8) / (ratio n). */
Test(coverage, wandering_gradient_population)
{
	static struct gns_block block[STEPS_MAX];
	const struct run runs[] = {{32, 2, 100, 1000, 1, 0.5}, {32, 2, 100, 1000, 1, 0.8}, {32, 2, 100, 4000, 1, 0.8}};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct sim_rng rng = sim_seed(251 + i);
		struct tally tally = {0};
		for (int trial = 0; trial < 800; trial++) {
			struct gns_ema ema;
			struct gns_ratio r;
			gns_ema_init(&ema, HALF_LIFE);
			simulate(&rng, &runs[i], block, &ema);
			cr_assert_eq(gns_noise_from_blocks(block, (size_t)runs[i].steps, GNS_Z95, &r, NULL), 0);
			count(&tally, &r, runs[i].ratio * runs[i].n / exp(0.125));
		}
		report("b_noise", &runs[i], &tally);
		covered(&tally, i == 1 ? 0.87 : 0.9, 0.98); /* 1,000 steps are few blocks of 31 for a memory of 9 */
	}
}

/* The same run as single steps, in roll-ups of ten and of a hundred steps: one estimate, intervals that agree. */
Test(coverage, roll_ups_agree)
{
	static struct gns_block block[STEPS_MAX], rolled[STEPS_MAX];
	struct run run = {32, 3, 100, 4000, 3, 0};
	struct sim_rng rng = sim_seed(261);
	struct gns_ema ema;
	gns_ema_init(&ema, HALF_LIFE);
	simulate(&rng, &run, block, &ema);
	struct gns_ratio noise[3], crit[3];
	for (int level = 0, size = 1; level < 3; level++, size *= 10) {
		size_t n = 0;
		for (int t = 0; t < run.steps; t++) {
			if (t % size == 0)
				gns_block_clear(&rolled[n++]);
			gns_block_merge(&rolled[n - 1], &block[t]);
		}
		cr_assert_eq(gns_noise_from_blocks(rolled, n, GNS_Z95, &noise[level], NULL), 0);
		cr_assert_eq(gns_bcrit_from_blocks(rolled, n, GNS_Z95, &crit[level]), 0);
		cr_assert(fabs(noise[level].value / noise[0].value - 1) < 1e-12);
		cr_assert(fabs(crit[level].value / crit[0].value - 1) < 0.005);
		cr_assert(fabs((noise[level].hi - noise[level].lo) / (noise[0].hi - noise[0].lo) - 1) < 0.35);
		cr_assert(fabs((crit[level].hi - crit[level].lo) / (crit[0].hi - crit[0].lo) - 1) < 0.35);
	}
}
