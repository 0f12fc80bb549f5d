/* Sets: slots for a step's results, and how they come back. */
#include <errno.h>
#include <string.h>

#include "device_private.h"

static bool is_taken(const uint64_t chunks[GNS_CHUNK_WORDS], unsigned chunk)
{
	return chunks[chunk / 64] >> chunk % 64 & 1;
}

/* ---- states; under the device's lock ---- */

static bool is_delivered(const struct gns_set *set)
{
	return __atomic_load_n(&set->words->done[0], __ATOMIC_ACQUIRE) == set->number;
}

static void become_free(struct gns_set *set)
{
	gns_device_let_go(set);
	set->state = GNS_SET_FREE;
	set->released = false;
	set->n_streams = 0;
}

static struct gns_set *take_free(struct gns_device *device, bool captured)
{
	struct gns_set *free = NULL;
	unsigned graphs = 0;

	for (unsigned i = 0; i < GNS_SETS; i++) {
		struct gns_set *set = &device->sets[i];
		if (set->state == GNS_SET_FINISHED && set->released && !set->capture && is_delivered(set))
			become_free(set);
		if (set->state == GNS_SET_FREE && !free)
			free = set;
		graphs += set->state != GNS_SET_FREE && set->capture;
	}
	if (!free || (captured && graphs >= GNS_SETS_CAPTURED))
		return NULL;
	free->state = GNS_SET_OPEN;
	return free;
}

/* ---- a set's work ---- */

int gns_set_begin(struct gns_device *device, void *stream, struct gns_set **out)
{
	uint64_t capture;

	*out = NULL;
	if (!device || !gns_device_ready(device))
		return -EIO;
	if (gns_driver_capture(device->driver, (CUstream)stream, &capture) == GNS_CAPTURE_CLOSED ||
	    (capture && !device->driver->graph_add_kernel_node)) {
		GNS_DEVICE_COUNT(refused_capture);
		return -EXDEV;
	}
	struct gns_set *set = NULL;
	if (gns_lock_take(&device->lock)) {
		set = take_free(device, capture != 0);
		gns_lock_release(&device->lock);
	}
	if (!set) {
		if (capture)
			GNS_DEVICE_COUNT(refused_capture);
		else
			GNS_DEVICE_COUNT(refused_busy);
		return -EBUSY;
	}
	set->capture = capture;
	set->number++;
	set->chunks = 0;
	if (capture) {
		GNS_DEVICE_COUNT(captures);
		memset(set->words, 0, sizeof *set->words);
		__atomic_store_n(&set->words->gate, 1, __ATOMIC_RELEASE);
	}
	*out = set;
	return 0;
}

/* A stream of a graph that has done nothing yet reads its gate first. */
static int begin_stream(struct gns_set *set, struct gns_set_stream *s)
{
	if (!set->capture || s->worked)
		return 0;
	const struct gns_cu_gate gate = { .host = &gns_set_words_there(set)->gate, .gate = gns_set_gate_of(set, gns_set_index(set, s)) };
	s->worked = true;
	return gns_device_launch(set->device, s->handle, "gns_gate", (const uint32_t[3]){ 1, 1, 1 }, 32, &gate);
}

/* What a set's streams did is known to its delivery by events, recorded while the caller's streams are surely there. */
static int mark(struct gns_set *set, struct gns_set_stream *s)
{
	if (set->capture)
		return 0;
	CUresult rc = set->device->driver->event_record(set->events[gns_set_index(set, s)], s->handle);
	if (rc != CUDA_SUCCESS)
		return gns_device_failed(set->device, rc);
	s->worked = true;
	return 0;
}

/* A delivery leaves zeros. In a graph they are also written anew, as nobody knows how its last replay ended. */
static int take_chunk(struct gns_set *set, struct gns_set_stream *s)
{
	const unsigned chunk = set->chunks;
	if (chunk == GNS_CHUNKS) {
		GNS_DEVICE_COUNT(refused_slots);
		return -ENOSPC;
	}
	if (set->capture || !is_taken(set->clean, chunk)) {
		CUdeviceptr at = (CUdeviceptr)(uintptr_t)(set->slots + chunk * GNS_SET_CHUNK);
		CUresult rc = set->device->driver->memset_d8_async(at, 0, GNS_SET_CHUNK * sizeof(double), s->handle);
		if (rc != CUDA_SUCCESS)
			return gns_device_failed(set->device, rc);
		if (mark(set, s))
			return -EIO;
	}
	set->chunks++;
	s->chunks[chunk / 64] |= 1ull << chunk % 64;
	s->next = chunk * GNS_SET_CHUNK;
	s->end = s->next + GNS_SET_CHUNK;
	return 0;
}

int gns_set_slot(struct gns_set *set, void *stream, unsigned n, uint32_t *slot)
{
	int rc;
	struct gns_set_stream *s = gns_set_stream_of(set, stream, &rc);

	if (!s)
		return rc;
	if (n == 0 || n > GNS_SET_CHUNK)
		return -EINVAL;
	rc = begin_stream(set, s);
	if (!rc && s->end - s->next < n)
		rc = take_chunk(set, s);
	if (rc)
		return rc;
	*slot = s->next;
	s->next += n;
	return 0;
}

double *gns_set_out(const struct gns_set *set, uint32_t slot)
{
	return set->slots + slot;
}

struct gns_device *gns_set_device(const struct gns_set *set)
{
	return set->device;
}

bool gns_set_captured(const struct gns_set *set)
{
	return set->capture != 0;
}

