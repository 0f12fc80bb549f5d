/* The cuDNN collector: counts what runs convolutions, and measures none.
 *
 * A plan of the graph API says what it is for in descriptors that its maker may have freed; in PyTorch, which makes nearly all of them,
 * the PyTorch collector knows each convolution's input, output gradient and geometry, and measures it. Convolutions of
 * other programs are counted as "not_measured" by the legacy call alone. Products that cuDNN makes by cuBLASLt are parts of these
 * calls and are not seen for themselves.
 * Reference: cuDNN documentation 9, cudnn_graph and cudnn_cnn. */
#include <stdatomic.h>
#include <stdint.h>

#include "collectors/cuda/cudnn_api.h"
#include "collectors/cuda/product_call.h"
#include "profiler/shim/publish/libraries.h"
#include "profiler/shim/process/real_function.h"

#define EXPORT __attribute__((visibility("default")))

static struct gns_live_counter handed_over = { .collector = "cudnn", .name = "handed_to_pytorch" };
static struct gns_live_counter not_measured = { .collector = "cudnn", .name = "weight_gradients_not_measured" };

static void tell_version(void *next)
{
	static _Atomic(void *) told;
	if (atomic_exchange(&told, next) == next)
		return;
	size_t (*get_version)(void) = (__typeof__(get_version))gns_real_beside(next, "cudnnGetVersion");
	gns_library_met("cudnn", next, get_version ? get_version() : 0);
}

static bool enter(struct gns_call *call, struct gns_live_counter *calls, void *next, bool weight_gradient)
{
	if (!gns_product_enter(call, calls))
		return false;
	tell_version(next);
	if (gns_core_stands_aside())
		gns_count(&handed_over);
	else if (weight_gradient)
		gns_count(&not_measured);
	gns_product_before(call, NULL, NULL);
	return true;
}

#define WRAP(NAME, WEIGHT_GRADIENT, PARAMETERS, ARGUMENTS)                                                                                 \
	EXPORT cudnnStatus_t NAME PARAMETERS;                                                                                              \
	EXPORT cudnnStatus_t NAME PARAMETERS                                                                                               \
	{                                                                                                                                  \
		static struct gns_real real = { .name = #NAME, .self = (void *)NAME };                                                     \
		static struct gns_live_counter calls = { .collector = "cudnn", .name = #NAME };                                                   \
		struct gns_call call;                                                                                                      \
		__typeof__(&NAME) next = (__typeof__(&NAME))gns_real_find(&real, __builtin_return_address(0));                             \
		if (!next)                                                                                                                 \
			return GNS_CUDNN_NOT_INITIALIZED;                                                                                  \
		bool seen = enter(&call, &calls, (void *)next, WEIGHT_GRADIENT);                                                           \
		cudnnStatus_t status = next ARGUMENTS;                                                                                     \
		if (seen)                                                                                                                  \
			gns_product_after(&call, status != GNS_CUDNN_SUCCESS);                                                             \
		return status;                                                                                                             \
	}

WRAP(cudnnBackendExecute, false, (cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variants),
     (handle, plan, variants))
WRAP(cudnnBackendPopulateCudaGraph, false,
     (cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variants, cudaGraph_t graph),
     (handle, plan, variants, graph))
WRAP(cudnnConvolutionBackwardFilter, true,
     (cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc, const void *x, const cudnnTensorDescriptor_t dy_desc,
      const void *dy, const cudnnConvolutionDescriptor_t conv_desc, cudnnConvolutionBwdFilterAlgo_t algo, void *workspace, size_t size,
      const void *beta, const cudnnFilterDescriptor_t dw_desc, void *dw),
     (handle, alpha, x_desc, x, dy_desc, dy, conv_desc, algo, workspace, size, beta, dw_desc, dw))
