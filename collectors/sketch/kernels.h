/* The inner loops of the sketch, one table per instruction set. Private to collectors/sketch.
 *
 * A kernel sees one chunk: at most GNS_CHUNK_ROWS rows of one sample. Entries come in pairs, [0] float and [1] double.
 * `ld` is the distance between rows in elements, except in the functions for feature-major storage, where rows are
 * contiguous and `ld` is the distance between columns. Nothing is read outside rows x cols; hints may name any address. */
#ifndef GNS_COLLECTORS_SKETCH_KERNELS_H
#define GNS_COLLECTORS_SKETCH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sketch.h"

#define GNS_CHUNK_ROWS 64 /* terms of one float32 lane in z before it is folded into float64 */
#define GNS_RUN 64        /* likewise in u, in vectors along the columns */
#define GNS_BUCKETS 8
#define GNS_MAP 512       /* positions of a map: terms of a lane in a sum over it are at most 256 */

struct gns_sketch_kernels {
	/* u[row][l] = sum over blocks k of +-y[row][8k + source], as the table of gns_sketch_table says for (k, l).
	 * u: rows x 8 of the element type. `ahead`: elements from what is read to what is worth prefetching.
	 * With `a` not NULL also g[j] = sum over rows of a[row] y[row][j]. Vectors of the element type that the kernels write or
	 * read beside operands (u, a, g, v) may be touched up to cols rounded up to 16. */
	void (*bucket[2])(const void *y, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *u,
			  ptrdiff_t ahead, const void *a, void *g);
	/* rows <= GNS_CHUNK_ROWS; room: 2 x 8 x GNS_CHUNK_ROWS. */
	void (*bucket_feature[2])(const void *y, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *u, double *room);
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
	/* n contiguous values as float or double; [0] float16 and [1] bfloat16, [dtype - 1]. */
	void (*to_f32[2])(const void *from, size_t n, float *to);
	void (*to_f64[4])(const void *from, size_t n, double *to);
	/* sum[i] += a[i], += a[i] b[i], += s a[i]; and the sum of a. */
	void (*add)(double *sum, const double *a, size_t n);
	void (*add_product)(double *sum, const double *a, const double *b, size_t n);
	void (*add_scaled)(double *sum, const double *a, double s, size_t n);
	double (*total)(const double *a, size_t n);
	/* Convolutions: maps of positions, each a shifted piece of one array.
	 * out[q] = sum over j < count of weight[j] base[shift[j] + q]; out may be written up to n rounded up to 16. */
	void (*shift_sum[2])(const void *base, const ptrdiff_t *shift, const void *weight, size_t count, size_t n, void *out);
	/* z[j * z_step + l * z_map] += sum over q of map[l][q] base[shift[j] + q], l < maps, which is 1 or 8; map l is at
	 * l * GNS_MAP and finite up to n rounded up to 16. `ahead`: elements to what is worth a hint. */
	void (*shift_dots[2])(const void *base, const ptrdiff_t *shift, size_t count, size_t n, ptrdiff_t ahead, const void *map,
			      size_t maps, double *z, size_t z_step, size_t z_map);
	/* Rows of cols elements from distance from_ld to distance to_ld; writes up to 15 zeros beyond each row. copy_second takes
	 * every second element. `ahead`: elements to what is worth a hint. */
	void (*copy_rows[2])(const void *from, ptrdiff_t from_ld, size_t rows, size_t cols, ptrdiff_t ahead, void *to, size_t to_ld);
	void (*copy_second[2])(const void *from, ptrdiff_t from_ld, size_t rows, size_t cols, ptrdiff_t ahead, void *to,
			       size_t to_ld);
	/* Sums in double of rows of n: a[i] += y[i] of each row; of one row a[i] += y[i] (x[i] - mean) rstd; sum of y; sum of y (x - mean). */
	void (*add_wide_rows[2])(const void *y, ptrdiff_t ld, size_t rows, size_t n, double *a);
	void (*add_gain[2])(const void *x, const void *y, double mean, double rstd, size_t n, double *a);
	double (*sum_run[2])(const void *y, size_t n);
	double (*sum_gain[2])(const void *x, const void *y, double mean, size_t n);
	/* out[row] += sum over columns of x[row][i]^2, feature-major. */
	void (*row_norms_feature[2])(const void *x, ptrdiff_t ld, size_t rows, size_t cols, double *out);
};

