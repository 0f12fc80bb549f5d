/* The walk over samples and chunks, shared by the sketch of one product and of several that add up. Private to collectors/sketch. */
#ifndef GNS_COLLECTORS_SKETCH_SKETCH_PRIVATE_H
#define GNS_COLLECTORS_SKETCH_SKETCH_PRIVATE_H

#include "kernels.h"

#define GNS_GROUPS_MAX (GNS_PROBES_MAX / GNS_BUCKETS)

struct gns_sketch {
	const struct gns_sketch_kernels *kernels;
	size_t max_cols; /* a multiple of 32 */
	size_t bytes;
	/* Pages of these are touched by the first product that needs them. */
	int8_t *table;   /* GNS_GROUPS_MAX x max_cols */
	double *acc;     /* GNS_GROUPS_MAX x 8 x max_cols: z of a sample of several chunks */
	double *pack[2]; /* GNS_CHUNK_ROWS x (max_cols + 16): a chunk copied into row-major order, of b and of z */
	double *v;       /* the direction taken out, max_cols, in the element type */
	double *v_wide;  /* the same in double, for a sample of several chunks */
	double *g;       /* A^T v of a chunk, in the element type */
	double *g_acc;   /* of a sample of several chunks */
	double a[GNS_CHUNK_ROWS]; /* z's rows along v, in the element type */
	double u[GNS_GROUPS_MAX][GNS_CHUNK_ROWS * GNS_BUCKETS];
	double strips[2 * GNS_CHUNK_ROWS * GNS_BUCKETS]; /* of a matrix that is feature-major */
	double norms[2][GNS_CHUNK_ROWS];
};

/* One product, roles dealt: `b` is summed into buckets (u), `z` is weighted by them. */
struct gns_sketch_job {
	struct gns_sketch *scratch;
	const struct gns_mat *b, *z;
	size_t rows; /* a sample */
	uint64_t first_sample; /* number of the first among its step's */
	unsigned groups;
	uint64_t seed, stream;
	int type; /* 0 float, 1 double */
	bool exact; /* no two columns of b share a bucket */
};

/* Rows of a matrix in row-major order, in place or packed. */
struct gns_chunk {
	const void *data;
	size_t first, rows;
	ptrdiff_t ld, next; /* elements to the next row, and from this chunk to the next one */
};

/* `rows` rows of z from `row` on, one in `stride`, in row-major order. */
struct gns_chunk gns_sketch_z_chunk(const struct gns_sketch_job *job, size_t row, size_t rows, size_t stride);

/* u of the chunk, and with a direction g = A^T v of it. */
void gns_sketch_bucket_chunk(const struct gns_sketch_job *job, size_t row, size_t rows, bool deflate);

/* The direction into scratch->v: the sum of rows of z, brought by a power of two to a length of about 1, so that nothing overflows
 * that did not before. False where there is none. Neither rounding nor the choice of rows costs truth: any direction that knows no
 * sign is right. `c`: the whole sample where it is one chunk. */
bool gns_sketch_find_direction(const struct gns_sketch_job *job, const struct gns_chunk *c, size_t first);

#endif
