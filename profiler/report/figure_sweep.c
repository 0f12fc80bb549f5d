/* Steps to the target against the batch: the runs of a sweep and the law through them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"
#include "profiler/report/chart.h"
#include "profiler/report/sweep.h"

#define POINTS 96
#define HEIGHT 346
#define LEFT 56
#define RIGHT 176
#define ABOVE 50
#define BELOW 26

static void axes(const struct gns_report_sweep *s, struct gns_axis *x, struct gns_axis *y)
{
	*x = *y = gns_axis_empty(true);
	for (size_t i = 0; i < s->n; i++) {
		gns_axis_include(x, s->points[i].batch);
		gns_axis_include(y, s->points[i].steps);
	}
	double lo = x->lo, hi = x->hi;
	if (s->fitted && s->fit.b_crit.value > lo / 20 && s->fit.b_crit.value < hi * 20)
		gns_axis_include(x, s->fit.b_crit.value);
	gns_axis_include(x, lo / 1.3);
	gns_axis_include(x, hi * 1.3);
	gns_axis_include(y, s->fitted && s->fit.s_min.value > y->lo / 20 ? s->fit.s_min.value : (double)NAN);
	gns_axis_round(x);
	gns_axis_round(y);
}

static void law(struct gns_picture *p, const struct gns_fit *f)
{
	struct gns_spot spots[POINTS];
	double s_min = f->s_min.value, e_min = f->e_min.value;
	for (int i = 0; i < POINTS; i++) {
		double batch = gns_axis_value(&p->x, (double)i / (POINTS - 1));
		spots[i] = (struct gns_spot){gns_chart_x(p, batch), gns_chart_y(p, s_min + e_min / batch)};
	}
	struct gns_pen thin = {.ink = GNS_INK_FAINT, .width = 1.2, .dash = GNS_DASH_SHORT};
	double first = p->x.lo, last = p->x.hi;
	gns_picture_segment(p, thin, gns_chart_x(p, first), gns_chart_y(p, e_min / first), gns_chart_x(p, last), gns_chart_y(p, e_min / last));
	gns_picture_segment(p, thin, gns_chart_x(p, first), gns_chart_y(p, s_min), gns_chart_x(p, last), gns_chart_y(p, s_min));
	gns_picture_line(p, (struct gns_pen){.ink = GNS_INK_NOISE, .width = 2, .name = "law"}, spots, POINTS);
}

static void runs(struct gns_picture *p, const struct gns_report_sweep *s)
{
	for (size_t i = 0; i < s->n; i++) {
		double x = gns_chart_x(p, s->points[i].batch), y = gns_chart_y(p, s->points[i].steps);
		bool taken = !s->taken || s->taken[i];
		struct gns_pen pen = {.ink = taken ? GNS_INK_BATCH : GNS_INK_FAINT, .alpha = taken ? 0.85 : 0.4, .name = "run"};
		if (s->points[i].censored) {
			pen.name = "censored";
			pen.width = 1.6;
			gns_picture_line(p, pen, (struct gns_spot[]){{x - 4, y}, {x + 4, y}}, 2);
			pen.name = NULL;
			gns_picture_line(p, pen, (struct gns_spot[]){{x, y}, {x, y - 12}, {x - 3, y - 8}}, 3);
			gns_picture_line(p, pen, (struct gns_spot[]){{x, y - 12}, {x + 3, y - 8}}, 2);
		} else {
			gns_picture_dot(p, pen, x, y, taken ? 4 : 3);
		}
	}
}

static void mark_b_crit(struct gns_picture *p, const struct gns_interval *crit)
{
	char text[96], number[48];
	double x = gns_chart_x(p, crit->value), top = p->frame.y, bottom = top + p->frame.h, right = p->frame.x + p->frame.w;
	if (!(x >= p->frame.x && x <= right))
		return;
	double lo = fmax(crit->lo > 0 ? gns_chart_x(p, crit->lo) : p->frame.x, p->frame.x);
	double hi = fmin(isfinite(crit->hi) ? gns_chart_x(p, crit->hi) : right, right);
	if (isfinite(crit->lo))
		gns_picture_rect(p, (struct gns_pen){.ink = GNS_INK_CRIT, .alpha = 0.1}, (struct gns_box){lo, top, hi - lo, bottom - top});
	gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_CRIT, .width = 1.6, .name = "b_crit"}, x, top, x, bottom);
	snprintf(text, sizeof text, "B_crit %s", gns_text_number(number, sizeof number, crit->value));
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_CRIT, .width = GNS_TEXT_SIZE, .bold = true}, GNS_ANCHOR_MIDDLE, x, top - 7, text);
}

static void names(struct gns_picture *p, const struct gns_fit *f)
{
	struct gns_chart_labels labels = {.n = 0};
	char text[96], number[48];
	snprintf(text, sizeof text, "S_min + E_min / B");
	gns_chart_label(&labels, p, gns_chart_y(p, f->s_min.value + f->e_min.value / p->x.hi), GNS_INK_NOISE, GNS_DASH_NONE, text);
	snprintf(text, sizeof text, "S_min %s", gns_text_number(number, sizeof number, f->s_min.value));
	gns_chart_label(&labels, p, gns_chart_y(p, f->s_min.value), GNS_INK_FAINT, GNS_DASH_SHORT, text);
	gns_chart_write_labels(p, &labels);
}

int gns_figure_sweep(struct gns_picture *p, const struct gns_report_sweep *s, bool alone, struct gns_error *err)
{
	char title[160], verdict[400], loss[48];
	struct gns_axis x, y;
	double top = alone ? GNS_HEADING : 0;
	gns_picture_start(p, GNS_FIGURE_WIDTH, top + HEIGHT);
	axes(s, &x, &y);
	if (gns_axis_is_empty(&x) || gns_axis_is_empty(&y))
		return gns_fail(err, -ENODATA, "no run of the sweep has steps to show yet");
	snprintf(p->title, sizeof p->title, "Sweep %s", s->name);
	snprintf(p->about, sizeof p->about, "%s", gns_sweep_verdict(verdict, sizeof verdict, s));
	if (alone)
		gns_chart_heading(p, p->title, p->about);
	snprintf(title, sizeof title, "steps to loss %s", gns_text_number(loss, sizeof loss, s->target));
	gns_chart_frame(p, (struct gns_box){LEFT, top + ABOVE, GNS_FIGURE_WIDTH - LEFT - RIGHT, HEIGHT - ABOVE - BELOW}, top + 14, x, y, "batch", title);
	if (s->fitted)
		mark_b_crit(p, &s->fit.b_crit);
	gns_picture_clip(p, p->frame);
	if (s->fitted)
		law(p, &s->fit);
	runs(p, s);
	gns_picture_unclip(p);
	if (s->fitted)
		names(p, &s->fit);
	if (alone)
		gns_figure_margin(p, 24);
	return p->failed ? gns_fail(err, -ENOMEM, "no memory left for the picture") : 0;
}
