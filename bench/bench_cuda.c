/* What a measurement on a GPU costs, beside what the device can copy: for scripts/gpu-check. Prints Markdown.
 *
 * Each measurement is put into a CUDA graph REPEAT times, over operands that together do not fit the L2 cache, so that the host's launches are not
 * what is timed; the median of TURNS replays counts. Bytes are those of the operands, each once; the copy's are those read and written. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/gpu/driver.h"
#include "collectors/gpu/layers_device.h"

#define REPEAT 16
#define TURNS 15
#define POOL ((size_t)768 << 20)

/* Of the driver, what only a program of one's own needs. */
#define OWN(X)                                                                                             \
	X(cuInit, (unsigned int))                                                                          \
	X(cuDeviceGetName, (char *, int, CUdevice))                                                        \
	X(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                               \
	X(cuCtxSetCurrent, (CUcontext))                                                                    \
	X(cuMemcpyHtoD_v2, (CUdeviceptr, const void *, size_t))                                            \
	X(cuMemcpyDtoDAsync_v2, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                              \
	X(cuStreamSynchronize, (CUstream))                                                                 \
	X(cuStreamBeginCapture_v2, (CUstream, int))                                                        \
	X(cuStreamEndCapture, (CUstream, CUgraph *))                                                       \
	X(cuGraphInstantiateWithFlags, (CUgraphExec *, CUgraph, unsigned long long))                       \
	X(cuGraphLaunch, (CUgraphExec, CUstream))                                                          \
	X(cuEventElapsedTime, (float *, CUevent, CUevent))
#define DECLARE(name, parameters) static CUresult(*name) parameters;
OWN(DECLARE)

static const struct gns_driver *cu;
static CUstream stream;
static CUevent before, after;
static CUdeviceptr pool;
static double copy_rate; /* bytes a second */

static void must(CUresult rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "bench_cuda: %s failed with CUresult %d\n", what, rc);
	exit(1);
}

static void open_device(void)
{
	char name[128] = "";
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "bench_cuda: no NVIDIA driver on this machine: %s\n", dlerror());
		exit(1);
	}
