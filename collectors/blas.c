/* The BLAS collector: what CPU programs call for matrix products, whichever library answers.
 *
 * Reference: the BLAS technical forum standard (gemm), and oneMKL's and OpenBLAS's batched extensions, whose prototypes agree.
 * Integers are 32 bits (LP64) but where the name says 64 (ILP64). */
#include <stdint.h>

#include "profiler/shim/core/core.h"
#include "profiler/shim/process/real_function.h"

#define EXPORT __attribute__((visibility("default")))

enum order { ROW_MAJOR = 101, COL_MAJOR = 102 };
enum trans { NO_TRANS = 111, TRANS = 112, CONJ_TRANS = 113 };

static bool is_trans(char letter)
{
	return letter == 'T' || letter == 't' || letter == 'C' || letter == 'c';
}

/* Fills a product from BLAS's own words; false for arguments that BLAS itself would refuse. In column-major order an operand that is not
 * transposed has its rows contiguous, in row-major its columns. */
static inline __attribute__((always_inline)) bool describe(struct gns_product *p, uint32_t dtype, bool row_major, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
		     double alpha, const void *a, int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc)
{
	if (m < 0 || n < 0 || k < 0 || lda < 1 || ldb < 1 || ldc < 1 || !a || !b || !c)
		return false;
	p->dtype = dtype; /* field by field: clearing all of it first would be half of the cost of a call that is not measured */
	p->c_dtype = 0;
	p->device = NULL;
	p->stream = NULL;
	p->left_print = p->right_print = NULL;
	p->altered = NULL;
	p->m = (size_t)m;
	p->n = (size_t)n;
	p->k = (size_t)k;
	p->alpha = alpha;
	p->beta = beta;
	p->c = c;
	p->c_row_stride = row_major ? ldc : 1;
	p->c_col_stride = row_major ? 1 : ldc;
	p->left = (struct gns_operand){ .data = a, .free_n = p->m, .sum_n = p->k, .ld = lda, .sum_fast = ta != row_major };
	p->right = (struct gns_operand){ .data = b, .free_n = p->n, .sum_n = p->k, .ld = ldb, .sum_fast = tb == row_major };
	size_t fast_a = p->left.sum_fast ? p->k : p->m, fast_b = p->right.sum_fast ? p->k : p->n;
	return (size_t)lda >= fast_a && (size_t)ldb >= fast_b && (size_t)ldc >= (row_major ? p->n : p->m);
}

/* One wrapper: SEE reports the call's products, in the names of the parameters. Where the library has no such function there is
 * nothing a void function could return: the caller's output stays as it was, as with an argument error. */
