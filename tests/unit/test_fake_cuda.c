/* The fake driver itself: that it keeps the order of streams, and that it ends a program which does what the real one forbids. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fakes/cuda_api.h"
#include "tests/fakes/cuda_fake.h"

#define OK(call) cr_assert_eq((int)(call), 0, #call)
#define AT(address) ((void *)(uintptr_t)(address))

static CUcontext start(void)
{
	CUcontext context;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&context, 0));
	OK(cuCtxSetCurrent(context));
	return context;
}

static CUdeviceptr memory(size_t bytes)
{
	CUdeviceptr at;
	OK(cuMemAlloc_v2(&at, bytes));
	return at;
}

static CUstream stream_of(unsigned flags)
{
	CUstream stream;
	OK(cuStreamCreate(&stream, flags));
	return stream;
}

/* ---- order ---- */

struct note {
	int *log, *n, what;
};

static void write_note(void *args)
{
	const struct note *note = args;
	note->log[__atomic_fetch_add(note->n, 1, __ATOMIC_SEQ_CST)] = note->what;
}

static int notes[4096], n_notes;

static void note(CUstream stream, int what)
{
	struct note mine = { notes, &n_notes, what };
	OK(gns_fake_enqueue(stream, "note", write_note, &mine, sizeof mine));
}

static int place(int what)
{
	for (int i = 0; i < n_notes; i++)
		if (notes[i] == what)
			return i;
	return -1;
}

Test(fake_cuda, streams_keep_their_order_and_events_keep_it_between_them)
{
	start();
	CUstream a = stream_of(CU_STREAM_NON_BLOCKING), b = stream_of(CU_STREAM_NON_BLOCKING);
	CUevent event;
	OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	for (int i = 0; i < 200; i++) {
		note(a, 4 * i);
		note(b, 4 * i + 1);
		OK(cuEventRecord(event, a));
		OK(cuStreamWaitEvent(b, event, 0));
		note(b, 4 * i + 2);
	}
	OK(cuCtxSynchronize());
	bool overtaken = false;
	for (int i = 0; i < 200; i++) {
		cr_assert_lt(place(4 * i), place(4 * i + 2));
		cr_assert_lt(place(4 * i + 1), place(4 * i + 2));
		overtaken = overtaken || place(4 * i) > place(4 * i + 1);
	}
	cr_assert(overtaken, "nothing was ever out of order: the fake proves nothing");
}

Test(fake_cuda, the_legacy_stream_waits_and_is_waited_for)
{
	start();
	CUstream blocking = stream_of(0), free_one = stream_of(CU_STREAM_NON_BLOCKING);
	bool overtaken = false;
	for (int i = 0; i < 200; i++) {
		note(blocking, 4 * i);
		note(NULL, 4 * i + 1);
		note(blocking, 4 * i + 2);
		note(free_one, 4 * i + 3);
	}
	OK(cuCtxSynchronize());
	for (int i = 0; i < 200; i++) {
		cr_assert(place(4 * i) < place(4 * i + 1) && place(4 * i + 1) < place(4 * i + 2));
		overtaken = overtaken || place(4 * i + 3) < place(4 * i + 2);
	}
	cr_assert(overtaken);
}

Test(fake_cuda, copies_fills_and_fresh_memory)
{
	float values[4] = { 1, 2, 3, 4 }, back[4] = { 0 };
	start();
	CUstream stream = stream_of(CU_STREAM_NON_BLOCKING);
	CUdeviceptr a = memory(16), b = memory(16);
	OK(cuMemcpyDtoH_v2(back, a, 16));
	cr_assert(isnan(back[0]) && isnan(back[3]), "fresh memory is NaN");
	OK(cuMemcpyHtoDAsync_v2(a, values, 16, stream));
	values[0] = 9; /* the copy has been staged */
	OK(cuMemcpyDtoDAsync_v2(b, a, 16, stream));
	OK(cuMemsetD32Async(b + 12, 0, 1, stream));
	OK(cuMemcpyDtoHAsync_v2(back, b, 16, stream));
	OK(cuStreamSynchronize(stream));
	cr_assert(back[0] == 1 && back[1] == 2 && back[2] == 3 && back[3] == 0);
}

