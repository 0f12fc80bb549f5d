/* Every function of cuBLAS and cuBLASLt that gnscope stands before, called once with arguments that are all different, and once wrongly. Prints
 * each function's status and whether its result is the product; the test wants the same lines with gnscope and without. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_api.h"

enum { M = 3, N = 4, K = 5, BATCH = 2, LDA = 6, LDB = 7, LDC = 8, SA = 30, SB = 40, SC = 50 };
#define CELLS 128

#define PLAIN(NAME, T, I)                                                                                                                  \
	cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const T *, const T *, I, const T *, I,          \
			    const T *, T *, I);                                                                                            \
	static cublasStatus_t call_##NAME(const struct operands *o, I lda)                                                                 \
	{                                                                                                                                  \
		T alpha = (T)2, beta = (T)-1;                                                                                              \
		return NAME(o->handle, 1, 0, M, N, K, &alpha, o->a, lda, o->b, LDB, &beta, o->c, LDC);                                     \
	}
#define STRIDED(NAME, T, I)                                                                                                                \
	cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const T *, const T *, I, long long, const T *,  \
			    I, long long, const T *, T *, I, long long, I);                                                                \
	static cublasStatus_t call_##NAME(const struct operands *o, I lda)                                                                 \
	{                                                                                                                                  \
		T alpha = (T)2, beta = (T)-1;                                                                                              \
		return NAME(o->handle, 1, 0, M, N, K, &alpha, o->a, lda, SA, o->b, LDB, SB, &beta, o->c, LDC, SC, BATCH);                  \
	}
#define SGEMM_EX(NAME, I)                                                                                                                  \
	cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const float *, const void *, cudaDataType, I,   \
			    const void *, cudaDataType, I, const float *, void *, cudaDataType, I);                                        \
	static cublasStatus_t call_##NAME(const struct operands *o, I lda)                                                                 \
	{                                                                                                                                  \
		float alpha = 2, beta = -1;                                                                                                \
		return NAME(o->handle, 1, 0, M, N, K, &alpha, o->a, o->type, lda, o->b, o->type, LDB, &beta, o->c, o->type, LDC);          \
	}
#define GEMM_EX(NAME, I)                                                                                                                   \
	cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const void *, const void *, cudaDataType, I,    \
			    const void *, cudaDataType, I, const void *, void *, cudaDataType, I, cublasComputeType_t, cublasGemmAlgo_t);  \
	static cublasStatus_t call_##NAME(const struct operands *o, I lda)                                                                 \
	{                                                                                                                                  \
		float alpha = 2, beta = -1;                                                                                                \
		return NAME(o->handle, 1, 0, M, N, K, &alpha, o->a, o->type, lda, o->b, o->type, LDB, &beta, o->c, o->type, LDC,           \
			    GNS_COMPUTE_32F, -1);                                                                                          \
	}
#define STRIDED_EX(NAME, I)                                                                                                                \
	cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const void *, const void *, cudaDataType, I,    \
			    long long, const void *, cudaDataType, I, long long, const void *, void *, cudaDataType, I, long long, I,      \
			    cublasComputeType_t, cublasGemmAlgo_t);                                                                        \
	static cublasStatus_t call_##NAME(const struct operands *o, I lda)                                                                 \
	{                                                                                                                                  \
		float alpha = 2, beta = -1;                                                                                                \
		return NAME(o->handle, 1, 0, M, N, K, &alpha, o->a, o->type, lda, SA, o->b, o->type, LDB, SB, &beta, o->c, o->type, LDC,   \
			    SC, BATCH, GNS_COMPUTE_32F, -1);                                                                               \
	}
#define POINTERS_EX(NAME, I)                                                                                                               \
	cublasStatus_t NAME(cublasHandle_t, cublasOperation_t, cublasOperation_t, I, I, I, const void *, const void *const[],              \
			    cudaDataType, I, const void *const[], cudaDataType, I, const void *, void *const[], cudaDataType, I, I,        \
			    cublasComputeType_t, cublasGemmAlgo_t);                                                                        \
	static cublasStatus_t call_##NAME(const struct operands *o, I lda)                                                                 \
	{                                                                                                                                  \
		float alpha = 2, beta = -1;                                                                                                \
		return NAME(o->handle, 1, 0, M, N, K, &alpha, (const void *const *)o->pointers, o->type, lda,                              \
			    (const void *const *)o->pointers + BATCH, o->type, LDB, &beta, (void *const *)o->pointers + 2 * BATCH,         \
			    o->type, LDC, BATCH, GNS_COMPUTE_32F, -1);                                                                     \
	}

struct operands {
	cublasHandle_t handle;
	cublasLtHandle_t lt;
	CUstream stream;
	cudaDataType type;
	void *a, *b, *c, *pointers;
};

PLAIN(cublasSgemm_v2, float, int)
PLAIN(cublasSgemm_v2_64, float, int64_t)
PLAIN(cublasDgemm_v2, double, int)
PLAIN(cublasDgemm_v2_64, double, int64_t)
SGEMM_EX(cublasSgemmEx, int)
SGEMM_EX(cublasSgemmEx_64, int64_t)
GEMM_EX(cublasGemmEx, int)
GEMM_EX(cublasGemmEx_64, int64_t)
STRIDED(cublasSgemmStridedBatched, float, int)
STRIDED(cublasSgemmStridedBatched_64, float, int64_t)
STRIDED(cublasDgemmStridedBatched, double, int)
STRIDED(cublasDgemmStridedBatched_64, double, int64_t)
STRIDED_EX(cublasGemmStridedBatchedEx, int)
STRIDED_EX(cublasGemmStridedBatchedEx_64, int64_t)
POINTERS_EX(cublasGemmBatchedEx, int)
POINTERS_EX(cublasGemmBatchedEx_64, int64_t)

static cublasStatus_t call_cublasLtMatmul(const struct operands *o, int lda)
{
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, c;
	int32_t transposed = 1;
	float alpha = 2, beta = -1;
	cublasLtMatmulDescCreate(&desc, GNS_COMPUTE_32F, GNS_CUDA_R_32F);
	cublasLtMatmulDescSetAttribute(desc, GNS_LT_DESC_TRANSA, &transposed, sizeof transposed);
	cublasLtMatrixLayoutCreate(&a, o->type, K, M, lda);
	cublasLtMatrixLayoutCreate(&b, o->type, K, N, LDB);
	cublasLtMatrixLayoutCreate(&c, o->type, M, N, LDC);
	cublasStatus_t status = cublasLtMatmul(o->handle ? o->lt : NULL, desc, &alpha, o->a, a, o->b, b, &beta, o->c, c, o->c, c, NULL, NULL, 0,
					       o->stream);
	cublasLtMatrixLayoutDestroy(a);
	cublasLtMatrixLayoutDestroy(b);
	cublasLtMatrixLayoutDestroy(c);
	cublasLtMatmulDescDestroy(desc);
	return status;
}

static double host_a[CELLS], host_b[CELLS], host_c[CELLS];

static void upload(void *to, const double *from, size_t item)
{
	float narrow[CELLS];
	for (int i = 0; i < CELLS; i++)
		narrow[i] = (float)from[i];
	cuMemcpyHtoD_v2((CUdeviceptr)to, item == 8 ? (const void *)from : (const void *)narrow, CELLS * item);
}

/* All numbers are small and whole: every product is exact. */
static int result_is_right(const struct operands *o, size_t item, int batch)
{
	double got[CELLS], want[CELLS];
	float narrow[CELLS];
	cuMemcpyDtoH_v2(item == 8 ? (void *)got : (void *)narrow, (CUdeviceptr)o->c, CELLS * item);
	for (int i = 0; item == 4 && i < CELLS; i++)
		got[i] = (double)narrow[i];
	memcpy(want, host_c, sizeof want);
	for (int s = 0; s < batch; s++)
		for (int i = 0; i < M; i++)
			for (int j = 0; j < N; j++) {
				double sum = 0;
				for (int k = 0; k < K; k++)
					sum += host_a[s * SA + i * LDA + k] * host_b[s * SB + j * LDB + k];
				want[s * SC + j * LDC + i] = 2 * sum - want[s * SC + j * LDC + i];
			}
	return memcmp(got, want, sizeof got) == 0;
}

