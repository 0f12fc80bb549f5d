/* What the files layers_device*.c share: a measurement taken by as many samples at a time as its scratch has room for. */
#ifndef GNS_COLLECTORS_GPU_LAYERS_DEVICE_PRIVATE_H
#define GNS_COLLECTORS_GPU_LAYERS_DEVICE_PRIVATE_H

#include "layers_device.h"
#include "plan.h"
#include "collectors/sketch/layers_private.h"

/* Plans samples first to first + n - 1 of `job`. As the functions of plan.h: 0, -EINVAL, -ERANGE. */
typedef int gns_device_planner(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *job, size_t first, size_t n);

/* Plans and launches until all samples are through; the result is in the target's slot. `want`: bytes of scratch to stay below where
 * more than one sample would need more; SIZE_MAX: all there are. */
int gns_device_run(const struct gns_device_target *to, size_t samples, gns_device_planner *planner, const void *job, size_t want);
/* One plan that needs no scratch, or a known part of it; ground as gns_device_ground gives it. */
struct gns_cu_ground gns_device_ground(const struct gns_device_target *to);
int gns_layer_launch(const struct gns_device_target *to, const struct gns_cu_plan *plan);

/* Room in scratch before that of a plan: `bytes` rounded up. Returns the ground of what comes behind. */
struct gns_cu_ground gns_device_behind(const struct gns_cu_ground *ground, size_t bytes);
size_t gns_device_round(size_t bytes);
/* Puts the kernels of `first` before those of `plan`, whose scratch lies `bytes` behind. */
int gns_device_join(struct gns_cu_plan *plan, const struct gns_cu_plan *first, size_t bytes);

struct gns_device_uses {
	struct gns_set *set;
	void *stream;
	size_t n, dim0, rest;
	uint64_t seed, of;
	float *acc; /* n x 8 x rest, or n x dim0 where rest is 1 */
};
/* True also where there are none. */
bool gns_device_uses_fit(const struct gns_device_target *to, size_t n, size_t dim0, size_t rest);

#endif
