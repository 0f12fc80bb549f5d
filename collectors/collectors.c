/* The table of collectors. */
#include "collectors/collector.h"

#define SYMBOLS(...) (const char *const[]) { __VA_ARGS__, NULL }
#define BOTH(name) name, name "_64"      /* the form with 64-bit sizes */
#define STREAMS(name) name, name "_ptsz" /* as compiled for a default stream per thread */

const struct gns_collector gns_collectors[] = {
	{ "blas", SYMBOLS("sgemm_", "dgemm_", "cblas_sgemm", "cblas_dgemm", "cblas_sgemm_batch", "cblas_dgemm_batch", "cblas_sgemm_batch_strided",
			  "cblas_dgemm_batch_strided", "scipy_sgemm_", "scipy_dgemm_", "scipy_sgemm_64_", "scipy_dgemm_64_", "sgemm_64_", "dgemm_64_",
			  "scipy_cblas_sgemm", "scipy_cblas_dgemm", "scipy_cblas_sgemm64_", "scipy_cblas_dgemm64_", "cblas_sgemm64_",
			  "cblas_dgemm64_", "cblas_sgemm_64", "cblas_dgemm_64") },
	{ "torch", SYMBOLS("initModule") },
	{ "cublas", SYMBOLS(BOTH("cublasSgemm_v2"), BOTH("cublasDgemm_v2"), BOTH("cublasSgemmEx"), BOTH("cublasGemmEx"),
			    BOTH("cublasSgemmStridedBatched"), BOTH("cublasDgemmStridedBatched"), BOTH("cublasGemmStridedBatchedEx"),
			    BOTH("cublasGemmBatchedEx")) },
	{ "cublaslt", SYMBOLS("cublasLtMatmul") },
	{ "cudnn", SYMBOLS("cudnnBackendExecute", "cudnnBackendPopulateCudaGraph", "cudnnConvolutionBackwardFilter") },
	{ "nccl", SYMBOLS("ncclAllReduce", "ncclReduceScatter", "ncclGroupStart", "ncclGroupEnd", "ncclGroupSimulateEnd", "ncclBroadcast", "ncclBcast",
			  "ncclReduce", "ncclAllGather", "ncclRedOpCreatePreMulSum", "ncclRedOpDestroy", "ncclCommDestroy", "ncclCommAbort") },
	{ "cupti", SYMBOLS("cuptiSubscribe", "cuptiSubscribe_v2", "cuptiActivityRegisterCallbacks") },
	{ "cuda", SYMBOLS(STREAMS("cudaGraphLaunch"), STREAMS("cuGraphLaunch"), STREAMS("cudaStreamEndCapture"), STREAMS("cuStreamEndCapture")) },
#ifdef GNS_NULL_COLLECTOR
	{ "null", SYMBOLS("null_compute") },
#endif
	{ NULL, NULL },
};
