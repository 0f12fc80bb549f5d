/* Which step a reduction belongs to; and the steps themselves, where no other source gives them. */
#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "collectors/gpu/device.h"
#include "reductions_state.h"
#include "state.h"

#define WAIT_FOR_PRODUCTS 16u /* steps to wait while the weights of the GEMMs are not found */
#define WAIT_FOR_OTHERS 8u    /* steps to wait for communicators whose sequence has not recurred */

static enum gns_reductions_clock clock_now(void)
{
	if (gns_core.aside)
		return gns_core.layer_sums && gns_core.layer_sums->n_streams == 1 ? GNS_CLOCK_FEED : GNS_CLOCK_WAIT;
	if (gns_core.steps.step)
		return GNS_CLOCK_PRODUCTS;
	return gns_core.steps.marked ? GNS_CLOCK_MARKS : GNS_CLOCK_SEQUENCE;
}

static void give_up_steps(struct gns_reductions *r)
{
	for (uint32_t i = 0; i < GNS_MAKINGS; i++)
		if (r->making[i].serial)
			gns_reductions_drop(&r->making[i]);
	r->current = 0;
	r->running = false;
}

void gns_reductions_look_at_clock(struct gns_reductions *r)
{
	enum gns_reductions_clock now = clock_now();
	if (now == r->clock)
		return;
	give_up_steps(r);
	r->clock = now;
	if (r->unit_known && now != GNS_CLOCK_SEQUENCE && now != GNS_CLOCK_MARKS) {
		r->unit_known = r->rank_batches = false; /* the source that gives the steps gives the unit, too */
		gns_core.publish.hello = true;
	}
	gns_reduction_infer(&r->reduce, now == GNS_CLOCK_SEQUENCE);
}

struct gns_reductions_step *gns_reductions_step_at(struct gns_reductions *r, uint64_t serial)
{
	for (uint32_t i = 0; i < GNS_MAKINGS && serial; i++)
		if (r->making[i].serial == serial)
			return &r->making[i];
	return NULL;
}

void gns_reductions_drop(struct gns_reductions_step *m)
{
	m->over = true;
	if (m->users)
		return;
	for (uint32_t i = 0; i < GNS_REDUCE_TRACKS; i++)
		if (m->set[i]) {
			gns_set_finish(m->set[i]);
			gns_set_release(m->set[i]);
			m->set[i] = NULL;
		}
	m->serial = 0;
}

static struct gns_reductions_step *new_step(struct gns_reductions *r, uint64_t step, bool measured)
{
	for (uint32_t i = 0; i < GNS_MAKINGS; i++) {
		struct gns_reductions_step *m = &r->making[i];
		if (m->serial)
			continue;
		m->serial = ++r->serials;
		m->step = step;
		m->measured = measured;
		m->over = false;
		m->refused = GNS_REDUCE_IS;
		m->users = m->tracks_done = m->n = 0;
		return m;
	}
	return NULL;
}

uint32_t gns_reductions_gradient_tracks(const struct gns_reductions *r)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->reduce.n_tracks; i++)
		n += !gns_reduction_what(&r->reduce, &r->reduce.track[i]);
	return n;
}

static bool counts(const struct gns_reductions *r, uint32_t i, bool gradients)
{
	const struct gns_reduction_track *t = &r->reduce.track[i];
	return t->comm && t->calls && !(gradients && gns_reduction_what(&r->reduce, t));
}

static bool another_device(const struct gns_reductions *r, uint32_t at, bool gradients)
{
	const struct gns_reduction_track *t = r->reduce.track;
	for (uint32_t i = 0; i < at; i++)
		if (counts(r, i, gradients) && t[i].world == t[at].world && t[i].device == t[at].device)
			return false;
	return true;
}

/* From the communicators that reduce gradients; while none is known to, from the largest. */
void gns_reductions_know_ranks(struct gns_reductions *r)
{
	uint32_t world = 0, rank = UINT32_MAX, devices = 0;
	bool known = gns_reductions_gradient_tracks(r) > 0;
	for (uint32_t i = 0; i < r->reduce.n_tracks; i++) {
		const struct gns_reduction_track *t = &r->reduce.track[i];
		if (!counts(r, i, known) || t->world < world)
			continue;
		if (t->world > world) {
			rank = UINT32_MAX;
			devices = 0;
		}
		world = t->world;
		rank = t->rank < rank ? t->rank : rank;
		devices += another_device(r, i, known);
	}
	if (devices <= r->devices || (gns_core.config.world > 1 && !r->ranks_ours))
		return; /* rank and world were set by a launcher */
	r->devices = devices;
	if (world % devices || (world == devices && !r->ranks_ours))
		return;
	r->ranks_ours = true;
	gns_core.config.world = (int32_t)(world / devices);
	gns_core.config.rank = (int32_t)(rank / devices);
	gns_core.product_sums->seed = gns_core_seed(gns_core.config.rank);
	gns_core.publish.hello = true;
}

