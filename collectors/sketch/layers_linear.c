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
	if (!gns_uses_fit(job->samples, job->cols[1], job->cols[0]))
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

static int take_sample(struct linear *job, size_t sample, double *value)
{
	struct gns_samples *samples = job->samples;
	struct gns_mat mat[2] = {job->mat[0], job->mat[1]};

	if (job->copied)
		copy_sample(job, sample);
	for (int s = 0; s < 2 && !job->copied; s++)
		mat[s].data = gns_tensor_at(&job->one[s], (ptrdiff_t)sample * job->step[s]);
	if (samples->uses)
		return gns_uses_add_product(samples->uses, job->layers->sketch, &mat[0], &mat[1], sample);
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

int gns_layer_linear(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y)
{
	struct linear job = {.layers = layers, .samples = samples};
	double sum = 0;
	int rc = layers ? set_up(&job, x, y) : -EINVAL;

	if (rc)
		return rc;
	if (!gns_tensor_is_empty(x) && !gns_tensor_is_empty(y)) {
		rc = lay_out(&job);
		if (!rc && is_regular(&job)) {
			struct gns_mat mat[2] = {job.mat[0], job.mat[1]};
			mat[0].rows = mat[1].rows = job.t * samples->n;
			rc = gns_sketch_sum(layers->sketch, &mat[0], &mat[1], samples->n, samples->probes, samples->seed,
					    samples->stream, &sum, NULL);
		} else
			for (size_t i = 0; i < samples->n && !rc; i++) {
				double value = 0;
				rc = take_sample(&job, i, &value);
				sum += value;
			}
	}
	if (!rc && !samples->uses)
		samples->sum = sum;
	return rc;
}
