/* Kernel times from CUPTI, in windows of a few steps.
 *
 * Reference: NVIDIA's CUPTI documentation, "Activity API" and "Callback API" (cuptiSubscribe). The activity API needs no subscription; we
 * subscribe to learn of another client, and to be the one that it displaces. */
#include "cupti.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cupti_buffers.h"
#include "cupti_find.h"
#include "cupti_records.h"
#include "collectors/gpu/device.h"
#include "collectors/gpu/driver.h"
#include "collectors/gpu/on.h"
#include "window.h"
#include "profiler/shim/process/clock.h"
#include "profiler/shim/publish/publish.h"
#include "profiler/shim/process/real_function.h"
#include "profiler/shim/steps/step_hooks.h"
#include "profiler/shim/core/state.h"
#include "profiler/shim/publish/counters.h"

#define EXPORT __attribute__((visibility("default")))
#define TOLD_MAX 4
#define QUIET_FLUSHES 2 /* that bring nothing, until a buffer that is still out is taken for empty */

/* Bits of gns_turn_wanted; below them one for each device that owes a mark. */
#define BOUNDARY (1u << 31) /* a step is over */
#define HOLDING (1u << 30)  /* a window is open: steps may have stopped to end */

static struct {
	struct gns_lock lock; /* of all of it; never taken under the core's but by trying */
	pid_t pid;
	bool begun, found, demangle_sought;
	struct gns_kernel_window window;
	struct gns_cupti_api api;
	gns_demangle_fn demangle;
	uint32_t version;
	void *subscriber;
	struct gns_boundaries boundaries;
	struct gns_told told[TOLD_MAX];
	uint32_t n_told;
	uint64_t dropped_before; /* what had been lost when the window began */
	uint32_t quiet;
	bool stopping;    /* as soon as no device owes a mark */
	uint64_t turn_ns; /* when the present turn began */
	_Atomic uint64_t boundary_ns; /* when a step was last seen to end */
	char owner[72];
	bool owner_new, approximate_told, approximate_new;
} our = { .lock = { .slow = true } };

/* What CUPTI's threads see. */
static struct gns_activities activities = { .lock = { .slow = true } };
static struct gns_buffers buffers = { .lock = { .slow = true } };
static _Atomic bool collecting;
static _Atomic bool holding; /* subscribed */
static _Atomic(gns_cupti_completed_fn) others_completed;

static _Atomic uint64_t closed_step, spent_ns;
static struct {
	_Atomic(struct gns_device *) device;
	_Atomic(void *) stream;
	_Atomic bool stays;
} seen[GNS_TOLD_DEVICES];

static struct gns_live_counter windows = { .collector = "cupti", .name = "windows" };
static struct gns_live_counter steps_told = { .collector = "cupti", .name = "steps_told" };
static struct gns_live_counter steps_abandoned = { .collector = "cupti", .name = "steps_abandoned" };
static struct gns_live_counter records_dropped = { .collector = "cupti", .name = "dropped" };
static struct gns_live_counter names_not_listed = { .collector = "cupti", .name = "names_not_listed" };
static struct gns_live_counter host_us = { .collector = "cupti", .name = "host_us" };
static struct gns_live_counter overhead_us = { .collector = "cupti", .name = "overhead_us" };
static struct gns_live_counter not_found = { .collector = "cupti", .name = "not_found" };
static struct gns_live_counter refused = { .collector = "cupti", .name = "refused" };
static struct gns_live_counter handed_over = { .collector = "cupti", .name = "handed_over" };

static const int kinds[] = { GNS_CUPTI_CONCURRENT_KERNEL, GNS_CUPTI_MEMCPY, GNS_CUPTI_MEMCPY2, GNS_CUPTI_MEMSET, GNS_CUPTI_OVERHEAD };

static void raise_to(struct gns_live_counter *tally, uint64_t value)
{
	if (value && !atomic_load(&tally->value))
		gns_count(tally);
	if (value)
		atomic_store_explicit(&tally->value, value, memory_order_relaxed);
}

