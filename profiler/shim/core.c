/* The shim's middle. */
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "config.h"
#include "fpu.h"
#include "kernels.h"
#include "measure.h"
#include "publish.h"
#include "roles.h"
#include "steps.h"

#define TIME_ONE_IN 16
#define BOUNDARY_TIMES 8
#define PAGE 4096

enum state { ASLEEP = 0, AWAKE, OFF, FORKED };

enum { COUNT_PRODUCTS = 0, COUNT_FORWARD, COUNT_DGRAD, COUNT_WGRAD, COUNT_OTHER, COUNTS };

static struct core {
	_Atomic int state;
	_Atomic bool measured, learning; /* of steps and roles, for those who do not hold the lock */
	_Atomic uint32_t *ours; /* 0 in a child, however it was made; atfork handlers run for fork() alone */
	pthread_mutex_t lock;
	struct gns_config config;
	struct gns_roles roles;
	struct gns_measure *measure;
	struct gns_kernels *kernels;
	struct gns_publish publish;
	struct gns_steps steps;
	uint64_t first_ns, counts[COUNTS], refused[GNS_REFUSALS];
	struct { uint32_t m, n, k; } last_why[GNS_WHYS];
	uint64_t boundary_ns[BOUNDARY_TIMES], boundary_real[BOUNDARY_TIMES];
	uint32_t n_boundaries, early_marks;
	enum gns_refusal refused_last;
	bool told_bad;
} core = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Our own work, and BLAS libraries that call each other's entry points, must not be seen. */
static __thread int inside __attribute__((tls_model("initial-exec")));
static __thread uint32_t tick __attribute__((tls_model("initial-exec")));

/* ---- waking, forking, ending ---- */

static void after_fork(void)
{
	/* The ring is the parent's: the child lets go of it and is asleep until it multiplies matrices itself. */
	static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
	memcpy(&core.lock, &fresh, sizeof fresh);
	if (core.state == AWAKE)
		core.state = FORKED;
}

static int present_state(void)
{
	int state = atomic_load_explicit(&core.state, memory_order_acquire);
	if (state == AWAKE && !atomic_load_explicit(core.ours, memory_order_relaxed)) {
		after_fork();
		state = FORKED;
	}
	return state;
}

static void forget_parent(void)
{
	if (core.publish.link == GNS_LINK_OPEN)
		gns_ring_detach(&core.publish.ring);
	if (core.publish.session)
		gns_session_detach(core.publish.session);
	gns_publish_free(&core.publish);
	gns_roles_free(&core.roles);
	if (core.measure)
		gns_measure_free(core.measure);
	gns_pages_free(core.measure, sizeof *core.measure);
	gns_pages_free(core.kernels, sizeof *core.kernels);
	gns_pages_free((void *)core.ours, PAGE);
	core.measure = NULL;
	core.kernels = NULL;
	core.ours = NULL;
	core.told_bad = false;
	memset(core.counts, 0, sizeof core.counts);
	memset(core.refused, 0, sizeof core.refused);
	memset(core.last_why, 0, sizeof core.last_why);
	core.n_boundaries = core.early_marks = 0;
}

static bool set_up(void)
{
	gns_config_read(&core.config);
	if (core.config.off)
		return false;
	core.measure = gns_pages(sizeof *core.measure);
	core.kernels = gns_pages(sizeof *core.kernels);
	core.ours = gns_pages(PAGE);
	if (!core.ours || !core.measure || !core.kernels || !gns_roles_init(&core.roles) || !gns_measure_init(core.measure) ||
	    !gns_publish_init(&core.publish))
		return false;
	madvise((void *)core.ours, PAGE, MADV_WIPEONFORK);
	*core.ours = 1;
	core.measure->samples = core.config.samples;
	core.measure->probes = core.config.probes;
	core.first_ns = gns_now();
	/* Not the time: the same training gives the same numbers. Ranks draw apart. */
	core.measure->seed = 0x676e7363ull ^ (uint64_t)core.config.rank << 40;
	gns_steps_init(&core.steps, core.first_ns);
	core.learning = true;
	core.measured = false;
	return true;
}

static void wake(void)
{
	static bool fork_watched;
	pthread_mutex_lock(&core.lock);
	if (core.state == FORKED) {
		forget_parent();
		core.state = ASLEEP;
	}
	if (core.state == ASLEEP) {
		if (!fork_watched)
			pthread_atfork(NULL, NULL, after_fork);
		fork_watched = true;
		bool up = set_up();
		if (!up)
			forget_parent(); /* what could be had of it is not to be kept from the trainer */
		core.state = up ? AWAKE : OFF;
	}
	pthread_mutex_unlock(&core.lock);
}