Test(fake_cuda, a_graph_replays_what_was_captured)
{
	start();
	CUstream a = stream_of(CU_STREAM_NON_BLOCKING), b = stream_of(CU_STREAM_NON_BLOCKING);
	CUdeviceptr x = memory(4), y = memory(4);
	CUevent fork, join;
	CUgraph graph;
	CUgraphExec exec;
	uint32_t value;
	OK(cuEventCreate(&fork, 0));
	OK(cuEventCreate(&join, 0));
	OK(cuMemsetD32_v2(x, 1, 1));
	OK(cuMemsetD32_v2(y, 0, 1));
	OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuEventRecord(fork, a));
	OK(cuStreamWaitEvent(b, fork, 0));
	OK(cuMemcpyDtoDAsync_v2(y, x, 4, b));
	OK(cuEventRecord(join, b));
	OK(cuStreamWaitEvent(a, join, 0));
	OK(cuMemsetD32Async(x, 7, 1, a));
	OK(cuStreamEndCapture(a, &graph));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuMemcpyDtoH_v2(&value, x, 4));
	cr_assert_eq(value, 1, "a capture runs nothing");
	OK(cuGraphLaunch(exec, b));
	OK(cuStreamSynchronize(b));
	OK(cuMemcpyDtoH_v2(&value, y, 4));
	cr_assert_eq(value, 1);
	OK(cuGraphLaunch(exec, b));
	OK(cuStreamSynchronize(b));
	OK(cuMemcpyDtoH_v2(&value, y, 4));
	cr_assert_eq(value, 7);
}

static unsigned seen;
static struct gns_fake_activity activity;
static void look(const struct gns_fake_activity *a)
{
	activity = *a;
	seen++;
}

Test(fake_cuda, tells_an_observer_and_the_names_of_functions)
{
	void *function = NULL;
	start();
	CUstream stream = stream_of(CU_STREAM_NON_BLOCKING);
	CUdeviceptr a = memory(64);
	gns_fake_observe(look);
	OK(cuMemsetD8Async(a, 1, 64, stream));
	OK(cuStreamSynchronize(stream));
	gns_fake_observe(NULL);
	OK(cuMemsetD8Async(a, 1, 64, stream));
	OK(cuStreamSynchronize(stream));
	cr_assert_eq(seen, 1);
	cr_assert_str_eq(activity.name, "memset");
	cr_assert(activity.queued <= activity.start && activity.start <= activity.end && activity.bytes == 64);
	OK(cuGetProcAddress_v2("cuMemAlloc", &function, 13000, 0, NULL));
	cr_assert_eq(function, (void *)cuMemAlloc_v2);
	OK(cuGetProcAddress_v2("cuGraphInstantiate", &function, 13000, 0, NULL));
	cr_assert_eq(function, (void *)cuGraphInstantiateWithFlags);
	cr_assert_eq((int)cuGetProcAddress_v2("cuNoSuch", &function, 13000, 0, NULL), CUDA_ERROR_NOT_FOUND);
}

static void twice(const uint32_t grid[3], const uint32_t block[3], void *const *parameters)
{
	float *x = *(float *const *)parameters[0];
	const int n = *(const int *)parameters[1];
	for (int i = 0; i < n; i++)
		x[i] *= (float)(grid[0] * block[0]);
}

Test(fake_cuda, runs_kernels_of_the_trainers_own)
{
	start();
	CUmodule module;
	CUfunction function;
	CUdeviceptr x = memory(8);
	float values[2] = { 1, 2 };
	int n = 2;
	void *parameters[] = { &x, &n };
	gns_fake_register_kernel("twice", twice, 2, (const size_t[]){ sizeof x, sizeof n });
	OK(cuMemcpyHtoD_v2(x, values, 8));
	OK(cuModuleLoadData(&module, "image"));
	cr_assert_eq((int)cuModuleGetFunction(&function, module, "thrice"), CUDA_ERROR_NOT_FOUND);
	OK(cuModuleGetFunction(&function, module, "twice"));
	OK(cuLaunchKernel(function, 1, 1, 1, 2, 1, 1, 0, NULL, parameters, NULL));
	n = 0; /* it was copied */
	OK(cuMemcpyDtoH_v2(values, x, 8));
	cr_assert(values[0] == 2 && values[1] == 4);
}

