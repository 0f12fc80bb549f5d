/* Bars and spark lines. */
#include <math.h>

#include "tui/plot.h"

void gns_bar(struct gns_canvas *canvas, const struct gns_renderer *renderer, int x, int y, int w, double share, enum gns_role role)
{
	if (!(share > 0) || w < 1)
		return;
	long eighths = lround(fmin(share, 1) * w * GNS_LEVELS);
	for (int i = 0; i < w && eighths > 0; i++, eighths -= GNS_LEVELS)
		gns_canvas_put(canvas, x + i, y, renderer->right[(eighths < GNS_LEVELS ? eighths : GNS_LEVELS) - 1], role);
}

void gns_parts(struct gns_canvas *canvas, const struct gns_renderer *renderer, int x, int y, int w, const double *shares, const enum gns_role *roles,
	       size_t n)
{
	double sum = 0;
	int from = 0;
	for (size_t i = 0; i < n && i < GNS_PARTS_MAX; i++) {
		sum = fmin(sum + (shares[i] > 0 ? shares[i] : 0), 1);
		int to = (int)lround(sum * w);
		for (; from < to; from++)
			gns_canvas_put(canvas, x + from, y, renderer->part[i], roles[i]);
	}
}

/* Mean of the known values of column i of w, or of the one it lies in; NaN when there are none. */
static double column_mean(const double *values, size_t n, int i, int w)
{
	size_t from = n * (size_t)i / (size_t)w, to = n * (size_t)(i + 1) / (size_t)w;
	if (to == from)
		to = from + 1;
	double sum = 0;
	size_t known = 0;
	for (size_t k = from; k < to; k++)
		if (isfinite(values[k])) {
			sum += values[k];
			known++;
		}
	return known ? sum / (double)known : NAN;
}

void gns_spark(struct gns_canvas *canvas, const struct gns_renderer *renderer, int x, int y, int w, const double *values, size_t n,
	       enum gns_role role)
{
	if (w < 1 || n < 1)
		return;
	struct gns_axis axis = gns_axis_empty(false);
	for (int i = 0; i < w; i++)
		gns_axis_include(&axis, column_mean(values, n, i, w));
	if (gns_axis_is_empty(&axis))
		return;
	for (int i = 0; i < w; i++) {
		double mean = column_mean(values, n, i, w);
		if (isnan(mean))
			continue;
		double place = axis.hi > axis.lo ? (mean - axis.lo) / (axis.hi - axis.lo) : 0;
		int level = (int)(place * GNS_LEVELS);
		gns_canvas_put(canvas, x + i, y, renderer->up[level < GNS_LEVELS ? level : GNS_LEVELS - 1], role);
	}
}
