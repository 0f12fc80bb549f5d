/* Linear layers, embeddings, gains, biases and several uses against gradients written out in full by loops in double. */
#include <errno.h>
#include <fenv.h>
#include <limits.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "test_layers.h"

#define N 4
#define T 7
#define D 19
#define E 23

static const uint32_t dtypes[] = {GNS_F32, GNS_F64, GNS_F16, GNS_BF16};

static struct gns_samples samples_of(size_t n, unsigned axis)
{
	return (struct gns_samples){.n = n, .axis = axis, .probes = 8, .seed = 3, .stream = 4, .sum = NAN};
}

static double square_sum(const double *a, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += a[i] * a[i];
	return sum;
}

/* Every sample has few rows or columns here: linear is exact. */
Test(layers, linear_of_few_columns_is_exact_in_every_order_and_type)
{
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_layers *layers = gns_layers_init(isa);
		for (int k = 0; k < 4 * 4 * ORDERS * ORDERS * 2; k++) {
			const unsigned axis = k & 1;
			const enum order ox = k / 2 % ORDERS, oy = k / 2 / ORDERS % ORDERS;
			const uint32_t tx = dtypes[k / 2 / ORDERS / ORDERS % 4], ty = dtypes[k / 2 / ORDERS / ORDERS / 4];
			const size_t lead = axis ? T : N, second = axis ? N : T;
			struct held_tensor x = hold_tensor(ox, tx, 3, (size_t[]){lead, second, D}, 0.5);
			struct held_tensor y = hold_tensor(oy, ty, 3, (size_t[]){lead, second, 5}, 0);
			struct gns_samples s = samples_of(N, axis);
			double truth = 0;
			for (size_t i = 0; i < N; i++)
				for (size_t a = 0; a < D; a++)
					for (size_t b = 0; b < 5; b++) {
						double sum = 0;
						for (size_t t = 0; t < T; t++)
							sum += AT(x, axis ? t : i, axis ? i : t, a) * AT(y, axis ? t : i, axis ? i : t, b);
						truth += sum * sum;
					}
			cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
			cr_assert(near(s.sum, truth, 1e-5), "isa %d axis %u orders %d %d types %u %u: %.12g, truth %.12g", (int)isa, axis,
				  (int)ox, (int)oy, tx, ty, s.sum, truth);
			drop(&x), drop(&y);
		}
		gns_layers_free(layers);
	}
}

/* Two dimensions, where rows are dealt to samples in groups or in turn; four, where rows have no one stride. */
Test(layers, rows_of_two_and_four_dimensions)
{
	enum { A = 3, B = 5, ROWS = N * A * B };
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (int k = 0; k < 3 * ORDERS * ORDERS; k++) {
		const bool four = k % 3 == 2;
		const unsigned axis = k % 3 == 1, dims = four ? 4 : 2;
		const size_t rows_x[4] = {four ? N : ROWS, four ? A : D, B, D}, rows_y[4] = {four ? N : ROWS, four ? A : 6, B, 6};
		struct held_tensor x = hold_tensor(k / 3 % ORDERS, GNS_F32, dims, rows_x, 0.5);
		struct held_tensor y = hold_tensor(k / 3 / ORDERS, k % 2 ? GNS_F32 : GNS_F64, dims, rows_y, 0);
		struct gns_samples s = samples_of(N, axis);
		double truth = 0, bias = 0;
		for (size_t i = 0; i < N; i++) {
			double a[D][6] = {{0}}, c[6] = {0};
			for (size_t r = 0; r < ROWS; r++) {
				const size_t p = r % (A * B) / B, q = r % B;
				if ((axis ? r % N : r / (A * B)) != i)
					continue;
				for (size_t o = 0; o < 6; o++) {
					const double g = four ? AT(y, i, p, q, o) : AT(y, r, o);
					c[o] += g;
					for (size_t j = 0; j < D; j++)
						a[j][o] += g * (four ? AT(x, i, p, q, j) : AT(x, r, j));
				}
			}
			truth += square_sum(&a[0][0], D * 6);
			bias += square_sum(c, 6);
		}
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
		cr_assert(near(s.sum, truth, 1e-5), "case %d: %.12g, truth %.12g", k, s.sum, truth);
		cr_assert_eq(WITH_ROOM(layers, gns_layer_reduce(layers, &s, &y.t, NULL, 1, (size_t[]){6})), 0);
		cr_assert(near(s.sum, bias, 1e-12), "case %d: %.12g, truth %.12g", k, s.sum, bias);
		struct gns_samples b = samples_of(N, axis);
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear_bias(layers, &s, &b, &x.t, &y.t)), 0);
		cr_assert(near(s.sum, truth, 1e-5), "case %d with bias: %.12g, truth %.12g", k, s.sum, truth);
		cr_assert(near(b.sum, bias, 1e-12), "case %d: bias %.12g, truth %.12g", k, b.sum, bias);
		drop(&x), drop(&y);
	}
	gns_layers_free(layers);
}

