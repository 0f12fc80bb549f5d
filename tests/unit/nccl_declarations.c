/* Our declarations of NCCL against NVIDIA's own header. Compiled where it is there, never run: the collector itself is compiled with
 * GNS_REAL_HEADERS beside this file, so that every prototype meets the real one; here are the constants. */
#include "collectors/cuda/nccl_api.h"

#define SAME(ours, theirs) _Static_assert((long long)(ours) == (long long)(theirs), #ours " is " #theirs)

SAME(GNS_NCCL_SUCCESS, ncclSuccess);
SAME(GNS_NCCL_SYSTEM_ERROR, ncclSystemError);
SAME(GNS_NCCL_INVALID_ARGUMENT, ncclInvalidArgument);
SAME(GNS_NCCL_INVALID_USAGE, ncclInvalidUsage);
SAME(GNS_NCCL_IN_PROGRESS, ncclInProgress);
SAME(GNS_NCCL_SUM, ncclSum);
SAME(GNS_NCCL_PROD, ncclProd);
SAME(GNS_NCCL_MAX, ncclMax);
SAME(GNS_NCCL_MIN, ncclMin);
SAME(GNS_NCCL_AVG, ncclAvg);
SAME(GNS_NCCL_OPS, ncclNumOps);
SAME(GNS_NCCL_INT8, ncclInt8);
SAME(GNS_NCCL_UINT8, ncclUint8);
SAME(GNS_NCCL_INT32, ncclInt32);
SAME(GNS_NCCL_UINT32, ncclUint32);
SAME(GNS_NCCL_INT64, ncclInt64);
SAME(GNS_NCCL_UINT64, ncclUint64);
SAME(GNS_NCCL_FLOAT16, ncclFloat16);
SAME(GNS_NCCL_FLOAT32, ncclFloat32);
SAME(GNS_NCCL_FLOAT64, ncclFloat64);
SAME(GNS_NCCL_BFLOAT16, ncclBfloat16);
SAME(GNS_NCCL_SCALAR_DEVICE, ncclScalarDevice);
SAME(GNS_NCCL_SCALAR_HOST, ncclScalarHostImmediate);
_Static_assert(sizeof(ncclUniqueId) == 128, "a unique id is 128 bytes");
_Static_assert(sizeof(ncclResult_t) == sizeof(unsigned) && sizeof(ncclRedOp_t) == sizeof(unsigned) &&
	       sizeof(ncclDataType_t) == sizeof(unsigned), "its enums are as wide as ours");
