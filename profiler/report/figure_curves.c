/* B_noise and loss along the steps, of one run or of several. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/figures.h"

#define HEIGHT 330
#define LEFT 56
#define RIGHT 176
#define ABOVE 30
#define BELOW 26

static struct gns_box frame_of(double top)
{
	return (struct gns_box){LEFT, top + ABOVE, GNS_FIGURE_WIDTH - LEFT - RIGHT, HEIGHT - ABOVE - BELOW};
}

static double middle(const struct gns_point *point)
{
	return (double)(point->step_lo + point->step_hi) / 2;
}

static bool adjacent(const struct gns_report_run *run, size_t i)
{
	return i > 0 && run->points[i].step_lo - run->points[i - 1].step_hi <= run->width;
}

static struct gns_axis step_axis(const struct gns_report_run *runs, size_t n)
{
	struct gns_axis x = {0, 1, false};
	for (size_t i = 0; i < n; i++)
		gns_axis_include(&x, (double)runs[i].rolled);
	return x;
}

/* ---- B_noise ---- */

/* The curve decides; limits far beyond it are cut off, and so are reference lines that would flatten it. */
static struct gns_axis noise_axis(const struct gns_report_run *runs, size_t n)
{
	struct gns_axis y = gns_axis_empty(true);
	for (size_t r = 0; r < n; r++)
		for (size_t i = 0; i < runs[r].n_points; i++) {
			const struct gns_ratio *b = &runs[r].points[i].b_noise;
			gns_axis_include(&y, b->resolved ? b->value : b->lo);
		}
	struct gns_axis curve = y;
	for (size_t r = 0; r < n && !gns_axis_is_empty(&curve); r++) {
		for (size_t i = 0; i < runs[r].n_points; i++) {
			const struct gns_ratio *b = &runs[r].points[i].b_noise;
			gns_axis_include(&y, fmax(b->lo, curve.lo / 4));
			if (b->resolved)
				gns_axis_include(&y, fmin(b->hi, curve.hi * 4));
		}
		if (n > 1)
			continue;
		const struct gns_summary *s = &runs[r].summary;
		double crit = s->b_crit.resolved ? s->b_crit.value : s->b_crit.lo;
		gns_axis_include(&y, s->samples_per_step > curve.lo / 300 && s->samples_per_step < curve.hi * 300 ? s->samples_per_step : NAN);
		gns_axis_include(&y, crit > curve.lo / 300 && crit < curve.hi * 300 ? crit : NAN);
	}
	gns_axis_round(&y);
	return y;
}

/* A limit at or below zero has no place on a log axis: the band then reaches below the frame, and is clipped. */
static double limit_y(const struct gns_picture *p, double value)
{
	double y = gns_chart_y(p, value);
	return isnan(y) && value <= 0 ? p->frame.y + p->frame.h + 10 : y;
}

/* Points [first, last] are resolved and adjacent. */
static void draw_stretch(struct gns_picture *p, const struct gns_report_run *run, size_t first, size_t last, struct gns_pen line, double alpha)
{
	size_t n = last - first + 1;
	struct gns_spot *spots = malloc(2 * n * sizeof *spots);
	if (!spots) {
		p->failed = true;
		return;
	}
	struct gns_pen band = {.ink = line.ink, .alpha = alpha, .name = "band"};
	for (size_t i = 0; i < n; i++) {
		const struct gns_point *at = &run->points[first + i];
		spots[i] = (struct gns_spot){gns_chart_x(p, middle(at)), limit_y(p, at->b_noise.hi)};
		spots[2 * n - 1 - i] = (struct gns_spot){spots[i].x, limit_y(p, at->b_noise.lo)};
	}
	if (n > 1)
		gns_picture_area(p, band, spots, 2 * n);
	else
		gns_picture_segment(p, (struct gns_pen){.ink = line.ink, .width = 4, .alpha = alpha, .name = "band"}, spots[0].x, spots[0].y,
				    spots[1].x, spots[1].y);
	for (size_t i = 0; i < n; i++)
		spots[i].y = gns_chart_y(p, run->points[first + i].b_noise.value);
	if (n > 1)
		gns_picture_line(p, line, spots, n);
	for (size_t i = 0; i < n && (n == 1 || n <= 40); i++)
		gns_picture_dot(p, (struct gns_pen){.ink = line.ink, .name = n == 1 ? "b_noise" : NULL}, spots[i].x, spots[i].y, n == 1 ? 3 : 2);
	free(spots);
}

