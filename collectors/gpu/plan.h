/* Which kernels a measurement launches, on how many blocks, with what in scratch: pure functions, no CUDA call. Launch the kernels of
 * a plan in order on one stream; kernel k's one parameter is &plan.launch[k].args.
 *
 * Each function fills `plan` for one measurement that ends in *out (device memory, a double; unit: that of the operands, squared).
 * `scratch` is device memory, aligned to 256 bytes; plan->scratch_bytes of it are used, contents need not be kept between plans.
 * With scratch NULL only scratch_bytes and the geometry are right: ask first, then call again. `sms`: multiprocessors of the device.
 *
 * 0, or -EINVAL: shapes or element types disagree; -ERANGE: more blocks than a grid holds. An empty operand gives 0. */
#ifndef GNS_COLLECTORS_GPU_PLAN_H
#define GNS_COLLECTORS_GPU_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels.h"
#include "collectors/sketch/layers.h"

#define GNS_CU_LAUNCHES 16

extern const char *const gns_cu_kernels[]; /* the names of all kernels of the image, NULL behind the last */

struct gns_cu_launch {
	char kernel[24];
	uint32_t grid[3], block;
	union {
		const uint32_t *gate; /* the first member of all of these */
		struct gns_cu_norm2 norm2;
		struct gns_cu_sum sum;
		struct gns_cu_direction direction;
		struct gns_cu_along along;
		struct gns_cu_buckets buckets;
		struct gns_cu_weigh weigh;
		struct gns_cu_columns columns;
		struct gns_cu_gather gather;
		struct gns_cu_settle settle;
		struct gns_cu_gram gram;
		struct gns_cu_gram_finish gram_finish;
		struct gns_cu_inner inner;
		struct gns_cu_embedding embedding;
		struct gns_cu_print print;
		struct gns_cu_value value;
		struct gns_cu_reduce reduce;
		struct gns_cu_copy copy;
		struct gns_cu_fill fill;
		struct gns_cu_conv_lay conv_lay;
		struct gns_cu_conv_direction conv_direction;
		struct gns_cu_conv_maps conv_maps;
		struct gns_cu_conv_dots conv_dots;
		struct gns_cu_conv_finish conv_finish;
		struct gns_cu_add_up add_up;
		struct gns_cu_add_rows add_rows;
		struct gns_cu_add_ids add_ids;
	} args;
};

struct gns_cu_plan {
	unsigned launches;
	struct gns_cu_launch launch[GNS_CU_LAUNCHES];
	size_t scratch_bytes;
};

/* An operand: `rows` rows a sample; see struct gns_cu_rows for the steps. dtype: enum gns_dtype. A group of rows that follow each
 * other has sample_step = rows * row_stride; time-major rows have the two exchanged. */
struct gns_cu_operand {
	const void *data;
	uint32_t dtype;
	size_t samples, rows, cols;
	ptrdiff_t sample_step, row_stride, col_stride;
};

struct gns_cu_ground {
	void *scratch;
	double *out;
	unsigned sms;
	bool add; /* to what *out holds */
	const uint32_t *gate; /* device memory, a word that is 0 while nothing is to be measured; NULL: always */
};

/* |M|^2 or, with `before`, |M - scale before|^2, over all samples and rows. Both have M's shape and type. */
int gns_cu_plan_norm2(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *m,
		      const struct gns_cu_operand *before, double scale);
/* gns_sketch_sum of sketch.h with 8 probes and the same bits, but buckets and direction always on x's side, so that each operand is read
 * once: docs/internals/sketch.md. Exact where that is. Samples are first_sample, first_sample + 1, ... Both or neither operand is f64. */
int gns_cu_plan_linear(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *x,
		       const struct gns_cu_operand *y, uint64_t seed, uint64_t stream, uint64_t first_sample);
/* Sum over samples of |sum over rows of y (x - mean) rstd|^2: a bias (all three NULL), a scale (x alone), a gain. x has y's shape and
 * type; mean and rstd have a value a row (their cols is 1). */
int gns_cu_plan_columns(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *y,
			const struct gns_cu_operand *x, const struct gns_cu_operand *mean, const struct gns_cu_operand *rstd);
/* Sum over samples and kept elements k of |sum over reduced elements r of y (x - mean) rstd|^2, in float64: every other order of
 * dimensions. kept and reduced are sizes, 1 where there are fewer than three. x.data NULL: 1; then mean and rstd are not looked at. */
struct gns_cu_reduction {
	size_t samples, kept[3], reduced[3];
	struct gns_cu_side y, x, mean, rstd;
};
int gns_cu_plan_reduce(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_reduction *of);
/* Sum over samples and rows of (sum over columns)^2: the bias of a convolution, a row a channel. */
int gns_cu_plan_inner(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *y);
/* Sum over samples and ids of |sum of the rows of y with that id|^2; ids has a value a row, dtype GNS_I64 or GNS_I32 of layers.h. */
int gns_cu_plan_embedding(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *ids,
			  const struct gns_cu_operand *y, int64_t padding_idx);
/* gns_layer_conv of layers.h with 8 probes, for samples first to first + n - 1: same forms, signs and direction. x and y of five dimensions
 * (images, channels, three spatial ones), x the one that meets the kernel; of all samples. */
struct gns_cu_convolution {
	const struct gns_tensor *x, *y;
	struct gns_cu_axes axes;
	size_t images, groups; /* images of a sample */
	uint64_t seed, stream;
	float *acc; /* NULL: the estimate goes to *out. Otherwise the accumulators below, of all samples, get one use more */
};
int gns_cu_plan_conv(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_convolution *conv, size_t first,
		     size_t n);

/* One use more of a parameter of dim0 x rest elements: to accumulators of samples x 8 x rest floats (from sample `first_sample` on), with
 * signs along dim0. *out is not touched. The estimate is their squared norm in the end. */
int gns_cu_plan_linear_use(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *x,
			   const struct gns_cu_operand *y, uint64_t seed, uint64_t stream, uint64_t first_sample, float *acc);
int gns_cu_plan_embedding_use(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *ids,
			      const struct gns_cu_operand *y, int64_t padding_idx, uint64_t seed, uint64_t stream, uint64_t first_sample,
			      float *acc);
/* own[d]: what a step of kept[d] is in the parameter's own order. rest 1: accumulators of samples x dim0, exact. */
int gns_cu_plan_reduce_use(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_reduction *of,
			   const size_t own[3], size_t dim0, size_t rest, uint64_t seed, uint64_t stream, uint64_t first_sample, float *acc);

/* Two hashes of 64 bits to hash[0..1], the bits of 16 elements to `bits` if that is not NULL (device memory). Needs no scratch, as those
 * below. */
int gns_cu_plan_print(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *data, uint32_t dtype, size_t slow_n,
		      size_t fast_n, ptrdiff_t ld, uint64_t *hash, uint64_t *bits);
/* *out = the first element, as a double. */
int gns_cu_plan_value(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *data, uint32_t dtype);
/* The tensor (ids too) packed in the order of its dimensions to `out`, as it is or converted to GNS_F32 or GNS_F64. */
int gns_cu_plan_copy(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_tensor *t, void *out, uint32_t to);
/* n zeros. */
int gns_cu_plan_fill(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, double *out, size_t n);

#endif
