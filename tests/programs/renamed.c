/* Trains two linear layers on a library of renamed_blas.c. Prints, a line a step: the sums over samples of the squared norms of the samples'
 * gradients of either weight, and the squared norms of the gradients. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { N = 16, IN = 12, HID = 10, OUT = 5, STEPS = 40 };
void NAME(int order, int ta, int tb, INT m, INT n, INT k, float alpha, const float *a, INT lda, const float *b, INT ldb, float beta, float *c, INT ldc);

static float x[N * IN], w1[IN * HID], w2[HID * OUT], h[N * HID], o[N * OUT], gh[N * HID], g1[IN * HID], g2[HID * OUT], teacher[IN * OUT];
static uint64_t state = 1;

static float random_number(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (float)((double)(state >> 33) / (double)(1u << 31) * 2 - 1);
}

static double norm2(const float *v, int n)
{
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += (double)v[i] * v[i];
	return sum;
}

static double samples(const float *a, int na, const float *b, int nb)
{
	double sum = 0;
	for (int i = 0; i < N; i++)
		sum += norm2(a + i * na, na) * norm2(b + i * nb, nb);
	return sum;
}

static void step(void)
{
	for (int i = 0; i < N * IN; i++)
		x[i] = random_number();
	NAME(101, 111, 111, N, HID, IN, 1, x, IN, w1, HID, 0, h, HID);
	NAME(101, 111, 111, N, OUT, HID, 1, h, HID, w2, OUT, 0, o, OUT);
	for (int i = 0; i < N; i++)
		for (int j = 0; j < OUT; j++) {
			float want = 0;
			for (int l = 0; l < IN; l++)
				want += x[i * IN + l] * teacher[l * OUT + j];
			o[i * OUT + j] = (o[i * OUT + j] - want) / N;
		}
	NAME(101, 112, 111, HID, OUT, N, 1, h, HID, o, OUT, 0, g2, OUT);
	NAME(101, 111, 112, N, HID, OUT, 1, o, OUT, w2, OUT, 0, gh, HID);
	NAME(101, 112, 111, IN, HID, N, 1, x, IN, gh, HID, 0, g1, HID);
	printf("%.17g %.17g %.17g %.17g\n", samples(x, IN, gh, HID), samples(h, HID, o, OUT), norm2(g1, IN * HID), norm2(g2, HID * OUT));
	for (int i = 0; i < IN * HID; i++)
		w1[i] -= 0.1f * g1[i];
	for (int i = 0; i < HID * OUT; i++)
		w2[i] -= 0.1f * g2[i];
}

int main(void)
{
	for (int i = 0; i < IN * HID; i++)
		w1[i] = random_number() / 3;
	for (int i = 0; i < HID * OUT; i++)
		w2[i] = random_number() / 3;
	for (int i = 0; i < IN * OUT; i++)
		teacher[i] = random_number();
	for (int i = 0; i < STEPS; i++)
		step();
}
