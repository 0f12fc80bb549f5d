/* The hyperbola through runs: maximum likelihood, censored runs included, and limits by the profile. */
#include "gnscope/fit.h"

#include <cminpack.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "profiler/estimate/choose.h"
#include "profiler/estimate/distribution.h"
#include "profiler/estimate/variance.h"

#define LAW_LEVEL 0.01     /* of the tests that say the law fails */
#define SCATTER_LEVEL 0.1  /* of the test that takes the scatter of batches */
#define FAR 12.0           /* in log B_crit beyond the batches tried: there the law is a straight line, and nothing changes any more */
#define EXACT 1e-9         /* scatter of log steps below which the points lie on the law */

/* ln S = ln(e^a + e^(e - ln B)), a = ln S_min, e = ln E_min. One of the three may be held: its curve then has one parameter. */
enum held { HELD_NONE, HELD_A, HELD_E, HELD_C };

struct problem {
	size_t n;
	double *log_b, *log_s;
	bool *censored;
	double sigma;
	enum held held;
	double value; /* of what is held */
	double *work; /* residuals, Jacobian and lmder1's own */
	int *pivot;
};

struct law { double a, e; };

static struct law law_of(const struct problem *p, const double *x)
{
	switch (p->held) {
	case HELD_A: return (struct law){p->value, x[0]};
	case HELD_E: return (struct law){x[0], p->value};
	case HELD_C: return (struct law){x[0], x[0] + p->value};
	default: return (struct law){x[0], x[1]};
	}
}

/* ln S at a batch, and the share of S that is S_min. */
static double log_steps(struct law law, double log_b, double *share)
{
	double far = law.e - log_b - law.a;
	*share = 1 / (1 + exp(far));
	return law.a + (far > 0 ? far + log1p(exp(-far)) : log1p(exp(far)));
}

/* A residual whose square is the run's deviance, and its derivative by ln S of the law. */
static double residual(const struct problem *p, size_t i, double mu, double *slope)
{
	double z = (mu - p->log_s[i]) / p->sigma;
	if (!p->censored[i]) {
		*slope = 1 / p->sigma;
		return z;
	}
	double root = sqrt(-2 * gns_log_normal_cdf(z));
	*slope = root > 1e-150 ? -gns_normal_hazard(z) / (p->sigma * root) : 0;
	return root;
}

static int evaluate(void *arg, int m, int n, const double *x, double *f, double *jacobian, int ld, int flag)
{
	struct problem *p = arg;
	struct law law = law_of(p, x);
	for (int i = 0; i < m; i++) {
		double share, slope, r = residual(p, (size_t)i, log_steps(law, p->log_b[i], &share), &slope);
		if (flag == 1) {
			f[i] = r;
		} else if (p->held == HELD_NONE) {
			jacobian[i] = slope * share;
			jacobian[i + ld] = slope * (1 - share);
		} else {
			jacobian[i] = slope * (p->held == HELD_A ? 1 - share : p->held == HELD_E ? share : 1);
		}
	}
	return 0;
}

/* The least deviance from `start` on, which is moved there. */
static double minimise(struct problem *p, enum held held, double value, struct law *start)
{
	int m = (int)p->n, n = held == HELD_NONE ? 2 : 1;
	double x[2] = {held == HELD_A ? start->e : start->a, start->e}, sum = 0;
	double *f = p->work, *jacobian = f + p->n, *own = jacobian + 2 * p->n;
	p->held = held;
	p->value = value;
	lmder1(evaluate, p, m, n, x, f, jacobian, m, 1e-15, p->pivot, own, 5 * n + m);
	*start = law_of(p, x);
	evaluate(p, m, n, x, f, NULL, m, 1);
	for (int i = 0; i < m; i++)
		sum += f[i] * f[i];
	return sum;
}

/* The best of a grid of B_crit, censored runs taken as if they had reached: a start from which the minimum is downhill. */
static struct law first_guess(const struct problem *p)
{
	struct law best = {0, 0};
	double least = INFINITY, lo = INFINITY, hi = -INFINITY;
	for (size_t i = 0; i < p->n; i++) {
		lo = fmin(lo, p->log_b[i]);
		hi = fmax(hi, p->log_b[i]);
	}
	for (double c = lo - 5; c <= hi + 5; c += 0.25) {
		double sum = 0, squares = 0, share;
		for (size_t i = 0; i < p->n; i++) {
			double d = p->log_s[i] - log_steps((struct law){0, c}, p->log_b[i], &share);
			sum += d;
			squares += d * d;
		}
		double mean = sum / (double)p->n, left = squares - mean * sum;
		if (left < least) {
			least = left;
			best = (struct law){mean, mean + c};
		}
	}
	return best;
}

