/* cuBLAS's words against what they mean: every product is computed once by the definition of the API's arguments, element by element, and
 * once from the struct gns_product that was made of them; the output buffers must agree to the last padding element. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/cuda/gemm.h"
#include "collectors/cuda/lt_describe.h"

#define CELLS 4096

struct case_of {
	bool ta, tb, a_row, b_row, d_row;
	int64_t m, n, k, batch;
	uint32_t type;
};

struct buffers {
	double a[CELLS], b[CELLS], d[CELLS], want[CELLS];
};

static uint64_t state = 1;

static double draw(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(int)(state >> 33 & 15) - 7; /* small whole numbers: every sum is exact */
}

static int64_t least_ld(bool row_major, int64_t rows, int64_t cols)
{
	return row_major ? cols : rows;
}

/* Element (r, c) of a stored matrix, as the manual says it. */
static size_t cell(bool row_major, int64_t ld, int64_t r, int64_t c)
{
	return (size_t)(row_major ? r * ld + c : c * ld + r);
}

static void by_definition(const struct case_of *t, const struct gns_gemm *g, const double *a, const double *b, double *d)
{
	for (int64_t i = 0; i < t->m; i++)
		for (int64_t j = 0; j < t->n; j++) {
			double sum = 0;
			for (int64_t l = 0; l < t->k; l++)
				sum += a[t->ta ? cell(t->a_row, g->a.ld, l, i) : cell(t->a_row, g->a.ld, i, l)] *
				       b[t->tb ? cell(t->b_row, g->b.ld, j, l) : cell(t->b_row, g->b.ld, l, j)];
			size_t at = cell(t->d_row, g->d.ld, i, j);
			d[at] = g->alpha * sum + g->beta * d[at];
		}
}

static void by_product(const struct gns_product *p)
{
	const double *l = p->left.data, *r = p->right.data;
	double *c = p->c;
	cr_assert(p->left.free_n == p->m && p->right.free_n == p->n && p->left.sum_n == p->k && p->right.sum_n == p->k);
	for (size_t i = 0; i < p->m; i++)
		for (size_t j = 0; j < p->n; j++) {
			double sum = 0;
			for (size_t t = 0; t < p->k; t++)
				sum += l[p->left.sum_fast ? (ptrdiff_t)i * p->left.ld + (ptrdiff_t)t : (ptrdiff_t)t * p->left.ld + (ptrdiff_t)i] *
				       r[p->right.sum_fast ? (ptrdiff_t)j * p->right.ld + (ptrdiff_t)t :
							     (ptrdiff_t)t * p->right.ld + (ptrdiff_t)j];
			double *at = c + (ptrdiff_t)i * p->c_row_stride + (ptrdiff_t)j * p->c_col_stride;
			*at = p->alpha * sum + p->beta * *at;
		}
}

static struct gns_gemm gemm_of(const struct case_of *t, struct buffers *x, int64_t pad)
{
	struct gns_gemm g = { .m = t->m, .n = t->n, .k = t->k, .batch = t->batch, .alpha = 2, .beta = -1 };
	int64_t a_rows = t->ta ? t->k : t->m, a_cols = t->ta ? t->m : t->k, b_rows = t->tb ? t->n : t->k, b_cols = t->tb ? t->k : t->n;
	g.a = (struct gns_gemm_matrix){ x->a, t->type, t->a_row, t->ta, least_ld(t->a_row, a_rows, a_cols) + pad, 0 };
	g.b = (struct gns_gemm_matrix){ x->b, t->type, t->b_row, t->tb, least_ld(t->b_row, b_rows, b_cols) + 2 * pad, 0 };
	g.d = (struct gns_gemm_matrix){ x->d, t->type, t->d_row, false, least_ld(t->d_row, t->m, t->n) + 3 * pad, 0 };
	g.a.stride = g.a.ld * (t->a_row ? a_rows : a_cols) + pad;
	g.b.stride = t->batch > 2 ? 0 : g.b.ld * (t->b_row ? b_rows : b_cols); /* the same B for all */
	g.d.stride = g.d.ld * (t->d_row ? t->m : t->n) + 5 * pad;
	return g;
}

