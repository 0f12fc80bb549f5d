/* The measurements on device memory against those of collectors/sketch, in every type and order, whole and in slices of samples. */
#include <errno.h>

#include "collectors/gpu/layers_device.h"
#include "layers_device_sets.h"
#include "profiler/shim/weights/fingerprint.h"
#include "sketch_by_hand.h"
#include "test_layers.h"

static const uint32_t dtypes[] = {GNS_F32, GNS_F64, GNS_F16, GNS_BF16};

#define PLENTY ((size_t)1 << 20)

static struct gns_samples samples_of(size_t n, unsigned axis)
{
	return (struct gns_samples){.n = n, .axis = axis, .probes = 8, .seed = 11, .stream = 5, .sum = NAN};
}

/* Where the kernels read it. */
static const struct gns_tensor *D(const struct held_tensor *h)
{
	size_t span = 1;

	for (unsigned d = 0; d < h->t.ndim; d++)
		span += (h->t.size[d] - 1) * (size_t)h->t.stride[d];
	return sets_tensor(&h->t, span * item_of(h->t.dtype));
}

static void drop_both(struct held_tensor *h)
{
	sets_forget(h->t.data);
	drop(h);
}

/* Added to 1000, behind a gate, and with as little scratch as still does: the answer must not move. */
#define MEASURE_CLOSELY(first, call) \
	do { \
		for (int open_ = 0; open_ < 2; open_++) { \
			struct held_set held_ = sets_hold(PLENTY); \
			const struct gns_device_target target_ = {.set = held_.set, .add = true}, *to = &target_; \
			sets_put(&held_, 0, 1000); \
			sets_open(&held_, open_); \
			cr_assert_eq(call, 0); \
			const double sum_ = sets_value(&held_, 0); \
			cr_assert(open_ ? near(sum_, 1000 + (first), 1e-14) || isnan(first) : sum_ == 1000); \
			sets_drop(&held_); \
		} \
		for (size_t bytes_ = 65536; bytes_ >= 1024; bytes_ /= 8) { \
			struct held_set held_ = sets_hold(bytes_); \
			const struct gns_device_target target_ = {.set = held_.set}, *to = &target_; \
			const int rc_ = call; \
			cr_assert(rc_ == 0 || rc_ == -ENOMEM, "%d", rc_); \
			const double sum_ = sets_value(&held_, 0); \
			cr_assert(rc_ || near(sum_, first, 1e-13) || (isnan(first) && isnan(sum_)), "scratch of %zu: %.17g, else %.17g", \
				  bytes_, sum_, first); \
			sets_drop(&held_); \
			if (rc_) \
				break; \
		} \
	} while (0)

