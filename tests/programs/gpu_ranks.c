/* A data-parallel trainer in C: ranks are processes, threads or devices of one thread, gradients go through NCCL. It knows nothing of gnscope,
 * but for --marks. The same binary runs on the fakes and on real devices: LD_LIBRARY_PATH decides.
 *
 * Its gradients have a known answer: every sample's is G + e, |G|^2 = 1, e independent of variance S / numel an element, so that
 * B_noise = S samples whatever the batch. A rank's gradient of b samples is drawn from a counter, so that any rank can work out any other's:
 * --truth writes what the norms before and after every reduction are, from the elements as they are sent, in float64.
 * The weights follow the reduced gradient; with --hash each rank prints theirs at the end. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collectors/cuda/nccl_api.h"
#include "gnscope/gnscope.h"
#include "tests/fakes/cuda_api.h"

#define WORLD_MAX 8
#define BUCKETS_MAX 16
#define ACTIVATIONS 5000

ncclResult_t ncclGetUniqueId(ncclUniqueId *);
ncclResult_t ncclCommInitRank(ncclComm_t *, int, ncclUniqueId, int);
ncclResult_t ncclCommDestroy(ncclComm_t);
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);
ncclResult_t ncclAllReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
ncclResult_t ncclReduceScatter(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
ncclResult_t ncclAllGather(const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t);
ncclResult_t ncclBroadcast(const void *, void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t *, void *, ncclDataType_t, ncclScalarResidence_t, ncclComm_t);

enum how { PROCESSES, THREADS, ONE_THREAD };
enum op { SUM, AVG, PREMUL, PREMUL_DEVICE };
enum type { F32, F64, F16, BF16 };
static const char *const hows[] = { "processes", "threads", "one-thread", NULL };
static const char *const ops[] = { "sum", "avg", "premul", "premul-device", NULL };
static const char *const types[] = { "f32", "f64", "f16", "bf16", NULL };
static const unsigned nccl_types[] = { GNS_NCCL_FLOAT32, GNS_NCCL_FLOAT64, GNS_NCCL_FLOAT16, GNS_NCCL_BFLOAT16 };

static struct {
	int world, steps, buckets, batch, rank, warm, change, models;
	long numel; /* of all buckets; from the last to the first they are smaller */
	double s;
	int how, op, type;
	bool scatter, in_place, group, late, marks, told, broadcast, same_buffer, metrics, hash, tell_rank, equal;
	char id[2][WORLD_MAX][40]; /* of each data-parallel communicator, and of each model-parallel one */
	const char *truth;
} o = { .world = 2, .steps = 60, .buckets = 3, .batch = 32, .numel = 24000, .s = 100, .rank = -1, .op = AVG, .models = 1 };

