/* Tensors of any strides walked together in the order of memory; norms and tests for zero of whole tensors. */
#include "layers_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void swap_dims(struct gns_walk *walk, unsigned a, unsigned b)
{
	const size_t size = walk->size[a];

	walk->size[a] = walk->size[b];
	walk->size[b] = size;
	for (unsigned k = 0; k < walk->operands; k++) {
		const ptrdiff_t stride = walk->stride[k][a];
		walk->stride[k][a] = walk->stride[k][b];
		walk->stride[k][b] = stride;
	}
}

static void copy_dim(struct gns_walk *walk, unsigned to, unsigned from)
{
	walk->size[to] = walk->size[from];
	for (unsigned k = 0; k < walk->operands; k++)
		walk->stride[k][to] = walk->stride[k][from];
}

/* Whether a step of dimension `outer` is a whole walk of `inner`, in all operands. */
static bool continues(const struct gns_walk *walk, unsigned outer, unsigned inner)
{
	for (unsigned k = 0; k < walk->operands; k++)
		if (walk->stride[k][outer] != (ptrdiff_t)walk->size[inner] * walk->stride[k][inner])
			return false;
	return true;
}

/* An expanded dimension of the first operand (stride 0) goes by the strides of the others, outermost where they have none. */
static bool belongs_before(const struct gns_walk *walk, unsigned a, unsigned b)
{
	for (unsigned k = 0; k < walk->operands; k++) {
		const ptrdiff_t sa = labs(walk->stride[k][a]), sb = labs(walk->stride[k][b]);
		if (sa && sb && sa != sb)
			return sa > sb;
	}
	return !walk->stride[0][a] && walk->stride[0][b];
}

void gns_walk_start(struct gns_walk *walk, bool keep_order)
{
	unsigned n = 0;

	for (unsigned d = 0; d < walk->ndim; d++)
		if (walk->size[d] != 1)
			copy_dim(walk, n++, d);
	for (unsigned d = 1; d < n && !keep_order; d++)
		for (unsigned e = d; e && belongs_before(walk, e, e - 1); e--)
			swap_dims(walk, e, e - 1);
	walk->ndim = n;
	n = 0;
	for (unsigned d = 0; d < walk->ndim; d++) {
		if (n && continues(walk, n - 1, d)) {
			const size_t outer = walk->size[n - 1];
			copy_dim(walk, n - 1, d);
			walk->size[n - 1] *= outer;
		} else
			copy_dim(walk, n++, d);
	}
	if (!n) {
		walk->size[0] = 1;
		for (unsigned k = 0; k < walk->operands; k++)
			walk->stride[k][0] = 1;
		n = 1;
	}
	walk->ndim = n;
	memset(walk->at, 0, sizeof walk->at);
	memset(walk->offset, 0, sizeof walk->offset);
}

bool gns_walk_next(struct gns_walk *walk)
{
	return gns_walk_next_piece(walk, 1);
}

bool gns_walk_next_piece(struct gns_walk *walk, unsigned inner)
{
	for (unsigned d = walk->ndim > inner ? walk->ndim - inner : 0; d-- > 0;) {
		for (unsigned k = 0; k < walk->operands; k++)
			walk->offset[k] += walk->stride[k][d];
		if (++walk->at[d] < walk->size[d])
			return true;
		for (unsigned k = 0; k < walk->operands; k++)
			walk->offset[k] -= walk->stride[k][d] * (ptrdiff_t)walk->size[d];
		walk->at[d] = 0;
	}
	return false;
}

static double value_at(const struct gns_tensor *t, ptrdiff_t offset)
{
	return gns_mat_get(&(struct gns_mat){.data = gns_tensor_at(t, offset), .dtype = t->dtype}, 0, 0);
}

