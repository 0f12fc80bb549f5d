/* The kernels of one context. */
#include <string.h>

#include "device_private.h"
#include "image.h"

static uint32_t place_of(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	return (uint32_t)(hash >> 32) % GNS_KERNEL_SLOTS;
}

static struct gns_device_kernel *kernel_at(struct gns_device *device, const char *name)
{
	for (uint32_t at = place_of(name);; at = (at + 1) % GNS_KERNEL_SLOTS)
		if (!device->kernels[at].function || !strcmp(device->kernels[at].name, name))
			return &device->kernels[at];
}

/* Every kernel is loaded now: a driver that loads them at their first launch would do so in the middle of a step, or of a capture. */
CUresult gns_device_load(struct gns_device *device)
{
	CUresult rc = device->driver->module_load_data(&device->module, gns_cuda_image);
	unsigned n = 0;

	for (const char *const *name = gns_cu_kernels; rc == CUDA_SUCCESS && *name && n < GNS_KERNEL_SLOTS / 2; name++, n++) {
		CUfunction function;
		rc = device->driver->module_get_function(&function, device->module, *name);
		if (rc == CUDA_SUCCESS && device->driver->func_load)
			rc = device->driver->func_load(function);
		if (rc != CUDA_SUCCESS)
			break;
		*kernel_at(device, *name) = (struct gns_device_kernel){ *name, function };
	}
	return rc;
}

CUfunction gns_device_function(struct gns_device *device, const char *kernel)
{
	return kernel_at(device, kernel)->function;
}

int gns_device_launch(struct gns_device *device, CUstream stream, const char *kernel, const uint32_t grid[3], uint32_t block,
		      const void *args)
{
	void *parameters[] = { (void *)args };
	const struct gns_device_kernel *found = kernel_at(device, kernel);

	if (!found->function)
		return gns_device_failed(device, (CUresult)CUDA_ERROR_NOT_FOUND);
	CUresult rc = device->driver->launch_kernel(found->function, grid[0], grid[1], grid[2], block, 1, 1, 0, stream, parameters, NULL);
	if (rc != CUDA_SUCCESS)
		return gns_device_failed(device, rc);
	GNS_DEVICE_COUNT(launches);
	return 0;
}
