/* A set of results on no device: the functions of device.h that layers_device*.c call, with kernels run at once by the emulator.
 * Scratch is of exactly the bytes that the test says, full of NaN, and behind it a page that cannot be touched. */
#ifndef LAYERS_DEVICE_SETS_H
#define LAYERS_DEVICE_SETS_H

#include <stddef.h>
#include <stdint.h>

#include "collectors/cuda/device.h"

struct gns_set {
	double slot[64];
	char *memory, *scratch;
	size_t scratch_bytes, mapped;
	char *kept;
	size_t kept_bytes, kept_used;
	uint32_t gate, launches;
};

void sets_hold(struct gns_set *set, size_t scratch_bytes);
void sets_drop(struct gns_set *set);

#endif
