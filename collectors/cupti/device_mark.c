/* A mark on a device's timeline. */
#include <errno.h>

#include "cupti.h"
#include "collectors/gpu/device_private.h"

int gns_device_mark(struct gns_device *device, void *stream, uint64_t step)
{
	const struct gns_driver *driver = device->driver;
	CUcontext context = atomic_load(&device->context), current = NULL;
	static const char name[24] = "gns_mark";
	const struct gns_cu_mark args = { step };
	const uint32_t grid[3] = { 1, 1, 1 };
	uint64_t id;
	int rc;

	if (!gns_device_ready(device) || driver->ctx_get_current(&current) != CUDA_SUCCESS)
		return -EIO;
	if (current != context && driver->ctx_push_current(context) != CUDA_SUCCESS)
		return -EIO;
	if (gns_driver_capture(driver, stream, &id) == GNS_EAGER)
		rc = gns_device_launch(device, stream, name, grid, 1 + (uint32_t)(step % GNS_CU_MARKS), &args);
	else
		rc = -EAGAIN;
	if (current != context)
		driver->ctx_pop_current(&current);
	return rc;
}
