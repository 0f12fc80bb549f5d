/* The queue of steps whose values are still on a device. */
#include "deferred.h"

#include <math.h>
#include <string.h>

#include "profiler/shim/process/pages.h"
#include "deferred_queue.h"
#include "profiler/shim/ring/ring.h"

#define PLAIN_ROOM 8192u /* records that measured steps leave to the others */

static struct gns_late *late_init(void)
{
	struct gns_late *late = gns_pages(sizeof *late);
	if (!late)
		return NULL;
	late->record = gns_pages(GNS_LATE_RECORDS * sizeof *late->record);
	late->item = gns_pages(GNS_LATE_ITEMS * sizeof *late->item);
	late->template_record = gns_pages(GNS_LATE_TEMPLATES * sizeof *late->template_record);
	late->template_item = gns_pages(GNS_LATE_TEMPLATES * sizeof *late->template_item);
	late->every = 1;
	if (late->record && late->item && late->template_record && late->template_item)
		return late;
	gns_late_free(late);
	return NULL;
}

void gns_late_free(struct gns_late *late)
{
	if (!late)
		return;
	gns_pages_free(late->record, GNS_LATE_RECORDS * sizeof *late->record);
	gns_pages_free(late->item, GNS_LATE_ITEMS * sizeof *late->item);
	gns_pages_free(late->template_record, GNS_LATE_TEMPLATES * sizeof *late->template_record);
	gns_pages_free(late->template_item, GNS_LATE_TEMPLATES * sizeof *late->template_item);
	gns_pages_free(late, sizeof *late);
}

static void note_waiting(struct gns_late *late)
{
	atomic_store_explicit(&late->waiting, late->head != late->tail || late->graphs, memory_order_relaxed);
}

bool gns_late_waiting(const struct gns_publish *p)
{
	return p->late && atomic_load_explicit(&p->late->waiting, memory_order_relaxed);
}

void gns_late_every(struct gns_publish *p, uint32_t every)
{
	if (p->late)
		p->late->every = every;
}

uint64_t gns_late_newest(const struct gns_publish *p, uint32_t stream)
{
	return p->late && stream < GNS_STREAMS_MAX ? p->late->newest[stream] : 0;
}

void gns_late_counts(const struct gns_publish *p, struct gns_late_counts *out)
{
	*out = p->late ? p->late->counts : (struct gns_late_counts){ 0 };
}

/* Naming items. */

void gns_publish_late_set(struct gns_publish *p, struct gns_set *set)
{
	if (!p->late)
		p->late = late_init();
	if (!p->late)
		return; /* the set stays taken: with so little memory nothing is measured any more */
	for (uint32_t i = 0; i < p->late->n_new; i++)
		if (p->late->new_set[i] == set)
			return;
	if (p->late->n_new < GNS_LATE_SETS)
		p->late->new_set[p->late->n_new++] = set;
	else
		p->late->too_many = true;
}

static struct gns_late_item *new_item(struct gns_publish *p, const struct gns_record *staged, struct gns_set *set, uint32_t slot)
{
	gns_publish_late_set(p, set);
	struct gns_late *late = p->late;
	if (!late)
		return NULL;
	if (late->item_head + late->new_items - late->item_tail == GNS_LATE_ITEMS) {
		late->too_many = true;
		return NULL;
	}
	struct gns_late_item *item = gns_late_item(late, late->item_head + late->new_items++);
	*item = (struct gns_late_item){ .record = (uint32_t)(staged - p->stage), .set = set, .slot = slot };
	return item;
}

void gns_publish_late(struct gns_publish *p, const struct gns_record *staged, size_t offset, enum gns_late_rule rule, struct gns_set *set,
		      uint32_t slot, double factor)
{
	struct gns_late_item *item = new_item(p, staged, set, slot);
	if (!item)
		return;
	item->offset = (uint16_t)offset;
	item->rule = (uint8_t)rule;
	item->factor = factor;
}

