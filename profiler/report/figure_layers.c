/* B_noise of every weight with its interval, and each one's share of the noise and of the gradient. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/figures.h"

#define ROWS 30
#define ROW 23
#define ABOVE 34
#define BELOW 30
#define NAMES 236
#define BARS 690

static const struct gns_layer **chosen_layers(const struct gns_report_run *run, size_t *n);

static int more_noise(const void *a, const void *b)
{
	const struct gns_layer *const *x = a, *const *y = b;
	double p = isfinite((*x)->share_s) ? (*x)->share_s : -1, q = isfinite((*y)->share_s) ? (*y)->share_s : -1;
	return p > q ? -1 : p < q ? 1 : (*x)->param_id < (*y)->param_id ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
	const struct gns_layer *const *x = a, *const *y = b;
	return (*x)->param_id < (*y)->param_id ? -1 : (*x)->param_id > (*y)->param_id;
}

/* Those with most of the noise, in the order of the network. */
static const struct gns_layer **chosen_layers(const struct gns_report_run *run, size_t *n)
{
	const struct gns_layer **rows = malloc((run->n_layers + 1) * sizeof *rows);
	for (size_t i = 0; rows && i < run->n_layers; i++)
		rows[i] = &run->layers[i];
	*n = run->n_layers < ROWS ? run->n_layers : ROWS;
	if (!rows)
		return NULL;
	qsort(rows, run->n_layers, sizeof *rows, more_noise);
	qsort(rows, *n, sizeof *rows, by_id);
	return rows;
}

static struct gns_axis noise_axis(const struct gns_layer **rows, size_t n, double all)
{
	struct gns_axis x = gns_axis_empty(true), curve;
	for (size_t i = 0; i < n; i++)
		gns_axis_include(&x, rows[i]->b_noise.resolved ? rows[i]->b_noise.value : rows[i]->b_noise.lo);
	gns_axis_include(&x, all);
	curve = x;
	for (size_t i = 0; i < n && !gns_axis_is_empty(&curve); i++) {
		gns_axis_include(&x, fmax(rows[i]->b_noise.lo, curve.lo / 4));
		gns_axis_include(&x, fmin(rows[i]->b_noise.hi, curve.hi * 4));
	}
	if (!gns_axis_round(&x))
		x = (struct gns_axis){1, 10, true};
	return x;
}

static void row_name(struct gns_picture *p, const struct gns_layer *l, double y)
{
	char name[96], shape[40];
	gns_text_safe(shape, sizeof shape, l->shape);
	gns_text_safe(name, sizeof name, l->name);
	double taken = 6.6 * (double)strlen(shape) + 10;
	gns_chart_cut(name, GNS_TEXT_SIZE, NAMES - 20 - taken);
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_TEXT, .width = GNS_TEXT_SIZE}, GNS_ANCHOR_START, 0, y + 4, name);
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = 11, .mono = true}, GNS_ANCHOR_END, NAMES - 14, y + 4, shape);
}

static void row_words(struct gns_picture *p, double y, const char *words)
{
	double x = p->frame.x + 8, width = gns_picture_text_width(words, GNS_SMALL_SIZE);
	gns_picture_rect(p, (struct gns_pen){.ink = GNS_INK_PAPER}, (struct gns_box){x - 4, y - 9, width + 8, 18});
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE}, GNS_ANCHOR_START, x, y + 4, words);
}

static void row_interval(struct gns_picture *p, const struct gns_report_run *run, const struct gns_layer *l, double y)
{
	char why[96];
	const struct gns_ratio *b = &l->b_noise;
	double right = p->frame.x + p->frame.w, left = p->frame.x;
	if (l->excluded || !(l->count > 0)) {
		row_words(p, y, l->excluded ? run->left_out(why, sizeof why, l->left_out) : "not measured");
		return;
	}
	double lo = gns_chart_x(p, b->lo), hi = gns_chart_x(p, b->hi), x = gns_chart_x(p, b->value);
	if (!b->resolved && isnan(lo)) {
		row_words(p, y, "unresolved");
		return;
	}
	lo = isnan(lo) ? left - 10 : lo;
	gns_picture_clip(p, (struct gns_box){left, y - ROW / 2.0, p->frame.w, ROW});
	if (b->resolved) {
		gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_NOISE, .width = 5, .alpha = 0.3, .name = "interval"}, lo, y, hi, y);
		gns_picture_dot(p, (struct gns_pen){.ink = GNS_INK_NOISE, .name = "b_noise"}, x, y, 4);
	} else {
		gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_NOISE, .width = 5, .alpha = 0.12}, lo, y, right, y);
		gns_picture_line(p, (struct gns_pen){.ink = GNS_INK_NOISE, .width = 1.6, .name = "at_least"},
				 (struct gns_spot[]){{lo, y - 5}, {lo, y + 5}}, 2);
		gns_picture_line(p, (struct gns_pen){.ink = GNS_INK_NOISE, .width = 1.4}, (struct gns_spot[]){{right - 9, y - 4}, {right - 4, y}, {right - 9, y + 4}}, 3);
	}
	gns_picture_unclip(p);
}

