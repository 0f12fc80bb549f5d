/* The life of a trainer on a GPU: what programs do with streams, contexts, memory, children and their own end while they train.
 *
 *     gpu_life HOW STEPS
 *
 * Two layers without an activation, by cuBLAS; the optimizer is on the host. Prints a hash of the weights at the end, which is the same in
 * every life that comes to its end. */
#include <pthread.h>
#include <stdbool.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_api.h"

int cudaStreamEndCapture(CUstream stream, CUgraph *graph);
int cudaGraphLaunch(CUgraphExec exec, CUstream stream);

enum { BATCH = 24, IN = 40, HIDDEN = 32, OUT = 12 };
#define OK(call)                                                            \
	do {                                                                \
		int ok_ = (int)(call);                                      \
		if (ok_) {                                                  \
			printf("%s: %d, step %d\n", #call, ok_, now_step); \
			_exit(9);                                           \
		}                                                           \
	} while (0)

extern char **environ;
static int now_step;
static const char *how;

static float weight[2][HIDDEN * (IN > OUT ? IN : OUT)]; /* on the host: rows x cols of in x out */
static const int sizes[3] = { IN, HIDDEN, OUT };

struct gpu {
	CUcontext context;
	CUstream stream;
	cublasHandle_t blas;
	CUdeviceptr w[2], dw[2], x, h, y, dy, dh;
};
static struct gpu gpu;

static bool is(const char *name)
{
	return !strcmp(how, name);
}

static float draw(void)
{
	static uint32_t state = 12345;
	state = state * 1664525u + 1013904223u;
	return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static CUdeviceptr room(int n)
{
	CUdeviceptr at;
	if (is("pool"))
		OK(cuMemAllocAsync(&at, (size_t)n * sizeof(float), gpu.stream));
	else
		OK(cuMemAlloc_v2(&at, (size_t)n * sizeof(float)));
	return at;
}

static void drop(CUdeviceptr at)
{
	if (is("pool"))
		OK(cuMemFreeAsync(at, gpu.stream)); /* work on it may still wait */
	else
		OK(cuMemFree_v2(at));
}

static void take_buffers(void)
{
	gpu.x = room(BATCH * IN), gpu.h = room(BATCH * HIDDEN), gpu.y = room(BATCH * OUT);
	gpu.dy = room(BATCH * OUT), gpu.dh = room(BATCH * HIDDEN);
	gpu.dw[0] = room(IN * HIDDEN), gpu.dw[1] = room(HIDDEN * OUT);
}

static void drop_buffers(void)
{
	drop(gpu.x), drop(gpu.h), drop(gpu.y), drop(gpu.dy), drop(gpu.dh), drop(gpu.dw[0]), drop(gpu.dw[1]);
}

static void open_device(void)
{
	CUdevice device;
	OK(cuDeviceGet(&device, 0));
	if (is("destroy"))
		OK(cuCtxCreate_v2(&gpu.context, 0, device));
	else
		OK(cuDevicePrimaryCtxRetain(&gpu.context, device));
	OK(cuCtxSetCurrent(gpu.context));
	OK(cuStreamCreate(&gpu.stream, CU_STREAM_NON_BLOCKING));
	OK(cublasCreate_v2(&gpu.blas));
	OK(cublasSetStream_v2(gpu.blas, gpu.stream));
	for (int i = 0; i < 2; i++) {
		gpu.w[i] = room(sizes[i] * sizes[i + 1]);
		OK(cuMemcpyHtoDAsync_v2(gpu.w[i], weight[i], (size_t)(sizes[i] * sizes[i + 1]) * sizeof(float), gpu.stream));
	}
	take_buffers();
}

/* Row-major C (m x n) = A B, each read transposed where asked. */
static void multiply(bool ta, bool tb, int m, int n, int k, CUdeviceptr a, CUdeviceptr b, CUdeviceptr c)
{
	const float one = 1, zero = 0;
	OK(cublasSgemm_v2(gpu.blas, tb ? 1 : 0, ta ? 1 : 0, n, m, k, &one, (const float *)(uintptr_t)b, tb ? k : n,
			  (const float *)(uintptr_t)a, ta ? m : k, &zero, (float *)(uintptr_t)c, n));
}

static void step(void)
{
	float x[BATCH * IN], y[BATCH * OUT], dw[HIDDEN * IN];
	for (int i = 0; i < BATCH * IN; i++)
		x[i] = draw();
	OK(cuMemcpyHtoDAsync_v2(gpu.x, x, sizeof x, gpu.stream));
	multiply(false, false, BATCH, HIDDEN, IN, gpu.x, gpu.w[0], gpu.h);
	multiply(false, false, BATCH, OUT, HIDDEN, gpu.h, gpu.w[1], gpu.y);
	OK(cuMemcpyDtoHAsync_v2(y, gpu.y, sizeof y, gpu.stream));
	OK(cuStreamSynchronize(gpu.stream));
	for (int i = 0; i < BATCH * OUT; i++)
		y[i] = (y[i] - x[i]) / BATCH;
	OK(cuMemcpyHtoDAsync_v2(gpu.dy, y, sizeof y, gpu.stream));
	multiply(false, true, BATCH, HIDDEN, OUT, gpu.dy, gpu.w[1], gpu.dh);
	multiply(true, false, HIDDEN, OUT, BATCH, gpu.h, gpu.dy, gpu.dw[1]);
	multiply(true, false, IN, HIDDEN, BATCH, gpu.x, gpu.dh, gpu.dw[0]);
	for (int i = 0; i < 2; i++) {
		const size_t bytes = (size_t)(sizes[i] * sizes[i + 1]) * sizeof(float);
		OK(cuMemcpyDtoHAsync_v2(dw, gpu.dw[i], bytes, gpu.stream));
		OK(cuStreamSynchronize(gpu.stream));
		for (int k = 0; k < sizes[i] * sizes[i + 1]; k++)
			weight[i][k] -= 0.05f * dw[k];
		OK(cuMemcpyHtoDAsync_v2(gpu.w[i], weight[i], bytes, gpu.stream));
	}
}

static void have_child(bool becomes_another)
{
	char *const arguments[] = { "true", NULL };
	int status;
	pid_t child = -1;
	if (becomes_another)
		OK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ));
	else if ((child = fork()) == 0)
		exit(0); /* by way of all destructors */
	waitpid(child, &status, 0);
	OK(status);
}