/* ---- what CUPTI calls, on whatever thread ---- */

static void requested(uint8_t **buffer, size_t *size, size_t *max_records)
{
	*buffer = atomic_load(&collecting) ? gns_buffers_lend(&buffers) : NULL;
	*size = *buffer ? GNS_BUFFER_SIZE : 0;
	*max_records = 0;
}

static void completed(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
	void *record = NULL;
	size_t dropped = 0;
	if (!gns_buffers_owns(&buffers, buffer)) {
		gns_cupti_completed_fn theirs = atomic_load(&others_completed);
		if (theirs)
			theirs(context, stream, buffer, size, valid);
		return;
	}
	if (atomic_load(&collecting) && gns_lock_take(&activities.lock)) {
		while (our.api.next_record(buffer, valid, &record) == GNS_CUPTI_SUCCESS)
			gns_activities_add(&activities, record, our.version);
		if (our.api.dropped(NULL, 0, &dropped) == GNS_CUPTI_SUCCESS)
			activities.dropped += dropped;
		gns_lock_release(&activities.lock);
	}
	gns_buffers_take(&buffers, buffer);
}

static void callback(void *userdata, int domain, uint32_t id, const void *data)
{
	/* Nothing is enabled for it. */
	(void)userdata, (void)domain, (void)id, (void)data;
}

/* ---- a window; all under our.lock ---- */

static void forget_window(void)
{
	if (gns_lock_take(&activities.lock)) {
		gns_activities_clear(&activities);
		gns_lock_release(&activities.lock);
	}
	our.boundaries.first = our.boundaries.next;
	our.quiet = 0;
	our.stopping = false;
}

static void disable(void)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		our.api.disable(kinds[i]);
}

static void show_counts(void)
{
	raise_to(&records_dropped, activities.dropped);
	raise_to(&names_not_listed, activities.names_not_listed);
	raise_to(&overhead_us, activities.overhead_ns / 1000);
}

static void leave(void)
{
	our.api.unsubscribe(our.subscriber);
	our.subscriber = NULL;
	atomic_fetch_and(&gns_turn_wanted, BOUNDARY);
	atomic_store(&holding, false);
	atomic_store(&collecting, false);
	forget_window();
	gns_buffers_rest(&buffers);
	gns_kernel_window_spent(&our.window, gns_now() - our.turn_ns);
	gns_kernel_window_over(&our.window, gns_now());
}

static void owned_by(const char *who)
{
	gns_kernel_window_stop(&our.window);
	if (!our.owner[0]) {
		snprintf(our.owner, sizeof our.owner, "%s", who);
		our.owner_new = true;
	}
}

static bool find(void)
{
	if (our.found)
		return true;
	if (!gns_activities_init(&activities) || !gns_buffers_init(&buffers) || !gns_cupti_find(&our.api)) {
		gns_count(&not_found);
		return false;
	}
	our.api.get_version(&our.version);
	return our.found = true;
}

static bool begin(void)
{
	if (!find())
		return false;
	int rc = our.api.subscribe(&our.subscriber, (void *)(uintptr_t)callback, NULL);
	if (rc == GNS_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS) {
		char who[72];
		gns_cupti_holder(&our.api, who, sizeof who);
		owned_by(who);
		return false;
	}
	if (rc != GNS_CUPTI_SUCCESS) {
		gns_count(&refused);
		return false;
	}
	atomic_store(&holding, true);
	atomic_fetch_or(&gns_turn_wanted, HOLDING);
	forget_window();
	our.dropped_before = activities.dropped;
	atomic_store(&collecting, true);
	if (our.api.register_callbacks(requested, completed) != GNS_CUPTI_SUCCESS || our.api.enable(kinds[0]) != GNS_CUPTI_SUCCESS) {
		gns_count(&refused);
		disable();
		leave();
		return false;
	}
	for (size_t i = 1; i < sizeof kinds / sizeof *kinds; i++)
		our.api.enable(kinds[i]); /* what this CUPTI does not have is not collected */
	gns_count(&windows);
	return true;
}

