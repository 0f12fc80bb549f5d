/* The plan of measured steps: shares of aligned stretches, nesting, gaps, and no resonance with any period. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "profiler/shim/steps/step_plan.h"

static const double intervals[] = { 1.0001, 1.5, 2, 2.8284271, 7.3, 12.6, 16, 33, 64, 65, 100, 233, 512, 724.08, 1000, 1024 };
#define INTERVALS (sizeof intervals / sizeof *intervals)

static unsigned taken(uint64_t seed, uint64_t from, uint64_t to, double interval)
{
	unsigned n = 0;
	for (uint64_t step = from; step < to; step++)
		n += gns_step_plan_takes(seed, step, interval);
	return n;
}

Test(step_plan, every_step_at_an_interval_of_one)
{
	cr_expect_eq(taken(1, 1, 1001, 1), 1000);
	cr_expect_eq(taken(1, 1, 1001, 0.5), 1000);
	cr_expect_eq(taken(1, 1, 1001, NAN), 1000);
}

Test(step_plan, aligned_stretches_have_their_share)
{
	for (size_t i = 0; i < INTERVALS; i++)
		for (uint64_t length = 1; length <= 4096; length *= 4)
			for (uint64_t stretch = 0; stretch < 200; stretch++) {
				double share = (double)length / intervals[i];
				unsigned n = taken(7, stretch * length, (stretch + 1) * length, intervals[i]);
				cr_assert(n + 1 > share && n < share + 1, "interval %g, %u of %llu from %llu", intervals[i], n,
					  (unsigned long long)length, (unsigned long long)(stretch * length));
			}
}

Test(step_plan, a_longer_interval_takes_a_part_of_a_shorter_one)
{
	for (size_t i = 1; i < INTERVALS; i++)
		for (uint64_t step = 1; step < 20000; step++)
			cr_assert(!gns_step_plan_takes(3, step, intervals[i]) || gns_step_plan_takes(3, step, intervals[i - 1]));
}

Test(step_plan, gaps_are_bounded)
{
	for (size_t i = 0; i < INTERVALS; i++) {
		uint64_t last = 0, longest = 0, gaps = 0, long_ones = 0;
		for (uint64_t step = 1; step < 400000; step++) {
			if (!gns_step_plan_takes(11, step, intervals[i]))
				continue;
			longest = last && step - last > longest ? step - last : longest;
			long_ones += last && (double)(step - last) > 3 * intervals[i];
			gaps += last != 0;
			last = step;
		}
		bool power = fmod(log2(intervals[i]), 1) == 0;
		cr_expect_lt((double)longest, (power ? 2 : 4) * intervals[i], "interval %g, gap %llu", intervals[i], (unsigned long long)longest);
		cr_expect_leq((double)long_ones, 1e-3 * (double)gaps, "interval %g: %llu of %llu", intervals[i], (unsigned long long)long_ones,
			      (unsigned long long)gaps);
	}
}

/* Sum over the classes of (n - expected)^2 / expected / (1 - 1/interval), the chi-squared statistic of independent draws. */
static double chi2(uint64_t seed, uint64_t steps, unsigned period, double interval)
{
	unsigned *n = calloc(period, sizeof *n);
	double sum = 0;
	for (uint64_t step = 0; step < steps; step++)
		n[step % period] += gns_step_plan_takes(seed, step, interval);
	for (unsigned i = 0; i < period; i++) {
		double expected = (double)(steps / period + (i < steps % period)) / interval;
		sum += (n[i] - expected) * (n[i] - expected) / expected / (1 - 1 / interval);
	}
	free(n);
	return sum;
}

/* Fibonacci numbers, for multiples of the golden ratio repeat themselves there. */
Test(step_plan, no_period_of_the_program_resonates)
{
	static const unsigned periods[] = { 3, 8, 13, 21, 34, 55, 89, 100, 144, 469, 1000 };
	enum { SEEDS = 10 };
	for (size_t i = 1; i < INTERVALS; i++)
		for (size_t p = 0; p < sizeof periods / sizeof *periods; p++) {
			double sum = 0, free_n = SEEDS * (periods[p] - 1.0);
			for (uint64_t seed = 0; seed < SEEDS; seed++)
				sum += chi2(seed, 46800, periods[p], intervals[i]);
			cr_expect_lt(sum / free_n, 1 + 5 * sqrt(2 / free_n), "interval %g, period %u: %g of one", intervals[i], periods[p],
				     sum / free_n);
		}
}

/* Which of the steps of a stretch is taken says nothing of which is in the next one: 8 x 8 equally likely pairs. */
Test(step_plan, places_in_neighbouring_stretches_are_independent)
{
	enum { LENGTH = 8, STRETCHES = 64000 };
	unsigned n[LENGTH][LENGTH] = { 0 }, last = 0;
	double sum = 0, expected = (STRETCHES - 1.0) / LENGTH / LENGTH;
	for (uint64_t stretch = 0; stretch < STRETCHES; stretch++) {
		unsigned place = 0;
		while (!gns_step_plan_takes(5, stretch * LENGTH + place, LENGTH))
			place++;
		cr_assert_lt(place, LENGTH);
		if (stretch)
			n[last][place]++;
		last = place;
	}
	for (unsigned i = 0; i < LENGTH; i++)
		for (unsigned k = 0; k < LENGTH; k++)
			sum += (n[i][k] - expected) * (n[i][k] - expected) / expected;
	double degrees = LENGTH * LENGTH - 1;
	cr_expect_lt(fabs(sum - degrees), 4 * sqrt(2 * degrees), "%g of %g", sum, degrees);
}

Test(step_plan, another_seed_is_another_plan)
{
	unsigned both = 0;
	for (uint64_t step = 0; step < 16000; step++)
		both += gns_step_plan_takes(1, step, 16) && gns_step_plan_takes(2, step, 16);
	cr_expect(both > 30 && both < 100, "%u, expected 62.5", both);
}
