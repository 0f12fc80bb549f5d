/* The source of the CUDA kernels, run on this processor by tests/fakes/emulate.cpp, against the CPU's functions and loops in double. */
#include <errno.h>

#include "collectors/gpu/image.h"
#include "collectors/gpu/plan.h"
#include "profiler/shim/weights/fingerprint.h"
#include "sketch_by_hand.h"
#include "test_layers.h"
#include "tests/fakes/emulate.h"

static const uint32_t dtypes[] = {GNS_F32, GNS_F64, GNS_F16, GNS_BF16};

static unsigned sms = 3;

/* Scratch of exactly the bytes asked for, full of NaN, behind it a page that cannot be touched. */
struct scratch {
	char *memory, *at;
	size_t bytes;
};

static struct scratch hold_scratch(size_t bytes)
{
	struct scratch s = {.bytes = (bytes + 4095) / 4096 * 4096 + 4096};

	s.memory = mmap(NULL, s.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(s.memory, MAP_FAILED);
	memset(s.memory, 0xff, s.bytes);
	mprotect(s.memory + s.bytes - 4096, 4096, PROT_NONE);
	s.at = s.memory + s.bytes - 4096 - bytes;
	return s;
}

static void run(const struct gns_cu_plan *plan)
{
	for (unsigned k = 0; k < plan->launches; k++) {
		const struct gns_cu_launch *l = &plan->launch[k];
		void *parameters[] = {(void *)&l->args};
		cr_assert_eq(gns_emulate_launch(l->kernel, l->grid, l->block, parameters), 0, "no kernel %s", l->kernel);
	}
}

/* Twice: the bits must agree. */
#define MEASURE(result, call) \
	do { \
		struct gns_cu_plan plan; \
		double outs[2] = {NAN, NAN}; \
		for (int again = 0; again < 2; again++) { \
			struct gns_cu_ground ground = {.out = &outs[again], .sms = sms}; \
			cr_assert_eq(call, 0, #call); \
			struct scratch scratch = hold_scratch(plan.scratch_bytes); \
			ground.scratch = scratch.at; \
			cr_assert_eq(call, 0); \
			run(&plan); \
			munmap(scratch.memory, scratch.bytes); \
		} \
		cr_assert_arr_eq(&outs[0], &outs[1], sizeof outs[0]); \
		(result) = outs[0]; \
	} while (0)

/* (samples, rows, cols), or time-major (rows, samples, cols). */
static struct gns_cu_operand operand_of(const struct held_tensor *h, bool time_major)
{
	const struct gns_tensor *t = &h->t;
	const unsigned s = time_major;

	return (struct gns_cu_operand){.data = t->data, .dtype = t->dtype, .samples = t->size[s], .rows = t->size[!s], .cols = t->size[2],
				       .sample_step = t->stride[s], .row_stride = t->stride[!s], .col_stride = t->stride[2]};
}

static struct held_tensor hold_rows(enum order order, uint32_t dtype, bool time_major, size_t n, size_t t, size_t cols, double mean)
{
	return hold_tensor(order, dtype, 3, (size_t[]){time_major ? t : n, time_major ? n : t, cols}, mean);
}

static double at_row(const struct held_tensor *h, bool time_major, size_t i, size_t t, size_t c)
{
	return AT(*h, time_major ? t : i, time_major ? i : t, c);
}

static struct gns_samples samples_of(size_t n, bool time_major)
{
	return (struct gns_samples){.n = n, .axis = time_major, .probes = 8, .seed = 11, .stream = 5, .sum = NAN};
}

Test(cuda_kernels, norms_of_all_types_orders_and_sizes)
{
	const size_t sizes[][2] = {{1, 1}, {3, 7}, {5, 8}, {17, 33}, {2, 1031}, {300, 70}, {1, 40000}};
	for (int k = 0; k < 7 * 4 * ORDERS * 2; k += 3) { /* 3 is prime to all of these */
		const size_t *size = sizes[k % 7];
		const enum order order = k / 28 % ORDERS;
		struct held_tensor m = hold_tensor(order, dtypes[k / 7 % 4], 2, size, 0.25);
		struct held_tensor n = hold_tensor(k / 28 / ORDERS ? order : PLAIN, dtypes[k / 7 % 4], 2, size, 0);
		double plain = 0, truth = 0, result;
		for (size_t r = 0; r < size[0]; r++)
			for (size_t c = 0; c < size[1]; c++) {
				const double d = AT(m, r, c) - 0.5 * AT(n, r, c);
				plain += AT(m, r, c) * AT(m, r, c);
				truth += d * d;
			}
		const struct gns_cu_operand one = {m.t.data, m.t.dtype, 1, size[0], size[1], 0, m.t.stride[0], m.t.stride[1]};
		const struct gns_cu_operand other = {n.t.data, n.t.dtype, 1, size[0], size[1], 0, n.t.stride[0], n.t.stride[1]};
		MEASURE(result, gns_cu_plan_norm2(&plan, &ground, &one, NULL, 0));
		cr_assert(near(result, plain, 1e-12), "case %d: %.12g, truth %.12g", k, result, plain);
		MEASURE(result, gns_cu_plan_norm2(&plan, &ground, &one, &other, 0.5));
		cr_assert(near(result, truth, 1e-12), "case %d: difference %.12g, truth %.12g", k, result, truth);
		drop(&m), drop(&n);
	}
}

Test(cuda_kernels, small_and_odd_values_do_not_vanish)
{
	const float tiny[5] = {1e-30f, -1e-30f, 3e-39f, 0, 1e-25f};
	const uint16_t halves[4] = {0x0001, 0x83ff, 0x7bff, 0x3c00}; /* smallest subnormal, largest one, largest, 1 */
	const struct gns_cu_operand f = {tiny, GNS_F32, 1, 1, 5, 0, 5, 1}, small = {halves, GNS_F16, 1, 1, 2, 0, 2, 1},
				    large = {halves + 2, GNS_F16, 1, 1, 2, 0, 2, 1};
	double result, truth = 0;
	for (int i = 0; i < 5; i++)
		truth += (double)tiny[i] * tiny[i];
	MEASURE(result, gns_cu_plan_norm2(&plan, &ground, &f, NULL, 0));
	cr_assert(near(result, truth, 1e-12), "%g, truth %g", result, truth);
	truth = ldexp(1 + 1023.0 * 1023, -48);
	MEASURE(result, gns_cu_plan_norm2(&plan, &ground, &small, NULL, 0));
	cr_assert(near(result, truth, 1e-15), "%.17g, truth %.17g", result, truth);
	truth = 65504.0 * 65504 + 1;
	MEASURE(result, gns_cu_plan_norm2(&plan, &ground, &large, NULL, 0));
	cr_assert(near(result, truth, 1e-15), "%.17g, truth %.17g", result, truth);
	for (int what = 0; what < 2; what++) {
		const uint16_t bad[2] = {0x3c00, what ? 0x7e00 : 0xfc00};
		const struct gns_cu_operand m = {bad, GNS_F16, 1, 1, 2, 0, 2, 1};
		MEASURE(result, gns_cu_plan_norm2(&plan, &ground, &m, NULL, 0));
		cr_assert(what ? isnan(result) : isinf(result) && result > 0);
	}
}

/* All samples of x and y, (n, t, features) or time-major, by hand; from sample `first` on. */
static double by_hand(const struct held_tensor *x, const struct held_tensor *y, bool time_major, size_t n, size_t t, uint64_t first)
{
	const size_t in = x->t.size[2], out = y->t.size[2];
	double *a = malloc(t * in * sizeof *a), *b = malloc(t * out * sizeof *b), sum = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t r = 0; r < t; r++) {
			for (size_t c = 0; c < in; c++)
				a[r * in + c] = at_row(x, time_major, i, r, c);
			for (size_t c = 0; c < out; c++)
				b[r * out + c] = at_row(y, time_major, i, r, c);
		}
		sum += sketch_by_hand(a, b, t, in, out, 11, 5, first + i);
	}
	free(a), free(b);
	return sum;
}

