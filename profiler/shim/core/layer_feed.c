/* The feed in this process. */
#include "layer_feed_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "collectors/cupti/cupti.h"
#include "profiler/shim/publish/device_counters.h"
#include "profiler/shim/process/fpu.h"
#include "profiler/shim/steps/layer_records.h"
#include "reductions.h"
#include "state.h"

static _Atomic bool gave_up;
static _Atomic uint64_t unmeasured_ns; /* cost of steps that nobody measures: the next stream to end one bears it */
static __thread uint64_t timed_from __attribute__((tls_model("initial-exec"))); /* 0: not between a pair */
static __thread int64_t timed_stream __attribute__((tls_model("initial-exec")));

bool gns_feeding_enter(struct gns_guard *h, bool wake)
{
	if (gave_up || !gns_guard_enter(h, GNS_GUARD_NESTED | (wake ? GNS_GUARD_WAKE : GNS_GUARD_AWAKE)))
		return false;
	if (!gns_core.config.no_torch && (gns_core.feed || wake))
		return true;
	gns_guard_leave(h);
	return false;
}

void gns_feeding_leave(const struct gns_guard *h)
{
	gns_guard_leave(h);
}

void gns_feeding_show_measuring(void)
{
	atomic_store_explicit(&gns_core.measured, gns_feed_measuring(gns_core.feed, 0), memory_order_relaxed);
	atomic_store_explicit(&gns_core.feeding, gns_feed_any_measuring(gns_core.feed), memory_order_relaxed);
}

static bool take_over(void)
{
	if (gns_core.feed)
		return true;
	struct gns_feed *feed = gns_pages(sizeof *feed);
	if (gns_core.steps.step && !gns_core.steps.published && gns_core.steps.gradients)
		gns_stepping_close(false);
	uint64_t steps = gns_core.steps.step ? gns_core.steps.step - !gns_core.steps.published : 0;
	if (!feed || !gns_feed_init(feed, gns_core.roles.ids + 1, steps + 1)) {
		gns_pages_free(feed, sizeof *feed);
		return false;
	}
	if (timed_from) {
		uint64_t since = gns_now() - timed_from;
		feed->began_ns -= since;
		feed->began_real_ns -= since;
	}
	atomic_store(&unmeasured_ns, 0); /* of the import: long ago */
	gns_core.feed = feed;
	gns_core.steps.step = 0;
	gns_core.steps.measured = false;
	gns_measure_clear(gns_core.measure);
	gns_kernels_clear(gns_core.kernels);
	gns_core.learning = false;
	gns_core.part = GNS_ROLE_FORWARD;
	gns_core.aside = true;
	gns_feeding_show_measuring();
	return true;
}

/* The collector of products begins anew, with other ids and where the steps are now. */
static void resume_products(void)
{
	struct gns_feed *feed = gns_core.feed;
	for (uint32_t i = 0; i < feed->n_streams; i++)
		gns_feed_sets_release(&feed->stream[i].sets);
	uint32_t ids = feed->first_id + feed->n_params - 1;
	if (feed->n_streams)
		gns_core.steps_base = feed->stream[0].clock.step - 1;
	else
		gns_core.steps_base = feed->first_step - 1;
	gns_core.feeding = gns_core.measured = false;
	gns_roles_free(&gns_core.roles);
	if (!gns_roles_init(&gns_core.roles))
		return;
	gns_core.roles.ids = ids;
	bool marked = gns_core.steps.marked;
	gns_steps_init(&gns_core.steps, gns_now());
	gns_core.steps.marked = marked;
	gns_core.first_ns = gns_now();
	gns_core.n_boundaries = gns_core.early_marks = 0;
	gns_kernels_clear(gns_core.kernels);
	gns_core.learning = true;
	gns_core.aside = false;
}

bool gns_feeding_on(void)
{
	if (gave_up || gns_life_state() == GNS_OFF)
		return false;
	if (gns_core.state == GNS_AWAKE)
		return !gns_core.config.no_torch;
	struct gns_config config;
	gns_config_read(&config);
	return !config.off && !config.no_torch;
}

bool gns_feeding_given_up(void)
{
	return atomic_load_explicit(&gave_up, memory_order_relaxed);
}

uint32_t gns_feeding_generation(void)
{
	gns_life_state();
	return gns_core.generation;
}

void gns_feeding_take_over(void)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, true))
		return;
	take_over();
	gns_feeding_leave(&h);
}

