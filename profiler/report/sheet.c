/* Tables as text. */
#include "profiler/report/sheet.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/cells.h"

void gns_sheet_free(struct gns_sheet *sheet)
{
	for (size_t i = 0; i < sheet->n; i++)
		free(sheet->cells[i]);
	free(sheet->cells);
	*sheet = (struct gns_sheet){0};
}

void gns_cell(struct gns_sheet *sheet, const char *fmt, ...)
{
	char text[700];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (sheet->n == sheet->max) {
		size_t max = sheet->max ? 2 * sheet->max : 64;
		char **grown = sheet->failed ? NULL : realloc(sheet->cells, max * sizeof *grown);
		if (!grown) {
			sheet->failed = true;
			return;
		}
		sheet->cells = grown;
		sheet->max = max;
	}
	char *copy = strdup(text);
	sheet->failed |= !copy;
	if (copy)
		sheet->cells[sheet->n++] = copy;
}

void gns_cell_column(struct gns_sheet *sheet, const char *title, bool right)
{
	sheet->title[sheet->columns] = title;
	sheet->right[sheet->columns++] = right;
}

void gns_cell_number(struct gns_sheet *sheet, double value)
{
	char text[48];
	gns_cell(sheet, "%s", gns_text_number(text, sizeof text, value));
}

void gns_cell_percent(struct gns_sheet *sheet, double share)
{
	if (isfinite(share))
		gns_cell(sheet, "%.*f%%", fabs(share) >= 0.1 ? 1 : 2, 100 * share);
	else
		gns_cell(sheet, "-");
}

void gns_cell_range(struct gns_sheet *sheet, double value, double a, double b)
{
	char v[48], x[48], y[48];
	double lo = fmin(a, b), hi = fmax(a, b);
	gns_text_number(v, sizeof v, value);
	gns_text_number(x, sizeof x, lo);
	gns_text_number(y, sizeof y, hi);
	if (isfinite(value) && strcmp(x, y))
		gns_cell(sheet, "%s [%s to %s]", v, x, y);
	else
		gns_cell(sheet, "%s", v);
}

static void ratio(struct gns_sheet *sheet, const struct gns_ratio *r)
{
	char value[48];
	if (r->resolved && r->lo > 0)
		gns_cell_range(sheet, r->value, r->lo, r->hi);
	else if (r->resolved)
		gns_cell(sheet, "≤ %s", gns_text_number(value, sizeof value, r->hi));
	else if (r->lo > 0)
		gns_cell(sheet, "≥ %s", gns_text_number(value, sizeof value, r->lo));
	else
		gns_cell(sheet, "unresolved");
}

static void text(struct gns_sheet *sheet, const char *words)
{
	char safe[640];
	gns_cell(sheet, "%s", gns_text_safe(safe, sizeof safe, words));
}

/* ---- what another batch would cost ---- */

/* Of a factor that grows (or falls) with B_crit, of which only a lower limit may be known. */
static void factor(struct gns_sheet *sheet, const struct gns_ratio *crit, double at, double lo, double hi, bool grows)
{
	char value[48];
	if (crit->resolved)
		gns_cell_range(sheet, at, lo, hi);
	else
		gns_cell(sheet, "%s %s", grows ? "≥" : "≤", gns_text_number(value, sizeof value, lo));
}

static double steps_ratio(double batch, double now, double crit)
{
	return gns_steps_factor(batch, crit) / gns_steps_factor(now, crit);
}

static void batch_row(struct gns_sheet *sheet, const struct gns_ratio *c, double batch, double now)
{
	gns_cell_number(sheet, batch);
	factor(sheet, c, gns_steps_factor(batch, c->value), gns_steps_factor(batch, c->lo), gns_steps_factor(batch, c->hi), true);
	factor(sheet, c, gns_samples_factor(batch, c->value), gns_samples_factor(batch, c->lo), gns_samples_factor(batch, c->hi), false);
	char value[48];
	double count = 100 * gns_sample_efficiency(batch, c->resolved ? c->value : c->lo);
	gns_cell(sheet, "%s%.0f%%", c->resolved ? "" : "≥ ", count);
	if (batch == now) {
		gns_cell(sheet, "1 (now)");
		gns_cell(sheet, "1 (now)");
	} else if (c->resolved) {
		gns_cell_range(sheet, steps_ratio(batch, now, c->value), steps_ratio(batch, now, c->lo), steps_ratio(batch, now, c->hi));
		double k = batch / now;
		gns_cell_range(sheet, k * steps_ratio(batch, now, c->value), k * steps_ratio(batch, now, c->lo), k * steps_ratio(batch, now, c->hi));
	} else { /* B_crit anywhere above its limit */
		double k = batch / now, a = steps_ratio(batch, now, c->lo), b = 1 / k;
		char other[48];
		gns_cell(sheet, "%s to %s", gns_text_number(value, sizeof value, fmin(a, b)), gns_text_number(other, sizeof other, fmax(a, b)));
		gns_cell(sheet, "%s to %s", gns_text_number(value, sizeof value, fmin(a * k, 1)), gns_text_number(other, sizeof other, fmax(a * k, 1)));
	}
}

