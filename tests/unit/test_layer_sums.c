/* The feed: sums against numbers worked out by hand, and what arrives in a real ring. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "profiler/shim/steps/layer_records.h"
#include "tests/unit/device_stand_in.h"

static struct gns_config config = { .every = 1, .probes = 8, .world = 1 };
static struct gns_layer_sums *feed;
static struct gns_publish publish;
static struct gns_kernels kernels;
static struct gns_session *session;
static struct gns_ring reader;
static char name[GNS_NAME_MAX];
static uint64_t tail;

static void set_up(void)
{
	snprintf(name, sizeof name, "/gnscope-test-feed-%u", (unsigned)getpid());
	cr_assert_eq(gns_session_create(name, &session), 0);
	config.session = name;
	feed = calloc(1, sizeof *feed);
	cr_assert(gns_layer_sums_init(feed, 1, 1));
	cr_assert(gns_publish_init(&publish));
	cr_assert(gns_publish_open(&publish, &config));
	cr_assert_eq(gns_ring_attach(name, session, 0, &reader), 0);
}

static void tear_down(void)
{
	gns_layer_sums_free(feed);
	free(feed);
	gns_session_unlink(name);
}

TestSuite(layer_sums, .init = set_up, .fini = tear_down);

static uint32_t new_param(int stream, const char *label, uint64_t rows, uint64_t cols)
{
	return gns_layer_sums_param(feed, stream, label, cols ? 2 : 1, (uint64_t[]){ rows, cols }, GNS_F32, NULL);
}

static struct gns_layer_sums_param *at(uint32_t id)
{
	struct gns_layer_sums_param *p = gns_layer_sums_param_at(feed, id);
	cr_assert_not_null(p, "parameter %u", id);
	return p;
}

/* As layer_feed.c ends a step. */
static enum gns_refusal end_step(uint32_t stream)
{
	struct gns_step_clock *clock = &feed->stream[stream].clock;
	struct gns_layer_sums_report report = { .micro_steps = 1, .lr = 0.5, .step.step = clock->step, .step.every = clock->interval };
	enum gns_refusal why = gns_layer_sums_close(feed, stream, &report.n, &report.measured);
	if (clock->measured)
		report.step.flags = why ? GNS_STEP_REFUSED : report.measured ? GNS_STEP_MEASURED : 0;
	gns_step_clock_close(clock, 1, 1);
	cr_assert(gns_publish_feed(&publish, &config, feed, stream, &report, &kernels, NULL, 0));
	gns_layer_sums_next(feed, stream, &config, 0, true);
	return why;
}

/* The records since the last call. */
static const struct gns_record *records(int64_t *n)
{
	static struct gns_record copy[512];
	*n = gns_ring_ready(&reader, tail);
	cr_assert(*n >= 0 && *n <= 512);
	for (int64_t i = 0; i < *n; i++)
		copy[i] = *gns_ring_read(&reader, tail + (uint64_t)i);
	tail += (uint64_t)*n;
	gns_ring_release(&reader, tail);
	return copy;
}

static const struct gns_record *next_of(const struct gns_record *r, int64_t n, int kind, uint32_t nth)
{
	for (int64_t i = 0; i < n; i++)
		if (r[i].kind == kind && !nth--)
			return &r[i];
	return NULL;
}

static const struct gns_rec_grad *grad_of(const struct gns_record *r, int64_t n, uint32_t id)
{
	for (int64_t i = 0; i < n; i++)
		if (r[i].kind == GNS_REC_GRAD && r[i].u.grad.param_id == id)
			return &r[i].u.grad;
	return NULL;
}