void gns_feeding_give_up(const char *reason)
{
	struct gns_guard h;
	if (atomic_load(&gave_up))
		return;
	if (gns_feeding_enter(&h, false)) {
		gns_publish_event(&gns_core.publish, 0, gns_core.feed->n_streams ? gns_core.feed->stream[0].clock.step : 0, "torch_off", reason);
		gns_feed_count(gns_core.feed, "given_up");
		resume_products();
		gns_feeding_leave(&h);
	}
	atomic_store(&gave_up, true);
}

int gns_feeding_stream(const char *optimizer)
{
	struct gns_guard h;
	int stream = -1;
	if (!gns_feeding_enter(&h, true))
		return -1;
	if (take_over())
		stream = gns_feed_stream(gns_core.feed, optimizer, &gns_core.config, gns_publish_control(&gns_core.publish));
	if (gns_core.feed)
		gns_feeding_show_measuring();
	gns_feeding_leave(&h);
	return stream;
}

static void use_given_names(void)
{
	for (uint32_t i = 0; i < gns_core.measure->n_given; i++) {
		const struct gns_given_name *g = &gns_core.measure->given[i];
		gns_feed_given(gns_core.feed, g->name, g->data, g->rows, g->cols);
	}
}

uint32_t gns_feeding_param(int64_t stream, const char *name, unsigned dims, const uint64_t *size, uint32_t dtype, const void *data)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return 0;
	uint32_t id = gns_feed_param(gns_core.feed, stream, name, dims, size, dtype, data);
	if (id)
		use_given_names();
	gns_feeding_leave(&h);
	return id;
}

struct gns_feed_param *gns_feeding_enter_param(struct gns_guard *h, int64_t id)
{
	if (!gns_feeding_enter(h, false))
		return NULL;
	struct gns_feed_param *p = gns_feed_param_at(gns_core.feed, id);
	if (p)
		timed_stream = p->stream;
	else
		gns_feeding_leave(h);
	return p;
}

void gns_feeding_rename(int64_t id, const char *name)
{
	struct gns_guard h;
	struct gns_feed_param *p = gns_feeding_enter_param(&h, id);
	if (!p)
		return;
	gns_feed_rename(gns_core.feed, p, name);
	gns_feeding_leave(&h);
}

void gns_feeding_leave_out(int64_t id, const char *reason)
{
	struct gns_guard h;
	struct gns_feed_param *p = gns_feeding_enter_param(&h, id);
	if (!p)
		return;
	gns_feed_leave_out(gns_core.feed, p, reason);
	gns_feeding_leave(&h);
}

bool gns_feeding_measuring(int64_t stream)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return false;
	bool measuring = gns_feed_measuring(gns_core.feed, stream);
	gns_feeding_leave(&h);
	return measuring;
}

bool gns_feeding_any(void)
{
	return atomic_load_explicit(&gns_core.feeding, memory_order_relaxed) && !gave_up && gns_life_state() == GNS_AWAKE && gns_core.feed;
}

void gns_feeding_pass_begins(void)
{
	if (gns_life_state() == GNS_AWAKE && gns_core.feed)
		gns_core.feed->stream[0].touched = true;
}

uint64_t gns_feeding_samples_told(void)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return 0;
	uint64_t samples = gns_core.measure->samples;
	gns_feeding_leave(&h);
	return samples;
}

uint32_t gns_feeding_layout_told(void)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return GNS_LAYOUT_UNTOLD;
	uint32_t layout = gns_core.config.layout;
	gns_feeding_leave(&h);
	return layout;
}

void gns_feeding_world(int32_t rank, int32_t world)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	if (gns_core.config.rank != rank || gns_core.config.world != world) {
		gns_core.config.rank = rank;
		gns_core.config.world = world;
		gns_core.measure->seed = gns_core_seed(rank);
		gns_core.publish.hello = true;
	}
	gns_feeding_leave(&h);
}

/* A scratch of its own for every thread that measures. */
static struct gns_layers *borrow(struct gns_feed *feed, unsigned *slot)
{
	for (unsigned i = 0; i < GNS_FEED_POOL; i++) {
		int idle = 0;
		if (!atomic_compare_exchange_strong(&feed->pool[i].busy, &idle, 1))
			continue;
		if (!feed->pool[i].layers)
			feed->pool[i].layers = gns_layers_init(gns_core.measure->isa);
		*slot = i;
		if (feed->pool[i].layers)
			return feed->pool[i].layers;
		atomic_store(&feed->pool[i].busy, 0);
		return NULL;
	}
	return NULL;
}

