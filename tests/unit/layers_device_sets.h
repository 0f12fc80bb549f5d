/* Where the tests of the measurements run: on no device, with kernels run at once by the emulator (layers_device_sets.c), or on whatever driver
 * the program finds (layers_device_driver.c): the fake one, or a real GPU.
 *
 * The emulator's set has scratch of exactly the bytes that a test says, full of NaN, and behind it a page that cannot be touched; its
 * slots hold what a test puts there. */
#ifndef GNS_TESTS_UNIT_LAYERS_DEVICE_SETS_H
#define GNS_TESTS_UNIT_LAYERS_DEVICE_SETS_H

#include <stddef.h>
#include <stdint.h>

#include "collectors/gpu/layers_device.h"

struct held_set {
	struct gns_set *set;
	void *stream;
	uint32_t first; /* of SETS_SLOTS slots */
};
#define SETS_SLOTS 40

extern const bool sets_emulated;

struct held_set sets_hold(size_t scratch_bytes); /* of a driver: its own, whatever is asked for */
double sets_value(struct held_set *held, uint32_t slot); /* of the SETS_SLOTS; nothing may be measured afterwards */
void sets_drop(struct held_set *held);

/* The emulator alone. */
void sets_put(struct held_set *held, uint32_t slot, double value);
void sets_open(struct held_set *held, bool open);
uint32_t sets_launches(const struct held_set *held);

/* The tensor where kernels read it; the same tensor again gives the same. Valid until sets_forget of its data. */
const struct gns_tensor *sets_tensor(const struct gns_tensor *t, size_t bytes);
void sets_forget(const void *data);
void sets_fetch(void *to, const void *from, size_t bytes); /* memory of gns_set_keep, after sets_value */

#endif
