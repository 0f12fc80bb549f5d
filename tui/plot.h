/* Plots: from numbers to cells. Pure functions of their arguments but for the canvas they draw on.
 *
 * Order from back to front: band, reference lines, curves, marks, labels. Absent numbers (NaN) are gaps; a point whose value is
 * absent but whose lower limit is known is drawn as that limit with an arrow, everything above it possible. What lies outside an
 * axis is cut off at the edge of the plot, never moved into it. */
#ifndef GNS_TUI_PLOT_H
#define GNS_TUI_PLOT_H

#include "profiler/text/axis.h"
#include "tui/canvas.h"
#include "tui/renderer.h"

struct gns_curve {
	const double *x, *y;   /* n each, x rising */
	const double *lo, *hi; /* NULL: no band */
	size_t n;
	enum gns_role role;
};

struct gns_level { /* a horizontal reference line */
	double y;
	const char *label; /* drawn at the right end, above or below where there is room */
	bool dashed;
	enum gns_role role;
};

struct gns_mark { /* a point with a name */
	double x, y;
	const char *label;
	bool here; /* "you are here", else a cross */
	enum gns_role role;
};

struct gns_plot {
	struct gns_rect frame; /* everything is drawn within: axes, numbers, curves */
	struct gns_axis x, y;
	const char *x_title, *y_title; /* with unit; NULL: none. y_title takes the top row, x_title the end of the bottom row */
	struct gns_curve curves[4];
	size_t n_curves;
	struct gns_level levels[4];
	size_t n_levels;
	struct gns_mark marks[8];
	size_t n_marks;
};

/* The rectangle of the curves alone: the frame less the axes, their numbers and the titles. w or h < 1: too small to draw. */
struct gns_rect gns_plot_inside(const struct gns_plot *plot);
/* Column and row of a place (0..1) among `n` cells; -1 outside. */
int gns_plot_column(double place, int n);
int gns_plot_row(double place, int n); /* 0 on top */

/* False, and nothing drawn, when the frame is smaller than 16 x 5 or an axis is empty. */
bool gns_plot_draw(struct gns_canvas *canvas, const struct gns_renderer *renderer, const struct gns_plot *plot);

/* A bar of `share` (0..1) of w columns; share above 1 fills it, an absent one draws nothing. */
void gns_bar(struct gns_canvas *canvas, const struct gns_renderer *renderer, int x, int y, int w, double share, enum gns_role role);
/* Shares of a whole side by side in w columns, each in its own glyph of the renderer's (`part`) and its own role. They are rounded so that
 * the ends fall where the sums do. At most GNS_PARTS_MAX; what is absent or negative counts as nothing. */
void gns_parts(struct gns_canvas *canvas, const struct gns_renderer *renderer, int x, int y, int w, const double *shares, const enum gns_role *roles,
	       size_t n);
/* A spark line: n values over w columns, each column the mean of those in it (fewer values than columns are stretched), scaled
 * from least to greatest; a column without values is blank. */
void gns_spark(struct gns_canvas *canvas, const struct gns_renderer *renderer, int x, int y, int w, const double *values, size_t n,
	       enum gns_role role);

#endif
