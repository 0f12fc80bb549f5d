/* From cuBLASLt's descriptors to struct gns_gemm. Host functions of cuBLASLt only; nothing is launched. */
#ifndef GNS_COLLECTORS_CUDA_LT_DESCRIBE_H
#define GNS_COLLECTORS_CUDA_LT_DESCRIBE_H

#include "collectors/cuda/cublas_api.h"
#include "collectors/cuda/gemm.h"

struct gns_lt_api {
	cublasStatus_t (*layout_get)(cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, void *, size_t, size_t *);
	cublasStatus_t (*desc_get)(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, void *, size_t, size_t *);
};

struct gns_lt_call {
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a_layout, b_layout, d_layout;
	const void *alpha, *beta, *a, *b, *c;
	void *d;
};

/* False: orders other than by rows or columns, or something that the library did not tell. */
bool gns_lt_describe(struct gns_gemm *gemm, const struct gns_lt_api *api, const struct gns_lt_call *call);

#endif
