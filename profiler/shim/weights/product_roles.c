/* Classifies GEMMs by the weights that are known; find_online.c and find_in_log.c find the weights. */
#include "product_roles.h"

#include <string.h>

#include "profiler/shim/process/pages.h"
#include "find_online.h"
#include "weight_table.h"

#define REFERENCE 8
#define LOST_AFTER 4 /* steps' worth of products without a weight, or of gradients without a step: they have moved */
#define TURNS_AHEAD 64 /* gradients that may be missing in a step */
/* steps; then every time their number has doubled, if there are gradients that belong to no weight */
#define RELEARN_FIRST 32

const char *gns_reason_name(enum gns_reason reason)
{
	static const char *const names[GNS_WHYS] = {
		[GNS_WHY_NONE] = "none", [GNS_WHY_NO_WEIGHT_MET] = "no_weight_met", [GNS_WHY_WRITTEN] = "written_in_step",
		[GNS_WHY_PRODUCED] = "output_of_product", [GNS_WHY_NOT_RECURRING] = "not_recurring", [GNS_WHY_NOT_YET] = "still_learning",
		[GNS_WHY_WEIGHT_OPERAND] = "product_of_weights", [GNS_WHY_TABLE_FULL] = "table_full",
		[GNS_WHY_ALIKE] = "changes_like_activation",
	};
	return reason < GNS_WHYS ? names[reason] : "unknown";
}

bool gns_roles_init(struct gns_roles *r)
{
	memset(r, 0, sizeof *r);
	r->weights = gns_pages(GNS_WEIGHTS_MAX * sizeof *r->weights);
	r->index = gns_pages(GNS_WEIGHT_SLOTS * sizeof *r->index);
	r->first = gns_pages(GNS_FIRST_USES * sizeof *r->first);
	r->turn = gns_pages(GNS_TURNS_MAX * sizeof *r->turn);
	r->orphans = gns_pages(GNS_WEIGHTS_MAX * sizeof *r->orphans);
	if (!gns_operand_uses_init(&r->uses) || !r->turn || !r->orphans || !r->weights || !r->index || !r->first) {
		gns_roles_free(r);
		return false;
	}
	r->learning = r->scan_works = true;
	r->relearn_at = RELEARN_FIRST;
	r->scan = 1; /* 0 stands for "never read" */
	return true;
}

void gns_roles_free(struct gns_roles *r)
{
	gns_operand_uses_free(&r->uses);
	gns_pages_free(r->weights, GNS_WEIGHTS_MAX * sizeof *r->weights);
	gns_pages_free(r->index, GNS_WEIGHT_SLOTS * sizeof *r->index);
	gns_pages_free(r->first, GNS_FIRST_USES * sizeof *r->first);
	gns_pages_free(r->orphans, GNS_WEIGHTS_MAX * sizeof *r->orphans);
	gns_pages_free(r->turn, GNS_TURNS_MAX * sizeof *r->turn);
	r->turn = NULL;
	r->orphans = NULL;
	r->weights = NULL;
	r->index = NULL;
	r->first = NULL;
}

void gns_roles_relearn(struct gns_roles *r)
{
	r->learning = true;
	r->settle = 3;
	r->n_writes = 0;
	r->learning_since = r->products;
	memset(r->first, 0, GNS_FIRST_USES * sizeof *r->first);
}

static bool no_weight(const struct gns_roles *r, const struct gns_weight *w)
{
	(void)r;
	(void)w;
	return false;
}

void gns_roles_restart(struct gns_roles *r)
{
	for (uint32_t i = 0; i < r->n_weights_used; i++) {
		const struct gns_weight *w = &r->weights[i];
		if (w->id && r->n_orphans < GNS_WEIGHTS_MAX)
			r->orphans[r->n_orphans++] = (struct gns_orphan){ w->key.slow_n, w->key.fast_n, w->key.dtype,
									  w->id };
	}
	gns_weights_keep(r, no_weight);
	gns_operand_uses_next_cycle(&r->uses);
	r->uses.no_prints = false;
	gns_roles_relearn(r);
	r->turns = 0;
	r->n_weights = r->settle = r->held = r->learned_steps = r->fruitless = 0;
	r->any_record = r->backward_seen = r->step_unclaimed = false;
	r->gradients = r->step_gradients = 0;
	r->trigger = (struct gns_key){ 0 };
	r->last_weight_use = r->products;
}

/* Reads the weight in use directly, without a system call. Usually the same weight begins every step and has changed.
 * */
static bool used_changed(const struct gns_roles *r, struct gns_weight *used)
{
	struct gns_fingerprint now;
	if (used->state != GNS_W_WEIGHT || used->print_scan + 1 != r->scan)
		return false;
	gns_fingerprint_take(&used->key, &now);
	if (gns_fingerprint_same(&used->print, &now))
		return false;
	used->print = now;
	used->print_scan = r->scan;
	return true;
}