static void check_linear(size_t n, size_t t, size_t in, size_t out, uint32_t tx, uint32_t ty, enum order order, bool time_major)
{
	struct held_tensor x = hold_rows(order, tx, time_major, n, t, in, 0.5), y = hold_rows(order, ty, time_major, n, t, out, 0);
	const struct gns_cu_operand ox = operand_of(&x, time_major), oy = operand_of(&y, time_major);
	const double truth = by_hand(&x, &y, time_major, n, t, 0);
	double result;

	MEASURE(result, gns_cu_plan_linear(&plan, &ground, &ox, &oy, 11, 5, 0));
	cr_assert(near(result, truth, tx == GNS_F64 ? 1e-12 : 1e-5),
		  "%zu samples of %zu rows, %zu x %zu, types %u %u, order %d %d: %.12g, by hand %.12g", n, t, in, out, tx, ty, (int)order,
		  time_major, result, truth);
	drop(&x), drop(&y);
}

Test(cuda_kernels, sketch_follows_from_the_sign_bits_in_every_type_and_order)
{
	for (int k = 0; k < 4 * ORDERS * 2; k++)
		check_linear(3, 21, 37, 53, dtypes[k % 4], dtypes[k % 4], k / 4 % ORDERS, k / 4 / ORDERS);
	check_linear(2, 17, 64, 48, GNS_F32, GNS_BF16, PLAIN, false);
	check_linear(2, 17, 64, 48, GNS_F16, GNS_F32, PLAIN, true);
}

