/* A measurement dealt to several calls, each for some of the samples, against one call for all: what the latter gives is proven elsewhere. */
#include <errno.h>

#include "test_layers.h"

#define N 5
#define D 19
#define E 23

struct operands {
	struct held_tensor x, y, third, fourth;
	unsigned axis;
};

typedef int measure(struct gns_layers *layers, struct gns_samples *s, struct gns_samples *b, const struct operands *o);

static int linear(struct gns_layers *layers, struct gns_samples *s, struct gns_samples *b, const struct operands *o)
{
	return gns_layer_linear_bias(layers, s, b, &o->x.t, &o->y.t);
}

static int linear_alone(struct gns_layers *layers, struct gns_samples *s, struct gns_samples *b, const struct operands *o)
{
	b->sum = 0;
	return gns_layer_linear(layers, s, &o->x.t, &o->y.t);
}

static int conv(struct gns_layers *layers, struct gns_samples *s, struct gns_samples *b, const struct operands *o)
{
	const struct gns_conv c = {.dims = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1};
	return gns_layer_conv_bias(layers, s, b, &o->x.t, &o->y.t, &c);
}

static int embedding(struct gns_layers *layers, struct gns_samples *s, struct gns_samples *b, const struct operands *o)
{
	b->sum = 0;
	return gns_layer_embedding(layers, s, &o->x.t, &o->y.t, -1);
}

static int norm(struct gns_layers *layers, struct gns_samples *s, struct gns_samples *b, const struct operands *o)
{
	return gns_layer_norm(layers, s, b, &o->x.t, &o->third.t, &o->fourth.t, &o->y.t);
}

/* The whole of it, then by parts that begin at each multiple of `size`. */
static void check(const char *name, measure *call, const struct operands *o)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct gns_samples whole = {.n = N, .axis = o->axis, .probes = 8, .seed = 3, .stream = 4}, bias = whole;
	cr_assert_eq(WITH_ROOM(layers, call(layers, &whole, &bias, o)), 0);
	for (size_t size = 1; size <= N; size++) {
		double sum = 0, bias_sum = 0;
		for (size_t first = 0; first < N; first += size) {
			struct gns_samples s = whole, b = bias;
			s.first = b.first = first;
			s.count = b.count = N - first < size ? N - first : size;
			s.sum = b.sum = NAN;
			cr_assert_eq(WITH_ROOM(layers, call(layers, &s, &b, o)), 0);
			sum += s.sum, bias_sum += b.sum;
		}
		cr_assert(whole.sum > 0 && near(sum, whole.sum, 1e-12), "%s by %zu: %.17g, whole %.17g", name, size, sum, whole.sum);
		cr_assert(near(bias_sum, bias.sum, 1e-12), "%s by %zu: bias %.17g, whole %.17g", name, size, bias_sum, bias.sum);
	}
	gns_layers_free(layers);
}

Test(parts, are_the_whole_in_every_order_and_layer)
{
	for (enum order order = 0; order < ORDERS; order++) {
		for (int k = 0; k < 6; k++) {
			const size_t t = k < 2 ? 1 : k < 4 ? 7 : 100;
			struct operands o = {.axis = k & 1};
			const size_t lead = o.axis ? t : N, second = o.axis ? N : t;
			o.x = hold_tensor(order, GNS_F32, 3, (size_t[]){lead, second, D}, 0.5);
			o.y = hold_tensor(order, GNS_F32, 3, (size_t[]){lead, second, E}, 0);
			check("linear", linear, &o);
			check("linear without bias", linear_alone, &o);
			drop(&o.x), drop(&o.y);
			o.x = hold_tensor(PLAIN, GNS_I64, 2, (size_t[]){lead, second}, 11);
			o.y = hold_tensor(order, GNS_F32, 3, (size_t[]){lead, second, E}, 0);
			check("embedding", embedding, &o);
			drop(&o.x), drop(&o.y);
		}
		struct operands o = {0};
		o.x = hold_tensor(order, GNS_F32, 4, (size_t[]){N, 11, 6, 5}, 0.5);
		o.y = hold_tensor(order, GNS_F32, 4, (size_t[]){N, 12, 6, 5}, 0);
		check("conv", conv, &o);
		drop(&o.x), drop(&o.y);
		o.x = hold_tensor(order, GNS_F32, 3, (size_t[]){N, 7, D}, 0.5);
		o.y = hold_tensor(order, GNS_F32, 3, (size_t[]){N, 7, D}, 0);
		o.third = hold_tensor(PLAIN, GNS_F32, 2, (size_t[]){N, 7}, 0.5);
		o.fourth = hold_tensor(PLAIN, GNS_F32, 2, (size_t[]){N, 7}, 1);
		check("norm", norm, &o);
		drop(&o.x), drop(&o.y), drop(&o.third), drop(&o.fourth);
	}
}

Test(parts, outside_of_the_samples_are_refused)
{
	struct gns_layers *layers = gns_layers_init(gns_sketch_best_isa());
	struct held_tensor x = hold_tensor(PLAIN, GNS_F32, 2, (size_t[]){N, D}, 0), y = hold_tensor(PLAIN, GNS_F32, 2, (size_t[]){N, E}, 0);
	const size_t wrong[][2] = {{N, 1}, {0, N + 1}, {2, N - 1}, {SIZE_MAX, 2}, {1, SIZE_MAX}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct gns_samples s = {.n = N, .probes = 8, .first = wrong[i][0], .count = wrong[i][1]};
		cr_expect_eq(gns_layer_linear(layers, &s, &x.t, &y.t), -EINVAL, "%zu, %zu", wrong[i][0], wrong[i][1]);
	}
	drop(&x), drop(&y);
	gns_layers_free(layers);
}
