/* Convolutions: every sample's gradient written out by the formula of the header, and the estimate computed again from the
 * generator's bits, as docs/internals/sketch.md tells it. */
#include <errno.h>
#include <limits.h>

#include "test_layers.h"

static const uint32_t dtypes[] = {GNS_F32, GNS_F64, GNS_F16, GNS_BF16};

/* A convolution over tensors of five dimensions; `transposed` says only how the layer is told. */
struct problem {
	struct gns_conv conv;
	size_t n, images, in, out;
	size_t x_size[3], y_size[3];
	struct held_tensor x, y; /* as the layer has them */
};

static size_t pick(size_t below)
{
	return (size_t)rand() % below;
}

/* Sizes of the side that meets the kernel (x) and of the positions (y). */
static void draw_axis(struct problem *p, unsigned d)
{
	struct gns_conv *c = &p->conv;

	c->kernel[d] = 1 + pick(4);
	c->stride[d] = 1 + pick(3);
	c->dilation[d] = 1 + pick(3);
	c->padding[d] = pick(4);
	const size_t span = (c->kernel[d] - 1) * c->dilation[d] + 1;
	p->x_size[d] = (span > 2 * c->padding[d] ? span - 2 * c->padding[d] : 1) + pick(c->dims == 3 ? 5 : c->dims == 2 ? 14 : 60);
	p->y_size[d] = (p->x_size[d] + 2 * c->padding[d] - span) / c->stride[d] + 1;
}

static void make(struct problem *p, enum order order, uint32_t dtype, double mean)
{
	size_t x[5] = {p->n * p->images, p->in}, y[5] = {p->n * p->images, p->out};

	memcpy(x + 2, p->x_size, sizeof p->x_size);
	memcpy(y + 2, p->y_size, sizeof p->y_size);
	p->x = hold_tensor(order, dtype, p->conv.dims + 2, x, mean);
	p->y = hold_tensor(order, dtype, p->conv.dims + 2, y, 0.125);
}

static void draw_problem(struct problem *p)
{
	*p = (struct problem){.n = 1 + pick(3), .images = 1 + pick(2), .conv = {.dims = 1 + (unsigned)pick(3), .groups = 1 + pick(3)}};
	p->conv.transposed = pick(3) == 0;
	p->in = p->conv.groups * (1 + pick(14));
	p->out = p->conv.groups * (1 + pick(20));
	for (unsigned d = 0; d < p->conv.dims; d++)
		draw_axis(p, d);
}

static size_t taps_of(const struct gns_conv *c)
{
	size_t taps = 1;
	for (unsigned d = 0; d < c->dims; d++)
		taps *= c->kernel[d];
	return taps;
}

/* Entry of sign vector `probe` for a column, from the generator alone: the order of docs/internals/sketch.md. */
static int probe_sign(uint64_t seed, uint64_t stream, uint64_t key, unsigned probe, size_t col)
{
	const uint64_t bits = gns_sketch_bits(seed, stream, key, ((uint64_t)(probe / 8) << 32) + col / 32);
	const unsigned block = (unsigned)(col % 32) / 8;
	const unsigned bucket = (unsigned)(col % 8) ^ (unsigned)(bits >> (32 + 3 * block) & 7);

	return ((bits >> (8 * block + bucket) & 1) ^ (unsigned)__builtin_parity(bucket & (probe % 8))) ? -1 : 1;
}