void gns_load(const struct gns_layers *layers, const struct gns_tensor *t, ptrdiff_t offset, ptrdiff_t stride, size_t n, double *to)
{
	if (stride == 1) {
		layers->kernels->to_f64[t->dtype - 1](gns_tensor_at(t, offset), n, to);
		return;
	}
	const double first = value_at(t, offset);
	for (size_t i = 0; i < n; i++)
		to[i] = stride ? value_at(t, offset + (ptrdiff_t)i * stride) : first;
}

static struct gns_walk walk_of(const struct gns_tensor *t)
{
	struct gns_walk walk = {.ndim = t->ndim, .operands = 1};

	memcpy(walk.size, t->size, t->ndim * sizeof *t->size);
	memcpy(walk.stride[0], t->stride, t->ndim * sizeof *t->stride);
	gns_walk_start(&walk, false);
	return walk;
}

int gns_tensor_norm2(struct gns_layers *layers, const struct gns_tensor *t, double *norm2)
{
	double sum = 0, block[GNS_RUN_BLOCK];

	if (!layers || !norm2 || !gns_tensor_is_sound(t))
		return -EINVAL;
	*norm2 = 0;
	if (gns_tensor_is_empty(t))
		return 0;
	struct gns_walk walk = walk_of(t);
	const unsigned inner = walk.ndim - 1;
	do {
		const ptrdiff_t stride = walk.stride[0][inner];
		if (stride == 1) {
			sum += gns_run_norm2(layers->kernels, t->dtype, gns_tensor_at(t, walk.offset[0]), walk.size[inner]);
			continue;
		}
		for (size_t at = 0, part; at < walk.size[inner]; at += part) {
			part = walk.size[inner] - at < GNS_RUN_BLOCK ? walk.size[inner] - at : GNS_RUN_BLOCK;
			gns_load(layers, t, walk.offset[0] + (ptrdiff_t)at * stride, stride, part, block);
			sum += layers->kernels->norm2[1](block, part);
		}
	} while (gns_walk_next(&walk));
	*norm2 = sum;
	return 0;
}

typedef uint64_t word64 __attribute__((aligned(1), may_alias));
typedef uint32_t word32 __attribute__((aligned(1), may_alias));

/* The bits of n elements, or-ed; the sign of values shifted out. */
static bool any_bit(const char *p, size_t n, size_t item, bool is_value, ptrdiff_t stride)
{
	uint64_t bits = 0;
	const ptrdiff_t step = stride * (ptrdiff_t)item;

	if (item == 8)
		for (size_t i = 0; i < n; i++)
			bits |= *(const word64 *)(p + (ptrdiff_t)i * step) << is_value;
	else if (item == 4)
		for (size_t i = 0; i < n; i++)
			bits |= (uint32_t)(*(const word32 *)(p + (ptrdiff_t)i * step) << is_value);
	else
		for (size_t i = 0; i < n; i++)
			bits |= (uint16_t)(*(const gns_half *)(p + (ptrdiff_t)i * step) << is_value);
	return bits != 0;
}

bool gns_tensor_is_zero(const struct gns_tensor *t)
{
	const bool is_value = gns_tensor_is_sound(t);

	if (!t || (!is_value && (t->dtype < GNS_I64 || t->dtype > GNS_I32 || t->ndim > GNS_TENSOR_DIMS)))
		return false;
	if (gns_tensor_is_empty(t))
		return true;
	if (!t->data)
		return false;
	struct gns_walk walk = walk_of(t);
	const unsigned inner = walk.ndim - 1;
	do {
		const ptrdiff_t stride = walk.stride[0][inner];
		for (size_t at = 0, part; at < walk.size[inner]; at += part) {
			part = walk.size[inner] - at < 4096 ? walk.size[inner] - at : 4096;
			if (any_bit(gns_tensor_at(t, walk.offset[0] + (ptrdiff_t)at * stride), part, gns_item_size(t->dtype), is_value,
				    stride))
				return false;
		}
	} while (gns_walk_next(&walk));
	return true;
}
