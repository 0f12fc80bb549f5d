/* Sets of results on a device, outside captures. */
#include "test_device.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

Test(device, brings_a_norm_back)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(100003, 1);
	struct gns_set *set = begin(stream);
	const uint32_t slot = measured(set, stream, &f);

	cr_assert_eq(gns_set_delivered(set), 0);
	cr_assert_null(gns_set_values(set, 1));
	cr_assert_not(gns_set_captured(set));
	cr_assert_null(gns_set_gate(set, stream));
	OK(gns_set_finish(set));
	cr_assert(wait_for(set, 1));
	cr_assert_eq(gns_set_delivered(set), 1);
	NEAR(value_of(set, 1, slot), f.norm2);
	cr_assert(gns_set_was_open(set, 1));
	gns_set_release(set);
	cr_assert_eq(stats().devices, 1);
	cr_assert_eq(stats().bytes, (64u << 20) + GNS_SETS * (GNS_SET_SLOTS * 8 + GNS_SET_STREAMS * 64));
	cr_assert_eq(stats().errors, 0);
	cr_assert_gt(stats().driver_version, 11000);
}

/* Every stream its own slots, many rounds over the same sets, delivered in whatever order; the legacy stream among them. */
Test(device, keeps_streams_and_steps_apart)
{
	enum { STREAMS = 4, ROUNDS = 40, DEEP = 3 };
	use_device(0);
	CUstream streams[STREAMS] = { NULL };
	struct floats f[STREAMS];
	struct gns_set *sets[DEEP] = { NULL };
	uint32_t slots[DEEP][STREAMS], more[DEEP][STREAMS];

	for (int i = 0; i < STREAMS; i++) {
		streams[i] = i ? new_stream() : NULL;
		f[i] = new_floats(1000 + 777 * (size_t)i, (float)(i + 1));
	}
	for (int round = 0; round < ROUNDS + DEEP; round++) {
		const int at = round % DEEP;
		if (sets[at]) {
			cr_assert(wait_for(sets[at], 1), "round %d", round);
			for (int i = 0; i < STREAMS; i++) {
				NEAR(value_of(sets[at], 1, slots[at][i]), f[i].norm2 + f[(i + 1) % STREAMS].norm2);
				NEAR(value_of(sets[at], 1, more[at][i]), f[i].norm2);
			}
			gns_set_release(sets[at]);
			sets[at] = NULL;
		}
		if (round >= ROUNDS)
			continue;
		sets[at] = begin(streams[round % STREAMS]);
		for (int i = 0; i < STREAMS; i++) {
			slots[at][i] = measured(sets[at], streams[i], &f[i]);
			OK(measure(sets[at], streams[i], &f[(i + 1) % STREAMS], slots[at][i], true));
			more[at][i] = measured(sets[at], streams[i], &f[i]);
		}
		OK(gns_set_finish(sets[at]));
	}
	cr_assert_eq(stats().errors + stats().refused_busy + stats().refused_scratch, 0);
}

/* Also after an earlier step wrote all of them. */
Test(device, slots_hold_zero_until_they_are_written)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(10, 1);

	for (int round = 0; round < 3 * (int)GNS_SETS; round++) {
		struct gns_set *set = begin(stream);
		uint32_t first;
		OK(gns_set_slot(set, stream, GNS_SET_CHUNK, &first));
		for (uint32_t i = 0; i < GNS_SET_CHUNK; i++)
			if (round % 2 || i == 7)
				OK(measure(set, stream, &f, first + i, false));
		OK(gns_set_finish(set));
		cr_assert(wait_for(set, 1));
		for (uint32_t i = 0; i < GNS_SET_CHUNK; i++)
			NEAR(value_of(set, 1, first + i), round % 2 || i == 7 ? f.norm2 : 0);
		gns_set_release(set);
	}
}

