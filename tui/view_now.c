/* Now: how noisy are the gradients, and is the batch in use too small or too large? */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "tui/device.h"
#include "tui/plot.h"
#include "tui/say.h"
#include "tui/xaxis.h"

struct columns { /* the curve's points as arrays, one malloc */
	double *x, *value, *lo, *hi, *loss, *step_ms;
	size_t n;
	enum gns_x_axis axis;
	char title[64]; /* of x */
};

static void set_x(struct columns *c, const struct gns_model *m)
{
	const char *name;
	uint64_t start = m->summary.run.start_ns, last = c->n ? m->points[c->n - 1].time_ns : 0;
	double unit = gns_x_unit(last > start ? (double)(last - start) / 1e9 : 0, &name);
	gns_x_of(m->points, c->n, c->axis, start, unit, c->x);
	gns_x_title(c->title, sizeof c->title, c->axis, c->n ? (double)m->points[0].step_lo : 1, unit);
}

static bool columns_init(struct columns *c, const struct gns_model *m, enum gns_x_axis axis)
{
	const struct gns_point *points = m->points;
	size_t n = m->n_points;
	double *at = calloc(6 * (n ? n : 1), sizeof *at);
	if (!at)
		return false;
	*c = (struct columns){at, at + n, at + 2 * n, at + 3 * n, at + 4 * n, at + 5 * n, n, axis, ""};
	set_x(c, m);
	for (size_t i = 0; i < n; i++) {
		const struct gns_point *p = &points[i];
		c->value[i] = p->b_noise.resolved ? p->b_noise.value : NAN;
		c->lo[i] = p->b_noise.lo;
		c->hi[i] = p->b_noise.resolved ? p->b_noise.hi : NAN;
		c->loss[i] = p->loss;
		c->step_ms[i] = p->step_ms;
	}
	return true;
}

/* Limits far from every value are cut off at the edge, so that one early wide interval does not flatten the rest. */
static struct gns_axis noise_axis(const struct columns *c, const struct gns_summary *s)
{
	struct gns_axis axis = gns_axis_empty(true);
	for (size_t i = 0; i < c->n; i++)
		gns_axis_include(&axis, isfinite(c->value[i]) ? c->value[i] : c->lo[i]);
	gns_axis_include(&axis, s->b_crit.resolved ? s->b_crit.value : s->b_crit.lo);
	gns_axis_include(&axis, s->samples_per_step);
	double lo = axis.lo / 4, hi = axis.hi * 4;
	for (size_t i = 0; i < c->n; i++) {
		if (c->lo[i] >= lo)
			gns_axis_include(&axis, c->lo[i]);
		if (c->hi[i] <= hi)
			gns_axis_include(&axis, c->hi[i]);
	}
	gns_axis_round(&axis);
	return axis;
}

static struct gns_axis x_axis(const struct gns_model *m, const struct columns *c)
{
	struct gns_axis axis = gns_axis_empty(false);
	for (size_t i = 0; c->axis != GNS_X_STEPS && i < c->n; i++)
		gns_axis_include(&axis, c->x[i]);
	if (c->axis == GNS_X_STEPS && m->n_points > 0) {
		gns_axis_include(&axis, (double)m->points[0].step_lo);
		gns_axis_include(&axis, (double)m->points[m->n_points - 1].step_hi);
	}
	gns_axis_round(&axis);
	return axis;
}

static void draw_legend(struct gns_canvas *canvas, const struct gns_renderer *r, struct gns_rect row, const struct columns *c, const char *unit)
{
	char glyph[8], text[96];
	bool any_open = false;
	for (size_t i = 0; i < c->n; i++)
		any_open |= isnan(c->value[i]) && isfinite(c->lo[i]);
	int x = row.x, end = row.x + row.w;
	snprintf(text, sizeof text, "%s", unit);
	x += gns_canvas_text(canvas, x, row.y, end - x, GNS_ROLE_FAINT, text) + 3;
	r->dots(r->sub_y == 3 ? 2u : r->sub_y == 2 ? 3u : 12u, glyph);
	snprintf(text, sizeof text, "%s%s B_noise", glyph, glyph);
	x += gns_canvas_text(canvas, x, row.y, end - x, GNS_ROLE_NOISE, text) + 2;
	snprintf(text, sizeof text, "%s 95%%", r->band);
	if (end - x >= 6)
		x += gns_canvas_text(canvas, x, row.y, end - x, GNS_ROLE_BAND, text) + 2;
	snprintf(text, sizeof text, "%s at least (unresolved)", r->at_least);
	if (any_open && end - x >= 24)
		gns_canvas_text(canvas, x, row.y, end - x, GNS_ROLE_NOISE, text);
}