static void die(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fputs("gpu_ranks: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	exit(1);
}

#define CU(call) do { int rc_ = (call); if (rc_) die("%s: error %d", #call, rc_); } while (0)
#define NCCL(call) do { int rc_ = (int)(call); if (rc_ && rc_ != GNS_NCCL_IN_PROGRESS) die("%s: NCCL error %d", #call, rc_); } while (0)

/* ---- elements ---- */

static size_t size_of(int type)
{
	return type == F64 ? 8 : type == F32 ? 4 : 2;
}

static double from_half(uint16_t h)
{
	int e = h >> 10 & 31;
	double v = e ? ldexp(1024 + (h & 1023), e - 25) : ldexp(h & 1023, -24);
	return h >> 15 ? -v : v;
}

static uint16_t to_half(double x)
{
	int e;
	double a = fabs(x);
	uint16_t sign = signbit(x) ? 0x8000 : 0;
	if (a < ldexp(1, -14))
		return sign | (uint16_t)nearbyint(ldexp(a, 24));
	frexp(a, &e);
	return sign | (uint16_t)(((e + 14) << 10) + (int)nearbyint(ldexp(a, 11 - e)) - 1024);
}

static void store(void *at, int type, size_t i, double x)
{
	float f = (float)x;
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	if (type == F32)
		((float *)at)[i] = f;
	else if (type == F64)
		((double *)at)[i] = x;
	else
		((uint16_t *)at)[i] = type == F16 ? to_half(x) : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static double load(const void *at, int type, size_t i)
{
	if (type == F32)
		return ((const float *)at)[i];
	if (type == F64)
		return ((const double *)at)[i];
	if (type == F16)
		return from_half(((const uint16_t *)at)[i]);
	uint32_t bits = (uint32_t)((const uint16_t *)at)[i] << 16;
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

/* ---- gradients ---- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* The sum of eight uniform numbers, variance 1: near enough to a Gaussian, and the same on every machine. */
static double noise(uint64_t counter)
{
	uint64_t a = mix(counter), b = mix(a);
	double sum = 0;
	for (int i = 0; i < 4; i++)
		sum += (double)(a >> 16 * i & 0xffff) + (double)(b >> 16 * i & 0xffff);
	return (sum / 65535 - 4) * sqrt(12.0 / 8);
}

static long first_of(int bucket)
{
	long parts = (long)o.buckets * (o.buckets + 1), at = o.equal ? o.numel * bucket / o.buckets : o.numel * bucket * (bucket + 1) / parts;
	return at / WORLD_MAX * WORLD_MAX;
}

static long size_of_bucket(int bucket)
{
	return first_of(bucket + 1) - first_of(bucket);
}

/* A rank's mean gradient as it is sent: rounded. `model`: ranks of another part of a split model have other weights. */
static void gradient(void *out, int step, int rank, int model, int bucket)
{
	double g = sqrt(1.0 / (double)o.numel), sigma = sqrt(o.s / (double)o.batch / (double)o.numel);
	for (long i = 0; i < size_of_bucket(bucket); i++) {
		uint64_t at = (uint64_t)(first_of(bucket) + i);
		double sign = mix(at + 77 + (uint64_t)model * 1000003) & 1 ? 1 : -1;
		uint64_t counter = (((uint64_t)step * WORLD_MAX + (uint64_t)rank) * 8 + (uint64_t)model) * (uint64_t)o.numel * 2 + at;
		store(out, o.type, (size_t)i, sign * g + sigma * noise(counter));
	}
}

/* ---- one rank ---- */

struct rank {
	int rank, world, device, model; /* rank and world of the data-parallel communicator */
	CUcontext context;
	CUstream compute, comm_stream;
	CUevent ready, done;
	ncclComm_t comm, tensor;
	ncclRedOp_t op;
	CUdeviceptr grad, reduced, weights, small, acts, factor;
	unsigned char *host, *back; /* pinned is not needed: copies are ordered all the same */
	double *w;
	FILE *truth;
};

static long own_of(const struct rank *r, int bucket)
{
	return size_of_bucket(bucket) / r->world;
}

static CUdeviceptr sent_at(const struct rank *r, int bucket)
{
	return r->grad + (o.same_buffer ? 0 : (size_t)first_of(bucket) * size_of(o.type));
}

static CUdeviceptr received_at(const struct rank *r, int bucket)
{
	CUdeviceptr in_place = sent_at(r, bucket) + (o.scatter ? (size_t)(own_of(r, bucket) * r->rank) * size_of(o.type) : 0);
	return o.in_place ? in_place : r->reduced + (size_t)first_of(bucket) * size_of(o.type);
}

static void init_rank(struct rank *r, int global)
{
	int devices = 0, tensor_world = o.models;
	ncclUniqueId id = { { 0 } };
	r->model = global % o.models;
	r->rank = global / o.models;
	r->world = o.world / o.models;
	CU(cuDeviceGetCount(&devices));
	r->device = global % devices;
	CU(cuDevicePrimaryCtxRetain(&r->context, r->device));
	CU(cuCtxSetCurrent(r->context));
	CU(cuStreamCreate(&r->compute, CU_STREAM_NON_BLOCKING));
	CU(cuStreamCreate(&r->comm_stream, CU_STREAM_NON_BLOCKING));
	CU(cuEventCreate(&r->ready, CU_EVENT_DISABLE_TIMING));
	CU(cuEventCreate(&r->done, CU_EVENT_DISABLE_TIMING));
	snprintf(id.internal, sizeof id.internal, "%s", o.id[0][r->model]);
	NCCL(ncclCommInitRank(&r->comm, r->world, id, r->rank));
	if (tensor_world > 1) {
		memset(&id, 0, sizeof id);
		snprintf(id.internal, sizeof id.internal, "%s", o.id[1][r->rank]);
		NCCL(ncclCommInitRank(&r->tensor, tensor_world, id, r->model));
	}
	size_t bytes = (size_t)o.numel * size_of(o.type);
	CU(cuMemAlloc_v2(&r->grad, bytes));
	CU(cuMemAlloc_v2(&r->reduced, bytes));
	CU(cuMemAlloc_v2(&r->weights, (size_t)o.numel * 4));
	CU(cuMemAlloc_v2(&r->small, 64));
	CU(cuMemAlloc_v2(&r->acts, ACTIVATIONS * 4));
	CU(cuMemAlloc_v2(&r->factor, 16));
	r->host = malloc(bytes + ACTIVATIONS * 4);
	r->back = malloc((size_t)o.numel * 8);
	r->w = calloc((size_t)o.numel, sizeof *r->w);
	if (o.truth) {
		char path[4096];
		snprintf(path, sizeof path, "%s.%d", o.truth, global);
		r->truth = fopen(path, "w");
		if (!r->truth)
			die("cannot write %s: %s", path, strerror(errno));
	}
}

/* In a group of all devices where one thread serves them. */
static void make_op(struct rank *r)
{
	unsigned char scalar[8];
	store(scalar, o.type, 0, 0.375);
	r->op = o.op == SUM ? GNS_NCCL_SUM : GNS_NCCL_AVG;
	if (o.op < PREMUL)
		return;
	CU(cuCtxSetCurrent(r->context));
	CU(cuMemcpyHtoD_v2(r->factor, scalar, size_of(o.type)));
	bool host = o.op == PREMUL;
	NCCL(ncclRedOpCreatePreMulSum(&r->op, host ? (void *)scalar : (void *)(uintptr_t)r->factor, nccl_types[o.type],
				      host ? GNS_NCCL_SCALAR_HOST : GNS_NCCL_SCALAR_DEVICE, r->comm));
}

/* What is to be divided by for the mean. */
static double divisor(const struct rank *r)
{
	return o.op == SUM ? r->world : o.op == AVG ? 1 : 0.375 * r->world;
}

static void tell_truth(struct rank *r, int step, int bucket)
{
	size_t n = (size_t)size_of_bucket(bucket);
	double *mean = calloc(n, sizeof *mean), small = 0, big = 0;
	unsigned char *one = malloc(n * size_of(o.type));
	for (int k = 0; k < r->world; k++) {
		gradient(one, step, k, r->model, bucket);
		for (size_t i = 0; i < n; i++) {
			double x = load(one, o.type, i);
			mean[i] += x / r->world;
			small += k == r->rank ? x * x : 0;
		}
	}
	size_t from = o.scatter ? (size_t)(own_of(r, bucket) * r->rank) : 0, to = o.scatter ? from + (size_t)own_of(r, bucket) : n;
	for (size_t i = from; i < to; i++)
		big += mean[i] * mean[i];
	fprintf(r->truth, "%d %d %.17g %.17g\n", step, bucket, small, big);
	free(mean);
	free(one);
}

static void backward(struct rank *r, int step, int bucket)
{
	size_t bytes = (size_t)size_of_bucket(bucket) * size_of(o.type);
	unsigned char *at = r->host + (o.same_buffer ? 0 : (size_t)first_of(bucket) * size_of(o.type));
	gradient(at, step, r->rank, r->model, bucket);
	CU(cuCtxSetCurrent(r->context));
	CU(cuMemcpyHtoDAsync_v2(sent_at(r, bucket), at, bytes, r->compute));
	CU(cuEventRecord(r->ready, r->compute));
	CU(cuStreamWaitEvent(r->comm_stream, r->ready, 0));
	if (o.same_buffer)
		CU(cuStreamSynchronize(r->compute)); /* the host's copy is used again */
}

static void reduce(struct rank *r, int bucket)
{
	const void *send = (const void *)(uintptr_t)sent_at(r, bucket);
	void *received = (void *)(uintptr_t)received_at(r, bucket);
	if (o.scatter)
		NCCL(ncclReduceScatter(send, received, (size_t)own_of(r, bucket), nccl_types[o.type], r->op, r->comm, r->comm_stream));
	else
		NCCL(ncclAllReduce(send, received, (size_t)size_of_bucket(bucket), nccl_types[o.type], r->op, r->comm, r->comm_stream));
}

static void bring_back(struct rank *r, int bucket)
{
	long n = o.scatter ? own_of(r, bucket) : size_of_bucket(bucket);
	CU(cuCtxSetCurrent(r->context));
	CU(cuMemcpyDtoHAsync_v2(r->back + (size_t)first_of(bucket) * size_of(o.type), received_at(r, bucket), (size_t)n * size_of(o.type), r->comm_stream));
	if (o.same_buffer)
		CU(cuStreamSynchronize(r->comm_stream));
}

/* Weights that are updated in parts are gathered again. */
static void descend(struct rank *r)
{
	CU(cuCtxSetCurrent(r->context));
	CU(cuStreamSynchronize(r->comm_stream));
	for (int b = 0; b < o.buckets; b++) {
		long n = o.scatter ? own_of(r, b) : size_of_bucket(b), from = first_of(b) + (o.scatter ? own_of(r, b) * r->rank : 0);
		for (long i = 0; i < n; i++)
			r->w[from + i] -= 0.1 * load(r->back + (size_t)first_of(b) * size_of(o.type), o.type, (size_t)i) / divisor(r);
	}
}

static void send_own(struct rank *r, int b)
{
	float *whole = (float *)r->back;
	long own = own_of(r, b), from = first_of(b) + own * r->rank;
	CU(cuCtxSetCurrent(r->context));
	for (long i = 0; i < own; i++)
		whole[from + i] = (float)r->w[from + i];
	CU(cuMemcpyHtoDAsync_v2(r->weights + (size_t)from * 4, whole + from, (size_t)own * 4, r->comm_stream));
	NCCL(ncclAllGather((const void *)(uintptr_t)(r->weights + (size_t)from * 4), (void *)(uintptr_t)(r->weights + (size_t)first_of(b) * 4),
			   (size_t)own, GNS_NCCL_FLOAT32, r->comm, r->comm_stream));
}

static void take_all(struct rank *r, int b)
{
	float *whole = (float *)r->back;
	CU(cuCtxSetCurrent(r->context));
	CU(cuMemcpyDtoHAsync_v2(whole + first_of(b), r->weights + (size_t)first_of(b) * 4, (size_t)size_of_bucket(b) * 4, r->comm_stream));
	CU(cuStreamSynchronize(r->comm_stream));
	for (long i = 0; i < size_of_bucket(b); i++)
		r->w[first_of(b) + i] = whole[first_of(b) + i];
}

/* Partial sums of activations of a model that is split over ranks, as forward and backward have them. */
static void activations(struct rank *r, int step, int call)
{
	float *a = (float *)(r->host + (size_t)o.numel * size_of(o.type));
	for (int i = 0; i < ACTIVATIONS; i++)
		a[i] = (float)noise((uint64_t)((step * 4 + call) * ACTIVATIONS + i) * 7 + (uint64_t)r->model);
	CU(cuMemcpyHtoDAsync_v2(r->acts, a, ACTIVATIONS * 4, r->comm_stream));
	NCCL(ncclAllReduce((void *)(uintptr_t)r->acts, (void *)(uintptr_t)r->acts, ACTIVATIONS, GNS_NCCL_FLOAT32, GNS_NCCL_SUM, r->tensor, r->comm_stream));
	CU(cuStreamSynchronize(r->comm_stream));
}

static void metrics(struct rank *r)
{
	CU(cuCtxSetCurrent(r->context));
	NCCL(ncclAllReduce((void *)(uintptr_t)r->small, (void *)(uintptr_t)r->small, 4, GNS_NCCL_FLOAT32, GNS_NCCL_SUM, r->comm, r->comm_stream));
}

/* ---- a step of n ranks that one thread serves ---- */

static void begin_group(void)
{
	if (o.group || o.how == ONE_THREAD)
		NCCL(ncclGroupStart());
}

static void end_group(void)
{
	if (o.group || o.how == ONE_THREAD)
		NCCL(ncclGroupEnd());
}

static void train_step(struct rank *r, int n, int step)
{
	int buckets = o.buckets;
	for (int k = 0; k < n && r[k].tensor; k++)
		for (int call = 0; call < 2; call++)
			activations(&r[k], step, call);
	if (o.same_buffer || !(o.group || o.how == ONE_THREAD)) {
		for (int b = buckets - 1; b >= 0; b--) {
			for (int k = 0; k < n; k++)
				backward(&r[k], step, b);
			if (o.how == ONE_THREAD)
				NCCL(ncclGroupStart());
			for (int k = 0; k < n; k++)
				reduce(&r[k], b);
			if (o.how == ONE_THREAD)
				NCCL(ncclGroupEnd());
			for (int k = 0; k < n; k++)
				bring_back(&r[k], b);
		}
	} else {
		for (int b = buckets - 1; b >= 0 && !o.late; b--)
			for (int k = 0; k < n; k++)
				backward(&r[k], step, b);
		begin_group();
		for (int b = buckets - 1; b >= 0; b--)
			for (int k = 0; k < n; k++)
				reduce(&r[k], b);
		for (int b = buckets - 1; b >= 0 && o.late; b--) /* nothing is launched before the group ends */
			for (int k = 0; k < n; k++)
				backward(&r[k], step, b);
		end_group();
		for (int b = buckets - 1; b >= 0; b--)
			for (int k = 0; k < n; k++)
				bring_back(&r[k], b);
	}
	for (int k = 0; k < n && r[k].tensor; k++)
		for (int call = 2; call < 4; call++)
			activations(&r[k], step, call);
	if (o.metrics) {
		if (o.how == ONE_THREAD)
			NCCL(ncclGroupStart());
		for (int k = 0; k < n; k++)
			metrics(&r[k]);
		if (o.how == ONE_THREAD)
			NCCL(ncclGroupEnd());
	}
	for (int k = 0; k < n; k++)
		descend(&r[k]);
	for (int b = 0; b < o.buckets && o.scatter; b++) {
		NCCL(ncclGroupStart());
		for (int k = 0; k < n; k++)
			send_own(&r[k], b);
		NCCL(ncclGroupEnd());
		for (int k = 0; k < n; k++)
			take_all(&r[k], b);
	}
}

static void share_weights(struct rank *r)
{
	CU(cuCtxSetCurrent(r->context));
	CU(cuMemcpyHtoD_v2(r->weights, r->back, 4));
	NCCL(ncclBroadcast((void *)(uintptr_t)r->weights, (void *)(uintptr_t)r->weights, (size_t)first_of(o.buckets), GNS_NCCL_FLOAT32, 0, r->comm,
			   r->comm_stream));
	CU(cuStreamSynchronize(r->comm_stream));
}

static void print_hash(const struct rank *r, int global)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (long i = 0; i < o.numel; i++) {
		uint64_t bits;
		memcpy(&bits, &r->w[i], sizeof bits);
		h = (h ^ bits) * 0x100000001b3ull;
	}
	printf("%d %016llx\n", global, (unsigned long long)h);
}

static void train(struct rank *r, int n, int first)
{
	for (int k = 0; k < n; k++)
		make_op(&r[k]);
	for (int k = 0; k < n && o.broadcast; k++)
		share_weights(&r[k]);
	if (o.told)
		gns_samples((uint64_t)o.batch * (uint64_t)n);
	for (int step = 1; step <= o.steps; step++) {
		if (step == o.change) {
			o.buckets--; /* the buckets are made anew, as PyTorch does after its first step */
		}
		train_step(r, n, step);
		for (int k = 0; k < n; k++)
			for (int b = 0; b < o.buckets && r[k].truth; b++)
				tell_truth(&r[k], step, b);
		if (o.marks && first == 0)
			gns_step();
		else if (o.marks && o.how == PROCESSES)
			gns_step();
	}
	usleep(1000 * (useconds_t)o.warm);
	for (int k = 0; k < n; k++) {
		if (o.hash)
			print_hash(&r[k], first + k);
		if (r[k].truth)
			fclose(r[k].truth);
		CU(cuCtxSetCurrent(r[k].context));
		CU(cuCtxSynchronize());
		NCCL(ncclCommDestroy(r[k].comm));
	}
}

static void *one_thread(void *arg)
{
	struct rank *r = calloc(1, sizeof *r);
	int global = (int)(intptr_t)arg;
	init_rank(r, global);
	train(r, 1, global);
	return NULL;
}

static void in_threads(void)
{
	pthread_t thread[WORLD_MAX];
	CU(cuInit(0));
	for (intptr_t i = 0; i < o.world; i++)
		if (pthread_create(&thread[i], NULL, one_thread, (void *)i))
			die("cannot start a thread");
	for (int i = 0; i < o.world; i++)
		pthread_join(thread[i], NULL);
}

static void in_one_thread(void)
{
	struct rank *r = calloc((size_t)o.world, sizeof *r);
	CU(cuInit(0));
	NCCL(ncclGroupStart());
	for (int i = 0; i < o.world; i++)
		init_rank(&r[i], i);
	NCCL(ncclGroupEnd());
	train(r, o.world, 0);
}

/* ---- ranks as processes: this program again, with their number and the communicators' names ---- */

static void make_ids(void)
{
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < WORLD_MAX; k++) {
			ncclUniqueId id;
			NCCL(ncclGetUniqueId(&id));
			snprintf(o.id[i][k], sizeof o.id[i][k], "%.39s", id.internal);
		}
}

static int start_ranks(int argc, char **argv)
{
	pid_t pid[WORLD_MAX];
	int failed = 0;
	for (int i = 0; i < o.world; i++) {
		char rank[16], ids[2 * WORLD_MAX * 40] = "";
		char **words = calloc((size_t)argc + 5, sizeof *words);
		memcpy(words, argv, (size_t)argc * sizeof *words);
		snprintf(rank, sizeof rank, "%d", i);
		for (int k = 0; k < 2 * WORLD_MAX; k++) {
			strcat(ids, o.id[k / WORLD_MAX][k % WORLD_MAX]);
			strcat(ids, ",");
		}
		words[argc] = "--rank";
		words[argc + 1] = rank;
		words[argc + 2] = "--ids";
		words[argc + 3] = ids;
		pid[i] = fork();
		if (pid[i] == 0) {
			char world[16];
			snprintf(world, sizeof world, "%d", o.world);
			if (o.tell_rank) {
				setenv("RANK", rank, 1);
				setenv("WORLD_SIZE", world, 1);
			}
			execv("/proc/self/exe", words);
			_exit(127);
		}
	}
	for (int i = 0; i < o.world; i++) {
		int status;
		if (waitpid(pid[i], &status, 0) < 0 || status)
			failed = 1;
	}
	return failed;
}

static void take_ids(char *text)
{
	char *word = strtok(text, ",");
	for (int k = 0; k < 2 * WORLD_MAX && word; k++, word = strtok(NULL, ","))
		snprintf(o.id[k / WORLD_MAX][k % WORLD_MAX], sizeof o.id[0][0], "%s", word);
}

static int word_of(const char *const *words, const char *word)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	die("what is %s?", word);
	return 0;
}

