/* A libnccl.so.2 that reduces on this processor, in stream order: ranks are threads or processes that meet in shared memory named by the
 * unique id. What a rank contributes is read, and what it gets is written, by its stream's own worker, when its turn comes.
 *
 * In a group nothing is enqueued before the outermost ncclGroupEnd. Operations of one communicator run in the order of their calls, as if
 * each waited for the one before. What the real library answers with a hang or with wrong numbers ends the process with a sentence: ranks
 * that call different things, buffers that are not the device's, a stream of another device, a rank that never comes (60 s).
 *
 * Sums are taken in float64 in the order of ranks and rounded once, so that every rank gets the same bits. GNS_FAKE_NCCL_PENDING=1: ends
 * of groups return ncclInProgress, as with a communicator that does not block; GNS_FAKE_NCCL_FAIL=n: the n-th call of a collective fails. */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "collectors/cuda/nccl_api.h"
#include "cuda_api.h"
#include "cuda_fake.h"

#define RANKS_MAX 16
#define CHUNK ((size_t)1 << 16) /* bytes of a rank at a time */
#define OPS_MAX 64              /* of ncclRedOpCreatePreMulSum, a communicator */
#define GROUP_MAX 256
#define PATIENCE_S 60

enum what { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, REDUCE };
static const char *const names[] = { "ncclAllReduce", "ncclReduceScatter", "ncclAllGather", "ncclBroadcast", "ncclReduce" };

struct op {
	enum what what;
	uint32_t dtype, reduction;
	int root;
	uint64_t count; /* of elements that the larger of the two buffers has for one rank */
	double factor;
};

struct meeting { /* shared by the ranks */
	_Atomic uint32_t joined, arrived, round;
	struct op op[RANKS_MAX];
	_Alignas(64) unsigned char data[RANKS_MAX][CHUNK];
};

