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
	cr_assert(gns_optimizer_of("") == GNS_OPT_UNKNOWN && gns_optimizer_of("Lion") == GNS_OPT_SIGN);
	cr_assert(gns_optimizer_of("SignSGD") == GNS_OPT_SIGN && gns_optimizer_of("Muon") == GNS_OPT_UNKNOWN);
	cr_assert(gns_optimizer_of("RMSprop") == GNS_OPT_ADAM && gns_optimizer_of("Adafactor") == GNS_OPT_UNKNOWN);
}

Test(scaling, sgd)
{
	struct gns_scaling s[GNS_SCALING_MAX];
	size_t n = gns_scaling_rules(&base, s);
	near(find(s, n, "lr", "linear")->value, 0.4, 1e-15);
	cr_assert(strstr(find(s, n, "lr", "linear")->note, "beyond") == NULL);
	const struct gns_scaling *by_noise = find(s, n, "lr", "noise");
	near(by_noise->value, 0.1 * 5 / 2, 1e-15); /* 1/(1 + 1000/250) to 1/(1 + 1) */
	near(by_noise->lo, 0.1 * 3 / 1.5, 1e-15);
	near(by_noise->hi, 0.1 * 9 / 3, 1e-15);
	near(find(s, n, "ema", "ema")->value, pow(0.999, 4), 1e-15);
	cr_assert(!find(s, n, "lr", "square root") && !find(s, n, "beta2", "half-life") && !find(s, n, "weight_decay", "timescale"));
	struct gns_scaling_in in = base;
	in.to = 8000;
	n = gns_scaling_rules(&in, s);
	cr_assert(strstr(find(s, n, "lr", "linear")->note, "beyond"));
}

Test(scaling, adam)
{
	struct gns_scaling s[GNS_SCALING_MAX];
	struct gns_scaling_in in = base;
	in.optimizer = "AdamW";
	size_t n = gns_scaling_rules(&in, s);
	cr_assert(!find(s, n, "lr", "linear") && !find(s, n, "lr", "noise"));
	near(find(s, n, "lr", "square root")->value, 0.2, 1e-15);
	/* 2 e/(sqrt(Bn/B) + sqrt(B/Bn)) is largest, e, at B = Bn. */
	near(find(s, n, "lr", "surge")->value, 0.1 * 1 / (2 / (2 + 0.5)), 1e-14);
	near(find(s, n, "beta1", "sde")->value, 0.6, 1e-14);
	near(find(s, n, "beta2", "sde")->value, 0.996, 1e-15);
	near(find(s, n, "eps", "sde")->value, 5e-9, 1e-15);
	cr_assert(!find(s, n, "beta1", "sde")->checked && find(s, n, "lr", "square root")->checked);
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

Test(scaling, unknown_optimizer_gets_all_side_by_side)
{
	struct gns_scaling s[GNS_SCALING_MAX];
	struct gns_scaling_in in = base;
	in.optimizer = "";
	size_t n = gns_scaling_rules(&in, s);
	cr_assert(find(s, n, "lr", "linear") && find(s, n, "lr", "noise") && find(s, n, "lr", "square root") && find(s, n, "lr", "surge"));
	cr_assert(n <= GNS_SCALING_MAX);
	in.to = in.from; /* the same batch: nothing changes */
	n = gns_scaling_rules(&in, s);
	for (size_t i = 0; i < n; i++)
		near(s[i].value, s[i].now, 1e-15);
	in.to = 0;
	cr_assert_eq(gns_scaling_rules(&in, s), 0);
}

Test(scaling, norm_test)
{
	struct gns_ratio next = gns_norm_test_batch(&noise, 0.5);
	cr_assert(next.value == 4000 && next.lo == 2000 && next.hi == 8000 && next.resolved);
	cr_assert(isnan(gns_norm_test_batch(&noise, 0).value));
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
