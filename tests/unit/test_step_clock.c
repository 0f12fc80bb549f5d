/* Which steps are measured and what that costs, by a simulated clock. The limits are those that step_clock.h states. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/shim/ring/ring.h"
#include "profiler/shim/steps/step_clock.h"

#define STEPS 4680

struct program { /* a training program, and what the shim takes in its steps */
	double step_ns, plain_ns, measured_ns;
	double startup_ns, cold; /* of the first step; the factor of the next measured ones */
	double drift;            /* measured_ns at the end of the run over that at its beginning */
	bool noisy;
	uint64_t first;          /* number of its first step */
};

struct run {
	uint64_t steps, n;
	bool *measured;
	double *interval;
	double wall_ns, overhead_ns; /* after start-up */
};

static uint32_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 32);
}

/* Between a half and one and a half of it; one in fifty was suspended in the middle. */
static double noise(uint64_t *state)
{
	double share = 0.5 + draw(state) / 0x1p32;
	return draw(state) % 50 ? share : 20 * share;
}

static double cost(const struct program *p, const struct run *r, uint64_t step, bool measured, uint64_t *state)
{
	double ns = p->plain_ns;
	if (measured && p->cold && r->n <= 4)
		ns = p->cold * p->measured_ns;
	else if (measured)
		ns = p->measured_ns * (p->drift ? 1 + (p->drift - 1) * (double)step / (double)r->steps : 1);
	return p->noisy ? ns * noise(state) : ns;
}

static struct run run(const struct gns_config *config, const struct program *p, uint64_t steps)
{
	struct run r = { .steps = steps, .measured = calloc(steps + 1, 1), .interval = calloc(steps + 1, sizeof(double)) };
	struct gns_step_clock s;
	uint64_t now = 1, state = (uint64_t)p->measured_ns;
	gns_step_clock_init(&s, now);
	s.began_ns = now;
	for (uint64_t step = p->first ? p->first : 1; step <= steps; step++) {
		gns_step_clock_begin(&s, config, 0, step);
		r.measured[step] = s.measured;
		r.interval[step] = s.interval;
		r.n += s.measured;
		bool startup = s.startup;
		s.overhead_ns = (uint64_t)(cost(p, &r, step, s.measured, &state) + (startup ? p->startup_ns : 0));
		now += (uint64_t)p->step_ns + s.overhead_ns;
		if (!startup) {
			r.overhead_ns += (double)s.overhead_ns;
			r.wall_ns += p->step_ns + (double)s.overhead_ns;
		}
		gns_step_clock_close(&s, now, now);
	}
	return r;
}

static void over(struct run *r)
{
	free(r->measured);
	free(r->interval);
}

static uint64_t count(const struct run *r, uint64_t from, uint64_t to)
{
	uint64_t n = 0;
	for (uint64_t i = from; i < to && i <= r->steps; i++)
		n += r->measured[i];
	return n;
}

static double overhead_pct(const struct run *r)
{
	return 100 * r->overhead_ns / r->wall_ns;
}

/* Each tenth of the steps from `from` on has between `least` and `most` times its share. */
static void expect_even(const struct run *r, uint64_t from, double least, double most, const char *what)
{
	uint64_t length = (r->steps + 1 - from) / 10;
	double share = (double)count(r, from, from + 10 * length) / 10;
	for (uint64_t i = 0; i < 10; i++) {
		double n = (double)count(r, from + i * length, from + (i + 1) * length);
		cr_expect(n >= least * share && n <= most * share, "%s: tenth %d has %g, its share is %g", what, (int)i, n, share);
	}
}

static uint64_t longest_gap(const struct run *r, uint64_t from)
{
	uint64_t last = from, longest = 0;
	for (uint64_t i = from; i <= r->steps; i++) {
		if (!r->measured[i])
			continue;
		longest = i - last > longest ? i - last : longest;
		last = i;
	}
	return longest;
}

static const struct gns_config by_default = { .budget_pct = 1, .world = 1 };
/* scripts/demo: 50 ms to get in, and the first measured steps six times as dear as the others. */
static const struct program demo = { .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 0.5e6, .startup_ns = 50e6, .cold = 6 };

Test(step_clock, the_demo_at_its_defaults)
{
	for (uint64_t job = 0; job < 50; job++) {
		struct gns_config config = by_default;
		config.job = job;
		struct run r = run(&config, &demo, STEPS);
		cr_expect_geq(r.n, 400, "job %d: %d", (int)job, (int)r.n);
		cr_expect_leq(overhead_pct(&r), 1.0, "job %d: %.3f%%", (int)job, overhead_pct(&r));
		expect_even(&r, 101, 0.5, 2, "demo");
		over(&r);
	}
}

