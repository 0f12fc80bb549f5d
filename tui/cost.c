/* See cost.h. */
#include "tui/cost.h"

#include <math.h>
#include <string.h>

#include "gnscope/steptime.h"

/* Least squares through points of one training at several batch sizes; false without two distinct ones or with a slope or an
 * intercept below zero, which no machine has. */
static bool fit(struct gns_step_time *t)
{
	double n = 0, x = 0, y = 0, xx = 0, xy = 0;
	for (size_t i = 0; i < t->n; i++) {
		n += 1;
		x += t->at[i];
		y += t->at_ms[i];
		xx += t->at[i] * t->at[i];
		xy += t->at[i] * t->at_ms[i];
	}
	double spread = n * xx - x * x;
	if (n < 2 || !(spread > 1e-12 * xx))
		return false;
	t->beta = (n * xy - x * y) / spread;
	t->alpha = (y - t->beta * x) / n;
	return t->beta >= 0 && t->alpha >= 0;
}

static void add_point(struct gns_step_time *t, double batch, double ms)
{
	if (!(batch > 0) || !(ms > 0) || t->n == GNS_COST_POINTS)
		return;
	t->at[t->n] = batch;
	t->at_ms[t->n++] = ms;
}

struct gns_step_time gns_step_time_of(const struct gns_model *m)
{
	struct gns_step_time t = {.batch = m->summary.samples_per_step, .ms = m->summary.step_ms, .alpha = NAN, .beta = NAN,
				  .fixed_ms = NAN, .stretch = m->summary.mean_step_ms / m->summary.step_ms};
	double products = 0;
	if (!(t.batch > 0) || !(t.ms > 0))
		return t;
	add_point(&t, t.batch, t.ms);
	for (size_t i = 0; i < m->n_overlay; i++)
		if (m->overlay[i].run_id != m->summary.run.run_id && m->overlay[i].params == m->summary.params &&
		    strcmp(m->overlay[i].sample_unit, m->summary.sample_unit) == 0)
			add_point(&t, m->overlay[i].samples_per_step, m->overlay[i].step_ms);
	for (size_t i = 0; i < m->split.n_families; i++)
		products += m->split.family[i].ms;
	t.fixed_ms = m->split.steps > 0 ? t.ms * fmax(0, 1 - products / m->split.step_ms) : t.ms;
	t.rule = fit(&t) ? GNS_TIME_FIT : GNS_TIME_BOUNDS;
	return t;
}

static struct gns_range exactly(double value)
{
	return (struct gns_range){value, value, value};
}

static struct gns_range absent(void)
{
	return (struct gns_range){NAN, NAN, NAN};
}

/* Mean of the step times measured at this batch. */
static double measured_ms(const struct gns_step_time *t, double batch)
{
	double sum = 0, n = 0;
	for (size_t i = 0; i < t->n; i++)
		if (fabs(t->at[i] - batch) < 1e-9 * batch) {
			sum += t->at_ms[i];
			n++;
		}
	return batch == t->batch ? t->ms : sum / n;
}

/* Anything may be fixed, from nothing to all that no product took. */
static struct gns_step_model bounds(const struct gns_step_time *t)
{
	return (struct gns_step_model){.rule = GNS_STEP_WHOLE, .batch = t->batch, .ms = t->ms, .alpha = NAN, .beta = NAN, .alpha_lo = 0,
				       .alpha_hi = t->fixed_ms};
}

static struct gns_range step_ms_at(const struct gns_step_time *t, double batch, bool *measured)
{
	double known = measured_ms(t, batch);
	*measured = isfinite(known);
	if (t->rule == GNS_TIME_NONE)
		return absent();
	if (*measured)
		return exactly(known);
	if (t->rule == GNS_TIME_FIT)
		return exactly(t->alpha + t->beta * batch);
	struct gns_step_model model = bounds(t);
	struct gns_interval at = gns_step_at(&model, batch);
	return (struct gns_range){NAN, at.lo, at.hi};
}

