/* Steps of graphs: what was staged in a capture is a template, and each delivery of its sets a step. */
#include <string.h>

#include "profiler/shim/process/clock.h"
#include "deferred_queue.h"

static bool of_a_step(const struct gns_record *r)
{
	return r->kind == GNS_REC_GRAD || r->kind == GNS_REC_KERNEL_STEP || r->kind == GNS_REC_LOSS || r->kind == GNS_REC_STEP;
}

static const struct gns_record *staged_step(const struct gns_publish *p)
{
	for (uint32_t i = p->staged; i-- > 0;)
		if (p->stage[i].kind == GNS_REC_STEP && p->stage[i].stream < GNS_STREAMS_MAX)
			return &p->stage[i];
	return NULL;
}

static bool all_captured(const struct gns_late *late)
{
	for (uint32_t i = 0; i < late->n_new; i++)
		if (!gns_set_captured(late->new_set[i]))
			return false;
	return true;
}

/* Records of the step go to the template's store, with the items' indices made those there. */
static void take_records(struct gns_publish *p, struct gns_late_graph *g)
{
	struct gns_late *late = p->late;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < p->staged; i++) {
		const struct gns_record *r = &p->stage[i];
		if (!of_a_step(r)) {
			p->stage[kept++] = *r;
			continue;
		}
		for (uint32_t j = 0; j < late->new_items; j++) {
			const struct gns_late_item *item = gns_late_item(late, late->item_head + j);
			if (item->record != i)
				continue;
			late->template_item[g->item + g->items] = *item;
			late->template_item[g->item + g->items++].record = g->records;
		}
		late->template_record[g->first + g->records++] = *r;
	}
	p->staged = kept;
}

bool gns_late_graph_add(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	const struct gns_record *step = staged_step(p);
	if (!step || !all_captured(late) || late->too_many || late->graphs == GNS_LATE_GRAPHS ||
	    late->template_records + p->staged > GNS_LATE_TEMPLATES || late->template_items + late->new_items > GNS_LATE_TEMPLATES)
		return false;
	uint32_t stream = step->stream;
	struct gns_late_graph *g = &late->graph[late->graphs++];
	if (!late->newest[stream])
		late->newest[stream] = step->u.step.step + (uint64_t)late->shift[stream] - 1;
	late->shift[stream]--; /* a step that has not happened */
	*g = (struct gns_late_graph){ .first = late->template_records, .item = late->template_items, .stream = stream, .n_sets = late->n_new,
				      .seen_ns = gns_now(), .seen_real_ns = gns_realtime() };
	memcpy(g->set, late->new_set, sizeof g->set);
	take_records(p, g);
	late->template_records += g->records;
	late->template_items += g->items;
	late->counts.graphs++;
	return true;
}

static uint64_t delivered(const struct gns_late_graph *g)
{
	uint64_t least = UINT64_MAX;
	for (uint32_t i = 0; i < g->n_sets; i++) {
		uint64_t n = gns_set_delivered(g->set[i]);
		least = n < least ? n : least;
	}
	return g->n_sets ? least : 0;
}

static bool there(const struct gns_late_graph *g, uint64_t which)
{
	for (uint32_t i = 0; i < g->n_sets; i++)
		if (!gns_set_values(g->set[i], which))
			return false;
	return true;
}

static bool open(const struct gns_late_graph *g, uint64_t which)
{
	for (uint32_t i = 0; i < g->n_sets; i++)
		if (!gns_set_was_open(g->set[i], which))
			return false;
	return true;
}

/* Writes the step's records at record_head with the values of this delivery. False: made with the gate closed, or overwritten. */
static bool fill(struct gns_late *late, const struct gns_late_graph *g, uint64_t which)
{
	if (!there(g, which) || !open(g, which))
		return false;
	for (uint32_t i = 0; i < g->records; i++)
		*gns_late_record(late, late->record_head + i) = late->template_record[g->first + i];
	for (uint32_t i = 0; i < g->items; i++) {
		const struct gns_late_item *item = &late->template_item[g->item + i];
		struct gns_record *r = gns_late_record(late, late->record_head + item->record);
		const double *values = gns_set_values(item->set, which);
		if (!values)
			return false;
		if (r->kind != GNS_REC_NONE && !gns_late_apply(late, item, r, values))
			r->kind = GNS_REC_NONE;
	}
	return there(g, which);
}

static const struct gns_record *template_step(const struct gns_late *late, const struct gns_late_graph *g)
{
	const struct gns_record *r = &late->template_record[g->first + g->records - 1];
	while (r->kind != GNS_REC_STEP)
		r--;
	return r;
}

static void make_step(struct gns_late *late, struct gns_late_graph *g, uint64_t which, uint64_t start_ns, uint64_t dur_ns)
{
	uint64_t number = ++late->newest[g->stream];
	uint32_t n = g->records;
	bool seen = there(g, which), measured = fill(late, g, which);
	late->shift[g->stream]++;
	late->counts.replayed++;
	late->counts.unseen += !seen;
	if (!measured) {
		struct gns_record *r = gns_late_record(late, late->record_head);
		*r = *template_step(late, g);
		r->u.step.flags = r->u.step.params = 0;
		n = 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct gns_record *r = gns_late_record(late, late->record_head + i);
		uint64_t *step = gns_late_step_of(r);
		if (step)
			*step = number;
		if (r->kind != GNS_REC_STEP)
			continue;
		r->u.step.start_ns = start_ns;
		r->u.step.dur_ns = dur_ns;
		r->u.step.overhead_ns = 0;
		r->u.step.every = late->every;
	}
	if (measured) {
		gns_late_settle(late, gns_late_record, late->record_head, n);
		g->measured = which;
	}
	gns_late_append(late, n);
}

/* Kernels behind a closed gate cost their launch alone. A gate is opened for one replay; those that are enqueued before its numbers
 * have come are measured with it. */
static void move_gate(struct gns_late *late, struct gns_late_graph *g)
{
	bool due = late->every == 1 || (late->every && (!g->measured || g->taken + 1 >= g->measured + late->every));
	if (due != g->closed)
		return;
	for (uint32_t i = 0; i < g->n_sets; i++)
		gns_set_open_gate(g->set[i], due);
	g->closed = !due;
}

void gns_late_graph_poll(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	for (uint32_t i = 0; i < late->graphs; i++) {
		struct gns_late_graph *g = &late->graph[i];
		uint64_t n = delivered(g) - g->taken, now = gns_now(), real = gns_realtime();
		uint64_t dur = n ? (now - g->seen_ns) / n : 0;
		for (uint64_t k = 0; k < n && gns_late_room(late, g->records); k++) {
			make_step(late, g, ++g->taken, g->seen_real_ns + k * dur, dur);
		}
		if (n) {
			g->seen_ns = now;
			g->seen_real_ns = real;
		}
		move_gate(late, g);
	}
}
