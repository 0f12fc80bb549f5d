/* From cuBLAS's words to a product. */
#include "collectors/cuda/gemm.h"

#include <math.h>
#include <string.h>

#include "collectors/cuda/cublas_api.h"

uint32_t gns_gemm_dtype(uint32_t type)
{
	switch (type) {
	case GNS_CUDA_R_32F: return GNS_F32;
	case GNS_CUDA_R_64F: return GNS_F64;
	case GNS_CUDA_R_16F: return GNS_F16;
	case GNS_CUDA_R_16BF: return GNS_BF16;
	default: return 0;
	}
}

static double from_f16(uint16_t h)
{
	int exponent = h >> 10 & 31, fraction = h & 1023;
	double size = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
		      : exponent     ? ldexp(1024 + fraction, exponent - 25)
				     : ldexp(fraction, -24);
	return h & 0x8000 ? -size : size;
}

double gns_gemm_scalar(const void *scalar, uint32_t type)
{
	float f;
	double d;
	uint16_t h;
	uint32_t bits;
	if (!scalar)
		return (double)NAN;
	switch (type) {
	case GNS_CUDA_R_32F: memcpy(&f, scalar, sizeof f); return (double)f;
	case GNS_CUDA_R_64F: memcpy(&d, scalar, sizeof d); return d;
	case GNS_CUDA_R_16F: memcpy(&h, scalar, sizeof h); return from_f16(h);
	case GNS_CUDA_R_16BF:
		memcpy(&h, scalar, sizeof h);
		bits = (uint32_t)h << 16;
		memcpy(&f, &bits, sizeof f);
		return (double)f;
	default: return (double)NAN;
	}
}

double gns_gemm_scalar_of_compute(const void *scalar, uint32_t compute)
{
	switch (compute) {
	case GNS_COMPUTE_16F:
	case GNS_COMPUTE_16F_PEDANTIC: return gns_gemm_scalar(scalar, GNS_CUDA_R_16F);
	case GNS_COMPUTE_64F:
	case GNS_COMPUTE_64F_PEDANTIC:
	case GNS_COMPUTE_64F_EMULATED_FIXEDPOINT: return gns_gemm_scalar(scalar, GNS_CUDA_R_64F);
	case GNS_COMPUTE_32I:
	case GNS_COMPUTE_32I_PEDANTIC: return (double)NAN;
	default: return gns_gemm_scalar(scalar, GNS_CUDA_R_32F);
	}
}

static const void *at(const struct gns_gemm_matrix *x, uint32_t dtype, int64_t i)
{
	return (const char *)x->data + i * x->stride * (int64_t)gns_dtype_size(dtype);
}

const char *gns_gemm_describe(struct gns_product *p, const struct gns_gemm *g, int64_t i)
{
	uint32_t dtype = gns_gemm_dtype(g->a.type), d_type = gns_gemm_dtype(g->d.type);
	if (g->m < 0 || g->n < 0 || g->k < 0 || g->a.ld < 1 || g->b.ld < 1 || g->d.ld < 1 || !g->a.data || !g->b.data || !g->d.data)
		return "arguments";
	if (!dtype || !d_type || g->a.type != g->b.type)
		return "element_type";
	/* Of a matrix that is stored by columns and not transposed the rows' index is the fast one. */
	bool a_sum_fast = g->a.transposed != g->a.row_major, b_sum_fast = g->b.transposed == g->b.row_major;
	*p = (struct gns_product){
		.dtype = dtype, .c_dtype = d_type, .m = (size_t)g->m, .n = (size_t)g->n, .k = (size_t)g->k,
		.left = { at(&g->a, dtype, i), (size_t)g->m, (size_t)g->k, (ptrdiff_t)g->a.ld, a_sum_fast },
		.right = { at(&g->b, dtype, i), (size_t)g->n, (size_t)g->k, (ptrdiff_t)g->b.ld, b_sum_fast },
		.c = (void *)at(&g->d, d_type, i), .c_row_stride = g->d.row_major ? (ptrdiff_t)g->d.ld : 1,
		.c_col_stride = g->d.row_major ? 1 : (ptrdiff_t)g->d.ld, .alpha = g->alpha, .beta = g->beta, .altered = g->altered,
	};
	bool wide = g->a.ld >= (a_sum_fast ? g->k : g->m) && g->b.ld >= (b_sum_fast ? g->k : g->n) &&
		    g->d.ld >= (g->d.row_major ? g->n : g->m);
	return wide ? NULL : "arguments";
}
