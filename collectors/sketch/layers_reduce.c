/* Parameters that are added or multiplied element by element, and the gains of normalisations: every sample's gradient written
 * out in float64 and squared. */
#include <errno.h>
#include <string.h>

#include "layers_private.h"

enum { X = GNS_OF_X, Y = GNS_OF_Y, MEAN = GNS_OF_MEAN, RSTD = GNS_OF_RSTD, A = GNS_OF_A };

static void load(const struct gns_layer_reduction *job, size_t sample, const struct gns_walk *walk, int what, size_t at, size_t n, double *to)
{
	const ptrdiff_t stride = walk->stride[what][walk->ndim - 1];

	gns_load(job->layers, job->tensor[what],
		 (ptrdiff_t)sample * job->step[what] + walk->offset[what] + (ptrdiff_t)at * stride, stride, n, to);
}

/* y and what it is to be multiplied with, NULL where that is 1. */
static const double *load_factor(const struct gns_layer_reduction *job, size_t sample, const struct gns_walk *walk, size_t at, size_t n,
				 double *factor)
{
	double other[GNS_RUN_BLOCK];

	if (!job->tensor[X])
		return NULL;
	load(job, sample, walk, X, at, n, factor);
	if (job->tensor[MEAN]) {
		load(job, sample, walk, MEAN, at, n, other);
		for (size_t i = 0; i < n; i++)
			factor[i] -= other[i];
	}
	if (job->tensor[RSTD]) {
		load(job, sample, walk, RSTD, at, n, other);
		for (size_t i = 0; i < n; i++)
			factor[i] *= other[i];
	}
	return factor;
}

/* Whether what a run needs lies side by side in one element type, and its statistics are one number each. */
static bool is_plain(const struct gns_layer_reduction *job, const struct gns_walk *walk)
{
	const unsigned inner = walk->ndim - 1;
	const struct gns_tensor *x = job->tensor[X], *y = job->tensor[Y];
	const ptrdiff_t a = walk->stride[A][inner];

	return walk->stride[Y][inner] == 1 && !gns_is_half(y->dtype) && (a == 0 || a == 1) &&
	       (!x || (x->dtype == y->dtype && walk->stride[X][inner] == 1)) && walk->stride[MEAN][inner] == 0 &&
	       walk->stride[RSTD][inner] == 0;
}

static double statistic(const struct gns_layer_reduction *job, size_t sample, const struct gns_walk *walk, int what, double absent)
{
	if (job->tensor[what])
		gns_load(job->layers, job->tensor[what], (ptrdiff_t)sample * job->step[what] + walk->offset[what], 1, 1, &absent);
	return absent;
}

/* Whether the two inner dimensions are rows that add up to one run of the parameter. */
static bool is_sum_of_rows(const struct gns_layer_reduction *job, const struct gns_walk *walk)
{
	const unsigned inner = walk->ndim - 1;

	return !job->tensor[X] && inner > 0 && walk->stride[A][inner] == 1 && walk->stride[A][inner - 1] == 0;
}

/* `rows`: of the second inner dimension, or 1. */
static void add_plain(const struct gns_layer_reduction *job, size_t sample, const struct gns_walk *walk, size_t rows)
{
	const struct gns_sketch_kernels *kernels = job->layers->kernels;
	const unsigned inner = walk->ndim - 1, outer = inner ? inner - 1 : 0;
	const int type = job->tensor[Y]->dtype == GNS_F64;
	const size_t n = walk->size[inner];
	const void *y = gns_tensor_at(job->tensor[Y], (ptrdiff_t)sample * job->step[Y] + walk->offset[Y]);
	double *a = job->a + walk->offset[A];

	if (!job->tensor[X]) {
		if (walk->stride[A][inner])
			kernels->add_wide_rows[type](y, walk->stride[Y][outer], rows, n, a);
		else
			*a += kernels->sum_run[type](y, n);
		return;
	}
	const void *x = gns_tensor_at(job->tensor[X], (ptrdiff_t)sample * job->step[X] + walk->offset[X]);
	const double mean = statistic(job, sample, walk, MEAN, 0), rstd = statistic(job, sample, walk, RSTD, 1);
	if (walk->stride[A][inner])
		kernels->add_gain[type](x, y, mean, rstd, n, a);
	else
		*a += rstd * kernels->sum_gain[type](x, y, mean, n);
}

