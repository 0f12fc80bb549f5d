/* Sorts the runs of a sweep and takes the best learning rate of each batch. */
#include "profiler/estimate/choose.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct key { double batch, lr, steps; size_t index; };

static int compare(double a, double b)
{
	return a < b ? -1 : a > b;
}

/* By batch, learning rate, then steps, a censored run (infinite steps) last. */
static int by_batch(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int c = compare(x->batch, y->batch);
	c = c ? c : compare(x->lr, y->lr);
	c = c ? c : compare(x->steps, y->steps);
	return c ? c : compare((double)x->index, (double)y->index);
}

/* The runs of one batch: sorted[from, to), rate after rate. */
struct batch {
	const struct gns_fit_point *points;
	const struct key *sorted;
	size_t from, to;
};

/* The runs of one batch and one learning rate: sorted[from, to). */
struct rate {
	size_t from, to, censored;
	double lr, median, bound; /* bound: the fewest steps of a censored run */
};

/* Whether every rate of the batch has a run of this seed. */
static bool has_all(const struct batch *b, int64_t seed)
{
	for (size_t i = b->from, j; i < b->to; i = j) {
		bool found = false;
		for (j = i; j < b->to && b->sorted[j].lr == b->sorted[i].lr; j++)
			found |= b->points[b->sorted[j].index].seed == seed;
		if (!found)
			return false;
	}
	return true;
}

/* Rates are compared on the seeds that all of them have, where there are such: the best of a few is often given more. */
static double median_of(const struct batch *b, const struct rate *r, bool common)
{
	double lo = NAN, hi = NAN;
	size_t n = 0, seen = 0;
	for (size_t i = r->from; i < r->to; i++)
		n += !common || has_all(b, b->points[b->sorted[i].index].seed);
	for (size_t i = r->from; i < r->to; i++) {
		if (common && !has_all(b, b->points[b->sorted[i].index].seed))
			continue;
		lo = seen == (n - 1) / 2 ? b->sorted[i].steps : lo;
		hi = seen == n / 2 ? b->sorted[i].steps : hi;
		seen++;
	}
	return (lo + hi) / 2;
}

static struct rate rate_of(const struct batch *b, size_t from, bool common)
{
	struct rate r = {.from = from, .lr = b->sorted[from].lr, .bound = INFINITY};
	for (r.to = from; r.to < b->to && b->sorted[r.to].lr == r.lr; r.to++) {
		const struct gns_fit_point *p = &b->points[b->sorted[r.to].index];
		r.censored += p->censored;
		r.bound = p->censored ? fmin(r.bound, p->steps) : r.bound;
	}
	r.median = median_of(b, &r, common);
	return r;
}

static bool better(const struct rate *a, const struct rate *b)
{
	if (isfinite(a->median) || isfinite(b->median))
		return a->median < b->median;
	double x = (double)a->censored / (double)(a->to - a->from), y = (double)b->censored / (double)(b->to - b->from);
	return x != y ? x < y : a->bound < b->bound;
}

static void take(struct gns_choice *out, const struct batch *b, const struct rate *best, size_t lrs, bool edge)
{
	double lr = best->lr, median = median_of(b, best, false);
	out->table[out->n_table++] = (struct gns_fit_batch){
		.batch = b->sorted[best->from].batch, .lr = isfinite(lr) ? lr : (double)NAN, .lrs = lrs, .lr_edge = lrs > 1 && edge,
		.runs = best->to - best->from, .censored = best->censored, .steps = isfinite(median) ? median : (double)NAN, .fitted = NAN,
	};
	out->batches_reached += best->censored < best->to - best->from;
	for (size_t i = best->from; i < best->to; i++) {
		out->point[out->n++] = b->points[b->sorted[i].index];
		out->taken[b->sorted[i].index] = true;
	}
}

static void choose_rate(struct gns_choice *out, const struct batch *b)
{
	bool common = false, edge = true;
	for (size_t i = b->from; i < b->to && !common; i++)
		common = has_all(b, b->points[b->sorted[i].index].seed);
	struct rate best = rate_of(b, b->from, common), r;
	size_t lrs = 1;
	for (size_t i = best.to; i < b->to; i = r.to) {
		r = rate_of(b, i, common);
		lrs++;
		if (better(&r, &best)) {
			best = r;
			edge = r.to == b->to;
		}
	}
	take(out, b, &best, lrs, edge);
}

static void choose_batches(const struct gns_fit_point *points, const struct key *sorted, size_t n, struct gns_choice *out)
{
	for (size_t from = 0, end; from < n; from = end) {
		for (end = from; end < n && sorted[end].batch == sorted[from].batch; end++)
			;
		choose_rate(out, &(struct batch){points, sorted, from, end});
	}
}

int gns_choose(const struct gns_fit_point *points, size_t n, struct gns_choice *out)
{
	*out = (struct gns_choice){.total = n};
	if (n == 0)
		return -ENODATA;
	for (size_t i = 0; i < n; i++)
		if (!(points[i].batch > 0) || !isfinite(points[i].batch) || !(points[i].steps > 0) || !isfinite(points[i].steps))
			return -EINVAL;
	struct key *sorted = calloc(n, sizeof *sorted);
	out->point = calloc(n, sizeof *out->point);
	out->table = calloc(n, sizeof *out->table);
	out->taken = calloc(n, sizeof *out->taken);
	if (!sorted || !out->point || !out->table || !out->taken) {
		free(sorted);
		gns_choice_free(out);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct key){points[i].batch, isnan(points[i].lr) ? (double)INFINITY : points[i].lr,
					 points[i].censored ? (double)INFINITY : points[i].steps, i};
	qsort(sorted, n, sizeof *sorted, by_batch);
	choose_batches(points, sorted, n, out);
	free(sorted);
	return 0;
}

void gns_choice_free(struct gns_choice *choice)
{
	free(choice->point);
	free(choice->table);
	free(choice->taken);
	*choice = (struct gns_choice){0};
}

void gns_choice_describe(const struct gns_choice *choice, struct gns_fit *out)
{
	double least = INFINITY;
	out->batches = choice->n_table;
	out->runs = choice->n;
	for (size_t i = 0; i < choice->n_table; i++) {
		const struct gns_fit_batch *b = &choice->table[i];
		out->censored += b->censored;
		if (b->steps * b->batch < least) {
			least = b->steps * b->batch;
			out->b_sfo = b->batch;
			out->b_sfo_edge = i == 0 || i + 1 == choice->n_table;
		}
	}
}

void gns_choice_copy(const struct gns_choice *choice, struct gns_fit_batch *table, size_t *n, bool *taken)
{
	if (n)
		*n = choice->n_table;
	if (table)
		memcpy(table, choice->table, choice->n_table * sizeof *table);
	if (taken)
		memcpy(taken, choice->taken, choice->total * sizeof *taken);
}