extern const struct gns_sketch_kernels gns_kernels_portable, gns_kernels_avx2, gns_kernels_avx512;

/* The table for `isa`, or for the best below it that this machine runs. */
const struct gns_sketch_kernels *gns_sketch_kernels(enum gns_isa isa);

/* One byte per column, blocks of 8 columns: byte 8k + l says which column of block k falls into bucket l (bits 0-2) and with
 * which sign (bit 7 set: minus). Bit 3 is set in odd blocks, so that bits 0-3 are a lane of 16. Fills cols rounded up
 * to 32 bytes. */
void gns_sketch_table(int8_t *table, size_t cols, uint64_t seed, uint64_t stream, uint64_t sample, unsigned group);

/* sum over the chunk's samples of |x_i|^2 |y_i|^2 and the like need norms of rows: out[row] = |m_row|^2. */
void gns_row_norms(const struct gns_sketch_kernels *kernels, const struct gns_mat *m, size_t row, size_t rows, double *out);

/* Sum of squares of n contiguous values of any element type. */
double gns_run_norm2(const struct gns_sketch_kernels *kernels, uint32_t dtype, const void *data, size_t n);

/* Copies rows row.. of all columns to `out`, row-major, half precision as float32; returns its leading dimension, at most cols rounded up to 16, plus 16. */
size_t gns_pack(const struct gns_sketch_kernels *kernels, const struct gns_mat *m, size_t row, size_t rows, void *out);

static inline size_t gns_dtype_size(uint32_t dtype) { return dtype == GNS_F64 ? 8 : dtype == GNS_F32 ? 4 : 2; }
static inline bool gns_is_half(uint32_t dtype) { return dtype == GNS_F16 || dtype == GNS_BF16; }

/* Four columns, `ld` apart, of 4n rows, to rows `to_ld` apart. */
void gns_transpose_f32(const void *from, ptrdiff_t ld, size_t rows, float *to, size_t to_ld);

static inline const void *gns_mat_at(const struct gns_mat *m, size_t row, size_t col)
{
	return (const char *)m->data +
	       ((ptrdiff_t)row * m->row_stride + (ptrdiff_t)col * m->col_stride) * (ptrdiff_t)gns_dtype_size(m->dtype);
}

/* Elements of foreign memory: any alignment. */
typedef float gns_f32 __attribute__((aligned(1), may_alias));
typedef double gns_f64 __attribute__((aligned(1), may_alias));
typedef uint16_t gns_half __attribute__((aligned(1), may_alias));

static inline float gns_bits_float(uint32_t bits)
{
	float value;
	__builtin_memcpy(&value, &bits, sizeof value);
	return value;
}

/* float16 by integers: right whatever the processor does with denormals. */
static inline float gns_from_f16(uint16_t half)
{
	const uint32_t rest = half & 0x7fff, sign = (uint32_t)(half & 0x8000) << 16;
	const uint32_t is_small = 0u - (rest < 0x400), is_special = 0u - (rest >= 0x7c00);
	const float small = (float)(int32_t)rest * 0x1p-24f;
	uint32_t bits;
	__builtin_memcpy(&bits, &small, sizeof bits);
	bits = (bits & is_small) | (((rest << 13) + (112u << 23)) & ~is_small);
	return gns_bits_float(sign | bits | (0x7f800000u & is_special));
}

static inline float gns_from_bf16(uint16_t half) { return gns_bits_float((uint32_t)half << 16); }

static inline double gns_mat_get(const struct gns_mat *m, size_t row, size_t col)
{
	const void *p = gns_mat_at(m, row, col);
	switch (m->dtype) {
	case GNS_F64: return *(const gns_f64 *)p;
	case GNS_F16: return (double)gns_from_f16(*(const gns_half *)p);
	case GNS_BF16: return (double)gns_from_bf16(*(const gns_half *)p);
	default: return (double)*(const gns_f32 *)p;
	}
}

#endif
