/* Steps of CUDA graphs: the records staged during a capture are a template, and each delivery of its sets becomes a
 * step. */
#include <string.h>

#include "profiler/shim/process/clock.h"
#include "deferred_queue.h"

static bool of_a_step(const struct gns_record *r)
{
	return r->kind == GNS_REC_GRAD || r->kind == GNS_REC_KERNEL_STEP || r->kind == GNS_REC_LOSS ||
	       r->kind == GNS_REC_STEP;
}

static const struct gns_record *staged_step(const struct gns_publish *p)
{
	for (uint32_t i = p->staged; i-- > 0;)
		if (p->stage[i].kind == GNS_REC_STEP && p->stage[i].stream < GNS_STREAMS_MAX)
			return &p->stage[i];
	return NULL;
}

static bool all_captured(const struct gns_deferred *deferred)
{
	for (uint32_t i = 0; i < deferred->n_new; i++)
		if (!gns_set_captured(deferred->new_set[i]))
			return false;
	return true;
}

/* Copies the step's records to the template's store and adapts the items' indices. */
static void take_records(struct gns_publish *p, struct gns_deferred_graph *g)
{
	struct gns_deferred *deferred = p->deferred;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < p->staged; i++) {
		const struct gns_record *r = &p->stage[i];
		if (!of_a_step(r)) {
			p->stage[kept++] = *r;
			continue;
		}
		for (uint32_t j = 0; j < deferred->new_items; j++) {
			const struct gns_deferred_item *item = gns_deferred_item(deferred, deferred->item_head + j);
			if (item->record != i)
				continue;
			deferred->template_item[g->item + g->items] = *item;
			deferred->template_item[g->item + g->items++].record = g->records;
		}
		deferred->template_record[g->first + g->records++] = *r;
	}
	p->staged = kept;
}

bool gns_deferred_graph_add(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	const struct gns_record *step = staged_step(p);
	if (!step || !all_captured(deferred) || deferred->too_many || deferred->graphs == GNS_DEFERRED_GRAPHS ||
	    deferred->template_records + p->staged > GNS_DEFERRED_TEMPLATES ||
	    deferred->template_items + deferred->new_items > GNS_DEFERRED_TEMPLATES)
		return false;
	uint32_t stream = step->stream;
	struct gns_deferred_graph *g = &deferred->graph[deferred->graphs++];
	if (!deferred->newest[stream])
		deferred->newest[stream] = step->u.step.step + (uint64_t)deferred->shift[stream] - 1;
	deferred->shift[stream]--; /* the captured step did not run */
	*g = (struct gns_deferred_graph){ .first = deferred->template_records, .item = deferred->template_items,
					  .stream = stream, .n_sets = deferred->n_new,
				      .seen_ns = gns_now(), .seen_real_ns = gns_realtime() };
	memcpy(g->set, deferred->new_set, sizeof g->set);
	take_records(p, g);
	deferred->template_records += g->records;
	deferred->template_items += g->items;
	deferred->counts.graphs++;
	return true;
}

static uint64_t delivered(const struct gns_deferred_graph *g)
{
	uint64_t least = UINT64_MAX;
	for (uint32_t i = 0; i < g->n_sets; i++) {
		uint64_t n = gns_set_delivered(g->set[i]);
		least = n < least ? n : least;
	}
	return g->n_sets ? least : 0;
}

static bool there(const struct gns_deferred_graph *g, uint64_t which)
{
	for (uint32_t i = 0; i < g->n_sets; i++)
		if (!gns_set_values(g->set[i], which))
			return false;
	return true;
}

static bool open(const struct gns_deferred_graph *g, uint64_t which)
{
	for (uint32_t i = 0; i < g->n_sets; i++)
		if (!gns_set_was_open(g->set[i], which))
			return false;
	return true;
}

/* Writes the step's records at record_head with the values of this delivery. False: the gate was closed, or the
 * values were overwritten. */
static bool fill(struct gns_deferred *deferred, const struct gns_deferred_graph *g, uint64_t which)
{
	if (!there(g, which) || !open(g, which))
		return false;
	for (uint32_t i = 0; i < g->records; i++)
		*gns_deferred_record(deferred, deferred->record_head + i) = deferred->template_record[g->first + i];
	for (uint32_t i = 0; i < g->items; i++) {
		const struct gns_deferred_item *item = &deferred->template_item[g->item + i];
		struct gns_record *r = gns_deferred_record(deferred, deferred->record_head + item->record);
		const double *values = gns_set_values(item->set, which);
		if (!values)
			return false;
		if (r->kind != GNS_REC_NONE && !gns_deferred_apply(deferred, item, r, values))
			r->kind = GNS_REC_NONE;
	}
	return there(g, which);
}

static const struct gns_record *template_step(const struct gns_deferred *deferred, const struct gns_deferred_graph *g)
{
	const struct gns_record *r = &deferred->template_record[g->first + g->records - 1];
	while (r->kind != GNS_REC_STEP)
		r--;
	return r;
}

static void make_step(struct gns_deferred *deferred, struct gns_deferred_graph *g, uint64_t which, uint64_t start_ns,
		      uint64_t dur_ns)
{
	uint64_t number = ++deferred->newest[g->stream];
	uint32_t n = g->records;
	bool seen = there(g, which), measured = fill(deferred, g, which);
	deferred->shift[g->stream]++;
	deferred->counts.replayed++;
	deferred->counts.unseen += !seen;
	if (!measured) {
		struct gns_record *r = gns_deferred_record(deferred, deferred->record_head);
		*r = *template_step(deferred, g);
		r->u.step.flags = r->u.step.params = 0;
		n = 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct gns_record *r = gns_deferred_record(deferred, deferred->record_head + i);
		uint64_t *step = gns_deferred_step_of(r);
		if (step)
			*step = number;
		if (r->kind != GNS_REC_STEP)
			continue;
		r->u.step.start_ns = start_ns;
		r->u.step.dur_ns = dur_ns;
		r->u.step.overhead_ns = 0;
		r->u.step.every = deferred->every;
	}
	if (measured) {
		gns_deferred_settle(deferred, gns_deferred_record, deferred->record_head, n);
		g->measured = which;
	}
	gns_deferred_append(deferred, n);
}

/* Kernels behind a closed gate return at once. A gate is opened for one replay; replays enqueued before its numbers
 * have come are measured, too. */
static void move_gate(struct gns_deferred *deferred, struct gns_deferred_graph *g)
{
	bool due = deferred->every == 1 || (deferred->every &&
					    (!g->measured || g->taken + 1 >= g->measured + deferred->every));
	if (due != g->closed)
		return;
	for (uint32_t i = 0; i < g->n_sets; i++)
		gns_set_open_gate(g->set[i], due);
	g->closed = !due;
}

void gns_deferred_graph_poll(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	for (uint32_t i = 0; i < deferred->graphs; i++) {
		struct gns_deferred_graph *g = &deferred->graph[i];
		uint64_t n = delivered(g) - g->taken, now = gns_now(), real = gns_realtime();
		uint64_t dur = n ? (now - g->seen_ns) / n : 0;
		for (uint64_t k = 0; k < n && gns_deferred_room(deferred, g->records); k++) {
			make_step(deferred, g, ++g->taken, g->seen_real_ns + k * dur, dur);
		}
		if (n) {
			g->seen_ns = now;
			g->seen_real_ns = real;
		}
		move_gate(deferred, g);
	}
}
