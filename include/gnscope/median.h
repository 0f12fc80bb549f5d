/* The median of some numbers, with limits that suppose nothing of their distribution. A pure function, as estimate.h. */
#ifndef GNSCOPE_MEDIAN_H
#define GNSCOPE_MEDIAN_H

#include <stddef.h>

#include "gnscope/fit.h"

/* Sorts `values` (finite ones), which is the caller's. lo and hi are the k-th smallest and k-th largest, k as large as leaves at least
 * 95% between them: the sign test's limits (Conover, Practical Nonparametric Statistics, 3.2), for independent values. They are
 * NaN below 6 values, the median below 1. */
void gns_median(double *values, size_t n, struct gns_interval *out);

#endif