/* One row a sample and many, all element types and orders: the bias by brute force, the weight as it is without a bias. */
Test(layers, a_bias_beside_its_weight)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (int k = 0; k < 4 * ORDERS * 2 * 2; k++) {
		const unsigned axis = k & 1;
		const size_t rows = k & 2 ? 30 : 1, lead = axis ? rows : N, second = axis ? N : rows;
		struct held_tensor x = hold_tensor(k / 4 % ORDERS, dtypes[k / 4 / ORDERS], 3, (size_t[]){lead, second, D}, 0.5);
		struct held_tensor y = hold_tensor(k / 4 % ORDERS, dtypes[k / 4 / ORDERS], 3, (size_t[]){lead, second, E}, 0);
		struct gns_samples alone = samples_of(N, axis), s = alone, b = alone;
		double truth = 0;
		for (size_t i = 0; i < N; i++)
			for (size_t c = 0; c < E; c++) {
				double sum = 0;
				for (size_t t = 0; t < rows; t++)
					sum += AT(y, axis ? t : i, axis ? i : t, c);
				truth += sum * sum;
			}
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &alone, &x.t, &y.t)), 0);
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear_bias(layers, &s, &b, &x.t, &y.t)), 0);
		cr_assert(near(s.sum, alone.sum, 1e-12), "case %d: weight %.12g, alone %.12g", k, s.sum, alone.sum);
		cr_assert(near(b.sum, truth, 1e-12), "case %d: bias %.12g, truth %.12g", k, b.sum, truth);
		drop(&x), drop(&y);
	}
	gns_layers_free(layers);
}

/* Order, element type and strides do not change the estimate: the rows are the same, so are the signs. */
Test(layers, a_sketch_depends_on_values_alone)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (enum order order = 0; order < ORDERS; order++)
		for (int type = 0; type < 4; type++)
			for (unsigned axis = 0; axis < 2; axis++) {
				double sums[2];
				for (int pass = 0; pass < 2; pass++) {
					const size_t lead = axis ? 30 : N, second = axis ? N : 30;
					const uint32_t dtype = pass ? dtypes[type] : GNS_F64;
					srand(order * 10 + axis + 1);
					struct held_tensor x = hold_tensor(pass ? order : PLAIN, dtype, 3, (size_t[]){lead, second, D}, 0.5);
					struct held_tensor y = hold_tensor(pass ? order : PLAIN, dtype, 3, (size_t[]){lead, second, E}, 0);
					struct gns_samples s = samples_of(N, axis);
					cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
					sums[pass] = s.sum;
					drop(&x), drop(&y);
				}
				cr_assert(near(sums[0], sums[1], 1e-5), "order %d: %.12g, %.12g", (int)order, sums[0], sums[1]);
			}
	gns_layers_free(layers);
}

static double embedding_truth(const struct held_tensor *ids, const struct held_tensor *y, unsigned axis, int64_t padding)
{
	double truth = 0;
	for (size_t i = 0; i < N; i++)
		for (int id = 0; id < 6; id++)
			for (size_t c = 0; c < E; c++) {
				double sum = 0;
				for (size_t t = 0; t < T; t++)
					if (AT(*ids, axis ? t : i, axis ? i : t) == id && id != padding)
						sum += AT(*y, axis ? t : i, axis ? i : t, c);
				truth += sum * sum;
			}
	return truth;
}

