/* Sets of results in captures, and what comes of them when their graph is replayed. */
#include "test_device.h"

#include <pthread.h>

struct graph {
	CUstream stream;
	CUgraphExec exec;
};

static void begin_capture(CUstream stream)
{
	OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
}

static struct graph end_capture(CUstream stream)
{
	CUgraph graph;
	struct graph g = { .stream = stream };
	OK(cuStreamEndCapture(stream, &graph));
	OK(cuGraphInstantiateWithFlags(&g.exec, graph, 0));
	return g;
}

static void replay(const struct graph *g)
{
	OK(cuGraphLaunch(g->exec, g->stream));
}

static void refill(struct floats *f, float scale)
{
	float *values = malloc(f->n * sizeof *values);
	draw(values, f->n, scale, &f->norm2);
	OK(cuMemcpyHtoD_v2(f->at, values, f->n * sizeof *values));
	free(values);
}

Test(device_graphs, every_replay_delivers_anew)
{
	use_device(0);
	CUstream stream = new_stream();
	struct floats f = new_floats(40000, 1);
	double truth[12];

	current();
	begin_capture(stream);
	cr_assert(gns_device_capturing(stream));
	struct gns_set *set = begin(stream);
	const uint32_t slot = measured(set, stream, &f);
	OK(measure(set, stream, &f, slot, true)); /* twice what it was */
	OK(gns_set_finish(set));
	const struct graph g = end_capture(stream);
	cr_assert_not(gns_device_capturing(stream));
	cr_assert(gns_set_captured(set));
	cr_assert_eq(gns_set_delivered(set), 0);
	for (uint64_t i = 1; i <= 12; i++) {
		refill(&f, (float)i);
		truth[i - 1] = 2 * f.norm2;
		replay(&g);
		cr_assert(wait_for(set, i));
		OK(cuStreamSynchronize(stream));
		cr_assert_eq(gns_set_delivered(set), i);
		for (uint64_t k = 1; k <= 12; k++) {
			if (k > i || k + GNS_SET_RING <= i)
				cr_assert_null(gns_set_values(set, k), "delivery %d of %d", (int)k, (int)i);
			else
				NEAR(value_of(set, k, slot), truth[k - 1]);
		}
		cr_assert(gns_set_was_open(set, i));
	}
	cr_assert_eq(stats().captures, 1);
	cr_assert_eq(stats().errors, 0);
}

Test(device_graphs, a_closed_gate_delivers_zeros)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(4000, 1);

	current();
	begin_capture(stream);
	struct gns_set *set = begin(stream);
	cr_assert(gns_set_gate(set, stream));
	const uint32_t slot = measured(set, stream, &f);
	OK(gns_set_finish(set));
	struct gns_set *idle = begin(stream);
	uint32_t unused;
	OK(gns_set_slot(idle, stream, 1, &unused)); /* and nothing is launched */
	OK(gns_set_finish(idle));
	const struct graph g = end_capture(stream);
	for (uint64_t i = 1; i <= 6; i++) {
		gns_set_open_gate(set, i % 3 != 0);
		replay(&g);
		cr_assert(wait_for(set, i));
		cr_assert_eq(gns_set_was_open(set, i), i % 3 != 0);
		NEAR(value_of(set, i, slot), i % 3 ? f.norm2 : 0);
		cr_assert(wait_for(idle, i));
		cr_assert_eq(value_of(idle, i, unused), 0);
	}
}

/* Forked off and joined as a capture wants it; each stream its own slots and its own delivery. */
Test(device_graphs, streams_of_one_capture)
{
	use_device(0);
	CUstream main_stream = new_stream(), side = new_stream();
	const struct floats f = new_floats(4000, 1), g = new_floats(3000, 2);
	CUevent fork, join;

	current();
	OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
	begin_capture(main_stream);
	struct gns_set *set = begin(main_stream);
	OK(cuEventRecord(fork, main_stream));
	OK(cuStreamWaitEvent(side, fork, 0));
	const uint32_t a = measured(set, main_stream, &f), b = measured(set, side, &g);
	OK(cuEventRecord(join, side));
	OK(cuStreamWaitEvent(main_stream, join, 0));
	OK(gns_set_finish(set)); /* what it adds to the side stream would be joined by nobody */
	const struct graph graph = end_capture(main_stream);
	cr_assert_neq(gns_set_gate(set, main_stream), gns_set_out(set, a));
	for (uint64_t i = 1; i <= 5; i++) {
		replay(&graph);
		cr_assert(wait_for(set, i));
		NEAR(value_of(set, i, a), f.norm2);
		NEAR(value_of(set, i, b), g.norm2);
	}
}

