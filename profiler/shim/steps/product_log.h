/* The log of GEMMs on devices in which weights are found (find_in_log.h). The fingerprints of both operands of each
 * GEMM are enqueued on the call's own stream, before the call. They come back in sets (device.h) after the device has
 * run them.
 *
 * The log has no gaps: if the fingerprints of a GEMM cannot be taken (all sets are in flight), the log is dropped and
 * begun again when all sets have come back. A set has 8 GEMMs at first, and more the further its device is behind: 8
 * sets are enough for about 300 GEMMs of a device that runs none of them. Logging begins after two GEMMs that look
 * like weight gradients of earlier ones, by address and shape; in a program that only evaluates a model, a GEMM costs
 * one look-up. Logging pauses, each time twice as long, when the log is full or many steps have shown no weights.
 * GEMMs on captured streams run later or never, so they are not logged.
 *
 * Threads: _turn, _add, _stop, _again and _at_rest under the core's lock; _enqueue and _sweep without it, because
 * they may wait for a full queue of the driver. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_LOG_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_LOG_H

#include <stdatomic.h>

#include "profiler/shim/process/lock.h"
#include "collectors/gpu/device.h"
#include "profiler/shim/weights/find_in_log.h"

#define GNS_LOG_BATCH 64u      /* GEMMs that are logged of one batched call */
#define GNS_LOG_CHUNKS 4096u

enum gns_log_state { GNS_LOG_WATCH = 0, GNS_LOG_ON, GNS_LOG_DRAIN, GNS_LOG_PAUSE, GNS_LOG_DONE };

struct gns_log_where { /* for each entry of the log: where its fingerprints are */
	uint32_t next;          /* next entry of the same call, +1 */
	uint32_t slot[2];
	_Atomic uint32_t chunk; /* +1; 0 not enqueued yet */
	bool come;
};

struct gns_log_chunk { /* a set and the GEMMs whose fingerprints are in it */
	struct gns_set *set;
	struct gns_log_place *place;
	uint32_t products, left;
	uint32_t began;         /* length of the log when the chunk was begun */
	_Atomic bool finished;
	bool released;
};

struct gns_log_place { /* a device */
	struct gns_lock lock;    /* guards its open chunk */
	_Atomic(struct gns_device *) device; /* NULL: free */
	_Atomic uint32_t chunk;  /* the open chunk, +1; 0 none */
	_Atomic uint32_t behind; /* GEMMs of finished chunks that have not come back */
};

struct gns_product_log {
	_Atomic uint32_t state;
	_Atomic bool gap;        /* the fingerprints of some GEMM could not be taken */
	_Atomic uint32_t working; /* calls between their _add and _enqueue */
	struct gns_logged *entry; /* GNS_LOG_MAX */
	struct gns_log_where *where;
	struct gns_log_chunk *chunk; /* GNS_LOG_CHUNKS */
	_Atomic uint32_t n_chunks;
	_Atomic uint32_t n;
	uint32_t ready, next_try; /* entries that have come back; number of them at which weights are searched again */
	uint32_t found, boundaries;  /* in the last search */
	uint32_t first_chunk;
	_Atomic uint32_t printed;
	uint64_t products, resume_at;
	uint32_t pauses, holes, hits;
	struct gns_log_place place[GNS_DEVICES_MAX];
	struct gns_operand_uses uses;   /* while watching */
	struct gns_find_in_log learn;
};

bool gns_product_log_init(struct gns_product_log *log);
void gns_product_log_free(struct gns_product_log *log);

/* Called for each GEMM: true when the weights have been found (log->learn.found). */
bool gns_product_log_turn(struct gns_product_log *log);
/* Adds the GEMM to the log, if one is kept. *first: the latest entry of this call, +1; 0 none. */
void gns_product_log_add(struct gns_product_log *log, const struct gns_product *product, uint32_t *first);
/* Right before the real call: enqueues the fingerprints of all its GEMMs. */
void gns_product_log_enqueue(struct gns_product_log *log, uint32_t first);
/* Finishes open chunks that are not needed any more or have waited long for more GEMMs (of another device). Cheap
 * without open chunks. */
void gns_product_log_sweep(struct gns_product_log *log);
/* _stop: logging ends, because the weights are known. _again: logging begins again. */
void gns_product_log_stop(struct gns_product_log *log);
void gns_product_log_again(struct gns_product_log *log);
/* After _stop: true when all sets have come back. To be called until then. */
bool gns_product_log_at_rest(struct gns_product_log *log);

#endif
