/* Weights found in a log of products: a small network is really trained here (first layer, attention, gated or plain feed-forward, head;
 * mean squared error), under an allocator that gives the same addresses in every pass, and its products are logged with what their
 * operands held. The truth is known because the test itself is the trainer. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/shim/weights/find_in_log.h"

#define IN 12
#define D 16
#define FF 24
#define OUT 8
#define SEQ 8
#define ARENA (1 << 20)
#define BLOCK_MAX 4096
#define WEIGHTS_MAX 16

struct setup { /* what is 0: one micro-step, 4 sequences, one head, Adam */
	const char *name;
	bool attention, copies, gated, feed_forward, full_batch, bf16, adam, shared, head_only, column_major, recompute, kept, small, gradient_first;
	int heads, micro_steps, sequences;
	float lr;
	unsigned frozen; /* bit of a weight */
	float k_bias;
	int cycle; /* batches that come again and again; 0: all fresh */
};

struct mat {
	float *p;
	int r, c;
};

static struct sim {
	struct setup set;
	uint64_t random;
	float arena[ARENA];
	size_t used;
	float *free_list[BLOCK_MAX][16];
	int n_free[BLOCK_MAX];
	struct mat weight[WEIGHTS_MAX], grad[WEIGHTS_MAX];
	double m1[WEIGHTS_MAX][FF * FF], m2[WEIGHTS_MAX][FF * FF];
	int n_weights, uses[WEIGHTS_MAX];
	int step;
	uint32_t n, began[64]; /* log; its length where each step began */
	struct gns_logged *log;
	signed char *truth, now; /* whose gradient a product is, -1 nobody's */
	struct gns_find_in_log learn;
} *sim;

static uint64_t draw(void)
{
	sim->random ^= sim->random << 13;
	sim->random ^= sim->random >> 7;
	sim->random ^= sim->random << 17;
	return sim->random;
}

static float normal(void)
{
	double s = 0;
	for (int i = 0; i < 12; i++)
		s += (double)(draw() >> 11) / 9007199254740992.0;
	return (float)(s - 6);
}

static struct mat take(int r, int c)
{
	int size = r * c;
	float *p = sim->n_free[size] ? sim->free_list[size][--sim->n_free[size]] : NULL;
	if (!p) {
		p = sim->arena + sim->used;
		sim->used += (size_t)(size + 15) / 16 * 16;
		cr_assert(sim->used <= ARENA && size < BLOCK_MAX);
	}
	return (struct mat){ p, r, c };
}

static void give(struct mat m)
{
	if (sim->n_free[m.r * m.c] < 16)
		sim->free_list[m.r * m.c][sim->n_free[m.r * m.c]++] = m.p;
}

static struct mat random_mat(int r, int c, float scale)
{
	struct mat m = take(r, c);
	for (int i = 0; i < r * c; i++)
		m.p[i] = scale * normal();
	return m;
}