static void flush(void)
{
	if (!gns_lock_take(&activities.lock))
		return;
	uint64_t before = activities.added;
	size_t dropped = 0;
	gns_lock_release(&activities.lock);
	our.api.flush_all(0);
	our.api.dropped(NULL, 0, &dropped);
	if (!gns_lock_take(&activities.lock))
		return;
	activities.dropped += dropped;
	our.quiet = activities.added == before ? our.quiet + 1 : 0;
	gns_lock_release(&activities.lock);
}

/* NULL, 1 and 2 are the default streams, which never go away. */
static bool is_lasting(const void *stream)
{
	return (uintptr_t)stream <= 2;
}

static uint32_t bit_of(const struct gns_device *device)
{
	int number = device ? gns_device_number(device) : -1;
	return number >= 0 && number < (int)GNS_TOLD_DEVICES ? 1u << number : 0;
}

static uint32_t mark_one(struct gns_device *device, void *stream, uint64_t step)
{
	return bit_of(device) && gns_device_mark(device, stream, step) == 0 ? bit_of(device) : 0;
}

/* A stream that we have seen may be gone by now: where it may, the mark goes before the device's next work, on the stream of that. */
static void mark_all(struct gns_device *device, void *stream, struct gns_boundary *b)
{
	b->marked = mark_one(device, stream, b->step);
	for (uint32_t i = 0; i < GNS_TOLD_DEVICES; i++) {
		struct gns_device *other = atomic_load(&seen[i].device);
		void *on = atomic_load(&seen[i].stream);
		bool stays = atomic_exchange(&seen[i].stays, false);
		if (!other || b->marked >> i & 1)
			continue;
		if (stays || is_lasting(on))
			b->marked |= mark_one(other, on, b->step);
		else
			b->owed |= 1u << i;
	}
	atomic_fetch_or(&gns_turn_wanted, b->owed);
}

static struct gns_boundary *newest(void)
{
	return our.boundaries.next > our.boundaries.first ? &our.boundaries.at[(our.boundaries.next - 1) % GNS_BOUNDARIES] : NULL;
}

static void stop(void)
{
	disable();
	our.stopping = false;
}

static void pay(struct gns_device *device, void *stream)
{
	struct gns_boundary *b = newest();
	uint32_t bit = bit_of(device);
	atomic_fetch_and(&gns_turn_wanted, ~bit);
	if (!b || !(b->owed & bit))
		return;
	b->owed &= ~bit;
	b->marked |= mark_one(device, stream, b->step);
	if (our.stopping && !b->owed)
		stop();
}

/* What has not been paid when the next step is over will not be. */
static void write_off(void)
{
	struct gns_boundary *b = newest();
	atomic_fetch_and(&gns_turn_wanted, BOUNDARY | HOLDING);
	if (b)
		b->owed = 0;
	if (our.stopping)
		stop();
}

/* A window on a ring that is full tells nothing any more of what is in it. */
static void add_boundary(const struct gns_boundary *b)
{
	if (gns_boundaries_add(&our.boundaries, b)) {
		gns_buffers_boundary(&buffers, our.boundaries.next - 1);
		return;
	}
	for (uint32_t i = 1; i < GNS_BOUNDARIES; i++)
		gns_count(&steps_abandoned);
	forget_window();
}

static bool is_ready(uint64_t number, enum gns_marks *marks)
{
	const struct gns_boundary *end = &our.boundaries.at[number % GNS_BOUNDARIES];
	bool all_back = !end->owed && gns_buffers_out(&buffers, number) == 0;
	bool quiet = our.window.state == GNS_WINDOW_DRAIN && our.quiet >= QUIET_FLUSHES;
	*marks = gns_told_marks(&our.boundaries, number, &activities);
	return (all_back || quiet) && *marks != GNS_MARKS_AWAITED;
}

