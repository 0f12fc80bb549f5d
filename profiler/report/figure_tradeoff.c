/* Steps and samples to the loss reached, against the batch (McCandlish et al. 2018, eq. 2.11). */
#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"
#include "profiler/report/figures.h"

#define POINTS 96
#define HEIGHT 346
#define LEFT 56
#define RIGHT 176
#define ABOVE 50
#define BELOW 26
#define MOST 50.0 /* times the fewest: what lies above is cut off */

typedef double (*factor_fn)(double batch, double b_crit);

static double batch_at(const struct gns_picture *p, int i)
{
	return gns_axis_value(&p->x, (double)i / (POINTS - 1));
}

static void curve(struct gns_picture *p, factor_fn factor, double crit, struct gns_pen pen)
{
	struct gns_spot spots[POINTS];
	for (int i = 0; i < POINTS; i++)
		spots[i] = (struct gns_spot){gns_chart_x(p, batch_at(p, i)), gns_chart_y(p, factor(batch_at(p, i), crit))};
	gns_picture_line(p, pen, spots, POINTS);
}

static void band(struct gns_picture *p, factor_fn factor, const struct gns_ratio *crit, enum gns_ink ink)
{
	struct gns_spot spots[2 * POINTS];
	for (int i = 0; i < POINTS; i++) {
		double batch = batch_at(p, i), x = gns_chart_x(p, batch);
		spots[i] = (struct gns_spot){x, gns_chart_y(p, factor(batch, crit->lo))};
		spots[2 * POINTS - 1 - i] = (struct gns_spot){x, gns_chart_y(p, factor(batch, crit->hi))};
	}
	gns_picture_area(p, (struct gns_pen){.ink = ink, .alpha = 0.18}, spots, 2 * POINTS);
}

/* The upright lines and their names; names lean away from one another. */
static void uprights(struct gns_picture *p, double batch, const struct gns_ratio *crit)
{
	char text[96], number[48];
	double value = crit->resolved ? crit->value : crit->lo, top = p->frame.y, bottom = top + p->frame.h;
	double x_batch = gns_chart_x(p, batch), x_crit = gns_chart_x(p, value);
	bool left = x_batch <= x_crit;
	if (crit->resolved) {
		double lo = fmax(gns_chart_x(p, crit->lo), p->frame.x), hi = fmin(gns_chart_x(p, crit->hi), p->frame.x + p->frame.w);
		gns_picture_rect(p, (struct gns_pen){.ink = GNS_INK_CRIT, .alpha = 0.1}, (struct gns_box){lo, top, hi - lo, bottom - top});
	}
	gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_CRIT, .width = 1.6, .dash = crit->resolved ? GNS_DASH_NONE : GNS_DASH_DOTS, .name = "b_crit"},
			    x_crit, top, x_crit, bottom);
	gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_BATCH, .width = 1.6, .dash = GNS_DASH_LONG, .name = "batch"}, x_batch, top, x_batch, bottom);
	snprintf(text, sizeof text, "B_crit %s%s", crit->resolved ? "" : "≥ ", gns_text_number(number, sizeof number, value));
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_CRIT, .width = GNS_TEXT_SIZE, .bold = true}, left ? GNS_ANCHOR_START : GNS_ANCHOR_END,
			 x_crit + (left ? 7 : -7), top - 7, text);
	snprintf(text, sizeof text, "your batch %s", gns_text_number(number, sizeof number, batch));
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_BATCH, .width = GNS_TEXT_SIZE, .bold = true}, left ? GNS_ANCHOR_END : GNS_ANCHOR_START,
			 x_batch + (left ? -7 : 7), top - 7, text);
}