static void add_run(const struct gns_layer_reduction *job, size_t sample, const struct gns_walk *walk)
{
	const struct gns_sketch_kernels *kernels = job->layers->kernels;
	const unsigned inner = walk->ndim - 1;
	const ptrdiff_t stride = walk->stride[A][inner];
	double y[GNS_RUN_BLOCK], room[GNS_RUN_BLOCK];

	for (size_t at = 0, n; at < walk->size[inner]; at += n) {
		double *a = job->a + walk->offset[A] + (ptrdiff_t)at * stride;
		n = walk->size[inner] - at < GNS_RUN_BLOCK ? walk->size[inner] - at : GNS_RUN_BLOCK;
		load(job, sample, walk, Y, at, n, y);
		const double *factor = load_factor(job, sample, walk, at, n, room);
		if (stride == 0)
			*a += factor ? kernels->dot[1](y, factor, n) : kernels->total(y, n);
		else if (stride == 1 && factor)
			kernels->add_product(a, y, factor, n);
		else if (stride == 1)
			kernels->add(a, y, n);
		else
			for (size_t i = 0; i < n; i++)
				a[(ptrdiff_t)i * stride] += y[i] * (factor ? factor[i] : 1);
	}
}

void gns_layer_reduction_start(struct gns_layer_reduction *job)
{
	gns_walk_start(&job->walk, false);
	job->plain = is_plain(job, &job->walk);
	job->by_rows = job->plain && is_sum_of_rows(job, &job->walk);
}

double gns_layer_reduction_norm2(const struct gns_layer_reduction *job, size_t sample)
{
	const size_t rows = job->by_rows ? job->walk.size[job->walk.ndim - 2] : 1;
	struct gns_walk walk = job->walk;

	memset(job->a, 0, job->count * sizeof *job->a);
	do {
		if (job->plain)
			add_plain(job, sample, &walk, rows);
		else
			add_run(job, sample, &walk);
	} while (gns_walk_next_piece(&walk, job->by_rows ? 2 : 1));
	if (!job->samples->uses)
		return job->layers->kernels->norm2[1](job->a, job->count);
	gns_shared_add(job->samples->uses, sample, job->a);
	return 0;
}

/* Of one or two parameters, a sample of both at a time. */
static int reduce(struct gns_layer_reduction *job, unsigned jobs)
{
	struct gns_arena arena = {.layers = job->layers};
	const size_t first = job->samples->first, end = job->empty ? first : gns_samples_end(job->samples);
	double sum[2] = {0};

	for (unsigned k = 0; k < jobs; k++)
		job[k].a = gns_arena_take(&arena, job[k].count, sizeof(double));
	const int rc = gns_arena_check(&arena);
	if (rc)
		return rc;
	for (unsigned k = 0; k < jobs; k++)
		gns_layer_reduction_start(&job[k]);
	for (size_t i = first; i < end; i++)
		for (unsigned k = 0; k < jobs; k++)
			sum[k] += gns_layer_reduction_norm2(&job[k], i);
	for (unsigned k = 0; k < jobs; k++)
		if (!job[k].samples->uses)
			job[k].samples->sum = sum[k];
	return 0;
}

static bool uses_have_count(const struct gns_samples *samples, size_t count)
{
	const struct gns_shared *uses = samples->uses;

	return !uses || (uses->n == samples->n && uses->dim0 * uses->rest == count);
}

