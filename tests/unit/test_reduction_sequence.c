/* Which reductions make up a step, and which are gradients: sequences as trainers make them, call by call. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/shim/steps/reduction_sequence.h"

static struct gns_reduction_sequence *r;
static uint64_t clock_ns;

static void init(void)
{
	r = calloc(1, sizeof *r);
	r->inferring = true;
}

static void fini(void)
{
	free(r);
}

TestSuite(reduction_sequence, .init = init, .fini = fini);

enum { A = 1, B, C, D }; /* communicators */

static struct gns_reduction call(uintptr_t comm, uint64_t count, double factor, uintptr_t at)
{
	return (struct gns_reduction){ .comm = (const void *)comm, .world = 4, .rank = (uint32_t)(comm - 1), .kind = GNS_REDUCE_ALL, .dtype = 1,
				       .count = count, .factor = factor, .send = (const void *)at, .received = (const void *)at, .device = (int)comm };
}

static int see(struct gns_reduction n, bool forward)
{
	struct gns_reduction_track *t = gns_reduction_track(r, &n);
	cr_assert(t);
	int place = gns_reduction_see(r, t, &n, forward, ++clock_ns);
	if (r->inferring && place >= 0 && gns_reduction_complete(t))
		gns_reduction_next(t);
	return place;
}

static struct gns_reduction_track *track(uintptr_t comm)
{
	for (uint32_t i = 0; i < r->n_tracks; i++)
		if (r->track[i].comm == (const void *)comm)
			return &r->track[i];
	cr_assert_fail("no such communicator");
	return NULL;
}

static enum gns_reduction_why what(uintptr_t comm)
{
	return gns_reduction_what(r, track(comm));
}

/* Three buckets of a step, each at a place of its own. */
static void three(uintptr_t comm, double factor, bool equal)
{
	for (uintptr_t i = 0; i < 3; i++)
		see(call(comm, equal ? 5000 : 5000 + i, factor, 100 + i), false);
}

Test(reduction_sequence, a_sequence_is_learned_when_it_comes_again)
{
	three(A, 0.25, false);
	cr_expect_not(track(A)->learned);
	three(A, 0.25, false);
	cr_expect(track(A)->learned);
	cr_expect_eq(track(A)->n_last, 3);
	cr_expect_eq(track(A)->steps, 2);
	cr_expect_eq(r->n_buckets, 3);
	cr_expect_eq(see(call(A, 5001, 0.25, 101), false), 1, "in any order");
	cr_expect_eq(see(call(A, 5000, 0.25, 100), false), 0);
	cr_expect_eq(track(A)->n_filled, 2);
	cr_expect_eq(see(call(A, 5002, 0.25, 999), false), 2, "from any place");
	cr_expect_eq(track(A)->steps, 3);
}

Test(reduction_sequence, places_tell_apart_buckets_of_one_size)
{
	three(A, 0.25, true);
	three(A, 0.25, true);
	cr_expect(track(A)->learned);
	cr_expect_eq(track(A)->n_last, 3);
	cr_expect_eq(r->n_buckets, 3, "three of one size are three");
}

Test(reduction_sequence, a_single_bucket_needs_three_steps)
{
	see(call(A, 5000, 0.25, 100), false);
	see(call(A, 5000, 0.25, 100), false);
	cr_expect_not(track(A)->learned);
	see(call(A, 5000, 0.25, 100), false);
	cr_expect(track(A)->learned);
	cr_expect_eq(track(A)->n_last, 1);
}

Test(reduction_sequence, where_places_never_recur_sizes_must_do)
{
	uintptr_t fresh = 1000;
	int steps = 0;
	while (steps < 100 && !(r->n_tracks && track(A)->learned)) {
		for (uint64_t i = 0; i < 5; i++)
			see(call(A, 5000 + i, 0.25, fresh++), false);
		steps++;
	}
	cr_expect_eq(track(A)->n_last, 5);
	cr_expect_lt(steps, 30);
	cr_expect_eq(track(A)->steps, (uint64_t)steps);
}

Test(reduction_sequence, new_buckets_are_learned_anew)
{
	for (int step = 0; step < 4; step++)
		three(A, 0.25, false);
	cr_expect_eq(see(call(A, 9000, 0.25, 200), false), -1);
	cr_expect_not(track(A)->learned);
	cr_expect_eq(what(A), GNS_REDUCE_LEARNING);
	see(call(A, 9001, 0.25, 201), false);
	for (int step = 0; step < 2; step++) {
		see(call(A, 9000, 0.25, 200), false);
		see(call(A, 9001, 0.25, 201), false);
	}
	cr_expect(track(A)->learned);
	cr_expect_eq(track(A)->n_last, 2);
}