/* ---- sigma ---- */

/* Derivative of the likelihood by ln sigma at its best law, two degrees of freedom taken off for the law. */
static double sigma_score(struct problem *p, double log_sigma, struct law *law, double free)
{
	double score = -free, share;
	p->sigma = exp(log_sigma);
	minimise(p, HELD_NONE, 0, law);
	for (size_t i = 0; i < p->n; i++) {
		double z = (log_steps(*law, p->log_b[i], &share) - p->log_s[i]) / p->sigma;
		score += p->censored[i] ? -z * gns_normal_hazard(z) : z * z;
	}
	return score;
}

typedef double (*function)(void *arg, double x);

/* A root between lo and hi, where f has signs that differ: regula falsi, Illinois variant (Dowell and Jarratt 1971). */
static double root_between(function f, void *arg, double lo, double f_lo, double hi, double f_hi)
{
	double x = hi;
	int side = 0;
	for (int i = 0; i < 100 && fabs(hi - lo) > 1e-9; i++) {
		x = (lo * f_hi - hi * f_lo) / (f_hi - f_lo);
		double y = f(arg, x);
		if (y == 0)
			break;
		if ((y > 0) == (f_hi > 0)) {
			f_lo *= side == 1 ? 0.5 : 1;
			hi = x;
			f_hi = y;
			side = 1;
		} else {
			f_hi *= side == -1 ? 0.5 : 1;
			lo = x;
			f_lo = y;
			side = -1;
		}
		if (fabs(y) < 1e-9)
			break;
	}
	return x;
}

struct score_of { struct problem *p; struct law *law; double free; };
static double score_at(void *arg, double log_sigma)
{
	struct score_of *s = arg;
	return sigma_score(s->p, log_sigma, s->law, s->free);
}

static void find_sigma(struct problem *p, struct law *law, double free, bool any_censored)
{
	p->sigma = 1;
	double sum = minimise(p, HELD_NONE, 0, law);
	if (!any_censored) {
		p->sigma = sqrt(sum / free);
		return;
	}
	struct score_of s = {p, law, free};
	double lo = log(0.02), hi = log(2), f_lo = score_at(&s, lo), f_hi;
	while (f_lo < 0 && lo > log(EXACT / 2))
		f_lo = score_at(&s, lo -= 2);
	if (f_lo < 0) {
		p->sigma = exp(lo);
		return;
	}
	f_hi = score_at(&s, hi);
	while (f_hi > 0 && hi < 10)
		f_hi = score_at(&s, hi += 1);
	p->sigma = exp(f_hi > 0 ? hi : root_between(score_at, &s, lo, f_lo, hi, f_hi));
	minimise(p, HELD_NONE, 0, law);
}

/* ---- limits ---- */

struct profile {
	struct problem *p;
	enum held held;
	struct law at;
	double level; /* of the deviance */
};
static double profile_at(void *arg, double value)
{
	struct profile *s = arg;
	struct law start = s->at;
	if (s->held == HELD_C)
		start.e = start.a + value;
	return minimise(s->p, s->held, value, &start) - s->level;
}

/* The limit on one side of the best value, NaN when the profile stays below the level up to `end`. */
static double limit(struct profile *s, double best, double end)
{
	double sign = end > best ? 1 : -1, f_last = profile_at(s, best), last = best;
	if (f_last >= 0)
		return best;
	for (double step = 0.01; sign * (end - last) > 0; step *= 2) {
		double x = best + sign * step;
		x = sign * (x - end) > 0 ? end : x;
		double f = profile_at(s, x);
		if (f > 0)
			return root_between(profile_at, s, last, f_last, x, f);
		last = x;
		f_last = f;
	}
	return NAN;
}

static struct gns_interval interval(struct problem *p, enum held held, struct law best, double value, double level, double lo, double hi)
{
	struct profile s = {p, held, best, level};
	double low = limit(&s, value, lo), high = limit(&s, value, hi);
	return (struct gns_interval){exp(value), isnan(low) ? 0 : exp(low), exp(high)};
}