/* The call, which sees `to`; twice with the same bits. */
#define MEASURE(result, call) \
	do { \
		double both_[2]; \
		for (int again_ = 0; again_ < 2; again_++) { \
			struct held_set held_ = sets_hold(PLENTY); \
			const struct gns_device_target target_ = {.set = held_.set, .stream = held_.stream, .slot = held_.first}, *to = &target_; \
			cr_assert_eq(call, 0, #call); \
			both_[again_] = sets_value(&held_, 0); \
			sets_drop(&held_); \
		} \
		cr_assert(!memcmp(&both_[0], &both_[1], sizeof both_[0]), "%.17g, again %.17g", both_[0], both_[1]); \
		if (sets_emulated) \
			MEASURE_CLOSELY(both_[0], call); \
		(result) = both_[0]; \
	} while (0)

static struct gns_layers *layers;

static void start(void)
{
	layers = gns_layers_init(gns_sketch_best_isa());
}

static void stop(void)
{
	gns_layers_free(layers);
}

TestSuite(layers_device, .init = start, .fini = stop);

/* Row r of sample i, as layers.h numbers them, as doubles. */
static void read_row(const struct gns_tensor *t, size_t n, unsigned axis, size_t i, size_t r, double *to)
{
	const unsigned last = t->ndim - 1;
	const bool dealt = axis == 1 && t->ndim == 2;
	size_t at[GNS_TENSOR_DIMS] = {0}, rest = r;

	if (t->ndim == 2)
		at[0] = dealt ? r * n + i : i * (t->size[0] / n) + r;
	else
		for (unsigned d = last; d-- > 0;)
			if (d == axis)
				at[d] = i;
			else
				at[d] = rest % t->size[d], rest /= t->size[d];
	for (at[last] = 0; at[last] < t->size[last]; at[last]++)
		to[at[last]] = read_value(t, at);
}

static double linear_by_hand(const struct gns_tensor *x, const struct gns_tensor *y, size_t n, unsigned axis)
{
	const size_t in = x->size[x->ndim - 1], out = y->size[y->ndim - 1];
	size_t t = 1;
	double sum = 0;

	for (unsigned d = 0; d + 1 < x->ndim; d++)
		t *= x->size[d];
	t /= n;
	double *a = malloc(t * in * sizeof *a), *b = malloc(t * out * sizeof *b);
	for (size_t i = 0; i < n; i++) {
		for (size_t r = 0; r < t; r++) {
			read_row(x, n, axis, i, r, a + r * in);
			read_row(y, n, axis, i, r, b + r * out);
		}
		sum += sketch_by_hand(a, b, t, in, out, 11, 5, i);
	}
	free(a), free(b);
	return sum;
}

static void check_linear(const struct held_tensor *x, const struct held_tensor *y, size_t n, unsigned axis, const char *what, int k)
{
	struct gns_samples s = samples_of(n, axis);
	const double truth = linear_by_hand(&x->t, &y->t, n, axis);
	double result;

	MEASURE(result, gns_device_linear(to, &s, D(x), D(y)));
	cr_assert(near(result, truth, x->t.dtype == GNS_F64 && y->t.dtype == GNS_F64 ? 1e-12 : 1e-5), "%s, case %d: %.12g, by hand %.12g",
		  what, k, result, truth);
}

Test(layers_device, linear_in_every_type_and_order)
{
	for (int k = 0; k < 4 * 4 * ORDERS * ORDERS * 2; k += 11) {
		const unsigned axis = k % 2;
		const size_t n = 3, t = 21, lead = axis ? t : n, second = axis ? n : t;
		const uint32_t tx = dtypes[k / 2 / ORDERS / ORDERS % 4], ty = dtypes[k / 2 / ORDERS / ORDERS / 4];
		struct held_tensor x = hold_tensor(k / 2 % ORDERS, tx, 3, (size_t[]){lead, second, 37}, 0.5);
		struct held_tensor y = hold_tensor(k / 2 / ORDERS % ORDERS, ty, 3, (size_t[]){lead, second, 53}, 0);
		check_linear(&x, &y, n, axis, "types and orders", k);
		drop_both(&x), drop_both(&y);
	}
}

/* (n, a, b, features): rows with and without one stride; (rows, features) in groups and dealt in turn; one row a sample. */
Test(layers_device, linear_of_two_and_four_dimensions)
{
	for (int k = 0; k < ORDERS * ORDERS * 2; k += 3) {
		const unsigned axis = k % 2;
		const enum order ox = k / 2 % ORDERS, oy = k / 2 / ORDERS;
		struct held_tensor x = hold_tensor(ox, GNS_F32, 4, (size_t[]){axis ? 3 : 4, axis ? 4 : 3, 5, 30}, 0.5);
		struct held_tensor y = hold_tensor(oy, GNS_BF16, 4, (size_t[]){axis ? 3 : 4, axis ? 4 : 3, 5, 19}, 0);
		check_linear(&x, &y, 4, axis, "four dimensions", k);
		drop_both(&x), drop_both(&y);
		x = hold_tensor(ox, GNS_F64, 2, (size_t[]){36, 30}, 0.5);
		y = hold_tensor(oy, GNS_F64, 2, (size_t[]){36, 19}, 0);
		check_linear(&x, &y, k % 3 ? 4 : 36, axis, "two dimensions", k);
		drop_both(&x), drop_both(&y);
	}
}

Test(layers_device, embeddings_add_rows_of_one_id)
{
	for (int k = 0; k < 4 * ORDERS * 2 * 2; k += 3) {
		const unsigned axis = k % 2, dims = 2 + k / 2 % 2;
		const size_t n = 3, t = dims == 2 ? k % 21 ? 13 : 290 : 6, d = k % 3 ? 21 : 40;
		const size_t size[4] = {axis ? t : n, axis ? n : t, dims == 2 ? d : 4, d};
		struct held_tensor ids = hold_tensor(k % 4 == 3 ? GAPPED : PLAIN, k & 4 ? GNS_I32 : GNS_I64, dims, size, 6);
		struct held_tensor y = hold_tensor(k / 4 % ORDERS, dtypes[k / 4 / ORDERS % 4], dims + 1, size, 0.25);
		for (int64_t padding = -1; padding < 3; padding += 3) {
			struct gns_samples s = samples_of(n, axis);
			double result;
			cr_assert_eq(WITH_ROOM(layers, gns_layer_embedding(layers, &s, &ids.t, &y.t, padding)), 0);
			MEASURE(result, gns_device_embedding(to, &s, D(&ids), D(&y), padding));
			cr_assert(near(result, s.sum, 1e-12), "case %d padding %d: %.12g, CPU %.12g", k, (int)padding, result, s.sum);
		}
		drop_both(&ids), drop_both(&y);
	}
}

Test(layers_device, gains_of_every_kind)
{
	enum { N = 4, C = 6, H = 5, W = 7 };
	for (int k = 0; k < 4 * 3 * 4 * ORDERS; k += 7) {
		const enum gns_gain kind = k % 3;
		const bool no_mean = kind == GNS_GAIN_LAYER && k / 3 % 4 == 3;
		const enum order order = k / 12 % ORDERS;
		const uint32_t dtype = dtypes[k / 12 / ORDERS];
		struct held_tensor x = hold_tensor(order, dtype, 4, (size_t[]){N, C, H, W}, 0.5);
		struct held_tensor y = hold_tensor(k / 3 % 4 == 1 ? PLAIN : order, k % 2 ? dtype : GNS_F32, 4, (size_t[]){N, C, H, W}, 0);
		const size_t sizes[3][2] = {{N, C * H}, {N, 2}, {C, 1}};
		struct held_tensor mean = hold_tensor(PLAIN, GNS_F32, 2, sizes[kind], 0), rstd = hold_tensor(PLAIN, GNS_F32, 2, sizes[kind], 1);
		for (size_t n = N / 2; n <= N; n += N / 2) { /* two images a sample, or one */
			struct gns_samples s = samples_of(n, 0);
			double result;
			cr_assert_eq(WITH_ROOM(layers, gns_layer_gain(layers, &s, &x.t, no_mean ? NULL : &mean.t, &rstd.t, &y.t, kind, 2)), 0);
			MEASURE(result, gns_device_gain(to, &s, D(&x), no_mean ? NULL : D(&mean), D(&rstd), D(&y), kind, 2));
			cr_assert(near(result, s.sum, 1e-6), "case %d, %zu samples: %.12g, CPU %.12g", k, n, result, s.sum);
		}
		drop_both(&x), drop_both(&y), drop_both(&mean), drop_both(&rstd);
	}
}

Test(layers_device, reduce_to_every_shape)
{
	enum { N = 4, T = 7, E = 23 };
	static const size_t shapes[][2] = {{1, E}, {T, E}, {T, 1}, {1, 1}};
	for (int k = 0; k < 4 * 4 * 2 * ORDERS; k += 3) {
		const size_t *shape = shapes[k % 4];
		const unsigned axis = k / 4 % 2;
		struct held_tensor g = hold_tensor(k / 8 % ORDERS, dtypes[k / 8 / ORDERS], 3, (size_t[]){axis ? T : N, axis ? N : T, E}, 0);
		struct held_tensor other = hold_tensor(k / 8 % ORDERS, dtypes[k % 4], 2, (size_t[]){1, E}, 0.5);
		struct gns_samples s = samples_of(N, axis);
		for (int scaled = 0; scaled < 2; scaled++) {
			const struct gns_tensor *with = scaled ? &other.t : NULL, *there = scaled ? D(&other) : NULL;
			double result;
			cr_assert_eq(WITH_ROOM(layers, gns_layer_reduce(layers, &s, &g.t, with, 2, shape)), 0);
			MEASURE(result, gns_device_reduce(to, &s, D(&g), there, 2, shape));
			cr_assert(near(result, s.sum, 1e-6), "case %d: %.12g, CPU %.12g", k, result, s.sum);
		}
		drop_both(&g), drop_both(&other);
	}
	for (int k = 0; k < 3 * ORDERS; k++) { /* of convolutions, one and two images a sample; long enough for several blocks */
		struct held_tensor g = hold_tensor(k % ORDERS, dtypes[k % 4], 4, (size_t[]){2, 5, k < ORDERS ? 40 : 3, 37}, 0);
		struct gns_samples s = samples_of(k % 2 + 1, 0);
		double result;
		cr_assert_eq(WITH_ROOM(layers, gns_layer_reduce(layers, &s, &g.t, NULL, 3, (size_t[]){5, 1, 1})), 0);
		MEASURE(result, gns_device_reduce(to, &s, D(&g), NULL, 3, (size_t[]){5, 1, 1}));
		cr_assert(near(result, s.sum, 1e-6), "channels, case %d: %.12g, CPU %.12g", k, result, s.sum);
		drop_both(&g);
	}
}

/* More samples than a grid has blocks in one of its directions. */
Test(layers_device, reduce_of_very_many_samples)
{
	enum { N = 66000 };
	struct held_tensor g = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){N, 2, 3}, 0);
	const struct gns_samples s = samples_of(N, 0);
	struct held_set held = sets_hold((size_t)4 << 20);
	const struct gns_device_target target = {.set = held.set, .stream = held.stream, .slot = held.first};
	double truth = 0;

	for (size_t i = 0; i < N; i++)
		for (size_t c = 0; c < 3; c++)
			truth += pow(AT(g, i, 0, c) + AT(g, i, 1, c), 2);
	cr_assert_eq(gns_device_reduce(&target, &s, D(&g), NULL, 1, (size_t[]){3}), 0);
	cr_assert(near(sets_value(&held, 0), truth, 1e-12), "%.17g, truth %.17g", sets_value(&held, 0), truth);
	sets_drop(&held);
	drop_both(&g);
}

