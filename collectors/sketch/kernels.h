/* The inner loops of the sketch, one table per instruction set. Private to collectors/sketch.
 *
 * A kernel sees one chunk: at most GNS_CHUNK_ROWS rows of one sample. Entries come in pairs, [0] float and [1] double.
 * `ld` is the distance between rows in elements, except in the functions for feature-major storage, where rows are
 * contiguous and `ld` is the distance between columns. Nothing is read outside rows x cols; hints may name any address. */
#ifndef GNS_SKETCH_KERNELS_H
#define GNS_SKETCH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sketch.h"

#define GNS_CHUNK_ROWS 64 /* terms of one float32 lane in z before it is folded into float64 */
#define GNS_RUN 64        /* likewise in u, in vectors along the columns */
#define GNS_BUCKETS 8

struct gns_kernels {
	/* u[row][l] = sum over blocks k of +-y[row][8k + source], as the table of gns_sketch_table says for (k, l).
	 * u: rows x 8 of the element type. `ahead`: elements from what is read to what is worth prefetching.
	 * With `a` not NULL also g[j] = sum over rows of a[row] y[row][j]. Vectors of the element type that the kernels write or
	 * read beside operands (u, a, g, v) may be touched up to cols rounded up to 16. */
	void (*bucket[2])(const void *y, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *u,
			  ptrdiff_t ahead, const void *a, void *g);
	void (*bucket_feature[2])(const void *y, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *u);
	void (*weigh_feature[2])(const void *y, ptrdiff_t ld, size_t rows, size_t cols, const void *a, void *g);
	/* v += sum of the rows of x (v = when fresh), and a[row] = x[row] . v. */
	void (*add_rows[2])(const void *x, ptrdiff_t ld, size_t rows, size_t cols, void *v, bool fresh);
	void (*project[2])(const void *x, ptrdiff_t ld, size_t rows, size_t cols, const void *v, void *a);
	/* z[l][i] = sum over rows of u[row][l] x[row][i]. With `acc` NULL: the sum of z^2 over l and i, and, with `v` not NULL,
	 * along[l] += z[l] . v. Otherwise z is added to acc[l * acc_ld + i] and 0 returned; acc rows hold cols rounded up to
	 * 16. `next`: elements to the next chunk. */
	double (*fold[2])(const void *x, ptrdiff_t ld, size_t rows, size_t cols, const void *u, double *acc, size_t acc_ld,
			  ptrdiff_t next, const void *v, double *along);
	double (*dot[2])(const void *a, const void *b, size_t n);
	double (*norm2[2])(const void *a, size_t n);
	double (*diff_norm2[2])(const void *a, const void *b, double scale, size_t n);
	/* out[row] += sum over columns of x[row][i]^2, feature-major. */
	void (*row_norms_feature[2])(const void *x, ptrdiff_t ld, size_t rows, size_t cols, double *out);
};

extern const struct gns_kernels gns_kernels_portable, gns_kernels_avx2, gns_kernels_avx512;

/* The table for `isa`, or for the best below it that this machine runs. */
const struct gns_kernels *gns_sketch_kernels(enum gns_isa isa);

/* One byte per column, blocks of 8 columns: byte 8k + l says which column of block k falls into bucket l (bits 0-2) and with
 * which sign (bit 7 set: minus). Bit 3 is set in odd blocks, so that bits 0-3 are a lane of 16. Fills cols rounded up
 * to 32 bytes. */
void gns_sketch_table(int8_t *table, size_t cols, uint64_t seed, uint64_t stream, uint64_t sample, unsigned group);

/* sum over the chunk's samples of |x_i|^2 |y_i|^2 and the like need norms of rows: out[row] = |m_row|^2. */
void gns_row_norms(const struct gns_kernels *kernels, const struct gns_mat *m, size_t row, size_t rows, double *out);

/* Copies rows row.. of all columns to `out`, row-major; returns its leading dimension, at most cols rounded up to 16, plus 16. */
size_t gns_pack(const struct gns_mat *m, size_t row, size_t rows, void *out);

static inline size_t gns_dtype_size(uint32_t dtype) { return dtype == GNS_F64 ? 8 : 4; }

static inline const void *gns_mat_at(const struct gns_mat *m, size_t row, size_t col)
{
	return (const char *)m->data +
	       ((ptrdiff_t)row * m->row_stride + (ptrdiff_t)col * m->col_stride) * (ptrdiff_t)gns_dtype_size(m->dtype);
}

/* Elements of foreign memory: any alignment. */
typedef float gns_f32 __attribute__((aligned(1), may_alias));
typedef double gns_f64 __attribute__((aligned(1), may_alias));

static inline double gns_mat_get(const struct gns_mat *m, size_t row, size_t col)
{
	const void *p = gns_mat_at(m, row, col);
	return m->dtype == GNS_F64 ? *(const gns_f64 *)p : (double)*(const gns_f32 *)p;
}

#endif
