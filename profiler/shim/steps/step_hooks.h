/* What each source of measurements does at a step's boundary: one table, a row for each source (GEMMs, GEMMs on devices, layers,
 * collective calls, kernel times). Core walks the table and knows no source by name.
 *
 * The program's table is collectors/sources.c. A program without one, such as a test of this room, has no sources, or brings a table of its own.
 * A function that a source does not need is NULL. All are called under the core's lock and make no call to CUDA, unless said
 * otherwise. Of the main clock: stream 0 of the layers, or GEMMs, or marks. */
#ifndef GNS_PROFILER_SHIM_STEPS_STEP_HOOKS_H
#define GNS_PROFILER_SHIM_STEPS_STEP_HOOKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gnscope/record.h"

struct gns_counter;
struct gns_device;
struct gns_publish;

/* A step, as the clock that ends it knows it. */
struct gns_step_facts {
	uint64_t step;
	uint32_t stream;
	uint64_t n;      /* samples (or rows) of it in this process, 0 not known */
	uint32_t micro;  /* micro-steps */
	double scale;    /* gradients are so many times those of the loss */
	uint64_t numel;  /* of all parameters, 0 not known */
};

struct gns_step_hooks {
	const char *name;
	void (*begin)(uint64_t step, bool measured); /* a step of some stream begins; the one before was closed or is given up */
	uint64_t (*close)(uint64_t step);            /* a step of the main clock ends: what the source's own calls have cost since the last, ns */
	/* Stages the source's records of a step that ends: how many GRAD records, which are then the last that are staged. */
	uint32_t (*stage)(struct gns_publish *publish, const struct gns_step_facts *facts);
	void (*sent)(bool sent);                     /* what was staged was sent, or lost: then what is sent once has to be sent again */
	void (*publish)(struct gns_publish *publish, bool last); /* records apart from a step's; last: the process ends */
	void (*over)(uint64_t step);                 /* a step of the main clock is over, sent or not */
	size_t (*count)(struct gns_counter *out);    /* its counters, each always at the same place */
	void (*forget)(void);                        /* in a child: what the parent had is given up */

	void (*hello)(void);                         /* the process is about to be announced: by then its rank should be known */
	void (*backward)(void);                      /* a backward pass has begun in the step in progress */
	void (*mark)(uint64_t next);                 /* marks alone count the steps: one ends */
	bool (*expects)(void);                       /* more of the step in progress is to come after the last GEMM */
	uint64_t (*last)(void);                      /* the latest step that the source has sent by a clock of its own, 0 none */
	enum gns_unit (*unit)(enum gns_unit other);  /* what a sample is, where the source has announced it */

	/* Not under the lock, any thread. */
	void (*work)(struct gns_device *device, void *stream, bool stays); /* work of this step runs there; stays: until the next turn */
	/* May call CUDA. device NULL: not known; otherwise the stream exists until this returns. What it cost, ns; `close` reports it, too. */
	uint64_t (*turn)(struct gns_device *device, void *stream);
};

/* Ended by NULL. */
extern const struct gns_step_hooks *const gns_step_hooks[];

/* Each calls the function of its name of every source. */
void gns_hooks_begin(uint64_t step, bool measured);
uint64_t gns_hooks_close(uint64_t step);
uint32_t gns_hooks_stage(struct gns_publish *publish, const struct gns_step_facts *facts);
void gns_hooks_sent(bool sent);
void gns_hooks_publish(struct gns_publish *publish, bool last);
void gns_hooks_over(uint64_t step);
size_t gns_hooks_count(struct gns_counter *out);
void gns_hooks_forget(void);
void gns_hooks_hello(void);
void gns_hooks_backward(void);
void gns_hooks_mark(uint64_t next);
bool gns_hooks_expect(void);    /* any */
uint64_t gns_hooks_last(void);  /* the greatest */
enum gns_unit gns_hooks_unit(enum gns_unit other);
void gns_hooks_work(struct gns_device *device, void *stream, bool stays);
uint64_t gns_hooks_do_turn(struct gns_device *device, void *stream);

/* Bits of sources that want their turn; a source sets and clears bits of its own. */
extern _Atomic uint32_t gns_turn_wanted;

/* After a call, outside of the lock. One load where nobody wants a turn. */
static inline uint64_t gns_hooks_turn(struct gns_device *device, void *stream)
{
	return __builtin_expect(atomic_load_explicit(&gns_turn_wanted, memory_order_relaxed), 0) ? gns_hooks_do_turn(device, stream) : 0;
}

#endif
