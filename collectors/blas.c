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
static bool describe(struct gns_product *p, uint32_t dtype, bool row_major, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
		     double alpha, const void *a, int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc)
{
	if (m < 0 || n < 0 || k < 0 || lda < 1 || ldb < 1 || ldc < 1 || !a || !b || !c)
		return false;
	*p = (struct gns_product){
		.dtype = dtype, .m = (size_t)m, .n = (size_t)n, .k = (size_t)k, .alpha = alpha, .beta = beta, .c = c,
		.left = { .data = a, .free_n = (size_t)m, .sum_n = (size_t)k, .ld = lda, .sum_fast = ta != row_major },
		.right = { .data = b, .free_n = (size_t)n, .sum_n = (size_t)k, .ld = ldb, .sum_fast = tb == row_major },
		.c_row_stride = row_major ? ldc : 1, .c_col_stride = row_major ? 1 : ldc,
	};
	size_t fast_a = p->left.sum_fast ? p->k : p->m, fast_b = p->right.sum_fast ? p->k : p->n;
	return (size_t)lda >= fast_a && (size_t)ldb >= fast_b && (size_t)ldc >= (row_major ? p->n : p->m);
}

/* One family of wrappers a type: X is the letter, T the element, D its gns_dtype. Where the library has no such function there
 * is nothing a void function could return: the caller's output stays as it was, as with an argument error. */
