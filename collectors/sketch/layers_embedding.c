/* Embeddings: the rows of y that share an id, added up before they are squared. */
#include <errno.h>
#include <string.h>

#include "layers_private.h"

#define NONE UINT32_MAX

struct embedding {
	struct gns_layers *layers;
	struct gns_samples *samples;
	struct gns_tensor ids, y; /* of sample 0 */
	ptrdiff_t ids_step, y_step;
	int64_t padding_idx;
	size_t t, d, slots;
	ptrdiff_t *at;   /* of each row of y, from its sample's first element */
	int64_t *id;     /* of each row */
	uint32_t *head;  /* slot to the first row of an id, NONE where free */
	uint32_t *next;  /* row to the next of the same id */
	uint32_t *last;  /* first row of an id to its last */
	double *row, *sum;
};

static int set_up(struct embedding *job, const struct gns_tensor *ids, const struct gns_tensor *y)
{
	const bool is_id = ids && (ids->dtype == GNS_I64 || ids->dtype == GNS_I32) && ids->ndim < GNS_TENSOR_DIMS &&
			   (ids->data || gns_tensor_is_empty(ids));

	if (!gns_samples_are_sound(job->samples) || !is_id || !gns_tensor_is_sound(y) || y->ndim != ids->ndim + 1)
		return -EINVAL;
	for (unsigned d = 0; d < ids->ndim; d++)
		if (ids->size[d] != y->size[d])
			return -EINVAL;
	if (gns_split(ids, job->samples, 0, &job->ids, &job->ids_step) || gns_split(y, job->samples, 1, &job->y, &job->y_step))
		return -EINVAL;
	job->d = y->size[ids->ndim];
	job->t = gns_tensor_count(&job->ids);
	if (job->samples->uses && job->samples->uses->rest != job->d)
		return -EINVAL;
	if (!gns_shared_fit(job->samples, job->samples->uses ? job->samples->uses->dim0 : 0, job->d))
		return -EINVAL;
	return job->t < NONE / 4 ? 0 : -ENOMEM;
}

static int take_memory(struct embedding *job)
{
	struct gns_arena arena = {.layers = job->layers};

	for (job->slots = 16; job->slots < 2 * job->t;)
		job->slots *= 2;
	job->at = gns_arena_take(&arena, job->t, sizeof *job->at);
	job->id = gns_arena_take(&arena, job->t, sizeof *job->id);
	job->head = gns_arena_take(&arena, job->slots, sizeof *job->head);
	job->next = gns_arena_take(&arena, job->t, sizeof *job->next);
	job->last = gns_arena_take(&arena, job->t, sizeof *job->last);
	job->row = gns_arena_take(&arena, job->d, sizeof(double));
	job->sum = gns_arena_take(&arena, job->d, sizeof(double));
	return gns_arena_check(&arena);
}

static int64_t read_id(const struct gns_tensor *ids, ptrdiff_t offset)
{
	int64_t wide;
	int32_t narrow;

	if (ids->dtype == GNS_I64)
		return memcpy(&wide, gns_tensor_at(ids, offset), sizeof wide), wide;
	return memcpy(&narrow, gns_tensor_at(ids, offset), sizeof narrow), narrow;
}

/* Ids and places of the sample's rows, those of padding left out; returns how many. */
static size_t read_rows(struct embedding *job, size_t sample)
{
	struct gns_walk walk = {.ndim = job->ids.ndim, .operands = 2};
	size_t rows = 0;

	memcpy(walk.size, job->ids.size, sizeof job->ids.size);
	memcpy(walk.stride[0], job->y.stride, sizeof job->y.stride);
	memcpy(walk.stride[1], job->ids.stride, sizeof job->ids.stride);
	gns_walk_start(&walk, false);
	const unsigned inner = walk.ndim - 1;
	do
		for (size_t k = 0; k < walk.size[inner]; k++) {
			const ptrdiff_t i = (ptrdiff_t)k;
			const int64_t id = read_id(&job->ids, (ptrdiff_t)sample * job->ids_step + walk.offset[1] +
								      i * walk.stride[1][inner]);
			if (job->padding_idx >= 0 && id == job->padding_idx)
				continue;
			job->id[rows] = id;
			job->at[rows++] = (ptrdiff_t)sample * job->y_step + walk.offset[0] + i * walk.stride[0][inner];
		}
	while (gns_walk_next(&walk));
	return rows;
}

