/* Finds weights in a log of GEMMs. */
#include "find_in_log.h"

#include <string.h>

#include "profiler/shim/process/pages.h"
#include "weight_table.h"

#define USES (2 * GNS_LOG_MAX) /* use 2 i + s: operand s (0 left, 1 right) of product i */
#define ADDRESS_SLOTS (2 * USES)
#define INDEX_SLOTS (4 * GNS_LOG_CANDIDATES)
#define EVENTS (2 * GNS_LOG_MAX)
#define WALK_MAX 512   /* uses of one address that are looked at, from the newest on */
#define MET_MAX 8      /* weights that X or dY met */
#define PARTNERS_MAX 32
#define EVEN_STEPS 2   /* for (3): whole steps of several equal passes */
#define WANDER_STEPS 6 /* for (4): changes */
#define STAY_STEPS 2   /* where elements stay the same */
#define LAG_MAX 4
#define LESS 0.5       /* than its partners */
#define WANDERS 1.5
#define EARLY_STEPS 3  /* sooner, where nothing is in doubt: */
#define EARLY_WANDERS 2.2
#define STEADY 1.7     /* the partner's own; fresh data: 1.6 at most, full batch: 2.3 at least */
#define STAYS 0.25     /* share of its elements */
#define LITTLE 0.25    /* for (5) */
#define NEVER 0.02     /* a partner that changes less says nothing */

enum verdict { UNKNOWN = 0, NO, GREY, DOUBT, BY_CHANGE, BY_PASSES, WEIGHT };

struct version { /* of the values of a candidate, from one change to the next */
	uint32_t first_use, last_use;
	uint32_t gradients, passes;
	uint32_t x, dy; /* uses of its partners in the first forward and data-gradient product, +1 */
};

struct history {
	struct version version[GNS_LOG_STEPS + 2];
	uint32_t n;
};

bool gns_find_in_log_init(struct gns_find_in_log *l)
{
	memset(l, 0, sizeof *l);
	l->last = gns_pages(ADDRESS_SLOTS * sizeof *l->last);
	l->previous = gns_pages(USES * sizeof *l->previous);
	l->following = gns_pages(USES * sizeof *l->following);
	l->use = gns_pages(USES * sizeof *l->use);
	l->index = gns_pages(INDEX_SLOTS * sizeof *l->index);
	l->candidate = gns_pages(GNS_LOG_CANDIDATES * sizeof *l->candidate);
	l->event = gns_pages(EVENTS * sizeof *l->event);
	if (l->last && l->previous && l->following && l->use && l->index && l->candidate && l->event)
		return true;
	gns_find_in_log_free(l);
	return false;
}

void gns_find_in_log_free(struct gns_find_in_log *l)
{
	gns_pages_free(l->last, ADDRESS_SLOTS * sizeof *l->last);
	gns_pages_free(l->previous, USES * sizeof *l->previous);
	gns_pages_free(l->following, USES * sizeof *l->following);
	gns_pages_free(l->use, USES * sizeof *l->use);
	gns_pages_free(l->index, INDEX_SLOTS * sizeof *l->index);
	gns_pages_free(l->candidate, GNS_LOG_CANDIDATES * sizeof *l->candidate);
	gns_pages_free(l->event, EVENTS * sizeof *l->event);
	memset(l, 0, sizeof *l);
}

static const struct gns_operand *operand(const struct gns_logged *log, uint32_t use)
{
	return use & 1 ? &log[use >> 1].product.right : &log[use >> 1].product.left;
}

static const struct gns_fingerprint *print(const struct gns_logged *log, uint32_t use)
{
	return &log[use >> 1].print[use & 1];
}

static struct gns_key key_of(const struct gns_logged *log, uint32_t use)
{
	return gns_operand_key(operand(log, use), log[use >> 1].product.dtype);
}

static bool gradient_form(const struct gns_find_in_log *l, const struct gns_product *p)
{
	return p->left.sum_fast == l->wgrad_sum_fast && p->right.sum_fast == l->wgrad_sum_fast;
}

static uint64_t scatter(const void *data)
{
	return (uint64_t)(uintptr_t)data * 0x9e3779b97f4a7c15ull >> 32;
}

