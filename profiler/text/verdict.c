/* The verdict on the batch in use, once for all screens. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/store.h"
#include "gnscope/text.h"

const char *const gns_batch_verdict_names[6] = {"", "small", "ok", "large", "too_early", "unresolved"};

static bool usable(const struct gns_ratio *ratio)
{
	return ratio->resolved && ratio->value > 0 && isfinite(ratio->hi);
}

static enum gns_batch_verdict class_of(double batch, double b_crit)
{
	return 2 * batch < b_crit ? GNS_BATCH_SMALL : batch > 2 * b_crit ? GNS_BATCH_LARGE : GNS_BATCH_OK;
}

bool gns_verdict_is_class(enum gns_batch_verdict verdict)
{
	return verdict == GNS_BATCH_SMALL || verdict == GNS_BATCH_OK || verdict == GNS_BATCH_LARGE;
}

/* Of a window that leaves some of the run out. */
static bool is_part(const struct gns_summary *s)
{
	return s->window > 0 && s->window < s->run.steps;
}

static bool is_settling(const struct gns_summary *s)
{
	return s->trend.moving && s->measured < GNS_VERDICT_SETTLED;
}

enum gns_batch_verdict gns_verdict_of(const struct gns_summary *s)
{
	if (s->measured < GNS_VERDICT_STEPS || s->coverage < GNS_VERDICT_COVERAGE || s->starting)
		return GNS_BATCH_TOO_EARLY;
	if (!usable(&s->b_noise) || !usable(&s->b_crit))
		return GNS_BATCH_UNRESOLVED;
	if (is_settling(s))
		return GNS_BATCH_TOO_EARLY;
	if (!(s->samples_per_step > 0) || isinf(s->samples_per_step))
		return GNS_BATCH_UNKNOWN;
	return class_of(s->samples_per_step, s->b_crit.value);
}

double gns_verdict_other_batch(const struct gns_summary *s)
{
	enum gns_batch_verdict verdict = gns_verdict_of(s);
	double times = verdict == GNS_BATCH_LARGE ? 0.5 : 2;
	return gns_verdict_is_class(verdict) ? times * s->samples_per_step : (double)NAN;
}

/* ---- words ---- */

#define EARLY "Too early for a verdict: "

struct line { char *dst; size_t size, at; };

__attribute__((format(printf, 2, 3))) static void say(struct line *line, const char *fmt, ...)
{
	va_list ap;
	if (line->at >= line->size)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(line->dst + line->at, line->size - line->at, fmt, ap);
	va_end(ap);
	line->at += n > 0 ? (size_t)n : 0;
}

static char *value_or_bound(char dst[64], const struct gns_ratio *ratio)
{
	char number[48];
	snprintf(dst, 64, "%s%s", ratio->resolved ? "" : "at least ",
		 gns_text_number(number, sizeof number, ratio->resolved ? ratio->value : ratio->lo));
	return dst;
}

static char *rough(char dst[48], double value)
{
	if (value < 99.5)
		snprintf(dst, 48, "%.2g", value);
	else
		gns_text_number(dst, 48, value);
	return dst;
}

/* A factor as a change: 0.64 is "-36%". */
static char *change(char dst[48], double factor)
{
	double percent = 100 * (factor - 1);
	snprintf(dst, 48, fabs(percent) >= 0.95 || percent == 0 ? "%+.0f%%" : "%+.1g%%", percent);
	return dst;
}

static void say_classes(struct line *line, const struct gns_summary *s, enum gns_batch_verdict verdict)
{
	static const char *const words[] = {"", "SMALL", "OK", "LARGE"};
	int from = class_of(s->samples_per_step, s->b_crit.hi);
	int to = class_of(s->samples_per_step, fmax(s->b_crit.lo, 0));
	if (from == to)
		say(line, "%s", words[verdict]);
	else if (to - from == 1)
		say(line, "%s or %s", words[from], words[to]);
	else
		say(line, "SMALL, OK or LARGE");
}

static void say_time(struct line *line, const struct gns_interval *time)
{
	char value[48], hi[48];
	if (!time || (isnan(time->value) && (isnan(time->lo) || isnan(time->hi))))
		return;
	if (isfinite(time->value)) {
		say(line, ", %s time", change(value, time->value));
		return;
	}
	snprintf(value, sizeof value, "%+.0f", 100 * (time->lo - 1));
	say(line, ", %s to %s time", value, change(hi, time->hi));
}

static void say_other_batch(struct line *line, const struct gns_summary *s, const struct gns_interval *time)
{
	char steps[48], samples[48];
	double batch = s->samples_per_step, other = gns_verdict_other_batch(s), crit = s->b_crit.value;
	say(line, " %s it: %s steps, %s samples", other < batch ? "Halving" : "Doubling",
	    change(steps, gns_steps_factor(other, crit) / gns_steps_factor(batch, crit)),
	    change(samples, gns_samples_factor(other, crit) / gns_samples_factor(batch, crit)));
	say_time(line, time);
	say(line, ".");
}

