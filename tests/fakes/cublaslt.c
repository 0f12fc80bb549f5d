/* libcublasLt.so.13 on this processor. */
#include <stdlib.h>
#include <string.h>

#include "collectors/cuda/cublas_api.h"
#include "tests/fakes/cuda_fake.h"
#include "tests/fakes/gemm_fake.h"

/* As large as the real ones, whose users may have them on their stack. */
struct gns_lt_layout {
	uint32_t type;
	int32_t order, batch;
	uint64_t rows, cols;
	int64_t ld, stride, plane;
};
struct gns_lt_desc {
	int32_t compute, scale, pointer_mode, transa, transb, transc, fill;
	uint32_t epilogue;
	void *bias;
};
struct cublasLtContext {
	void *context;
};

#define API(name, ...)                      \
	cublasStatus_t name(__VA_ARGS__);   \
	cublasStatus_t name(__VA_ARGS__)

API(cublasLtCreate, cublasLtHandle_t *handle)
{
	void *context = gns_fake_context();
	if (!context)
		return GNS_CUBLAS_NOT_INITIALIZED;
	*handle = calloc(1, sizeof **handle);
	(*handle)->context = context;
	return GNS_CUBLAS_SUCCESS;
}

API(cublasLtDestroy, cublasLtHandle_t handle)
{
	free(handle);
	return GNS_CUBLAS_SUCCESS;
}

size_t cublasLtGetVersion(void);
size_t cublasLtGetVersion(void)
{
	return 130100;
}

API(cublasLtMatrixLayoutCreate, cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)
{
	*layout = malloc(sizeof **layout);
	**layout = (struct gns_lt_layout){ .type = type, .order = GNS_LT_COL, .batch = 1, .rows = rows, .cols = cols, .ld = ld };
	return GNS_CUBLAS_SUCCESS;
}

API(cublasLtMatrixLayoutDestroy, cublasLtMatrixLayout_t layout)
{
	free(layout);
	return GNS_CUBLAS_SUCCESS;
}

API(cublasLtMatmulDescCreate, cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType_t scale)
{
	*desc = malloc(sizeof **desc);
	**desc = (struct gns_lt_desc){ .compute = (int32_t)compute, .scale = (int32_t)scale, .fill = 2, .epilogue = GNS_LT_EPILOGUE_DEFAULT };
	return GNS_CUBLAS_SUCCESS;
}

API(cublasLtMatmulDescDestroy, cublasLtMatmulDesc_t desc)
{
	free(desc);
	return GNS_CUBLAS_SUCCESS;
}

struct field {
	void *at;
	size_t size;
};
#define FIELD(x) ((struct field){ &(x), sizeof(x) })

static struct field layout_field(cublasLtMatrixLayout_t l, unsigned attribute)
{
	switch (l ? attribute : ~0u) {
	case GNS_LT_LAYOUT_TYPE: return FIELD(l->type);
	case GNS_LT_LAYOUT_ORDER: return FIELD(l->order);
	case GNS_LT_LAYOUT_ROWS: return FIELD(l->rows);
	case GNS_LT_LAYOUT_COLS: return FIELD(l->cols);
	case GNS_LT_LAYOUT_LD: return FIELD(l->ld);
	case GNS_LT_LAYOUT_BATCH: return FIELD(l->batch);
	case GNS_LT_LAYOUT_STRIDE: return FIELD(l->stride);
	case GNS_LT_LAYOUT_PLANE: return FIELD(l->plane);
	default: return (struct field){ NULL, 0 };
	}
}