static void row_bars(struct gns_picture *p, const struct gns_layer *l, double y, double widest)
{
	char text[48];
	double room = GNS_FIGURE_WIDTH - BARS - 52;
	if (l->excluded || !isfinite(l->share_s))
		return;
	double s = fmax(0, l->share_s) / widest * room, g2 = fmax(0, l->share_g2) / widest * room;
	gns_picture_rect(p, (struct gns_pen){.ink = GNS_INK_NOISE, .alpha = 0.85, .name = "share_s"}, (struct gns_box){BARS, y - 7, s, 8});
	if (isfinite(g2))
		gns_picture_rect(p, (struct gns_pen){.ink = GNS_INK_FAINT, .alpha = 0.55, .name = "share_g2"}, (struct gns_box){BARS, y + 3, g2, 4});
	snprintf(text, sizeof text, "%.1f%%", 100 * l->share_s);
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_TEXT, .width = GNS_SMALL_SIZE}, GNS_ANCHOR_START,
			 BARS + fmax(s, isfinite(g2) ? g2 : 0) + 6, y + 4, text);
}

static double widest_share(const struct gns_layer **rows, size_t n)
{
	double widest = 0.01;
	for (size_t i = 0; i < n; i++) {
		widest = isfinite(rows[i]->share_s) ? fmax(widest, rows[i]->share_s) : widest;
		widest = isfinite(rows[i]->share_g2) ? fmax(widest, rows[i]->share_g2) : widest;
	}
	return widest;
}

static void whole_model(struct gns_picture *p, const struct gns_ratio *b)
{
	double x = b->resolved ? gns_chart_x(p, b->value) : (double)NAN;
	if (!(x >= p->frame.x && x <= p->frame.x + p->frame.w))
		return;
	gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = 1.2, .dash = GNS_DASH_SHORT, .name = "all"}, x, p->frame.y, x, p->frame.y + p->frame.h);
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE}, GNS_ANCHOR_MIDDLE, x, p->frame.y - 3, "all weights");
}

int gns_figure_layers(struct gns_picture *p, const struct gns_report_run *runs, size_t n_runs, double top, struct gns_error *err)
{
	size_t n;
	char unit[32], title[64], name[128];
	if (runs->n_layers == 0)
		return gns_fail(err, -ENODATA, "no weight was found: a weight is known once its products recur in a second step");
	const struct gns_layer **rows = chosen_layers(runs, &n);
	if (!rows)
		return gns_fail(err, -ENOMEM, "no memory left for the picture");
	p->height = top + ABOVE + ROW * (double)n + BELOW;
	struct gns_axis x = noise_axis(rows, n, runs->summary.b_noise.resolved ? runs->summary.b_noise.value : (double)NAN);
	snprintf(title, sizeof title, "B_noise, %s", gns_text_safe(unit, sizeof unit, runs->summary.sample_unit));
	p->has_frame = true;
	p->frame = (struct gns_box){NAMES, top + ABOVE, BARS - NAMES - 36, ROW * (double)n};
	p->x = x;
	p->y = (struct gns_axis){0, (double)n, false};
	double ticks[GNS_TICKS_MAX], bottom = p->frame.y + p->frame.h;
	size_t n_ticks = gns_axis_ticks(&x, 6, ticks);
	for (size_t i = 0; i < n_ticks; i++) {
		char label[32];
		double at = gns_chart_x(p, ticks[i]);
		gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_GRID, .width = 1}, at, p->frame.y, at, bottom);
		gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE}, GNS_ANCHOR_MIDDLE, at, bottom + 17,
				 gns_axis_label(label, sizeof label, ticks[i]));
	}
	struct gns_pen head = {.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE};
	gns_picture_text(p, head, GNS_ANCHOR_START, 0, top + 12, "weight");
	gns_picture_text(p, head, GNS_ANCHOR_START, NAMES, top + 12, title);
	gns_picture_text(p, head, GNS_ANCHOR_START, BARS, top + 12, "share of noise (thick), of |G|² (thin)");
	whole_model(p, &runs->summary.b_noise);
	double widest = widest_share(rows, n);
	for (size_t i = 0; i < n; i++) {
		double y = p->frame.y + ROW * ((double)i + 0.5);
		row_name(p, rows[i], y);
		row_interval(p, runs, rows[i], y);
		row_bars(p, rows[i], y, widest);
	}
	snprintf(p->title, sizeof p->title, "B_noise of the weights of %s", gns_figure_run_name(name, sizeof name, runs));
	snprintf(p->about, sizeof p->about, "%zu of %zu weights%s", n, runs->n_layers, n < runs->n_layers ? ", those with most of the noise" : "");
	free(rows);
	return 0;
}