static void set_walk(struct gns_layer_reduction *job, int what, unsigned dims, const size_t *size, const ptrdiff_t *stride)
{
	job->walk.ndim = dims;
	job->walk.operands = 5;
	if (size)
		memcpy(job->walk.size, size, dims * sizeof *size);
	memcpy(job->walk.stride[what], stride, dims * sizeof *stride);
}

/* Strides of a parameter's elements in their own order, for the dimensions that it shares with `one`: 0 for the others. */
static int align_shape(struct gns_layer_reduction *job, const struct gns_tensor *one, unsigned dims, const size_t *shape)
{
	ptrdiff_t stride[GNS_TENSOR_DIMS] = {0};

	job->count = 1;
	for (unsigned k = 0; k < dims; k++) {
		const size_t size = shape[dims - 1 - k];
		if (k >= one->ndim && size != 1)
			return -EINVAL;
		if (k >= one->ndim || size == 1)
			continue;
		if (size != one->size[one->ndim - 1 - k])
			return -EINVAL;
		stride[one->ndim - 1 - k] = (ptrdiff_t)job->count;
		job->count *= size;
	}
	set_walk(job, A, one->ndim, one->size, stride);
	return 0;
}

/* `other` with the sizes of g: its dimensions aligned to the right, the missing ones and those of size 1 repeated. */
static int broadcast(const struct gns_tensor *other, const struct gns_tensor *g, struct gns_tensor *out)
{
	*out = *other;
	out->ndim = g->ndim;
	if (other->ndim > g->ndim)
		return -EINVAL;
	for (unsigned d = 0; d < g->ndim; d++) {
		const unsigned missing = g->ndim - other->ndim;
		const size_t size = d < missing ? 1 : other->size[d - missing];
		if (size != 1 && size != g->size[d])
			return -EINVAL;
		out->size[d] = g->size[d];
		out->stride[d] = size == 1 ? 0 : other->stride[d - missing];
	}
	return 0;
}

/* A parameter with g's number of dimensions has a 1 where the samples are: that goes, as it does from g. */
static int drop_samples(const struct gns_samples *samples, const struct gns_tensor *g, const struct gns_tensor *one, unsigned *dims,
			size_t shape[GNS_TENSOR_DIMS])
{
	const unsigned axis = samples->axis && g->ndim >= 3 ? 1 : 0;

	if (*dims != g->ndim)
		return *dims < g->ndim ? 0 : -EINVAL;
	if (shape[axis] != 1)
		return -EINVAL;
	if (one->ndim == g->ndim)
		return 0;
	for (unsigned d = axis; d + 1 < *dims; d++)
		shape[d] = shape[d + 1];
	--*dims;
	return 0;
}

int gns_layer_reduction_sum(struct gns_layer_reduction *job, const struct gns_tensor *g, const struct gns_tensor *other, unsigned dims,
		      const size_t *shape)
{
	const struct gns_samples *samples = job->samples;
	struct gns_tensor one[2], wide;
	size_t own[GNS_TENSOR_DIMS];

	if (!gns_samples_are_sound(samples) || !gns_tensor_is_sound(g) || dims > GNS_TENSOR_DIMS || (dims && !shape) ||
	    (other && !gns_tensor_is_sound(other)))
		return -EINVAL;
	memcpy(own, shape ? shape : &(size_t){1}, dims * sizeof *own);
	/* Two dimensions are rows and features; one, (n) or more, are rows of a scalar. */
	if (gns_split(g, samples, g->ndim > 1, &one[0], &job->step[Y]) || drop_samples(samples, g, &one[0], &dims, own) ||
	    align_shape(job, &one[0], dims, own))
		return -EINVAL;
	job->tensor[Y] = g;
	job->empty = gns_tensor_is_empty(g);
	set_walk(job, Y, one[0].ndim, NULL, one[0].stride);
	if (other) {
		if (broadcast(other, g, &wide) || gns_split(&wide, samples, g->ndim > 1, &one[1], &job->step[X]))
			return -EINVAL;
		job->tensor[X] = other;
		set_walk(job, X, one[1].ndim, NULL, one[1].stride);
	}
	return uses_have_count(samples, job->count) ? 0 : -EINVAL;
}

