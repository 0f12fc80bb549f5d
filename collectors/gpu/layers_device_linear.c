/* Linear layers and embeddings in device memory: every sample's rows found in place; rows that have no one stride, and element types
 * that do not go together, are copied to the scratch first. */
#include "layers_device_private.h"

#include <errno.h>
#include <string.h>

struct side {
	struct gns_tensor one; /* sample 0: leading dimensions, and features where it has them */
	ptrdiff_t step;        /* elements to the next sample */
	size_t cols;
	unsigned features; /* 1, or 0: of ids */
	uint32_t dtype;    /* what the kernels read */
};

struct rows {
	struct side side[2]; /* x and y, or ids and y */
	struct gns_walk walk; /* the leading dimensions, merged */
	size_t t;
	bool copied;
	uint64_t seed, stream;
	int64_t padding_idx;
	bool is_embedding;
	const struct gns_device_uses *uses;
};

static int split_side(struct side *side, const struct gns_samples *samples, const struct gns_tensor *t, unsigned features)
{
	side->features = features;
	side->dtype = t->dtype;
	side->cols = features ? t->size[t->ndim - 1] : 1;
	return gns_split(t, samples, features, &side->one, &side->step);
}

static int walk_rows(struct rows *job)
{
	const struct gns_tensor *a = &job->side[0].one, *b = &job->side[1].one;
	const unsigned lead = b->ndim - job->side[1].features;

	if (a->ndim - job->side[0].features != lead)
		return -EINVAL;
	job->walk = (struct gns_walk){.ndim = lead, .operands = 2};
	job->t = 1;
	for (unsigned d = 0; d < lead; d++) {
		if (a->size[d] != b->size[d])
			return -EINVAL;
		job->t *= a->size[d];
		job->walk.size[d] = a->size[d];
		job->walk.stride[0][d] = a->stride[d];
		job->walk.stride[1][d] = b->stride[d];
	}
	gns_walk_start(&job->walk, job->is_embedding);
	job->copied |= job->walk.ndim > 1;
	return 0;
}

static struct gns_cu_operand operand_in_place(const struct rows *job, int k, size_t first, size_t n)
{
	const struct side *side = &job->side[k];
	const struct gns_tensor *one = &side->one;

	return (struct gns_cu_operand){
		.data = gns_tensor_at(one, (ptrdiff_t)first * side->step), .dtype = one->dtype, .samples = n, .rows = job->t,
		.cols = side->cols, .sample_step = side->step, .row_stride = job->t == 1 ? side->step : job->walk.stride[k][0],
		.col_stride = side->cols == 1 ? 1 : one->stride[one->ndim - 1],
	};
}

/* (samples, rows..., features), as gns_copy takes it. -ENOTSUP: too many dimensions. */
static int tensor_to_copy(const struct rows *job, int k, size_t first, size_t n, struct gns_tensor *t)
{
	const struct side *side = &job->side[k];
	const struct gns_tensor *one = &side->one;

	if (job->walk.ndim + 1 + side->features > GNS_TENSOR_DIMS)
		return -ENOTSUP;
	*t = (struct gns_tensor){.data = gns_tensor_at(one, (ptrdiff_t)first * side->step), .dtype = one->dtype,
				 .ndim = job->walk.ndim + 1 + side->features};
	t->size[0] = n;
	t->stride[0] = side->step;
	for (unsigned d = 0; d < job->walk.ndim; d++) {
		t->size[1 + d] = job->walk.size[d];
		t->stride[1 + d] = job->walk.stride[k][d];
	}
	if (side->features) {
		t->size[t->ndim - 1] = side->cols;
		t->stride[t->ndim - 1] = one->stride[one->ndim - 1];
	}
	return 0;
}

static int plan_operands(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct rows *job, size_t first,
			 const struct gns_cu_operand m[2])
{
	const struct gns_device_uses *uses = job->uses;

	if (uses && job->is_embedding)
		return gns_cu_plan_embedding_use(plan, ground, &m[0], &m[1], job->padding_idx, uses->seed, uses->of, first, uses->acc);
	if (uses)
		return gns_cu_plan_linear_use(plan, ground, &m[0], &m[1], uses->seed, uses->of, first, uses->acc);
	if (job->is_embedding)
		return gns_cu_plan_embedding(plan, ground, &m[0], &m[1], job->padding_idx);
	return gns_cu_plan_linear(plan, ground, &m[0], &m[1], job->seed, job->stream, first);
}

