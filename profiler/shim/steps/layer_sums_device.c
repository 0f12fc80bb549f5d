/* Sets and slots for the deferred values of a step. */
#include "layer_sums_device.h"

#include <errno.h>

int gns_layer_sums_set(struct gns_layer_sums_sets *sets, struct gns_device *device, void *stream, struct gns_set **set)
{
	for (uint32_t i = 0; i < sets->n; i++) {
		*set = sets->of[i].set;
		if (sets->of[i].device == device)
			return 0;
	}
	if (sets->n == GNS_LAYER_SUMS_DEVICES)
		return -ENOSPC;
	int rc = gns_set_begin(device, stream, set);
	if (rc)
		return rc;
	sets->of[sets->n].device = device;
	sets->of[sets->n].stream = stream;
	sets->of[sets->n++].set = *set;
	return 0;
}

/* The term of this kind and CUDA stream in this set, or a free one. */
static struct gns_layer_sums_term *term_for(struct gns_layer_sums_term *terms, enum gns_layer_sums_what what,
					    const struct gns_set *set, const void *stream)
{
	struct gns_layer_sums_term *idle = NULL;
	for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++) {
		struct gns_layer_sums_term *t = &terms[i];
		if (t->set == set && t->stream == stream && t->what == what)
			return t;
		if (!t->set || (!idle && !t->live))
			idle = idle && !idle->set ? idle : t;
	}
	if (idle)
		*idle = (struct gns_layer_sums_term){ 0 };
	return idle;
}

int gns_layer_sums_term(struct gns_layer_sums_sets *sets, struct gns_layer_sums_term *terms,
			enum gns_layer_sums_what what, struct gns_device *device, void *stream,
		  struct gns_device_target *to)
{
	struct gns_set *set;
	bool sums = what == GNS_LAYER_SUMS_SUM || what == GNS_LAYER_SUMS_LOSS;
	int rc = gns_layer_sums_set(sets, device, stream, &set);
	if (rc)
		return rc;
	struct gns_layer_sums_term *t = term_for(terms, what, set, stream);
	if (!t)
		return -ENOSPC;
	if (!t->set) {
		rc = gns_set_slot(set, stream, 1, &t->slot);
		if (rc)
			return rc;
		t->set = set;
		t->stream = stream;
		t->what = (uint8_t)what;
	}
	if (!sums)
		for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++)
			terms[i].live &= terms[i].what != what;
	*to = (struct gns_device_target){ .set = set, .stream = stream, .slot = t->slot, .add = sums && t->live };
	t->live = true;
	return 0;
}

void gns_layer_sums_terms_forget(struct gns_layer_sums_term *terms)
{
	for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++)
		terms[i].live = false;
}

void gns_layer_sums_term_kill(struct gns_layer_sums_term *terms, const struct gns_device_target *to)
{
	for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++)
		if (terms[i].set == to->set && terms[i].slot == to->slot)
			terms[i].live = false;
}

int gns_layer_sums_sets_finish(struct gns_layer_sums_sets *sets)
{
	int rc = 0;
	for (uint32_t i = 0; i < sets->n; i++) {
		bool over = gns_set_captured(sets->of[i].set) && !gns_device_capturing(sets->of[i].stream);
		int own = over ? -ECANCELED : gns_set_finish(sets->of[i].set);
		rc = rc ? rc : own;
	}
	return rc;
}

void gns_layer_sums_sets_release(struct gns_layer_sums_sets *sets)
{
	for (uint32_t i = 0; i < sets->n; i++) {
		if (gns_set_captured(sets->of[i].set))
			gns_set_open_gate(sets->of[i].set, false);
		else
			gns_set_release(sets->of[i].set);
	}
	sets->n = 0;
}
