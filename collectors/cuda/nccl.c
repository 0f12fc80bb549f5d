/* The NCCL collector: gradients before and after ncclAllReduce and ncclReduceScatter (profiler/shim/core/reductions.h).
 *
 * In a group nothing is launched before the outermost ncclGroupEnd, so that is where norms are taken, before and after. What returns
 * ncclInProgress (a communicator that does not block) will be launched at a time that nobody tells: it is counted. Who a
 * communicator is, is asked of the very library that the call goes to. Reference: NCCL documentation, 2.28, "Group Calls". */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "collectors/cuda/nccl_api.h"
#include "collectors/gpu/on.h"
#include "collectors/sketch/layers.h"
#include "profiler/shim/publish/libraries.h"
#include "profiler/shim/process/real_function.h"
#include "profiler/shim/core/reductions.h"
#include "profiler/shim/process/lock.h"
#include "profiler/shim/publish/counters.h"

#define EXPORT __attribute__((visibility("default")))
#define COMMS_MAX 64u
#define FACTORS_MAX 64u
#define GROUP_MAX 64u
#define GROUPS_MAX 64u /* threads in one at a time */

/* ---- communicators ---- */

struct comm {
	const void *comm; /* NULL: free */
	uint32_t world, rank;
	int device;
};

static struct comm comms[COMMS_MAX];
static struct gns_lock comms_lock;

static bool lock(void)
{
	return gns_lock_take(&comms_lock);
}

static void tell_version(void *next)
{
	ncclResult_t (*get_version)(int *) = (__typeof__(get_version))gns_real_beside(next, "ncclGetVersion");
	int version = 0;
	bool known = get_version && get_version(&version) == GNS_NCCL_SUCCESS && version > 0;
	gns_library_met("nccl", next, known ? (uint64_t)version : 0);
}

static bool ask(void *next, ncclComm_t handle, struct comm *out)
{
	ncclResult_t (*count)(const ncclComm_t, int *) = (__typeof__(count))gns_real_beside(next, "ncclCommCount");
	ncclResult_t (*rank)(const ncclComm_t, int *) = (__typeof__(rank))gns_real_beside(next, "ncclCommUserRank");
	ncclResult_t (*device)(const ncclComm_t, int *) = (__typeof__(device))gns_real_beside(next, "ncclCommCuDevice");
	int n = 0, r = 0, d = -1;
	if (!count || !rank || count(handle, &n) != GNS_NCCL_SUCCESS || rank(handle, &r) != GNS_NCCL_SUCCESS || n < 1 || r < 0)
		return false;
	if (!device || device(handle, &d) != GNS_NCCL_SUCCESS)
		d = -1;
	*out = (struct comm){ .comm = handle, .world = (uint32_t)n, .rank = (uint32_t)r, .device = d };
	return true;
}

static struct comm *find_comm(const void *comm)
{
	for (uint32_t i = 0; i < COMMS_MAX; i++)
		if (comms[i].comm == comm)
			return &comms[i];
	return NULL;
}

static bool comm_of(void *next, ncclComm_t handle, struct comm *out)
{
	bool locked = lock();
	struct comm *known = locked ? find_comm(handle) : NULL;
	bool there = known != NULL;
	if (there)
		*out = *known;
	if (locked)
		gns_lock_release(&comms_lock);
	if (there)
		return true;
	tell_version(next);
	if (!ask(next, handle, out))
		return false;
	if (lock()) {
		known = find_comm(handle) ? NULL : find_comm(NULL);
		if (known)
			*known = *out;
		gns_lock_release(&comms_lock);
	}
	return true;
}

/* ---- factors of ncclRedOpCreatePreMulSum ---- */

static struct {
	const void *comm; /* NULL: free */
	unsigned op;
	double factor;
} factors[FACTORS_MAX];