Test(layers_device, norms_and_differences_of_any_tensor)
{
	for (int k = 0; k < 4 * ORDERS; k += 3)
		for (unsigned dims = 1; dims <= 5; dims++) {
			const size_t size[5] = {dims == 1 ? 500 : 4, 5, 6, 3, 2};
			struct held_tensor t = hold_tensor(k % ORDERS, dtypes[k / ORDERS], dims, size, 0.5);
			struct held_tensor before = hold_tensor(k % 2 ? PLAIN : k % ORDERS, dtypes[k / ORDERS], dims, size, 0);
			size_t at[GNS_TENSOR_DIMS] = {0};
			double norm2 = 0, diff = 0, result;
			do {
				const double a = read_value(&t.t, at), d = a - 0.5 * read_value(&before.t, at);
				norm2 += a * a;
				diff += d * d;
			} while (step(&t.t, at));
			MEASURE(result, gns_device_norm2(to, D(&t)));
			cr_assert(near(result, norm2, 1e-12), "case %d of %u dimensions: %.12g, truth %.12g", k, dims, result, norm2);
			MEASURE(result, gns_device_diff_norm2(to, D(&t), D(&before), 0.5));
			cr_assert(near(result, diff, 1e-12), "case %d of %u dimensions: %.12g, truth %.12g", k, dims, result, diff);
			drop_both(&t), drop_both(&before);
		}
}

