/* The buffers that CUPTI writes its records to: a bounded number of our own pages, lent at its request and used again.
 *
 * gns_buffers_lend and gns_buffers_take are what CUPTI's two callbacks do; they may run on any thread, CUPTI's own among them, and use libc
 * alone, a lock of their own, and no allocation. */
#ifndef GNS_COLLECTORS_CUPTI_CUPTI_BUFFERS_H
#define GNS_COLLECTORS_CUPTI_CUPTI_BUFFERS_H

#include "profiler/shim/process/lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNS_BUFFERS 16u
#define GNS_BUFFER_SIZE ((size_t)4 << 20)

struct gns_buffers {
	struct gns_lock lock;
	uint8_t *pages; /* all of them */
	struct {
		bool lent;
		uint64_t since; /* number of the boundary after which it was lent */
	} buffer[GNS_BUFFERS];
	uint64_t now;     /* the newest boundary */
	uint64_t refused; /* requests that met none */
};

bool gns_buffers_init(struct gns_buffers *all);
uint8_t *gns_buffers_lend(struct gns_buffers *all); /* NULL: none left */
bool gns_buffers_owns(const struct gns_buffers *all, const uint8_t *buffer);
void gns_buffers_take(struct gns_buffers *all, const uint8_t *buffer);
void gns_buffers_boundary(struct gns_buffers *all, uint64_t number);
/* What is out there since before this boundary may hold records of before it. */
uint32_t gns_buffers_out(struct gns_buffers *all, uint64_t boundary);
void gns_buffers_rest(struct gns_buffers *all); /* gives the pages of those that are here back to the system; their addresses stay ours */

#endif