struct ncclComm {
	struct meeting *meeting;
	int world, rank, device;
	CUcontext context;
	double factor[OPS_MAX];
	bool taken[OPS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t turn;
	uint64_t issued, done;
};

struct call {
	struct op op;
	struct ncclComm *comm;
	const void *send;
	void *received;
	CUstream stream;
	uint64_t number;
};

static __thread struct {
	int depth, n;
	struct call call[GROUP_MAX];
} group;

/* ---- meeting ---- */

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void wait_while(struct meeting *m, uint32_t round, int rank)
{
	double until = now() + PATIENCE_S;
	for (unsigned i = 0; atomic_load(&m->round) == round; i++) {
		if (i < 200)
			sched_yield();
		else
			usleep(50);
		if (i % 1024 == 1023 && now() > until)
			gns_fake_die("rank %d waits for the others for more than %d s: not all of them called the same", rank, PATIENCE_S);
	}
}

static void meet(struct ncclComm *c)
{
	struct meeting *m = c->meeting;
	uint32_t round = atomic_load(&m->round);
	if (atomic_fetch_add(&m->arrived, 1) + 1 == (uint32_t)c->world) {
		atomic_store(&m->arrived, 0);
		atomic_fetch_add(&m->round, 1);
		return;
	}
	wait_while(m, round, c->rank);
}

static struct meeting *shared(const ncclUniqueId *id)
{
	char name[48];
	snprintf(name, sizeof name, "/gns-fake-nccl-%.24s", id->internal);
	int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
	struct meeting *m = fd >= 0 && ftruncate(fd, sizeof *m) == 0 ? mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (fd >= 0)
		close(fd);
	return m == MAP_FAILED ? NULL : m;
}

static void unlink_shared(const ncclUniqueId *id)
{
	char name[48];
	snprintf(name, sizeof name, "/gns-fake-nccl-%.24s", id->internal);
	shm_unlink(name);
}

/* ---- elements ---- */

static size_t size_of(uint32_t dtype)
{
	static const size_t sizes[] = { 1, 1, 4, 4, 8, 8, 2, 4, 8, 2 };
	return dtype < sizeof sizes / sizeof *sizes ? sizes[dtype] : 0;
}

static double half_value(uint16_t h)
{
	int exponent = h >> 10 & 31;
	double m = h & 1023, value = exponent == 31 ? (m ? (double)NAN : (double)INFINITY) : exponent ? ldexp(1024 + m, exponent - 25) : ldexp(m, -24);
	return h >> 15 ? -value : value;
}

static uint16_t half_of(double value)
{
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	double a = fabs(value);
	int exponent;
	if (isnan(value))
		return 0x7e00;
	if (a >= 65520)
		return sign | 0x7c00;
	if (a < ldexp(1, -14))
		return sign | (uint16_t)nearbyint(ldexp(a, 24));
	frexp(a, &exponent); /* a = f 2^exponent, f in [0.5, 1) */
	return sign | (uint16_t)(((exponent + 14) << 10) + (int)nearbyint(ldexp(a, 11 - exponent)) - 1024);
}

static uint16_t brain_of(double value)
{
	float f = (float)value;
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	return isnan(value) ? 0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static double get(const void *at, uint32_t dtype, size_t i)
{
	const unsigned char *p = (const unsigned char *)at + i * size_of(dtype);
	union { int8_t b; uint8_t ub; int32_t i; uint32_t u; int64_t l; uint64_t ul; uint16_t h; float f; double d; } v;
	memcpy(&v, p, size_of(dtype));
	uint32_t wide = (uint32_t)v.h << 16;
	float brain;
	memcpy(&brain, &wide, sizeof brain);
	switch (dtype) {
	case GNS_NCCL_INT8: return v.b;
	case GNS_NCCL_UINT8: return v.ub;
	case GNS_NCCL_INT32: return v.i;
	case GNS_NCCL_UINT32: return v.u;
	case GNS_NCCL_INT64: return (double)v.l;
	case GNS_NCCL_UINT64: return (double)v.ul;
	case GNS_NCCL_FLOAT16: return half_value(v.h);
	case GNS_NCCL_FLOAT32: return v.f;
	case GNS_NCCL_FLOAT64: return v.d;
	default: return brain;
	}
}

static void put(void *at, uint32_t dtype, size_t i, double value)
{
	union { int8_t b; uint8_t ub; int32_t i; uint32_t u; int64_t l; uint64_t ul; uint16_t h; float f; double d; } v;
	switch (dtype) {
	case GNS_NCCL_INT8: v.b = (int8_t)value; break;
	case GNS_NCCL_UINT8: v.ub = (uint8_t)value; break;
	case GNS_NCCL_INT32: v.i = (int32_t)value; break;
	case GNS_NCCL_UINT32: v.u = (uint32_t)value; break;
	case GNS_NCCL_INT64: v.l = (int64_t)value; break;
	case GNS_NCCL_UINT64: v.ul = (uint64_t)value; break;
	case GNS_NCCL_FLOAT16: v.h = half_of(value); break;
	case GNS_NCCL_FLOAT32: v.f = (float)value; break;
	case GNS_NCCL_FLOAT64: v.d = value; break;
	default: v.h = brain_of(value);
	}
	memcpy((unsigned char *)at + i * size_of(dtype), &v, size_of(dtype));
}

static double reduced(const struct ncclComm *c, const struct op *op, size_t i)
{
	double out = 0;
	for (int r = 0; r < c->world; r++) {
		double x = get(c->meeting->data[r], op->dtype, i) * op->factor;
		if (r == 0)
			out = x;
		else if (op->reduction == GNS_NCCL_PROD)
			out *= x;
		else if (op->reduction == GNS_NCCL_MAX)
			out = x > out ? x : out;
		else if (op->reduction == GNS_NCCL_MIN)
			out = x < out ? x : out;
		else
			out += x;
	}
	return op->reduction == GNS_NCCL_AVG ? out / c->world : out;
}

/* ---- one operation, by the stream's worker ---- */

static void agree(const struct call *k)
{
	struct ncclComm *c = k->comm;
	c->meeting->op[c->rank] = k->op;
	meet(c);
	for (int r = 0; r < c->world; r++) {
		const struct op *o = &c->meeting->op[r];
		if (o->what != k->op.what || o->dtype != k->op.dtype || o->reduction != k->op.reduction || o->count != k->op.count ||
		    o->root != k->op.root || o->factor != k->op.factor)
			gns_fake_die("%s of %llu elements of type %u, operation %u, on rank %d meets %s of %llu elements of type %u, operation %u, on rank %d",
				     names[k->op.what], (unsigned long long)k->op.count, k->op.dtype, k->op.reduction, c->rank,
				     names[o->what], (unsigned long long)o->count, o->dtype, o->reduction, r);
	}
	meet(c);
}

static bool writes(const struct call *k)
{
	return k->op.what != REDUCE || k->comm->rank == k->op.root;
}

/* All ranks' elements [at, at + n) of a whole buffer of `count`; of a scatter, of part `part`. */
static void chunk(const struct call *k, uint64_t part, uint64_t at, uint64_t n)
{
	struct ncclComm *c = k->comm;
	size_t size = size_of(k->op.dtype);
	uint64_t from = k->op.what == REDUCE_SCATTER ? part * k->op.count + at : at;
	if (k->op.what != BROADCAST || c->rank == k->op.root)
		memcpy(c->meeting->data[c->rank], (const unsigned char *)k->send + from * size, n * size);
	meet(c);
	if (k->op.what == ALL_GATHER)
		for (int r = 0; r < c->world; r++)
			memcpy((unsigned char *)k->received + ((uint64_t)r * k->op.count + at) * size, c->meeting->data[r], n * size);
	else if (k->op.what == BROADCAST)
		memmove((unsigned char *)k->received + at * size, c->meeting->data[k->op.root], n * size);
	else if (writes(k) && (k->op.what != REDUCE_SCATTER || part == (uint64_t)c->rank))
		for (uint64_t i = 0; i < n; i++)
			put(k->received, k->op.dtype, at + i, reduced(c, &k->op, i));
	meet(c);
}

static void need_buffers(const struct call *k)
{
	uint64_t world = (uint64_t)k->comm->world, bytes = k->op.count * size_of(k->op.dtype);
	if (k->op.what != BROADCAST || k->comm->rank == k->op.root)
		gns_fake_need(k->send, bytes * (k->op.what == REDUCE_SCATTER ? world : 1), names[k->op.what], "sendbuff");
	if (writes(k))
		gns_fake_need(k->received, bytes * (k->op.what == ALL_GATHER ? world : 1), names[k->op.what], "recvbuff");
}

static void wait_turn(struct call *k)
{
	struct ncclComm *c = k->comm;
	pthread_mutex_lock(&c->lock);
	while (c->done != k->number)
		pthread_cond_wait(&c->turn, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void end_turn(struct call *k)
{
	struct ncclComm *c = k->comm;
	pthread_mutex_lock(&c->lock);
	c->done++;
	pthread_cond_broadcast(&c->turn);
	pthread_mutex_unlock(&c->lock);
}

/* In place a scatter's result lies within what is still to be sent: it is written last. */
static void run(void *args)
{
	struct call k = *(struct call *)args;
	uint64_t each = CHUNK / size_of(k.op.dtype), parts = k.op.what == REDUCE_SCATTER ? (uint64_t)k.comm->world : 1;
	void *whole = k.received, *own = NULL;
	need_buffers(&k);
	wait_turn(&k);
	agree(&k);
	if (k.op.what == REDUCE_SCATTER || k.op.what == ALL_GATHER)
		k.received = own = malloc((k.op.count ? k.op.count : 1) * size_of(k.op.dtype) * (k.op.what == ALL_GATHER ? (size_t)k.comm->world : 1));
	for (uint64_t part = 0; part < parts; part++)
		for (uint64_t at = 0; at < k.op.count; at += each)
			chunk(&k, part, at, k.op.count - at < each ? k.op.count - at : each);
	if (own)
		memcpy(whole, own, k.op.count * size_of(k.op.dtype) * (k.op.what == ALL_GATHER ? (size_t)k.comm->world : 1));
	free(own);
	end_turn(&k);
}

/* ---- calls ---- */

static bool fails(void)
{
	static _Atomic int calls;
	const char *nth = getenv("GNS_FAKE_NCCL_FAIL");
	return nth && atomic_fetch_add(&calls, 1) + 1 == atoi(nth);
}

static ncclResult_t launch(struct call *k)
{
	CUcontext before;
	if (gns_fake_stream_context(k->stream) != k->comm->context && k->stream != NULL)
		gns_fake_die("%s: the stream is not of device %d, which the communicator is of", names[k->op.what], k->comm->device);
	cuCtxPushCurrent_v2(k->comm->context);
	k->number = k->comm->issued++;
	int rc = gns_fake_enqueue(k->stream, "ncclDevKernel", run, k, sizeof *k);
	cuCtxPopCurrent_v2(&before);
	return rc ? 1 : GNS_NCCL_SUCCESS;
}

static ncclResult_t begin(struct call k)
{
	if (!k.comm || !size_of(k.op.dtype) || (k.op.what != BROADCAST && !k.send && k.op.count) || k.op.root >= k.comm->world)
		return GNS_NCCL_INVALID_ARGUMENT;
	if (k.op.reduction >= GNS_NCCL_OPS) {
		uint32_t at = k.op.reduction - GNS_NCCL_OPS;
		if (at >= OPS_MAX || !k.comm->taken[at])
			return GNS_NCCL_INVALID_ARGUMENT;
		k.op.factor = k.comm->factor[at];
	}
	if (fails())
		return 1;
	if (!group.depth)
		return launch(&k);
	if (group.n == GROUP_MAX)
		gns_fake_die("a group of more than %d calls", GROUP_MAX);
	group.call[group.n++] = k;
	return GNS_NCCL_SUCCESS;
}

ncclResult_t ncclGetVersion(int *version);
ncclResult_t ncclGetVersion(int *version)
{
	if (!version)
		return GNS_NCCL_INVALID_ARGUMENT;
	*version = 22809;
	return GNS_NCCL_SUCCESS;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id);
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
	uint64_t random[2];
	int fd = open("/dev/urandom", O_RDONLY);
	if (fd < 0 || read(fd, random, sizeof random) != (ssize_t)sizeof random)
		gns_fake_die("no random numbers");
	close(fd);
	memset(id, 0, sizeof *id);
	snprintf(id->internal, sizeof id->internal, "%016llx%08x", (unsigned long long)random[0], (unsigned)random[1]);
	return GNS_NCCL_SUCCESS;
}

static ncclResult_t join(ncclComm_t *out, int world, const ncclUniqueId *id, int rank)
{
	struct ncclComm *c = calloc(1, sizeof *c);
	if (!out || world < 1 || world > RANKS_MAX || rank < 0 || rank >= world || !c || cuCtxGetCurrent(&c->context) || !c->context)
		return GNS_NCCL_INVALID_ARGUMENT;
	c->meeting = shared(id);
	if (!c->meeting)
		return GNS_NCCL_SYSTEM_ERROR;
	c->world = world;
	c->rank = rank;
	cuCtxGetDevice(&c->device);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->turn, NULL);
	if (atomic_fetch_add(&c->meeting->joined, 1) + 1 == (uint32_t)world)
		unlink_shared(id);
	*out = c;
	return GNS_NCCL_SUCCESS;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int world, ncclUniqueId id, int rank);
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int world, ncclUniqueId id, int rank)
{
	ncclResult_t status = join(comm, world, &id, rank);
	double until = now() + PATIENCE_S;
	while (!status && !group.depth && atomic_load(&(*comm)->meeting->joined) < (uint32_t)world) {
		usleep(200);
		if (now() > until)
			gns_fake_die("only %u of %d ranks came to ncclCommInitRank", atomic_load(&(*comm)->meeting->joined), world);
	}
	return status;
}

ncclResult_t ncclCommInitAll(ncclComm_t *comm, int n, const int *devices);
ncclResult_t ncclCommInitAll(ncclComm_t *comm, int n, const int *devices)
{
	ncclUniqueId id;
	ncclResult_t status = ncclGetUniqueId(&id);
	for (int i = 0; i < n && !status; i++) {
		CUcontext context, before;
		if (cuDevicePrimaryCtxRetain(&context, devices ? devices[i] : i))
			return GNS_NCCL_INVALID_ARGUMENT;
		cuCtxPushCurrent_v2(context);
		status = join(&comm[i], n, &id, i);
		cuCtxPopCurrent_v2(&before);
	}
	return status;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
	if (!comm)
		return GNS_NCCL_INVALID_ARGUMENT;
	while (1) { /* the real one waits for its work, too */
		pthread_mutex_lock(&comm->lock);
		bool idle = comm->issued == comm->done;
		pthread_mutex_unlock(&comm->lock);
		if (idle)
			break;
		usleep(200);
	}
	munmap(comm->meeting, sizeof *comm->meeting);
	free(comm);
	return GNS_NCCL_SUCCESS;
}

ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclCommAbort(ncclComm_t comm)
{
	return comm ? GNS_NCCL_SUCCESS : GNS_NCCL_INVALID_ARGUMENT;
}

#define ABOUT(NAME, FIELD)                                                                                                                 \
	ncclResult_t NAME(const ncclComm_t comm, int *out);                                                                                \
	ncclResult_t NAME(const ncclComm_t comm, int *out)                                                                                 \
	{                                                                                                                                  \
		if (!comm || !out)                                                                                                         \
			return GNS_NCCL_INVALID_ARGUMENT;                                                                                  \
		*out = comm->FIELD;                                                                                                        \
		return GNS_NCCL_SUCCESS;                                                                                                   \
	}
ABOUT(ncclCommCount, world)
ABOUT(ncclCommUserRank, rank)
ABOUT(ncclCommCuDevice, device)

ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t *op, void *scalar, ncclDataType_t dtype, ncclScalarResidence_t where, ncclComm_t comm);
ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t *op, void *scalar, ncclDataType_t dtype, ncclScalarResidence_t where, ncclComm_t comm)
{
	if (!op || !scalar || !comm || !size_of(dtype))
		return GNS_NCCL_INVALID_ARGUMENT;
	for (uint32_t i = 0; i < OPS_MAX; i++) {
		if (comm->taken[i])
			continue;
		comm->taken[i] = true;
		comm->factor[i] = get(scalar, dtype, 0); /* on the device, too: its memory is the host's here */
		*op = GNS_NCCL_OPS + i;
		return GNS_NCCL_SUCCESS;
	}
	return GNS_NCCL_INVALID_USAGE;
}

ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm);
ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm)
{
	if (!comm || op < GNS_NCCL_OPS || op >= GNS_NCCL_OPS + OPS_MAX)
		return GNS_NCCL_INVALID_ARGUMENT;
	comm->taken[op - GNS_NCCL_OPS] = false;
	return GNS_NCCL_SUCCESS;
}

