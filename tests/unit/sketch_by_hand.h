/* The estimate of a product on a device, computed again in double from the generator's bits, as docs/internals/sketch.md tells it. */
#ifndef GNS_TESTS_UNIT_SKETCH_BY_HAND_H
#define GNS_TESTS_UNIT_SKETCH_BY_HAND_H

#include <stdlib.h>

#include "collectors/sketch/sketch.h"

static inline double sketch_sign(uint64_t seed, uint64_t stream, uint64_t key, size_t col, unsigned *bucket)
{
	const uint64_t bits = gns_sketch_bits(seed, stream, key, col / 32);
	const unsigned block = (unsigned)(col % 32) / 8;

	*bucket = (unsigned)(col % 8) ^ (unsigned)(bits >> (32 + 3 * block) & 7);
	return bits >> (8 * block + *bucket) & 1 ? -1 : 1;
}

static inline double exact_by_hand(const double *x, const double *y, size_t t, size_t in, size_t out)
{
	double truth = 0;
	for (size_t i = 0; i < in; i++)
		for (size_t o = 0; o < out; o++) {
			double a = 0;
			for (size_t r = 0; r < t; r++)
				a += x[r * in + i] * y[r * out + o];
			truth += a * a;
		}
	return truth;
}

/* One sample, x (t x in) and y (t x out): exact, or buckets and direction on x's side. */
static inline double sketch_by_hand(const double *x, const double *y, size_t t, size_t in, size_t out, uint64_t seed, uint64_t stream,
				    uint64_t sample)
{
	double *u = calloc(t * 9, sizeof *u), *v = calloc(in, sizeof *v), share[8] = {0}, length2 = 0, sum = 0;
	const size_t stride = t < 32 ? 1 : t / 16;

	if (t <= 4 || in <= 8 || out <= 8) {
		free(u), free(v);
		return exact_by_hand(x, y, t, in, out);
	}
	for (size_t r = stride / 2; r < t; r += stride)
		for (size_t i = 0; i < in; i++)
			v[i] += x[r * in + i];
	for (size_t i = 0; i < in; i++) {
		unsigned l;
		const double sign = sketch_sign(seed, stream, sample, i, &l);
		share[l] += sign * v[i];
		length2 += v[i] * v[i];
		for (size_t r = 0; r < t; r++) {
			u[r * 9 + l] += sign * x[r * in + i];
			u[r * 9 + 8] += v[i] * x[r * in + i];
		}
	}
	for (size_t o = 0; o < out; o++) {
		double z[9] = {0};
		for (size_t r = 0; r < t; r++)
			for (int l = 0; l < 9; l++)
				z[l] += u[r * 9 + l] * y[r * out + o];
		for (int l = 0; l < 8; l++) {
			const double rest = length2 > 0 ? z[l] - z[8] * share[l] / length2 : z[l];
			sum += rest * rest;
		}
		sum += length2 > 0 ? z[8] * z[8] / length2 : 0;
	}
	free(u), free(v);
	return sum;
}

#endif