/* Rows of one id become a list that begins at its first row; firsts keep their order. */
static void chain(struct embedding *job, size_t rows)
{
	memset(job->head, 0xff, job->slots * sizeof *job->head);
	for (uint32_t r = 0; r < rows; r++) {
		size_t slot = (size_t)(((uint64_t)job->id[r] * 0x9e3779b97f4a7c15ull) >> 32) & (job->slots - 1);
		while (job->head[slot] != NONE && job->id[job->head[slot]] != job->id[r])
			slot = (slot + 1) & (job->slots - 1);
		job->next[r] = NONE;
		if (job->head[slot] == NONE) {
			job->head[slot] = r;
			job->last[r] = r;
			continue;
		}
		const uint32_t first = job->head[slot];
		job->next[job->last[first]] = r;
		job->last[first] = r;
		job->last[r] = NONE; /* no first row */
	}
}

static void load_row(const struct embedding *job, size_t row, double *to)
{
	gns_load(job->layers, &job->y, job->at[row], job->y.stride[job->y.ndim - 1], job->d, to);
}

/* The sum of the rows of one id, in job->sum. */
static void sum_rows(struct embedding *job, uint32_t first)
{
	load_row(job, first, job->sum);
	for (uint32_t r = job->next[first]; r != NONE; r = job->next[r]) {
		load_row(job, r, job->row);
		job->layers->kernels->add(job->sum, job->row, job->d);
	}
}

static double take_sample(struct embedding *job, size_t rows)
{
	const struct gns_sketch_kernels *kernels = job->layers->kernels;
	const bool contiguous = job->y.stride[job->y.ndim - 1] == 1;
	double total = 0;

	chain(job, rows);
	for (uint32_t r = 0; r < rows; r++) {
		if (job->last[r] == NONE)
			continue;
		if (contiguous && job->next[r] == NONE) {
			total += gns_run_norm2(kernels, job->y.dtype, gns_tensor_at(&job->y, job->at[r]), job->d);
			continue;
		}
		sum_rows(job, r);
		total += kernels->norm2[1](job->sum, job->d);
	}
	return total;
}

static int add_sample(struct embedding *job, size_t sample, size_t rows)
{
	struct gns_shared *uses = job->samples->uses;

	for (size_t r = 0; r < rows; r++)
		if (job->id[r] < 0 || (uint64_t)job->id[r] >= uses->dim0)
			return -EINVAL;
	if (!uses->has_v[sample]) {
		memset(job->sum, 0, job->d * sizeof(double));
		for (size_t r = 0; r < rows; r++) {
			load_row(job, r, job->row);
			job->layers->kernels->add(job->sum, job->row, job->d);
		}
		gns_shared_direct(uses, sample, job->sum);
	}
	for (size_t r = 0; r < rows; r++) {
		load_row(job, r, job->row);
		gns_shared_add_row(uses, sample, (size_t)job->id[r], job->row);
	}
	return 0;
}

int gns_layer_embedding(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *ids,
			const struct gns_tensor *y, int64_t padding_idx)
{
	struct embedding job = {.layers = layers, .samples = samples, .padding_idx = padding_idx};
	double sum = 0;
	int rc = layers ? set_up(&job, ids, y) : -EINVAL;

	if (!rc && job.t && job.d) {
		rc = take_memory(&job);
		for (size_t i = samples->first; i < gns_samples_end(samples) && !rc; i++) {
			const size_t rows = read_rows(&job, i);
			if (samples->uses)
				rc = add_sample(&job, i, rows);
			else
				sum += take_sample(&job, rows);
		}
	}
	if (!rc && !samples->uses)
		samples->sum = sum;
	return rc;
}
