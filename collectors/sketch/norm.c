/* Exact norms of whole matrices and of rows, and the choice of the instruction set. */
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static enum gns_isa hardware_isa(void)
{
#ifdef GNS_SKETCH_X86
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512bw"))
		return GNS_ISA_AVX512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return GNS_ISA_AVX2;
#endif
	return GNS_ISA_PORTABLE;
}

enum gns_isa gns_sketch_best_isa(void)
{
	static const char *const names[] = {"portable", "avx2", "avx512"};
	const char *wish = getenv("GNSCOPE_ISA");
	enum gns_isa best = hardware_isa();

	for (unsigned i = 0; wish && i < best; i++)
		if (!strcmp(wish, names[i]))
			best = (enum gns_isa)i;
	return best;
}

const struct gns_sketch_kernels *gns_sketch_kernels(enum gns_isa isa)
{
#ifdef GNS_SKETCH_X86
	const enum gns_isa hardware = hardware_isa();
	if (isa >= GNS_ISA_AVX512 && hardware >= GNS_ISA_AVX512)
		return &gns_kernels_avx512;
	if (isa >= GNS_ISA_AVX2 && hardware >= GNS_ISA_AVX2)
		return &gns_kernels_avx2;
#endif
	return &gns_kernels_portable;
}

double gns_run_norm2(const struct gns_sketch_kernels *kernels, uint32_t dtype, const void *data, size_t n)
{
	double wide[GNS_MAP / 2], sum = 0;

	if (!gns_is_half(dtype))
		return kernels->norm2[dtype == GNS_F64](data, n);
	for (size_t at = 0, part; at < n; at += part) {
		part = n - at < sizeof wide / sizeof *wide ? n - at : sizeof wide / sizeof *wide;
		kernels->to_f64[dtype - 1]((const char *)data + 2 * at, part, wide);
		sum += kernels->norm2[1](wide, part);
	}
	return sum;
}

void gns_row_norms(const struct gns_sketch_kernels *kernels, const struct gns_mat *m, size_t row, size_t rows, double *out)
{
	const int type = m->dtype == GNS_F64;

	if (m->col_stride == 1 && gns_is_half(m->dtype)) {
		for (size_t t = 0; t < rows; t++)
			out[t] = gns_run_norm2(kernels, m->dtype, gns_mat_at(m, row + t, 0), m->cols);
		return;
	}
	if (m->col_stride == 1) {
		for (size_t t = 0; t < rows; t++)
			out[t] = kernels->norm2[type](gns_mat_at(m, row + t, 0), m->cols);
		return;
	}
	memset(out, 0, rows * sizeof *out);
	if (m->row_stride == 1 && !gns_is_half(m->dtype)) {
		kernels->row_norms_feature[type](gns_mat_at(m, row, 0), m->col_stride, rows, m->cols, out);
		return;
	}
	for (size_t t = 0; t < rows; t++)
		for (size_t i = 0; i < m->cols; i++) {
			const double value = gns_mat_get(m, row + t, i);
			out[t] += value * value;
		}
}

/* A matrix as `count` contiguous runs of `length` elements. */
struct runs {
	const char *data;
	size_t count, length;
	ptrdiff_t step; /* bytes */
};

static bool as_runs(const struct gns_mat *m, bool by_rows, struct runs *out)
{
	const ptrdiff_t inner = by_rows ? m->col_stride : m->row_stride, outer = by_rows ? m->row_stride : m->col_stride;

	*out = (struct runs){
		.data = m->data,
		.count = by_rows ? m->rows : m->cols,
		.length = by_rows ? m->cols : m->rows,
		.step = outer * (ptrdiff_t)gns_dtype_size(m->dtype),
	};
	return inner == 1 || out->length <= 1;
}

static bool is_gapless(const struct gns_mat *m, const struct runs *runs)
{
	return runs->step == (ptrdiff_t)(runs->length * gns_dtype_size(m->dtype));
}

double gns_norm2(const struct gns_mat *m, enum gns_isa isa)
{
	const struct gns_sketch_kernels *kernels = gns_sketch_kernels(isa);
	struct runs runs;
	double sum = 0;

	if (as_runs(m, true, &runs) || as_runs(m, false, &runs)) {
		if (is_gapless(m, &runs))
			runs.length *= runs.count, runs.count = 1;
		for (size_t i = 0; i < runs.count; i++, runs.data += runs.step)
			sum += kernels->norm2[m->dtype == GNS_F64](runs.data, runs.length);
		return sum;
	}
	for (size_t t = 0; t < m->rows; t++)
		for (size_t i = 0; i < m->cols; i++) {
			const double value = gns_mat_get(m, t, i);
			sum += value * value;
		}
	return sum;
}

double gns_diff_norm2(const struct gns_mat *m, const struct gns_mat *n, double scale, enum gns_isa isa)
{
	const struct gns_sketch_kernels *kernels = gns_sketch_kernels(isa);
	double sum = 0;

	for (int by_rows = 1; by_rows >= 0; by_rows--) {
		struct runs a, b;
		if (m->dtype != n->dtype || !as_runs(m, by_rows, &a) || !as_runs(n, by_rows, &b))
			continue;
		if (is_gapless(m, &a) && is_gapless(n, &b))
			a.length *= a.count, a.count = 1;
		for (size_t i = 0; i < a.count; i++, a.data += a.step, b.data += b.step)
			sum += kernels->diff_norm2[m->dtype == GNS_F64](a.data, b.data, scale, a.length);
		return sum;
	}
	for (size_t t = 0; t < m->rows; t++)
		for (size_t i = 0; i < m->cols; i++) {
			const double diff = gns_mat_get(m, t, i) - scale * gns_mat_get(n, t, i);
			sum += diff * diff;
		}
	return sum;
}