static void name_all(void)
{
	if (!our.demangle_sought)
		our.demangle = gns_cupti_demangler();
	our.demangle_sought = true;
	for (uint32_t row = GNS_DEVICE_FAMILIES_N; row < activities.n_rows; row++)
		gns_activities_resolve(&activities, row, our.demangle, free);
}

/* Makes what can be told; how many there are. */
static uint32_t prepare(void)
{
	uint64_t number;
	enum gns_marks marks;
	if (!gns_lock_take(&activities.lock))
		return 0;
	while (our.n_told < TOLD_MAX && (number = gns_boundaries_next(&our.boundaries)) && is_ready(number, &marks)) {
		struct gns_told *told = &our.told[our.n_told];
		name_all();
		if (marks == GNS_MARKS_LOST) {
			our.boundaries.first = number;
			gns_count(&steps_abandoned);
			continue;
		}
		if (!gns_told_make(&our.boundaries, number, &activities, told)) {
			gns_count(&steps_abandoned);
			continue;
		}
		our.approximate_new |= told->approximate && !our.approximate_told;
		our.n_told++;
	}
	gns_lock_release(&activities.lock);
	return our.n_told;
}

static void give_up(void)
{
	while (gns_boundaries_next(&our.boundaries)) {
		gns_count(&steps_abandoned);
		our.boundaries.first++;
	}
}

static void act(struct gns_device *device, void *stream, uint64_t step)
{
	uint64_t stamp = 0;
	atomic_store(&our.boundary_ns, our.turn_ns);
	write_off();
	unsigned what = gns_kernel_window_step(&our.window, gns_now());
	if (our.window.state == GNS_WINDOW_OUT)
		return;
	if (what & GNS_DO_BEGIN && !begin()) {
		gns_kernel_window_stop(&our.window);
		return;
	}
	if (what & GNS_DO_MARK) {
		our.api.timestamp(&stamp);
		struct gns_boundary b = { .step = step, .host_ns = stamp, .tell = what & GNS_DO_TELL };
		mark_all(device, stream, &b);
		add_boundary(&b);
		our.stopping = what & GNS_DO_STOP;
		if (our.stopping && !b.owed)
			stop();
	}
	if (what & GNS_DO_FLUSH)
		flush();
	prepare();
	if (what & GNS_DO_GIVE_UP)
		give_up();
	if (our.window.state == GNS_WINDOW_DRAIN && !gns_boundaries_next(&our.boundaries))
		leave();
}

/* A program that has libcuda in it and computes elsewhere must not be made one that uses it. */
static bool has_context(const struct gns_device *device)
{
	CUcontext current = NULL;
	const struct gns_driver *driver = gns_driver();
	return device || (driver && driver->ctx_get_current(&current) == CUDA_SUCCESS && current);
}

/* A program whose steps are not seen to end any more (it replays a graph) must not be recorded for ever. */
static bool is_forgotten(uint64_t now)
{
	uint64_t since = atomic_load_explicit(&our.boundary_ns, memory_order_relaxed);
	return atomic_load_explicit(&holding, memory_order_relaxed) && now > since && now - since > GNS_WINDOW_PATIENCE_NS;
}

static void watch(void)
{
	if (!is_forgotten(our.turn_ns))
		return;
	disable();
	flush();
	give_up();
	leave();
}

