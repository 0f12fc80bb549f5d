/* Memory: of devices, of the host as far as the driver knows it, and what moves between them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda_private.h"

#define PAGE ((size_t)4096)
#define ALIGN ((size_t)256)
#define FILLED ((size_t)1 << 24) /* bytes of an allocation that begin as NaN */

enum kind { DEVICE, MANAGED, HOST, REGISTERED };

struct range {
	char *base, *map;
	size_t size, mapped;
	struct fake_context *context;
	unsigned long long context_id;
	enum kind kind;
	bool live, pooled; /* of a pool: told as of no context */
};

static size_t most = (size_t)8 << 30; /* of one allocation */
static struct range *ranges; /* by base */
static size_t n_ranges, room;

/* ---- which memory is where; under the lock ---- */

static size_t place_of(const char *address)
{
	size_t low = 0, high = n_ranges;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (ranges[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low; /* the first that begins behind */
}

/* A range that was registered by the host can lie where an earlier one lay: the newest counts. */
static struct range *range_at(const void *address)
{
	struct range *dead = NULL;
	for (size_t i = place_of(address); i-- > 0;) {
		struct range *r = &ranges[i];
		if ((const char *)address < r->base + (r->size ? r->size : 1)) {
			if (r->live)
				return r;
			dead = dead ? dead : r;
		}
		if (r->kind == DEVICE && r->live)
			break;
	}
	return dead;
}

static struct range *add(struct range range)
{
	size_t at = place_of(range.base);
	if (n_ranges == room) {
		room = room ? 2 * room : 256;
		ranges = realloc(ranges, room * sizeof *ranges);
	}
	memmove(ranges + at + 1, ranges + at, (n_ranges - at) * sizeof *ranges);
	n_ranges++;
	range.live = true;
	range.context = fake_current();
	range.context_id = range.context->id;
	ranges[at] = range;
	return &ranges[at];
}

/* Untouchable from now on, and never given out again. */
static void bury(struct range *r)
{
	r->live = false;
	if (r->map) {
		madvise(r->map, r->mapped, MADV_DONTNEED);
		mprotect(r->map, r->mapped, PROT_NONE);
	}
}

void fake_memory_end(struct fake_context *context)
{
	for (size_t i = 0; i < n_ranges; i++)
		if (ranges[i].live && ranges[i].context == context && ranges[i].context_id == context->id) {
			if (ranges[i].kind == REGISTERED)
				ranges[i].live = false;
			else
				bury(&ranges[i]);
		}
}

void fake_memory_name_fault(const void *address, char *text, size_t size)
{
	for (size_t i = 0; i < n_ranges; i++) {
		const struct range *r = &ranges[i];
		const char *a = address;
		if (!r->map || a < r->map || a >= r->map + r->mapped + PAGE)
			continue;
		if (r->live)
			snprintf(text, size, "%td bytes behind an allocation of %zu", a - (r->base + r->size), r->size);
		else
			snprintf(text, size, "at %td in an allocation of %zu that was freed", a - r->base, r->size);
		return;
	}
	snprintf(text, size, "no memory of a device");
}

int gns_fake_check(const void *address, size_t bytes)
{
	struct fake_context *current = fake_current();
	int verdict = GNS_FAKE_FINE;

	fake_lock();
	const struct range *r = range_at(address);
	if (!r)
		verdict = fake.any ? GNS_FAKE_FINE : GNS_FAKE_NO_DEVICE_MEMORY;
	else if (!r->live)
		verdict = GNS_FAKE_FREED;
	else if ((const char *)address + bytes > r->base + r->size)
		verdict = GNS_FAKE_TOO_SHORT;
	else if (r->kind == DEVICE && r->context != current)
		verdict = GNS_FAKE_FOREIGN;
	fake_unlock();
	return verdict;
}

void gns_fake_need(const void *address, size_t bytes, const char *call, const char *what)
{
	static const char *const words[] = { "", "no memory of a device", "freed", "too short", "memory of another context" };
	int verdict = bytes ? gns_fake_check(address, bytes) : GNS_FAKE_FINE;
	if (verdict != GNS_FAKE_FINE)
		gns_fake_die("%s: %s (%p, %zu bytes) is %s", call, what, address, bytes, words[verdict]);
}

/* ---- taking and giving ---- */

static void *take(size_t bytes, enum kind kind)
{
	const size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN, mapped = (rounded + PAGE - 1) / PAGE * PAGE;
	char *map = mmap(NULL, mapped + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED || mprotect(map, mapped, PROT_READ | PROT_WRITE))
		return NULL;
	char *base = map + mapped - rounded;
	if (kind != HOST)
		memset(base, 0xff, rounded < FILLED ? rounded : FILLED);
	fake_lock();
	add((struct range){ .base = base, .map = map, .size = bytes, .mapped = mapped, .kind = kind });
	fake_unlock();
	return base;
}

static CUresult allocate(void **address, size_t bytes, enum kind kind, const char *call)
{
	fake_unsafe(call);
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	*address = bytes <= most ? take(bytes, kind) : NULL;
	return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

void gns_fake_starve(size_t largest)
{
	most = largest;
}

static struct range *owned(const void *address, const char *call)
{
	struct range *r = range_at(address);
	if (!r || (const void *)r->base != address)
		gns_fake_die("%s: %p is no allocation", call, address);
	if (!r->live)
		gns_fake_die("%s: %p was freed before", call, address);
	return r;
}

static CUresult give_back(void *address, const char *call)
{
	fake_unsafe(call);
	fake_lock();
	struct fake_context *context = owned(address, call)->context;
	fake_unlock();
	fake_wait_context(context); /* as cuMemFree does */
	fake_lock();
	bury(owned(address, call));
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	ENTER_CONTEXT();
	*free_bytes = *total = (size_t)8 << 30;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
	void *p = NULL;
	ENTER_CONTEXT();
	CUresult rc = allocate(&p, bytes, DEVICE, "cuMemAlloc");
	*address = (CUdeviceptr)(uintptr_t)p;
	return rc;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
	ENTER();
	return address ? give_back((void *)(uintptr_t)address, "cuMemFree") : CUDA_SUCCESS;
}

CUresult cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned int flags)
{
	void *p = NULL;
	ENTER_CONTEXT();
	CUresult rc = allocate(&p, bytes, MANAGED, "cuMemAllocManaged");
	*address = (CUdeviceptr)(uintptr_t)p;
	return rc;
}

static void bury_later(void *args)
{
	fake_lock();
	bury(owned(*(void **)args, "cuMemFreeAsync"));
	fake_unlock();
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream)
{
	ENTER_CONTEXT();
	fake_lock();
	fake_no_capture(fake_stream_find(stream, "cuMemAllocAsync"), "cuMemAllocAsync (memory nodes are not emulated)");
	fake_unlock();
	void *p = bytes ? take(bytes, DEVICE) : NULL;
	*address = (CUdeviceptr)(uintptr_t)p;
	fake_lock();
	if (p)
		range_at(p)->pooled = true;
	fake_unlock();
	return *address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream)
{
	ENTER_CONTEXT();
	void *p = (void *)(uintptr_t)address;
	struct fake_stream *s = fake_stream_of(stream, "cuMemFreeAsync");
	fake_lock();
	owned(p, "cuMemFreeAsync");
	fake_unlock();
	return (CUresult)fake_submit(s, fake_op_new(NULL, bury_later, &p, sizeof p), "cuMemFreeAsync");
}

CUresult cuMemAllocHost_v2(void **address, size_t bytes)
{
	ENTER_CONTEXT();
	return allocate(address, bytes, HOST, "cuMemAllocHost");
}

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned int flags)
{
	return cuMemAllocHost_v2(address, bytes);
}

CUresult cuMemFreeHost(void *address)
{
	ENTER();
	return give_back(address, "cuMemFreeHost");
}

CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned int flags)
{
	ENTER_CONTEXT();
	fake_unsafe("cuMemHostRegister");
	fake_lock();
	const struct range *r = range_at(address);
	bool taken = r && r->live;
	if (!taken)
		add((struct range){ .base = address, .size = bytes, .kind = REGISTERED });
	fake_unlock();
	return taken ? (CUresult)CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED : CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void *address)
{
	ENTER();
	fake_unsafe("cuMemHostUnregister");
	fake_lock();
	struct range *r = range_at(address);
	bool there = r && r->live && r->kind == REGISTERED;
	if (there)
		r->live = false;
	fake_unlock();
	return there ? CUDA_SUCCESS : (CUresult)CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *address, unsigned int flags)
{
	ENTER_CONTEXT();
	fake_lock();
	const struct range *r = range_at(address);
	bool there = r && r->live && (r->kind == REGISTERED || r->kind == HOST);
	fake_unlock();
	*device = (CUdeviceptr)(uintptr_t)address;
	return there ? CUDA_SUCCESS : (CUresult)CUDA_ERROR_INVALID_VALUE;
}