#define WRAP(NAME, WORD, PARAMETERS, ARGUMENTS, SEE) \
	EXPORT void NAME PARAMETERS; \
	EXPORT void NAME PARAMETERS \
	{ \
		static struct gns_real real = { .name = #NAME, .self = (void *)NAME }; \
		struct gns_product p; \
		struct gns_call call; \
		__typeof__(&NAME) next = (__typeof__(&NAME))gns_real_find(&real, __builtin_return_address(0)); \
		if (!next) \
			return; \
		bool seen = gns_core_enter_host(&call, WORD); \
		if (seen) { \
			SEE \
			gns_core_calling(&call); \
		} \
		next ARGUMENTS; \
		if (seen) \
			gns_core_after(&call); \
	}

#define PRODUCT(...) \
	if (describe(&p, __VA_ARGS__)) \
		gns_core_before(&call, &p);

/* X: the letter of the type, INT of sizes, T of elements, D its gns_dtype. */
#define GEMM_FORTRAN(NAME, X, INT, T, D) \
	WRAP(NAME, #X "gemm", \
	     (const char *ta, const char *tb, const INT *m, const INT *n, const INT *k, const T *alpha, const T *a, const INT *lda, \
	      const T *b, const INT *ldb, const T *beta, T *c, const INT *ldc), \
	     (ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), \
	     PRODUCT(D, false, is_trans(*ta), is_trans(*tb), *m, *n, *k, *alpha, a, *lda, b, *ldb, *beta, c, *ldc))

#define GEMM_CBLAS(NAME, X, INT, T, D) \
	WRAP(NAME, #X "gemm", \
	     (int order, int ta, int tb, INT m, INT n, INT k, T alpha, const T *a, INT lda, const T *b, INT ldb, T beta, T *c, INT ldc), \
	     (order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), \
	     PRODUCT(D, order == ROW_MAJOR, ta != NO_TRANS, tb != NO_TRANS, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc))

/* Groups of equal products over arrays of pointers. */
#define GEMM_BATCH(NAME, X, T, D) \
	WRAP(NAME, #X "gemm_batch", \
	     (int order, const int *ta, const int *tb, const int *m, const int *n, const int *k, const T *alpha, const T **a, \
	      const int *lda, const T **b, const int *ldb, const T *beta, T **c, const int *ldc, int groups, const int *size), \
	     (order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups, size), \
	     for (int g = 0, at = 0; g < groups; g++) \
		     for (int i = 0; i < size[g] && at < GNS_BATCH_MAX; i++, at++) \
			     PRODUCT(D, order == ROW_MAJOR, ta[g] != NO_TRANS, tb[g] != NO_TRANS, m[g], n[g], k[g], alpha[g], a[at], \
				     lda[g], b[at], ldb[g], beta[g], c[at], ldc[g]))

/* Equal products at a constant distance. */
#define GEMM_STRIDED(NAME, X, T, D) \
	WRAP(NAME, #X "gemm_batch_strided", \
	     (int order, int ta, int tb, int m, int n, int k, T alpha, const T *a, int lda, int sa, const T *b, int ldb, int sb, T beta, \
	      T *c, int ldc, int sc, int batch), \
	     (order, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, batch), \
	     for (int i = 0; i < batch && i < GNS_BATCH_MAX; i++) \
		     PRODUCT(D, order == ROW_MAJOR, ta != NO_TRANS, tb != NO_TRANS, m, n, k, alpha, a + (ptrdiff_t)i * sa, lda, \
			     b + (ptrdiff_t)i * sb, ldb, beta, c + (ptrdiff_t)i * sc, ldc))

GEMM_FORTRAN(sgemm_, s, int, float, GNS_F32)
GEMM_FORTRAN(dgemm_, d, int, double, GNS_F64)
GEMM_CBLAS(cblas_sgemm, s, int, float, GNS_F32)
GEMM_CBLAS(cblas_dgemm, d, int, double, GNS_F64)
/* The OpenBLAS in the wheels of NumPy and SciPy, and builds whose integers have 64 bits (ILP64): by OpenBLAS's and by MKL's names. */
GEMM_FORTRAN(scipy_sgemm_, s, int, float, GNS_F32)
GEMM_FORTRAN(scipy_dgemm_, d, int, double, GNS_F64)
GEMM_FORTRAN(scipy_sgemm_64_, s, int64_t, float, GNS_F32)
GEMM_FORTRAN(scipy_dgemm_64_, d, int64_t, double, GNS_F64)
GEMM_FORTRAN(sgemm_64_, s, int64_t, float, GNS_F32)
GEMM_FORTRAN(dgemm_64_, d, int64_t, double, GNS_F64)
GEMM_CBLAS(scipy_cblas_sgemm, s, int, float, GNS_F32)
GEMM_CBLAS(scipy_cblas_dgemm, d, int, double, GNS_F64)
GEMM_CBLAS(scipy_cblas_sgemm64_, s, int64_t, float, GNS_F32)
GEMM_CBLAS(scipy_cblas_dgemm64_, d, int64_t, double, GNS_F64)
GEMM_CBLAS(cblas_sgemm64_, s, int64_t, float, GNS_F32)
GEMM_CBLAS(cblas_dgemm64_, d, int64_t, double, GNS_F64)
GEMM_CBLAS(cblas_sgemm_64, s, int64_t, float, GNS_F32)
GEMM_CBLAS(cblas_dgemm_64, d, int64_t, double, GNS_F64)
GEMM_BATCH(cblas_sgemm_batch, s, float, GNS_F32)
GEMM_BATCH(cblas_dgemm_batch, d, double, GNS_F64)
GEMM_STRIDED(cblas_sgemm_batch_strided, s, float, GNS_F32)
GEMM_STRIDED(cblas_dgemm_batch_strided, d, double, GNS_F64)