/* first: whose scratch is shared, NULL: none. */
static int begin_work(int64_t id, uint64_t n, unsigned axis, const struct gns_feeding_work *first, struct gns_feeding_work *work)
{
	struct gns_guard h;
	unsigned slot;
	int rc = 0;
	struct gns_feed_param *p = gns_feeding_enter_param(&h, id);
	if (!p)
		return -EINVAL;
	work->slots = 0;
	const struct gns_feed_stream *s = &gns_core.feed->stream[p->stream];
	if (!s->clock.measured || gns_feed_closed(p))
		rc = -ENODATA;
	else if (!n)
		rc = -EINVAL;
	else if (first && p->uses)
		rc = -EBUSY;
	else if (first) {
		work->layers = first->layers;
	} else if ((work->layers = borrow(gns_core.feed, &slot))) {
		work->slots = UINT64_C(1) << slot;
	} else {
		p->refused = GNS_REFUSED_MEMORY;
		rc = -ENODATA;
	}
	if (!rc) {
		p->working++;
		work->id = id;
		work->step = s->clock.step;
		/* Passes of one step draw apart, too. */
		work->samples = (struct gns_samples){ .n = n, .axis = axis, .probes = gns_core.measure->probes, .stream = (uint64_t)id,
						      .seed = gns_core.measure->seed + s->clock.step + p->n * 0x9e3779b97f4a7c15ull,
						      .uses = p->uses_dropped ? NULL : p->uses };
	}
	gns_feeding_leave(&h);
	if (!rc)
		work->fpu = gns_fpu_begin();
	return rc;
}

unsigned gns_feeding_work_share(struct gns_feeding_work *work, unsigned parts)
{
	struct gns_guard h;
	unsigned slot, have = 1;
	if (!gns_feeding_enter_param(&h, work->id))
		return 1;
	while (have < parts && (work->more[have - 1] = borrow(gns_core.feed, &slot))) {
		work->slots |= UINT64_C(1) << slot;
		have++;
	}
	gns_feeding_leave(&h);
	return have;
}

int gns_feeding_work_begin(int64_t id, uint64_t n, unsigned axis, struct gns_feeding_work *work)
{
	return begin_work(id, n, axis, NULL, work);
}

int gns_feeding_work_join(const struct gns_feeding_work *first, int64_t id, struct gns_feeding_work *work)
{
	return begin_work(id, first->samples.n, first->samples.axis, first, work);
}

void gns_feeding_work_end(struct gns_feeding_work *work, int rc)
{
	struct gns_guard h;
	gns_fpu_end(work->fpu);
	struct gns_feed_param *p = gns_feeding_enter_param(&h, work->id);
	if (!p)
		return; /* given up meanwhile, or the process ends */
	p->working--;
	for (unsigned i = 0; i < GNS_FEED_POOL; i++)
		if (work->slots >> i & 1)
			atomic_store(&gns_core.feed->pool[i].busy, 0);
	if (work->step == gns_core.feed->stream[p->stream].clock.step && !rc) {
		if (work->samples.uses)
			gns_feed_uses_done(gns_core.feed, p);
		else
			gns_feed_sum(p, work->samples.sum);
	} else if (p->uses_dropped) {
		gns_feed_uses_drop(gns_core.feed, p);
	}
	gns_feeding_leave(&h);
}

void gns_feeding_work_big(struct gns_feeding_work *work, int rc, double norm2, uint32_t world)
{
	struct gns_guard h;
	struct gns_feed_param *p = rc ? NULL : gns_feeding_enter_param(&h, work->id);
	if (p) {
		if (work->step == gns_core.feed->stream[p->stream].clock.step)
			gns_feed_big(p, norm2, world);
		gns_feeding_leave(&h);
	}
	work->samples.uses = NULL;
	gns_feeding_work_end(work, -ENODATA);
}

int gns_feeding_uses(int64_t id, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest)
{
	struct gns_guard h;
	struct gns_feed_param *p = gns_feeding_enter_param(&h, id);
	if (!p)
		return -EINVAL;
	const struct gns_feed_stream *s = &gns_core.feed->stream[p->stream];
	int rc = 0;
	if (s->clock.measured && !gns_feed_closed(p))
		rc = gns_feed_uses(gns_core.feed, p, count, n, dim0, rest, gns_core.measure->probes,
				   gns_core.measure->seed + s->clock.step + p->n * 0x9e3779b97f4a7c15ull, (uint64_t)id);
	gns_feeding_leave(&h);
	return rc;
}

