/* What the kernels in kernels.cu are called with: names, argument structs and scratch layouts, as plain C that the host and the
 * device read alike. plan.h fills these; nothing else should need to.
 *
 * Every kernel takes one struct by value. Names are gns_NAME_TYPE with TYPE one of f32, f64, f16, bf16 (the element type of the
 * matrix that is read); those said to have f32 and f64 have f32 for f32, f16 and bf16; gns_value, gns_sum, gns_gram_finish, gns_fingerprint and
 * those of sets have none.
 *
 * Every struct of a measurement begins with `gate`, a device word: where it holds 0, all blocks return at once. NULL: always open.
 *
 * All pointers are to device memory. No kernel uses atomics: partial results go to scratch and are folded in a fixed order, so that
 * the same call gives the same bits. Products are float32 (float64 for f64 operands) in runs of at most 64 terms a lane, folded into
 * float64; squares are float64. Inf and nan in an operand give inf or nan. Shared memory is static; block sizes are fixed. */
#ifndef GNS_COLLECTORS_GPU_KERNELS_H
#define GNS_COLLECTORS_GPU_KERNELS_H

#include <stdint.h>

#define GNS_CU_THREADS 256
#define GNS_CU_BUCKETS 8
#define GNS_CU_BUCKET_ROWS 32   /* rows a block of gns_buckets takes */
#define GNS_CU_CHUNK_ROWS 512   /* the most rows that a block of gns_weigh or gns_columns takes */
#define GNS_CU_WEIGHTS 9        /* of a row of gns_weigh: the buckets, and the direction */
#define GNS_CU_GRAM_ROWS 4
#define GNS_CU_GRAM_PAIRS 10    /* (0,0) (1,0) (1,1) (2,0) ... of 4 rows */
#define GNS_CU_PRINT_N 16

/* Elements of one 16-byte load, and columns of the tile of one warp: 128 f32, 64 f64, 256 f16 and bf16. */
#define GNS_CU_VEC(item_size) (16u / (item_size))
#define GNS_CU_TILE(item_size) (32u * GNS_CU_VEC(item_size))
/* The same of gns_weigh, which has nine sums a column to keep. */
#define GNS_CU_WEIGH_TILE(item_size) (32u * ((item_size) == 8 ? 2u : 4u))

/* Element (t, c) of sample i is data[i * sample_step + t * row_stride + c * col_stride]; steps in elements, any sign. */
struct gns_cu_rows {
	const void *data;
	int64_t sample_step, row_stride, col_stride;
	uint64_t samples, rows, cols; /* rows of one sample */
	uint32_t vec;                 /* 1: col_stride is 1 and every row begins at a multiple of 16 bytes */
	uint32_t reserved;
};

/* gns_norm2: |M|^2, or |M - scale N|^2 where n.data is given (N of M's shape and type; scale is rounded to float32 unless they are
 * f64). Grid (column blocks, row blocks); partial[y * gridDim.x + x]. */
struct gns_cu_norm2 {
	const uint32_t *gate;
	struct gns_cu_rows m, n;
	double scale;
	double *partial;
};

/* gns_sum: *out = sum of partial[0..n), plus *out where `add`. One block. */
struct gns_cu_sum {
	const uint32_t *gate;
	const double *partial;
	uint64_t n;
	double *out;
	uint32_t add, reserved;
};

/* gns_direction: v[i][c] = sum of rows from, from + stride, ... of sample i. Grid (column tiles, samples). */
struct gns_cu_direction {
	const uint32_t *gate;
	struct gns_cu_rows m;
	uint64_t from, stride;
	void *v; /* samples x (cols rounded up to 8), float or double */
};

/* gns_along (f32, f64: of v): v to a length of about 1, by a power of two; then share[i][l] = (v . h_l) / |v|^2 with h_l the signs of
 * bucket l, and share[i][8] = 1 / |v|^2; all 0 where v is 0. Grid samples. */
struct gns_cu_along {
	const uint32_t *gate;
	void *v;
	uint64_t cols, seed, stream, first_sample;
	double *share; /* samples x GNS_CU_WEIGHTS */
};

/* gns_buckets: u[i][t][l] = sum of sign_j b_tj over the columns j of bucket l, and a[i][t] = b_t . v_i where v is given. Signs and
 * buckets are those of gns_sketch_bits: docs/internals/sketch.md. Grid (ceil(rows / GNS_CU_BUCKET_ROWS), samples). */
