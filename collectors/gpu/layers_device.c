/* Measurements on device memory: slices of samples that fit the scratch; norms, single values, copies, prints. */
#include "layers_device_private.h"

#include <errno.h>
#include <string.h>

struct gns_cu_ground gns_device_ground(const struct gns_device_target *to)
{
	return (struct gns_cu_ground){
		.out = gns_set_out(to->set, to->slot),
		.sms = gns_device_sms(gns_set_device(to->set)),
		.add = to->add,
		.gate = gns_set_gate(to->set, to->stream),
	};
}

int gns_layer_launch(const struct gns_device_target *to, const struct gns_cu_plan *plan)
{
	return plan->launches ? gns_set_launch(to->set, to->stream, plan) : 0;
}

/* Fewer samples after a plan for n was too large: by the scratch that it would have needed, or half. */
static size_t fewer(size_t n, size_t bytes, size_t size)
{
	const double share = bytes ? (double)size / (double)bytes : 0.5;
	const size_t less = (size_t)((double)n * (share < 0.9 ? share : 0.9));

	return less ? less : 1;
}

/* Plans the largest slice from `first` on that fits; *n is set. */
static int plan_slice(struct gns_cu_plan *plan, struct gns_cu_ground *ground, gns_device_planner *planner, const void *job, size_t first,
		      size_t *n, size_t size)
{
	for (;;) {
		struct gns_cu_ground asked = *ground;
		asked.scratch = NULL;
		int rc = planner(plan, &asked, job, first, *n);
		if (rc && rc != -ERANGE)
			return rc;
		if (!rc && plan->scratch_bytes <= size)
			return planner(plan, ground, job, first, *n);
		if (*n <= 1)
			return -ENOMEM;
		*n = fewer(*n, rc ? 0 : plan->scratch_bytes, size);
	}
}

int gns_device_run(const struct gns_device_target *to, size_t samples, gns_device_planner *planner, const void *job, size_t want)
{
	struct gns_cu_ground ground = gns_device_ground(to);
	struct gns_cu_plan plan;
	size_t size = 0, first = 0, n = samples;

	ground.scratch = gns_set_scratch(to->set, to->stream, &size);
	if (!ground.scratch)
		return -ENOMEM;
	do {
		n = n < samples - first ? n : samples - first;
		int rc = plan_slice(&plan, &ground, planner, job, first, &n, size < want ? size : want);
		if (rc == -ENOMEM && want < size)
			rc = plan_slice(&plan, &ground, planner, job, first, &n, size);
		if (!rc)
			rc = gns_layer_launch(to, &plan);
		if (rc)
			return rc;
		ground.add = true;
		first += n;
	} while (first < samples);
	return 0;
}

