/* Contexts: which are known, which one is current, why one is not used. */
#include <string.h>

#include "device_private.h"
#include "image.h"
#include "on.h"

static struct gns_device devices[GNS_DEVICES_MAX];

static struct gns_device *say_no(enum gns_device_off reason, enum gns_device_off *why)
{
	if (why)
		*why = reason;
	if (reason != GNS_DEVICE_NO_DRIVER && reason != GNS_DEVICE_NO_CONTEXT)
		atomic_store_explicit(&gns_device_counts.off, (int)reason, memory_order_relaxed);
	return NULL;
}

/* A context that was destroyed can come back as another one at the same address: its id tells. */
static unsigned long long id_of(const struct gns_driver *driver, CUcontext context)
{
	unsigned long long id = 0;
	if (driver->ctx_get_id && driver->ctx_get_id(context, &id) != CUDA_SUCCESS)
		id = 0;
	return id;
}

/* Nobody holds results of it any more: what is held must stay readable although the context has gone. */
static bool is_forsaken(const struct gns_device *device)
{
	for (unsigned i = 0; i < GNS_SETS; i++)
		if (device->sets[i].state != GNS_SET_FREE && !device->sets[i].released)
			return false;
	return true;
}

static struct gns_device *free_entry(void)
{
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++) {
		int expected = GNS_DEVICE_FREE;
		if (atomic_compare_exchange_strong(&devices[i].state, &expected, GNS_DEVICE_MAKING))
			return &devices[i];
		if (expected == GNS_DEVICE_GONE && is_forsaken(&devices[i]) &&
		    atomic_compare_exchange_strong(&devices[i].state, &expected, GNS_DEVICE_MAKING)) {
			gns_device_drop_host(&devices[i]);
			return &devices[i];
		}
	}
	return NULL;
}

static enum gns_device_off reason_of(CUresult rc)
{
	switch ((int)rc) {
	case CUDA_SUCCESS: return GNS_DEVICE_ON;
	case CUDA_ERROR_OUT_OF_MEMORY: return GNS_DEVICE_NO_MEMORY;
	case CUDA_ERROR_INVALID_IMAGE:
	case CUDA_ERROR_NO_BINARY_FOR_GPU:
	case CUDA_ERROR_INVALID_PTX:
	case CUDA_ERROR_NOT_FOUND: return GNS_DEVICE_NO_IMAGE;
	default: return GNS_DEVICE_FAILED;
	}
}

static enum gns_device_off fill(struct gns_device *device)
{
	const struct gns_driver *driver = device->driver;
	int version;
	if (driver->driver_get_version(&version) == CUDA_SUCCESS)
		atomic_store_explicit(&gns_device_counts.driver_version, version, memory_order_relaxed);
	CUresult rc = driver->ctx_get_device(&device->number);
	if (rc == CUDA_SUCCESS)
		rc = driver->device_get_attribute(&device->sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device->number);
	if (rc == CUDA_SUCCESS)
		rc = gns_device_load(device);
	if (rc == CUDA_SUCCESS)
		rc = gns_device_take_memory(device);
	if (reason_of(rc) == GNS_DEVICE_FAILED)
		gns_device_failed(device, rc);
	return reason_of(rc);
}

static struct gns_device *find(const struct gns_driver *driver, CUcontext context, unsigned long long *id)
{
	*id = id_of(driver, context);
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++) {
		int state = atomic_load_explicit(&devices[i].state, memory_order_acquire);
		if (state == GNS_DEVICE_FREE)
			return NULL;
		if ((state != GNS_DEVICE_READY && state != GNS_DEVICE_CLOSED) ||
		    atomic_load_explicit(&devices[i].context, memory_order_relaxed) != context)
			continue;
		if (devices[i].id == *id)
			return &devices[i];
		atomic_compare_exchange_strong(&devices[i].state, &state, GNS_DEVICE_GONE);
	}
	return NULL;
}

/* Relaxed for the while: what we allocate here is no part of any graph, and must not break one that another stream is captured into. */
static struct gns_device *make(const struct gns_driver *driver, CUcontext context, unsigned long long id, enum gns_device_off *why)
{
	static _Atomic bool making;
	CUstreamCaptureStatus status;
	bool nobody = false;

