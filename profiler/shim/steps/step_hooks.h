/* What each source of measurements does at a step's boundary: one table, a row for each source (GEMMs, GEMMs on
 * devices, layers, collective calls, kernel times). Core walks the table and knows no source by name.
 *
 * The program's table is collectors/sources.c. A program that links no table, such as a unit test, has no sources; a
 * test may define its own. A function that a source does not need is NULL. Unless said otherwise, all are called
 * under the core's lock and must not call CUDA. The main clock is stream 0 of the layer API, or GEMMs, or marks. */
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
	uint64_t n;      /* its samples (or rows) in this process; 0 not known */
	uint32_t micro;  /* micro-steps */
	double scale;    /* loss scale: the gradients are this many times those of the loss */
	uint64_t numel;  /* elements of all parameters; 0 not known */
};

struct gns_step_hooks {
	const char *name;
	/* a step of some stream begins; the one before was closed or dropped */
	void (*begin)(uint64_t step, bool measured);
	/* a step of the main clock ends; returns the cost of the source's calls since the last close, ns */
	uint64_t (*close)(uint64_t step);
	/* Stages the source's records of a step that ends. Returns the number of GRAD records, which must be the last
	 * that it stages. */
	uint32_t (*stage)(struct gns_publish *publish, const struct gns_step_facts *facts);
	/* false: the staged records were lost; those that are sent once must be sent again */
	void (*sent)(bool sent);
	/* stages records that belong to no step; last: the process ends */
	void (*publish)(struct gns_publish *publish, bool last);
	void (*over)(uint64_t step);                 /* a step of the main clock is over, sent or not */
	size_t (*count)(struct gns_counter *out);    /* its counters, always in the same order */
	void (*forget)(void);                        /* in a child: drops the state of the parent */

	/* the process is about to be announced: by then its rank should be known */
	void (*hello)(void);
	void (*backward)(void);                      /* a backward pass has begun in the step in progress */
	/* a mark ends a step, while only marks count the steps; next: number of the next one */
	void (*mark)(uint64_t next);
	bool (*expects)(void);                       /* the step in progress is not complete after its last GEMM */
	uint64_t (*last)(void);                      /* the latest step that the source has published itself; 0 none */
	enum gns_unit (*unit)(enum gns_unit other);  /* what a sample is, where the source has announced it */

	/* Without the lock, any thread. */
	/* work of this step runs on the stream; stays: the stream exists until the next turn */
	void (*work)(struct gns_device *device, void *stream, bool stays);
	/* May call CUDA. device NULL: not known; otherwise the stream exists until this returns. Returns its cost,
	 * ns, which `close` reports, too. */
	uint64_t (*turn)(struct gns_device *device, void *stream);
};

/* Ended by NULL. */
extern const struct gns_step_hooks *const gns_step_hooks[];

/* Each calls the function of the same name of every source. */
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
bool gns_hooks_expect(void);    /* true if any source does */
uint64_t gns_hooks_last(void);  /* the greatest */
enum gns_unit gns_hooks_unit(enum gns_unit other);
void gns_hooks_work(struct gns_device *device, void *stream, bool stays);
uint64_t gns_hooks_do_turn(struct gns_device *device, void *stream);

/* One bit for each source whose `turn` has to be called; each source sets and clears only its own bits. */
extern _Atomic uint32_t gns_turn_wanted;

/* To be called after a call, without the lock. One load where no source wants a turn. */
static inline uint64_t gns_hooks_turn(struct gns_device *device, void *stream)
{
	return __builtin_expect(atomic_load_explicit(&gns_turn_wanted, memory_order_relaxed), 0)
	       ? gns_hooks_do_turn(device, stream) : 0;
}

#endif