/* Counts the sequences that recur but are not taken for gradients, by reason: `gnscope doctor` shows it. */
static void count_doubts(const struct gns_reductions *r)
{
	for (uint32_t i = 0; i < r->reduce.n_tracks; i++) {
		enum gns_reduction_why why = gns_reduction_what(&r->reduce, &r->reduce.track[i]);
		if (why == GNS_REDUCE_UNSURE || why == GNS_REDUCE_SEVERAL || why == GNS_REDUCE_FORWARD)
			gns_reductions_count(why);
	}
}

static void hello(void)
{
	if (gns_core.reductions && gns_core.publish.hello)
		gns_reductions_know_ranks(gns_core.reductions);
}

/* Steps given by another source. */

static void begin(uint64_t step, bool measured)
{
	struct gns_reductions *r = gns_core.reductions;
	if (!r)
		return;
	gns_reductions_look_at_clock(r);
	r->backward = false;
	struct gns_reductions_step *m = gns_reductions_step_at(r, r->current);
	if (m)
		gns_reductions_drop(m);
	gns_reduction_boundary(&r->reduce);
	gns_reductions_know_ranks(r);
	count_doubts(r);
	m = measured && gns_reductions_gradient_tracks(r) ? new_step(r, step, true) : NULL;
	r->current = m ? m->serial : 0;
}

static void backward(void)
{
	if (gns_core.reductions)
		gns_core.reductions->backward = true;
}

bool gns_reductions_expects(void)
{
	const struct gns_reductions *r = gns_core.reductions;
	if (!r || r->clock != GNS_CLOCK_PRODUCTS)
		return false;
	for (uint32_t i = 0; i < r->reduce.n_tracks; i++) {
		const struct gns_reduction_track *t = &r->reduce.track[i];
		if (!gns_reduction_what(&r->reduce, t) && (!gns_reduction_complete(t) || r->users[i]))
			return true;
	}
	return false;
}

static bool every_micro_step(const struct gns_reduction_track *t, uint32_t micro)
{
	uint32_t each = micro > 1 && t->n_last % micro == 0 ? t->n_last / micro : 0;
	for (uint32_t i = each; i < t->n_last && each; i++)
		if (t->last[i].count != t->last[i - each].count || t->last[i].kind != t->last[i - each].kind)
			return false;
	return each > 0;
}

/* A sum over some of the step's reductions must not be published as the sum over all. */
static bool divides(const struct gns_reductions *r, const struct gns_reductions_step *m, uint64_t n)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!n || n % r->reduce.bucket[m->entry[i].bucket].tracks)
			return false;
	return true;
}

static enum gns_reduction_why ready(const struct gns_reductions *r, const struct gns_reductions_step *m,
				    const struct gns_step_facts *of)
{
	if (m->refused)
		return m->refused;
	if (m->users)
		return GNS_REDUCE_INCOMPLETE;
	for (uint32_t i = 0; i < m->n; i++)
		if (!m->entry[i].done)
			return GNS_REDUCE_INCOMPLETE;
	for (uint32_t i = 0; i < r->reduce.n_tracks; i++) {
		const struct gns_reduction_track *t = &r->reduce.track[i];
		if (gns_reduction_what(&r->reduce, t))
			continue;
		uint32_t have = 0;
		for (uint32_t k = 0; k < m->n; k++)
			have += m->entry[k].track == i;
		if (have != t->n_last)
			return GNS_REDUCE_INCOMPLETE;
		if (every_micro_step(t, of->micro))
			return GNS_REDUCE_MANY_TIMES;
		if (of->numel && (double)t->total > 1.05 * (double)of->numel)
			return GNS_REDUCE_MORE;
	}
	return r->rank_batches || divides(r, m, of->n) ? GNS_REDUCE_IS : GNS_REDUCE_BATCH;
}

