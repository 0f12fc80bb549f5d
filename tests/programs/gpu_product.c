/* Row-major products by column-major libraries: C = A B is C^T = B^T A^T. */
#include "gpu_product.h"

#define WORKSPACE ((size_t)4 << 20)

size_t gpu_size(enum mlp_type type)
{
	return type == MLP_F64 ? 8 : type == MLP_F32 ? 4 : 2;
}

static cudaDataType data_type(enum mlp_type type)
{
	return type == MLP_F64 ? GNS_CUDA_R_64F : type == MLP_F32 ? GNS_CUDA_R_32F : GNS_CUDA_R_16BF;
}

static cublasComputeType_t compute_type(enum mlp_type type)
{
	return type == MLP_F64 ? GNS_COMPUTE_64F : GNS_COMPUTE_32F;
}

static void must(cublasStatus_t status, const char *what)
{
	if (status)
		gpu_die("%s failed with status %u", what, (unsigned)status);
}

/* Scalars in host memory, in the type that the arithmetic wants. */
struct scalars {
	union { float f; double d; } alpha, beta;
};

static struct scalars scalars_of(enum mlp_type type, float beta)
{
	struct scalars s;
	if (type == MLP_F64) {
		s.alpha.d = 1;
		s.beta.d = (double)beta;
	} else {
		s.alpha.f = 1;
		s.beta.f = beta;
	}
	return s;
}

void gpu_blas_init(struct gpu_blas *blas, enum gpu_api api, bool wide, enum mlp_type type, enum mlp_type g_type)
{
	CUdeviceptr workspace;
	*blas = (struct gpu_blas){ .api = api, .wide = wide, .type = type, .g_type = g_type };
	must(cublasCreate_v2(&blas->handle), "cublasCreate");
	/* Of its own, so that the library allocates nothing in a capture. */
	if (cuMemAlloc_v2(&workspace, WORKSPACE))
		gpu_die("no %zu bytes of device memory for cuBLAS", WORKSPACE);
	must(cublasSetWorkspace_v2(blas->handle, (void *)workspace, WORKSPACE), "cublasSetWorkspace");
	must(cublasLtCreate(&blas->lt), "cublasLtCreate");
}

/* A column-major product: D (m x n) = op(A) op(B) + beta D. */
struct product {
	bool ta, tb;
	int m, n, k, lda, ldb, ldd;
	const void *a, *b;
	void *d;
	enum mlp_type d_type;
	float beta;
	uint32_t epilogue;
	void *bias;
};

static void by_gemm(struct gpu_blas *blas, const struct product *p, const struct scalars *s)
{
	cublasOperation_t ta = p->ta, tb = p->tb;
	if (blas->type == MLP_BF16 || p->d_type != blas->type)
		gpu_die("cublasSgemm and cublasDgemm have one type of element; use another --api");
	if (blas->type == MLP_F64)
		must(cublasDgemm_v2(blas->handle, ta, tb, p->m, p->n, p->k, &s->alpha.d, p->a, p->lda, p->b, p->ldb, &s->beta.d, p->d, p->ldd),
		     "cublasDgemm");
	else if (blas->wide)
		must(cublasSgemm_v2_64(blas->handle, ta, tb, p->m, p->n, p->k, &s->alpha.f, p->a, p->lda, p->b, p->ldb, &s->beta.f, p->d,
				       p->ldd), "cublasSgemm_64");
	else
		must(cublasSgemm_v2(blas->handle, ta, tb, p->m, p->n, p->k, &s->alpha.f, p->a, p->lda, p->b, p->ldb, &s->beta.f, p->d, p->ldd),
		     "cublasSgemm");
}

static void by_gemm_ex(struct gpu_blas *blas, const struct product *p, const struct scalars *s)
{
	cudaDataType type = data_type(blas->type), d_type = data_type(p->d_type);
	cublasComputeType_t compute = compute_type(blas->type);
	cublasOperation_t ta = p->ta, tb = p->tb;
	if (blas->wide)
		must(cublasGemmEx_64(blas->handle, ta, tb, p->m, p->n, p->k, &s->alpha, p->a, type, p->lda, p->b, type, p->ldb, &s->beta, p->d,
				     d_type, p->ldd, compute, -1), "cublasGemmEx_64");
	else
		must(cublasGemmEx(blas->handle, ta, tb, p->m, p->n, p->k, &s->alpha, p->a, type, p->lda, p->b, type, p->ldb, &s->beta, p->d,
				  d_type, p->ldd, compute, -1), "cublasGemmEx");
}

static cublasLtMatrixLayout_t layout(cudaDataType type, bool row_major, int rows, int cols)
{
	cublasLtMatrixLayout_t l;
	int32_t order = GNS_LT_ROW;
	must(cublasLtMatrixLayoutCreate(&l, type, (uint64_t)rows, (uint64_t)cols, row_major ? cols : rows), "cublasLtMatrixLayoutCreate");
	if (row_major)
		must(cublasLtMatrixLayoutSetAttribute(l, GNS_LT_LAYOUT_ORDER, &order, sizeof order), "cublasLtMatrixLayoutSetAttribute");
	return l;
}