static uint64_t turn(struct gns_device *device, void *stream)
{
	int saved = errno;
	uint32_t wanted = atomic_load(&gns_turn_wanted), owed = wanted & bit_of(device);
	if ((!(wanted & BOUNDARY) && !owed && !is_forgotten(gns_now())) || !gns_lock_try(&our.lock))
		return 0;
	bool boundary = atomic_fetch_and(&gns_turn_wanted, ~BOUNDARY) & BOUNDARY;
	int inside = gns_inside;
	gns_inside = 1;
	our.turn_ns = gns_now();
	if (our.pid == getpid() && has_context(device) && !(device && gns_device_capturing(stream))) {
		/* What CUPTI allocates must not break a capture of another thread's. */
		CUstreamCaptureMode mode = gns_driver_relax(gns_driver());
		if (boundary)
			act(device, stream, atomic_load(&closed_step));
		else if (owed)
			pay(device, stream);
		watch();
		gns_driver_restore(gns_driver(), mode);
	}
	uint64_t ns = gns_now() - our.turn_ns;
	if (our.window.state != GNS_WINDOW_OUT)
		gns_kernel_window_spent(&our.window, ns);
	atomic_fetch_add(&spent_ns, ns);
	raise_to(&host_us, our.found ? atomic_load(&host_us.value) + ns / 1000 : 0);
	gns_inside = inside;
	gns_lock_release(&our.lock);
	errno = saved;
	return ns;
}

/* ---- the shim's side ---- */

static void work(struct gns_device *device, void *stream, bool stays)
{
	int number = device ? gns_device_number(device) : -1;
	if (number < 0 || number >= (int)GNS_TOLD_DEVICES)
		return;
	atomic_store_explicit(&seen[number].stream, stream, memory_order_relaxed);
	atomic_store_explicit(&seen[number].device, device, memory_order_relaxed);
	atomic_store_explicit(&seen[number].stays, stays, memory_order_relaxed);
}

static bool off(void)
{
	if (!our.begun) {
		our.begun = true;
		our.pid = getpid();
		gns_kernel_window_init(&our.window, gns_core.config.kernels, gns_core.config.budget_pct);
	}
	return our.window.mode == GNS_KERNELS_OFF;
}

static uint64_t closed(uint64_t step)
{
	if (!gns_driver_found() || off() || !gns_cuda_on())
		return 0;
	atomic_store(&closed_step, step);
	atomic_fetch_or(&gns_turn_wanted, BOUNDARY);
	return atomic_exchange(&spent_ns, 0);
}

static void tell_events(struct gns_publish *p)
{
	uint64_t step = atomic_load(&closed_step);
	if (our.owner_new)
		our.owner_new = !gns_publish_event(p, 0, step, "cupti_owner", our.owner);
	if (our.approximate_new && gns_publish_event(p, 0, step, "kernel_times_approximate",
						     "no stream known at the step's end: host times divide the steps")) {
		our.approximate_new = false;
		our.approximate_told = true;
	}
}

static void tell_steps(struct gns_publish *p)
{
	if (!gns_lock_take(&activities.lock))
		return;
	for (uint32_t i = 0; i < our.n_told; i++)
		if (gns_cupti_publish(p, &our.told[i], &activities, activities.dropped - our.dropped_before))
			gns_count(&steps_told);
	show_counts();
	gns_lock_release(&activities.lock);
	our.n_told = 0;
}

static void publish(struct gns_publish *p, bool last)
{
	if (!our.begun || p->link != GNS_LINK_OPEN || !gns_lock_try(&our.lock))
		return;
	if (our.pid == getpid()) {
		if (our.n_told)
			tell_steps(p);
		while (last && prepare())
			tell_steps(p);
		tell_events(p);
	}
	gns_lock_release(&our.lock);
}

static void forget(void)
{
	our.lock = activities.lock = buffers.lock = (struct gns_lock){ .slow = true };
	atomic_store(&gns_turn_wanted, 0);
	atomic_store(&holding, false);
	atomic_store(&collecting, false);
	gns_activities_clear(&activities);
	memset((void *)seen, 0, sizeof seen);
	our.n_told = 0;
	our.boundaries.first = our.boundaries.next;
	our.begun = our.found; /* a CUPTI that the parent has begun is of no use to a child */
	if (our.found)
		gns_kernel_window_stop(&our.window);
}

const struct gns_step_hooks gns_kernel_time_hooks = {
	.name = "kernel times",
	.close = closed,
	.publish = publish,
	.forget = forget,
	.work = work,
	.turn = turn,
};

/* ---- another client ---- */