#define FIND(symbol, parameters)                                                             \
	symbol = (CUresult(*) parameters)dlsym(library, #symbol);                            \
	if (!symbol)                                                                         \
		exit((fprintf(stderr, "bench_cuda: the driver has no %s\n", #symbol), 1));
	OWN(FIND)
	CUcontext context;
	must(cuInit(0), "cuInit");
	must(cuDeviceGetName(name, sizeof name, 0), "cuDeviceGetName");
	must(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
	must(cuCtxSetCurrent(context), "cuCtxSetCurrent");
	cu = gns_driver();
	if (!cu) {
		fprintf(stderr, "bench_cuda: the driver lacks functions that gnscope needs\n");
		exit(1);
	}
	must(cu->stream_create(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
	must(cu->event_create(&before, 0), "cuEventCreate");
	must(cu->event_create(&after, 0), "cuEventCreate");
	must(cu->mem_alloc(&pool, POOL), "cuMemAlloc");
	printf("%s\n\n", name);
}

/* Numbers between 0.5 and 2 in every element type: random mantissas under fixed exponents. */
static void fill_pool(uint32_t dtype)
{
	size_t piece = (size_t)16 << 20;
	uint32_t *host = malloc(piece), state = 12345;
	if (!host)
		exit(1);
	for (size_t i = 0; i < piece / 4; i++) {
		state = state * 1664525u + 1013904223u;
		uint32_t sign = state & 0x80008000u;
		host[i] = dtype == GNS_F32 ? (sign & 0x80000000u) | 0x3f800000u | (state >> 9) :
			  dtype == GNS_F16 ? sign | 0x3c003c00u | ((state >> 3) & 0x03ff03ffu) :
					     sign | 0x3f803f80u | ((state >> 3) & 0x007f007fu);
	}
	for (size_t at = 0; at < POOL; at += piece)
		must(cuMemcpyHtoD_v2(pool + at, host, piece), "cuMemcpyHtoD");
	free(host);
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* Median seconds of one of `repeat` parts of a graph. */
static double time_graph(CUgraph graph, unsigned repeat)
{
	CUgraphExec exec;
	float ms[TURNS];
	must(cuGraphInstantiateWithFlags(&exec, graph, 0), "cuGraphInstantiate");
	for (int i = -3; i < TURNS; i++) {
		must(cu->event_record(before, stream), "cuEventRecord");
		must(cuGraphLaunch(exec, stream), "cuGraphLaunch");
		must(cu->event_record(after, stream), "cuEventRecord");
		must(cuStreamSynchronize(stream), "cuStreamSynchronize");
		if (i >= 0)
			must(cuEventElapsedTime(&ms[i], before, after), "cuEventElapsedTime");
	}
	qsort(ms, TURNS, sizeof *ms, ascending);
	return 1e-3 * ms[TURNS / 2] / repeat;
}

static void time_copy(void)
{
	CUgraph graph;
	size_t bytes = POOL / 2;
	must(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED), "cuStreamBeginCapture");
	for (int i = 0; i < 4; i++)
		must(cuMemcpyDtoDAsync_v2(pool + POOL / 2, pool, bytes, stream), "cuMemcpyDtoDAsync");
	must(cuStreamEndCapture(stream, &graph), "cuStreamEndCapture");
	copy_rate = 2.0 * (double)bytes / time_graph(graph, 4);
	printf("device-to-device copy of %zu MiB: %.0f GB/s, read and written\n\n", bytes >> 20, copy_rate / 1e9);
	printf("| measurement | type | operands | MiB | us | GB/s | of the copy |\n|---|---|---|---|---|---|---|\n");
}

struct work {
	const char *name;
	uint32_t dtype;
	size_t n, rows, x, y; /* samples, rows of each, columns of the two; norm2: n x y */
};

static struct gns_tensor tensor(const struct work *w, CUdeviceptr at, size_t cols)
{
	return (struct gns_tensor){ .data = (const void *)(uintptr_t)at, .dtype = w->dtype, .ndim = 3, .size = { w->n, w->rows, cols },
				    .stride = { (ptrdiff_t)(w->rows * cols), (ptrdiff_t)cols, 1 } };
}

static int measure(const struct work *w, const struct gns_device_target *to, CUdeviceptr at, size_t item)
{
	struct gns_samples samples = { .n = w->n, .probes = 8, .seed = 1, .stream = 1 };
	struct gns_tensor x = tensor(w, at, w->x), y = tensor(w, at + w->n * w->rows * w->x * item, w->y);
	if (!w->x)
		return gns_device_norm2(to, &y);
	return gns_device_linear(to, &samples, &x, &y);
}

static void time_work(const struct work *w)
{
	size_t item = w->dtype == GNS_F32 ? 4 : 2, bytes = w->n * w->rows * (w->x + w->y) * item;
	size_t apart = (bytes + 255) & ~(size_t)255, copies = POOL / apart;
	struct gns_device *device = gns_device_current(NULL);
	struct gns_set *set;
	uint32_t slot = 0;
	CUgraph graph;
	int rc = device ? 0 : -1;
	if (copies > REPEAT)
		copies = REPEAT;
	must(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED), "cuStreamBeginCapture");
	rc = rc ? rc : gns_set_begin(device, stream, &set);
	rc = rc ? rc : gns_set_slot(set, stream, 1, &slot);
	for (unsigned i = 0; i < REPEAT && !rc; i++) {
		struct gns_device_target to = { .set = set, .stream = stream, .slot = slot };
		rc = measure(w, &to, pool + i % copies * apart, item);
	}
	rc = rc ? rc : gns_set_finish(set);
	must(cuStreamEndCapture(stream, &graph), "cuStreamEndCapture");
	if (rc) {
		printf("| %s | | %zu x %zu x (%zu, %zu) | refused: %s |\n", w->name, w->n, w->rows, w->x, w->y, strerror(-rc));
		return;
	}
	double seconds = time_graph(graph, REPEAT), rate = (double)bytes / seconds;
	printf("| %s | %s | %zu x %zu x ", w->name, w->dtype == GNS_F32 ? "f32" : w->dtype == GNS_F16 ? "f16" : "bf16", w->n, w->rows);
	printf(w->x ? "(%zu, %zu)" : "%.0zu%zu", w->x, w->y);
	printf(" | %.1f | %.1f | %.0f | %.0f%% |\n", (double)bytes / (1 << 20), 1e6 * seconds, rate / 1e9, 100 * rate / copy_rate);
	fflush(stdout);
}

/* A graph's memory is never given back, so each measurement is a process of its own. */
static const struct work works[] = {
	{ "norm2", GNS_F32, 1, 768, 0, 768 },     { "norm2", GNS_F32, 1, 768, 0, 3072 },    { "norm2", GNS_F32, 1, 4096, 0, 4096 },
	{ "norm2", GNS_F32, 1, 8192, 0, 8192 },   { "norm2", GNS_BF16, 1, 4096, 0, 4096 },  { "norm2", GNS_BF16, 1, 8192, 0, 8192 },
	{ "linear", GNS_BF16, 8, 1024, 768, 768 },   { "linear", GNS_BF16, 8, 1024, 768, 3072 }, { "linear", GNS_BF16, 8, 1024, 3072, 768 },
	{ "linear", GNS_BF16, 8, 2048, 4096, 4096 }, { "linear", GNS_BF16, 8, 2048, 8192, 8192 }, { "linear", GNS_BF16, 8, 1024, 768, 50304 },
	{ "linear", GNS_F32, 8, 1024, 768, 3072 },   { "linear", GNS_F32, 8, 2048, 4096, 4096 }, { "linear", GNS_F32, 4, 2048, 8192, 8192 },
	{ "linear", GNS_F32, 8192, 1, 768, 3072 },   { "linear", GNS_F32, 8192, 1, 4096, 4096 },
};

int main(int argc, char **argv)
{
	char command[4200];
	open_device();
	if (argc == 2) {
		size_t i = strtoul(argv[1], NULL, 10);
		fill_pool(works[i % (sizeof works / sizeof *works)].dtype);
		time_copy();
		time_work(&works[i % (sizeof works / sizeof *works)]);
		return 0;
	}
	for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
		snprintf(command, sizeof command, "'%s' %zu | %s", argv[0], i, i ? "tail -n 1" : "tail -n +3");
		fflush(stdout);
		if (system(command))
			return 1;
	}
	return 0;
}