void gns_publish_late_same(struct gns_publish *p, const struct gns_record *staged, struct gns_set *set, uint32_t slot, const uint64_t expect[2])
{
	struct gns_late_item *item = new_item(p, staged, set, slot);
	if (!item)
		return;
	item->rule = GNS_LATE_SAME;
	item->expect[0] = expect[0];
	item->expect[1] = expect[1];
}

void gns_publish_late_pair(struct gns_publish *p, const struct gns_record *staged, struct gns_set *set, uint32_t slot, uint32_t other)
{
	struct gns_late_item *item = new_item(p, staged, set, slot);
	if (!item)
		return;
	item->rule = GNS_LATE_PAIR;
	item->other = other;
}

/* Applying them. */

uint64_t *gns_late_step_of(struct gns_record *r)
{
	switch (r->kind) {
	case GNS_REC_GRAD:
		return &r->u.grad.step;
	case GNS_REC_KERNEL_STEP:
		return &r->u.kernel_step.step;
	case GNS_REC_LOSS:
		return &r->u.loss.step;
	case GNS_REC_STEP:
		return &r->u.step.step;
	case GNS_REC_EVENT:
		return &r->u.event.step;
	case GNS_REC_SETTING:
		return &r->u.setting.step;
	default:
		return NULL;
	}
}

static bool as_expected(const struct gns_late_item *item, const double *values)
{
	uint64_t expect[2] = { item->expect[0], item->expect[1] };
	if (item->rule == GNS_LATE_PAIR)
		memcpy(expect, &values[item->other], sizeof expect);
	return memcmp(&values[item->slot], expect, sizeof expect) == 0;
}

/* Without libm, which the library must not need. */
static double scaled(double have, double value, int power)
{
	for (; power > 0; power--)
		have *= value;
	for (; power < 0; power++)
		have /= value;
	return have;
}

bool gns_late_apply(struct gns_late *late, const struct gns_late_item *item, struct gns_record *r, const double *values)
{
	double value = values[item->slot], have;
	if (item->rule == GNS_LATE_SAME || item->rule == GNS_LATE_PAIR) {
		bool same = as_expected(item, values);
		late->counts.not_same += !same;
		return same;
	}
	if (item->rule == GNS_LATE_ZERO) {
		late->counts.not_zeroed += value != 0;
		return value == 0;
	}
	memcpy(&have, (char *)r + item->offset, sizeof have);
	if (item->rule == GNS_LATE_SCALE)
		have = scaled(have, value, (int)item->factor);
	else
		have += item->factor * value;
	memcpy((char *)r + item->offset, &have, sizeof have);
	return true;
}

void gns_late_settle(struct gns_late *late, struct gns_record *(*at)(struct gns_late *, uint64_t), uint64_t first, uint32_t n)
{
	struct gns_rec_step *step = NULL;
	uint32_t grads = 0, stream = 0;
	bool finite = true;
	for (uint32_t i = 0; i < n; i++) {
		struct gns_record *r = at(late, first + i);
		if (r->kind == GNS_REC_STEP) {
			step = &r->u.step;
			stream = r->stream;
		}
		if (r->kind != GNS_REC_GRAD)
			continue;
		grads++;
		finite &= isfinite(r->u.grad.q_small) && isfinite(r->u.grad.q_big);
	}
	bool lost = late->counts.not_same != late->not_same_before;
	late->not_same_before = late->counts.not_same;
	if (!step || !(step->flags & GNS_STEP_MEASURED))
		return;
	if (!stream)
		late->counts.not_same_run = lost ? late->counts.not_same_run + 1 : 0;
	if (!finite) {
		for (uint32_t i = 0; i < n; i++)
			if (at(late, first + i)->kind == GNS_REC_GRAD)
				at(late, first + i)->kind = GNS_REC_NONE;
		late->counts.not_finite++;
		step->flags = gns_publish_outcome(step->flags, GNS_STEP_REFUSED);
		grads = 0;
	} else if (!grads) {
		step->flags = gns_publish_outcome(step->flags, 0);
	}
	step->params = grads;
}