Test(device, refuses_and_counts_what_does_not_fit)
{
	use_device(0);
	CUstream streams[GNS_SET_STREAMS + 1];
	struct gns_set *sets[GNS_SETS], *none;
	uint32_t slot;

	for (unsigned i = 0; i <= GNS_SET_STREAMS; i++)
		streams[i] = new_stream();
	for (unsigned i = 0; i < GNS_SETS; i++)
		sets[i] = begin(streams[0]);
	cr_assert_eq(gns_set_begin(current(), streams[0], &none), -EBUSY);
	cr_assert_null(none);
	cr_assert_eq(stats().refused_busy, 1);
	for (unsigned i = 0; i < GNS_SET_SLOTS / GNS_SET_CHUNK; i++)
		OK(gns_set_slot(sets[0], streams[0], GNS_SET_CHUNK, &slot));
	cr_assert_eq(slot, GNS_SET_SLOTS - GNS_SET_CHUNK);
	cr_assert_eq(gns_set_slot(sets[0], streams[0], 1, &slot), -ENOSPC);
	cr_assert_eq(stats().refused_slots, 1);
	cr_assert_eq(gns_set_slot(sets[1], streams[0], GNS_SET_CHUNK + 1, &slot), -EINVAL);
	OK(gns_set_slot(sets[1], streams[0], 40, &slot));
	cr_assert_eq(slot, 0);
	OK(gns_set_slot(sets[1], streams[0], 40, &slot)); /* in a row: not where 24 are left */
	cr_assert_eq(slot, GNS_SET_CHUNK);
	for (unsigned i = 0; i < GNS_SET_STREAMS; i++)
		OK(gns_set_slot(sets[1], streams[i], 1, &slot));
	cr_assert_eq(gns_set_slot(sets[1], streams[GNS_SET_STREAMS], 1, &slot), -EXDEV);
	cr_assert_eq(stats().refused_streams, 1);
	OK(gns_set_finish(sets[2]));
	cr_assert_eq(gns_set_slot(sets[2], streams[0], 1, &slot), -EIO); /* no more work may follow */
	gns_set_release(sets[3]); /* nothing was ever done in it */
	OK(gns_set_begin(current(), streams[0], &none));
	cr_assert_eq(none, sets[3]);
}

/* A set that was given back is not used again before its results are there: its slots are still being written. */
Test(device, a_released_set_stays_busy_until_it_is_delivered)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(5000, 1);
	static int held = 1;
	struct gns_set *sets[GNS_SETS], *set;

	OK(cuLaunchHostFunc(stream, hold_stream, &held));
	for (unsigned i = 0; i < GNS_SETS; i++) {
		sets[i] = begin(stream);
		measured(sets[i], stream, &f);
		if (i % 2) /* the others are finished by the release */
			OK(gns_set_finish(sets[i]));
		gns_set_release(sets[i]);
	}
	cr_assert_eq(gns_set_begin(current(), stream, &set), -EBUSY);
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
	OK(cuCtxSynchronize());
	for (unsigned i = 0; i < GNS_SETS; i++)
		OK(gns_set_begin(current(), stream, &set));
}

/* The trainer may destroy its stream right after its call; the work on it still runs. */
Test(device, delivers_what_ran_on_a_stream_that_is_gone)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(30000, 1);
	static int held = 1;
	struct gns_set *set = begin(stream);

	OK(cuLaunchHostFunc(stream, hold_stream, &held));
	const uint32_t slot = measured(set, stream, &f);
	OK(cuStreamDestroy_v2(stream));
	OK(gns_set_finish(set));
	cr_assert_eq(gns_set_delivered(set), 0);
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
	cr_assert(wait_for(set, 1));
	NEAR(value_of(set, 1, slot), f.norm2);
}

static void *finish_without_context(void *set)
{
	CUcontext before, after;
	OK(cuCtxGetCurrent(&before));
	cr_assert_null(before);
	OK(gns_set_finish(set));
	OK(cuCtxGetCurrent(&after));
	cr_assert_null(after);
	return NULL;
}