struct gns_cu_buckets {
	const uint32_t *gate;
	struct gns_cu_rows b;
	uint64_t seed, stream, first_sample;
	const void *v; /* or NULL */
	void *u;       /* samples x rows x GNS_CU_BUCKETS */
	void *a;       /* samples x rows */
};

/* gns_weigh: z[l][c] = sum over t of u[t][l] z_tc, and z[8][c] = sum of a[t] z_tc where a is given. Grid (column tiles, chunks, samples).
 * Without `part` (one chunk) they are settled at once, as by gns_settle, to value[sample][tile]. */
struct gns_cu_weigh {
	const uint32_t *gate;
	struct gns_cu_rows z;
	uint64_t chunk_rows;
	const void *u;
	const void *a;       /* or NULL */
	const double *share; /* with a */
	void *part;          /* samples x chunks x (8 or, with a, 9) x cols, or NULL */
	double *value;       /* samples x grid.x */
};

/* gns_settle (f32, f64: of part): the sum over a tile of columns of |z_l - z_8 share_l|^2 over l, plus z_8^2 share_8; of |z_l|^2 where there is no
 * share. z is summed over the chunks first. Grid (ceil(cols / GNS_CU_THREADS), samples). */
struct gns_cu_settle {
	const uint32_t *gate;
	const void *part;
	const double *share; /* or NULL */
	uint64_t chunks, cols;
	double *value; /* samples x grid.x */
};

/* gns_columns: part[i][chunk][c] = sum over the chunk's rows of y_tc (x_tc - mean_t) rstd_t; x, mean and rstd each may be absent.
 * x has y's shape and type. Grid (column tiles, chunks, samples). */
struct gns_cu_statistic {
	const void *data; /* NULL: absent */
	int64_t sample_step, row_stride;
	uint32_t dtype; /* enum gns_dtype */
	uint32_t reserved;
};
struct gns_cu_columns {
	const uint32_t *gate;
	struct gns_cu_rows y, x;
	struct gns_cu_statistic mean, rstd;
	uint64_t chunk_rows;
	void *part;
};

/* gns_gather (f32, f64: of part): w[c] = sum over chunks of part[sample][chunk][c], sq[sample][tile] = sum over the tile of w^2. Grid (ceil(cols /
 * GNS_CU_THREADS), samples). */
struct gns_cu_gather {
	const uint32_t *gate;
	const void *part;
	uint64_t chunks, cols;
	double *sq;
};

/* gns_gram: dot products of a sample's 1 to 4 rows, over a slice of columns. One warp a (sample, slice). */
struct gns_cu_gram {
	const uint32_t *gate;
	struct gns_cu_rows m;
	uint64_t slices, slice_cols;
	double *part; /* samples x slices x GNS_CU_GRAM_PAIRS */
};
struct gns_cu_gram_finish {
	const uint32_t *gate;
	const double *x, *y;
	uint64_t samples, rows, x_slices, y_slices;
	double *value;
};

/* gns_reduction_sequence: part[i][chunk][k] = sum over the chunk of the reduced elements r of y (x - mean) rstd at (k, r); x, mean and rstd each may
 * be absent, and each has an element type of its own. Sums in float64. Element k of the kept ones has the index (k0, k1, k2), the last
 * fastest; r likewise. Grid (ceil(kept / GNS_CU_REDUCE_KEPT), or / 8 with `along`, chunks, samples). */
#define GNS_CU_REDUCE_KEPT 32
struct gns_cu_side {
	const void *data; /* NULL: absent */
	int64_t sample_step, kept[3], reduced[3]; /* steps in elements */
	uint32_t dtype, reserved;
};
struct gns_cu_reduce {
	const uint32_t *gate;
	struct gns_cu_side y, x, mean, rstd;
	uint64_t kept[3], reduced[3], kept_n, reduced_n, chunk;
	uint32_t along; /* 1: the lanes of a warp go along the reduced elements, 0: along the kept ones */
	uint32_t reserved;
	double *part; /* samples x chunks x kept_n */
};

/* gns_inner: value[i][k] = (sum over the columns of row k)^2. One warp a row; grid (ceil(rows / 8), samples). */
struct gns_cu_inner {
	const uint32_t *gate;
	struct gns_cu_rows y;
	double *value;
};

/* gns_embedding: value[i][t] = |sum of the rows of sample i with row t's id|^2 where t is the first of these, else 0; rows of
 * padding_idx (if that is not negative) add nothing. Grid (rows, samples). */
