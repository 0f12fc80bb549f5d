/* Tradeoff: what would another batch size cost in steps, samples, time and money? (McCandlish et al. 2018, eq. 2.11) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "tui/plot.h"
#include "tui/grid.h"
#include "tui/say.h"
#include "tui/xaxis.h"

#define CURVE_POINTS 128

struct tables { /* what the tables are made of */
	const struct gns_model *m;
	const struct gns_ui *ui;
	struct gns_step_time time;
	bool wide; /* with intervals */
};

static struct gns_cost cost_at(const struct tables *t, double batch)
{
	return gns_cost_at(t->m, &t->time, batch, t->ui->devices, t->ui->price);
}

static char *factor_number(char *buf, size_t size, double value)
{
	return gns_text_number(buf, size, round(value * 1000) / 1000);
}

static char *percent_number(char *buf, size_t size, double value)
{
	snprintf(buf, size, isfinite(value) ? "%.0f" : "-", value);
	return buf;
}

static char *milliseconds(char *buf, size_t size, double value)
{
	return gns_say_seconds(buf, size, value / 1e3);
}

static void share_text(char *buf, size_t size, const struct gns_ratio *crit, double batch, bool wide)
{
	struct gns_range share = {NAN, 100 * gns_sample_efficiency(batch, crit->lo), NAN};
	char text[96];
	if (crit->resolved)
		share = (struct gns_range){100 * gns_sample_efficiency(batch, crit->value), share.lo, 100 * gns_sample_efficiency(batch, crit->hi)};
	gns_say_range(text, sizeof text, &share, percent_number, wide);
	char *bracket = strchr(text, ' ');
	if (crit->resolved && bracket)
		snprintf(buf, size, "%.*s%%%s", (int)(bracket - text), text, bracket);
	else
		snprintf(buf, size, "%s%%", text);
}

/* With its limits where they fit, without them where they do not. */
static void range_cell(struct gns_canvas *canvas, const struct gns_grid *g, int row, size_t column, enum gns_role role,
		       const struct gns_range *range, char *(*number)(char *, size_t, double), bool wide)
{
	char text[160];
	gns_say_range(text, sizeof text, range, number, wide);
	if (gns_canvas_columns(canvas, text) > g->w[column])
		gns_say_range(text, sizeof text, range, number, false);
	gns_grid_cell(g, canvas, row, column, role, text);
}

static void times_cell(struct gns_canvas *canvas, const struct gns_grid *g, int row, size_t column, enum gns_role role,
		       const struct gns_range *seconds, bool wide)
{
	char text[160];
	gns_say_times(text, sizeof text, seconds, wide);
	if (gns_canvas_columns(canvas, text) > g->w[column])
		gns_say_times(text, sizeof text, seconds, false);
	gns_grid_cell(g, canvas, row, column, role, text);
}

static const char *status_of(const struct gns_cost *c)
{
	return c->now ? "now" : "predicted";
}

/* ---- the three tables: columns and cells ---- */

static void steps_columns(struct gns_grid *g, bool wide)
{
	struct gns_column columns[] = {
		{"batch", 7, false, GNS_ALIGN_RIGHT, 9},
		{wide ? "steps / fewest" : "steps", wide ? 19 : 7, false, true, 8},
		{wide ? "samples / fewest" : "samples", wide ? 19 : 7, false, true, 7},
		{"useful", wide ? 14 : 6, false, GNS_ALIGN_RIGHT, 6},
		{"", 9, false, GNS_ALIGN_LEFT, 5},
		{"steps", 8, false, GNS_ALIGN_RIGHT, 3},
		{"samples", 11, false, GNS_ALIGN_RIGHT, 2},
	};
	g->n = sizeof columns / sizeof *columns;
	memcpy(g->column, columns, sizeof columns);
}