static int plan_copied(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct rows *job, size_t first, size_t n)
{
	struct gns_cu_plan copies = {0}, one;
	struct gns_cu_operand m[2];
	size_t bytes = 0;
	int rc = 0;

	for (int k = 0; k < 2 && !rc; k++) {
		const struct side *side = &job->side[k];
		struct gns_tensor t;
		const struct gns_cu_ground to = gns_device_behind(ground, bytes);
		rc = tensor_to_copy(job, k, first, n, &t);
		if (!rc)
			rc = gns_cu_plan_copy(&one, &to, &t, to.scratch, side->dtype);
		if (!rc)
			rc = gns_device_join(&one, &copies, 0);
		copies = one;
		m[k] = (struct gns_cu_operand){.data = to.scratch ? to.scratch : side->one.data, .dtype = side->dtype, .samples = n,
					       .rows = job->t, .cols = side->cols, .row_stride = (ptrdiff_t)side->cols, .col_stride = 1};
		m[k].sample_step = (ptrdiff_t)(job->t * side->cols);
		bytes += gns_device_round(n * job->t * side->cols * gns_item_size(side->dtype));
	}
	if (rc)
		return rc;
	const struct gns_cu_ground behind = gns_device_behind(ground, bytes);
	rc = plan_operands(plan, &behind, job, first, m);
	return rc ? rc : gns_device_join(plan, &copies, bytes);
}

static int plan_rows(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *job, size_t first, size_t n)
{
	const struct rows *rows = job;
	const struct gns_cu_operand m[2] = {operand_in_place(rows, 0, first, n), operand_in_place(rows, 1, first, n)};

	return rows->copied ? plan_copied(plan, ground, rows, first, n) : plan_operands(plan, ground, rows, first, m);
}

int gns_device_linear(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *x,
		      const struct gns_tensor *y)
{
	struct rows job = {.seed = samples->seed, .stream = samples->stream, .uses = to->uses};

	if (!gns_tensor_is_sound(x) || !gns_tensor_is_sound(y) || x->ndim != y->ndim || split_side(&job.side[0], samples, x, 1) ||
	    split_side(&job.side[1], samples, y, 1))
		return -EINVAL;
	if (!gns_device_uses_fit(to, samples->n, job.side[1].cols, job.side[0].cols))
		return -EINVAL;
	if (to->uses && to->uses->rest == 1)
		return -ENOTSUP;
	if ((x->dtype == GNS_F64) != (y->dtype == GNS_F64)) {
		job.copied = true;
		job.side[0].dtype = job.side[1].dtype = GNS_F64;
	}
	const int rc = walk_rows(&job);
	return rc ? rc : gns_device_run(to, samples->n, plan_rows, &job, SIZE_MAX);
}

int gns_device_embedding(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *ids,
			 const struct gns_tensor *y, int64_t padding_idx)
{
	struct rows job = {.padding_idx = padding_idx, .is_embedding = true, .uses = to->uses};
	const bool is_id = ids && (ids->dtype == GNS_I64 || ids->dtype == GNS_I32) && (ids->data || gns_tensor_is_empty(ids));

	if (!is_id || !gns_tensor_is_sound(y) || y->ndim != ids->ndim + 1 || split_side(&job.side[0], samples, ids, 0) ||
	    split_side(&job.side[1], samples, y, 1))
		return -EINVAL;
	if (!gns_device_uses_fit(to, samples->n, to->uses ? to->uses->dim0 : 0, job.side[1].cols))
		return -EINVAL;
	if (to->uses && to->uses->rest == 1)
		return -ENOTSUP;
	const int rc = walk_rows(&job);
	return rc ? rc : gns_device_run(to, samples->n, plan_rows, &job, SIZE_MAX);
}