struct gns_sheet gns_sheet_batches(const struct gns_report_run *run)
{
	struct gns_sheet sheet = {.marked = -1};
	const struct gns_ratio *crit = &run->summary.b_crit;
	double now = run->summary.samples_per_step;
	gns_cell_column(&sheet, "batch", true);
	gns_cell_column(&sheet, "steps / fewest", true);
	gns_cell_column(&sheet, "samples / fewest", true);
	gns_cell_column(&sheet, "sample efficiency", true);
	gns_cell_column(&sheet, "steps × now", true);
	gns_cell_column(&sheet, "samples × now", true);
	if (!(now > 0) || !(crit->lo > 0))
		return sheet;
	long row = 0;
	for (int i = -3; i <= 3; i++) {
		double batch = now * pow(2, i);
		if (batch < 1)
			continue;
		if (i == 0)
			sheet.marked = row;
		batch_row(&sheet, crit, batch, now);
		row++;
	}
	return sheet;
}

/* ---- weights, kernels, settings, events ---- */

struct gns_sheet gns_sheet_layers(const struct gns_report_run *run)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "weight", false);
	gns_cell_column(&sheet, "shape", true);
	gns_cell_column(&sheet, "B_noise", true);
	gns_cell_column(&sheet, "of S", true);
	gns_cell_column(&sheet, "of |G|²", true);
	gns_cell_column(&sheet, "S", true);
	gns_cell_column(&sheet, "|G|²", true);
	gns_cell_column(&sheet, "measured", true);
	gns_cell_column(&sheet, "source", false);
	for (size_t i = 0; i < run->n_layers && i < GNS_REPORT_LAYERS; i++) {
		const struct gns_layer *l = &run->layers[i];
		char why[96];
		text(&sheet, l->name);
		text(&sheet, l->shape);
		if (l->excluded)
			gns_cell(&sheet, "%s", run->left_out(why, sizeof why, l->left_out));
		else if (!(l->count > 0))
			gns_cell(&sheet, "not measured");
		else
			ratio(&sheet, &l->b_noise);
		gns_cell_percent(&sheet, l->excluded ? NAN : l->share_s);
		gns_cell_percent(&sheet, l->excluded ? NAN : l->share_g2);
		gns_cell_number(&sheet, l->s);
		gns_cell_number(&sheet, l->g2);
		gns_cell_number(&sheet, l->count);
		text(&sheet, l->source);
	}
	sheet.left_out = run->n_layers > GNS_REPORT_LAYERS ? run->n_layers - GNS_REPORT_LAYERS : 0;
	return sheet;
}

static void count(struct gns_sheet *sheet, int64_t value)
{
	gns_cell_number(sheet, value < 0 ? (double)NAN : (double)value);
}

/* Of the host's calls how fast, of a device's kernels how they were launched. */
static struct gns_sheet kernels(const struct gns_kernel_row *rows, size_t n, bool device)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "kernel", false);
	gns_cell_column(&sheet, "family", false);
	gns_cell_column(&sheet, "ms a step", true);
	gns_cell_column(&sheet, "of the step", true);
	gns_cell_column(&sheet, "calls a step", true);
	if (!device)
		gns_cell_column(&sheet, "GFLOP/s", true);
	gns_cell_column(&sheet, "longest, ms", true);
	for (size_t i = 0; device && i < 4; i++)
		gns_cell_column(&sheet, (const char *const[]){"grid", "block", "registers", "shared, bytes"}[i], true);
	for (size_t i = 0; i < n && i < GNS_REPORT_KERNELS; i++) {
		const struct gns_kernel_row *k = &rows[i];
		text(&sheet, k->name);
		text(&sheet, k->family);
		gns_cell_number(&sheet, k->ms_per_step);
		gns_cell_percent(&sheet, k->share);
		gns_cell_number(&sheet, k->calls_per_step);
		if (!device)
			gns_cell_number(&sheet, k->gflops);
		gns_cell_number(&sheet, k->max_ms);
		for (size_t c = 0; device && c < 4; c++)
			count(&sheet, (const int64_t[]){k->grid, k->block, k->registers, k->shared}[c]);
	}
	sheet.left_out = n > GNS_REPORT_KERNELS ? n - GNS_REPORT_KERNELS : 0;
	return sheet;
}

