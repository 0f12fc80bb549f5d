/* What the wrappers of cuBLAS and cuBLASLt do alike: from a described call to the shim's middle. */
#ifndef GNS_COLLECTORS_CUDA_PRODUCT_CALL_H
#define GNS_COLLECTORS_CUDA_PRODUCT_CALL_H

#include "collectors/cuda/gemm.h"
#include "profiler/shim/core/core.h"
#include "profiler/shim/publish/counters.h"

/* False: call through, nothing else. `calls` counts what is seen. */
bool gns_product_enter(struct gns_call *call, struct gns_live_counter *calls);
/* Every product of the batch, on this stream; ends in gns_core_calling. `gemm` NULL: nothing can be said of the call. */
void gns_product_before(struct gns_call *call, const struct gns_gemm *gemm, void *stream);
void gns_product_after(struct gns_call *call, bool failed);

#endif