Test(layers_device, values_and_copies)
{
	for (int k = 0; k < 6 * ORDERS * 2; k++) {
		const uint32_t dtype = (uint32_t)(1 + k % 6);
		const size_t size[3] = {4, k / 6 / ORDERS ? 64 : 5, 7};
		struct held_tensor t = hold_tensor(k / 6 % ORDERS, dtype, 3, size, 3);
		struct held_set held = sets_hold(PLENTY);
		char *out = gns_set_keep(held.set, (size_t)4 * 64 * 7 * 8), copied[4 * 64 * 7 * 8];
		struct gns_tensor packed = t.t;
		size_t at[GNS_TENSOR_DIMS] = {0};
		packed.data = copied;
		packed.stride[2] = 1, packed.stride[1] = 7, packed.stride[0] = 7 * (ptrdiff_t)size[1];
		cr_assert_eq(gns_device_copy(held.set, held.stream, D(&t), out), 0);
		sets_value(&held, 0);
		sets_fetch(copied, out, 4 * size[1] * 7 * item_of(dtype));
		do
			cr_assert_arr_eq(place(&packed, at), place(&t.t, at), item_of(dtype), "case %d", k);
		while (step(&t.t, at));
		sets_drop(&held);
		double result;
		if (dtype < GNS_DTYPES) {
			MEASURE(result, gns_device_value(to, D(&t)));
			cr_assert_eq(result, AT(t, 0, 0, 0));
		}
		drop_both(&t);
	}
}

/* Rows with a gap, 16 bytes at a time. */
Test(layers_device, copies_of_aligned_rows)
{
	for (int type = 0; type < 4; type++) {
		struct held_tensor t = hold_tensor(PLAIN, dtypes[type], 3, (size_t[]){3, 5, 80}, 1);
		struct gns_tensor part = t.t, packed;
		size_t at[GNS_TENSOR_DIMS] = {0};
		part.size[2] = 64;
		packed = part;
		struct held_set held = sets_hold(PLENTY);
		char *out = gns_set_keep(held.set, 3 * 5 * 64 * 8), copied[3 * 5 * 64 * 8];
		packed.data = copied;
		packed.stride[1] = 64, packed.stride[0] = 5 * 64;
		struct gns_tensor there = part;
		there.data = D(&t)->data;
		cr_assert_eq(gns_device_copy(held.set, held.stream, &there, out), 0);
		sets_value(&held, 0);
		sets_fetch(copied, out, 3 * 5 * 64 * item_of(dtypes[type]));
		do
			cr_assert_arr_eq(place(&packed, at), place(&part, at), item_of(dtypes[type]));
		while (step(&part, at));
		sets_drop(&held);
		drop_both(&t);
	}
}

Test(layers_device, prints_are_those_of_the_cpu)
{
	for (int type = 0; type < 4; type++) {
		struct held_tensor m = hold_tensor(PLAIN, dtypes[type], 2, (size_t[]){60, 77}, 0.5);
		const struct gns_key key = {m.t.data, 60, 77, 77, dtypes[type]};
		struct gns_fingerprint truth;
		struct held_set held = sets_hold(PLENTY);
		gns_fingerprint_take(&key, &truth);
		cr_assert_eq(gns_device_print(held.set, held.stream, held.first + 3, D(&m)->data, key.dtype, key.slow_n, key.fast_n, key.ld, true), 0);
		const uint64_t hash = gns_fingerprint_hash(&key);
		const double first = sets_value(&held, 3);
		cr_assert_arr_eq(&first, &hash, sizeof hash);
		for (uint32_t i = 0; i < 16; i++) {
			const double bits = sets_value(&held, 5 + i);
			cr_assert_arr_eq(&bits, &truth.bits[i], sizeof bits);
		}
		cr_assert(!sets_emulated || (isnan(sets_value(&held, 2)) && isnan(sets_value(&held, 21))));
		sets_drop(&held);
		drop_both(&m);
	}
}

