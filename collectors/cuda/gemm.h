/* A matrix product in cuBLAS's words: D = alpha op(A) op(B) + beta C, batched with constant strides. cublas.c and cublaslt.c fill
 * it; this file makes struct gns_product of it. No CUDA call, no memory is read but the scalars'. */
#ifndef GNS_COLLECTORS_CUDA_GEMM_H
#define GNS_COLLECTORS_CUDA_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/shim/weights/product.h"

struct gns_gemm_matrix {
	const void *data;
	uint32_t type;   /* cudaDataType */
	bool row_major;  /* as stored */
	bool transposed; /* op is T or C; not of D */
	int64_t ld, stride; /* elements */
};

struct gns_gemm {
	struct gns_gemm_matrix a, b, d;
	int64_t m, n, k, batch; /* op(A) is m x k, op(B) k x n */
	double alpha, beta;     /* NaN: not known */
	const char *altered;    /* as in struct gns_product */
};

/* GNS_F32 ... of a cudaDataType, 0: another. */
uint32_t gns_gemm_dtype(uint32_t cuda_type);
/* A scalar in host memory, of the type that goes with this compute type (a GNS_COMPUTE_*) or scale type (a cudaDataType). NaN: unknown. */
double gns_gemm_scalar_of_compute(const void *scalar, uint32_t compute);
double gns_gemm_scalar(const void *scalar, uint32_t cuda_type);
/* Fills all but device and stream for the i-th product of the batch. NULL, or why not: "element_type", "arguments" (cuBLAS itself would
 * refuse them). */
const char *gns_gemm_describe(struct gns_product *product, const struct gns_gemm *gemm, int64_t i);

#endif
