/* The rules by their numbers, and the adaptive batch. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "gnscope/scaling.h"

static void near(double got, double want, double rel)
{
	cr_assert(fabs(got - want) <= rel * fabs(want), "got %.17g, want %.17g", got, want);
}

#define NOISE {1000, 500, 2000, true, 100} /* clang takes no variable where a constant is asked for */
static const struct gns_ratio noise = NOISE;
static const struct gns_scaling_in base = {.optimizer = "SGD", .from = 250, .to = 1000, .lr = 0.1, .beta1 = 0.9, .beta2 = 0.999,
					   .eps = 1e-8, .weight_decay = 0.01, .ema = 0.999, .b_noise = NOISE, .b_crit = NOISE};

static const struct gns_scaling *find(const struct gns_scaling *s, size_t n, const char *what, const char *rule)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(s[i].what, what) == 0 && strcmp(s[i].rule, rule) == 0)
			return &s[i];
	return NULL;
}

Test(scaling, optimizers)
{
	cr_assert(gns_optimizer_of("SGD") == GNS_OPT_SGD && gns_optimizer_of("torch.optim.AdamW") == GNS_OPT_ADAM);
	cr_assert(gns_optimizer_of("") == GNS_OPT_UNTOLD && gns_optimizer_of("Lion") == GNS_OPT_SIGN);
	cr_assert(gns_optimizer_of("SignSGD") == GNS_OPT_SIGN && gns_optimizer_of("Muon") == GNS_OPT_UNKNOWN);
	cr_assert(gns_optimizer_of("RMSprop") == GNS_OPT_ADAM && gns_optimizer_of("Adafactor") == GNS_OPT_UNKNOWN);
	/* A known name in an unknown one is no knowledge. */
	static const char *const others[] = {"MuonWithAuxAdam", "AdamAtan2", "MySGD", "SGDR", "Adam ", "torch.optim", "LionHeart", "AdaBelief"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_assert_eq(gns_optimizer_of(others[i]), GNS_OPT_UNKNOWN, "%s", others[i]);
}

Test(scaling, sgd)
{
	struct gns_scaling s[GNS_SCALING_MAX];
	size_t n = gns_scaling_rules(&base, s);
	cr_assert(strstr(find(s, n, "lr", "linear")->note, "no answer") && isnan(find(s, n, "lr", "linear")->value)); /* 1,000 is B_crit */
	const struct gns_scaling *by_noise = find(s, n, "lr", "noise");
	near(by_noise->value, 0.1 * 5 / 2, 1e-15); /* 1/(1 + 1000/250) to 1/(1 + 1) */
	near(by_noise->lo, 0.1 * 3 / 1.5, 1e-15);
	near(by_noise->hi, 0.1 * 9 / 3, 1e-15);
	near(find(s, n, "ema", "ema")->value, pow(0.999, 4), 1e-15);
	cr_assert(!find(s, n, "lr", "square root") && !find(s, n, "beta2", "half-life") && !find(s, n, "weight_decay", "timescale"));
}

/* B_crit 1,000 with limits 500 and 2,000: where linear rules end. */
Test(scaling, below_b_crit_alone)
{
	static const struct { double from, to; bool answer; const char *said; } cases[] = {
		{100, 499, true, ""}, {100, 500, true, "within the limits"}, {999, 100, true, "within the limits"},
		{250, 1000, false, "no answer"}, {250, 25000, false, "no answer"}, {4000, 250, false, "no answer"},
	};
	struct gns_scaling s[GNS_SCALING_MAX];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (int adamw = 0; adamw < 2; adamw++) {
			struct gns_scaling_in in = base;
			in.from = cases[i].from;
			in.to = cases[i].to;
			in.optimizer = adamw ? "AdamW" : "SGD";
			size_t n = gns_scaling_rules(&in, s);
			const struct gns_scaling *rule = adamw ? find(s, n, "weight_decay", "timescale") : find(s, n, "lr", "linear");
			cr_assert_eq(isfinite(rule->value), cases[i].answer, "%g to %g", in.from, in.to);
			cr_assert_eq(isfinite(rule->factor), cases[i].answer);
			if (cases[i].answer)
				near(rule->value, (adamw ? 0.01 : 0.1) * in.to / in.from, 1e-14);
			cr_assert(strstr(rule->note, cases[i].said), "%g to %g: %s", in.from, in.to, rule->note);
			cr_assert(*cases[i].said || !strstr(rule->note, "limits"));
		}
	}
	struct gns_scaling_in open = base;
	open.b_crit = (struct gns_ratio){NAN, 300, NAN, false, 100};
	size_t n = gns_scaling_rules(&open, s);
	cr_assert(isfinite(find(s, n, "lr", "linear")->value) && strstr(find(s, n, "lr", "linear")->note, "not known"));
	open.b_crit.lo = 1001;
	n = gns_scaling_rules(&open, s);
	cr_assert(isfinite(find(s, n, "lr", "linear")->value) && !strstr(find(s, n, "lr", "linear")->note, "not known"));
}