	/* Never wait for another thread: what it waits for may be a kernel that waits for one of ours. */
	if (!atomic_compare_exchange_strong(&making, &nobody, true))
		return say_no(GNS_DEVICE_CAPTURING, why);
	enum gns_device_off off = GNS_DEVICE_ON;
	struct gns_device *device = find(driver, context, &id);
	if (device) /* made by another thread since we looked */
		goto out;
	off = GNS_DEVICE_CAPTURING;
	if ((int)driver->stream_is_capturing(NULL, &status) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)
		goto out;
	off = GNS_DEVICE_TOO_MANY;
	device = free_entry();
	if (!device)
		goto out;
	memset(device, 0, sizeof *device);
	atomic_store(&device->state, GNS_DEVICE_MAKING);
	device->lock.slow = true;
	device->driver = driver;
	device->id = id;
	CUstreamCaptureMode before = gns_driver_relax(driver);
	off = gns_cuda_image_size ? fill(device) : GNS_DEVICE_NO_IMAGE;
	gns_driver_restore(driver, before);
	atomic_store_explicit(&device->off, (int)off, memory_order_relaxed);
	atomic_store_explicit(&device->context, context, memory_order_relaxed);
	atomic_store_explicit(&device->state, off == GNS_DEVICE_ON ? GNS_DEVICE_READY : GNS_DEVICE_CLOSED, memory_order_release);
	if (off == GNS_DEVICE_ON)
		GNS_DEVICE_COUNT(devices);
out:
	atomic_store(&making, false);
	return off == GNS_DEVICE_ON && gns_device_ready(device) ? device : say_no(device && off == GNS_DEVICE_ON ? (enum gns_device_off)atomic_load(&device->off) : off, why);
}

struct gns_device *gns_device_current(enum gns_device_off *why)
{
	const struct gns_driver *driver = gns_cuda_on() ? gns_driver() : NULL;
	CUcontext context = NULL;
	unsigned long long id;

	if (why)
		*why = GNS_DEVICE_ON;
	if (!driver)
		return say_no(GNS_DEVICE_NO_DRIVER, why);
	if (driver->ctx_get_current(&context) != CUDA_SUCCESS || !context)
		return say_no(GNS_DEVICE_NO_CONTEXT, why);
	struct gns_device *device = find(driver, context, &id);
	if (!device)
		return make(driver, context, id, why);
	return gns_device_ready(device) ? device : say_no((enum gns_device_off)atomic_load(&device->off), why);
}

/* Memory of another context, or of a device without peer access, would be a fault of the trainer's context to read. */
bool gns_device_owns(const void *address)
{
	const struct gns_driver *driver = gns_cuda_on() ? gns_driver() : NULL;
	CUcontext current = NULL, context = NULL;
	CUdevice number = -1;
	unsigned type = 0, managed = 0;
	int ordinal = -1;
	CUpointer_attribute which[] = { CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
					CU_POINTER_ATTRIBUTE_CONTEXT };
	void *answers[] = { &type, &managed, &ordinal, &context };

	if (!driver || !address || driver->ctx_get_current(&current) != CUDA_SUCCESS || !current ||
	    driver->pointer_get_attributes(4, which, answers, (CUdeviceptr)(uintptr_t)address) != CUDA_SUCCESS)
		return false;
	if (managed)
		return true;
	return type == CU_MEMORYTYPE_DEVICE && driver->ctx_get_device(&number) == CUDA_SUCCESS && ordinal == number &&
	       (!context || context == current);
}

bool gns_device_capturing(void *stream)
{
	const struct gns_driver *driver = gns_cuda_on() ? gns_driver() : NULL;
	uint64_t id;
	return driver && gns_driver_capture(driver, (CUstream)stream, &id) == GNS_CAPTURED;
}

bool gns_device_enter(void *stream, void **token)
{
	const struct gns_driver *driver = gns_cuda_on() ? gns_driver() : NULL;
	CUcontext current = NULL, wanted = NULL;

	*token = NULL;
	if (!driver || driver->ctx_get_current(&current) != CUDA_SUCCESS)
		return false;
	if ((uintptr_t)stream <= (uintptr_t)CU_STREAM_PER_THREAD)
		return current != NULL;
	if (!driver->stream_get_ctx || driver->stream_get_ctx((CUstream)stream, &wanted) != CUDA_SUCCESS || !wanted)
		return false;
	if (wanted == current)
		return true;
	if (driver->ctx_push_current(wanted) != CUDA_SUCCESS)
		return false;
	*token = wanted;
	return true;
}

void gns_device_leave(void *token)
{
	CUcontext left;
	if (token)
		gns_driver()->ctx_pop_current(&left);
}

/* The memory is the parent's: its results must not be seen here, its addresses in a context mean nothing. */
void gns_device_forget(void)
{
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++)
		if (atomic_load(&devices[i].state) != GNS_DEVICE_FREE) {
			atomic_store(&devices[i].state, GNS_DEVICE_GONE);
			devices[i].lock = (struct gns_lock){ .slow = true }; /* another thread may have held it */
			for (unsigned k = 0; k < GNS_SETS; k++)
				devices[i].sets[k].state = GNS_SET_LOST;
		}
}
