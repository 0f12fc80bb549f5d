/* Per-sample gradient norms of layers as PyTorch gives their operands: any strides, half precision, convolutions, embeddings,
 * normalisations, biases. CPU memory, libc only.
 *
 * Sample i's contribution to a parameter's gradient is A_i. Every function takes the operands of one use of one parameter in one
 * backward pass and gives the sum over samples of |A_i|^2 (double; unit: that of the gradient, squared), either exactly or by the
 * sketch of sketch.h, unbiased, with its signs from (seed, stream, sample). Which form is used where: docs/internals/sketch.md.
 *
 * Nothing here locks, starts a thread, changes the rounding mode or flushes denormals; operands are only read. Inf and nan in an
 * operand give inf or nan. Products and sums of float32, float16 and bfloat16 operands are those of sketch.h (float32 lanes folded
 * into float64) for linear and convolution, float64 throughout for all others; with a float64 operand all are float64.
 *
 * Errors, of every function that returns int: 0, or
 *   -EINVAL  shapes, element types, samples or the axis disagree (told at each function); nothing was added anywhere
 *   -ENOSPC  the scratch is too small: gns_layers_grow, then the same call again
 *   -ENOMEM  memory cannot be had, or more than GNS_LAYERS_SCRATCH_MAX would be needed
 * An empty operand (a size of 0) is no error where the shapes agree: it adds 0. */
#ifndef GNS_COLLECTORS_SKETCH_LAYERS_H
#define GNS_COLLECTORS_SKETCH_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/sketch/sketch.h"

#define GNS_TENSOR_DIMS 8
#define GNS_CONV_DIMS 3
#define GNS_LAYERS_SCRATCH_MAX ((size_t)512 << 20)

enum gns_id_dtype { GNS_I64 = GNS_DTYPES, GNS_I32 }; /* 5 and 6: of ids; values are enum gns_dtype, 1 to 4 */

/* Strides in elements, any of them: 0 for an expanded dimension, negative, or with gaps. ndim 0 is a scalar. */
struct gns_tensor {
	const void *data;
	uint32_t dtype;
	unsigned ndim;
	size_t size[GNS_TENSOR_DIMS];
	ptrdiff_t stride[GNS_TENSOR_DIMS];
};

/* Scratch of one thread at a time. It begins small; only gns_layers_grow makes it larger (mmap, lazily touched). */
struct gns_layers;

struct gns_layers *gns_layers_init(enum gns_isa isa); /* NULL: no memory */
/* Room for the call that last returned -ENOSPC. 0 or -ENOMEM; the scratch stays usable either way. */
int gns_layers_grow(struct gns_layers *layers);
void gns_layers_free(struct gns_layers *layers); /* NULL is allowed */

struct gns_shared;

/* Which rows of the operands are whose, and where the result goes. */
struct gns_samples {
	size_t n;      /* samples in this pass; at least 1 */
	unsigned axis; /* 0: the leading dimension is the samples' (n), or a multiple of n: groups of equally many that follow each other.
			  1: the second dimension is the samples' (n; time-major); of two-dimensional operands of linear (rows, features)
			  and reduce, row r is sample r % n's. Convolution, GroupNorm and BatchNorm know 0 alone. */
	unsigned probes; /* of a sketch: 8, 16, 24 or 32 */
	uint64_t seed;   /* fresh every step */
	uint64_t stream; /* the parameter */
	struct gns_shared *uses; /* NULL: the result goes to `sum`. Otherwise it is added to these, and `sum` is left alone;
				  seed, stream and probes are then those of the uses */
	size_t first, count;   /* this call takes samples first to first + count - 1 of the n alone, each as it is in a call that takes all;
				  count 0: all. Calls for different samples may run at once, each with its own scratch; not with uses */
	double sum;            /* out: sum over those samples of |A_i|^2 */
};

/* A = sum over rows of y^T x: x (..., in), y (..., out), the leading sizes equal (at least one leading dimension).
 * One row a sample: exact. Otherwise the sketch of sketch.h with the mean direction taken out, in place whatever the order of the
 * dimensions, 64 rows at a time converted to float32 where they are half precision. x and y may differ in element type. */
int gns_layer_linear(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y);
/* The same, and bias->sum as gns_layer_reduce(layers, bias, y, NULL, 1, &out) has it: y comes from memory once for both. bias->n and axis
 * are those of samples, bias->uses is NULL; the rest of it is not looked at. */
int gns_layer_linear_bias(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const struct gns_tensor *x,
			  const struct gns_tensor *y);

struct gns_conv {
	unsigned dims; /* 1, 2 or 3 spatial dimensions; the arrays have as many entries */
	size_t kernel[GNS_CONV_DIMS], stride[GNS_CONV_DIMS], padding[GNS_CONV_DIMS], dilation[GNS_CONV_DIMS];
	size_t groups;
	bool transposed; /* x and y are the layer's input and output gradient all the same */
};

