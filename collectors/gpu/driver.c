/* Finds the driver, and puts two of its questions in our words. */
#include "driver.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "profiler/shim/process/lock.h"

#define LIBRARY "libcuda.so.1"
#define LOOK_EVERY 64 /* calls, while there is no driver */

enum { UNKNOWN = 0, LOOKING, FOUND, UNFIT };

static struct {
	_Atomic int state;
	_Atomic uint32_t asked;
	struct gns_driver table;
} found;

static bool resolve(void *library, struct gns_driver *table)
{
	bool all = true;
#define NEEDED(member, symbol, parameters) \
	table->member = (CUresult(*) parameters)dlsym(library, #symbol); \
	all = all && table->member;
#define WISHED(member, symbol, parameters) table->member = (CUresult(*) parameters)dlsym(library, #symbol);
	GNS_DRIVER_NEEDED(NEEDED)
	GNS_DRIVER_WISHED(WISHED)
#undef NEEDED
#undef WISHED
	dlerror(); /* what failed here is none of the trainer's */
	return all;
}

/* The handle is kept: the driver must not be unmapped while we have its addresses. */
static int look(void)
{
	void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_NOLOAD);
	if (!library) {
		dlerror();
		return UNKNOWN;
	}
	return resolve(library, &found.table) ? FOUND : UNFIT;
}

const struct gns_driver *gns_driver(void)
{
	int state = atomic_load_explicit(&found.state, memory_order_acquire);
	if (state == UNKNOWN && atomic_fetch_add_explicit(&found.asked, 1, memory_order_relaxed) % LOOK_EVERY == 0 &&
	    atomic_compare_exchange_strong(&found.state, &state, LOOKING)) {
		sigset_t signals;
		gns_undisturbed_begin(&signals);
		state = look();
		gns_undisturbed_end(&signals);
		atomic_store_explicit(&found.state, state, memory_order_release);
	}
	return state == FOUND ? &found.table : NULL;
}

const struct gns_driver *gns_driver_found(void)
{
	return atomic_load_explicit(&found.state, memory_order_acquire) == FOUND ? &found.table : NULL;
}

const void *gns_driver_symbol(void)
{
	const struct gns_driver *driver = gns_driver();
	return driver ? (const void *)(uintptr_t)driver->launch_kernel : NULL;
}

CUstreamCaptureMode gns_driver_relax(const struct gns_driver *driver)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	driver->thread_exchange_capture_mode(&mode);
	return mode;
}

void gns_driver_restore(const struct gns_driver *driver, CUstreamCaptureMode before)
{
	driver->thread_exchange_capture_mode(&before);
}

/* Without cuStreamGetCaptureInfo_v2 two captures that follow each other cannot be told apart: then none is joined. */
enum gns_capture_state gns_driver_capture(const struct gns_driver *driver, CUstream stream, uint64_t *id)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUresult rc;

	*id = 0;
	if (driver->capture_info_2)
		rc = driver->capture_info_2(stream, &status, id, NULL, NULL, NULL);
	else
		rc = driver->stream_is_capturing(stream, &status);
	if (rc != CUDA_SUCCESS)
		return GNS_CAPTURE_CLOSED;
	if (status == CU_STREAM_CAPTURE_STATUS_NONE) {
		*id = 0;
		return GNS_EAGER;
	}
	return status == CU_STREAM_CAPTURE_STATUS_ACTIVE && *id ? GNS_CAPTURED : GNS_CAPTURE_CLOSED;
}
