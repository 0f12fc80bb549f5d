/* Entering and leaving the shim from a call of the training program: re-entrancy, errno, floating-point state, the
 * core's lock.
 *
 *     struct gns_guard guard;
 *     if (!gns_guard_enter(&guard, GNS_GUARD_AWAKE))
 *             return;
 *     ... gns_core is ours ...
 *     gns_guard_leave(&guard);
 */
#ifndef GNS_PROFILER_SHIM_CORE_GUARD_H
#define GNS_PROFILER_SHIM_CORE_GUARD_H

#include <stdbool.h>

enum {
	GNS_GUARD_AWAKE = 0,    /* enter only if the shim is awake already */
	GNS_GUARD_WAKE = 1,     /* wake the shim if it is asleep */
	GNS_GUARD_NESTED = 2,   /* enter also within another call of the shim (which must not hold the lock) */
};

struct gns_guard {
	int inside, saved_errno;
	unsigned fpu;
};

/* False: switched off, asleep, or called from within the shim. Then the lock is not held and nothing was changed. */
bool gns_guard_enter(struct gns_guard *guard, int how);
/* Restores errno as it was on entry. */
void gns_guard_leave(const struct gns_guard *guard);
/* gns_guard_leave for a caller that does not hold the lock any more */
void gns_guard_drop(const struct gns_guard *guard);

#endif
