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

/* Where graphs are all that runs, no step of the host's tells them. */
static void tell_counters(void)
{
	struct gns_counter list[GNS_COUNTERS_MAX];
	bool aside = gns_core.aside;
	gns_publish_rest(&gns_core.publish, &gns_core.config, aside ? gns_core.measure->samples : 0, aside ? GNS_UNIT_SAMPLES : GNS_UNIT_ROWS,
			 list, gns_stepping_counters(list));
}

static bool anything_to_do(void)
{
	const struct gns_publish *p = &gns_core.publish;
	return gns_late_waiting(p) || (p->link == GNS_LINK_OPEN && gns_publish_counters_due(p));
}

void gns_core_replayed(void)
{
	int saved = errno;
	if (!anything_to_do() || gns_inside || gns_life_state() != GNS_AWAKE)
		return;
	gns_inside = 1;
	unsigned fpu = gns_fpu_begin();
	pthread_mutex_lock(&gns_core.lock);
	if (gns_core.state == GNS_AWAKE) {
		gns_late_every(&gns_core.publish, every_in_force());
		gns_late_poll(&gns_core.publish);
		if (gns_publish_counters_due(&gns_core.publish))
			tell_counters();
		gns_publish_revive(&gns_core.publish, &gns_core.config, false);
	}
	pthread_mutex_unlock(&gns_core.lock);
	gns_fpu_end(fpu);
	gns_inside = 0;
	errno = saved;
}