static void draw_noise_plot(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui,
			    const struct columns *c)
{
	const struct gns_summary *s = &m->summary;
	char unit[32], number[48], crit[64], batch[64];
	double level = s->b_crit.resolved ? s->b_crit.value : s->b_crit.lo;
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	snprintf(crit, sizeof crit, s->b_crit.resolved ? "B_crit %s" : "B_crit ≥ %s", gns_text_number(number, sizeof number, level));
	snprintf(batch, sizeof batch, "batch %s", gns_text_number(number, sizeof number, s->samples_per_step));
	struct gns_plot plot = {
		.frame = {rect.x, rect.y + 1, rect.w, rect.h - 1},
		.x = x_axis(m, c), .y = noise_axis(c, s), .x_title = c->title,
		.curves = {{c->x, c->value, c->lo, c->hi, c->n, GNS_ROLE_NOISE}}, .n_curves = 1,
		.levels = {{level, crit, false, GNS_ROLE_CRIT}, {s->samples_per_step, batch, true, GNS_ROLE_BATCH}}, .n_levels = 2,
	};
	if (gns_plot_draw(canvas, ui->renderer, &plot))
		draw_legend(canvas, ui->renderer, (struct gns_rect){rect.x, rect.y, rect.w, 1}, c, unit);
}

static void draw_side_plot(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui,
			   const struct columns *c, const double *values, enum gns_role role, const char *title)
{
	struct gns_axis axis = gns_axis_empty(false);
	for (size_t i = 0; i < c->n; i++)
		gns_axis_include(&axis, values[i]);
	gns_axis_round(&axis);
	struct gns_plot plot = {
		.frame = rect, .x = x_axis(m, c), .y = axis, .x_title = c->title, .y_title = title,
		.curves = {{.x = c->x, .y = values, .n = c->n, .role = role}}, .n_curves = 1,
	};
	if (!gns_plot_draw(canvas, ui->renderer, &plot))
		gns_canvas_text(canvas, rect.x, rect.y, rect.w, GNS_ROLE_FAINT, title);
}

/* Both estimates in one line when they fit, else in two. Returns the lines. */
static int draw_estimates(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m)
{
	const struct gns_summary *s = &m->summary;
	const char *of = m->window > 0 || m->end > 0 ? "of these steps " : "of the run ";
	char unit[32], noise[160], crit[160], line[400];
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	gns_text_ratio(noise, sizeof noise, &s->b_noise, unit);
	gns_text_ratio(crit, sizeof crit, &s->b_crit, unit);
	snprintf(line, sizeof line, "B_noise %s · B_crit %s%s", noise, of, crit);
	bool one = gns_canvas_columns(canvas, line) <= rect.w;
	int x = rect.x;
	x += gns_canvas_text(canvas, x, rect.y, rect.w, GNS_ROLE_NOISE, "B_noise ");
	x += gns_canvas_text(canvas, x, rect.y, rect.x + rect.w - x, GNS_ROLE_TEXT, noise);
	if (!one && rect.h < 2)
		return 1;
	x = one ? x + 3 : rect.x;
	int y = one ? rect.y : rect.y + 1, end = rect.x + rect.w;
	x += gns_canvas_text(canvas, x, y, end - x, GNS_ROLE_CRIT, "B_crit ");
	if (gns_canvas_columns(canvas, crit) + 18 <= end - x)
		x += gns_canvas_text(canvas, x, y, end - x, GNS_ROLE_FAINT, of);
	gns_canvas_text(canvas, x, y, end - x, GNS_ROLE_TEXT, crit);
	return one ? 1 : 2;
}

/* What the noise scale belongs to, as far as there is room. */
static void draw_setting(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_summary *s)
{
	char optimizer[48], number[48], text[128];
	if (!s->optimizer[0])
		return;
	int n = snprintf(text, sizeof text, "  · %s", gns_text_safe(optimizer, sizeof optimizer, s->optimizer));
	if (isfinite(s->lr))
		snprintf(text + n, sizeof text - (size_t)n, ", lr %s", gns_text_number(number, sizeof number, s->lr));
	if (gns_canvas_columns(canvas, text) <= rect.w)
		gns_canvas_text(canvas, rect.x, rect.y, rect.w, GNS_ROLE_FAINT, text);
}

