/* The state of this process. */
#include "state.h"

#include "collectors/gpu/device.h"

struct gns_core gns_core;
__thread int gns_inside __attribute__((tls_model("initial-exec")));
__thread const char *gns_entered_at __attribute__((tls_model("initial-exec")));

void gns_core_after_fork(void)
{
	/* The ring belongs to the parent: the child detaches from it and sleeps until its first GEMM. */
	/* fork() in a signal handler that interrupted the shim */
	bool half_done = gns_core.state == GNS_AWAKE && gns_lock_is_mine(&gns_core.lock);
	gns_lock_forked();
	gns_core.lock = (struct gns_lock){ 0 };
	if (gns_core.state == GNS_AWAKE) {
		gns_core.state = half_done ? GNS_OFF : GNS_FORKED;
		gns_core.generation++;
		gns_device_forget();
	}
}

int gns_lifecycle_state(void)
{
	int state = atomic_load_explicit(&gns_core.state, memory_order_acquire);
	if (state == GNS_AWAKE && !atomic_load_explicit(gns_core.ours, memory_order_relaxed)) {
		gns_core_after_fork();
		state = GNS_FORKED;
	}
	return state;
}

/* Does not depend on the time, so that the same training gives the same numbers. Ranks have different seeds. */
uint64_t gns_core_seed(int32_t rank)
{
	return 0x676e7363ull ^ (uint64_t)rank << 40;
}

void gns_lifecycle_off(void)
{
	atomic_store(&gns_core.state, GNS_OFF);
}

bool gns_core_lock(void)
{
	if (!gns_lock_take(&gns_core.lock)) {
		gns_lifecycle_off();
		return false;
	}
	if (__builtin_expect(gns_core.state == GNS_AWAKE, 1))
		return true;
	gns_lock_release(&gns_core.lock);
	return false;
}

void gns_core_unlock(void)
{
	gns_lock_release(&gns_core.lock);
}
