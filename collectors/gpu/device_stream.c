/* The streams of a set: each owns the slots that were taken for it, and its place in a capture is the set's. */
#include <errno.h>

#include "device_private.h"

/* The same stream, whatever it is called: NULL is the legacy stream, the per-thread one is another in every thread, and a handle
 * can come back for another stream after the first was destroyed. Before CUDA 12.0 only the handle can be looked at. */
static bool identify(const struct gns_driver *driver, CUstream handle, unsigned long long *id)
{
	if (driver->stream_get_id)
		return driver->stream_get_id(handle, id) == CUDA_SUCCESS;
	*id = (uintptr_t)handle <= 1 ? 1 : (uintptr_t)handle;
	return handle != CU_STREAM_PER_THREAD;
}

static struct gns_set_stream *find(struct gns_set *set, unsigned long long id)
{
	for (unsigned i = 0; i < set->n_streams; i++)
		if (set->streams[i].id == id)
			return &set->streams[i];
	return NULL;
}

struct gns_set_stream *gns_set_stream_of(struct gns_set *set, void *stream, int *rc)
{
	const struct gns_driver *driver = set->device->driver;
	CUcontext current = NULL;
	unsigned long long id;
	uint64_t capture;

	*rc = -EIO;
	if (!gns_device_ready(set->device) || set->state != GNS_SET_OPEN)
		return NULL;
	*rc = -EXDEV;
	if (driver->ctx_get_current(&current) != CUDA_SUCCESS || current != atomic_load_explicit(&set->device->context, memory_order_relaxed)) {
		GNS_DEVICE_COUNT(refused_streams);
		return NULL;
	}
	if (gns_driver_capture(driver, (CUstream)stream, &capture) == GNS_CAPTURE_CLOSED || capture != set->capture) {
		GNS_DEVICE_COUNT(refused_capture);
		return NULL;
	}
	struct gns_set_stream *s = identify(driver, (CUstream)stream, &id) ? find(set, id) : NULL;
	if (s)
		return s;
	if (set->n_streams == GNS_SET_STREAMS || !identify(driver, (CUstream)stream, &id)) {
		GNS_DEVICE_COUNT(refused_streams);
		return NULL;
	}
	s = &set->streams[set->n_streams];
	*s = (struct gns_set_stream){ .handle = (CUstream)stream, .id = id };
	set->n_streams++;
	return s;
}
