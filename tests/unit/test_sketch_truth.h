/* The sketch by loops in double that share no code with the kernels. */
#ifndef GNS_TESTS_UNIT_TEST_SKETCH_TRUTH_H
#define GNS_TESTS_UNIT_TEST_SKETCH_TRUTH_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/sketch/sketch.h"
#include "test_sketch_mats.h"

/* |A_i|_F^2 by the materialised product. */
static double exact_norm(const struct gns_mat *x, const struct gns_mat *y, size_t first, size_t rows)
{
	double sum = 0;
	for (size_t i = 0; i < x->cols; i++)
		for (size_t j = 0; j < y->cols; j++) {
			double a = 0;
			for (size_t t = first; t < first + rows; t++)
				a += get(x, t, i) * get(y, t, j);
			sum += a * a;
		}
	return sum;
}

/* Entry of sign vector `probe` for a column, from the generator alone: the order of docs/internals/sketch.md. */
static int probe_sign(uint64_t seed, uint64_t stream, uint64_t sample, unsigned probe, size_t col)
{
	const uint64_t bits = gns_sketch_bits(seed, stream, sample, ((uint64_t)(probe / 8) << 32) + col / 32);
	const unsigned block = (unsigned)(col % 32) / 8;
	const unsigned bucket = (unsigned)(col % 8) ^ (unsigned)(bits >> (32 + 3 * block) & 7);
	const int minus = (int)(bits >> (8 * block + bucket) & 1) ^ __builtin_parity(bucket & (probe % 8));

	return minus ? -1 : 1;
}

/* The direction the sketch takes out of a sample: the sum of one row in so many. */
static void direction(const struct gns_mat *z, size_t sample, size_t rows, double *v)
{
	const size_t stride = rows < 16 ? 1 : rows < 24 ? 2 : rows < 32 ? 3 : rows < 320 ? 4 : rows / 64;

	for (size_t i = 0; i < z->cols; i++) {
		v[i] = 0;
		for (size_t t = stride / 2; t < rows; t += stride)
			v[i] += get(z, sample * rows + t, i);
	}
}

static double dot_of(const double *a, const double *b, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* |A^T v|^2 / |v|^2 plus the mean over probes of |(I - v v^T / |v|^2) A r|^2, A = Z^T B, dense sign vectors r on `b`. */
static double dense_estimate(const struct gns_mat *z, const struct gns_mat *b, size_t sample, size_t rows, unsigned probes,
			     uint64_t seed, uint64_t stream)
{
	const size_t m = z->cols, n = b->cols;
	double *a = calloc(m * n, sizeof *a), *v = calloc(m, sizeof *v), *w = calloc(m, sizeof *w);
	double exact = 0, total = 0;

	for (size_t t = sample * rows; t < (sample + 1) * rows; t++)
		for (size_t i = 0; i < m; i++)
			for (size_t j = 0; j < n; j++)
				a[i * n + j] += get(z, t, i) * get(b, t, j);
	direction(z, sample, rows, v);
	const double length2 = dot_of(v, v, m);
	for (size_t j = 0; j < n && length2 > 0; j++) {
		double along = 0;
		for (size_t i = 0; i < m; i++)
			along += v[i] * a[i * n + j];
		exact += along * along / length2;
		for (size_t i = 0; i < m; i++)
			a[i * n + j] -= v[i] * along / length2;
	}
	for (unsigned p = 0; p < probes; p++) {
		memset(w, 0, m * sizeof *w);
		for (size_t j = 0; j < n; j++) {
			const int sign = probe_sign(seed, stream, sample, p, j);
			for (size_t i = 0; i < m; i++)
				w[i] += sign * a[i * n + j];
		}
		total += dot_of(w, w, m);
	}
	free(a), free(v), free(w);
	return exact + total / probes;
}

static bool close_to(double a, double b, double relative)
{
	return fabs(a - b) <= relative * fmax(fabs(a), fabs(b));
}

/* The side that takes the signs, and whether the form is exact, as docs/internals/sketch.md says. */
static double truth(const struct gns_mat *x, const struct gns_mat *y, size_t sample, size_t rows, unsigned probes, uint64_t seed,
		    uint64_t stream)
{
	const struct gns_mat *wide = y->cols >= x->cols ? y : x, *narrow = wide == y ? x : y;
	const double gram_cost = (double)(rows + 1) * (double)(x->cols + y->cols);
	const double sketch_cost = probes / 8 * (8.0 * (double)narrow->cols + 2.0 * (double)wide->cols);

	if (rows == 1 || narrow->cols <= 8 || (rows <= 4 && gram_cost <= sketch_cost))
		return exact_norm(x, y, sample * rows, rows);
	return dense_estimate(narrow, wide, sample, rows, probes, seed, stream);
}

/* A = X^T Y, in x out, of one sample that is the whole matrix; with `centred` the sketch's direction is taken out of it. */
static void product(const struct gns_mat *x, const struct gns_mat *y, bool centred, double *a)
{
	const size_t m = x->cols, n = y->cols;
	double *v = calloc(m, sizeof *v);

	memset(a, 0, m * n * sizeof *a);
	for (size_t t = 0; t < x->rows; t++)
		for (size_t i = 0; i < m; i++)
			for (size_t j = 0; j < n; j++)
				a[i * n + j] += get(x, t, i) * get(y, t, j);
	direction(x, 0, x->rows, v);
	const double length2 = dot_of(v, v, m);
	for (size_t j = 0; j < n && centred; j++) {
		double along = 0;
		for (size_t i = 0; i < m; i++)
			along += v[i] * a[i * n + j];
		for (size_t i = 0; i < m; i++)
			a[i * n + j] -= v[i] * along / length2;
	}
	free(v);
}

/* Sum of (a_j . a_k)^2 over the pairs of columns, without those of one block of 8. */
static double pair_sum(const double *a, size_t m, size_t n, bool all)
{
	double sum = 0;
	for (size_t j = 0; j < n; j++)
		for (size_t k = 0; k < n; k++) {
			double dot = 0;
			for (size_t i = 0; i < m; i++)
				dot += a[i * n + j] * a[i * n + k];
			sum += !all && j / 8 == k / 8 ? 0 : dot * dot;
		}
	return sum;
}

#endif