static double dot_of(const double *a, const double *b, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Position or tap number k as an index. */
static void unfold(size_t k, unsigned dims, const size_t *size, size_t *at)
{
	for (unsigned d = dims; d-- > 0; k /= size[d])
		at[d] = k % size[d];
}

/* The value of x that output position `p` meets with tap `k`, 0 in the padding. */
static double met(const struct problem *p, size_t image, size_t channel, const size_t *position, const size_t *tap)
{
	size_t at[5] = {image, channel};

	for (unsigned d = 0; d < p->conv.dims; d++) {
		const size_t t = position[d] * p->conv.stride[d] + tap[d] * p->conv.dilation[d];
		if (t < p->conv.padding[d] || t - p->conv.padding[d] >= p->x_size[d])
			return 0;
		at[2 + d] = t - p->conv.padding[d];
	}
	return read_value(&p->x.t, at);
}

/* A of one sample and group: out/groups rows of in/groups * taps. */
static void write_out(const struct problem *p, size_t sample, size_t group, double *a)
{
	const size_t in = p->in / p->conv.groups, out = p->out / p->conv.groups, taps = taps_of(&p->conv);
	size_t positions = 1, position[3], tap[3];

	for (unsigned d = 0; d < p->conv.dims; d++)
		positions *= p->y_size[d];
	memset(a, 0, in * taps * out * sizeof *a);
	for (size_t image = sample * p->images; image < (sample + 1) * p->images; image++)
		for (size_t q = 0; q < positions; q++) {
			unfold(q, p->conv.dims, p->y_size, position);
			for (size_t j = 0; j < in * taps; j++) {
				unfold(j % taps, p->conv.dims, p->conv.kernel, tap);
				const double x = met(p, image, group * in + j / taps, position, tap);
				for (size_t o = 0; o < out && x != 0; o++) {
					size_t at[5] = {image, group * out + o, position[0], position[1], position[2]};
					a[o * in * taps + j] += x * read_value(&p->y.t, at);
				}
			}
		}
}

/* Sums over what each channel's planes hold: all of x that some tap and phase can meet. */
static void channel_sums(const struct problem *p, size_t sample, size_t group, double *v)
{
	const size_t in = p->in / p->conv.groups;
	size_t at[5];

	memset(v, 0, in * sizeof *v);
	for (size_t c = 0; c < in; c++)
		for (size_t image = sample * p->images; image < (sample + 1) * p->images; image++) {
			at[0] = image, at[1] = group * in + c;
			at[2] = at[3] = at[4] = 0;
			for (;;) {
				bool held = true;
				for (unsigned d = 0; d < p->conv.dims; d++) {
					const size_t t = at[2 + d] + p->conv.padding[d], s = p->conv.stride[d];
					const size_t span = (p->conv.kernel[d] - 1) * p->conv.dilation[d];
					bool phase = false;
					for (size_t k = 0; k < p->conv.kernel[d]; k++)
						phase |= k * p->conv.dilation[d] % s == t % s;
					held &= phase && t / s < p->y_size[d] + span / s;
				}
				v[c] += held ? read_value(&p->x.t, at) : 0;
				unsigned d = p->conv.dims;
				while (d-- > 0) {
					if (++at[2 + d] < p->x_size[d])
						break;
					at[2 + d] = 0;
				}
				if (d == UINT_MAX)
					break;
			}
		}
}

/* The variance bound's |R R^T|^2 comes along: R = A (I - v v^T / |v|^2). */
struct estimate {
	double value, exact, spread2;
};

static double gram_square(const double *r, size_t rows, size_t cols)
{
	double sum = 0;
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < rows; j++) {
			double dot = 0;
			for (size_t c = 0; c < cols; c++)
				dot += r[i * cols + c] * r[j * cols + c];
			sum += dot * dot;
		}
	return sum;
}

/* Mean over probes of |R h|^2, the signs along the longer side. */
static double probe_sum(const double *r, size_t out, size_t cols, unsigned probes, uint64_t seed, uint64_t stream, uint64_t key)
{
	double total = 0;

	for (unsigned p = 0; p < probes; p++) {
		if (cols >= out)
			for (size_t o = 0; o < out; o++) {
				double z = 0;
				for (size_t j = 0; j < cols; j++)
					z += probe_sign(seed, stream, key, p, j) * r[o * cols + j];
				total += z * z;
			}
		else
			for (size_t j = 0; j < cols; j++) {
				double z = 0;
				for (size_t o = 0; o < out; o++)
					z += probe_sign(seed, stream, key, p, o) * r[o * cols + j];
				total += z * z;
			}
	}
	return total / probes;
}

static struct estimate estimate_group(const struct problem *p, size_t sample, size_t group, const struct gns_samples *s)
{
	const size_t taps = taps_of(&p->conv), cols = p->in / p->conv.groups * taps, out = p->out / p->conv.groups;
	double *a = calloc(cols * out, sizeof *a), *v = calloc(cols, sizeof *v), *channels = calloc(cols, sizeof *v), along2 = 0;
	struct estimate e = {0};

	write_out(p, sample, group, a);
	e.exact = dot_of(a, a, cols * out);
	channel_sums(p, sample, group, channels);
	for (size_t j = 0; j < cols; j++)
		v[j] = channels[j / taps];
	const double length2 = dot_of(v, v, cols);
	for (size_t o = 0; o < out && length2 > 0; o++) {
		const double along = dot_of(a + o * cols, v, cols);
		along2 += along * along / length2;
		for (size_t j = 0; j < cols; j++)
			a[o * cols + j] -= along * v[j] / length2;
	}
	e.spread2 = gram_square(a, out, cols);
	e.value = along2 + probe_sum(a, out, cols, s->probes, s->seed, s->stream, sample * p->conv.groups + group);
	if (cols <= 8 || out <= 8)
		e.value = e.exact, e.spread2 = 0;
	free(a), free(v), free(channels);
	return e;
}

