/* Linear layers: every sample's rows found in place, whatever the order of the dimensions. */
#include <errno.h>
#include <string.h>

#include "layers_private.h"

/* One use of a linear layer, as seen from sample 0. */
struct linear {
	struct gns_layers *layers;
	struct gns_samples *samples;
	struct gns_tensor one[2]; /* x and y: leading dimensions and features */
	ptrdiff_t step[2];        /* elements to the next sample */
	struct gns_walk rows;     /* the leading dimensions, merged */
	size_t t, cols[2];
	struct gns_mat mat[2];    /* sample 0; in the arena where it must be copied */
	bool copied;
	bool with_bias;
	double *column_sums;      /* of one sample's y, with a bias */
};

static int find_rows(struct linear *job)
{
	const struct gns_tensor *x = &job->one[0], *y = &job->one[1];

	job->rows = (struct gns_walk){.ndim = x->ndim - 1, .operands = 2};
	job->t = 1;
	for (unsigned d = 0; d + 1 < x->ndim; d++) {
		if (x->size[d] != y->size[d])
			return -EINVAL;
		job->t *= x->size[d];
		job->rows.size[d] = x->size[d];
		job->rows.stride[0][d] = x->stride[d];
		job->rows.stride[1][d] = y->stride[d];
	}
	gns_walk_start(&job->rows, false);
	return 0;
}

static int set_up(struct linear *job, const struct gns_tensor *x, const struct gns_tensor *y)
{
	const struct gns_tensor *operands[2] = {x, y};

	if (!gns_samples_are_sound(job->samples) || !gns_tensor_is_sound(x) || !gns_tensor_is_sound(y) || x->ndim != y->ndim)
		return -EINVAL;
	for (int s = 0; s < 2; s++) {
		if (gns_split(operands[s], job->samples, 1, &job->one[s], &job->step[s]))
			return -EINVAL;
		job->cols[s] = operands[s]->size[x->ndim - 1];
	}
	if (!gns_shared_fit(job->samples, job->cols[1], job->cols[0]))
		return -EINVAL;
	return job->one[0].ndim == job->one[1].ndim ? find_rows(job) : -EINVAL;
}

/* The matrices of sample 0, or room for copies where the rows have no one stride or the element types do not go together. */
static int lay_out(struct linear *job)
{
	struct gns_arena arena = {.layers = job->layers};
	const bool wide = job->one[0].dtype == GNS_F64 || job->one[1].dtype == GNS_F64;
	const size_t longer = job->cols[0] > job->cols[1] ? job->cols[0] : job->cols[1];

	job->copied = job->rows.ndim > 1 || (job->one[0].dtype == GNS_F64) != (job->one[1].dtype == GNS_F64);
	for (int s = 0; s < 2; s++) {
		const struct gns_tensor *t = &job->one[s];
		const size_t cols = job->cols[s];
		job->mat[s] = (struct gns_mat){.data = t->data, .dtype = t->dtype, .rows = job->t, .cols = cols};
		job->mat[s].row_stride = job->t == 1 ? job->step[s] : job->rows.stride[s][0];
		job->mat[s].col_stride = cols == 1 ? 1 : t->stride[t->ndim - 1];
		if (job->copied) {
			job->mat[s].dtype = wide ? GNS_F64 : GNS_F32;
			job->mat[s].data = gns_arena_take(&arena, job->t * cols, wide ? 8 : 4);
			job->mat[s].row_stride = (ptrdiff_t)cols;
			job->mat[s].col_stride = 1;
		}
	}
	if (job->with_bias)
		job->column_sums = gns_arena_take(&arena, job->cols[1], sizeof *job->column_sums);
	const int rc = gns_arena_check(&arena);
	return rc ? rc : gns_layers_need_cols(job->layers, longer);
}

static void copy_row(const struct linear *job, int s, ptrdiff_t from, size_t row)
{
	const struct gns_tensor *t = &job->one[s];
	const ptrdiff_t stride = t->stride[t->ndim - 1];
	char *to = (char *)job->mat[s].data;
	double block[GNS_RUN_BLOCK];

	for (size_t at = 0, part; at < job->cols[s]; at += part) {
		part = job->cols[s] - at < GNS_RUN_BLOCK ? job->cols[s] - at : GNS_RUN_BLOCK;
		gns_load(job->layers, t, from + (ptrdiff_t)at * stride, stride, part, block);
		for (size_t i = 0; i < part; i++) {
			if (job->mat[s].dtype == GNS_F64)
				((double *)(void *)to)[row * job->cols[s] + at + i] = block[i];
			else
				((float *)(void *)to)[row * job->cols[s] + at + i] = (float)block[i];
		}
	}
}