static uint16_t to_bf16(float f)
{
	uint32_t b;
	memcpy(&b, &f, 4);
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

static void print_of(const struct gns_operand *o, uint32_t dtype, struct gns_fingerprint *out)
{
	static uint16_t half[BLOCK_MAX];
	struct gns_key key = gns_operand_key(o, dtype);
	if (dtype == GNS_BF16) {
		for (size_t i = 0; i < (key.slow_n - 1) * (size_t)key.ld + key.fast_n; i++)
			half[i] = to_bf16(((const float *)o->data)[i]);
		key.data = half;
	}
	gns_fingerprint_take(&key, out);
}

static struct gns_operand operand(struct mat m, bool summed_by_column)
{
	return (struct gns_operand){ .data = m.p, .free_n = (size_t)(summed_by_column ? m.r : m.c), .sum_n = (size_t)(summed_by_column ? m.c : m.r),
				     .ld = m.c, .sum_fast = summed_by_column };
}

/* What the matrices are in memory is theirs; a column-major trainer's are the same with fast and slow exchanged. */
static void flip(struct gns_operand *o)
{
	o->sum_fast = !o->sum_fast;
	o->ld = o->sum_fast ? (ptrdiff_t)o->sum_n : (ptrdiff_t)o->free_n;
}

static void note(struct mat a, bool ta, struct mat b, bool tb, struct mat c)
{
	struct gns_logged *e = &sim->log[sim->n];
	sim->truth[sim->n++] = sim->now;
	uint32_t dtype = sim->set.bf16 ? GNS_BF16 : GNS_F32;
	cr_assert(sim->n < GNS_LOG_MAX);
	*e = (struct gns_logged){ .product = { .dtype = dtype, .left = operand(a, !ta), .right = operand(b, tb), .c = c.p, .c_row_stride = c.c,
					       .c_col_stride = 1, .alpha = 1 } };
	e->product.m = e->product.left.free_n;
	e->product.n = e->product.right.free_n;
	e->product.k = e->product.left.sum_n;
	if (sim->set.column_major) {
		flip(&e->product.left);
		flip(&e->product.right);
	}
	print_of(&e->product.left, dtype, &e->print[0]);
	print_of(&e->product.right, dtype, &e->print[1]);
}

static struct mat multiply(struct mat a, bool ta, struct mat b, bool tb)
{
	int m = ta ? a.c : a.r, n = tb ? b.r : b.c, k = ta ? a.r : a.c;
	struct mat c = take(m, n);
	note(a, ta, b, tb, c);
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++) {
			double s = 0;
			for (int l = 0; l < k; l++)
				s += (double)(ta ? a.p[l * a.c + i] : a.p[i * a.c + l]) * (double)(tb ? b.p[j * b.c + l] : b.p[l * b.c + j]);
			c.p[i * n + j] = (float)s;
		}
	return c;
}

static struct mat copy_of(struct mat a)
{
	struct mat c = take(a.r, a.c);
	memcpy(c.p, a.p, (size_t)(a.r * a.c) * sizeof(float));
	return c;
}

static void add_to(struct mat a, struct mat b)
{
	for (int i = 0; i < a.r * a.c; i++)
		a.p[i] += b.p[i];
}

static int new_weight(int r, int c)
{
	sim->weight[sim->n_weights] = random_mat(r, c, 1 / sqrtf((float)c));
	sim->grad[sim->n_weights] = take(r, c);
	return sim->n_weights++;
}

static struct mat linear(struct mat x, int w)
{
	return multiply(x, false, sim->weight[w], true);
}

static void weight_gradient(struct mat x, int w, struct mat dy)
{
	if (sim->set.frozen >> w & 1)
		return;
	sim->now = (signed char)w;
	struct mat dw = multiply(dy, true, x, false);
	sim->now = -1;
	add_to(sim->grad[w], dw);
	give(dw);
}

/* Returns dx, or nothing for a first layer. */
static struct mat linear_back(struct mat x, int w, struct mat dy, bool first)
{
	struct mat dx = { 0 };
	if (sim->set.gradient_first)
		weight_gradient(x, w, dy);
	if (!first)
		dx = multiply(dy, false, sim->weight[w], false);
	if (!sim->set.gradient_first)
		weight_gradient(x, w, dy);
	return dx;
}

static void relu(struct mat a)
{
	for (int i = 0; i < a.r * a.c; i++)
		a.p[i] = a.p[i] > 0 ? a.p[i] : 0;
}

static void relu_back(struct mat dy, struct mat y)
{
	for (int i = 0; i < y.r * y.c; i++)
		if (y.p[i] <= 0)
			dy.p[i] = 0;
}

/* A head of a sequence: what it reads, as a view of the layer's matrix or as a copy. */
struct head {
	struct mat q, k, v, p;
};

static struct mat part(struct mat a, int s, int h, int heads, int kept)
{
	static float own[3][SEQ * D]; /* buffers that nothing else stands in */
	struct mat c = sim->set.kept && kept ? (struct mat){ own[kept - 1], SEQ, D } : take(SEQ, D / heads);
	for (int t = 0; t < SEQ; t++)
		memcpy(c.p + t * c.c, a.p + (s * SEQ + t) * D + h * c.c, (size_t)c.c * sizeof(float));
	return c;
}