Test(layers, embedding_adds_rows_of_one_id)
{
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_layers *layers = gns_layers_init(isa);
		for (int k = 0; k < 2 * 2 * 4 * ORDERS * 2; k++) {
			const unsigned axis = k & 1;
			const int64_t padding = k & 2 ? 2 : -1;
			const enum order order = k / 4 % ORDERS;
			const size_t lead = axis ? T : N, second = axis ? N : T;
			struct held_tensor ids = hold_tensor(order, k / 4 / ORDERS % 2 ? GNS_I64 : GNS_I32, 2, (size_t[]){lead, second}, 6);
			struct held_tensor y = hold_tensor(order, dtypes[k / 8 / ORDERS % 4], 3, (size_t[]){lead, second, E}, 0);
			struct gns_samples s = samples_of(N, axis);
			cr_assert_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &s, &ids.t, &y.t, padding)), 0);
			cr_assert(near(s.sum, embedding_truth(&ids, &y, axis, padding), 1e-12));
			drop(&ids), drop(&y);
		}
		gns_layers_free(layers);
	}
}

/* Many ids, few, and large ones: ids whose slots meet, also at the end of the table, stay apart. */
Test(layers, embedding_of_many_and_large_ids)
{
	enum { MOST = 500 };
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	int64_t ids[MOST];
	double y[MOST];
	for (int seed = 0; seed < 600; seed++) {
		const int rows = seed < 20 ? MOST : 8;
		double truth = 0;
		srand((unsigned)seed + 1);
		for (int r = 0; r < rows; r++) {
			ids[r] = (int64_t)(rand() % 300) << (rand() % 3 * 20);
			y[r] = eighths(0);
		}
		ids[rows - 1] = ids[0];
		for (int r = 0; r < rows; r++)
			for (int q = 0; q < rows; q++)
				truth += ids[r] == ids[q] ? y[r] * y[q] : 0;
		const struct gns_tensor i = {.data = ids, .dtype = GNS_I64, .ndim = 2, .size = {1, (size_t)rows}, .stride = {rows, 1}};
		const struct gns_tensor g = {.data = y, .dtype = GNS_F64, .ndim = 3, .size = {1, (size_t)rows, 1}, .stride = {rows, 1, 1}};
		struct gns_samples s = samples_of(1, 0);
		cr_assert_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &s, &i, &g, -1)), 0);
		cr_assert(near(s.sum, truth, 1e-12), "%d rows: %.17g, truth %.17g", rows, s.sum, truth);
	}
	gns_layers_free(layers);
}

/* Gain and shift of a LayerNorm over W at once. */
static void check_norm(struct gns_layers *layers, const struct held_tensor *x, const struct gns_tensor *mean, const struct gns_tensor *rstd,
		       const struct held_tensor *y, double gain)
{
	struct gns_samples s = samples_of(N, 0), shift = s;
	double truth = 0;

	for (size_t i = 0; i < N; i++)
		for (size_t w = 0; w < y->t.size[3]; w++) {
			double sum = 0;
			for (size_t r = 0; r < y->t.size[1] * y->t.size[2]; r++)
				sum += AT(*y, i, r / y->t.size[2], r % y->t.size[2], w);
			truth += sum * sum;
		}
	cr_assert_eq(WITH_ROOM(layers, gns_layer_norm(layers, &s, &shift, &x->t, mean, rstd, &y->t)), 0);
	cr_assert(near(s.sum, gain, 1e-12), "gain %.17g, truth %.17g", s.sum, gain);
	cr_assert(near(shift.sum, truth, 1e-12), "shift %.17g, truth %.17g", shift.sum, truth);
}