static void set_factor(const void *comm, unsigned op, double factor)
{
	int at = -1;
	if (!lock())
		return;
	for (uint32_t i = 0; i < FACTORS_MAX; i++)
		if ((factors[i].comm == comm && factors[i].op == op) || (at < 0 && !factors[i].comm))
			at = (int)i;
	if (at >= 0) {
		factors[at].comm = comm;
		factors[at].op = op;
		factors[at].factor = factor;
	}
	gns_lock_release(&comms_lock);
}

static double factor_set(const void *comm, unsigned op)
{
	double factor = NAN;
	if (!lock())
		return factor;
	for (uint32_t i = 0; i < FACTORS_MAX; i++)
		if (factors[i].comm == comm && factors[i].op == op)
			factor = factors[i].factor;
	gns_lock_release(&comms_lock);
	return factor;
}

/* op: (unsigned)-1 all of them; comm NULL: none */
static void forget(const void *comm, unsigned op)
{
	if (!lock())
		return;
	for (uint32_t i = 0; i < FACTORS_MAX; i++)
		if (comm && factors[i].comm == comm && (op == (unsigned)-1 || factors[i].op == op))
			factors[i].comm = NULL;
	for (uint32_t i = 0; i < COMMS_MAX && op == (unsigned)-1; i++)
		if (comm && comms[i].comm == comm)
			comms[i].comm = NULL;
	gns_lock_release(&comms_lock);
}

static double half(uint16_t bits, bool brain)
{
	uint32_t wide = (uint32_t)bits << 16;
	float out;
	if (!brain) {
		int exponent = bits >> 10 & 31;
		double value = exponent ? ldexp(1 + (bits & 1023) / 1024.0, exponent - 15) : ldexp((bits & 1023) / 1024.0, -14);
		return exponent == 31 ? (double)NAN : bits >> 15 ? -value : value;
	}
	memcpy(&out, &wide, sizeof out);
	return out;
}

static double scalar(const void *at, unsigned dtype)
{
	float f;
	double d;
	uint16_t h;
	switch (dtype) {
	case GNS_NCCL_FLOAT32: memcpy(&f, at, sizeof f); return f;
	case GNS_NCCL_FLOAT64: memcpy(&d, at, sizeof d); return d;
	case GNS_NCCL_FLOAT16:
	case GNS_NCCL_BFLOAT16: memcpy(&h, at, sizeof h); return half(h, dtype == GNS_NCCL_BFLOAT16);
	default: return NAN;
	}
}

static double factor_of(unsigned op, const struct comm *c)
{
	if (op == GNS_NCCL_SUM)
		return 1;
	if (op == GNS_NCCL_AVG)
		return 1.0 / c->world;
	return op < GNS_NCCL_OPS ? 0 : factor_set(c->comm, op);
}

static uint32_t dtype_of(unsigned dtype)
{
	return dtype == GNS_NCCL_FLOAT32 ? GNS_F32 : dtype == GNS_NCCL_FLOAT64 ? GNS_F64 : dtype == GNS_NCCL_FLOAT16 ? GNS_F16
	     : dtype == GNS_NCCL_BFLOAT16 ? GNS_BF16 : 0;
}

/* ---- groups ---- */

/* Not in thread-local memory: the C library takes that from every thread's stack. */
struct group {
	_Atomic bool busy;
	uint32_t n;
	struct { struct gns_reduction of; void *stream; } call[GROUP_MAX];
	struct gns_reductions_use use[GROUP_MAX];
};
static struct group groups[GROUPS_MAX];
static __thread uint32_t depth __attribute__((tls_model("initial-exec")));
static __thread struct group *mine __attribute__((tls_model("initial-exec"))); /* NULL: nothing put off */

static struct group *take_group(void)
{
	for (unsigned i = 0; i < GROUPS_MAX; i++)
		if (!atomic_exchange(&groups[i].busy, true)) {
			groups[i].n = 0;
			return &groups[i];
		}
	return NULL;
}

