/* The feed in a process with a device: what a collector hands over is in the ring when the device has delivered it. On the fake libcuda,
 * or a real one; the truth is computed here. */
#include "test_device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profiler/shim/core/layer_feed.h"
#include "profiler/shim/ring/ring.h"
#include "profiler/shim/core/state.h"

static char name[GNS_NAME_MAX];
static struct gns_session *session;
static struct gns_ring reader;
static uint64_t tail;
static struct gns_record got[512];
static int64_t n_got;

static void set_up(const char *every)
{
	snprintf(name, sizeof name, "/gnscope-test-feeding-%u", (unsigned)getpid());
	OK(gns_session_create(name, &session));
	setenv("GNSCOPE_SESSION", name, 1);
	setenv("GNSCOPE_EVERY", every, 1);
	use_device(0);
}

static void arrived(void)
{
	n_got = 0;
	if (!reader.shared && gns_ring_attach(name, session, 0, &reader))
		return;
	int64_t n = gns_ring_ready(&reader, tail);
	cr_assert(n >= 0 && n <= 512);
	for (int64_t i = 0; i < n; i++)
		got[n_got++] = *gns_ring_read(&reader, tail + (uint64_t)i);
	tail += (uint64_t)n;
	gns_ring_release(&reader, tail);
}

static const struct gns_record *find(uint16_t kind, int64_t nth)
{
	for (int64_t i = 0; i < n_got; i++)
		if (got[i].kind == kind && !nth--)
			return &got[i];
	return NULL;
}

/* A linear layer with one row a sample: sum over samples of |y_i|^2 |x_i|^2. */
struct layer {
	int64_t id;
	size_t n, in, out;
	struct floats x, y, gradient;
	double sum;
};

static void draw_rows(struct floats *f, double *rows, size_t n)
{
	float *values = malloc(f->n * sizeof *values);
	draw(values, f->n, 1, &f->norm2);
	OK(cuMemcpyHtoD_v2(f->at, values, f->n * sizeof *values));
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < f->n / n; j++)
			rows[i] += (double)values[i * (f->n / n) + j] * values[i * (f->n / n) + j];
	free(values);
}

/* New operands; the truth of them. */
static void refill(struct layer *l)
{
	double x[64] = { 0 }, y[64] = { 0 };
	draw_rows(&l->x, x, l->n);
	draw_rows(&l->y, y, l->n);
	draw_rows(&l->gradient, (double[1]){ 0 }, 1);
	l->sum = 0;
	for (size_t i = 0; i < l->n; i++)
		l->sum += x[i] * y[i];
}

static struct layer new_layer(int stream, size_t n, size_t in, size_t out)
{
	struct layer l = { .n = n, .in = in, .out = out, .x = new_floats(n * in, 1), .y = new_floats(n * out, 1),
			   .gradient = new_floats(in * out, 1) };
	l.id = gns_layer_feed_param(stream, "w", 2, (uint64_t[]){ out, in }, GNS_F32, NULL);
	cr_assert_neq(l.id, 0);
	gns_layer_feed_leave_out(l.id, "");
	refill(&l);
	return l;
}

static struct gns_tensor matrix(const struct floats *f, size_t rows)
{
	return (struct gns_tensor){ .data = (const void *)(uintptr_t)f->at, .dtype = GNS_F32, .ndim = 2, .size = { rows, f->n / rows },
				    .stride = { (ptrdiff_t)(f->n / rows), 1 } };
}

/* As the hook of a linear layer's node and the end of a backward pass do. */
static void backward(const struct layer *l, CUstream stream)
{
	struct gns_layer_feed_device work;
	const struct gns_tensor x = matrix(&l->x, l->n), y = matrix(&l->y, l->n), gradient = matrix(&l->gradient, l->out);
	OK(gns_layer_feed_device_begin(l->id, GNS_LAYER_SUMS_SUM, l->n, 0, 0, stream, &work));
	int rc = gns_device_linear(&work.to, &work.samples, &x, &y);
	gns_layer_feed_device_end(&work, rc);
	OK(rc);
	gns_layer_feed_backward_done();
	gns_layer_feed_used(l->id, l->n);
	OK(gns_layer_feed_device_big(l->id, &gradient, 1, 0, stream));
}

