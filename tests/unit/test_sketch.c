/* The sketch against brute force: every estimate is computed again from the generator's bits by loops in double that share
 * no code with the kernels; the exact forms against the materialised product. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "collectors/sketch/sketch.h"
#include "test_sketch_mats.h"
#include "test_sketch_truth.h"

#define MAX_COLS 2304

static void check_product(enum layout lx, enum layout ly, uint32_t dtype, size_t t, size_t in, size_t out, size_t samples,
			  unsigned probes, size_t offset)
{
	struct held x = hold(lx, dtype, t * samples, in, offset), y = hold(ly, dtype, t * samples, out, offset);
	double *estimate = malloc(samples * sizeof *estimate);
	double portable_sum = NAN;
	const double tolerance = dtype == GNS_F64 ? 1e-12 : 1e-5;

	fill_gauss(&x.mat);
	fill_gauss(&y.mat);
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_sketch *scratch = gns_sketch_init(MAX_COLS, isa);
		double sum = NAN, again = NAN, added = 0;
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, samples, probes, 7, 9, &sum, estimate), 0);
		for (size_t i = 0; i < samples; i++) {
			const double expected = truth(&x.mat, &y.mat, i, t, probes, 7, 9);
			cr_assert(close_to(estimate[i], expected, tolerance),
				  "isa %d layouts %d %d type %u: %zu rows, %zu x %zu, sample %zu: %.17g, truth %.17g", (int)isa,
				  (int)lx, (int)ly, dtype, t, in, out, i, estimate[i], expected);
			added += estimate[i];
		}
		cr_assert(close_to(sum, added, 1e-14));
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, samples, probes, 7, 9, &again, NULL), 0);
		cr_assert_eq(memcmp(&sum, &again, sizeof sum), 0, "two calls differ");
		if (isa == GNS_ISA_PORTABLE)
			portable_sum = sum;
		cr_assert(close_to(sum, portable_sum, 1e-5));
		gns_sketch_free(scratch);
	}
	free(estimate);
	free(x.memory);
	free(y.memory);
}

Test(sketch, estimates_follow_from_the_sign_bits)
{
	static const size_t shapes[][4] = {/* rows a sample, in, out, samples */
		{64, 48, 96, 2}, {16, 256, 64, 3}, {17, 33, 65, 2}, {5, 31, 70, 4}, {9, 100, 9, 3}, {100, 40, 24, 2},
		{65, 70, 35, 2}, {200, 19, 50, 1}, {12, 1100, 40, 1}, {8, 20, 2100, 1},
	};
	for (uint32_t dtype = GNS_F32; dtype <= GNS_F64; dtype++)
		for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
			const size_t *s = shapes[k];
			check_product(ROW_MAJOR, ROW_MAJOR, dtype, s[0], s[1], s[2], s[3], 8, 0);
		}
}

Test(sketch, every_layout_gives_the_same)
{
	for (uint32_t dtype = GNS_F32; dtype <= GNS_F64; dtype++)
		for (enum layout lx = 0; lx < LAYOUTS; lx++)
			for (enum layout ly = 0; ly < LAYOUTS; ly++) {
				check_product(lx, ly, dtype, 21, 37, 51, 2, 8, 0);
				check_product(lx, ly, dtype, 70, 90, 44, 1, 8, 0);
				check_product(lx, ly, dtype, 1, 45, 21, 70, 8, 0);
				check_product(lx, ly, dtype, 2, 45, 40, 3, 8, 0);
				check_product(lx, ly, dtype, 10, 45, 7, 2, 8, 0);
			}
}

Test(sketch, odd_sizes)
{
	for (size_t t = 1; t <= 70; t++) {
		const size_t in = 1 + (t * 37) % 70, out = 1 + (t * 53) % 70;
		check_product(ROW_PADDED, ROW_PADDED, GNS_F32, t, in, out, 2, 8, 0);
		check_product(FEATURE_PADDED, FEATURE_PADDED, GNS_F32, t, in, out, 2, 8, 0);
		check_product(FEATURE_PADDED, ROW_PADDED, GNS_F64, t, out, in, 2, 8, 0);
	}
}

