/* One call with matrix multiplications: what happens before and after it. */
#include "core.h"

#include <errno.h>
#include <stdio.h>

#include "profiler/shim/process/clock.h"
#include "profiler/shim/process/fpu.h"
#include "guard.h"
#include "products_device.h"
#include "profiler/shim/steps/step_hooks.h"
#include "state.h"

#define TIME_ONE_IN 16

static __thread uint32_t tick __attribute__((tls_model("initial-exec")));

bool gns_core_enter(struct gns_call *call, const char *api)
{
	if (gns_inside) {
		gns_lifecycle_notice_left(__builtin_frame_address(0));
		return false;
	}
	int saved = errno;
	int state = gns_lifecycle_state();
	if (__builtin_expect(state != GNS_AWAKE, 0)) {
		if (state == GNS_OFF)
			return false;
		gns_inside = 1;
		gns_lifecycle_wake();
		gns_inside = 0;
		errno = saved;
		if (gns_core.state != GNS_AWAKE)
			return false;
	}
	gns_inside = 1;
	gns_entered_at = __builtin_frame_address(0);
	/* call->product stays uninitialised: it is large, and always written before it is read. */
	call->api = api;
	call->saved_errno = saved;
	call->entered_ns = call->called_ns = 0;
	call->role = call->n_products = call->n_wgrads = call->scale = 0;
	call->pending = NULL;
	call->jobs = NULL;
	call->logged = 0;
	call->began = false;
	call->measured = call->failed = false;
	if (atomic_load_explicit(&gns_core.measured, memory_order_relaxed) ||
	    atomic_load_explicit(&gns_core.learning, memory_order_relaxed))
		call->scale = 1;
	else if (++tick % TIME_ONE_IN == 0)
		call->scale = TIME_ONE_IN;
	if (call->scale)
		call->entered_ns = gns_now();
	return true;
}

bool gns_core_enter_host(struct gns_call *call, const char *api)
{
	if (atomic_load_explicit(&gns_core.aside, memory_order_relaxed) &&
	    !atomic_load_explicit(&gns_core.measured, memory_order_relaxed) &&
	    gns_lifecycle_state() == GNS_AWAKE)
		return false;
	return gns_core_enter(call, api);
}

bool gns_core_stands_aside(void)
{
	return atomic_load_explicit(&gns_core.aside, memory_order_relaxed);
}

static void count(const struct gns_product *p, const struct gns_verdict *v)
{
	static const uint8_t of_role[GNS_ROLES] = { GNS_COUNT_OTHER, GNS_COUNT_FORWARD, GNS_COUNT_DGRAD,
						    GNS_COUNT_WGRAD };
	gns_core.counts[GNS_COUNT_PRODUCTS]++;
	gns_core.counts[of_role[v->role]]++;
	if (v->why) {
		gns_core.last_why[v->why].m = (uint32_t)p->m;
		gns_core.last_why[v->why].n = (uint32_t)p->n;
		gns_core.last_why[v->why].k = (uint32_t)p->k;
	}
}

static void on_weight(const struct gns_verdict *v, const struct gns_product *p)
{
	const struct gns_weight *w = &gns_core.roles.weights[v->weight[0]];
	if (v->role == GNS_ROLE_FORWARD)
		gns_product_sums_weight(gns_core.product_sums, w, v->input);
	else
		/* The other operand, not the weight, is dY. */
		gns_product_sums_settle(gns_core.product_sums,
					p->left.data == w->key.data ? p->right.data : p->left.data, w->id);
}

/* In an unmeasured step only the device and stream of a product are used later. */
static void keep(struct gns_call *call, const struct gns_product *p, uint32_t role)
{
	if (call->n_products++)
		return;
	call->role = role;
	call->measured = atomic_load_explicit(&gns_core.measured, memory_order_relaxed);
	if (call->measured) {
		call->product = *p;
	} else {
		call->product.device = p->device;
		call->product.stream = p->stream;
	}
}

void gns_core_before(struct gns_call *call, const struct gns_product *product)
{
	struct gns_verdict v;
	if (!product->m || !product->n || !product->k)
		return;
	if (product->device)
		gns_hooks_work(product->device, product->stream, false);
	if (atomic_load_explicit(&gns_core.aside, memory_order_relaxed)) {
		keep(call, product, atomic_load_explicit(&gns_core.part, memory_order_relaxed));
		return;
	}
	if (product->device) {
		gns_products_device_before(call, product);
		return;
	}
	if (gns_products_device_won()) { /* the weights are on a device */
		keep(call, product, call->role);
		return;
	}
	if (!gns_core_lock())
		return;
	unsigned fpu = gns_fpu_begin();
	gns_roles_see(&gns_core.roles, product, &v);
	atomic_store_explicit(&gns_core.learning, gns_core.roles.learning, memory_order_relaxed);
	if (v.forward_after_backward)
		gns_step_boundary_note_time();
	if (v.boundary) {
		/* A step boundary is rare and expensive: its cost counts for this call alone, not for a sample of
		 * calls. */
		call->scale = 1;
		if (!call->entered_ns)
			call->entered_ns = gns_now();
		gns_step_boundary_reached(&v);
	}
	count(product, &v);
	if (gns_core.steps.measured && (v.role == GNS_ROLE_FORWARD || v.role == GNS_ROLE_DGRAD))
		on_weight(&v, product);
	if (v.role == GNS_ROLE_WGRAD && gns_core.steps.step) {
		call->n_wgrads++;
		if (gns_core.steps.measured && !gns_core.steps.published && product->alpha != 0) {
			struct gns_pending *e = gns_product_sums_before(gns_core.product_sums, product, &v,
									&gns_core.roles);
			if (e) {
				e->next = call->pending;
				call->step = gns_core.steps.step;
				call->pending = e;
			}
		}
	}
	gns_core_unlock();
	gns_fpu_end(fpu);
	keep(call, product, v.role);
}