static uint32_t stage(struct gns_publish *p, const struct gns_step_facts *of)
{
	struct gns_reductions *r = gns_core.reductions;
	struct gns_reductions_step *m = r ? gns_reductions_step_at(r, r->current) : NULL;
	if (!m || m->step != of->step || !m->n)
		return 0; /* nothing was reduced in this step */
	enum gns_reduction_why why = ready(r, m, of);
	uint32_t grads = why ? 0 : gns_publish_rank_stage(p, r, m, of);
	gns_reductions_count(why);
	gns_reductions_drop(m); /* the queue of deferred steps owns the sets that were handed over */
	r->current = 0;
	return grads;
}

/* Steps given by the sequence. */

static enum gns_unit unit(enum gns_unit other)
{
	const struct gns_reductions *r = gns_core.reductions;
	return !r || !r->unit_known ? other : r->rank_batches ? GNS_UNIT_RANK_BATCHES : GNS_UNIT_SAMPLES;
}

static uint64_t last(void)
{
	return gns_core.reductions ? gns_core.reductions->published : 0;
}

/* Once a process: otherwise numbers of two units would be averaged. */
static void choose_unit(struct gns_reductions *r)
{
	if (!r->unit_known)
		r->rank_batches = !gns_core.product_sums->samples;
	r->unit_known = true;
}

static void open_step(struct gns_reductions *r, uint64_t step)
{
	gns_step_clock_begin(&r->steps, &gns_core.config, gns_publish_control(&gns_core.publish), step);
}

static void close_step(struct gns_reductions *r, uint64_t step, struct gns_reductions_step *m)
{
	struct gns_step_report report = { .step = step, .start_ns = r->steps.began_real_ns,
					  .overhead_ns = r->steps.overhead_ns,
					  .every = r->steps.interval, .flags = r->steps.startup ? GNS_STEP_STARTUP
						   : 0 };
	struct gns_step_facts of = { .step = step, .n = gns_core.product_sums->samples, .micro = 1, .scale = 1 };
	choose_unit(r);
	enum gns_reduction_why why = m && m->n ? ready(r, m, &of) : GNS_REDUCE_IS;
	report.dur_ns = gns_step_clock_close(&r->steps, gns_now(), gns_realtime());
	if (why)
		report.flags |= GNS_STEP_REFUSED;
	gns_reductions_count(why);
	gns_publish_rank_step(&gns_core.publish, r, &report, why || !m || !m->n ? NULL : m);
	if (m)
		gns_reductions_drop(m);
	r->published = step;
}

/* Marks. */

static void mark(uint64_t next)
{
	struct gns_reductions *r = gns_core.reductions;
	if (!r)
		return;
	gns_reductions_look_at_clock(r);
	if (r->clock != GNS_CLOCK_MARKS)
		return;
	uint64_t from = gns_now();
	if (r->running) {
		struct gns_reductions_step *m = gns_reductions_step_at(r, r->current);
		r->current = 0;
		close_step(r, next - 1, m);
		open_step(r, next);
	} else {
		gns_step_clock_init(&r->steps, from);
	}
	gns_reduction_boundary(&r->reduce);
	gns_reductions_know_ranks(r);
	count_doubts(r);
	if (!r->running && gns_reductions_gradient_tracks(r)) {
		r->running = true;
		r->steps.began_ns = gns_now();
		r->steps.began_real_ns = gns_realtime();
		open_step(r, next);
	}
	struct gns_reductions_step *m = r->running && r->steps.measured ? new_step(r, next, true) : NULL;
	r->current = m ? m->serial : 0;
	r->steps.overhead_ns += gns_now() - from;
}

/* The sequence. */

static struct gns_reductions_step *numbered(struct gns_reductions *r, uint64_t step)
{
	for (uint32_t i = 0; i < GNS_MAKINGS; i++)
		if (r->making[i].serial && !r->making[i].over && r->making[i].step == step)
			return &r->making[i];
	return NULL;
}

/* Called when one track is GNS_MAKINGS steps ahead of another: they do not step together. */
static void lose(struct gns_reductions *r)
{
	give_up_steps(r);
	r->reduce.inferring = false;
	gns_reduction_infer(&r->reduce, true);
}

