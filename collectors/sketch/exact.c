/* Exact per-sample squared gradient norms of layers that are no matrix product. */
#include "collectors/sketch/exact.h"

#include <errno.h>
#include <stdbool.h>

static double element(const struct gns_mat *m, size_t row, size_t col)
{
	ptrdiff_t at = (ptrdiff_t)row * m->row_stride + (ptrdiff_t)col * m->col_stride;
	return m->dtype == GNS_F64 ? ((const double *)m->data)[at] : (double)((const float *)m->data)[at];
}

static bool divides(const struct gns_mat *y, size_t samples)
{
	return (y->dtype == GNS_F32 || y->dtype == GNS_F64) && samples && y->rows && y->cols && y->rows % samples == 0;
}

int gns_exact_bias(const struct gns_mat *y, size_t samples, double *sum)
{
	if (!divides(y, samples))
		return -EINVAL;
	size_t t = y->rows / samples;
	*sum = 0;
	for (size_t i = 0; i < samples; i++)
		for (size_t c = 0; c < y->cols; c++) {
			double g = 0;
			for (size_t r = i * t; r < (i + 1) * t; r++)
				g += element(y, r, c);
			*sum += g * g;
		}
	return 0;
}

int gns_exact_gain(const struct gns_mat *xhat, const struct gns_mat *y, size_t samples, double *sum)
{
	if (!divides(y, samples) || xhat->dtype != y->dtype || xhat->rows != y->rows || xhat->cols != y->cols)
		return -EINVAL;
	size_t t = y->rows / samples;
	*sum = 0;
	for (size_t i = 0; i < samples; i++)
		for (size_t c = 0; c < y->cols; c++) {
			double g = 0;
			for (size_t r = i * t; r < (i + 1) * t; r++)
				g += element(y, r, c) * element(xhat, r, c);
			*sum += g * g;
		}
	return 0;
}

static double dot(const struct gns_mat *y, size_t a, size_t b)
{
	double sum = 0;
	for (size_t c = 0; c < y->cols; c++)
		sum += element(y, a, c) * element(y, b, c);
	return sum;
}

int gns_exact_embedding(const int64_t *ids, const struct gns_mat *y, size_t samples, double *sum)
{
	if (!divides(y, samples))
		return -EINVAL;
	size_t t = y->rows / samples;
	*sum = 0;
	for (size_t i = 0; i < samples; i++)
		for (size_t a = i * t; a < (i + 1) * t; a++) {
			*sum += dot(y, a, a);
			for (size_t b = i * t; b < a; b++)
				if (ids[a] == ids[b])
					*sum += 2 * dot(y, a, b);
		}
	return 0;
}