static void put(struct mat a, struct mat c, int s, int h)
{
	for (int t = 0; t < SEQ; t++)
		memcpy(a.p + (s * SEQ + t) * D + h * c.c, c.p + t * c.c, (size_t)c.c * sizeof(float));
}

/* One sequence and one head, no copies: the matrices themselves. */
static bool plain(void)
{
	return !sim->set.copies && sim->set.heads == 1 && sim->set.sequences == 1;
}

static void softmax(struct mat s)
{
	for (int i = 0; i < s.r; i++) {
		float sum = 0, most = s.p[i * s.c];
		for (int j = 1; j < s.c; j++)
			most = fmaxf(most, s.p[i * s.c + j]);
		for (int j = 0; j < s.c; j++)
			sum += s.p[i * s.c + j] = expf((s.p[i * s.c + j] - most) / sqrtf(D));
		for (int j = 0; j < s.c; j++)
			s.p[i * s.c + j] /= sum;
	}
}

static struct mat attend(struct head *h, struct mat q, struct mat k, struct mat v)
{
	struct mat y = take(q.r, D);
	for (int s = 0; s < sim->set.sequences; s++)
		for (int i = 0; i < sim->set.heads; i++, h++) {
			*h = plain() ? (struct head){ q, k, v, { 0 } } :
				       (struct head){ part(q, s, i, sim->set.heads, 1), part(k, s, i, sim->set.heads, 2), part(v, s, i, sim->set.heads, 3), { 0 } };
			h->p = multiply(h->q, false, h->k, true);
			softmax(h->p);
			struct mat o = multiply(h->p, false, h->v, false);
			put(y, o, s, i);
			give(o);
		}
	return y;
}

static void attend_back(struct head *h, struct mat dy, struct mat *dq, struct mat *dk, struct mat *dv)
{
	*dq = take(dy.r, D);
	*dk = take(dy.r, D);
	*dv = take(dy.r, D);
	for (int s = 0; s < sim->set.sequences; s++)
		for (int i = 0; i < sim->set.heads; i++, h++) {
			struct mat d = part(dy, s, i, sim->set.heads, 0), ds = multiply(d, false, h->v, true), g = multiply(h->p, true, d, false);
			put(*dv, g, s, i);
			give(g);
			for (int a = 0; a < SEQ; a++) {
				float dot = 0;
				for (int b = 0; b < SEQ; b++)
					dot += ds.p[a * SEQ + b] * h->p.p[a * SEQ + b];
				for (int b = 0; b < SEQ; b++)
					ds.p[a * SEQ + b] = h->p.p[a * SEQ + b] * (ds.p[a * SEQ + b] - dot) / sqrtf(D);
			}
			g = multiply(ds, false, h->k, false);
			put(*dq, g, s, i);
			give(g);
			g = multiply(ds, true, h->q, false);
			put(*dk, g, s, i);
			give(g);
			give(ds);
			give(d);
			give(h->p);
			if (!plain() && !sim->set.kept) {
				give(h->q);
				give(h->k);
				give(h->v);
			}
		}
}

static void make_weights(void)
{
	const struct setup *s = &sim->set;
	if (s->head_only) {
		new_weight(OUT, IN);
		return;
	}
	new_weight(D, IN);
	for (int i = 0; i < 4; i++)
		if (s->attention)
			new_weight(D, D);
	if (s->feed_forward) {
		new_weight(FF, D);
		if (s->gated)
			new_weight(FF, D);
		new_weight(D, FF);
	}
	if (s->shared)
		new_weight(D, D);
	new_weight(OUT, D);
}

static void fill_batch(struct mat x, struct mat y, uint64_t seed)
{
	uint64_t keep = sim->random;
	if (seed)
		sim->random = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < x.r; i++) {
		for (int j = 0; j < IN; j++)
			x.p[i * IN + j] = normal();
		for (int j = 0; j < OUT; j++)
			y.p[i * OUT + j] = sinf(x.p[i * IN + j % IN] * 2) + x.p[i * IN + (j + 3) % IN] + normal();
	}
	if (seed)
		sim->random = keep;
}