static void say_trend(struct line *line, const struct gns_summary *s)
{
	char last[64], before[64];
	if (s->trend.direction != GNS_RISING && s->trend.direction != GNS_FALLING)
		return;
	say(line, " B_noise is %s: %s in the last tenth of %s, %s in the tenth before.",
	    gns_direction_names[s->trend.direction], value_or_bound(last, &s->trend.last), is_part(s) ? "these steps" : "the run",
	    value_or_bound(before, &s->trend.before));
}

static void say_class(struct line *line, const struct gns_summary *s, enum gns_batch_verdict verdict,
		      const struct gns_interval *time)
{
	char batch[48], times[48], crit[48], interval[120];
	say(line, "Batch %s is ", gns_text_number(batch, sizeof batch, s->samples_per_step));
	say_classes(line, s, verdict);
	say(line, ": %sx the critical batch size of %s (%s).", rough(times, s->samples_per_step / s->b_crit.value),
	    gns_text_number(crit, sizeof crit, s->b_crit.value), gns_text_interval(interval, sizeof interval, &s->b_crit));
	say_other_batch(line, s, time);
	say_trend(line, s);
}

static void say_too_early(struct line *line, const struct gns_summary *s)
{
	char measured[48], steps[48], value[64];
	bool running = strcmp(s->run.status, "running") == 0;
	gns_text_number(measured, sizeof measured, (double)s->measured);
	gns_text_number(steps, sizeof steps, (double)s->run.steps);
	if (s->measured < 1)
		say(line, "No steps measured yet.");
	else if (s->measured < GNS_VERDICT_STEPS && is_part(s))
		say(line, EARLY "%s of the last %s steps were measured, %d are needed. Use a longer window.", measured,
		    gns_text_number(value, sizeof value, (double)s->window), GNS_VERDICT_STEPS);
	else if (s->measured < GNS_VERDICT_STEPS)
		say(line, EARLY "%s of %s steps were measured, %d are needed.%s", measured, steps, GNS_VERDICT_STEPS,
		    running ? "" : " Run longer, or with --every 1.");
	else if (s->coverage < GNS_VERDICT_COVERAGE)
		say(line, EARLY "only %.2g%% of the parameters are measured, %.0f%% are needed. `gnscope show --layers` "
		    "lists the others.", 100 * s->coverage, 100 * GNS_VERDICT_COVERAGE);
	else if (s->starting)
		say(line, EARLY "the run is still starting up.");
	else
		say(line, EARLY "B_noise is still %s, %s in the last tenth of the steps against %s over all. It is given "
		    "once B_noise settles or %d steps are measured; now %s.", gns_direction_names[s->trend.direction],
		    value_or_bound(value, &s->trend.last), gns_text_number(steps, sizeof steps, s->b_noise.value),
		    GNS_VERDICT_SETTLED, measured);
}

static void say_unresolved(struct line *line, const struct gns_summary *s, const char *unit)
{
	char number[48], measured[48];
	bool of_noise = !usable(&s->b_noise);
	const struct gns_ratio *ratio = of_noise ? &s->b_noise : &s->b_crit;
	const char *name = of_noise ? "B_noise" : "B_crit";
	if (ratio->resolved)
		say(line, "Unresolved: %s is below %s %s.", name, gns_text_number(number, sizeof number, ratio->hi), unit);
	else if (ratio->lo > 0)
		say(line, "Unresolved: %s >= %s %s.", name, gns_text_number(number, sizeof number, ratio->lo), unit);
	else
		say(line, "Unresolved: %s has no limits yet.", name);
	gns_text_number(measured, sizeof measured, (double)s->measured);
	say(line, " %s measured steps are not enough to tell: measure more.", measured);
}

char *gns_text_verdict(char *dst, size_t size, const struct gns_summary *s, const struct gns_interval *time)
{
	struct line line = {dst, size, 0};
	char crit[160], unit[32];
	enum gns_batch_verdict verdict = gns_verdict_of(s);
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	if (size > 0)
		dst[0] = '\0';
	if (gns_verdict_is_class(verdict))
		say_class(&line, s, verdict, time);
	else if (verdict == GNS_BATCH_TOO_EARLY)
		say_too_early(&line, s);
	else if (verdict == GNS_BATCH_UNRESOLVED)
		say_unresolved(&line, s, unit);
	else
		say(&line, "The critical batch size is %s. Your batch size is not known: pass --samples N.",
		    gns_text_ratio(crit, sizeof crit, &s->b_crit, unit));
	return dst;
}
