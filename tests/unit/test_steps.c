/* Which steps are measured, where ranks cost differently. */
#include <criterion/criterion.h>
#include <string.h>

#include "profiler/shim/steps.h"

#define STEPS 4000

/* Steps of 1 ms; measuring costs `extra_ns`. */
static void run(const struct gns_config *config, double extra_ns, uint64_t first, bool measured[STEPS + 1])
{
	struct gns_steps s;
	uint64_t now = 1;
	gns_steps_init(&s, now);
	memset(measured, 0, (STEPS + 1) * sizeof *measured);
	for (uint64_t step = first; step <= STEPS; step++) {
		gns_steps_begin(&s, config, 0, step);
		measured[step] = s.measured;
		s.overhead_ns += 100 + (s.measured ? (uint64_t)extra_ns : 0);
		now += 1000000;
		gns_steps_close(&s, now, now, false);
	}
}

static int count(const bool measured[STEPS + 1], uint64_t from)
{
	int n = 0;
	for (uint64_t i = from; i <= STEPS; i++)
		n += measured[i];
	return n;
}

Test(steps, ranks_of_different_cost_measure_the_same_steps)
{
	static bool cheap[STEPS + 1], dear[STEPS + 1];
	struct gns_config config = { .budget_pct = 1, .world = 4 };
	run(&config, 20e3, 3, cheap);
	run(&config, 80e3, 6, dear); /* it knew its weights later */
	cr_expect_gt(count(cheap, 100), 2 * count(dear, 100), "%d, %d", count(cheap, 100), count(dear, 100));
	cr_expect_gt(count(dear, 100), 100);
	for (uint64_t i = 100; i <= STEPS; i++)
		cr_expect(cheap[i] || !dear[i], "step %llu", (unsigned long long)i);
}

Test(steps, every_step_is_every_step_for_several_ranks_too)
{
	static bool measured[STEPS + 1];
	struct gns_config config = { .every = 3, .world = 4 };
	run(&config, 90e3, 2, measured);
	cr_expect_eq(count(measured, 1), (STEPS - 2) / 3 + 1);
	cr_expect(measured[2] && measured[5] && !measured[6]);
}

Test(steps, the_budget_is_kept)
{
	static bool measured[STEPS + 1];
	for (int world = 1; world <= 4; world += 3) {
		struct gns_config config = { .budget_pct = 1, .world = world };
		run(&config, 50e3, 1, measured);
		double ns = count(measured, 100) * 50e3 / ((STEPS - 99) * 1e6);
		cr_expect(ns < 0.01 && ns > 0.002, "world %d: %.2f%%", world, 100 * ns);
	}
}