/* x (b, C, spatial...), y (b, O, spatial...), b = n or a multiple of n (images of one sample follow each other), C and O multiples of
 * groups, the sizes as PyTorch's conv or conv_transpose have them: A[o, c, k] = sum over positions p of
 * y[o, p] x[c, p stride + k dilation - padding]; transposed, x and y change places. Any memory format, channels-last too.
 * A group's A is a matrix (O/groups) x (C/groups * kernel). Sketched: the longer side of it in buckets, the direction of the
 * channels' sums (the same for all taps of a channel) taken out exactly: docs/internals/sketch.md. Exact where the shorter side is at most 8
 * (depthwise convolutions, for one). Cost a position, in multiply-adds: about wide + 8 narrow + C + O + kernel (of a group). */
int gns_layer_conv(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y,
		   const struct gns_conv *conv);
/* The same, and bias->sum as gns_layer_reduce has it of the shape (O, 1...): see gns_layer_linear_bias. */
int gns_layer_conv_bias(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const struct gns_tensor *x,
			const struct gns_tensor *y, const struct gns_conv *conv);

/* A[v] = sum over t with ids[t] = v of y[t]: ids (n, t...) or (t, n, ...) of GNS_I64 or GNS_I32, y the same sizes and one more, d.
 * Rows with ids == padding_idx add nothing; -1: there is none. Exact. */
int gns_layer_embedding(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *ids,
			const struct gns_tensor *y, int64_t padding_idx);

enum gns_gain { GNS_GAIN_LAYER = 0, GNS_GAIN_GROUP = 1, GNS_GAIN_BATCH = 2 };

/* The gain of a normalisation: A = sum over the sample's positions of y (x - mean) rstd, x and y of the same sizes. Exact.
 *   LAYER  mean and rstd have one element a row, in the order of x's leading dimensions: their number divides x's, the rest is what
 *          is normalised, the trailing dimensions. mean NULL: RMSNorm.
 *   GROUP  x (n, C, ...), mean and rstd (n, groups), groups divides C.
 *   BATCH  x (n, C, ...), mean and rstd (C). `groups` is not looked at.
 * Bias of these: gns_layer_reduce. */
int gns_layer_gain(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *mean,
		   const struct gns_tensor *rstd, const struct gns_tensor *y, enum gns_gain kind, size_t groups);

/* LayerNorm over the last dimension, its gain and its shift in one pass over y: as gns_layer_gain and gns_layer_reduce have them. */
int gns_layer_norm(struct gns_layers *layers, struct gns_samples *gain, struct gns_samples *shift, const struct gns_tensor *x,
		   const struct gns_tensor *mean, const struct gns_tensor *rstd, const struct gns_tensor *y);

/* A = g, times `other` where that is not NULL (broadcast to g as usual), summed over all dimensions that the parameter does not
 * have. `shape` is the parameter's: right-aligned to g without its dimension of samples, sizes equal to g's or 1; or with as many
 * dimensions as g, the one of samples being 1. dims 0: a scalar. Exact.
 *   bias of linear   g (n, t, out), shape (out)         position table   g (n, t, d), shape (t, d) or (1, t, d)
 *   bias of conv     g (n, O, h, w), shape (O, 1, 1)    scale            g (n, t, d), other x, shape (d) */
int gns_layer_reduce(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *g,
		     const struct gns_tensor *other, unsigned dims, const size_t *shape);

/* Several uses of one parameter in one pass: sum over samples of |sum over uses of A_i|^2, the cross terms included.
 *
 * The parameter is seen as dim0 x rest: dim0 is linear's out, conv's O, transposed conv's C, the embedding's number of rows; rest is
 * what remains (in; C/groups * kernel; d). For gain and reduce dim0 * rest is the number of the parameter's elements, in its order.
 * All uses add to one sketch with common signs along dim0, and to the exact part along one direction in `rest`, that of the sample's
 * first use: the same estimate and bound as of one use. Exact where rest is 1 (vectors, scalars) or dim0 at most 8. A use that does
 * not fit dim0 and rest gets -EINVAL. */
/* Bytes that gns_shared_init will take, about 8 n (probes rest + rest + dim0); SIZE_MAX: more than can be told. */
size_t gns_shared_bytes(size_t n, size_t dim0, size_t rest, unsigned probes);
/* NULL: no memory, or n, dim0, rest or probes out of range. n, seed, stream and probes as in struct gns_samples. The caller checks
 * gns_shared_bytes against its limit first. */
struct gns_shared *gns_shared_init(size_t n, size_t dim0, size_t rest, unsigned probes, uint64_t seed, uint64_t stream);
double gns_shared_sum(const struct gns_shared *uses); /* of what has come so far */
void gns_shared_free(struct gns_shared *uses);        /* NULL is allowed */

/* Exact |t|^2, any element type of values. */
int gns_tensor_norm2(struct gns_layers *layers, const struct gns_tensor *t, double *norm2);
/* True if every element is 0 (or -0); stops at the first block that is not. Element types of values and of ids; false for others. */
bool gns_tensor_is_zero(const struct gns_tensor *t);

#endif