/* ---- steps ---- */

static size_t counters(struct gns_counter *out)
{
	static const char *const names[COUNTS] = { "products", "forward", "dgrad", "wgrad", "other" };
	size_t n = 0;
	for (unsigned i = 0; i < COUNTS; i++)
		out[n++] = (struct gns_counter){ .collector = "blas", .name = names[i], .value = core.counts[i] };
	for (unsigned i = 1; i < GNS_WHYS; i++) {
		struct gns_counter *c = &out[n++];
		*c = (struct gns_counter){ .collector = "blas", .name = gns_reason_name(i), .value = core.roles.why[i] };
		if (core.last_why[i].k)
			snprintf(c->text, sizeof c->text, "%ux%u over %u", core.last_why[i].m, core.last_why[i].n, core.last_why[i].k);
	}
	for (unsigned i = 1; i < GNS_REFUSALS; i++)
		out[n++] = (struct gns_counter){ .collector = "step_refused", .name = gns_refusal_name(i), .value = core.refused[i] };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "late_gradients", .value = core.steps.late };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "kernels_not_listed", .value = core.kernels->overflow };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "uses_forgotten", .value = core.roles.uses.lost };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "scan_not_permitted", .value = !core.roles.scan_works };
	return n;
}

_Static_assert(COUNTS + GNS_WHYS + GNS_REFUSALS + 4 <= GNS_COUNTERS_MAX, "room for all counters");

/* Ends the present step and hands it over. */
static void close_step(bool all_counters)
{
	struct gns_steps *s = &core.steps;
	struct gns_counter list[GNS_COUNTERS_MAX];
	struct gns_step_report report = { .step = s->step, .start_ns = s->began_real_ns, .overhead_ns = s->overhead_ns, .every = s->interval };
	if (core.state != AWAKE)
		return; /* the process ends; this thread was in a product */
	if (s->measured) {
		enum gns_refusal why = s->gradients ? gns_measure_close(core.measure) : GNS_REFUSED_NOT;
		if (why)
			core.refused[why]++;
		core.refused_last = why;
		report.flags = why ? GNS_STEP_REFUSED : s->gradients ? GNS_STEP_MEASURED : 0;
	}
	report.dur_ns = gns_steps_close(s, gns_now(), gns_realtime(), core.roles.learning);
	if (gns_publish_open(&core.publish, &core.config)) {
		if (core.config.bad[0] && !core.told_bad)
			gns_publish_event(&core.publish, s->step, "bad_setting", core.config.bad);
		core.told_bad = true;
		size_t n = all_counters || gns_publish_counters_due(&core.publish) ? counters(list) : 0;
		gns_publish_step(&core.publish, &core.config, &report, core.measure, core.kernels, list, n);
		gns_publish_revive(&core.publish);
	}
}

/* A step that is not measured is only counted: operands are then known by their addresses alone. */
static void look_closely(void)
{
	core.roles.uses.no_prints = !core.steps.measured && !core.roles.learning;
	atomic_store_explicit(&core.measured, core.steps.measured, memory_order_relaxed);
}

static void begin_step(uint64_t step)
{
	gns_steps_begin(&core.steps, &core.config, gns_publish_control(&core.publish), step);
	look_closely();
	gns_measure_clear(core.measure);
	gns_kernels_clear(core.kernels);
}

static uint32_t steps_before(void)
{
	return core.steps.marked ? core.early_marks : core.roles.steps_before;
}

/* The steps that went by while weights were being found: unmeasured, with their times where every boundary was seen. */
static void report_learned_steps(void)
{
	uint32_t steps = steps_before();
	bool times = core.n_boundaries == steps && steps <= BOUNDARY_TIMES;
	uint64_t spent = core.steps.overhead_ns;
	if (!gns_publish_open(&core.publish, &core.config))
		return;
	for (uint32_t i = 0; i < steps; i++) {
		uint64_t from = i ? core.boundary_ns[i - 1] : core.first_ns;
		struct gns_step_report report = { .step = i + 1, .overhead_ns = i + 1 == steps ? spent : 0 };
		if (times) {
			report.dur_ns = core.boundary_ns[i] - from;
			report.start_ns = core.boundary_real[i] - report.dur_ns;
		}
		gns_publish_step(&core.publish, &core.config, &report, core.measure, core.kernels, NULL, 0);
	}
}

