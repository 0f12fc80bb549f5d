/* Bias, LayerNorm and embedding: every sample's gradient written out in full, by the layer's own forward function and finite
 * differences of it where that is exact (all three are linear in their parameters). */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collectors/sketch/exact.h"

#define SAMPLES 5
#define T 7
#define ROWS (SAMPLES * T)
#define OUT 6
#define VOCABULARY 4

static double x[ROWS][OUT], w[ROWS][OUT]; /* normalised input; the loss is sum of w * output */
static int64_t ids[ROWS];

static void make(unsigned seed)
{
	srand(seed);
	for (int r = 0; r < ROWS; r++) {
		ids[r] = rand() % VOCABULARY;
		for (int c = 0; c < OUT; c++) {
			x[r][c] = rand() / (double)RAND_MAX - 0.5;
			w[r][c] = rand() / (double)RAND_MAX - 0.5;
		}
	}
}

static double loss(int sample, const double *gain, const double *shift, double table[VOCABULARY][OUT])
{
	double sum = 0;
	for (int r = sample * T; r < (sample + 1) * T; r++)
		for (int c = 0; c < OUT; c++)
			sum += w[r][c] * (gain[c] * x[r][c] + shift[c] + table[ids[r]][c]);
	return sum;
}

/* The loss is linear in each parameter: a step of one gives its derivative. */
static double brute(int which)
{
	double total = 0;
	for (int s = 0; s < SAMPLES; s++) {
		int n = which == 2 ? VOCABULARY * OUT : OUT;
		for (int i = 0; i < n; i++) {
			double gain[OUT] = { 0 }, shift[OUT] = { 0 }, table[VOCABULARY][OUT] = { { 0 } };
			double *p = which == 0 ? &gain[i] : which == 1 ? &shift[i] : &table[i / OUT][i % OUT];
			*p = 1;
			double d = loss(s, gain, shift, table);
			total += d * d;
		}
	}
	return total;
}

static struct gns_mat matrix(const void *data, uint32_t dtype)
{
	return (struct gns_mat){ .data = data, .dtype = dtype, .rows = ROWS, .cols = OUT, .row_stride = OUT, .col_stride = 1 };
}

static void expect_near(double got, double truth, double within)
{
	cr_expect(fabs(got - truth) <= within * truth, "got %.17g, brute force %.17g", got, truth);
}

Test(exact, equal_to_brute_force)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		double sum;
		make(seed);
		struct gns_mat xhat = matrix(x, GNS_F64), y = matrix(w, GNS_F64);
		cr_assert_eq(gns_exact_gain(&xhat, &y, SAMPLES, &sum), 0);
		expect_near(sum, brute(0), 1e-12);
		cr_assert_eq(gns_exact_bias(&y, SAMPLES, &sum), 0);
		expect_near(sum, brute(1), 1e-12);
		cr_assert_eq(gns_exact_embedding(ids, &y, SAMPLES, &sum), 0);
		expect_near(sum, brute(2), 1e-12);
	}
}

Test(exact, float32_and_strides)
{
	float by_columns[OUT][ROWS];
	double sum;
	make(3);
	for (int r = 0; r < ROWS; r++)
		for (int c = 0; c < OUT; c++)
			by_columns[c][r] = (float)w[r][c];
	struct gns_mat y = { .data = by_columns, .dtype = GNS_F32, .rows = ROWS, .cols = OUT, .row_stride = 1, .col_stride = ROWS };
	cr_assert_eq(gns_exact_bias(&y, SAMPLES, &sum), 0);
	expect_near(sum, brute(1), 1e-5);
	cr_assert_eq(gns_exact_embedding(ids, &y, SAMPLES, &sum), 0);
	expect_near(sum, brute(2), 1e-5);
}

Test(exact, refuses)
{
	double sum;
	make(1);
	struct gns_mat y = matrix(w, GNS_F64), other = matrix(x, GNS_F32), bf16 = matrix(w, GNS_BF16);
	cr_expect_eq(gns_exact_bias(&y, 3, &sum), -EINVAL);
	cr_expect_eq(gns_exact_bias(&y, 0, &sum), -EINVAL);
	cr_expect_eq(gns_exact_gain(&other, &y, SAMPLES, &sum), -EINVAL);
	cr_expect_eq(gns_exact_bias(&bf16, SAMPLES, &sum), -EINVAL);
}
