/* Steps whose values are still on a device: their records wait, in order, until the values have come, and are then sent.
 *
 * publish.c stages a step's records as ever; each double that a device will deliver is named by an item instead. gns_publish_send hands
 * records to the queue where there are items, or where others wait already (steps stay in order, across all streams); gns_deferred_poll
 * sends what is ready. Nothing waits: a full queue refuses the newest measurement (the step is sent as refused, "device_behind"),
 * and what has not come when the process ends is not told (its steps are counted as dropped).
 *
 * A step is sent when every set that it names has been delivered. Then, by item:
 *     ADD   *(double *)(record + offset) += factor * value(slot); the staged double is the start, usually 0
 *     ZERO  value(slot) must be 0, otherwise the record is left out: a gradient that was not zeroed before
 *     PAIR  the bits of value(slot) and value(slot + 1) are those of value(other) and value(other + 1) of the same set, otherwise the
 *           record is left out: an operand that is not what it was taken for
 *     SCALE *(double *)(record + offset) *= value(slot) ^ power, a small whole number: what the trainer has scaled is scaled back
 * in the order in which they were named.
 * A GRAD whose numbers are not finite makes the step a refused one (not_finite): no GRAD of it is sent. STEP.params counts what is left; a step
 * whose GRADs have all been left out is neither measured nor refused.
 *
 * Graphs. A step that names a captured set has not happened when it is handed over: it becomes a template, and every delivery of the
 * set is a step of its own, made of the template's GRAD, LOSS, KERNEL_STEP and STEP records; what else was staged is sent at once. Numbers follow
 * each other within a stream: all of its later steps are renumbered. Wall time is that between the polls that saw the deliveries. A delivery that was
 * made with the gate closed is a step that is not measured. Of deliveries that were overwritten before they were seen only the steps are told.
 *
 * Under the core's lock, but for gns_deferred_waiting. No CUDA call but in gns_publish_deferred_* (none there either, today) and by the gate of a
 * graph; memory is taken once, when the first item is named, in pages that are committed when touched. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_DEFERRED_H
#define GNS_PROFILER_SHIM_PUBLISH_DEFERRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/gpu/device.h"
#include "gnscope/record.h"

#define GNS_DEFERRED_STEPS 64u  /* measured ones; others between them need none */
#define GNS_DEFERRED_SETS 32u   /* of one step */
#define GNS_DEFERRED_RECORDS (1u << 16)
#define GNS_DEFERRED_ITEMS (1u << 16)
#define GNS_DEFERRED_GRAPHS 8u  /* templates; they share a quarter as many records, and items, as the queue has */

enum gns_deferred_rule { GNS_DEFERRED_ADD = 0, GNS_DEFERRED_ZERO, GNS_DEFERRED_PAIR, GNS_DEFERRED_SCALE };

struct gns_deferred_item {
	uint32_t record; /* index among the staged ones */
	uint16_t offset; /* of the double in the record */
	uint8_t rule;
	uint32_t slot;
	struct gns_set *set;
	union {
		double factor; /* of SCALE: the power */
		uint32_t other;
	};
};

struct gns_deferred_counts { /* since the process began */
	uint64_t steps;          /* that have waited */
	uint64_t not_finite, device_behind; /* refused */
	uint64_t not_zeroed, not_same;      /* records left out by these rules */
	uint32_t not_same_run;   /* the newest measured steps of stream 0 in a row that lost a record to PAIR */
	uint64_t graphs, replayed, unseen;  /* templates; their steps; of these, overwritten before they were seen */
};

struct gns_publish;
struct gns_deferred; /* NULL until the first item */

/* ADD, ZERO, SCALE, in the step that is being staged. `staged` is what gns_publish_stage gave, `offset` that of a double from its beginning:
 * offsetof(struct gns_record, u.grad.q_big). What there is no room for makes the step a refused one. */
void gns_publish_deferred(struct gns_publish *publish, const struct gns_record *staged, size_t offset, enum gns_deferred_rule rule,
		      struct gns_set *set, uint32_t slot, double factor);
void gns_publish_deferred_pair(struct gns_publish *publish, const struct gns_record *staged, struct gns_set *set, uint32_t slot, uint32_t other);
/* The staged step waits for this set and releases it once sent (or refused), also where no item names it. Items do so, too. */
void gns_publish_deferred_set(struct gns_publish *publish, struct gns_set *set);

/* Sends what is ready. gns_publish_send calls it first. */
void gns_deferred_poll(struct gns_publish *publish);
/* Is anything to be polled for? One load; any thread. */
bool gns_deferred_waiting(const struct gns_publish *publish);
/* The process ends: what is ready is sent, the rest is counted as dropped. Further steps are sent as ever. */
void gns_deferred_end(struct gns_publish *publish);
/* Every how many replays of a graph one is measured; 0 none. Each gate is opened when its turn comes and closed when numbers have come. */
void gns_deferred_every(struct gns_publish *publish, uint32_t every);
void gns_deferred_counts(const struct gns_publish *publish, struct gns_deferred_counts *out);

/* For publish.c. */
enum gns_deferred_verdict { GNS_DEFERRED_PASS = 0, GNS_DEFERRED_TAKEN, GNS_DEFERRED_DROPPED };
enum gns_deferred_verdict gns_deferred_push(struct gns_publish *publish); /* PASS: send what is staged now */
void gns_deferred_free(struct gns_deferred *deferred);

#endif