void gns_feeding_backward_done(void)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	gns_feed_backward_done(gns_core.feed);
	gns_feeding_device_backward_done();
	gns_feeding_leave(&h);
}

void gns_feeding_used(int64_t id, uint64_t n)
{
	struct gns_guard h;
	struct gns_feed_param *p = gns_feeding_enter_param(&h, id);
	if (!p)
		return;
	gns_feed_used(p, n);
	gns_feeding_leave(&h);
}

void gns_feeding_void(int64_t id)
{
	struct gns_guard h;
	struct gns_feed_param *p = gns_feeding_enter_param(&h, id);
	if (!p)
		return;
	gns_feed_void(gns_core.feed, p);
	gns_feeding_leave(&h);
}

void gns_feeding_skip(int64_t stream)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	gns_feed_skip(gns_core.feed, stream);
	gns_feeding_leave(&h);
}

void gns_feeding_loss(int64_t stream, double value)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	gns_feed_loss(gns_core.feed, stream, value);
	gns_feeding_leave(&h);
}

void gns_feeding_scale(int64_t stream, double scale)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	struct gns_feed_stream *s = gns_feed_stream_at(gns_core.feed, stream);
	if (s && scale > 0 && isfinite(scale))
		s->scale = scale;
	gns_feeding_leave(&h);
}

void gns_feeding_setting(int64_t stream, const char *name, double value, const char *text)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	gns_feed_setting(gns_core.feed, stream, name, value, text);
	gns_feeding_leave(&h);
}

void gns_feeding_event(int64_t stream, const char *name, const char *text)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	struct gns_feed_stream *s = gns_feed_stream_at(gns_core.feed, stream);
	if (s && gns_core.publish.n_events < GNS_EVENTS_MAX && gns_feed_event_new(gns_core.feed, (uint32_t)stream, name))
		gns_publish_event(&gns_core.publish, (uint32_t)stream, s->clock.step, name, text);
	gns_feeding_leave(&h);
}

void gns_feeding_count(const char *name)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return;
	gns_feed_count(gns_core.feed, name);
	gns_feeding_leave(&h);
}

static void show_part(const char *phase)
{
	uint32_t part = phase[0] == 'f' ? GNS_ROLE_FORWARD : phase[0] == 'b' ? GNS_FAMILY_BACKWARD : GNS_ROLE_OTHER;
	atomic_store_explicit(&gns_core.part, part, memory_order_relaxed);
	if (part == GNS_FAMILY_BACKWARD)
		gns_reducing_backward();
}

/* Where a part or a step ends within a timed pair, what has passed of it belongs to what ends. The time. */
static uint64_t charge_so_far(void)
{
	uint64_t now = gns_now();
	if (timed_from) {
		gns_feed_charge(gns_core.feed, timed_stream, now - timed_from);
		timed_from = now;
	}
	return now;
}

void gns_feeding_phase(const char *name)
{
	struct gns_guard h;
	if (!gns_feeding_any() || !gns_feeding_enter(&h, false))
		return;
	gns_feed_phase(gns_core.feed, gns_core.kernels, name, charge_so_far());
	show_part(name);
	gns_feeding_leave(&h);
}

static void publish(uint32_t stream, const struct gns_feed_report *report, uint64_t now)
{
	struct gns_counter *list = gns_core.counter;
	struct gns_publish *p = &gns_core.publish;
	if (!gns_publish_open(p, &gns_core.config))
		return;
	if (gns_core.config.bad[0] && !gns_core.told_bad)
		gns_publish_event(p, stream, report->step.step, "bad_setting", gns_core.config.bad);
	gns_core.told_bad = true;
	gns_device_events(p, stream, report->step.step);
	bool due = gns_publish_counters_due(p, now);
	size_t n = due ? gns_stepping_counters(list) : 0;
	gns_publish_feed(p, &gns_core.config, gns_core.feed, stream, report, gns_core.kernels, list, n);
	gns_cupti_tell(p, false);
	if (due)
		gns_publish_revive(p, &gns_core.config, false);
}

/* What a graph does between its step's beginning and end is known of replays of the whole step alone. */
static void finish_sets(struct gns_feed *feed, uint32_t stream)
{
	struct gns_feed_sets *sets = &feed->stream[stream].sets;
	int rc = gns_feed_sets_finish(sets);
	if (!rc)
		return;
	gns_feed_skip(feed, stream);
	gns_feed_sets_release(sets);
	gns_feed_count(feed, rc == -ECANCELED ? "graph_without_step" : "device_failed");
}