/* The decaying estimates of B_noise, shortest half-life first: they differ while the noise scale moves. */
static int draw_live(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m)
{
	char ratio[160], half[48];
	int x = rect.x, end = rect.x + rect.w;
	if (m->n_live == 0 || rect.h < 1)
		return 0;
	x += gns_canvas_text(canvas, x, rect.y, end - x, GNS_ROLE_FAINT, "recent");
	for (size_t i = 0; i < m->n_live; i++) {
		char text[256];
		snprintf(text, sizeof text, "  %s (half-life %s steps)", gns_say_ratio(ratio, sizeof ratio, &m->live[i].b_noise),
			 gns_text_number(half, sizeof half, m->live[i].half_life));
		if (x + gns_canvas_columns(canvas, text) > end)
			break;
		x += gns_canvas_text(canvas, x, rect.y, end - x, GNS_ROLE_TEXT, text);
	}
	draw_setting(canvas, (struct gns_rect){x, rect.y, end - x, 1}, &m->summary);
	return 1;
}

static void draw_spark(struct gns_canvas *canvas, struct gns_rect row, const struct gns_ui *ui, const char *label, const char *value,
		       const double *values, size_t n, enum gns_role role)
{
	gns_canvas_text(canvas, row.x, row.y, 10, GNS_ROLE_FAINT, label);
	gns_canvas_text(canvas, row.x + 10, row.y, 12, GNS_ROLE_TEXT, value);
	gns_spark(canvas, ui->renderer, row.x + 22, row.y, row.w - 22, values, n, role);
}

static void cost_text(char *buf, size_t size, const struct gns_summary *s, bool narrow)
{
	char overhead[48], coverage[48], note[160];
	gns_say_percent(overhead, sizeof overhead, s->overhead_pct / 100);
	gns_say_percent(coverage, sizeof coverage, s->coverage);
	gns_text_safe(note, sizeof note, s->coverage_note);
	if (narrow)
		snprintf(buf, size, "overhead %s · coverage %s", overhead, coverage);
	else
		snprintf(buf, size, "overhead %s of step time · coverage %s %s", overhead, coverage, note);
}

static int cost_rows(const struct gns_canvas *canvas, struct gns_rect body, const struct gns_summary *s)
{
	char text[400];
	cost_text(text, sizeof text, s, body.w < 60);
	return body.h >= 16 && gns_canvas_columns(canvas, text) > body.w ? 2 : 1;
}

/* Every warning in its own line when there is room, else all their names in one. */
static void draw_warnings(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_summary *s)
{
	char name[48], text[224], names[700] = "";
	if (s->n_warnings <= (size_t)rect.h) {
		for (size_t i = 0; i < s->n_warnings; i++)
			gns_canvas_printf(canvas, rect.x, rect.y + (int)i, rect.w, GNS_ROLE_WARN, "! %s: %s",
					  gns_text_safe(name, sizeof name, s->warnings[i].name),
					  gns_text_safe(text, sizeof text, s->warnings[i].text));
		return;
	}
	for (size_t i = 0; i < s->n_warnings; i++)
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
			 gns_text_safe(name, sizeof name, s->warnings[i].name));
	gns_canvas_printf(canvas, rect.x, rect.y, rect.w, GNS_ROLE_WARN, "! %zu warnings (6): %s", s->n_warnings, names);
}

/* Room for where the time goes. */
static int split_rows(const struct gns_model *m, int height)
{
	return height >= 14 && (m->split.steps > 0 || m->gpu.n_devices > 0) ? 1 : 0;
}

/* By the device where there is one: the host's calls only launch what runs there. */
static void draw_split(struct gns_canvas *canvas, struct gns_rect line, const struct gns_model *m)
{
	char text[400];
	int indent = 0;
	if (!gns_device_line(text, sizeof text, &m->gpu)[0]) {
		indent = gns_canvas_text(canvas, line.x, line.y, 10, GNS_ROLE_FAINT, "a step is") + 1;
		gns_say_split(text, sizeof text, &m->split, true);
		size_t at = strlen(text);
		gns_say_split_steps(text + at, sizeof text - at, &m->split);
		memmove(text + at + 1, text + at, strlen(text + at) + 1);
		text[at] = ' ';
		if (gns_canvas_columns(canvas, text) + indent > line.w)
			text[at] = '\0';
		if (gns_canvas_columns(canvas, text) + indent > line.w)
			gns_say_split(text, sizeof text, &m->split, false);
	}
	gns_canvas_text(canvas, line.x + indent, line.y, line.w - indent, GNS_ROLE_TEXT, text);
}