Test(layers_device, refuses_what_disagrees_and_nothing_is_zero)
{
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){4, 5, 6}, 0), y = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){4, 3, 6}, 0);
	struct gns_samples s = samples_of(4, 0), three = samples_of(3, 0);
	struct gns_tensor none = x.t;
	double result;

	struct held_set held = sets_hold(PLENTY);
	const struct gns_device_target target = {.set = held.set, .stream = held.stream, .slot = held.first};
	cr_assert_eq(gns_device_linear(&target, &s, D(&x), D(&y)), -EINVAL);
	cr_assert_eq(gns_device_linear(&target, &three, D(&x), D(&x)), -EINVAL);
	cr_assert_eq(gns_device_diff_norm2(&target, D(&x), D(&y), 1), -EINVAL);
	cr_assert_eq(gns_device_reduce(&target, &s, D(&x), NULL, 1, (size_t[]){5}), -EINVAL);
	cr_assert_eq(gns_device_gain(&target, &s, D(&x), NULL, D(&y), D(&x), GNS_GAIN_BATCH, 1), -EINVAL);
	cr_assert_eq(sets_launches(&held), 0);
	sets_drop(&held);
	none.size[1] = 0;
	MEASURE(result, gns_device_linear(to, &s, &none, &none));
	cr_assert_eq(result, 0);
	MEASURE(result, gns_device_norm2(to, &none));
	cr_assert_eq(result, 0);
	MEASURE(result, gns_device_reduce(to, &s, &none, NULL, 1, (size_t[]){6}));
	cr_assert_eq(result, 0);
	drop_both(&x), drop_both(&y);
}

/* ---- convolutions ---- */

static size_t pick(size_t below)
{
	return (size_t)rand() % below;
}

/* A convolution as PyTorch has it; x_size meets the kernel. */
struct problem {
	struct gns_conv conv;
	size_t n, images, x[5], y[5];
	struct held_tensor held[2];
};

static void draw_axis(struct problem *p, unsigned d, size_t extent)
{
	struct gns_conv *c = &p->conv;

	c->kernel[d] = 1 + pick(4);
	c->stride[d] = 1 + pick(3);
	c->dilation[d] = 1 + pick(3);
	c->padding[d] = pick(4);
	const size_t span = (c->kernel[d] - 1) * c->dilation[d] + 1;
	p->x[2 + d] = (span > 2 * c->padding[d] ? span - 2 * c->padding[d] : 1) + pick(extent);
	p->y[2 + d] = (p->x[2 + d] + 2 * c->padding[d] - span) / c->stride[d] + 1;
}

static void draw_problem(struct problem *p, int k)
{
	*p = (struct problem){.n = 1 + pick(3), .images = 1 + pick(2), .conv = {.dims = 1 + (unsigned)k % 3, .groups = 1 + pick(3)}};
	p->conv.transposed = k / 3 % 3 == 0;
	p->x[0] = p->y[0] = p->n * p->images;
	p->x[1] = p->conv.groups * (1 + pick(k % 2 ? 40 : 14));
	p->y[1] = p->conv.groups * (1 + pick(k % 2 ? 14 : 120));
	for (unsigned d = 0; d < p->conv.dims; d++) {
		draw_axis(p, d, p->conv.dims == 3 ? 5 : p->conv.dims == 2 ? 14 : 700);
		if (k % 5 == 0) { /* nothing to lay out */
			p->conv.kernel[d] = p->conv.stride[d] = p->conv.dilation[d] = 1;
			p->conv.padding[d] = 0;
			p->y[2 + d] = p->x[2 + d];
		}
	}
}

/* Doubles that float32 does not hold. */
static void roughen(const struct held_tensor *h)
{
	size_t at[GNS_TENSOR_DIMS] = {0};

	do
		if (h->t.dtype == GNS_F64)
			store(GNS_F64, place(&h->t, at), read_value(&h->t, at) * (1 + 1e-9 * (double)pick(1000)));
	while (step(&h->t, at));
}