static void steps_cells(const struct tables *t, struct gns_canvas *canvas, const struct gns_grid *g, int row, const struct gns_cost *c, enum gns_role role)
{
	char text[160];
	range_cell(canvas, g, row, 1, role, &c->steps_factor, factor_number, t->wide);
	range_cell(canvas, g, row, 2, role, &c->samples_factor, factor_number, t->wide);
	share_text(text, sizeof text, &t->m->summary.b_crit, c->batch, t->wide);
	gns_grid_cell(g, canvas, row, 3, role, text);
	gns_grid_cell(g, canvas, row, 4, role, status_of(c));
	gns_grid_cell(g, canvas, row, 5, role, gns_say_three(text, sizeof text, c->steps.value));
	gns_grid_cell(g, canvas, row, 6, role, gns_say_three(text, sizeof text, c->samples.value));
}

static void hours_columns(struct gns_grid *g, bool wide)
{
	struct gns_column columns[] = {
		{"batch", 7, false, GNS_ALIGN_RIGHT, 9},
		{"step time", wide ? 16 : 9, false, GNS_ALIGN_RIGHT, 5},
		{"time to the loss", wide ? 21 : 16, false, GNS_ALIGN_RIGHT, 8},
		{"× now", wide ? 14 : 12, false, GNS_ALIGN_RIGHT, 7},
		{"", 9, false, GNS_ALIGN_LEFT, 6},
		{"steps", wide ? 22 : 8, false, GNS_ALIGN_RIGHT, 3},
		{"device-hours", 16, false, GNS_ALIGN_RIGHT, 4},
	};
	g->n = sizeof columns / sizeof *columns;
	memcpy(g->column, columns, sizeof columns);
}

static void hours_cells(const struct tables *t, struct gns_canvas *canvas, const struct gns_grid *g, int row, const struct gns_cost *c, enum gns_role role)
{
	struct gns_range step = {c->step_ms.value / 1e3, c->step_ms.lo / 1e3, c->step_ms.hi / 1e3};
	times_cell(canvas, g, row, 1, role, &step, t->wide);
	times_cell(canvas, g, row, 2, role, &c->seconds, t->wide);
	range_cell(canvas, g, row, 3, role, &c->time_ratio, gns_say_three, t->wide);
	gns_grid_cell(g, canvas, row, 4, role, status_of(c));
	range_cell(canvas, g, row, 5, role, &c->steps, gns_say_three, t->wide);
	range_cell(canvas, g, row, 6, role, &c->device_hours, gns_say_three, false);
}

static void money_columns(struct gns_grid *g, bool wide)
{
	struct gns_column columns[] = {
		{"batch", 7, false, GNS_ALIGN_RIGHT, 9},
		{"device-hours", wide ? 20 : 14, false, GNS_ALIGN_RIGHT, 6},
		{"money", wide ? 20 : 14, false, GNS_ALIGN_RIGHT, 8},
		{"× now", wide ? 14 : 12, false, GNS_ALIGN_RIGHT, 7},
		{"", 9, false, GNS_ALIGN_LEFT, 5},
	};
	g->n = sizeof columns / sizeof *columns;
	memcpy(g->column, columns, sizeof columns);
}

static void money_cells(const struct tables *t, struct gns_canvas *canvas, const struct gns_grid *g, int row, const struct gns_cost *c, enum gns_role role)
{
	range_cell(canvas, g, row, 1, role, &c->device_hours, gns_say_three, t->wide);
	range_cell(canvas, g, row, 2, role, &c->money, gns_say_money, t->wide);
	range_cell(canvas, g, row, 3, role, &c->time_ratio, gns_say_three, t->wide);
	gns_grid_cell(g, canvas, row, 4, role, status_of(c));
}

static const struct {
	void (*columns)(struct gns_grid *g, bool wide);
	void (*cells)(const struct tables *t, struct gns_canvas *canvas, const struct gns_grid *g, int row, const struct gns_cost *c,
		      enum gns_role role);
} kinds[GNS_COST_AXES] = {{steps_columns, steps_cells}, {hours_columns, hours_cells}, {money_columns, money_cells}};