static void chain_uses(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t n)
{
	memset(l->last, 0, ADDRESS_SLOTS * sizeof *l->last);
	for (uint32_t u = 0; u < 2 * n; u++) {
		const void *data = operand(log, u)->data;
		uint32_t at = (uint32_t)scatter(data) % ADDRESS_SLOTS;
		while (l->last[at] && operand(log, l->last[at] - 1)->data != data)
			at = (at + 1) % ADDRESS_SLOTS;
		l->previous[u] = l->last[at];
		l->following[u] = 0;
		if (l->last[at])
			l->following[l->last[at] - 1] = u + 1;
		l->last[at] = u + 1;
	}
}

/* Under this key; `use` is the newest at its address that is known here. */
static struct gns_log_candidate *candidate_of(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t use)
{
	struct gns_key key = key_of(log, use);
	uint32_t at = (uint32_t)(scatter(key.data) + key.slow_n * 31 + key.fast_n) % INDEX_SLOTS;
	for (; l->index[at]; at = (at + 1) % INDEX_SLOTS)
		if (gns_key_same(&l->candidate[l->index[at] - 1].key, &key))
			return &l->candidate[l->index[at] - 1];
	if (l->n_candidates == GNS_LOG_CANDIDATES) {
		l->found.why[GNS_WHY_TABLE_FULL]++;
		return NULL;
	}
	l->index[at] = ++l->n_candidates;
	struct gns_log_candidate *c = &l->candidate[l->n_candidates - 1];
	*c = (struct gns_log_candidate){ .key = key };
	at = (uint32_t)scatter(key.data) % ADDRESS_SLOTS;
	while (operand(log, l->last[at] - 1)->data != key.data)
		at = (at + 1) % ADDRESS_SLOTS;
	c->last_use = l->last[at];
	return c;
}

/* Finds the uses, before or after a gradient GEMM, in which the matrix of its operand `use` was multiplied by a
 * possible weight: their other operands, nearest first. */
static unsigned find_met(const struct gns_find_in_log *l, const struct gns_logged *log, uint32_t use,
			 const uint32_t *chain, uint32_t *met)
{
	const struct gns_operand *o = operand(log, use);
	size_t other_width = operand(log, use ^ 1)->free_n;
	unsigned n = 0, steps = 0;
	for (uint32_t u = chain[use]; u && n < MET_MAX && steps < WALK_MAX; u = chain[u - 1], steps++) {
		const struct gns_product *p = &log[(u - 1) >> 1].product;
		const struct gns_operand *then = operand(log, u - 1);
		if (gradient_form(l, p) || then->free_n != o->sum_n || then->sum_n != o->free_n ||
		    then->sum_fast == l->wgrad_sum_fast ||
		    p->dtype != log[use >> 1].product.dtype || operand(log, (u - 1) ^ 1)->free_n != other_width ||
		    !gns_fingerprint_same(print(log, u - 1), print(log, use)))
			continue;
		met[n++] = (u - 1) ^ 1;
	}
	return n;
}

static void note_event(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t at, uint32_t met, int hint)
{
	struct gns_log_candidate *c = candidate_of(l, log, met);
	if (!c || l->n_events == EVENTS)
		return;
	l->event[l->n_events] = (struct gns_log_event){ .at = at, .met = met >> 1 };
	*(c->last_event ? &l->event[c->last_event - 1].next : &c->first_event) = l->n_events + 1;
	c->last_event = ++l->n_events;
	c->hint += hint;
}

/* The same matrix in both lists, the one way and the other: of several the latest. */
static bool in_both(const struct gns_logged *log, const uint32_t *a, unsigned n_a, const uint32_t *b, unsigned n_b,
		    uint32_t *forward)
{
	uint32_t latest = 0;
	bool any = false;
	for (unsigned i = 0; i < n_a; i++)
		for (unsigned j = 0; j < n_b; j++) {
			struct gns_key ka = key_of(log, a[i]), kb = key_of(log, b[j]);
			uint32_t late = a[i] > b[j] ? a[i] : b[j];
			if (!gns_key_same(&ka, &kb) || operand(log, a[i])->sum_fast == operand(log, b[j])->sum_fast ||
			    (any && late <= latest))
				continue;
			any = true;
			latest = late;
			*forward = a[i] < b[j] ? a[i] : b[j];
		}
	return any;
}