Test(device_graphs, captured_and_eager_work_do_not_mix)
{
	use_device(0);
	CUstream stream = new_stream(), other = new_stream();
	const struct floats f = new_floats(400, 1);
	uint32_t slot;

	current();
	struct gns_set *eager = begin(stream);
	const uint32_t place = measured(eager, stream, &f);
	begin_capture(stream);
	cr_assert_eq(gns_set_slot(eager, stream, 1, &slot), -EXDEV);
	cr_assert_eq(measure(eager, stream, &f, place, true), -ENOMEM); /* no scratch there */
	const struct gns_cu_plan nothing = { 0 };
	cr_assert_eq(gns_set_launch(eager, stream, &nothing), -EXDEV);
	OK(gns_set_finish(eager)); /* beside the capture, on a stream of ours */
	struct gns_set *captured = begin(stream);
	cr_assert_eq(gns_set_slot(captured, other, 1, &slot), -EXDEV);
	measured(captured, stream, &f);
	end_capture(stream);
	cr_assert_eq(gns_set_slot(captured, stream, 1, &slot), -EXDEV);
	cr_assert_eq(gns_set_finish(captured), -EXDEV); /* too late: it can never be delivered */
	cr_assert_eq(gns_set_delivered(captured), 0);
	begin_capture(stream);
	struct gns_set *late = begin(stream);
	measured(late, stream, &f);
	end_capture(stream);
	begin_capture(stream); /* another one, on the same stream */
	cr_assert_eq(gns_set_slot(captured, stream, 1, &slot), -EIO);
	cr_assert_eq(gns_set_finish(late), -EXDEV);
	struct gns_set *next = begin(stream);
	OK(gns_set_slot(next, stream, 1, &slot));
	OK(gns_set_finish(next));
	end_capture(stream);
	cr_assert(wait_for(eager, 1));
	NEAR(value_of(eager, 1, place), f.norm2);
	cr_assert_geq(stats().refused_capture, 4);
	cr_assert_eq(stats().errors, 0);
}

/* What a replay writes to must not be lent to others, and not all sets may become graphs'. */
Test(device_graphs, graphs_have_memory_of_their_own)
{
	enum { MANY = 6 };
	use_device(0);
	CUstream stream = new_stream();
	char *at[MANY + 1] = { NULL };
	size_t size[MANY + 1];
	struct gns_set *set;
	int n = 0;

	current();
	for (int i = 0; i < MANY; i++) {
		begin_capture(stream);
		const int rc = gns_set_begin(current(), stream, &set);
		cr_assert_eq(rc, i < (int)GNS_SETS / 2 ? 0 : -EBUSY, "capture %d", i);
		if (!rc)
			at[n] = gns_set_scratch(set, stream, &size[n]);
		if (!rc)
			OK(gns_set_finish(set));
		n += !rc;
		end_capture(stream);
	}
	cr_assert_eq(stats().refused_capture, 2);
	struct gns_set *eager = begin(stream);
	at[n] = gns_set_scratch(eager, stream, &size[n]);
	for (int i = 0; i <= n; i++)
		for (int k = 0; k < i; k++)
			cr_assert(at[i] && (at[i] >= at[k] + size[k] || at[k] >= at[i] + size[i]), "%d and %d", i, k);
	cr_assert_eq(size[0], 8u << 20);
	cr_assert_eq(size[n], 24u << 20);
}