const uint32_t *gns_set_gate(const struct gns_set *set, void *stream)
{
	int rc;
	struct gns_set_stream *s = set->capture ? gns_set_stream_of((struct gns_set *)set, stream, &rc) : NULL;
	return s ? gns_set_gate_of(set, gns_set_index(set, s)) : NULL;
}

int gns_set_launch(struct gns_set *set, void *stream, const struct gns_cu_plan *plan)
{
	int rc;
	struct gns_set_stream *s = gns_set_stream_of(set, stream, &rc);

	if (!s)
		return rc;
	rc = begin_stream(set, s);
	for (unsigned k = 0; !rc && k < plan->launches; k++) {
		const struct gns_cu_launch *l = &plan->launch[k];
		rc = gns_device_launch(set->device, s->handle, l->kernel, l->grid, l->block, &l->args);
	}
	return rc ? rc : mark(set, s);
}

/* ---- delivery ---- */

static int deliver_eager(struct gns_set *set)
{
	const struct gns_driver *driver = set->device->driver;
	struct gns_set_words *words = gns_set_words_there(set);
	struct gns_cu_deliver deliver = {
		.slots = set->slots, .host = (double *)(uintptr_t)set->host_device, .done = &words->done[0], .number = set->number,
	};

	for (unsigned i = 0; i < set->n_streams; i++) {
		for (unsigned w = 0; w < GNS_CHUNK_WORDS; w++)
			deliver.chunks[w] |= set->streams[i].chunks[w];
		CUresult rc = set->streams[i].worked ? driver->stream_wait_event(set->device->stream, set->events[i], 0) : CUDA_SUCCESS;
		if (rc != CUDA_SUCCESS)
			return gns_device_failed(set->device, rc);
	}
	int rc = gns_device_launch(set->device, set->device->stream, GNS_DELIVER, (const uint32_t[3]){ 1, 1, 1 }, GNS_CU_THREADS, &deliver);
	if (!rc)
		for (unsigned w = 0; w < GNS_CHUNK_WORDS; w++)
			set->clean[w] |= deliver.chunks[w];
	return rc;
}

static int deliver_in_context(struct gns_set *set)
{
	struct gns_device *device = set->device;
	const CUcontext own = atomic_load_explicit(&device->context, memory_order_relaxed);
	CUcontext current = NULL, left;

	if (device->driver->ctx_get_current(&current) != CUDA_SUCCESS)
		return -EIO;
	if (current != own && device->driver->ctx_push_current(own) != CUDA_SUCCESS)
		return -EIO;
	int rc = set->capture ? gns_set_deliver_captured(set) : deliver_eager(set);
	if (current != own)
		device->driver->ctx_pop_current(&left);
	return rc;
}

int gns_set_finish(struct gns_set *set)
{
	if (set->state != GNS_SET_OPEN)
		return set->state == GNS_SET_FINISHED ? 0 : -EIO;
	int rc = gns_device_ready(set->device) ? deliver_in_context(set) : -EIO;
	if (!gns_lock_take(&set->device->lock))
		return -EIO;
	set->state = rc ? GNS_SET_LOST : GNS_SET_FINISHED;
	gns_lock_release(&set->device->lock);
	return rc;
}

static bool has_work(const struct gns_set *set)
{
	for (unsigned i = 0; i < set->n_streams; i++)
		if (set->streams[i].worked)
			return true;
	return false;
}

uint64_t gns_set_delivered(const struct gns_set *set)
{
	uint64_t least = UINT64_MAX;

	if (set->state != GNS_SET_FINISHED)
		return 0;
	if (!set->capture)
		return is_delivered(set);
	for (unsigned i = 0; i < set->n_streams; i++)
		if (set->streams[i].worked) {
			uint64_t done = __atomic_load_n(&set->words->done[i], __ATOMIC_ACQUIRE);
			least = done < least ? done : least;
		}
	return has_work(set) ? least : 0;
}

static bool is_overwritten(const struct gns_set *set, uint64_t which)
{
	for (unsigned i = 0; set->capture && i < set->n_streams; i++)
		if (__atomic_load_n(&set->words->begun[i], __ATOMIC_ACQUIRE) >= which + GNS_SET_RING)
			return true;
	return false;
}

const double *gns_set_values(const struct gns_set *set, uint64_t which)
{
	if (which == 0 || which > gns_set_delivered(set) || is_overwritten(set, which))
		return NULL;
	return set->host + (set->capture ? (which - 1) % GNS_SET_RING * GNS_SET_SLOTS : 0);
}

bool gns_set_was_open(const struct gns_set *set, uint64_t which)
{
	for (unsigned i = 0; set->capture && i < set->n_streams; i++)
		if (set->streams[i].worked && !__atomic_load_n(&set->words->open[i][(which - 1) % GNS_SET_RING], __ATOMIC_ACQUIRE))
			return false;
	return true;
}

void gns_set_open_gate(struct gns_set *set, bool open)
{
	if (set->capture && set->state != GNS_SET_LOST)
		__atomic_store_n(&set->words->gate, open, __ATOMIC_RELEASE);
}

void gns_set_release(struct gns_set *set)
{
	const bool unused = set->state == GNS_SET_OPEN && !has_work(set);

	if (set->state == GNS_SET_OPEN && !set->capture && !unused)
		gns_set_finish(set);
	if (!gns_lock_take(&set->device->lock))
		return;
	set->released = true;
	if (unused || (set->state == GNS_SET_FINISHED && !set->capture && is_delivered(set)))
		become_free(set);
	gns_lock_release(&set->device->lock);
}