/* ---- the rule a prediction comes from ---- */

static void time_rule(char *buf, size_t size, const struct tables *t)
{
	char a[48], b[48], devices[48];
	const struct gns_step_time *time = &t->time;
	if (time->rule == GNS_TIME_NONE)
		snprintf(buf, size, "times are absent: no step time is known");
	else if (time->rule == GNS_TIME_FIT)
		snprintf(buf, size, "step time %s + %s a sample, through %zu measured batch sizes of the marked runs",
			 milliseconds(a, sizeof a, time->alpha), milliseconds(b, sizeof b, time->beta), time->n);
	else
		snprintf(buf, size, "step time between two rules: GEMMs grow with the batch and the other %s stays, or all grows; mark runs "
			 "of other batch sizes in 5 Runs to fit it", milliseconds(a, sizeof a, time->fixed_ms));
	size_t at = strlen(buf);
	double n = gns_devices(t->m, t->ui->devices);
	if (t->ui->cost_axis == GNS_COST_MONEY)
		snprintf(buf + at, size - at, t->ui->price > 0 ? "; devices: %s, at %s an hour each" : "; devices: %s, no price set: $ or --price",
			 gns_text_number(devices, sizeof devices, n), gns_say_money(a, sizeof a, t->ui->price));
}

static void rule_text(char *buf, size_t size, const struct tables *t, enum gns_cost_axis axis)
{
	char time[320], steps[48];
	if (axis == GNS_COST_STEPS) {
		snprintf(buf, size, "Predicted (McCandlish et al. 2018, eq. 2.11) from B_crit, assuming a re-tuned learning rate. useful: share of "
			 "samples that still reduce the loss.");
		return;
	}
	time_rule(time, sizeof time, t);
	snprintf(buf, size, "To the loss of step %s, pauses between steps included. Steps predicted (McCandlish et al. 2018); %s.",
		 gns_text_number(steps, sizeof steps, (double)t->m->summary.run.steps), time);
}

/* Batches from 1/8 to 8 times the one in use. Returns the rows, titles and the note on the rule included. */
static int draw_table(struct gns_canvas *canvas, struct gns_rect rect, struct tables *t, enum gns_cost_axis axis)
{
	char rule[700], text[64];
	struct gns_grid grid = {.frame = rect};
	t->wide = rect.w >= 79;
	kinds[axis].columns(&grid, t->wide);
	gns_grid_fit(&grid);
	gns_grid_titles(&grid, canvas);
	int row = 1;
	for (int i = -3; i <= 3 && row < rect.h; i++) {
		struct gns_cost cost = cost_at(t, t->m->summary.samples_per_step * pow(2, i));
		enum gns_role role = cost.now ? GNS_ROLE_BATCH : GNS_ROLE_TEXT;
		if (cost.batch < 1)
			continue;
		if (cost.now)
			gns_grid_select(&grid, canvas, t->ui->renderer, row);
		gns_grid_cell(&grid, canvas, row, 0, role, gns_text_number(text, sizeof text, cost.batch));
		kinds[axis].cells(t, canvas, &grid, row++, &cost, role);
	}
	rule_text(rule, sizeof rule, t, axis);
	if (row < rect.h)
		row += gns_canvas_wrap(canvas, (struct gns_rect){rect.x, rect.y + row, rect.w, rect.h - row}, GNS_ROLE_FAINT, rule);
	return row;
}

/* Up to which batch the time can fall; the verdict above it has what twice or half of the batch would do. */
static int draw_answer(struct gns_canvas *canvas, struct gns_rect rect, const struct tables *t)
{
	struct gns_range fastest = gns_fastest(t->m, &t->time);
	char text[160], batch[96];
	if (!gns_verdict_is_class(gns_verdict_of(&t->m->summary)))
		return 0;
	if (isfinite(fastest.value))
		snprintf(text, sizeof text, "Fastest batch: %s.", gns_say_range(batch, sizeof batch, &fastest, gns_say_three, true));
	else if (isfinite(fastest.hi))
		snprintf(text, sizeof text, "Fastest batch: at most %s.", gns_say_three(batch, sizeof batch, fastest.hi));
	else
		return 0;
	return gns_canvas_wrap(canvas, rect, GNS_ROLE_TEXT, text);
}