static void release(struct gns_set *const *set, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!gns_set_captured(set[i]))
			gns_set_release(set[i]);
}

static bool delivered(const struct gns_late_batch *b)
{
	for (uint32_t i = 0; i < b->n_sets; i++)
		if (!gns_set_delivered(b->set[i]))
			return false;
	return true;
}

static void apply_all(struct gns_late *late, const struct gns_late_batch *b)
{
	for (uint32_t i = 0; i < b->items; i++) {
		const struct gns_late_item *item = gns_late_item(late, b->item + i);
		struct gns_record *r = gns_late_record(late, b->first + item->record);
		const double *values = gns_set_values(item->set, 1);
		if (r->kind != GNS_REC_NONE && (!values || !gns_late_apply(late, item, r, values)))
			r->kind = GNS_REC_NONE;
	}
	gns_late_settle(late, gns_late_record, b->first, b->records);
}

/* Sending. */

/* False: the reader is behind. */
static bool send(struct gns_publish *p, uint64_t first, uint32_t n)
{
	uint32_t left = 0, at = 0;
	for (uint32_t i = 0; i < n; i++)
		left += gns_late_record(p->late, first + i)->kind != GNS_REC_NONE;
	if (!gns_ring_reserve(&p->ring, left))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (gns_late_record(p->late, first + i)->kind != GNS_REC_NONE)
			*gns_ring_at(&p->ring, at++) = *gns_late_record(p->late, first + i);
	gns_ring_publish(&p->ring, left);
	return true;
}

static bool send_own(struct gns_publish *p, struct gns_late_batch *b)
{
	struct gns_late *late = p->late;
	if (b->settled)
		return true;
	if (!delivered(b))
		return false;
	if (b->n_sets) {
		apply_all(late, b);
		release(b->set, b->n_sets);
		b->n_sets = b->items = 0;
	}
	if (!send(p, b->first, b->records))
		return false;
	b->settled = true;
	return true;
}

/* A step at a time: together they may be more than a ring holds. */
static bool send_tail(struct gns_publish *p, struct gns_late_batch *b)
{
	while (b->tail_sent < b->tail) {
		uint64_t from = b->first + b->records + b->tail_sent;
		uint32_t n = 1;
		while (gns_late_record(p->late, from + n - 1)->kind != GNS_REC_STEP && b->tail_sent + n < b->tail)
			n++;
		if (!send(p, from, n))
			return false;
		b->tail_sent += n;
	}
	return true;
}

static void send_ready(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	while (late->tail != late->head) {
		struct gns_late_batch *b = &late->batch[late->tail % GNS_LATE_STEPS];
		uint64_t items_end = late->tail + 1 == late->head ? late->item_head : late->batch[(late->tail + 1) % GNS_LATE_STEPS].item;
		if (!send_own(p, b) || !send_tail(p, b))
			return;
		late->record_tail = b->first + b->records + b->tail;
		late->item_tail = items_end;
		late->tail++;
	}
}

void gns_late_poll(struct gns_publish *p)
{
	if (!gns_late_waiting(p) || p->link != GNS_LINK_OPEN)
		return;
	send_ready(p);
	gns_late_graph_poll(p);
	send_ready(p);
	note_waiting(p->late);
}

/* Taking a step. */

bool gns_late_room(const struct gns_late *late, uint32_t records)
{
	return late->record_head - late->record_tail + records <= GNS_LATE_RECORDS;
}

void gns_late_append(struct gns_late *late, uint32_t count)
{
	if (late->head == late->tail)
		late->batch[late->head++ % GNS_LATE_STEPS] = (struct gns_late_batch){ .first = late->record_head, .item = late->item_head };
	late->batch[(late->head - 1) % GNS_LATE_STEPS].tail += count;
	late->record_head += count;
}

