/* The layer API of this process: streams, parameters, and reports that need no measurement. */
#include "layer_feed_private.h"

#include <math.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "profiler/shim/steps/layer_records.h"
#include "profiler/shim/steps/step_hooks.h"
#include "state.h"

static bool take_over(void)
{
	if (gns_core.layer_sums)
		return true;
	struct gns_layer_sums *feed = gns_pages(sizeof *feed);
	if (gns_core.steps.step && !gns_core.steps.published && gns_core.steps.gradients)
		gns_step_boundary_close(false);
	uint64_t steps = gns_core.steps.step ? gns_core.steps.step - !gns_core.steps.published : 0;
	if (!feed || !gns_layer_sums_init(feed, gns_core.roles.ids + 1, steps + 1)) {
		gns_pages_free(feed, sizeof *feed);
		return false;
	}
	if (gns_layer_feed_timed.from) {
		uint64_t since = gns_now() - gns_layer_feed_timed.from;
		feed->began_ns -= since;
		feed->began_real_ns -= since;
	}
	atomic_store(&gns_layer_feed_unmeasured_ns, 0); /* the cost of the import: it belongs to no step */
	gns_core.layer_sums = feed;
	gns_core.steps.step = 0;
	gns_core.steps.measured = false;
	gns_product_sums_clear(gns_core.product_sums);
	gns_kernels_clear(gns_core.kernels);
	gns_core.learning = false;
	gns_core.part = GNS_ROLE_FORWARD;
	gns_core.aside = true;
	gns_layer_feed_show_measuring();
	return true;
}

/* The BLAS collectors take over: they search for weights again, with new parameter ids, and continue the step
 * numbers. */
static void resume_products(void)
{
	struct gns_layer_sums *feed = gns_core.layer_sums;
	for (uint32_t i = 0; i < feed->n_streams; i++)
		gns_layer_sums_sets_release(&feed->stream[i].sets);
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
	gns_step_clock_init(&gns_core.steps, gns_now());
	gns_core.steps.marked = marked;
	gns_core.first_ns = gns_now();
	gns_core.n_boundaries = gns_core.early_marks = 0;
	gns_kernels_clear(gns_core.kernels);
	gns_core.learning = true;
	gns_core.aside = false;
}

bool gns_layer_feed_on(void)
{
	if (gns_layer_feed_gave_up || gns_lifecycle_state() == GNS_OFF)
		return false;
	if (gns_core.state == GNS_AWAKE)
		return !gns_core.config.no_torch;
	struct gns_config config;
	gns_config_read(&config);
	return !config.off && !config.no_torch;
}

bool gns_layer_feed_given_up(void)
{
	return atomic_load_explicit(&gns_layer_feed_gave_up, memory_order_relaxed);
}

uint32_t gns_layer_feed_generation(void)
{
	gns_lifecycle_state();
	return gns_core.generation;
}

void gns_layer_feed_take_over(void)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, true))
		return;
	take_over();
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_give_up(const char *reason)
{
	struct gns_guard h;
	if (atomic_load(&gns_layer_feed_gave_up))
		return;
	if (gns_layer_feed_enter(&h, false)) {
		gns_publish_event(&gns_core.publish, 0,
				  gns_core.layer_sums->n_streams ? gns_core.layer_sums->stream[0].clock.step
				  : 0, "torch_off", reason);
		gns_layer_sums_count(gns_core.layer_sums, "given_up");
		resume_products();
		gns_layer_feed_leave(&h);
	}
	atomic_store(&gns_layer_feed_gave_up, true);
}

int gns_layer_feed_stream(const char *optimizer)
{
	struct gns_guard h;
	int stream = -1;
	if (!gns_layer_feed_enter(&h, true))
		return -1;
	if (take_over())
		stream = gns_layer_sums_stream(gns_core.layer_sums, optimizer, &gns_core.config,
					       gns_publish_control(&gns_core.publish));
	if (gns_core.layer_sums)
		gns_layer_feed_show_measuring();
	gns_layer_feed_leave(&h);
	return stream;
}

static void use_given_names(void)
{
	for (uint32_t i = 0; i < gns_core.product_sums->n_given; i++) {
		const struct gns_given_name *g = &gns_core.product_sums->given[i];
		gns_layer_sums_given(gns_core.layer_sums, g->name, g->data, g->rows, g->cols);
	}
}