Test(reduction_sequence, told_steps_are_compared_with_one_another)
{
	gns_reduction_infer(r, false);
	three(A, 1, false); /* the first step of PyTorch has other buckets */
	see(call(A, 7000, 1, 300), false);
	gns_reduction_boundary(r);
	for (int step = 0; step < 2; step++) {
		three(A, 1, false);
		cr_expect_not(track(A)->learned);
		gns_reduction_boundary(r);
	}
	cr_expect(track(A)->learned);
	cr_expect_eq(track(A)->n_last, 3);
	gns_reduction_boundary(r); /* a step without a reduction */
	cr_expect(track(A)->learned);
	three(A, 1, false);
	cr_expect(gns_reduction_complete(track(A)));
	gns_reduction_boundary(r);
	cr_expect_not(gns_reduction_complete(track(A)));
}

Test(reduction_sequence, what_takes_the_mean_is_a_gradient)
{
	for (int step = 0; step < 2; step++)
		three(A, 0.25, false);
	cr_expect_eq(what(A), GNS_REDUCE_IS);
	for (int step = 0; step < 2; step++)
		three(B, 1, false);
	cr_expect_eq(what(B), GNS_REDUCE_UNSURE, "sums recur in a server, too");
}

Test(reduction_sequence, sums_are_gradients_where_the_parameters_were_broadcast)
{
	gns_reduction_broadcast(r, (const void *)(uintptr_t)A, 4, 0, 15003);
	gns_reduction_broadcast(r, (const void *)(uintptr_t)B, 4, 0, 20000);
	for (int step = 0; step < 2; step++) {
		three(A, 1, false);
		three(B, 1, false);
	}
	cr_expect_eq(what(A), GNS_REDUCE_IS);
	cr_expect_eq(what(B), GNS_REDUCE_UNSURE);
}

Test(reduction_sequence, with_told_steps_a_single_communicator_is_enough)
{
	gns_reduction_infer(r, false);
	for (int step = 0; step < 3; step++) {
		three(A, 1, false);
		gns_reduction_boundary(r);
	}
	cr_expect_eq(what(A), GNS_REDUCE_IS);
	for (int step = 0; step < 3; step++) {
		three(A, 1, false);
		see(call(B, 6000, 1, 400), false);
		gns_reduction_boundary(r);
	}
	cr_expect_eq(what(A), GNS_REDUCE_SEVERAL);
	cr_expect_eq(what(B), GNS_REDUCE_SEVERAL);
}

Test(reduction_sequence, what_is_reduced_in_forward_is_no_gradient)
{
	gns_reduction_infer(r, false);
	for (int step = 0; step < 3; step++) {
		see(call(B, 6000, 1, 400), true);
		three(A, 1, false);
		see(call(B, 6000, 1, 400), false);
		gns_reduction_boundary(r);
	}
	cr_expect_eq(what(B), GNS_REDUCE_FORWARD);
	cr_expect_eq(what(A), GNS_REDUCE_IS);
}

Test(reduction_sequence, devices_of_one_process_share_buckets)
{
	gns_reduction_infer(r, false);
	for (int step = 0; step < 3; step++) {
		three(A, 1, false);
		three(B, 1, false);
		gns_reduction_boundary(r);
	}
	cr_expect_eq(r->n_buckets, 3);
	cr_expect_eq(r->bucket[0].tracks, 2);
	cr_expect_eq(what(A), GNS_REDUCE_IS, "the same sequence is the same gradient on another device");
	cr_expect_eq(what(B), GNS_REDUCE_IS);
}

/* Gradients and activations of one size: a split model on one device. */
Test(reduction_sequence, communicators_of_one_device_share_nothing)
{
	gns_reduction_infer(r, false);
	for (int step = 0; step < 3; step++) {
		three(A, 0.25, false);
		for (uintptr_t i = 0; i < 3; i++) {
			struct gns_reduction n = call(B, 5000 + i, 0.25, 100 + i);
			n.device = A;
			see(n, false);
		}
		gns_reduction_boundary(r);
	}
	cr_expect_eq(r->n_buckets, 6);
	cr_expect_eq(r->bucket[0].tracks, 1);
	cr_expect_eq(r->bucket[3].tracks, 1);
}

Test(reduction_sequence, a_part_of_another_sequence_is_not_shared)
{
	gns_reduction_infer(r, false);
	for (int step = 0; step < 3; step++) {
		three(A, 0.25, false);
		see(call(B, 5001, 0.25, 900), false);
		gns_reduction_boundary(r);
	}
	cr_expect_eq(r->n_buckets, 4);
	for (uint32_t i = 0; i < 4; i++)
		cr_expect_eq(r->bucket[i].tracks, 1);
}