Test(layer_sums, sums_of_two_micro_steps)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = new_param(stream, "w", 4, 3), b = new_param(stream, "b", 4, 0);
	cr_assert(gns_layer_sums_measuring(feed, stream));
	/* 8 samples and then 4; the bias met the first 8 alone. */
	gns_layer_sums_sum(at(w), 3);
	gns_layer_sums_used(at(w), 8);
	gns_layer_sums_big(at(w), 7, 1);
	gns_layer_sums_sum(at(w), 2);
	gns_layer_sums_used(at(w), 4);
	gns_layer_sums_big(at(w), 0.25, 1);
	gns_layer_sums_sum(at(b), 0.5);
	gns_layer_sums_used(at(b), 8);
	gns_layer_sums_big(at(b), 0.125, 1);
	gns_layer_sums_loss(feed, stream, 1.25);
	gns_layer_sums_loss(feed, stream, 0.5);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	const struct gns_record *r = records(&n);
	const struct gns_rec_grad *g = grad_of(r, n, w);
	cr_assert(g && g->step == 1 && g->source == GNS_SOURCE_TORCH);
	cr_assert(g->n_small == 1 && g->n_big == 12 && g->groups == 12);
	cr_assert_float_eq(g->q_small, 12 * 5.0, 1e-12);
	cr_assert_float_eq(g->q_big, 0.25, 0); /* the last one: it holds all micro-steps */
	g = grad_of(r, n, b);
	cr_assert_float_eq(g->q_small, 12 * 0.5, 1e-12);
	const struct gns_record *loss = next_of(r, n, GNS_REC_LOSS, 0);
	cr_assert_float_eq(loss->u.loss.loss, 1.75, 1e-12);
	const struct gns_rec_step *s = &r[n - 1].u.step;
	cr_assert(r[n - 1].kind == GNS_REC_STEP && s->flags == GNS_STEP_MEASURED && s->samples == 12 && s->params == 2);
	cr_assert_float_eq(s->lr, 0.5, 0);
	/* Nothing of it is left in the next step. */
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	r = records(&n);
	cr_assert(n == 1 && r[0].u.step.step == 2 && r[0].u.step.flags == 0);
}

Test(layer_sums, order_of_a_step)
{
	static const uint16_t order[] = { GNS_REC_PROC, GNS_REC_SETTING, GNS_REC_SETTING, GNS_REC_PARAM, GNS_REC_GRAD, GNS_REC_KERNEL,
					  GNS_REC_KERNEL_STEP, GNS_REC_LOSS, GNS_REC_EVENT, GNS_REC_STEP };
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "AdamW", &config, 0);
	uint32_t w = gns_layer_sums_param(feed, stream, "conv", 4, (uint64_t[]){ 64, 3, 7, 7 }, GNS_BF16, NULL);
	gns_layer_sums_setting(feed, stream, "lr", 0.1, "");
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 2);
	gns_layer_sums_big(at(w), 1, 1);
	gns_layer_sums_loss(feed, stream, 1);
	feed->phase_ns = 1;
	gns_layer_sums_charge(feed, -1, 4);
	gns_layer_sums_phase(feed, &kernels, "backward", 15);
	gns_publish_event(&publish, 0, 1, "clipping", "");
	end_step(0);
	const struct gns_record *r = records(&n);
	cr_assert_eq(n, 10, "%d records", (int)n);
	for (int64_t i = 0; i < n; i++)
		cr_assert_eq(r[i].kind, order[i], "record %d is of kind %u", (int)i, r[i].kind);
	cr_assert_str_eq(r[1].u.setting.text, "AdamW");
	const struct gns_rec_param *p = &r[3].u.param;
	cr_assert(p->rows == 64 && p->cols == 147 && p->dims[0] == 3 && p->dims[1] == 7 && p->dims[2] == 7 && !p->dims[3]);
	cr_assert(p->dtype == GNS_BF16 && strcmp(p->name, "conv") == 0);
	cr_assert_str_eq(r[5].u.kernel.family, "phase");
	cr_assert_str_eq(r[5].u.kernel.name, "forward");
	cr_assert_eq(r[6].u.kernel_step.total_ns, 10);
}

Test(layer_sums, shapes)
{
	static const struct {
		unsigned dims;
		uint64_t size[6], rows, cols, factors[4];
	} cases[] = {
		{ 0, { 0 }, 1, 1, { 0 } },
		{ 1, { 7 }, 7, 1, { 0 } },
		{ 2, { 7, 3 }, 7, 3, { 0 } },
		{ 2, { 7, 1 }, 7, 1, { 1 } },
		{ 3, { 7, 3, 5 }, 7, 15, { 3, 5 } },
		{ 5, { 2, 3, 4, 5, 6 }, 2, 360, { 3, 4, 5, 6 } },
		{ 6, { 2, 3, 4, 5, 6, 7 }, 2, 2520, { 0 } },
		{ 3, { 2, 70000, 2 }, 2, 140000, { 0 } },
	};
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct gns_layer_sums_param *p = at(gns_layer_sums_param(feed, stream, "w", cases[i].dims, cases[i].size, GNS_F32, NULL));
		cr_assert(p->rows == cases[i].rows && p->cols == cases[i].cols, "case %zu", i);
		for (int j = 0; j < 4; j++)
			cr_assert_eq(p->dims[j], cases[i].factors[j], "case %zu", i);
	}
}