Test(layers, gains_of_every_kind)
{
	enum { C = 6, H = 5, W = 7 };
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_layers *layers = gns_layers_init(isa);
		for (int k = 0; k < 4 * 3 * 4 * ORDERS; k++) {
			const enum gns_gain kind = k % 3;
			const bool no_mean = kind == GNS_GAIN_LAYER && k / 3 % 4 == 3;
			const enum order order = k / 12 % ORDERS;
			const uint32_t dtype = dtypes[k / 12 / ORDERS];
			struct held_tensor x = hold_tensor(order, dtype, 4, (size_t[]){N, C, H, W}, 0.5);
			struct held_tensor y = hold_tensor(order, dtype, 4, (size_t[]){N, C, H, W}, 0);
			const size_t sizes[3][2] = {{N, C * H}, {N, 2}, {C, 1}};
			struct held_tensor mean = hold_tensor(PLAIN, GNS_F32, 2, sizes[kind], 0), rstd = hold_tensor(PLAIN, GNS_F32, 2, sizes[kind], 1);
			struct gns_samples s = samples_of(N, 0);
			double truth = 0;
			for (size_t i = 0; i < N; i++) {
				double a[W > C ? W : C] = {0};
				for (size_t c = 0; c < C; c++)
					for (size_t p = 0; p < H * W; p++) {
						const size_t at[2] = {kind == GNS_GAIN_BATCH ? c : i,
								      kind == GNS_GAIN_LAYER ? c * H + p / W : kind == GNS_GAIN_GROUP ? c / 3 : 0};
						const double m = no_mean ? 0 : read_value(&mean.t, at);
						a[kind == GNS_GAIN_LAYER ? p % W : c] +=
							AT(y, i, c, p / W, p % W) * (AT(x, i, c, p / W, p % W) - m) * read_value(&rstd.t, at);
					}
				truth += square_sum(a, kind == GNS_GAIN_LAYER ? W : C);
			}
			cr_assert_eq(WITH_ROOM(layers, gns_layer_gain(layers, &s, &x.t, no_mean ? NULL : &mean.t, &rstd.t, &y.t, kind, 2)), 0);
			cr_assert(near(s.sum, truth, 1e-12), "kind %d order %d type %u: %.17g, truth %.17g", (int)kind, (int)order, dtype, s.sum,
				  truth);
			if (kind == GNS_GAIN_LAYER)
				check_norm(layers, &x, no_mean ? NULL : &mean.t, &rstd.t, &y, truth);
			drop(&x), drop(&y), drop(&mean), drop(&rstd);
		}
		gns_layers_free(layers);
	}
}

static double reduce_truth(const struct held_tensor *g, const struct held_tensor *other, unsigned axis, size_t t_of, size_t d_of)
{
	double truth = 0;
	for (size_t i = 0; i < N; i++) {
		double a[T * E] = {0};
		for (size_t t = 0; t < T; t++)
			for (size_t c = 0; c < E; c++)
				a[t % t_of * E + c % d_of] += AT(*g, axis ? t : i, axis ? i : t, c) * (other ? AT(*other, axis ? t : 0, c) : 1);
		truth += square_sum(a, T * E);
	}
	return truth;
}

Test(layers, reduce_to_every_shape)
{
	static const size_t shapes[][2] = {{1, E}, {T, E}, {T, 1}, {1, 1}};
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_layers *layers = gns_layers_init(isa);
		for (int k = 0; k < 4 * 4 * 2 * ORDERS; k++) {
			const size_t *shape = shapes[k % 4];
			const unsigned axis = k / 4 % 2;
			const enum order order = k / 8 % ORDERS;
			struct held_tensor g = hold_tensor(order, dtypes[k / 8 / ORDERS], 3, (size_t[]){axis ? T : N, axis ? N : T, E}, 0);
			const double truth = reduce_truth(&g, NULL, axis, shape[0], shape[1]);
			const size_t whole[3] = {axis ? shape[0] : 1, axis ? 1 : shape[0], shape[1]};
			struct gns_samples s = samples_of(N, axis);
			cr_assert_eq(gns_layer_reduce(layers, &s, &g.t, NULL, 2, shape), 0);
			cr_assert(near(s.sum, truth, 1e-12), "axis %u shape %zu %zu order %d: %.17g, truth %.17g", axis, shape[0], shape[1],
				  (int)order, s.sum, truth);
			cr_assert_eq(gns_layer_reduce(layers, &s, &g.t, NULL, 3, whole), 0);
			cr_assert(near(s.sum, truth, 1e-12));
			if (axis == 0) { /* (T, E) broadcasts over the samples */
				struct held_tensor other = hold_tensor(order, dtypes[k % 4], 2, (size_t[]){1, E}, 0.5);
				const double scaled = reduce_truth(&g, &other, 0, shape[0], shape[1]);
				cr_assert_eq(gns_layer_reduce(layers, &s, &g.t, &other.t, 2, shape), 0);
				cr_assert(near(s.sum, scaled, 1e-12), "%.17g, truth %.17g", s.sum, scaled);
				drop(&other);
			}
			drop(&g);
		}
		gns_layers_free(layers);
	}
}