/* Of several that shared X, each gets one of the gradients. */
static void give_to_one(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t at, const uint32_t *met,
			unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct gns_log_candidate *c = candidate_of(l, log, met[i]);
		if (c && (!c->last_event || l->event[c->last_event - 1].met != met[i] >> 1)) {
			note_event(l, log, at, met[i], 0);
			return;
		}
	}
	if (n)
		note_event(l, log, at, met[0], 0);
}

/* A matrix that was multiplied by X and by dY (perhaps after this GEMM) is the candidate. If there is none, all that
 * were multiplied by either. */
static void find_candidates(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t i)
{
	uint32_t before[2][MET_MAX], after[MET_MAX], forward = 0;
	unsigned n[2] = { find_met(l, log, 2 * i, l->previous, before[0]),
			  find_met(l, log, 2 * i + 1, l->previous, before[1]) };
	bool strong = in_both(log, before[0], n[0], before[1], n[1], &forward);
	for (unsigned s = 0; s < 2 && !strong; s++)
		if (n[s])
			strong = in_both(log, before[s], n[s], after,
					 find_met(l, log, 2 * i + (s ^ 1), l->following, after), &forward);
	if (strong) {
		note_event(l, log, i, forward, operand(log, forward)->sum_fast ? 1 : -1);
		return;
	}
	give_to_one(l, log, i, before[n[0] ? 0 : 1], n[0] ? n[0] : n[1]);
}

/* All uses under the candidate's key, oldest first, to l->use. */
static uint32_t uses_of(struct gns_find_in_log *l, const struct gns_logged *log, const struct gns_log_candidate *c)
{
	uint32_t n = 0;
	for (uint32_t u = c->last_use; u; u = l->previous[u - 1]) {
		struct gns_key key = key_of(log, u - 1);
		if (gns_key_same(&key, &c->key))
			l->use[n++] = u - 1;
	}
	for (uint32_t i = 0; i < n / 2; i++) {
		uint32_t t = l->use[i];
		l->use[i] = l->use[n - 1 - i];
		l->use[n - 1 - i] = t;
	}
	return n;
}

static bool is_forward(const struct gns_find_in_log *l, const struct gns_logged *log,
		       const struct gns_log_candidate *c, uint32_t use)
{
	return !gradient_form(l, &log[use >> 1].product) && operand(log, use)->sum_fast == c->forward_sum_fast;
}

/* A pass begins with a forward use after a gradient, unless its X was there before: then it is computed once more. */
struct passes {
	const struct gns_fingerprint *seen[PARTNERS_MAX];
	uint32_t n_seen;
	bool gradient;
};

static bool begins_pass(struct passes *s, const struct gns_fingerprint *x)
{
	bool seen = false, begins;
	for (uint32_t i = 0; i < s->n_seen && i < PARTNERS_MAX; i++)
		seen |= gns_fingerprint_same(s->seen[i], x);
	begins = !s->n_seen || (s->gradient && !seen);
	if (!seen)
		s->seen[s->n_seen++ % PARTNERS_MAX] = x;
	if (begins)
		s->gradient = false;
	return begins;
}

/* How the values of a candidate changed; more than GNS_LOG_STEPS times: the newest. */
static void tell_history(const struct gns_find_in_log *l, const struct gns_logged *log,
			 const struct gns_log_candidate *c, uint32_t uses, struct history *h)
{
	struct passes passes = { 0 };
	uint32_t e = c->first_event;
	h->n = 0;
	for (uint32_t i = 0; i < uses; i++) {
		uint32_t use = l->use[i];
		for (; e && h->n && l->event[e - 1].at < use >> 1; e = l->event[e - 1].next) {
			h->version[h->n - 1].gradients++;
			passes.gradient = true;
		}
		if (!h->n || !gns_fingerprint_same(print(log, use), print(log, h->version[h->n - 1].last_use))) {
			if (h->n == GNS_LOG_STEPS + 2)
				memmove(h->version, h->version + 1, --h->n * sizeof *h->version);
			h->version[h->n++] = (struct version){ .first_use = use };
			passes = (struct passes){ 0 };
		}
		struct version *v = &h->version[h->n - 1];
		v->last_use = use;
		if (is_forward(l, log, c, use)) {
			v->passes += begins_pass(&passes, print(log, use ^ 1));
			if (!v->x)
				v->x = (use ^ 1) + 1;
		} else if (!v->dy && !gradient_form(l, &log[use >> 1].product)) {
			v->dy = (use ^ 1) + 1;
		}
	}
	for (; e && h->n; e = l->event[e - 1].next)
		h->version[h->n - 1].gradients++;
}

