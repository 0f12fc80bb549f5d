/* Late values: what arrives in a real ring, and when, with sets that the test delivers. */
#include <criterion/criterion.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profiler/shim/publish/publish.h"
#include "tests/unit/device_stand_in.h"

static struct gns_config config = { .every = 1, .probes = 8, .world = 1 };
static struct gns_publish publish;
static struct gns_session *session;
static struct gns_ring reader;
static char name[GNS_NAME_MAX];
static uint64_t tail;
static struct gns_set set[8];
static struct gns_deferred_counts counts;

static void set_up(void)
{
	snprintf(name, sizeof name, "/gnscope-test-late-%u", (unsigned)getpid());
	cr_assert_eq(gns_session_create(name, &session), 0);
	config.session = name;
	cr_assert(gns_publish_init(&publish));
	cr_assert(gns_publish_open(&publish, &config));
	cr_assert_eq(gns_ring_attach(name, session, 0, &reader), 0);
}

static void tear_down(void)
{
	gns_publish_free(&publish);
	gns_session_unlink(name);
}

TestSuite(deferred, .init = set_up, .fini = tear_down);

#define Q_SMALL offsetof(struct gns_record, u.grad.q_small)
#define Q_BIG offsetof(struct gns_record, u.grad.q_big)
#define LOSS offsetof(struct gns_record, u.loss.loss)

static struct gns_record *grad(uint64_t step, uint32_t id)
{
	struct gns_record *r = gns_publish_stage(&publish, GNS_REC_GRAD, 0);
	r->u.grad = (struct gns_rec_grad){ .step = step, .param_id = id, .source = GNS_SOURCE_TORCH, .n_small = 1, .n_big = 8, .groups = 8 };
	return r;
}

static bool end_step(uint64_t step, uint32_t flags, uint32_t params)
{
	gns_publish_stage(&publish, GNS_REC_STEP, 0)->u.step = (struct gns_rec_step){ .step = step, .flags = flags, .params = params };
	return gns_publish_send(&publish, 1);
}

/* One GRAD with q_small = 3 value[1] and q_big = 2 + value[0]. */
static bool measured_step(uint64_t step, struct gns_set *s)
{
	struct gns_record *r = grad(step, 1);
	r->u.grad.q_big = 2;
	gns_publish_deferred(&publish, r, Q_BIG, GNS_DEFERRED_ADD, s, 0, 1);
	gns_publish_deferred(&publish, r, Q_SMALL, GNS_DEFERRED_ADD, s, 1, 3);
	return end_step(step, GNS_STEP_MEASURED, 1);
}

static void deliver(struct gns_set *s, double zero, double one)
{
	double *v = s->value[s->delivered++ % GNS_SET_RING];
	v[0] = zero;
	v[1] = one;
}

static struct gns_record got[256];

static int64_t arrived(void)
{
	int64_t n = gns_ring_ready(&reader, tail);
	cr_assert(n >= 0 && n <= 256, "%lld records", (long long)n);
	for (int64_t i = 0; i < n; i++)
		got[i] = *gns_ring_read(&reader, tail + (uint64_t)i);
	tail += (uint64_t)n;
	gns_ring_release(&reader, tail);
	return n;
}

static void poll_late(void)
{
	gns_deferred_poll(&publish);
	gns_deferred_counts(&publish, &counts);
}

#define EXPECT_STEP(at, number, flag)                                                                                                      \
	do {                                                                                                                               \
		cr_assert_eq(got[at].kind, GNS_REC_STEP, "record %d is of kind %d", (int)(at), got[at].kind);                              \
		cr_expect_eq(got[at].u.step.step, (number), "step %llu", (unsigned long long)got[at].u.step.step);                         \
		cr_expect_eq(got[at].u.step.flags, (uint32_t)(flag), "step %d: flags %u", (int)(number), got[at].u.step.flags);            \
	} while (0)

Test(deferred, without_items_all_is_sent_at_once)
{
	grad(1, 1);
	cr_expect(end_step(1, GNS_STEP_MEASURED, 1));
	cr_assert_eq(arrived(), 2);
	cr_expect_null(publish.deferred, "nothing was taken for it");
	cr_expect_not(gns_deferred_waiting(&publish));
}

