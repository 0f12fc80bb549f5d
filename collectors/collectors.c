/* The table of collectors. */
#include "collectors/collector.h"

#include "collectors/blas.h"
#include "collectors/cuda/cublas.h"
#include "collectors/cuda/cublaslt.h"
#include "collectors/cuda/cudnn.h"
#include "collectors/cuda/cupti_collector.h"
#include "collectors/cuda/graph.h"
#include "collectors/cuda/nccl.h"
#include "collectors/torch/torch.h"

const struct gns_collector *const gns_collectors[] = {
	&gns_blas_collector,
	&gns_torch_collector,
	&gns_cublas_collector,
	&gns_cublaslt_collector,
	&gns_cudnn_collector,
	&gns_cupti_collector,
	&gns_graph_collector,
	&gns_nccl_collector,
	NULL,
};
