/* Published rules, one function each. */
#include "gnscope/scaling.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Without its module. */
static const char *class_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot ? dot + 1 : name;
}

enum gns_optimizer_kind gns_optimizer_of(const char *name)
{
	static const struct { const char *name; enum gns_optimizer_kind kind; } known[] = {
		{"SGD", GNS_OPT_SGD}, {"FusedSGD", GNS_OPT_SGD}, {"SGD8bit", GNS_OPT_SGD}, {"SGD32bit", GNS_OPT_SGD},
		{"Adam", GNS_OPT_ADAM}, {"AdamW", GNS_OPT_ADAM}, {"NAdam", GNS_OPT_ADAM}, {"RAdam", GNS_OPT_ADAM}, {"Adamax", GNS_OPT_ADAM},
		{"SparseAdam", GNS_OPT_ADAM}, {"RMSprop", GNS_OPT_ADAM}, {"FusedAdam", GNS_OPT_ADAM}, {"FusedAdamW", GNS_OPT_ADAM},
		{"DeepSpeedCPUAdam", GNS_OPT_ADAM}, {"Adam8bit", GNS_OPT_ADAM}, {"AdamW8bit", GNS_OPT_ADAM}, {"Adam32bit", GNS_OPT_ADAM},
		{"AdamW32bit", GNS_OPT_ADAM}, {"PagedAdam", GNS_OPT_ADAM}, {"PagedAdamW", GNS_OPT_ADAM}, {"PagedAdam8bit", GNS_OPT_ADAM},
		{"PagedAdamW8bit", GNS_OPT_ADAM}, {"PagedAdamW32bit", GNS_OPT_ADAM},
		{"Lion", GNS_OPT_SIGN}, {"Lion8bit", GNS_OPT_SIGN}, {"SignSGD", GNS_OPT_SIGN}, {"Signum", GNS_OPT_SIGN},
	};
	if (!*name)
		return GNS_OPT_UNTOLD;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcasecmp(class_of(name), known[i].name) == 0)
			return known[i].kind;
	return GNS_OPT_UNKNOWN;
}

struct rules {
	const struct gns_scaling_in *in;
	double kappa;
	struct gns_scaling *out;
	size_t n;
};

static struct gns_scaling *add(struct rules *r, const char *what, const char *rule, const char *formula, const char *paper, const char *note)
{
	struct gns_scaling *s = &r->out[r->n++];
	*s = (struct gns_scaling){.what = what, .rule = rule, .formula = formula, .paper = paper,
				  .now = NAN, .factor = NAN, .value = NAN, .lo = NAN, .hi = NAN};
	snprintf(s->note, sizeof s->note, "%s", note);
	return s;
}

static void times(struct gns_scaling *s, double now, double factor)
{
	s->now = now;
	s->factor = factor;
	s->value = now * factor;
}

/* A rule that holds below B_crit alone. */
static void times_below(const struct rules *r, struct gns_scaling *s, double now, double factor)
{
	const struct gns_ratio *crit = &r->in->b_crit;
	const double larger = fmax(r->in->from, r->in->to);
	const size_t said = strlen(s->note);
	char *more = s->note + said;
	const size_t room = sizeof s->note - said;
	s->now = now;
	if (crit->resolved && larger >= crit->value) {
		snprintf(more, room, "; no answer: batch %.0f is not below B_crit, %.0f", larger, crit->value);
		return;
	}
	times(s, now, factor);
	if (crit->resolved && larger >= crit->lo)
		snprintf(more, room, "; batch %.0f is within the limits of B_crit, %.0f to %.0f", larger, crit->lo, crit->hi);
	else if (!crit->resolved && !(crit->lo > larger))
		snprintf(more, room, "; B_crit is unresolved, so whether it holds is not known");
}

static double noise_factor(double from, double to, double b_noise)
{
	return gns_lr_factor(to, b_noise) / gns_lr_factor(from, b_noise);
}

static double surge_factor(double from, double to, double b_noise)
{
	return (sqrt(b_noise / from) + sqrt(from / b_noise)) / (sqrt(b_noise / to) + sqrt(to / b_noise));
}

/* A factor that depends on B_noise, over its interval. Both are kappa or its root times (Bn + B)/(Bn + B'), which moves one way with Bn: the
 * extremes are at the ends. */
static void by_noise(struct rules *r, struct gns_scaling *s, double (*factor)(double, double, double))
{
	const struct gns_ratio *noise = &r->in->b_noise;
	if (!noise->resolved || !(noise->value > 0)) {
		s->now = r->in->lr;
		snprintf(s->note, sizeof s->note, "B_noise of now is unresolved: no answer");
		return;
	}
	times(s, r->in->lr, factor(r->in->from, r->in->to, noise->value));
	if (!(noise->lo > 0))
		return;
	double a = factor(r->in->from, r->in->to, noise->lo), b = factor(r->in->from, r->in->to, noise->hi);
	s->lo = r->in->lr * fmin(a, b);
	s->hi = r->in->lr * fmax(a, b);
}

