/* From what a device did to how it spent a step. Pure functions of numbers; tests/unit/test_time_split.c compares them with a count of every
 * single nanosecond.
 *
 * A step of a device is the time from one mark to the next (a mark: a kernel of ours that the step's stream reaches when the step is
 * over, cupti.h), by the device's clock. Each moment of it belongs to the first of these that was under way on any stream: computing
 * (gnscope's own kernels among it), communication, copies; else the device was idle. Kernels count in the step in which they start. */
#ifndef GNS_COLLECTORS_CUPTI_TIME_SPLIT_H
#define GNS_COLLECTORS_CUPTI_TIME_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel_names.h"

struct gns_activity { /* one kernel or one copy */
	uint64_t start, end; /* ns */
	uint64_t queued;     /* when the host launched it; 0 not known */
	uint32_t name;       /* row of a table of names */
	uint32_t device;
	uint32_t grid, shared; /* blocks, bytes a block; 0 of a copy */
	uint16_t block, registers;
	uint16_t mark; /* 1 + low bits of the step that it ends; 0: no mark */
	uint16_t copy; /* a copy or a fill, made by no kernel */
};

/* By start. `scratch` holds as many. Quick where the list is made of few sorted runs: each thread of the host has its launches in order. */
void gns_activity_sort(struct gns_activity *list, struct gns_activity *scratch, size_t n);

struct gns_account {
	uint32_t kernels;
	uint64_t wall_ns, compute_ns, comm_exposed_ns, copy_exposed_ns, idle_ns;
	uint64_t comm_ns, copy_ns, own_ns; /* in all, overlapped by others or not; what overlaps among themselves counts once */
	uint64_t queue_ns;
};

/* Of one device, sorted; those that are of other devices are passed over. families: of the rows of names, n_names of them; a name beyond
 * counts as GNS_DEVICE_OTHER. */
void gns_account_step(const struct gns_activity *list, size_t n, uint32_t device, uint64_t from, uint64_t to, const uint8_t *families,
		      size_t n_names, struct gns_account *out);

struct gns_kernel_time { /* of one name in one step, on all devices */
	uint32_t calls;
	uint64_t total_ns, max_ns;
	uint32_t grid, shared; /* of the longest call */
	uint16_t block, registers;
};

/* Adds one activity to its name's use. */
void gns_kernel_used(struct gns_kernel_time *use, const struct gns_activity *activity);

#endif
