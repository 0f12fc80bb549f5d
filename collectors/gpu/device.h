/* The memory and the streams of one CUDA context, as collectors use them: sets of results that come back by themselves.
 *
 * A set is one measured step's results on one device: GNS_SET_SLOTS doubles in device memory. A measurement is a few kernels on the
 * caller's own stream that end in a slot; gns_set_finish enqueues, behind them, their delivery to host memory; gns_set_delivered
 * looks at that memory. Nothing here waits for a device, and after the first use of a context nothing is allocated in it. The driver's
 * functions are found by name in the libcuda that the process has loaded (driver.h); where there is none, there are no devices.
 *
 *     struct gns_device *dev = gns_device_current();
 *     struct gns_set *set;
 *     uint32_t slot;
 *     if (dev && !gns_set_begin(dev, stream, &set) && !gns_set_slot(set, stream, 1, &slot))
 *             ... functions of layers_device.h with (set, stream, slot) ...
 *     gns_set_finish(set);
 *     ... later, any number of times: if (gns_set_delivered(set)) gns_set_values(set, 1)[slot] ...
 *     gns_set_release(set);
 *
 * Streams are the caller's handles (CUstream, which is cudaStream_t): NULL and the two special values included. Work on several streams of
 * one set is never ordered by us: each stream owns the slots that were taken for it and delivers them itself.
 *
 * Captures. A set that is begun on a stream that is being captured belongs to the graph from then on: its kernels and its delivery are
 * parts of the graph, every replay delivers anew, and its memory is never given back. Nothing that a capture forbids is called. Work on
 * a stream whose state of capture is not the set's is refused (-EXDEV).
 *
 * Threads: all of a device's functions may be called from any thread; the caller serialises those of one set. The context of a set
 * must be current to the caller in gns_set_* functions that take a stream; gns_set_finish makes it so by itself where it is not.
 * Results are 0 or -errno. No function prints. CUDA's own errors (a sticky error of the trainer's) are never cleared or hidden: ours become
 * -EIO and switch the device off for us. */
#ifndef GNS_COLLECTORS_GPU_DEVICE_H
#define GNS_COLLECTORS_GPU_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_SETS 8u
#define GNS_SET_SLOTS 8192u
#define GNS_SET_CHUNK 64u   /* slots that a stream takes at a time */
#define GNS_SET_STREAMS 4u  /* streams of one set */
#define GNS_SET_RING 4u     /* deliveries of a graph that are kept in host memory */
#define GNS_DEVICES_MAX 16u /* contexts */

struct gns_device;
struct gns_set;
struct gns_cu_plan;

/* Why a context is not used; names for counters and for doctor. */
enum gns_device_off {
	GNS_DEVICE_ON = 0,
	GNS_DEVICE_NO_DRIVER,  /* "no_driver": libcuda is not in the process, or lacks a function */
	GNS_DEVICE_NO_IMAGE,   /* "no_image": built without kernels, or the device refuses them */
	GNS_DEVICE_NO_CONTEXT, /* "no_context": none is current */
	GNS_DEVICE_NO_MEMORY,  /* "no_memory" */
	GNS_DEVICE_CAPTURING,  /* "capturing": first met within a capture; tried again later */
	GNS_DEVICE_TOO_MANY,   /* "too_many_contexts" */
	GNS_DEVICE_FAILED,     /* "driver_error": a call of ours failed */
	GNS_DEVICE_OFFS
};
const char *gns_device_off_name(enum gns_device_off why);

/* Of the context current to this thread; the first call in a context loads the kernels and takes all memory, GNS_DEVICE_SCRATCH_MIB
 * (environment, 64 by default) and 0.5 MB beside, and 2 MB of pinned host memory. NULL: `why` says (may be NULL). Cheap from then
 * on. */
struct gns_device *gns_device_current(enum gns_device_off *why);
unsigned gns_device_sms(const struct gns_device *device);
int gns_device_number(const struct gns_device *device); /* the ordinal of the driver */
/* True where the address is device memory of (or reachable by) the current context; managed memory counts. */
bool gns_device_owns(const void *address);
/* Is this stream being captured? False also where nobody can tell. */
bool gns_device_capturing(void *stream);