#define OP(WHAT, REDUCTION, ROOT) { .what = WHAT, .dtype = dtype, .reduction = REDUCTION, .root = ROOT, .count = count, .factor = 1 }

ncclResult_t ncclAllReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
ncclResult_t ncclAllReduce(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
	return begin((struct call){ .op = OP(ALL_REDUCE, op, 0), .comm = comm, .send = send, .received = received, .stream = stream });
}

ncclResult_t ncclReduceScatter(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
ncclResult_t ncclReduceScatter(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclRedOp_t op, ncclComm_t comm,
			       cudaStream_t stream)
{
	return begin((struct call){ .op = OP(REDUCE_SCATTER, op, 0), .comm = comm, .send = send, .received = received, .stream = stream });
}

ncclResult_t ncclAllGather(const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t);
ncclResult_t ncclAllGather(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclComm_t comm, cudaStream_t stream)
{
	return begin((struct call){ .op = OP(ALL_GATHER, 0, 0), .comm = comm, .send = send, .received = received, .stream = stream });
}

ncclResult_t ncclReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, int, ncclComm_t, cudaStream_t);
ncclResult_t ncclReduce(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclRedOp_t op, int root, ncclComm_t comm,
			cudaStream_t stream)
{
	return begin((struct call){ .op = OP(REDUCE, op, root), .comm = comm, .send = send, .received = received, .stream = stream });
}