Test(layers, norms_and_zeros_of_any_tensor)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (int k = 0; k < 4 * ORDERS; k++) {
		struct held_tensor h = hold_tensor(k % ORDERS, dtypes[k / ORDERS], 3, (size_t[]){9, 41, 13}, 0);
		size_t at[GNS_TENSOR_DIMS] = {0};
		double truth = 0, got;
		do
			truth += pow(read_value(&h.t, at), 2);
		while (step(&h.t, at));
		cr_assert_eq(gns_tensor_norm2(layers, &h.t, &got), 0);
		cr_assert(near(got, truth, 1e-13));
		cr_assert_not(gns_tensor_is_zero(&h.t));
		do
			store(h.t.dtype, place(&h.t, at), 0);
		while (step(&h.t, at));
		cr_assert(gns_tensor_is_zero(&h.t));
		const size_t last[3] = {8, 40, 12};
		store(h.t.dtype, place(&h.t, last), 0.125);
		cr_assert_not(gns_tensor_is_zero(&h.t));
		drop(&h);
	}
	gns_layers_free(layers);
}

/* |sum over uses of A_i|^2 of a matrix seen as dim0 x rest, by an embedding, a linear layer, and a table added to something. */
static double uses_truth(const struct held_tensor *ids, const struct held_tensor *w, const struct held_tensor *x,
			 const struct held_tensor *y, const struct held_tensor *g, size_t dim0, size_t rest)
{
	double truth = 0, *a = malloc(dim0 * rest * sizeof *a);
	for (size_t i = 0; i < N; i++) {
		memset(a, 0, dim0 * rest * sizeof *a);
		for (size_t t = 0; t < T; t++)
			for (size_t c = 0; c < rest; c++) {
				a[(size_t)AT(*ids, i, t) * rest + c] += AT(*w, i, t, c);
				for (size_t o = 0; o < dim0; o++)
					a[o * rest + c] += AT(*x, i, t, c) * AT(*y, i, t, o);
			}
		for (size_t o = 0; o < dim0; o++)
			for (size_t c = 0; c < rest; c++)
				a[o * rest + c] += AT(*g, i, o, c);
		truth += square_sum(a, dim0 * rest);
	}
	free(a);
	return truth;
}

static void check_uses(size_t dim0, size_t rest, unsigned probes, bool exact, int first)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct held_tensor ids = hold_tensor(PLAIN, GNS_I64, 2, (size_t[]){N, T}, (double)dim0);
	struct held_tensor w = hold_tensor(GAPPED, GNS_F32, 3, (size_t[]){N, T, rest}, 0.5);
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){N, T, rest}, 0.5);
	struct held_tensor y = hold_tensor(REVERSED_DIMS, GNS_F32, 3, (size_t[]){N, T, dim0}, 0.25);
	struct held_tensor g = hold_tensor(PLAIN, GNS_F64, 3, (size_t[]){N, dim0, rest}, 0);
	const double truth = uses_truth(&ids, &w, &x, &y, &g, dim0, rest);
	const int trials = exact ? 3 : 2000;
	double mean = 0, squares = 0;

	for (int k = 0; k < trials; k++) {
		struct gns_shared *uses = gns_shared_init(N, dim0, rest, probes, (uint64_t)k, 11);
		struct gns_samples s = samples_of(N, 0);
		s.uses = uses;
		for (int use = first; use < first + 3; use++)
			switch (use % 3) {
			case 0: cr_assert_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &s, &ids.t, &w.t, -1)), 0); break;
			case 1: cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0); break;
			case 2: cr_assert_eq(WITH_ROOM(layers, gns_layer_reduce(layers, &s, &g.t, NULL, 2, (size_t[]){dim0, rest})), 0); break;
			}
		cr_assert(isnan(s.sum));
		const double sum = gns_shared_sum(uses);
		mean += sum / trials;
		squares += sum * sum / trials;
		gns_shared_free(uses);
	}
	const double spread = sqrt(fmax(0, squares - mean * mean));
	if (exact)
		cr_expect(near(mean, truth, 1e-6), "%zu x %zu: %.12g, truth %.12g", dim0, rest, mean, truth);
	else
		cr_expect_leq(fabs(mean - truth), 3.5 * spread / sqrt(trials), "%zu x %zu: %.9g, truth %.9g, spread %.3g", dim0, rest, mean,
			      truth, spread);
	cr_expect_lt(spread, (exact ? 1e-6 : 0.25) * truth, "%zu x %zu: spread %.3g of %.6g", dim0, rest, spread, truth);
	drop(&ids), drop(&w), drop(&x), drop(&y), drop(&g);
	gns_layers_free(layers);
}

