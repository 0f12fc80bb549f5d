/* A BLAS of plain loops: the batched forms that Debian's OpenBLAS lacks, and a library of which there can be several copies.
 * naive_calls() tells how many products this copy has answered. */
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

static int calls;
EXPORT int naive_calls(void);
EXPORT int naive_calls(void) { return __atomic_load_n(&calls, __ATOMIC_RELAXED); }

#define GEMM(X, T)                                                                                                                       \
	EXPORT void cblas_##X##gemm(int, int, int, int, int, int, T, const T *, int, const T *, int, T, T *, int);                       \
	EXPORT void cblas_##X##gemm(int order, int ta, int tb, int m, int n, int k, T alpha, const T *a, int lda, const T *b, int ldb,   \
				    T beta, T *c, int ldc)                                                                               \
	{                                                                                                                                \
		int row = order == 101, fa = (ta != 111) != !row, fb = (tb != 111) != !row;                                              \
		__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);                                                                         \
		for (int i = 0; i < m; i++)                                                                                              \
			for (int j = 0; j < n; j++) {                                                                                    \
				T sum = 0;                                                                                               \
				T *out = row ? &c[(size_t)i * (size_t)ldc + (size_t)j] : &c[(size_t)j * (size_t)ldc + (size_t)i];        \
				for (int l = 0; l < k; l++)                                                                              \
					sum += (fa ? a[(size_t)l * (size_t)lda + (size_t)i] : a[(size_t)i * (size_t)lda + (size_t)l]) *  \
					       (fb ? b[(size_t)j * (size_t)ldb + (size_t)l] : b[(size_t)l * (size_t)ldb + (size_t)j]);   \
				*out = alpha * sum + (beta != 0 ? beta * *out : 0);                                                      \
			}                                                                                                                \
	}                                                                                                                                \
	EXPORT void X##gemm_(const char *, const char *, const int *, const int *, const int *, const T *, const T *, const int *,       \
			     const T *, const int *, const T *, T *, const int *);                                                       \
	EXPORT void X##gemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const T *alpha, const T *a,      \
			     const int *lda, const T *b, const int *ldb, const T *beta, T *c, const int *ldc)                            \
	{                                                                                                                                \
		cblas_##X##gemm(102, *ta == 'N' ? 111 : 112, *tb == 'N' ? 111 : 112, *m, *n, *k, *alpha, a, *lda, b, *ldb, *beta, c,     \
				*ldc);                                                                                                   \
	}                                                                                                                                \
	EXPORT void cblas_##X##gemm_batch(int, const int *, const int *, const int *, const int *, const int *, const T *, const T **,   \
					  const int *, const T **, const int *, const T *, T **, const int *, int, const int *);         \
	EXPORT void cblas_##X##gemm_batch(int order, const int *ta, const int *tb, const int *m, const int *n, const int *k,             \
					  const T *alpha, const T **a, const int *lda, const T **b, const int *ldb, const T *beta,       \
					  T **c, const int *ldc, int groups, const int *size)                                            \
	{                                                                                                                                \
		int at = 0;                                                                                                              \
		for (int g = 0; g < groups; g++)                                                                                         \
			for (int i = 0; i < size[g]; i++, at++)                                                                          \
				cblas_##X##gemm(order, ta[g], tb[g], m[g], n[g], k[g], alpha[g], a[at], lda[g], b[at], ldb[g], beta[g],  \
						c[at], ldc[g]);                                                                          \
	}                                                                                                                                \
	EXPORT void cblas_##X##gemm_batch_strided(int, int, int, int, int, int, T, const T *, int, int, const T *, int, int, T, T *,     \
						  int, int, int);                                                                        \
	EXPORT void cblas_##X##gemm_batch_strided(int order, int ta, int tb, int m, int n, int k, T alpha, const T *a, int lda, int sa,  \
						  const T *b, int ldb, int sb, T beta, T *c, int ldc, int sc, int batch)                 \
	{                                                                                                                                \
		for (ptrdiff_t i = 0; i < batch; i++)                                                                                    \
			cblas_##X##gemm(order, ta, tb, m, n, k, alpha, a + i * sa, lda, b + i * sb, ldb, beta, c + i * sc, ldc);         \
	}

GEMM(s, float)
GEMM(d, double)
