/* GEMMs on devices: what the core does before, around and after the call. */
#include "products_device.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "collectors/gpu/layers_device.h"
#include "profiler/shim/steps/product_log.h"
#include "profiler/shim/steps/product_sums_device.h"
#include "profiler/shim/process/fpu.h"
#include "guard.h"
#include "profiler/shim/publish/device_counters.h"
#include "state.h"
#include "profiler/shim/publish/counters.h"

#define JOBS_MAX 512
/* measured steps in a row in which some fingerprint differs: then the weights are searched again */
#define MISMATCHES_MAX 3
#define FINGERPRINT_SLOTS 2

enum what { FINGERPRINT_WEIGHT, FINGERPRINT_X, GRADIENT };

struct gns_device_job { /* kernels to launch before and after a call */
	_Atomic int busy;
	struct gns_device_job *next;
	enum what what;
	struct gns_product product;
	uint32_t id;          /* FINGERPRINT_*: of the weight */
	struct gns_key key;   /* the tensor to fingerprint; GRADIENT: X, if its fingerprint is to be compared */
	uint32_t slot;
	struct gns_set *set;
	uint64_t step;
	struct gns_device_grad grad;
	void *kept;           /* copy of C before the call, if it is to be subtracted */
	bool failed, behind;
};

struct part { /* a context */
	_Atomic(struct gns_device *) device;
	struct gns_lock lock;
	_Atomic(struct gns_set *) set; /* of `step` */
	_Atomic uint64_t step;
	_Atomic uint64_t given;        /* the latest step whose set was handed to the queue of deferred steps */
	_Atomic bool open;
};

struct gns_products_device {
	_Atomic bool won;
	_Atomic uint64_t over;   /* the latest step that is over */
	bool captured;           /* the present step is captured into a graph */
	bool at_rest;            /* no set of the log is in flight any more */
	uint32_t run;            /* steps in a row with a mismatch when the weights were last searched again */
	struct gns_product_log log;
	struct gns_product_sums_device step;
	struct part part[GNS_DEVICES_MAX];
	struct gns_device_job job[JOBS_MAX];
};

static struct gns_products_device *_Atomic state;

static struct gns_live_counter scalars = { .collector = "shim", .name = "scalars_on_device" };
static struct gns_live_counter altered = { .collector = "shim", .name = "product_altered" };
static struct gns_live_counter failed = { .collector = "shim", .name = "device_measurement_failed" };
static struct gns_live_counter relearned = { .collector = "shim", .name = "device_learned_anew" };
static struct gns_live_counter learned = { .collector = "shim", .name = "device_learned" };

static struct gns_products_device *get(void)
{
	return atomic_load_explicit(&state, memory_order_acquire);
}

bool gns_products_device_won(void)
{
	struct gns_products_device *d = get();
	return d && atomic_load_explicit(&d->won, memory_order_relaxed);
}

/* Under the core's lock. */
static struct gns_products_device *made(void)
{
	struct gns_products_device *d = get();
	static bool refused;
	if (d || refused)
		return d;
	d = gns_pages(sizeof *d);
	refused = !d || !gns_product_log_init(&d->log) || !gns_product_sums_device_init(&d->step);
	if (refused)
		return NULL; /* what could be allocated is not freed: this happens once a process */
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++)
		d->part[i].lock.slow = true;
	atomic_store_explicit(&state, d, memory_order_release);
	return d;
}

static void forget(void)
{
	struct gns_products_device *d = get();
	if (!d)
		return;
	atomic_store(&state, NULL);
	gns_product_log_free(&d->log);
	gns_product_sums_device_free(&d->step);
	gns_pages_free(d, sizeof *d);
}

/* ---- under the lock, before the call ---- */

