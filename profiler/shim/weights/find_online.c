/* Finds weights among the operands of GEMMs while the program runs. */
#include "find_online.h"
#include "find_in_log.h"

#include <string.h>

#include "weight_table.h"

/* scans that a candidate is kept without being used: an address may hold others for a while */
#define REMEMBER 8
#define SETTLE_BOUNDARIES 2 /* after the first weights: one more step for those that showed up late */
/* products without a candidate before the other storage order is tried, doubled each time */
#define LAYOUT_PATIENCE 2048
#define HOLD_MAX 3          /* boundaries that the first weights wait for the step's first matrix */
#define STRIKES 2
#define LEARN_STEPS_MAX 12
#define TRIGGERS_MAX 4 /* boundaries that one candidate brings about without another to bear it out */
#define FRUITLESS 16 /* gradient products, one after the other, whose every supposed weight was rejected */

bool gns_find_online_has_record(const struct gns_weight *w)
{
	return w->accepted || w->trigger_accepted;
}

static void reject(struct gns_roles *r, struct gns_weight *w, enum gns_reason why)
{
	w->rejected_scan = r->scan;
	w->state = GNS_W_REJECTED;
	w->why = (uint8_t)why;
	r->why[why]++;
}

static void read_one(struct gns_roles *r, struct gns_weight *w)
{
	const struct gns_key *key = &w->key;
	bool ok = false;
	if (r->scan_works && !gns_fingerprint_scan(&key, 1, &w->print, &ok))
		r->scan_works = false;
	w->print_scan = ok ? r->scan : 0;
}

static struct gns_first_use *first_slot(struct gns_roles *r, const void *data, size_t slow_n, size_t fast_n)
{
	uint32_t at = (uint32_t)(((uint64_t)(uintptr_t)data * 0x9e3779b97f4a7c15ull) >> 50);
	for (uint32_t i = 0; i < 16; i++) {
		struct gns_first_use *f = &r->first[(at + i) & (GNS_FIRST_USES - 1)];
		if (!f->data || (f->data == data && f->slow_n == slow_n && f->fast_n == fast_n))
			return f;
	}
	return NULL;
}

static void note_first(struct gns_roles *r, const struct gns_operand *o, uint32_t dtype)
{
	struct gns_key key = gns_operand_key(o, dtype);
	struct gns_first_use *f = first_slot(r, key.data, key.slow_n, key.fast_n);
	if (f && !f->data)
		*f = (struct gns_first_use){ key.data, key.slow_n, key.fast_n, o->sum_fast };
}

static bool first_direction(struct gns_roles *r, const struct gns_operand_use *use)
{
	const struct gns_first_use *f = first_slot(r, use->weight.data, use->weight.slow_n, use->weight.fast_n);
	return f && f->data ? f->sum_fast : use->weight_sum_fast;
}

void gns_find_online_gradient(struct gns_roles *r, struct gns_operand_use **left, unsigned n_left,
			      struct gns_operand_use **right, unsigned n_right)
{
	bool fruitless = true;
	struct gns_weight *mine = NULL;
	for (unsigned i = 0; i < n_left + n_right; i++) {
		const struct gns_operand_use *use = i < n_left ? left[i] : right[i - n_left];
		struct gns_weight *w = gns_weight_find(r, &use->weight);
		if (!w) {
			w = gns_weight_add(r, &use->weight);
			if (!w) {
				r->why[GNS_WHY_TABLE_FULL]++;
				continue;
			}
			w->forward_sum_fast = first_direction(r, use);
			w->last_scan = r->scan;
			read_one(r, w);
		}
		if (w->state == GNS_W_CANDIDATE) {
			r->backward_seen = true;
			fruitless = false;
			if (!mine || (gns_find_online_has_record(w) && !gns_find_online_has_record(mine)))
				mine = w;
			/* The use that passed the check is the one that this gradient belongs to. */
			if (w->checked_seq && use->seq + 1 >= w->checked_seq)
				w->accepted += w->checks > w->accepted;
			if (w->triggered_seq && use->seq + 1 >= w->triggered_seq)
				w->trigger_accepted = true;
			r->any_record |= gns_find_online_has_record(w);
		} else {
			w->last_scan = r->scan; /* rejected and still in use: keep the entry */
		}
	}
	r->fruitless += fruitless;
	if (mine)
		mine->gradients++;
}