Test(device, finishes_from_a_thread_without_a_context)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(3000, 1);
	struct gns_set *set = begin(stream);
	const uint32_t slot = measured(set, stream, &f);
	pthread_t thread;

	OK(pthread_create(&thread, NULL, finish_without_context, set));
	OK(pthread_join(thread, NULL));
	cr_assert(wait_for(set, 1));
	NEAR(value_of(set, 1, slot), f.norm2);
}

Test(device, two_devices_do_not_meet)
{
	CUcontext contexts[2] = { use_device(1), use_device(0) };
	struct gns_device *devices[2];
	struct gns_set *sets[2];
	struct floats f[2];
	uint32_t slots[2];

	for (int i = 0; i < 2; i++) {
		OK(cuCtxSetCurrent(contexts[i]));
		f[i] = new_floats(2000, (float)(i + 1));
		devices[i] = current();
		cr_assert_eq(gns_device_number(devices[i]), 1 - i);
		cr_assert(gns_device_owns((void *)(uintptr_t)f[i].at));
		sets[i] = begin(NULL);
		slots[i] = measured(sets[i], NULL, &f[i]);
	}
	cr_assert_eq(slots[0], 0);
	cr_assert_not(gns_device_owns((void *)(uintptr_t)f[0].at));
	cr_assert_eq(gns_set_slot(sets[0], NULL, 1, &slots[0]), -EXDEV); /* this one's NULL is a stream of the other device */
	for (int i = 0; i < 2; i++) /* the context of device 0 is current in both */
		OK(gns_set_finish(sets[i]));
	for (int i = 0; i < 2; i++) {
		cr_assert(wait_for(sets[i], 1));
		NEAR(value_of(sets[i], 1, slots[i]), f[i].norm2);
		cr_assert_eq(gns_set_device(sets[i]), devices[i]);
	}
	cr_assert_eq(stats().devices, 2);
}

Test(device, knows_device_memory)
{
	CUdeviceptr managed;
	void *pinned;
	int here;

	use_device(0);
	const struct floats f = new_floats(100, 1);
	cr_assert(gns_device_owns((void *)(uintptr_t)f.at));
	cr_assert(gns_device_owns((void *)(uintptr_t)(f.at + 399)));
	cr_assert_not(gns_device_owns(&here));
	cr_assert_not(gns_device_owns(NULL));
	OK(cuMemAllocManaged(&managed, 4096, 1));
	cr_assert(gns_device_owns((void *)(uintptr_t)managed));
	OK(cuMemAllocHost_v2(&pinned, 4096));
	cr_assert_not(gns_device_owns(pinned)); /* a kernel could read it, far too slowly */
	OK(cuMemFree_v2(f.at));
	cr_assert_not(gns_device_owns((void *)(uintptr_t)f.at));
}

/* What a pool gave out is of no context; managed memory is everybody's. */
Test(device, knows_whose_memory_it_is)
{
	CUdeviceptr managed, pooled;
	CUcontext contexts[2] = { use_device(1), use_device(0) };

	OK(cuMemAllocManaged(&managed, 4096, 1));
	OK(cuMemAllocAsync(&pooled, 4096, NULL));
	cr_assert(gns_device_owns((void *)(uintptr_t)pooled));
	OK(cuCtxSetCurrent(contexts[0]));
	cr_assert(gns_device_owns((void *)(uintptr_t)managed));
	cr_assert_not(gns_device_owns((void *)(uintptr_t)pooled));
}