static struct mat feed_forward(struct mat x, int w, struct mat *u, struct mat *g)
{
	*u = linear(x, w);
	relu(*u);
	struct mat a = *u;
	if (sim->set.gated) {
		*g = linear(x, w + 1);
		a = copy_of(*u);
		for (int i = 0; i < a.r * a.c; i++)
			a.p[i] *= g->p[i];
	}
	struct mat y = linear(a, w + 1 + sim->set.gated);
	if (sim->set.gated)
		give(a);
	return y;
}

static struct mat feed_forward_back(struct mat x, int w, struct mat u, struct mat g, struct mat dy)
{
	struct mat a = u;
	if (sim->set.gated) {
		a = copy_of(u);
		for (int i = 0; i < a.r * a.c; i++)
			a.p[i] *= g.p[i];
		if (sim->set.recompute) /* the activation, and the product once more */
			give(linear(a, w + 2));
	}
	struct mat da = linear_back(a, w + 1 + sim->set.gated, dy, false), dx;
	if (!sim->set.gated) {
		relu_back(da, u);
		dx = linear_back(x, w, da, false);
	} else {
		struct mat dg = copy_of(da);
		for (int i = 0; i < a.r * a.c; i++) {
			dg.p[i] = da.p[i] * u.p[i];
			da.p[i] *= g.p[i];
		}
		relu_back(da, u);
		dx = linear_back(x, w, da, false);
		struct mat dx2 = linear_back(x, w + 1, dg, false);
		add_to(dx, dx2);
		give(dx2);
		give(dg);
		give(a);
		give(g);
	}
	give(da);
	give(u);
	return dx;
}

static struct mat loss_gradient(struct mat out, struct mat y)
{
	struct mat d = take(out.r, out.c);
	for (int i = 0; i < d.r * d.c; i++)
		d.p[i] = (out.p[i] - y.p[i]) / (float)(d.r * sim->set.micro_steps);
	return d;
}

static void one_pass(uint64_t seed)
{
	const struct setup *s = &sim->set;
	int rows = s->sequences * SEQ, w = 0;
	struct mat x = take(rows, IN), y = take(rows, OUT), q = { 0 }, k = { 0 }, v = { 0 }, o = { 0 }, a, u = { 0 }, g = { 0 }, r1 = { 0 };
	struct head heads[64];
	fill_batch(x, y, seed);
	if (s->head_only) {
		struct mat out = linear(x, 0), d = loss_gradient(out, y);
		linear_back(x, 0, d, true);
		give(out);
		give(d);
		give(x);
		give(y);
		return;
	}
	struct mat h0 = linear(x, w++), h1 = h0, h2, h3;
	if (s->attention) {
		q = linear(h0, w);
		k = linear(h0, w + 1);
		v = linear(h0, w + 2);
		for (int i = 0; s->k_bias != 0 && i < k.r * k.c; i++)
			k.p[i] += s->k_bias * (float)(1 + i % 3);
		o = attend(heads, q, k, v);
		a = linear(o, w + 3);
		h1 = copy_of(h0);
		add_to(h1, a);
		give(a);
		w += 4;
	}
	h2 = h1;
	if (s->feed_forward) {
		struct mat f = feed_forward(h1, w, &u, &g);
		h2 = copy_of(h1);
		add_to(h2, f);
		give(f);
		w += 2 + s->gated;
	}
	h3 = h2;
	if (s->shared) { /* one weight twice */
		r1 = linear(h2, w);
		relu(r1);
		h3 = linear(r1, w);
		w++;
	}
	struct mat out = linear(h3, w), d = loss_gradient(out, y), dh = linear_back(h3, w, d, false);
	give(out);
	give(d);
	if (s->shared) {
		w--;
		struct mat d1 = linear_back(r1, w, dh, false);
		give(dh);
		relu_back(d1, r1);
		dh = linear_back(h2, w, d1, false);
		give(d1);
		give(h3);
		give(r1);
	}
	if (s->feed_forward) {
		w -= 2 + s->gated;
		struct mat d1 = feed_forward_back(h1, w, u, g, dh);
		add_to(dh, d1);
		give(d1);
		give(h2);
	}
	if (s->attention) {
		struct mat dq, dk, dv, list[3];
		w -= 4;
		struct mat d_o = linear_back(o, w + 3, dh, false);
		give(o);
		attend_back(heads, d_o, &dq, &dk, &dv);
		give(d_o);
		struct mat dy[3] = { dq, dk, dv };
		for (int i = 0; i < 3; i++)
			if (s->gradient_first)
				weight_gradient(h0, w + i, dy[i]);
		for (int i = 0; i < 3; i++)
			list[i] = s->gradient_first ? multiply(dy[i], false, sim->weight[w + i], false) : linear_back(h0, w + i, dy[i], false);
		for (int i = 0; i < 3; i++) {
			add_to(dh, list[i]);
			give(list[i]);
		}
		give(dq);
		give(dk);
		give(dv);
		give(q);
		give(k);
		give(v);
		give(h1);
	}
	linear_back(x, 0, dh, true);
	give(dh);
	give(h0);
	give(x);
	give(y);
}

