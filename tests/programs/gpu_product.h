/* The matrix products of a trainer on a GPU by one of cuBLAS's interfaces. Matrices are row-major and dense in device memory; the call goes
 * to `stream` of the device whose context is current. A refusal of the library ends the program with a sentence. */
#ifndef GNS_TESTS_PROGRAMS_GPU_PRODUCT_H
#define GNS_TESTS_PROGRAMS_GPU_PRODUCT_H

#include <stdbool.h>

#include "gpu_api.h"
#include "gpu_mlp_kernels.h"

enum gpu_api {
	GPU_GEMM = 0, /* cublasSgemm, cublasDgemm */
	GPU_GEMM_EX,
	GPU_LT,       /* cublasLtMatmul, column-major layouts, epilogues */
	GPU_LT_ROW,   /* cublasLtMatmul, row-major layouts */
	GPU_APIS
};

struct gpu_blas { /* of one device */
	enum gpu_api api;
	bool wide;         /* the 64-bit forms where there are */
	enum mlp_type type, g_type; /* of operands; of weight gradients */
	cublasHandle_t handle;
	cublasLtHandle_t lt;
};

void gpu_blas_init(struct gpu_blas *blas, enum gpu_api api, bool wide, enum mlp_type type, enum mlp_type g_type);
size_t gpu_size(enum mlp_type type);

/* y (rows x out) = x (rows x in) w^T (w is out x in); `relu`: and max(y, 0), only where gpu_blas_fuses_relu. */
void gpu_forward(struct gpu_blas *blas, CUstream stream, const void *x, const void *w, void *y, int rows, int in, int out, bool relu);
bool gpu_blas_fuses_relu(const struct gpu_blas *blas);
/* dx = dy w + beta dx */
void gpu_data_gradient(struct gpu_blas *blas, CUstream stream, const void *dy, const void *w, void *dx, int rows, int in, int out, float beta);
/* dw = dy^T x + beta dw, of g_type. `bias` (out elements of g_type, or NULL): by cublasLt also the sums of dy. */
void gpu_weight_gradient(struct gpu_blas *blas, CUstream stream, const void *x, const void *dy, void *dw, int rows, int in, int out, float beta,
			 void *bias);
/* count times c (m x n) = op(a) op(b), op(a) m x k; the matrices of a batch follow each other. cublasGemmStridedBatchedEx. */
void gpu_batched(struct gpu_blas *blas, CUstream stream, bool ta, bool tb, int m, int n, int k, const void *a, const void *b, void *c, int count);

__attribute__((noreturn, format(printf, 1, 2))) void gpu_die(const char *format, ...);

#endif