Test(layer_sums, streams_are_apart)
{
	int64_t n;
	int g = gns_layer_sums_stream(feed, "Adam", &config, 0), d = gns_layer_sums_stream(feed, "Adam", &config, 0);
	uint32_t of_g = new_param(g, "g", 2, 2), of_d = new_param(d, "d", 2, 2);
	cr_assert(g == 0 && d == 1 && of_g != of_d);
	gns_layer_sums_sum(at(of_g), 1);
	gns_layer_sums_used(at(of_g), 4);
	gns_layer_sums_big(at(of_g), 1, 1);
	gns_layer_sums_sum(at(of_d), 10);
	gns_layer_sums_used(at(of_d), 8);
	gns_layer_sums_big(at(of_d), 2, 1);
	end_step(1); /* the second is the first to step: PROC goes before it, on stream 0 */
	const struct gns_record *r = records(&n);
	cr_assert(r[0].kind == GNS_REC_PROC && r[0].stream == 0);
	for (int64_t i = 1; i < n; i++)
		cr_assert_eq(r[i].stream, 1);
	cr_assert(grad_of(r, n, of_d) && !grad_of(r, n, of_g));
	cr_assert_float_eq(grad_of(r, n, of_d)->q_small, 80, 1e-12);
	end_step(1);
	r = records(&n);
	cr_assert(n == 1 && r[0].u.step.step == 2);
	end_step(0);
	r = records(&n);
	cr_assert_eq(r[n - 1].u.step.step, 1);
	cr_assert_float_eq(grad_of(r, n, of_g)->q_small, 4, 1e-12);
	while (gns_layer_sums_stream(feed, "SGD", &config, 0) >= 0)
		;
	cr_assert_eq(feed->n_streams, GNS_STREAMS_MAX);
}

/* Ends `steps` steps, of 1 ms each, of which 16 us are ours when measured. */
static uint64_t last_interval(uint32_t stream, unsigned steps, uint64_t *now)
{
	static const struct gns_config by_budget = { .budget_pct = 1, .probes = 8 };
	struct gns_step_clock *clock = &feed->stream[stream].clock;
	for (unsigned i = 0; i < steps; i++) {
		*now += 1000000;
		clock->overhead_ns = clock->measured ? 16000 : 0;
		gns_step_clock_close(clock, *now, *now);
		gns_layer_sums_next(feed, stream, &by_budget, 0, true);
	}
	return clock->interval;
}

Test(layer_sums, streams_share_the_budget)
{
	static const struct gns_config by_budget = { .budget_pct = 1, .probes = 8 };
	uint64_t now = 1000000000, alone, shared = 0;
	gns_layer_sums_stream(feed, "SGD", &by_budget, 0);
	gns_layer_sums_stream(feed, "SGD", &by_budget, 0);
	feed->stream[0].clock.began_ns = feed->stream[1].clock.began_ns = 0;
	alone = last_interval(0, 200, &now);
	cr_assert_eq(alone, 2, "every %d steps; 0.85%% of 1 ms is about half of what one takes", (int)alone);
	for (int i = 0; i < 200; i++) {
		last_interval(1, 1, &now);
		shared = last_interval(0, 1, &now);
	}
	cr_assert_eq(shared, 2, "every %d steps; a step is twice as long, but half of the budget is the other's", (int)shared);
	cr_assert_eq(last_interval(1, 200, &now), alone, "the other one steps no more");
}

Test(layer_sums, ranks_and_scale)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = new_param(stream, "w", 2, 2);
	feed->stream[0].scale = 1024;
	gns_layer_sums_sum(at(w), 5.0 * 1024 * 1024);
	gns_layer_sums_used(at(w), 4);
	gns_layer_sums_big(at(w), 3.0 * 1024 * 1024, 2);
	gns_layer_sums_loss(feed, stream, 2);
	end_step(0);
	const struct gns_record *r = records(&n);
	const struct gns_rec_grad *g = grad_of(r, n, w);
	cr_assert(g->n_big == 8 && g->groups == 4);
	cr_assert_float_eq(g->q_small, 20, 1e-12);
	cr_assert_float_eq(g->q_big, 3, 1e-12);
	cr_assert_float_eq(next_of(r, n, GNS_REC_LOSS, 0)->u.loss.loss, 2, 1e-12);
}