static void copy_staged(struct gns_publish *p)
{
	for (uint32_t i = 0; i < p->staged; i++)
		*gns_late_record(p->late, p->late->record_head + i) = p->stage[i];
}

static void renumber(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	for (uint32_t i = 0; i < p->staged; i++) {
		struct gns_record *r = &p->stage[i];
		uint64_t *step = gns_late_step_of(r);
		if (!step || r->stream >= GNS_STREAMS_MAX)
			continue;
		*step += (uint64_t)late->shift[r->stream];
		if (r->kind == GNS_REC_STEP)
			late->newest[r->stream] = *step;
	}
}

static bool hand_over(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	if (late->too_many || late->head - late->tail == GNS_LATE_STEPS || !gns_late_room(late, p->staged + PLAIN_ROOM))
		return false;
	struct gns_late_batch *b = &late->batch[late->head++ % GNS_LATE_STEPS];
	*b = (struct gns_late_batch){ .first = late->record_head, .item = late->item_head, .records = p->staged, .items = late->new_items,
				      .n_sets = late->n_new };
	memcpy(b->set, late->new_set, sizeof b->set);
	copy_staged(p);
	late->record_head += p->staged;
	late->item_head += late->new_items;
	late->counts.steps++;
	return true;
}

static bool wait_behind(struct gns_publish *p)
{
	if (!gns_late_room(p->late, p->staged))
		return false;
	copy_staged(p);
	gns_late_append(p->late, p->staged);
	return true;
}

/* The measurement that there is no room for: its numbers go, the step stays. */
static void refuse(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < late->new_items; i++)
		p->stage[gns_late_item(late, late->item_head + i)->record].kind = GNS_REC_NONE;
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
	late->counts.device_behind++;
	release(late->new_set, late->n_new);
}

static bool captured(const struct gns_late *late)
{
	bool any = false;
	for (uint32_t i = 0; i < late->n_new; i++)
		any |= gns_set_captured(late->new_set[i]);
	return any;
}

enum gns_late_verdict gns_late_push(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	bool waits = late->n_new, taken = false;
	gns_late_poll(p);
	if (captured(late)) {
		waits = false;
		if (!gns_late_graph_add(p))
			refuse(p);
	}
	renumber(p);
	if (waits && !(taken = hand_over(p)))
		refuse(p);
	late->new_items = late->n_new = 0;
	late->too_many = false;
	bool pass = !taken && late->head == late->tail;
	if (!taken && !pass)
		taken = wait_behind(p);
	note_waiting(late);
	return pass ? GNS_LATE_PASS : taken ? GNS_LATE_TAKEN : GNS_LATE_DROPPED;
}

static void drop(struct gns_publish *p, uint64_t first, uint32_t n)
{
	uint32_t records = 0, steps = 0;
	for (uint32_t i = 0; i < n; i++) {
		records += gns_late_record(p->late, first + i)->kind != GNS_REC_NONE;
		steps += gns_late_record(p->late, first + i)->kind == GNS_REC_STEP;
	}
	gns_ring_drop(&p->ring, records, steps);
}

void gns_late_end(struct gns_publish *p)
{
	struct gns_late *late = p->late;
	if (!late || p->link != GNS_LINK_OPEN)
		return;
	gns_late_poll(p);
	for (; late->tail != late->head; late->tail++) {
		struct gns_late_batch *b = &late->batch[late->tail % GNS_LATE_STEPS];
		if (!send_own(p, b))
			drop(p, b->first, b->records);
		if (!send_tail(p, b))
			drop(p, b->first + b->records + b->tail_sent, b->tail - b->tail_sent);
	}
	late->record_tail = late->record_head;
	late->item_tail = late->item_head;
	late->graphs = 0;
	note_waiting(late);
}