size_t gns_device_round(size_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

struct gns_cu_ground gns_device_behind(const struct gns_cu_ground *ground, size_t bytes)
{
	struct gns_cu_ground behind = *ground;

	if (behind.scratch)
		behind.scratch = (char *)behind.scratch + gns_device_round(bytes);
	return behind;
}

int gns_device_join(struct gns_cu_plan *plan, const struct gns_cu_plan *first, size_t bytes)
{
	if (plan->launches + first->launches > GNS_CU_LAUNCHES)
		return -ERANGE;
	memmove(plan->launch + first->launches, plan->launch, plan->launches * sizeof *plan->launch);
	memcpy(plan->launch, first->launch, first->launches * sizeof *plan->launch);
	plan->launches += first->launches;
	plan->scratch_bytes += gns_device_round(bytes);
	return 0;
}

/* ---- norms ---- */

struct norm {
	uint32_t dtype;
	const char *data[2];
	const struct gns_walk *walk;
	double scale;
};

static struct gns_cu_operand norm_operand(const struct norm *job, int k)
{
	const struct gns_walk *walk = job->walk;
	struct gns_cu_operand m = {.data = job->data[k] + walk->offset[k] * (ptrdiff_t)gns_item_size(job->dtype), .dtype = job->dtype};
	size_t *size[3] = {&m.samples, &m.rows, &m.cols};
	ptrdiff_t *stride[3] = {&m.sample_step, &m.row_stride, &m.col_stride};

	for (unsigned back = 0; back < 3; back++) {
		*size[2 - back] = back < walk->ndim ? walk->size[walk->ndim - 1 - back] : 1;
		*stride[2 - back] = back < walk->ndim ? walk->stride[k][walk->ndim - 1 - back] : 0;
	}
	return m;
}

static int plan_norm(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *job, size_t first, size_t n)
{
	const struct norm *norm = job;
	const struct gns_cu_operand m = norm_operand(norm, 0), before = norm_operand(norm, 1);

	(void)first, (void)n;
	return gns_cu_plan_norm2(plan, ground, &m, norm->data[1] ? &before : NULL, norm->scale);
}

#define NORM_PARTS 4096 /* of a tensor whose dimensions do not merge: more would be a launch for every few elements */

static int norm_of_parts(const struct gns_device_target *to, struct norm *job, struct gns_walk *walk)
{
	struct gns_device_target part = *to;
	size_t parts = 1;

	for (unsigned d = 0; d + 3 < walk->ndim; d++)
		parts *= walk->size[d];
	if (parts > NORM_PARTS)
		return -ENOTSUP;
	job->walk = walk;
	do {
		const int rc = gns_device_run(&part, 1, plan_norm, job, SIZE_MAX);
		if (rc)
			return rc;
		part.add = true;
	} while (gns_walk_next_piece(walk, 3));
	return 0;
}

static int norm_of_nothing(const struct gns_device_target *to)
{
	struct gns_cu_plan plan;
	const struct gns_cu_ground ground = gns_device_ground(to);
	const struct gns_cu_operand none = {.dtype = GNS_F32};
	const int rc = gns_cu_plan_norm2(&plan, &ground, &none, NULL, 0);

	return rc ? rc : gns_layer_launch(to, &plan);
}

static bool can_walk_together(const struct gns_tensor *a, const struct gns_tensor *b)
{
	return a->dtype == b->dtype && a->ndim == b->ndim && !memcmp(a->size, b->size, a->ndim * sizeof *a->size);
}

int gns_device_diff_norm2(const struct gns_device_target *to, const struct gns_tensor *t, const struct gns_tensor *before, double scale)
{
	struct norm job = {.scale = scale};
	struct gns_walk walk = {.operands = before ? 2 : 1};

	if (!gns_tensor_is_sound(t) || (before && (!gns_tensor_is_sound(before) || !can_walk_together(t, before))))
		return -EINVAL;
	if (gns_tensor_is_empty(t))
		return norm_of_nothing(to);
	job.dtype = t->dtype;
	job.data[0] = t->data;
	job.data[1] = before ? before->data : NULL;
	walk.ndim = t->ndim;
	memcpy(walk.size, t->size, t->ndim * sizeof *t->size);
	memcpy(walk.stride[0], t->stride, t->ndim * sizeof *t->stride);
	if (before)
		memcpy(walk.stride[1], before->stride, t->ndim * sizeof *t->stride);
	gns_walk_start(&walk, false);
	return norm_of_parts(to, &job, &walk);
}

int gns_device_norm2(const struct gns_device_target *to, const struct gns_tensor *t)
{
	return gns_device_diff_norm2(to, t, NULL, 0);
}

/* ---- single values, copies, prints ---- */

int gns_device_value(const struct gns_device_target *to, const struct gns_tensor *t)
{
	const struct gns_cu_ground ground = gns_device_ground(to);
	struct gns_cu_plan plan;

	if (!gns_tensor_is_sound(t) || gns_tensor_is_empty(t))
		return -EINVAL;
	const int rc = gns_cu_plan_value(&plan, &ground, t->data, t->dtype);
	return rc ? rc : gns_layer_launch(to, &plan);
}

int gns_device_copy(struct gns_set *set, void *stream, const struct gns_tensor *t, void *out)
{
	const struct gns_device_target to = {.set = set, .stream = stream};
	const struct gns_cu_ground ground = {.sms = gns_device_sms(gns_set_device(set)), .gate = gns_set_gate(set, stream)};
	struct gns_cu_plan plan;

	if (!t || !out)
		return -EINVAL;
	const int rc = gns_cu_plan_copy(&plan, &ground, t, out, t->dtype);
	return rc ? rc : gns_layer_launch(&to, &plan);
}

int gns_device_print(struct gns_set *set, void *stream, uint32_t slot, const void *data, uint32_t dtype, size_t slow_n, size_t fast_n,
		     ptrdiff_t ld, bool elements)
{
	const struct gns_device_target to = {.set = set, .stream = stream};
	const struct gns_cu_ground ground = {.gate = gns_set_gate(set, stream)};
	uint64_t *hash = (uint64_t *)(void *)gns_set_out(set, slot);
	struct gns_cu_plan plan;
	const int rc = gns_cu_plan_print(&plan, &ground, data, dtype, slow_n, fast_n, ld, hash, elements ? hash + 2 : NULL);

	return rc ? rc : gns_layer_launch(&to, &plan);
}