/* Finds the dimension that its forward GEMM sums over: the one of its first use with new values. */
static void find_direction(const struct gns_find_in_log *l, const struct gns_logged *log, struct gns_log_candidate *c,
			   uint32_t uses)
{
	int votes = 0;
	for (uint32_t i = 1; i < uses; i++)
		if (!gns_fingerprint_same(print(log, l->use[i]), print(log, l->use[i - 1])) &&
		    !gradient_form(l, &log[l->use[i] >> 1].product))
			votes += operand(log, l->use[i])->sum_fast ? 1 : -1;
	if (c->hint)
		votes = c->hint;
	c->forward_sum_fast = votes ? votes > 0 : uses && operand(log, l->use[0])->sum_fast;
}

static double distance(const struct gns_logged *log, uint32_t a, uint32_t b)
{
	struct gns_key ka = key_of(log, a), kb = key_of(log, b);
	if (ka.slow_n != kb.slow_n || ka.fast_n != kb.fast_n)
		return 1; /* other places were read */
	return gns_fingerprint_distance(print(log, a), print(log, b), ka.dtype);
}

enum of { OF_ITSELF, OF_X, OF_DY };

static uint32_t seat(const struct version *v, enum of of)
{
	return of == OF_ITSELF ? v->first_use + 1 : of == OF_X ? v->x : v->dy;
}

/* The mean distance between versions `lag` apart, -1 where there are none. */
static double change(const struct gns_logged *log, const struct history *h, enum of of, uint32_t lag)
{
	double sum = 0;
	uint32_t n = 0;
	for (uint32_t i = 0; i + lag < h->n; i++) {
		uint32_t a = seat(&h->version[i], of), b = seat(&h->version[i + lag], of);
		if (!a || !b)
			continue;
		sum += distance(log, a - 1, b - 1);
		n++;
	}
	return n ? sum / n : -1;
}

static bool wanders(const struct gns_logged *log, const struct history *h, enum of of, double than)
{
	double one = change(log, h, of, 1), most = 0;
	for (uint32_t lag = 2; lag <= LAG_MAX; lag++) {
		double d = change(log, h, of, lag);
		if (d > most)
			most = d;
	}
	return one > 0 && most > than * one;
}

/* In half precision most updates are too small to change every element; an activation of fresh data never keeps all
 * its bits. */
static bool stays(const struct gns_logged *log, const struct history *h, enum of of)
{
	uint32_t same = 0, all = 0;
	for (uint32_t i = 0; i + 1 < h->n; i++) {
		uint32_t u = seat(&h->version[i], of), v = seat(&h->version[i + 1], of);
		for (unsigned j = 0; u && v && j < GNS_PRINT_N; j++) {
			uint64_t a = print(log, u - 1)->bits[j], b = print(log, v - 1)->bits[j];
			all += a || b;
			same += a && a == b;
		}
	}
	return same > STAYS * all;
}

/* (3) Whole steps, the first and the last left out, all of equally many passes. */
static bool by_passes(const struct history *h)
{
	if (h->n < EVEN_STEPS + 2)
		return false;
	for (uint32_t i = 1; i + 1 < h->n; i++)
		if (h->version[i].passes != h->version[1].passes || h->version[i].gradients < h->version[i].passes)
			return false;
	return h->version[1].passes > 1;
}

/* (4) */
static enum verdict by_change(const struct gns_logged *log, const struct history *h)
{
	double own = change(log, h, OF_ITSELF, 1), x = change(log, h, OF_X, 1), dy = change(log, h, OF_DY, 1);
	bool less = own <= LESS * x && (dy < 0 || own <= LESS * dy);
	if (h->n > STAY_STEPS && less && x > NEVER && stays(log, h, OF_ITSELF) && !stays(log, h, OF_X) &&
	    !wanders(log, h, OF_X, STEADY))
		return BY_CHANGE;
	if (h->n > 1 && h->n <= WANDER_STEPS && x >= NEVER) {
		if (!less)
			return NO;
		bool early = h->n > EARLY_STEPS && !wanders(log, h, OF_X, STEADY) &&
			     wanders(log, h, OF_ITSELF, EARLY_WANDERS);
		return early ? BY_CHANGE : DOUBT;
	}
	if (h->n <= WANDER_STEPS || (x < NEVER && (dy < 0 || dy > NEVER)))
		return GREY;
	return less && !wanders(log, h, OF_X, STEADY) && wanders(log, h, OF_ITSELF, WANDERS) ? BY_CHANGE : NO;
}