/* A graph that has nothing to do with the training: a buffer of its own is filled. */
static void use_graph(int launches)
{
	CUdeviceptr own = room(4);
	CUgraph graph;
	CUgraphExec exec;
	OK(cuStreamBeginCapture_v2(gpu.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuMemsetD32Async(own, 1, 4, gpu.stream));
	OK(cudaStreamEndCapture(gpu.stream, &graph));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	for (int i = 0; i < launches; i++)
		OK(cudaGraphLaunch(exec, gpu.stream));
	OK(cuGraphLaunch(exec, gpu.stream));
	OK(cuStreamSynchronize(gpu.stream));
	drop(own);
}

static void between_steps(int i, int steps)
{
	/* Now and then the whole device is waited for, as where a loss is printed: else the program may be over before a busy machine, which
	 * plays the device, has got to the work of any stream but the program's. Not at the steps that have an end or a reset. */
	if (i % 3 == 0)
		OK(cuCtxSynchronize());
	if (is("stream")) { /* a new one each step, behind the old one, which still has work */
		CUevent event;
		OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
		OK(cuEventRecord(event, gpu.stream));
		OK(cuStreamDestroy_v2(gpu.stream));
		OK(cuStreamCreate(&gpu.stream, CU_STREAM_NON_BLOCKING));
		OK(cuStreamWaitEvent(gpu.stream, event, 0));
		OK(cuEventDestroy_v2(event));
		OK(cublasSetStream_v2(gpu.blas, gpu.stream));
	}
	if (is("memory") || is("pool")) {
		drop_buffers();
		take_buffers();
	}
	if ((is("fork") || is("spawn")) && i % 4 == 3)
		have_child(is("spawn"));
	if (is("reset") && i == steps / 2) {
		OK(cuDevicePrimaryCtxReset_v2(0));
		open_device();
	}
	if (is("graph") && i == steps / 2)
		use_graph(5);
	if (is("exit") && i == steps - 2)
		exit(3);
	if (is("_exit") && i == steps - 2)
		_exit(4);
}

static void *train(void *argument)
{
	const int steps = *(int *)argument;
	open_device();
	for (now_step = 0; now_step < steps; now_step++) {
		step();
		between_steps(now_step, steps);
	}
	OK(cuCtxSynchronize());
	if (is("destroy"))
		OK(cuCtxDestroy_v2(gpu.context));
	if (is("thread_exit"))
		exit(5);
	return NULL;
}

int main(int argc, char **argv)
{
	int steps = argc > 2 ? atoi(argv[2]) : 40;
	uint64_t hash = 0xcbf29ce484222325ull;
	pthread_t thread;

	how = argc > 1 ? argv[1] : "plain";
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < sizes[i] * sizes[i + 1]; k++)
			weight[i][k] = 0.2f * draw();
	OK(cuInit(0));
	if (is("thread") || is("thread_exit")) {
		OK(pthread_create(&thread, NULL, train, &steps));
		OK(pthread_join(thread, NULL));
	} else
		train(&steps);
	for (size_t i = 0; i < sizeof weight; i++)
		hash = (hash ^ ((const unsigned char *)weight)[i]) * 0x100000001b3ull;
	printf("weights %016llx\n", (unsigned long long)hash);
	return 0;
}