static void fill(struct buffers *x)
{
	for (size_t i = 0; i < CELLS; i++) {
		x->a[i] = draw();
		x->b[i] = draw();
		x->want[i] = x->d[i] = draw();
	}
}

static void compare(const struct case_of *t, const struct gns_gemm *g, struct buffers *x)
{
	for (int64_t i = 0; i < t->batch; i++) {
		struct gns_product p;
		by_definition(t, g, x->a + i * g->a.stride, x->b + i * g->b.stride, x->want + i * g->d.stride);
		const char *why = gns_gemm_describe(&p, g, i);
		cr_assert_null(why, "%s", why);
		cr_assert(p.dtype == GNS_F64 && p.c_dtype == GNS_F64);
		by_product(&p);
	}
	cr_assert_arr_eq(x->d, x->want, sizeof x->d, "ta %d tb %d, row order of A %d, B %d, D %d, %dx%dx%d, batch %d", t->ta, t->tb, t->a_row,
			 t->b_row, t->d_row, (int)t->m, (int)t->n, (int)t->k, (int)t->batch);
}

static struct case_of case_number(unsigned i)
{
	return (struct case_of){ i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3 & 1, i >> 4 & 1, 3 + i / 32 % 4, 5 + i % 3, 2 + i % 5, 1 + i % 3,
				 GNS_CUDA_R_64F };
}

Test(cuda_gemm, every_order_and_transpose_means_what_the_manual_says)
{
	struct buffers *x = malloc(sizeof *x);
	for (unsigned i = 0; i < 32 * 60; i++) {
		struct case_of t = case_number(i);
		struct gns_gemm g = gemm_of(&t, x, i / 32 % 3);
		fill(x);
		compare(&t, &g, x);
	}
	free(x);
}

/* Descriptors as cuBLASLt keeps them: what was set comes back, of the size that the manual gives. */
struct gns_lt_layout {
	uint32_t type;
	int32_t order, batch;
	uint64_t rows, cols;
	int64_t ld, stride, plane;
};
struct gns_lt_desc {
	int32_t compute, scale, pointer_mode, transa, transb, transc;
	uint32_t epilogue;
};

static cublasStatus_t give(const void *from, size_t has, void *buf, size_t size, size_t *written)
{
	if (!from || has != size)
		return GNS_CUBLAS_INVALID_VALUE;
	memcpy(buf, from, size);
	*written = size;
	return GNS_CUBLAS_SUCCESS;
}

static cublasStatus_t layout_get(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t attribute, void *buf, size_t size, size_t *written)
{
	const struct { const void *at; size_t size; } field[] = {
		[GNS_LT_LAYOUT_TYPE] = { &l->type, 4 },  [GNS_LT_LAYOUT_ORDER] = { &l->order, 4 }, [GNS_LT_LAYOUT_ROWS] = { &l->rows, 8 },
		[GNS_LT_LAYOUT_COLS] = { &l->cols, 8 },  [GNS_LT_LAYOUT_LD] = { &l->ld, 8 },       [GNS_LT_LAYOUT_BATCH] = { &l->batch, 4 },
		[GNS_LT_LAYOUT_STRIDE] = { &l->stride, 8 }, [GNS_LT_LAYOUT_PLANE] = { &l->plane, 8 },
	};
	return give(field[attribute].at, field[attribute].size, buf, size, written);
}

static cublasStatus_t desc_get(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute, void *buf, size_t size, size_t *written)
{
	const struct { const void *at; size_t size; } field[] = {
		[GNS_LT_DESC_COMPUTE] = { &d->compute, 4 }, [GNS_LT_DESC_SCALE] = { &d->scale, 4 },
		[GNS_LT_DESC_POINTER_MODE] = { &d->pointer_mode, 4 }, [GNS_LT_DESC_TRANSA] = { &d->transa, 4 },
		[GNS_LT_DESC_TRANSB] = { &d->transb, 4 }, [GNS_LT_DESC_TRANSC] = { &d->transc, 4 },
		[GNS_LT_DESC_EPILOGUE] = { &d->epilogue, 4 },
	};
	return give(field[attribute].at, field[attribute].size, buf, size, written);
}