Test(reduction_sequence, the_same_sequence_again_has_the_same_buckets)
{
	for (int step = 0; step < 3; step++)
		three(A, 0.25, false);
	see(call(A, 9000, 0.25, 500), false);
	cr_expect_not(track(A)->learned);
	for (int step = 0; step < 200 && !track(A)->learned; step++)
		three(A, 0.25, false);
	gns_reduction_forget(r, (const void *)(uintptr_t)A);
	for (int step = 0; step < 3; step++)
		three(A, 0.25, false);
	cr_expect_eq(r->n_buckets, track(A)->bucket[0] + 3);
	cr_expect_eq(track(A)->bucket[0], 0);
}

Test(reduction_sequence, what_cannot_be_one)
{
	struct gns_reduction n = call(A, 5000, 1, 100);
	cr_expect_eq(gns_reduction_refuse(r, &n), GNS_REDUCE_IS);
	n.count = GNS_REDUCE_SMALL - 1;
	cr_expect_eq(gns_reduction_refuse(r, &n), GNS_REDUCE_FEW);
	n = call(A, 5000, 0, 100);
	cr_expect_eq(gns_reduction_refuse(r, &n), GNS_REDUCE_OPERATION);
	n = call(A, 5000, NAN, 100);
	cr_expect_eq(gns_reduction_refuse(r, &n), GNS_REDUCE_FACTOR);
	n = call(A, 5000, 1, 100);
	n.dtype = 0;
	cr_expect_eq(gns_reduction_refuse(r, &n), GNS_REDUCE_TYPE);
	n = call(A, 5000, 1, 100);
	n.world = 1;
	cr_expect_eq(gns_reduction_refuse(r, &n), GNS_REDUCE_ONE_RANK);
}

Test(reduction_sequence, a_shard_that_is_reduced_further_is_not_counted_again)
{
	struct gns_reduction scatter = call(A, 8000, 0.25, 100), further = call(B, 2000, 0.5, 777);
	scatter.kind = GNS_REDUCE_SCATTER;
	scatter.received = (const void *)777;
	cr_expect_eq(gns_reduction_refuse(r, &scatter), GNS_REDUCE_IS);
	cr_expect_eq(gns_reduction_refuse(r, &further), GNS_REDUCE_CHAINED);
	further.count = 2001;
	cr_expect_eq(gns_reduction_refuse(r, &further), GNS_REDUCE_IS);
}

Test(reduction_sequence, a_communicator_that_ends_makes_room)
{
	for (uintptr_t i = 1; i <= 100; i++) {
		struct gns_reduction n = call(i, 5000, 1, 100);
		cr_assert(gns_reduction_track(r, &n));
		gns_reduction_forget(r, n.comm);
	}
	cr_expect_eq(r->n_tracks, 1);
	for (uintptr_t i = 1; i <= GNS_REDUCE_TRACKS; i++) {
		struct gns_reduction n = call(i, 5000, 1, 100);
		cr_assert(gns_reduction_track(r, &n));
	}
	struct gns_reduction n = call(99, 5000, 1, 100);
	cr_expect_null(gns_reduction_track(r, &n));
}

/* q_big of what is received, by hand: four ranks send 1, 2, 3, 6, whose mean is 3. */
Test(reduction_sequence, norms_are_those_of_the_mean)
{
	double sum = 12, mean2 = 9;
	struct gns_reduction_bucket b = { .world = 4, .call = { .kind = GNS_REDUCE_ALL, .factor = 1 } };
	cr_expect_float_eq(gns_reduction_scale_big(&b) * sum * sum, mean2, 1e-12);
	b.call.factor = 0.25;
	cr_expect_float_eq(gns_reduction_scale_big(&b) * sum * sum / 16, mean2, 1e-12);
	b.call.factor = 0.375;
	cr_expect_float_eq(gns_reduction_scale_big(&b) * 0.375 * sum * 0.375 * sum, mean2, 1e-12);
	b.call.kind = GNS_REDUCE_SCATTER;
	cr_expect_float_eq(gns_reduction_scale_big(&b) * 0.375 * sum * 0.375 * sum, 4 * mean2, 1e-12, "a shard counts for all ranks");
}

Test(reduction_sequence, a_long_history_does_not_overflow)
{
	for (uintptr_t i = 0; i < 5 * GNS_REDUCE_CALLS; i++)
		see(call(A, 5000 + i % 397 * (i % 401), 0.25, i), false);
	gns_reduction_infer(r, false);
	for (uintptr_t i = 0; i < 3 * GNS_REDUCE_CALLS; i++)
		see(call(A, 5000 + i, 0.25, i), false);
	gns_reduction_boundary(r);
	cr_expect_not(track(A)->learned);
}