Test(sketch, more_probes)
{
	for (unsigned probes = 8; probes <= 32; probes += 8) {
		check_product(ROW_MAJOR, ROW_PADDED, GNS_F32, 30, 40, 90, 2, probes, 0);
		check_product(ROW_PADDED, FEATURE_MAJOR, GNS_F32, 130, 40, 20, 1, probes, 0);
		check_product(ROW_MAJOR, SCATTERED, GNS_F64, 30, 40, 90, 2, probes, 0);
	}
}

Test(sketch, unaligned_pointers)
{
	for (size_t offset = 1; offset < 9; offset++) {
		check_product(ROW_PADDED, ROW_MAJOR, GNS_F32, 20, 35, 70, 2, 8, offset);
		check_product(FEATURE_PADDED, FEATURE_MAJOR, GNS_F32, 20, 35, 70, 2, 8, offset);
		check_product(ROW_PADDED, FEATURE_MAJOR, GNS_F64, 20, 35, 70, 2, 8, offset);
	}
}

/* A of known singular values: 16 rows of X with one singular value each in a column of its own, and of Y orthogonal rows of +-1;
 * then the same 16 rows negated, so that the rows are centred, and the sum doubles. */
static void known_product(const struct held *x, const struct held *y, const double *singular)
{
	const size_t cols = y->mat.cols;

	for (size_t t = 0; t < 32; t++) {
		const double side = t < 16 ? 1 : -1;
		for (size_t i = 0; i < x->mat.cols; i++)
			put(&x->mat, t, i, i == t % 16 ? side * singular[i] / 2 : 0);
		for (size_t j = 0; j < cols; j++)
			put(&y->mat, t, j, side * (__builtin_parityll((unsigned long long)(t % 16 * cols / 16 & j)) ? -1 : 1) /
						   sqrt((double)cols));
	}
}

struct moments {
	double mean, variance, error; /* error of the mean */
};

/* Of one sample's estimate over many seeds. */
static struct moments moments_of(const struct held *x, const struct held *y, unsigned probes, int trials)
{
	struct gns_sketch *scratch = gns_sketch_init(MAX_COLS, gns_sketch_best_isa());
	struct moments m = {0};

	for (int k = 0; k < trials; k++) {
		double value;
		cr_assert_eq(gns_sketch_sum(scratch, &x->mat, &y->mat, 1, probes, (uint64_t)k, probes, &value, NULL), 0);
		m.mean += value / trials;
		m.variance += value * value / trials;
	}
	m.variance -= m.mean * m.mean;
	m.error = sqrt(m.variance / trials);
	gns_sketch_free(scratch);
	return m;
}

Test(sketch, relvar_is_two_over_probes_times_stable_rank)
{
	double singular[16], norm2 = 0, fourth = 0;
	struct held x = hold(ROW_MAJOR, GNS_F32, 32, 16, 0), y = hold(ROW_MAJOR, GNS_F32, 32, 2048, 0);

	for (int t = 0; t < 16; t++) {
		singular[t] = pow(0.7, t);
		norm2 += singular[t] * singular[t];
		fourth += pow(singular[t], 4);
	}
	known_product(&x, &y, singular);
	cr_assert(close_to(exact_norm(&x.mat, &y.mat, 0, 32), norm2, 1e-6));
	for (unsigned probes = 8; probes <= 32; probes *= 2) {
		const struct moments m = moments_of(&x, &y, probes, 60000);
		const double relvar = m.variance / (norm2 * norm2), expected = 2 * fourth / (probes * norm2 * norm2);
		cr_expect_leq(fabs(m.mean - norm2), 3 * m.error, "mean %.6g, |A|^2 %.6g", m.mean, norm2);
		cr_expect(fabs(relvar / expected - 1) < 0.05, "%u probes: relVar %.5g, 2/(s rho) %.5g", probes, relvar, expected);
	}
	free(x.memory), free(y.memory);
}

/* Columns of one block never meet in a bucket, so Var = 2/s times the sum of (a_j . a_k)^2 over pairs of different blocks, a_j the
 * columns of what is left of A: with few columns visibly less than independent probes. */
