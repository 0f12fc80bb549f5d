/* Line plots with bands, reference lines and marks. */
#include "tui/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct dots { /* the inside of a plot at the renderer's resolution */
	const struct gns_renderer *renderer;
	struct gns_rect inside;
	int w, h;              /* in dots */
	unsigned char *mask;   /* one per cell */
	unsigned char *role;   /* of the last curve through a cell */
};

static int y_label_columns(const struct gns_plot *plot, size_t max)
{
	double ticks[GNS_TICKS_MAX];
	size_t n = gns_axis_ticks(&plot->y, max, ticks), widest = 1;
	for (size_t i = 0; i < n; i++) {
		char label[32];
		size_t length = strlen(gns_axis_label(label, sizeof label, ticks[i]));
		if (length > widest)
			widest = length;
	}
	return (int)widest;
}

static size_t max_y_ticks(int rows)
{
	return rows < 2 ? 1 : (size_t)(2 * rows + 2) / 3;
}

struct gns_rect gns_plot_inside(const struct gns_plot *plot)
{
	int top = plot->y_title ? 1 : 0;
	struct gns_rect inside = {.y = plot->frame.y + top, .h = plot->frame.h - top - 2};
	int gutter = y_label_columns(plot, max_y_ticks(inside.h)) + 2;
	inside.x = plot->frame.x + gutter;
	inside.w = plot->frame.w - gutter;
	return inside;
}

int gns_plot_column(double place, int n)
{
	double column = floor(place * (n - 1) + 0.5);
	return column >= 0 && column < n ? (int)column : -1;
}

int gns_plot_row(double place, int n)
{
	int column = gns_plot_column(place, n);
	return column < 0 ? -1 : n - 1 - column;
}

static void draw_y_axis(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in)
{
	double ticks[GNS_TICKS_MAX];
	size_t n = gns_axis_ticks(&plot->y, max_y_ticks(in.h), ticks);
	for (int y = 0; y < in.h; y++)
		gns_canvas_put(canvas, in.x - 1, in.y + y, r->axis_y, GNS_ROLE_FRAME);
	int last = in.h + 1;
	for (size_t i = 0; i < n; i++) {
		int row = gns_plot_row(gns_axis_place(&plot->y, ticks[i]), in.h);
		if (row < 0 || row >= last)
			continue;
		char label[32];
		gns_axis_label(label, sizeof label, ticks[i]);
		gns_canvas_right(canvas, plot->frame.x, in.y + row, in.x - 1 - plot->frame.x, GNS_ROLE_FAINT, label);
		gns_canvas_put(canvas, in.x - 1, in.y + row, r->tick_y, GNS_ROLE_FRAME);
		last = row;
	}
	if (plot->y_title)
		gns_canvas_text(canvas, plot->frame.x, plot->frame.y, plot->frame.w, GNS_ROLE_FAINT, plot->y_title);
}

static void draw_x_axis(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in)
{
	int line = in.y + in.h, title = plot->x_title ? gns_canvas_columns(canvas, plot->x_title) : 0;
	gns_canvas_put(canvas, in.x - 1, line, r->corner, GNS_ROLE_FRAME);
	for (int x = 0; x < in.w; x++)
		gns_canvas_put(canvas, in.x + x, line, r->axis_x, GNS_ROLE_FRAME);
	double ticks[GNS_TICKS_MAX];
	size_t n = gns_axis_ticks(&plot->x, in.w < 20 ? 2 : (size_t)in.w / 9, ticks);
	int end = in.x + in.w - (title ? title + 1 : 0), free_from = plot->frame.x;
	if (title + 8 > in.w)
		end = in.x + in.w, title = 0;
	for (size_t i = 0; i < n; i++) {
		int column = gns_plot_column(gns_axis_place(&plot->x, ticks[i]), in.w);
		char label[32];
		int width = (int)strlen(gns_axis_label(label, sizeof label, ticks[i]));
		int at = in.x + column - width / 2;
		if (column < 0)
			continue;
		gns_canvas_put(canvas, in.x + column, line, r->tick_x, GNS_ROLE_FRAME);
		if (at < free_from || at + width > end)
			continue;
		gns_canvas_text(canvas, at, line + 1, width, GNS_ROLE_FAINT, label);
		free_from = at + width + 1;
	}
	if (title)
		gns_canvas_right(canvas, in.x, line + 1, in.w, GNS_ROLE_FAINT, plot->x_title);
}