Test(deferred, waits_for_the_values_and_keeps_the_order)
{
	cr_expect(measured_step(1, &set[0]));
	cr_expect(measured_step(2, &set[1]));
	cr_expect(end_step(3, 0, 0));
	cr_expect(end_step(4, 0, 0));
	cr_expect(gns_deferred_waiting(&publish));
	deliver(&set[1], 10, 20);
	poll_late();
	cr_assert_eq(arrived(), 0, "step 2 is ready, step 1 is not");
	deliver(&set[0], 1, 5);
	poll_late();
	cr_assert_eq(arrived(), 6);
	cr_expect_float_eq(got[0].u.grad.q_big, 3, 0, "staged 2, and 1");
	cr_expect_float_eq(got[0].u.grad.q_small, 15, 0);
	EXPECT_STEP(1, 1, GNS_STEP_MEASURED);
	cr_expect_float_eq(got[2].u.grad.q_big, 12, 0);
	cr_expect_float_eq(got[2].u.grad.q_small, 60, 0);
	EXPECT_STEP(3, 2, GNS_STEP_MEASURED);
	EXPECT_STEP(4, 3, 0);
	EXPECT_STEP(5, 4, 0);
	cr_expect_eq(set[0].released, 1);
	cr_expect_eq(set[1].released, 1);
	cr_expect_not(gns_deferred_waiting(&publish));
	cr_expect(end_step(5, 0, 0));
	cr_expect_eq(arrived(), 1, "the queue is empty: at once again");
}

Test(deferred, a_step_polls_by_itself)
{
	measured_step(1, &set[0]);
	deliver(&set[0], 1, 1);
	end_step(2, 0, 0);
	cr_expect_eq(arrived(), 3);
}

Test(deferred, waits_for_every_set_also_without_items)
{
	gns_publish_deferred_set(&publish, &set[2]);
	gns_publish_deferred_set(&publish, &set[2]);
	measured_step(1, &set[0]);
	deliver(&set[0], 1, 1);
	poll_late();
	cr_expect_eq(arrived(), 0);
	deliver(&set[2], 0, 0);
	poll_late();
	cr_expect_eq(arrived(), 2);
	cr_expect_eq(set[2].released, 1, "once, though named twice");
}

Test(deferred, not_zeroed_leaves_the_record_out)
{
	struct gns_record *a = grad(1, 1), *b = grad(1, 2);
	gns_publish_deferred(&publish, a, Q_BIG, GNS_DEFERRED_ADD, &set[0], 0, 1);
	gns_publish_deferred(&publish, a, 0, GNS_DEFERRED_ZERO, &set[0], 5, 0);
	gns_publish_deferred(&publish, b, Q_BIG, GNS_DEFERRED_ADD, &set[0], 0, 1);
	gns_publish_deferred(&publish, b, 0, GNS_DEFERRED_ZERO, &set[0], 6, 0);
	end_step(1, GNS_STEP_MEASURED, 2);
	set[0].value[0][5] = 1e-300;
	deliver(&set[0], 7, 0);
	poll_late();
	cr_assert_eq(arrived(), 2);
	cr_expect_eq(got[0].u.grad.param_id, 2);
	EXPECT_STEP(1, 1, GNS_STEP_MEASURED);
	cr_expect_eq(got[1].u.step.params, 1);
	cr_expect_eq(counts.not_zeroed, 1);
}

Test(deferred, nothing_left_is_neither_measured_nor_refused)
{
	gns_publish_deferred(&publish, grad(1, 1), 0, GNS_DEFERRED_ZERO, &set[0], 0, 0);
	end_step(1, GNS_STEP_MEASURED, 1);
	deliver(&set[0], NAN, 0);
	poll_late();
	cr_assert_eq(arrived(), 1);
	EXPECT_STEP(0, 1, 0);
	cr_expect_eq(got[0].u.step.params, 0);
}

