/* Row-major copies of chunks that lie otherwise: feature-major by small transpositions in registers, the rest by element. */
#include <string.h>

#include "kernels.h"

typedef float v4f __attribute__((vector_size(16)));
typedef double v2d __attribute__((vector_size(16)));

#define AHEAD 64 /* columns from what is read to what is hinted; each has its own page in a tall matrix */

static inline v4f load4(const gns_f32 *p)
{
	v4f v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline v2d load2(const gns_f64 *p)
{
	v2d v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline void hint_column(const void *column, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		__builtin_prefetch((const char *)column + i, 0, 2);
}

void gns_transpose_f32(const void *columns, ptrdiff_t ld, size_t rows, float *to, size_t to_ld)
{
	const gns_f32 *from = columns;

	for (size_t t = 0; t + 4 <= rows; t += 4, from += 4, to += 4 * to_ld) {
		const v4f a = load4(from), b = load4(from + ld), c = load4(from + 2 * ld), d = load4(from + 3 * ld);
		const v4f ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
		const v4f ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
		const v4f out[4] = {
			__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
			__builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7),
		};
		for (int r = 0; r < 4; r++)
			memcpy(to + (size_t)r * to_ld, &out[r], sizeof out[r]);
	}
}

/* Two columns of 2n rows. */
static void transpose_f64(const gns_f64 *from, ptrdiff_t ld, size_t rows, double *to, size_t to_ld)
{
	for (size_t t = 0; t + 2 <= rows; t += 2, from += 2, to += 2 * to_ld) {
		const v2d a = load2(from), b = load2(from + ld);
		const v2d out[2] = {__builtin_shufflevector(a, b, 0, 2), __builtin_shufflevector(a, b, 1, 3)};
		memcpy(to, &out[0], sizeof out[0]);
		memcpy(to + to_ld, &out[1], sizeof out[1]);
	}
}

static void copy_elements(const struct gns_mat *m, size_t row, size_t rows, size_t first_col, size_t cols, void *out, size_t ld,
			  size_t out_row)
{
	for (size_t t = 0; t < rows; t++)
		for (size_t i = first_col; i < first_col + cols; i++) {
			const double value = gns_mat_get(m, row + t, i);
			if (m->dtype == GNS_F64)
				((double *)out)[(out_row + t) * ld + i] = value;
			else
				((float *)out)[(out_row + t) * ld + i] = (float)value;
		}
}

/* Half precision: rows, or columns of at most GNS_CHUNK_ROWS, converted whole. */
static bool pack_half(const struct gns_sketch_kernels *kernels, const struct gns_mat *m, size_t row, size_t rows, float *out, size_t ld)
{
	float column[GNS_CHUNK_ROWS];

	if (m->col_stride == 1) {
		for (size_t t = 0; t < rows; t++)
			kernels->to_f32[m->dtype == GNS_BF16](gns_mat_at(m, row + t, 0), m->cols, out + t * ld);
		return true;
	}
	if (m->row_stride != 1 || rows > GNS_CHUNK_ROWS)
		return false;
	for (size_t i = 0; i < m->cols; i++) {
		kernels->to_f32[m->dtype == GNS_BF16](gns_mat_at(m, row, i), rows, column);
		for (size_t t = 0; t < rows; t++)
			out[t * ld + i] = column[t];
	}
	return true;
}

size_t gns_pack(const struct gns_sketch_kernels *kernels, const struct gns_mat *m, size_t row, size_t rows, void *out)
{
	const bool wide = m->dtype == GNS_F64;
	const size_t item = wide ? 8 : 4, tile = wide ? 2 : 4;
	const size_t ld = (m->cols + 15) / 16 * 16 + 16; /* never a power of two: rows must not share cache sets */
	const size_t whole_rows = rows / tile * tile, whole_cols = m->cols / tile * tile;

	if (gns_is_half(m->dtype) && pack_half(kernels, m, row, rows, out, ld))
		return ld;
	if (m->row_stride != 1 || gns_is_half(m->dtype)) {
		copy_elements(m, row, rows, 0, m->cols, out, ld, 0);
		return ld;
	}
	for (size_t i = 0; i < whole_cols; i += tile) {
		const void *from = gns_mat_at(m, row, i);
		for (size_t k = i + AHEAD; k < i + AHEAD + tile && k < m->cols; k++)
			hint_column(gns_mat_at(m, row, k), rows * item);
		if (wide)
			transpose_f64(from, m->col_stride, whole_rows, (double *)out + i, ld);
		else
			gns_transpose_f32(from, m->col_stride, whole_rows, (float *)out + i, ld);
	}
	copy_elements(m, row, whole_rows, whole_cols, m->cols - whole_cols, out, ld, 0);
	copy_elements(m, row + whole_rows, rows - whole_rows, 0, m->cols, out, ld, whole_rows);
	return ld;
}
