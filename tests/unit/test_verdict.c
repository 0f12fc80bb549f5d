/* The verdict: every class, its borders, what is missing; and the trend. Expected numbers are worked out by hand from
 * S/S_min = 1 + B_crit/B and E/E_min = 1 + B/B_crit. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/store.h"
#include "gnscope/text.h"

static struct gns_summary run_with(double batch, double crit, double lo, double hi)
{
	struct gns_summary s = {.measured = 1000, .coverage = 1, .samples_per_step = batch, .b_crit = {crit, lo, hi, true, 1000},
				.b_noise = {crit, lo, hi, true, 1000}, .run = {.steps = 4680, .steps_measured = 1000}};
	strcpy(s.sample_unit, "samples");
	strcpy(s.run.status, "finished");
	return s;
}

static void says(const struct gns_summary *s, enum gns_batch_verdict verdict, const char *want)
{
	char text[GNS_VERDICT_SIZE];
	cr_expect_eq(gns_verdict_of(s), verdict, "%s instead of %s: %s", gns_batch_verdict_names[gns_verdict_of(s)],
		     gns_batch_verdict_names[verdict], want);
	cr_expect_str_eq(gns_text_verdict(text, sizeof text, s, NULL), want, "%s", text);
}

Test(verdict, classes)
{
	/* 128 of 354: steps 1 + 354/128 = 3.766 to 1 + 354/256 = 2.383, samples 1.362 to 1.723 */
	struct gns_summary s = run_with(128, 354, 331, 378);
	says(&s, GNS_BATCH_SMALL, "Batch 128 is SMALL: 0.36x the critical batch size of 354 (95% CI 331 to 378). Doubling it: -37% steps, +27% samples.");
	s = run_with(1000, 1000, 900, 1100); /* 2 to 1.5; 2 to 3 */
	says(&s, GNS_BATCH_OK, "Batch 1,000 is OK: 1x the critical batch size of 1,000 (95% CI 900 to 1,100). Doubling it: -25% steps, +50% samples.");
	s = run_with(4000, 1000, 900, 1100); /* halving: 1.25 to 1.5, 5 to 3 */
	says(&s, GNS_BATCH_LARGE, "Batch 4,000 is LARGE: 4x the critical batch size of 1,000 (95% CI 900 to 1,100). Halving it: +20% steps, -40% samples.");
	s = run_with(16, 40000, 39000, 41000);
	says(&s, GNS_BATCH_SMALL,
	     "Batch 16 is SMALL: 0.0004x the critical batch size of 40,000 (95% CI 39,000 to 41,000). Doubling it: -50% steps, +0.04% samples.");
}

Test(verdict, borders_are_half_and_twice)
{
	static const struct { double batch; enum gns_batch_verdict want; } all[] = {
		{499.99, GNS_BATCH_SMALL}, {500, GNS_BATCH_OK}, {1000, GNS_BATCH_OK}, {2000, GNS_BATCH_OK}, {2000.01, GNS_BATCH_LARGE},
		{1e-300, GNS_BATCH_SMALL}, {1e300, GNS_BATCH_LARGE}, {0, GNS_BATCH_UNKNOWN}, {-1, GNS_BATCH_UNKNOWN}, {NAN, GNS_BATCH_UNKNOWN},
		{INFINITY, GNS_BATCH_UNKNOWN},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct gns_summary s = run_with(all[i].batch, 1000, 900, 1100);
		cr_expect_eq(gns_verdict_of(&s), all[i].want, "batch %g", all[i].batch);
	}
	/* A third of the steps saved for a third more samples at one border, the mirror image at the other. */
	cr_expect_float_eq(gns_steps_factor(1000, 1000) / gns_steps_factor(500, 1000), 2. / 3, 1e-12);
	cr_expect_float_eq(gns_samples_factor(1000, 1000) / gns_samples_factor(500, 1000), 4. / 3, 1e-12);
	cr_expect_float_eq(gns_samples_factor(1000, 1000) / gns_samples_factor(2000, 1000), 2. / 3, 1e-12);
	cr_expect_float_eq(gns_steps_factor(1000, 1000) / gns_steps_factor(2000, 1000), 4. / 3, 1e-12);
}

Test(verdict, an_interval_over_two_classes_names_both)
{
	struct gns_summary s = run_with(450, 1000, 800, 1300);
	says(&s, GNS_BATCH_SMALL, "Batch 450 is SMALL or OK: 0.45x the critical batch size of 1,000 (95% CI 800 to 1,300). Doubling it: -34% steps, +31% samples.");
	s = run_with(1900, 1000, 900, 1100);
	says(&s, GNS_BATCH_OK, "Batch 1,900 is OK or LARGE: 1.9x the critical batch size of 1,000 (95% CI 900 to 1,100). Doubling it: -17% steps, +66% samples.");
	s = run_with(1000, 1000, 400, 3000);
	says(&s, GNS_BATCH_OK,
	     "Batch 1,000 is SMALL, OK or LARGE: 1x the critical batch size of 1,000 (95% CI 400 to 3,000). Doubling it: -25% steps, +50% samples.");
	s = run_with(64, 4.3, -6.4, 12.9); /* halving: 1 + 4.3/64 = 1.0672 to 1.1344, 15.88 to 8.44 */
	says(&s, GNS_BATCH_LARGE, "Batch 64 is LARGE: 15x the critical batch size of 4.3 (95% CI below 12.9). Halving it: +6% steps, -47% samples.");
}

