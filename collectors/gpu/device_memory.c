/* The memory of a context, taken once: slots, scratch by stream, memory that sets keep, and host memory that outlives the driver.
 *
 * Scratch is cut into regions of sixteenths: 6 for the first stream, 2 for the first captured one, four times 1 for others, and 4 go
 * to what sets keep. A region is a stream's as long as a set that has work in it is not free again, so that two streams never share
 * one; one that a capture took is the graph's for ever, as nobody knows where it will be replayed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device_private.h"

#define MIB ((size_t)1 << 20)
#define DEFAULT_MIB 64
#define LEAST_MIB 8
#define MOST_MIB 4096
#define PARTS 16u
#define CAPTURE_REGION 1u
#define ALIGN 256u

static const unsigned parts[GNS_REGIONS] = { 6, 2, 1, 1, 1, 1 };

static size_t scratch_bytes(void)
{
	const char *text = getenv("GNS_DEVICE_SCRATCH_MIB");
	char *end;
	unsigned long mib = text ? strtoul(text, &end, 10) : DEFAULT_MIB;
	if (text && (end == text || *end || mib < LEAST_MIB || mib > MOST_MIB))
		mib = DEFAULT_MIB;
	return mib * MIB;
}

/* Shared, not private: after a fork a page of ours that is written to would no longer be the one that the device writes to. */
static void *host_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void place_set(struct gns_device *device, unsigned i)
{
	struct gns_set *set = &device->sets[i];
	const size_t words = i * sizeof *set->words, ring = GNS_SETS * sizeof *set->words + i * GNS_SET_RING * GNS_SET_BYTES;

	set->device = device;
	set->slots = (double *)(uintptr_t)(device->memory + i * GNS_SET_BYTES);
	set->gates_device = device->memory + GNS_SETS * GNS_SET_BYTES + i * GNS_SET_STREAMS * GNS_GATE_BYTES;
	set->words = (struct gns_set_words *)(device->host + words);
	set->words_device = device->host_device + words;
	set->host = (double *)(device->host + ring);
	set->host_device = device->host_device + ring;
}

static void place_regions(struct gns_device *device, size_t at, size_t scratch)
{
	for (unsigned i = 0; i < GNS_REGIONS; i++) {
		device->regions[i] = (struct gns_region){ .at = at, .size = scratch / PARTS * parts[i] };
		at += device->regions[i].size;
	}
	device->keep_at = at;
	device->keep_block = scratch / PARTS * 4 / GNS_KEEP_BLOCKS;
}

static CUresult make_streams(struct gns_device *device)
{
	CUresult rc = device->driver->stream_create(&device->stream, CU_STREAM_NON_BLOCKING);
	for (unsigned i = 0; i < GNS_SETS; i++)
		for (unsigned k = 0; rc == CUDA_SUCCESS && k < GNS_SET_STREAMS; k++)
			rc = device->driver->event_create(&device->sets[i].events[k], CU_EVENT_DISABLE_TIMING);
	return rc;
}

