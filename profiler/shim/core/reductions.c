/* One reduction over ranks: what happens before and after its call. */
#include "reductions.h"

#include <errno.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "collectors/gpu/layers_device.h"
#include "guard.h"
#include "reductions_state.h"
#include "state.h"

/* wake: false for a reduction that cannot be one of gradients, which must not wake the shim. */
static bool begin(struct gns_guard *h, bool wake)
{
	if (!gns_guard_enter(h, GNS_GUARD_NESTED | (wake ? GNS_GUARD_WAKE : GNS_GUARD_AWAKE)))
		return false;
	if (!gns_core.reductions && wake)
		gns_core.reductions = gns_pages(sizeof *gns_core.reductions);
	if (gns_core.reductions)
		return true;
	gns_guard_leave(h);
	return false;
}

static void charge(struct gns_reductions *r, uint64_t ns)
{
	if (r->clock == GNS_CLOCK_FEED)
		gns_layer_sums_charge(gns_core.layer_sums, -1, ns);
	else if (r->clock == GNS_CLOCK_PRODUCTS)
		gns_core.steps.overhead_ns += ns;
	else
		r->steps.overhead_ns += ns;
}

/* True if the model is known to run forward: no gradient exists yet. */
static bool in_forward(const struct gns_reductions *r)
{
	if (r->clock == GNS_CLOCK_FEED)
		return gns_core.feeding && gns_core.part == GNS_ROLE_FORWARD && !r->backward;
	return r->clock == GNS_CLOCK_PRODUCTS && !gns_core.steps.published && !gns_core.steps.gradients;
}

static struct gns_reductions_entry *entry_at(struct gns_reductions_step *m, const struct gns_reductions_use *use)
{
	for (uint32_t i = 0; m && i < m->n; i++)
		if (m->entry[i].track == use->track && m->entry[i].bucket == use->place)
			return &m->entry[i];
	return NULL;
}

/* Makes the entry of a reduction that belongs to a sequence and a measured step. */
static void enter_step(struct gns_reductions *r, const struct gns_reduction_track *t, uint32_t place,
		       struct gns_reductions_use *use)
{
	struct gns_reductions_step *m = gns_reductions_step_for(r, t);
	enum gns_reduction_why why = m && m->measured ? gns_reduction_what(&r->reduce, t) : GNS_REDUCE_IS;
	if (!m || !m->measured || m->refused || why)
		return;
	if (m->n == GNS_ENTRIES) {
		m->refused = GNS_REDUCE_TOO_MANY;
		return;
	}
	use->place = t->bucket[place];
	use->serial = m->serial;
	m->entry[m->n++] = (struct gns_reductions_entry){ .bucket = use->place, .track = use->track };
	m->users++;
}

static void see(struct gns_reductions *r, struct gns_reductions_use *use, uint64_t now)
{
	gns_reductions_look_at_clock(r);
	struct gns_reduction_track *t = gns_reduction_track(&r->reduce, &use->of);
	if (!t) {
		gns_reductions_count(GNS_REDUCE_TOO_MANY);
		return;
	}
	bool before = t->learned;
	use->track = (uint16_t)(t - r->reduce.track);
	int place = gns_reduction_see(&r->reduce, t, &use->of, in_forward(r), now);
	if (before && !t->learned) {
		gns_reductions_count(GNS_REDUCE_CHANGED);
		gns_reductions_learned(r);
	} else if (!before && t->learned) {
		gns_reductions_learned(r);
	}
	if (place < 0)
		return;
	use->seen = true;
	r->users[use->track]++;
	enter_step(r, t, (uint32_t)place, use);
}

static struct gns_tensor tensor(const void *data, const struct gns_reduction *n, uint64_t count)
{
	return (struct gns_tensor){ .data = data, .dtype = n->dtype, .ndim = 1, .size = { count }, .stride = { 1 } };
}

/* The track's set of this step, begun at its first reduction. */
static struct gns_set *set_of(struct gns_reductions_step *m, struct gns_reductions_use *use)
{
	struct gns_set **set = &m->set[use->track];
	if (!*set && gns_set_begin(gns_device_current(NULL), use->stream, set))
		*set = NULL;
	return *set;
}