Test(layer_sums, voided_and_skipped)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = new_param(stream, "w", 2, 2), v = new_param(stream, "v", 2, 2);
	gns_layer_sums_sum(at(w), NAN);
	gns_layer_sums_used(at(w), 100);
	gns_layer_sums_big(at(w), INFINITY, 1);
	gns_layer_sums_void(feed, at(w)); /* zeroed: what was wrong with it went with it */
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 4);
	gns_layer_sums_big(at(w), 2, 1);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	const struct gns_record *r = records(&n);
	cr_assert_eq(grad_of(r, n, w)->n_big, 4);
	cr_assert_null(grad_of(r, n, v));
	gns_layer_sums_sum(at(v), 1);
	gns_layer_sums_used(at(v), 4);
	gns_layer_sums_big(at(v), INFINITY, 1);
	gns_layer_sums_loss(feed, stream, 77);
	gns_layer_sums_skip(feed, stream);
	gns_layer_sums_sum(at(v), 1);
	gns_layer_sums_used(at(v), 2);
	gns_layer_sums_big(at(v), 1, 1);
	gns_layer_sums_loss(feed, stream, 1);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	r = records(&n);
	cr_assert_eq(grad_of(r, n, v)->n_big, 2);
	cr_assert_float_eq(next_of(r, n, GNS_REC_LOSS, 0)->u.loss.loss, 1, 0);
	cr_assert_eq(r[n - 1].u.step.step, 2, "a skipped step is none");
}

Test(layer_sums, refusals)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = new_param(stream, "w", 2, 2), v = new_param(stream, "v", 2, 2);
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 4);
	gns_layer_sums_big(at(w), 1, 1);
	gns_layer_sums_sum(at(v), INFINITY);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT_FINITE);
	const struct gns_record *r = records(&n);
	cr_assert_null(next_of(r, n, GNS_REC_GRAD, 0));
	cr_assert_eq(r[n - 1].u.step.flags, GNS_STEP_REFUSED);
	/* One sample, and no other rank. */
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 1);
	gns_layer_sums_big(at(w), 1, 1);
	cr_assert_eq(end_step(0), GNS_REFUSED_ONE_SAMPLE);
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 1);
	gns_layer_sums_big(at(w), 1, 2);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	/* A weight that is left out refuses nothing. */
	records(&n);
	gns_layer_sums_sum(at(v), NAN);
	gns_layer_sums_leave_out(feed, at(v), "tied");
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 3);
	gns_layer_sums_big(at(w), 1, 1);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	r = records(&n);
	cr_assert_eq(next_of(r, n, GNS_REC_PARAM, 0)->u.param.excluded, GNS_LEFT_TIED);
	cr_assert_null(next_of(r, n, GNS_REC_PARAM, 1), "nothing new of the other");
	/* "unused" keeps what comes, in case it is used after all, and tells nothing of it. */
	gns_layer_sums_leave_out(feed, at(v), "unused");
	gns_layer_sums_sum(at(v), INFINITY);
	gns_layer_sums_used(at(v), 3);
	gns_layer_sums_big(at(v), 1, 1);
	gns_layer_sums_sum(at(w), 1);
	gns_layer_sums_used(at(w), 3);
	gns_layer_sums_big(at(w), 1, 1);
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	r = records(&n);
	cr_assert(grad_of(r, n, w) && !grad_of(r, n, v));
	gns_layer_sums_leave_out(feed, at(v), "a reason from the future");
	end_step(0);
	r = records(&n);
	cr_assert_eq(next_of(r, n, GNS_REC_PARAM, 0)->u.param.excluded, GNS_LEFT_OPERATION);
}

