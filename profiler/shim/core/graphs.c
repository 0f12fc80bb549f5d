/* Steps that run as the replay of a CUDA graph: the launch is the only call that the shim sees. */
#include "profiler/shim/process/clock.h"
#include "graphs.h"
#include "guard.h"
#include "products_device.h"
#include "state.h"

/* The interval if the user has set none: the host cannot see what a measured replay costs the device. */
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

/* A program that only launches graphs has no step boundary on the host at which counters are published. */
static void publish_counters(void)
{
	struct gns_counter *list = gns_core.counter;
	bool aside = gns_core.aside;
	gns_publish_rest(&gns_core.publish, &gns_core.config, aside ? gns_core.product_sums->samples : 0,
			 aside ? GNS_UNIT_SAMPLES : GNS_UNIT_ROWS,
			 list, gns_step_boundary_counters(list));
}

static bool anything_to_do(void)
{
	const struct gns_publish *p = &gns_core.publish;
	return gns_deferred_waiting(p) || (p->link == GNS_LINK_OPEN && gns_publish_counters_due(p, gns_now()));
}

void gns_core_replayed(void)
{
	struct gns_guard guard;
	if (!anything_to_do() || !gns_guard_enter(&guard, GNS_GUARD_AWAKE))
		return;
	gns_deferred_every(&gns_core.publish, every_in_force());
	gns_deferred_poll(&gns_core.publish);
	if (gns_publish_counters_due(&gns_core.publish, gns_now()))
		publish_counters();
	gns_publish_revive(&gns_core.publish, &gns_core.config, false);
	gns_guard_leave(&guard);
}

void gns_core_capture_ends(void *stream)
{
	gns_products_device_capture_ends(stream);
}
