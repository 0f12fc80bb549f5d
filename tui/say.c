/* The words of the dashboard. */
#include "tui/say.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/shim/ring/ring.h"

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
	gns_text_duration(after, sizeof after, seconds_between(run->start_ns, run->end_ns));
	gns_text_safe(status, sizeof status, run->status);
	if (strcmp(run->status, "running") == 0) {
		double late = late_by(model);
		if (model->watched_gone)
			snprintf(buf, size, "program ended, storing its last records");
		else if (isfinite(late))
			snprintf(buf, size, "running, but no step for %s", gns_text_duration(after, sizeof after, late));
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

char *gns_say_ratio(char *buf, size_t size, const struct gns_ratio *ratio)
{
	char value[48], lo[48], hi[48];
	gns_text_number(hi, sizeof hi, ratio->hi);
	if (ratio->resolved && ratio->value > 0 && ratio->lo > 0)
		snprintf(buf, size, "%s [%s to %s]", gns_text_number(value, sizeof value, ratio->value),
			 gns_text_number(lo, sizeof lo, ratio->lo), hi);
	else if (ratio->resolved && ratio->value > 0)
		snprintf(buf, size, "%s [below %s]", gns_text_number(value, sizeof value, ratio->value), hi);
	else if (ratio->resolved)
		snprintf(buf, size, "≤ %s", hi);
	else if (ratio->lo > 0)
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
		snprintf(buf, size, "No steps measured in %s steps. Press 6 to see why.", steps);
	else if (s->run.steps > 0)
		snprintf(buf, size, "waiting for the first measured step: %" PRId64 " weight%s found, step %s", s->params,
			 s->params == 1 ? "" : "s", steps);
	else
		snprintf(buf, size, "waiting for the first step: the program runs, no optimizer step was seen yet");
	return buf;
}

char *gns_say_three(char *buf, size_t size, double value)
{
	double unit = value != 0 && isfinite(value) ? pow(10, floor(log10(fabs(value))) - 2) : 1;
	return gns_text_number(buf, size, fabs(value) < 1000 ? round(value / unit) * unit : round(value));
}

static double time_unit(double seconds, const char **name)
{
	static const struct {
		double least, unit;
		const char *name;
	} units[] = {{172800, 86400, "d"}, {5400, 3600, "h"}, {100, 60, "min"}, {0.1, 1, "s"}, {0, 1e-3, "ms"}};
	size_t i = 0;
	while (i < 4 && seconds < units[i].least)
		i++;
	*name = units[i].name;
	return units[i].unit;
}

char *gns_say_seconds(char *buf, size_t size, double seconds)
{
	char number[48];
	const char *name;
	if (!isfinite(seconds))
		return strcpy(buf, "-");
	double unit = time_unit(seconds, &name);
	snprintf(buf, size, "%s %s", gns_say_three(number, sizeof number, seconds / unit), name);
	return buf;
}

char *gns_say_money(char *buf, size_t size, double value)
{
	if (!isfinite(value))
		return strcpy(buf, "-");
	if (fabs(value) < 1 || fabs(value) >= 1000)
		return gns_say_three(buf, size, value);
	snprintf(buf, size, "%.2f", value);
	return buf;
}

char *gns_say_range(char *buf, size_t size, const struct gns_range *range, char *(*number)(char *, size_t, double), bool wide)
{
	char value[48], lo[48], hi[48];
	number(value, sizeof value, range->value);
	number(lo, sizeof lo, range->lo);
	number(hi, sizeof hi, range->hi);
	bool has_lo = isfinite(range->lo), has_hi = isfinite(range->hi);
	if (isfinite(range->value) && (!wide || !has_lo || !has_hi || strcmp(lo, hi) == 0))
		snprintf(buf, size, "%s", value);
	else if (isfinite(range->value))
		snprintf(buf, size, "%s [%s to %s]", value, lo, hi);
	else if (has_lo && has_hi)
		snprintf(buf, size, strcmp(lo, hi) ? "%s to %s" : "%s", lo, hi);
	else if (has_lo || has_hi)
		snprintf(buf, size, "%s %s", has_lo ? "≥" : "≤", has_lo ? lo : hi);
	else
		snprintf(buf, size, "-");
	return buf;
}

char *gns_say_times(char *buf, size_t size, const struct gns_range *seconds, bool wide)
{
	char text[160];
	const char *name;
	double most = isfinite(seconds->hi) ? seconds->hi : isfinite(seconds->value) ? seconds->value : seconds->lo;
	if (!isfinite(most))
		return strcpy(buf, "-");
	double unit = time_unit(most, &name);
	struct gns_range in = {seconds->value / unit, seconds->lo / unit, seconds->hi / unit};
	snprintf(buf, size, "%s %s", gns_say_range(text, sizeof text, &in, gns_say_three, wide), name);
	return buf;
}

/* By phases, which hold the products but nothing of gnscope's own time. */
static char *say_phases(char *buf, size_t size, const struct gns_split *split, bool wide)
{
	char share[48], name[48];
	double all = 0;
	size_t at = 0;
	for (size_t i = 0; i < split->n_phases && at < size; i++) {
		const struct gns_split_phase *phase = &split->phase[i];
		all += phase->ms;
		at += (size_t)snprintf(buf + at, size - at, "%s%s %s", i ? " · " : "", gns_text_safe(name, sizeof name, phase->name),
				       gns_say_percent(share, sizeof share, phase->ms / split->step_ms));
		if (wide && phase->products_ms > 0 && at < size)
			at += (size_t)snprintf(buf + at, size - at, " (GEMMs %s)",
					       gns_say_percent(share, sizeof share, phase->products_ms / split->step_ms));
	}
	if (at < size)
		at += (size_t)snprintf(buf + at, size - at, " · gnscope %s", gns_say_percent(share, sizeof share, split->gnscope_ms / split->step_ms));
	double rest = 1 - (all + split->gnscope_ms) / split->step_ms;
	if (at < size && rest >= 0.0005)
		snprintf(buf + at, size - at, " · rest %s", gns_say_percent(share, sizeof share, rest));
	return buf;
}

char *gns_say_split(char *buf, size_t size, const struct gns_split *split, bool wide)
{
	char share[48], families[256] = "", name[48];
	double products = 0;
	buf[0] = 0;
	if (!(split->steps > 0) || !(split->step_ms > 0))
		return buf;
	if (split->n_phases > 0)
		return say_phases(buf, size, split, wide);
	for (size_t i = 0; i < split->n_families; i++) {
		products += split->family[i].ms;
		snprintf(families + strlen(families), sizeof families - strlen(families), "%s%s %.3g", i ? ", " : "",
			 gns_text_safe(name, sizeof name, split->family[i].name), 100 * split->family[i].ms / split->step_ms);
	}
	double rest = 1 - (products + split->gnscope_ms) / split->step_ms;
	size_t at = (size_t)snprintf(buf, size, "GEMMs %s", gns_say_percent(share, sizeof share, products / split->step_ms));
	if (wide && families[0] && at < size)
		at += (size_t)snprintf(buf + at, size - at, " (%s)", families);
	if (at < size)
		at += (size_t)snprintf(buf + at, size - at, " · gnscope %s", gns_say_percent(share, sizeof share, split->gnscope_ms / split->step_ms));
	if (at < size && rest >= 0)
		snprintf(buf + at, size - at, " · rest %s", gns_say_percent(share, sizeof share, rest));
	else if (at < size)
		snprintf(buf + at, size - at, " · GEMMs run side by side");
	return buf;
}

char *gns_say_split_steps(char *buf, size_t size, const struct gns_split *split)
{
	char steps[48];
	snprintf(buf, size, "over the last %s measured step%s", gns_text_number(steps, sizeof steps, split->steps), split->steps == 1 ? "" : "s");
	return buf;
}

char *gns_say_control(char *buf, size_t size, const struct gns_model *model)
{
	char number[48];
	uint32_t every = GNS_CONTROL_EVERY(model->control);
	buf[0] = 0;
	if (!model->control_known)
		return buf;
	if (model->control & GNS_CONTROL_PAUSED)
		snprintf(buf, size, "measuring paused");
	else if (every)
		snprintf(buf, size, "measures 1 in %s", gns_text_number(number, sizeof number, every));
	return buf;
}

char *gns_say_stretch(char *buf, size_t size, const struct gns_model *model)
{
	char from[48], to[48];
	double first = model->end - model->window + 1;
	buf[0] = 0;
	if (model->end > 0)
		snprintf(buf, size, "steps %s to %s", gns_text_number(from, sizeof from, model->window > 0 && first > 1 ? first : 1),
			 gns_text_number(to, sizeof to, (double)model->end));
	else if (model->window > 0)
		snprintf(buf, size, "last %s steps", gns_text_number(to, sizeof to, (double)model->window));
	return buf;
}

/* ---- devices ---- */

const char *const gns_say_parts[GNS_PARTS_OF_WALL] = {"compute", "exposed communication", "exposed copies", "idle"};

char *gns_say_device(char *buf, size_t size, const struct gns_device_row *row)
{
	char share[48];
	size_t at = 0;
	buf[0] = 0;
	for (int i = 0; i < GNS_PARTS_OF_WALL && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s %s", i ? " · " : "", gns_say_parts[i],
				       gns_say_percent(share, sizeof share, row->share[i]));
	return buf;
}

/* A total and how much of it something else hid. */
static size_t say_total(char *buf, size_t size, const char *what, double all, double exposed)
{
	char share[48], hidden[48];
	if (!(all > 0))
		return 0;
	return (size_t)snprintf(buf, size, " · %s %s in all, %s of it overlapped", what, gns_say_percent(share, sizeof share, all),
				gns_say_percent(hidden, sizeof hidden, 1 - exposed / all));
}

char *gns_say_device_beside(char *buf, size_t size, const struct gns_device_row *row)
{
	char share[48], wait[48];
	size_t at = (size_t)snprintf(buf, size, "gnscope's kernels %s", gns_say_percent(share, sizeof share, row->share[GNS_PART_OWN]));
	if (at < size)
		at += say_total(buf + at, size - at, "communication", row->share[GNS_PART_COMM], row->share[GNS_PART_COMM_EXPOSED]);
	if (at < size)
		at += say_total(buf + at, size - at, "copies", row->share[GNS_PART_COPY], row->share[GNS_PART_COPY_EXPOSED]);
	if (at < size && isfinite(row->queue_us))
		at += (size_t)snprintf(buf + at, size - at, " · a kernel waits %s us", gns_say_three(wait, sizeof wait, row->queue_us));
	if (at < size && row->dropped > 0)
		snprintf(buf + at, size - at, " · %" PRId64 " records lost", row->dropped);
	return buf;
}

char *gns_say_device_step(char *buf, size_t size, const struct gns_device_row *row)
{
	char time[160], seen[48], steps[48], taken[48];
	struct gns_range wall = {row->wall_ms.value / 1e3, row->wall_ms.lo / 1e3, row->wall_ms.hi / 1e3};
	int n = snprintf(buf, size, "%s a step, %s of %s steps looked at", gns_say_times(time, sizeof time, &wall, true),
			 gns_text_number(seen, sizeof seen, (double)row->looked_at), gns_text_number(steps, sizeof steps, (double)row->steps));
	if (n > 0 && (size_t)n < size && row->taken < row->looked_at)
		snprintf(buf + n, size - (size_t)n, ", the latest %s taken", gns_text_number(taken, sizeof taken, (double)row->taken));
	return buf;
}