/* A monotonic function of B_crit at its value and limits, in order. */
static struct gns_range through(const struct gns_ratio *crit, double (*fn)(double batch, double crit, double now), double batch, double now)
{
	double a = fn(batch, crit->lo, now), b = fn(batch, crit->hi, now);
	if (!crit->resolved)
		return (struct gns_range){NAN, NAN, NAN};
	return (struct gns_range){fn(batch, crit->value, now), fmin(a, b), fmax(a, b)};
}

static double steps_factor(double batch, double crit, double now)
{
	return gns_steps_factor(batch, crit);
}

static double samples_factor(double batch, double crit, double now)
{
	return gns_samples_factor(batch, crit);
}

static double steps_ratio(double batch, double crit, double now)
{
	return gns_steps_factor(batch, crit) / gns_steps_factor(now, crit);
}

/* Only a lower limit of B_crit is known: with B_crit anywhere above it the ratio lies between that and now / batch. */
static struct gns_range open_ratio(const struct gns_ratio *crit, double batch, double now)
{
	if (!(crit->lo > 0))
		return absent();
	double a = steps_ratio(batch, crit->lo, now), b = now / batch;
	return (struct gns_range){NAN, fmin(a, b), fmax(a, b)};
}

static struct gns_range times(struct gns_range a, struct gns_range b)
{
	return (struct gns_range){a.value * b.value, a.lo * b.lo, a.hi * b.hi};
}

static struct gns_range scaled(struct gns_range a, double by)
{
	return times(a, exactly(by));
}

double gns_devices(const struct gns_model *m, double devices)
{
	return devices > 0 ? devices : m->summary.run.world > 0 ? m->summary.run.world : (double)NAN;
}

struct gns_cost gns_cost_at(const struct gns_model *m, const struct gns_step_time *t, double batch, double devices, double price)
{
	const struct gns_summary *s = &m->summary;
	double now = s->samples_per_step;
	struct gns_cost c = {.batch = batch, .now = batch == now};
	c.steps_factor = through(&s->b_crit, steps_factor, batch, now);
	c.samples_factor = through(&s->b_crit, samples_factor, batch, now);
	if (!s->b_crit.resolved && s->b_crit.lo > 0) {
		c.steps_factor.lo = gns_steps_factor(batch, s->b_crit.lo);
		c.samples_factor.hi = gns_samples_factor(batch, s->b_crit.lo);
	}
	c.steps_ratio = c.now ? exactly(1) : s->b_crit.resolved ? through(&s->b_crit, steps_ratio, batch, now)
								: open_ratio(&s->b_crit, batch, now);
	c.steps = scaled(c.steps_ratio, (double)s->run.steps);
	c.samples = scaled(c.steps, batch);
	c.step_ms = step_ms_at(t, batch, &c.step_measured);
	c.seconds = scaled(times(c.steps, c.step_ms), (t->stretch > 0 ? t->stretch : 1) / 1e3);
	c.time_ratio = c.now ? exactly(1) : scaled(times(c.steps_ratio, c.step_ms), 1 / t->ms);
	c.device_hours = scaled(c.seconds, gns_devices(m, devices) / 3600);
	c.money = price > 0 ? scaled(c.device_hours, price) : absent();
	return c;
}

struct gns_range gns_fastest(const struct gns_model *m, const struct gns_step_time *t)
{
	const struct gns_ratio *crit = &m->summary.b_crit;
	if (!crit->resolved || t->rule == GNS_TIME_NONE)
		return absent();
	if (t->rule == GNS_TIME_FIT)
		return (struct gns_range){gns_fastest_batch(crit->value, t->alpha, t->beta), gns_fastest_batch(crit->lo, t->alpha, t->beta),
					  gns_fastest_batch(crit->hi, t->alpha, t->beta)};
	struct gns_step_model model = bounds(t);
	struct gns_interval best = gns_step_fastest(&model, (struct gns_interval){crit->value, crit->lo, crit->hi}, 1);
	return (struct gns_range){NAN, 0, best.hi};
}
