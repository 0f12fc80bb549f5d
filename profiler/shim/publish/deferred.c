/* The queue of deferred steps: its memory, adding items, and applying them to records. */
#include "deferred.h"

#include <math.h>
#include <string.h>

#include "profiler/shim/process/pages.h"
#include "deferred_queue.h"

static struct gns_deferred *late_init(void)
{
	struct gns_deferred *deferred = gns_pages(sizeof *deferred);
	if (!deferred)
		return NULL;
	deferred->record = gns_pages(GNS_DEFERRED_RECORDS * sizeof *deferred->record);
	deferred->item = gns_pages(GNS_DEFERRED_ITEMS * sizeof *deferred->item);
	deferred->template_record = gns_pages(GNS_DEFERRED_TEMPLATES * sizeof *deferred->template_record);
	deferred->template_item = gns_pages(GNS_DEFERRED_TEMPLATES * sizeof *deferred->template_item);
	deferred->every = 1;
	if (deferred->record && deferred->item && deferred->template_record && deferred->template_item)
		return deferred;
	gns_deferred_free(deferred);
	return NULL;
}

void gns_deferred_free(struct gns_deferred *deferred)
{
	if (!deferred)
		return;
	gns_pages_free(deferred->record, GNS_DEFERRED_RECORDS * sizeof *deferred->record);
	gns_pages_free(deferred->item, GNS_DEFERRED_ITEMS * sizeof *deferred->item);
	gns_pages_free(deferred->template_record, GNS_DEFERRED_TEMPLATES * sizeof *deferred->template_record);
	gns_pages_free(deferred->template_item, GNS_DEFERRED_TEMPLATES * sizeof *deferred->template_item);
	gns_pages_free(deferred, sizeof *deferred);
}

bool gns_deferred_waiting(const struct gns_publish *p)
{
	return p->deferred && atomic_load_explicit(&p->deferred->waiting, memory_order_relaxed);
}

void gns_deferred_every(struct gns_publish *p, uint32_t every)
{
	if (p->deferred)
		p->deferred->every = every;
}

void gns_deferred_counts(const struct gns_publish *p, struct gns_deferred_counts *out)
{
	*out = p->deferred ? p->deferred->counts : (struct gns_deferred_counts){ 0 };
}

/* Adding items. */

void gns_publish_deferred_set(struct gns_publish *p, struct gns_set *set)
{
	if (!p->deferred)
		p->deferred = late_init();
	if (!p->deferred)
		return; /* the set is never released: without memory for the queue nothing can be measured on devices */
	for (uint32_t i = 0; i < p->deferred->n_new; i++)
		if (p->deferred->new_set[i] == set)
			return;
	if (p->deferred->n_new < GNS_DEFERRED_SETS)
		p->deferred->new_set[p->deferred->n_new++] = set;
	else
		p->deferred->too_many = true;
}

static struct gns_deferred_item *new_item(struct gns_publish *p, const struct gns_record *staged, struct gns_set *set,
					  uint32_t slot)
{
	gns_publish_deferred_set(p, set);
	struct gns_deferred *deferred = p->deferred;
	if (!deferred)
		return NULL;
	if (deferred->item_head + deferred->new_items - deferred->item_tail == GNS_DEFERRED_ITEMS) {
		deferred->too_many = true;
		return NULL;
	}
	struct gns_deferred_item *item = gns_deferred_item(deferred, deferred->item_head + deferred->new_items++);
	*item = (struct gns_deferred_item){ .record = (uint32_t)(staged - p->stage), .set = set, .slot = slot };
	return item;
}

void gns_publish_deferred(struct gns_publish *p, const struct gns_record *staged, size_t offset,
			  enum gns_deferred_rule rule, struct gns_set *set, uint32_t slot, double factor)
{
	struct gns_deferred_item *item = new_item(p, staged, set, slot);
	if (!item)
		return;
	item->offset = (uint16_t)offset;
	item->rule = (uint8_t)rule;
	item->factor = factor;
}

void gns_publish_deferred_pair(struct gns_publish *p, const struct gns_record *staged, struct gns_set *set,
			       uint32_t slot, uint32_t other)
{
	struct gns_deferred_item *item = new_item(p, staged, set, slot);
	if (!item)
		return;
	item->rule = GNS_DEFERRED_PAIR;
	item->other = other;
}

/* Applying them. */

uint64_t *gns_deferred_step_of(struct gns_record *r)
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

/* pow() without libm, which the shim must not link. */
static double scaled(double have, double value, int power)
{
	for (; power > 0; power--)
		have *= value;
	for (; power < 0; power++)
		have /= value;
	return have;
}

bool gns_deferred_apply(struct gns_deferred *deferred, const struct gns_deferred_item *item, struct gns_record *r,
			const double *values)
{
	double value = values[item->slot], have;
	if (item->rule == GNS_DEFERRED_PAIR) {
		bool same = memcmp(&values[item->slot], &values[item->other], 2 * sizeof *values) == 0;
		deferred->counts.not_same += !same;
		return same;
	}
	if (item->rule == GNS_DEFERRED_ZERO) {
		deferred->counts.not_zeroed += value != 0;
		return value == 0;
	}
	memcpy(&have, (char *)r + item->offset, sizeof have);
	if (item->rule == GNS_DEFERRED_SCALE)
		have = scaled(have, value, (int)item->factor);
	else
		have += item->factor * value;
	memcpy((char *)r + item->offset, &have, sizeof have);
	return true;
}

void gns_deferred_settle(struct gns_deferred *deferred, struct gns_record *(*at)(struct gns_deferred *, uint64_t),
			 uint64_t first, uint32_t n)
{
	struct gns_rec_step *step = NULL;
	uint32_t grads = 0, stream = 0;
	bool finite = true;
	for (uint32_t i = 0; i < n; i++) {
		struct gns_record *r = at(deferred, first + i);
		if (r->kind == GNS_REC_STEP) {
			step = &r->u.step;
			stream = r->stream;
		}
		if (r->kind != GNS_REC_GRAD)
			continue;
		grads++;
		finite &= isfinite(r->u.grad.q_small) && isfinite(r->u.grad.q_big);
	}
	bool lost = deferred->counts.not_same != deferred->not_same_before;
	deferred->not_same_before = deferred->counts.not_same;
	if (!step || !(step->flags & GNS_STEP_MEASURED))
		return;
	if (!stream)
		deferred->counts.not_same_run = lost ? deferred->counts.not_same_run + 1 : 0;
	if (!finite) {
		for (uint32_t i = 0; i < n; i++)
			if (at(deferred, first + i)->kind == GNS_REC_GRAD)
				at(deferred, first + i)->kind = GNS_REC_NONE;
		deferred->counts.not_finite++;
		step->flags = gns_publish_outcome(step->flags, GNS_STEP_REFUSED);
		grads = 0;
	} else if (!grads) {
		step->flags = gns_publish_outcome(step->flags, 0);
	}
	step->params = grads;
}

/* Queueing a step. */

bool gns_deferred_room(const struct gns_deferred *deferred, uint32_t records)
{
	return deferred->record_head - deferred->record_tail + records <= GNS_DEFERRED_RECORDS;
}

void gns_deferred_append(struct gns_deferred *deferred, uint32_t count)
{
	if (deferred->head == deferred->tail)
		deferred->batch[deferred->head++ % GNS_DEFERRED_STEPS] = (struct gns_deferred_batch){ .first = deferred->record_head, .item = deferred->item_head };
	deferred->batch[(deferred->head - 1) % GNS_DEFERRED_STEPS].tail += count;
	deferred->record_head += count;
}
