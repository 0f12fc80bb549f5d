/* The sources of measurements: a row for each. A new source is its own file and a row here.
 *
 * The order is that of their counters: layers are last, since theirs become more as the program runs. */
#include "collectors/cupti/cupti.h"
#include "profiler/shim/core/core.h"
#include "profiler/shim/core/layer_feed.h"
#include "profiler/shim/core/reductions.h"
#include "profiler/shim/core/state.h"
#include "profiler/shim/publish/device_counters.h"

const struct gns_step_hooks *const gns_step_hooks[] = {
	&gns_gemm_hooks, &gns_device_gemm_hooks, &gns_reduction_hooks, &gns_kernel_time_hooks, &gns_layer_hooks, NULL,
};

_Static_assert(GNS_CORE_COUNTERS + GNS_GEMM_COUNTERS + GNS_DEVICE_COUNTERS + GNS_LAYER_SUMS_COUNTS <= GNS_COUNTERS_MAX, "room for all counters");
