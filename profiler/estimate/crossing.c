/* The first passage of a loss, smoothed by lines in a window that moves along the logarithm of the step. */
#include "gnscope/crossing.h"

#include <errno.h>
#include <math.h>

/* Sums of what is in the window, about an origin near it. */
struct sums {
	double n, x, xx, y, xy, yy;
};

static void add(struct sums *s, double x, double y, double sign)
{
	s->n += sign;
	s->x += sign * x;
	s->xx += sign * x * x;
	s->y += sign * y;
	s->xy += sign * x * y;
	s->yy += sign * y * y;
}

struct line {
	double value, slope, value_se; /* at the centre */
};

static struct line fit(const struct sums *s, double centre)
{
	double mx = s->x / s->n, my = s->y / s->n;
	double sxx = s->xx - s->n * mx * mx, sxy = s->xy - s->n * mx * my, syy = s->yy - s->n * my * my;
	double slope = sxy / sxx, off = centre - mx;
	double variance = fmax(0, syy - slope * sxy) / (s->n - 2);
	return (struct line){my + slope * off, slope, sqrt(variance * (1 / s->n + off * off / sxx))};
}

static bool usable(const double *steps, const double *losses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(steps[i] > (i ? steps[i - 1] : 0)) || !isfinite(steps[i]) || !isfinite(losses[i]))
			return false;
	return true;
}

static void cross(struct gns_crossing *out, const struct line *line, double centre, double before, double last, double target)
{
	double share = out->early ? 1 : (last - target) / (last - line->value);
	out->crossed = true;
	out->step = exp(before + share * (centre - before));
	if (!out->early && line->slope < 0)
		out->step_se = out->step * line->value_se / -line->slope;
}

int gns_crossing(const double *steps, const double *losses, size_t n, double target, double window, struct gns_crossing *out)
{
	*out = (struct gns_crossing){.step = NAN, .step_se = NAN, .centre = NAN, .loss = NAN};
	if (!isfinite(target) || !(window > 1) || !usable(steps, losses, n))
		return -EINVAL;
	if (n < GNS_CROSSING_LOSSES)
		return -ENODATA;
	struct sums sums = {0};
	double last = NAN, before = NAN;
	for (size_t hi = 0, lo = 0; hi < n && !out->crossed; hi++) {
		add(&sums, log(steps[hi]), losses[hi] - target, 1);
		for (; steps[lo] < steps[hi] / window && hi - lo >= GNS_CROSSING_LOSSES; lo++)
			add(&sums, log(steps[lo]), losses[lo] - target, -1);
		if (hi + 1 < GNS_CROSSING_LOSSES)
			continue;
		double centre = (log(steps[lo]) + log(steps[hi])) / 2;
		struct line line = fit(&sums, centre);
		out->early = isnan(last) && line.value <= 0;
		if (line.value <= 0)
			cross(out, &line, centre, out->early ? centre : before, last, 0);
		before = centre;
		last = line.value;
		out->centre = exp(centre);
		out->loss = target + line.value;
		out->window_losses = hi - lo + 1;
	}
	return 0;
}
