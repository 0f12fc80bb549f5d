/* Axes and their ticks. */
#include "profiler/text/axis.h"

#include <math.h>
#include <stdio.h>

struct gns_axis gns_axis_empty(bool log)
{
	return (struct gns_axis){.lo = NAN, .hi = NAN, .log = log};
}

void gns_axis_include(struct gns_axis *axis, double value)
{
	if (!(fabs(value) < GNS_AXIS_MOST) || (axis->log && value < 1 / GNS_AXIS_MOST))
		return;
	if (!(axis->lo <= value))
		axis->lo = value;
	if (!(axis->hi >= value))
		axis->hi = value;
}

bool gns_axis_is_empty(const struct gns_axis *axis)
{
	return isnan(axis->lo) || isnan(axis->hi);
}

/* The largest 1, 2 or 5 times a power of ten that is not above value, or the smallest not below. */
static double round_125(double value, bool up)
{
	static const double steps[] = {1, 2, 5, 10};
	double decade = pow(10, floor(log10(value) + 1e-12));
	double best = up ? 10 * decade : decade;
	for (int i = 0; i < 4; i++) {
		double step = steps[i] * decade;
		if (up && step >= value * (1 - 1e-12))
			return step;
		if (!up && step <= value * (1 + 1e-12))
			best = step;
	}
	return best;
}

bool gns_axis_round(struct gns_axis *axis)
{
	if (gns_axis_is_empty(axis))
		return false;
	if (axis->log) {
		axis->lo = round_125(axis->lo, false);
		axis->hi = round_125(axis->hi, true);
		if (axis->hi < axis->lo * 1.5) {
			axis->lo = round_125(axis->lo / 1.5, false);
			axis->hi = round_125(axis->hi * 1.5, true);
		}
	} else if (!(axis->hi > axis->lo)) {
		double half = axis->lo != 0 ? fabs(axis->lo) / 2 : 1;
		axis->lo -= half;
		axis->hi += half;
	}
	return true;
}

double gns_axis_place(const struct gns_axis *axis, double value)
{
	if (!isfinite(value) || (axis->log && value <= 0))
		return NAN;
	if (axis->log)
		return log(value / axis->lo) / log(axis->hi / axis->lo);
	return (value - axis->lo) / (axis->hi - axis->lo);
}

double gns_axis_value(const struct gns_axis *axis, double place)
{
	if (axis->log)
		return axis->lo * pow(axis->hi / axis->lo, place);
	return axis->lo + place * (axis->hi - axis->lo);
}

static size_t linear_ticks(const struct gns_axis *axis, size_t max, double *ticks)
{
	double step = round_125((axis->hi - axis->lo) / (double)max, true);
	for (;; step = round_125(step * 1.5, true)) {
		double first = ceil(axis->lo / step - 1e-9), last = floor(axis->hi / step + 1e-9);
		if (last - first + 1 > (double)max)
			continue;
		size_t n = 0;
		for (double k = first; k <= last; k++)
			ticks[n++] = k * step + 0.0; /* no -0 */
		return n;
	}
}

/* Ticks m * 10^e for m in `of` (0-terminated), e a multiple of `every`. Returns max + 1 when there are more than max. */
static size_t log_ticks(const struct gns_axis *axis, size_t max, double *ticks, const int *of, int every)
{
	size_t n = 0;
	int first = (int)floor(log10(axis->lo) - 1e-9), last = (int)ceil(log10(axis->hi) + 1e-9);
	for (int e = first; e <= last; e++)
		for (const int *m = of; e % every == 0 && *m; m++) {
			double tick = *m * pow(10, e);
			if (tick < axis->lo * (1 - 1e-9) || tick > axis->hi * (1 + 1e-9))
				continue;
			if (n == max)
				return max + 1;
			ticks[n++] = tick;
		}
	return n;
}

size_t gns_axis_ticks(const struct gns_axis *axis, size_t max, double ticks[GNS_TICKS_MAX])
{
	static const int all[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0}, some[] = {1, 2, 5, 0}, few[] = {1, 3, 0}, one[] = {1, 0};
	static const int *const sets[] = {all, some, few, one};
	if (gns_axis_is_empty(axis) || max < 1)
		return 0;
	if (max > GNS_TICKS_MAX)
		max = GNS_TICKS_MAX;
	if (!axis->log)
		return linear_ticks(axis, max, ticks);
	for (int set = axis->hi / axis->lo < 4 ? 0 : 1; set < 4; set++) {
		size_t n = log_ticks(axis, max, ticks, sets[set], 1);
		if (n >= 1 && n <= max)
			return n;
	}
	for (int every = 2; every < 700; every++) {
		size_t n = log_ticks(axis, max, ticks, one, every);
		if (n <= max)
			return n;
	}
	return 0;
}

char *gns_axis_label(char *buf, size_t size, double value)
{
	static const struct {
		double unit;
		const char *letter;
	} units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
	double v = fabs(value);
	for (int i = 0; i < 4; i++)
		if (v >= units[i].unit && v < 1e15) {
			snprintf(buf, size, "%.4g%s", value / units[i].unit, units[i].letter);
			return buf;
		}
	snprintf(buf, size, v != 0 && v < 1e-3 ? "%.3g" : "%.4g", value);
	return buf;
}
