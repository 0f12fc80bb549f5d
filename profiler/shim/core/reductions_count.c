/* Counts of reductions that are not measured, by reason. */
#include "profiler/shim/publish/counters.h"
#include "reductions.h"

static struct gns_live_counter whys[GNS_REDUCE_WHYS];

void gns_reductions_count(enum gns_reduction_why why)
{
	if (!why)
		return;
	whys[why].collector = "nccl";
	whys[why].name = gns_reduction_why_name(why);
	gns_count(&whys[why]);
}