Test(layers, uses_add_up_before_they_are_squared)
{
	for (int first = 0; first < 3; first++) {
		check_uses(30, 1, 8, true, first);  /* vectors */
		check_uses(8, 21, 8, true, first);  /* few rows */
		check_uses(40, 21, 8, false, first);
		check_uses(40, 21, 16, false, first);
	}
	/* The same use twice doubles the gradient: four times the square, whatever the signs. */
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){N, 100, D}, 0.5), y = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){N, 100, E}, 0);
	double sums[2];
	for (int times = 1; times <= 2; times++) {
		struct gns_shared *uses = gns_shared_init(N, E, D, 8, 1, 2);
		struct gns_samples s = samples_of(N, 0);
		s.uses = uses;
		for (int k = 0; k < times; k++)
			cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
		sums[times - 1] = gns_shared_sum(uses);
		gns_shared_free(uses);
	}
	cr_expect(near(sums[1], 4 * sums[0], 1e-6));
	drop(&x), drop(&y);
	gns_layers_free(layers);
}

Test(layers, uses_tell_their_memory)
{
	cr_expect_eq(gns_shared_bytes(32, 50257, 768, 8) / 8 / 32, 9 * 768 + 50272);
	cr_expect_eq(gns_shared_bytes(32, SIZE_MAX / 2, 768, 8), SIZE_MAX);
	cr_expect_eq(gns_shared_bytes(SIZE_MAX / 64, 100, 768, 8), SIZE_MAX);
	cr_expect_eq(gns_shared_bytes(32, 10, 10, 9), SIZE_MAX);
	cr_expect_null(gns_shared_init(32, 10, 10, 9, 1, 1));
	cr_expect_null(gns_shared_init(0, 10, 10, 8, 1, 1));
	gns_shared_free(NULL);
}