static struct gns_device_job *new_job(struct gns_products_device *d, struct gns_call *call, enum what what,
				      const struct gns_product *p)
{
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		int idle = 0;
		struct gns_device_job *j = &d->job[i];
		if (!atomic_compare_exchange_strong(&j->busy, &idle, 1))
			continue;
		j->what = what;
		j->product = *p;
		j->step = gns_core.steps.step;
		j->set = NULL;
		j->kept = NULL;
		j->failed = j->behind = false;
		j->key = (struct gns_key){ 0 };
		j->next = call->jobs;
		call->jobs = j;
		call->step = j->step;
		return j;
	}
	gns_product_sums_refuse(gns_core.product_sums, GNS_REFUSED_TOO_MANY);
	return NULL;
}

static void want_fingerprint(struct gns_products_device *d, struct gns_call *call, enum what what,
			     const struct gns_product *p,
		       const struct gns_operand *o, uint32_t id)
{
	struct gns_device_job *j = new_job(d, call, what, p);
	if (!j)
		return;
	j->id = id;
	j->key = gns_operand_key(o, p->dtype);
}

/* Fingerprints are taken of a weight at its first and last use in a step, and of X at the last forward GEMM. */
static void check_weight(struct gns_products_device *d, struct gns_call *call, const struct gns_product *p,
			 const struct gns_verdict *v)
{
	const struct gns_weight *w = &gns_core.roles.weights[v->weight[0]];
	bool is_left = p->left.data == w->key.data, forward = v->role == GNS_ROLE_FORWARD;
	const struct gns_operand *o = is_left ? &p->left : &p->right, *other = is_left ? &p->right : &p->left;
	struct gns_device_weight *now = gns_product_sums_device_weight(&d->step, w->id);
	if (!now)
		return;
	bool last_pass = w->gradients + 1 >= w->per_step;
	now->per_step = w->per_step;
	if (forward && !now->any_first)
		want_fingerprint(d, call, FINGERPRINT_WEIGHT, p, o, w->id);
	else if (last_pass)
		want_fingerprint(d, call, FINGERPRINT_WEIGHT, p, o, w->id);
	if (forward && last_pass)
		want_fingerprint(d, call, FINGERPRINT_X, p, other, w->id);
}

static void on_weight(struct gns_products_device *d, struct gns_call *call, const struct gns_product *p,
		      const struct gns_verdict *v)
{
	const struct gns_weight *w = &gns_core.roles.weights[v->weight[0]];
	struct gns_product_sums *m = gns_core.product_sums;
	if (v->role == GNS_ROLE_FORWARD) {
		gns_product_sums_weight(m, w, 0);
		if (w->per_step != w->passes && w->id <= GNS_PARAMS_MAX && !m->param[w->id - 1].excluded)
			m->param[w->id - 1].excluded = m->param[w->id - 1].newly_excluded = true;
	} else if (gns_core.steps.measured) {
		gns_product_sums_device_settle(&d->step, p->left.data == w->key.data ? p->right.data : p->left.data,
					       w->id);
	}
	if (gns_core.steps.measured && !gns_core.steps.published && w->id <= GNS_PARAMS_MAX &&
	    !m->param[w->id - 1].excluded)
		check_weight(d, call, p, v);
}

static void compare_x(struct gns_products_device *d, struct gns_device_job *j)
{
	const struct gns_admitted *of = &j->grad.of;
	const struct gns_product *p = &j->product;
	const struct gns_device_weight *now = of->n_id == 1 ?
		gns_product_sums_device_weight(&d->step, of->id[0]) : NULL;
	const struct gns_operand *x = of->dy[0] == p->left.data ? &p->right : &p->left;
	if (!now || !now->any_x || now->x_data != x->data)
		return;
	j->grad.x_then = now->x;
	j->key = gns_operand_key(x, p->dtype);
}

