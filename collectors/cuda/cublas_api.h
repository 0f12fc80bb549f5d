/* What is used of cuBLAS and cuBLASLt, declared here so that no CUDA header is needed. With GNS_REAL_HEADERS the types are NVIDIA's own:
 * tests/unit/cuda_declarations.c then has the compiler compare every prototype and constant.
 *
 * Reference: cuBLAS library documentation, CUDA 13; the same since CUDA 11. */
#ifndef GNS_COLLECTORS_CUDA_CUBLAS_API_H
#define GNS_COLLECTORS_CUDA_CUBLAS_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef GNS_REAL_HEADERS
#include <cublasLt.h>
#include <cublas_v2.h>
#else
struct CUstream_st;
struct cublasContext;
struct cublasLtContext;
typedef struct CUstream_st *cudaStream_t;
typedef struct cublasContext *cublasHandle_t;
typedef struct cublasLtContext *cublasLtHandle_t;
typedef unsigned cublasStatus_t, cublasOperation_t, cublasComputeType_t, cublasPointerMode_t, cudaDataType, cudaDataType_t;
typedef int cublasGemmAlgo_t;
typedef unsigned cublasLtMatrixLayoutAttribute_t, cublasLtMatmulDescAttributes_t;
typedef struct gns_lt_layout *cublasLtMatrixLayout_t;
typedef struct gns_lt_desc *cublasLtMatmulDesc_t;
typedef struct gns_lt_algo cublasLtMatmulAlgo_t;
#endif

enum { GNS_CUBLAS_SUCCESS = 0, GNS_CUBLAS_NOT_INITIALIZED = 1, GNS_CUBLAS_INVALID_VALUE = 7, GNS_CUBLAS_NOT_SUPPORTED = 15 };
enum { GNS_CUBLAS_N = 0, GNS_CUBLAS_T = 1, GNS_CUBLAS_C = 2 };
enum { GNS_CUBLAS_HOST = 0, GNS_CUBLAS_DEVICE = 1 };
enum { GNS_CUDA_R_32F = 0, GNS_CUDA_R_64F = 1, GNS_CUDA_R_16F = 2, GNS_CUDA_R_16BF = 14, GNS_CUDA_R_8F_E4M3 = 28, GNS_CUDA_R_8F_E5M2 = 29 };
enum {
	GNS_COMPUTE_16F = 64, GNS_COMPUTE_16F_PEDANTIC = 65, GNS_COMPUTE_32F = 68, GNS_COMPUTE_32F_PEDANTIC = 69, GNS_COMPUTE_64F = 70,
	GNS_COMPUTE_64F_PEDANTIC = 71, GNS_COMPUTE_32I = 72, GNS_COMPUTE_32I_PEDANTIC = 73, GNS_COMPUTE_32F_FAST_16F = 74,
	GNS_COMPUTE_32F_FAST_16BF = 75, GNS_COMPUTE_32F_FAST_TF32 = 77, GNS_COMPUTE_32F_EMULATED_16BFX9 = 78,
	GNS_COMPUTE_64F_EMULATED_FIXEDPOINT = 79,
};
enum {
	GNS_LT_LAYOUT_TYPE = 0, GNS_LT_LAYOUT_ORDER = 1, GNS_LT_LAYOUT_ROWS = 2, GNS_LT_LAYOUT_COLS = 3, GNS_LT_LAYOUT_LD = 4,
	GNS_LT_LAYOUT_BATCH = 5, GNS_LT_LAYOUT_STRIDE = 6, GNS_LT_LAYOUT_PLANE = 7,
};
enum { GNS_LT_COL = 0, GNS_LT_ROW = 1 };
enum {
	GNS_LT_DESC_COMPUTE = 0, GNS_LT_DESC_SCALE = 1, GNS_LT_DESC_POINTER_MODE = 2, GNS_LT_DESC_TRANSA = 3, GNS_LT_DESC_TRANSB = 4,
	GNS_LT_DESC_TRANSC = 5, GNS_LT_DESC_FILL = 6, GNS_LT_DESC_EPILOGUE = 7, GNS_LT_DESC_BIAS = 8, GNS_LT_DESC_A_SCALE = 17,
	GNS_LT_DESC_B_SCALE = 18, GNS_LT_DESC_C_SCALE = 19, GNS_LT_DESC_D_SCALE = 20,
};
enum {
	GNS_LT_EPILOGUE_DEFAULT = 1, GNS_LT_EPILOGUE_RELU = 2, GNS_LT_EPILOGUE_BIAS = 4, GNS_LT_EPILOGUE_RELU_BIAS = 6,
	GNS_LT_EPILOGUE_BGRADA = 256, GNS_LT_EPILOGUE_BGRADB = 512,
};

#endif
