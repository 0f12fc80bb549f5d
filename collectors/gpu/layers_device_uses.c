/* Several uses of one parameter on a device: accumulators in the set's memory, their squared norm in the end. */
#include <errno.h>
#include <stdlib.h>

#include "layers_device_private.h"

static size_t cells(size_t n, size_t dim0, size_t rest)
{
	size_t lanes = rest == 1 ? dim0 : 8, count;

	if (__builtin_mul_overflow(n, lanes, &count) || __builtin_mul_overflow(count, rest, &count) || count > SIZE_MAX / 64)
		return 0;
	return count;
}

static int zero(struct gns_set *set, void *stream, float *acc, size_t count)
{
	const struct gns_device_target to = {.set = set, .stream = stream};
	const struct gns_cu_ground ground = {.sms = gns_device_sms(gns_set_device(set)), .gate = gns_set_gate(set, stream)};
	struct gns_cu_plan plan;
	const int rc = gns_cu_plan_fill(&plan, &ground, (double *)(void *)acc, (count + 1) / 2);

	return rc ? rc : gns_layer_launch(&to, &plan);
}

struct gns_device_uses *gns_device_uses_init(struct gns_set *set, void *stream, size_t n, size_t dim0, size_t rest, uint64_t seed,
					     uint64_t of)
{
	const size_t count = cells(n, dim0, rest);
	struct gns_device_uses *uses = count ? malloc(sizeof *uses) : NULL;

	if (!uses)
		return NULL;
	*uses = (struct gns_device_uses){.set = set, .stream = stream, .n = n, .dim0 = dim0, .rest = rest, .seed = seed, .of = of,
					 .acc = gns_set_keep(set, (count + 1) / 2 * sizeof(double))};
	if (!uses->acc || zero(set, stream, uses->acc, count)) {
		free(uses);
		return NULL;
	}
	return uses;
}

bool gns_device_uses_fit(const struct gns_device_target *to, size_t n, size_t dim0, size_t rest)
{
	const struct gns_device_uses *uses = to->uses;

	return !uses || (uses->n == n && uses->dim0 == dim0 && uses->rest == rest && uses->stream == to->stream && uses->set == to->set);
}

int gns_device_uses_finish(const struct gns_device_target *to, struct gns_device_uses *uses)
{
	const size_t count = cells(uses->n, uses->dim0, uses->rest);
	const struct gns_tensor acc = {.data = uses->acc, .dtype = GNS_F32, .ndim = 1, .size = {count}, .stride = {1}};
	const int rc = gns_device_norm2(to, &acc);

	free(uses);
	return rc;
}

void gns_device_uses_drop(struct gns_device_uses *uses)
{
	free(uses);
}
