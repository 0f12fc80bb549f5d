/* Biases, scales and gains in device memory: what is summed over what is told by collectors/sketch. */
#include "layers_device_private.h"

#include <errno.h>
#include <string.h>

struct sums {
	struct gns_layer_reduction reduction;
	struct gns_cu_reduction of; /* all samples */
	size_t own[3]; /* what a step of a kept dimension is in the parameter's order */
	const struct gns_device_uses *uses;
};

static struct gns_cu_side *side_of(struct gns_cu_reduction *of, int what)
{
	return what == GNS_OF_X ? &of->x : what == GNS_OF_Y ? &of->y : what == GNS_OF_MEAN ? &of->mean : &of->rstd;
}

static void add_dim(struct sums *job, const struct gns_walk *walk, unsigned d, bool kept, unsigned at)
{
	(kept ? job->of.kept : job->of.reduced)[at] = walk->size[d];
	if (kept)
		job->own[at] = (size_t)walk->stride[GNS_OF_A][d];
	for (int what = 0; what < GNS_OF_A; what++) {
		struct gns_cu_side *side = side_of(&job->of, what);
		if (job->reduction.tensor[what])
			(kept ? side->kept : side->reduced)[at] = walk->stride[what][d];
	}
}

/* The merged dimensions, dealt to what is kept and what is summed over. */
static int lay_out(struct sums *job)
{
	struct gns_walk *walk = &job->reduction.walk;
	unsigned kept = 3, reduced = 3;

	gns_walk_start(walk, false);
	for (int k = 0; k < 3; k++)
		job->of.kept[k] = job->of.reduced[k] = job->own[k] = 1;
	for (unsigned d = walk->ndim; d-- > 0;) {
		const bool is_kept = walk->stride[GNS_OF_A][d] != 0;
		if (walk->size[d] == 1)
			continue;
		unsigned *left = is_kept ? &kept : &reduced;
		if (*left == 0)
			return -ENOTSUP;
		add_dim(job, walk, d, is_kept, --*left);
	}
	for (int what = 0; what < GNS_OF_A; what++) {
		struct gns_cu_side *side = side_of(&job->of, what);
		const struct gns_tensor *t = job->reduction.tensor[what];
		if (t)
			side->data = t->data, side->dtype = t->dtype, side->sample_step = job->reduction.step[what];
	}
	return 0;
}

static void advance(struct gns_cu_side *side, size_t first)
{
	const struct gns_tensor t = {.data = side->data, .dtype = side->dtype};

	if (side->data)
		side->data = gns_tensor_at(&t, (ptrdiff_t)first * side->sample_step);
}

static int plan_sums(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *job, size_t first, size_t n)
{
	const struct sums *sums = job;
	const struct gns_device_uses *uses = sums->uses;
	struct gns_cu_reduction of = sums->of;

	of.samples = n;
	for (int what = 0; what < GNS_OF_A; what++)
		advance(side_of(&of, what), first);
	if (uses)
		return gns_cu_plan_reduce_use(plan, ground, &of, sums->own, uses->dim0, uses->rest, uses->seed, uses->of, first, uses->acc);
	return gns_cu_plan_reduce(plan, ground, &of);
}

static int run(const struct gns_device_target *to, size_t n, struct sums *job)
{
	int rc = 0;

	if (to->uses && (to->uses->dim0 * to->uses->rest != job->reduction.count || to->uses->n != n))
		return -EINVAL;
	job->uses = to->uses;
	if (job->reduction.empty)
		job->of = (struct gns_cu_reduction){.samples = n};
	else
		rc = lay_out(job);
	return rc ? rc : gns_device_run(to, n, plan_sums, job, SIZE_MAX);
}

int gns_device_reduce(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *g,
		      const struct gns_tensor *other, unsigned dims, const size_t *shape)
{
	struct gns_samples own = *samples;
	struct sums job = {.reduction = {.samples = &own}};

	own.uses = NULL;
	const int rc = gns_layer_reduction_sum(&job.reduction, g, other, dims, shape);
	return rc ? rc : run(to, own.n, &job);
}

int gns_device_gain(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *x,
		    const struct gns_tensor *mean, const struct gns_tensor *rstd, const struct gns_tensor *y, enum gns_gain kind,
		    size_t groups)
{
	struct gns_samples own = *samples;
	struct sums job = {.reduction = {.samples = &own}};

	own.uses = NULL;
	const int rc = gns_layer_reduction_gain(&job.reduction, x, mean, rstd, y, kind, groups);
	return rc ? rc : run(to, own.n, &job);
}