static const struct gns_lt_api api = { layout_get, desc_get };

struct lt {
	struct gns_lt_layout a, b, d;
	struct gns_lt_desc desc;
	double alpha, beta;
	struct gns_lt_call call;
};

static struct gns_lt_layout layout_of(const struct gns_gemm_matrix *x, int64_t rows, int64_t cols, int64_t batch)
{
	return (struct gns_lt_layout){ .type = x->type, .order = x->row_major ? GNS_LT_ROW : GNS_LT_COL, .batch = (int32_t)batch,
				       .rows = (uint64_t)(x->transposed ? cols : rows), .cols = (uint64_t)(x->transposed ? rows : cols),
				       .ld = x->ld, .stride = x->stride };
}

static void lt_of(struct lt *lt, const struct gns_gemm *g)
{
	*lt = (struct lt){ .a = layout_of(&g->a, g->m, g->k, g->batch), .b = layout_of(&g->b, g->k, g->n, g->batch),
			   .d = layout_of(&g->d, g->m, g->n, g->batch), .alpha = g->alpha, .beta = g->beta };
	lt->desc = (struct gns_lt_desc){ .compute = GNS_COMPUTE_64F, .scale = GNS_CUDA_R_64F, .transa = g->a.transposed,
					 .transb = g->b.transposed ? GNS_CUBLAS_C : GNS_CUBLAS_N, .epilogue = GNS_LT_EPILOGUE_DEFAULT };
	lt->call = (struct gns_lt_call){ .desc = &lt->desc, .a_layout = &lt->a, .b_layout = &lt->b, .d_layout = &lt->d, .alpha = &lt->alpha,
					 .beta = &lt->beta, .a = g->a.data, .b = g->b.data, .c = g->d.data, .d = (void *)g->d.data };
}

Test(cuda_gemm, descriptors_of_cublaslt_say_the_same)
{
	struct buffers *x = malloc(sizeof *x);
	for (unsigned i = 0; i < 32 * 60; i++) {
		struct case_of t = case_number(i);
		struct gns_gemm g = gemm_of(&t, x, i / 32 % 3), read = { 0 };
		struct lt lt;
		lt_of(&lt, &g);
		fill(x);
		cr_assert(gns_lt_describe(&read, &api, &lt.call));
		cr_assert_null(read.altered);
		compare(&t, &read, x);
	}
	free(x);
}

static struct lt *plain_lt(struct lt *lt, struct buffers *x)
{
	struct case_of t = case_number(0);
	struct gns_gemm g = gemm_of(&t, x, 0);
	lt_of(lt, &g);
	return lt;
}

Test(cuda_gemm, what_is_done_to_the_product_is_told)
{
	static const struct { uint32_t epilogue; bool altered; } rows[] = {
		{ GNS_LT_EPILOGUE_DEFAULT, false }, { GNS_LT_EPILOGUE_BGRADA, false }, { GNS_LT_EPILOGUE_BGRADB, false },
		{ GNS_LT_EPILOGUE_RELU, true }, { GNS_LT_EPILOGUE_BIAS, true }, { GNS_LT_EPILOGUE_RELU_BIAS, true },
		{ 8 | 128, true } /* DRELU */, { 64 | 128 | 16, true } /* DGELU_BGRAD */, { 1u << 20, true } /* one to come */,
	};
	struct buffers *x = malloc(sizeof *x);
	struct gns_gemm g;
	struct lt lt;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		plain_lt(&lt, x)->desc.epilogue = rows[i].epilogue;
		cr_assert(gns_lt_describe(&g, &api, &lt.call));
		cr_assert(rows[i].altered == (g.altered && strcmp(g.altered, "epilogue") == 0), "epilogue %u", rows[i].epilogue);
	}
	plain_lt(&lt, x)->call.c = x->want;
	cr_assert(gns_lt_describe(&g, &api, &lt.call) && g.altered && strcmp(g.altered, "other_c") == 0);
	lt.beta = 0;
	cr_assert(gns_lt_describe(&g, &api, &lt.call) && !g.altered, "a C that is not read is no matter");
	plain_lt(&lt, x)->desc.pointer_mode = GNS_CUBLAS_DEVICE;
	lt.call.alpha = lt.call.beta = (const void *)16; /* not to be read */
	cr_assert(gns_lt_describe(&g, &api, &lt.call) && isnan(g.alpha) && isnan(g.beta));
	free(x);
}