/* Rows of X with a mean that is large beside their spread, as activations have it: what is sketched is what is left. */
Test(cuda_kernels, sketch_has_the_right_mean_and_little_spread)
{
	enum { T = 64, IN = 24, OUT = 40, SEEDS = 2000 };
	double x[T * IN], y[T * OUT], mean = 0, squares = 0;

	for (int i = 0; i < T * IN; i++)
		x[i] = eighths(i % IN % 3);
	for (int i = 0; i < T * OUT; i++)
		y[i] = eighths(0.125);
	const double truth = exact_by_hand(x, y, T, IN, OUT);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		const double value = sketch_by_hand(x, y, T, IN, OUT, seed, 3, seed % 7) / truth;
		mean += value / SEEDS;
		squares += value * value / SEEDS;
	}
	const double spread = sqrt(squares - mean * mean);
	cr_assert_leq(fabs(mean - 1), 4 * spread / sqrt(SEEDS), "mean %.5f of the exact one, spread %.3g", mean, spread);
	cr_assert_lt(spread, 0.1);
}

Test(cuda_kernels, sketch_of_all_sizes)
{
	const size_t sizes[][4] = {
		{1, 1, 5, 9},      {70, 1, 33, 17}, {3, 1, 2100, 9003}, {3, 2, 40, 24},   {5, 4, 16, 600}, {2, 5, 16, 16},   {4, 32, 40, 8},   {3, 9, 3, 5000},
		{2, 33, 264, 300}, {1, 64, 9, 520}, {2, 128, 24, 40}, {1, 200, 40, 9}, {1, 700, 31, 70}, {2, 1100, 17, 16}, {2, 8, 17, 8300},
	};
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
		for (int type = 0; type < 4; type++) {
			sms = k % 3 * 66; /* 0: not known */
			check_linear(sizes[k][0], sizes[k][1], sizes[k][2], sizes[k][3], dtypes[type], dtypes[type], PLAIN, false);
			check_linear(sizes[k][0], sizes[k][1], sizes[k][3], sizes[k][2], dtypes[type], dtypes[type], AT_PAGE_END, true);
		}
	sms = 3;
}

/* Without a direction to take out (rows of X that cancel) all is sketched; inf and nan come through. */
Test(cuda_kernels, sketch_without_direction_and_of_nan)
{
	struct held_tensor x = hold_rows(PLAIN, GNS_F32, false, 1, 12, 20, 0), y = hold_rows(PLAIN, GNS_F32, false, 1, 12, 30, 0);
	float *values = (float *)x.t.data;
	const struct gns_cu_operand ox = operand_of(&x, false), oy = operand_of(&y, false);
	double result;

	for (int i = 0; i < 6 * 20; i++)
		values[6 * 20 + i] = -values[i];
	const double truth = by_hand(&x, &y, false, 1, 12, 0);
	MEASURE(result, gns_cu_plan_linear(&plan, &ground, &ox, &oy, 11, 5, 0));
	cr_assert(near(result, truth, 1e-5), "%g, by hand %g", result, truth);
	values[7] = NAN;
	MEASURE(result, gns_cu_plan_linear(&plan, &ground, &ox, &oy, 11, 5, 0));
	cr_assert(isnan(result));
	drop(&x), drop(&y);
}