Test(deferred, a_pair_is_compared_in_all_bits)
{
	const uint64_t expect[2] = { 0x7ff8000000000001ull, 0x8000000000000000ull };
	for (uint32_t i = 0; i < 3; i++)
		gns_publish_deferred_pair(&publish, grad(1, i + 1), &set[0], 10 + 2 * i, 20);
	end_step(1, GNS_STEP_MEASURED, 3);
	memcpy(&set[0].value[0][20], expect, sizeof expect);
	memcpy(&set[0].value[0][10], expect, sizeof expect); /* a NaN and -0: no value compares equal */
	memcpy(&set[0].value[0][12], expect, sizeof expect);
	memcpy(&set[0].value[0][14], expect, sizeof expect);
	set[0].value[0][13] = 0; /* +0 */
	memcpy(&set[0].value[0][14], &(uint64_t){ 0x7ff8000000000002ull }, sizeof(uint64_t));
	deliver(&set[0], 1, 1);
	poll_late();
	cr_assert_eq(arrived(), 2);
	cr_expect_eq(got[0].u.grad.param_id, 1);
	EXPECT_STEP(1, 1, GNS_STEP_MEASURED);
	cr_expect_eq(counts.not_same, 2);
}

Test(deferred, a_pair_is_compared_within_the_delivery)
{
	gns_publish_deferred_pair(&publish, grad(1, 1), &set[0], 10, 20);
	gns_publish_deferred_pair(&publish, grad(1, 2), &set[0], 10, 30);
	end_step(1, GNS_STEP_MEASURED, 2);
	double *v = set[0].value[0];
	v[10] = v[20] = v[30] = NAN;
	v[11] = v[21] = 5;
	v[31] = 6;
	deliver(&set[0], 1, 1);
	poll_late();
	cr_assert_eq(arrived(), 2);
	cr_expect_eq(got[0].u.grad.param_id, 1);
	cr_expect_eq(counts.not_same_run, 1);
	for (uint64_t step = 2; step < 5; step++) {
		gns_publish_deferred_pair(&publish, grad(step, 1), &set[step], 10, 20);
		set[step].value[0][20] = step == 4 ? 0 : 1;
		end_step(step, GNS_STEP_MEASURED, 1);
		deliver(&set[step], 1, 1);
		poll_late();
		cr_expect_eq(counts.not_same_run, step == 4 ? 0 : step);
	}
}

Test(deferred, scaled_back_after_what_was_added)
{
	struct gns_record *r = grad(1, 1), *loss = gns_publish_stage(&publish, GNS_REC_LOSS, 0);
	gns_publish_deferred(&publish, r, Q_BIG, GNS_DEFERRED_ADD, &set[0], 0, 1);
	gns_publish_deferred(&publish, r, Q_BIG, GNS_DEFERRED_SCALE, &set[0], 1, -2);
	gns_publish_deferred(&publish, loss, LOSS, GNS_DEFERRED_ADD, &set[0], 0, 1);
	gns_publish_deferred(&publish, loss, LOSS, GNS_DEFERRED_SCALE, &set[0], 1, -1);
	end_step(1, GNS_STEP_MEASURED, 1);
	deliver(&set[0], 64, 4);
	poll_late();
	cr_assert_eq(arrived(), 3);
	cr_expect_float_eq(got[0].u.grad.q_big, 4, 0);
	cr_expect_float_eq(got[1].u.loss.loss, 16, 0);
}

Test(deferred, not_finite_refuses_the_whole_step)
{
	struct gns_record *loss = gns_publish_stage(&publish, GNS_REC_LOSS, 0);
	gns_publish_deferred(&publish, loss, LOSS, GNS_DEFERRED_ADD, &set[0], 2, 0.5);
	grad(1, 7);
	measured_step(1, &set[0]);
	set[0].value[0][2] = 6;
	deliver(&set[0], 1, INFINITY);
	poll_late();
	cr_assert_eq(arrived(), 2);
	cr_expect_eq(got[0].kind, GNS_REC_LOSS);
	cr_expect_float_eq(got[0].u.loss.loss, 3, 0);
	EXPECT_STEP(1, 1, GNS_STEP_REFUSED);
	cr_expect_eq(counts.not_finite, 1);
}