static void want_gradient(struct gns_products_device *d, struct gns_call *call, const struct gns_product *p,
			  const struct gns_verdict *v)
{
	const struct gns_weight *w = &gns_core.roles.weights[v->weight[0]];
	struct gns_admitted of;
	if (p->altered)
		gns_count(&altered);
	else if (isnan(p->alpha) || isnan(p->beta))
		gns_count(&scalars);
	if (p->altered || isnan(p->alpha) || isnan(p->beta) || p->alpha == 0 ||
	    !gns_product_sums_admit(gns_core.product_sums, p, v, &gns_core.roles, &of))
		return;
	struct gns_device_job *j = new_job(d, call, GRADIENT, p);
	if (!j)
		return;
	bool into = p->beta == 1, more = into && gns_product_sums_device_met(&d->step, p->c);
	j->grad = (struct gns_device_grad){ .of = of, .factor = p->alpha * p->alpha, .c = p->c, .rows = p->k,
					    .into = more ? GNS_INTO_MORE : into ? GNS_INTO_ZERO : GNS_INTO_NEW };
	/* The norm of a C that is accumulated into is taken after the last gradient. */
	j->grad.any_big = j->grad.into == GNS_INTO_NEW || v->n > 1 || w->gradients >= w->per_step;
	for (unsigned i = 0; i < of.n_id; i++) {
		struct gns_device_weight *now = gns_product_sums_device_weight(&d->step, of.id[i]);
		for (unsigned k = 0; now && k < v->n; k++)
			if (gns_core.roles.weights[v->weight[k]].id == of.id[i])
				now->per_step = gns_core.roles.weights[v->weight[k]].per_step;
	}
	compare_x(d, j);
}

static void count(const struct gns_verdict *v)
{
	static const uint8_t of_role[GNS_ROLES] = { GNS_COUNT_OTHER, GNS_COUNT_FORWARD, GNS_COUNT_DGRAD,
						    GNS_COUNT_WGRAD };
	gns_core.counts[GNS_COUNT_PRODUCTS]++;
	gns_core.counts[of_role[v->role]]++;
}

static void learn_anew(struct gns_products_device *d)
{
	gns_count(&relearned);
	gns_roles_restart(&gns_core.roles);
	gns_core.roles.learning = false;
	d->won = d->at_rest = false;
	gns_product_log_again(&d->log);
}

/* True if weights have moved in memory, or fingerprints show that the operands are not the expected weights. */
static bool weights_lost(struct gns_products_device *d, bool boundary)
{
	struct gns_deferred_counts deferred;
	if (gns_roles_lost(&gns_core.roles))
		return true;
	if (!boundary)
		return false;
	gns_deferred_counts(&gns_core.publish, &deferred);
	if (deferred.not_same_run < d->run)
		d->run = 0;
	if (deferred.not_same_run < d->run + MISMATCHES_MAX)
		return false;
	d->run = deferred.not_same_run;
	return true;
}

static void follow(struct gns_products_device *d, struct gns_call *call, const struct gns_product *p)
{
	struct gns_verdict v;
	gns_roles_follow(&gns_core.roles, p, &v);
	if (v.forward_after_backward)
		gns_step_boundary_note_time();
	if (v.boundary) {
		gns_core.roles.adopted = false;
		call->scale = 1;
		if (!call->entered_ns)
			call->entered_ns = gns_now();
		d->captured = false;
		gns_step_boundary_reached(&v);
		call->began = true;
	}
	count(&v);
	if (v.role == GNS_ROLE_FORWARD || v.role == GNS_ROLE_DGRAD)
		on_weight(d, call, p, &v);
	if (v.role == GNS_ROLE_WGRAD && gns_core.steps.step) {
		call->n_wgrads++;
		if (gns_core.steps.measured && !gns_core.steps.published)
			want_gradient(d, call, p, &v);
	}
	if (!call->n_products)
		call->role = v.role;
	if (weights_lost(d, v.boundary))
		learn_anew(d);
}

/* The log began within a step, at a gradient. If the gradients of a whole step precede the first boundary in the log,
 * one more boundary came before it, at the first use of the weights. */
