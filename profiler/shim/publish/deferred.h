/* Steps whose values are still on a device: their records wait, in order, until the values have come, and are then
 * sent.
 *
 * publish.c stages a step's records as usual; for each double that a device will deliver, an item says where it goes.
 * gns_publish_send hands the records to the queue if there are items, or if earlier steps are waiting (steps stay in
 * order, across all streams); gns_deferred_poll sends what is ready. No function blocks. If the queue is full, the
 * latest measurement is dropped (the step is sent as skipped, "device_behind"). Values that have not come when the
 * process ends are not sent (their steps are counted as lost).
 *
 * A step is sent when every set that it names has been delivered. Then, by item:
 *     ADD   *(double *)(record + offset) += factor * value(slot); the staged double is the start, usually 0
 *     ZERO  value(slot) must be 0, otherwise the record is left out: the gradient was not zeroed before the step
 *     PAIR  the bits of value(slot) and value(slot + 1) must be those of value(other) and value(other + 1) of the
 *           same set, otherwise the record is left out: the operand is not the expected one
 *     SCALE *(double *)(record + offset) *= value(slot) ^ power, a small whole number: removes the loss scale
 * in the order in which they were added.
 * A GRAD whose numbers are not finite makes the step a skipped one (not_finite): no GRAD of it is sent. STEP.params
 * counts the GRADs that are left; a step whose GRADs have all been left out is neither measured nor skipped.
 *
 * Graphs. A step that names a captured set has not happened when it is handed over: it becomes a template, and every
 * delivery of the set is a step of its own, made of the template's GRAD, LOSS, KERNEL_STEP and STEP records; what
 * else was staged is sent at once. Numbers follow each other within a stream: all of its later steps are renumbered.
 * Wall time is that between the polls that saw the deliveries. A delivery that was made with the gate closed is a
 * step that is not measured. For deliveries that were overwritten before they were seen, only STEP records are sent.
 *
 * Under the core's lock, except gns_deferred_waiting. No CUDA call, except by the gate of a graph (and possibly in
 * gns_publish_deferred_*, where there is none today). Memory is allocated once, for the first item, in pages that are
 * committed when touched. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_DEFERRED_H
#define GNS_PROFILER_SHIM_PUBLISH_DEFERRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/gpu/device.h"
#include "gnscope/record.h"

#define GNS_DEFERRED_STEPS 64u  /* measured steps; unmeasured ones between them do not count */
#define GNS_DEFERRED_SETS 32u   /* sets of one step */
#define GNS_DEFERRED_RECORDS (1u << 16)
#define GNS_DEFERRED_ITEMS (1u << 16)
#define GNS_DEFERRED_GRAPHS 8u  /* templates; they share a quarter as many records, and items, as the queue has */

enum gns_deferred_rule { GNS_DEFERRED_ADD = 0, GNS_DEFERRED_ZERO, GNS_DEFERRED_PAIR, GNS_DEFERRED_SCALE };

struct gns_deferred_item {
	uint32_t record; /* index among the staged records */
	uint16_t offset; /* of the double in the record */
	uint8_t rule;
	uint32_t slot;
	struct gns_set *set;
	union {
		double factor; /* SCALE: the power */
		uint32_t other;
	};
};

struct gns_deferred_counts { /* since the process began */
	uint64_t steps;          /* steps that have waited in the queue */
	uint64_t not_finite, device_behind; /* skipped steps, by reason */
	uint64_t not_zeroed, not_same;      /* records left out by ZERO and by PAIR */
	uint32_t not_same_run;   /* the latest measured steps of stream 0 in a row that lost a record to PAIR */
	/* templates; their steps; those of them that were overwritten before they were seen */
	uint64_t graphs, replayed, unseen;
};

struct gns_publish;
struct gns_deferred; /* NULL until the first item */

/* ADD, ZERO, SCALE, in the step that is being staged. `staged` is what gns_publish_stage gave, `offset` that of a
 * double from its beginning: offsetof(struct gns_record, u.grad.q_big). If there is no room for the item, the step is
 * skipped. */
void gns_publish_deferred(struct gns_publish *publish, const struct gns_record *staged, size_t offset,
			  enum gns_deferred_rule rule, struct gns_set *set, uint32_t slot, double factor);
void gns_publish_deferred_pair(struct gns_publish *publish, const struct gns_record *staged, struct gns_set *set,
			       uint32_t slot, uint32_t other);
/* Makes the staged step wait for this set and release it once sent (or skipped), even if no item names it. An item
 * does the same for its set. */
void gns_publish_deferred_set(struct gns_publish *publish, struct gns_set *set);

/* Sends what is ready. gns_publish_send calls it first. */
void gns_deferred_poll(struct gns_publish *publish);
/* True if steps are waiting, so that gns_deferred_poll should be called. One load; any thread. */
bool gns_deferred_waiting(const struct gns_publish *publish);
/* The process ends: sends the steps that are ready and counts the rest as lost. Later steps are sent as usual. */
void gns_deferred_end(struct gns_publish *publish);
/* Measures one replay of a graph in `every`; 0: none. The gate is opened when a replay is to be measured, and closed
 * when its numbers come. */
void gns_deferred_every(struct gns_publish *publish, uint32_t every);
void gns_deferred_counts(const struct gns_publish *publish, struct gns_deferred_counts *out);

/* For publish.c only. */
enum gns_deferred_verdict { GNS_DEFERRED_PASS = 0, GNS_DEFERRED_TAKEN, GNS_DEFERRED_DROPPED };
enum gns_deferred_verdict gns_deferred_push(struct gns_publish *publish); /* PASS: send what is staged now */
void gns_deferred_free(struct gns_deferred *deferred);

#endif