Test(layer_sums, one_use_after_another)
{
	/* dim0 x rest = 1 x 1, two uses with the same sign and opposite ones: |a + b|^2 needs the cross term. */
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	struct gns_layers *layers = gns_layers_init(GNS_ISA_PORTABLE);
	uint32_t w = new_param(stream, "w", 1, 0);
	float first[] = { 1, 2 }, second[] = { 3, -2 };
	struct gns_tensor g = { .dtype = GNS_F32, .ndim = 2, .size = { 2, 1 }, .stride = { 1, 1 } };
	struct gns_samples samples = { .n = 2, .probes = 8 };
	const size_t shape[] = { 1 };
	cr_assert_eq(gns_layer_sums_uses(feed, at(w), 2, 2, 1, 1, 8, 1, 1), 0);
	samples.uses = at(w)->uses;
	g.data = first;
	cr_assert_eq(gns_layer_reduce(layers, &samples, &g, NULL, 1, shape), 0);
	gns_layer_sums_uses_done(feed, at(w));
	cr_assert_not(at(w)->any_sum);
	g.data = second;
	cr_assert_eq(gns_layer_reduce(layers, &samples, &g, NULL, 1, shape), 0);
	gns_layer_sums_uses_done(feed, at(w));
	cr_assert_float_eq(at(w)->sum, 16, 1e-9); /* (1 + 3)^2 + (2 - 2)^2 */
	cr_assert_null(at(w)->uses);
	cr_assert_eq(gns_layer_sums_uses(feed, at(w), 2, 1u << 30, 4096, 4096, 8, 1, 1), -ENOMEM);
	gns_layers_free(layers);
}

Test(layer_sums, told_once_and_again_when_changed)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = gns_layer_sums_param(feed, stream, "p1", 2, (uint64_t[]){ 2, 3 }, GNS_F32, &config);
	gns_layer_sums_setting(feed, stream, "lr", 0.1, "");
	end_step(0);
	records(&n);
	gns_layer_sums_setting(feed, stream, "lr", 0.1, "");
	gns_layer_sums_setting(feed, stream, "optimizer", NAN, "SGD");
	gns_layer_sums_rename(feed, at(w), "p1");
	end_step(0);
	records(&n);
	cr_assert_eq(n, 1);
	gns_layer_sums_setting(feed, stream, "lr", 0.2, "");
	gns_layer_sums_given(feed, "mine", &config, 3, 2);
	gns_layer_sums_rename(feed, at(w), "fc.weight");
	end_step(0);
	const struct gns_record *r = records(&n);
	cr_assert_eq(n, 3);
	cr_assert(next_of(r, n, GNS_REC_SETTING, 0)->u.setting.step == 3 && next_of(r, n, GNS_REC_SETTING, 0)->u.setting.value == 0.2);
	cr_assert_str_eq(next_of(r, n, GNS_REC_PARAM, 0)->u.param.name, "mine", "what the trainer says wins");
	cr_assert(gns_layer_sums_event_new(feed, 0, "batchnorm"));
	cr_assert_not(gns_layer_sums_event_new(feed, 0, "batchnorm"));
	cr_assert(gns_layer_sums_event_new(feed, 1, "batchnorm"));
}

Test(layer_sums, marked_losses_win)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	gns_layer_sums_loss(feed, stream, 5);
	feed->stream[0].touched = true;
	cr_assert_eq(gns_layer_sums_mark_loss(feed), 1);
	end_step(0);
	const struct gns_record *r = records(&n);
	cr_assert_null(next_of(r, n, GNS_REC_LOSS, 0), "the mark has been told elsewhere");
	cr_assert_eq(gns_layer_sums_mark_loss(feed), 2, "the last step has one: it is the next one's");
	end_step(0);
	end_step(0);
	cr_assert_eq(gns_layer_sums_mark_loss(feed), 3, "no backward pass since: the last step's");
	cr_assert_eq(gns_layer_sums_mark_loss(feed), 4);
	end_step(0);
	end_step(0);
	feed->stream[0].touched = true;
	cr_assert_eq(gns_layer_sums_mark_loss(feed), 6, "after a backward pass: this one's");
}

Test(layer_sums, ids_and_steps_of_another)
{
	gns_layer_sums_free(feed);
	cr_assert(gns_layer_sums_init(feed, 14, 6));
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	cr_assert_eq(feed->stream[0].clock.step, 6);
	cr_assert_eq(new_param(stream, "w", 1, 1), 14);
	cr_assert_null(gns_layer_sums_param_at(feed, 13));
	cr_assert_null(gns_layer_sums_param_at(feed, 15));
	cr_assert_null(gns_layer_sums_param_at(feed, -3));
	cr_assert_eq(gns_layer_sums_param(feed, 9, "w", 0, NULL, GNS_F32, NULL), 0);
	for (uint32_t i = 1; i < GNS_PARAMS_MAX; i++)
		cr_assert_neq(new_param(stream, "w", 1, 1), 0);
	cr_assert_eq(new_param(stream, "w", 1, 1), 0);
}

