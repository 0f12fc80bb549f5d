/* libcublas.so.13 on this processor: what trainers in tests/programs call. Single precision with half-precision operands goes through
 * cublasLtMatmul of the process, as in the real library. */
#include <stdlib.h>

#include "collectors/cuda/cublas_api.h"
#include "tests/fakes/cuda_fake.h"
#include "tests/fakes/gemm_fake.h"

struct cublasContext {
	void *context;
	cudaStream_t stream;
	cublasPointerMode_t mode;
};

#define API(name, ...)                      \
	cublasStatus_t name(__VA_ARGS__);   \
	cublasStatus_t name(__VA_ARGS__)

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *, cublasLtMatrixLayout_t, const void *,
			      cublasLtMatrixLayout_t, const void *, const void *, cublasLtMatrixLayout_t, void *, cublasLtMatrixLayout_t,
			      const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t);
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *, cudaDataType, uint64_t, uint64_t, int64_t);
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t);
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t);
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t);
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *, size_t);

API(cublasCreate_v2, cublasHandle_t *handle)
{
	void *context = gns_fake_context();
	if (!handle)
		return GNS_CUBLAS_INVALID_VALUE;
	if (!context)
		return GNS_CUBLAS_NOT_INITIALIZED;
	*handle = calloc(1, sizeof **handle);
	(*handle)->context = context;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasDestroy_v2, cublasHandle_t handle)
{
	free(handle);
	return handle ? GNS_CUBLAS_SUCCESS : GNS_CUBLAS_NOT_INITIALIZED;
}

API(cublasGetVersion_v2, cublasHandle_t handle, int *version)
{
	*version = 130100;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasSetStream_v2, cublasHandle_t handle, cudaStream_t stream)
{
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	handle->stream = stream;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasGetStream_v2, cublasHandle_t handle, cudaStream_t *stream)
{
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	*stream = handle->stream;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasSetPointerMode_v2, cublasHandle_t handle, cublasPointerMode_t mode)
{
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	handle->mode = mode;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasGetPointerMode_v2, cublasHandle_t handle, cublasPointerMode_t *mode)
{
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	*mode = handle->mode;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasSetWorkspace_v2, cublasHandle_t handle, void *workspace, size_t size)
{
	return handle ? GNS_CUBLAS_SUCCESS : GNS_CUBLAS_NOT_INITIALIZED;
}

static void set_scalars(struct gemm_fake *g, cublasHandle_t handle, const void *alpha, const void *beta, uint32_t scale)
{
	g->scale_type = scale;
	if (handle->mode == GNS_CUBLAS_DEVICE) {
		g->alpha_at = alpha;
		g->beta_at = beta;
	} else {
		g->alpha = gemm_fake_scalar(alpha, scale);
		g->beta = gemm_fake_scalar(beta, scale);
	}
}

static cublasStatus_t product(cublasHandle_t handle, struct gemm_fake *g, const void *alpha, const void *beta, uint32_t scale)
{
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	gemm_fake_same_context(g->name, handle->context);
	set_scalars(g, handle, alpha, beta, scale);
	g->epilogue = GNS_LT_EPILOGUE_DEFAULT;
	return gemm_fake_enqueue(g, handle->stream);
}

