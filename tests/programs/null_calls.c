/* null_calls N: calls null_compute N times, and multiplies matrices once, so that the shim wakes. */
#include <stdio.h>
#include <stdlib.h>

double null_compute(double x);
void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
		 float *c, int ldc);

int main(int argc, char **argv)
{
	const float a[4] = { 1, 2, 3, 4 }, b[4] = { 5, 6, 7, 8 };
	float c[4] = { 0 };
	double sum = 0;
	for (int i = 0, n = argc > 1 ? atoi(argv[1]) : 0; i < n; i++)
		sum += null_compute(i);
	cblas_sgemm(101, 111, 111, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);
	printf("%.17g %g\n", sum, (double)c[3]);
	return 0;
}