Test(cuda_kernels, samples_number_from_the_first_and_out_is_added_to)
{
	struct held_tensor x = hold_rows(PLAIN, GNS_F32, false, 4, 16, 20, 0.5), y = hold_rows(PLAIN, GNS_F32, false, 4, 16, 30, 0);
	struct gns_cu_operand ox = operand_of(&x, false), oy = operand_of(&y, false);
	struct gns_cu_plan part;
	double all, out = 0;

	MEASURE(all, gns_cu_plan_linear(&plan, &ground, &ox, &oy, 1, 2, 0));
	for (int half = 0; half < 2; half++) {
		struct gns_cu_ground ground = {.out = &out, .sms = sms, .add = true};
		ox.samples = oy.samples = 2;
		ox.data = (const float *)x.t.data + half * 2 * 16 * 20;
		oy.data = (const float *)y.t.data + half * 2 * 16 * 30;
		cr_assert_eq(gns_cu_plan_linear(&part, &ground, &ox, &oy, 1, 2, 2 * half), 0);
		struct scratch scratch = hold_scratch(part.scratch_bytes);
		ground.scratch = scratch.at;
		cr_assert_eq(gns_cu_plan_linear(&part, &ground, &ox, &oy, 1, 2, 2 * half), 0);
		run(&part);
		munmap(scratch.memory, scratch.bytes);
	}
	cr_assert(near(out, all, 1e-14), "%.17g in halves, %.17g at once", out, all);
	drop(&x), drop(&y);
}

Test(cuda_kernels, biases_scales_and_gains)
{
	for (int k = 0; k < 4 * ORDERS * 2 * 3; k++) {
		const uint32_t dtype = dtypes[k % 4];
		const bool time_major = k / 4 / ORDERS % 2;
		const enum order order = k / 4 % ORDERS;
		const size_t n = 2, t = k % 5 ? 19 : 300, cols = 43;
		const int form = k / 4 / ORDERS / 2; /* bias, scale, gain */
		struct held_tensor y = hold_rows(order, dtype, time_major, n, t, cols, 0.25), x = hold_rows(PLAIN, dtype, time_major, n, t, cols, 0);
		struct held_tensor mean = hold_rows(PLAIN, dtypes[(k + 1) % 4], time_major, n, t, 1, 0);
		struct held_tensor rstd = hold_rows(PLAIN, GNS_F32, time_major, n, t, 1, 1);
		const struct gns_cu_operand oy = operand_of(&y, time_major), ox = operand_of(&x, time_major);
		const struct gns_cu_operand om = operand_of(&mean, time_major), os = operand_of(&rstd, time_major);
		double truth = 0, result;
		for (size_t i = 0; i < n; i++)
			for (size_t c = 0; c < cols; c++) {
				double sum = 0;
				for (size_t r = 0; r < t; r++) {
					const double g = at_row(&y, time_major, i, r, c), v = at_row(&x, time_major, i, r, c);
					const double m = at_row(&mean, time_major, i, r, 0), d = at_row(&rstd, time_major, i, r, 0);
					sum += form == 0 ? g : form == 1 ? g * v : g * (v - m) * d;
				}
				truth += sum * sum;
			}
		MEASURE(result, gns_cu_plan_columns(&plan, &ground, &oy, form ? &ox : NULL, form == 2 ? &om : NULL, form == 2 ? &os : NULL));
		cr_assert(near(result, truth, 1e-5), "case %d: %.12g, truth %.12g", k, result, truth);
		truth = 0;
		for (size_t i = 0; i < n; i++)
			for (size_t r = 0; r < t; r++) {
				double sum = 0;
				for (size_t c = 0; c < cols; c++)
					sum += at_row(&y, time_major, i, r, c);
				truth += sum * sum;
			}
		MEASURE(result, gns_cu_plan_inner(&plan, &ground, &oy));
		cr_assert(near(result, truth, 1e-6), "case %d: rows %.12g, truth %.12g", k, result, truth);
		drop(&y), drop(&x), drop(&mean), drop(&rstd);
	}
}