static void update(void)
{
	for (int w = 0; w < sim->n_weights; w++) {
		struct mat m = sim->weight[w], g = sim->grad[w];
		for (int i = 0; i < m.r * m.c; i++) {
			double step = (double)g.p[i];
			if (sim->set.adam) {
				sim->m1[w][i] = 0.9 * sim->m1[w][i] + 0.1 * step;
				sim->m2[w][i] = 0.95 * sim->m2[w][i] + 0.05 * step * step;
				step = sim->m1[w][i] / (1 - pow(0.9, sim->step)) / (sqrt(sim->m2[w][i] / (1 - pow(0.95, sim->step))) + 1e-9);
			}
			if (!(sim->set.frozen >> w & 1))
				m.p[i] -= sim->set.lr * (float)step;
			g.p[i] = 0;
		}
	}
}

static void begin(const struct setup *set, uint64_t seed)
{
	sim = calloc(1, sizeof *sim);
	sim->set = *set;
	sim->set.adam = !set->lr;
	if (sim->set.adam)
		sim->set.lr = set->bf16 && set->small ? 0.0003f : 0.003f;
	sim->set.heads += !set->heads;
	sim->set.sequences += 4 * !set->sequences;
	sim->set.micro_steps += !set->micro_steps;
	sim->random = seed * 0x9e3779b97f4a7c15ull | 1;
	sim->log = calloc(GNS_LOG_MAX, sizeof *sim->log);
	sim->truth = calloc(GNS_LOG_MAX, 1);
	sim->now = -1;
	cr_assert(gns_find_in_log_init(&sim->learn));
	make_weights();
	for (int w = 0; w < sim->n_weights; w++)
		memset(sim->grad[w].p, 0, (size_t)(sim->grad[w].r * sim->grad[w].c) * sizeof(float));
	sim->step = 1;
}

static void end(void)
{
	gns_find_in_log_free(&sim->learn);
	free(sim->log);
	free(sim->truth);
	free(sim);
}

static void train_step(void)
{
	sim->began[sim->step] = sim->n;
	for (int m = 0; m < sim->set.micro_steps; m++) {
		uint64_t batch = (uint64_t)((sim->step - 1) * sim->set.micro_steps + m);
		one_pass(sim->set.full_batch ? 77 + (uint64_t)m : sim->set.cycle ? 77 + batch % (uint64_t)sim->set.cycle : 0);
	}
	update();
	sim->step++;
}