static int warning_rows(const struct gns_summary *s, int height)
{
	if (s->n_warnings == 0)
		return 0;
	return (int)s->n_warnings <= height / 6 ? (int)s->n_warnings : 1;
}

/* Loss, step time, cost and warnings, at the bottom of the body. Returns the rows taken. */
static int draw_foot(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, const struct gns_ui *ui,
		     const struct columns *c, bool sparks)
{
	const struct gns_summary *s = &m->summary;
	char loss[64], ms[64], step[80], line[400];
	int warnings = warning_rows(s, body.h), cost = cost_rows(canvas, body, s);
	int split = split_rows(m, body.h), rows = (sparks ? 2 : 1) + split + cost + warnings, y = body.y + body.h - rows;
	gns_text_number(loss, sizeof loss, s->loss);
	snprintf(step, sizeof step, "%s ms", gns_text_number(ms, sizeof ms, s->step_ms));
	if (sparks) {
		draw_spark(canvas, (struct gns_rect){body.x, y, body.w, 1}, ui, "loss", loss, c->loss, c->n, GNS_ROLE_LOSS);
		draw_spark(canvas, (struct gns_rect){body.x, y + 1, body.w, 1}, ui, "step time", step, c->step_ms, c->n, GNS_ROLE_TIME);
		y += 2;
	} else {
		snprintf(line, sizeof line, "loss %s · step time %s", loss, step);
		gns_canvas_text(canvas, body.x, y++, body.w, GNS_ROLE_TEXT, line);
	}
	if (split)
		draw_split(canvas, (struct gns_rect){body.x, y++, body.w, 1}, m);
	cost_text(line, sizeof line, s, body.w < 60);
	gns_canvas_wrap(canvas, (struct gns_rect){body.x, y, body.w, cost}, GNS_ROLE_TEXT, line);
	if (warnings)
		draw_warnings(canvas, (struct gns_rect){body.x, y + cost, body.w, warnings}, s);
	return rows;
}

static void draw_plots(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui,
		       const struct columns *c, bool side)
{
	if (!side) {
		draw_noise_plot(canvas, rect, m, ui, c);
		return;
	}
	int left = rect.w * 62 / 100, half = rect.h / 2;
	char loss[96], ms[96], number[48];
	snprintf(loss, sizeof loss, "loss %s", gns_text_number(number, sizeof number, m->summary.loss));
	snprintf(ms, sizeof ms, "step time %s ms", gns_text_number(number, sizeof number, m->summary.step_ms));
	draw_noise_plot(canvas, (struct gns_rect){rect.x, rect.y, left - 2, rect.h}, m, ui, c);
	struct gns_rect right = {rect.x + left + 1, rect.y, rect.w - left - 1, half};
	draw_side_plot(canvas, right, m, ui, c, c->loss, GNS_ROLE_LOSS, loss);
	right.y += half;
	right.h = rect.h - half;
	draw_side_plot(canvas, right, m, ui, c, c->step_ms, GNS_ROLE_TIME, ms);
}

void gns_view_now(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	struct columns c;
	char verdict[GNS_VERDICT_SIZE];
	int y = body.y, end = body.y + body.h;
	gns_text_verdict(verdict, sizeof verdict, &m->summary, NULL);
	y += gns_canvas_wrap(canvas, (struct gns_rect){body.x, y, body.w, body.h < 3 ? 1 : 3}, GNS_ROLE_STRONG, verdict);
	gns_canvas_flag(canvas, (struct gns_rect){body.x, body.y, body.w, y - body.y}, GNS_CELL_BOLD);
	if (y < end)
		y += draw_estimates(canvas, (struct gns_rect){body.x, y, body.w, end - y}, m);
	if (body.h >= 16)
		y += draw_live(canvas, (struct gns_rect){body.x, y, body.w, 1}, m);
	if (!columns_init(&c, m, ui->x_axis))
		return;
	bool side = body.w >= 140 && end - y >= 20;
	struct gns_rect rest = {body.x, y, body.w, end - y};
	int foot = 1 + split_rows(m, rest.h) + cost_rows(canvas, rest, &m->summary) + warning_rows(&m->summary, rest.h);
	bool sparks = !side && body.w >= 60 && end - y >= foot + 9;
	if (end - y >= foot)
		end -= draw_foot(canvas, rest, m, ui, &c, sparks);
	if (end - y >= 7)
		draw_plots(canvas, (struct gns_rect){body.x, y + (end - y > 9), body.w, end - y - (end - y > 9) - (end - y > 12)}, m, ui, &c, side);
	free(c.x);
}