Test(cuda_kernels, embeddings_add_rows_of_one_id)
{
	for (int k = 0; k < 4 * ORDERS * 2; k++) {
		const bool time_major = k / 4 / ORDERS;
		const size_t n = 2, t = k % 3 ? 13 : 290, d = k % 2 ? 21 : 1030 / (k % 3 ? 1 : 10);
		const size_t lead = time_major ? t : n, second = time_major ? n : t;
		struct held_tensor ids = hold_tensor(k % 4 == 3 ? GAPPED : PLAIN, k & 1 ? GNS_I32 : GNS_I64, 2, (size_t[]){lead, second}, 6);
		struct held_tensor y = hold_rows(k / 4 % ORDERS, dtypes[k % 4], time_major, n, t, d, 0.25);
		const struct gns_cu_operand oy = operand_of(&y, time_major);
		const struct gns_cu_operand oi = {ids.t.data, ids.t.dtype, n, t, 1, ids.t.stride[time_major], ids.t.stride[!time_major], 1};
		struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
		for (int64_t padding = -1; padding < 3; padding += 3) {
			struct gns_samples s = samples_of(n, time_major);
			double result;
			cr_assert_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &s, &ids.t, &y.t, padding)), 0);
			MEASURE(result, gns_cu_plan_embedding(&plan, &ground, &oi, &oy, padding));
			cr_assert(near(result, s.sum, 1e-12), "case %d padding %d: %.12g, CPU %.12g", k, (int)padding, result, s.sum);
		}
		gns_layers_free(layers);
		drop(&ids), drop(&y);
	}
}

Test(cuda_kernels, fingerprints_are_those_of_the_cpu)
{
	for (int type = 0; type < 4; type++)
		for (size_t rows = 1; rows < 60; rows += 29) {
			struct held_tensor m = hold_tensor(GAPPED, dtypes[type], 2, (size_t[]){rows, 77}, 0.5);
			const struct gns_key key = {m.t.data, rows, 77 * 3 - 2, m.t.stride[0], dtypes[type]};
			struct gns_fingerprint truth, bits;
			struct gns_cu_plan plan;
			uint64_t hash[2], other[2];
			gns_fingerprint_take(&key, &truth);
			cr_assert_eq(gns_cu_plan_print(&plan, &(struct gns_cu_ground){0}, key.data, key.dtype, key.slow_n, key.fast_n, key.ld, hash, bits.bits), 0);
			run(&plan);
			cr_assert(gns_fingerprint_same(&truth, &bits));
			cr_assert_eq(hash[0], gns_fingerprint_hash(&key));
			memset((char *)m.t.data, 0x3c, 2);
			for (size_t i = 0; i < rows * 77; i++)
				store(dtypes[type], place(&m.t, (size_t[GNS_TENSOR_DIMS]){i / 77, i % 77}), 1.75);
			cr_assert_eq(gns_cu_plan_print(&plan, &(struct gns_cu_ground){0}, key.data, key.dtype, key.slow_n, key.fast_n, key.ld, other, NULL), 0);
			run(&plan);
			cr_assert_neq(hash[1], other[1]);
			drop(&m);
		}
}

static void launch_one(const char *kernel, uint32_t block, const void *args)
{
	void *parameters[] = {(void *)args};
	cr_assert_eq(gns_emulate_launch(kernel, (uint32_t[]){1, 1, 1}, block, parameters), 0);
}

