/* Sets of a device that tests deliver by hand. */
#ifndef GNS_DEVICE_STAND_IN_H
#define GNS_DEVICE_STAND_IN_H

#include "collectors/cuda/device.h"

struct gns_set {
	double value[GNS_SET_RING][64];
	uint64_t delivered, released, gate_moved;
	bool captured, gate;
	bool closed[GNS_SET_RING]; /* of a delivery: the gate was */
};

#endif