/* On a device: the test is the device. */
static struct gns_set set[3];
static struct gns_device device = { .set = set, .sets = 3 };

/* As layer_feed.c does before it closes. */
static enum gns_refusal end_device_step(uint32_t stream)
{
	struct gns_layer_sums_stream *s = &feed->stream[stream];
	int rc = gns_layer_sums_sets_finish(&s->sets);
	if (rc)
		gns_layer_sums_skip(feed, stream);
	if (rc)
		gns_layer_sums_sets_release(&s->sets);
	return end_step(stream);
}

/* A value that the device will deliver. */
static void on_device(struct gns_layer_sums_term *terms, enum gns_layer_sums_what what, void *cuda_stream, double value)
{
	struct gns_device_target to;
	cr_assert_eq(gns_layer_sums_term(&feed->stream[0].sets, terms, what, &device, cuda_stream, &to), 0);
	double *slot = &to.set->value[0][to.slot];
	*slot = to.add ? *slot + value : value;
}

static void param_on_device(uint32_t id, void *cuda_stream, double sum, double q_big)
{
	struct gns_layer_sums_param *p = at(id);
	on_device(p->term, GNS_LAYER_SUMS_SUM, cuda_stream, sum);
	on_device(p->term, GNS_LAYER_SUMS_BIG, NULL, q_big);
	p->any_sum = true;
	gns_layer_sums_used(p, 4);
	gns_layer_sums_big(p, 0, 1);
}

Test(layer_sums, values_of_a_device_come_late)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0), x, y;
	uint32_t w = new_param(stream, "w", 4, 3), b = new_param(stream, "b", 4, 0), c = new_param(stream, "c", 4, 0);
	param_on_device(w, &x, 3, 100);
	param_on_device(w, &x, 4, 10); /* of q_big the last counts */
	param_on_device(w, &y, 5, 11);
	param_on_device(b, &x, 1, 1);
	gns_layer_sums_void(feed, at(b));
	param_on_device(b, &x, 2, 2);
	on_device(at(c)->term, GNS_LAYER_SUMS_ZERO, NULL, 0.5);
	param_on_device(c, &x, 1, 1);
	on_device(feed->stream[0].term, GNS_LAYER_SUMS_LOSS, NULL, 6);
	on_device(feed->stream[0].term, GNS_LAYER_SUMS_LOSS, NULL, 4);
	on_device(feed->stream[0].term, GNS_LAYER_SUMS_SCALE, NULL, 2);
	feed->stream[0].any_loss = true;
	cr_assert_eq(end_device_step(0), GNS_REFUSED_NOT);
	cr_assert_eq(device.begun, 1);
	cr_assert_eq(set[0].finished, 1);
	records(&n);
	cr_assert_eq(n, 0, "nothing before the device has delivered");
	cr_assert_eq(end_step(0), GNS_REFUSED_NOT);
	set[0].delivered = 1;
	gns_deferred_poll(&publish);
	const struct gns_record *r = records(&n);
	const struct gns_rec_grad *g = grad_of(r, n, w);
	cr_assert_not_null(g);
	cr_expect_float_eq(g->q_small, 12 * 12.0 / 4, 1e-12);
	cr_expect_float_eq(g->q_big, 11.0 / 4, 1e-12);
	cr_expect_eq(g->n_big, 12);
	g = grad_of(r, n, b);
	cr_assert_not_null(g);
	cr_expect_float_eq(g->q_small, 12 * 2.0 / 4, 1e-12, "what was void is not in it");
	cr_expect_float_eq(g->q_big, 2.0 / 4, 1e-12);
	cr_expect_null(grad_of(r, n, c), "its gradient had not been zeroed");
	const struct gns_record *loss = next_of(r, n, GNS_REC_LOSS, 0), *step = next_of(r, n, GNS_REC_STEP, 0);
	cr_expect_float_eq(loss->u.loss.loss, 5, 1e-12);
	cr_expect_eq(step->u.step.params, 2);
	cr_expect_eq(set[0].released, 1);
	/* Nothing of it is left in the next one. */
	param_on_device(w, &x, 3, 1);
	cr_assert_eq(end_device_step(0), GNS_REFUSED_NOT);
	set[1].delivered = 1;
	gns_deferred_poll(&publish);
	r = records(&n);
	g = grad_of(r, n, w);
	cr_assert_not_null(g);
	cr_expect_float_eq(g->q_small, 4 * 3.0, 1e-12);
	cr_expect_null(next_of(r, n, GNS_REC_LOSS, 0));
}

