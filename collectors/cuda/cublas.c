/* The cuBLAS collector: dense products of programs that call cuBLAS itself, PyTorch's wheels among them.
 *
 * A call goes to the stream of its handle; that and where its scalars are is asked of the very library that the call goes to. Matrices
 * are column-major. Batches over arrays of pointers have these on the device, where they cannot be read: such calls are counted.
 * Reference: cuBLAS library documentation, CUDA 13, sections 2.7 and 2.8. */
#include <math.h>
#include <stdatomic.h>

#include "collectors/cuda/cublas_api.h"
#include "collectors/cuda/product_call.h"
#include "profiler/shim/publish/libraries.h"
#include "profiler/shim/process/real_function.h"

#define EXPORT __attribute__((visibility("default")))

/* Functions of the library that a wrapper calls. */
struct beside {
	void *next;
	cublasStatus_t (*get_stream)(cublasHandle_t, cudaStream_t *);
	cublasStatus_t (*get_pointer_mode)(cublasHandle_t, cublasPointerMode_t *);
};

struct site {
	struct gns_real real;
	struct gns_live_counter calls;
	_Atomic int state; /* 0, 1 being filled, 2 filled */
	struct beside beside;
};

static void look_beside(struct beside *out, void *next)
{
	out->next = next;
	out->get_stream = (__typeof__(out->get_stream))gns_real_beside(next, "cublasGetStream_v2");
	out->get_pointer_mode = (__typeof__(out->get_pointer_mode))gns_real_beside(next, "cublasGetPointerMode_v2");
}

static void tell_version(void *next, cublasHandle_t handle)
{
	cublasStatus_t (*get_version)(cublasHandle_t, int *) = (__typeof__(get_version))gns_real_beside(next, "cublasGetVersion_v2");
	int version = 0;
	bool known = get_version && get_version(handle, &version) == GNS_CUBLAS_SUCCESS && version > 0;
	gns_library_met("cublas", next, known ? (uint64_t)version : 0);
}

/* Remembered for the first library that this wrapper met; another copy of it is asked anew at each call. */
static struct beside beside_of(struct site *site, void *next, cublasHandle_t handle)
{
	struct beside found;
	int fresh = 0;
	if (atomic_load_explicit(&site->state, memory_order_acquire) == 2 && site->beside.next == next)
		return site->beside;
	look_beside(&found, next);
	tell_version(next, handle);
	if (atomic_compare_exchange_strong(&site->state, &fresh, 1)) {
		site->beside = found;
		atomic_store_explicit(&site->state, 2, memory_order_release);
	}
	return found;
}

struct scalars {
	const void *alpha, *beta;
	uint32_t compute;
};

static void before(struct gns_call *call, struct site *site, void *next, cublasHandle_t handle, struct gns_gemm *g, struct scalars s)
{
	cudaStream_t stream = NULL;
	cublasPointerMode_t mode = GNS_CUBLAS_DEVICE;
	struct beside at = { 0 };
	if (handle)
		at = beside_of(site, next, handle);
	if (gns_core_stands_aside())
		at.get_stream = NULL;
	bool known = at.get_stream && at.get_stream(handle, &stream) == GNS_CUBLAS_SUCCESS;
	bool host = at.get_pointer_mode && at.get_pointer_mode(handle, &mode) == GNS_CUBLAS_SUCCESS && mode == GNS_CUBLAS_HOST;
	g->alpha = host ? gns_gemm_scalar_of_compute(s.alpha, s.compute) : (double)NAN;
	g->beta = host ? gns_gemm_scalar_of_compute(s.beta, s.compute) : (double)NAN;
	gns_product_before(call, known ? g : NULL, stream);
}

