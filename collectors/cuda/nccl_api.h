/* What is used of NCCL, declared here so that no header of it is needed. With GNS_REAL_HEADERS the types are NVIDIA's own:
 * tests/unit/nccl_declarations.c then has the compiler compare every prototype and constant.
 *
 * Reference: NCCL documentation, 2.28 (docs.nvidia.com/deeplearning/nccl); the same since 2.11. */
#ifndef GNS_COLLECTORS_CUDA_NCCL_API_H
#define GNS_COLLECTORS_CUDA_NCCL_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef GNS_REAL_HEADERS
#include <nccl.h>
#else
struct CUstream_st;
typedef struct CUstream_st *cudaStream_t;
typedef struct ncclComm *ncclComm_t;
typedef struct { char internal[128]; } ncclUniqueId;
typedef unsigned ncclResult_t, ncclRedOp_t, ncclDataType_t, ncclScalarResidence_t;
typedef struct ncclSimInfo ncclSimInfo_t;
typedef struct ncclConfig ncclConfig_t;
#endif

enum { GNS_NCCL_SUCCESS = 0, GNS_NCCL_SYSTEM_ERROR = 2, GNS_NCCL_INVALID_ARGUMENT = 4, GNS_NCCL_INVALID_USAGE = 5, GNS_NCCL_IN_PROGRESS = 7 };
enum { GNS_NCCL_SUM = 0, GNS_NCCL_PROD = 1, GNS_NCCL_MAX = 2, GNS_NCCL_MIN = 3, GNS_NCCL_AVG = 4, GNS_NCCL_OPS = 5 };
enum {
	GNS_NCCL_INT8 = 0, GNS_NCCL_UINT8 = 1, GNS_NCCL_INT32 = 2, GNS_NCCL_UINT32 = 3, GNS_NCCL_INT64 = 4, GNS_NCCL_UINT64 = 5,
	GNS_NCCL_FLOAT16 = 6, GNS_NCCL_FLOAT32 = 7, GNS_NCCL_FLOAT64 = 8, GNS_NCCL_BFLOAT16 = 9,
};
enum { GNS_NCCL_SCALAR_DEVICE = 0, GNS_NCCL_SCALAR_HOST = 1 };

#endif