static enum gns_reduction_why norm_of(struct gns_reductions_step *m, struct gns_reductions_use *use, bool sent)
{
	struct gns_set *set = set_of(m, use);
	if (!set)
		return GNS_REDUCE_BUSY;
	if (sent && gns_set_slot(set, use->stream, 2, &use->slot))
		return GNS_REDUCE_BUSY;
	struct gns_device_target to = { .set = set, .stream = use->stream, .slot = use->slot + !sent };
	uint64_t parts = !sent && use->of.kind == GNS_REDUCE_SCATTER ? use->of.world : 1;
	struct gns_tensor t = tensor(sent ? use->of.send : use->of.received, &use->of, use->of.count / parts);
	return gns_device_norm2(&to, &t) ? GNS_REDUCE_BUSY : GNS_REDUCE_IS;
}

/* The default stream of a device other than the communicator's would not keep the order. */
static bool on_device(const struct gns_reduction *n)
{
	struct gns_device *device = gns_device_current(NULL);
	return device && (n->device < 0 || gns_device_number(device) == n->device) && gns_device_owns(n->send) &&
	       gns_device_owns(n->received);
}

/* Makes the context of the stream current first: a thread may reduce for several devices. */
static enum gns_reduction_why launch(struct gns_reductions *r, struct gns_reductions_step *m,
				     struct gns_reductions_use *use, bool sent)
{
	enum gns_reduction_why why = GNS_REDUCE_NOT_DEVICE;
	void *token;
	if (!gns_device_enter(use->stream, &token))
		return why;
	if (gns_lock_take(&r->lane[use->track])) {
		if (on_device(&use->of))
			why = norm_of(m, use, sent);
		gns_lock_release(&r->lane[use->track]);
	}
	gns_device_leave(token);
	return why;
}

static void refuse(struct gns_reductions_step *m, enum gns_reduction_why why)
{
	if (m && why && !m->refused)
		m->refused = why;
}

bool gns_reductions_before(struct gns_reductions_use *use, const struct gns_reduction *reduction, void *stream)
{
	struct gns_guard h;
	uint64_t from = gns_now();
	*use = (struct gns_reductions_use){ .of = *reduction, .stream = stream };
	/* replays are not seen here, so they cannot be counted as steps of this sequence */
	if (gns_device_capturing(stream)) {
		gns_reductions_count(GNS_REDUCE_CAPTURED);
		return false;
	}
	if (!begin(&h, true))
		return false;
	struct gns_reductions *r = gns_core.reductions;
	enum gns_reduction_why why = gns_reduction_refuse(&r->reduce, reduction);
	gns_reductions_count(why);
	if (!why)
		see(r, use, from);
	struct gns_reductions_step *m = gns_reductions_step_at(r, use->serial);
	if (m) { /* cannot be freed: this reduction is one of its users */
		gns_core_unlock();
		why = launch(r, m, use, true);
		if (!gns_core_lock()) {
			gns_guard_drop(&h);
			return false;
		}
		refuse(m, why);
		use->small = !why;
		charge(r, gns_now() - from);
	}
	gns_guard_leave(&h);
	return use->seen;
}

void gns_reductions_after(struct gns_reductions_use *use, enum gns_reduction_why failed)
{
	struct gns_guard h;
	uint64_t from = gns_now();
	gns_reductions_count(failed);
	if (!use->seen || !begin(&h, false))
		return;
	struct gns_reductions *r = gns_core.reductions;
	struct gns_reductions_step *m = gns_reductions_step_at(r, use->serial);
	if (m) {
		enum gns_reduction_why why = failed;
		gns_core_unlock();
		if (!why && use->small)
			why = launch(r, m, use, false);
		if (!gns_core_lock()) {
			gns_guard_drop(&h);
			return;
		}
		struct gns_reductions_entry *e = entry_at(m, use);
		if (!why && use->small && e) {
			e->slot = use->slot;
			e->done = true;
		}
		refuse(m, why);
		charge(r, gns_now() - from);
		if (--m->users == 0 && m->over)
			gns_reductions_drop(m);
	}
	struct gns_reduction_track *t = &r->reduce.track[use->track];
	if (r->users[use->track] && --r->users[use->track] == 0 && t->comm == use->of.comm)
		gns_reductions_progress(r, t);
	gns_guard_leave(&h);
}

void gns_reductions_broadcast(const void *comm, uint32_t world, uint32_t rank, uint64_t count)
{
	struct gns_guard h;
	if (world < 2 || !begin(&h, true))
		return;
	gns_reduction_broadcast(&gns_core.reductions->reduce, comm, world, rank, count);
	gns_guard_leave(&h);
}

void gns_reductions_forget(const void *comm)
{
	struct gns_guard h;
	if (!begin(&h, false))
		return;
	gns_reduction_forget(&gns_core.reductions->reduce, comm);
	gns_reductions_learned(gns_core.reductions);
	gns_guard_leave(&h);
}
