/* What the files device*.c share. Nobody else includes this. */
#ifndef GNS_COLLECTORS_GPU_DEVICE_PRIVATE_H
#define GNS_COLLECTORS_GPU_DEVICE_PRIVATE_H

#include "profiler/shim/process/lock.h"
#include <stdatomic.h>

#include "device.h"
#include "driver.h"
#include "plan.h"

#define GNS_DELIVER "gns_deliver"
#define GNS_CHUNKS (GNS_SET_SLOTS / GNS_SET_CHUNK)
#define GNS_CHUNK_WORDS (GNS_CHUNKS / 64u)
#define GNS_SET_BYTES (GNS_SET_SLOTS * sizeof(double))
#define GNS_REGIONS 6u         /* of scratch: of the first stream, of the first capture, of others */
#define GNS_KEEP_BLOCKS 16u    /* of what sets keep */
#define GNS_SETS_CAPTURED 4u   /* graphs must not take all sets */
#define GNS_KERNEL_SLOTS 256u  /* a power of two, well above the number of kernels */

/* In mapped host memory: what deliveries write and what gates read. One writer a word. */
struct gns_set_words {
	uint64_t begun[GNS_SET_STREAMS], done[GNS_SET_STREAMS], counter[GNS_SET_STREAMS];
	uint64_t open[GNS_SET_STREAMS][GNS_SET_RING];
	uint32_t gate;
	uint32_t reserved;
	uint64_t pad[3]; /* to 256 bytes */
};
_Static_assert(sizeof(struct gns_set_words) == 256, "a set's words are a row of 256 bytes");

struct gns_region {
	size_t at, size;
	unsigned long long stream; /* id; of the work that was last in it */
	uint32_t sets;             /* that have work in it and are not free again */
	bool used, captured;       /* at least once; for ever */
};

struct gns_set_stream {
	CUstream handle;
	unsigned long long id;
	uint64_t chunks[GNS_CHUNK_WORDS];
	uint32_t next, end; /* slots left of the newest chunk */
	struct gns_region *region;
	bool worked; /* its event stands behind its newest work; in a capture: it has read its gate */
};

enum gns_set_state { GNS_SET_FREE = 0, GNS_SET_OPEN, GNS_SET_FINISHED, GNS_SET_LOST };

struct gns_set {
	struct gns_device *device;
	enum gns_set_state state;
	bool released; /* of a finished one: free as soon as it is delivered */
	uint64_t capture; /* 0: not captured */
	uint64_t number;  /* of this use; what its delivery writes */
	uint32_t chunks;  /* taken */
	uint32_t n_streams;
	struct gns_set_stream streams[GNS_SET_STREAMS];
	CUevent events[GNS_SET_STREAMS];
	uint64_t clean[GNS_CHUNK_WORDS]; /* chunks that are known to hold zeros */
	size_t keep_at, keep_end;        /* what is left of its newest run of blocks */
	double *slots;                   /* on the device */
	double *host;                    /* GNS_SET_RING blocks */
	CUdeviceptr host_device;
	struct gns_set_words *words;
	CUdeviceptr words_device, gates_device; /* GNS_SET_STREAMS words, GNS_GATE_BYTES apart */
};

enum gns_device_state { GNS_DEVICE_FREE = 0, GNS_DEVICE_MAKING, GNS_DEVICE_READY, GNS_DEVICE_CLOSED, GNS_DEVICE_GONE };

struct gns_device_kernel {
	const char *name;
	CUfunction function;
};

struct gns_device {
	_Atomic int state;
	_Atomic int off; /* enum gns_device_off, of a closed one */
	_Atomic(CUcontext) context;
	unsigned long long id; /* of the context; 0 where the driver has none */
	const struct gns_driver *driver;
	CUdevice number;
	int sms;
	CUmodule module;
	struct gns_device_kernel kernels[GNS_KERNEL_SLOTS];
	CUstream stream; /* deliveries */
	CUdeviceptr memory;
	size_t memory_size, host_size;
	char *host;
	CUdeviceptr host_device;
	struct gns_lock lock; /* sets' states, regions, blocks; no driver call is made under it */
	struct gns_region regions[GNS_REGIONS];
	size_t keep_at, keep_block;
	struct gns_set *keeper[GNS_KEEP_BLOCKS];
	struct gns_set sets[GNS_SETS];
};

struct gns_device_counts {
	_Atomic uint32_t devices;
	_Atomic uint64_t bytes, launches, captures, replays;
	_Atomic uint64_t refused_busy, refused_slots, refused_streams, refused_scratch, refused_capture, errors;
	_Atomic int off, driver_version, error;
};
extern struct gns_device_counts gns_device_counts __attribute__((visibility("hidden")));

#define GNS_DEVICE_COUNT(what) atomic_fetch_add_explicit(&gns_device_counts.what, 1, memory_order_relaxed)

/* device.c: a call of ours failed: counts it and closes the device for us. Returns -EIO. */
int gns_device_failed(struct gns_device *device, CUresult rc);
static inline bool gns_device_ready(struct gns_device *device)
{
	return atomic_load_explicit(&device->state, memory_order_acquire) == GNS_DEVICE_READY;
}

/* device_image.c */
CUresult gns_device_load(struct gns_device *device);
CUfunction gns_device_function(struct gns_device *device, const char *kernel); /* NULL: there is none */
int gns_device_launch(struct gns_device *device, CUstream stream, const char *kernel, const uint32_t grid[3], uint32_t block,
		      const void *args);

/* device_memory.c: the memory of a device and who has it. */

CUresult gns_device_take_memory(struct gns_device *device);
void gns_device_drop_host(struct gns_device *device); /* of a context that has gone */
/* Under the lock: what a set has of scratch and kept memory is free again. */
void gns_device_let_go(struct gns_set *set);

#define GNS_GATE_BYTES 64u /* a gate's own line */
static inline struct gns_set_words *gns_set_words_there(const struct gns_set *set)
{
	return (struct gns_set_words *)(uintptr_t)set->words_device;
}
static inline uint32_t *gns_set_gate_of(const struct gns_set *set, unsigned stream)
{
	return (uint32_t *)(uintptr_t)(set->gates_device + stream * GNS_GATE_BYTES);
}
static inline unsigned gns_set_index(const struct gns_set *set, const struct gns_set_stream *s)
{
	return (unsigned)(s - set->streams);
}

/* device_capture.c */
int gns_set_deliver_captured(struct gns_set *set);

/* device_stream.c: which stream of the set this is, a new one if need be; NULL, *rc: -EXDEV, -EIO. */
struct gns_set_stream *gns_set_stream_of(struct gns_set *set, void *stream, int *rc);

#endif
