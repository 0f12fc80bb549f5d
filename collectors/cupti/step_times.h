/* From the list of activities and the boundaries of steps to what is told of a step: on every device from its mark to its mark.
 *
 * Where a device had no mark at a boundary (its stream was not known, or was being captured), the host's time of the boundary takes its
 * place; a device that runs behind the host then has some of one step in the next: `approximate`. */
#ifndef GNS_COLLECTORS_CUPTI_STEP_TIMES_H
#define GNS_COLLECTORS_CUPTI_STEP_TIMES_H

#include "activities.h"

#define GNS_TOLD_DEVICES 16u
#define GNS_BOUNDARIES 256u

struct gns_boundary {
	uint64_t step;    /* that ends here */
	uint64_t host_ns; /* by CUPTI's clock */
	uint32_t marked;  /* bit d: device d */
	uint32_t owed;    /* likewise: marked as soon as there is more work on a stream of its own */
	bool tell;        /* the step that ends here is one to be told */
};

struct gns_boundaries { /* a ring */
	struct gns_boundary at[GNS_BOUNDARIES];
	uint64_t first, next; /* numbers of boundaries; those in [first, next) are kept. The first of them only begins a step */
};

struct gns_told_device {
	uint32_t device;
	struct gns_account account;
};

struct gns_told {
	uint64_t step;
	bool approximate;
	uint32_t n_devices;
	struct gns_told_device device[GNS_TOLD_DEVICES];
	struct gns_kernel_time use[GNS_KERNEL_ROWS]; /* by row */
};

/* 0: false when the ring is full; nothing is kept then. */
bool gns_boundaries_add(struct gns_boundaries *all, const struct gns_boundary *boundary);
/* Number of the boundary that ends the next step to be told; 0: none. Boundaries before it that end no such step are left behind. */
uint64_t gns_boundaries_next(struct gns_boundaries *all);
/* Whether all marks of the step that ends at this boundary are in the list. One that is missing where a later mark of its device is there
 * has been lost, once no buffer is out any more that might hold it. */
enum gns_marks { GNS_MARKS_IN = 0, GNS_MARKS_AWAITED, GNS_MARKS_LOST };
enum gns_marks gns_told_marks(const struct gns_boundaries *boundaries, uint64_t number, const struct gns_activities *all);
/* Of the step that ends at boundary `number`, whose predecessor is in the ring; forgets what is older than its end. All under the list's
 * lock. False: a step whose ends are not known on any device. */
bool gns_told_make(struct gns_boundaries *boundaries, uint64_t number, struct gns_activities *all, struct gns_told *out);

#endif