Test(fake_cuda, does_nothing_in_a_child_or_before_its_time)
{
	CUcontext context = NULL;
	CUdeviceptr at;
	int status;
	cr_assert_eq((int)cuMemAlloc_v2(&at, 4), CUDA_ERROR_NOT_INITIALIZED);
	start();
	const pid_t child = fork();
	if (!child)
		_exit((int)cuMemAlloc_v2(&at, 4) != CUDA_ERROR_NOT_INITIALIZED || (int)cuCtxGetCurrent(&context) != CUDA_ERROR_NOT_INITIALIZED);
	waitpid(child, &status, 0);
	cr_assert_eq(status, 0);
	cr_assert_eq((int)cuMemFree_v2(0), 0);
}

/* ---- what is forbidden ---- */

static void ends_with(void (*crime)(void), const char *words)
{
	char text[1024] = "";
	int ends[2], status;
	size_t n = 0;
	OK(pipe(ends));
	const pid_t child = fork();
	if (!child) {
		dup2(ends[1], 2);
		close(ends[0]);
		crime();
		_exit(0);
	}
	close(ends[1]);
	for (ssize_t got; n < sizeof text - 1 && (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0;)
		n += (size_t)got;
	close(ends[0]);
	waitpid(child, &status, 0);
	cr_assert(!WIFEXITED(status) && strstr(text, words), "wanted \"%s\", got \"%s\" and status %d", words, text, status);
}

static CUstream captured(unsigned flags)
{
	start();
	CUstream stream = stream_of(flags);
	OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	return stream;
}

static void allocate(void) { captured(CU_STREAM_NON_BLOCKING), memory(4); }
static void synchronize(void) { cuStreamSynchronize(captured(CU_STREAM_NON_BLOCKING)); }
static void synchronize_all(void) { captured(CU_STREAM_NON_BLOCKING), cuCtxSynchronize(); }
static void use_legacy(void) { captured(0), note(NULL, 1); }
static void load_module(void)
{
	CUmodule module;
	captured(CU_STREAM_NON_BLOCKING), cuModuleLoadData(&module, "image");
}
static void ask_event(void)
{
	CUevent event;
	CUstream stream = captured(CU_STREAM_NON_BLOCKING);
	cuEventCreate(&event, 0), cuEventRecord(event, stream), cuEventQuery(event);
}
static void wait_for_outside(void)
{
	CUevent event;
	start();
	CUstream a = stream_of(CU_STREAM_NON_BLOCKING), b = stream_of(CU_STREAM_NON_BLOCKING);
	cuEventCreate(&event, 0), cuEventRecord(event, b);
	cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED), cuStreamWaitEvent(a, event, 0);
}
static void leave_unjoined(void)
{
	CUevent event;
	CUgraph graph;
	CUstream a = captured(CU_STREAM_NON_BLOCKING), b = stream_of(CU_STREAM_NON_BLOCKING);
	cuEventCreate(&event, 0), cuEventRecord(event, a), cuStreamWaitEvent(b, event, 0), note(b, 1);
	cuStreamEndCapture(a, &graph);
}
static void *allocate_elsewhere(void *context)
{
	CUdeviceptr at;
	cuCtxSetCurrent(context), cuMemAlloc_v2(&at, 4);
	return NULL;
}
static void allocate_in_another_thread(void)
{
	pthread_t thread;
	CUcontext context;
	captured(CU_STREAM_NON_BLOCKING), cuCtxGetCurrent(&context);
	pthread_create(&thread, NULL, allocate_elsewhere, context), pthread_join(thread, NULL);
}