/* The point of the batch in use, with its number where neither curve is: steps fall, samples rise. */
static void here(struct gns_picture *p, factor_fn factor, double batch, double crit, enum gns_ink ink, const char *name)
{
	char text[64];
	bool falls = factor == gns_steps_factor, upper = falls == (batch <= crit);
	double value = factor(batch, crit), x = gns_chart_x(p, batch), y = gns_chart_y(p, value);
	bool above = upper || y + 24 > p->frame.y + p->frame.h, right = falls == above;
	gns_picture_dot(p, (struct gns_pen){.ink = ink, .name = name}, x, y, 4.5);
	snprintf(text, sizeof text, "× %.3g", value);
	gns_picture_text(p, (struct gns_pen){.ink = ink, .width = GNS_TEXT_SIZE, .bold = true}, right ? GNS_ANCHOR_START : GNS_ANCHOR_END,
			 x + (right ? 9 : -9), y + (above ? -9 : 19), text);
}

static void name_curves(struct gns_picture *p, double crit, const char *words)
{
	struct gns_chart_labels labels = {.n = 0};
	double end = p->x.hi, top = p->frame.y;
	char text[96];
	snprintf(text, sizeof text, "steps / fewest%s", words);
	gns_chart_label(&labels, p, fmax(gns_chart_y(p, gns_steps_factor(end, crit)), top), GNS_INK_NOISE, GNS_DASH_NONE, text);
	snprintf(text, sizeof text, "samples / fewest%s", words);
	gns_chart_label(&labels, p, fmax(gns_chart_y(p, gns_samples_factor(end, crit)), top), GNS_INK_FIRST + 3, GNS_DASH_NONE, text);
	gns_chart_write_labels(p, &labels);
}

int gns_figure_tradeoff(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err)
{
	const struct gns_summary *s = &runs->summary;
	const struct gns_ratio *crit = &s->b_crit;
	double batch = s->samples_per_step, known = crit->resolved ? crit->value : crit->lo;
	char title[128], unit[32], name[128];
	p->height = top + HEIGHT;
	if (!(known > 0) || !(batch > 0))
		return gns_fail(err, -ENODATA, !(batch > 0) ? "the batch in use is not known: tell it with --samples"
							    : "B_crit of the run is unresolved: without it nothing can be said of another batch");
	struct gns_axis x = {fmin(batch, known) / 16, fmax(batch, known) * 16, true}, y = {1, MOST, true};
	gns_axis_round(&x);
	snprintf(title, sizeof title, "batch, %s a step", gns_text_safe(unit, sizeof unit, s->sample_unit));
	gns_chart_frame(p, (struct gns_box){LEFT, top + ABOVE, GNS_FIGURE_WIDTH - LEFT - RIGHT, HEIGHT - ABOVE - BELOW}, top + 14, x, y, title,
			"times the fewest possible, to the loss reached   (band: 95% limits of B_crit)");
	uprights(p, batch, crit);
	gns_picture_clip(p, p->frame);
	if (crit->resolved) {
		band(p, gns_steps_factor, crit, GNS_INK_NOISE);
		band(p, gns_samples_factor, crit, GNS_INK_FIRST + 3);
	}
	enum gns_dash dash = crit->resolved ? GNS_DASH_NONE : GNS_DASH_DOTS;
	curve(p, gns_steps_factor, known, (struct gns_pen){.ink = GNS_INK_NOISE, .width = 2, .dash = dash, .name = "steps"});
	curve(p, gns_samples_factor, known, (struct gns_pen){.ink = GNS_INK_FIRST + 3, .width = 2, .dash = dash, .name = "samples"});
	if (crit->resolved) {
		here(p, gns_steps_factor, batch, known, GNS_INK_NOISE, "steps_here");
		here(p, gns_samples_factor, batch, known, GNS_INK_FIRST + 3, "samples_here");
	}
	gns_picture_unclip(p);
	name_curves(p, known, crit->resolved ? "" : " (bound)");
	snprintf(p->title, sizeof p->title, "What another batch would cost %s", gns_figure_run_name(name, sizeof name, runs));
	snprintf(p->about, sizeof p->about, "%s", runs->verdict);
	return 0;
}