CUresult gns_device_take_memory(struct gns_device *device)
{
	const struct gns_driver *driver = device->driver;
	const size_t scratch = scratch_bytes(), fixed = GNS_SETS * (GNS_SET_BYTES + GNS_SET_STREAMS * GNS_GATE_BYTES);
	CUresult rc = driver->mem_alloc(&device->memory, fixed + scratch);

	if (rc != CUDA_SUCCESS)
		return rc;
	device->memory_size = fixed + scratch;
	device->host_size = GNS_SETS * (sizeof(struct gns_set_words) + GNS_SET_RING * GNS_SET_BYTES);
	device->host = host_pages(device->host_size);
	rc = device->host ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	if (rc == CUDA_SUCCESS)
		rc = driver->mem_host_register(device->host, device->host_size, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
	if (rc != CUDA_SUCCESS)
		goto fail;
	rc = driver->mem_host_get_device_pointer(&device->host_device, device->host, 0);
	if (rc == CUDA_SUCCESS)
		rc = make_streams(device);
	if (rc != CUDA_SUCCESS) {
		driver->mem_host_unregister(device->host);
		goto fail;
	}
	for (unsigned i = 0; i < GNS_SETS; i++)
		place_set(device, i);
	place_regions(device, fixed, scratch);
	atomic_fetch_add_explicit(&gns_device_counts.bytes, device->memory_size, memory_order_relaxed);
	return CUDA_SUCCESS;
fail:
	if (device->host)
		munmap(device->host, device->host_size);
	device->host = NULL;
	driver->mem_free(device->memory);
	return rc;
}

void gns_device_drop_host(struct gns_device *device)
{
	if (device->host)
		munmap(device->host, device->host_size);
	device->host = NULL;
}

static struct gns_region *captured_region(struct gns_device *device)
{
	struct gns_region *reserved = &device->regions[CAPTURE_REGION];
	if (!reserved->captured)
		return reserved;
	for (unsigned i = GNS_REGIONS - 1; i > CAPTURE_REGION; i--)
		if (!device->regions[i].captured && !device->regions[i].sets)
			return &device->regions[i];
	return NULL;
}

/* The stream's own; else one that nobody had yet; else one that nobody has now, the big one last. */
static struct gns_region *eager_region(struct gns_device *device, unsigned long long stream)
{
	struct gns_region *fresh = NULL, *idle = NULL;
	for (unsigned i = 0; i < GNS_REGIONS; i++) {
		struct gns_region *r = &device->regions[i];
		if (i == CAPTURE_REGION || r->captured)
			continue;
		if (r->used && r->stream == stream)
			return r;
		if (!r->used && !fresh)
			fresh = r;
		if (!r->sets)
			idle = r;
	}
	return fresh ? fresh : idle;
}

static struct gns_region *take_region(struct gns_set *set, unsigned long long stream)
{
	struct gns_device *device = set->device;

	if (!gns_lock_take(&device->lock))
		return NULL;
	struct gns_region *r = set->capture ? captured_region(device) : eager_region(device, stream);
	if (r) {
		r->captured = set->capture != 0;
		r->used = true;
		r->stream = stream;
		r->sets++;
	}
	gns_lock_release(&device->lock);
	return r;
}

void *gns_set_scratch(struct gns_set *set, void *stream, size_t *size)
{
	int rc;
	struct gns_set_stream *s = gns_set_stream_of(set, stream, &rc);

	*size = 0;
	if (!s)
		return NULL;
	if (!s->region)
		s->region = take_region(set, s->id);
	if (!s->region) {
		GNS_DEVICE_COUNT(refused_scratch);
		return NULL;
	}
	*size = s->region->size;
	return (void *)(uintptr_t)(set->device->memory + s->region->at);
}

static bool take_blocks(struct gns_set *set, size_t bytes)
{
	struct gns_device *device = set->device;
	const size_t n = (bytes + device->keep_block - 1) / device->keep_block;
	size_t run = 0;
	bool found = false;

	if (!gns_lock_take(&device->lock))
		return false;
	for (size_t i = 0; i < GNS_KEEP_BLOCKS && !found; i++) {
		run = device->keeper[i] ? 0 : run + 1;
		found = run == n;
		if (!found)
			continue;
		for (size_t k = i + 1 - n; k <= i; k++)
			device->keeper[k] = set;
		set->keep_at = device->keep_at + (i + 1 - n) * device->keep_block;
		set->keep_end = set->keep_at + n * device->keep_block;
	}
	gns_lock_release(&device->lock);
	return found;
}

void *gns_set_keep(struct gns_set *set, size_t bytes)
{
	if (!gns_device_ready(set->device) || set->state != GNS_SET_OPEN || bytes > SIZE_MAX - ALIGN)
		return NULL;
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (bytes == 0)
		bytes = ALIGN;
	if (bytes > set->keep_end - set->keep_at && !take_blocks(set, bytes)) {
		GNS_DEVICE_COUNT(refused_scratch);
		return NULL;
	}
	void *kept = (void *)(uintptr_t)(set->device->memory + set->keep_at);
	set->keep_at += bytes;
	return kept;
}

void gns_device_let_go(struct gns_set *set)
{
	struct gns_device *device = set->device;
	for (unsigned i = 0; i < set->n_streams; i++)
		if (set->streams[i].region)
			set->streams[i].region->sets--;
	for (unsigned i = 0; i < GNS_KEEP_BLOCKS; i++)
		if (device->keeper[i] == set)
			device->keeper[i] = NULL;
	set->keep_at = set->keep_end = 0;
}
