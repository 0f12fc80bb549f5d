/* The words of the dashboard. */
#include "tui/say.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/text.h"

char *gns_say_duration(char *buf, size_t size, double seconds)
{
	if (!isfinite(seconds) || seconds < 0) {
		snprintf(buf, size, "-");
		return buf;
	}
	int64_t s = (int64_t)seconds;
	if (s < 60)
		snprintf(buf, size, "%" PRId64 " s", s);
	else if (s < 3600)
		snprintf(buf, size, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%" PRId64 " h %02" PRId64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
	return buf;
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns >= from_ns ? (double)(to_ns - from_ns) / 1e9 : NAN;
}

/* A step is late when it takes twenty times the usual, and no less than ten seconds. */
static double late_by(const struct gns_model *model)
{
	double age = seconds_between(model->summary.last_step_ns, model->now_ns);
	double usual = isfinite(model->summary.step_ms) ? 20 * model->summary.step_ms / 1e3 : 0;
	return age > fmax(10, usual) ? age : NAN;
}

char *gns_say_status(char *buf, size_t size, const struct gns_model *model)
{
	const struct gns_run_info *run = &model->summary.run;
	char after[48], status[32];
	gns_say_duration(after, sizeof after, seconds_between(run->start_ns, run->end_ns));
	gns_text_safe(status, sizeof status, run->status);
	if (strcmp(run->status, "running") == 0) {
		double late = late_by(model);
		if (model->watched_gone)
			snprintf(buf, size, "trainer ended, last records on their way");
		else if (isfinite(late))
			snprintf(buf, size, "running, but no step for %s", gns_say_duration(after, sizeof after, late));
		else
			snprintf(buf, size, "running");
	} else if (strcmp(run->status, "finished") == 0) {
		snprintf(buf, size, "finished after %s", after);
	} else if (strcmp(run->status, "failed") == 0) {
		snprintf(buf, size, "failed after %s with exit status %d", after, run->exit_code);
	} else if (strcmp(run->status, "killed") == 0) {
		snprintf(buf, size, "killed after %s by signal %d", after, -run->exit_code);
	} else if (strcmp(run->status, "lost") == 0) {
		snprintf(buf, size, "lost: its end was not seen");
	} else {
		snprintf(buf, size, "%s", status);
	}
	return buf;
}

char *gns_say_verdict(char *buf, size_t size, const struct gns_summary *summary)
{
	const struct gns_ratio *crit = &summary->b_crit;
	double batch = summary->samples_per_step;
	char number[48], batch_text[48], unit[32];
	gns_text_safe(unit, sizeof unit, summary->sample_unit);
	gns_text_number(batch_text, sizeof batch_text, batch);
	buf[0] = 0;
	if (crit->resolved && isfinite(batch))
		gns_text_verdict(buf, size, batch, crit);
	if (buf[0])
		return buf;
	if (crit->resolved)
		snprintf(buf, size, "B_crit of the run so far is %s %s; the batch in use is not known",
			 gns_text_number(number, sizeof number, crit->value), unit);
	else if (crit->lo > 0 && isfinite(batch))
		snprintf(buf, size, "B_crit is unresolved: at least %s %s, so your batch %s is at most %.2g of it",
			 gns_text_number(number, sizeof number, crit->lo), unit, batch_text, batch / crit->lo);
	else if (crit->lo > 0)
		snprintf(buf, size, "B_crit is unresolved: at least %s %s", gns_text_number(number, sizeof number, crit->lo), unit);
	else
		snprintf(buf, size, "B_crit is unresolved: after %" PRId64 " measured steps the signal is still lost in the noise",
			 summary->run.steps_measured);
	return buf;
}

char *gns_say_ratio(char *buf, size_t size, const struct gns_ratio *ratio)
{
	char value[48], lo[48], hi[48];
	if (ratio->resolved)
		snprintf(buf, size, "%s [%s to %s]", gns_text_number(value, sizeof value, ratio->value),
			 gns_text_number(lo, sizeof lo, ratio->lo), gns_text_number(hi, sizeof hi, ratio->hi));
	else if (isfinite(ratio->lo))
		snprintf(buf, size, "≥ %s", gns_text_number(lo, sizeof lo, ratio->lo));
	else
		snprintf(buf, size, "unresolved");
	return buf;
}

char *gns_say_percent(char *buf, size_t size, double share)
{
	double percent = 100 * share;
	if (!isfinite(share))
		snprintf(buf, size, "-");
	else if (percent == 0)
		snprintf(buf, size, "0%%");
	else
		snprintf(buf, size, "%.*f%%", fabs(percent) >= 99.95 ? 0 : fabs(percent) >= 10 ? 1 : fabs(percent) >= 0.01 ? 2 : 5, percent);
	return buf;
}

char *gns_say_waiting(char *buf, size_t size, const struct gns_model *model)
{
	const struct gns_summary *s = &model->summary;
	char steps[48];
	buf[0] = 0;
	if (s->run.steps_measured > 0)
		return buf;
	gns_text_number(steps, sizeof steps, (double)s->run.steps);
	if (strcmp(s->run.status, "running") != 0)
		snprintf(buf, size, "no step was measured: %" PRId64 " weights found, %s steps, %" PRId64 " of them refused. 6 Health has the reasons",
			 s->params, steps, s->steps_refused);
	else if (s->run.steps > 0)
		snprintf(buf, size, "waiting for the first measured step: %" PRId64 " weight%s found, step %s", s->params,
			 s->params == 1 ? "" : "s", steps);
	else
		snprintf(buf, size, "waiting for the first step: the trainer runs, no optimizer step was seen yet");
	return buf;
}