int gns_layer_reduce(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *g,
		     const struct gns_tensor *other, unsigned dims, const size_t *shape)
{
	struct gns_layer_reduction job = {.layers = layers, .samples = samples};
	const int rc = layers ? gns_layer_reduction_sum(&job, g, other, dims, shape) : -EINVAL;

	return rc ? rc : reduce(&job, 1);
}

/* ---- gains ---- */

/* The one stride of a tensor whose elements follow each other in the order of its dimensions. */
static int flat_stride(const struct gns_tensor *t, ptrdiff_t *stride)
{
	struct gns_walk walk = {.ndim = t->ndim, .operands = 1};

	memcpy(walk.size, t->size, sizeof t->size);
	memcpy(walk.stride[0], t->stride, sizeof t->stride);
	gns_walk_start(&walk, true);
	*stride = walk.stride[0][0];
	return walk.ndim == 1 ? 0 : -EINVAL;
}

/* Where in the statistics each dimension of x lies, in elements of a flat list; the strides of the gain likewise. */
struct layout {
	struct gns_tensor x; /* with the dimensions the statistics need */
	ptrdiff_t statistics[GNS_TENSOR_DIMS + 1], gain[GNS_TENSOR_DIMS + 1];
	size_t count, statistics_count;
};

static int lay_out_rows(struct layout *layout, size_t rows)
{
	const struct gns_tensor *x = &layout->x;
	size_t inner = 1, outer = 1;
	unsigned d = x->ndim;

	if (!rows || gns_tensor_count(x) % rows)
		return -EINVAL;
	for (const size_t normalised = gns_tensor_count(x) / rows; d && inner < normalised;) {
		layout->gain[--d] = (ptrdiff_t)inner;
		inner *= x->size[d];
	}
	if (inner * rows != gns_tensor_count(x))
		return -EINVAL;
	while (d) {
		layout->statistics[--d] = (ptrdiff_t)outer;
		outer *= x->size[d];
	}
	layout->count = inner;
	layout->statistics_count = rows;
	return 0;
}

/* (b, C, ...) as (b, groups, C / groups, ...). */
static int lay_out_groups(struct layout *layout, size_t groups)
{
	struct gns_tensor *x = &layout->x;
	const size_t c = x->ndim >= 2 ? x->size[1] : 0;

	if (!c || !groups || c % groups || x->ndim == GNS_TENSOR_DIMS)
		return -EINVAL;
	for (unsigned d = x->ndim++; d > 1; d--) {
		x->size[d] = x->size[d - 1];
		x->stride[d] = x->stride[d - 1];
	}
	x->size[1] = groups;
	x->size[2] = c / groups;
	x->stride[1] = x->stride[2] * (ptrdiff_t)(c / groups);
	layout->statistics[0] = (ptrdiff_t)groups;
	layout->statistics[1] = 1;
	layout->gain[1] = (ptrdiff_t)(c / groups);
	layout->gain[2] = 1;
	layout->count = c;
	layout->statistics_count = x->size[0] * groups;
	return 0;
}

static int lay_out_channels(struct layout *layout)
{
	if (layout->x.ndim < 2)
		return -EINVAL;
	layout->statistics[1] = layout->gain[1] = 1;
	layout->count = layout->statistics_count = layout->x.size[1];
	return 0;
}

/* `t` laid out with these strides, split as x is. */
static int set_operand(struct gns_layer_reduction *job, int what, const struct gns_tensor *like, const ptrdiff_t *stride, ptrdiff_t scale)
{
	struct gns_tensor t = *like, one;
	ptrdiff_t step;

	for (unsigned d = 0; d < t.ndim; d++)
		t.stride[d] = stride[d] * scale;
	if (gns_split(&t, job->samples, t.ndim > 1, &one, &step))
		return -EINVAL;
	if (what == A && step)
		return -EINVAL; /* what is normalised goes across samples */
	if (what != A)
		job->step[what] = step;
	set_walk(job, what, one.ndim, one.size, one.stride);
	return 0;
}

