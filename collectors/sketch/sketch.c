/* The sketch: which operand is summed into buckets, which form is exact and cheaper, the direction taken out of a sample, and
 * the walk over samples and chunks. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "sketch_private.h"

#define GRAM_ROWS 4 /* rows of a sample up to which the Gram form can be the cheaper one */

struct gns_sketch *gns_sketch_init(size_t max_cols, enum gns_isa isa)
{
	struct gns_sketch *scratch;
	size_t head = (sizeof *scratch + 63) / 64 * 64, bytes;
	const size_t per_col = GNS_GROUPS_MAX * (1 + GNS_BUCKETS * sizeof(double)) + (2 * GNS_CHUNK_ROWS + 4) * sizeof(double);

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
	scratch->pack[0] = scratch->acc + GNS_GROUPS_MAX * GNS_BUCKETS * max_cols;
	scratch->pack[1] = scratch->pack[0] + GNS_CHUNK_ROWS * (max_cols + 16);
	scratch->v = scratch->pack[1] + GNS_CHUNK_ROWS * (max_cols + 16);
	scratch->v_wide = scratch->v + max_cols + 16;
	scratch->g = scratch->v_wide + max_cols + 16;
	scratch->g_acc = scratch->g + max_cols + 16;
	scratch->table = (int8_t *)(scratch->g_acc + max_cols + 16);
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

struct gns_chunk gns_sketch_z_chunk(const struct gns_sketch_job *job, size_t row, size_t rows, size_t stride)
{
	struct gns_mat m = *job->z;
	struct gns_chunk c = {.data = gns_mat_at(&m, row, 0), .first = row, .rows = rows, .ld = m.row_stride * (ptrdiff_t)stride};