Test(layers, refuses_what_disagrees)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){N, T, D}, 0), y = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){N, T, E}, 0);
	struct held_tensor ids = hold_tensor(PLAIN, GNS_I64, 2, (size_t[]){N, T}, 4), rows = hold_tensor(PLAIN, GNS_F32, 1, (size_t[]){N * T}, 0);
	struct gns_samples s = samples_of(N, 0), bad;
	double norm;

	cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
	for (int k = 0; k < 4; k++) {
		bad = s;
		bad.n = k == 0 ? 3 : k == 1 ? 0 : N;
		bad.axis = k == 2 ? 2 : 0;
		bad.probes = k == 3 ? 9 : 8;
		cr_expect_eq(gns_layer_linear(layers, &bad, &x.t, &y.t), -EINVAL);
		cr_expect_eq(gns_layer_embedding(layers, &bad, &ids.t, &y.t, -1), -EINVAL);
		cr_expect_eq(gns_layer_gain(layers, &bad, &x.t, NULL, &rows.t, &x.t, GNS_GAIN_LAYER, 1), -EINVAL);
		cr_expect_eq(gns_layer_reduce(layers, &bad, &y.t, NULL, 1, (size_t[]){E}), -EINVAL);
	}
	cr_expect_eq(gns_layer_linear(NULL, &s, &x.t, &y.t), -EINVAL);
	cr_expect_eq(gns_layer_linear(layers, NULL, &x.t, &y.t), -EINVAL);
	cr_expect_eq(gns_layer_linear(layers, &s, NULL, &y.t), -EINVAL);
	cr_expect_eq(gns_layer_linear(layers, &s, &x.t, &rows.t), -EINVAL);
	cr_expect_eq(gns_layer_linear(layers, &s, &ids.t, &y.t), -EINVAL);
	struct gns_tensor odd = y.t;
	odd.size[1] = T - 1;
	cr_expect_eq(gns_layer_linear(layers, &s, &x.t, &odd), -EINVAL);
	cr_expect_eq(gns_layer_embedding(layers, &s, &ids.t, &odd, -1), -EINVAL);
	cr_expect_eq(gns_layer_embedding(layers, &s, &x.t, &y.t, -1), -EINVAL);
	cr_expect_eq(gns_layer_gain(layers, &s, &x.t, NULL, &rows.t, &y.t, GNS_GAIN_LAYER, 1), -EINVAL);
	const struct gns_tensor one = {.data = rows.t.data, .dtype = GNS_F32, .ndim = 1, .size = {1}, .stride = {1}};
	cr_expect_eq(gns_layer_gain(layers, &s, &x.t, NULL, &one, &x.t, GNS_GAIN_LAYER, 1), -EINVAL); /* across samples */
	cr_expect_eq(gns_layer_gain(layers, &s, &x.t, NULL, &rows.t, &x.t, GNS_GAIN_GROUP, 1), -EINVAL);
	cr_expect_eq(gns_layer_gain(layers, &s, &x.t, &rows.t, &rows.t, &x.t, GNS_GAIN_BATCH, 1), -EINVAL);
	cr_expect_eq(gns_layer_reduce(layers, &s, &y.t, NULL, 1, (size_t[]){D}), -EINVAL);
	cr_expect_eq(gns_layer_reduce(layers, &s, &y.t, NULL, 3, (size_t[]){N, T, E}), -EINVAL);
	cr_expect_eq(gns_layer_reduce(layers, &s, &y.t, &x.t, 1, (size_t[]){E}), -EINVAL);
	cr_expect_eq(gns_tensor_norm2(layers, &ids.t, &norm), -EINVAL);
	struct gns_shared *uses = gns_shared_init(N, E, D + 1, 8, 1, 1);
	bad = s;
	bad.uses = uses;
	cr_expect_eq(gns_layer_linear(layers, &bad, &x.t, &y.t), -EINVAL);
	cr_expect_eq(gns_layer_embedding(layers, &bad, &ids.t, &y.t, -1), -EINVAL);
	cr_expect_eq(gns_layer_reduce(layers, &bad, &y.t, NULL, 1, (size_t[]){E}), -EINVAL);
	gns_shared_free(uses);
	uses = gns_shared_init(N, 2, E, 8, 1, 1); /* ids reach beyond the table */
	bad.uses = uses;
	cr_expect_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &bad, &ids.t, &y.t, -1)), -EINVAL);
	gns_shared_free(uses);
	drop(&x), drop(&y), drop(&ids), drop(&rows);
	gns_layers_free(layers);
	gns_layers_free(NULL);
}

Test(layers, nothing_is_nothing)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	const struct gns_tensor none = {.dtype = GNS_F32, .ndim = 3, .size = {N, 0, D}, .stride = {0, D, 1}};
	const struct gns_tensor no_ids = {.dtype = GNS_I64, .ndim = 2, .size = {N, 0}, .stride = {0, 1}};
	struct gns_samples s = samples_of(N, 0);
	cr_expect_eq(gns_layer_linear(layers, &s, &none, &none), 0);
	cr_expect_eq(s.sum, 0);
	s.sum = NAN;
	cr_expect_eq(gns_layer_embedding(layers, &s, &no_ids, &none, -1), 0);
	cr_expect_eq(s.sum, 0);
	s.sum = NAN;
	cr_expect_eq(gns_layer_reduce(layers, &s, &none, NULL, 1, (size_t[]){D}), 0);
	cr_expect_eq(s.sum, 0);
	cr_expect(gns_tensor_is_zero(&none));
	gns_layers_free(layers);
}