static void limits(struct problem *p, struct law law, double dof, struct gns_fit *out)
{
	double lo = INFINITY, hi = -INFINITY, c = law.e - law.a;
	for (size_t i = 0; i < p->n; i++) {
		lo = fmin(lo, p->log_b[i]);
		hi = fmax(hi, p->log_b[i]);
	}
	double level = minimise(p, HELD_NONE, 0, &law) + GNS_Z95 * GNS_Z95 * gns_small_sample(dof);
	lo = fmin(lo, c) - FAR;
	hi = fmax(hi, c) + FAR;
	out->b_crit = interval(p, HELD_C, law, c, level, lo, hi);
	out->s_min = interval(p, HELD_A, law, law.a, level, law.a - FAR - (hi - lo), law.a + FAR);
	out->e_min = interval(p, HELD_E, law, law.e, level, law.e - FAR - (hi - lo), law.e + FAR);
}

/* ---- does the law hold ---- */

struct between {
	double batches, runs; /* of batches that have no censored run */
	double ss_batches, ss_runs; /* of residuals: batch means, and runs about them */
	double ss_curve;      /* the part of ss_batches that a parabola in ln B takes */
};

/* Weighted sums of the batch means' residuals, of the law's two derivatives and of the parabola. */
static double dot(const double *w, const double *x, const double *y, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += w[i] * x[i] * y[i];
	return sum;
}

static void curvature(const double *w, const double *r, double *q, const double *share, const double *rest, size_t n, double *ss)
{
	double aa = dot(w, share, share, n), ab = dot(w, share, rest, n), bb = dot(w, rest, rest, n), det = aa * bb - ab * ab;
	double qa = dot(w, q, share, n), qb = dot(w, q, rest, n);
	*ss = 0;
	if (!(det > 1e-9 * aa * bb))
		return;
	for (size_t i = 0; i < n; i++)
		q[i] -= (qa * bb - qb * ab) / det * share[i] + (qb * aa - qa * ab) / det * rest[i];
	double qq = dot(w, q, q, n), qr = dot(w, q, r, n);
	if (qq > 0)
		*ss = qr * qr / qq;
}

static int scatter_between(const struct problem *p, struct law law, struct between *out)
{
	double *mem = calloc(5 * p->n, sizeof *mem);
	if (!mem)
		return -ENOMEM;
	double *w = mem, *r = w + p->n, *q = r + p->n, *share = q + p->n, *rest = share + p->n, middle = 0;
	size_t k = 0;
	*out = (struct between){0};
	for (size_t i = 0, j; i < p->n; i = j) {
		double sum = 0, squares = 0, mu = log_steps(law, p->log_b[i], &share[k]);
		bool whole = true;
		for (j = i; j < p->n && p->log_b[j] == p->log_b[i]; j++) {
			double d = p->log_s[j] - mu;
			sum += d;
			squares += d * d;
			whole &= !p->censored[j];
		}
		if (!whole)
			continue;
		w[k] = (double)(j - i);
		r[k] = sum / w[k];
		q[k] = p->log_b[i];
		rest[k] = 1 - share[k];
		out->runs += w[k];
		out->ss_batches += sum * r[k];
		out->ss_runs += fmax(0, squares - sum * r[k]);
		middle += q[k];
		k++;
	}
	for (size_t i = 0; i < k; i++)
		q[i] = (q[i] - middle / (double)k) * (q[i] - middle / (double)k);
	out->batches = (double)k;
	if (k >= 4)
		curvature(w, r, q, share, rest, k, &out->ss_curve);
	free(mem);
	return 0;
}

static void judge(const struct between *b, struct gns_fit *out)
{
	double within = b->runs - b->batches, free = b->batches - 2;
	double ms_runs = within > 0 ? b->ss_runs / within : (double)NAN, ms_batches = free > 0 ? b->ss_batches / free : (double)NAN;
	out->fit_p = out->curve_p = NAN;
	out->seed_sigma = sqrt(ms_runs);
	if (out->scatter == GNS_SCATTER_EXACT || out->scatter == GNS_SCATTER_NONE)
		return;
	out->fit_p = gns_f_tail(ms_batches / ms_runs, free, within);
	/* A parabola is judged by what it leaves of the batches, or, where seeds explain that, by all. */
	if (b->batches >= 4 && within > 0 && !(out->fit_p < SCATTER_LEVEL))
		out->curve_p = gns_f_tail(b->ss_curve * (b->runs - 3) / (b->ss_batches + b->ss_runs - b->ss_curve), 1, b->runs - 3);
	else if (b->batches >= 5)
		out->curve_p = gns_f_tail(b->ss_curve * (free - 1) / (b->ss_batches - b->ss_curve), 1, free - 1);
	out->law_fails = out->fit_p < LAW_LEVEL || out->curve_p < LAW_LEVEL;
	if (out->fit_p < SCATTER_LEVEL && free >= 2) {
		out->scatter = GNS_SCATTER_BATCHES;
		out->sigma = sqrt(ms_batches);
		out->dof = free;
	}
}

