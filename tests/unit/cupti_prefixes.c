/* Compiled where CUPTI's headers are, run nowhere: our declarations (cupti_api.h) against theirs, and the prefixes of records against every
 * version of them that the headers still describe. */
#include <cuda.h>
#include <cupti.h>
#include <stddef.h>

#include "collectors/cupti/cupti_api.h"

#define SAME(ours, mine, theirs, field)                                                                                                    \
	_Static_assert(offsetof(struct ours, mine) == offsetof(theirs, field), "place of " #field " in " #theirs);                         \
	_Static_assert(sizeof(((struct ours *)0)->mine) == sizeof(((theirs *)0)->field), "size of " #field " in " #theirs)

#define KERNEL(V)                                                                                                                          \
	SAME(gns_cupti_kernel, kind, CUpti_ActivityKernel##V, kind);                                                                       \
	SAME(gns_cupti_kernel, registers, CUpti_ActivityKernel##V, registersPerThread);                                                    \
	SAME(gns_cupti_kernel, start, CUpti_ActivityKernel##V, start);                                                                     \
	SAME(gns_cupti_kernel, end, CUpti_ActivityKernel##V, end);                                                                         \
	SAME(gns_cupti_kernel, device, CUpti_ActivityKernel##V, deviceId);                                                                 \
	SAME(gns_cupti_kernel, stream, CUpti_ActivityKernel##V, streamId);                                                                 \
	SAME(gns_cupti_kernel, grid[0], CUpti_ActivityKernel##V, gridX);                                                                   \
	SAME(gns_cupti_kernel, grid[1], CUpti_ActivityKernel##V, gridY);                                                                   \
	SAME(gns_cupti_kernel, grid[2], CUpti_ActivityKernel##V, gridZ);                                                                   \
	SAME(gns_cupti_kernel, block[0], CUpti_ActivityKernel##V, blockX);                                                                 \
	SAME(gns_cupti_kernel, block[1], CUpti_ActivityKernel##V, blockY);                                                                 \
	SAME(gns_cupti_kernel, block[2], CUpti_ActivityKernel##V, blockZ);                                                                 \
	SAME(gns_cupti_kernel, static_shared, CUpti_ActivityKernel##V, staticSharedMemory);                                                \
	SAME(gns_cupti_kernel, dynamic_shared, CUpti_ActivityKernel##V, dynamicSharedMemory);                                              \
	SAME(gns_cupti_kernel, correlation, CUpti_ActivityKernel##V, correlationId);                                                       \
	SAME(gns_cupti_kernel, name, CUpti_ActivityKernel##V, name)
#define KERNEL_QUEUED(V)                                                                                                                   \
	KERNEL(V);                                                                                                                         \
	SAME(gns_cupti_kernel, queued, CUpti_ActivityKernel##V, queued);                                                                   \
	SAME(gns_cupti_kernel, submitted, CUpti_ActivityKernel##V, submitted);                                                             \
	_Static_assert(sizeof(struct gns_cupti_kernel) <= sizeof(CUpti_ActivityKernel##V), "a prefix of CUpti_ActivityKernel" #V)

KERNEL(3);
KERNEL_QUEUED(4);
KERNEL_QUEUED(5);
KERNEL_QUEUED(6);
KERNEL_QUEUED(7);
KERNEL_QUEUED(8);
KERNEL_QUEUED(9);
KERNEL_QUEUED(10);

#define MEMCPY(V)                                                                                                                          \
	SAME(gns_cupti_memcpy, kind, CUpti_ActivityMemcpy##V, kind);                                                                       \
	SAME(gns_cupti_memcpy, copy_kind, CUpti_ActivityMemcpy##V, copyKind);                                                              \
	SAME(gns_cupti_memcpy, bytes, CUpti_ActivityMemcpy##V, bytes);                                                                     \
	SAME(gns_cupti_memcpy, start, CUpti_ActivityMemcpy##V, start);                                                                     \
	SAME(gns_cupti_memcpy, end, CUpti_ActivityMemcpy##V, end);                                                                         \
	SAME(gns_cupti_memcpy, device, CUpti_ActivityMemcpy##V, deviceId);                                                                 \
	_Static_assert(sizeof(struct gns_cupti_memcpy) <= sizeof(CUpti_ActivityMemcpy##V), "a prefix of CUpti_ActivityMemcpy" #V)
MEMCPY();
MEMCPY(3);
MEMCPY(4);
MEMCPY(5);
MEMCPY(6);
MEMCPY(PtoP);
MEMCPY(PtoP2);
MEMCPY(PtoP3);
MEMCPY(PtoP4);

#define MEMSET(V)                                                                                                                          \
	SAME(gns_cupti_memset, kind, CUpti_ActivityMemset##V, kind);                                                                       \
	SAME(gns_cupti_memset, start, CUpti_ActivityMemset##V, start);                                                                     \
	SAME(gns_cupti_memset, end, CUpti_ActivityMemset##V, end);                                                                         \
	SAME(gns_cupti_memset, device, CUpti_ActivityMemset##V, deviceId)
MEMSET();
MEMSET(2);
MEMSET(3);
MEMSET(4);

#define OVERHEAD(V)                                                                                                                        \
	SAME(gns_cupti_overhead, overhead_kind, CUpti_ActivityOverhead##V, overheadKind);                                                  \
	SAME(gns_cupti_overhead, start, CUpti_ActivityOverhead##V, start);                                                                 \
	SAME(gns_cupti_overhead, end, CUpti_ActivityOverhead##V, end)
OVERHEAD();
OVERHEAD(2);
OVERHEAD(3);
_Static_assert(offsetof(CUpti_ActivityOverhead3, overheadData) == GNS_CUPTI_OVERHEAD_DATA, "place of overheadData");
_Static_assert(CUPTI_ACTIVITY_OVERHEAD_COMMAND_BUFFER_FULL == GNS_CUPTI_OVERHEAD_COMMAND_BUFFER_FULL, "kind of overhead");

_Static_assert((int)GNS_CUPTI_MEMCPY == (int)CUPTI_ACTIVITY_KIND_MEMCPY && (int)GNS_CUPTI_MEMSET == (int)CUPTI_ACTIVITY_KIND_MEMSET &&
	       (int)GNS_CUPTI_CONCURRENT_KERNEL == (int)CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL &&
	       (int)GNS_CUPTI_OVERHEAD == (int)CUPTI_ACTIVITY_KIND_OVERHEAD && (int)GNS_CUPTI_MEMCPY2 == (int)CUPTI_ACTIVITY_KIND_MEMCPY2,
	       "kinds of records");
_Static_assert(GNS_CUPTI_SUCCESS == CUPTI_SUCCESS && GNS_CUPTI_ERROR_INVALID_PARAMETER == CUPTI_ERROR_INVALID_PARAMETER &&
	       GNS_CUPTI_ERROR_MAX_LIMIT_REACHED == CUPTI_ERROR_MAX_LIMIT_REACHED &&
	       GNS_CUPTI_ERROR_NOT_INITIALIZED == CUPTI_ERROR_NOT_INITIALIZED && GNS_CUPTI_ERROR_INVALID_KIND == CUPTI_ERROR_INVALID_KIND &&
	       GNS_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED, "errors");
_Static_assert(GNS_CUPTI_FLUSH_FORCED == CUPTI_ACTIVITY_FLAG_FLUSH_FORCED && GNS_CUPTI_BUFFER_ALIGN == ACTIVITY_RECORD_ALIGNMENT, "flush");
/* What copy_name in activities.c takes them for. */
_Static_assert(CUPTI_ACTIVITY_MEMCPY_KIND_HTOD == 1 && CUPTI_ACTIVITY_MEMCPY_KIND_DTOH == 2 && CUPTI_ACTIVITY_MEMCPY_KIND_HTOA == 3 &&
	       CUPTI_ACTIVITY_MEMCPY_KIND_ATOH == 4 && CUPTI_ACTIVITY_MEMCPY_KIND_ATOA == 5 && CUPTI_ACTIVITY_MEMCPY_KIND_ATOD == 6 &&
	       CUPTI_ACTIVITY_MEMCPY_KIND_DTOA == 7 && CUPTI_ACTIVITY_MEMCPY_KIND_DTOD == 8 && CUPTI_ACTIVITY_MEMCPY_KIND_HTOH == 9 &&
	       CUPTI_ACTIVITY_MEMCPY_KIND_PTOP == 10, "kinds of copies");

SAME(gns_cupti_params, struct_size, CUpti_SubscriberParams, structSize);
SAME(gns_cupti_params, subscriber_name, CUpti_SubscriberParams, subscriberName);
SAME(gns_cupti_params, old_subscriber_name, CUpti_SubscriberParams, oldSubscriberName);
SAME(gns_cupti_params, old_subscriber_size, CUpti_SubscriberParams, oldSubscriberSize);
_Static_assert(sizeof(struct gns_cupti_params) == CUpti_SubscriberParams_STRUCT_SIZE, "size of the parameters");
_Static_assert(GNS_CUPTI_NAME_MAX >= CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN, "room for a name");

/* The functions, as far as C can compare types: enums are integers to us, handles are void *. */
static CUptiResult (*const version)(uint32_t *) = cuptiGetVersion;
static CUptiResult (*const flush)(uint32_t) = cuptiActivityFlushAll;
static CUptiResult (*const timestamp)(uint64_t *) = cuptiGetTimestamp;
static CUptiResult (*const dropped)(CUcontext, uint32_t, size_t *) = cuptiActivityGetNumDroppedRecords;
static CUptiResult (*const enable)(CUpti_ActivityKind) = cuptiActivityEnable;
static CUptiResult (*const next)(uint8_t *, size_t, CUpti_Activity **) = cuptiActivityGetNextRecord;
_Static_assert(sizeof(CUptiResult) == sizeof(int) && sizeof(CUpti_ActivityKind) == sizeof(int) && sizeof(CUpti_SubscriberHandle) == sizeof(void *),
	       "integers and handles");
void gns_cupti_prefixes(void);
void gns_cupti_prefixes(void)
{
	(void)version, (void)flush, (void)timestamp, (void)dropped, (void)enable, (void)next;
}
