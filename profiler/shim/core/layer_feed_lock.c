/* Entering and leaving the shim through the layer API; the state that the layer_feed*.c files share. */
#include "layer_feed_private.h"
#include "state.h"

_Atomic bool gns_layer_feed_gave_up;
_Atomic uint64_t gns_layer_feed_unmeasured_ns;
__thread struct gns_layer_feed_timed gns_layer_feed_timed __attribute__((tls_model("initial-exec")));

bool gns_layer_feed_enter(struct gns_guard *h, bool wake)
{
	if (gns_layer_feed_gave_up || !gns_guard_enter(h, GNS_GUARD_NESTED | (wake ? GNS_GUARD_WAKE : GNS_GUARD_AWAKE)))
		return false;
	if (!gns_core.config.no_torch && (gns_core.layer_sums || wake))
		return true;
	gns_guard_leave(h);
	return false;
}

void gns_layer_feed_leave(const struct gns_guard *h)
{
	gns_guard_leave(h);
}

void gns_layer_feed_show_measuring(void)
{
	atomic_store_explicit(&gns_core.measured, gns_layer_sums_measuring(gns_core.layer_sums, 0),
			      memory_order_relaxed);
	atomic_store_explicit(&gns_core.feeding, gns_layer_sums_any_measuring(gns_core.layer_sums),
			      memory_order_relaxed);
}

struct gns_layer_sums_param *gns_layer_feed_enter_param(struct gns_guard *h, int64_t id)
{
	if (!gns_layer_feed_enter(h, false))
		return NULL;
	struct gns_layer_sums_param *p = gns_layer_sums_param_at(gns_core.layer_sums, id);
	if (p)
		gns_layer_feed_timed.stream = p->stream;
	else
		gns_layer_feed_leave(h);
	return p;
}

uint64_t gns_layer_feed_seed(const struct gns_layer_sums_param *p)
{
	return gns_core.product_sums->seed + gns_core.layer_sums->stream[p->stream].clock.step + p->n * 0x9e3779b97f4a7c15ull;
}