static struct gns_reductions_step *sequence_step(struct gns_reductions *r, const struct gns_reduction_track *t)
{
	uint64_t step = gns_core.steps_base + t->steps + 1;
	if (!r->running || step < r->first)
		return NULL;
	struct gns_reductions_step *m = numbered(r, step);
	if (m)
		return m;
	m = new_step(r, step, false);
	if (!m)
		return NULL;
	open_step(r, step);
	m->measured = r->steps.measured;
	return m;
}

struct gns_reductions_step *gns_reductions_step_for(struct gns_reductions *r, const struct gns_reduction_track *t)
{
	if (r->clock != GNS_CLOCK_SEQUENCE)
		return gns_reductions_step_at(r, r->current);
	return gns_reduction_what(&r->reduce, t) ? NULL : sequence_step(r, t);
}

static bool others_learned(const struct gns_reductions *r, uint64_t steps)
{
	for (uint32_t i = 0; i < r->reduce.n_tracks && steps < WAIT_FOR_OTHERS; i++)
		if (r->reduce.track[i].comm && r->reduce.track[i].calls && !r->reduce.track[i].learned)
			return false;
	return true;
}

/* Tracks that are in different steps, or in the middle of one, are measured from the next step but one. */
void gns_reductions_learned(struct gns_reductions *r)
{
	uint64_t steps = 0;
	bool level = true;
	if (r->clock != GNS_CLOCK_SEQUENCE)
		return;
	give_up_steps(r);
	count_doubts(r);
	for (uint32_t i = 0, n = 0; i < r->reduce.n_tracks; i++) {
		const struct gns_reduction_track *t = &r->reduce.track[i];
		enum gns_reduction_why why = gns_reduction_what(&r->reduce, t);
		if (why)
			continue;
		level &= (!n++ || steps == t->steps) && !t->n_filled;
		steps = t->steps > steps ? t->steps : steps;
	}
	bool products = gns_core.counts[GNS_COUNT_PRODUCTS] && gns_core.roles.learning;
	if (!steps || !others_learned(r, steps) || (products && steps < WAIT_FOR_PRODUCTS))
		return;
	gns_reductions_know_ranks(r);
	r->running = true;
	r->first = gns_core.steps_base + steps + (level ? 1 : 2);
	uint64_t overhead = r->steps.overhead_ns;
	if (!r->published)
		gns_step_clock_init(&r->steps, gns_now());
	r->steps.overhead_ns = overhead;
	r->steps.startup = true;
	r->steps.began_ns = gns_now();
	r->steps.began_real_ns = gns_realtime();
}

static void sequence_progress(struct gns_reductions *r, struct gns_reduction_track *t)
{
	if (!gns_reduction_complete(t))
		return;
	uint64_t step = gns_core.steps_base + t->steps + 1;
	struct gns_reductions_step *m = gns_reduction_what(&r->reduce, t) ? NULL : sequence_step(r, t);
	gns_reduction_next(t);
	if (!r->running) {
		gns_reductions_learned(r); /* this track may have been the one that others waited for */
		return;
	}
	if (m && ++m->tracks_done == gns_reductions_gradient_tracks(r))
		close_step(r, step, m);
	else if (!m && step >= r->first && !gns_reduction_what(&r->reduce, t))
		lose(r);
}

/* GEMMs give the steps, and the last GEMM of this step has returned: the step ends with its last reduction. */
static void products_progress(void)
{
	const struct gns_step_clock *s = &gns_core.steps;
	if (!s->published && !s->unsure && !s->marked && s->expected && s->gradients == s->expected &&
	    !gns_reductions_expects())
		gns_step_boundary_close(false);
}

void gns_reductions_progress(struct gns_reductions *r, struct gns_reduction_track *t)
{
	if (r->clock == GNS_CLOCK_SEQUENCE)
		sequence_progress(r, t);
	else if (r->clock == GNS_CLOCK_PRODUCTS)
		products_progress();
}

static void forget(void)
{
	gns_pages_free(gns_core.reductions, sizeof *gns_core.reductions);
	gns_core.reductions = NULL;
}

const struct gns_step_hooks gns_reduction_hooks = {
	.name = "collective calls",
	.begin = begin,
	.stage = stage,
	.sent = gns_reductions_sent,
	.forget = forget,
	.hello = hello,
	.backward = backward,
	.mark = mark,
	.expects = gns_reductions_expects,
	.last = last,
	.unit = unit,
};