Test(sketch, variance_is_that_of_pairs_of_different_blocks)
{
	struct held x = hold(ROW_MAJOR, GNS_F32, 24, 20, 0), y = hold(ROW_MAJOR, GNS_F32, 24, 32, 0);
	double a[20 * 32];

	fill_gauss(&x.mat);
	fill_gauss(&y.mat);
	product(&x.mat, &y.mat, true, a);
	const double expected = 2 * pair_sum(a, 20, 32, false) / 8;
	const struct moments m = moments_of(&x, &y, 8, 200000);
	cr_expect(fabs(m.variance / expected - 1) < 0.03, "%g, expected %g", m.variance, expected);
	cr_expect_lt(m.variance, 2 * pair_sum(a, 20, 32, true) / 8);
	free(x.memory), free(y.memory);
}

/* What a strong mean adds to A is found exactly: the spread over seeds is far below what the stable rank of A predicts. */
Test(sketch, a_strong_mean_costs_no_noise)
{
	static const size_t rows[] = {12, 64, 200};
	for (int k = 0; k < 6; k++) {
		const size_t t = rows[k % 3];
		struct held x = hold(k < 3 ? ROW_MAJOR : FEATURE_MAJOR, GNS_F32, t, 24, 0), y = hold(ROW_MAJOR, GNS_F32, t, 48, 0);
		double a[24 * 48];
		fill_around(&x.mat, t, 2);
		fill_around(&y.mat, t, 1);
		const double norm2 = exact_norm(&x.mat, &y.mat, 0, t);
		product(&x.mat, &y.mat, false, a);
		const double predicted = sqrt(2 * pair_sum(a, 24, 48, true) / 8);
		const struct moments m = moments_of(&x, &y, 8, 4000);
		cr_expect_leq(fabs(m.mean - norm2), 3.5 * m.error, "mean %.8g, |A|^2 %.8g, SE %.2g", m.mean, norm2, m.error);
		cr_expect_gt(predicted / sqrt(m.variance), 5, "%zu rows: spread %.3g, of all of A %.3g", t, sqrt(m.variance), predicted);
		free(x.memory), free(y.memory);
	}
}

/* A mean a thousand times the rest: what is exchanged leaves no rounding behind. */
Test(sketch, a_huge_mean_does_not_cancel)
{
	for (int k = 0; k < 8; k++) {
		const uint32_t dtype = k & 1 ? GNS_F64 : GNS_F32;
		const size_t t = k & 2 ? 150 : 20;
		struct held x = hold(ROW_PADDED, dtype, 2 * t, 50, 0), y = hold(k & 4 ? FEATURE_MAJOR : ROW_MAJOR, dtype, 2 * t, 37, 0);
		fill_around(&x.mat, t, 1000);
		fill_around(&y.mat, t, 1000);
		for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
			struct gns_sketch *scratch = gns_sketch_init(64, isa);
			double sum, each[2];
			cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 2, 8, 3, 4, &sum, each), 0);
			for (size_t i = 0; i < 2; i++) {
				const double expected = truth(&x.mat, &y.mat, i, t, 8, 3, 4), norm2 = exact_norm(&x.mat, &y.mat, i * t, t);
				cr_expect(close_to(each[i], expected, dtype == GNS_F64 ? 1e-12 : 1e-5), "%.17g, truth %.17g", each[i],
					  expected);
				cr_expect(close_to(each[i], norm2, 1e-4), "%.17g, |A|^2 %.17g", each[i], norm2);
			}
			gns_sketch_free(scratch);
		}
		free(x.memory), free(y.memory);
	}
}

Test(sketch, mean_of_random_products_is_the_exact_norm)
{
	struct held x = hold(ROW_MAJOR, GNS_F32, 60, 24, 0), y = hold(FEATURE_MAJOR, GNS_F32, 60, 40, 0);
	struct gns_sketch *scratch = gns_sketch_init(64, gns_sketch_best_isa());
	double sum = 0, squares = 0, exact = 0;
	const int trials = 4000;

	fill_gauss(&x.mat);
	fill_gauss(&y.mat);
	for (size_t i = 0; i < 3; i++)
		exact += exact_norm(&x.mat, &y.mat, 20 * i, 20);
	for (int k = 0; k < trials; k++) {
		double value;
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 3, 8, 1000, (uint64_t)k, &value, NULL), 0);
		sum += value;
		squares += value * value;
	}
	const double mean = sum / trials, error = sqrt((squares / trials - mean * mean) / trials);
	cr_assert_leq(fabs(mean - exact), 3 * error, "mean %.8g, exact %.8g, SE %.3g", mean, exact, error);
	gns_sketch_free(scratch);
	free(x.memory);
	free(y.memory);
}