Test(deferred, a_refused_step_of_start_up_is_still_one)
{
	struct gns_record *r = grad(1, 7);
	gns_publish_deferred(&publish, r, Q_BIG, GNS_DEFERRED_ADD, &set[0], 0, 1);
	end_step(1, GNS_STEP_MEASURED | GNS_STEP_STARTUP, 1);
	deliver(&set[0], INFINITY, 1);
	poll_late();
	cr_assert_eq(arrived(), 1);
	EXPECT_STEP(0, 1, GNS_STEP_REFUSED | GNS_STEP_STARTUP);
}

Test(deferred, a_full_queue_refuses_the_newest)
{
	struct gns_set more[GNS_DEFERRED_STEPS + 1];
	memset(more, 0, sizeof more);
	for (uint32_t i = 0; i < GNS_DEFERRED_STEPS; i++)
		cr_expect(measured_step(i + 1, &more[i]));
	gns_publish_stage(&publish, GNS_REC_PARAM, 0);
	cr_expect(measured_step(GNS_DEFERRED_STEPS + 1, &more[GNS_DEFERRED_STEPS]));
	cr_expect_eq(more[GNS_DEFERRED_STEPS].released, 1, "a refused step's set is given back at once");
	for (uint32_t i = 0; i < GNS_DEFERRED_STEPS; i++)
		deliver(&more[i], 1, 1);
	poll_late();
	cr_assert_eq(arrived(), 2 * GNS_DEFERRED_STEPS + 2);
	cr_expect_eq(got[2 * GNS_DEFERRED_STEPS].kind, GNS_REC_PARAM);
	EXPECT_STEP(2 * GNS_DEFERRED_STEPS + 1, GNS_DEFERRED_STEPS + 1, GNS_STEP_REFUSED);
	cr_expect_eq(counts.device_behind, 1);
}

Test(deferred, plain_steps_need_no_room_of_measured_ones)
{
	measured_step(1, &set[0]);
	for (uint32_t i = 0; i < 40000; i++)
		cr_assert(end_step(i + 2, 0, 0), "step %u", i + 2);
	deliver(&set[0], 1, 1);
	uint64_t next = 1;
	for (uint32_t round = 0; round < 1000 && next < 40002; round++) {
		poll_late(); /* more than the ring holds: in pieces, nothing lost */
		for (int64_t n; (n = gns_ring_ready(&reader, tail)) > 0;) {
			for (int64_t i = 0; i < n; i++) {
				const struct gns_record *r = gns_ring_read(&reader, tail + (uint64_t)i);
				if (r->kind == GNS_REC_STEP)
					cr_assert_eq(r->u.step.step, next++);
			}
			tail += (uint64_t)n;
			gns_ring_release(&reader, tail);
		}
	}
	cr_expect_eq(next, 40002);
	cr_expect_eq(atomic_load(&session->slot[0].dropped_steps), 0);
	for (uint32_t i = 0; i < 70000; i++) { /* the rings come round */
		set[1].delivered = 0;
		measured_step(next, &set[1]);
		deliver(&set[1], next, 1);
		poll_late();
		cr_assert_eq(arrived(), 2);
		cr_assert_float_eq(got[0].u.grad.q_big, 2.0 + (double)next, 0);
		next++;
	}
}

Test(deferred, items_of_a_step_that_waits_are_not_written_over)
{
	measured_step(1, &set[0]);
	measured_step(2, &set[1]);
	deliver(&set[0], 1, 1);
	poll_late();
	cr_assert_eq(arrived(), 2);
	struct gns_record *r = grad(3, 1);
	for (uint32_t i = 0; i < GNS_DEFERRED_ITEMS - 1; i++) /* one too many beside the two of step 2 */
		gns_publish_deferred(&publish, r, Q_BIG, GNS_DEFERRED_ADD, &set[2], 5, 1);
	end_step(3, GNS_STEP_MEASURED, 1);
	deliver(&set[1], 10, 20);
	poll_late();
	cr_assert_eq(arrived(), 3);
	cr_expect_float_eq(got[0].u.grad.q_big, 12, 0);
	cr_expect_float_eq(got[0].u.grad.q_small, 60, 0);
	EXPECT_STEP(2, 3, GNS_STEP_REFUSED);
	cr_expect_eq(counts.device_behind, 1);
}