static void put_off(const struct gns_reduction *of, void *stream)
{
	if (!mine)
		mine = take_group();
	if (!mine || mine->n == GROUP_MAX) {
		gns_reductions_count(GNS_REDUCE_TOO_MANY);
		return;
	}
	mine->call[mine->n].of = *of;
	mine->call[mine->n++].stream = stream;
}

static enum gns_reduction_why outcome(ncclResult_t status)
{
	return status == GNS_NCCL_SUCCESS ? GNS_REDUCE_IS : status == GNS_NCCL_IN_PROGRESS ? GNS_REDUCE_PENDING : GNS_REDUCE_FAILED;
}

static ncclResult_t end_group(ncclResult_t (*next)(void))
{
	struct group *g = mine;
	mine = NULL;
	for (uint32_t i = 0; g && i < g->n; i++)
		gns_reductions_before(&g->use[i], &g->call[i].of, g->call[i].stream);
	ncclResult_t status = next();
	for (uint32_t i = 0; g && i < g->n; i++)
		gns_reductions_after(&g->use[i], outcome(status));
	if (g)
		atomic_store(&g->busy, false);
	return status;
}

/* ---- wrappers ---- */

/* The function behind this wrapper, counted; NULL: there is none. `here` static. */
struct site {
	struct gns_real real;
	struct gns_live_counter calls;
};
#define SITE(NAME)                                                                                                                         \
	static struct site site = { .real = { .name = #NAME, .self = (void *)NAME }, .calls = { .collector = "nccl", .name = #NAME } };     \
	__typeof__(&NAME) next = (__typeof__(&NAME))gns_real_find(&site.real, __builtin_return_address(0));                                \
	if (!next)                                                                                                                         \
		return GNS_NCCL_SYSTEM_ERROR;                                                                                              \
	bool seen = gns_cuda_on();                                                                                                         \
	if (seen)                                                                                                                          \
		gns_count(&site.calls)

/* In a group a call that is accepted is put off; otherwise it is measured here. */
#define REDUCE(NAME, KIND, SENT)                                                                                                           \
	EXPORT ncclResult_t NAME(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);                     \
	EXPORT ncclResult_t NAME(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclRedOp_t op, ncclComm_t comm,    \
				 cudaStream_t stream)                                                                                      \
	{                                                                                                                                  \
		struct comm c;                                                                                                             \
		struct gns_reductions_use use;                                                                                               \
		SITE(NAME);                                                                                                                \
		if (!seen || !comm || !send || !received || !comm_of((void *)next, comm, &c))                                              \
			return next(send, received, count, dtype, op, comm, stream);                                                       \
		struct gns_reduction of = { .comm = comm, .world = c.world, .rank = c.rank, .kind = KIND, .dtype = dtype_of(dtype),        \
					    .count = SENT, .factor = factor_of(op, &c), .send = send, .received = received,                \
					    .device = c.device };                                                                          \
		if (!depth)                                                                                                          \
			gns_reductions_before(&use, &of, stream);                                                                            \
		ncclResult_t status = next(send, received, count, dtype, op, comm, stream);                                                \
		if (!depth)                                                                                                          \
			gns_reductions_after(&use, outcome(status));                                                                         \
		else if (status == GNS_NCCL_SUCCESS || status == GNS_NCCL_IN_PROGRESS)                                                     \
			put_off(&of, stream);                                                                                              \
		return status;                                                                                                             \
	}

REDUCE(ncclAllReduce, GNS_REDUCE_ALL, count)
REDUCE(ncclReduceScatter, GNS_REDUCE_SCATTER, (uint64_t)count * c.world)

EXPORT ncclResult_t ncclGroupStart(void);
EXPORT ncclResult_t ncclGroupStart(void)
{
	SITE(ncclGroupStart);
	ncclResult_t status = next();
	if (seen && status == GNS_NCCL_SUCCESS)
		depth++;
	return status;
}

EXPORT ncclResult_t ncclGroupEnd(void);
EXPORT ncclResult_t ncclGroupEnd(void)
{
	SITE(ncclGroupEnd);
	if (!depth || --depth)
		return next();
	return end_group(next);
}

/* Ends a group without launching anything. */
EXPORT ncclResult_t ncclGroupSimulateEnd(ncclSimInfo_t *);
EXPORT ncclResult_t ncclGroupSimulateEnd(ncclSimInfo_t *info)
{
	SITE(ncclGroupSimulateEnd);
	if (depth && --depth == 0 && mine) {
		atomic_store(&mine->busy, false);
		mine = NULL;
	}
	return next(info);
}

static void broadcast(void *next, ncclComm_t comm, size_t count, ncclDataType_t dtype)
{
	struct comm c;
	if (comm && dtype_of(dtype) && comm_of(next, comm, &c))
		gns_reductions_broadcast(comm, c.world, c.rank, count);
}

EXPORT ncclResult_t ncclBroadcast(const void *, void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
EXPORT ncclResult_t ncclBroadcast(const void *send, void *received, size_t count, ncclDataType_t dtype, int root, ncclComm_t comm,
				  cudaStream_t stream)
{
	SITE(ncclBroadcast);
	if (seen)
		broadcast((void *)next, comm, count, dtype);
	return next(send, received, count, dtype, root, comm, stream);
}

EXPORT ncclResult_t ncclBcast(void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
EXPORT ncclResult_t ncclBcast(void *buffer, size_t count, ncclDataType_t dtype, int root, ncclComm_t comm, cudaStream_t stream)
{
	SITE(ncclBcast);
	if (seen)
		broadcast((void *)next, comm, count, dtype);
	return next(buffer, count, dtype, root, comm, stream);
}

/* Counted: who looks for numbers that are not there sees what the program does instead. */
EXPORT ncclResult_t ncclReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, int, ncclComm_t, cudaStream_t);
EXPORT ncclResult_t ncclReduce(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclRedOp_t op, int root, ncclComm_t comm,
			       cudaStream_t stream)
{
	SITE(ncclReduce);
	return next(send, received, count, dtype, op, root, comm, stream);
}

EXPORT ncclResult_t ncclAllGather(const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t);
EXPORT ncclResult_t ncclAllGather(const void *send, void *received, size_t count, ncclDataType_t dtype, ncclComm_t comm, cudaStream_t stream)
{
	SITE(ncclAllGather);
	return next(send, received, count, dtype, comm, stream);
}

EXPORT ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t *, void *, ncclDataType_t, ncclScalarResidence_t, ncclComm_t);
EXPORT ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t *op, void *factor, ncclDataType_t dtype, ncclScalarResidence_t where, ncclComm_t comm)
{
	SITE(ncclRedOpCreatePreMulSum);
	ncclResult_t status = next(op, factor, dtype, where, comm);
	if (seen && status == GNS_NCCL_SUCCESS && op && comm)
		set_factor(comm, *op, where == GNS_NCCL_SCALAR_HOST && factor ? scalar(factor, dtype) : (double)NAN);
	return status;
}

EXPORT ncclResult_t ncclRedOpDestroy(ncclRedOp_t, ncclComm_t);
EXPORT ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm)
{
	SITE(ncclRedOpDestroy);
	if (seen)
		forget(comm, op);
	return next(op, comm);
}

/* Its address may be another communicator's next. */
#define ENDS(NAME)                                                                                                                         \
	EXPORT ncclResult_t NAME(ncclComm_t);                                                                                              \
	EXPORT ncclResult_t NAME(ncclComm_t comm)                                                                                          \
	{                                                                                                                                  \
		SITE(NAME);                                                                                                                \
		if (seen && comm) {                                                                                                        \
			forget(comm, (unsigned)-1);                                                                                        \
			gns_reductions_forget(comm);                                                                                         \
		}                                                                                                                          \
		return next(comm);                                                                                                         \
	}

ENDS(ncclCommDestroy)
ENDS(ncclCommAbort)
