/* Exact per-sample norms. */
#include "gpu_truth.h"

#include <stdlib.h>
#include <string.h>

double gpu_norm2(const double *v, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += v[i] * v[i];
	return sum;
}

/* own = sum of dy_r^T x_r over the sample's rows, out x in */
static void gradient(double *own, const double *x, const double *dy, size_t rows, size_t in, size_t out)
{
	memset(own, 0, in * out * sizeof *own);
	for (size_t r = 0; r < rows; r++)
		for (size_t o = 0; o < out; o++)
			for (size_t i = 0; i < in; i++)
				own[o * in + i] += dy[r * out + o] * x[r * in + i];
}

struct gpu_norms gpu_truth(const double *x, const double *dy, size_t rows, size_t in, size_t out, size_t samples, double *whole)
{
	size_t each = rows / samples, cells = in * out;
	double *own = calloc(cells, sizeof *own), *all = calloc(cells, sizeof *all), sum = 0;
	struct gpu_norms norms;
	for (size_t s = 0; s < samples; s++) {
		gradient(own, x + s * each * in, dy + s * each * out, each, in, out);
		sum += gpu_norm2(own, cells);
		for (size_t c = 0; c < cells; c++)
			all[c] += own[c];
	}
	norms.q_small = sum * (double)samples; /* n^2 times the mean */
	norms.q_big = gpu_norm2(all, cells);
	for (size_t c = 0; c < cells; c++)
		whole[c] += all[c];
	free(own);
	free(all);
	return norms;
}