Test(fake_cuda, forbids_in_a_capture)
{
	ends_with(allocate, "cuMemAlloc: forbidden while this thread captures");
	ends_with(allocate_in_another_thread, "cuMemAlloc: forbidden while another thread captures");
	ends_with(synchronize, "cuStreamSynchronize: stream ");
	ends_with(synchronize_all, "cuCtxSynchronize: forbidden");
	ends_with(use_legacy, "note: on the legacy stream while blocking stream");
	ends_with(load_module, "cuModuleLoadData: forbidden");
	ends_with(ask_event, "cuEventQuery: the event was recorded in a capture");
	ends_with(wait_for_outside, "the event was recorded outside of it");
	ends_with(leave_unjoined, "was never joined");
}

static void other_context(void)
{
	CUcontext other;
	start();
	CUstream stream = stream_of(0);
	cuCtxCreate_v4(&other, NULL, 0, 0), note(stream, 1);
}
static void destroyed_stream(void)
{
	start();
	CUstream stream = stream_of(0);
	cuStreamDestroy_v2(stream), note(stream, 1);
}
static void freed_twice(void)
{
	start();
	CUdeviceptr a = memory(4);
	cuMemFree_v2(a), cuMemFree_v2(a);
}
static void copy_freed(void)
{
	start();
	CUdeviceptr a = memory(4), b = memory(4);
	cuMemFree_v2(a), cuMemcpyDtoD_v2(b, a, 4);
}
static void copy_too_much(void)
{
	char host[64];
	start();
	cuMemcpyDtoH_v2(host, memory(60), 61);
}
static void copy_host(void)
{
	char host[64];
	start();
	cuMemcpyDtoD_v2(memory(64), (CUdeviceptr)(uintptr_t)host, 64);
}
static void copy_foreign(void)
{
	CUcontext other;
	char host[4];
	start();
	CUdeviceptr a = memory(4);
	cuCtxCreate_v4(&other, NULL, 0, 0), cuMemcpyDtoH_v2(host, a, 4);
}
static void need_more(void)
{
	start();
	CUdeviceptr a = memory(100);
	gns_fake_need(AT(a), 101, "cublasSgemm_v2", "C");
}
static void touch(void *args)
{
	++**(volatile char **)args;
}
static void touch_freed(void)
{
	start();
	CUdeviceptr a = memory(100);
	cuMemFree_v2(a);
	gns_fake_enqueue(NULL, "some_kernel", touch, &a, sizeof a), cuCtxSynchronize();
}
static void touch_behind(void)
{
	start();
	CUdeviceptr a = memory(256) + 256;
	gns_fake_enqueue(NULL, "some_kernel", touch, &a, sizeof a), cuCtxSynchronize();
}
static void use_destroyed_event(void)
{
	CUevent event;
	start();
	cuEventCreate(&event, 0), cuEventDestroy_v2(event), cuEventRecord(event, NULL);
}
static void launch_destroyed_graph(void)
{
	CUgraph graph;
	CUgraphExec exec;
	CUstream stream = captured(CU_STREAM_NON_BLOCKING);
	cuStreamEndCapture(stream, &graph), cuGraphInstantiateWithFlags(&exec, graph, 0);
	cuGraphExecDestroy(exec), cuGraphLaunch(exec, stream);
}

Test(fake_cuda, forbids_what_is_gone_foreign_or_too_short)
{
	ends_with(other_context, "is not of the current context");
	ends_with(destroyed_stream, "was destroyed");
	ends_with(freed_twice, "was freed before");
	ends_with(copy_freed, "is freed");
	ends_with(copy_too_much, "is too short");
	ends_with(copy_host, "is no memory of a device");
	ends_with(copy_foreign, "is memory of another context");
	ends_with(need_more, "cublasSgemm_v2: C (");
	ends_with(touch_freed, "in an allocation of 100 that was freed");
	ends_with(touch_behind, "some_kernel touched");
	ends_with(use_destroyed_event, "this event was destroyed");
	ends_with(launch_destroyed_graph, "this graph was destroyed");
}