/* Sum over many draws of a product of two signs: 0 within 4.5 SE. */
#define DRAWS 40000
static double correlation(int what)
{
	double sum = 0;
	for (uint64_t k = 0; k < DRAWS; k++) {
		const uint64_t seed = what == 6 ? k : 5;
		const uint64_t sample = what == 6 ? 3 : k;
		const int s = probe_sign(seed, 2, sample, 3, 17);
		switch (what) {
		case 0: sum += s; break;
		case 1: sum += s * probe_sign(seed, 2, sample, 3, 18); break;            /* a neighbour */
		case 2: sum += s * probe_sign(seed, 2, sample, 3, 17 + 64); break;       /* a far column */
		case 3: sum += s * probe_sign(seed, 2, sample, 5, 17); break;            /* a probe of the same group */
		case 4: sum += s * probe_sign(seed, 2, sample, 11, 17); break;           /* of another group */
		case 5: sum += s * probe_sign(seed, 3, sample, 3, 17); break;            /* the next stream */
		case 6: sum += s * probe_sign(seed + 1, 2, sample, 3, 17); break;        /* the next seed */
		case 7: sum += s * probe_sign(seed, 2, sample + 1, 3, 17); break;        /* the next sample */
		case 8: sum += s * probe_sign(seed, 2, sample, 6, 90); break;            /* another column and probe */
		}
	}
	return sum / sqrt(DRAWS);
}

Test(sketch, signs_are_fair_and_pairwise_independent)
{
	for (int what = 0; what <= 8; what++)
		cr_expect_leq(fabs(correlation(what)), 4.5, "case %d: %g standard errors", what, correlation(what));
}

Test(sketch, bits_are_fair)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		double ones = 0, joint = 0;
		for (uint64_t k = 0; k < DRAWS; k++) {
			const uint64_t bits = gns_sketch_bits(1, 1, k / 8, k % 8);
			ones += bits >> bit & 1 ? 1 : -1;
			joint += (bits >> bit ^ bits >> (bit + 7) % 64) & 1 ? 1 : -1;
		}
		cr_expect_leq(fabs(ones) / sqrt(DRAWS), 4.5);
		cr_expect_leq(fabs(joint) / sqrt(DRAWS), 4.5);
	}
}

/* A matrix whose last element is the last before a page that cannot be read, or whose first is the first after one. */
static struct held guarded(enum layout layout, uint32_t dtype, size_t rows, size_t cols, int at_end)
{
	const size_t bytes = rows * cols * (dtype == GNS_F64 ? 8 : 4), pages = (bytes + 4095) / 4096 * 4096;
	struct held held = {.mat = {.dtype = dtype, .rows = rows, .cols = cols}};

	held.memory = mmap(NULL, pages + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(held.memory, MAP_FAILED);
	mprotect(held.memory, 4096, PROT_NONE);
	mprotect((char *)held.memory + 4096 + pages, 4096, PROT_NONE);
	held.mat.data = (char *)held.memory + 4096 + (at_end ? pages - bytes : 0);
	held.mat.row_stride = layout == ROW_MAJOR ? (ptrdiff_t)cols : 1;
	held.mat.col_stride = layout == ROW_MAJOR ? 1 : (ptrdiff_t)rows;
	fill_gauss(&held.mat);
	return held;
}

static void check_guarded(enum layout layout, uint32_t dtype, size_t rows, size_t in, size_t out, size_t samples, int at_end)
{
	struct held x = guarded(layout, dtype, rows, in, at_end), y = guarded(layout, dtype, rows, out, at_end);

	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_sketch *scratch = gns_sketch_init(256, isa);
		double sum = NAN;
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, samples, 8, 1, 2, &sum, NULL), 0);
		cr_assert(isfinite(sum) && isfinite(gns_norm2(&x.mat, isa)) && isfinite(gns_diff_norm2(&y.mat, &y.mat, 2, isa)));
		gns_sketch_free(scratch);
	}
	munmap(x.memory, (rows * in * (dtype == GNS_F64 ? 8 : 4) + 4095) / 4096 * 4096 + 8192);
	munmap(y.memory, (rows * out * (dtype == GNS_F64 ? 8 : 4) + 4095) / 4096 * 4096 + 8192);
}