/* The band between two neighbouring points, or of one alone (b == a): every cell whose middle lies within. */
static void band_between(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in,
			 const struct gns_curve *curve, size_t a, size_t b)
{
	double xa = gns_axis_place(&plot->x, curve->x[a]), xb = gns_axis_place(&plot->x, curve->x[b]);
	bool open = isnan(curve->hi[a]) || isnan(curve->y[a]);
	double la = gns_axis_place(&plot->y, curve->lo[a]), lb = gns_axis_place(&plot->y, curve->lo[b]);
	double ha = open ? 1 : gns_axis_place(&plot->y, curve->hi[a]), hb = open ? 1 : gns_axis_place(&plot->y, curve->hi[b]);
	/* A limit at or below zero has no place on a log axis: the band then reaches the bottom. */
	la = isnan(la) && isfinite(curve->lo[a]) ? 0 : la;
	lb = isnan(lb) && isfinite(curve->lo[b]) ? 0 : lb;
	double first = ceil(fmax(xa, 0) * (in.w - 1) - 0.5), last = floor(fmin(xb, 1) * (in.w - 1) + 0.5);
	for (double column = first; column <= last; column++) {
		double t = xb > xa ? (column / (in.w > 1 ? in.w - 1 : 1) - xa) / (xb - xa) : 0;
		t = fmin(fmax(t, 0), 1);
		double lo = la + t * (lb - la), hi = ha + t * (hb - ha);
		if (isnan(lo) || isnan(hi))
			continue;
		for (int row = 0; row < in.h; row++) {
			double place = in.h > 1 ? 1 - (double)row / (in.h - 1) : 0, half = in.h > 1 ? 0.5 / (in.h - 1) : 1;
			int x = in.x + (int)column;
			if (open && fabs(place - lo) <= half)
				gns_canvas_put(canvas, x, in.y + row, r->at_least, curve->role);
			else if (open && place > lo && (x + row) % 2 == 0)
				gns_canvas_put(canvas, x, in.y + row, r->above, GNS_ROLE_BAND);
			else if (!open && place >= lo - half / 2 && place <= hi + half / 2)
				gns_canvas_put(canvas, x, in.y + row, r->band, GNS_ROLE_BAND);
		}
	}
}

static bool resolved(const struct gns_curve *curve, size_t i)
{
	return isfinite(curve->y[i]);
}

static bool at_least(const struct gns_curve *curve, size_t i)
{
	return curve->lo && !isfinite(curve->y[i]) && isfinite(curve->lo[i]);
}

static void draw_bands(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in,
		       const struct gns_curve *curve)
{
	for (size_t i = 0; curve->lo && curve->hi && i < curve->n; i++) {
		bool next = i + 1 < curve->n;
		if (resolved(curve, i) && isfinite(curve->hi[i]))
			band_between(canvas, r, plot, in, curve, i, next && resolved(curve, i + 1) && isfinite(curve->hi[i + 1]) ? i + 1 : i);
		else if (at_least(curve, i))
			band_between(canvas, r, plot, in, curve, i, next && at_least(curve, i + 1) ? i + 1 : i);
	}
}

static void set_dot(struct dots *dots, long x, long y, enum gns_role role)
{
	if (x < 0 || y < 0 || x >= dots->w || y >= dots->h)
		return;
	const struct gns_renderer *r = dots->renderer;
	size_t cell = (size_t)(y / r->sub_y) * (size_t)dots->inside.w + (size_t)(x / r->sub_x);
	dots->mask[cell] |= (unsigned char)(1u << ((y % r->sub_y) * r->sub_x + x % r->sub_x));
	dots->role[cell] = (unsigned char)role;
}

