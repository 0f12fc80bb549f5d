/* Data-parallel ranks (processes) that train two linear layers on cuBLAS and take the mean of their gradients by NCCL. It knows nothing of
 * gnscope. With --tensor a second communicator sums activations in every forward and backward pass, as a split model does. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collectors/cuda/nccl_api.h"
#include "gpu_api.h"

#define IN 48
#define HIDDEN 64
#define OUT 32
#define WORLD_MAX 8

ncclResult_t ncclGetUniqueId(ncclUniqueId *);
ncclResult_t ncclCommInitRank(ncclComm_t *, int, ncclUniqueId, int);
ncclResult_t ncclAllReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);

static int world = 2, steps = 60, rows = 64, accumulate = 1;
static bool tensor, sum;

#define OK(call) do { int rc_ = (int)(call); if (rc_) { fprintf(stderr, "gpu_ranks_mlp: %s: error %d\n", #call, rc_); exit(1); } } while (0)

static uint64_t state;

static double uniform(void) /* -1 to 1 */
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(int64_t)(state >> 11) / (double)(1ull << 52) - 1;
}

struct rank {
	cublasHandle_t blas;
	CUstream stream;
	ncclComm_t comm, activations;
	CUdeviceptr w1, w2, g1, g2, x, h, y, dy, dh, a;
	float hw1[HIDDEN * IN], hw2[OUT * HIDDEN], teacher[OUT * IN];
};

static void product(struct rank *r, bool ta, bool tb, int m, int n, int k, CUdeviceptr a, int lda, CUdeviceptr b, int ldb, float beta, CUdeviceptr c, int ldc)
{
	float one = 1;
	OK(cublasSgemm_v2(r->blas, ta ? GNS_CUBLAS_T : GNS_CUBLAS_N, tb ? GNS_CUBLAS_T : GNS_CUBLAS_N, m, n, k, &one, (void *)(uintptr_t)a, lda,
			  (void *)(uintptr_t)b, ldb, &beta, (void *)(uintptr_t)c, ldc));
}

static void sum_activations(struct rank *r, CUdeviceptr at, size_t n)
{
	if (tensor)
		OK(ncclAllReduce((void *)(uintptr_t)at, (void *)(uintptr_t)r->a, n, GNS_NCCL_FLOAT32, GNS_NCCL_SUM, r->activations, r->stream));
}

static void reduce(struct rank *r, CUdeviceptr g, size_t n)
{
	OK(ncclAllReduce((void *)(uintptr_t)g, (void *)(uintptr_t)g, n, GNS_NCCL_FLOAT32, sum ? GNS_NCCL_SUM : GNS_NCCL_AVG, r->comm, r->stream));
}

static void micro_step(struct rank *r, float *x, float *y, float beta)
{
	for (int i = 0; i < rows * IN; i++)
		x[i] = (float)uniform();
	OK(cuMemcpyHtoDAsync_v2(r->x, x, (size_t)rows * IN * 4, r->stream));
	product(r, true, false, HIDDEN, rows, IN, r->w1, IN, r->x, IN, 0, r->h, HIDDEN);
	sum_activations(r, r->h, (size_t)rows * HIDDEN);
	product(r, true, false, OUT, rows, HIDDEN, r->w2, HIDDEN, r->h, HIDDEN, 0, r->y, OUT);
	sum_activations(r, r->y, (size_t)rows * OUT);
	OK(cuMemcpyDtoHAsync_v2(y, r->y, (size_t)rows * OUT * 4, r->stream));
	OK(cuStreamSynchronize(r->stream));
	for (int i = 0; i < rows; i++)
		for (int o = 0; o < OUT; o++) {
			double t = 0.5 * uniform();
			for (int k = 0; k < IN; k++)
				t += r->teacher[o * IN + k] * x[i * IN + k];
			y[i * OUT + o] = (float)((y[i * OUT + o] - t) / rows / accumulate);
		}
	OK(cuMemcpyHtoDAsync_v2(r->dy, y, (size_t)rows * OUT * 4, r->stream));
	product(r, false, true, HIDDEN, OUT, rows, r->h, HIDDEN, r->dy, OUT, beta, r->g2, HIDDEN);
	product(r, false, false, HIDDEN, rows, OUT, r->w2, HIDDEN, r->dy, OUT, 0, r->dh, HIDDEN);
	sum_activations(r, r->dh, (size_t)rows * HIDDEN);
	product(r, false, true, IN, HIDDEN, rows, r->x, IN, r->dh, HIDDEN, beta, r->g1, IN);
}

static void update(struct rank *r, float *w, CUdeviceptr device, CUdeviceptr g, size_t n, float *back)
{
	OK(cuMemcpyDtoHAsync_v2(back, g, n * 4, r->stream));
	OK(cuStreamSynchronize(r->stream));
	for (size_t i = 0; i < n; i++)
		w[i] -= 0.05f * back[i] / (float)(sum ? world : 1);
	OK(cuMemcpyHtoDAsync_v2(device, w, n * 4, r->stream));
}

static void fill(float *w, size_t n, double size)
{
	for (size_t i = 0; i < n; i++)
		w[i] = (float)(size * uniform());
}