static bool was_output(const struct gns_roles *r, const struct gns_weight *w)
{
	const char *p = w->key.data;
	uint32_t n = r->n_writes < GNS_WRITES ? r->n_writes : GNS_WRITES;
	for (uint32_t i = 0; i < n; i++)
		if (p >= r->writes[i].lo && p < r->writes[i].hi)
			return true;
	return false;
}

/* The candidate whose use began the step has passed check (2) trivially. Records whether its partner looks more like
 * a weight. */
static void note_partner(struct gns_weight *w, const struct gns_operand *partner, double own_change)
{
	struct gns_key key = gns_operand_key(partner, w->key.dtype);
	struct gns_fingerprint now;
	gns_fingerprint_take(&key, &now);
	double its_change = w->partner_data == key.data ? gns_fingerprint_distance(&w->partner, &now, key.dtype) : 1;
	if (w->partner_data)
		w->lone_good = w->partner_data != key.data || its_change == 0 || own_change < its_change;
	w->partner = now;
	w->partner_data = key.data;
}

/* Not at once: before the first weights are known the beginning of a step may have been taken for another place. */
static void strike(struct gns_roles *r, struct gns_weight *w)
{
	w->checks = w->print_scan = 0;
	w->checked_seq = w->triggered_seq = 0;
	if (++w->strikes >= STRIKES)
		reject(r, w, GNS_WHY_WRITTEN);
}

static bool check_candidate(struct gns_roles *r, struct gns_weight *w, const struct gns_fingerprint *now)
{
	if (was_output(r, w)) {
		reject(r, w, GNS_WHY_PRODUCED);
	} else if (r->scan_works && w->print_scan == r->scan) {
		if (!gns_fingerprint_same(&w->print, now)) {
			/* If it has passed the check before, a step boundary was probably missed. */
			if (gns_find_online_has_record(w))
				return true;
			strike(r, w);
		} else if (w->trigger_scan != r->scan && w->checked_scan != r->scan) {
			w->checks++;
			w->checked_scan = r->scan;
		}
	}
	return false;
}

/* Another candidate, written in the same interval as the one whose use began the step, has passed: accepts the
 * latter. */
static void confirm_trigger(struct gns_roles *r)
{
	struct gns_weight *w = r->trigger.data ? gns_weight_find(r, &r->trigger) : NULL;
	if (w && w->trigger_scan == r->scan && w->changed_scan == r->scan)
		w->trigger_confirmed = true;
}

/* At every use, whichever way it is summed over: a weight's values hold through the whole step. */
bool gns_find_online_check(struct gns_roles *r, struct gns_weight *w, const struct gns_operand *partner, bool forward)
{
	struct gns_fingerprint now;
	gns_fingerprint_take(&w->key, &now);
	if (w->state == GNS_W_CANDIDATE && check_candidate(r, w, &now))
		return false;
	w->last_scan = r->scan;
	if (w->state == GNS_W_REJECTED || !forward || !r->scan_works || w->print_scan != r->scan)
		return true;
	w->order = r->uses.seq++;
	if (w->trigger_scan == r->scan) {
		w->triggered_seq = r->uses.seq;
		note_partner(w, partner, w->last_change);
	} else {
		w->checked_seq = r->uses.seq;
		if (w->changed_scan == r->scan && gns_fingerprint_same(&w->print, &now))
			confirm_trigger(r);
	}
	return true;
}

