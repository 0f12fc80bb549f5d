/* The roles of products under an allocator that reuses addresses as badly as can be: all matrices have one size, every buffer
 * comes from one small pool at random, so that an attention operand stands where a weight's partner stood a moment ago. The truth is
 * known because the test itself is the trainer. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/shim/weights/product_roles.h"

#define D 16
#define POOL 400
#define BLOCKS 3
#define HEADS 2
#define PER_BLOCK 5 /* q k v o f */

typedef float matrix[D * D];

static struct sim {
	matrix pool[POOL], weight[BLOCKS * PER_BLOCK];
	int taken[POOL];
	uint64_t random;
	struct gns_roles roles;
	int step, from; /* verdicts are judged from this step on */
	int wrong, missed, gradients, boundaries;
	int copies, wgrad_first, micro_steps;
	float drift;
} *sim;

static uint64_t draw(void)
{
	sim->random ^= sim->random << 13;
	sim->random ^= sim->random >> 7;
	sim->random ^= sim->random << 17;
	return sim->random;
}

static void fill(float *m)
{
	for (int i = 0; i < D * D; i++)
		m[i] = (float)(draw() >> 40) / 16777216.0f - 0.5f;
}

static float *take(void)
{
	for (;;) {
		int i = (int)(draw() % POOL);
		if (!sim->taken[i]) {
			sim->taken[i] = 1;
			return sim->pool[i];
		}
	}
}

static void give(float *m)
{
	sim->taken[(matrix *)m - sim->pool] = 0;
}

static float *copy_of(const float *m)
{
	float *c = take();
	memcpy(c, m, sizeof(matrix));
	return c;
}

static struct gns_operand operand(const float *m, bool sum_fast)
{
	return (struct gns_operand){ .data = m, .free_n = D, .sum_n = D, .ld = D, .sum_fast = sum_fast };
}

/* C = op(L) op(R), row-major; `truth`: the weight whose gradient it is, or NULL. */
static float *multiply(const float *l, bool tl, const float *r, bool tr, const float *truth)
{
	struct gns_verdict v;
	float *c = take();
	struct gns_product p = { .dtype = GNS_F32, .m = D, .n = D, .k = D, .left = operand(l, !tl), .right = operand(r, tr), .c = c,
				 .c_row_stride = D, .c_col_stride = 1, .alpha = 1 };
	gns_roles_see(&sim->roles, &p, &v);
	sim->boundaries += v.boundary;
	for (unsigned i = 0; i < v.n; i++)
		cr_assert(sim->roles.weights[v.weight[i]].id, "step %d: a verdict names what is no weight", sim->step);
	if (sim->step >= sim->from) {
		sim->gradients += v.role == GNS_ROLE_WGRAD;
		if (truth && v.role != GNS_ROLE_WGRAD)
			sim->missed++;
		if (!truth && v.role == GNS_ROLE_WGRAD)
			sim->wrong++;
		bool listed = false;
		for (unsigned i = 0; v.role == GNS_ROLE_WGRAD && i < v.n; i++)
			listed |= sim->roles.weights[v.weight[i]].key.data == truth;
		if (truth && v.role == GNS_ROLE_WGRAD && !listed)
			sim->wrong++;
	}
	fill(c);
	return c;
}

struct layer { float *x; const float *w; };

static float *linear(struct layer *l, float *x, const float *w)
{
	*l = (struct layer){ x, w };
	return multiply(x, false, w, true, NULL);
}

/* Consumes dy; returns dx. */
static float *linear_back(struct layer *l, float *dy)
{
	float *dw = NULL, *dx;
	if (sim->wgrad_first)
		dw = multiply(dy, true, l->x, false, l->w);
	dx = multiply(dy, false, l->w, false, NULL);
	if (!dw)
		dw = multiply(dy, true, l->x, false, l->w);
	give(dw);
	give(dy);
	return dx;
}

struct block {
	struct layer q, k, v, o, f;
	float *qh[HEADS], *kh[HEADS], *vh[HEADS], *p[HEADS];
};

static float *block_forward(struct block *b, float *x, matrix *w)
{
	float *q = linear(&b->q, x, w[0]), *k = linear(&b->k, x, w[1]), *v = linear(&b->v, x, w[2]), *o = take();
	for (int h = 0; h < HEADS; h++) {
		b->qh[h] = sim->copies ? copy_of(q) : q;
		b->kh[h] = sim->copies ? copy_of(k) : k;
		b->vh[h] = sim->copies ? copy_of(v) : v;
		float *s = multiply(b->qh[h], false, b->kh[h], true, NULL);
		b->p[h] = take();
		fill(b->p[h]);
		give(s);
		give(multiply(b->p[h], false, b->vh[h], false, NULL));
	}
	if (sim->copies) {
		give(q);
		give(k);
		give(v);
	}
	fill(o);
	float *y = linear(&b->o, o, w[3]), *a = take();
	fill(a);
	give(y);
	return linear(&b->f, a, w[4]);
}