/* ---- what an address is ---- */

static bool tell(void *value, int attribute, const struct range *r, void *address)
{
	struct fake_context *context = r ? r->context : fake_current();
	const bool on_device = r ? r->kind == DEVICE || r->kind == MANAGED : fake.any;

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext *)value = r && r->pooled ? NULL : (CUcontext)context; return true;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)value = on_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST; return true;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)value = r && r->kind == MANAGED; return true;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = context->device; return true;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
	case CU_POINTER_ATTRIBUTE_HOST_POINTER: *(void **)value = address; return true;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(void **)value = r ? r->base : address; return true;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = r ? r->size : 1; return true;
	default: return false;
	}
}

static const struct range *known(CUdeviceptr address)
{
	const struct range *r = range_at((void *)(uintptr_t)address);
	return r && r->live ? r : NULL;
}

CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr address)
{
	ENTER();
	fake_lock();
	const struct range *r = known(address);
	bool told = (r || fake.any) && tell(value, (int)attribute, r, (void *)(uintptr_t)address);
	fake_unlock();
	return told ? CUDA_SUCCESS : (CUresult)CUDA_ERROR_INVALID_VALUE;
}

/* Of an address that the driver does not know all answers are 0, and that is no error. */
CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes, void **values, CUdeviceptr address)
{
	ENTER();
	fake_lock();
	const struct range *r = known(address);
	for (unsigned i = 0; i < count; i++) {
		switch ((int)attributes[i]) {
		case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)values[i] = -2; break; /* CU_DEVICE_INVALID */
		case CU_POINTER_ATTRIBUTE_CONTEXT: *(void **)values[i] = NULL; break;
		default: *(unsigned *)values[i] = 0; break;
		}
		if ((r || fake.any) && !tell(values[i], (int)attributes[i], r, (void *)(uintptr_t)address)) {
			fake_unlock();
			return CUDA_ERROR_INVALID_VALUE;
		}
	}
	fake_unlock();
	return CUDA_SUCCESS;
}