/* By the other library. */
static cublasStatus_t product_by_lt(cublasHandle_t handle, const struct gemm_fake *g, const void *alpha, const void *beta, uint32_t compute)
{
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, d;
	int32_t ta = g->a.transposed, tb = g->b.transposed, mode = (int32_t)(handle ? handle->mode : 0);
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	gemm_fake_same_context(g->name, handle->context);
	cublasLtMatmulDescCreate(&desc, compute, gemm_fake_scale_type(compute));
	cublasLtMatmulDescSetAttribute(desc, GNS_LT_DESC_TRANSA, &ta, sizeof ta);
	cublasLtMatmulDescSetAttribute(desc, GNS_LT_DESC_TRANSB, &tb, sizeof tb);
	cublasLtMatmulDescSetAttribute(desc, GNS_LT_DESC_POINTER_MODE, &mode, sizeof mode);
	cublasLtMatrixLayoutCreate(&a, g->a.type, (uint64_t)(ta ? g->k : g->m), (uint64_t)(ta ? g->m : g->k), g->a.ld);
	cublasLtMatrixLayoutCreate(&b, g->b.type, (uint64_t)(tb ? g->n : g->k), (uint64_t)(tb ? g->k : g->n), g->b.ld);
	cublasLtMatrixLayoutCreate(&d, g->d.type, (uint64_t)g->m, (uint64_t)g->n, g->d.ld);
	cublasStatus_t status = cublasLtMatmul((cublasLtHandle_t)handle, desc, alpha, g->a.data, a, g->b.data, b, beta, g->c.data, d,
					       (void *)g->d.data, d, NULL, NULL, 0, handle->stream);
	cublasLtMatrixLayoutDestroy(a);
	cublasLtMatrixLayoutDestroy(b);
	cublasLtMatrixLayoutDestroy(d);
	cublasLtMatmulDescDestroy(desc);
	return status;
}

#define OP(op) ((op) != GNS_CUBLAS_N)
#define GEMM(NAME, at, bt, ct, sa, sb, sc, count)                                                                                          \
	(struct gemm_fake)                                                                                                                 \
	{                                                                                                                                  \
		.name = NAME, .a = { a, at, false, OP(ta), lda, sa }, .b = { b, bt, false, OP(tb), ldb, sb },                              \
		.c = { c, ct, false, false, ldc, sc }, .d = { c, ct, false, false, ldc, sc }, .m = m, .n = n, .k = k, .batch = count       \
	}

