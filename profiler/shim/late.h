/* Steps whose values are still on a device: their records wait, in order, until the values have come, and are then sent.
 *
 * publish.c stages a step's records as ever; each double that a device will deliver is named by an item instead. gns_publish_send hands
 * records to the queue where there are items, or where others wait already (steps stay in order, across all streams); gns_late_poll
 * sends what is ready. Nothing waits: a full queue refuses the newest measurement (the step is sent as refused, "device_behind"),
 * and what has not come when the process ends is not told (its steps are counted as dropped).
 *
 * A step is sent when every set that it names has been delivered. Then, by item:
 *     ADD   *(double *)(record + offset) += factor * value(slot); the staged double is the start, usually 0
 *     ZERO  value(slot) must be 0, otherwise the record is left out: a gradient that was not zeroed before
 *     SAME  the bits of value(slot) and value(slot + 1) are those of (expect[0], expect[1]), otherwise the record is left out: an operand
 *           that is not what it was taken for
 * A GRAD whose numbers are not finite makes the step a refused one (not_finite): no GRAD of it is sent. STEP.params counts what is left; a step
 * whose GRADs have all been left out is neither measured nor refused.
 *
 * Under the core's lock, but for gns_late_waiting. No allocation after gns_late_init. */
#ifndef GNS_LATE_H
#define GNS_LATE_H

#include <stdbool.h>
#include <stdint.h>

#include "collectors/cuda/device.h"
#include "gnscope/record.h"

#define GNS_LATE_STEPS 64u
#define GNS_LATE_RECORDS (1u << 16)
#define GNS_LATE_ITEMS (1u << 16)

enum gns_late_rule { GNS_LATE_ADD = 0, GNS_LATE_ZERO, GNS_LATE_SAME };

struct gns_late_item {
	uint32_t record; /* index among the staged ones */
	uint16_t offset; /* of the double in the record */
	uint8_t rule;
	uint32_t slot;
	struct gns_set *set;
	union {
		double factor;
		uint64_t expect[2];
	};
};

struct gns_late;

#endif