Test(step_clock, first_measured_steps_come_soon)
{
	struct run r = run(&by_default, &demo, 200);
	cr_expect(r.measured[1] && r.measured[2] && r.measured[3] && r.measured[4]);
	cr_expect_geq(count(&r, 1, 150), 40);
	double warm_pct = 100 * ((double)count(&r, 5, 201) * demo.measured_ns + 200 * demo.plain_ns) / r.wall_ns;
	cr_expect(warm_pct > 2 && warm_pct < 5, "%.2f%%", warm_pct);
	over(&r);
}

Test(step_clock, the_budget_is_kept_in_a_long_run)
{
	static const struct program programs[] = {
		{ .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 0.5e6 },
		{ .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 20e3 }, /* every step can be measured */
		{ .step_ns = 50e6, .plain_ns = 3e3, .measured_ns = 2e6 },
		{ .step_ns = 300e6, .plain_ns = 100e3, .measured_ns = 15e6 },
		{ .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 0.5e6, .drift = 3 },
		{ .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 1.5e6, .drift = 1.0 / 3 },
	};
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		struct run r = run(&by_default, &programs[i], 100000);
		bool all = programs[i].measured_ns < 0.01 * programs[i].step_ns;
		cr_expect(overhead_pct(&r) <= 1.0 && (all || overhead_pct(&r) > 0.8), "program %d: %.3f%%", (int)i, overhead_pct(&r));
		cr_expect(!all || r.n == 100000);
		if (!programs[i].drift)
			expect_even(&r, 1001, 0.95, 1.05, "long run");
		over(&r);
	}
}

/* Costs that triple along a short run, so that the mean of the last 31 of them is always behind. */
Test(step_clock, a_drift_in_a_short_run)
{
	struct program drifting = demo;
	drifting.drift = 3;
	struct run r = run(&by_default, &drifting, STEPS);
	cr_expect(overhead_pct(&r) > 0.9 && overhead_pct(&r) <= 1.1, "%.3f%%", overhead_pct(&r));
	over(&r);
}

Test(step_clock, a_million_steps)
{
	struct run r = run(&by_default, &demo, 1000000);
	double k = (demo.measured_ns - demo.plain_ns) / (0.0085 * demo.step_ns - demo.plain_ns);
	cr_expect_float_eq((double)r.n, 1e6 / k, 0.01 * 1e6 / k, "%d", (int)r.n);
	expect_even(&r, 101, 0.98, 1.02, "a million");
	over(&r);
}

Test(step_clock, short_steps_are_measured_whatever_it_costs)
{
	static const struct program programs[] = {
		{ .step_ns = 1e6, .plain_ns = 3e3, .measured_ns = 0.35e6 },
		{ .step_ns = 0.2e6, .plain_ns = 1e3, .measured_ns = 0.2e6 },
		{ .step_ns = 0.2e6, .plain_ns = 3e3, .measured_ns = 0.35e6 }, /* a plain step is above the budget: no cliff */
		{ .step_ns = 5e6, .plain_ns = 65e3, .measured_ns = 0.5e6 },
	};
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		struct run r = run(&by_default, &programs[i], 300000);
		uint64_t until = 1;
		for (uint64_t n = 0; n < 400; until++)
			n += r.measured[until];
		cr_expect_leq(until, 400 * 64 + 128, "program %d: 400 are measured at step %d", (int)i, (int)until);
		struct run begin = { .steps = until, .measured = r.measured };
		cr_expect_leq(longest_gap(&begin, 1), 127, "program %d", (int)i);
		cr_expect_lt(longest_gap(&r, 1), 4 * 1024, "program %d", (int)i);
		cr_expect_geq(r.n, 400 + (300000 - until) / 1024 - 1, "program %d: %d", (int)i, (int)r.n);
		over(&r);
	}
}

