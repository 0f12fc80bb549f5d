/* The sketch: which operand is summed into buckets, which form is exact and cheaper, and the walk over samples and chunks. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels.h"

#define GROUPS_MAX (GNS_PROBES_MAX / GNS_BUCKETS)
#define GRAM_ROWS 4 /* rows of a sample up to which the Gram form can be the cheaper one */

struct gns_sketch {
	const struct gns_kernels *kernels;
	size_t max_cols; /* a multiple of 32 */
	size_t bytes;
	/* Pages of these are touched by the first product that needs them. */
	int8_t *table; /* GROUPS_MAX x max_cols */
	double *acc;   /* GROUPS_MAX x 8 x max_cols: z of a sample of several chunks */
	double *pack;  /* GNS_CHUNK_ROWS x (max_cols + 16): a chunk copied into row-major order */
	double u[GROUPS_MAX][GNS_CHUNK_ROWS * GNS_BUCKETS];
	double norms[2][GNS_CHUNK_ROWS];
};

/* One product, roles dealt: `b` is summed into buckets (u), `z` is weighted by them. */
struct job {
	struct gns_sketch *scratch;
	const struct gns_mat *b, *z;
	size_t rows; /* a sample */
	unsigned groups;
	uint64_t seed, stream;
	int type; /* 0 float, 1 double */
};

struct gns_sketch *gns_sketch_init(size_t max_cols, enum gns_isa isa)
{
	struct gns_sketch *scratch;
	size_t head = (sizeof *scratch + 63) / 64 * 64, bytes;
	const size_t per_col = GROUPS_MAX * (1 + GNS_BUCKETS * sizeof(double)) + GNS_CHUNK_ROWS * sizeof(double);

	if (max_cols > SIZE_MAX / 2 / per_col - 64)
		return NULL;
	max_cols = (max_cols + 31) / 32 * 32;
	bytes = head + (max_cols + 16) * per_col;
	scratch = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (scratch == MAP_FAILED)
		return NULL;
	scratch->kernels = gns_sketch_kernels(isa);
	scratch->max_cols = max_cols;
	scratch->bytes = bytes;
	scratch->acc = (double *)((char *)scratch + head);
	scratch->pack = scratch->acc + GROUPS_MAX * GNS_BUCKETS * max_cols;
	scratch->table = (int8_t *)(scratch->pack + GNS_CHUNK_ROWS * (max_cols + 16));
	return scratch;
}

void gns_sketch_free(struct gns_sketch *scratch)
{
	if (scratch)
		munmap(scratch, scratch->bytes);
}

/* How far ahead of the read position a hint pays, in elements: eight rows on, or a few lines where rows are long. */
static ptrdiff_t hint_distance(const struct gns_mat *m)
{
	const ptrdiff_t eight_rows = 8 * m->row_stride;
	const ptrdiff_t limit = (128 << 10) / (ptrdiff_t)gns_dtype_size(m->dtype);

	return eight_rows > 0 && eight_rows <= limit ? eight_rows : 256;
}

static void bucket_chunk(const struct job *job, size_t row, size_t rows)
{
	const struct gns_mat *m = job->b;
	struct gns_sketch *scratch = job->scratch;
	const struct gns_kernels *kernels = scratch->kernels;
	const void *data = gns_mat_at(m, row, 0);
	ptrdiff_t ld = m->row_stride;
	const bool packed = m->col_stride != 1 && m->row_stride != 1;

	if (packed) {
		ld = (ptrdiff_t)gns_pack(m, row, rows, scratch->pack);
		data = scratch->pack;
	}
	for (unsigned g = 0; g < job->groups; g++) {
		const int8_t *table = scratch->table + g * scratch->max_cols;
		if (m->col_stride == 1 || packed)
			kernels->bucket[job->type](data, ld, rows, m->cols, table, scratch->u[g], packed ? 0 : hint_distance(m));
		else
			kernels->bucket_feature[job->type](data, m->col_stride, rows, m->cols, table, scratch->u[g]);
	}
}

/* Sum of squares of the chunk's z, or nothing yet where z goes on in scratch->acc. */
static double fold_chunk(const struct job *job, size_t row, size_t rows, bool keep)
{
	const struct gns_mat *m = job->z;
	struct gns_sketch *scratch = job->scratch;
	const void *data = gns_mat_at(m, row, 0);
	ptrdiff_t ld = m->row_stride, next = (ptrdiff_t)rows * ld;
	double sum = 0;

	if (m->col_stride != 1) {
		ld = (ptrdiff_t)gns_pack(m, row, rows, scratch->pack);
		data = scratch->pack;
		next = 0;
	}
	for (unsigned g = 0; g < job->groups; g++) {
		double *acc = keep ? scratch->acc + g * GNS_BUCKETS * scratch->max_cols : NULL;
		sum += scratch->kernels->fold[job->type](data, ld, rows, m->cols, scratch->u[g], acc, scratch->max_cols, next);
	}
	return sum;
}

