/* Sets of a device that tests deliver by hand. */
#ifndef GNS_TESTS_UNIT_DEVICE_STAND_IN_H
#define GNS_TESTS_UNIT_DEVICE_STAND_IN_H

#include "collectors/gpu/device.h"

struct gns_set {
	double value[GNS_SET_RING][64];
	uint64_t delivered, released, gate_moved, finished;
	uint32_t taken;
	bool captured, gate;
	bool closed[GNS_SET_RING]; /* of a delivery: the gate was */
};

struct gns_device {
	struct gns_set *set;
	unsigned sets, begun;
};
extern bool gns_stand_in_capturing;

#endif
