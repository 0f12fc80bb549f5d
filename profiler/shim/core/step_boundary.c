/* The boundary between two steps: closes and publishes one, begins the next. */
#include <string.h>

#include "profiler/shim/process/clock.h"
#include "profiler/shim/steps/product_sums_device.h"
#include "profiler/shim/publish/device_counters.h"
#include "profiler/shim/steps/product_records.h"
#include "profiler/shim/steps/step_hooks.h"
#include "state.h"
#include "profiler/shim/publish/counters.h"

#define DEFERRED_COUNTERS 6

static uint64_t late_refused(const struct gns_deferred_counts *deferred, unsigned why)
{
	return why == GNS_REFUSED_NOT_FINITE ? deferred->not_finite : why == GNS_REFUSED_DEVICE_BEHIND
	       ? deferred->device_behind : 0;
}

/* Counters of steps with deferred values. */
static size_t deferred_counters(struct gns_counter *out, const struct gns_deferred_counts *deferred)
{
	const struct gns_counter list[DEFERRED_COUNTERS] = {
		{ .collector = "cuda", .name = "steps_late", .value = deferred->steps },
		{ .collector = "cuda", .name = "gradients_not_zeroed", .value = deferred->not_zeroed },
		{ .collector = "cuda", .name = "operands_not_same", .value = deferred->not_same },
		{ .collector = "cuda", .name = "graphs_measured", .value = deferred->graphs },
		{ .collector = "cuda", .name = "graph_steps", .value = deferred->replayed },
		{ .collector = "cuda", .name = "graph_steps_unseen", .value = deferred->unseen },
	};
	memcpy(out, list, sizeof list);
	return DEFERRED_COUNTERS;
}

size_t gns_step_boundary_counters(struct gns_counter *out)
{
	struct gns_deferred_counts deferred;
	size_t n = 0;
	gns_deferred_counts(&gns_core.publish, &deferred);
	for (unsigned i = 1; i < GNS_REFUSALS; i++)
		out[n++] = (struct gns_counter){ .collector = "step_refused", .name = gns_refusal_name(i),
						 .value = gns_core.refused[i] + late_refused(&deferred, i) };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "late_gradients", .value = gns_core.steps.late };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "kernels_not_listed",
					 .value = gns_core.kernels->overflow };
	n += deferred_counters(out + n, &deferred);
	n += gns_live_counters(out + n);
	return n + gns_hooks_count(out + n);
}

_Static_assert(GNS_REFUSALS + 2 + DEFERRED_COUNTERS + GNS_LIVE_COUNTERS_MAX <= GNS_CORE_COUNTERS,
	       "room for all gns_step_boundary_counters but the sources'");

/* Ends the present step and publishes it. */
void gns_step_boundary_close(bool all_counters)
{
	struct gns_step_clock *s = &gns_core.steps;
	struct gns_counter *list = gns_core.counter;
	s->overhead_ns += gns_hooks_close(s->step);
	struct gns_step_report report = { .step = s->step, .start_ns = s->began_real_ns, .overhead_ns = s->overhead_ns,
					  .every = s->interval };
	s->startup = gns_core.roles.learning;
	report.flags = s->startup ? GNS_STEP_STARTUP : 0;
	if (gns_core.state != GNS_AWAKE)
		return; /* the process ends while this thread was in a GEMM */
	if (s->measured) {
		enum gns_refusal why = s->gradients ? gns_product_sums_close(gns_core.product_sums) : GNS_REFUSED_NOT;
		if (gns_core.product_sums->deferred && !why)
			gns_product_sums_device_close(gns_core.product_sums->deferred, gns_core.product_sums);
		if (why)
			gns_core.refused[why]++;
		report.flags |= why ? GNS_STEP_REFUSED : s->gradients ? GNS_STEP_MEASURED : 0;
	}
	report.dur_ns = gns_step_clock_close(s, gns_now(), gns_realtime());
	if (gns_publish_open(&gns_core.publish, &gns_core.config)) {
		if (gns_core.config.bad[0] && !gns_core.told_bad)
			gns_publish_event(&gns_core.publish, 0, s->step, "bad_setting", gns_core.config.bad);
		gns_core.told_bad = true;
		gns_device_events(&gns_core.publish, 0, s->step);
		size_t n = all_counters || gns_publish_counters_due(&gns_core.publish,
								    gns_now()) ? gns_step_boundary_counters(list) : 0;
		gns_publish_step(&gns_core.publish, &gns_core.config, &report, gns_core.product_sums, gns_core.kernels,
				 list, n);
		gns_hooks_publish(&gns_core.publish, false);
		gns_publish_revive(&gns_core.publish, &gns_core.config, false);
	}
	gns_hooks_over(s->step);
}