/* All of the truth, and nothing else. */
static bool right(uint64_t seed)
{
	const struct gns_found *f = &sim->learn.found;
	uint32_t wrong = 0, missed = 0, expected = 0, bad_points = 0, bad_counts = 0;
	for (int w = 0; w < sim->n_weights; w++) {
		bool there = false;
		for (uint32_t i = 0; i < f->n; i++)
			there |= sim->learn.candidate[f->order[i]].key.data == sim->weight[w].p;
		missed += !there && !(sim->set.frozen >> w & 1);
	}
	for (uint32_t i = 0; i < f->n; i++) {
		const struct gns_log_candidate *c = &sim->learn.candidate[f->order[i]];
		int w = 0;
		while (w < sim->n_weights && (sim->weight[w].p != c->key.data || (sim->set.frozen >> w & 1)))
			w++;
		wrong += w == sim->n_weights;
		bool twice = sim->set.shared && w == sim->n_weights - 2;
		expected += (uint32_t)sim->set.micro_steps << twice;
		bad_counts += c->passes != (uint32_t)sim->set.micro_steps || c->per_step != (uint32_t)sim->set.micro_steps << twice;
		bad_counts += c->forward_sum_fast == sim->set.column_major;
	}
	for (uint32_t i = 0; i < f->points; i++) {
		bool there = false;
		for (int s = 1; s < sim->step; s++)
			there |= sim->began[s] == f->point[i] || (sim->set.frozen & 1 && sim->began[s] + 1 == f->point[i]);
		bad_points += !there;
	}
	bool ok = !wrong && !missed && !bad_points && !bad_counts && f->micro_steps == (uint32_t)sim->set.micro_steps && f->gradients == expected;
	cr_expect(ok, "%s, seed %d, step %d: %u wrong, %u missed, %u bad points, %u bad counts, micro %u, gradients %u of %u", sim->set.name,
		  (int)seed, sim->step - 1, wrong, missed, bad_points, bad_counts, f->micro_steps, f->gradients, expected);
	return ok;
}

/* From then on by address alone, beginning with what the log holds of the step in progress: the right gradients of the right weights, and
 * steps that begin where they do. Where a step has not all its passes (the end of an epoch) the count is off, which prints would show. */
static void follow(uint64_t seed, int steps)
{
	struct gns_roles roles;
	struct gns_verdict v;
	const struct gns_found *f = &sim->learn.found;
	uint32_t wrong = 0, missed = 0, at = f->point[f->points - 1], early = 0, late = 0, learned = 0;
	cr_assert(gns_roles_init(&roles));
	gns_roles_adopt(&roles, &sim->learn);
	int first = sim->step;
	while (sim->step < first + steps)
		train_step();
	for (int s = 1; at < sim->n; at++) {
		while (s + 1 < sim->step && sim->began[s + 1] <= at)
			s++;
		const struct gns_logged *e = &sim->log[at];
		gns_roles_follow(&roles, &e->product, &v);
		learned += v.learned;
		if (s >= first) {
			bool begins = at == sim->began[s] + (sim->set.frozen & 1);
			early += v.boundary && !begins;
			late += begins && !v.boundary;
		}
		int w = sim->truth[at];
		bool there = false;
		for (unsigned i = 0; v.role == GNS_ROLE_WGRAD && i < v.n; i++)
			there |= w >= 0 && roles.weights[v.weight[i]].key.data == sim->weight[w].p;
		missed += w >= 0 && !there;
		wrong += v.role == GNS_ROLE_WGRAD && w < 0;
		roles.adopted &= !v.boundary;
	}
	cr_expect(!wrong && !missed && !early && !late && learned == 1 && roles.steps_before == (uint32_t)first - 1,
		  "%s, seed %d: followed %u wrong, %u missed, %u early, %u late, %u learned, %u steps before for %d", sim->set.name, (int)seed,
		  wrong, missed, early, late, learned, roles.steps_before, first - 1);
	gns_roles_free(&roles);
}

