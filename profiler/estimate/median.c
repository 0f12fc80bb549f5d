/* See gnscope/median.h. */
#include "gnscope/median.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* The greatest k with P(Bin(n, 1/2) < k) <= 0.025. */
static size_t limit_of(size_t n)
{
	double below = 0;
	for (size_t k = 0; k < n; k++) {
		below += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) - (double)n * M_LN2);
		if (below > 0.025)
			return k;
	}
	return 0;
}

void gns_median(double *values, size_t n, struct gns_interval *out)
{
	*out = (struct gns_interval){NAN, NAN, NAN};
	if (n == 0)
		return;
	qsort(values, n, sizeof *values, ascending);
	out->value = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
	size_t k = limit_of(n);
	if (k == 0)
		return;
	out->lo = values[k - 1];
	out->hi = values[n - k];
}