static void poll_until_there(CUstream stream)
{
	OK(cuStreamSynchronize(stream));
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL); /* deliveries are on a stream of their own */
	gns_deferred_poll(&gns_core.publish);
	arrived();
}

static void expect(const struct gns_record *r, const struct layer *l, uint64_t times)
{
	cr_assert_not_null(r);
	const struct gns_rec_grad *g = &r->u.grad;
	double n = (double)(times * l->n), q_small = n * (double)times * l->sum;
	cr_expect_eq(g->n_big, times * l->n);
	cr_expect_float_eq(g->q_small, q_small, 1e-5 * q_small, "q_small is %g, exactly %g", g->q_small, q_small);
	cr_expect_float_eq(g->q_big, l->gradient.norm2, 1e-9 * l->gradient.norm2);
}

Test(layer_feed_device, a_step_and_two_micro_steps)
{
	set_up("1");
	CUstream stream = new_stream();
	cr_assert(gns_layer_feed_device_ready());
	int of = gns_layer_feed_stream("SGD");
	struct layer l = new_layer(of, 16, 40, 24);
	for (int micro = 1; micro <= 2; micro++) {
		for (int i = 0; i < micro; i++)
			backward(&l, stream);
		OK(gns_layer_feed_device_loss(of, &(struct gns_tensor){ .data = (const void *)(uintptr_t)l.x.at, .dtype = GNS_F32 }, 0, stream));
		cr_assert_eq(gns_layer_feed_step(of, 1, 0.1), 1);
		poll_until_there(stream);
		const struct gns_record *step = find(GNS_REC_STEP, 0);
		expect(find(GNS_REC_GRAD, 0), &l, (uint64_t)micro);
		cr_assert_not_null(step);
		cr_expect_eq(step->u.step.flags, GNS_STEP_MEASURED | (micro == 1 ? GNS_STEP_STARTUP : 0));
		cr_assert_not_null(find(GNS_REC_LOSS, 0));
		float first;
		OK(cuMemcpyDtoH_v2(&first, l.x.at, sizeof first));
		cr_expect_float_eq(find(GNS_REC_LOSS, 0)->u.loss.loss, first, 0);
		OK(cuStreamSynchronize(stream));
		refill(&l);
	}
}

Test(layer_feed_device, another_device_than_the_current_is_not_measured_on)
{
	set_up("1");
	struct gns_layer_feed_device work;
	int of = gns_layer_feed_stream("SGD");
	struct layer l = new_layer(of, 16, 40, 24);
	cr_expect_eq(gns_layer_feed_device_begin(l.id, GNS_LAYER_SUMS_SUM, l.n, 0, 1, NULL, &work), -ENODEV);
}

Test(layer_feed_device, two_uses_are_added_before_they_are_squared)
{
	set_up("1");
	CUstream stream = new_stream();
	int of = gns_layer_feed_stream("SGD");
	struct layer l = new_layer(of, 16, 40, 4); /* few rows: exact */
	OK(gns_layer_feed_device_uses(l.id, 2, l.n, 4, 40, 0, stream));
	struct gns_layer_feed_device work;
	const struct gns_tensor x = matrix(&l.x, l.n), y = matrix(&l.y, l.n), gradient = matrix(&l.gradient, l.out);
	for (int i = 0; i < 2; i++) {
		OK(gns_layer_feed_device_begin(l.id, GNS_LAYER_SUMS_SUM, l.n, 0, 0, stream, &work));
		int rc = gns_device_linear(&work.to, &work.samples, &x, &y);
		gns_layer_feed_device_end(&work, rc);
		OK(rc);
	}
	gns_layer_feed_backward_done();
	gns_layer_feed_used(l.id, l.n);
	OK(gns_layer_feed_device_big(l.id, &gradient, 1, 0, stream));
	gns_layer_feed_step(of, 1, 0.1);
	poll_until_there(stream);
	const struct gns_record *grad = find(GNS_REC_GRAD, 0);
	cr_assert_not_null(grad);
	double want = 16 * 4 * l.sum; /* twice the same: four times its square */
	cr_expect_float_eq(grad->u.grad.q_small, want, 0.35 * want, "%g, exactly %g", grad->u.grad.q_small, want);
}

