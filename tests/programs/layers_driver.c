/* The kernels of collectors/sketch/layers.h as a shared library, for layers_test.py. */
#include <errno.h>

#include "collectors/sketch/layers.h"

#define SHOWN __attribute__((visibility("default")))

static struct gns_layers *layers;

SHOWN int drive_linear(struct gns_samples *s, const struct gns_tensor *x, const struct gns_tensor *y);
SHOWN int drive_conv(struct gns_samples *s, const struct gns_tensor *x, const struct gns_tensor *y, const struct gns_conv *conv);
SHOWN int drive_embedding(struct gns_samples *s, const struct gns_tensor *ids, const struct gns_tensor *y, int64_t padding_idx);
SHOWN int drive_gain(struct gns_samples *s, const struct gns_tensor *x, const struct gns_tensor *mean, const struct gns_tensor *rstd,
		     const struct gns_tensor *y, int kind, size_t groups);
SHOWN int drive_reduce(struct gns_samples *s, const struct gns_tensor *g, const struct gns_tensor *other, unsigned dims,
		       const size_t *shape);
SHOWN struct gns_shared *drive_uses(size_t n, size_t dim0, size_t rest, unsigned probes, uint64_t seed, uint64_t stream);
SHOWN double drive_uses_sum(struct gns_shared *uses);
SHOWN double drive_norm2(const struct gns_tensor *t);
SHOWN int drive_is_zero(const struct gns_tensor *t);

static struct gns_layers *scratch(void)
{
	if (!layers)
		layers = gns_layers_init(gns_sketch_best_isa());
	return layers;
}

#define GROWING(CALL)                                                                                                  \
	int rc = CALL;                                                                                                 \
	while (rc == -ENOSPC && !gns_layers_grow(scratch()))                                                           \
		rc = CALL;                                                                                             \
	return rc;

int drive_linear(struct gns_samples *s, const struct gns_tensor *x, const struct gns_tensor *y)
{
	GROWING(gns_layer_linear(scratch(), s, x, y))
}

int drive_conv(struct gns_samples *s, const struct gns_tensor *x, const struct gns_tensor *y, const struct gns_conv *conv)
{
	GROWING(gns_layer_conv(scratch(), s, x, y, conv))
}

int drive_embedding(struct gns_samples *s, const struct gns_tensor *ids, const struct gns_tensor *y, int64_t padding_idx)
{
	GROWING(gns_layer_embedding(scratch(), s, ids, y, padding_idx))
}

int drive_gain(struct gns_samples *s, const struct gns_tensor *x, const struct gns_tensor *mean, const struct gns_tensor *rstd,
	       const struct gns_tensor *y, int kind, size_t groups)
{
	GROWING(gns_layer_gain(scratch(), s, x, mean, rstd, y, kind, groups))
}

int drive_reduce(struct gns_samples *s, const struct gns_tensor *g, const struct gns_tensor *other, unsigned dims, const size_t *shape)
{
	GROWING(gns_layer_reduce(scratch(), s, g, other, dims, shape))
}

struct gns_shared *drive_uses(size_t n, size_t dim0, size_t rest, unsigned probes, uint64_t seed, uint64_t stream)
{
	return gns_shared_init(n, dim0, rest, probes, seed, stream);
}

double drive_uses_sum(struct gns_shared *uses)
{
	const double sum = gns_shared_sum(uses);

	gns_shared_free(uses);
	return sum;
}

double drive_norm2(const struct gns_tensor *t)
{
	double sum = -1;

	gns_tensor_norm2(scratch(), t, &sum);
	return sum;
}

int drive_is_zero(const struct gns_tensor *t)
{
	return gns_tensor_is_zero(t);
}
