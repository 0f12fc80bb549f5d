/* Power laws over runs. */
#include "gnscope/fit.h"

#include <errno.h>
#include <math.h>

#include "profiler/estimate/variance.h"

int gns_fit_power(const double *x, const double *y, size_t n, struct gns_power_law *out)
{
	struct gns_interval none = {NAN, NAN, NAN};
	double count = (double)n, mx = 0, my = 0, xx = 0, xy = 0, yy = 0;
	*out = (struct gns_power_law){.n = n, .factor = NAN, .power = none, .sigma = NAN, .r2 = NAN, .aicc = NAN};
	for (size_t i = 0; i < n; i++) {
		if (!(x[i] > 0) || !(y[i] > 0) || !isfinite(x[i]) || !isfinite(y[i]))
			return -EINVAL;
		mx += log(x[i]) / count;
		my += log(y[i]) / count;
	}
	for (size_t i = 0; i < n; i++) {
		double dx = log(x[i]) - mx, dy = log(y[i]) - my;
		xx += dx * dx;
		xy += dx * dy;
		yy += dy * dy;
	}
	if (n < 3 || !(xx > 1e-18 * count))
		return -ENODATA;
	double slope = xy / xx, rss = fmax(0, yy - slope * xy), t = GNS_Z95 * sqrt(gns_small_sample(count - 2));
	out->sigma = sqrt(rss / (count - 2));
	out->power = (struct gns_interval){slope, slope - t * out->sigma / sqrt(xx), slope + t * out->sigma / sqrt(xx)};
	out->factor = exp(my - slope * mx);
	out->r2 = yy > 0 ? 1 - rss / yy : (double)NAN;
	if (n >= 5)
		out->aicc = 6 + count * log(rss / count) + 24 / (count - 4);
	return 0;
}