static void check_conv(struct problem *p, enum order ox, enum order oy, uint32_t tx, uint32_t ty, int k)
{
	const bool t = p->conv.transposed;
	struct held_tensor x = hold_tensor(ox, tx, p->conv.dims + 2, p->x, 0.25), y = hold_tensor(oy, ty, p->conv.dims + 2, p->y, 0.125);
	struct gns_samples s = samples_of(p->n, 0);
	double result;

	roughen(&x), roughen(&y);
	const struct gns_tensor *a = t ? &y.t : &x.t, *b = t ? &x.t : &y.t;
	cr_assert_eq(WITH_ROOM(layers, gns_layer_conv(layers, &s, a, b, &p->conv)), 0);
	MEASURE(result, gns_device_conv(to, &s, D(t ? &y : &x), D(t ? &x : &y), &p->conv));
	cr_assert(near(result, s.sum, tx == GNS_F64 || ty == GNS_F64 ? 1e-12 : 1e-5),
		  "case %d: %zu x %zu images, %zu to %zu channels in %zu groups, orders %d %d, types %u %u: %.12g, CPU %.12g", k, p->n, p->images,
		  p->x[1], p->y[1], p->conv.groups, (int)ox, (int)oy, tx, ty, result, s.sum);
	drop_both(&x), drop_both(&y);
}

Test(layers_device, convolutions_of_every_kind)
{
	for (int k = 0; k < 90; k++) {
		struct problem p;
		draw_problem(&p, k);
		check_conv(&p, k % ORDERS, k / ORDERS % 3 ? k % ORDERS : PLAIN, dtypes[k / 3 % 4], dtypes[k / 12 % 3 ? k / 3 % 4 : 0], k);
	}
}

/* Sizes with several blocks of everything. */
Test(layers_device, convolutions_of_many_positions_and_channels)
{
	struct problem p[] = {
		{.n = 2, .images = 1, .x = {2, 3, 50, 60}, .y = {2, 11, 50, 60},
		 .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1}},
		{.n = 2, .images = 2, .x = {4, 70, 6, 5}, .y = {4, 20, 6, 5},
		 .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1}},
		{.n = 1, .images = 1, .x = {1, 4, 90, 90}, .y = {1, 80, 45, 45},
		 .conv = {.dims = 2, .kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .groups = 1}},
		{.n = 2, .images = 1, .x = {2, 40, 9, 9}, .y = {2, 40, 9, 9},
		 .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 40}},
		{.n = 2, .images = 1, .x = {2, 5, 4400}, .y = {2, 60, 4400},
		 .conv = {.dims = 1, .kernel = {1}, .stride = {1}, .dilation = {1}, .groups = 1}},
	};
	for (size_t k = 0; k < sizeof p / sizeof *p; k++)
		for (int type = 0; type < 4; type++)
			check_conv(&p[k], type == 2 ? CHANNELS_LAST : PLAIN, PLAIN, dtypes[type], dtypes[type], (int)k);
}

Test(layers_device, convolutions_that_disagree_are_refused)
{
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 4, (size_t[]){2, 4, 6, 6}, 0), y = hold_tensor(PLAIN, GNS_F32, 4, (size_t[]){2, 6, 4, 4}, 0);
	const struct gns_conv right = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .groups = 2};
	struct gns_conv wrong = right;
	struct gns_samples s = samples_of(2, 0), three = samples_of(3, 0), minor = samples_of(2, 1);

	struct held_set held = sets_hold(PLENTY);
	const struct gns_device_target target = {.set = held.set, .stream = held.stream, .slot = held.first};
	cr_assert_eq(gns_device_conv(&target, &s, D(&x), D(&y), &right), 0);
	cr_assert_eq(gns_device_conv(&target, &three, D(&x), D(&y), &right), -EINVAL);
	cr_assert_eq(gns_device_conv(&target, &minor, D(&x), D(&y), &right), -EINVAL);
	wrong.groups = 4;
	cr_assert_eq(gns_device_conv(&target, &s, D(&x), D(&y), &wrong), -EINVAL);
	wrong = right, wrong.padding[1] = 1;
	cr_assert_eq(gns_device_conv(&target, &s, D(&x), D(&y), &wrong), -EINVAL);
	sets_drop(&held);
	drop_both(&x), drop_both(&y);
}

/* ---- several uses of one parameter ---- */

/* The sketch of a matrix written out, from the generator's bits: sum over buckets of |signed sum of their rows|^2. */
static double sketch_of(const double *a, size_t dim0, size_t rest, uint64_t seed, uint64_t of, size_t sample)
{
	double sum = 0, *z = calloc(8 * rest, sizeof *z);

	for (size_t row = 0; row < dim0; row++) {
		const uint64_t bits = gns_sketch_bits(seed, of, sample, row / 32);
		const unsigned block = (unsigned)(row % 32) / 8, bucket = (unsigned)(row % 8) ^ (unsigned)(bits >> (32 + 3 * block) & 7);
		for (size_t c = 0; c < rest; c++)
			z[bucket * rest + c] += (bits >> (8 * block + bucket) & 1 ? -1 : 1) * a[row * rest + c];
	}
	for (size_t k = 0; k < 8 * rest; k++)
		sum += z[k] * z[k];
	free(z);
	return sum;
}

enum { USES_N = 5, USES_T = 9 };

struct uses_case {
	struct held_tensor ids, w, x, y, g;
	size_t dim0, rest;
	int64_t padding_idx;
};

