/* The measurements of layers.h on tensors in device memory: same words, same arguments, the result in a slot of a set (device.h) when the
 * device gets there. What is exact there is exact here, and convolutions have the same estimate (same signs, same buckets). Linear draws the same
 * bits, but has buckets and direction on x's side always, so that each operand is read once: another estimate of the same, of no more variance.
 *
 * Every function launches on `to->stream` and returns at once. 0; -EINVAL as in layers.h; -ENOTSUP: no kernel for this (docs/internals/gpu-kernels.md
 * lists what there is); -ENOMEM: scratch too small even for one sample at a time; -EIO. On an error the slot must not be used any more.
 * Tensors must stay as they are until work that is enqueued now has run: the stream's own order sees to it where the trainer keeps to it. */
#ifndef GNS_COLLECTORS_GPU_LAYERS_DEVICE_H
#define GNS_COLLECTORS_GPU_LAYERS_DEVICE_H

#include "device.h"
#include "collectors/sketch/layers.h"

struct gns_device_uses;

struct gns_device_target {
	struct gns_set *set;
	void *stream;
	uint32_t slot;
	bool add; /* to what the slot holds; false: the slot is written */
	struct gns_device_uses *uses; /* NULL: the result goes to the slot; otherwise it is added to these, see below */
};

/* samples->uses and samples->sum are not looked at. */
int gns_device_linear(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *x,
		      const struct gns_tensor *y);
int gns_device_conv(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *x,
		    const struct gns_tensor *y, const struct gns_conv *conv);
int gns_device_embedding(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *ids,
			 const struct gns_tensor *y, int64_t padding_idx);
int gns_device_gain(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *x,
		    const struct gns_tensor *mean, const struct gns_tensor *rstd, const struct gns_tensor *y, enum gns_gain kind,
		    size_t groups);
int gns_device_reduce(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *g,
		      const struct gns_tensor *other, unsigned dims, const size_t *shape);

/* Several uses of one parameter in one pass (a tied head): sum over samples of |sum over uses of A_i|^2. One sketch in common, with
 * signs along dim0 and without a direction taken out: unbiased, of larger variance than one use alone. The accumulators are memory of the set
 * (gns_set_keep): n * 8 * rest floats. All uses on one stream. NULL: no memory. */
struct gns_device_uses *gns_device_uses_init(struct gns_set *set, void *stream, size_t n, size_t dim0, size_t rest, uint64_t seed,
					     uint64_t of);
int gns_device_uses_finish(const struct gns_device_target *to, struct gns_device_uses *uses); /* to->uses NULL; frees `uses` */
void gns_device_uses_drop(struct gns_device_uses *uses);

int gns_device_norm2(const struct gns_device_target *to, const struct gns_tensor *t);
/* |t - scale before|^2 */
int gns_device_diff_norm2(const struct gns_device_target *to, const struct gns_tensor *t, const struct gns_tensor *before, double scale);
/* The first element as a double: a loss. */
int gns_device_value(const struct gns_device_target *to, const struct gns_tensor *t);
/* A copy, densely packed in the order of t's dimensions, to device memory of the set. */
int gns_device_copy(struct gns_set *set, void *stream, const struct gns_tensor *t, void *out);
/* Two slots from `slot` on get the bits of the two hashes of gns_cu_plan_print; with `elements` 16 more behind them get those of the
 * elements, as fingerprint.h has them. slow_n, fast_n, ld as in struct gns_key. */
int gns_device_print(struct gns_set *set, void *stream, uint32_t slot, const void *data, uint32_t dtype, size_t slow_n, size_t fast_n,
		     ptrdiff_t ld, bool elements);

#endif