uint32_t gns_layer_feed_param(int64_t stream, const char *name, unsigned dims, const uint64_t *size, uint32_t dtype,
			      const void *data)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return 0;
	uint32_t id = gns_layer_sums_param(gns_core.layer_sums, stream, name, dims, size, dtype, data);
	if (id)
		use_given_names();
	gns_layer_feed_leave(&h);
	return id;
}

void gns_layer_feed_rename(int64_t id, const char *name)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return;
	gns_layer_sums_rename(gns_core.layer_sums, p, name);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_leave_out(int64_t id, const char *reason)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return;
	gns_layer_sums_leave_out(gns_core.layer_sums, p, reason);
	gns_layer_feed_leave(&h);
}

bool gns_layer_feed_measuring(int64_t stream)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return false;
	bool measuring = gns_layer_sums_measuring(gns_core.layer_sums, stream);
	gns_layer_feed_leave(&h);
	return measuring;
}

bool gns_layer_feed_any(void)
{
	return atomic_load_explicit(&gns_core.feeding, memory_order_relaxed) && !gns_layer_feed_gave_up &&
	       gns_lifecycle_state() == GNS_AWAKE && gns_core.layer_sums;
}

void gns_layer_feed_pass_begins(void)
{
	if (gns_lifecycle_state() == GNS_AWAKE && gns_core.layer_sums)
		gns_core.layer_sums->stream[0].touched = true;
}

uint64_t gns_layer_feed_samples_told(void)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return 0;
	uint64_t samples = gns_core.product_sums->samples;
	gns_layer_feed_leave(&h);
	return samples;
}

uint32_t gns_layer_feed_layout_told(void)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return GNS_LAYOUT_UNTOLD;
	uint32_t layout = gns_core.config.layout;
	gns_layer_feed_leave(&h);
	return layout;
}

void gns_layer_feed_world(int32_t rank, int32_t world)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	if (gns_core.config.rank != rank || gns_core.config.world != world) {
		gns_core.config.rank = rank;
		gns_core.config.world = world;
		gns_core.product_sums->seed = gns_core_seed(rank);
		gns_core.publish.hello = true;
	}
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_backward_done(void)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_backward_done(gns_core.layer_sums);
	gns_layer_feed_device_backward_done();
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_used(int64_t id, uint64_t n)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return;
	gns_layer_sums_used(p, n);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_shift(int64_t id, double sum)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return;
	if (gns_core.layer_sums->stream[p->stream].clock.measured && !gns_layer_sums_closed(p))
		gns_layer_sums_sum(p, sum);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_void(int64_t id)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return;
	gns_layer_sums_void(gns_core.layer_sums, p);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_skip(int64_t stream)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_skip(gns_core.layer_sums, stream);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_loss(int64_t stream, double value)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_loss(gns_core.layer_sums, stream, value);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_scale(int64_t stream, double scale)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(gns_core.layer_sums, stream);
	if (s && scale > 0 && isfinite(scale))
		s->scale = scale;
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_setting(int64_t stream, const char *name, double value, const char *text)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_setting(gns_core.layer_sums, stream, name, value, text);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_event(int64_t stream, const char *name, const char *text)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(gns_core.layer_sums, stream);
	if (s && gns_core.publish.n_events < GNS_EVENTS_MAX &&
	    gns_layer_sums_event_new(gns_core.layer_sums, (uint32_t)stream, name))
		gns_publish_event(&gns_core.publish, (uint32_t)stream, s->clock.step, name, text);
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_count(const char *name)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_count(gns_core.layer_sums, name);
	gns_layer_feed_leave(&h);
}

static size_t counters(struct gns_counter *out)
{
	return gns_core.layer_sums ? gns_layer_sums_counters(gns_core.layer_sums, out) : 0;
}

static void forget(void)
{
	if (gns_core.layer_sums)
		gns_layer_sums_free(gns_core.layer_sums);
	gns_pages_free(gns_core.layer_sums, sizeof *gns_core.layer_sums);
	gns_core.layer_sums = NULL;
}

const struct gns_step_hooks gns_layer_hooks = { .name = "layers", .count = counters, .forget = forget };