Test(device, a_set_keeps_memory_until_it_is_given_back)
{
	use_device(0);
	CUstream stream = new_stream();
	struct gns_set *set = begin(stream), *other = begin(stream);
	const size_t most = (16u << 20) - (1u << 20);
	char *a = gns_set_keep(set, 100), *b = gns_set_keep(set, 100), *c = gns_set_keep(set, most - 4096);

	cr_assert(a && b && c);
	cr_assert_eq((uintptr_t)a % 256 + (uintptr_t)b % 256 + (uintptr_t)c % 256, 0);
	cr_assert_geq(b, a + 100);
	cr_assert(c >= b + 100 || c + most - 4096 <= a);
	OK(cuMemsetD8_v2((CUdeviceptr)(uintptr_t)c, 1, most - 4096)); /* it is memory */
	cr_assert_null(gns_set_keep(other, 4096));
	cr_assert_null(gns_set_keep(set, SIZE_MAX - 5));
	cr_assert_eq(stats().refused_scratch, 1);
	gns_set_release(set);
	cr_assert(gns_set_keep(other, most));
}

/* Scratch of two streams with work under way is never the same. */
Test(device, streams_do_not_share_scratch)
{
	enum { MANY = 8 };
	use_device(0);
	CUstream streams[MANY];
	struct gns_set *sets[MANY];
	char *at[MANY];
	size_t size[MANY];
	unsigned none = 0;

	for (int i = 0; i < MANY; i++) {
		streams[i] = new_stream();
		sets[i] = begin(streams[i]);
		at[i] = gns_set_scratch(sets[i], streams[i], &size[i]);
		none += !at[i];
		cr_assert_eq((uintptr_t)at[i] % 256, 0);
		for (int k = 0; k < i && at[i]; k++)
			cr_assert(!at[k] || at[i] >= at[k] + size[k] || at[k] >= at[i] + size[i], "streams %d and %d", i, k);
	}
	cr_assert_eq(size[0], 24u << 20);
	cr_assert_eq(none, 3); /* four small regions beside the big one, and that of graphs is not theirs */
	cr_assert_eq(stats().refused_scratch, 3);
	gns_set_release(sets[2]); /* nothing ran: free at once */
	struct gns_set *set = begin(streams[MANY - 1]);
	cr_assert_eq(gns_set_scratch(set, streams[MANY - 1], &size[MANY - 1]), at[2]);
	gns_set_release(set);
	set = begin(streams[0]);
	cr_assert_eq(gns_set_scratch(set, streams[0], &size[0]), at[0], "one stream has one region");
}

static void *train(void *context)
{
	OK(cuCtxSetCurrent(context));
	CUstream stream = new_stream();
	const struct floats f = new_floats(1500, 1);
	for (int i = 0; i < 60; i++) {
		struct gns_set *set;
		if (gns_set_begin(current(), stream, &set)) /* the others have them all */
			continue;
		const uint32_t slot = measured(set, stream, &f);
		OK(gns_set_finish(set));
		cr_assert(wait_for(set, 1));
		NEAR(value_of(set, 1, slot), f.norm2);
		gns_set_release(set);
	}
	return NULL;
}

Test(device, threads_work_side_by_side)
{
	pthread_t threads[4];
	CUcontext context = use_device(0);
	current();
	for (int i = 0; i < 4; i++)
		OK(pthread_create(&threads[i], NULL, train, context));
	for (int i = 0; i < 4; i++)
		OK(pthread_join(threads[i], NULL));
	cr_assert_eq(stats().devices, 1);
	cr_assert_eq(stats().errors, 0);
}

static pthread_barrier_t line;
static void *meet(void *context)
{
	struct gns_device *device = NULL;
	OK(cuCtxSetCurrent(context));
	pthread_barrier_wait(&line);
	while (!device) {
		enum gns_device_off why;
		device = gns_device_current(&why);
		/* Another thread is just looking for the driver, or making it; nobody waits. */
		cr_assert(device || why == GNS_DEVICE_NO_DRIVER || why == GNS_DEVICE_CAPTURING);
	}
	return device;
}

Test(device, is_made_once_by_many_threads)
{
	pthread_t threads[6];
	void *device;
	CUcontext context = use_device(0);
	OK(pthread_barrier_init(&line, NULL, 6));
	for (int i = 0; i < 6; i++)
		OK(pthread_create(&threads[i], NULL, meet, context));
	for (int i = 0; i < 6; i++) {
		OK(pthread_join(threads[i], &device));
		cr_assert_eq(device, current());
	}
	cr_assert_eq(stats().devices, 1);
}