static struct estimate estimate_all(const struct problem *p, const struct gns_samples *s)
{
	struct estimate sum = {0};

	for (size_t i = 0; i < p->n; i++)
		for (size_t g = 0; g < p->conv.groups; g++) {
			const struct estimate e = estimate_group(p, i, g, s);
			sum.value += e.value, sum.exact += e.exact, sum.spread2 += e.spread2;
		}
	return sum;
}

static int run(struct gns_layers *layers, struct gns_samples *s, const struct problem *p)
{
	const struct gns_tensor *x = p->conv.transposed ? &p->y.t : &p->x.t, *y = p->conv.transposed ? &p->x.t : &p->y.t;

	return WITH_ROOM(layers, gns_layer_conv(layers, s, x, y, &p->conv));
}

/* Of every sample |sum over its images and positions of y|^2 of all channels, by a loop over the elements. */
static double bias_of(const struct problem *p, const struct gns_tensor *y)
{
	double *sums = calloc(p->n * y->size[1], sizeof *sums), sum = 0;
	size_t at[5] = {0};

	do
		sums[at[0] / p->images * y->size[1] + at[1]] += read_value(y, at);
	while (step(y, at));
	for (size_t i = 0; i < p->n * y->size[1]; i++)
		sum += sums[i] * sums[i];
	free(sums);
	return sum;
}

static void check_bias(struct gns_layers *layers, const struct problem *p, const struct gns_samples *weight)
{
	const struct gns_tensor *x = p->conv.transposed ? &p->y.t : &p->x.t, *y = p->conv.transposed ? &p->x.t : &p->y.t;
	struct gns_samples s = *weight, b = *weight;
	const double truth = bias_of(p, y);

	s.sum = b.sum = NAN;
	cr_assert_eq(WITH_ROOM(layers, gns_layer_conv_bias(layers, &s, &b, x, y, &p->conv)), 0);
	cr_assert_eq(memcmp(&s.sum, &weight->sum, sizeof s.sum), 0, "the bias changes the weight's sum");
	cr_assert(fabs(b.sum - truth) <= 1e-12 * truth, "bias %.12g, truth %.12g", b.sum, truth);
}

static void check(struct gns_layers *layers, const struct problem *p, const char *what, int k)
{
	struct gns_samples s = {.n = p->n, .probes = k % 5 ? 8 : 24, .seed = 5, .stream = (uint64_t)k, .sum = NAN}, again = s;
	const struct estimate e = estimate_all(p, &s);

	cr_assert_eq(run(layers, &s, p), 0);
	cr_assert(fabs(s.sum - e.value) <= 1e-5 * fmax(e.exact, e.value),
		  "%s %d: dims %u groups %zu in %zu out %zu kernel %zu %zu %zu stride %zu %zu padding %zu %zu dilation %zu %zu sizes %zu %zu "
		  "transposed %d: %.12g, truth %.12g, exact %.12g", what, k, p->conv.dims, p->conv.groups, p->in, p->out, p->conv.kernel[0],
		  p->conv.kernel[1], p->conv.kernel[2], p->conv.stride[0], p->conv.stride[1], p->conv.padding[0], p->conv.padding[1],
		  p->conv.dilation[0], p->conv.dilation[1], p->x_size[0], p->x_size[1], p->conv.transposed, s.sum, e.value, e.exact);
	cr_assert_eq(run(layers, &again, p), 0);
	cr_assert_eq(memcmp(&s.sum, &again.sum, sizeof s.sum), 0, "two calls differ");
	check_bias(layers, p, &s);
}

Test(layers_conv, estimates_follow_from_the_sign_bits)
{
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_layers *layers = gns_layers_init(isa);
		for (int k = 0; k < 150; k++) {
			struct problem p;
			srand((unsigned)k + 1);
			draw_problem(&p);
			make(&p, k % ORDERS, dtypes[k / ORDERS % 4], 0.25);
			check(layers, &p, "drawn", k);
			drop(&p.x), drop(&p.y);
		}
		gns_layers_free(layers);
	}
}

