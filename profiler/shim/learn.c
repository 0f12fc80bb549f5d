/* How weights become known. */
#include "learn.h"

#include <string.h>

#define SCAN_CHUNK 64
#define SETTLE_BOUNDARIES 2 /* after the first weights: one more step for those that showed up late */
#define LAYOUT_PATIENCE 2048 /* products without a candidate before the other storage order is tried, doubled each time */
#define LAYOUT_SCANS 4       /* boundaries without a weight, likewise */

static void reject(struct gns_roles *r, struct gns_weight *w, enum gns_reason why)
{
	w->state = GNS_W_REJECTED;
	w->why = (uint8_t)why;
	r->why[why]++;
}

static void read_one(struct gns_roles *r, struct gns_weight *w)
{
	const struct gns_key *key = &w->key;
	bool ok = false;
	if (r->scan_works && !gns_print_scan(&key, 1, &w->print, &ok))
		r->scan_works = false;
	w->print_scan = ok ? r->scan : 0;
}

void gns_learn_gradient(struct gns_roles *r, struct gns_use **left, unsigned n_left, struct gns_use **right, unsigned n_right)
{
	for (unsigned i = 0; i < n_left + n_right; i++) {
		const struct gns_use *use = i < n_left ? left[i] : right[i - n_left];
		struct gns_weight *w = gns_weight_find(r, &use->weight);
		if (!w) {
			w = gns_weight_add(r, &use->weight);
			if (!w) {
				r->why[GNS_WHY_TABLE_FULL]++;
				continue;
			}
			w->order = UINT32_MAX;
			read_one(r, w);
		}
		/* The forward product comes before the data gradient's: the earliest meeting tells the direction. */
		if (w->state == GNS_W_CANDIDATE && !w->checks && use->seq < w->order) {
			w->order = use->seq;
			w->forward_sum_fast = use->weight_sum_fast;
		}
		if (w->state == GNS_W_CANDIDATE)
			r->backward_seen = true;
	}
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

void gns_learn_check(struct gns_roles *r, struct gns_weight *w)
{
	struct gns_print now;
	if (w->state != GNS_W_CANDIDATE)
		return;
	gns_print_take(&w->key, &now);
	if (was_output(r, w)) {
		reject(r, w, GNS_WHY_PRODUCED);
	} else if (!r->scan_works) {
		/* Without the scan all that is left is that activations change wholly and weights a little. */
		if (w->print_scan && gns_print_distance(&w->print, &now, w->key.dtype) > 0.5) {
			reject(r, w, GNS_WHY_WRITTEN);
		} else if (!w->print_scan || !gns_print_same(&w->print, &now)) {
			w->checks += w->print_scan != 0;
			w->updates += w->print_scan != 0;
			w->print = now;
			w->print_scan = r->scan + 1;
		}
	} else if (w->print_scan == r->scan && r->scan && w->last_scan != r->scan) {
		if (gns_print_same(&w->print, &now))
			w->checks++;
		else
			reject(r, w, GNS_WHY_WRITTEN);
	}
	w->last_scan = r->scan;
}

static uint32_t scan_candidates(struct gns_roles *r)
{
	const struct gns_key *keys[SCAN_CHUNK];
	struct gns_weight *which[SCAN_CHUNK];
	struct gns_print now[SCAN_CHUNK];
	bool ok[SCAN_CHUNK];
	uint32_t changed_weights = 0;
	r->scan++;
	for (uint32_t next = 0; next < r->n_weights_used;) {
		size_t n = 0;
		for (; n < SCAN_CHUNK && next < r->n_weights_used; next++) {
			if (r->weights[next].state == GNS_W_REJECTED)
				continue;
			which[n] = &r->weights[next];
			keys[n] = &which[n]->key;
			n++;
		}
		if (!r->scan_works || !gns_print_scan(keys, n, now, ok)) {
			r->scan_works = false;
			break;
		}
		for (size_t i = 0; i < n; i++) {
			struct gns_weight *w = which[i];
			if (!ok[i]) {
				w->print_scan = 0;
				continue;
			}
			if (w->print_scan && !gns_print_same(&w->print, &now[i])) {
				w->updates++;
				/* One that was not looked at last time says nothing about when it changed. */
				changed_weights += w->state == GNS_W_WEIGHT && w->print_scan + 1 == r->scan;
			}
			w->print = now[i];
			w->print_scan = r->scan;
		}
	}
	return changed_weights;
}

static bool promote(struct gns_roles *r)
{
	bool any = false;
	for (;;) {
		/* Ids in order of forward use. */
		struct gns_weight *first = NULL;
		for (uint32_t i = 0; i < r->n_weights_used; i++) {
			struct gns_weight *w = &r->weights[i];
			if (w->state == GNS_W_CANDIDATE && w->checks && w->updates && (!first || w->order < first->order))
				first = w;
		}
		if (!first)
			return any;
		any = true;
		first->state = GNS_W_WEIGHT;
		first->id = ++r->n_weights;
		if (first->updates > r->steps_before && !r->boundaries)
			r->steps_before = first->updates;
	}
}

/* Weights stay; so do candidates that were seen since the last boundary, and what was rejected (it would come back) as long
 * as there is room. */
static bool worth_keeping(const struct gns_roles *r, const struct gns_weight *w)
{
	if (w->state == GNS_W_WEIGHT)
		return true;
	if (w->state == GNS_W_REJECTED)
		return w->last_scan + 3 > r->scan && r->n_weights_used < GNS_WEIGHTS_MAX / 2;
	return w->last_scan + 2 > r->scan || w->checks == 0;
}

static bool none(const struct gns_roles *r, const struct gns_weight *w)
{
	return false;
}

bool gns_learn_boundary(struct gns_roles *r, bool *learned)
{
	uint32_t before = r->n_weights;
	uint32_t changed = scan_candidates(r);
	*learned = promote(r);
	for (uint32_t i = 0; i < r->n_weights_used; i++) {
		struct gns_weight *w = &r->weights[i];
		if (w->state == GNS_W_CANDIDATE && !w->checks && w->last_scan + 2 < r->scan)
			reject(r, w, GNS_WHY_NOT_RECURRING);
	}
	gns_weights_keep(r, worth_keeping);
	r->n_writes = 0;
	if (*learned)
		r->settle = before ? r->settle : SETTLE_BOUNDARIES;
	bool boundary = r->n_weights && (changed || (*learned && !before));
	if (!r->scan_works && r->n_weights)
		boundary = true;
	if (boundary && r->settle && --r->settle == 0)
		r->learning = false;
	return boundary;
}

/* The order at hand is given up when a few steps came to nothing but rejected candidates, or when for long not even a candidate
 * was found. */
static void try_other_layout(struct gns_roles *r)
{
	if (r->n_weights || r->layout_tries >= 16)
		return;
	bool came_to_nothing = r->scan - r->layout_scan >= LAYOUT_SCANS && r->why[GNS_WHY_WRITTEN] + r->why[GNS_WHY_PRODUCED] > 0;
	bool nothing_came = r->n_weights_used == 0 && r->products >= (uint64_t)LAYOUT_PATIENCE << r->layout_tries;
	if (!came_to_nothing && !nothing_came)
		return;
	r->layout_tries++;
	r->layout_scan = r->scan;
	r->wgrad_sum_fast = !r->wgrad_sum_fast;
	gns_weights_keep(r, none);
}

void gns_learn_see(struct gns_roles *r, const struct gns_product *p, const struct gns_verdict *verdict, bool gradient_form)
{
	size_t size = gns_dtype_size(p->dtype);
	const char *lo = p->c;
	ptrdiff_t ld = p->c_row_stride > p->c_col_stride ? p->c_row_stride : p->c_col_stride;
	bool rows_slow = p->c_row_stride > p->c_col_stride;
	size_t slow = rows_slow ? p->m : p->n, fast = rows_slow ? p->n : p->m;
	if (!gradient_form) {
		/* A weight's own meeting is noted already. Otherwise each operand may be the other's weight; X's summed dimension is the one
		 * that is contiguous in the layout at hand. */
		if (verdict->role == GNS_ROLE_OTHER) {
			if (p->left.sum_fast != r->wgrad_sum_fast)
				gns_uses_add(&r->uses, &p->left, &p->right, p->dtype);
			if (p->right.sum_fast != r->wgrad_sum_fast)
				gns_uses_add(&r->uses, &p->right, &p->left, p->dtype);
		}
		r->writes[r->n_writes++ % GNS_WRITES].lo = lo;
		r->writes[(r->n_writes - 1) % GNS_WRITES].hi =
			lo + ((slow - 1) * (size_t)ld + fast) * size;
	}
	try_other_layout(r);
}