/* The interval that a calm run of the same costs has; its clock knows nothing of the noise. */
Test(step_clock, slow_outliers_do_not_move_the_interval)
{
	struct program noisy = demo;
	noisy.noisy = true;
	struct run calm = run(&by_default, &demo, 20000), r = run(&by_default, &noisy, 20000);
	for (uint64_t i = 2000; i <= 20000; i++)
		cr_assert(r.interval[i] > 0.7 * calm.interval[i] && r.interval[i] < 1.5 * calm.interval[i], "step %d: %g, %g", (int)i,
			  r.interval[i], calm.interval[i]);
	cr_expect(r.n > 0.85 * calm.n && r.n < 1.15 * calm.n, "%d, %d", (int)r.n, (int)calm.n);
	over(&calm);
	over(&r);
}

/* One measured step of `outlier_ns`, the nth; returns the longest interval of the 500 steps from there. */
static double longest_after(unsigned nth, uint64_t outlier_ns, double *before)
{
	struct gns_step_clock s;
	uint64_t now = 1, n = 0, left = 500;
	double longest = 0;
	gns_step_clock_init(&s, now);
	s.began_ns = now;
	for (uint64_t step = 1; left; step++) {
		gns_step_clock_begin(&s, &by_default, 0, step);
		if (n <= nth)
			*before = s.planned;
		else if (left--)
			longest = fmax(longest, s.planned);
		n += s.measured;
		s.overhead_ns = s.measured ? n == nth + 1 ? outlier_ns : 500000 : 3000;
		now += 5000000 + s.overhead_ns;
		gns_step_clock_close(&s, now, now);
	}
	return longest;
}

Test(step_clock, one_outlier_at_any_place)
{
	for (unsigned nth = 8; nth < 200; nth++) {
		double before = 0, calm = 0, longest = longest_after(nth, 100000000, &before);
		double without = longest_after(nth, 500000, &calm);
		cr_expect_leq(longest, 1.05 * without, "the %uth: %g, %g without", nth, longest, without);
		cr_expect_float_eq(before, calm, 1e-9);
	}
}

Test(step_clock, the_interval_changes_by_at_most_a_factor_of_two)
{
	static const struct program programs[] = {
		{ .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 0.5e6, .cold = 30 },
		{ .step_ns = 5e6, .plain_ns = 3e3, .measured_ns = 0.5e6, .drift = 40, .noisy = true },
		{ .step_ns = 0.2e6, .plain_ns = 3e3, .measured_ns = 0.35e6 },
	};
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		struct run r = run(&by_default, &programs[i], 200000);
		for (uint64_t step = 6; step <= r.steps; step++) {
			double now = r.interval[step], last = r.interval[step - 1];
			cr_assert(now <= 2 * last + 1 && last <= 2 * now + 1, "program %d, step %d: %g, %g", (int)i, (int)step, last, now);
			cr_assert(now == last || r.measured[step - 1], "program %d, step %d", (int)i, (int)step);
		}
		over(&r);
	}
}

/* Cold caches in the first measured steps are forgotten: from the 7th on the interval is that of a run without them. */
Test(step_clock, cold_costs_are_forgotten)
{
	struct program warm = demo;
	warm.cold = 0;
	struct run cold = run(&by_default, &demo, 400), r = run(&by_default, &warm, 400);
	uint64_t n = 0, step = 1;
	for (; n < 10; step++)
		n += cold.measured[step];
	cr_expect_lt(step, 100);
	cr_expect_float_eq(cold.interval[step], r.interval[step], 1);
	over(&cold);
	over(&r);
}

Test(step_clock, getting_in_is_not_a_cost_of_steps)
{
	struct program dear = demo;
	dear.startup_ns = 10e9;
	struct run a = run(&by_default, &demo, 1000), b = run(&by_default, &dear, 1000);
	cr_expect_arr_eq(a.measured, b.measured, 1001);
	over(&a);
	over(&b);
}

Test(step_clock, a_larger_budget_is_spent)
{
	struct gns_config config = by_default;
	for (config.budget_pct = 0.5; config.budget_pct < 17; config.budget_pct *= 2) {
		struct run r = run(&config, &demo, 50000);
		double share = 100 * r.overhead_ns / (r.wall_ns - r.overhead_ns) / config.budget_pct;
		bool all = config.budget_pct > 12; /* 0.5 ms of 5 ms */
		cr_expect(all ? r.n > 49900 : share > 0.8 && share <= 1, "budget %g%%: %.3f of it, %d steps", config.budget_pct, share, (int)r.n);
		over(&r);
	}
}