/* ---- the end of things ---- */

Test(device, results_outlive_their_context_and_its_handle)
{
	CUcontext context, again;

	use_device(0);
	OK(cuCtxCreate_v4(&context, NULL, 0, 0));
	const struct floats f = new_floats(700, 1);
	struct gns_device *device = current();
	struct gns_set *set = begin(NULL), *open = begin(NULL), *newer;
	const uint32_t slot = measured(set, NULL, &f);
	OK(gns_set_finish(set));
	OK(cuCtxSynchronize());
	OK(cuCtxDestroy_v2(context));
	OK(cuCtxCreate_v4(&again, NULL, 0, 0));
	cr_assert_neq(current(), device, "%s", again == context ? "the same handle, but another context" : "another context");
	cr_assert_eq(gns_set_delivered(set), 1);
	NEAR(value_of(set, 1, slot), f.norm2);
	if (again == context) {
		uint32_t other;
		cr_assert_eq(gns_set_slot(open, NULL, 1, &other), -EIO);
		cr_assert_neq(gns_set_finish(open), 0);
	}
	const struct floats g = new_floats(500, 1);
	newer = begin(NULL);
	const uint32_t place = measured(newer, NULL, &g);
	OK(gns_set_finish(newer));
	cr_assert(wait_for(newer, 1));
	NEAR(value_of(newer, 1, place), g.norm2);
	NEAR(value_of(set, 1, slot), f.norm2);
}

Test(device, polling_makes_no_call_of_the_driver)
{
	use_device(0);
	FAKE_ONLY(gns_fake_calls);
	CUstream stream = new_stream();
	const struct floats f = new_floats(700, 1);
	struct gns_set *set = begin(stream);
	const uint32_t slot = measured(set, stream, &f);
	OK(gns_set_finish(set));
	const uint64_t calls = FAKE(gns_fake_calls)();
	cr_assert(wait_for(set, 1));
	NEAR(value_of(set, 1, slot), f.norm2);
	cr_assert(gns_set_was_open(set, 1));
	gns_set_release(set);
	stats();
	cr_assert_eq(FAKE(gns_fake_calls)(), calls);
}