struct gns_cu_embedding {
	const uint32_t *gate;
	struct gns_cu_rows y;
	const void *ids;
	int64_t ids_sample_step, ids_row_stride, padding_idx;
	uint32_t ids_wide; /* 1: int64, 0: int32 */
	uint32_t reserved;
	double *value;
};

/* ---- convolutions: docs/internals/sketch.md, "Convolutions"; conv.cuh ---- */

/* Three spatial dimensions, unused ones of size 1. Position m meets padded input t = m stride + k dilation: phase t % stride, at
 * t / stride of that phase's plane. */
struct gns_cu_axes {
	uint32_t in[3], out[3], kernel[3], stride[3], dilation[3], padding[3];
	uint32_t phases[3]; /* that the kernel meets */
	uint32_t length[3]; /* of a phase's plane */
};

/* gns_conv_lay (f32, f64: of what is written): images x channels planes, and the sums of their parts of GNS_CU_LAY elements. Grid
 * images * channels * tiles. */
#define GNS_CU_LAY 4096
struct gns_cu_conv_lay {
	const uint32_t *gate;
	const void *data;
	int64_t image_step, channel_step, step[3];
	struct gns_cu_axes axes;
	uint64_t channels, plane, tiles;
	void *out;    /* or NULL: the input is read in place, only its sums are wanted */
	double *part; /* images x channels x tiles, or NULL */
	uint32_t dtype, reserved;
};

/* gns_conv_direction (f32, f64): v[sample][channel], the sum of the sample's planes. A thread each. */
struct gns_cu_conv_direction {
	const uint32_t *gate;
	const double *part;
	uint64_t samples, images, channels, tiles;
	void *v;
};

/* One side of the products: piece j of a group begins at base + image image_step + group group_step + j / taps channel_step + the
 * shift of tap j % taps; position q is at q, or where `padded` at its place in a plane. */
struct gns_cu_pieces {
	const void *base;
	int64_t image_step, group_step, channel_step;
	uint64_t count, taps;
	struct gns_cu_axes axes;
	uint32_t padded, reserved;
};

/* gns_conv_maps (f32, f64, f16, bf16: of the pieces): map l at every position, the signed sum of the pieces of bucket l, and the sum of
 * pieces times v. Grid images * groups * tiles. */
enum { GNS_CU_CONV_BUCKETS, GNS_CU_CONV_SINGLE }; /* SINGLE: piece j is map j, without a sign */
#define GNS_CU_LIST 512
struct gns_cu_conv_maps {
	const uint32_t *gate;
	struct gns_cu_pieces pieces;
	uint64_t images, groups, positions, tiles; /* images of one sample */
	uint64_t seed, stream, first_sample, first_column;
	uint32_t form;
	uint32_t width;  /* positions of a block: a power of two, 32 to GNS_CU_THREADS */
	uint32_t maps;   /* of buckets that are written: 0 to 8, the first of `total` */
	uint32_t along;  /* the map along v too, as the last one */
	uint32_t total;  /* maps of an image and group */
	uint32_t common; /* signs of the sample alone, the groups' pieces numbered on from each other */
	const void *v;   /* samples x groups x channels of a group, or NULL */
	void *out;       /* images x groups x total x positions */
};

/* gns_conv_dots (likewise): part[image][group][chunk][piece][l] = sum over the chunk's positions of piece and map first_map + l. One
 * warp a unit: 8 pieces of a chunk. */
struct gns_cu_conv_dots {
	const uint32_t *gate;
	struct gns_cu_pieces pieces;
	uint64_t units, groups, positions, chunk, chunks;
	const void *maps;
	uint32_t first_map, maps_n, total, reserved;
	void *part;
};

/* gns_conv_finish (f32, f64): the estimate of every sample and group. v NULL: exact, the sum of the squares of z. With g: buckets of
 * outputs, z of inputs; without: the other way, and g is z's ninth. One block each. */
struct gns_cu_conv_finish {
	const uint32_t *gate;
	const void *z, *g, *v;
	uint64_t images, groups, chunks, count, g_count, maps;
	uint64_t pieces, taps, channels; /* of the input, of a group */
	uint64_t seed, stream, first_sample;
	double *value; /* samples x groups */
};

/* ---- several uses of one parameter: docs/internals/sketch.md ---- */