Test(step_clock, ranks_of_different_cost_measure_the_same_steps)
{
	static const struct program cheap = { .step_ns = 1e6, .plain_ns = 100, .measured_ns = 20e3, .first = 3 };
	static const struct program dear = { .step_ns = 1e6, .plain_ns = 100, .measured_ns = 80e3, .first = 6 }; /* knew its weights later */
	struct gns_config config = { .budget_pct = 1, .world = 4, .job = 9 };
	struct run a = run(&config, &cheap, STEPS), b = run(&config, &dear, STEPS);
	cr_expect_gt(count(&a, 100, STEPS + 1), 2 * count(&b, 100, STEPS + 1));
	cr_expect_gt(count(&b, 100, STEPS + 1), 300);
	for (uint64_t i = 100; i <= STEPS; i++)
		cr_expect(a.measured[i] || !b.measured[i], "step %d", (int)i);
	over(&a);
	over(&b);
}

/* Ranks of one job without a word between them, of about the same cost, with noise of their own. Without the ladder they share 92.8% of
 * the steps that either measures, without its hysteresis 93.9%. */
Test(step_clock, ranks_of_about_the_same_cost_agree)
{
	struct gns_config config = { .budget_pct = 1, .world = 2 };
	uint64_t both = 0, either = 0;
	for (double ns = 0.2e6; ns < 2e6; ns *= 1.1) {
		struct program p = demo, q = demo;
		p.noisy = q.noisy = true;
		p.measured_ns = ns;
		q.measured_ns = 1.001 * ns;
		struct run a = run(&config, &p, STEPS), b = run(&config, &q, STEPS);
		for (uint64_t i = 600; i <= STEPS; i++) {
			both += a.measured[i] && b.measured[i];
			either += a.measured[i] || b.measured[i];
		}
		over(&a);
		over(&b);
		config.job++;
	}
	cr_expect_gt((double)both, 0.945 * (double)either, "%d of %d", (int)both, (int)either);
}

Test(step_clock, several_ranks_keep_the_budget)
{
	struct gns_config config = { .budget_pct = 1, .world = 2 };
	for (double ns = 0.1e6; ns < 3e6; ns *= 1.1) {
		struct program p = demo;
		p.measured_ns = ns;
		struct run r = run(&config, &p, 100000);
		cr_expect(overhead_pct(&r) > 0.6 && overhead_pct(&r) <= 1, "%g ms: %.3f%%", ns / 1e6, overhead_pct(&r));
		for (uint64_t i = 5; i <= r.steps; i++) {
			double rung = 2 * log2(r.interval[i]);
			cr_assert(r.interval[i] < 12 || fabs(rung - round(rung)) < 0.13, "%g", r.interval[i]);
		}
		over(&r);
	}
}

/* Of another job, another plan. */
Test(step_clock, jobs_measure_other_steps)
{
	struct gns_config config = by_default;
	struct run a = run(&by_default, &demo, STEPS), b = (config.job = 1, run(&config, &demo, STEPS));
	uint64_t both = 0;
	for (uint64_t i = 600; i <= STEPS; i++)
		both += a.measured[i] && b.measured[i];
	cr_expect_lt(both, count(&a, 600, STEPS + 1) / 4);
	over(&a);
	over(&b);
}

Test(step_clock, every_nth_step_is_every_nth)
{
	for (int world = 1; world <= 4; world += 3) {
		struct gns_config config = { .every = 3, .world = world };
		struct program p = demo;
		p.first = 2;
		struct run r = run(&config, &p, STEPS);
		for (uint64_t i = 2; i <= STEPS; i++)
			cr_assert_eq(r.measured[i], (i - 2) % 3 == 0, "step %d", (int)i);
		over(&r);
	}
}

Test(step_clock, the_control_word)
{
	struct gns_step_clock s;
	uint64_t now = 1, n[3] = { 0 };
	gns_step_clock_init(&s, now);
	for (uint64_t step = 1; step <= 3000; step++) {
		uint32_t control = step <= 1000 ? GNS_CONTROL_PAUSED : step <= 2000 ? 7 : 0;
		gns_step_clock_begin(&s, &by_default, control, step);
		n[(step - 1) / 1000] += s.measured;
		cr_assert(control != 7 || s.measured == ((step - 1001) % 7 == 0));
		cr_assert(control != 7 || s.interval == 7);
		s.overhead_ns = s.measured ? 500000 : 3000;
		now += 5000000;
		gns_step_clock_close(&s, now, now);
	}
	cr_expect_eq(n[0], 0);
	cr_expect_eq(n[1], 143);
	cr_expect(n[2] > 60 && n[2] < 100, "%d", (int)n[2]);
}
