/* What this project uses of CUPTI (NVIDIA's CUDA Profiling Tools Interface), declared by ourselves: no header of CUDA is needed to build,
 * and the same library works with every CUPTI since CUDA 11. Reference: CUPTI's documentation, "Activity API".
 *
 * Records are read through the oldest prefix that has the fields: CUPTI only appends to them. tests/unit/cupti_prefixes.c compares all of
 * this with the real headers, and with every older version of a record that they still describe, wherever a build finds them. Records are
 * packed and 8-byte aligned there; these fields lie as a C compiler would lay them out. */
#ifndef GNS_COLLECTORS_CUPTI_CUPTI_API_H
#define GNS_COLLECTORS_CUPTI_CUPTI_API_H

#include <stddef.h>
#include <stdint.h>

#define GNS_CUPTI_SUCCESS 0
#define GNS_CUPTI_ERROR_INVALID_PARAMETER 1
#define GNS_CUPTI_ERROR_MAX_LIMIT_REACHED 12
#define GNS_CUPTI_ERROR_NOT_INITIALIZED 15
#define GNS_CUPTI_ERROR_INVALID_KIND 21
#define GNS_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS 39

enum gns_cupti_kind {
	GNS_CUPTI_MEMCPY = 1,
	GNS_CUPTI_MEMSET = 2,
	GNS_CUPTI_CONCURRENT_KERNEL = 10,
	GNS_CUPTI_OVERHEAD = 17,
	GNS_CUPTI_MEMCPY2 = 22, /* between devices */
};

#define GNS_CUPTI_FLUSH_FORCED 1u
#define GNS_CUPTI_BUFFER_ALIGN 8u

/* CUpti_ActivityKernel3 (CUDA 6.5); queued and submitted are of CUpti_ActivityKernel4 (CUDA 9). */
struct gns_cupti_kernel {
	uint32_t kind;
	uint8_t cache_config, shared_memory_config;
	uint16_t registers;
	uint32_t partitioned_requested, partitioned_executed;
	uint64_t start, end, completed; /* ns; 0: not known, and of a kernel that has not ended */
	uint32_t device, context, stream;
	int32_t grid[3], block[3];
	int32_t static_shared, dynamic_shared;
	uint32_t local_per_thread, local_total;
	uint32_t correlation;
	int64_t grid_id;
	const char *name; /* mangled, CUPTI's own */
	void *reserved;
	uint64_t queued, submitted; /* 0: not asked for */
};

/* CUpti_ActivityMemcpy and CUpti_ActivityMemcpyPtoP agree up to here. */
struct gns_cupti_memcpy {
	uint32_t kind;
	uint8_t copy_kind, src_kind, dst_kind, flags;
	uint64_t bytes, start, end;
	uint32_t device, context, stream;
};

struct gns_cupti_memset { /* CUpti_ActivityMemset */
	uint32_t kind, value;
	uint64_t bytes, start, end;
	uint32_t device, context, stream;
};

struct gns_cupti_overhead { /* CUpti_ActivityOverhead */
	uint32_t kind, overhead_kind, object_kind, object_id[3];
	uint64_t start, end;
};

/* CUpti_ActivityOverhead3 (CUDA 13): of one kind of overhead this is to be freed by who gets the record. */
#define GNS_CUPTI_OVERHEAD_DATA 48u
#define GNS_CUPTI_OVERHEAD_COMMAND_BUFFER_FULL (6u << 16)
#define GNS_CUPTI_VERSION_13 130000u

typedef int (*gns_cupti_subscribe_fn)(void **subscriber, void *callback, void *userdata);
/* CUpti_SubscriberParams (CUDA 13). The name of who holds CUPTI already is written where it says. */
#define GNS_CUPTI_NAME_MAX 64u
struct gns_cupti_params {
	size_t struct_size;
	const char *subscriber_name;
	char *old_subscriber_name;
	size_t old_subscriber_size;
};
typedef int (*gns_cupti_subscribe_v2_fn)(void **subscriber, void *callback, void *userdata, struct gns_cupti_params *params);
typedef void (*gns_cupti_requested_fn)(uint8_t **buffer, size_t *size, size_t *max_records);
typedef void (*gns_cupti_completed_fn)(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid);
typedef int (*gns_cupti_register_fn)(gns_cupti_requested_fn requested, gns_cupti_completed_fn completed);

struct gns_cupti_api {
	int (*get_version)(uint32_t *version);
	gns_cupti_subscribe_fn subscribe;
	gns_cupti_subscribe_v2_fn subscribe_v2; /* may be NULL */
	int (*unsubscribe)(void *subscriber);
	gns_cupti_register_fn register_callbacks;
	int (*enable)(int kind);
	int (*disable)(int kind);
	int (*flush_all)(uint32_t flag);
	int (*next_record)(uint8_t *buffer, size_t valid, void **record);
	int (*dropped)(void *context, uint32_t stream, size_t *dropped);
	int (*timestamp)(uint64_t *ns);
};

#endif
