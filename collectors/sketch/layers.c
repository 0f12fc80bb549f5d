/* The scratch of the layers, and which part of a tensor is whose sample's. */
#include "layers_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIRST_COLS 1024
#define FIRST_BYTES ((size_t)256 << 10)

static char *map_bytes(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

struct gns_layers *gns_layers_init(enum gns_isa isa)
{
	struct gns_layers *layers = (struct gns_layers *)(void *)map_bytes(sizeof *layers);

	if (!layers)
		return NULL;
	layers->isa = isa;
	layers->kernels = gns_sketch_kernels(isa);
	layers->need_cols = FIRST_COLS;
	layers->need_bytes = FIRST_BYTES;
	if (gns_layers_grow(layers)) {
		gns_layers_free(layers);
		return NULL;
	}
	return layers;
}

static int grow_sketch(struct gns_layers *layers, size_t cols)
{
	struct gns_sketch *larger = gns_sketch_init(cols, layers->isa);

	if (!larger)
		return -ENOMEM;
	gns_sketch_free(layers->sketch);
	layers->sketch = larger;
	layers->sketch_cols = cols;
	return 0;
}

int gns_layers_grow(struct gns_layers *layers)
{
	/* One column of the sketch's scratch is a little more than 1 KiB, of which few pages are ever touched. */
	if (layers->need_cols > GNS_LAYERS_SCRATCH_MAX / 1024 || layers->need_bytes > GNS_LAYERS_SCRATCH_MAX)
		return -ENOMEM;
	if (layers->need_cols > layers->sketch_cols && grow_sketch(layers, layers->need_cols))
		return -ENOMEM;
	if (layers->need_bytes > layers->arena_bytes) {
		const size_t bytes = (layers->need_bytes + layers->need_bytes / 4 + 4095) / 4096 * 4096;
		char *larger = map_bytes(bytes);
		if (!larger)
			return -ENOMEM;
		if (layers->arena)
			munmap(layers->arena, layers->arena_bytes);
		layers->arena = larger;
		layers->arena_bytes = bytes;
	}
	return 0;
}

void gns_layers_free(struct gns_layers *layers)
{
	if (!layers)
		return;
	gns_sketch_free(layers->sketch);
	if (layers->arena)
		munmap(layers->arena, layers->arena_bytes);
	munmap(layers, sizeof *layers);
}

void *gns_arena_take(struct gns_arena *arena, size_t count, size_t item)
{
	const size_t at = arena->used;
	size_t bytes;

	if (__builtin_mul_overflow(count, item, &bytes) || bytes > SIZE_MAX - at - 128)
		arena->used = SIZE_MAX - 256;
	else
		arena->used = at + (bytes + 63) / 64 * 64;
	return arena->used <= arena->layers->arena_bytes ? arena->layers->arena + at : NULL;
}

/* A need beyond what may ever be had is told by gns_layers_grow. */
int gns_arena_check(const struct gns_arena *arena)
{
	if (arena->used <= arena->layers->arena_bytes)
		return 0;
	arena->layers->need_bytes = arena->used;
	return -ENOSPC;
}

int gns_layers_need_cols(struct gns_layers *layers, size_t cols)
{
	if (cols <= layers->sketch_cols)
		return 0;
	layers->need_cols = cols;
	return -ENOSPC;
}

size_t gns_item_size(uint32_t dtype)
{
	return dtype == GNS_F64 || dtype == GNS_I64 ? 8 : dtype == GNS_F32 || dtype == GNS_I32 ? 4 : 2;
}

size_t gns_tensor_count(const struct gns_tensor *t)
{
	size_t count = 1;

	for (unsigned d = 0; d < t->ndim; d++)
		count *= t->size[d];
	return count;
}

bool gns_tensor_is_empty(const struct gns_tensor *t)
{
	return gns_tensor_count(t) == 0;
}

bool gns_tensor_is_sound(const struct gns_tensor *t)
{
	return t && t->ndim <= GNS_TENSOR_DIMS && t->dtype >= GNS_F32 && t->dtype < GNS_DTYPES &&
	       (t->data || gns_tensor_is_empty(t));
}

static void remove_dim(struct gns_tensor *t, unsigned dim)
{
	for (t->ndim--; dim < t->ndim; dim++) {
		t->size[dim] = t->size[dim + 1];
		t->stride[dim] = t->stride[dim + 1];
	}
}

int gns_split(const struct gns_tensor *t, const struct gns_samples *samples, unsigned features, struct gns_tensor *one,
	      ptrdiff_t *step)
{
	const size_t n = samples->n;

	*one = *t;
	if (!n || samples->axis > 1 || t->ndim <= features)
		return -EINVAL;
	if (samples->axis == 1 && t->ndim - features >= 2) {
		if (t->size[1] != n)
			return -EINVAL;
		*step = t->stride[1];
		remove_dim(one, 1);
		return 0;
	}
	if (t->size[0] % n)
		return -EINVAL;
	one->size[0] = t->size[0] / n;
	*step = t->stride[0] * (samples->axis ? 1 : (ptrdiff_t)one->size[0]);
	if (samples->axis)
		one->stride[0] = t->stride[0] * (ptrdiff_t)n;
	if (one->size[0] == 1)
		remove_dim(one, 0);
	return 0;
}