static void on_boundary(const struct gns_verdict *v)
{
	struct gns_steps *s = &core.steps;
	if (v->learned && !s->step) {
		report_learned_steps();
		s->learning_cost = (double)s->overhead_ns;
		s->overhead_ns = 0;
		s->began_ns = gns_now();
		s->began_real_ns = gns_realtime();
		s->expected = core.roles.expected_gradients;
		s->unsure = s->expected == 0;
		begin_step(steps_before() + 1);
		return;
	}
	if (v->learned)
		s->unsure = 2; /* more weights than before */
	look_closely();
	if (s->marked || !s->step)
		return;
	if (!s->published)
		close_step(false);
	begin_step(s->step + 1);
}

static void note_time(const struct gns_verdict *v)
{
	if (v->forward_after_backward && !core.steps.step && core.n_boundaries < BOUNDARY_TIMES) {
		core.boundary_ns[core.n_boundaries] = gns_now();
		core.boundary_real[core.n_boundaries++] = gns_realtime();
	}
}

/* ---- products ---- */

bool gns_core_enter(struct gns_call *call, const char *api)
{
	if (inside)
		return false;
	int saved = errno;
	int state = present_state();
	if (__builtin_expect(state != AWAKE, 0)) {
		if (state == OFF)
			return false;
		inside = 1;
		wake();
		inside = 0;
		errno = saved;
		if (core.state != AWAKE)
			return false;
	}
	inside = 1;
	/* Not all of it: the product is large, and written before it is read. */
	call->api = api;
	call->saved_errno = saved;
	call->entered_ns = call->called_ns = 0;
	call->role = call->n_products = call->n_wgrads = call->scale = 0;
	call->pending = NULL;
	call->measured = false;
	if (atomic_load_explicit(&core.measured, memory_order_relaxed) || atomic_load_explicit(&core.learning, memory_order_relaxed))
		call->scale = 1;
	else if (++tick % TIME_ONE_IN == 0)
		call->scale = TIME_ONE_IN;
	if (call->scale)
		call->entered_ns = gns_now();
	return true;
}

static void count(const struct gns_product *p, const struct gns_verdict *v)
{
	static const uint8_t of_role[GNS_ROLES] = { COUNT_OTHER, COUNT_FORWARD, COUNT_DGRAD, COUNT_WGRAD };
	core.counts[COUNT_PRODUCTS]++;
	core.counts[of_role[v->role]]++;
	if (v->why) {
		core.last_why[v->why].m = (uint32_t)p->m;
		core.last_why[v->why].n = (uint32_t)p->n;
		core.last_why[v->why].k = (uint32_t)p->k;
	}
}

static void on_weight(const struct gns_verdict *v, const struct gns_product *p)
{
	const struct gns_weight *w = &core.roles.weights[v->weight[0]];
	if (v->role == GNS_ROLE_FORWARD)
		gns_measure_weight(core.measure, w, core.steps.measured ? v->input : 0);
	else if (core.steps.measured)
		/* The operand that is not the weight is dY. */
		gns_measure_settle(core.measure, p->left.data == w->key.data ? p->right.data : p->left.data, w->id);
}

void gns_core_before(struct gns_call *call, const struct gns_product *product)
{
	struct gns_verdict v;
	if (!product->m || !product->n || !product->k)
		return;
	unsigned fpu = gns_fpu_begin();
	pthread_mutex_lock(&core.lock);
	gns_roles_see(&core.roles, product, &v);
	atomic_store_explicit(&core.learning, core.roles.learning, memory_order_relaxed);
	note_time(&v);
	if (v.boundary) {
		/* Rare and dear: timed for itself, not by sample. */
		call->scale = 1;
		if (!call->entered_ns)
			call->entered_ns = gns_now();
		on_boundary(&v);
	}
	count(product, &v);
	if (v.role == GNS_ROLE_FORWARD || v.role == GNS_ROLE_DGRAD)
		on_weight(&v, product);
	if (v.role == GNS_ROLE_WGRAD && core.steps.step) {
		call->n_wgrads++;
		if (core.steps.measured && !core.steps.published && product->alpha != 0) {
			struct gns_pending *e = gns_measure_before(core.measure, product, &v, &core.roles);
			if (e) {
				e->next = call->pending;
				call->step = core.steps.step;
				call->pending = e;
			}
		}
	}
	pthread_mutex_unlock(&core.lock);
	gns_fpu_end(fpu);
	if (!call->n_products++) {
		call->product = *product;
		call->role = v.role;
	}
}

