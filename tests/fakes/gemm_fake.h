/* One product on this processor, for the fakes of cuBLAS and cuBLASLt: D = epilogue(alpha op(A) op(B) + beta C), in stream order.
 *
 * float32 sums (float64 for float64), each element's terms in order. Operands are checked when the product is enqueued and when it
 * runs: they must be live device memory of the context that is current, as the real library wants it; otherwise the process ends with a sentence. */
#ifndef GNS_TESTS_FAKES_GEMM_FAKE_H
#define GNS_TESTS_FAKES_GEMM_FAKE_H

#include <stdbool.h>
#include <stdint.h>

struct gemm_fake_matrix {
	const void *data;
	uint32_t type; /* cudaDataType */
	bool row_major, transposed;
	int64_t ld, stride;
};

struct gemm_fake {
	const char *name; /* of the API's function */
	struct gemm_fake_matrix a, b, c, d;
	int64_t m, n, k, batch;
	double alpha, beta;
	const void *alpha_at, *beta_at; /* in device memory, of scale_type; NULL: the values above */
	uint32_t scale_type;
	uint32_t epilogue;              /* of cuBLASLt; 1: none */
	void *bias;                     /* of D's type */
};

/* A cublasStatus_t. */
unsigned gemm_fake_enqueue(const struct gemm_fake *g, void *stream);
/* Its two halves: 0 or the cublasStatus_t of a wrong call; the product itself, on a stream's worker. */
unsigned gemm_fake_refusal(const struct gemm_fake *g);
void gemm_fake_run(const struct gemm_fake *g);
/* From host memory. */
double gemm_fake_scalar(const void *at, uint32_t type);
uint32_t gemm_fake_scale_type(uint32_t compute); /* of GNS_COMPUTE_* */
/* The context of a handle must be the current one. */
void gemm_fake_same_context(const char *name, const void *context);

#endif