static void judge(struct gns_find_in_log *l, const struct gns_logged *log, struct gns_log_candidate *c)
{
	struct history h;
	uint32_t uses = uses_of(l, log, c);
	find_direction(l, log, c, uses);
	tell_history(l, log, c, uses, &h);
	if (h.n && h.n - 1 > l->found.changes)
		l->found.changes = h.n - 1;
	c->verdict = by_passes(&h) ? BY_PASSES : (uint8_t)by_change(log, &h);
	if (c->verdict == NO)
		c->why = GNS_WHY_ALIKE;
}

/* (2) Any product, also those that make gradients. */
static bool written(const struct gns_find_in_log *l, const struct gns_logged *log, uint32_t uses)
{
	const char *at = operand(log, l->use[0])->data;
	for (uint32_t i = l->use[0] >> 1; uses && i < l->use[uses - 1] >> 1; i++) {
		const struct gns_product *p = &log[i].product;
		ptrdiff_t ld = p->c_row_stride > p->c_col_stride ? p->c_row_stride : p->c_col_stride;
		size_t slow = p->c_row_stride > p->c_col_stride ? p->m : p->n;
		const char *c = p->c;
		if (at >= c && at < c + slow * (size_t)ld * gns_dtype_size(p->c_dtype ? p->c_dtype : p->dtype))
			return true;
	}
	return false;
}

static void reject_written(struct gns_find_in_log *l, const struct gns_logged *log)
{
	for (uint32_t i = 0; i < l->n_candidates; i++) {
		struct gns_log_candidate *c = &l->candidate[i];
		if (c->verdict != NO && written(l, log, uses_of(l, log, c))) {
			c->verdict = NO;
			c->why = GNS_WHY_PRODUCED;
		}
	}
}

/* The place between two versions: after `from`, at the latest before `to`. */
static bool next_change(const struct gns_find_in_log *l, const struct gns_logged *log, uint32_t uses, uint32_t *i,
			uint32_t *from, uint32_t *to)
{
	for (++*i; *i < uses; ++*i)
		if (!gns_fingerprint_same(print(log, l->use[*i]), print(log, l->use[*i - 1]))) {
			*from = l->use[*i - 1] >> 1;
			*to = l->use[*i] >> 1;
			return true;
		}
	return false;
}

/* The fewest boundaries of which each change of each of the weights has one. */
static void find_points(struct gns_find_in_log *l, const struct gns_logged *log, enum verdict least)
{
	struct gns_found *f = &l->found;
	uint32_t after = 0;
	f->points = f->boundaries = 0;
	for (;;) {
		uint32_t best = UINT32_MAX;
		for (uint32_t k = 0; k < l->n_candidates; k++) {
			uint32_t i = 0, from, to;
			if (l->candidate[k].verdict < least)
				continue;
			uint32_t uses = uses_of(l, log, &l->candidate[k]);
			while (next_change(l, log, uses, &i, &from, &to))
				if (from >= after) {
					if (to < best)
						best = to;
					break;
				}
		}
		if (best == UINT32_MAX)
			return;
		if (f->points == GNS_LOG_STEPS)
			memmove(f->point, f->point + 1, --f->points * sizeof *f->point);
		f->point[f->points++] = after = best;
		f->boundaries++;
	}
}

/* A boundary is seen at the first use of a weight that was seen to change; the step began with the first forward use
 * of any weight that follows the last gradient. */
static void move_points_back(struct gns_find_in_log *l, const struct gns_logged *log)
{
	struct gns_found *f = &l->found;
	for (uint32_t i = 0; i < f->points; i++) {
		uint32_t last = 0, first = f->point[i];
		for (uint32_t k = 0; k < l->n_candidates; k++)
			for (uint32_t e = l->candidate[k].verdict == WEIGHT ? l->candidate[k].first_event
			     : 0; e; e = l->event[e - 1].next)
				if (l->event[e - 1].at < f->point[i] && l->event[e - 1].at > last)
					last = l->event[e - 1].at;
		for (uint32_t k = 0; k < l->n_candidates; k++) {
			if (l->candidate[k].verdict != WEIGHT)
				continue;
			uint32_t uses = uses_of(l, log, &l->candidate[k]);
			for (uint32_t j = 0; j < uses && l->use[j] >> 1 < first; j++)
				if (l->use[j] >> 1 > last && is_forward(l, log, &l->candidate[k], l->use[j]))
					first = l->use[j] >> 1;
		}
		f->point[i] = first;
	}
}