/* The dot at a place; 0 and 1 are the middles of the first and the last cell, so that curves agree with ticks and marks. A place
 * far outside is brought near, so that the walk to it is short. */
static double dot_of(double place, int cells, int sub)
{
	return (fmin(fmax(place, -64), 64) * (cells - 1) + 0.5) * sub - 0.5;
}

/* Steps along the longer side; the ends may lie outside. */
static void dot_line(struct dots *dots, double xa, double ya, double xb, double yb, enum gns_role role)
{
	xa = dot_of(xa, dots->inside.w, dots->renderer->sub_x);
	xb = dot_of(xb, dots->inside.w, dots->renderer->sub_x);
	ya = dot_of(1 - ya, dots->inside.h, dots->renderer->sub_y);
	yb = dot_of(1 - yb, dots->inside.h, dots->renderer->sub_y);
	long ax = lround(xa), ay = lround(ya), bx = lround(xb), by = lround(yb);
	long n = labs(bx - ax) > labs(by - ay) ? labs(bx - ax) : labs(by - ay);
	for (long i = 0; i <= n; i++) {
		double t = n ? (double)i / (double)n : 0;
		set_dot(dots, ax + lround(t * (double)(bx - ax)), ay + lround(t * (double)(by - ay)), role);
	}
}

static void draw_curve(struct dots *dots, const struct gns_plot *plot, const struct gns_curve *curve)
{
	for (size_t i = 0; i < curve->n; i++) {
		double x = gns_axis_place(&plot->x, curve->x[i]), y = gns_axis_place(&plot->y, curve->y[i]);
		if (isnan(x) || isnan(y))
			continue;
		size_t next = i + 1 < curve->n ? i + 1 : i;
		double nx = gns_axis_place(&plot->x, curve->x[next]), ny = gns_axis_place(&plot->y, curve->y[next]);
		if (isnan(nx) || isnan(ny))
			nx = x, ny = y;
		dot_line(dots, x, y, nx, ny, curve->role);
	}
}

static void draw_curves(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in)
{
	size_t cells = (size_t)in.w * (size_t)in.h;
	struct dots dots = {.renderer = r, .inside = in, .w = in.w * r->sub_x, .h = in.h * r->sub_y};
	dots.mask = calloc(cells, 1);
	dots.role = calloc(cells, 1);
	for (size_t i = 0; dots.mask && dots.role && i < plot->n_curves; i++)
		draw_curve(&dots, plot, &plot->curves[i]);
	for (size_t i = 0; dots.mask && dots.role && i < cells; i++) {
		char glyph[8];
		if (dots.mask[i])
			gns_canvas_put(canvas, in.x + (int)(i % (size_t)in.w), in.y + (int)(i / (size_t)in.w), r->dots(dots.mask[i], glyph),
				       (enum gns_role)dots.role[i]);
	}
	free(dots.mask);
	free(dots.role);
}

static void draw_levels(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in)
{
	for (size_t i = 0; i < plot->n_levels; i++) {
		const struct gns_level *level = &plot->levels[i];
		int row = gns_plot_row(gns_axis_place(&plot->y, level->y), in.h);
		for (int x = 0; row >= 0 && x < in.w; x++)
			gns_canvas_put(canvas, in.x + x, in.y + row, level->dashed ? r->dashed : r->solid, level->role);
	}
}