static int set_statistics(struct gns_layer_reduction *job, int what, const struct gns_tensor *t, const struct layout *layout)
{
	ptrdiff_t stride;

	if (!gns_tensor_is_sound(t) || gns_tensor_count(t) != layout->statistics_count || flat_stride(t, &stride))
		return -EINVAL;
	job->tensor[what] = t;
	return set_operand(job, what, &layout->x, layout->statistics, stride);
}

static int lay_out_gain(struct layout *layout, const struct gns_tensor *rstd, enum gns_gain kind, size_t groups)
{
	switch (kind) {
	case GNS_GAIN_LAYER: return lay_out_rows(layout, gns_tensor_count(rstd));
	case GNS_GAIN_GROUP: return lay_out_groups(layout, groups);
	case GNS_GAIN_BATCH: return lay_out_channels(layout);
	}
	return -EINVAL;
}

int gns_layer_reduction_gain(struct gns_layer_reduction *job, const struct gns_tensor *x, const struct gns_tensor *mean,
		       const struct gns_tensor *rstd, const struct gns_tensor *y, enum gns_gain kind, size_t groups)
{
	if (!gns_samples_are_sound(job->samples) || !gns_tensor_is_sound(x) || !gns_tensor_is_sound(y) || !gns_tensor_is_sound(rstd) ||
	    x->ndim != y->ndim || memcmp(x->size, y->size, x->ndim * sizeof *x->size) ||
	    (kind != GNS_GAIN_LAYER && (job->samples->axis || !mean)))
		return -EINVAL;
	job->tensor[X] = x;
	job->tensor[Y] = y;
	job->empty = gns_tensor_is_empty(x);
	if (job->empty)
		return 0;
	struct layout layout = {.x = *x}, second = {.x = *y};
	if (lay_out_gain(&layout, rstd, kind, groups) || lay_out_gain(&second, rstd, kind, groups))
		return -EINVAL;
	if (set_operand(job, X, &layout.x, layout.x.stride, 1) || set_operand(job, Y, &layout.x, second.x.stride, 1) ||
	    set_statistics(job, RSTD, rstd, &layout) || (mean && set_statistics(job, MEAN, mean, &layout)) ||
	    set_operand(job, A, &layout.x, layout.gain, 1))
		return -EINVAL;
	job->count = layout.count;
	return uses_have_count(job->samples, job->count) ? 0 : -EINVAL;
}

int gns_layer_gain(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *mean,
		   const struct gns_tensor *rstd, const struct gns_tensor *y, enum gns_gain kind, size_t groups)
{
	struct gns_layer_reduction job = {.layers = layers, .samples = samples};
	const int rc = layers ? gns_layer_reduction_gain(&job, x, mean, rstd, y, kind, groups) : -EINVAL;

	return rc ? rc : reduce(&job, 1);
}

int gns_layer_norm(struct gns_layers *layers, struct gns_samples *gain, struct gns_samples *shift, const struct gns_tensor *x,
		   const struct gns_tensor *mean, const struct gns_tensor *rstd, const struct gns_tensor *y)
{
	struct gns_layer_reduction job[2] = {{.layers = layers, .samples = gain}, {.layers = layers, .samples = shift}};
	int rc = layers ? gns_layer_reduction_gain(&job[0], x, mean, rstd, y, GNS_GAIN_LAYER, 0) : -EINVAL;

	if (!rc)
		rc = gns_layer_reduction_sum(&job[1], y, NULL, 1, &y->size[y->ndim - 1]);
	return rc ? rc : reduce(job, 2);
}