/* Regions that streams took before are lent on to a graph only when nothing is under way there; then there may be none. */
Test(device_graphs, a_capture_that_has_no_scratch_is_refused)
{
	use_device(0);
	CUstream streams[5], stream = new_stream();
	struct gns_set *sets[5], *set;
	size_t size;

	current();
	for (int i = 0; i < 5; i++) {
		streams[i] = new_stream();
		sets[i] = begin(streams[i]);
		cr_assert(gns_set_scratch(sets[i], streams[i], &size));
	}
	for (int i = 0; i < 2; i++) {
		begin_capture(stream);
		set = begin(stream);
		cr_assert_eq(gns_set_scratch(set, stream, &size) != NULL, i == 0);
		cr_assert_eq(size != 0, i == 0);
		OK(gns_set_finish(set));
		end_capture(stream);
	}
	cr_assert_eq(stats().refused_scratch, 1);
}

/* A replay on one stream, eager steps on another, all the time: each has its own. */
Test(device_graphs, replays_beside_eager_steps)
{
	use_device(0);
	CUstream streams[2] = { new_stream(), new_stream() };
	const struct floats f = new_floats(9000, 1), g = new_floats(7000, 3);

	current();
	begin_capture(streams[0]);
	struct gns_set *captured = begin(streams[0]);
	const uint32_t slot = measured(captured, streams[0], &f);
	OK(gns_set_finish(captured));
	const struct graph graph = end_capture(streams[0]);
	for (uint64_t i = 1; i <= 30; i++) {
		replay(&graph);
		struct gns_set *set = begin(streams[1]);
		const uint32_t place = measured(set, streams[1], &g);
		OK(gns_set_finish(set));
		cr_assert(wait_for(set, 1));
		NEAR(value_of(set, 1, place), g.norm2);
		gns_set_release(set);
		cr_assert(wait_for(captured, i));
		NEAR(value_of(captured, i, slot), f.norm2);
	}
}

/* ---- the first meeting ---- */

/* On a stream that the legacy stream waits for, nothing of the kind may happen now; it is tried again. */
Test(device_graphs, a_context_first_met_in_a_capture_is_tried_again)
{
	enum gns_device_off why;
	CUstream stream;

	use_device(0);
	OK(cuStreamCreate(&stream, 0));
	begin_capture(stream);
	cr_assert_null(gns_device_current(&why));
	cr_assert_eq(why, GNS_DEVICE_CAPTURING);
	cr_assert_not(gns_device_capturing(NULL)); /* nobody can tell */
	end_capture(stream);
	cr_assert(gns_device_current(&why));
	cr_assert_eq(why, GNS_DEVICE_ON);
}

/* Here nobody can know of the capture; our own allocations are no part of it and must not break it. */
Test(device_graphs, taking_memory_does_not_break_a_capture)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(400, 1);

	begin_capture(stream);
	struct gns_set *set = begin(stream);
	const uint32_t slot = measured(set, stream, &f);
	OK(gns_set_finish(set));
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	cr_assert_eq(mode, CU_STREAM_CAPTURE_MODE_GLOBAL, "the thread's mode is as it was");
	const struct graph g = end_capture(stream);
	replay(&g);
	cr_assert(wait_for(set, 1));
	NEAR(value_of(set, 1, slot), f.norm2);
}

static void *work_eagerly(void *context)
{
	OK(cuCtxSetCurrent(context));
	CUstream stream = new_stream();
	CUdeviceptr at;
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	OK(cuThreadExchangeStreamCaptureMode(&mode)); /* what a trainer's own allocation beside a capture needs */
	OK(cuMemAlloc_v2(&at, 4000));
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	OK(cuMemsetD32Async(at, 0x40000000, 1000, stream)); /* 2.0f */
	const struct floats f = { at, 1000, 4000 };
	struct gns_set *set = begin(stream);
	const uint32_t slot = measured(set, stream, &f);
	OK(gns_set_finish(set));
	cr_assert(wait_for(set, 1));
	NEAR(value_of(set, 1, slot), f.norm2);
	gns_set_release(set);
	return NULL;
}

Test(device_graphs, works_while_another_thread_captures)
{
	CUcontext context = use_device(0);
	CUstream stream = new_stream();
	pthread_t thread;

	begin_capture(stream);
	OK(pthread_create(&thread, NULL, work_eagerly, context));
	OK(pthread_join(thread, NULL));
	end_capture(stream);
}
