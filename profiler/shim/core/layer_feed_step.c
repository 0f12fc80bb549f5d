/* Steps of the layer API: their phases, their end, and what they cost. */
#include <errno.h>

#include "layer_feed_private.h"
#include "profiler/shim/process/clock.h"
#include "profiler/shim/publish/device_counters.h"
#include "profiler/shim/steps/layer_records.h"
#include "profiler/shim/steps/step_hooks.h"
#include "state.h"

static void show_part(const char *phase)
{
	uint32_t part = phase[0] == 'f' ? GNS_ROLE_FORWARD : phase[0] == 'b' ? GNS_FAMILY_BACKWARD : GNS_ROLE_OTHER;
	atomic_store_explicit(&gns_core.part, part, memory_order_relaxed);
	if (part == GNS_FAMILY_BACKWARD)
		gns_hooks_backward();
}

/* If a phase or step ends between gns_layer_feed_time_begin and _end, the time so far is charged to what ends.
 * Returns now. */
static uint64_t charge_so_far(void)
{
	uint64_t now = gns_now();
	if (gns_layer_feed_timed.from) {
		gns_layer_sums_charge(gns_core.layer_sums, gns_layer_feed_timed.stream,
				      now - gns_layer_feed_timed.from);
		gns_layer_feed_timed.from = now;
	}
	return now;
}

void gns_layer_feed_phase(const char *name)
{
	struct gns_guard h;
	if (!gns_layer_feed_any() || !gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_phase(gns_core.layer_sums, gns_core.kernels, name, charge_so_far());
	show_part(name);
	gns_layer_feed_leave(&h);
}

static void publish(uint32_t stream, const struct gns_layer_sums_report *report, uint64_t now)
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
	size_t n = due ? gns_step_boundary_counters(list) : 0;
	gns_publish_feed(p, &gns_core.config, gns_core.layer_sums, stream, report, gns_core.kernels, list, n);
	gns_hooks_publish(p, false);
	if (due)
		gns_publish_revive(p, &gns_core.config, false);
}

/* A set of a graph whose step ends outside of the capture is void: its values come at every replay, whole step or
 * not. */
static void finish_sets(struct gns_layer_sums *feed, uint32_t stream)
{
	struct gns_layer_sums_sets *sets = &feed->stream[stream].sets;
	int rc = gns_layer_sums_sets_finish(sets);
	if (!rc)
		return;
	gns_layer_sums_skip(feed, stream);
	gns_layer_sums_sets_release(sets);
	gns_layer_sums_count(feed, rc == -ECANCELED ? "graph_without_step" : "device_failed");
}

/* Stops the clock of the step in progress and returns its report. */
static struct gns_layer_sums_report close_step(uint32_t stream, uint32_t micro_steps, double lr, uint64_t now)
{
	struct gns_layer_sums *feed = gns_core.layer_sums;
	struct gns_step_clock *clock = &feed->stream[stream].clock;
	struct gns_layer_sums_report report = { .micro_steps = micro_steps, .lr = lr,
						.samples = gns_core.product_sums->samples };
	report.step.flags = clock->startup ? GNS_STEP_STARTUP : 0;
	if (feed->stream[stream].sets.n)
		finish_sets(feed, stream);
	if (clock->measured) {
		enum gns_refusal why = gns_layer_sums_close(feed, stream, &report.n, &report.measured);
		if (why)
			gns_core.refused[why]++;
		report.step.flags |= why ? GNS_STEP_REFUSED : report.measured ? GNS_STEP_MEASURED : 0;
	}
	clock->overhead_ns += feed->pool_ns + atomic_exchange_explicit(&gns_layer_feed_unmeasured_ns, 0,
								       memory_order_relaxed);
	feed->pool_ns = 0;
	report.step.step = clock->step;
	report.step.start_ns = clock->began_real_ns;
	report.step.overhead_ns = clock->overhead_ns;
	report.step.every = clock->interval;
	report.step.dur_ns = gns_step_clock_close(clock, now, gns_realtime());
	return report;
}

static int step(uint32_t stream, uint32_t micro_steps, double lr, uint64_t now)
{
	struct gns_layer_sums *feed = gns_core.layer_sums;
	if (stream == 0) {
		gns_layer_sums_phase(feed, gns_core.kernels, "optimizer", now);
		gns_layer_sums_charge(feed, 0, gns_hooks_close(feed->stream[0].clock.step));
	}
	struct gns_layer_sums_report report = close_step(stream, micro_steps, lr, now);
	publish(stream, &report, now);
	gns_layer_sums_sets_release(&feed->stream[stream].sets);
	gns_layer_sums_next(feed, stream, &gns_core.config, gns_publish_control(&gns_core.publish),
			    gns_core.publish.link != GNS_LINK_OFF);
	if (stream == 0) {
		gns_kernels_clear(gns_core.kernels);
		show_part("optimizer");
	}
	gns_hooks_begin(feed->stream[stream].clock.step, gns_layer_sums_measuring(feed, stream));
	gns_layer_feed_show_measuring();
	return gns_layer_sums_measuring(feed, stream);
}

int gns_layer_feed_step(int64_t stream, uint32_t micro_steps, double lr)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return gns_layer_feed_gave_up || gns_core.state == GNS_OFF || gns_core.config.no_torch ? 0 : -1;
	uint64_t from = charge_so_far();
	int rc = gns_layer_sums_stream_at(gns_core.layer_sums, stream) ? step((uint32_t)stream, micro_steps, lr,
									      from) : -1;
	gns_layer_feed_timed.stream = stream;
	if (rc >= 0 && !gns_layer_feed_timed.from)
		gns_layer_sums_charge(gns_core.layer_sums, stream, gns_now() - from);
	gns_layer_feed_leave(&h);
	uint64_t turn_ns = gns_hooks_turn(NULL, NULL);
	if (gns_layer_feed_timed.from)
		gns_layer_feed_timed.from += turn_ns;
	return rc;
}

uint64_t gns_layer_feed_began(int64_t stream)
{
	struct gns_layer_sums *feed = gns_core.layer_sums;
	const struct gns_layer_sums_stream *s = feed ? gns_layer_sums_stream_at(feed, stream) : NULL;
	return s ? s->clock.began_ns : 0;
}

void gns_layer_feed_time_begin(struct gns_layer_feed_time *time)
{
	*time = (struct gns_layer_feed_time){ .outermost = !gns_layer_feed_timed.from, .inside = gns_inside };
	gns_inside = 1;
	if (!time->outermost)
		return;
	gns_layer_feed_timed.stream = -1;
	gns_layer_feed_timed.from = gns_now();
}

void gns_layer_feed_time_end(const struct gns_layer_feed_time *time)
{
	struct gns_guard h;
	gns_inside = time->inside;
	if (!time->outermost)
		return;
	uint64_t ns = gns_now() - gns_layer_feed_timed.from;
	gns_layer_feed_timed.from = 0;
	if (!atomic_load_explicit(&gns_core.feeding, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&gns_layer_feed_unmeasured_ns, ns, memory_order_relaxed);
		return;
	}
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_charge(gns_core.layer_sums, gns_layer_feed_timed.stream, ns);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_cost(uint64_t ns)
{
	struct gns_guard h;
	if (gns_layer_feed_timed.from || !gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_charge(gns_core.layer_sums, -1, ns);
	gns_layer_feed_leave(&h);
}
