#include "tests/unit/device_stand_in.h"

#include <errno.h>

#include "collectors/gpu/layers_device.h"

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

int gns_set_begin(struct gns_device *device, void *stream, struct gns_set **set)
{
	(void)stream;
	if (device->begun == device->sets)
		return -EBUSY;
	*set = &device->set[device->begun++];
	return 0;
}

int gns_set_slot(struct gns_set *set, void *stream, unsigned n, uint32_t *slot)
{
	(void)stream;
	*slot = set->taken;
	set->taken += n;
	return 0;
}

int gns_set_finish(struct gns_set *set)
{
	set->finished++;
	return 0;
}

bool gns_device_capturing(void *stream)
{
	(void)stream;
	return gns_stand_in_capturing;
}

bool gns_stand_in_capturing;

void gns_device_uses_drop(struct gns_device_uses *uses)
{
	(void)uses;
}