static double uses_truth(const struct uses_case *u, unsigned which, uint64_t seed, uint64_t of)
{
	const size_t dim0 = u->dim0, rest = u->rest;
	double truth = 0, *a = malloc(dim0 * rest * sizeof *a);

	for (size_t i = 0; i < USES_N; i++) {
		memset(a, 0, dim0 * rest * sizeof *a);
		for (size_t t = 0; t < USES_T; t++)
			for (size_t c = 0; c < rest; c++) {
				const int64_t id = (int64_t)AT(u->ids, i, t);
				if (which & 1 && id != u->padding_idx)
					a[(size_t)id * rest + c] += AT(u->w, i, t, c);
				for (size_t o = 0; o < dim0 && which & 2; o++)
					a[o * rest + c] += AT(u->x, i, t, c) * AT(u->y, i, t, o);
			}
		for (size_t o = 0; o < dim0 && which & 4; o++)
			for (size_t c = 0; c < rest; c++)
				a[o * rest + c] += AT(u->g, i, o, c);
		truth += sketch_of(a, dim0, rest, seed, of, i);
	}
	free(a);
	return truth;
}

static double measure_uses(const struct uses_case *u, unsigned which, size_t scratch, uint64_t seed, uint64_t of)
{
	struct held_set held = sets_hold(scratch);
	struct gns_device_target to = {.set = held.set, .stream = held.stream, .slot = held.first + 1};
	struct gns_device_uses *uses = gns_device_uses_init(held.set, held.stream, USES_N, u->dim0, u->rest, seed, of);
	const struct gns_samples s = samples_of(USES_N, 0);
	double result;

	cr_assert(uses);
	to.uses = uses;
	if (which & 1)
		cr_assert_eq(gns_device_embedding(&to, &s, D(&u->ids), D(&u->w), u->padding_idx), 0);
	if (which & 2)
		cr_assert_eq(gns_device_linear(&to, &s, D(&u->x), D(&u->y)), 0);
	if (which & 4)
		cr_assert_eq(gns_device_reduce(&to, &s, D(&u->g), NULL, 2, (size_t[]){u->dim0, u->rest}), 0);
	cr_assert(!sets_emulated || isnan(sets_value(&held, 1)));
	to.uses = NULL;
	cr_assert_eq(gns_device_uses_finish(&to, uses), 0);
	result = sets_value(&held, 1);
	sets_drop(&held);
	return result;
}

Test(layers_device, uses_add_up_before_they_are_squared)
{
	for (int k = 0; k < 4 * ORDERS * 2; k += 3) {
		struct uses_case u = {.dim0 = k % 2 ? 71 : 6, .rest = k % 3 ? 21 : 300, .padding_idx = k % 4 - 1};
		const uint32_t type = dtypes[k / ORDERS % 4];
		const enum order order = k % ORDERS;
		u.ids = hold_tensor(PLAIN, GNS_I64, 2, (size_t[]){USES_N, USES_T}, (double)u.dim0);
		u.w = hold_tensor(order, type, 3, (size_t[]){USES_N, USES_T, u.rest}, 0.5);
		u.x = hold_tensor(order, type, 3, (size_t[]){USES_N, USES_T, u.rest}, 0.5);
		u.y = hold_tensor(k % 3 ? order : PLAIN, type, 3, (size_t[]){USES_N, USES_T, u.dim0}, 0.25);
		u.g = hold_tensor(order, type, 3, (size_t[]){USES_N, u.dim0, u.rest}, 0);
		for (unsigned which = 1; which < 8; which += 1 + k % 2) {
			const double truth = uses_truth(&u, which, 7, 9), plenty = measure_uses(&u, which, PLENTY, 7, 9);
			cr_assert(near(plenty, truth, 1e-5), "case %d, uses %u: %.12g, truth %.12g", k, which, plenty, truth);
			const double little = measure_uses(&u, which, which == 2 ? 32 << 10 : 180 << 10, 7, 9);
			cr_assert(near(little, truth, 1e-5), "case %d, uses %u: %.12g, truth %.12g", k, which, little, truth);
		}
		drop_both(&u.ids), drop_both(&u.w), drop_both(&u.x), drop_both(&u.y), drop_both(&u.g);
	}
}