static void draw_curve(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui)
{
	double x[CURVE_POINTS], y[CURVE_POINTS], crit = m->summary.b_crit.value, batch = m->summary.samples_per_step;
	char here[64], critical[64], number[48];
	struct gns_axis axis = gns_axis_empty(true);
	double reach = fmax(16, isfinite(batch) ? 2 * fmax(batch / crit, crit / batch) : 16);
	for (int i = 0; i < CURVE_POINTS; i++) {
		double b = crit / reach * pow(reach * reach, (double)i / (CURVE_POINTS - 1));
		x[i] = gns_samples_factor(b, crit);
		y[i] = gns_steps_factor(b, crit);
	}
	gns_axis_include(&axis, 1);
	gns_axis_include(&axis, x[CURVE_POINTS - 1]);
	gns_axis_round(&axis);
	snprintf(here, sizeof here, "you are here: batch %s", gns_text_number(number, sizeof number, batch));
	snprintf(critical, sizeof critical, "B_crit %s", gns_text_number(number, sizeof number, crit));
	struct gns_plot plot = {
		.frame = rect, .x = axis, .y = axis,
		.x_title = "samples, times the fewest", .y_title = "steps, times the fewest",
		.curves = {{.x = x, .y = y, .n = CURVE_POINTS, .role = GNS_ROLE_NOISE}}, .n_curves = 1,
		.marks = {{2, 2, critical, false, GNS_ROLE_CRIT},
			  {gns_samples_factor(batch, crit), gns_steps_factor(batch, crit), here, true, GNS_ROLE_BATCH}},
		.n_marks = isfinite(batch) ? 2 : 1,
	};
	gns_plot_draw(canvas, ui->renderer, &plot);
}

/* Time or money against the batch, between its limits; one curve where they are one. */
static void draw_cost_curve(struct gns_canvas *canvas, struct gns_rect rect, const struct tables *t, bool money)
{
	enum { N = 96 };
	double x[N], lo[N], hi[N], now = t->m->summary.samples_per_step, highest = 0;
	struct gns_axis across = gns_axis_empty(true), up = gns_axis_empty(true);
	for (int i = 0; i < N; i++) {
		x[i] = now / 8 * pow(64, (double)i / (N - 1));
		struct gns_cost cost = cost_at(t, x[i]);
		const struct gns_range *range = money ? &cost.money : &cost.seconds;
		lo[i] = range->lo;
		hi[i] = range->hi;
		highest = isfinite(hi[i]) ? fmax(highest, hi[i]) : highest;
	}
	struct gns_cost here = cost_at(t, now);
	const char *unit;
	double by = money ? 1 : gns_x_unit(highest, &unit);
	for (int i = 0; i < N; i++) {
		lo[i] /= by;
		hi[i] /= by;
		gns_axis_include(&across, x[i]);
		gns_axis_include(&up, lo[i]);
		gns_axis_include(&up, hi[i]);
	}
	if (!gns_axis_round(&up) || !gns_axis_round(&across))
		return;
	char title[96], label[64], number[48];
	snprintf(title, sizeof title, money ? "money to the loss of now, least and most" : "%s to the loss of now, least and most", unit);
	snprintf(label, sizeof label, "you are here: batch %s", gns_text_number(number, sizeof number, now));
	struct gns_plot plot = {
		.frame = rect, .x = across, .y = up, .x_title = "batch", .y_title = title,
		.curves = {{.x = x, .y = lo, .n = N, .role = GNS_ROLE_TIME}, {.x = x, .y = hi, .n = N, .role = GNS_ROLE_TIME}}, .n_curves = 2,
		.marks = {{now, (money ? here.money.value : here.seconds.value) / by, label, true, GNS_ROLE_BATCH}}, .n_marks = 1,
	};
	gns_plot_draw(canvas, t->ui->renderer, &plot);
}

