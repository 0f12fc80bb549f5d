/* Kernel times: CUPTI, subscribed to in windows of a few whole steps (window.h), and what it recorded told by step (GNS_REC_DEVICE_STEP,
 * GNS_REC_KERNEL, GNS_REC_KERNEL_STEP). Where CUPTI is another's, or becomes another's, we let go of it at once and for the rest of the
 * process.
 *
 * The shim calls, where a step of stream 0 ends:
 *
 *     under the core's lock    cost += gns_cupti_closed(step);
 *     still under it, later    gns_cupti_tell(publish);
 *     after it is released     gns_cupti_turn(device, stream);
 *
 * No call to CUPTI or CUDA is made under the core's lock, none where a stream is being captured, and none in gns_cupti_tell, which may
 * run as the process ends. libcupti is looked for at the first window and not before. Nothing prints; errno is the caller's to keep. */
#ifndef GNS_CUPTI_H
#define GNS_CUPTI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gns_device;
struct gns_publish;

/* Work of this step runs on this stream of this device; true: the stream will still be there at the next gns_cupti_turn. Any thread,
 * cheap. */
void gns_cupti_stream(struct gns_device *device, void *stream, bool stays);

/* The step is over, and what our calls have cost since the last one, ns. */
uint64_t gns_cupti_closed(uint64_t step);
/* last: all that has come; the process ends. */
void gns_cupti_tell(struct gns_publish *publish, bool last);

extern _Atomic uint32_t gns_cupti_wanted; /* a boundary, or marks that devices still owe */
uint64_t gns_cupti_do_turn(struct gns_device *device, void *stream);
/* device NULL: not known; otherwise the stream is there at least until this returns. What it cost, ns; gns_cupti_closed will tell of it. */
static inline uint64_t gns_cupti_turn(struct gns_device *device, void *stream)
{
	return __builtin_expect(atomic_load_explicit(&gns_cupti_wanted, memory_order_relaxed), 0) ? gns_cupti_do_turn(device, stream) : 0;
}

void gns_cupti_forget(void); /* in a child */

/* device_mark.c: launches gns_mark on the stream. -EAGAIN: it is being captured; -EIO. */
int gns_device_mark(struct gns_device *device, void *stream, uint64_t step);

#endif