/* A bias and a gain met twice: exact. */
Test(layers_device, uses_of_vectors_are_exact)
{
	for (int k = 0; k < ORDERS; k++) {
		struct held_tensor g = hold_tensor(k, GNS_F32, 4, (size_t[]){4, 30, 3, 5}, 0.25), h = hold_tensor(PLAIN, GNS_BF16, 3, (size_t[]){4, 7, 30}, 0);
		struct held_set held = sets_hold(PLENTY);
		struct gns_device_target to = {.set = held.set, .stream = held.stream, .slot = held.first, .uses = gns_device_uses_init(held.set, held.stream, 4, 30, 1, 1, 2)};
		const struct gns_samples s = samples_of(4, 0);
		double truth = 0;
		cr_assert_eq(gns_device_reduce(&to, &s, D(&g), NULL, 3, (size_t[]){30, 1, 1}), 0);
		cr_assert_eq(gns_device_reduce(&to, &s, D(&h), NULL, 1, (size_t[]){30}), 0);
		struct gns_device_uses *uses = to.uses;
		to.uses = NULL;
		cr_assert_eq(gns_device_uses_finish(&to, uses), 0);
		for (size_t i = 0; i < 4; i++)
			for (size_t c = 0; c < 30; c++) {
				double sum = 0;
				for (size_t p = 0; p < 15; p++)
					sum += AT(g, i, c, p / 5, p % 5);
				for (size_t t = 0; t < 7; t++)
					sum += AT(h, i, t, c);
				truth += sum * sum;
			}
		cr_assert(near(sets_value(&held, 0), truth, 1e-6), "%.12g, truth %.12g", sets_value(&held, 0), truth);
		sets_drop(&held);
		drop_both(&g), drop_both(&h);
	}
}

/* Two uses of one convolution, of different sizes, in groups. */
Test(layers_device, uses_of_a_convolution)
{
	enum { G = 2, C = 6, O = 30, K = 3, REST = C / G * K };
	const struct gns_conv conv = {.dims = 1, .kernel = {K}, .stride = {2}, .padding = {1}, .dilation = {1}, .groups = G};
	for (int k = 0; k < 4 * ORDERS; k++) {
		const uint32_t type = dtypes[k / ORDERS];
		struct held_tensor x[2], y[2];
		struct held_set held = sets_hold(PLENTY);
		struct gns_device_target to = {.set = held.set, .stream = held.stream, .slot = held.first, .uses = gns_device_uses_init(held.set, held.stream, 3, O, REST, 4, 5)};
		const struct gns_samples s = samples_of(3, 0);
		for (int use = 0; use < 2; use++) {
			const size_t w = use ? 50 : 9;
			x[use] = hold_tensor(k % ORDERS, type, 3, (size_t[]){6, C, w}, 0.5);
			y[use] = hold_tensor(k % ORDERS, type, 3, (size_t[]){6, O, (w - 1) / 2 + 1}, 0.125);
			cr_assert_eq(gns_device_conv(&to, &s, D(&x[use]), D(&y[use]), &conv), 0);
		}
		struct gns_device_uses *uses = to.uses;
		to.uses = NULL;
		cr_assert_eq(gns_device_uses_finish(&to, uses), 0);
		double truth = 0;
		for (size_t i = 0; i < 3; i++) {
			double a[O * REST] = {0};
			for (size_t at = 0; at < O * REST * 4; at++) { /* o, rest, image, use */
				const size_t o = at / 4 / REST, j = at / 4 % REST, image = 2 * i + at / 2 % 2, use = at % 2;
				for (size_t p = 0; p < y[use].t.size[2]; p++) {
					const size_t t = p * 2 + j % K;
					if (t >= 1 && t - 1 < x[use].t.size[2])
						a[o * REST + j] += AT(y[use], image, o, p) * AT(x[use], image, o / (O / G) * (C / G) + j / K, t - 1);
				}
			}
			truth += sketch_of(a, O, REST, 4, 5, i);
		}
		cr_assert(near(sets_value(&held, 0), truth, 1e-5), "case %d: %.12g, truth %.12g", k, sets_value(&held, 0), truth);
		sets_drop(&held);
		drop_both(&x[0]), drop_both(&x[1]), drop_both(&y[0]), drop_both(&y[1]);
	}
}

Test(layers_device, uses_that_do_not_fit_are_refused)
{
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 3, (size_t[]){4, 5, 6}, 0);
	const struct gns_samples s = samples_of(4, 0);

	struct held_set held = sets_hold(PLENTY);
	struct gns_device_target to = {.set = held.set, .stream = held.stream, .slot = held.first, .uses = gns_device_uses_init(held.set, held.stream, 4, 7, 6, 1, 2)};
	cr_assert_eq(gns_device_linear(&to, &s, D(&x), D(&x)), -EINVAL);
	cr_assert_eq(gns_device_reduce(&to, &s, D(&x), NULL, 1, (size_t[]){6}), -EINVAL);
	to.stream = &held; /* another one */
	struct gns_tensor y = x.t;
	y.size[2] = 5;
	cr_assert_eq(gns_device_linear(&to, &s, D(&x), &y), -EINVAL);
	gns_device_uses_drop(to.uses);
	cr_assert_null(gns_device_uses_init(held.set, held.stream, SIZE_MAX / 64, 7, 6, 1, 2));
	cr_assert_null(gns_device_uses_init(held.set, held.stream, 1000000, 7, 6, 1, 2)); /* more than the set has */
	sets_drop(&held);
	drop_both(&x);
}