/* Unresolved: at least lo, and open above. Without even that the whole height is open. */
static void draw_open(struct gns_picture *p, const struct gns_report_run *run, size_t i, enum gns_ink ink)
{
	const struct gns_point *at = &run->points[i];
	double left = gns_chart_x(p, fmax((double)at->step_lo - 1, p->x.lo)), right = gns_chart_x(p, (double)at->step_hi);
	double lo = limit_y(p, at->b_noise.lo), top = p->frame.y, bottom = p->frame.y + p->frame.h, x = (left + right) / 2;
	bool bound = isfinite(lo) && lo < bottom;
	lo = bound ? lo : bottom;
	gns_picture_area(p, (struct gns_pen){.ink = ink, .alpha = 0.07}, (struct gns_spot[]){{left, top}, {right, top}, {right, lo}, {left, lo}}, 4);
	if (!bound)
		return;
	struct gns_pen pen = {.ink = ink, .width = 1.4, .name = "at_least"};
	gns_picture_segment(p, pen, left, lo, right, lo);
	pen.name = NULL;
	if (right - left >= 5 || i % 4 == 0) {
		gns_picture_segment(p, pen, x, lo, x, lo - 14);
		gns_picture_line(p, pen, (struct gns_spot[]){{x - 3, lo - 10}, {x, lo - 14}, {x + 3, lo - 10}}, 3);
	}
}

static void draw_noise(struct gns_picture *p, const struct gns_report_run *run, struct gns_pen line, double alpha)
{
	for (size_t i = 0; i < run->n_points; i++)
		if (!run->points[i].b_noise.resolved)
			draw_open(p, run, i, line.ink);
	for (size_t i = 0; i < run->n_points;) {
		size_t last = i;
		if (!run->points[i].b_noise.resolved) {
			i++;
			continue;
		}
		while (last + 1 < run->n_points && run->points[last + 1].b_noise.resolved && adjacent(run, last + 1))
			last++;
		draw_stretch(p, run, i, last, line, alpha);
		i = last + 1;
	}
}

/* The end of the curve: the last resolved point, or the last. */
static const struct gns_ratio *end_of(const struct gns_report_run *run)
{
	for (size_t i = run->n_points; i-- > 0;)
		if (run->points[i].b_noise.resolved)
			return &run->points[i].b_noise;
	return run->n_points ? &run->points[run->n_points - 1].b_noise : NULL;
}

static double end_height(const struct gns_picture *p, const struct gns_report_run *run)
{
	const struct gns_ratio *b = end_of(run);
	return b ? gns_chart_y(p, b->resolved ? b->value : b->lo) : (double)NAN;
}

static void reference(struct gns_picture *p, struct gns_chart_labels *labels, double value, struct gns_pen pen, const char *text)
{
	double y = gns_chart_y(p, value);
	gns_picture_segment(p, pen, p->frame.x, y, p->frame.x + p->frame.w, y);
	gns_chart_label(labels, p, y, pen.ink, pen.dash, text);
}

static void references(struct gns_picture *p, struct gns_chart_labels *labels, const struct gns_summary *s)
{
	char text[96], number[48];
	double crit = s->b_crit.resolved ? s->b_crit.value : s->b_crit.lo;
	snprintf(text, sizeof text, "B_crit %s%s", s->b_crit.resolved ? "" : "≥ ", gns_text_number(number, sizeof number, crit));
	reference(p, labels, crit, (struct gns_pen){.ink = GNS_INK_CRIT, .width = 1.6, .dash = s->b_crit.resolved ? GNS_DASH_NONE : GNS_DASH_DOTS,
						     .name = "b_crit"}, text);
	snprintf(text, sizeof text, "batch %s", gns_text_number(number, sizeof number, s->samples_per_step));
	reference(p, labels, s->samples_per_step, (struct gns_pen){.ink = GNS_INK_BATCH, .width = 1.6, .dash = GNS_DASH_LONG, .name = "batch"}, text);
}

static void describe_noise(struct gns_picture *p, const struct gns_report_run *runs, size_t n)
{
	char name[128];
	size_t open = 0;
	for (size_t i = 0; i < runs->n_points; i++)
		open += !runs->points[i].b_noise.resolved;
	if (n == 1)
		snprintf(p->title, sizeof p->title, "B_noise of %s along its steps", gns_figure_run_name(name, sizeof name, runs));
	else
		snprintf(p->title, sizeof p->title, "B_noise of %zu runs along their steps", n);
	if (n == 1)
		snprintf(p->about, sizeof p->about, "%s. %zu stretches of %" PRId64 " steps, %zu of them unresolved.", runs->verdict, runs->n_points,
			 runs->width, open);
}

static bool one_unit(const struct gns_report_run *runs, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (strcmp(runs[i].summary.sample_unit, runs->summary.sample_unit) != 0)
			return false;
	return true;
}

/* The curve's name; where runs differ in unit, with its own. */
static void name_of(char *dst, size_t size, const struct gns_report_run *run, bool with_unit)
{
	char name[128], unit[32];
	gns_figure_run_name(name, sizeof name, run);
	if (with_unit)
		snprintf(dst, size, "%s, %s", name, gns_text_safe(unit, sizeof unit, run->summary.sample_unit));
	else
		snprintf(dst, size, "%s", name);
}