/* Chunks 0, 3 and 127 of a set, into a ring of two blocks; what is not named stays as it is. */
Test(cuda_kernels, deliveries_move_slots_and_say_so)
{
	enum { SLOTS = 8192 };
	static double slots[SLOTS], host[2 * SLOTS];
	uint32_t gate = 1, word = 0;
	uint64_t begun = 0, done = 0, counter = 0, open[2] = {7, 7};
	const struct gns_cu_deliver args = {.gate = &gate, .slots = slots, .host = host, .chunks = {1 | 1 << 3, 1ull << 63}, .begun = &begun,
					    .open = open, .done = &done, .counter = &counter, .ring = 2, .stride = SLOTS};

	for (uint64_t number = 1; number <= 4; number++) {
		const double *block = host + (number - 1) % 2 * SLOTS;
		gate = number != 3;
		for (int i = 0; i < SLOTS; i++)
			slots[i] = i + 0.25 * (double)number;
		for (int i = 0; i < 2 * SLOTS; i++)
			host[i] = -1;
		launch_one("gns_deliver", GNS_CU_THREADS, &args);
		cr_assert(begun == number && done == number && counter == number && open[(number - 1) % 2] == gate);
		for (int i = 0; i < SLOTS; i++) {
			const bool named = i / 64 == 0 || i / 64 == 3 || i / 64 == 127;
			const double value = i + 0.25 * (double)number;
			cr_assert_eq(block[i], !named ? -1 : gate ? value : 0, "delivery %d, slot %d", (int)number, i);
			cr_assert_eq(slots[i], named ? 0 : value);
			cr_assert_eq(host[number % 2 * SLOTS + (size_t)i], -1);
		}
	}
	const struct gns_cu_deliver once = {.slots = slots, .host = host, .chunks = {2, 0}, .done = &done, .number = 99};
	launch_one("gns_deliver", GNS_CU_THREADS, &once);
	cr_assert(done == 99 && begun == 4 && host[64] == 65.0 && slots[64] == 0);
	launch_one("gns_gate", 32, &(struct gns_cu_gate){.host = &word, .gate = &gate});
	cr_assert_eq(gate, 0);
	launch_one("gns_fill", GNS_CU_THREADS, &(struct gns_cu_fill){.gate = &gate, .out = host, .n = 1000});
	cr_assert_eq(host[64], 65.0);
	launch_one("gns_fill", GNS_CU_THREADS, &(struct gns_cu_fill){.out = host, .n = 1000});
	for (int i = 0; i < 1001; i++)
		cr_assert(i < 1000 ? host[i] == 0 : host[i] != 0);
}

Test(cuda_kernels, what_does_not_fit_is_refused_and_nothing_is_zero)
{
	struct held_tensor x = hold_rows(PLAIN, GNS_F32, false, 2, 3, 4, 0), y = hold_rows(PLAIN, GNS_F64, false, 2, 3, 4, 0);
	struct gns_cu_operand ox = operand_of(&x, false), oy = operand_of(&y, false), none = ox;
	struct gns_cu_plan refused;
	const struct gns_cu_ground nowhere = {.sms = 3};
	double result;

	cr_assert_eq(gns_cu_plan_linear(&refused, &nowhere, &ox, &oy, 0, 0, 0), -EINVAL);
	oy = ox;
	oy.rows = 2;
	cr_assert_eq(gns_cu_plan_linear(&refused, &nowhere, &ox, &oy, 0, 0, 0), -EINVAL);
	cr_assert_eq(gns_cu_plan_norm2(&refused, &nowhere, &ox, &oy, 1), -EINVAL);
	cr_assert_eq(gns_cu_plan_columns(&refused, &nowhere, &ox, NULL, &ox, NULL), -EINVAL);
	ox.samples = 70000;
	cr_assert_eq(gns_cu_plan_columns(&refused, &nowhere, &ox, NULL, NULL, NULL), -ERANGE);
	none.rows = 0;
	MEASURE(result, gns_cu_plan_linear(&plan, &ground, &none, &none, 0, 0, 0));
	cr_assert_eq(result, 0);
	drop(&x), drop(&y);
}

/* A fatbin begins with its magic number; without nvcc there is none. */
Test(cuda_kernels, image_is_a_fatbin_or_empty)
{
	uint32_t magic;

	if (gns_cuda_image_size == 0)
		return;
	cr_assert_gt(gns_cuda_image_size, sizeof magic);
	memcpy(&magic, gns_cuda_image, sizeof magic);
	cr_assert_eq(magic, 0xba55ed50);
}
