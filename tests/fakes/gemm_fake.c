/* Products for the fakes of cuBLAS. */
#include "tests/fakes/gemm_fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/cuda/cublas_api.h"
#include "tests/fakes/cuda_fake.h"

static size_t size_of(uint32_t type)
{
	return type == GNS_CUDA_R_64F ? 8 : type == GNS_CUDA_R_32F ? 4 : 2;
}

static bool known(uint32_t type)
{
	return type == GNS_CUDA_R_32F || type == GNS_CUDA_R_64F || type == GNS_CUDA_R_16F || type == GNS_CUDA_R_16BF;
}

static float from_bits(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static uint32_t to_bits(float f)
{
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	return bits;
}

static double load(const void *base, uint32_t type, int64_t i)
{
	_Float16 h;
	switch (type) {
	case GNS_CUDA_R_64F: return ((const double *)base)[i];
	case GNS_CUDA_R_32F: return (double)((const float *)base)[i];
	case GNS_CUDA_R_16F: memcpy(&h, (const char *)base + 2 * i, 2); return (double)h;
	default: return (double)from_bits((uint32_t)((const uint16_t *)base)[i] << 16);
	}
}

/* To the nearest, ties to even. */
static uint16_t to_bf16(float f)
{
	uint32_t bits = to_bits(f);
	if (isnan(f))
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void store(void *base, uint32_t type, int64_t i, double value)
{
	_Float16 h = (_Float16)(float)value;
	switch (type) {
	case GNS_CUDA_R_64F: ((double *)base)[i] = value; break;
	case GNS_CUDA_R_32F: ((float *)base)[i] = (float)value; break;
	case GNS_CUDA_R_16F: memcpy((char *)base + 2 * i, &h, 2); break;
	default: ((uint16_t *)base)[i] = to_bf16((float)value);
	}
}

double gemm_fake_scalar(const void *at, uint32_t type)
{
	return load(at, type, 0);
}

uint32_t gemm_fake_scale_type(uint32_t compute)
{
	switch (compute) {
	case GNS_COMPUTE_64F:
	case GNS_COMPUTE_64F_PEDANTIC:
	case GNS_COMPUTE_64F_EMULATED_FIXEDPOINT: return GNS_CUDA_R_64F;
	case GNS_COMPUTE_16F:
	case GNS_COMPUTE_16F_PEDANTIC: return GNS_CUDA_R_16F;
	default: return GNS_CUDA_R_32F;
	}
}

void gemm_fake_same_context(const char *name, const void *context)
{
	if (gns_fake_context() != context)
		gns_fake_die("%s: the handle was made in another context than the one that is current", name);
}

/* Of op(X), rows x cols: the place of (row, col). */
static int64_t place(const struct gemm_fake_matrix *x, int64_t row, int64_t col)
{
	if (x->transposed) {
		int64_t swap = row;
		row = col;
		col = swap;
	}
	return x->row_major ? row * x->ld + col : col * x->ld + row;
}

static void *of_batch(const struct gemm_fake_matrix *x, int64_t i)
{
	return (char *)x->data + i * x->stride * (int64_t)size_of(x->type);
}

static void check_operand(const struct gemm_fake *g, const struct gemm_fake_matrix *x, int64_t rows, int64_t cols, const char *which)
{
	size_t bytes = (size_t)(place(x, rows - 1, cols - 1) + 1) * size_of(x->type);
	for (int64_t i = 0; i < g->batch; i++)
		if (gns_fake_check(of_batch(x, i), bytes))
			gns_fake_die("%s: %s of product %lld at %p, %zu bytes, is not live device memory of the current context", g->name, which,
				     (long long)i, of_batch(x, i), bytes);
}

static void check_operands(const struct gemm_fake *g)
{
	if (g->k > 0) {
		check_operand(g, &g->a, g->m, g->k, "A");
		check_operand(g, &g->b, g->k, g->n, "B");
	}
	if (g->beta_at || g->beta != 0)
		check_operand(g, &g->c, g->m, g->n, "C");
	check_operand(g, &g->d, g->m, g->n, "D");
}

/* Dense and in the precision that sums are made in: `rows` runs of k. */
static void *gather(const struct gemm_fake *g, const struct gemm_fake_matrix *x, int64_t batch, int64_t rows, bool right, bool wide)
{
	void *out = malloc((size_t)(rows * g->k + 1) * (wide ? 8 : 4));
	const void *from = of_batch(x, batch);
	for (int64_t r = 0; r < rows; r++)
		for (int64_t t = 0; t < g->k; t++) {
			double value = load(from, x->type, right ? place(x, t, r) : place(x, r, t));
			if (wide)
				((double *)out)[r * g->k + t] = value;
			else
				((float *)out)[r * g->k + t] = (float)value;
		}
	return out;
}

static double dot(const void *a, const void *b, int64_t row, int64_t col, int64_t k, bool wide)
{
	if (wide) {
		const double *x = (const double *)a + row * k, *y = (const double *)b + col * k;
		double sum = 0;
		for (int64_t t = 0; t < k; t++)
			sum += x[t] * y[t];
		return sum;
	}
	const float *x = (const float *)a + row * k, *y = (const float *)b + col * k;
	float sum = 0;
	for (int64_t t = 0; t < k; t++)
		sum += x[t] * y[t];
	return (double)sum;
}

static void one_product(const struct gemm_fake *g, int64_t batch, double alpha, double beta)
{
	bool wide = g->a.type == GNS_CUDA_R_64F;
	void *a = gather(g, &g->a, batch, g->m, false, wide), *b = gather(g, &g->b, batch, g->n, true, wide);
	const void *c = of_batch(&g->c, batch);
	void *d = of_batch(&g->d, batch);
	for (int64_t i = 0; i < g->m; i++)
		for (int64_t j = 0; j < g->n; j++) {
			double value = alpha * dot(a, b, i, j, g->k, wide);
			if (beta != 0)
				value += beta * load(c, g->c.type, place(&g->c, i, j));
			if (g->epilogue & GNS_LT_EPILOGUE_BIAS)
				value += load(g->bias, g->d.type, i);
			if (g->epilogue & GNS_LT_EPILOGUE_RELU && value < 0)
				value = 0;
			store(d, g->d.type, place(&g->d, i, j), wide ? value : (double)(float)value);
		}
	bool of_a = g->epilogue == GNS_LT_EPILOGUE_BGRADA, of_b = g->epilogue == GNS_LT_EPILOGUE_BGRADB;
	for (int64_t r = 0; (of_a || of_b) && r < (of_a ? g->m : g->n); r++) {
		double sum = 0;
		for (int64_t t = 0; t < g->k; t++)
			sum += of_a ? load(of_batch(&g->a, batch), g->a.type, place(&g->a, r, t)) :
				      load(of_batch(&g->b, batch), g->b.type, place(&g->b, t, r));
		store(g->bias, g->d.type, r, sum);
	}
	free(a);
	free(b);
}

void gemm_fake_run(const struct gemm_fake *g)
{
	check_operands(g);
	double alpha = g->alpha_at ? load(g->alpha_at, g->scale_type, 0) : g->alpha;
	double beta = g->beta_at ? load(g->beta_at, g->scale_type, 0) : g->beta;
	for (int64_t i = 0; i < g->batch; i++)
		one_product(g, i, alpha, beta);
}

static void run(void *args)
{
	gemm_fake_run(args);
}

static bool fits(const struct gemm_fake_matrix *x, int64_t rows, int64_t cols)
{
	return x->ld >= (x->row_major != x->transposed ? cols : rows);
}

unsigned gemm_fake_refusal(const struct gemm_fake *g)
{
	uint32_t epilogue = g->epilogue;
	if (g->m < 0 || g->n < 0 || g->k < 0 || g->batch < 0)
		return GNS_CUBLAS_INVALID_VALUE;
	if (!fits(&g->a, g->m, g->k) || !fits(&g->b, g->k, g->n) || !fits(&g->d, g->m, g->n) || !fits(&g->c, g->m, g->n))
		return GNS_CUBLAS_INVALID_VALUE;
	if (!known(g->a.type) || g->a.type != g->b.type || !known(g->d.type) || g->c.type != g->d.type)
		return GNS_CUBLAS_NOT_SUPPORTED;
	if (epilogue != GNS_LT_EPILOGUE_DEFAULT && epilogue != GNS_LT_EPILOGUE_RELU && epilogue != GNS_LT_EPILOGUE_BIAS &&
	    epilogue != GNS_LT_EPILOGUE_RELU_BIAS && epilogue != GNS_LT_EPILOGUE_BGRADA && epilogue != GNS_LT_EPILOGUE_BGRADB)
		return GNS_CUBLAS_NOT_SUPPORTED;
	return GNS_CUBLAS_SUCCESS;
}

unsigned gemm_fake_enqueue(const struct gemm_fake *g, void *stream)
{
	unsigned why = gemm_fake_refusal(g);
	if (why || !g->m || !g->n || !g->batch)
		return why;
	check_operands(g);
	return gns_fake_enqueue(stream, g->name, run, g, sizeof *g) ? 13 /* CUBLAS_STATUS_EXECUTION_FAILED */ : GNS_CUBLAS_SUCCESS;
}