Test(sketch, never_reads_past_an_operand)
{
	for (int k = 0; k < 8; k++)
		for (size_t cols = 1; cols < 70; cols += 3) {
			const uint32_t dtype = k & 1 ? GNS_F64 : GNS_F32;
			const enum layout layout = k & 2 ? FEATURE_MAJOR : ROW_MAJOR;
			check_guarded(layout, dtype, 70, cols, 71 - cols, 2, k & 4);
			check_guarded(layout, dtype, 26, cols, cols + 9, 2, k & 4);
			check_guarded(layout, dtype, 6, cols, cols, 3, k & 4);
			check_guarded(layout, dtype, 5, cols, cols, 5, k & 4);
		}
}

Test(sketch, refuses_what_it_cannot_do)
{
	struct held x = hold(ROW_MAJOR, GNS_F32, 12, 20, 0), y = hold(ROW_MAJOR, GNS_F32, 12, 30, 0);
	struct held z = hold(ROW_MAJOR, GNS_F32, 10, 30, 0), w = hold(ROW_MAJOR, GNS_F64, 12, 30, 0);
	struct gns_sketch *scratch = gns_sketch_init(32, gns_sketch_best_isa());
	struct gns_mat bad;
	double sum;

	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 5, 8, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 0, 8, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 24, 8, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 3, 0, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 3, 12, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 3, 40, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &z.mat, 2, 8, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &w.mat, 2, 8, 1, 1, &sum, NULL), -EINVAL);
	cr_expect_eq(gns_sketch_sum(NULL, &x.mat, &y.mat, 2, 8, 1, 1, &sum, NULL), -EINVAL);
	bad = y.mat, bad.rows = 0;
	cr_expect_eq(gns_sketch_sum(scratch, &bad, &bad, 1, 8, 1, 1, &sum, NULL), -EINVAL);
	bad = y.mat, bad.cols = 0;
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &bad, 1, 8, 1, 1, &sum, NULL), -EINVAL);
	bad = y.mat, bad.dtype = GNS_DTYPES;
	cr_expect_eq(gns_sketch_sum(scratch, &bad, &bad, 1, 8, 1, 1, &sum, NULL), -EINVAL);
	bad = y.mat, bad.cols = 33;
	cr_expect_eq(gns_sketch_sum(scratch, &x.mat, &bad, 1, 8, 1, 1, &sum, NULL), -ENOSPC);
	cr_expect_null(gns_sketch_init(SIZE_MAX / 2, GNS_ISA_PORTABLE));
	gns_sketch_free(NULL);
	gns_sketch_free(scratch);
	free(x.memory), free(y.memory), free(z.memory), free(w.memory);
}

Test(sketch, inf_and_nan_are_not_hidden)
{
	static const double bad[] = {INFINITY, -INFINITY, NAN};
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++)
		for (int k = 0; k < 3 * 2 * 4; k++) {
			const size_t t = (size_t[]){1, 2, 16, 80}[k / 6];
			struct held x = hold(ROW_MAJOR, GNS_F32, 2 * t, 20, 0), y = hold(ROW_MAJOR, GNS_F32, 2 * t, 41, 0);
			struct gns_sketch *scratch = gns_sketch_init(64, isa);
			double sum, each[2];
			fill_gauss(&x.mat);
			fill_gauss(&y.mat);
			put(k % 2 ? &x.mat : &y.mat, 2 * t - 1, 19, bad[k / 2 % 3]);
			cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 2, 8, 1, 1, &sum, each), 0);
			cr_expect(!isfinite(sum) && !isfinite(each[1]) && isfinite(each[0]));
			cr_expect(!isfinite(gns_norm2(k % 2 ? &x.mat : &y.mat, isa)));
			gns_sketch_free(scratch);
			free(x.memory), free(y.memory);
		}
}