/* ---- copies ---- */

struct copy {
	void *to;
	const void *from;
	size_t bytes;
	bool staged; /* `from` was the caller's to change: its bytes follow */
};

static void run_copy(void *args)
{
	const struct copy *c = args;
	memmove(c->to, c->staged ? (const void *)(c + 1) : c->from, c->bytes);
}

static bool is_pinned(const void *address)
{
	fake_lock();
	const struct range *r = range_at(address);
	fake_unlock();
	return r && r->live;
}

static void look_at(const void *address, size_t bytes, bool device, const char *call, const char *what)
{
	if (device)
		gns_fake_need(address, bytes, call, what);
}

static CUresult copy(const char *call, int kind, CUstream stream, void *to, const void *from, size_t bytes)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, call);
	struct copy args = { to, from, bytes, kind == 1 && !is_pinned(from) && !s->capture };

	look_at(to, bytes, kind != 2, call, "where it copies to");
	look_at(from, bytes, kind != 1, call, "what it copies");
	struct fake_op *op = fake_op_new("memcpy", run_copy, &args, sizeof args);
	if (args.staged) {
		op->size = sizeof args + bytes;
		op->args = realloc(op->args, op->size);
		memcpy((struct copy *)op->args + 1, from, bytes);
	}
	op->activity.copy = kind;
	op->activity.bytes = bytes;
	fake_submit(s, op, call);
	if (kind == 2 && !is_pinned(to) && !s->capture)
		fake_wait_for(s, s->enqueued);
	return CUDA_SUCCESS;
}