static uint32_t scan_candidates(struct gns_roles *r)
{
	struct gns_scan *s = &r->scanning;
	uint32_t changed_weights = 0;
	r->scan++;
	r->scan_works = true; /* an earlier failure may have been a temporary lack of descriptors */
	for (uint32_t next = 0; next < r->n_weights_used;) {
		size_t n = 0;
		for (; n < GNS_SCAN_CHUNK && next < r->n_weights_used; next++) {
			if (r->weights[next].state == GNS_W_REJECTED)
				continue;
			s->which[n] = &r->weights[next];
			s->keys[n] = &s->which[n]->key;
			n++;
		}
		if (!gns_fingerprint_scan(s->keys, n, s->now, s->ok)) {
			r->scan_works = false;
			break;
		}
		for (size_t i = 0; i < n; i++) {
			struct gns_weight *w = s->which[i];
			if (!s->ok[i]) {
				w->print_scan = 0;
				continue;
			}
			if (w->print_scan && !gns_fingerprint_same(&w->print, &s->now[i])) {
				w->updates++;
				w->gradients_last = w->gradients;
				w->gradients = 0;
				w->changed_scan = r->scan;
				w->last_change = gns_fingerprint_distance(&w->print, &s->now[i], w->key.dtype);
				/* A weight that was not read at the last scan does not show when it changed. */
				changed_weights += w->state == GNS_W_WEIGHT && w->print_scan + 1 == r->scan;
			}
			w->print = s->now[i];
			w->print_scan = r->scan;
		}
	}
	return changed_weights;
}

static bool believable(const struct gns_roles *r, const struct gns_weight *w, uint32_t others)
{
	/* Only where they have just been written: all become known at the same boundary, that of a step. */
	if (w->state != GNS_W_CANDIDATE || !r->scan_works || w->changed_scan != r->scan)
		return false;
	if (w->accepted)
		return true;
	if (!w->trigger_scan || !w->trigger_accepted)
		return false;
	return w->trigger_confirmed || (!others && !r->n_weights && w->updates > 1 && w->lone_good);
}

/* Counts recurring candidates, without those whose own use began a step. */
static uint32_t count_others(const struct gns_roles *r)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->n_weights_used; i++)
		n += r->weights[i].state == GNS_W_CANDIDATE && !r->weights[i].trigger_scan &&
		     r->weights[i].last_scan + 1 == r->scan;
	return n;
}

/* Weights are written together. Where most of those that have stood the test were not written just now, this is no
 * boundary of steps, and the few that were written are activations. */
static bool written_together(struct gns_roles *r)
{
	uint32_t changed = 0, same = 0;
	for (uint32_t i = 0; i < r->n_weights_used; i++) {
		const struct gns_weight *w = &r->weights[i];
		if (w->state == GNS_W_WEIGHT || (w->state == GNS_W_CANDIDATE && gns_find_online_has_record(w)))
			*(w->changed_scan == r->scan ? &changed : &same) += 1;
	}
	if (changed >= same)
		return true;
	for (uint32_t i = 0; i < r->n_weights_used; i++) {
		struct gns_weight *w = &r->weights[i];
		if (w->state == GNS_W_CANDIDATE && gns_find_online_has_record(w) && w->changed_scan == r->scan)
			reject(r, w, GNS_WHY_WRITTEN);
	}
	return false;
}

/* The first set of weights is announced whole: while the step's first matrix is still in question the others wait a
 * while. */
static bool first_in_question(struct gns_roles *r, uint32_t others)
{
	bool any = false, question = false;
	if (r->n_weights || r->held == HOLD_MAX)
		return false;
	for (uint32_t i = 0; i < r->n_weights_used; i++) {
		const struct gns_weight *w = &r->weights[i];
		bool good = believable(r, w, others);
		any |= good;
		question |= w->state == GNS_W_CANDIDATE && w->trigger_accepted && !good;
	}
	r->held += any && question;
	return question;
}

