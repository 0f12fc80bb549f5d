/* Sends deferred steps whose values have come, and the records that wait behind them, in order. */
#include <string.h>

#include "deferred_queue.h"
#include "profiler/shim/ring/ring.h"

#define PLAIN_ROOM 8192u /* records of the queue that only unmeasured steps may use */

static void note_waiting(struct gns_deferred *deferred)
{
	atomic_store_explicit(&deferred->waiting, deferred->head != deferred->tail || deferred->graphs,
			      memory_order_relaxed);
}

static void release(struct gns_set *const *set, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!gns_set_captured(set[i]))
			gns_set_release(set[i]);
}

static bool delivered(const struct gns_deferred_batch *b)
{
	for (uint32_t i = 0; i < b->n_sets; i++)
		if (!gns_set_delivered(b->set[i]))
			return false;
	return true;
}

static void apply_all(struct gns_deferred *deferred, const struct gns_deferred_batch *b)
{
	for (uint32_t i = 0; i < b->items; i++) {
		const struct gns_deferred_item *item = gns_deferred_item(deferred, b->item + i);
		struct gns_record *r = gns_deferred_record(deferred, b->first + item->record);
		const double *values = gns_set_values(item->set, 1);
		if (r->kind != GNS_REC_NONE && (!values || !gns_deferred_apply(deferred, item, r, values)))
			r->kind = GNS_REC_NONE;
	}
	gns_deferred_settle(deferred, gns_deferred_record, b->first, b->records);
}

/* Sending. */

/* False: the ring is full, because the reader is behind. */
static bool send(struct gns_publish *p, uint64_t first, uint32_t n)
{
	uint32_t left = 0, at = 0;
	for (uint32_t i = 0; i < n; i++)
		left += gns_deferred_record(p->deferred, first + i)->kind != GNS_REC_NONE;
	if (!gns_ring_reserve(&p->ring, left))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (gns_deferred_record(p->deferred, first + i)->kind != GNS_REC_NONE)
			*gns_ring_at(&p->ring, at++) = *gns_deferred_record(p->deferred, first + i);
	gns_ring_publish(&p->ring, left);
	return true;
}

static bool send_own(struct gns_publish *p, struct gns_deferred_batch *b)
{
	struct gns_deferred *deferred = p->deferred;
	if (b->settled)
		return true;
	if (!delivered(b))
		return false;
	if (b->n_sets) {
		apply_all(deferred, b);
		release(b->set, b->n_sets);
		b->n_sets = b->items = 0;
	}
	if (!send(p, b->first, b->records))
		return false;
	b->settled = true;
	return true;
}

/* One step at a time: all of them may not fit into the ring. */
static bool send_tail(struct gns_publish *p, struct gns_deferred_batch *b)
{
	while (b->tail_sent < b->tail) {
		uint64_t from = b->first + b->records + b->tail_sent;
		uint32_t n = 1;
		while (gns_deferred_record(p->deferred, from + n - 1)->kind != GNS_REC_STEP &&
		       b->tail_sent + n < b->tail)
			n++;
		if (!send(p, from, n))
			return false;
		b->tail_sent += n;
	}
	return true;
}

static void send_ready(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	while (deferred->tail != deferred->head) {
		struct gns_deferred_batch *b = &deferred->batch[deferred->tail % GNS_DEFERRED_STEPS];
		uint64_t items_end = deferred->tail + 1 == deferred->head ? deferred->item_head
				     : deferred->batch[(deferred->tail + 1) % GNS_DEFERRED_STEPS].item;
		if (!send_own(p, b) || !send_tail(p, b))
			return;
		deferred->record_tail = b->first + b->records + b->tail;
		deferred->item_tail = items_end;
		deferred->tail++;
	}
}

void gns_deferred_poll(struct gns_publish *p)
{
	if (!gns_deferred_waiting(p) || p->link != GNS_LINK_OPEN)
		return;
	send_ready(p);
	gns_deferred_graph_poll(p);
	send_ready(p);
	note_waiting(p->deferred);
}

/* Queueing a step. */

static void copy_staged(struct gns_publish *p)
{
	for (uint32_t i = 0; i < p->staged; i++)
		*gns_deferred_record(p->deferred, p->deferred->record_head + i) = p->stage[i];
}

