/* See guard.h. */
#include "guard.h"

#include <errno.h>

#include "profiler/shim/process/fpu.h"
#include "state.h"

bool gns_guard_enter(struct gns_guard *g, int how)
{
	int saved = errno;
	if (gns_inside && !(how & GNS_GUARD_NESTED))
		return false;
	int state = gns_lifecycle_state();
	if (state == GNS_OFF || (state != GNS_AWAKE && !(how & GNS_GUARD_WAKE)))
		return false;
	g->inside = gns_inside;
	g->saved_errno = saved;
	gns_inside = 1;
	if (state != GNS_AWAKE)
		gns_lifecycle_wake();
	g->fpu = gns_fpu_begin();
	if (gns_core_lock())
		return true;
	gns_guard_drop(g);
	return false;
}

void gns_guard_drop(const struct gns_guard *g)
{
	gns_fpu_end(g->fpu);
	gns_inside = g->inside;
	errno = g->saved_errno;
}

void gns_guard_leave(const struct gns_guard *g)
{
	gns_core_unlock();
	gns_guard_drop(g);
}