static CUgraphExec captured(const struct layer *l, int of, CUstream stream)
{
	CUgraph graph;
	CUgraphExec exec;
	OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	gns_layer_feed_measure_now(of);
	backward(l, stream);
	gns_layer_feed_step(of, 1, 0.1);
	OK(cuStreamEndCapture(stream, &graph));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	return exec;
}

Test(layer_feed_device, each_replay_of_a_captured_step_is_a_step)
{
	set_up("1");
	CUstream stream = new_stream();
	cr_assert(gns_layer_feed_device_ready());
	int of = gns_layer_feed_stream("SGD");
	struct layer l = new_layer(of, 16, 40, 24);
	backward(&l, stream);
	gns_layer_feed_step(of, 1, 0.1);
	CUgraphExec exec = captured(&l, of, stream);
	poll_until_there(stream);
	cr_assert_not_null(find(GNS_REC_STEP, 0));
	cr_expect_null(find(GNS_REC_STEP, 1), "the capture is no step");
	for (uint64_t step = 2; step <= 7; step++) {
		refill(&l);
		OK(cuGraphLaunch(exec, stream));
		poll_until_there(stream);
		expect(find(GNS_REC_GRAD, 0), &l, 1);
		cr_assert_not_null(find(GNS_REC_STEP, 0));
		cr_expect_eq(find(GNS_REC_STEP, 0)->u.step.step, step);
		cr_expect_eq(find(GNS_REC_GRAD, 0)->u.grad.step, step);
	}
	backward(&l, stream);
	gns_layer_feed_step(of, 1, 0.1);
	poll_until_there(stream);
	cr_assert_not_null(find(GNS_REC_STEP, 0));
	cr_expect_eq(find(GNS_REC_STEP, 0)->u.step.step, 8, "steps without the graph go on behind its");
}

Test(layer_feed_device, replays_are_measured_at_the_interval)
{
	set_up("5");
	CUstream stream = new_stream();
	cr_assert(gns_layer_feed_device_ready());
	int of = gns_layer_feed_stream("SGD"), measured = 0, steps = 0;
	struct layer l = new_layer(of, 16, 40, 24);
	gns_layer_feed_step(of, 1, 0.1);
	CUgraphExec exec = captured(&l, of, stream);
	for (int i = 0; i < 30; i++) {
		OK(cuGraphLaunch(exec, stream));
		poll_until_there(stream);
		for (int64_t k = 0; k < n_got; k++) {
			bool is = got[k].kind == GNS_REC_STEP && got[k].u.step.step > 1;
			steps += is;
			measured += is && got[k].u.step.flags == GNS_STEP_MEASURED;
		}
	}
	gns_core.publish.counters_ns = 0; /* a second has passed */
	OK(cuGraphLaunch(exec, stream));
	poll_until_there(stream);
	const struct gns_record *counter = NULL;
	for (int64_t i = 0; find(GNS_REC_COUNTER, i); i++)
		if (strcmp(find(GNS_REC_COUNTER, i)->u.counter.name, "graph_steps") == 0)
			counter = find(GNS_REC_COUNTER, i);
	cr_assert_not_null(counter, "a program that only replays tells its counters, too");
	cr_expect(counter->u.counter.value >= 30);
	cr_expect_eq(steps, 30);
	cr_expect(measured >= 5 && measured <= 12, "%d of 30 measured", measured);
}
