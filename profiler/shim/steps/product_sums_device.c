/* What a step measures of GEMMs on devices. */
#include "product_sums_device.h"

#include <stddef.h>
#include <string.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/publish/counters.h"

static struct gns_live_counter incomplete = { .collector = "shim", .name = "gradients_incomplete" };

bool gns_product_sums_device_init(struct gns_product_sums_device *s)
{
	memset(s, 0, sizeof *s);
	s->grad = gns_pages(GNS_DEVICE_GRADS * sizeof *s->grad);
	s->next = gns_pages(GNS_DEVICE_GRADS * sizeof *s->next);
	s->weight = gns_pages(GNS_PARAMS_MAX * sizeof *s->weight);
	if (s->grad && s->next && s->weight)
		return true;
	gns_product_sums_device_free(s);
	return false;
}

void gns_product_sums_device_free(struct gns_product_sums_device *s)
{
	gns_pages_free(s->grad, GNS_DEVICE_GRADS * sizeof *s->grad);
	gns_pages_free(s->next, GNS_DEVICE_GRADS * sizeof *s->next);
	gns_pages_free(s->weight, GNS_PARAMS_MAX * sizeof *s->weight);
	memset(s, 0, sizeof *s);
}

void gns_product_sums_device_clear(struct gns_product_sums_device *s)
{
	memset(s->weight, 0, s->n_weights * sizeof *s->weight);
	s->n_grads = s->n_weights = s->n_sets = 0;
	s->closed = s->handed = false;
}

struct gns_device_weight *gns_product_sums_device_weight(struct gns_product_sums_device *s, uint32_t id)
{
	if (!id || id > GNS_PARAMS_MAX)
		return NULL;
	if (id > s->n_weights)
		s->n_weights = id;
	return &s->weight[id - 1];
}

void gns_product_sums_device_used(struct gns_product_sums_device *s, struct gns_set *set)
{
	for (uint32_t i = 0; i < s->n_sets; i++)
		if (s->set[i] == set)
			return;
	if (s->n_sets < GNS_DEVICES_MAX)
		s->set[s->n_sets++] = set;
}

static void give_to(struct gns_product_sums_device *s, uint32_t i, uint32_t id)
{
	struct gns_device_weight *w = gns_product_sums_device_weight(s, id);
	s->grad[i].of.id[0] = id;
	s->grad[i].of.n_id = 1;
	if (!w)
		return;
	s->next[i] = w->in_all;
	w->in_all = i + 1;
	w->grads++;
	w->whole |= s->grad[i].into != GNS_INTO_NEW;
}

bool gns_product_sums_device_add(struct gns_product_sums_device *s, const struct gns_device_grad *grad)
{
	if (s->n_grads == GNS_DEVICE_GRADS)
		return false;
	s->grad[s->n_grads++] = *grad;
	if (grad->of.n_id == 1)
		give_to(s, s->n_grads - 1, grad->of.id[0]);
	return true;
}

bool gns_product_sums_device_met(const struct gns_product_sums_device *s, const void *c)
{
	for (uint32_t i = s->n_grads; i-- > 0;)
		if (s->grad[i].c == c)
			return true;
	return false;
}

void gns_product_sums_device_settle(struct gns_product_sums_device *s, const void *dy, uint32_t id)
{
	for (uint32_t i = s->n_grads; i-- > 0;)
		for (unsigned j = 0; s->grad[i].of.n_id > 1 && j < s->grad[i].of.n_id; j++)
			if (s->grad[i].of.id[j] == id && s->grad[i].of.dy[j] == dy) {
				give_to(s, i, id);
				return;
			}
}

/* As settle_rest in product_sums.c: in the reverse order of the forward pass. */
static void settle_rest(struct gns_product_sums_device *s)
{
	for (uint32_t i = 0; i < s->n_grads; i++) {
		const struct gns_admitted *of = &s->grad[i].of;
		uint32_t best = of->id[0];
		for (unsigned j = 1; of->n_id > 1 && j < of->n_id; j++) {
			const struct gns_device_weight *w = gns_product_sums_device_weight(s,
											   of->id[j]), *b = gns_product_sums_device_weight(s, best);
			if (w && b && (w->grads < b->grads || (w->grads == b->grads && of->id[j] > best)))
				best = of->id[j];
		}
		if (of->n_id > 1)
			give_to(s, i, best);
	}
}