/* (5) */
static bool changes_with_others(struct gns_find_in_log *l, const struct gns_logged *log,
				const struct gns_log_candidate *c, enum verdict least)
{
	const struct gns_found *f = &l->found;
	uint32_t uses = uses_of(l, log, c), i = 0, from, to, n = 0, seen = 0;
	struct history h;
	while (next_change(l, log, uses, &i, &from, &to)) {
		bool stabbed = to < f->point[0] || from >= f->point[f->points - 1];
		for (uint32_t k = 0; k < f->points; k++)
			stabbed |= f->point[k] > from && f->point[k] <= to;
		if (!stabbed)
			return false;
		n++;
	}
	for (uint32_t e = c->first_event, k = 0; e; e = l->event[e - 1].next) {
		while (k < f->points && f->point[k] <= l->event[e - 1].at)
			k++;
		seen |= k < 32 ? 1u << k : 0;
	}
	tell_history(l, log, c, uses, &h);
	if (__builtin_popcount(seen) <= EVEN_STEPS)
		return false;
	if (!n)
		return true;
	bool weight_like = least == BY_PASSES || stays(log, &h, OF_ITSELF) ||
			   (h.n > WANDER_STEPS && wanders(log, &h, OF_ITSELF, WANDERS));
	return weight_like && change(log, &h, OF_ITSELF, 1) < LITTLE;
}

struct tally { /* of small numbers, to find the most frequent one */
	uint32_t times[64];
};

static void count(struct tally *t, uint32_t value)
{
	t->times[value < 64 ? value : 63]++;
}

static uint32_t usual(const struct tally *t)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < 64; i++)
		if (t->times[i] && (!best || t->times[i] > t->times[best]))
			best = i;
	return best;
}

/* Gradients and passes of one weight between two boundaries, by what its forward product belongs to. */
static void tell_step(const struct gns_find_in_log *l, const struct gns_logged *log, const struct gns_log_candidate *c,
		      uint32_t uses, uint32_t from, uint32_t to, uint32_t *gradients, uint32_t *passes, uint32_t *order)
{
	struct passes s = { 0 };
	uint32_t e = c->first_event;
	*gradients = *passes = 0;
	for (uint32_t i = 0; i < uses; i++) {
		uint32_t use = l->use[i], at = use >> 1;
		if (at < from || at >= to || !is_forward(l, log, c, use))
			continue;
		for (; e && l->event[e - 1].at < at; e = l->event[e - 1].next)
			s.gradient |= l->event[e - 1].at >= from;
		if (!s.n_seen)
			*order = at;
		*passes += begins_pass(&s, print(log, use ^ 1));
	}
	for (e = c->first_event; e; e = l->event[e - 1].next)
		*gradients += l->event[e - 1].at >= from && l->event[e - 1].at < to;
}

/* What a whole step has of each weight, and of all. */
static void count_steps(struct gns_find_in_log *l, const struct gns_logged *log)
{
	struct gns_found *f = &l->found;
	struct tally micro = { 0 };
	uint32_t sum[GNS_LOG_STEPS] = { 0 }, expected = 0, as_expected = 0;
	for (uint32_t k = 0; k < l->n_candidates; k++) {
		struct gns_log_candidate *c = &l->candidate[k];
		struct tally gradients = { 0 }, passes = { 0 };
		if (c->verdict != WEIGHT)
			continue;
		uint32_t uses = uses_of(l, log, c);
		for (uint32_t i = 0; i + 1 < f->points; i++) {
			uint32_t g, p;
			tell_step(l, log, c, uses, f->point[i], f->point[i + 1], &g, &p, &c->order);
			count(&gradients, g);
			count(&passes, p);
			sum[i] += g;
		}
		c->per_step = usual(&gradients);
		c->passes = usual(&passes);
		expected += c->per_step;
		count(&micro, c->passes);
	}
	f->micro_steps = usual(&micro);
	for (uint32_t i = 0; i + 1 < f->points; i++)
		as_expected += sum[i] == expected;
	for (uint32_t i = 0; expected && i + 1 < f->points; i++)
		/* at which nothing was seen to change */
		f->boundaries += sum[i] > expected ? sum[i] / expected - 1 : 0;
	f->gradients = 2 * as_expected >= f->points - 1 ? expected : 0;
}