/* Fingerprints of operands are taken in measured steps only; in others operands are known by address alone. */
static void look_closely(void)
{
	gns_core.roles.uses.no_prints = !gns_core.steps.measured && !gns_core.roles.learning;
	atomic_store_explicit(&gns_core.measured, gns_core.steps.measured, memory_order_relaxed);
}

void gns_step_boundary_begin(uint64_t step)
{
	bool was_measured = gns_core.steps.measured, closed = gns_core.steps.published &&
			    gns_core.steps.step == step - 1;
	gns_step_clock_begin(&gns_core.steps, &gns_core.config, gns_publish_control(&gns_core.publish), step);
	look_closely();
	if (!closed)
		gns_hooks_over(step - 1);
	if (was_measured || gns_core.steps.measured) { /* between two unmeasured steps there is nothing to clear */
		gns_product_sums_clear(gns_core.product_sums);
		if (gns_core.product_sums->deferred)
			gns_product_sums_device_clear(gns_core.product_sums->deferred);
		gns_kernels_clear(gns_core.kernels);
	}
	gns_hooks_begin(step, gns_core.steps.measured);
}

static uint32_t steps_before(void)
{
	return gns_core.steps.marked ? gns_core.early_marks : gns_core.roles.steps_before;
}

/* Publishes the steps that passed while the weights were being found: unmeasured, with their times if every boundary
 * was seen. */
static void report_learned_steps(void)
{
	gns_hooks_hello();
	uint32_t steps = steps_before();
	bool times = gns_core.n_boundaries == steps && steps <= GNS_BOUNDARY_TIMES;
	uint64_t spent = gns_core.steps.overhead_ns;
	if (!gns_publish_open(&gns_core.publish, &gns_core.config))
		return;
	for (uint32_t i = 0; i < steps; i++) {
		if (gns_core.steps_base + i + 1 <= gns_hooks_last())
			continue;
		uint64_t from = i ? gns_core.boundary_ns[i - 1] : gns_core.first_ns;
		struct gns_step_report report = { .step = gns_core.steps_base + i + 1,
						  .overhead_ns = i + 1 == steps ? spent : 0,
						  .flags = GNS_STEP_STARTUP };
		if (times) {
			report.dur_ns = gns_core.boundary_ns[i] - from;
			report.start_ns = gns_core.boundary_real[i] - report.dur_ns;
		}
		gns_publish_step(&gns_core.publish, &gns_core.config, &report, gns_core.product_sums, gns_core.kernels,
				 NULL, 0);
	}
}

void gns_step_boundary_reached(const struct gns_verdict *v)
{
	struct gns_step_clock *s = &gns_core.steps;
	if (v->learned && !s->step) {
		report_learned_steps();
		s->overhead_ns = 0;
		s->began_ns = gns_now();
		s->began_real_ns = gns_realtime();
		s->expected = gns_core.roles.expected_gradients;
		s->unsure = s->expected == 0;
		uint64_t before = gns_core.steps_base + steps_before(), told = gns_hooks_last();
		gns_step_boundary_begin((before > told ? before : told) + 1);
		return;
	}
	if (v->learned)
		/* more weights than in the steps before: the expected number of gradients is not known */
		s->unsure = 2;
	look_closely();
	if (s->marked || !s->step)
		return;
	if (!s->published)
		gns_step_boundary_close(false);
	gns_step_boundary_begin(s->step + 1);
}

void gns_step_boundary_note_time(void)
{
	if (!gns_core.steps.step && gns_core.n_boundaries < GNS_BOUNDARY_TIMES) {
		gns_core.boundary_ns[gns_core.n_boundaries] = gns_now();
		gns_core.boundary_real[gns_core.n_boundaries++] = gns_realtime();
	}
}