struct gns_device_stats { /* of all devices, since the process began */
	uint32_t devices;
	uint64_t bytes;         /* of device memory taken */
	uint64_t launches, captures, replays;
	uint64_t refused_busy, refused_slots, refused_streams, refused_scratch, refused_capture, errors;
	enum gns_device_off off; /* the newest reason */
	int32_t driver_version; /* cuDriverGetVersion, 0 unknown */
	int32_t error;          /* CUresult of the newest error */
};
void gns_device_stats(struct gns_device_stats *out);
void gns_device_replayed(void); /* counts the launch of a graph */

/* Makes the context of `stream` current where it is not, and back; for those who launch in other contexts' names. False: not known, or
 * no driver; nothing is to be undone then. */
bool gns_device_enter(void *stream, void **token);
void gns_device_leave(void *token);

/* A child after fork: contexts are gone, nothing is freed. */
void gns_device_forget(void);

/* -EBUSY: all sets are under way, or graphs have as many as they may; -EXDEV: nobody can tell whether the stream is being captured, or it is and
 * the driver is too old for that (before CUDA 12.0); -EIO. `stream`: on which the first work will be. */
int gns_set_begin(struct gns_device *device, void *stream, struct gns_set **set);
/* n slots in a row (at most GNS_SET_CHUNK), the first of them; they hold 0 until a measurement writes them. -ENOSPC, -EXDEV (more
 * than GNS_SET_STREAMS streams, or another state of capture). */
int gns_set_slot(struct gns_set *set, void *stream, unsigned n, uint32_t *slot);
double *gns_set_out(const struct gns_set *set, uint32_t slot); /* its address on the device */
struct gns_device *gns_set_device(const struct gns_set *set);
bool gns_set_captured(const struct gns_set *set);

/* Scratch of a stream, overwritten by the next measurement on it, aligned to 256 bytes; *size: how much there is. NULL: none. */
void *gns_set_scratch(struct gns_set *set, void *stream, size_t *size);
/* Device memory that lasts until the set is released, aligned to 256 bytes; contents are undefined. NULL: no room (counted). */
void *gns_set_keep(struct gns_set *set, size_t bytes);
/* Where a graph's kernels on this stream look whether they are to do anything; NULL in a set that is not captured. */
const uint32_t *gns_set_gate(const struct gns_set *set, void *stream);
/* Launches the kernels of a plan, in order, on the stream. -EIO. */
int gns_set_launch(struct gns_set *set, void *stream, const struct gns_cu_plan *plan);

/* Enqueues the delivery behind all work of the set: on a stream of our own, which waits for it, so that the caller's streams need not
 * be there any more; in a capture on the captured streams themselves. No more work may follow. -EXDEV: the capture has ended. */
int gns_set_finish(struct gns_set *set);
/* How often the results have been delivered: 0 not yet; more than 1 only where captured. No CUDA call, so also at the end of the
 * process, whatever has become of the driver. */
uint64_t gns_set_delivered(const struct gns_set *set);
/* The `which`-th delivery, from 1. NULL: not yet, or overwritten by a later one (of a graph the newest GNS_SET_RING are kept; which may
 * happen while they are read: look again afterwards). */
const double *gns_set_values(const struct gns_set *set, uint64_t which);
/* Whether the kernels of that delivery were on, on every stream of the set; only where gns_set_values is not NULL. Always in a set that is
 * not captured. */
bool gns_set_was_open(const struct gns_set *set, uint64_t which);
/* Of a graph: whether later replays measure. At first they do. Kernels that are off cost their launch; results are delivered (as 0) all the same. */
void gns_set_open_gate(struct gns_set *set, bool open);
/* Gives the set back. One that is not delivered yet is only given back when it is, by later calls. Not for captured sets. */
void gns_set_release(struct gns_set *set);

#endif
