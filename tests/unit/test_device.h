/* What the tests of the device layer share: a device, memory on it, a measurement. On whatever driver the program finds: the fake one of
 * tests/fakes, or a real one. Memory is taken, filled and read by the driver's own functions; what only the fake can do is found by
 * name. */
#ifndef GNS_TESTS_UNIT_TEST_DEVICE_H
#define GNS_TESTS_UNIT_TEST_DEVICE_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "collectors/gpu/device.h"
#include "collectors/gpu/image.h"
#include "collectors/gpu/plan.h"
#include "gnscope/record.h"
#include "tests/fakes/cuda_api.h"
#include "tests/fakes/cuda_fake.h"

#define OK(call) cr_assert_eq((int)(call), 0, #call)

/* ---- a device ---- */

static inline CUcontext use_device(int ordinal)
{
	CUdevice number;
	CUcontext context;
	int count = 0;

	if (cuInit(0) != CUDA_SUCCESS || cuDeviceGetCount(&count) != CUDA_SUCCESS || count <= ordinal)
		cr_skip_test("no device %d", ordinal);
	if (!gns_cuda_image_size)
		cr_skip_test("built without kernels");
	OK(cuDeviceGet(&number, ordinal));
	OK(cuDevicePrimaryCtxRetain(&context, number));
	OK(cuCtxSetCurrent(context));
	return context;
}

static inline struct gns_device *current(void)
{
	enum gns_device_off why;
	struct gns_device *device = gns_device_current(&why);
	cr_assert(device, "no device: %s", gns_device_off_name(why));
	return device;
}

static inline CUstream new_stream(void)
{
	CUstream stream;
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	return stream;
}

struct floats {
	CUdeviceptr at;
	size_t n;
	double norm2;
};

/* Values without a pattern, scaled. */
static inline void draw(float *values, size_t n, float scale, double *norm2)
{
	static uint32_t state = 1;
	*norm2 = 0;
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		values[i] = scale * ((float)(state >> 8) / 8388608.0f - 1.0f);
		*norm2 += (double)values[i] * values[i];
	}
}

static inline struct floats new_floats(size_t n, float scale)
{
	struct floats f = { .n = n };
	float *values = malloc(n * sizeof *values);
	draw(values, n, scale, &f.norm2);
	OK(cuMemAlloc_v2(&f.at, n * sizeof *values));
	OK(cuMemcpyHtoD_v2(f.at, values, n * sizeof *values));
	free(values);
	return f;
}

/* ---- a measurement ---- */

static inline int measure(struct gns_set *set, CUstream stream, const struct floats *f, uint32_t slot, bool add)
{
	const struct gns_cu_operand m = { (const void *)(uintptr_t)f->at, GNS_F32, 1, 1, f->n, 0, (ptrdiff_t)f->n, 1 };
	struct gns_cu_ground ground = { .out = gns_set_out(set, slot), .sms = gns_device_sms(gns_set_device(set)), .add = add,
					.gate = gns_set_gate(set, stream) };
	struct gns_cu_plan plan;
	size_t size;

	ground.scratch = gns_set_scratch(set, stream, &size);
	if (!ground.scratch)
		return -ENOMEM;
	OK(gns_cu_plan_norm2(&plan, &ground, &m, NULL, 0));
	cr_assert_leq(plan.scratch_bytes, size);
	return gns_set_launch(set, stream, &plan);
}

static inline uint32_t measured(struct gns_set *set, CUstream stream, const struct floats *f)
{
	uint32_t slot;
	OK(gns_set_slot(set, stream, 1, &slot));
	OK(measure(set, stream, f, slot, false));
	return slot;
}

static inline struct gns_set *begin(CUstream stream)
{
	struct gns_set *set;
	OK(gns_set_begin(current(), stream, &set));
	return set;
}

/* Half a minute is for ever. */
static inline bool wait_for(const struct gns_set *set, uint64_t which)
{
	for (int i = 0; i < 30000; i++) {
		if (gns_set_delivered(set) >= which)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

static inline double value_of(const struct gns_set *set, uint64_t which, uint32_t slot)
{
	const double *values = gns_set_values(set, which);
	cr_assert(values, "delivery %llu is not there", (unsigned long long)which);
	return values[slot];
}

#define NEAR(value, truth) cr_assert(fabs((value) - (truth)) <= 1e-12 * fabs(truth), "%.17g, truth %.17g", value, truth)

/* A function of the fake libcuda alone; NULL on a real one. */
#define FAKE(name) ((__typeof__(&name))dlsym(RTLD_DEFAULT, #name))
#define FAKE_ONLY(name) \
	if (!FAKE(name)) \
	cr_skip_test("the fake driver alone can do this")

/* Work that waits until it is let go: keeps a stream busy. */
static inline void hold_stream(void *held)
{
	while (__atomic_load_n((int *)held, __ATOMIC_ACQUIRE))
		nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static inline struct gns_device_stats stats(void)
{
	struct gns_device_stats s;
	gns_device_stats(&s);
	return s;
}

#endif