static void read_options(int argc, char **argv)
{
	enum { WORLD = 256, STEPS, BUCKETS, BATCH, NUMEL, NOISE, HOW, OPERATION, TYPE, RANK, IDS, TRUTH, WAIT, CHANGE, MODELS };
	static int flags[16];
	static const struct option long_options[] = {
		{ "world", 1, NULL, WORLD }, { "steps", 1, NULL, STEPS }, { "buckets", 1, NULL, BUCKETS }, { "batch", 1, NULL, BATCH },
		{ "numel", 1, NULL, NUMEL }, { "noise", 1, NULL, NOISE }, { "how", 1, NULL, HOW }, { "op", 1, NULL, OPERATION },
		{ "type", 1, NULL, TYPE }, { "rank", 1, NULL, RANK }, { "ids", 1, NULL, IDS }, { "truth", 1, NULL, TRUTH },
		{ "wait", 1, NULL, WAIT }, { "change", 1, NULL, CHANGE }, { "models", 1, NULL, MODELS },
		{ "scatter", 0, &flags[0], 1 }, { "in-place", 0, &flags[1], 1 }, { "group", 0, &flags[2], 1 }, { "late", 0, &flags[3], 1 },
		{ "marks", 0, &flags[4], 1 }, { "told", 0, &flags[5], 1 }, { "broadcast", 0, &flags[6], 1 }, { "same-buffer", 0, &flags[7], 1 },
		{ "metrics", 0, &flags[8], 1 }, { "hash", 0, &flags[9], 1 }, { "env", 0, &flags[10], 1 }, { "equal", 0, &flags[11], 1 }, { NULL, 0, NULL, 0 },
	};
	int c;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		switch (c) {
		case WORLD: o.world = atoi(optarg); break;
		case STEPS: o.steps = atoi(optarg); break;
		case BUCKETS: o.buckets = atoi(optarg); break;
		case BATCH: o.batch = atoi(optarg); break;
		case NUMEL: o.numel = atol(optarg); break;
		case NOISE: o.s = atof(optarg); break;
		case HOW: o.how = word_of(hows, optarg); break;
		case OPERATION: o.op = word_of(ops, optarg); break;
		case TYPE: o.type = word_of(types, optarg); break;
		case RANK: o.rank = atoi(optarg); break;
		case IDS: take_ids(optarg); break;
		case TRUTH: o.truth = optarg; break;
		case WAIT: o.warm = atoi(optarg); break;
		case CHANGE: o.change = atoi(optarg); break;
		case MODELS: o.models = atoi(optarg); break;
		case 0: break;
		default: die("see the options in its source");
		}
	bool *const to[] = { &o.scatter, &o.in_place, &o.group, &o.late, &o.marks, &o.told, &o.broadcast, &o.same_buffer, &o.metrics, &o.hash,
			     &o.tell_rank, &o.equal };
	for (size_t i = 0; i < sizeof to / sizeof *to; i++)
		*to[i] = flags[i];
	if (o.world < 1 || o.world > WORLD_MAX || o.buckets < 1 || o.buckets > BUCKETS_MAX || o.models < 1 || o.world % o.models)
		die("impossible options");
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	if (o.rank >= 0) {
		CU(cuInit(0));
		one_thread((void *)(intptr_t)o.rank);
		return 0;
	}
	make_ids();
	if (o.how == PROCESSES)
		return start_ranks(argc, argv);
	if (o.how == THREADS)
		in_threads();
	else
		in_one_thread();
	return 0;
}