static bool limits_known(const struct gns_ratio *crit)
{
	return crit->resolved || crit->lo > 0;
}

static void draw_plot(struct gns_canvas *canvas, struct gns_rect rect, const struct tables *t, bool curve)
{
	if (t->ui->cost_axis != GNS_COST_STEPS)
		draw_cost_curve(canvas, rect, t, t->ui->cost_axis == GNS_COST_MONEY);
	else if (curve)
		draw_curve(canvas, rect, t->m, t->ui);
	else
		gns_canvas_wrap(canvas, (struct gns_rect){rect.x, rect.y, rect.w, 3}, GNS_ROLE_TEXT,
				"The curve is drawn once B_crit is resolved; the table has its limits.");
}

/* A large screen has all three tables beside the plot. */
static void draw_beside(struct gns_canvas *canvas, struct gns_rect rest, struct tables *t, bool curve)
{
	int w = rest.w >= 190 ? 110 : 82;
	struct gns_rect right = {rest.x + rest.w - w, rest.y, w, rest.h};
	draw_plot(canvas, (struct gns_rect){rest.x, rest.y, rest.w - w - 2, rest.h}, t, curve);
	if (rest.h < 36) {
		draw_table(canvas, right, t, t->ui->cost_axis);
		return;
	}
	for (int axis = 0; axis < GNS_COST_AXES; axis++) {
		int used = draw_table(canvas, right, t, (enum gns_cost_axis)axis) + 1;
		right.y += used;
		right.h -= used;
	}
}

void gns_view_tradeoff(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	char verdict[GNS_VERDICT_SIZE];
	const struct gns_summary *s = &m->summary;
	struct tables t = {m, ui, gns_step_time_of(m), true};
	struct gns_range ratio = cost_at(&t, gns_verdict_other_batch(s)).time_ratio;
	gns_text_verdict(verdict, sizeof verdict, s, &(struct gns_interval){ratio.value, ratio.lo, ratio.hi});
	int used = gns_canvas_wrap(canvas, (struct gns_rect){body.x, body.y, body.w, body.h < 4 ? 1 : 3}, GNS_ROLE_STRONG, verdict);
	gns_canvas_flag(canvas, (struct gns_rect){body.x, body.y, body.w, used}, GNS_CELL_BOLD);
	bool table = isfinite(s->samples_per_step) && limits_known(&s->b_crit), curve = s->b_crit.resolved && s->b_crit.value > 0;
	if (table && body.h - used >= 11)
		used += draw_answer(canvas, (struct gns_rect){body.x, body.y + used, body.w, 2}, &t);
	struct gns_rect rest = {body.x, body.y + used, body.w, body.h - used};
	if (rest.h > 19 || rest.w >= 140) {
		rest.y++;
		rest.h--;
	}
	if (!table && !curve) {
		gns_canvas_wrap(canvas, rest, GNS_ROLE_TEXT, "Nothing can be predicted before B_crit or a lower limit of it is known.");
	} else if (table && rest.w >= 140 && rest.h >= 12) {
		draw_beside(canvas, rest, &t, curve);
	} else {
		int rows = !table ? 0 : ui->cost_axis != GNS_COST_STEPS ? (rest.w >= 79 ? 12 : 15) : rest.w >= 79 ? 10 : 12, plot = rest.h - rows;
		bool room = ui->cost_axis == GNS_COST_STEPS ? curve && plot >= 6 : table && plot >= 8;
		if (room)
			draw_plot(canvas, (struct gns_rect){rest.x, rest.y, rest.w, plot}, &t, curve);
		if (table)
			draw_table(canvas, (struct gns_rect){rest.x, rest.y + (room ? plot : 0), rest.w, room ? rows : rest.h}, &t, ui->cost_axis);
	}
}
