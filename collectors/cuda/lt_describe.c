/* Reading cuBLASLt's descriptors. */
#include "collectors/cuda/lt_describe.h"

#include <math.h>

struct layout {
	uint32_t type;
	int32_t order, batch;
	uint64_t rows, cols;
	int64_t ld, stride, plane;
};

static bool read_layout(struct layout *l, const struct gns_lt_api *api, cublasLtMatrixLayout_t from)
{
	size_t got;
#define READ(attribute, field) (api->layout_get(from, attribute, &l->field, sizeof l->field, &got) == GNS_CUBLAS_SUCCESS)
	l->stride = 0;
	return READ(GNS_LT_LAYOUT_TYPE, type) && READ(GNS_LT_LAYOUT_ORDER, order) && READ(GNS_LT_LAYOUT_ROWS, rows) &&
	       READ(GNS_LT_LAYOUT_COLS, cols) && READ(GNS_LT_LAYOUT_LD, ld) && READ(GNS_LT_LAYOUT_BATCH, batch) &&
	       (l->batch == 1 || READ(GNS_LT_LAYOUT_STRIDE, stride)) && READ(GNS_LT_LAYOUT_PLANE, plane) && !l->plane &&
	       (l->order == GNS_LT_COL || l->order == GNS_LT_ROW);
#undef READ
}

struct desc {
	int32_t scale, pointer_mode, transa, transb, transc;
	uint32_t epilogue;
};

static bool read_desc(struct desc *d, const struct gns_lt_api *api, cublasLtMatmulDesc_t from)
{
	size_t got;
#define READ(attribute, field) (api->desc_get(from, attribute, &d->field, sizeof d->field, &got) == GNS_CUBLAS_SUCCESS)
	return READ(GNS_LT_DESC_SCALE, scale) && READ(GNS_LT_DESC_POINTER_MODE, pointer_mode) && READ(GNS_LT_DESC_TRANSA, transa) &&
	       READ(GNS_LT_DESC_TRANSB, transb) && READ(GNS_LT_DESC_TRANSC, transc) && READ(GNS_LT_DESC_EPILOGUE, epilogue) &&
	       d->transc == GNS_CUBLAS_N;
#undef READ
}

/* A bias gradient is made beside the product. */
static bool leaves_product(uint32_t epilogue)
{
	return epilogue == GNS_LT_EPILOGUE_DEFAULT || epilogue == GNS_LT_EPILOGUE_BGRADA || epilogue == GNS_LT_EPILOGUE_BGRADB;
}

static struct gns_gemm_matrix matrix(const struct layout *l, const void *data, bool transposed)
{
	return (struct gns_gemm_matrix){ .data = data, .type = l->type, .row_major = l->order == GNS_LT_ROW, .transposed = transposed,
					 .ld = l->ld, .stride = l->stride };
}

bool gns_lt_describe(struct gns_gemm *g, const struct gns_lt_api *api, const struct gns_lt_call *call)
{
	struct layout a, b, d;
	struct desc desc;
	if (!api->layout_get || !api->desc_get || !read_desc(&desc, api, call->desc) || !read_layout(&a, api, call->a_layout) ||
	    !read_layout(&b, api, call->b_layout) || !read_layout(&d, api, call->d_layout))
		return false;
	bool ta = desc.transa != GNS_CUBLAS_N, tb = desc.transb != GNS_CUBLAS_N, host = desc.pointer_mode == GNS_CUBLAS_HOST;
	*g = (struct gns_gemm){ .a = matrix(&a, call->a, ta), .b = matrix(&b, call->b, tb), .d = matrix(&d, call->d, false),
				.m = (int64_t)d.rows, .n = (int64_t)d.cols, .k = (int64_t)(ta ? a.rows : a.cols), .batch = d.batch };
	g->alpha = host ? gns_gemm_scalar(call->alpha, (uint32_t)desc.scale) : (double)NAN;
	g->beta = host ? gns_gemm_scalar(call->beta, (uint32_t)desc.scale) : (double)NAN;
	if (!leaves_product(desc.epilogue))
		g->altered = "epilogue";
	else if (call->c != call->d && g->beta != 0)
		g->altered = "other_c";
	return true;
}