ncclResult_t ncclBroadcast(const void *, void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
ncclResult_t ncclBroadcast(const void *send, void *received, size_t count, ncclDataType_t dtype, int root, ncclComm_t comm, cudaStream_t stream)
{
	return begin((struct call){ .op = OP(BROADCAST, 0, root), .comm = comm, .send = send, .received = received, .stream = stream });
}

ncclResult_t ncclBcast(void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
ncclResult_t ncclBcast(void *buffer, size_t count, ncclDataType_t dtype, int root, ncclComm_t comm, cudaStream_t stream)
{
	return ncclBroadcast(buffer, buffer, count, dtype, root, comm, stream);
}

ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupStart(void)
{
	group.depth++;
	return GNS_NCCL_SUCCESS;
}

ncclResult_t ncclGroupEnd(void);
ncclResult_t ncclGroupEnd(void)
{
	ncclResult_t status = GNS_NCCL_SUCCESS;
	int n = group.n;
	if (!group.depth)
		return GNS_NCCL_INVALID_USAGE;
	if (--group.depth)
		return GNS_NCCL_SUCCESS;
	group.n = 0;
	for (int i = 0; i < n && !status; i++)
		status = launch(&group.call[i]);
	return !status && getenv("GNS_FAKE_NCCL_PENDING") ? GNS_NCCL_IN_PROGRESS : status;
}

ncclResult_t ncclGroupSimulateEnd(ncclSimInfo_t *info);
ncclResult_t ncclGroupSimulateEnd(ncclSimInfo_t *info)
{
	if (!group.depth)
		return GNS_NCCL_INVALID_USAGE;
	if (--group.depth == 0)
		group.n = 0;
	return GNS_NCCL_SUCCESS;
}