/* ---- all of it ---- */

static int fit(struct problem *p, struct gns_fit *out)
{
	double reached = (double)(out->runs - out->censored);
	struct between between;
	struct law law = first_guess(p);
	out->dof = reached - 2;
	find_sigma(p, &law, fmax(1, out->dof), out->censored > 0);
	out->sigma = p->sigma;
	out->scatter = out->dof < 1 ? GNS_SCATTER_NONE : p->sigma < EXACT ? GNS_SCATTER_EXACT : GNS_SCATTER_RUNS;
	int rc = scatter_between(p, law, &between);
	if (rc < 0)
		return rc;
	judge(&between, out);
	/* A batch's own error is one for all its runs; the law through them changes with sigma only where runs are censored. */
	p->sigma = fmax(out->sigma, EXACT / 2);
	out->s_min = (struct gns_interval){exp(law.a), NAN, NAN};
	out->e_min = (struct gns_interval){exp(law.e), NAN, NAN};
	out->b_crit = (struct gns_interval){exp(law.e - law.a), NAN, NAN};
	if (out->scatter == GNS_SCATTER_EXACT) {
		out->s_min.lo = out->s_min.hi = out->s_min.value;
		out->e_min.lo = out->e_min.hi = out->e_min.value;
		out->b_crit.lo = out->b_crit.hi = out->b_crit.value;
	} else if (out->scatter != GNS_SCATTER_NONE) {
		minimise(p, HELD_NONE, 0, &law);
		limits(p, law, out->dof, out);
	}
	return 0;
}

/* A best fit at infinity is none. */
static void withhold(const struct problem *p, struct gns_fit *out)
{
	double lo = p->log_b[0], hi = p->log_b[p->n - 1], c = log(out->b_crit.value);
	if (!(c < hi + 5))
		out->b_crit.value = out->s_min.value = NAN;
	if (!(c > lo - 5))
		out->b_crit.value = out->e_min.value = NAN;
	out->b_cbs20 = 0.2 * out->b_crit.value;
}

static int allocate(struct problem *p, size_t n)
{
	*p = (struct problem){.n = n};
	p->log_b = calloc(2 * n, sizeof *p->log_b);
	p->censored = calloc(n, sizeof *p->censored);
	p->work = calloc(4 * n + 10, sizeof *p->work);
	p->pivot = calloc(2, sizeof *p->pivot);
	p->log_s = p->log_b ? p->log_b + n : NULL;
	return p->log_b && p->censored && p->work && p->pivot ? 0 : -ENOMEM;
}

static void release(struct problem *p)
{
	free(p->log_b);
	free(p->censored);
	free(p->work);
	free(p->pivot);
}

static void fitted(const struct gns_fit *out, struct gns_fit_batch *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		table[i].fitted = out->s_min.value + out->e_min.value / table[i].batch;
}

int gns_fit_hyperbola(const struct gns_fit_point *points, size_t n, struct gns_fit *out, struct gns_fit_batch *table_or_null,
		      size_t *n_table, bool *taken_or_null)
{
	struct gns_choice choice;
	struct problem p = {0};
	struct gns_interval none = {NAN, NAN, NAN};
	*out = (struct gns_fit){.s_min = none, .e_min = none, .b_crit = none, .b_cbs20 = NAN, .b_sfo = NAN, .sigma = NAN, .dof = NAN,
				.seed_sigma = NAN, .fit_p = NAN, .curve_p = NAN};
	if (n_table)
		*n_table = 0;
	int rc = gns_choose(points, n, &choice);
	if (rc < 0)
		return rc;
	gns_choice_describe(&choice, out);
	if (choice.batches_reached < 2) {
		rc = -ENODATA;
		goto cleanup;
	}
	rc = allocate(&p, choice.n);
	if (rc < 0)
		goto cleanup;
	for (size_t i = 0; i < choice.n; i++) {
		p.log_b[i] = log(choice.point[i].batch);
		p.log_s[i] = log(choice.point[i].steps);
		p.censored[i] = choice.point[i].censored;
	}
	rc = fit(&p, out);
	if (rc == 0)
		withhold(&p, out);
cleanup:
	fitted(out, choice.table, choice.n_table);
	gns_choice_copy(&choice, table_or_null, n_table, taken_or_null);
	gns_choice_free(&choice);
	release(&p);
	return rc;
}
