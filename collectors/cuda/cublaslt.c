/* The cuBLASLt collector: cublasLtMatmul, D = epilogue(alpha op(A) op(B) + beta C).
 *
 * Layouts and the operation are read from their descriptors by the library's own functions. A product whose epilogue changes D, or whose C
 * is another matrix than D, still tells what its operands are for. What cannot be described (other orders, planar
 * complex) is counted. cuBLAS itself calls this function, too: that call is not seen again.
 * Reference: cuBLAS library documentation, CUDA 13, section 3. */
#include <stdatomic.h>

#include "collectors/cuda/cublas_api.h"
#include "collectors/cuda/lt_describe.h"
#include "collectors/cuda/product_call.h"
#include "profiler/shim/publish/libraries.h"
#include "profiler/shim/process/real_function.h"

#define EXPORT __attribute__((visibility("default")))

static struct gns_live_counter not_described = { .collector = "cuda", .name = "products_layout" };

static void tell_version(void *next)
{
	size_t (*get_version)(void) = (__typeof__(get_version))gns_real_beside(next, "cublasLtGetVersion");
	gns_library_met("cublaslt", next, get_version ? get_version() : 0);
}

/* As in cublas.c: remembered for the first library, asked anew for another copy. */
static struct gns_lt_api api_of(void *next)
{
	static _Atomic int state;
	static void *of;
	static struct gns_lt_api kept;
	struct gns_lt_api found;
	int fresh = 0;
	if (atomic_load_explicit(&state, memory_order_acquire) == 2 && of == next)
		return kept;
	found.layout_get = (__typeof__(found.layout_get))gns_real_beside(next, "cublasLtMatrixLayoutGetAttribute");
	found.desc_get = (__typeof__(found.desc_get))gns_real_beside(next, "cublasLtMatmulDescGetAttribute");
	tell_version(next);
	if (atomic_compare_exchange_strong(&state, &fresh, 1)) {
		kept = found;
		of = next;
		atomic_store_explicit(&state, 2, memory_order_release);
	}
	return found;
}

EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *, cublasLtMatrixLayout_t, const void *,
				     cublasLtMatrixLayout_t, const void *, const void *, cublasLtMatrixLayout_t, void *,
				     cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t);
EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
				     cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
				     const void *c, cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
				     const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size, cudaStream_t stream)
{
	static struct gns_real real = { .name = "cublasLtMatmul", .self = (void *)cublasLtMatmul };
	static struct gns_live_counter calls = { .collector = "cublaslt", .name = "cublasLtMatmul" };
	struct gns_call call;
	struct gns_gemm gemm;
	__typeof__(&cublasLtMatmul) next = (__typeof__(&cublasLtMatmul))gns_real_find(&real, __builtin_return_address(0));
	if (!next)
		return GNS_CUBLAS_NOT_INITIALIZED;
	if (!gns_product_enter(&call, &calls))
		return next(handle, desc, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algo, workspace, workspace_size,
			    stream);
	bool described = false;
	if (handle && desc && a_layout && b_layout && d_layout) {
		struct gns_lt_api api = api_of((void *)next);
		struct gns_lt_call asked = { desc, a_layout, b_layout, d_layout, alpha, beta, a, b, c, d };
		bool wanted = !gns_core_stands_aside();
		described = wanted && gns_lt_describe(&gemm, &api, &asked);
		if (wanted && !described)
			gns_count(&not_described);
	}
	gns_product_before(&call, described ? &gemm : NULL, stream);
	cublasStatus_t status = next(handle, desc, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algo, workspace,
				     workspace_size, stream);
	gns_product_after(&call, status != GNS_CUBLAS_SUCCESS);
	return status;
}