Test(layer_sums, each_cuda_stream_has_slots_of_its_own)
{
	struct gns_device_target to[4];
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0), x, y;
	uint32_t w = new_param(stream, "w", 4, 3);
	struct gns_layer_sums_param *p = at(w);
	cr_assert_eq(gns_layer_sums_term(&feed->stream[0].sets, p->term, GNS_LAYER_SUMS_SUM, &device, &x, &to[0]), 0);
	cr_assert_eq(gns_layer_sums_term(&feed->stream[0].sets, p->term, GNS_LAYER_SUMS_SUM, &device, &y, &to[1]), 0);
	cr_assert_eq(gns_layer_sums_term(&feed->stream[0].sets, p->term, GNS_LAYER_SUMS_SUM, &device, &x, &to[2]), 0);
	cr_expect(!to[0].add && !to[1].add && to[2].add);
	cr_expect_neq(to[0].slot, to[1].slot, "no stream orders them");
	cr_expect_eq(to[0].slot, to[2].slot);
	on_device(p->term, GNS_LAYER_SUMS_BIG, &x, 5);
	on_device(p->term, GNS_LAYER_SUMS_BIG, &y, 7); /* the newest, wherever it is from */
	p->any_sum = true;
	gns_layer_sums_used(p, 4);
	gns_layer_sums_big(p, 0, 1);
	end_device_step(0);
	set[0].delivered = 1;
	gns_deferred_poll(&publish);
	const struct gns_record *r = records(&n);
	cr_assert_not_null(grad_of(r, n, w));
	cr_expect_float_eq(grad_of(r, n, w)->q_big, 7, 0);
}

Test(layer_sums, a_set_that_nobody_waits_for_goes_back)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = new_param(stream, "w", 4, 3);
	param_on_device(w, NULL, 3, 1);
	gns_layer_sums_skip(feed, stream);
	end_device_step(0);
	set[0].delivered = 1;
	gns_deferred_poll(&publish);
	const struct gns_record *r = records(&n), *step = next_of(r, n, GNS_REC_STEP, 0);
	cr_assert_not_null(step);
	cr_expect_eq(step->u.step.flags, 0);
	cr_expect_eq(set[0].released, 1);
}

Test(layer_sums, a_graph_is_measured_where_its_step_ends_within)
{
	int64_t n;
	int stream = gns_layer_sums_stream(feed, "SGD", &config, 0);
	uint32_t w = new_param(stream, "w", 4, 3);
	set[0].captured = set[1].captured = gns_stand_in_capturing = true;
	param_on_device(w, NULL, 3, 1);
	cr_assert_eq(end_device_step(0), GNS_REFUSED_NOT);
	const struct gns_record *r = records(&n);
	cr_expect_null(next_of(r, n, GNS_REC_STEP, 0), "a capture is no step");
	for (uint64_t k = 1; k <= 2; k++) {
		set[0].value[k - 1][0] = 3;
		set[0].value[k - 1][1] = 1;
		set[0].delivered = k;
		gns_deferred_poll(&publish);
		r = records(&n);
		cr_assert_not_null(grad_of(r, n, w));
		cr_expect_eq(grad_of(r, n, w)->step, k);
	}
	param_on_device(w, NULL, 3, 1);
	gns_stand_in_capturing = false;
	end_device_step(0);
	r = records(&n);
	const struct gns_record *step = next_of(r, n, GNS_REC_STEP, 0);
	cr_assert_not_null(step);
	cr_expect_eq(step->u.step.flags, 0, "of which replays the step is, nobody knows");
	cr_expect_eq(step->u.step.step, 3);
	cr_expect_eq(set[1].gate_moved, 1, "and its kernels are off");
}