static void rates(struct rules *r, bool sgd, bool adam)
{
	const struct gns_scaling_in *in = r->in;
	if (sgd) {
		times_below(r, add(r, "lr", "linear", "lr kappa", "Goyal et al. 2017", "SGD, below B_crit"), in->lr, r->kappa);
		by_noise(r, add(r, "lr", "noise", "lr (1 + Bn/B)/(1 + Bn/B')", "McCandlish et al. 2018", "SGD"), noise_factor);
	}
	if (adam) {
		times(add(r, "lr", "square root", "lr sqrt(kappa)", "Malladi et al. 2022", "Adam and its kin, sign-like"), in->lr, sqrt(r->kappa));
		by_noise(r, add(r, "lr", "surge", "lr (sqrt(Bn/B) + sqrt(B/Bn))/(sqrt(Bn/B') + sqrt(B'/Bn))", "Li et al. 2024",
				"Adam and its kin, sign-like; its Bn is not exactly B_noise"), surge_factor);
	}
}

/* 1 - kappa (1 - beta), which has no answer once it is not positive. */
static void sde_beta(struct rules *r, const char *what, double beta)
{
	struct gns_scaling *s = add(r, what, "sde", "1 - kappa (1 - beta)", "Malladi et al. 2022", "beside the square root rule");
	double value = 1 - r->kappa * (1 - beta);
	s->now = beta;
	s->value = value > 0 && value < 1 ? value : (double)NAN;
	if (value <= 0)
		snprintf(s->note, sizeof s->note, "beside the square root rule; no answer: kappa is too large for it");
}

static void moments(struct rules *r)
{
	const struct gns_scaling_in *in = r->in;
	struct gns_scaling *s;
	sde_beta(r, "beta1", in->beta1);
	sde_beta(r, "beta2", in->beta2);
	s = add(r, "eps", "sde", "eps/sqrt(kappa)", "Malladi et al. 2022", "beside the square root rule");
	times(s, in->eps, 1 / sqrt(r->kappa));
	s = add(r, "beta2", "half-life", "beta2^kappa", "Marek et al. 2025", "the same half-life in samples");
	s->now = in->beta2;
	s->value = pow(in->beta2, r->kappa);
}

static void decay(struct rules *r)
{
	const struct gns_scaling_in *in = r->in;
	if (in->weight_decay == 0)
		return;
	times_below(r, add(r, "weight_decay", "timescale", "lambda kappa", "Bergsma et al. 2025", "AdamW, below B_crit, the learning rate unchanged"),
		    in->weight_decay, r->kappa);
	times_below(r, add(r, "weight_decay", "timescale", "lambda sqrt(kappa)", "Bergsma et al. 2025",
			   "AdamW, below B_crit, the learning rate by the square root rule"), in->weight_decay, sqrt(r->kappa));
}

size_t gns_scaling_rules(const struct gns_scaling_in *in, struct gns_scaling out[GNS_SCALING_MAX])
{
	struct rules r = {in, in->to / in->from, out, 0};
	enum gns_optimizer_kind kind = gns_optimizer_of(in->optimizer);
	bool untold = kind == GNS_OPT_UNTOLD;
	if (!(in->from > 0) || !(in->to > 0) || !isfinite(r.kappa) || kind == GNS_OPT_UNKNOWN)
		return 0;
	rates(&r, kind == GNS_OPT_SGD || untold, kind != GNS_OPT_SGD);
	if (kind == GNS_OPT_ADAM || untold)
		moments(&r);
	struct gns_scaling *s = add(&r, "ema", "ema", "rho^kappa", "Busbridge et al. 2023", "a running average of the weights, where one is kept");
	s->now = in->ema;
	s->value = pow(in->ema, r.kappa);
	if (untold || strcasecmp(class_of(in->optimizer), "AdamW") == 0)
		decay(&r);
	return r.n;
}

struct gns_interval gns_norm_test_batch(const struct gns_ratio *b_noise, double n, double theta)
{
	const double most = theta > 0 && n > 0 ? n / (theta * theta) : (double)NAN;
	const double at[3] = {b_noise->resolved ? b_noise->value : (double)NAN, b_noise->lo > 0 ? b_noise->lo : 0, b_noise->hi};
	return (struct gns_interval){most * at[0] / (n + at[0]), most * at[1] / (n + at[1]), isfinite(at[2]) ? most * at[2] / (n + at[2]) : most};
}

/* With dS_min = steps/(1 + B_noise/batch): S = S_min + sum sqrt(B_noise/x) dS_min is as large as S_min + sum B_noise/batch dS_min at
 * sqrt(x) = batch sum sqrt(B_noise) dS_min / sum B_noise dS_min; E = E_min + sqrt(x) sum sqrt(B_noise) dS_min. */
int gns_adaptive_schedule(const double *b_noise, const double *steps, size_t n, double batch, struct gns_schedule *out)
{
	double s = 0, e = 0, root = 0, total = 0;
	*out = (struct gns_schedule){NAN, NAN, NAN, NAN, NAN};
	if (n < 2)
		return -ENODATA;
	for (size_t i = 0; i < n; i++) {
		if (!(b_noise[i] > 0) || !(steps[i] > 0) || !(batch > 0) || !isfinite(b_noise[i]) || !isfinite(steps[i]))
			return -EINVAL;
		double ds = steps[i] / gns_steps_factor(batch, b_noise[i]);
		s += ds;
		e += b_noise[i] * ds;
		root += sqrt(b_noise[i]) * ds;
		total += steps[i];
	}
	double sqrt_x = batch * root / e;
	out->x = sqrt_x * sqrt_x;
	out->gain = root / s * (root / e);
	out->samples = (e + sqrt_x * root) / (total * batch);
	out->first = sqrt_x * sqrt(b_noise[0]);
	out->last = sqrt_x * sqrt(b_noise[n - 1]);
	return 0;
}
