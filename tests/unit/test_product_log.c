/* The log of products on devices, over a stand-in for sets that deliver when the test says so: learning from what comes late, giving the
 * log up where prints cannot be had, and giving all sets back. The trainer is two layers whose weights walk a little every step. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/gpu/layers_device.h"
#include "profiler/shim/steps/product_log.h"
#include "profiler/shim/publish/counters.h"

#define ROWS 24
#define IN 12
#define HIDDEN 16
#define OUT 8
#define SETS 8

/* ---- the stand-in ---- */

struct gns_set {
	double value[GNS_SET_SLOTS];
	uint32_t slots;
	bool taken, finished, delivered;
};
struct gns_device {
	int number;
};

static struct gns_device device;
static struct gns_set sets[SETS];
static int begun, released, printed;
static bool none_free, hold_back;

int gns_set_begin(struct gns_device *d, void *stream, struct gns_set **set)
{
	(void)d;
	(void)stream;
	for (int i = 0; i < SETS && !none_free; i++)
		if (!sets[i].taken) {
			sets[i] = (struct gns_set){ .taken = true };
			*set = &sets[i];
			begun++;
			return 0;
		}
	return -16;
}

int gns_set_slot(struct gns_set *set, void *stream, unsigned n, uint32_t *slot)
{
	(void)stream;
	cr_assert(set->taken && !set->finished);
	if (set->slots + n > GNS_SET_SLOTS)
		return -28;
	*slot = set->slots;
	set->slots += n;
	return 0;
}

int gns_device_print(struct gns_set *set, void *stream, uint32_t slot, const void *data, uint32_t dtype, size_t slow_n, size_t fast_n,
		     ptrdiff_t ld, bool elements)
{
	struct gns_key key = { data, slow_n, fast_n, ld, dtype };
	struct gns_fingerprint now;
	(void)stream;
	cr_assert(elements);
	gns_fingerprint_take(&key, &now);
	memcpy(&set->value[slot + 2], &now, sizeof now);
	printed++;
	return 0;
}

int gns_set_finish(struct gns_set *set)
{
	cr_assert(set->taken && !set->finished);
	set->finished = true;
	return 0;
}

uint64_t gns_set_delivered(const struct gns_set *set)
{
	cr_assert(set->taken && set->finished);
	return set->delivered;
}

const double *gns_set_values(const struct gns_set *set, uint64_t which)
{
	return which == 1 && set->delivered ? set->value : NULL;
}

void gns_set_release(struct gns_set *set)
{
	cr_assert(set->taken && set->finished);
	released++;
	set->taken = false;
}

void gns_count(struct gns_live_counter *tally)
{
	tally->value++;
}

/* ---- the trainer ---- */

static struct trainer {
	float w1[HIDDEN * IN], w2[OUT * HIDDEN], x[ROWS * IN], h[ROWS * HIDDEN], y[ROWS * OUT], dy[ROWS * OUT], dh[ROWS * HIDDEN];
	float dw1[HIDDEN * IN], dw2[OUT * HIDDEN];
	struct gns_product_log log;
	uint64_t random;
	int steps, learned_at;
	bool full_batch, evaluates;
} *t;

static float draw(void)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (float)(t->random >> 40) / 8388608.0f - 1;
}

static void fill(float *m, int n)
{
	for (int i = 0; i < n; i++)
		m[i] = draw();
}

static void walk(float *m, int n)
{
	for (int i = 0; i < n; i++)
		m[i] += 0.01f * draw();
}

static void deliver(void)
{
	for (int i = 0; i < SETS; i++)
		sets[i].delivered |= sets[i].taken && sets[i].finished && !hold_back;
}

/* As the core does: look, note, launch, clear up. */
static void seen(const struct gns_product *p)
{
	uint32_t first = 0;
	if (!t->learned_at) {
		if (gns_product_log_turn(&t->log)) {
			t->learned_at = t->steps;
			gns_product_log_stop(&t->log);
		}
		gns_product_log_add(&t->log, p, &first);
	}
	gns_product_log_sweep(&t->log);
	if (first)
		gns_product_log_enqueue(&t->log, first);
	deliver();
}

static void multiply(const float *a, bool ta, int ar, int ac, const float *b, bool tb, int br, int bc, float *c)
{
	struct gns_product p = { .dtype = GNS_F32, .device = &device, .c = c, .alpha = 1, .c_col_stride = 1 };
	p.left = (struct gns_operand){ a, (size_t)(ta ? ac : ar), (size_t)(ta ? ar : ac), ac, !ta };
	p.right = (struct gns_operand){ b, (size_t)(tb ? br : bc), (size_t)(tb ? bc : br), bc, tb };
	p.m = p.left.free_n;
	p.n = p.right.free_n;
	p.k = p.left.sum_n;
	p.c_row_stride = (ptrdiff_t)p.n;
	seen(&p);
	if (!t->full_batch)
		fill(c, (int)(p.m * p.n));
	else
		walk(c, (int)(p.m * p.n));
}