static bool first_boundary_unseen(const struct gns_products_device *d)
{
	const struct gns_find_in_log *l = &d->log.learn;
	uint32_t expected = 0, seen = 0;
	for (uint32_t i = 0; i < l->found.n; i++) {
		const struct gns_log_candidate *c = &l->candidate[l->found.order[i]];
		expected += c->per_step;
		for (uint32_t e = c->first_event; e; e = l->event[e - 1].next)
			seen += l->event[e - 1].at < l->found.point[0];
	}
	return seen >= expected;
}

/* Takes over the weights that were found. The log's GEMMs of the step in progress have run already: they are
 * followed, not measured. */
static void adopt(struct gns_products_device *d)
{
	const struct gns_found *f = &d->log.learn.found;
	struct gns_verdict v;
	gns_roles_adopt(&gns_core.roles, &d->log.learn);
	gns_core.roles.steps_before += first_boundary_unseen(d);
	for (uint32_t i = f->point[f->points - 1]; i < d->log.n; i++)
		gns_roles_follow(&gns_core.roles, &d->log.entry[i].product, &v);
	gns_product_log_stop(&d->log);
	gns_core.product_sums->deferred = &d->step;
	gns_count(&learned);
	d->won = true;
}

static void not_known_yet(struct gns_products_device *d, struct gns_call *call, const struct gns_product *p,
			  bool capturing)
{
	const struct gns_verdict other = { .role = GNS_ROLE_OTHER };
	count(&other);
	if (!capturing)
		gns_product_log_add(&d->log, p, &call->logged);
}

static void see(struct gns_products_device *d, struct gns_call *call, const struct gns_product *p, bool capturing)
{
	bool host_first = gns_core.steps.step && !gns_core.product_sums->deferred;
	if (host_first && !d->at_rest)
		gns_product_log_stop(&d->log);
	if (!d->won && !host_first && gns_product_log_turn(&d->log))
		adopt(d);
	if ((d->won || host_first) && !d->at_rest)
		d->at_rest = gns_product_log_at_rest(&d->log);
	if (d->won)
		follow(d, call, p);
	else
		not_known_yet(d, call, p, capturing || host_first);
	if (!host_first)
		atomic_store_explicit(&gns_core.learning, !d->won && d->log.state == GNS_LOG_ON, memory_order_relaxed);
}

void gns_products_device_before(struct gns_call *call, const struct gns_product *product)
{
	struct gns_products_device *d = get();
	bool known = d && d->won;
	/* This calls the driver, so the lock is not held. */
	bool capturing = !known && gns_device_capturing(product->stream);
	unsigned fpu = gns_fpu_begin();
	if (gns_core_lock()) {
		d = made();
		if (d)
			see(d, call, product, capturing);
		gns_core_unlock();
	}
	gns_fpu_end(fpu);
	if (!call->n_products++) {
		call->product = *product;
		call->measured = true; /* if the step is */
	}
}

/* ---- around the call, not under the lock ---- */

static void finish_part(struct part *part)
{
	if (part->set) {
		gns_set_finish(part->set);
		if (part->given != part->step)
			gns_set_release(part->set); /* it was not handed to any step */
	}
	part->set = NULL;
	part->open = false;
}

static struct part *part_of(struct gns_products_device *d, struct gns_device *device)
{
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++) {
		struct gns_device *there = NULL;
		if (atomic_compare_exchange_strong(&d->part[i].device, &there, device) || there == device)
			return &d->part[i];
	}
	return NULL;
}

/* The set of this step in this context, begun if needed. */
static struct gns_set *set_of(struct gns_products_device *d, struct part *part, const struct gns_device_job *j)
{
	if (part->open && part->step == j->step)
		return part->set;
	if (j->step <= d->over)
		return NULL;
	finish_part(part);
	part->step = j->step;
	part->open = true;
	struct gns_set *set;
	part->set = gns_set_begin(part->device, j->product.stream, &set) ? NULL : set;
	return part->set;
}