static void list_weights(struct gns_find_in_log *l)
{
	struct gns_found *f = &l->found;
	for (uint32_t k = 0; k < l->n_candidates; k++) {
		const struct gns_log_candidate *c = &l->candidate[k];
		if (c->verdict != WEIGHT)
			continue;
		uint32_t at = f->n++;
		for (; at && l->candidate[f->order[at - 1]].order > c->order; at--)
			f->order[at] = f->order[at - 1];
		f->order[at] = k;
	}
}

/* The order of the gradients in the newest whole step: the events of all weights, of which each weight's are in
 * order. */
static void tell_turns(struct gns_find_in_log *l)
{
	struct gns_found *f = &l->found;
	if (f->points < 2)
		return;
	uint32_t from = f->point[f->points - 2], to = f->point[f->points - 1];
	for (uint32_t k = 0; k < f->n; k++) {
		const struct gns_log_candidate *c = &l->candidate[f->order[k]];
		for (uint32_t e = c->first_event; e && f->turns < GNS_TURNS_MAX; e = l->event[e - 1].next) {
			uint32_t at = l->event[e - 1].at, i = f->turns;
			if (at < from || at >= to)
				continue;
			for (; i && l->use[i - 1] > at; i--) {
				l->use[i] = l->use[i - 1];
				f->turn[i] = f->turn[i - 1];
			}
			l->use[i] = at;
			f->turn[i] = (uint16_t)k;
			f->turns++;
		}
	}
}

static uint32_t count_verdicts(const struct gns_find_in_log *l, enum verdict verdict)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < l->n_candidates; i++)
		n += l->candidate[i].verdict == verdict;
	return n;
}

static bool find_weights(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t n)
{
	struct gns_found *f = &l->found;
	l->n_candidates = l->n_events = 0;
	memset(l->index, 0, INDEX_SLOTS * sizeof *l->index);
	memset(f, 0, sizeof *f);
	for (uint32_t i = 0; i < n; i++)
		if (gradient_form(l, &log[i].product))
			find_candidates(l, log, i);
	for (uint32_t i = 0; i < l->n_candidates; i++)
		judge(l, log, &l->candidate[i]);
	reject_written(l, log);
	/* If most candidates have several passes a step, those that change with each pass are activations. */
	uint32_t even = count_verdicts(l, BY_PASSES), wander = count_verdicts(l, BY_CHANGE);
	enum verdict least = even && even >= wander ? BY_PASSES : BY_CHANGE;
	/* Wait until all weights have been seen that often. */
	uint32_t steps = least == BY_PASSES ? EVEN_STEPS : count_verdicts(l, DOUBT) ? WANDER_STEPS : EARLY_STEPS;
	if (even + wander)
		find_points(l, log, least);
	for (uint32_t i = 0; i < l->n_candidates; i++) {
		struct gns_log_candidate *c = &l->candidate[i];
		bool sure = c->verdict >= least;
		if (f->points > steps && (sure || (c->verdict != NO && changes_with_others(l, log, c, least)))) {
			c->verdict = WEIGHT;
			continue;
		}
		f->why[c->why ? c->why : GNS_WHY_WRITTEN]++;
	}
	move_points_back(l, log);
	count_steps(l, log);
	list_weights(l);
	tell_turns(l);
	return f->n > 0;
}

bool gns_find_in_log(struct gns_find_in_log *l, const struct gns_logged *log, uint32_t n)
{
	struct gns_found *first = &l->found_first;
	if (n > GNS_LOG_MAX)
		return false;
	chain_uses(l, log, n);
	l->wgrad_sum_fast = false;
	if (find_weights(l, log, n))
		return true;
	*first = l->found;
	l->wgrad_sum_fast = true;
	if (find_weights(l, log, n))
		return true;
	if (first->changes >= l->found.changes)
		l->found = *first;
	return false;
}