/* Have weights been written since they were last looked at? A few first; all of them only when those have not
 * (dead units, frozen layers), so that a micro-step is not taken for a step nor the other way round. */
static bool weights_changed(struct gns_roles *r, struct gns_weight *used)
{
	const struct gns_key *keys[REFERENCE];
	struct gns_weight *which[REFERENCE];
	struct gns_fingerprint now[REFERENCE];
	bool ok[REFERENCE], changed = false;
	uint32_t next = 0;
	r->scan++;
	if (used_changed(r, used))
		return true;
	while (!changed && next < r->n_weights_used) {
		size_t n = 0;
		for (; n < REFERENCE && next < r->n_weights_used; next++) {
			struct gns_weight *w = &r->weights[next];
			if (w->state == GNS_W_WEIGHT && (r->scan_works || w == used)) {
				which[n] = w;
				keys[n++] = &w->key;
			}
		}
		if (r->scan_works && !gns_fingerprint_scan(keys, n, now, ok))
			r->scan_works = false;
		if (!r->scan_works) {
			n = 1;
			ok[0] = true;
			which[0] = used;
			gns_fingerprint_take(&used->key, &now[0]);
			next = r->n_weights_used;
		}
		for (size_t i = 0; i < n; i++) {
			if (!ok[i])
				continue;
			/* A weight that was not read at the last scan does not show when it changed. */
			if (which[i]->print_scan + 1 == r->scan && !gns_fingerprint_same(&which[i]->print, &now[i]))
				changed = true;
			which[i]->print = now[i];
			which[i]->print_scan = r->scan;
		}
	}
	return changed;
}

static void boundary(struct gns_roles *r, struct gns_weight *used, struct gns_verdict *out)
{
	bool changed;
	r->backward_seen = false;
	if (r->learning)
		changed = gns_find_online_boundary(r, used, &out->learned);
	else
		changed = weights_changed(r, used);
	if (!changed)
		return;
	gns_operand_uses_next_cycle(&r->uses);
	r->uses.no_prints = false; /* until it is known whether the step is measured */
	r->boundaries++;
	r->step_products = r->products - r->products_at_boundary;
	r->products_at_boundary = r->products;
	r->step_gradients = r->gradients;
	r->step_unclaimed = r->unclaimed;
	r->gradients = 0;
	r->unclaimed = false;
	out->boundary = true;
	if (r->boundaries >= r->relearn_at) {
		r->relearn_at *= 2;
		if (!r->learning && r->step_unclaimed)
			gns_roles_relearn(r);
	}
}

/* An activation at an address that a candidate once had must not be taken for the beginning of a step. */
static bool may_begin_step(const struct gns_roles *r, const struct gns_weight *w)
{
	return w->state == GNS_W_WEIGHT || gns_find_online_has_record(w) || (!r->n_weights && !r->any_record);
}

static void see_weight(struct gns_roles *r, struct gns_weight *w, const struct gns_operand *operand,
		       const struct gns_operand *other, struct gns_verdict *out)
{
	bool forward = operand->sum_fast == w->forward_sum_fast;
	if (forward && r->backward_seen && may_begin_step(r, w)) {
		struct gns_key key = w->key;
		out->forward_after_backward = true;
		boundary(r, w, out);
		w = gns_weight_find(r, &key);
		if (!w)
			return;
	}
	if (r->learning && !gns_find_online_check(r, w, other, forward)) {
		struct gns_key key = w->key;
		boundary(r, w, out);
		w = gns_weight_find(r, &key);
		if (!w)
			return;
		gns_find_online_check(r, w, other, forward);
	}
	if (w->state != GNS_W_WEIGHT)
		return;
	r->last_weight_use = r->products;
	if (forward)
		w->order = r->uses.seq;
	out->input = gns_operand_uses_add(&r->uses, other, operand, w->key.dtype);
	out->role = forward ? GNS_ROLE_FORWARD : GNS_ROLE_DGRAD;
	out->n = 1;
	out->weight[0] = (uint32_t)(w - r->weights);
}

/* Adds the weights that `matrix` was multiplied by; those that the other operand (as dY) was multiplied by, too, come
 * first. */
static void collect(struct gns_roles *r, struct gns_operand_use **met, unsigned n, const void *dy,
		    struct gns_verdict *out)
{
	for (unsigned i = 0; i < n; i++) {
		struct gns_weight *w = gns_weight_find(r, &met[i]->weight);
		if (!w || w->state != GNS_W_WEIGHT || met[i]->weight_sum_fast != w->forward_sum_fast)
			continue;
		uint32_t index = (uint32_t)(w - r->weights);
		bool there = false;
		for (unsigned j = 0; j < out->n; j++)
			there |= out->weight[j] == index;
		if (there || out->n == GNS_OPERAND_USES_FOUND)
			continue;
		out->weight[out->n] = index;
		out->output_gradient[out->n++] = dy;
	}
}