/* Asked after every step, as the log grows: never wrong, and known in good time. */
static void learns(const struct setup *set, uint64_t seed, int by)
{
	begin(set, seed);
	bool known = false;
	while (sim->step <= by && !known) {
		train_step();
		known = gns_find_in_log(&sim->learn, sim->log, sim->n);
		if (known)
			right(seed);
	}
	cr_expect(known, "%s, seed %d: nothing learned in %d steps (alike %d, written %d, produced %d)", set->name, (int)seed, by,
		  (int)sim->learn.found.why[GNS_WHY_ALIKE], (int)sim->learn.found.why[GNS_WHY_WRITTEN],
		  (int)sim->learn.found.why[GNS_WHY_PRODUCED]);
	if (known)
		follow(seed, 4);
	end();
}

static const struct setup setups[] = {
	{ .name = "one layer", .head_only = true },
	{ .name = "two layers" },
	{ .name = "two layers, SGD", .lr = 0.05f },
	{ .name = "feed-forward", .feed_forward = true },
	{ .name = "feed-forward, SGD", .lr = 0.05f, .feed_forward = true },
	{ .name = "gated", .feed_forward = true, .gated = true },
	{ .name = "gated, recomputed", .feed_forward = true, .gated = true, .recompute = true },
	{ .name = "attention, copies", .attention = true, .copies = true, .heads = 2, .feed_forward = true },
	{ .name = "attention, plain", .attention = true, .sequences = 1 },
	{ .name = "attention, one head, copies", .attention = true, .copies = true, .sequences = 1 },
	{ .name = "attention, one head, kept", .attention = true, .copies = true, .sequences = 1, .kept = true },
	{ .name = "attention, one head, kept, K biased", .attention = true, .copies = true, .sequences = 1, .kept = true, .k_bias = 8 },
	{ .name = "attention, gated, frozen", .attention = true, .copies = true, .heads = 2, .feed_forward = true, .gated = true,
	  .frozen = 1 << 2 | 1 << 5 },
	{ .name = "attention, gradients first", .attention = true, .copies = true, .heads = 2, .gradient_first = true },
	{ .name = "gated, gradients first", .feed_forward = true, .gated = true, .gradient_first = true },
	{ .name = "frozen first layer", .feed_forward = true, .frozen = 1 },
	{ .name = "one weight twice", .shared = true },
	{ .name = "column-major", .feed_forward = true, .gated = true, .column_major = true },
	{ .name = "cycle of four batches", .feed_forward = true, .cycle = 4 },
};
#define SETUPS (sizeof setups / sizeof *setups)
#define SEEDS 10

Test(find_in_log, every_pass_a_step)
{
	for (size_t i = 0; i < SETUPS; i++)
		for (uint64_t seed = 1; seed <= SEEDS; seed++)
			learns(&setups[i], seed, 20);
}

Test(find_in_log, bf16)
{
	for (size_t i = 0; i < SETUPS; i++)
		for (uint64_t seed = 1; seed <= SEEDS; seed++)
			for (int small = 0; small < 2; small++) {
				struct setup s = setups[i];
				s.bf16 = true;
				s.small = small;
				learns(&s, seed, 20);
			}
}

Test(find_in_log, several_passes_a_step)
{
	for (size_t i = 0; i < SETUPS; i++)
		for (uint64_t seed = 1; seed <= SEEDS; seed++)
			for (int micro = 2; micro <= 4; micro++)
				for (int half = 0; half < 2; half++) {
					struct setup s = setups[i];
					s.micro_steps = micro;
					s.bf16 = half;
					if (!s.cycle)
						learns(&s, seed, 5); /* sooner than by the size of changes */
				}
}

/* The same data in every step: nothing can be told, and nothing is. */
Test(find_in_log, full_batch)
{
	for (size_t i = 0; i < SETUPS; i++)
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct setup s = setups[i];
			s.full_batch = true;
			begin(&s, seed);
			for (int step = 0; step < 20; step++) {
				train_step();
				cr_expect(!gns_find_in_log(&sim->learn, sim->log, sim->n), "%s, seed %d: learned from full batches", s.name, (int)seed);
			}
			cr_expect(sim->learn.found.changes >= 18, "%s: %u changes", s.name, sim->learn.found.changes);
			end();
		}
}
