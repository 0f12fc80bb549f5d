/* Batched products: a mixture of experts, one weight each, and attention, one product a head. Prints what is true of the experts' and the
 * projections' weights: TRUTH n q_small q_big.
 *
 *     experts batch|strided EXPERTS HEADS [STEPS] */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 8
#define D 8      /* width of the model and of a head: everything has the shape of a weight */
#define MAX 128
#define ROW_MAJOR 101
#define NO 111
#define YES 112

void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
void cblas_sgemm_batch(int, const int *, const int *, const int *, const int *, const int *, const float *, const float **, const int *,
		       const float **, const int *, const float *, float **, const int *, int, const int *);
void cblas_sgemm_batch_strided(int, int, int, int, int, int, float, const float *, int, int, const float *, int, int, float, float *, int, int,
			       int);

typedef float many[MAX][ROWS * D];

static uint64_t state = 88172645463325252ull;
static int strided;

static float uniform(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (float)((double)(state >> 11) / 9007199254740992.0 - 0.5);
}

static void fill(float *x, int n)
{
	for (int i = 0; i < n; i++)
		x[i] = uniform();
}

/* count products c[i] = op(a[i]) op(b[i]), all 8 x 8 */
static void products(int count, int ta, const many a, int tb, const many b, many c)
{
	const float *pa[MAX], *pb[MAX], one = 1, none = 0;
	float *pc[MAX];
	int d = D;
	for (int i = 0; i < count; i++) {
		pa[i] = a[i];
		pb[i] = b[i];
		pc[i] = c[i];
	}
	if (strided)
		cblas_sgemm_batch_strided(ROW_MAJOR, ta, tb, D, D, D, 1, a[0], D, ROWS * D, b[0], D, ROWS * D, 0, c[0], D, ROWS * D, count);
	else
		cblas_sgemm_batch(ROW_MAJOR, &ta, &tb, &d, &d, &d, &one, pa, &d, pb, &d, &none, pc, &d, 1, &count);
}

static void truth(const float *x, const float *dy)
{
	double small = 0, big = 0;
	for (int o = 0; o < D; o++)
		for (int i = 0; i < D; i++) {
			double all = 0;
			for (int r = 0; r < ROWS; r++) {
				double one = (double)dy[r * D + o] * (double)x[r * D + i];
				small += ROWS * one * one;
				all += one;
			}
			big += all * all;
		}
	printf("TRUTH %d %.17g %.17g\n", ROWS, small, big);
}

static many w, dw, x, y, dy, dx;                          /* experts */
static many p, dp, in, q, dq, din;                        /* three projections: q, k, v */
static many qh, kh, vh, s, o, doh, ds, dqh, dkh, dvh;      /* heads */

static void attention(int heads)
{
	for (int h = 0; h < heads; h++)
		for (int i = 0; i < ROWS * D; i++) {
			float turn = 1 + 0.1f * (float)h;
			qh[h][i] = q[0][i] * turn;
			kh[h][i] = q[1][i] * turn;
			vh[h][i] = q[2][i] * turn;
		}
	products(heads, NO, qh, YES, kh, s);
	for (int h = 0; h < heads; h++)
		for (int i = 0; i < ROWS * D; i++)
			s[h][i] = tanhf(s[h][i]);
	products(heads, NO, s, NO, vh, o);
}

static void attention_back(int heads)
{
	fill(doh[0], MAX * ROWS * D);
	products(heads, NO, doh, YES, vh, ds);
	products(heads, YES, s, NO, doh, dvh);
	products(heads, NO, ds, NO, kh, dqh);
	products(heads, YES, ds, NO, qh, dkh);
	memset(dq, 0, sizeof dq);
	for (int h = 0; h < heads; h++)
		for (int i = 0; i < ROWS * D; i++) {
			dq[0][i] += dqh[h][i];
			dq[1][i] += dkh[h][i];
			dq[2][i] += dvh[h][i];
		}
}

int main(int argc, char **argv)
{
	static char lines[1 << 22];
	if (argc < 4)
		return 2;
	strided = strcmp(argv[1], "strided") == 0;
	int experts = atoi(argv[2]), heads = atoi(argv[3]), steps = argc > 4 ? atoi(argv[4]) : 30;
	setvbuf(stdout, lines, _IOFBF, sizeof lines);
	fill(w[0], MAX * ROWS * D);
	fill(p[0], MAX * ROWS * D);
	for (int step = 0; step < steps; step++) {
		fill(in[0], ROWS * D);
		memcpy(in[1], in[0], sizeof in[0]);
		memcpy(in[2], in[0], sizeof in[0]);
		products(3, NO, in, YES, p, q);
		attention(heads);
		for (int e = 0; e < experts; e++)
			for (int i = 0; i < ROWS * D; i++)
				x[e][i] = o[e % heads][i] + uniform();
		products(experts, NO, x, YES, w, y);
		for (int e = 0; e < experts; e++)
			for (int i = 0; i < ROWS * D; i++)
				dy[e][i] = (y[e][i] - uniform()) / ROWS;
		products(experts, NO, dy, NO, w, dx);
		products(experts, YES, dy, NO, x, dw);
		for (int e = 0; e < experts; e++)
			truth(x[e], dy[e]);
		attention_back(heads);
		products(3, NO, dq, NO, p, din);
		products(3, YES, dq, NO, in, dp);
		for (int l = 0; l < 3; l++)
			truth(in[l], dq[l]);
		for (int e = 0; e < experts; e++)
			for (int i = 0; i < D * D; i++)
				w[e][i] -= 0.05f * dw[e][i];
		for (int l = 0; l < 3; l++)
			for (int i = 0; i < D * D; i++)
				p[l][i] -= 0.01f * dp[l][i];
	}
	return 0;
}