/* dY's own meeting with a weight, in its data-gradient product, settles which of several it is; and it is enough
 * alone where X was copied between the passes. */
static bool settle_by_dgrad(struct gns_roles *r, struct gns_operand_use **met, unsigned n, const void *dy,
			    struct gns_verdict *out)
{
	for (unsigned i = 0; i < n; i++) {
		struct gns_weight *w = gns_weight_find(r, &met[i]->weight);
		if (!w || w->state != GNS_W_WEIGHT || met[i]->weight_sum_fast == w->forward_sum_fast)
			continue;
		uint32_t index = (uint32_t)(w - r->weights);
		bool listed = out->n == 0;
		for (unsigned j = 0; j < out->n; j++)
			listed |= out->weight[j] == index;
		if (!listed)
			continue;
		out->n = 1;
		out->weight[0] = index;
		out->output_gradient[0] = dy;
		met[i]->taken = true;
		return true;
	}
	return false;
}

static void take_all(struct gns_roles *r, struct gns_operand_use **met, unsigned n, uint32_t index)
{
	for (unsigned i = 0; i < n; i++)
		met[i]->taken |= gns_weight_find(r, &met[i]->weight) == &r->weights[index];
}

static void take_forward(struct gns_roles *r, struct gns_operand_use **met, unsigned n, uint32_t index)
{
	for (unsigned i = 0; i < n; i++)
		if (gns_weight_find(r, &met[i]->weight) == &r->weights[index] &&
		    met[i]->weight_sum_fast == r->weights[index].forward_sum_fast)
			met[i]->taken = true;
}

/* By address alone, a use may be of another matrix that was at this address: prefer the weight whose turn it is in
 * the learned order. */
static bool settle_by_turn(struct gns_roles *r, struct gns_verdict *out)
{
	for (uint32_t at = r->turns_taken; at < r->turns && at < r->turns_taken + TURNS_AHEAD; at++)
		for (unsigned i = 0; i < out->n; i++)
			if (out->weight[i] == r->turn[at]) {
				out->weight[0] = out->weight[i];
				out->output_gradient[0] = out->output_gradient[i];
				out->n = 1;
				r->turns_taken = at + 1;
				return true;
			}
	return false;
}

static void see_gradient(struct gns_roles *r, const struct gns_product *p, struct gns_verdict *out)
{
	struct gns_operand_use *left[GNS_OPERAND_USES_FOUND], *right[GNS_OPERAND_USES_FOUND];
	unsigned n_left = gns_operand_uses_find(&r->uses, &p->left, p->n, p->dtype, left);
	unsigned n_right = gns_operand_uses_find(&r->uses, &p->right, p->m, p->dtype, right);
	collect(r, left, n_left, p->right.data, out);
	collect(r, right, n_right, p->left.data, out);
	if (settle_by_turn(r, out)) {
		take_all(r, left, n_left, out->weight[0]);
		take_all(r, right, n_right, out->weight[0]);
	} else if (!settle_by_dgrad(r, right, n_right, p->right.data, out))
		settle_by_dgrad(r, left, n_left, p->left.data, out);
	if (out->n == 1) {
		take_forward(r, left, n_left, out->weight[0]);
		take_forward(r, right, n_right, out->weight[0]);
	}
	if (out->n) {
		out->role = GNS_ROLE_WGRAD;
		r->backward_seen = true;
		return;
	}
	out->why = r->learning ? GNS_WHY_NOT_YET : GNS_WHY_NO_WEIGHT_MET;
	if (r->learning && n_left + n_right)
		gns_find_online_gradient(r, left, n_left, right, n_right);
}

static inline struct gns_weight *known(struct gns_roles *r, const struct gns_operand *o, uint32_t dtype)
{
	struct gns_key key = gns_operand_key(o, dtype);
	return gns_weight_find(r, &key);
}

static bool counts(const struct gns_weight *w)
{
	return w && w->state != GNS_W_REJECTED;
}

/* An ordinary product. While learning both operands may be candidates (an activation at an address where another's
 * partner once stood): both are looked at; a weight proper comes last, so that the verdict is its. */
