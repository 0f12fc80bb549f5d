#include "tests/unit/device_stand_in.h"

uint64_t gns_set_delivered(const struct gns_set *set)
{
	return set->delivered;
}

const double *gns_set_values(const struct gns_set *set, uint64_t which)
{
	if (!which || which > set->delivered || which + GNS_SET_RING <= set->delivered)
		return NULL;
	return set->value[(which - 1) % GNS_SET_RING];
}

bool gns_set_captured(const struct gns_set *set)
{
	return set->captured;
}

void gns_set_open_gate(struct gns_set *set, bool open)
{
	set->gate_moved++;
	set->gate = open;
}

void gns_set_release(struct gns_set *set)
{
	set->released++;
}

bool gns_set_was_open(const struct gns_set *set, uint64_t which)
{
	return !set->closed[(which - 1) % GNS_SET_RING];
}
