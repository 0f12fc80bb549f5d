/* Published rules, one function each. */
#include "gnscope/scaling.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum gns_optimizer_kind gns_optimizer_of(const char *name)
{
	static const struct { const char *part; enum gns_optimizer_kind kind; } known[] = {
		{"signsgd", GNS_OPT_SIGN}, {"lion", GNS_OPT_SIGN}, {"signum", GNS_OPT_SIGN}, {"adafactor", GNS_OPT_UNKNOWN},
		{"adadelta", GNS_OPT_UNKNOWN}, {"adagrad", GNS_OPT_UNKNOWN}, {"adam", GNS_OPT_ADAM}, {"rmsprop", GNS_OPT_ADAM},
		{"lamb", GNS_OPT_UNKNOWN}, {"lars", GNS_OPT_UNKNOWN}, {"sgd", GNS_OPT_SGD},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcasestr(name, known[i].part))
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
	*s = (struct gns_scaling){.what = what, .rule = rule, .formula = formula, .paper = paper, .note = note, .checked = true,
				  .now = NAN, .factor = NAN, .value = NAN, .lo = NAN, .hi = NAN};
	return s;
}

static void times(struct gns_scaling *s, double now, double factor)
{
	s->now = now;
	s->factor = factor;
	s->value = now * factor;
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
		s->note = "B_noise is unresolved: no answer";
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
		bool beyond = in->b_crit.hi < fmax(in->from, in->to);
		times(add(r, "lr", "linear", "lr kappa", "Goyal et al. 2017",
			  beyond ? "SGD; one of the batches is beyond B_crit, where it asks too much" : "SGD, well below B_crit"),
		      in->lr, r->kappa);
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
	s->checked = false;
	s->now = beta;
	s->value = value > 0 && value < 1 ? value : (double)NAN;
	if (value <= 0)
		s->note = "beside the square root rule; no answer: kappa is too large for it";
}

static void moments(struct rules *r)
{
	const struct gns_scaling_in *in = r->in;
	struct gns_scaling *s;
	sde_beta(r, "beta1", in->beta1);
	sde_beta(r, "beta2", in->beta2);
	s = add(r, "eps", "sde", "eps/sqrt(kappa)", "Malladi et al. 2022", "beside the square root rule");
	s->checked = false;
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
	times(add(r, "weight_decay", "timescale", "lambda kappa", "Bergsma et al. 2025", "AdamW, below B_crit, the learning rate unchanged"),
	      in->weight_decay, r->kappa);
	times(add(r, "weight_decay", "timescale", "lambda sqrt(kappa)", "Bergsma et al. 2025",
		  "AdamW, below B_crit, the learning rate by the square root rule"), in->weight_decay, sqrt(r->kappa));
}

size_t gns_scaling_rules(const struct gns_scaling_in *in, struct gns_scaling out[GNS_SCALING_MAX])
{
	struct rules r = {in, in->to / in->from, out, 0};
	enum gns_optimizer_kind kind = gns_optimizer_of(in->optimizer);
	bool unknown = kind == GNS_OPT_UNKNOWN;
	if (!(in->from > 0) || !(in->to > 0) || !isfinite(r.kappa))
		return 0;
	rates(&r, kind == GNS_OPT_SGD || unknown, kind != GNS_OPT_SGD);
	if (kind == GNS_OPT_ADAM || unknown)
		moments(&r);
	struct gns_scaling *s = add(&r, "ema", "ema", "rho^kappa", "Busbridge et al. 2023", "a running average of the weights, where one is kept");
	s->now = in->ema;
	s->value = pow(in->ema, r.kappa);
	if (unknown || strcasecmp(in->optimizer, "AdamW") == 0)
		decay(&r);
	return r.n;
}

struct gns_ratio gns_norm_test_batch(const struct gns_ratio *b_noise, double theta)
{
	struct gns_ratio out = *b_noise;
	double scale = theta > 0 ? 1 / (theta * theta) : (double)NAN;
	out.value *= scale;
	out.lo *= scale;
	out.hi *= scale;
	return out;
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