static void see_ordinary(struct gns_roles *r, const struct gns_product *p, struct gns_weight *left,
			 struct gns_weight *right, struct gns_verdict *out)
{
	bool right_last = !counts(left) || left->state != GNS_W_WEIGHT;
	for (int i = 0; i < 2; i++) {
		bool is_right = (i == 1) == right_last;
		const struct gns_operand *o = is_right ? &p->right : &p->left, *other = is_right ? &p->left : &p->right;
		/* Found anew: a boundary moves the table. */
		struct gns_weight *w = i ? known(r, o, p->dtype) : is_right ? right : left;
		if (counts(w))
			see_weight(r, w, o, other, out);
	}
}

static void nothing_yet(struct gns_verdict *out)
{
	out->role = GNS_ROLE_OTHER;
	out->why = GNS_WHY_NONE;
	out->boundary = out->learned = out->forward_after_backward = false;
	out->n = 0;
	out->input = 0;
}

bool gns_roles_lost(const struct gns_roles *r)
{
	return r->products - r->last_weight_use > LOST_AFTER * r->step_products + 1000 ||
	       (r->step_gradients && r->gradients > LOST_AFTER * r->step_gradients + 16);
}

static void begin_counted_step(struct gns_roles *r, struct gns_verdict *out)
{
	gns_operand_uses_next_cycle(&r->uses);
	for (uint32_t i = 0; i < r->n_weights_used; i++)
		r->weights[i].gradients = 0;
	r->boundaries++;
	r->turns_taken = 0;
	r->steps_before += r->adopted;
	r->step_products = r->products - r->products_at_boundary;
	r->products_at_boundary = r->products;
	r->step_gradients = r->gradients;
	r->gradients = 0;
	out->boundary = true;
	out->learned = r->adopted;
}

static void follow_weight(struct gns_roles *r, struct gns_weight *w, const struct gns_operand *operand,
			  const struct gns_operand *other, struct gns_verdict *out)
{
	bool forward = operand->sum_fast == w->forward_sum_fast;
	if (forward && w->gradients >= w->per_step)
		begin_counted_step(r, out);
	out->forward_after_backward = forward && r->backward_seen;
	r->backward_seen &= !forward;
	r->last_weight_use = r->products;
	if (forward)
		w->order = r->uses.seq;
	gns_operand_uses_add(&r->uses, other, operand, w->key.dtype);
	out->role = forward ? GNS_ROLE_FORWARD : GNS_ROLE_DGRAD;
	out->n = 1;
	out->weight[0] = (uint32_t)(w - r->weights);
}

/* If the gradient may belong to several weights, it counts for the one with the fewest. */
static void count_gradient(struct gns_roles *r, const struct gns_verdict *v)
{
	struct gns_weight *least = &r->weights[v->weight[0]];
	for (unsigned i = 1; i < v->n; i++)
		if (r->weights[v->weight[i]].gradients < least->gradients)
			least = &r->weights[v->weight[i]];
	least->gradients++;
}

void gns_roles_follow(struct gns_roles *r, const struct gns_product *p, struct gns_verdict *out)
{
	struct gns_weight *left = known(r, &p->left, p->dtype), *right = known(r, &p->right, p->dtype);
	nothing_yet(out);
	r->products++;
	r->uses.no_prints = true;
	if (p->left.sum_fast == r->wgrad_sum_fast && p->right.sum_fast == r->wgrad_sum_fast) {
		if (left || right)
			out->why = GNS_WHY_WEIGHT_OPERAND;
		else
			see_gradient(r, p, out);
		r->why[out->why]++;
		r->gradients++;
		if (out->role == GNS_ROLE_WGRAD)
			count_gradient(r, out);
	} else if (right) {
		follow_weight(r, right, &p->right, &p->left, out);
	} else if (left) {
		follow_weight(r, left, &p->left, &p->right, out);
	}
}

void gns_roles_see(struct gns_roles *r, const struct gns_product *p, struct gns_verdict *out)
{
	nothing_yet(out);
	r->products++;

	struct gns_weight *left = known(r, &p->left, p->dtype), *right = known(r, &p->right, p->dtype);
	bool gradient_form = p->left.sum_fast == r->wgrad_sum_fast && p->right.sum_fast == r->wgrad_sum_fast;
	if (gradient_form) {
		if ((left && left->state == GNS_W_WEIGHT) || (right && right->state == GNS_W_WEIGHT))
			out->why = GNS_WHY_WEIGHT_OPERAND;
		else
			see_gradient(r, p, out);
		r->why[out->why]++;
		r->gradients++;
		r->unclaimed |= out->why != GNS_WHY_NONE;
	} else if (left || right) {
		see_ordinary(r, p, left, right, out);
	}
	if (r->learning) {
		gns_find_online_see(r, p, out, gradient_form);
	} else if (gns_roles_lost(r)) {
		gns_roles_restart(r);
		/* The weights of this GEMM have been removed from the table. */
		out->role = GNS_ROLE_OTHER;
		out->n = 0;
	}
}