Test(deferred, what_never_came_is_counted_at_the_end)
{
	measured_step(1, &set[0]);
	end_step(2, 0, 0);
	measured_step(3, &set[1]);
	deliver(&set[1], 1, 1);
	gns_deferred_end(&publish);
	cr_assert_eq(arrived(), 1 + 2, "step 2; and step 3 is there, too");
	EXPECT_STEP(0, 2, 0);
	EXPECT_STEP(2, 3, GNS_STEP_MEASURED);
	cr_expect_eq(atomic_load(&session->slot[0].dropped_steps), 1);
	cr_expect(end_step(4, 0, 0));
	cr_expect_eq(arrived(), 1);
}

static void capture(uint64_t step, struct gns_set *s)
{
	s->captured = s->gate = true;
	gns_publish_stage(&publish, GNS_REC_PARAM, 0);
	measured_step(step, s);
}

Test(deferred, every_delivery_of_a_graph_is_a_step)
{
	end_step(1, 0, 0);
	capture(2, &set[0]);
	cr_assert_eq(arrived(), 2, "step 1 and PARAM; the capture itself is no step");
	cr_expect(gns_deferred_waiting(&publish));
	deliver(&set[0], 1, 1);
	poll_late();
	deliver(&set[0], 2, 2);
	deliver(&set[0], 3, 3);
	poll_late();
	cr_assert_eq(arrived(), 6);
	for (int i = 0; i < 3; i++) {
		cr_expect_float_eq(got[2 * i].u.grad.q_big, 3 + i, 0);
		cr_expect_float_eq(got[2 * i].u.grad.q_small, 3 + 3 * i, 0);
		cr_expect_eq(got[2 * i].u.grad.step, (uint64_t)(2 + i));
		EXPECT_STEP(2 * i + 1, 2 + i, GNS_STEP_MEASURED);
	}
	end_step(3, 0, 0); /* as the clock counts, which has seen one capture */
	cr_assert_eq(arrived(), 1);
	EXPECT_STEP(0, 5, 0);
	cr_expect_eq(set[0].released, 0, "a graph keeps its memory");
}

Test(deferred, what_a_graph_overwrote_is_a_step_without_numbers)
{
	capture(1, &set[0]);
	arrived();
	for (int i = 0; i < 6; i++)
		deliver(&set[0], i, 1);
	poll_late();
	cr_assert_eq(arrived(), 2 + 2 * GNS_SET_RING);
	EXPECT_STEP(0, 1, 0);
	EXPECT_STEP(1, 2, 0);
	EXPECT_STEP(3, 3, GNS_STEP_MEASURED);
	cr_expect_eq(counts.unseen, 2);
	cr_expect_eq(counts.replayed, 6);
}

Test(deferred, the_gate_of_a_graph_keeps_to_the_interval)
{
	int measured = 0;
	capture(1, &set[0]);
	arrived();
	gns_deferred_every(&publish, 4);
	for (int i = 0; i < 40; i++) {
		set[0].closed[set[0].delivered % GNS_SET_RING] = !set[0].gate;
		deliver(&set[0], 0, 0); /* a gradient may be 0 */
		poll_late();
		int64_t n = arrived();
		cr_assert(n == 1 || n == 2);
		cr_expect_eq(got[n - 1].u.step.every, 4);
		measured += n == 2;
		EXPECT_STEP(n - 1, i + 1, n == 2 ? GNS_STEP_MEASURED : 0);
	}
	cr_expect_eq(measured, 10);
	gns_deferred_every(&publish, 0);
	for (int i = 0; i < 8; i++)
		poll_late();
	cr_expect_not(set[0].gate);
}

Test(deferred, two_sets_of_one_graph_deliver_together)
{
	set[1].captured = true;
	gns_publish_deferred_set(&publish, &set[1]);
	capture(1, &set[0]);
	arrived();
	deliver(&set[0], 1, 1);
	poll_late();
	cr_expect_eq(arrived(), 0);
	deliver(&set[1], 1, 1);
	poll_late();
	cr_expect_eq(arrived(), 2);
}

Test(deferred, a_capture_beside_other_work_is_refused)
{
	gns_publish_deferred_set(&publish, &set[1]);
	capture(1, &set[0]);
	cr_assert_eq(arrived(), 2);
	EXPECT_STEP(1, 1, GNS_STEP_REFUSED);
}