static float *block_back(struct block *b, float *dy)
{
	float *da = linear_back(&b->f, dy), *grad = take();
	give(b->f.x);
	give(da);
	fill(grad);
	float *d_o = linear_back(&b->o, grad);
	give(b->o.x);
	for (int h = 0; h < HEADS; h++) {
		float *doh = copy_of(d_o), *dp = multiply(doh, false, b->vh[h], true, NULL);
		give(multiply(b->p[h], true, doh, false, NULL));
		give(doh);
		float *ds = take();
		fill(ds);
		give(dp);
		give(multiply(ds, false, b->kh[h], false, NULL));
		give(multiply(ds, true, b->qh[h], false, NULL));
		give(ds);
		give(b->p[h]);
		if (sim->copies || h == HEADS - 1) {
			give(b->qh[h]);
			give(b->kh[h]);
			give(b->vh[h]);
		}
	}
	give(d_o);
	struct layer *in[3] = { &b->v, &b->k, &b->q };
	float *dx = NULL;
	for (int i = 0; i < 3; i++) {
		float *g = take();
		fill(g);
		if (dx)
			give(dx);
		dx = linear_back(in[i], g);
	}
	return dx;
}

static void one_pass(void)
{
	struct block block[BLOCKS];
	float *x = take(), *inputs[BLOCKS];
	fill(x);
	for (int b = 0; b < BLOCKS; b++) {
		inputs[b] = x;
		float *y = block_forward(&block[b], x, &sim->weight[b * PER_BLOCK]);
		x = take(); /* norm and residual */
		fill(x);
		give(y);
	}
	float *dy = take();
	fill(dy);
	give(x);
	for (int b = BLOCKS; b-- > 0;) {
		float *dx = block_back(&block[b], dy);
		dy = take();
		fill(dy);
		give(dx);
		give(inputs[b]);
	}
	give(dy);
}

static void update(float drift)
{
	for (int i = 0; i < BLOCKS * PER_BLOCK; i++)
		for (int j = 0; j < D * D; j++)
			sim->weight[i][j] += drift * ((float)(draw() >> 40) / 16777216.0f - 0.5f);
}

static void train(uint64_t seed, int copies, int wgrad_first, int micro_steps, float drift, int steps)
{
	sim = calloc(1, sizeof *sim);
	*sim = (struct sim){ .random = seed * 0x9e3779b97f4a7c15ull | 1, .copies = copies, .wgrad_first = wgrad_first,
			     .micro_steps = micro_steps, .drift = drift, .from = 8 };
	cr_assert(gns_roles_init(&sim->roles));
	for (int i = 0; i < BLOCKS * PER_BLOCK; i++)
		fill(sim->weight[i]);
	for (sim->step = 1; sim->step <= steps; sim->step++) {
		for (int m = 0; m < micro_steps; m++)
			one_pass();
		update(drift);
	}
	int expected = (steps - sim->from + 1) * micro_steps * BLOCKS * PER_BLOCK;
	cr_expect(sim->wrong == 0 && sim->missed == 0 && sim->gradients == expected,
		  "seed %d copies %d wgrad_first %d micro %d: %d wrong, %d missed, %d gradients of %d, %u weights", (int)seed, copies,
		  wgrad_first, micro_steps, sim->wrong, sim->missed, sim->gradients, expected, sim->roles.n_weights);
	cr_expect(sim->boundaries >= steps - 7 && sim->boundaries < steps, "seed %d: %d boundaries in %d steps", (int)seed, sim->boundaries,
		  steps);
	gns_roles_free(&sim->roles);
	free(sim);
}

Test(product_roles, address_reuse)
{
	for (uint64_t seed = 1; seed <= 100; seed++)
		for (int way = 0; way < 4; way++)
			train(seed, way & 1, way >> 1, 1, 1e-3f, 16);
}

Test(product_roles, address_reuse_with_micro_steps)
{
	for (uint64_t seed = 1; seed <= 30; seed++)
		for (int way = 0; way < 4; way++)
			train(seed, way & 1, way >> 1, 3, 1e-3f, 14);
}

/* Many passes without a step: the weights are given up in the middle of one, and the product at hand belongs to none. */
Test(product_roles, weights_that_stand_still_are_given_up)
{
	sim = calloc(1, sizeof *sim);
	*sim = (struct sim){ .random = 77, .from = 1000 };
	cr_assert(gns_roles_init(&sim->roles));
	for (int i = 0; i < BLOCKS * PER_BLOCK; i++)
		fill(sim->weight[i]);
	for (sim->step = 1; sim->step <= 12; sim->step++, update(1e-3f))
		one_pass();
	cr_assert_eq(sim->roles.n_weights, BLOCKS * PER_BLOCK);
	for (int pass = 0; pass < 20 && sim->roles.n_weights; pass++)
		one_pass();
	cr_assert_eq(sim->roles.n_weights, 0);
	gns_roles_free(&sim->roles);
	free(sim);
}

/* No threshold: weights that change by the last bit, and weights that change more than they are. */
Test(product_roles, tiny_and_huge_updates)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		train(seed, 1, 0, 1, 1e-6f, 16);
		train(seed, 1, 0, 1, 10.0f, 16);
	}
}