Test(cuda_gemm, what_is_not_known_is_not_described)
{
	struct buffers *x = malloc(sizeof *x);
	struct gns_gemm g;
	struct gns_product p;
	struct lt lt;
	plain_lt(&lt, x)->a.order = 2; /* COL32 */
	cr_assert_not(gns_lt_describe(&g, &api, &lt.call));
	plain_lt(&lt, x)->b.plane = 512; /* planar complex */
	cr_assert_not(gns_lt_describe(&g, &api, &lt.call));
	plain_lt(&lt, x)->desc.transc = GNS_CUBLAS_T;
	cr_assert_not(gns_lt_describe(&g, &api, &lt.call));

	struct case_of t = case_number(0);
	for (uint32_t type = 0; type < 40; type++) {
		bool known = type == GNS_CUDA_R_32F || type == GNS_CUDA_R_64F || type == GNS_CUDA_R_16F || type == GNS_CUDA_R_16BF;
		t.type = type;
		g = gemm_of(&t, x, 0);
		const char *why = gns_gemm_describe(&p, &g, 0);
		cr_assert(known ? !why : why && strcmp(why, "element_type") == 0, "type %u: %s", type, why ? why : "described");
	}
	t.type = GNS_CUDA_R_16BF;
	g = gemm_of(&t, x, 0);
	g.d.type = GNS_CUDA_R_32F;
	cr_assert(!gns_gemm_describe(&p, &g, 0) && p.dtype == GNS_BF16 && p.c_dtype == GNS_F32);
	g.b.type = GNS_CUDA_R_16F;
	cr_assert_str_eq(gns_gemm_describe(&p, &g, 0), "element_type");
	g = gemm_of(&t, x, 0);
	g.a.ld = 0;
	cr_assert_str_eq(gns_gemm_describe(&p, &g, 0), "arguments");
	free(x);
}

Test(cuda_gemm, scalars_are_of_the_type_that_goes_with_the_arithmetic)
{
	const float f = -0.375f;
	const double d = 1.0 / 3;
	const uint16_t bf16 = 0xbec0, third = 0x3555, least = 0x0001, infinite = 0x7c00;
	cr_assert(gns_gemm_scalar_of_compute(&f, GNS_COMPUTE_32F_FAST_TF32) == -0.375);
	cr_assert(gns_gemm_scalar_of_compute(&d, GNS_COMPUTE_64F) == 1.0 / 3);
	cr_assert(gns_gemm_scalar(&bf16, GNS_CUDA_R_16BF) == -0.375);
	cr_assert(gns_gemm_scalar_of_compute(&third, GNS_COMPUTE_16F) == 0.333251953125);
	cr_assert(gns_gemm_scalar(&least, GNS_CUDA_R_16F) == ldexp(1, -24));
	cr_assert(isinf(gns_gemm_scalar(&infinite, GNS_CUDA_R_16F)));
	cr_assert(isnan(gns_gemm_scalar_of_compute(&f, GNS_COMPUTE_32I)));
	cr_assert(isnan(gns_gemm_scalar(NULL, GNS_CUDA_R_32F)));
}