	c.next = (ptrdiff_t)rows * c.ld;
	if (m.col_stride != 1 || gns_is_half(m.dtype)) {
		m.data = c.data;
		m.row_stride = c.ld;
		c.ld = (ptrdiff_t)gns_pack(job->scratch->kernels, &m, 0, rows, job->scratch->pack[1]);
		c.data = job->scratch->pack[1];
		c.next = 0;
	}
	return c;
}

void gns_sketch_bucket_chunk(const struct gns_sketch_job *job, size_t row, size_t rows, bool deflate)
{
	const struct gns_mat *m = job->b;
	struct gns_sketch *scratch = job->scratch;
	const struct gns_sketch_kernels *kernels = scratch->kernels;
	const void *data = gns_mat_at(m, row, 0);
	ptrdiff_t ld = m->row_stride;
	const bool packed = gns_is_half(m->dtype) || (m->col_stride != 1 && m->row_stride != 1);
	const bool by_rows = m->col_stride == 1 || packed;

	if (packed) {
		ld = (ptrdiff_t)gns_pack(kernels, m, row, rows, scratch->pack[0]);
		data = scratch->pack[0];
	}
	for (unsigned g = 0; g < job->groups; g++) {
		const int8_t *table = scratch->table + g * scratch->max_cols;
		const void *a = deflate && g == 0 ? scratch->a : NULL;
		if (by_rows)
			kernels->bucket[job->type](data, ld, rows, m->cols, table, scratch->u[g], packed ? 0 : hint_distance(m), a,
						   scratch->g);
		else
			kernels->bucket_feature[job->type](data, m->col_stride, rows, m->cols, table, scratch->u[g], scratch->strips);
	}
	if (deflate && !by_rows)
		kernels->weigh_feature[job->type](data, m->col_stride, rows, m->cols, scratch->a, scratch->g);
}

/* The rows that give the direction: one in `stride`, 16 to 80 of a sample of 64 or more, since a mean needs no more. */
static size_t direction_stride(size_t rows)
{
	const size_t quarter = rows / 8 < 4 ? rows / 8 : 4, few = rows / 64;

	return few > 4 ? few : quarter ? quarter : 1;
}

bool gns_sketch_find_direction(const struct gns_sketch_job *job, const struct gns_chunk *c, size_t first)
{
	struct gns_sketch *scratch = job->scratch;
	const size_t cols = job->z->cols;
	const size_t stride = direction_stride(job->rows), from = stride / 2, rows = (job->rows - from + stride - 1) / stride;
	float *narrow = (float *)scratch->v;
	int exponent = 0;

	if (job->rows <= GNS_CHUNK_ROWS) {
		const ptrdiff_t start = (ptrdiff_t)from * c->ld * (job->type ? 8 : 4);
		scratch->kernels->add_rows[job->type]((const char *)c->data + start, c->ld * (ptrdiff_t)stride, rows, cols,
						      scratch->v, true);
	}
	for (size_t at = 0; at < rows && job->rows > GNS_CHUNK_ROWS; at += GNS_CHUNK_ROWS) {
		const struct gns_chunk part = gns_sketch_z_chunk(job, first + from + at * stride,
						  rows - at < GNS_CHUNK_ROWS ? rows - at : GNS_CHUNK_ROWS, stride);
		scratch->kernels->add_rows[job->type](part.data, part.ld, part.rows, cols, scratch->v, at == 0);
	}
	const double length2 = scratch->kernels->norm2[job->type](scratch->v, cols);
	if (length2 == 0)
		return false;
	frexp(length2, &exponent);
	const double scale = ldexp(1, -exponent / 2);
	for (size_t i = 0; i < cols && job->type; i++)
		scratch->v[i] *= scale;
	for (size_t i = 0; i < cols && !job->type; i++)
		narrow[i] = (float)((double)narrow[i] * scale);
	return true;
}

/* v as the kept z needs it, and no g yet. */
static void start_kept(const struct gns_sketch_job *job)
{
	struct gns_sketch *scratch = job->scratch;

	memset(scratch->g_acc, 0, job->b->cols * sizeof(double));
	for (size_t i = 0; i < job->z->cols; i++)
		scratch->v_wide[i] = job->type ? scratch->v[i] : (double)((const float *)scratch->v)[i];
}

/* g of a chunk to that of the sample. */
static void keep_g(const struct gns_sketch_job *job)
{
	struct gns_sketch *scratch = job->scratch;

	for (size_t j = 0; j < job->b->cols; j++)
		scratch->g_acc[j] += job->type ? scratch->g[j] : (double)((const float *)scratch->g)[j];
}

/* Sum of squares of the chunk's z, or nothing yet where z goes on in scratch->acc. */
static double fold_chunk(const struct gns_sketch_job *job, const struct gns_chunk *c, bool keep, bool deflate, double (*along)[GNS_BUCKETS])
{
	struct gns_sketch *scratch = job->scratch;
	double sum = 0;

	for (unsigned g = 0; g < job->groups; g++) {
		double *acc = keep ? scratch->acc + g * GNS_BUCKETS * scratch->max_cols : NULL;
		sum += scratch->kernels->fold[job->type](c->data, c->ld, c->rows, job->z->cols, scratch->u[g], acc,
							 scratch->max_cols, c->next, deflate ? scratch->v : NULL, along[g]);
	}
	return sum;
}

/* Sum of squares of z kept in scratch->acc. */
static double sum_kept(const struct gns_sketch_job *job, bool deflate, double (*along)[GNS_BUCKETS])
{
	struct gns_sketch *scratch = job->scratch;
	const size_t cols = job->z->cols;
	double sum = 0;

	for (unsigned l = 0; l < job->groups * GNS_BUCKETS; l++) {
		const double *z = scratch->acc + l * scratch->max_cols;
		sum += scratch->kernels->norm2[1](z, cols);
		if (deflate)
			along[l / GNS_BUCKETS][l % GNS_BUCKETS] = scratch->kernels->dot[1](z, scratch->v_wide, cols);
	}
	return sum;
}

/* |A|^2 = |A^T v|^2 / |v|^2 + |(I - v v^T / |v|^2) A|^2: `sum` is that of the squares of z = A h, of which the part along v makes
 * room for its exact value. */
static double exchange(const struct gns_sketch_job *job, double sum, double (*along)[GNS_BUCKETS], bool kept)
{
	const struct gns_sketch *scratch = job->scratch;
	const struct gns_sketch_kernels *kernels = scratch->kernels;
	const double length2 = kernels->norm2[job->type](scratch->v, job->z->cols);
	const double exact = kept ? kernels->norm2[1](scratch->g_acc, job->b->cols) :
				    kernels->norm2[job->type](scratch->g, job->b->cols);
	double part = 0;

	for (unsigned l = 0; l < job->groups * GNS_BUCKETS; l++)
		part += along[l / GNS_BUCKETS][l % GNS_BUCKETS] * along[l / GNS_BUCKETS][l % GNS_BUCKETS];
	return (sum - part / length2) / job->groups + exact / length2;
}

static double sketch_sample(const struct gns_sketch_job *job, size_t sample)
{
	struct gns_sketch *scratch = job->scratch;
	const size_t chunks = (job->rows + GNS_CHUNK_ROWS - 1) / GNS_CHUNK_ROWS;
	const size_t step = (job->rows + chunks - 1) / chunks;
	const size_t first = sample * job->rows;
	const bool kept = chunks > 1;
	double sum = 0, along[GNS_GROUPS_MAX][GNS_BUCKETS] = {{0}};
	struct gns_chunk c = {0};
	bool deflate = false;

	for (unsigned g = 0; g < job->groups; g++)
		gns_sketch_table(scratch->table + g * scratch->max_cols, job->b->cols, job->seed, job->stream,
				 job->first_sample + sample, g);
	for (unsigned l = 0; kept && l < job->groups * GNS_BUCKETS; l++)
		memset(scratch->acc + l * scratch->max_cols, 0, job->z->cols * sizeof(double));
	if (!kept)
		c = gns_sketch_z_chunk(job, first, job->rows, 1);
	if (!job->exact) {
		deflate = gns_sketch_find_direction(job, &c, first);
		if (deflate && kept)
			start_kept(job);
	}
	for (size_t row = 0; row < job->rows; row += step) {
		if (kept)
			c = gns_sketch_z_chunk(job, first + row, job->rows - row < step ? job->rows - row : step, 1);
		if (deflate)
			scratch->kernels->project[job->type](c.data, c.ld, c.rows, job->z->cols, scratch->v, scratch->a);
		gns_sketch_bucket_chunk(job, c.first, c.rows, deflate);
		sum += fold_chunk(job, &c, kept, deflate, along);
		if (deflate && kept)
			keep_g(job);
	}
	if (kept)
		sum = sum_kept(job, deflate, along);
	return deflate ? exchange(job, sum, along, kept) : sum / job->groups;
}

/* Sum over t, t' of (x_t . x_t')(y_t . y_t'), few rows. */
static double gram_sample(const struct gns_sketch_job *job, size_t sample)
{
	struct gns_sketch *scratch = job->scratch;
	const struct gns_mat *sides[2] = {job->b, job->z};
	double gram[2][GRAM_ROWS][GRAM_ROWS], sum = 0;

	for (int s = 0; s < 2; s++) {
		const struct gns_mat *m = sides[s];
		const char *data = gns_mat_at(m, sample * job->rows, 0);
		ptrdiff_t step = m->row_stride * (ptrdiff_t)gns_dtype_size(m->dtype);
		if (m->col_stride != 1 || gns_is_half(m->dtype)) {
			const size_t ld = gns_pack(scratch->kernels, m, sample * job->rows, job->rows, scratch->pack[s]);
			data = (const char *)scratch->pack[s];
			step = (ptrdiff_t)ld * (job->type ? 8 : 4);
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
static bool gram_is_cheaper(const struct gns_sketch_job *job)
{
	const double both = (double)job->b->cols + (double)job->z->cols;
	const double sketch = job->groups * (8.0 * (double)job->z->cols + 2.0 * (double)job->b->cols);

	return job->rows <= GRAM_ROWS && (double)(job->rows + 1) * both <= sketch;
}

/* Up to 8 columns never share a bucket: that side in buckets is exact. Otherwise buckets are the cheap side. */
static void deal_roles(struct gns_sketch_job *job, const struct gns_mat *x, const struct gns_mat *y)
{
	const bool y_wider = y->cols >= x->cols;
	const struct gns_mat *wide = y_wider ? y : x, *narrow = y_wider ? x : y;

	job->exact = narrow->cols <= GNS_BUCKETS;
	job->b = job->exact ? narrow : wide;
	job->z = job->exact ? wide : narrow;
	if (job->exact)
		job->groups = 1;
}

static bool is_sound(const struct gns_mat *m)
{
	return m && m->data && m->rows && m->cols && m->dtype >= GNS_F32 && m->dtype < GNS_DTYPES;
}

static int set_up(struct gns_sketch_job *job, const struct gns_mat *x, const struct gns_mat *y, size_t samples, unsigned probes)
{
	if (!job->scratch || !is_sound(x) || !is_sound(y) || x->rows != y->rows)
		return -EINVAL;
	if ((x->dtype == GNS_F64) != (y->dtype == GNS_F64))
		return -EINVAL;
	if (!samples || x->rows % samples || !probes || probes % GNS_BUCKETS || probes > GNS_PROBES_MAX)
		return -EINVAL;
	if (x->cols > job->scratch->max_cols || y->cols > job->scratch->max_cols)
		return -ENOSPC;
	job->groups = probes / GNS_BUCKETS;
	job->rows = x->rows / samples;
	job->type = x->dtype == GNS_F64;
	deal_roles(job, x, y);
	return 0;
}

int gns_sketch_sum(struct gns_sketch *scratch, const struct gns_mat *x, const struct gns_mat *y, size_t samples,
		   unsigned probes, uint64_t seed, uint64_t stream, double *sum, double *per_sample)
{
	struct gns_sketch_job job = {.scratch = scratch, .seed = seed, .stream = stream};
	double total = 0;
	int rc = sum ? set_up(&job, x, y, samples, probes) : -EINVAL;

	if (rc)
		return rc;
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

int gns_sketch_one(struct gns_sketch *scratch, const struct gns_mat *x, const struct gns_mat *y, unsigned probes, uint64_t seed,
		   uint64_t stream, uint64_t sample, double *value)
{
	struct gns_sketch_job job = {.scratch = scratch, .seed = seed, .stream = stream, .first_sample = sample};
	int rc = value ? set_up(&job, x, y, 1, probes) : -EINVAL;

	if (rc || job.rows == 1)
		return rc ? rc : gns_sketch_sum(scratch, x, y, 1, probes, seed, stream, value, NULL);
	*value = gram_is_cheaper(&job) ? gram_sample(&job, 0) : sketch_sample(&job, 0);
	return 0;
}