/* Rows longer than a map, many rows, 1x1 kernels read in place, every size around a vector. */
Test(layers_conv, sizes_at_the_edges_of_blocks)
{
	static const size_t widths[] = {1, 7, 8, 15, 16, 17, 31, 33, 64, 247, 248, 249, 495, 496, 497, 512, 1000};
	for (enum gns_isa isa = GNS_ISA_PORTABLE; isa <= gns_sketch_best_isa(); isa++) {
		struct gns_layers *layers = gns_layers_init(isa);
		for (size_t k = 0; k < 5 * sizeof widths / sizeof *widths; k++) {
			const size_t w = widths[k / 5], kernel = k % 5 < 2 ? 1 : 3, padding = k % 5 == 2 ? 0 : kernel / 2;
			struct problem p = {.n = 2, .images = 1, .in = k % 5 == 4 ? 9 : 11, .out = k % 5 == 4 ? 100 : 10,
					    .conv = {.dims = 2, .kernel = {kernel, kernel}, .stride = {1, k % 5 == 1 ? 2 : 1},
						     .padding = {padding, padding}, .dilation = {1, 1}, .groups = 1}};
			p.x_size[0] = 5, p.x_size[1] = w + 2;
			for (int d = 0; d < 2; d++)
				p.y_size[d] = (p.x_size[d] + 2 * padding - kernel) / p.conv.stride[d] + 1;
			make(&p, k % 2 ? AT_PAGE_END : PLAIN, GNS_F32, 0.25);
			check(layers, &p, "edge", (int)k);
			drop(&p.x), drop(&p.y);
		}
		gns_layers_free(layers);
	}
}

/* Expanded operands: the strides of some dimensions are 0. */
Test(layers_conv, expanded_operands)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (unsigned d = 0; d < 4; d++) {
		struct problem p = {.n = 2, .images = 1, .in = 10, .out = 12, .x_size = {9, 8}, .y_size = {9, 8},
				    .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1}};
		make(&p, PLAIN, GNS_F32, 0.25);
		p.y.t.stride[d] = 0;
		p.x.t.stride[3 - d] = 0;
		check(layers, &p, "expanded", (int)d);
		drop(&p.x), drop(&p.y);
	}
	gns_layers_free(layers);
}

/* Over many seeds: the mean is exact, the variance within 2/s |R R^T|^2, and what the channels' means add costs no noise. */
Test(layers_conv, mean_and_variance)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (int k = 0; k < 6; k++) {
		const size_t in = k % 2 ? 3 : 12, out = k % 2 ? 60 : 20;
		const double offset = k / 2; /* of x: 0, 1, 2; its spread is 0.6 */
		struct problem p = {.n = 3, .images = 1, .in = in, .out = out, .x_size = {10, 9}, .y_size = {10, 9},
				    .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1}};
		double mean = 0, squares = 0;
		const int trials = 4000;
		srand((unsigned)k + 1);
		make(&p, PLAIN, GNS_F32, offset);
		struct gns_samples s = {.n = 3, .probes = 8, .stream = 2};
		const struct estimate e = estimate_all(&p, &s);
		for (int i = 0; i < trials; i++) {
			s.seed = (uint64_t)i;
			cr_assert_eq(run(layers, &s, &p), 0);
			mean += s.sum / trials;
			squares += s.sum * s.sum / trials;
		}
		const double variance = squares - mean * mean;
		cr_expect_leq(fabs(mean - e.exact), 3 * sqrt(variance / trials), "case %d: mean %.9g, exact %.9g", k, mean, e.exact);
		cr_expect_leq(variance, 1.1 * 2 / 8 * e.spread2, "case %d: variance %.4g, bound %.4g", k, variance, e.spread2 / 4);
		cr_expect_gt(variance, 0.3 * 2 / 8 * e.spread2, "case %d: variance %.4g, bound %.4g", k, variance, e.spread2 / 4);
		drop(&p.x), drop(&p.y);
	}
	gns_layers_free(layers);
}