#define GEMM_FORTRAN(NAME, X, INT, T, D)                                                                                                   \
	typedef void (*NAME##_fn)(const char *, const char *, const INT *, const INT *, const INT *, const T *, const T *, const INT *,    \
				   const T *, const INT *, const T *, T *, const INT *);                                                   \
	EXPORT void NAME(const char *, const char *, const INT *, const INT *, const INT *, const T *, const T *, const INT *,             \
			     const T *, const INT *, const T *, T *, const INT *);                                                         \
	EXPORT void NAME(const char *ta, const char *tb, const INT *m, const INT *n, const INT *k, const T *alpha, const T *a,             \
			     const INT *lda, const T *b, const INT *ldb, const T *beta, T *c, const INT *ldc)                              \
	{                                                                                                                                  \
		static struct gns_real real = { .name = #NAME, .self = (void *)NAME };                                                     \
		struct gns_product p;                                                                                                      \
		struct gns_call call;                                                                                                      \
		NAME##_fn next = (NAME##_fn)gns_real_find(&real, __builtin_return_address(0));                                             \
		if (!next)                                                                                                                 \
			return;                                                                                                            \
		bool seen = gns_core_enter_host(&call, #X "gemm");                                                                         \
		if (seen && describe(&p, D, false, is_trans(*ta), is_trans(*tb), *m, *n, *k, *alpha, a, *lda, b, *ldb, *beta, c, *ldc))    \
			gns_core_before(&call, &p);                                                                                        \
		if (seen)                                                                                                                  \
			gns_core_calling(&call);                                                                                           \
		next(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                                                                \
		if (seen)                                                                                                                  \
			gns_core_after(&call);                                                                                             \
	}

#define GEMM_CBLAS(NAME, X, INT, T, D)                                                                                                     \
	typedef void (*NAME##_fn)(int, int, int, INT, INT, INT, T, const T *, INT, const T *, INT, T, T *, INT);                           \
	EXPORT void NAME(int, int, int, INT, INT, INT, T, const T *, INT, const T *, INT, T, T *, INT);                                    \
	EXPORT void NAME(int order, int ta, int tb, INT m, INT n, INT k, T alpha, const T *a, INT lda, const T *b, INT ldb,                \
				    T beta, T *c, INT ldc)                                                                                 \
	{                                                                                                                                  \
		static struct gns_real real = { .name = #NAME, .self = (void *)NAME };                                                     \
		struct gns_product p;                                                                                                      \
		struct gns_call call;                                                                                                      \
		NAME##_fn next = (NAME##_fn)gns_real_find(&real, __builtin_return_address(0));                                             \
		if (!next)                                                                                                                 \
			return;                                                                                                            \
		bool seen = gns_core_enter_host(&call, #X "gemm");                                                                         \
		if (seen && describe(&p, D, order == ROW_MAJOR, ta != NO_TRANS, tb != NO_TRANS, m, n, k, alpha, a, lda, b, ldb, beta, c,   \
				     ldc))                                                                                                 \
			gns_core_before(&call, &p);                                                                                        \
		if (seen)                                                                                                                  \
			gns_core_calling(&call);                                                                                           \
		next(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                                                         \
		if (seen)                                                                                                                  \
			gns_core_after(&call);                                                                                             \
	}

/* Groups of equal products over arrays of pointers. */
#define GEMM_BATCH(X, T, D)                                                                                                                \
	typedef void (*cblas_##X##gemm_batch_fn)(int, const int *, const int *, const int *, const int *, const int *, const T *,          \
						 const T **, const int *, const T **, const int *, const T *, T **, const int *, int,      \
						 const int *);                                                                             \
	EXPORT void cblas_##X##gemm_batch(int, const int *, const int *, const int *, const int *, const int *, const T *, const T **,     \
					  const int *, const T **, const int *, const T *, T **, const int *, int, const int *);           \
	EXPORT void cblas_##X##gemm_batch(int order, const int *ta, const int *tb, const int *m, const int *n, const int *k,               \
					  const T *alpha, const T **a, const int *lda, const T **b, const int *ldb, const T *beta, T **c,  \
					  const int *ldc, int groups, const int *size)                                                     \
	{                                                                                                                                  \
		static struct gns_real real = { .name = "cblas_" #X "gemm_batch", .self = (void *)cblas_##X##gemm_batch };                 \
		struct gns_product p;                                                                                                      \
		struct gns_call call;                                                                                                      \
		cblas_##X##gemm_batch_fn next = (cblas_##X##gemm_batch_fn)gns_real_find(&real, __builtin_return_address(0));               \
		if (!next)                                                                                                                 \
			return;                                                                                                            \
		bool seen = gns_core_enter_host(&call, #X "gemm_batch");                                                                   \
		int at = 0;                                                                                                                \
		for (int g = 0; seen && g < groups; g++)                                                                                   \
			for (int i = 0; i < size[g] && at < GNS_BATCH_MAX; i++, at++)                                                      \
				if (describe(&p, D, order == ROW_MAJOR, ta[g] != NO_TRANS, tb[g] != NO_TRANS, m[g], n[g], k[g], alpha[g],  \
					     a[at], lda[g], b[at], ldb[g], beta[g], c[at], ldc[g]))                                        \
					gns_core_before(&call, &p);                                                                        \
		if (seen)                                                                                                                  \
			gns_core_calling(&call);                                                                                           \
		next(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups, size);                                           \
		if (seen)                                                                                                                  \
			gns_core_after(&call);                                                                                             \
	}

/* Equal products at a constant distance. */
#define GEMM_STRIDED(X, T, D)                                                                                                              \
	typedef void (*cblas_##X##gemm_batch_strided_fn)(int, int, int, int, int, int, T, const T *, int, int, const T *, int, int, T, T *, \
							 int, int, int);                                                                   \
	EXPORT void cblas_##X##gemm_batch_strided(int, int, int, int, int, int, T, const T *, int, int, const T *, int, int, T, T *, int,  \
						  int, int);                                                                               \
	EXPORT void cblas_##X##gemm_batch_strided(int order, int ta, int tb, int m, int n, int k, T alpha, const T *a, int lda, int sa,    \
						  const T *b, int ldb, int sb, T beta, T *c, int ldc, int sc, int batch)                   \
	{                                                                                                                                  \
		static struct gns_real real = { .name = "cblas_" #X "gemm_batch_strided", .self = (void *)cblas_##X##gemm_batch_strided }; \
		struct gns_product p;                                                                                                      \
		struct gns_call call;                                                                                                      \
		cblas_##X##gemm_batch_strided_fn next =                                                                                    \
			(cblas_##X##gemm_batch_strided_fn)gns_real_find(&real, __builtin_return_address(0));                               \
		if (!next)                                                                                                                 \
			return;                                                                                                            \
		bool seen = gns_core_enter_host(&call, #X "gemm_batch_strided");                                                           \
		for (int i = 0; seen && i < batch && i < GNS_BATCH_MAX; i++)                                                               \
			if (describe(&p, D, order == ROW_MAJOR, ta != NO_TRANS, tb != NO_TRANS, m, n, k, alpha, a + (ptrdiff_t)i * sa,     \
				     lda, b + (ptrdiff_t)i * sb, ldb, beta, c + (ptrdiff_t)i * sc, ldc))                                   \
				gns_core_before(&call, &p);                                                                                \
		if (seen)                                                                                                                  \
			gns_core_calling(&call);                                                                                           \
		next(order, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, batch);                                      \
		if (seen)                                                                                                                  \
			gns_core_after(&call);                                                                                             \
	}

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
GEMM_BATCH(s, float, GNS_F32)
GEMM_BATCH(d, double, GNS_F64)
GEMM_STRIDED(s, float, GNS_F32)
GEMM_STRIDED(d, double, GNS_F64)