static cublasLtMatmulDesc_t operation(enum mlp_type type, int32_t ta, int32_t tb, uint32_t epilogue, void *bias)
{
	cublasLtMatmulDesc_t d;
	must(cublasLtMatmulDescCreate(&d, compute_type(type), type == MLP_F64 ? GNS_CUDA_R_64F : GNS_CUDA_R_32F), "cublasLtMatmulDescCreate");
	must(cublasLtMatmulDescSetAttribute(d, GNS_LT_DESC_TRANSA, &ta, sizeof ta), "setting TRANSA");
	must(cublasLtMatmulDescSetAttribute(d, GNS_LT_DESC_TRANSB, &tb, sizeof tb), "setting TRANSB");
	must(cublasLtMatmulDescSetAttribute(d, GNS_LT_DESC_EPILOGUE, &epilogue, sizeof epilogue), "setting EPILOGUE");
	if (bias)
		must(cublasLtMatmulDescSetAttribute(d, GNS_LT_DESC_BIAS, &bias, sizeof bias), "setting BIAS_POINTER");
	return d;
}

static void by_lt(struct gpu_blas *blas, CUstream stream, const struct product *p, const struct scalars *s)
{
	cudaDataType type = data_type(blas->type);
	bool row = blas->api == GPU_LT_ROW;
	/* By rows the same matrices are not transposed, and A and B change places. */
	cublasLtMatmulDesc_t desc = operation(blas->type, row ? p->tb : p->ta, row ? p->ta : p->tb, p->epilogue, p->bias);
	cublasLtMatrixLayout_t a = p->ta ? layout(type, row, row ? p->m : p->k, row ? p->k : p->m) :
					   layout(type, row, row ? p->k : p->m, row ? p->m : p->k);
	cublasLtMatrixLayout_t b = p->tb ? layout(type, row, row ? p->k : p->n, row ? p->n : p->k) :
					   layout(type, row, row ? p->n : p->k, row ? p->k : p->n);
	cublasLtMatrixLayout_t d = layout(data_type(p->d_type), row, row ? p->n : p->m, row ? p->m : p->n);
	must(cublasLtMatmul(blas->lt, desc, &s->alpha, row ? p->b : p->a, row ? b : a, row ? p->a : p->b, row ? a : b, &s->beta, p->d, d, p->d,
			    d, NULL, NULL, 0, stream), "cublasLtMatmul");
	cublasLtMatrixLayoutDestroy(a);
	cublasLtMatrixLayoutDestroy(b);
	cublasLtMatrixLayoutDestroy(d);
	cublasLtMatmulDescDestroy(desc);
}

static void run(struct gpu_blas *blas, CUstream stream, const struct product *p)
{
	struct scalars s = scalars_of(blas->type, p->beta);
	if (blas->api == GPU_LT || blas->api == GPU_LT_ROW) {
		by_lt(blas, stream, p, &s);
		return;
	}
	must(cublasSetStream_v2(blas->handle, stream), "cublasSetStream");
	if (blas->api == GPU_GEMM)
		by_gemm(blas, p, &s);
	else
		by_gemm_ex(blas, p, &s);
}

bool gpu_blas_fuses_relu(const struct gpu_blas *blas)
{
	return blas->api == GPU_LT;
}

void gpu_forward(struct gpu_blas *blas, CUstream stream, const void *x, const void *w, void *y, int rows, int in, int out, bool relu)
{
	run(blas, stream, &(struct product){ .ta = true, .m = out, .n = rows, .k = in, .lda = in, .ldb = in, .ldd = out, .a = w, .b = x, .d = y,
					     .d_type = blas->type,
					     .epilogue = relu ? GNS_LT_EPILOGUE_RELU : GNS_LT_EPILOGUE_DEFAULT });
}

void gpu_data_gradient(struct gpu_blas *blas, CUstream stream, const void *dy, const void *w, void *dx, int rows, int in, int out, float beta)
{
	run(blas, stream, &(struct product){ .m = in, .n = rows, .k = out, .lda = in, .ldb = out, .ldd = in, .a = w, .b = dy, .d = dx,
					     .d_type = blas->type, .beta = beta, .epilogue = GNS_LT_EPILOGUE_DEFAULT });
}

void gpu_weight_gradient(struct gpu_blas *blas, CUstream stream, const void *x, const void *dy, void *dw, int rows, int in, int out, float beta,
			 void *bias)
{
	run(blas, stream, &(struct product){ .tb = true, .m = in, .n = out, .k = rows, .lda = in, .ldb = out, .ldd = in, .a = x, .b = dy,
					     .d = dw, .d_type = blas->g_type, .beta = beta, .bias = bias,
					     .epilogue = bias ? GNS_LT_EPILOGUE_BGRADB : GNS_LT_EPILOGUE_DEFAULT });
}

void gpu_batched(struct gpu_blas *blas, CUstream stream, bool ta, bool tb, int m, int n, int k, const void *a, const void *b, void *c, int count)
{
	struct scalars s = scalars_of(blas->type, 0);
	cudaDataType type = data_type(blas->type);
	must(cublasSetStream_v2(blas->handle, stream), "cublasSetStream");
	must(cublasGemmStridedBatchedEx(blas->handle, (cublasOperation_t)tb, (cublasOperation_t)ta, n, m, k, &s.alpha, b, type, tb ? k : n,
					(long long)n * k, a, type, ta ? m : k, (long long)m * k, &s.beta, c, type, n, (long long)m * n, count,
					compute_type(blas->type), -1),
	     "cublasGemmStridedBatchedEx");
}