/* A call that needs more scratch says so, changes nothing, and succeeds once there is more; what can never be had is refused. */
Test(layers, scratch_grows_when_told_to)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){2, 3, 3000}, 0), y = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){2, 3, 9}, 0);
	struct gns_samples s = samples_of(2, 0);
	cr_expect_eq(gns_layer_linear(layers, &s, &x.t, &y.t), -ENOSPC);
	cr_expect(isnan(s.sum));
	cr_expect_eq(gns_layers_grow(layers), 0);
	cr_expect_eq(gns_layer_linear(layers, &s, &x.t, &y.t), 0);
	cr_expect(isfinite(s.sum));
	const float one = 1;
	const struct gns_tensor huge = {.data = &one, .dtype = GNS_F32, .ndim = 2, .size = {2, (size_t)1 << 40}};
	cr_expect_eq(gns_layer_reduce(layers, &s, &huge, NULL, 1, huge.size + 1), -ENOSPC);
	cr_expect_eq(gns_layers_grow(layers), -ENOMEM);
	cr_expect_eq(gns_layer_linear(layers, &s, &x.t, &y.t), 0);
	drop(&x), drop(&y);
	gns_layers_free(layers);
}

Test(layers, inf_and_nan_are_not_hidden)
{
	static const double bad[] = {INFINITY, -INFINITY, NAN};
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (int k = 0; k < 3 * 4 * 2; k++) {
		struct held_tensor x = hold_tensor(PLAIN, dtypes[k / 3 % 4], 3, (size_t[]){N, T, D}, 0), y = hold_tensor(PLAIN, dtypes[k / 3 % 4], 3, (size_t[]){N, T, E}, 0);
		struct held_tensor ids = hold_tensor(PLAIN, GNS_I32, 2, (size_t[]){N, T}, 5);
		struct gns_samples s = samples_of(N, 0);
		double norm;
		store(x.t.dtype, place(&x.t, (size_t[]){N - 1, T - 1, D - 1}), bad[k % 3]);
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
		cr_expect_not(isfinite(s.sum));
		cr_assert_eq(gns_layer_reduce(layers, &s, &x.t, NULL, 1, (size_t[]){D}), 0);
		cr_expect_not(isfinite(s.sum));
		cr_assert_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &s, &ids.t, &x.t, -1)), 0);
		cr_expect_not(isfinite(s.sum));
		cr_assert_eq(gns_tensor_norm2(layers, &x.t, &norm), 0);
		cr_expect_not(isfinite(norm));
		struct gns_shared *uses = gns_shared_init(N, E, D, 8, 1, 1);
		s.uses = uses;
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &s, &x.t, &y.t)), 0);
		cr_expect_not(isfinite(gns_shared_sum(uses)));
		gns_shared_free(uses);
		drop(&x), drop(&y), drop(&ids);
	}
	gns_layers_free(layers);
}

Test(layers, same_bits_every_time_and_the_floating_point_unit_as_it_was)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct held_tensor x = hold_tensor(PLAIN, GNS_F16, 3, (size_t[]){N, 90, D}, 0), y = hold_tensor(GAPPED, GNS_F32, 3, (size_t[]){N, 90, E}, 0);
	static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
	for (int k = 0; k < 4; k++) {
		struct gns_samples a = samples_of(N, 0), b = a;
		fesetround(modes[k]);
#if defined(__x86_64__)
		const unsigned control = _mm_getcsr() & ~0x3fu;
#endif
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &a, &x.t, &y.t)), 0);
		cr_assert_eq(WITH_ROOM(layers, gns_layer_linear(layers, &b, &x.t, &y.t)), 0);
		cr_assert_eq(memcmp(&a.sum, &b.sum, sizeof a.sum), 0);
		cr_assert_eq(gns_layer_reduce(layers, &a, &y.t, NULL, 1, (size_t[]){E}), 0);
		cr_assert_eq(fegetround(), modes[k]);
#if defined(__x86_64__)
		cr_assert_eq(_mm_getcsr() & ~0x3fu, control);
#endif
	}
	fesetround(FE_TONEAREST);
	drop(&x), drop(&y);
	gns_layers_free(layers);
}
