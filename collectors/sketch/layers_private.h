/* What the files layers_*.c share: the scratch, one sample's part of a tensor, and the walk over several tensors at once. */
#ifndef GNS_COLLECTORS_SKETCH_LAYERS_PRIVATE_H
#define GNS_COLLECTORS_SKETCH_LAYERS_PRIVATE_H

#include "kernels.h"
#include "layers.h"

struct gns_layers {
	enum gns_isa isa;
	const struct gns_sketch_kernels *kernels;
	struct gns_sketch *sketch;
	char *arena;
	size_t sketch_cols, arena_bytes;
	size_t need_cols, need_bytes; /* of the call that got -ENOSPC */
};

/* Pieces of the arena for one call: taken in order, 64 bytes aligned, given back all at once by the next call's start. */
struct gns_arena {
	struct gns_layers *layers;
	size_t used;
};

/* An arena too small still hands out offsets, so that `used` ends as what is needed; gns_arena_check then says -ENOSPC. */
void *gns_arena_take(struct gns_arena *arena, size_t count, size_t item);
int gns_arena_check(const struct gns_arena *arena);
/* -ENOSPC where the sketch knows fewer columns. */
int gns_layers_need_cols(struct gns_layers *layers, size_t cols);

/* A value tensor that can be read; its strides are not looked at. */
bool gns_tensor_is_sound(const struct gns_tensor *t);
bool gns_tensor_is_empty(const struct gns_tensor *t);
size_t gns_tensor_count(const struct gns_tensor *t);
size_t gns_item_size(uint32_t dtype); /* of values and ids */

static inline const void *gns_tensor_at(const struct gns_tensor *t, ptrdiff_t offset)
{
	return (const char *)t->data + offset * (ptrdiff_t)gns_item_size(t->dtype);
}

/* The part of sample 0, its dimension of samples gone, and the distance to the next sample's. `features`: trailing dimensions that
 * never are the samples'. -EINVAL where n and the sizes disagree. */
int gns_split(const struct gns_tensor *t, const struct gns_samples *samples, unsigned features, struct gns_tensor *one,
	      ptrdiff_t *step);

/* Tensors of the same sizes walked together: the dimensions reordered to that of the first one's memory and merged where all
 * allow it. The last dimension is the inner one; there is always one. */
#define GNS_WALK_OPERANDS 5

struct gns_walk {
	unsigned ndim, operands;
	size_t size[GNS_TENSOR_DIMS + 1], at[GNS_TENSOR_DIMS + 1];
	ptrdiff_t stride[GNS_WALK_OPERANDS][GNS_TENSOR_DIMS + 1];
	ptrdiff_t offset[GNS_WALK_OPERANDS]; /* of the inner run that the walk stands at */
};

/* Sizes and strides as given by `ndim`, `size` and stride[k]; reorders and merges. `keep_order`: no reordering. */
void gns_walk_start(struct gns_walk *walk, bool keep_order);
bool gns_walk_next(struct gns_walk *walk); /* false after the last run */
/* The same by pieces of the `inner` last dimensions, all of them where there are no more; gns_walk_next takes one. */
bool gns_walk_next_piece(struct gns_walk *walk, unsigned inner);

/* n values, `stride` apart, as doubles. */
#define GNS_RUN_BLOCK 128 /* on the stack */
void gns_load(const struct gns_layers *layers, const struct gns_tensor *t, ptrdiff_t offset, ptrdiff_t stride, size_t n, double *to);

/* A = sum of y * (x - mean) * rstd over what A has no dimension of; each of x, mean and rstd may be absent. */
enum { GNS_OF_X, GNS_OF_Y, GNS_OF_MEAN, GNS_OF_RSTD, GNS_OF_A }; /* operands of the walk; Y is the output gradient */