/* Before its call: nothing of ours is left in CUPTI afterwards. What the window had is lost: only a forced flush brings all buffers
 * back, which the other's callback would get otherwise, and kernels that still run then have no end. */
static void let_go(void)
{
	if (!atomic_load(&holding) || our.pid != getpid())
		return;
	if (!gns_lock_take(&our.lock))
		return;
	if (atomic_load(&holding)) {
		our.turn_ns = gns_now();
		int inside = gns_inside;
		gns_inside = 1;
		gns_count(&handed_over);
		atomic_store(&collecting, false);
		disable();
		our.api.flush_all(GNS_CUPTI_FLUSH_FORCED);
		give_up();
		leave();
		gns_inside = inside;
	}
	gns_lock_release(&our.lock);
}

/* After it, where it succeeded: CUPTI is another's for good. */
static void handed_to(const void *call_site)
{
	char who[72];
	int saved = errno;
	if (our.begun && our.pid != getpid())
		return; /* a child: another thread of the parent's may have had the lock */
	gns_cupti_who(call_site, who, sizeof who);
	if (!gns_lock_take(&our.lock))
		return;
	if (!our.begun) {
		our.begun = true;
		our.pid = getpid();
	}
	owned_by(who);
	gns_lock_release(&our.lock);
	errno = saved;
}

EXPORT int cuptiSubscribe(void **subscriber, void *function, void *userdata);
EXPORT int cuptiSubscribe(void **subscriber, void *function, void *userdata)
{
	static struct gns_real real = { .name = "cuptiSubscribe", .self = (void *)cuptiSubscribe };
	gns_cupti_subscribe_fn next = (gns_cupti_subscribe_fn)gns_real_find(&real, __builtin_return_address(0));
	if (!next)
		return GNS_CUPTI_ERROR_NOT_INITIALIZED;
	let_go();
	int rc = next(subscriber, function, userdata);
	if (rc == GNS_CUPTI_SUCCESS && gns_cuda_on())
		handed_to(__builtin_return_address(0));
	return rc;
}

EXPORT int cuptiSubscribe_v2(void **subscriber, void *function, void *userdata, struct gns_cupti_params *params);
EXPORT int cuptiSubscribe_v2(void **subscriber, void *function, void *userdata, struct gns_cupti_params *params)
{
	static struct gns_real real = { .name = "cuptiSubscribe_v2", .self = (void *)cuptiSubscribe_v2 };
	gns_cupti_subscribe_v2_fn next = (gns_cupti_subscribe_v2_fn)gns_real_find(&real, __builtin_return_address(0));
	if (!next)
		return GNS_CUPTI_ERROR_NOT_INITIALIZED;
	let_go();
	int rc = next(subscriber, function, userdata, params);
	if (rc == GNS_CUPTI_SUCCESS && gns_cuda_on())
		handed_to(__builtin_return_address(0));
	return rc;
}

EXPORT int cuptiActivityRegisterCallbacks(gns_cupti_requested_fn request, gns_cupti_completed_fn complete);
EXPORT int cuptiActivityRegisterCallbacks(gns_cupti_requested_fn request, gns_cupti_completed_fn complete)
{
	static struct gns_real real = { .name = "cuptiActivityRegisterCallbacks", .self = (void *)cuptiActivityRegisterCallbacks };
	gns_cupti_register_fn next = (gns_cupti_register_fn)gns_real_find(&real, __builtin_return_address(0));
	if (!next)
		return GNS_CUPTI_ERROR_NOT_INITIALIZED;
	let_go();
	/* A buffer of ours that CUPTI has kept in spite of all comes back to us, and not to who might free it. */
	bool stray = request && complete && gns_buffers_out(&buffers, UINT64_MAX) > 0;
	if (stray)
		atomic_store(&others_completed, complete);
	int rc = next(request, stray ? completed : complete);
	if (rc == GNS_CUPTI_SUCCESS && gns_cuda_on())
		handed_to(__builtin_return_address(0));
	return rc;
}