static void train(int rank, char (*ids)[40])
{
	static struct rank r;
	ncclUniqueId id = { { 0 } };
	CUcontext context;
	float *x = malloc((size_t)rows * IN * 4), *y = malloc((size_t)rows * OUT * 4), *back = malloc((HIDDEN * IN + OUT * HIDDEN) * 4);
	int devices;
	OK(cuInit(0));
	OK(cuDeviceGetCount(&devices));
	OK(cuDevicePrimaryCtxRetain(&context, rank % devices));
	OK(cuCtxSetCurrent(context));
	OK(cuStreamCreate(&r.stream, CU_STREAM_NON_BLOCKING));
	OK(cublasCreate_v2(&r.blas));
	OK(cublasSetStream_v2(r.blas, r.stream));
	snprintf(id.internal, sizeof id.internal, "%s", ids[0]);
	OK(ncclCommInitRank(&r.comm, world, id, rank));
	snprintf(id.internal, sizeof id.internal, "%s", ids[1]);
	if (tensor)
		OK(ncclCommInitRank(&r.activations, world, id, rank));
	const struct { CUdeviceptr *at; int n; } memory[] = { { &r.w1, HIDDEN * IN }, { &r.w2, OUT * HIDDEN }, { &r.g1, HIDDEN * IN },
		{ &r.g2, OUT * HIDDEN }, { &r.x, rows * IN }, { &r.h, rows * HIDDEN }, { &r.y, rows * OUT }, { &r.dy, rows * OUT },
		{ &r.dh, rows * HIDDEN }, { &r.a, rows * HIDDEN } };
	for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
		OK(cuMemAlloc_v2(memory[i].at, (size_t)memory[i].n * 4));
	state = 1;
	fill(r.teacher, OUT * IN, 0.3);
	fill(r.hw1, HIDDEN * IN, 0.2);
	fill(r.hw2, OUT * HIDDEN, 0.2);
	OK(cuMemcpyHtoD_v2(r.w1, r.hw1, sizeof r.hw1));
	OK(cuMemcpyHtoD_v2(r.w2, r.hw2, sizeof r.hw2));
	state = 1000 + (uint64_t)rank;
	for (int step = 0; step < steps; step++) {
		for (int micro = 0; micro < accumulate; micro++)
			micro_step(&r, x, y, micro > 0);
		reduce(&r, r.g2, OUT * HIDDEN);
		reduce(&r, r.g1, HIDDEN * IN);
		update(&r, r.hw2, r.w2, r.g2, OUT * HIDDEN, back);
		update(&r, r.hw1, r.w1, r.g1, HIDDEN * IN, back);
	}
	OK(cuStreamSynchronize(r.stream));
	double total = 0;
	for (int i = 0; i < HIDDEN * IN; i++)
		total += (double)r.hw1[i] * i;
	char line[64];
	int n = snprintf(line, sizeof line, "%d %a\n", rank, total);
	if (write(1, line, (size_t)n) != n)
		exit(1);
}

int main(int argc, char **argv)
{
	char ids[2][40] = { "", "" };
	int rank = -1, failed = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--tensor") == 0)
			tensor = true;
		else if (strcmp(argv[i], "--sum") == 0)
			sum = true;
		else if (i + 1 == argc)
			return 2;
		else if (strcmp(argv[i], "--world") == 0)
			world = atoi(argv[++i]);
		else if (strcmp(argv[i], "--steps") == 0)
			steps = atoi(argv[++i]);
		else if (strcmp(argv[i], "--rows") == 0)
			rows = atoi(argv[++i]);
		else if (strcmp(argv[i], "--accumulate") == 0)
			accumulate = atoi(argv[++i]);
		else if (strcmp(argv[i], "--rank") == 0)
			rank = atoi(argv[++i]);
		else if (strcmp(argv[i], "--ids") == 0 && i + 2 < argc)
			for (int k = 0; k < 2; k++)
				snprintf(ids[k], sizeof ids[k], "%s", argv[++i]);
		else
			return 2;
	}
	if (rank >= 0) {
		train(rank, ids);
		return 0;
	}
	for (int k = 0; k < 2; k++) {
		ncclUniqueId id;
		OK(ncclGetUniqueId(&id));
		snprintf(ids[k], sizeof ids[k], "%.39s", id.internal);
	}
	pid_t pid[WORLD_MAX];
	for (int i = 0; i < world && i < WORLD_MAX; i++) {
		char text[16], **words = calloc((size_t)argc + 6, sizeof *words);
		memcpy(words, argv, (size_t)argc * sizeof *words);
		snprintf(text, sizeof text, "%d", i);
		words[argc] = "--rank";
		words[argc + 1] = text;
		words[argc + 2] = "--ids";
		words[argc + 3] = ids[0];
		words[argc + 4] = ids[1];
		pid[i] = fork();
		if (pid[i] == 0) {
			execv("/proc/self/exe", words);
			_exit(127);
		}
	}
	for (int i = 0; i < world && i < WORLD_MAX; i++) {
		int status;
		failed |= waitpid(pid[i], &status, 0) < 0 || status;
	}
	return failed;
}
