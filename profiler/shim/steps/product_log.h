/* The log of products on devices from which weights are learned (find_in_log.h), and how what their operands held gets into it: two
 * prints of each product are enqueued on the call's own stream, before the call, and come back by sets (device.h) when the device gets there.
 *
 * The log is one unbroken stretch of the program: where a product's prints cannot be had (all sets are under way) it is given up, and
 * begun anew when all that was under way has come back. A set has 8 products at first, and more the further its device is behind: 8 sets
 * last for some 300 of a device that does not get there at all. It begins when there is reason to: two products that look like weight gradients of
 * others before them, by address and shape; a program that only evaluates a model costs a look-up a product. It is given up for a while, each
 * time twice as long, when it is full or many steps have taught nothing. Products of captured streams happen later, or never: they are left out.
 *
 * Threads: _turn, _add, _stop, _again and _at_rest under the core's lock; _enqueue and _sweep without it, for they may wait for a full queue of
 * the driver: a thread that holds the core's lock must never do so. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_LOG_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_LOG_H

#include <stdatomic.h>

#include "profiler/shim/process/lock.h"
#include "collectors/gpu/device.h"
#include "profiler/shim/weights/find_in_log.h"

#define GNS_LOG_BATCH 64u      /* products of one batched call that are looked at */
#define GNS_LOG_CHUNKS 4096u

enum gns_log_state { GNS_LOG_WATCH = 0, GNS_LOG_ON, GNS_LOG_DRAIN, GNS_LOG_PAUSE, GNS_LOG_DONE };

struct gns_log_where { /* beside each product of the log */
	uint32_t next;          /* of the same call, +1 */
	uint32_t slot[2];
	_Atomic uint32_t chunk; /* +1; 0 not enqueued yet */
	bool come;
};

struct gns_log_chunk { /* a set and the products whose prints it brings */
	struct gns_set *set;
	struct gns_log_place *place;
	uint32_t products, left;
	uint32_t began;         /* length of the log then */
	_Atomic bool finished;
	bool released;
};

struct gns_log_place { /* a device */
	struct gns_lock lock;    /* of its open chunk */
	_Atomic(struct gns_device *) device; /* NULL: free */
	_Atomic uint32_t chunk;  /* the open one, +1 */
	_Atomic uint32_t behind; /* products of finished chunks that have not come back */
};

struct gns_product_log {
	_Atomic uint32_t state;
	_Atomic bool gap;        /* some product's prints could not be had */
	_Atomic uint32_t working; /* calls with products in the log, between their _add and _enqueue */
	struct gns_logged *entry; /* GNS_LOG_MAX */
	struct gns_log_where *where;
	struct gns_log_chunk *chunk; /* GNS_LOG_CHUNKS */
	_Atomic uint32_t n_chunks;
	_Atomic uint32_t n;
	uint32_t ready, next_try; /* what has come back of it, when it is looked at again */
	uint32_t found, boundaries;  /* at the last look */
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

/* At each product: true when the weights have become known: log->learn.found. */
bool gns_product_log_turn(struct gns_product_log *log);
/* The product goes into the log, if one is kept. *first: of this call's products there, +1; 0 none. */
void gns_product_log_add(struct gns_product_log *log, const struct gns_product *product, uint32_t *first);
/* Right before the call of the trainer's: of all its products. */
void gns_product_log_enqueue(struct gns_product_log *log, uint32_t first);
/* Lets go of what is open and not wanted any more, or has waited long for company (another device's). Cheap where there is none. */
void gns_product_log_sweep(struct gns_product_log *log);
/* No more (it is known what is to be known), or once more. */
void gns_product_log_stop(struct gns_product_log *log);
void gns_product_log_again(struct gns_product_log *log);
/* After a stop: has all that was under way come back? To be asked until it has. */
bool gns_product_log_at_rest(struct gns_product_log *log);

#endif