/* One wrapper: GEMM describes the call and SCALARS where its scalars are, both in the names of the parameters. */
#define WRAP(NAME, PARAMETERS, ARGUMENTS, GEMM, ...)                                                                                       \
	EXPORT cublasStatus_t NAME PARAMETERS;                                                                                             \
	EXPORT cublasStatus_t NAME PARAMETERS                                                                                              \
	{                                                                                                                                  \
		static struct site site = { .real = { .name = #NAME, .self = (void *)NAME },                                               \
					    .calls = { .collector = "cublas", .name = #NAME } };                                           \
		struct gns_call call;                                                                                                      \
		__typeof__(&NAME) next = (__typeof__(&NAME))gns_real_find(&site.real, __builtin_return_address(0));                        \
		if (!next)                                                                                                                 \
			return GNS_CUBLAS_NOT_INITIALIZED;                                                                                 \
		if (!gns_product_enter(&call, &site.calls))                                                                                \
			return next ARGUMENTS;                                                                                             \
		struct gns_gemm gemm = GEMM;                                                                                               \
		before(&call, &site, (void *)next, handle, &gemm, (struct scalars){ __VA_ARGS__ });                                        \
		cublasStatus_t status = next ARGUMENTS;                                                                                    \
		gns_product_after(&call, status != GNS_CUBLAS_SUCCESS);                                                                    \
		return status;                                                                                                             \
	}

#define OP(op) ((op) != GNS_CUBLAS_N)
#define GEMM(at, bt, ct, sa, sb, sc, count)                                                                                                \
	{ .a = { a, at, false, OP(ta), lda, sa }, .b = { b, bt, false, OP(tb), ldb, sb }, .d = { c, ct, false, false, ldc, sc },           \
	  .m = m, .n = n, .k = k, .batch = count }

/* T: of the elements, TYPE its cudaDataType, I: of sizes, S: of strides. */
#define PLAIN(NAME, T, TYPE, COMPUTE, I)                                                                                                   \
	WRAP(NAME,                                                                                                                         \
	     (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const T *alpha, const T *a, I lda,         \
	      const T *b, I ldb, const T *beta, T *c, I ldc),                                                                              \
	     (handle, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), GEMM(TYPE, TYPE, TYPE, 0, 0, 0, 1), alpha, beta, COMPUTE)
#define STRIDED(NAME, T, TYPE, COMPUTE, I, S)                                                                                              \
	WRAP(NAME,                                                                                                                         \
	     (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const T *alpha, const T *a, I lda, S sa,   \
	      const T *b, I ldb, S sb, const T *beta, T *c, I ldc, S sc, I batch),                                                         \
	     (handle, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, batch),                                            \
	     GEMM(TYPE, TYPE, TYPE, sa, sb, sc, batch), alpha, beta, COMPUTE)
#define SGEMM_EX(NAME, I)                                                                                                                  \
	WRAP(NAME,                                                                                                                         \
	     (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const float *alpha, const void *a,         \
	      cudaDataType at, I lda, const void *b, cudaDataType bt, I ldb, const float *beta, void *c, cudaDataType ct, I ldc),          \
	     (handle, ta, tb, m, n, k, alpha, a, at, lda, b, bt, ldb, beta, c, ct, ldc), GEMM(at, bt, ct, 0, 0, 0, 1), alpha, beta,        \
	     GNS_COMPUTE_32F)
#define GEMM_EX(NAME, I)                                                                                                                   \
	WRAP(NAME,                                                                                                                         \
	     (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha, const void *a,          \
	      cudaDataType at, I lda, const void *b, cudaDataType bt, I ldb, const void *beta, void *c, cudaDataType ct, I ldc,            \
	      cublasComputeType_t compute, cublasGemmAlgo_t algo),                                                                         \
	     (handle, ta, tb, m, n, k, alpha, a, at, lda, b, bt, ldb, beta, c, ct, ldc, compute, algo), GEMM(at, bt, ct, 0, 0, 0, 1),      \
	     alpha, beta, compute)
#define STRIDED_EX(NAME, I, S)                                                                                                             \
	WRAP(NAME,                                                                                                                         \
	     (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha, const void *a,          \
	      cudaDataType at, I lda, S sa, const void *b, cudaDataType bt, I ldb, S sb, const void *beta, void *c, cudaDataType ct,       \
	      I ldc, S sc, I batch, cublasComputeType_t compute, cublasGemmAlgo_t algo),                                                   \
	     (handle, ta, tb, m, n, k, alpha, a, at, lda, sa, b, bt, ldb, sb, beta, c, ct, ldc, sc, batch, compute, algo),                 \
	     GEMM(at, bt, ct, sa, sb, sc, batch), alpha, beta, compute)

/* Counted, and kept from being seen twice where the library passes it on to cuBLASLt. */
#define POINTERS_EX(NAME, I)                                                                                                               \
	EXPORT cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const void *, const void *const[],       \
				   cudaDataType, I, const void *const[], cudaDataType, I, const void *, void *const[], cudaDataType, I, I, \
				   cublasComputeType_t, cublasGemmAlgo_t);                                                                 \
	EXPORT cublasStatus_t NAME(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha,    \
				   const void *const a[], cudaDataType at, I lda, const void *const b[], cudaDataType bt, I ldb,           \
				   const void *beta, void *const c[], cudaDataType ct, I ldc, I batch, cublasComputeType_t compute,        \
				   cublasGemmAlgo_t algo)                                                                                  \
	{                                                                                                                                  \
		static struct site site = { .real = { .name = #NAME, .self = (void *)NAME },                                               \
					    .calls = { .collector = "cublas", .name = #NAME } };                                           \
		struct gns_call call;                                                                                                      \
		__typeof__(&NAME) next = (__typeof__(&NAME))gns_real_find(&site.real, __builtin_return_address(0));                        \
		if (!next)                                                                                                                 \
			return GNS_CUBLAS_NOT_INITIALIZED;                                                                                 \
		bool seen = gns_product_enter(&call, &site.calls);                                                                         \
		if (seen)                                                                                                                  \
			gns_product_before(&call, NULL, NULL);                                                                             \
		cublasStatus_t status = next(handle, ta, tb, m, n, k, alpha, a, at, lda, b, bt, ldb, beta, c, ct, ldc, batch, compute,     \
					     algo);                                                                                        \
		if (seen)                                                                                                                  \
			gns_product_after(&call, status != GNS_CUBLAS_SUCCESS);                                                            \
		return status;                                                                                                             \
	}

PLAIN(cublasSgemm_v2, float, GNS_CUDA_R_32F, GNS_COMPUTE_32F, int)
PLAIN(cublasSgemm_v2_64, float, GNS_CUDA_R_32F, GNS_COMPUTE_32F, int64_t)
PLAIN(cublasDgemm_v2, double, GNS_CUDA_R_64F, GNS_COMPUTE_64F, int)
PLAIN(cublasDgemm_v2_64, double, GNS_CUDA_R_64F, GNS_COMPUTE_64F, int64_t)
SGEMM_EX(cublasSgemmEx, int)
SGEMM_EX(cublasSgemmEx_64, int64_t)
GEMM_EX(cublasGemmEx, int)
GEMM_EX(cublasGemmEx_64, int64_t)
STRIDED(cublasSgemmStridedBatched, float, GNS_CUDA_R_32F, GNS_COMPUTE_32F, int, long long)
STRIDED(cublasSgemmStridedBatched_64, float, GNS_CUDA_R_32F, GNS_COMPUTE_32F, int64_t, long long)
STRIDED(cublasDgemmStridedBatched, double, GNS_CUDA_R_64F, GNS_COMPUTE_64F, int, long long)
STRIDED(cublasDgemmStridedBatched_64, double, GNS_CUDA_R_64F, GNS_COMPUTE_64F, int64_t, long long)
STRIDED_EX(cublasGemmStridedBatchedEx, int, long long)
STRIDED_EX(cublasGemmStridedBatchedEx_64, int64_t, long long)
POINTERS_EX(cublasGemmBatchedEx, int)
POINTERS_EX(cublasGemmBatchedEx_64, int64_t)