static void train(int steps)
{
	for (; steps > 0; steps--) {
		if (!t->full_batch)
			fill(t->x, ROWS * IN);
		multiply(t->x, false, ROWS, IN, t->w1, true, HIDDEN, IN, t->h);
		multiply(t->h, false, ROWS, HIDDEN, t->w2, true, OUT, HIDDEN, t->y);
		t->steps++;
		if (t->evaluates)
			continue;
		if (!t->full_batch)
			fill(t->dy, ROWS * OUT);
		multiply(t->dy, false, ROWS, OUT, t->w2, false, OUT, HIDDEN, t->dh);
		multiply(t->dy, true, ROWS, OUT, t->h, false, ROWS, HIDDEN, t->dw2);
		multiply(t->dh, true, ROWS, HIDDEN, t->x, false, ROWS, IN, t->dw1);
		walk(t->w1, HIDDEN * IN);
		walk(t->w2, OUT * HIDDEN);
	}
}

static void begin(void)
{
	t = calloc(1, sizeof *t);
	t->random = 88172645463325252ull;
	memset(sets, 0, sizeof sets);
	begun = released = printed = 0;
	none_free = hold_back = false;
	fill(t->w1, HIDDEN * IN);
	fill(t->w2, OUT * HIDDEN);
	fill(t->x, ROWS * IN);
	fill(t->dy, ROWS * OUT);
	cr_assert(gns_product_log_init(&t->log));
}

static void knows_both(void)
{
	const struct gns_found *f = &t->log.learn.found;
	cr_assert(t->learned_at, "nothing learned in %d steps, %u products logged, %u back", t->steps, t->log.n, t->log.ready);
	cr_expect_eq(f->n, 2);
	cr_expect_eq(t->log.learn.candidate[f->order[0]].key.data, (const void *)t->w1);
	cr_expect_eq(t->log.learn.candidate[f->order[1]].key.data, (const void *)t->w2);
}

static void end(void)
{
	hold_back = false;
	gns_product_log_stop(&t->log);
	gns_product_log_sweep(&t->log);
	deliver();
	cr_expect(gns_product_log_at_rest(&t->log), "something is still under way");
	cr_expect_eq(begun, released, "%d sets begun, %d given back", begun, released);
	gns_product_log_free(&t->log);
	free(t);
}

Test(product_log, learns)
{
	begin();
	train(20);
	knows_both();
	cr_expect_leq(t->learned_at, 12);
	end();
}

Test(product_log, late)
{
	begin();
	hold_back = true;
	train(12);
	cr_expect_eq(t->learned_at, 0, "learned from what has not come back");
	cr_expect_gt(printed, 0);
	hold_back = false;
	train(12);
	knows_both();
	end();
}

/* Nothing has come back for as long as a program may be ahead of its device, which never waits for it: the log has no hole for that. */
Test(product_log, far_behind)
{
	begin();
	hold_back = true;
	train(60);
	cr_expect_eq(t->log.state, GNS_LOG_ON, "given up at %u products", t->log.n);
	cr_expect(!t->log.gap);
	cr_expect_geq(t->log.n, 280u);
	hold_back = false;
	train(12);
	knows_both();
	cr_expect_eq(t->log.holes + t->log.pauses, 0u, "not from the first log");
	end();
}

/* All sets are taken by others for a while: what was logged so far is not continued across the hole. */
Test(product_log, hole)
{
	begin();
	train(4);
	uint32_t before = t->log.n;
	none_free = true;
	train(10);
	cr_expect_eq(t->learned_at, 0);
	cr_expect_leq(t->log.n, before + 64);
	none_free = false;
	while (t->log.state != GNS_LOG_ON)
		train(1);
	cr_expect_leq(t->log.n, 5u, "the log goes on across a hole: %u products", t->log.n);
	train(20);
	knows_both();
	end();
}

Test(product_log, only_evaluates)
{
	begin();
	t->evaluates = true;
	train(2000);
	cr_expect_eq(begun, 0, "a program that does not train was printed");
	t->evaluates = false;
	train(20);
	knows_both();
	end();
}

/* Nothing can be told of full batches: given up after some steps, tried again later, less and less often. */
Test(product_log, gives_up)
{
	begin();
	t->full_batch = true;
	train(200);
	int first = printed;
	cr_expect_eq(t->learned_at, 0);
	cr_expect_leq(first, 60 * 10, "%d operands printed in 200 steps", first);
	train(1000);
	int second = printed;
	cr_expect_gt(second, first, "not tried again");
	train(8000);
	cr_expect_leq(printed, 8 * first, "tried too often: %d", printed);
	t->full_batch = false;
	train(20000);
	knows_both();
	end();
}

Test(product_log, batch)
{
	begin();
	train(2);
	struct gns_product p = { .dtype = GNS_F32, .device = &device, .m = ROWS, .n = HIDDEN, .k = IN, .c = t->h, .c_row_stride = HIDDEN,
				 .c_col_stride = 1, .left = { t->x, ROWS, IN, IN, true }, .right = { t->w1, HIDDEN, IN, IN, true } };
	uint32_t first = 0, n = t->log.n;
	for (int i = 0; i < 100; i++)
		gns_product_log_add(&t->log, &p, &first);
	cr_expect_eq(t->log.n - n, GNS_LOG_BATCH);
	cr_expect_eq(t->log.working, 1);
	gns_product_log_enqueue(&t->log, first);
	cr_expect_eq(t->log.working, 0);
	for (uint32_t i = n; i < t->log.n; i++)
		cr_expect_neq(t->log.where[i].chunk, 0u);
	end();
}
