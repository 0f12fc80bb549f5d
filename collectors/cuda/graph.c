/* CUDA graphs: when a capture ends, and when a graph is launched. Nothing is changed or delayed: the shim is told.
 *
 * Reference: CUDA Runtime API and Driver API, stream and graph management. A program that links the runtime statically has no such
 * calls that could be seen: its captured sets are never finished, and so never counted. */
#include <stddef.h>

#include "collectors/gpu/device.h"
#include "collectors/gpu/on.h"
#include "profiler/shim/core/graphs.h"
#include "profiler/shim/process/real_function.h"
#include "profiler/shim/publish/counters.h"

#define EXPORT __attribute__((visibility("default")))
#define NOT_FOUND 500 /* cudaErrorSymbolNotFound, and CUDA_ERROR_NOT_FOUND */

/* The runtime's own call of the driver is not a second launch. */
static __thread int inside __attribute__((tls_model("initial-exec")));

#define LAUNCH(symbol)                                                                                                                     \
	EXPORT int symbol(void *exec, void *stream);                                                                                       \
	EXPORT int symbol(void *exec, void *stream)                                                                                        \
	{                                                                                                                                  \
		static struct gns_real real = { .name = #symbol, .self = (void *)symbol };                                                 \
		static struct gns_live_counter calls = { .collector = "cuda", .name = #symbol };                                                  \
		int (*next)(void *, void *) = (int (*)(void *, void *))gns_real_find(&real, __builtin_return_address(0));                  \
		if (!next)                                                                                                                 \
			return NOT_FOUND;                                                                                                  \
		inside++;                                                                                                                  \
		int rc = next(exec, stream);                                                                                               \
		inside--;                                                                                                                  \
		if (!inside && rc == 0 && gns_cuda_on()) {                                                                                 \
			gns_count(&calls);                                                                                                 \
			gns_device_replayed();                                                                                             \
			gns_core_replayed();                                                                                               \
		}                                                                                                                          \
		return rc;                                                                                                                 \
	}

#define END(symbol)                                                                                                                        \
	EXPORT int symbol(void *stream, void **graph);                                                                                     \
	EXPORT int symbol(void *stream, void **graph)                                                                                      \
	{                                                                                                                                  \
		static struct gns_real real = { .name = #symbol, .self = (void *)symbol };                                                 \
		static struct gns_live_counter calls = { .collector = "cuda", .name = #symbol };                                                  \
		int (*next)(void *, void **) = (int (*)(void *, void **))gns_real_find(&real, __builtin_return_address(0));                \
		if (!next)                                                                                                                 \
			return NOT_FOUND;                                                                                                  \
		if (!inside && gns_cuda_on()) {                                                                                            \
			gns_count(&calls);                                                                                                 \
			gns_core_capture_ends(stream);                                                                                     \
		}                                                                                                                          \
		inside++;                                                                                                                  \
		int rc = next(stream, graph);                                                                                              \
		inside--;                                                                                                                  \
		return rc;                                                                                                                 \
	}

LAUNCH(cudaGraphLaunch)
LAUNCH(cudaGraphLaunch_ptsz)
LAUNCH(cuGraphLaunch)
LAUNCH(cuGraphLaunch_ptsz)
END(cudaStreamEndCapture)
END(cudaStreamEndCapture_ptsz)
END(cuStreamEndCapture)
END(cuStreamEndCapture_ptsz)