Test(verdict, time_only_where_it_is_known)
{
	struct gns_summary s = run_with(1000, 1000, 900, 1100);
	static const struct { struct gns_interval time; const char *want; } all[] = {
		{{1.1, NAN, NAN}, ", +10% time."}, {{NAN, 0.98, 1.23}, ", -2 to +23% time."}, {{NAN, NAN, NAN}, "samples."}, {{NAN, 0.5, NAN}, "samples."},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char text[GNS_VERDICT_SIZE];
		gns_text_verdict(text, sizeof text, &s, &all[i].time);
		cr_expect_not_null(strstr(text, all[i].want), "%s", text);
	}
	cr_expect_eq(gns_verdict_other_batch(&s), 2000);
	s.samples_per_step = 4000;
	cr_expect_eq(gns_verdict_other_batch(&s), 2000);
	s.measured = 1;
	cr_expect(isnan(gns_verdict_other_batch(&s)));
}

Test(verdict, too_early_says_what_is_missing)
{
	struct gns_summary s = run_with(128, 354, 331, 378);
	s.measured = 39;
	says(&s, GNS_BATCH_TOO_EARLY, "Too early for a verdict: 39 of 4,680 steps were measured, 40 are needed. Run longer, or with --every 1.");
	strcpy(s.run.status, "running");
	says(&s, GNS_BATCH_TOO_EARLY, "Too early for a verdict: 39 of 4,680 steps were measured, 40 are needed.");
	s.window = 100;
	says(&s, GNS_BATCH_TOO_EARLY, "Too early for a verdict: 39 of the last 100 steps were measured, 40 are needed. Use a longer window.");
	s.measured = 0;
	says(&s, GNS_BATCH_TOO_EARLY, "No steps measured yet.");
	s.window = 0;
	s.measured = 40;
	cr_expect_eq(gns_verdict_of(&s), GNS_BATCH_SMALL);
	s.coverage = 0.49;
	says(&s, GNS_BATCH_TOO_EARLY,
	     "Too early for a verdict: only 49% of the parameters are measured, 50% are needed. `gnscope show --layers` lists the others.");
	s.coverage = 0.5;
	cr_expect_eq(gns_verdict_of(&s), GNS_BATCH_SMALL);
	s.coverage = NAN;
	cr_expect_eq(gns_verdict_of(&s), GNS_BATCH_SMALL, "an unknown coverage is no small one");
	s.starting = true;
	says(&s, GNS_BATCH_TOO_EARLY, "Too early for a verdict: the run is still starting up.");
}

Test(verdict, a_moving_noise_scale_waits_until_it_has_400_steps)
{
	struct gns_summary s = run_with(128, 354, 331, 378);
	s.trend = (struct gns_trend){GNS_RISING, {850, 700, 990, true, 39}, {600, 500, 690, true, 40}, true};
	s.measured = 399;
	says(&s, GNS_BATCH_TOO_EARLY, "Too early for a verdict: B_noise is still rising, 850 in the last tenth of the steps against 354 over all. "
	     "It is given once B_noise settles or 400 steps are measured; now 399.");
	s.measured = 400;
	says(&s, GNS_BATCH_SMALL, "Batch 128 is SMALL: 0.36x the critical batch size of 354 (95% CI 331 to 378). Doubling it: -37% steps, +27% samples. "
	     "B_noise is rising: 850 in the last tenth of the run, 600 in the tenth before.");
	s.measured = 50;
	s.trend.moving = false;
	cr_expect_eq(gns_verdict_of(&s), GNS_BATCH_SMALL);
}