int gns_figure_noise(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err)
{
	struct gns_chart_labels labels = {.n = 0};
	char unit[32], title[200], text[192], number[48];
	struct gns_axis y = noise_axis(runs, n);
	p->height = top + HEIGHT;
	if (gns_axis_is_empty(&y))
		return gns_fail(err, -ENODATA, "no stretch of the run says anything of B_noise: too few steps were measured");
	snprintf(title, sizeof title, "B_noise, %s   (line: stretches pooled · band: 95%% limits · ↑ unresolved, at least this)",
		 one_unit(runs, n) ? gns_text_safe(unit, sizeof unit, runs->summary.sample_unit) : "each run in its own unit");
	gns_chart_frame(p, frame_of(top), top + 14, step_axis(runs, n), y, "step", title);
	gns_picture_clip(p, p->frame);
	for (size_t i = 0; i < n; i++) {
		struct gns_pen line = {.ink = n == 1 ? GNS_INK_NOISE : gns_ink_series(i), .width = 2, .name = "b_noise",
				       .dash = i < 2 ? GNS_DASH_NONE : (enum gns_dash)(i % GNS_DASHES)};
		draw_noise(p, &runs[i], line, n == 1 ? 0.18 : 0.1);
	}
	gns_picture_unclip(p);
	for (size_t i = 0; i < n && n > 1; i++) {
		name_of(text, sizeof text, &runs[i], !one_unit(runs, n));
		gns_chart_label(&labels, p, end_height(p, &runs[i]), gns_ink_series(i), GNS_DASH_NONE, text);
	}
	if (n == 1) {
		const struct gns_ratio *last = end_of(runs);
		snprintf(text, sizeof text, "last stretch %s%s", last->resolved ? "" : "≥ ",
			 gns_text_number(number, sizeof number, last->resolved ? last->value : last->lo));
		gns_chart_label(&labels, p, end_height(p, runs), GNS_INK_NOISE, GNS_DASH_NONE, text);
		references(p, &labels, &runs->summary);
	}
	gns_chart_write_labels(p, &labels);
	describe_noise(p, runs, n);
	return 0;
}

/* ---- loss ---- */

static struct gns_axis loss_axis(const struct gns_report_run *runs, size_t n)
{
	double lo = NAN, hi = NAN;
	for (size_t r = 0; r < n; r++)
		for (size_t i = 0; i < runs[r].n_losses; i++) {
			double loss = fabs(runs[r].losses[i].loss) < GNS_AXIS_MOST ? runs[r].losses[i].loss : (double)NAN;
			lo = fmin(lo, loss);
			hi = fmax(hi, loss);
		}
	struct gns_axis y = {lo, hi, lo > 0 && hi > 8 * lo};
	if (!y.log && isfinite(lo)) {
		double room = (hi - lo) * 0.06;
		y.lo = lo >= 0 && lo < 0.3 * hi ? 0 : lo - room;
		y.hi = hi + room;
	}
	gns_axis_round(&y);
	return y;
}

static void draw_loss(struct gns_picture *p, const struct gns_report_run *run, struct gns_pen pen)
{
	struct gns_spot *spots = malloc((run->n_losses + 1) * sizeof *spots);
	size_t n = spots ? run->n_losses : 0;
	for (size_t i = 0; i < n; i++)
		spots[i] = (struct gns_spot){gns_chart_x(p, run->losses[i].step), gns_chart_y(p, run->losses[i].loss)};
	if (n > 1)
		gns_picture_line(p, pen, spots, n);
	else if (n == 1)
		gns_picture_dot(p, (struct gns_pen){.ink = pen.ink, .name = pen.name}, spots[0].x, spots[0].y, 3);
	p->failed |= !spots;
	free(spots);
}

int gns_figure_loss(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err)
{
	struct gns_chart_labels labels = {.n = 0};
	char name[128], text[200], number[48];
	struct gns_axis y = loss_axis(runs, n);
	struct gns_box frame = frame_of(top);
	frame.h -= 90;
	p->height = top + HEIGHT - 90;
	if (gns_axis_is_empty(&y))
		return gns_fail(err, -ENODATA, "the loss is not known: tell it with --loss-regex or gns_loss");
	gns_chart_frame(p, frame, top + 14, step_axis(runs, n), y, "step", "loss   (mean of those known in each stretch)");
	gns_picture_clip(p, p->frame);
	for (size_t i = 0; i < n; i++)
		draw_loss(p, &runs[i], (struct gns_pen){.ink = n == 1 ? GNS_INK_TEXT : gns_ink_series(i), .width = 1.8, .name = "loss",
							.dash = i < 2 ? GNS_DASH_NONE : (enum gns_dash)(i % GNS_DASHES)});
	gns_picture_unclip(p);
	for (size_t i = 0; i < n; i++) {
		if (runs[i].n_losses == 0)
			continue;
		double loss = runs[i].losses[runs[i].n_losses - 1].loss;
		gns_text_number(number, sizeof number, loss);
		snprintf(text, sizeof text, "%s %s", n == 1 ? "loss" : number, n == 1 ? number : gns_figure_run_name(name, sizeof name, &runs[i]));
		gns_chart_label(&labels, p, gns_chart_y(p, loss), n == 1 ? GNS_INK_TEXT : gns_ink_series(i), GNS_DASH_NONE, text);
	}
	gns_chart_write_labels(p, &labels);
	snprintf(p->title, sizeof p->title, "Loss along the steps");
	return 0;
}
