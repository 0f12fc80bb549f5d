/* Steps that the trainer takes by launching a graph: nobody is called but by the launch. */
#include <errno.h>

#include "collectors/cuda/cupti.h"
#include "core.h"
#include "fpu.h"
#include "state.h"

/* Where a budget decides and not the user: what a measured replay costs its device is not known to this processor. */
#define REPLAYS_EVERY 64u

static uint32_t every_in_force(void)
{
	uint32_t control = gns_publish_control(&gns_core.publish);
	if (control & GNS_CONTROL_PAUSED)
		return 0;
	if (GNS_CONTROL_EVERY(control))
		return GNS_CONTROL_EVERY(control);
	return gns_core.config.every ? gns_core.config.every : REPLAYS_EVERY;
}

void gns_core_replayed(void)
{
	int saved = errno;
	if (!gns_inside)
		gns_cupti_turn(NULL, NULL);
	if (!gns_late_waiting(&gns_core.publish) || gns_inside || gns_life_state() != GNS_AWAKE)
		return;
	gns_inside = 1;
	unsigned fpu = gns_fpu_begin();
	pthread_mutex_lock(&gns_core.lock);
	if (gns_core.state == GNS_AWAKE) {
		gns_late_every(&gns_core.publish, every_in_force());
		gns_late_poll(&gns_core.publish);
		gns_publish_revive(&gns_core.publish);
	}
	pthread_mutex_unlock(&gns_core.lock);
	gns_fpu_end(fpu);
	gns_inside = 0;
	errno = saved;
}
