/* Tensors for the tests of the layers: any element type and order of dimensions, NaN in every gap, pages that cannot be read around
 * them, values that every element type holds exactly. */
#ifndef GNS_TESTS_UNIT_TEST_LAYERS_H
#define GNS_TESTS_UNIT_TEST_LAYERS_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "collectors/sketch/layers.h"

enum order { PLAIN, REVERSED_DIMS, CHANNELS_LAST, GAPPED, AT_PAGE_END, ORDERS };

struct held_tensor {
	struct gns_tensor t;
	char *memory;
	size_t bytes;
};

static size_t item_of(uint32_t dtype)
{
	return dtype == GNS_F64 || dtype == GNS_I64 ? 8 : dtype == GNS_F32 || dtype == GNS_I32 ? 4 : 2;
}

/* Values in eighths up to 2: exact in bfloat16 too. */
static void store(uint32_t dtype, char *p, double value)
{
	const float narrow = (float)value;
	const int64_t wide_id = (int64_t)value;
	const int32_t id = (int32_t)value;
	uint32_t bits;
	uint16_t half;

	memcpy(&bits, &narrow, 4);
	switch (dtype) {
	case GNS_F64: memcpy(p, &value, 8); return;
	case GNS_F32: memcpy(p, &narrow, 4); return;
	case GNS_I64: memcpy(p, &wide_id, 8); return;
	case GNS_I32: memcpy(p, &id, 4); return;
	case GNS_BF16: half = (uint16_t)(bits >> 16); break;
	default:
		half = isnan(value) ? 0x7e00 : isinf(value) ? (uint16_t)((value < 0) << 15 | 0x7c00) :
		       value == 0   ? 0 :
				      (uint16_t)((bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) | (bits >> 13 & 0x3ff));
	}
	memcpy(p, &half, 2);
}

static char *place(const struct gns_tensor *t, const size_t *at)
{
	ptrdiff_t offset = 0;

	for (unsigned d = 0; d < t->ndim; d++)
		offset += (ptrdiff_t)at[d] * t->stride[d];
	return (char *)t->data + offset * (ptrdiff_t)item_of(t->dtype);
}

static bool step(const struct gns_tensor *t, size_t *at)
{
	for (unsigned d = t->ndim; d-- > 0;) {
		if (++at[d] < t->size[d])
			return true;
		at[d] = 0;
	}
	return false;
}

static double eighths(double mean)
{
	return (rand() % 17 - 8) / 8.0 + mean;
}

static void order_dims(struct gns_tensor *t, enum order order)
{
	ptrdiff_t stride = order == GAPPED ? 3 : 1;
	unsigned rank[GNS_TENSOR_DIMS];

	for (unsigned d = 0; d < t->ndim; d++)
		rank[d] = order == REVERSED_DIMS ? d : t->ndim - 1 - d;
	if (order == CHANNELS_LAST && t->ndim > 2) { /* dimension 1 innermost */
		rank[0] = 1;
		for (unsigned d = 1; d + 1 < t->ndim; d++)
			rank[d] = t->ndim - d;
		rank[t->ndim - 1] = 0;
	}
	for (unsigned k = 0; k < t->ndim; k++) {
		t->stride[rank[k]] = stride;
		stride *= (ptrdiff_t)t->size[rank[k]] + (order == GAPPED);
	}
}

/* Random values around `mean`; ids below `mean`. */
static struct held_tensor hold_tensor(enum order order, uint32_t dtype, unsigned ndim, const size_t *size, double mean)
{
	struct held_tensor h = {.t = {.dtype = dtype, .ndim = ndim}};
	size_t at[GNS_TENSOR_DIMS] = {0}, span = 1;

	memcpy(h.t.size, size, ndim * sizeof *size);
	order_dims(&h.t, order);
	for (unsigned d = 0; d < ndim; d++)
		span += (size[d] - 1) * (size_t)h.t.stride[d];
	const size_t used = span * item_of(dtype), pages = (used + 4095) / 4096 * 4096;
	h.bytes = pages + 8192;
	h.memory = mmap(NULL, h.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(h.memory, MAP_FAILED);
	mprotect(h.memory, 4096, PROT_NONE);
	mprotect(h.memory + 4096 + pages, 4096, PROT_NONE);
	h.t.data = h.memory + 4096 + (order == AT_PAGE_END ? pages - used : 0);
	for (size_t i = 0; i < span && dtype < GNS_DTYPES; i++)
		store(dtype, (char *)h.t.data + i * item_of(dtype), NAN);
	do
		store(dtype, place(&h.t, at), dtype < GNS_DTYPES ? eighths(mean) : rand() % (int)mean);
	while (step(&h.t, at));
	return h;
}

static void drop(struct held_tensor *h)
{
	munmap(h->memory, h->bytes);
}

/* The value at an index, by arithmetic of its own. */
static inline double read_value(const struct gns_tensor *t, const size_t *at)
{
	const char *p = place(t, at);
	double wide;
	float narrow;
	uint16_t half;
	int64_t id64;
	int32_t id32;

	switch (t->dtype) {
	case GNS_F64: return memcpy(&wide, p, 8), wide;
	case GNS_F32: return memcpy(&narrow, p, 4), (double)narrow;
	case GNS_I64: return memcpy(&id64, p, 8), (double)id64;
	case GNS_I32: return memcpy(&id32, p, 4), (double)id32;
	}
	memcpy(&half, p, 2);
	const int sign = half >> 15 ? -1 : 1;
	if (t->dtype == GNS_BF16)
		return sign * ldexp(half & 0x7fff ? 128 + (half & 0x7f) : 0, (half >> 7 & 0xff) - 134);
	return sign * ldexp(half & 0x7fff ? 1024 + (half & 0x3ff) : 0, (half >> 10 & 0x1f) - 25);
}

#define AT(TENSOR, ...) read_value(&(TENSOR).t, (size_t[]){__VA_ARGS__})

static inline bool near(double got, double want, double relative)
{
	return fabs(got - want) <= relative * fmax(fabs(got), fabs(want));
}

/* The call, with as much scratch as it asks for. */
#define WITH_ROOM(LAYERS, CALL)                                                                                        \
	({                                                                                                             \
		int rc_ = CALL;                                                                                        \
		while (rc_ == -ENOSPC && !gns_layers_grow(LAYERS))                                                     \
			rc_ = CALL;                                                                                    \
		rc_;                                                                                                   \
	})

#endif
