/* The CUDA driver's functions, as far as we use them, found by name in the libcuda that the process has loaded.
 *
 * Reference: CUDA Driver API (docs.nvidia.com/cuda/cuda-driver-api). The types are those of cuda.h, which is not needed to build; where
 * a compiler has included it, its own are used (tests/unit/driver_types.c compares the two). Names are those that the library exports:
 * cuda.h maps cuMemAlloc to cuMemAlloc_v2. */
#ifndef GNS_COLLECTORS_GPU_DRIVER_H
#define GNS_COLLECTORS_GPU_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#ifndef CUDA_VERSION
typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUkern_st *CUkernel;
typedef struct {
	CUfunction func;
	unsigned int gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
	void **kernelParams, **extra;
	CUkernel kern;
	CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS;
typedef int CUdevice_attribute, CUpointer_attribute, CUstreamCaptureMode, CUstreamCaptureStatus;

enum {
	CUDA_SUCCESS = 0,
	CUDA_ERROR_OUT_OF_MEMORY = 2,
	CUDA_ERROR_INVALID_IMAGE = 200,
	CUDA_ERROR_INVALID_CONTEXT = 201,
	CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
	CUDA_ERROR_INVALID_PTX = 218,
	CUDA_ERROR_NOT_FOUND = 500,
	CUDA_ERROR_STREAM_CAPTURE_IMPLICIT = 906,

	CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,

	CU_POINTER_ATTRIBUTE_CONTEXT = 1,
	CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
	CU_POINTER_ATTRIBUTE_IS_MANAGED = 8,
	CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9,
	CU_MEMORYTYPE_DEVICE = 2,

	CU_STREAM_NON_BLOCKING = 1,
	CU_EVENT_DISABLE_TIMING = 2,
	CU_MEMHOSTREGISTER_PORTABLE = 1,
	CU_MEMHOSTREGISTER_DEVICEMAP = 2,

	CU_STREAM_CAPTURE_MODE_RELAXED = 2,
	CU_STREAM_CAPTURE_STATUS_NONE = 0,
	CU_STREAM_CAPTURE_STATUS_ACTIVE = 1,
};
#define CU_STREAM_PER_THREAD ((CUstream)0x2)
#endif

/* X(member, symbol, parameters) */
#define GNS_DRIVER_NEEDED(X)                                                                                                               \
	X(driver_get_version, cuDriverGetVersion, (int *))                                                                                 \
	X(device_get_attribute, cuDeviceGetAttribute, (int *, CUdevice_attribute, CUdevice))                                               \
	X(ctx_get_current, cuCtxGetCurrent, (CUcontext *))                                                                                 \
	X(ctx_get_device, cuCtxGetDevice, (CUdevice *))                                                                                    \
	X(ctx_push_current, cuCtxPushCurrent_v2, (CUcontext))                                                                              \
	X(ctx_pop_current, cuCtxPopCurrent_v2, (CUcontext *))                                                                              \
	X(module_load_data, cuModuleLoadData, (CUmodule *, const void *))                                                                  \
	X(module_get_function, cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                                                \
	X(mem_alloc, cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                                               \
	X(mem_free, cuMemFree_v2, (CUdeviceptr))                                                                                           \
	X(mem_host_register, cuMemHostRegister_v2, (void *, size_t, unsigned int))                                                         \
	X(mem_host_unregister, cuMemHostUnregister, (void *))                                                                              \
	X(mem_host_get_device_pointer, cuMemHostGetDevicePointer_v2, (CUdeviceptr *, void *, unsigned int))                                \
	X(memset_d8_async, cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t, CUstream))                                                \
	X(pointer_get_attributes, cuPointerGetAttributes, (unsigned int, CUpointer_attribute *, void **, CUdeviceptr))                     \
	X(stream_create, cuStreamCreate, (CUstream *, unsigned int))                                                                       \
	X(stream_wait_event, cuStreamWaitEvent, (CUstream, CUevent, unsigned int))                                                         \
	X(stream_is_capturing, cuStreamIsCapturing, (CUstream, CUstreamCaptureStatus *))                                                   \
	X(thread_exchange_capture_mode, cuThreadExchangeStreamCaptureMode, (CUstreamCaptureMode *))                                        \
	X(event_create, cuEventCreate, (CUevent *, unsigned int))                                                                          \
	X(event_record, cuEventRecord, (CUevent, CUstream))                                                                                \
	X(launch_kernel, cuLaunchKernel,                                                                                                   \
	  (CUfunction, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, CUstream, void **, void **))

/* Where they are missing, the driver is older than they are: see driver.c for what takes their place. */
#define GNS_DRIVER_WISHED(X)                                                                                                               \
	X(ctx_get_id, cuCtxGetId, (CUcontext, unsigned long long *))       /* 12.0 */                                                      \
	X(stream_get_id, cuStreamGetId, (CUstream, unsigned long long *))  /* 12.0 */                                                      \
	X(stream_get_ctx, cuStreamGetCtx, (CUstream, CUcontext *))                                                                         \
	X(func_load, cuFuncLoad, (CUfunction))                             /* 12.4 */                                                      \
	X(graph_add_kernel_node, cuGraphAddKernelNode_v2,                  /* 12.0 */                                                      \
	  (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, const CUDA_KERNEL_NODE_PARAMS *))                                          \
	X(capture_info_2, cuStreamGetCaptureInfo_v2,                       /* 11.3 */                                                      \
	  (CUstream, CUstreamCaptureStatus *, uint64_t *, CUgraph *, const CUgraphNode **, size_t *))

struct gns_driver {
#define GNS_DRIVER_MEMBER(member, symbol, parameters) CUresult(*member) parameters;
	GNS_DRIVER_NEEDED(GNS_DRIVER_MEMBER)
	GNS_DRIVER_WISHED(GNS_DRIVER_MEMBER)
#undef GNS_DRIVER_MEMBER
};

/* NULL: no libcuda is loaded, or it lacks a function. Any thread; cheap once found, and while it is not there. */
const struct gns_driver *gns_driver(void);
/* Where it has been found already; never looks. One load: for what is asked in every step, of programs without a GPU, too. */
const struct gns_driver *gns_driver_found(void);
/* The library, for libraries.h; NULL as above. */
const void *gns_driver_symbol(void);

/* Switches the calling thread to relaxed capture mode, in which an allocation beside a capture neither fails nor breaks it (cuda.h on
 * cuThreadExchangeStreamCaptureMode), and back. */
CUstreamCaptureMode gns_driver_relax(const struct gns_driver *driver);
void gns_driver_restore(const struct gns_driver *driver, CUstreamCaptureMode before);

/* What a stream is doing. */
enum gns_capture_state { GNS_EAGER = 0, GNS_CAPTURED, GNS_CAPTURE_CLOSED /* nothing may be enqueued, or nobody can tell */ };
/* *id: which capture, never 0; 0 where there is none. */
enum gns_capture_state gns_driver_capture(const struct gns_driver *driver, CUstream stream, uint64_t *id);

#endif