#define PLAIN(NAME, T, TYPE, I)                                                                                                            \
	API(NAME, cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const T *alpha, const T *a, I lda,     \
	    const T *b, I ldb, const T *beta, T *c, I ldc)                                                                                 \
	{                                                                                                                                  \
		struct gemm_fake g = GEMM(#NAME, TYPE, TYPE, TYPE, 0, 0, 0, 1);                                                            \
		return product(handle, &g, alpha, beta, TYPE);                                                                             \
	}
#define STRIDED(NAME, T, TYPE, I)                                                                                                          \
	API(NAME, cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const T *alpha, const T *a, I lda,     \
	    long long sa, const T *b, I ldb, long long sb, const T *beta, T *c, I ldc, long long sc, I batch)                              \
	{                                                                                                                                  \
		struct gemm_fake g = GEMM(#NAME, TYPE, TYPE, TYPE, sa, sb, sc, batch);                                                     \
		return product(handle, &g, alpha, beta, TYPE);                                                                             \
	}
#define GEMM_EX(NAME, I)                                                                                                                   \
	API(NAME, cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha, const void *a,      \
	    cudaDataType at, I lda, const void *b, cudaDataType bt, I ldb, const void *beta, void *c, cudaDataType ct, I ldc,              \
	    cublasComputeType_t compute, cublasGemmAlgo_t algo)                                                                            \
	{                                                                                                                                  \
		struct gemm_fake g = GEMM(#NAME, at, bt, ct, 0, 0, 0, 1);                                                                  \
		return product_by_lt(handle, &g, alpha, beta, compute);                                                                    \
	}
#define STRIDED_EX(NAME, I)                                                                                                                \
	API(NAME, cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha, const void *a,      \
	    cudaDataType at, I lda, long long sa, const void *b, cudaDataType bt, I ldb, long long sb, const void *beta, void *c,          \
	    cudaDataType ct, I ldc, long long sc, I batch, cublasComputeType_t compute, cublasGemmAlgo_t algo)                             \
	{                                                                                                                                  \
		struct gemm_fake g = GEMM(#NAME, at, bt, ct, sa, sb, sc, batch);                                                           \
		return product(handle, &g, alpha, beta, gemm_fake_scale_type(compute));                                                    \
	}
#define SGEMM_EX(NAME, I)                                                                                                                  \
	API(NAME, cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const float *alpha, const void *a,     \
	    cudaDataType at, I lda, const void *b, cudaDataType bt, I ldb, const float *beta, void *c, cudaDataType ct, I ldc)             \
	{                                                                                                                                  \
		struct gemm_fake g = GEMM(#NAME, at, bt, ct, 0, 0, 0, 1);                                                                  \
		return product(handle, &g, alpha, beta, GNS_CUDA_R_32F);                                                                   \
	}

PLAIN(cublasSgemm_v2, float, GNS_CUDA_R_32F, int)
PLAIN(cublasSgemm_v2_64, float, GNS_CUDA_R_32F, int64_t)
PLAIN(cublasDgemm_v2, double, GNS_CUDA_R_64F, int)
PLAIN(cublasDgemm_v2_64, double, GNS_CUDA_R_64F, int64_t)
SGEMM_EX(cublasSgemmEx, int)
SGEMM_EX(cublasSgemmEx_64, int64_t)
GEMM_EX(cublasGemmEx, int)
GEMM_EX(cublasGemmEx_64, int64_t)
STRIDED(cublasSgemmStridedBatched, float, GNS_CUDA_R_32F, int)
STRIDED(cublasSgemmStridedBatched_64, float, GNS_CUDA_R_32F, int64_t)
STRIDED(cublasDgemmStridedBatched, double, GNS_CUDA_R_64F, int)
STRIDED(cublasDgemmStridedBatched_64, double, GNS_CUDA_R_64F, int64_t)
STRIDED_EX(cublasGemmStridedBatchedEx, int)
STRIDED_EX(cublasGemmStridedBatchedEx_64, int64_t)

/* Arrays of pointers in device memory: read when the stream comes to them. */
struct pointers_fake {
	struct gemm_fake gemm;
	const void *const *a, *const *b;
	void *const *c;
	int64_t count;
};

static void run_pointers(void *args)
{
	struct pointers_fake *p = args;
	size_t bytes = (size_t)p->count * sizeof(void *);
	gns_fake_need(p->a, bytes, p->gemm.name, "Aarray");
	gns_fake_need(p->b, bytes, p->gemm.name, "Barray");
	gns_fake_need(p->c, bytes, p->gemm.name, "Carray");
	for (int64_t i = 0; i < p->count; i++) {
		p->gemm.a.data = p->a[i];
		p->gemm.b.data = p->b[i];
		p->gemm.c.data = p->gemm.d.data = p->c[i];
		gemm_fake_run(&p->gemm);
	}
}

#define POINTERS_EX(NAME, I)                                                                                                               \
	API(NAME, cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha,                     \
	    const void *const a[], cudaDataType at, I lda, const void *const b[], cudaDataType bt, I ldb, const void *beta,                \
	    void *const c[], cudaDataType ct, I ldc, I batch, cublasComputeType_t compute, cublasGemmAlgo_t algo)                          \
	{                                                                                                                                  \
		struct pointers_fake p = { .gemm = GEMM(#NAME, at, bt, ct, 0, 0, 0, 1), .a = a, .b = b, .c = c, .count = batch };          \
		if (!handle)                                                                                                               \
			return GNS_CUBLAS_NOT_INITIALIZED;                                                                                 \
		gemm_fake_same_context(#NAME, handle->context);                                                                            \
		set_scalars(&p.gemm, handle, alpha, beta, gemm_fake_scale_type(compute));                                                  \
		p.gemm.epilogue = GNS_LT_EPILOGUE_DEFAULT;                                                                                 \
		unsigned why = gemm_fake_refusal(&p.gemm);                                                                                 \
		return why ? why : gns_fake_enqueue(handle->stream, #NAME, run_pointers, &p, sizeof p) ? 13 : GNS_CUBLAS_SUCCESS;          \
	}
POINTERS_EX(cublasGemmBatchedEx, int)
POINTERS_EX(cublasGemmBatchedEx_64, int64_t)