/* On the line itself, each further left when an earlier label is in the same row. */
static void draw_level_labels(struct gns_canvas *canvas, const struct gns_plot *plot, struct gns_rect in)
{
	int row[4], start[4];
	for (size_t i = 0; i < plot->n_levels; i++) {
		const struct gns_level *level = &plot->levels[i];
		int end = in.x + in.w - 1, columns = level->label ? gns_canvas_columns(canvas, level->label) + 2 : 0;
		row[i] = gns_plot_row(gns_axis_place(&plot->y, level->y), in.h);
		for (size_t k = 0; k < i; k++)
			if (row[k] == row[i] && start[k] - 1 < end)
				end = start[k] - 1;
		start[i] = end - columns;
		if (row[i] < 0 || !level->label || start[i] < in.x)
			continue;
		gns_canvas_put(canvas, start[i], in.y + row[i], " ", level->role);
		gns_canvas_text(canvas, start[i] + 1, in.y + row[i], columns - 2, level->role, level->label);
		gns_canvas_put(canvas, end - 1, in.y + row[i], " ", level->role);
	}
}

/* The label of a mark goes above its right or left, beside it, or below: the first place that no other mark or label has. */
static bool place_label(const struct gns_rect *taken, size_t n_taken, struct gns_rect in, int column, int row, struct gns_rect *label)
{
	static const int rows[] = {-1, 0, 1};
	for (int i = 0; i < 6; i++) {
		struct gns_rect at = {i % 2 ? column - 1 - label->w : column + 2, row + rows[i / 2], label->w, 1};
		bool room = at.x >= 0 && at.x + at.w <= in.w && at.y >= 0 && at.y < in.h;
		for (size_t k = 0; room && k < n_taken; k++)
			room = taken[k].y != at.y || at.x > taken[k].x + taken[k].w || taken[k].x > at.x + at.w;
		if (room) {
			*label = at;
			return true;
		}
	}
	return false;
}

static void draw_marks(struct gns_canvas *canvas, const struct gns_renderer *r, const struct gns_plot *plot, struct gns_rect in)
{
	struct gns_rect taken[16];
	size_t n_taken = 0;
	int columns[8], rows[8];
	for (size_t i = 0; i < plot->n_marks; i++) {
		const struct gns_mark *mark = &plot->marks[i];
		columns[i] = gns_plot_column(gns_axis_place(&plot->x, mark->x), in.w);
		rows[i] = gns_plot_row(gns_axis_place(&plot->y, mark->y), in.h);
		if (columns[i] < 0 || rows[i] < 0)
			continue;
		taken[n_taken++] = (struct gns_rect){columns[i], rows[i], 1, 1};
		gns_canvas_put(canvas, in.x + columns[i], in.y + rows[i], mark->here ? r->here : r->cross, mark->role);
	}
	for (size_t i = 0; i < plot->n_marks; i++) {
		const struct gns_mark *mark = &plot->marks[i];
		struct gns_rect label = {.w = mark->label ? gns_canvas_columns(canvas, mark->label) : 0};
		if (columns[i] < 0 || rows[i] < 0 || label.w < 1 || !place_label(taken, n_taken, in, columns[i], rows[i], &label))
			continue;
		taken[n_taken++] = label;
		gns_canvas_text(canvas, in.x + label.x, in.y + label.y, label.w, mark->role, mark->label);
	}
}

bool gns_plot_draw(struct gns_canvas *canvas, const struct gns_renderer *renderer, const struct gns_plot *plot)
{
	if (plot->frame.w < 16 || plot->frame.h < 5 || gns_axis_is_empty(&plot->x) || gns_axis_is_empty(&plot->y))
		return false;
	struct gns_rect in = gns_plot_inside(plot);
	if (in.w < 4 || in.h < 2)
		return false;
	draw_y_axis(canvas, renderer, plot, in);
	draw_x_axis(canvas, renderer, plot, in);
	for (size_t i = 0; i < plot->n_curves; i++)
		draw_bands(canvas, renderer, plot, in, &plot->curves[i]);
	draw_levels(canvas, renderer, plot, in);
	draw_curves(canvas, renderer, plot, in);
	draw_marks(canvas, renderer, plot, in);
	draw_level_labels(canvas, plot, in);
	return true;
}