Test(scaling, adam)
{
	struct gns_scaling s[GNS_SCALING_MAX];
	struct gns_scaling_in in = base;
	in.optimizer = "AdamW";
	in.b_crit = (struct gns_ratio){9000, 8000, 10000, true, 100};
	size_t n = gns_scaling_rules(&in, s);
	cr_assert(!find(s, n, "lr", "linear") && !find(s, n, "lr", "noise"));
	near(find(s, n, "lr", "square root")->value, 0.2, 1e-15);
	/* 2 e/(sqrt(Bn/B) + sqrt(B/Bn)) is largest, e, at B = Bn. */
	near(find(s, n, "lr", "surge")->value, 0.1 * 1 / (2 / (2 + 0.5)), 1e-14);
	near(find(s, n, "beta1", "sde")->value, 0.6, 1e-14);
	near(find(s, n, "beta2", "sde")->value, 0.996, 1e-15);
	near(find(s, n, "eps", "sde")->value, 5e-9, 1e-15);
	near(find(s, n, "beta2", "half-life")->value, 0.999 * 0.999 * 0.999 * 0.999, 1e-14);
	near(find(s, n, "weight_decay", "timescale")->value, 0.04, 1e-15);
	in.to = 5000; /* kappa 20: 1 - 20 * 0.1 is below zero */
	n = gns_scaling_rules(&in, s);
	cr_assert(isnan(find(s, n, "beta1", "sde")->value) && strstr(find(s, n, "beta1", "sde")->note, "too large"));
	in.b_noise = (struct gns_ratio){NAN, 900, NAN, false, 10};
	n = gns_scaling_rules(&in, s);
	cr_assert(isnan(find(s, n, "lr", "surge")->value) && strstr(find(s, n, "lr", "surge")->note, "unresolved"));
	in.lr = NAN;
	n = gns_scaling_rules(&in, s);
	cr_assert(isnan(find(s, n, "lr", "square root")->value));
	near(find(s, n, "lr", "square root")->factor, sqrt(20), 1e-15);
}

Test(scaling, optimizer_that_is_not_told_gets_all_side_by_side)
{
	struct gns_scaling s[GNS_SCALING_MAX];
	struct gns_scaling_in in = base;
	in.optimizer = "";
	size_t n = gns_scaling_rules(&in, s);
	cr_assert(find(s, n, "lr", "linear") && find(s, n, "lr", "noise") && find(s, n, "lr", "square root") && find(s, n, "lr", "surge"));
	cr_assert(n <= GNS_SCALING_MAX);
	in.optimizer = "MuonWithAuxAdam";
	cr_assert_eq(gns_scaling_rules(&in, s), 0);
	in.optimizer = "";
	in.to = in.from; /* the same batch: nothing changes */
	n = gns_scaling_rules(&in, s);
	for (size_t i = 0; i < n; i++)
		near(s[i].value, s[i].now, 1e-15);
	in.to = 0;
	cr_assert_eq(gns_scaling_rules(&in, s), 0);
}

/* The test by its own words: sums over samples of a quadratic loss, theta^2 |mean|^2 against variance/n. */
Test(scaling, norm_test)
{
	const double g2 = 2, s2 = 2000;
	for (double n = 10; n < 1e5; n *= 3)
		for (double theta = 0.1; theta <= 1; theta += 0.1) {
			const double q = g2 + s2 / n, needed = s2 / (theta * theta * q); /* S/n <= theta^2 Q */
			const struct gns_interval got = gns_norm_test_batch(&noise, n, theta);
			near(got.value, needed, 1e-12);
			cr_assert((got.value <= n) == (s2 / n <= theta * theta * q), "n %g, theta %g", n, theta);
			cr_assert(got.lo < got.value && got.value < got.hi);
			near(got.lo, 500 * n / (theta * theta * (n + 500)), 1e-12);
		}
	near(gns_norm_test_batch(&(struct gns_ratio){275, 275, 275, true, 9}, 64, 1).value, 51.92, 1e-3);
	const struct gns_ratio open = {NAN, 300, NAN, false, 10};
	const struct gns_interval got = gns_norm_test_batch(&open, 64, 0.5);
	cr_assert(isnan(got.value));
	near(got.hi, 256, 1e-15); /* all noise */
	cr_assert(isnan(gns_norm_test_batch(&noise, 64, 0).value));
}

/* B_noise = 10 sqrt(s) over s in (0, 1]: gamma = 24/25. */
Test(scaling, adaptive_schedule)
{
	enum { N = 20000 };
	static double b[N], steps[N];
	struct gns_schedule s;
	for (int i = 0; i < N; i++) {
		b[i] = 10 * sqrt((i + 0.5) / N);
		steps[i] = gns_steps_factor(5, b[i]); /* so that every dS_min is one */
	}
	cr_assert_eq(gns_adaptive_schedule(b, steps, N, 5, &s), 0);
	near(s.gain, 0.96, 1e-6);
	/* As many steps by its own B(s): S = sum of dS_min (1 + B_noise/B). */
	double fixed = 0, adaptive = 0, e_fixed = 0, e_adaptive = 0;
	for (int i = 0; i < N; i++) {
		double batch = sqrt(s.x * b[i]);
		fixed += steps[i];
		e_fixed += steps[i] * 5;
		adaptive += gns_steps_factor(batch, b[i]);
		e_adaptive += gns_steps_factor(batch, b[i]) * batch;
	}
	near(adaptive, fixed, 1e-9);
	near(s.samples, e_adaptive / e_fixed, 1e-9);
	cr_assert(s.samples < 1 && s.first < s.last);
	for (int i = 0; i < N; i++)
		b[i] = 100;
	cr_assert_eq(gns_adaptive_schedule(b, steps, N, 32, &s), 0);
	near(s.gain, 1, 1e-12); /* constant noise: nothing to gain */
	near(s.first, 32, 1e-12);
	near(s.samples, 1, 1e-12);
	cr_assert_eq(gns_adaptive_schedule(b, steps, 1, 32, &s), -ENODATA);
	b[3] = NAN;
	cr_assert_eq(gns_adaptive_schedule(b, steps, N, 32, &s), -EINVAL);
}
