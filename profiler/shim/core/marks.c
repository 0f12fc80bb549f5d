/* The other end of gnscope.h: what a trainer may tell us. */
#include <stdint.h>

#include "core.h"
#include "gnscope/gnscope.h"

__attribute__((visibility("default"))) void gnscope_mark_v1(int what, const char *name, const void *data, uint64_t a, uint64_t b,
							    double value);

void gnscope_mark_v1(int what, const char *name, const void *data, uint64_t a, uint64_t b, double value)
{
	switch (what) {
	case GNS_MARK_STEP: gns_core_mark_step(); break;
	case GNS_MARK_SAMPLES: gns_core_mark_samples(a); break;
	case GNS_MARK_LOSS: gns_core_mark_loss(value); break;
	case GNS_MARK_PARAM: gns_core_mark_param(name, data, a, b); break;
	default: break;
	}
}
