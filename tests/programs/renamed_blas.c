/* A library whose product has the name NAME and integers INT, as NumPy's wheel and ILP64 builds have. */
#include <stddef.h>
#include <stdint.h>

__attribute__((visibility("default"))) void NAME(int order, int ta, int tb, INT m, INT n, INT k, float alpha, const float *a, INT lda, const float *b,
						 INT ldb, float beta, float *c, INT ldc);
void NAME(int order, int ta, int tb, INT m, INT n, INT k, float alpha, const float *a, INT lda, const float *b, INT ldb, float beta, float *c, INT ldc)
{
	(void)order; /* row-major, as the trainer calls it */
	for (INT i = 0; i < m; i++)
		for (INT j = 0; j < n; j++) {
			float sum = 0;
			for (INT l = 0; l < k; l++)
				sum += (ta != 111 ? a[l * lda + i] : a[i * lda + l]) * (tb != 111 ? b[j * ldb + l] : b[l * ldb + j]);
			c[i * ldc + j] = alpha * sum + (beta != 0 ? beta * c[i * ldc + j] : 0);
		}
}