/* That of one of its shape which has gone, or a new one. */
static uint32_t next_id(struct gns_roles *r, const struct gns_key *key)
{
	uint32_t best = r->n_orphans;
	for (uint32_t i = 0; i < r->n_orphans; i++) {
		const struct gns_orphan *o = &r->orphans[i];
		if (o->slow_n == key->slow_n && o->fast_n == key->fast_n && o->dtype == key->dtype &&
		    (best == r->n_orphans || o->id < r->orphans[best].id))
			best = i;
	}
	if (best == r->n_orphans)
		return ++r->ids;
	uint32_t id = r->orphans[best].id;
	r->orphans[best] = r->orphans[--r->n_orphans];
	return id;
}

static bool promote(struct gns_roles *r, uint32_t others)
{
	bool any = false;
	if (!written_together(r) || first_in_question(r, others))
		return false;
	for (;;) {
		/* Ids in order of forward use. */
		struct gns_weight *first = NULL;
		for (uint32_t i = 0; i < r->n_weights_used; i++) {
			struct gns_weight *w = &r->weights[i];
			if (believable(r, w, others) && (!first || w->order < first->order))
				first = w;
		}
		if (!first)
			return any;
		any = true;
		first->state = GNS_W_WEIGHT;
		first->id = next_id(r, &first->key);
		r->n_weights++;
	}
}

static bool none(const struct gns_roles *r, const struct gns_weight *w)
{
	(void)r;
	(void)w;
	return false;
}

void gns_roles_adopt(struct gns_roles *r, const struct gns_find_in_log *l)
{
	const struct gns_found *f = &l->found;
	gns_weights_keep(r, none);
	gns_operand_uses_next_cycle(&r->uses);
	r->learning = r->backward_seen = false;
	r->announced = r->adopted = true;
	r->wgrad_sum_fast = l->wgrad_sum_fast;
	r->n_weights = 0;
	for (uint32_t i = 0; i < f->n; i++) {
		const struct gns_log_candidate *c = &l->candidate[f->order[i]];
		struct gns_weight *w = gns_weight_add(r, &c->key);
		if (!w)
			break;
		w->state = GNS_W_WEIGHT;
		w->forward_sum_fast = c->forward_sum_fast;
		w->per_step = c->per_step ? c->per_step : 1;
		w->passes = c->passes ? c->passes : 1;
		w->id = next_id(r, &w->key);
		r->n_weights++;
	}
	for (unsigned i = 0; i < GNS_WHYS; i++)
		r->why[i] += f->why[i];
	memcpy(r->turn, f->turn, f->turns * sizeof *r->turn);
	r->turns = f->turns;
	r->turns_taken = 0;
	r->steps_before = f->boundaries;
	r->expected_gradients = f->gradients;
	r->last_weight_use = r->products_at_boundary = r->products;
	r->gradients = r->step_gradients = r->step_products = 0;
}

/* Weights stay; so do candidates that were seen since the last boundary, and what was rejected (it would come back)
 * as long as there is room. */
static bool worth_keeping(const struct gns_roles *r, const struct gns_weight *w)
{
	if (w->state == GNS_W_WEIGHT)
		return true;
	if (w->state == GNS_W_REJECTED)
		return w->rejected_scan + REMEMBER > r->scan && r->n_weights_used < GNS_WEIGHTS_MAX / 2;
	return w->last_scan + REMEMBER >= r->scan;
}

/* Weights that have just become known and were found changed by this very scan. */
static uint32_t count_changed(const struct gns_roles *r)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->n_weights_used; i++)
		n += r->weights[i].state == GNS_W_WEIGHT && r->weights[i].changed_scan == r->scan;
	return n;
}

static bool is_weight(const struct gns_roles *r, const struct gns_weight *w)
{
	(void)r;
	return w->state == GNS_W_WEIGHT;
}

/* Ends learning when it finds no more weights, or after a bounded number of steps. */
static void end_of_learning(struct gns_roles *r, bool fruit)
{
	for (uint32_t i = 0; i < r->n_weights_used && !fruit; i++)
		fruit = r->weights[i].state == GNS_W_CANDIDATE && gns_find_online_has_record(&r->weights[i]) &&
			!r->weights[i].strikes;
	if (fruit && r->learned_steps < LEARN_STEPS_MAX)
		r->settle = SETTLE_BOUNDARIES;
	r->learned_steps++;
	if (r->settle && --r->settle == 0) {
		r->learning = false;
		r->learned_steps = 0;
		gns_weights_keep(r, is_weight);
	}
}