static struct field desc_field(cublasLtMatmulDesc_t d, unsigned attribute)
{
	switch (d ? attribute : ~0u) {
	case GNS_LT_DESC_COMPUTE: return FIELD(d->compute);
	case GNS_LT_DESC_SCALE: return FIELD(d->scale);
	case GNS_LT_DESC_POINTER_MODE: return FIELD(d->pointer_mode);
	case GNS_LT_DESC_TRANSA: return FIELD(d->transa);
	case GNS_LT_DESC_TRANSB: return FIELD(d->transb);
	case GNS_LT_DESC_TRANSC: return FIELD(d->transc);
	case GNS_LT_DESC_FILL: return FIELD(d->fill);
	case GNS_LT_DESC_EPILOGUE: return FIELD(d->epilogue);
	case GNS_LT_DESC_BIAS: return FIELD(d->bias);
	default: return (struct field){ NULL, 0 };
	}
}

static cublasStatus_t get(struct field f, void *buf, size_t size, size_t *written)
{
	if (!f.at || size != f.size)
		return GNS_CUBLAS_INVALID_VALUE;
	memcpy(buf, f.at, size);
	if (written)
		*written = size;
	return GNS_CUBLAS_SUCCESS;
}

static cublasStatus_t set(struct field f, const void *buf, size_t size)
{
	if (!f.at || size != f.size)
		return GNS_CUBLAS_INVALID_VALUE;
	memcpy(f.at, buf, size);
	return GNS_CUBLAS_SUCCESS;
}

API(cublasLtMatrixLayoutGetAttribute, cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, void *buf, size_t size,
    size_t *written)
{
	return get(layout_field(layout, attribute), buf, size, written);
}

API(cublasLtMatrixLayoutSetAttribute, cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const void *buf, size_t size)
{
	return set(layout_field(layout, attribute), buf, size);
}

API(cublasLtMatmulDescGetAttribute, cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, void *buf, size_t size,
    size_t *written)
{
	return get(desc_field(desc, attribute), buf, size, written);
}

API(cublasLtMatmulDescSetAttribute, cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const void *buf, size_t size)
{
	return set(desc_field(desc, attribute), buf, size);
}

static struct gemm_fake_matrix matrix(const void *data, cublasLtMatrixLayout_t l, bool transposed)
{
	return (struct gemm_fake_matrix){ data, l->type, l->order == GNS_LT_ROW, transposed, l->ld, l->stride };
}

API(cublasLtMatmul, cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
    const void *b, cublasLtMatrixLayout_t b_layout, const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
    cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size, cudaStream_t stream)
{
	if (!handle)
		return GNS_CUBLAS_NOT_INITIALIZED;
	if (!desc || !a_layout || !b_layout || !c_layout || !d_layout || a_layout->order > GNS_LT_ROW || b_layout->order > GNS_LT_ROW)
		return GNS_CUBLAS_INVALID_VALUE;
	gemm_fake_same_context("cublasLtMatmul", handle->context);
	bool ta = desc->transa != GNS_CUBLAS_N, tb = desc->transb != GNS_CUBLAS_N, host = desc->pointer_mode == GNS_CUBLAS_HOST;
	uint32_t scale = (uint32_t)desc->scale;
	struct gemm_fake g = { .name = "cublasLtMatmul", .a = matrix(a, a_layout, ta), .b = matrix(b, b_layout, tb),
			       .c = matrix(c, c_layout, false), .d = matrix(d, d_layout, false), .m = (int64_t)d_layout->rows,
			       .n = (int64_t)d_layout->cols, .k = (int64_t)(ta ? a_layout->rows : a_layout->cols),
			       .batch = d_layout->batch, .alpha = host ? gemm_fake_scalar(alpha, scale) : 0,
			       .beta = host ? gemm_fake_scalar(beta, scale) : 0, .alpha_at = host ? NULL : alpha,
			       .beta_at = host ? NULL : beta, .scale_type = scale, .epilogue = desc->epilogue, .bias = desc->bias };
	if (g.m != (int64_t)(ta ? a_layout->cols : a_layout->rows) || g.n != (int64_t)(tb ? b_layout->rows : b_layout->cols) ||
	    g.k != (int64_t)(tb ? b_layout->cols : b_layout->rows))
		return GNS_CUBLAS_INVALID_VALUE;
	return gemm_fake_enqueue(&g, stream);
}