Test(verdict, unresolved_never_has_a_ratio)
{
	struct gns_summary s = run_with(256, NAN, 640, NAN);
	s.b_noise.resolved = s.b_crit.resolved = false;
	says(&s, GNS_BATCH_UNRESOLVED, "Unresolved: B_noise >= 640 samples. 1,000 measured steps are not enough to tell: measure more.");
	s = run_with(256, 1000, 900, 1100);
	s.b_crit = (struct gns_ratio){NAN, 640, NAN, false, 1000};
	says(&s, GNS_BATCH_UNRESOLVED, "Unresolved: B_crit >= 640 samples. 1,000 measured steps are not enough to tell: measure more.");
	s.b_crit.lo = -5;
	says(&s, GNS_BATCH_UNRESOLVED, "Unresolved: B_crit has no limits yet. 1,000 measured steps are not enough to tell: measure more.");
	s.b_crit = (struct gns_ratio){-2, -6, 12.9, true, 1000};
	says(&s, GNS_BATCH_UNRESOLVED, "Unresolved: B_crit is below 12.9 samples. 1,000 measured steps are not enough to tell: measure more.");
	s = run_with(256, 1000, 900, 1100);
	s.b_noise.resolved = false;
	cr_expect_eq(gns_verdict_of(&s), GNS_BATCH_UNRESOLVED, "B_noise counts too");
	s = run_with(256, 1000, 900, INFINITY);
	cr_expect_eq(gns_verdict_of(&s), GNS_BATCH_UNRESOLVED, "no finite upper limit");
	s = run_with(NAN, 1000, 900, 1100);
	says(&s, GNS_BATCH_UNKNOWN, "The critical batch size is 1,000 samples (95% CI 900 to 1,100). Your batch size is not known: pass --samples N.");
}

Test(verdict, short_buffers)
{
	struct gns_summary s = run_with(450, 1000, 800, 1300);
	char whole[GNS_VERDICT_SIZE], out[GNS_VERDICT_SIZE];
	gns_text_verdict(whole, sizeof whole, &s, NULL);
	memset(out, 'x', sizeof out);
	gns_text_verdict(out, 0, &s, NULL);
	cr_assert_eq(out[0], 'x');
	for (size_t size = 1; size <= strlen(whole); size++) {
		memset(out, 'x', sizeof out);
		gns_text_verdict(out, size, &s, NULL);
		cr_assert(strlen(out) == size - 1 && strncmp(whole, out, size - 1) == 0 && out[size] == 'x');
	}
}

/* ---- trend ---- */

static enum gns_direction direction(struct gns_ratio last, struct gns_ratio before)
{
	return gns_direction_of(&last, &before);
}

static struct gns_ratio known(double value, double lo, double hi)
{
	return (struct gns_ratio){value, lo, hi, true, 50};
}

Test(trend, the_difference_and_not_the_overlap_decides)
{
	/* Both +-10: the difference has +-sqrt(200) = 14.142, so 114.2 against 100 has risen although the intervals overlap. */
	cr_expect_eq(direction(known(114.2, 104.2, 124.2), known(100, 90, 110)), GNS_RISING);
	cr_expect_eq(direction(known(114.1, 104.1, 124.1), known(100, 90, 110)), GNS_STEADY);
	cr_expect_eq(direction(known(100, 90, 110), known(114.2, 104.2, 124.2)), GNS_FALLING);
	cr_expect_eq(direction(known(100, 90, 110), known(114.1, 104.1, 124.1)), GNS_STEADY);
	/* Lopsided: downwards only the lower limit of the last and the upper of the one before count. 3-4-5. */
	cr_expect_eq(direction(known(105.1, 102.1, 999), known(100, 0, 104)), GNS_RISING);
	cr_expect_eq(direction(known(104.9, 101.9, 999), known(100, 0, 104)), GNS_STEADY);
	struct gns_ratio open = {NAN, 500, NAN, false, 50};
	cr_expect_eq(direction(open, known(100, 90, 110)), GNS_RISING, "at least 500");
	cr_expect_eq(direction(open, known(400, 300, 501)), GNS_DIRECTION_UNKNOWN);
	cr_expect_eq(direction(known(100, 90, 110), open), GNS_FALLING);
	cr_expect_eq(direction(known(400, 300, 501), open), GNS_DIRECTION_UNKNOWN);
	cr_expect_eq(direction(open, open), GNS_DIRECTION_UNKNOWN);
	open.lo = NAN;
	cr_expect_eq(direction(open, known(100, 90, 110)), GNS_DIRECTION_UNKNOWN);
}

Test(trend, moving_is_outside_of_the_whole_interval_and_significant)
{
	struct gns_ratio whole = known(100, 80, 120), last = known(121, 118, 124), before = known(100, 98, 102);
	cr_expect(gns_trend_of(&last, &before, &whole).moving);
	last.value = 119;
	cr_expect(!gns_trend_of(&last, &before, &whole).moving, "within");
	cr_expect_eq(gns_trend_of(&last, &before, &whole).direction, GNS_RISING);
	last = known(121, 90, 150);
	cr_expect(!gns_trend_of(&last, &before, &whole).moving, "not significant");
	last = (struct gns_ratio){NAN, 121, NAN, false, 50};
	cr_expect(gns_trend_of(&last, &before, &whole).moving, "at least 121");
	last.lo = 119;
	cr_expect(!gns_trend_of(&last, &before, &whole).moving, "at least 119 may be within");
	last = known(121, 118, 124);
	last.count = 9;
	cr_expect_eq(gns_trend_of(&last, &before, &whole).direction, GNS_DIRECTION_UNKNOWN, "too few steps");
}