void gns_core_calling(struct gns_call *call)
{
	call->measured = call->n_products && atomic_load_explicit(&core.measured, memory_order_relaxed);
	if (call->measured || call->scale)
		call->called_ns = gns_now();
	errno = call->saved_errno;
}

static void account(struct gns_call *call, uint64_t returned)
{
	if (!call->entered_ns)
		return;
	uint64_t cost = gns_now() - returned + (call->called_ns - call->entered_ns);
	core.steps.overhead_ns += cost * call->scale;
}

void gns_core_after(struct gns_call *call)
{
	int saved = errno;
	unsigned fpu = gns_fpu_begin();
	uint64_t returned = call->called_ns ? gns_now() : 0;
	for (struct gns_pending *e = call->pending; e; e = e->next)
		gns_measure_run(core.measure, e, call->step);
	if (call->n_wgrads || call->measured || call->scale) {
		bool last = false;
		pthread_mutex_lock(&core.lock);
		if (call->measured)
			gns_kernels_add(core.kernels, call->api, call->role, &call->product, call->n_products,
					returned - call->called_ns);
		for (struct gns_pending *e = call->pending, *next; e; e = next) {
			next = e->next;
			if (call->step == core.steps.step)
				gns_measure_after(core.measure, e);
			else /* another thread has begun the next step meanwhile */
				gns_measure_drop(e);
		}
		while (call->n_wgrads--)
			last |= gns_steps_gradient(&core.steps);
		account(call, returned);
		if (last) {
			uint64_t from = gns_now();
			close_step(false);
			core.steps.overhead_ns += gns_now() - from;
		}
		pthread_mutex_unlock(&core.lock);
	}
	gns_fpu_end(fpu);
	inside = 0;
	errno = saved;
}

/* ---- marks ---- */

static bool mark_begin(void)
{
	if (inside)
		return false;
	inside = 1;
	int state = present_state();
	if (state != AWAKE && state != OFF)
		wake();
	if (core.state != AWAKE) {
		inside = 0;
		return false;
	}
	pthread_mutex_lock(&core.lock);
	return true;
}

static void mark_end(int saved)
{
	pthread_mutex_unlock(&core.lock);
	inside = 0;
	errno = saved;
}

void gns_core_mark_step(void)
{
	int saved = errno;
	if (!mark_begin())
		return;
	core.steps.marked = true;
	if (!core.steps.step) {
		core.early_marks++;
	} else {
		unsigned fpu = gns_fpu_begin();
		if (!core.steps.published)
			close_step(false);
		begin_step(core.steps.step + 1);
		gns_fpu_end(fpu);
	}
	mark_end(saved);
}

void gns_core_mark_samples(uint64_t samples)
{
	int saved = errno;
	if (!mark_begin())
		return;
	/* What the user said on the command line wins. */
	core.measure->samples_marked = !core.config.samples;
	if (!core.config.samples && samples && samples <= 1u << 30 && core.measure->samples != samples) {
		core.measure->samples = samples;
		core.publish.hello = true;
	}
	mark_end(saved);
}

void gns_core_mark_loss(double loss)
{
	int saved = errno;
	if (!mark_begin())
		return;
	/* Before the weights are known only marks tell which step this is; without them such a loss belongs nowhere. */
	if (core.steps.step || core.steps.marked)
		gns_publish_loss(&core.publish, core.steps.step ? core.steps.step : core.early_marks + 1, loss);
	mark_end(saved);
}

void gns_core_mark_param(const char *name, const void *data, uint64_t rows, uint64_t cols)
{
	int saved = errno;
	if (!name || !mark_begin())
		return;
	gns_measure_name(core.measure, name, data, rows, cols);
	mark_end(saved);
}

/* ---- the end ---- */

__attribute__((destructor)) static void at_exit(void)
{
	struct gns_counter list[GNS_COUNTERS_MAX];
	if (present_state() != AWAKE || inside || pthread_mutex_trylock(&core.lock) != 0)
		return;
	inside = 1;
	struct gns_steps *s = &core.steps;
	if (s->step && !s->published && s->gradients && (s->unsure || s->gradients == s->expected))
		close_step(true);
	/* A program that multiplied matrices but was never seen to train is told about only where somebody asked (`gnscope run`). */
	if (core.publish.link == GNS_LINK_OPEN || (core.config.session && gns_publish_open(&core.publish, &core.config))) {
		gns_publish_rest(&core.publish, &core.config, list, counters(list));
		gns_ring_close(&core.publish.ring);
	}
	core.state = OFF;
	pthread_mutex_unlock(&core.lock);
}