Test(sketch, small_and_large_values_keep_their_squares)
{
	static const double scales[] = {1e-30, 1e-19, 1e19, 1e30};
	struct gns_sketch *scratch = gns_sketch_init(96, gns_sketch_best_isa());
	for (int k = 0; k < 8; k++) {
		struct held x = hold(ROW_MAJOR, GNS_F32, 32, k < 4 ? 40 : 70, 0), y = hold(ROW_MAJOR, GNS_F32, 32, 60, 0);
		double sum, scaled;
		fill_gauss(&x.mat);
		fill_gauss(&y.mat);
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 2, 8, 1, 1, &sum, NULL), 0);
		for (size_t t = 0; t < 32; t++)
			for (size_t j = 0; j < 60; j++)
				put(&y.mat, t, j, get(&y.mat, t, j) * scales[k % 4]);
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 2, 8, 1, 1, &scaled, NULL), 0);
		cr_expect(close_to(scaled, sum * scales[k % 4] * scales[k % 4], 1e-5), "%g", scaled / sum);
		free(x.memory), free(y.memory);
	}
	gns_sketch_free(scratch);
}

static double slow_diff(const struct gns_mat *m, const struct gns_mat *n, double scale)
{
	double sum = 0;
	for (size_t t = 0; t < m->rows; t++)
		for (size_t i = 0; i < m->cols; i++)
			sum += pow(get(m, t, i) - (n ? scale * get(n, t, i) : 0), 2);
	return sum;
}

Test(sketch, exact_norms)
{
	for (uint32_t dtype = GNS_F32; dtype <= GNS_F64; dtype++)
		for (int k = 0; k < LAYOUTS * LAYOUTS; k++)
			for (size_t size = 1; size < 80; size += 13) {
				struct held m = hold(k / LAYOUTS, dtype, size, 80 - size, size % 3);
				struct held n = hold(k % LAYOUTS, dtype, size, 80 - size, 0);
				fill_gauss(&m.mat);
				fill_gauss(&n.mat);
				for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
					cr_assert(close_to(gns_norm2(&m.mat, isa), slow_diff(&m.mat, NULL, 0), 1e-12));
					cr_assert(close_to(gns_diff_norm2(&m.mat, &n.mat, 0.75, isa),
							   slow_diff(&m.mat, &n.mat, 0.75), 1e-12));
				}
				free(m.memory), free(n.memory);
			}
	cr_expect_eq(gns_norm2(&(struct gns_mat){.dtype = GNS_F32, .row_stride = 1, .col_stride = 1}, GNS_ISA_AVX512), 0);
}

Test(sketch, isa_is_lowered_never_raised)
{
	unsetenv("GNSCOPE_ISA");
	const enum gns_isa best = gns_sketch_best_isa();
	setenv("GNSCOPE_ISA", "portable", 1);
	cr_expect_eq(gns_sketch_best_isa(), GNS_ISA_PORTABLE);
	setenv("GNSCOPE_ISA", "avx2", 1);
	cr_expect_leq(gns_sketch_best_isa(), GNS_ISA_AVX2);
	setenv("GNSCOPE_ISA", "avx512", 1);
	cr_expect_eq(gns_sketch_best_isa(), best);
	setenv("GNSCOPE_ISA", "nonsense", 1);
	cr_expect_eq(gns_sketch_best_isa(), best);
}

Test(sketch, leaves_the_floating_point_unit_alone)
{
	struct held x = hold(ROW_MAJOR, GNS_F32, 40, 30, 0), y = hold(FEATURE_MAJOR, GNS_F32, 40, 50, 0);
	struct gns_sketch *scratch = gns_sketch_init(64, gns_sketch_best_isa());
	static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
	double sum;

	fill_gauss(&x.mat);
	fill_gauss(&y.mat);
	for (int k = 0; k < 4; k++) {
		fesetround(modes[k]);
#if defined(__x86_64__)
		const unsigned control = _mm_getcsr() & ~0x3fu;
#endif
		cr_assert_eq(gns_sketch_sum(scratch, &x.mat, &y.mat, 4, 8, 1, 1, &sum, NULL), 0);
		cr_assert_eq(fegetround(), modes[k]);
#if defined(__x86_64__)
		cr_assert_eq(_mm_getcsr() & ~0x3fu, control);
#endif
	}
	fesetround(FE_TONEAREST);
	gns_sketch_free(scratch);
	free(x.memory), free(y.memory);
}