void gns_core_calling(struct gns_call *call)
{
	uint64_t turn_ns = gns_hooks_turn(call->n_products ? call->product.device : NULL, call->product.stream);
	if (call->entered_ns)
		call->entered_ns += turn_ns;
	if (call->n_products && call->product.device)
		gns_products_device_calling(call);
	call->measured &= atomic_load_explicit(&gns_core.measured, memory_order_relaxed);
	if (call->measured || call->scale)
		call->called_ns = gns_now();
	errno = call->saved_errno;
}

static void account(struct gns_call *call, uint64_t returned)
{
	if (!call->entered_ns)
		return;
	uint64_t cost = gns_now() - returned + (call->called_ns - call->entered_ns);
	if (gns_core.aside)
		gns_layer_sums_charge(gns_core.layer_sums, -1, cost * call->scale);
	else
		gns_core.steps.overhead_ns += cost * call->scale;
}

/* Under the lock. */
static void record(struct gns_call *call, uint64_t returned)
{
	bool last = false;
	if (call->jobs)
		gns_products_device_record(call);
	/* On a device the call only launches the GEMM: its duration says nothing. */
	if (call->measured && !call->product.device)
		gns_kernels_add(gns_core.kernels, call->api, call->role, &call->product, call->n_products,
				returned - call->called_ns);
	for (struct gns_pending *e = call->pending, *next; e; e = next) {
		next = e->next;
		if (call->step == gns_core.steps.step)
			gns_product_sums_after(gns_core.product_sums, e);
		else /* another thread has begun the next step since gns_core_before */
			gns_product_sums_drop(e);
	}
	while (call->n_wgrads--)
		last |= gns_step_clock_gradient(&gns_core.steps);
	account(call, returned);
	if (last && !gns_core.aside && !gns_hooks_expect()) {
		uint64_t from = gns_now();
		gns_step_boundary_close(false);
		gns_core.steps.overhead_ns += gns_now() - from;
	}
}

void gns_core_after(struct gns_call *call)
{
	int saved = errno;
	unsigned fpu = gns_fpu_begin();
	uint64_t returned = call->called_ns ? gns_now() : 0;
	for (struct gns_pending *e = call->pending; e; e = e->next)
		gns_product_sums_run(gns_core.product_sums, e, call->step);
	if (call->jobs)
		gns_products_device_run(call);
	if ((call->jobs || call->n_wgrads || call->measured || call->scale) && gns_core_lock()) {
		record(call, returned);
		gns_core_unlock();
	}
	gns_fpu_end(fpu);
	if (call->n_products && call->product.device)
		gns_products_device_finish();
	gns_hooks_turn(call->n_products ? call->product.device : NULL, call->product.stream);
	gns_inside = 0;
	gns_entered_at = NULL;
	errno = saved;
}

#define SHIM_COUNTERS 2u
_Static_assert(GNS_COUNTS + GNS_WHYS + SHIM_COUNTERS <= GNS_GEMM_COUNTERS, "room for all counters of GEMMs");

static size_t counters(struct gns_counter *out)
{
	static const char *const names[GNS_COUNTS] = { "products", "forward", "dgrad", "wgrad", "other" };
	size_t n = 0;
	for (unsigned i = 0; i < GNS_COUNTS; i++)
		out[n++] = (struct gns_counter){ .collector = "blas", .name = names[i], .value = gns_core.counts[i] };
	for (unsigned i = 1; i < GNS_WHYS; i++) {
		struct gns_counter *c = &out[n++];
		*c = (struct gns_counter){ .collector = "blas", .name = gns_reason_name(i),
					   .value = gns_core.roles.why[i] };
		if (gns_core.last_why[i].k)
			snprintf(c->text, sizeof c->text, "%ux%u over %u", gns_core.last_why[i].m,
				 gns_core.last_why[i].n, gns_core.last_why[i].k);
	}
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "uses_forgotten",
					 .value = gns_core.roles.uses.lost };
	out[n++] = (struct gns_counter){ .collector = "shim", .name = "scan_not_permitted",
					 .value = !gns_core.roles.scan_works };
	return n;
}

const struct gns_step_hooks gns_gemm_hooks = { .name = "GEMMs", .count = counters };