#define TRY(NAME, ITEM, COUNT)                                                                                                             \
	do {                                                                                                                               \
		o.type = (ITEM) == 8 ? GNS_CUDA_R_64F : GNS_CUDA_R_32F;                                                                    \
		upload(o.a, host_a, ITEM);                                                                                                 \
		upload(o.b, host_b, ITEM);                                                                                                 \
		upload(o.c, host_c, ITEM);                                                                                                 \
		unsigned right = call_##NAME(&o, LDA);                                                                                     \
		cuStreamSynchronize(o.stream);                                                                                             \
		int is_right = result_is_right(&o, ITEM, COUNT);                                                                           \
		unsigned narrow = call_##NAME(&o, K - 1);                                                                                  \
		struct operands none = o;                                                                                                  \
		none.handle = NULL;                                                                                                        \
		printf("%s: status %u, result %s; lda too small: status %u; no handle: status %u\n", #NAME, right,                         \
		       is_right ? "right" : "WRONG", narrow, (unsigned)call_##NAME(&none, LDA));                                           \
	} while (0)

static void *device_memory(size_t bytes)
{
	CUdeviceptr at = 0;
	if (cuMemAlloc_v2(&at, bytes))
		exit(1);
	return (void *)at;
}

int main(void)
{
	struct operands o = { 0 };
	CUdevice device;
	CUcontext context;
	void *table[3 * BATCH];
	if (cuInit(0) || cuDeviceGet(&device, 0) || cuDevicePrimaryCtxRetain(&context, device) || cuCtxSetCurrent(context) ||
	    cuStreamCreate(&o.stream, 0) || cublasCreate_v2(&o.handle) || cublasLtCreate(&o.lt) || cublasSetStream_v2(o.handle, o.stream)) {
		fputs("gpu_calls: no device\n", stderr);
		return 1;
	}
	for (int i = 0; i < CELLS; i++) {
		host_a[i] = i * 7 % 11 - 5;
		host_b[i] = i * 5 % 13 - 6;
		host_c[i] = i * 3 % 17 - 8;
	}
	o.a = device_memory(CELLS * 8);
	o.b = device_memory(CELLS * 8);
	o.c = device_memory(CELLS * 8);
	o.pointers = device_memory(sizeof table);
	for (int i = 0; i < BATCH; i++) {
		table[i] = (float *)o.a + i * SA;
		table[BATCH + i] = (float *)o.b + i * SB;
		table[2 * BATCH + i] = (float *)o.c + i * SC;
	}
	cuMemcpyHtoD_v2((CUdeviceptr)o.pointers, table, sizeof table);
	TRY(cublasSgemm_v2, 4, 1);
	TRY(cublasSgemm_v2_64, 4, 1);
	TRY(cublasDgemm_v2, 8, 1);
	TRY(cublasDgemm_v2_64, 8, 1);
	TRY(cublasSgemmEx, 4, 1);
	TRY(cublasSgemmEx_64, 4, 1);
	TRY(cublasGemmEx, 4, 1);
	TRY(cublasGemmEx_64, 4, 1);
	TRY(cublasSgemmStridedBatched, 4, BATCH);
	TRY(cublasSgemmStridedBatched_64, 4, BATCH);
	TRY(cublasDgemmStridedBatched, 8, BATCH);
	TRY(cublasDgemmStridedBatched_64, 8, BATCH);
	TRY(cublasGemmStridedBatchedEx, 4, BATCH);
	TRY(cublasGemmStridedBatchedEx_64, 4, BATCH);
	TRY(cublasGemmBatchedEx, 4, BATCH);
	TRY(cublasGemmBatchedEx_64, 4, BATCH);
	TRY(cublasLtMatmul, 4, 1);
	return 0;
}