/* True if the weight's gradients are consistent. Its list has the latest gradient first. */
static bool adds_up(const struct gns_product_sums_device *s, const struct gns_device_weight *w)
{
	const struct gns_device_grad *newest = &s->grad[w->in_all - 1], *g = newest;
	if (w->grads != w->per_step || !newest->any_big)
		return false;
	for (uint32_t i = w->in_all; i; i = s->next[i - 1]) {
		g = &s->grad[i - 1];
		bool first = !s->next[i - 1];
		if (g->of.n != newest->of.n || (!w->whole && !g->any_big))
			return false;
		if (w->whole && (g->c != newest->c || (first ? g->into == GNS_INTO_MORE : g->into != GNS_INTO_MORE)))
			return false;
	}
	return true;
}

void gns_product_sums_device_close(struct gns_product_sums_device *s, struct gns_product_sums *m)
{
	settle_rest(s);
	s->closed = true;
	for (uint32_t id = 1; id <= s->n_weights; id++) {
		struct gns_device_weight *w = &s->weight[id - 1];
		if (!w->in_all)
			continue;
		if (!adds_up(s, w)) {
			gns_count(&incomplete);
			w->in_all = 0;
			continue;
		}
		m->param[id - 1].micro = w->grads;
		m->param[id - 1].n = s->grad[w->in_all - 1].of.n;
		m->param[id - 1].rows = s->grad[w->in_all - 1].rows;
	}
}

static void name_gradient(const struct gns_device_grad *g, struct gns_publish *p, struct gns_record *staged,
			  double small, double big, bool whole)
{
	const size_t q_small = offsetof(struct gns_record, u.grad.q_small), q_big = offsetof(struct gns_record,
											     u.grad.q_big);
	gns_publish_deferred(p, staged, q_small, GNS_DEFERRED_ADD, g->set, g->small, small * g->factor);
	if (big != 0)
		gns_publish_deferred(p, staged, q_big, GNS_DEFERRED_ADD, g->set, g->big, big);
	if (whole && g->into == GNS_INTO_ZERO)
		gns_publish_deferred(p, staged, q_big, GNS_DEFERRED_ZERO, g->set, g->zero, 1);
	if (g->any_x)
		gns_publish_deferred_pair(p, staged, g->set, g->x_now, g->x_then);
}

void gns_product_sums_device_name(const struct gns_product_sums_device *s, struct gns_publish *p,
				  struct gns_record *staged, const struct gns_product_sums *m)
{
	struct gns_rec_grad *r = &staged->u.grad;
	if (!s->closed || r->param_id > s->n_weights || !s->weight[r->param_id - 1].in_all)
		return;
	const struct gns_device_weight *w = &s->weight[r->param_id - 1];
	double n = (double)m->param[r->param_id - 1].n, passes = w->grads;
	r->q_small = r->q_big = 0;
	if (w->whole)
		r->n_big = r->groups = m->param[r->param_id - 1].n * w->grads;
	for (uint32_t i = w->in_all; i; i = s->next[i - 1])
		name_gradient(&s->grad[i - 1], p, staged, w->whole ? n * passes : n / passes,
			      w->whole ? i == w->in_all : 1 / passes, w->whole);
	if (w->any_first && w->any_last)
		gns_publish_deferred_pair(p, staged, w->set, w->last, w->first);
}

void gns_product_sums_device_hand_over(struct gns_product_sums_device *s, struct gns_publish *p)
{
	for (uint32_t i = 0; i < s->n_sets; i++)
		gns_publish_deferred_set(p, s->set[i]);
	s->handed = true;
}

bool gns_product_sums_device_handed(const struct gns_product_sums_device *s, const struct gns_set *set)
{
	for (uint32_t i = 0; s->handed && set && i < s->n_sets; i++)
		if (s->set[i] == set)
			return true;
	return false;
}