static void renumber(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	for (uint32_t i = 0; i < p->staged; i++) {
		struct gns_record *r = &p->stage[i];
		uint64_t *step = gns_deferred_step_of(r);
		if (!step || r->stream >= GNS_STREAMS_MAX)
			continue;
		*step += (uint64_t)deferred->shift[r->stream];
		if (r->kind == GNS_REC_STEP)
			deferred->newest[r->stream] = *step;
	}
}

static bool hand_over(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	if (deferred->too_many || deferred->head - deferred->tail == GNS_DEFERRED_STEPS ||
	    !gns_deferred_room(deferred, p->staged + PLAIN_ROOM))
		return false;
	struct gns_deferred_batch *b = &deferred->batch[deferred->head++ % GNS_DEFERRED_STEPS];
	*b = (struct gns_deferred_batch){ .first = deferred->record_head, .item = deferred->item_head,
					  .records = p->staged, .items = deferred->new_items,
				      .n_sets = deferred->n_new };
	memcpy(b->set, deferred->new_set, sizeof b->set);
	copy_staged(p);
	deferred->record_head += p->staged;
	deferred->item_head += deferred->new_items;
	deferred->counts.steps++;
	return true;
}

static bool wait_behind(struct gns_publish *p)
{
	if (!gns_deferred_room(p->deferred, p->staged))
		return false;
	copy_staged(p);
	gns_deferred_append(p->deferred, p->staged);
	return true;
}

/* No room for the measurement: drops its numbers and keeps the step as skipped. */
static void refuse(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < deferred->new_items; i++)
		p->stage[gns_deferred_item(deferred, deferred->item_head + i)->record].kind = GNS_REC_NONE;
	for (uint32_t i = 0; i < p->staged; i++) {
		struct gns_record *r = &p->stage[i];
		if (r->kind == GNS_REC_STEP && r->u.step.flags & GNS_STEP_MEASURED) {
			r->u.step.flags = gns_publish_outcome(r->u.step.flags, GNS_STEP_REFUSED);
			r->u.step.params = 0;
		}
		if (r->kind != GNS_REC_NONE && r->kind != GNS_REC_GRAD)
			p->stage[kept++] = *r;
	}
	p->staged = kept;
	deferred->counts.device_behind++;
	release(deferred->new_set, deferred->n_new);
}

static bool captured(const struct gns_deferred *deferred)
{
	bool any = false;
	for (uint32_t i = 0; i < deferred->n_new; i++)
		any |= gns_set_captured(deferred->new_set[i]);
	return any;
}

enum gns_deferred_verdict gns_deferred_push(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	bool waits = deferred->n_new, taken = false;
	gns_deferred_poll(p);
	if (captured(deferred)) {
		waits = false;
		if (!gns_deferred_graph_add(p))
			refuse(p);
	}
	renumber(p);
	if (waits && !(taken = hand_over(p)))
		refuse(p);
	deferred->new_items = deferred->n_new = 0;
	deferred->too_many = false;
	bool pass = !taken && deferred->head == deferred->tail;
	if (!taken && !pass)
		taken = wait_behind(p);
	note_waiting(deferred);
	return pass ? GNS_DEFERRED_PASS : taken ? GNS_DEFERRED_TAKEN : GNS_DEFERRED_DROPPED;
}

static void drop(struct gns_publish *p, uint64_t first, uint32_t n)
{
	uint32_t records = 0, steps = 0;
	for (uint32_t i = 0; i < n; i++) {
		records += gns_deferred_record(p->deferred, first + i)->kind != GNS_REC_NONE;
		steps += gns_deferred_record(p->deferred, first + i)->kind == GNS_REC_STEP;
	}
	gns_ring_drop(&p->ring, records, steps);
}

void gns_deferred_end(struct gns_publish *p)
{
	struct gns_deferred *deferred = p->deferred;
	if (!deferred || p->link != GNS_LINK_OPEN)
		return;
	gns_deferred_poll(p);
	for (; deferred->tail != deferred->head; deferred->tail++) {
		struct gns_deferred_batch *b = &deferred->batch[deferred->tail % GNS_DEFERRED_STEPS];
		if (!send_own(p, b))
			drop(p, b->first, b->records);
		if (!send_tail(p, b))
			drop(p, b->first + b->records + b->tail_sent, b->tail - b->tail_sent);
	}
	deferred->record_tail = deferred->record_head;
	deferred->item_tail = deferred->item_head;
	deferred->graphs = 0;
	note_waiting(deferred);
}