/* Two uses with common signs: the mean is that of the sum of both gradients, groups and all. */
Test(layers_conv, uses_add_up)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct problem p[2];
	double truth = 0, mean = 0, squares = 0, *a[2];
	const size_t cols = 5 * 6, out = 9;
	const int trials = 3000;

	for (int k = 0; k < 2; k++) {
		p[k] = (struct problem){.n = 2, .images = 1, .in = 10, .out = 18, .x_size = {7, 8 + (size_t)k}, .y_size = {6, 7 + (size_t)k},
					.conv = {.dims = 2, .kernel = {2, 3}, .stride = {1, 1}, .padding = {0, k ? 1 : 0}, .dilation = {1, 1}, .groups = 2}};
		p[k].y_size[1] = p[k].x_size[1] + 2 * p[k].conv.padding[1] - 2;
		make(&p[k], PLAIN, GNS_F32, 0.5);
		a[k] = calloc(cols * out, sizeof(double));
	}
	for (size_t i = 0; i < 2; i++)
		for (size_t g = 0; g < 2; g++) {
			write_out(&p[0], i, g, a[0]);
			write_out(&p[1], i, g, a[1]);
			for (size_t j = 0; j < cols * out; j++)
				truth += pow(a[0][j] + a[1][j], 2);
		}
	for (int i = 0; i < trials; i++) {
		struct gns_samples s = {.n = 2, .uses = gns_shared_init(2, 18, cols, 8, (uint64_t)i, 1)};
		cr_assert_eq(run(layers, &s, &p[0]), 0);
		cr_assert_eq(run(layers, &s, &p[1]), 0);
		const double sum = gns_shared_sum(s.uses);
		mean += sum / trials;
		squares += sum * sum / trials;
		gns_shared_free(s.uses);
	}
	const double error = sqrt((squares - mean * mean) / trials);
	cr_expect_leq(fabs(mean - truth), 3 * error, "%.9g, truth %.9g, SE %.3g", mean, truth, error);
	cr_expect_lt(error * sqrt(trials), 0.2 * truth);
	for (int k = 0; k < 2; k++)
		drop(&p[k].x), drop(&p[k].y), free(a[k]);
	gns_layers_free(layers);
}

Test(layers_conv, refuses_what_disagrees)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct problem p = {.n = 2, .images = 1, .in = 6, .out = 8, .x_size = {9, 8}, .y_size = {7, 6},
			    .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .groups = 1}};
	make(&p, PLAIN, GNS_F32, 0);
	const struct gns_samples good = {.n = 2, .probes = 8};
	for (int k = 0; k < 13; k++) {
		struct problem q = p;
		struct gns_samples s = good;
		switch (k) {
		case 0: q.conv.groups = 0; break;
		case 1: q.conv.groups = 4; break;
		case 2: q.conv.kernel[1] = 2; break;
		case 3: q.conv.kernel[1] = 0; break;
		case 4: q.conv.kernel[0] = 30; break;
		case 5: q.conv.stride[0] = 0; break;
		case 6: q.conv.dilation[0] = SIZE_MAX / 2; break;
		case 7: q.conv.padding[0] = SIZE_MAX / 2 + 2; break;
		case 8: q.conv.dims = 1; break;
		case 9: q.conv.dims = 4; break;
		case 10: s.n = 4; break;
		case 11: s.axis = 1; break;
		case 12: q.y.t.size[0] = 1; break;
		}
		cr_expect_eq(run(layers, &s, &q), -EINVAL, "case %d", k);
	}
	struct gns_samples s = good;
	cr_expect_eq(gns_layer_conv(layers, &s, &p.x.t, &p.y.t, NULL), -EINVAL);
	s.uses = gns_shared_init(2, 8, 53, 8, 1, 1);
	cr_expect_eq(run(layers, &s, &p), -EINVAL);
	gns_shared_free(s.uses);
	drop(&p.x), drop(&p.y);
	gns_layers_free(layers);
}

Test(layers_conv, inf_and_nan_are_not_hidden)
{
	static const double bad[] = {INFINITY, -INFINITY, NAN};
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	for (int k = 0; k < 12; k++) {
		struct problem p = {.n = 2, .images = 1, .in = k / 6 ? 12 : 2, .out = 16, .x_size = {9, 8}, .y_size = {9, 8},
				    .conv = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1}};
		make(&p, PLAIN, GNS_F32, 0.5);
		struct held_tensor *h = k / 3 % 2 ? &p.x : &p.y;
		store(GNS_F32, place(&h->t, (size_t[]){1, 1, 8, 7}), bad[k % 3]);
		struct gns_samples s = {.n = 2, .probes = 8};
		cr_assert_eq(run(layers, &s, &p), 0);
		cr_expect_not(isfinite(s.sum), "case %d: %g", k, s.sum);
		store(GNS_F32, place(&h->t, (size_t[]){1, 1, 8, 7}), 1); /* and leaves nothing behind in the scratch */
		cr_assert_eq(run(layers, &s, &p), 0);
		cr_expect(isfinite(s.sum));
		drop(&p.x), drop(&p.y);
	}
	gns_layers_free(layers);
}
