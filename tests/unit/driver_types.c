/* Our declarations of the CUDA driver against the real cuda.h, by compiling alone: driver.h's table, and the functions of the fake. */
#define __CUDA_API_VERSION_INTERNAL /* all versions of a function under their own names */
#include <cuda.h>

#include "collectors/gpu/driver.h"
#include "tests/fakes/cuda_api.h" /* a prototype that differs from cuda.h's does not compile */

#define SAME(member, symbol, parameters)                                                                                          \
	_Static_assert(__builtin_types_compatible_p(__typeof__(((struct gns_driver *)0)->member), __typeof__(&symbol)), #symbol); \
	_Static_assert(__builtin_types_compatible_p(CUresult(*) parameters, __typeof__(&symbol)), #symbol);
GNS_DRIVER_NEEDED(SAME)
GNS_DRIVER_WISHED(SAME)

/* The constants that driver.h and cuda_api.h give where there is no cuda.h. */
_Static_assert(CUDA_SUCCESS == 0 && CUDA_ERROR_OUT_OF_MEMORY == 2 && CUDA_ERROR_INVALID_IMAGE == 200 && CUDA_ERROR_INVALID_CONTEXT == 201, "");
_Static_assert(CUDA_ERROR_NO_BINARY_FOR_GPU == 209 && CUDA_ERROR_INVALID_PTX == 218 && CUDA_ERROR_NOT_FOUND == 500, "");
_Static_assert(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT == 906 && CUDA_ERROR_CONTEXT_IS_DESTROYED == 709, "");
_Static_assert(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT == 16 && CU_POINTER_ATTRIBUTE_CONTEXT == 1 && CU_POINTER_ATTRIBUTE_MEMORY_TYPE == 2, "");
_Static_assert(CU_POINTER_ATTRIBUTE_IS_MANAGED == 8 && CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL == 9 && CU_MEMORYTYPE_DEVICE == 2, "");
_Static_assert(CU_STREAM_NON_BLOCKING == 1 && CU_EVENT_DISABLE_TIMING == 2, "");
_Static_assert(CU_MEMHOSTREGISTER_PORTABLE == 1 && CU_MEMHOSTREGISTER_DEVICEMAP == 2, "");
_Static_assert(CU_STREAM_CAPTURE_MODE_RELAXED == 2 && CU_STREAM_CAPTURE_STATUS_NONE == 0 && CU_STREAM_CAPTURE_STATUS_ACTIVE == 1, "");
_Static_assert(CUDA_ERROR_INVALID_VALUE == 1 && CUDA_ERROR_NOT_INITIALIZED == 3 && CUDA_ERROR_DEINITIALIZED == 4 && CUDA_ERROR_NO_DEVICE == 100, "");
_Static_assert(CUDA_ERROR_INVALID_DEVICE == 101 && CUDA_ERROR_NOT_READY == 600 && CUDA_ERROR_ILLEGAL_ADDRESS == 700, "");
_Static_assert(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED == 712 && CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED == 713, "");
_Static_assert(CUDA_ERROR_NOT_SUPPORTED == 801 && CU_STREAM_CAPTURE_MODE_GLOBAL == 0 && CU_STREAM_CAPTURE_MODE_THREAD_LOCAL == 1, "");
_Static_assert(CU_POINTER_ATTRIBUTE_DEVICE_POINTER == 3 && CU_POINTER_ATTRIBUTE_HOST_POINTER == 4 && CU_MEMORYTYPE_HOST == 1, "");
_Static_assert(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR == 11 && CU_POINTER_ATTRIBUTE_RANGE_SIZE == 12, "");
_Static_assert(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR == 75 && CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR == 76, "");

/* The struct that driver.h writes out itself; its members by place. */
struct ours {
	CUfunction func;
	unsigned int numbers[7];
	void **kernelParams, **extra;
	CUkernel kern;
	CUcontext ctx;
};
_Static_assert(sizeof(struct ours) == sizeof(CUDA_KERNEL_NODE_PARAMS), "");
_Static_assert(__builtin_offsetof(struct ours, kernelParams) == __builtin_offsetof(CUDA_KERNEL_NODE_PARAMS, kernelParams), "");
_Static_assert(__builtin_offsetof(struct ours, ctx) == __builtin_offsetof(CUDA_KERNEL_NODE_PARAMS, ctx), "");