static bool print_key(struct gns_device_job *j, uint32_t *slot)
{
	const struct gns_key *k = &j->key;
	return !gns_set_slot(j->set, j->product.stream, FINGERPRINT_SLOTS, slot) &&
	       !gns_device_print(j->set, j->product.stream, *slot, k->data, k->dtype, k->slow_n, k->fast_n, k->ld,
				 false);
}

static struct gns_tensor by_rows(const struct gns_operand *o, uint32_t dtype)
{
	return (struct gns_tensor){ .data = o->data, .dtype = dtype, .ndim = 2, .size = { o->sum_n, o->free_n },
				    .stride = { o->sum_fast ? 1 : o->ld, o->sum_fast ? o->ld : 1 } };
}

static struct gns_tensor output(const struct gns_product *p)
{
	return (struct gns_tensor){ .data = p->c, .dtype = p->c_dtype ? p->c_dtype : p->dtype, .ndim = 2,
				    .size = { p->m, p->n }, .stride = { p->c_row_stride, p->c_col_stride } };
}

static bool target(struct gns_device_job *j, uint32_t *slot, struct gns_device_target *to)
{
	*to = (struct gns_device_target){ .set = j->set, .stream = j->product.stream };
	if (gns_set_slot(j->set, j->product.stream, 1, slot))
		return false;
	to->slot = *slot;
	return true;
}

/* Enqueues what has to be read of C before the call. */
static bool read_output_before(struct gns_device_job *j)
{
	struct gns_device_target to;
	struct gns_tensor c = output(&j->product);
	if (j->grad.into == GNS_INTO_ZERO)
		return target(j, &j->grad.zero, &to) && !gns_device_norm2(&to, &c);
	if (j->grad.into == GNS_INTO_MORE || j->product.beta == 0)
		return true;
	j->kept = gns_set_keep(j->set, j->product.m * j->product.n * gns_dtype_size(c.dtype));
	return j->kept && !gns_device_copy(j->set, j->product.stream, &c, j->kept);
}

static bool measure_output(struct gns_device_job *j)
{
	struct gns_device_target to;
	struct gns_tensor c = output(&j->product), before = c;
	if (!j->grad.any_big)
		return true;
	if (!target(j, &j->grad.big, &to))
		return false;
	if (!j->kept)
		return !gns_device_norm2(&to, &c);
	before.data = j->kept;
	before.stride[0] = (ptrdiff_t)j->product.n;
	before.stride[1] = 1;
	return !gns_device_diff_norm2(&to, &c, &before, j->product.beta);
}

static bool measure_gradient(struct gns_device_job *j)
{
	const struct gns_product_sums *m = gns_core.product_sums;
	const struct gns_product *p = &j->product;
	struct gns_tensor x = by_rows(&p->left, p->dtype), y = by_rows(&p->right, p->dtype);
	struct gns_samples samples = { .n = j->grad.of.n, .probes = m->probes, .seed = m->seed + j->step,
				       .stream = j->grad.of.id[0] };
	struct gns_device_target to;
	if (j->key.data && !(j->grad.any_x = print_key(j, &j->grad.x_now)))
		return false;
	return target(j, &j->grad.small, &to) && !gns_device_linear(&to, &samples, &x, &y) && measure_output(j);
}

static void work(struct gns_products_device *d, struct gns_device_job *j, bool after)
{
	struct part *part = part_of(d, j->product.device);
	bool ok = false;
	if (j->failed || !part)
		return;
	if (!gns_lock_take(&part->lock)) {
		j->failed = true;
		return;
	}
	j->set = set_of(d, part, j);
	if (!j->set)
		j->behind = true;
	else if (j->what != GRADIENT)
		ok = print_key(j, &j->slot);
	else
		ok = after ? measure_gradient(j) : read_output_before(j);
	gns_lock_release(&part->lock);
	j->failed = !ok;
	j->grad.set = j->set;
}

/* Notes that the present step began during a capture. */
static void note_capture(struct gns_products_device *d)
{
	if (!gns_core_lock())
		return;
	struct gns_step_clock *s = &gns_core.steps;
	if (s->step && !s->published && gns_publish_open(&gns_core.publish, &gns_core.config)) {
		d->captured = true;
		s->measured = true;
		gns_core.measured = true;
	}
	gns_core_unlock();
}