static double sketch_sample(const struct job *job, size_t sample)
{
	struct gns_sketch *scratch = job->scratch;
	const size_t chunks = (job->rows + GNS_CHUNK_ROWS - 1) / GNS_CHUNK_ROWS;
	const size_t step = (job->rows + chunks - 1) / chunks;
	const size_t first = sample * job->rows;
	double sum = 0;

	for (unsigned g = 0; g < job->groups; g++)
		gns_sketch_table(scratch->table + g * scratch->max_cols, job->b->cols, job->seed, job->stream, sample, g);
	for (unsigned l = 0; chunks > 1 && l < job->groups * GNS_BUCKETS; l++)
		memset(scratch->acc + l * scratch->max_cols, 0, job->z->cols * sizeof(double));
	for (size_t row = 0; row < job->rows; row += step) {
		const size_t rows = job->rows - row < step ? job->rows - row : step;
		bucket_chunk(job, first + row, rows);
		sum += fold_chunk(job, first + row, rows, chunks > 1);
	}
	for (unsigned l = 0; chunks > 1 && l < job->groups * GNS_BUCKETS; l++) {
		const double *z = scratch->acc + l * scratch->max_cols;
		sum += scratch->kernels->norm2[1](z, job->z->cols);
	}
	return sum / job->groups;
}

/* Sum over t, t' of (x_t . x_t')(y_t . y_t'), few rows. */
static double gram_sample(const struct job *job, size_t sample)
{
	struct gns_sketch *scratch = job->scratch;
	const struct gns_mat *sides[2] = {job->b, job->z};
	double gram[2][GRAM_ROWS][GRAM_ROWS], sum = 0;

	for (int s = 0; s < 2; s++) {
		const struct gns_mat *m = sides[s];
		const char *data = gns_mat_at(m, sample * job->rows, 0);
		ptrdiff_t step = m->row_stride * (ptrdiff_t)gns_dtype_size(m->dtype);
		if (m->col_stride != 1) {
			const size_t ld = gns_pack(m, sample * job->rows, job->rows, scratch->pack);
			data = (const char *)scratch->pack;
			step = (ptrdiff_t)(ld * gns_dtype_size(m->dtype));
		}
		for (size_t t = 0; t < job->rows; t++)
			for (size_t v = 0; v <= t; v++)
				gram[s][t][v] = scratch->kernels->dot[job->type](data + (ptrdiff_t)t * step,
										 data + (ptrdiff_t)v * step, m->cols);
	}
	for (size_t t = 0; t < job->rows; t++)
		for (size_t v = 0; v <= t; v++)
			sum += (t == v ? 1 : 2) * gram[0][t][v] * gram[1][t][v];
	return sum;
}

/* Vector operations an element: the Gram form in doubles costs about rows + 1, the sketch 8 a group for z and 2 for u. */
static bool gram_is_cheaper(const struct job *job)
{
	const double both = (double)job->b->cols + (double)job->z->cols;
	const double sketch = job->groups * (8.0 * (double)job->z->cols + 2.0 * (double)job->b->cols);

	return job->rows <= GRAM_ROWS && (double)(job->rows + 1) * both <= sketch;
}

/* Up to 8 columns never share a bucket: that side in buckets is exact. Otherwise buckets are the cheap side. */
static void deal_roles(struct job *job, const struct gns_mat *x, const struct gns_mat *y)
{
	const bool y_wider = y->cols >= x->cols;
	const struct gns_mat *wide = y_wider ? y : x, *narrow = y_wider ? x : y;
	const bool exact = narrow->cols <= GNS_BUCKETS;

	job->b = exact ? narrow : wide;
	job->z = exact ? wide : narrow;
	if (exact)
		job->groups = 1;
}

static bool is_sound(const struct gns_mat *m)
{
	return m && m->data && m->rows && m->cols && (m->dtype == GNS_F32 || m->dtype == GNS_F64);
}

int gns_sketch_sum(struct gns_sketch *scratch, const struct gns_mat *x, const struct gns_mat *y, size_t samples,
		   unsigned probes, uint64_t seed, uint64_t stream, double *sum, double *per_sample)
{
	struct job job = {.scratch = scratch, .groups = probes / GNS_BUCKETS, .seed = seed, .stream = stream};
	double total = 0;

	if (!scratch || !sum || !is_sound(x) || !is_sound(y) || x->rows != y->rows || x->dtype != y->dtype)
		return -EINVAL;
	if (!samples || x->rows % samples || !probes || probes % GNS_BUCKETS || probes > GNS_PROBES_MAX)
		return -EINVAL;
	if (x->cols > scratch->max_cols || y->cols > scratch->max_cols)
		return -ENOSPC;
	job.rows = x->rows / samples;
	job.type = x->dtype == GNS_F64;
	deal_roles(&job, x, y);
	const bool gram = gram_is_cheaper(&job);
	for (size_t i = 0; i < samples; i++) {
		double value;
		if (job.rows == 1) {
			const size_t at = i % GNS_CHUNK_ROWS, left = samples - i;
			const size_t rows = left < GNS_CHUNK_ROWS ? left : GNS_CHUNK_ROWS;
			for (int s = 0; s < 2 && at == 0; s++)
				gns_row_norms(scratch->kernels, s ? y : x, i, rows, scratch->norms[s]);
			value = scratch->norms[0][at] * scratch->norms[1][at];
		} else
			value = gram ? gram_sample(&job, i) : sketch_sample(&job, i);
		total += value;
		if (per_sample)
			per_sample[i] = value;
	}
	*sum = total;
	return 0;
}