/* gns_add_up (f32, f64: of part): acc[i][l][c] += sum over chunks of part[i][chunk], where (l, c) is at l lane_step + c col_step. */
struct gns_cu_add_up {
	const uint32_t *gate;
	const void *part; /* samples x chunks x GNS_CU_BUCKETS * cols */
	float *acc;       /* samples x GNS_CU_BUCKETS x cols */
	uint64_t samples, chunks, cols, lane_step, col_step;
};

/* gns_add_rows: a parameter of rows x cols as the partial sums of gns_reduction_sequence; acc[i][l][c] += the signed sum of the rows of bucket l. Of
 * one lane: all rows, without a sign. */
struct gns_cu_add_rows {
	const uint32_t *gate;
	const double *part; /* samples x chunks x rows * cols */
	float *acc;         /* samples x lanes x cols */
	uint64_t samples, chunks, rows, cols, lanes; /* lanes 8 or 1 */
	uint64_t kept[3], own[3]; /* as in gns_reduction_sequence; an index's step in the parameter's own order */
	uint64_t seed, stream, first_sample;
};

/* gns_add_ids (f32, f64, f16, bf16): acc[i][l][c] += signed sum of the rows of y whose id is of bucket l. Grid (ceil(cols / 256),
 * samples). of.value is not looked at. */
struct gns_cu_add_ids {
	const uint32_t *gate;
	struct gns_cu_embedding of;
	float *acc;
	uint64_t seed, stream, first_sample;
};

/* gns_fingerprint: the bits of 16 elements, at the places that profiler/shim/weights/fingerprint.c takes, and two hashes of them: hash[0] is
 * gns_fingerprint_hash, hash[1] another. One block of 32. */
struct gns_cu_print {
	const uint32_t *gate;
	const void *data;
	uint64_t slow_n, fast_n;
	int64_t ld;
	uint32_t item_size, reserved;
	uint64_t *bits; /* GNS_CU_PRINT_N, or NULL */
	uint64_t *hash; /* 2 */
};

/* gns_value: *out = the first element as a double. One warp. */
struct gns_cu_value {
	const uint32_t *gate;
	const void *data;
	uint32_t dtype; /* enum gns_dtype */
	uint32_t add;   /* to what *out holds */
	double *out;
};

/* gns_copy: the elements of a strided array of `dims` dimensions, packed in its order. Steps in elements. Any grid.x. */
#define GNS_CU_COPY_DIMS 8
struct gns_cu_copy {
	const uint32_t *gate;
	const void *data;
	void *out;
	uint64_t count;
	uint64_t size[GNS_CU_COPY_DIMS];
	int64_t stride[GNS_CU_COPY_DIMS];
	uint32_t dims, item_size;
	uint32_t from, to; /* enum gns_dtype where they differ: converted to GNS_F32 or GNS_F64; both 0: the bytes as they are */
};

/* ---- sets of results: device.h ---- */

/* gns_fill: zeros. Any grid.x. */
struct gns_cu_fill {
	const uint32_t *gate;
	double *out;
	uint64_t n;
};

/* gns_mark: does nothing; a step's end on the device's timeline (cupti.h). One block of 1 + step % GNS_CU_MARKS threads: what CUPTI records of
 * a kernel tells which. */
#define GNS_CU_MARKS 1024
struct gns_cu_mark {
	uint64_t step;
};

/* gns_gate: a word that the host writes to one that kernels read. One warp. */
struct gns_cu_gate {
	const uint32_t *host; /* mapped host memory, as the device sees it; so are all of these below */
	uint32_t *gate;
};

/* gns_deliver: slots to the same places of host memory, then their number; the slots are 0 afterwards. One block. A ring block of delivery w is whole while
 * w <= *done and *begun < w + ring: look at `begun` again after the reading. */
#define GNS_CU_CHUNK 64 /* slots that one bit stands for */
struct gns_cu_deliver {
	const uint32_t *gate; /* closed: zeros instead of the slots, and all else as ever */
	double *slots;
	double *host;
	uint64_t chunks[2];   /* bit c % 64 of chunks[c / 64]: slots 64 c to 64 c + 63 */
	uint64_t *begun;      /* host word, or NULL: gets the number before the first slot is written */
	uint64_t *open;       /* host words, one a block, or NULL: 1 where the gate was open, else 0; written with the block */
	uint64_t *done;       /* host word: gets it behind the last */
	uint64_t number;      /* where there is no counter */
	uint64_t *counter;    /* device word, or NULL: raised by 1, and then is the number */
	uint64_t ring, stride; /* with a counter: block (number - 1) % ring of `host`, `stride` doubles apart */
};

#endif