/* A child has the memory and not the context; what the device writes reaches the parent although pages were copied. */
Test(device, a_child_forgets)
{
	use_device(0);
	CUstream stream = new_stream();
	const struct floats f = new_floats(700, 1);
	static int held = 1;
	struct gns_set *set = begin(stream);

	OK(cuLaunchHostFunc(stream, hold_stream, &held));
	const uint32_t slot = measured(set, stream, &f);
	OK(gns_set_finish(set));
	int ends[2], status;
	char go;
	OK(pipe(ends));
	const pid_t child = fork();
	if (child == 0) {
		enum gns_device_off why;
		gns_device_forget();
		if (read(ends[0], &go, 1) != 1)
			_exit(1);
		const bool blank = gns_set_delivered(set) == 0 && !gns_set_values(set, 1);
		gns_set_release(set);
		_exit(blank && !gns_device_current(&why) ? 0 : 2);
	}
	const pid_t other = fork(); /* one that has not forgotten: the pages are the same ones, none was copied */
	if (other == 0)
		_exit(!wait_for(set, 1));
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
	cr_assert(wait_for(set, 1));
	NEAR(value_of(set, 1, slot), f.norm2);
	cr_assert_eq(write(ends[1], "g", 1), 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(waitpid(other, &status, 0), other);
	cr_assert_eq(status, 0);
}

/* A fault of the trainer's, or of ours: that device is left alone from then on. */
Test(device, is_off_after_an_error)
{
	enum gns_device_off why;
	use_device(0);
	FAKE_ONLY(gns_fake_break);
	CUstream stream = new_stream();
	const struct floats f = new_floats(700, 1);
	struct gns_set *set = begin(stream), *other = begin(stream), *none;
	uint32_t slot;

	FAKE(gns_fake_break)(CUDA_ERROR_ILLEGAL_ADDRESS, 2); /* a norm is two kernels */
	OK(gns_set_slot(set, stream, 1, &slot));
	cr_assert_eq(measure(set, stream, &f, slot, false), -EIO);
	cr_assert_eq(stats().errors, 1);
	cr_assert_eq(stats().error, CUDA_ERROR_ILLEGAL_ADDRESS);
	FAKE(gns_fake_break)(0, 0); /* all is well, but we do not trust it */
	const uint64_t calls = FAKE(gns_fake_calls)();
	cr_assert_eq(gns_set_finish(set), -EIO);
	cr_assert_eq(gns_set_finish(set), -EIO); /* nor the second time */
	cr_assert_eq(gns_set_slot(other, stream, 1, &slot), -EIO);
	cr_assert_eq(gns_set_finish(other), -EIO);
	cr_assert_eq(gns_set_begin(gns_set_device(set), stream, &none), -EIO);
	cr_assert_eq(FAKE(gns_fake_calls)(), calls);
	cr_assert_eq(gns_set_delivered(set), 0);
	cr_assert_null(gns_device_current(&why));
	cr_assert_eq(why, GNS_DEVICE_FAILED);
	cr_assert_str_eq(gns_device_off_name(why), "driver_error");
	cr_assert_eq(stats().off, GNS_DEVICE_FAILED);
	gns_set_release(set);
}

Test(device, says_why_not)
{
	enum gns_device_off why;
	CUcontext context;

	use_device(0);
	OK(cuCtxSetCurrent(NULL));
	cr_assert_null(gns_device_current(&why));
	cr_assert_eq(why, GNS_DEVICE_NO_CONTEXT);
	cr_assert_null(gns_device_current(NULL));
	FAKE_ONLY(gns_fake_calls); /* real contexts are large */
	setenv("GNS_DEVICE_SCRATCH_MIB", "8", 1);
	for (unsigned i = 0; i <= GNS_DEVICES_MAX; i++) {
		OK(cuCtxCreate_v4(&context, NULL, 0, 0));
		cr_assert_eq(gns_device_current(&why) != NULL, i < GNS_DEVICES_MAX);
	}
	cr_assert_eq(why, GNS_DEVICE_TOO_MANY);
	cr_assert_eq(stats().off, GNS_DEVICE_TOO_MANY);
	cr_assert_eq(stats().devices, GNS_DEVICES_MAX);
}

Test(device, without_memory_there_is_none)
{
	enum gns_device_off why;
	use_device(0);
	FAKE_ONLY(gns_fake_starve);
	FAKE(gns_fake_starve)(32u << 20);
	cr_assert_null(gns_device_current(&why));
	cr_assert_eq(why, GNS_DEVICE_NO_MEMORY);
	cr_assert_null(gns_device_current(&why)); /* and it is not tried again and again */
	cr_assert_eq(why, GNS_DEVICE_NO_MEMORY);
	cr_assert_eq(stats().bytes + stats().devices + stats().errors, 0);
}

Test(device, makes_the_context_of_a_stream_current)
{
	CUcontext contexts[2] = { use_device(1), use_device(0) }, now;
	void *token;

	OK(cuCtxSetCurrent(contexts[0]));
	CUstream stream = new_stream();
	OK(cuCtxSetCurrent(contexts[1]));
	cr_assert(gns_device_enter(stream, &token));
	OK(cuCtxGetCurrent(&now));
	cr_assert_eq(now, contexts[0]);
	gns_device_leave(token);
	OK(cuCtxGetCurrent(&now));
	cr_assert_eq(now, contexts[1]);
	cr_assert(gns_device_enter(NULL, &token));
	cr_assert_null(token);
	gns_device_leave(token);
}