static void copy_sample(const struct linear *job, size_t sample)
{
	struct gns_walk walk = job->rows;
	const unsigned inner = walk.ndim - 1;
	size_t row = 0;

	do
		for (size_t k = 0; k < walk.size[inner]; k++, row++)
			for (int s = 0; s < 2; s++)
				copy_row(job, s, (ptrdiff_t)sample * job->step[s] + walk.offset[s] +
							 (ptrdiff_t)k * walk.stride[s][inner], row);
	while (gns_walk_next(&walk));
}

static struct gns_mat mat_of(const struct linear *job, int s, size_t sample)
{
	struct gns_mat mat = job->mat[s];

	if (!job->copied)
		mat.data = gns_tensor_at(&job->one[s], (ptrdiff_t)sample * job->step[s]);
	return mat;
}

static int take_sample(struct linear *job, size_t sample, double *value)
{
	struct gns_samples *samples = job->samples;

	if (job->copied)
		copy_sample(job, sample);
	const struct gns_mat mat[2] = {mat_of(job, 0, sample), mat_of(job, 1, sample)};
	if (samples->uses)
		return gns_shared_add_product(samples->uses, job->layers->sketch, &mat[0], &mat[1], sample);
	return gns_sketch_one(job->layers->sketch, &mat[0], &mat[1], samples->probes, samples->seed, samples->stream, sample, value);
}

/* Whether the samples follow each other, rows and all. */
static bool is_regular(const struct linear *job)
{
	for (int s = 0; s < 2; s++)
		if (job->step[s] != (ptrdiff_t)job->t * job->mat[s].row_stride)
			return false;
	return !job->copied && !job->samples->uses;
}

/* All that the call takes, at once: samples of one row, which have no signs, or from sample 0 on. */
static int take_all(struct linear *job, double *sum)
{
	const struct gns_samples *samples = job->samples;
	const size_t n = gns_samples_end(samples) - samples->first;
	struct gns_mat mat[2] = {mat_of(job, 0, samples->first), mat_of(job, 1, samples->first)};

	mat[0].rows = mat[1].rows = job->t * n;
	return gns_sketch_sum(job->layers->sketch, &mat[0], &mat[1], n, samples->probes, samples->seed, samples->stream, sum, NULL);
}

/* |sum of the sample's rows of y|^2, which has contiguous rows of float32 or float64. */
static double bias_norm2(const struct linear *job, size_t sample)
{
	const struct gns_sketch_kernels *kernels = job->layers->kernels;
	const struct gns_mat y = mat_of(job, 1, sample);
	const int type = y.dtype == GNS_F64;

	if (y.rows == 1)
		return kernels->norm2[type](y.data, y.cols);
	memset(job->column_sums, 0, y.cols * sizeof *job->column_sums);
	kernels->add_wide_rows[type](y.data, y.row_stride, y.rows, y.cols, job->column_sums);
	return kernels->norm2[1](job->column_sums, y.cols);
}

/* A sample's bias follows its weight while its y is near. */
static int take_samples(struct linear *job, double *sum, double *bias_sum)
{
	const bool in_place = job->mat[1].col_stride == 1 && !gns_is_half(job->mat[1].dtype), with_bias = job->with_bias && in_place;
	const bool at_once = is_regular(job) && (job->t == 1 || (!with_bias && !job->samples->first));
	int rc = at_once ? take_all(job, sum) : 0;

	for (size_t i = job->samples->first; i < gns_samples_end(job->samples) && !rc && (!at_once || with_bias); i++) {
		double value = 0;
		if (!at_once)
			rc = take_sample(job, i, &value);
		*sum += value;
		if (with_bias)
			*bias_sum += bias_norm2(job, i);
	}
	job->with_bias = with_bias;
	return rc;
}

int gns_layer_linear_bias(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const struct gns_tensor *x,
			  const struct gns_tensor *y)
{
	struct linear job = {.layers = layers, .samples = samples, .with_bias = bias};
	double sum = 0, bias_sum = 0;
	int rc = layers ? set_up(&job, x, y) : -EINVAL;

	if (!rc && !gns_tensor_is_empty(x) && !gns_tensor_is_empty(y)) {
		rc = lay_out(&job);
		if (!rc)
			rc = take_samples(&job, &sum, &bias_sum);
	} else
		job.with_bias = false;
	if (rc)
		return rc;
	if (bias && !job.with_bias)
		rc = gns_layer_reduce(layers, bias, y, NULL, 1, &y->size[y->ndim - 1]);
	else if (bias)
		bias->sum = bias_sum;
	if (!rc && !samples->uses)
		samples->sum = sum;
	return rc;
}

int gns_layer_linear(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y)
{
	return gns_layer_linear_bias(layers, samples, NULL, x, y);
}