void gns_products_device_calling(struct gns_call *call)
{
	struct gns_products_device *d = get();
	if (!d)
		return;
	gns_products_device_finish();
	if (call->logged)
		gns_product_log_enqueue(&d->log, call->logged);
	if (call->began && gns_device_capturing(call->product.stream))
		note_capture(d);
	for (struct gns_device_job *j = call->jobs; j; j = j->next)
		work(d, j, false);
}

void gns_products_device_run(struct gns_call *call)
{
	struct gns_products_device *d = get();
	for (struct gns_device_job *j = call->jobs; j; j = j->next) {
		if (call->failed)
			j->failed = true;
		if (j->what == GRADIENT)
			work(d, j, true);
	}
}

static void note_fingerprint(struct gns_products_device *d, const struct gns_device_job *j)
{
	struct gns_device_weight *w = gns_product_sums_device_weight(&d->step, j->id);
	if (!w)
		return;
	if (j->what == FINGERPRINT_X) {
		w->x = j->slot;
		w->x_data = j->key.data;
		w->any_x = true;
	} else if (!w->any_first) {
		w->first = j->slot;
		w->any_first = true;
	} else {
		w->last = j->slot;
		w->any_last = true;
	}
	w->set = j->set;
}

void gns_products_device_record(struct gns_call *call)
{
	struct gns_products_device *d = get();
	struct gns_product_sums *m = gns_core.product_sums;
	for (struct gns_device_job *j = call->jobs, *next; j; j = next) {
		next = j->next;
		bool ours = j->step == gns_core.steps.step && !gns_core.steps.published;
		if (ours && j->behind)
			gns_product_sums_refuse(m, GNS_REFUSED_DEVICE_BEHIND);
		if (ours && j->failed && !j->behind && !call->failed)
			gns_count(&failed);
		if (ours && j->set)
			gns_product_sums_device_used(&d->step, j->set);
		if (ours && !j->failed && j->what != GRADIENT)
			note_fingerprint(d, j);
		else if (ours && !j->failed && !gns_product_sums_device_add(&d->step, &j->grad))
			gns_product_sums_refuse(m, GNS_REFUSED_TOO_MANY);
		atomic_store(&j->busy, 0);
	}
	call->jobs = NULL;
}

static void over(uint64_t step)
{
	struct gns_products_device *d = get();
	if (!d || d->over >= step)
		return;
	for (unsigned i = 0; i < GNS_DEVICES_MAX && d->part[i].device; i++)
		if (d->part[i].step == step && gns_product_sums_device_handed(&d->step, d->part[i].set))
			d->part[i].given = step;
	d->over = step;
}

void gns_products_device_finish(void)
{
	struct gns_products_device *d = get();
	if (!d)
		return;
	gns_product_log_sweep(&d->log);
	for (unsigned i = 0; i < GNS_DEVICES_MAX && d->part[i].device; i++) {
		struct part *part = &d->part[i];
		if (!part->open || part->step > d->over || !gns_lock_try(&part->lock))
			continue;
		if (part->open && part->step <= d->over)
			finish_part(part);
		gns_lock_release(&part->lock);
	}
}

void gns_products_device_capture_ends(void *stream)
{
	struct gns_products_device *d = get();
	(void)stream;
	struct gns_guard guard;
	if (!d || !d->won || !gns_guard_enter(&guard, GNS_GUARD_AWAKE))
		return;
	if (d->captured && gns_core.steps.measured && !gns_core.steps.published)
		gns_step_boundary_close(false);
	d->captured = false;
	gns_core_unlock();
	gns_products_device_finish();
	gns_guard_drop(&guard);
}

const struct gns_step_hooks gns_device_gemm_hooks = { .name = "GEMMs on devices", .over = over,
						      .count = gns_device_counters, .forget = forget };