struct gns_sheet gns_sheet_kernels(const struct gns_report_run *run)
{
	return kernels(run->kernels, run->n_kernels, false);
}

struct gns_sheet gns_sheet_device_kernels(const struct gns_report_run *run)
{
	return kernels(run->gpu.kernels, run->gpu.n_kernels, true);
}

/* The newest row of a name is the one in force; how often it changed is told beside it. */
struct gns_sheet gns_sheet_settings(const struct gns_report_run *run)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "setting", false);
	gns_cell_column(&sheet, "value", true);
	gns_cell_column(&sheet, "since step", true);
	gns_cell_column(&sheet, "changes", true);
	gns_cell_column(&sheet, "from", true);
	for (size_t i = 0; i < run->n_settings;) {
		size_t last = i;
		while (last + 1 < run->n_settings && strcmp(run->settings[last + 1].name, run->settings[i].name) == 0)
			last++;
		if (sheet.n / sheet.columns == GNS_REPORT_SETTINGS) {
			sheet.left_out++;
			i = last + 1;
			continue;
		}
		const struct gns_setting_row *now = &run->settings[last], *first = &run->settings[i];
		text(&sheet, now->name);
		if (isnan(now->value))
			text(&sheet, now->text);
		else
			gns_cell(&sheet, "%.6g", now->value);
		gns_cell_number(&sheet, (double)now->step);
		gns_cell_number(&sheet, (double)(last - i));
		if (last == i)
			gns_cell(&sheet, "-");
		else if (isnan(first->value))
			text(&sheet, first->text);
		else
			gns_cell(&sheet, "%.6g", first->value);
		i = last + 1;
	}
	return sheet;
}

struct gns_sheet gns_sheet_events(const struct gns_report_run *run)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "step", true);
	gns_cell_column(&sheet, "event", false);
	gns_cell_column(&sheet, "what", false);
	for (size_t i = 0; i < run->n_events && i < GNS_REPORT_EVENTS; i++) {
		gns_cell_number(&sheet, run->events[i].step >= 0 ? (double)run->events[i].step : (double)NAN);
		text(&sheet, run->events[i].name);
		text(&sheet, run->events[i].text);
	}
	sheet.left_out = run->n_events > GNS_REPORT_EVENTS ? run->n_events - GNS_REPORT_EVENTS : 0;
	return sheet;
}

struct gns_sheet gns_sheet_runs(const struct gns_report *report)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "run", false);
	gns_cell_column(&sheet, "batch", true);
	gns_cell_column(&sheet, "B_noise", true);
	gns_cell_column(&sheet, "B_crit", true);
	gns_cell_column(&sheet, "sample efficiency", true);
	gns_cell_column(&sheet, "steps", true);
	gns_cell_column(&sheet, "ms a step", true);
	gns_cell_column(&sheet, "loss", true);
	for (size_t i = 0; i < report->n; i++) {
		const struct gns_summary *s = &report->run[i].summary;
		char name[128], value[48], unit[32];
		gns_cell(&sheet, "%" PRId64 " %s", s->run.run_id, gns_text_safe(name, sizeof name, s->run.name));
		gns_cell(&sheet, "%s %s", gns_text_number(value, sizeof value, s->samples_per_step), gns_text_safe(unit, sizeof unit, s->sample_unit));
		ratio(&sheet, &s->b_noise);
		ratio(&sheet, &s->b_crit);
		if (s->b_crit.resolved && s->samples_per_step > 0)
			gns_cell(&sheet, "%.0f%%", 100 * gns_sample_efficiency(s->samples_per_step, s->b_crit.value));
		else
			gns_cell(&sheet, "-");
		gns_cell_number(&sheet, (double)s->run.steps);
		gns_cell_number(&sheet, s->step_ms);
		gns_cell_number(&sheet, s->loss);
	}
	return sheet;
}