bool gns_find_online_boundary(struct gns_roles *r, struct gns_weight *trigger, bool *learned)
{
	uint32_t changed = scan_candidates(r), others = count_others(r), before = r->n_weights;
	*learned = promote(r, others);
	if (*learned && !before)
		changed = count_changed(r);
	trigger->trigger_scan = r->scan;
	trigger->triggers++;
	r->trigger = trigger->key;
	for (uint32_t i = 0; i < r->n_weights_used; i++) {
		struct gns_weight *w = &r->weights[i];
		if (w->state != GNS_W_CANDIDATE)
			continue;
		if (!w->checks && w->last_scan + REMEMBER < r->scan)
			reject(r, w, GNS_WHY_NOT_RECURRING);
		else if (w->triggers >= TRIGGERS_MAX && !others)
			reject(r, w, GNS_WHY_WRITTEN);
	}
	gns_weights_keep(r, worth_keeping);
	r->n_writes = 0;
	if (!r->n_weights || (!changed && r->scan_works))
		return false;
	/* A step begins here; the first one to do so with weights known is where measuring can start. */
	if (!r->announced) {
		r->announced = *learned = true;
		for (uint32_t i = 0; i < r->n_weights_used; i++) {
			const struct gns_weight *w = &r->weights[i];
			if (w->state != GNS_W_WEIGHT)
				continue;
			if (w->updates > r->steps_before)
				r->steps_before = w->updates;
			r->expected_gradients += w->gradients_last;
		}
	}
	end_of_learning(r, r->n_weights > before);
	return true;
}

/* Tries the other storage order when all candidates of the present one were rejected, or when it had none for long. */
static void try_other_layout(struct gns_roles *r)
{
	if (r->n_weights || r->layout_tries >= 16)
		return;
	if (r->fruitless < FRUITLESS && r->products - r->learning_since < (uint64_t)LAYOUT_PATIENCE << r->layout_tries)
		return;
	for (uint32_t i = 0; i < r->n_weights_used; i++)
		if (r->weights[i].state == GNS_W_CANDIDATE)
			return;
	r->layout_tries++;
	r->fruitless = 0;
	r->any_record = false;
	r->wgrad_sum_fast = !r->wgrad_sum_fast;
	gns_weights_keep(r, none);
}

void gns_find_online_see(struct gns_roles *r, const struct gns_product *p, const struct gns_verdict *verdict,
			 bool gradient_form)
{
	size_t size = gns_dtype_size(p->dtype);
	const char *lo = p->c;
	ptrdiff_t ld = p->c_row_stride > p->c_col_stride ? p->c_row_stride : p->c_col_stride;
	bool rows_slow = p->c_row_stride > p->c_col_stride;
	size_t slow = rows_slow ? p->m : p->n, fast = rows_slow ? p->n : p->m;
	if (!gradient_form) {
		note_first(r, &p->left, p->dtype);
		note_first(r, &p->right, p->dtype);
		/* A weight's own meeting is noted already. Otherwise each operand may be the other's weight; X's
		 * summed dimension is the one that is contiguous in the layout at hand. */
		if (verdict->role == GNS_ROLE_OTHER) {
			if (p->left.sum_fast != r->wgrad_sum_fast)
				gns_operand_uses_add(&r->uses, &p->left, &p->right, p->dtype);
			if (p->right.sum_fast != r->wgrad_sum_fast)
				gns_operand_uses_add(&r->uses, &p->right, &p->left, p->dtype);
		}
		r->writes[r->n_writes++ % GNS_WRITES].lo = lo;
		r->writes[(r->n_writes - 1) % GNS_WRITES].hi =
			lo + ((slow - 1) * (size_t)ld + fast) * size;
	}
	try_other_layout(r);
}