static CUresult copy_now(const char *call, int kind, void *to, const void *from, size_t bytes)
{
	fake_unsafe(call);
	CUresult rc = copy(call, kind, NULL, to, from, bytes);
	if (rc == CUDA_SUCCESS)
		fake_wait_for(fake_current()->legacy, fake_current()->legacy->enqueued);
	return rc;
}

static int kind_of(const void *to, const void *from)
{
	bool to_device = gns_fake_check(to, 1) == GNS_FAKE_FINE, from_device = gns_fake_check(from, 1) == GNS_FAKE_FINE;
	return to_device && from_device ? 3 : to_device ? 1 : 2;
}

#define AT(address) ((void *)(uintptr_t)(address))

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
	return copy_now("cuMemcpy", kind_of(AT(to), AT(from)), AT(to), AT(from), bytes);
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	return copy("cuMemcpyAsync", kind_of(AT(to), AT(from)), stream, AT(to), AT(from), bytes);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
	return copy_now("cuMemcpyHtoD", 1, AT(to), from, bytes);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
	return copy_now("cuMemcpyDtoH", 2, to, AT(from), bytes);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
	return copy_now("cuMemcpyDtoD", 3, AT(to), AT(from), bytes);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
	return copy("cuMemcpyHtoDAsync", 1, stream, AT(to), from, bytes);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	return copy("cuMemcpyDtoHAsync", 2, stream, to, AT(from), bytes);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	return copy("cuMemcpyDtoDAsync", 3, stream, AT(to), AT(from), bytes);
}

/* ---- fills ---- */

struct fill {
	char *to;
	uint32_t value;
	unsigned size;
	size_t n;
};

static void run_fill(void *args)
{
	const struct fill *f = args;
	for (size_t i = 0; i < f->n; i++)
		memcpy(f->to + i * f->size, &f->value, f->size);
}

static CUresult fill(const char *call, CUstream stream, CUdeviceptr to, uint32_t value, unsigned size, size_t n)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, call);
	struct fill f = { AT(to), value, size, n };
	gns_fake_need(f.to, n * size, call, "what it fills");
	struct fake_op *op = fake_op_new("memset", run_fill, &f, sizeof f);
	op->activity.bytes = n * size;
	return (CUresult)fake_submit(s, op, call);
}

#define MEMSET(bits, type)                                                                             \
	CUresult cuMemsetD##bits##Async(CUdeviceptr to, type value, size_t n, CUstream stream)         \
	{                                                                                              \
		return fill("cuMemsetD" #bits "Async", stream, to, value, bits / 8, n);                \
	}                                                                                              \
	CUresult cuMemsetD##bits##_v2(CUdeviceptr to, type value, size_t n)                            \
	{                                                                                              \
		fake_unsafe("cuMemsetD" #bits);                                                        \
		return fill("cuMemsetD" #bits, NULL, to, value, bits / 8, n);                          \
	}
MEMSET(8, unsigned char)
MEMSET(16, unsigned short)
MEMSET(32, unsigned int)
