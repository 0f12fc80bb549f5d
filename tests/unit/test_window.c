/* When CUPTI is subscribed to, and when it is let go. */
#include <criterion/criterion.h>
#include <math.h>

#include "collectors/cupti/window.h"

#define MS 1000000u

Test(window, a_window_is_a_step_to_warm_up_and_a_few_to_tell)
{
	struct gns_kernel_window w;
	uint64_t now = MS;
	gns_kernel_window_init(&w, GNS_KERNELS_AUTO, 1);
	for (unsigned i = 1; i < GNS_WINDOW_FIRST; i++, now += MS)
		cr_assert_eq(gns_kernel_window_step(&w, now), 0u);
	cr_assert_eq(gns_kernel_window_step(&w, now), GNS_DO_BEGIN | GNS_DO_MARK);
	cr_assert_eq(gns_kernel_window_step(&w, now += MS), GNS_DO_MARK, "the first step is not told");
	for (unsigned i = 1; i < GNS_WINDOW_STEPS; i++)
		cr_assert_eq(gns_kernel_window_step(&w, now += MS), GNS_DO_MARK | GNS_DO_TELL);
	cr_assert_eq(gns_kernel_window_step(&w, now += MS), GNS_DO_MARK | GNS_DO_TELL | GNS_DO_STOP);
	cr_assert_eq(w.state, GNS_WINDOW_DRAIN);
}

static unsigned until(struct gns_kernel_window *w, uint64_t *now, uint64_t step_ns, unsigned what, unsigned most)
{
	for (unsigned i = 1; i <= most; i++) {
		*now += step_ns;
		if (gns_kernel_window_step(w, *now) & what)
			return i;
	}
	return 0;
}

Test(window, what_is_missing_is_flushed_ever_less_often_and_then_given_up)
{
	struct gns_kernel_window w;
	uint64_t now = 0, last = 0, gap = GNS_WINDOW_DRAIN_NS;
	gns_kernel_window_init(&w, GNS_KERNELS_AUTO, 1);
	cr_assert(until(&w, &now, MS, GNS_DO_STOP, 100));
	uint64_t stopped = now;
	last = now;
	for (int i = 0; i < 10; i++) {
		cr_assert(until(&w, &now, MS, GNS_DO_FLUSH, 2000));
		cr_expect_eq(now - last, gap);
		last = now;
		gap = gap * 2 < GNS_WINDOW_FLUSH_NS ? gap * 2 : GNS_WINDOW_FLUSH_NS;
	}
	cr_assert(until(&w, &now, MS, GNS_DO_GIVE_UP, 20000));
	cr_expect_eq(now - stopped, GNS_WINDOW_PATIENCE_NS + MS);
}

Test(window, at_most_a_few_steps_of_a_hundred)
{
	struct gns_kernel_window w;
	uint64_t now = 0;
	unsigned inside = 0, steps = 10000;
	gns_kernel_window_init(&w, GNS_KERNELS_AUTO, 1);
	for (unsigned i = 0; i < steps; i++) {
		unsigned what = gns_kernel_window_step(&w, now += 50 * MS);
		inside += w.state == GNS_WINDOW_WARM || w.state == GNS_WINDOW_OPEN;
		if (what & GNS_DO_FLUSH)
			gns_kernel_window_over(&w, now);
	}
	cr_expect_leq(inside * 100, steps * (GNS_WINDOW_STEPS + 1));
	cr_expect_geq(inside * 100, steps * (GNS_WINDOW_STEPS + 1) * 9 / 10);
}

Test(window, a_dear_window_is_followed_by_a_long_pause)
{
	struct gns_kernel_window w;
	uint64_t now = 0, cost = 30 * MS;
	gns_kernel_window_init(&w, GNS_KERNELS_AUTO, 1);
	cr_assert(until(&w, &now, MS, GNS_DO_BEGIN, 100));
	gns_kernel_window_spent(&w, cost);
	cr_assert(until(&w, &now, MS, GNS_DO_FLUSH, 100));
	gns_kernel_window_over(&w, now);
	uint64_t over = now;
	cr_assert(until(&w, &now, MS, GNS_DO_BEGIN, 1000000));
	cr_expect_leq(fabs((double)(now - over) - (double)cost / 0.002), (double)MS, "a fifth of one percent");
	cr_assert(until(&w, &now, MS, GNS_DO_FLUSH, 100));
	gns_kernel_window_over(&w, now);
	cr_expect(until(&w, &now, MS, GNS_DO_BEGIN, GNS_WINDOW_PERIOD), "its cost is not that of the one before");
}

Test(window, on_means_every_step_from_the_second_on)
{
	struct gns_kernel_window w;
	uint64_t now = 5;
	unsigned flushes = 0;
	gns_kernel_window_init(&w, GNS_KERNELS_ON, 1);
	cr_assert_eq(gns_kernel_window_step(&w, now), GNS_DO_BEGIN | GNS_DO_MARK);
	cr_assert_eq(gns_kernel_window_step(&w, now += 100 * MS), GNS_DO_MARK);
	for (int i = 0; i < 1000; i++) {
		unsigned what = gns_kernel_window_step(&w, now += 100 * MS);
		cr_assert_eq(what & ~(unsigned)GNS_DO_FLUSH, GNS_DO_MARK | GNS_DO_TELL);
		flushes += (what & GNS_DO_FLUSH) != 0;
	}
	cr_expect_eq(flushes, 100, "about once a second");
	for (int i = flushes = 0; i < 1000; i++)
		flushes += (gns_kernel_window_step(&w, now += MS / 2) & GNS_DO_FLUSH) != 0;
	cr_expect_eq(flushes, 10, "or a hundred steps");
}

Test(window, off_and_stopped_do_nothing)
{
	struct gns_kernel_window w;
	uint64_t now = 0;
	gns_kernel_window_init(&w, GNS_KERNELS_OFF, 1);
	cr_expect_eq(until(&w, &now, MS, ~0u, 1000), 0);
	gns_kernel_window_init(&w, GNS_KERNELS_AUTO, 1);
	cr_assert(until(&w, &now, MS, GNS_DO_BEGIN, 1000));
	gns_kernel_window_stop(&w);
	cr_expect_eq(until(&w, &now, MS, ~0u, 1000), 0);
}