struct gns_layer_reduction {
	struct gns_layers *layers; /* not looked at by the two below, nor is a set by them */
	struct gns_samples *samples;
	const struct gns_tensor *tensor[4]; /* NULL: absent */
	ptrdiff_t step[4];                  /* to the next sample's */
	struct gns_walk walk;               /* of sample 0, before gns_walk_start */
	size_t count;                       /* of A */
	bool empty;
	double *a;                          /* count of them */
	bool plain, by_rows;                /* as gns_layer_reduction_start finds */
};

/* Once what is summed is known, and a is there; then, sample by sample, |A|^2, or 0 where A goes to the samples' uses. */
void gns_layer_reduction_start(struct gns_layer_reduction *job);
double gns_layer_reduction_norm2(const struct gns_layer_reduction *job, size_t sample);

/* What gns_layer_reduce and gns_layer_gain sum over what; `samples` is set. 0 or -EINVAL. */
int gns_layer_reduction_sum(struct gns_layer_reduction *job, const struct gns_tensor *g, const struct gns_tensor *other, unsigned dims,
		      const size_t *shape);
int gns_layer_reduction_gain(struct gns_layer_reduction *job, const struct gns_tensor *x, const struct gns_tensor *mean,
		       const struct gns_tensor *rstd, const struct gns_tensor *y, enum gns_gain kind, size_t groups);

/* One spatial dimension. Position m meets padded input t = m stride + k dilation: phase t % stride, at t / stride. */
struct gns_conv_axis {
	size_t in, out, kernel, stride, padding, dilation;
	size_t length;  /* of a phase's plane along this dimension */
	size_t phases;  /* that the kernel meets */
};
/* Fills length and phases from the rest. -EINVAL where the sizes are not those of conv or, `transposed`, of conv_transpose. */
int gns_conv_measure_axis(struct gns_conv_axis *axis, bool transposed);
/* With dimensions of size 1 before its spatial ones, until there are three of these. */
struct gns_tensor gns_conv_three_axes(const struct gns_tensor *t);

/* Several uses of one parameter: of every sample the buckets z (8 a group, each of rest), the direction v (rest), and A v (dim0). */
struct gns_shared {
	size_t n, dim0, rest;
	unsigned groups;
	uint64_t seed, stream;
	const struct gns_sketch_kernels *kernels;
	size_t rest_ld, dim0_ld, sample_doubles, bytes;
	bool *has_v;
	double *data;
};

static inline double *gns_shared_z(const struct gns_shared *u, size_t sample) { return u->data + sample * u->sample_doubles; }
static inline double *gns_shared_v(const struct gns_shared *u, size_t sample)
{
	return gns_shared_z(u, sample) + (size_t)u->groups * GNS_BUCKETS * u->rest_ld;
}
static inline double *gns_shared_g(const struct gns_shared *u, size_t sample) { return gns_shared_v(u, sample) + u->rest_ld; }

/* The sample's direction from the first use's v (rest doubles); of no effect once there is one. */
void gns_shared_direct(struct gns_shared *uses, size_t sample, const double *v);
/* Row `row` of A (rest doubles); the direction must be known. */
void gns_shared_add_row(struct gns_shared *uses, size_t sample, size_t row, const double *a);
/* A whole, in the parameter's order: dim0 * rest doubles. */
void gns_shared_add(struct gns_shared *uses, size_t sample, const double *a);
/* A = Y^T X: x has rest columns, y has dim0; the sketch's scratch knows as many. */
int gns_shared_add_product(struct gns_shared *uses, struct gns_sketch *sketch, const struct gns_mat *x, const struct gns_mat *y,
			 size_t sample);

/* One past the last sample that a call takes. */
static inline size_t gns_samples_end(const struct gns_samples *samples)
{
	return samples->count ? samples->first + samples->count : samples->n;
}

/* n, the part of it, probes and the axis are possible; and where there are uses, that they are of n samples and dim0 x rest. */
bool gns_samples_are_sound(const struct gns_samples *samples);
bool gns_shared_fit(const struct gns_samples *samples, size_t dim0, size_t rest);

#endif