/* What there is to say of the step in progress; its clock is stopped. */
static struct gns_feed_report close_step(uint32_t stream, uint32_t micro_steps, double lr, uint64_t now)
{
	struct gns_feed *feed = gns_core.feed;
	struct gns_steps *clock = &feed->stream[stream].clock;
	struct gns_feed_report report = { .micro_steps = micro_steps, .lr = lr, .samples = gns_core.measure->samples };
	report.step.flags = clock->startup ? GNS_STEP_STARTUP : 0;
	if (feed->stream[stream].sets.n)
		finish_sets(feed, stream);
	if (clock->measured) {
		enum gns_refusal why = gns_feed_close(feed, stream, &report.n, &report.measured);
		if (why)
			gns_core.refused[why]++;
		report.step.flags |= why ? GNS_STEP_REFUSED : report.measured ? GNS_STEP_MEASURED : 0;
	}
	clock->overhead_ns += feed->pool_ns + atomic_exchange_explicit(&unmeasured_ns, 0, memory_order_relaxed);
	feed->pool_ns = 0;
	report.step.step = clock->step;
	report.step.start_ns = clock->began_real_ns;
	report.step.overhead_ns = clock->overhead_ns;
	report.step.every = clock->interval;
	report.step.dur_ns = gns_steps_close(clock, now, gns_realtime());
	return report;
}

static int step(uint32_t stream, uint32_t micro_steps, double lr, uint64_t now)
{
	struct gns_feed *feed = gns_core.feed;
	if (stream == 0) {
		gns_feed_phase(feed, gns_core.kernels, "optimizer", now);
		gns_feed_charge(feed, 0, gns_cupti_closed(feed->stream[0].clock.step));
	}
	struct gns_feed_report report = close_step(stream, micro_steps, lr, now);
	publish(stream, &report, now);
	gns_feed_sets_release(&feed->stream[stream].sets);
	gns_feed_next(feed, stream, &gns_core.config, gns_publish_control(&gns_core.publish), gns_core.publish.link != GNS_LINK_OFF);
	if (stream == 0) {
		gns_kernels_clear(gns_core.kernels);
		show_part("optimizer");
	}
	gns_reducing_begin(feed->stream[stream].clock.step, gns_feed_measuring(feed, stream));
	gns_feeding_show_measuring();
	return gns_feed_measuring(feed, stream);
}

int gns_feeding_step(int64_t stream, uint32_t micro_steps, double lr)
{
	struct gns_guard h;
	if (!gns_feeding_enter(&h, false))
		return gave_up || gns_core.state == GNS_OFF || gns_core.config.no_torch ? 0 : -1;
	uint64_t from = charge_so_far();
	int rc = gns_feed_stream_at(gns_core.feed, stream) ? step((uint32_t)stream, micro_steps, lr, from) : -1;
	timed_stream = stream;
	if (rc >= 0 && !timed_from)
		gns_feed_charge(gns_core.feed, stream, gns_now() - from);
	gns_feeding_leave(&h);
	uint64_t turn_ns = gns_cupti_turn(NULL, NULL);
	if (timed_from)
		timed_from += turn_ns;
	return rc;
}

uint64_t gns_feeding_began(int64_t stream)
{
	struct gns_feed *feed = gns_core.feed;
	const struct gns_feed_stream *s = feed ? gns_feed_stream_at(feed, stream) : NULL;
	return s ? s->clock.began_ns : 0;
}

void gns_feeding_time_begin(struct gns_feeding_time *time)
{
	*time = (struct gns_feeding_time){ .outermost = !timed_from, .inside = gns_inside };
	gns_inside = 1;
	if (!time->outermost)
		return;
	timed_stream = -1;
	timed_from = gns_now();
}

void gns_feeding_time_end(const struct gns_feeding_time *time)
{
	struct gns_guard h;
	gns_inside = time->inside;
	if (!time->outermost)
		return;
	uint64_t ns = gns_now() - timed_from;
	timed_from = 0;
	if (!atomic_load_explicit(&gns_core.feeding, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&unmeasured_ns, ns, memory_order_relaxed);
		return;
	}
	if (!gns_feeding_enter(&h, false))
		return;
	gns_feed_charge(gns_core.feed, timed_stream, ns);
	gns_feeding_leave(&h);
}

void gns_feeding_cost(uint64_t ns)
{
	struct gns_guard h;
	if (timed_from || !gns_feeding_enter(&h, false))
		return;
	gns_feed_charge(gns_core.feed, -1, ns);
	gns_feeding_leave(&h);
}
