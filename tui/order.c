/* Filter, sort, fold. */
#include "tui/order.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool gns_filter_matches(const char *filter, const char *text)
{
	return !filter[0] || strcasestr(text, filter) != NULL;
}

char *gns_group_of(char *buf, size_t size, const char *name, enum gns_fold fold)
{
	size_t end = 0;
	const char *at = name;
	while (fold != GNS_FOLD_OFF) {
		size_t part = strcspn(at, ".");
		bool number = part > 0 && strspn(at, "0123456789") == part;
		if (at[part] != '.')
			break;
		if (number || (fold == GNS_FOLD_TOPS && at == name)) {
			end = (size_t)(at - name) + part;
			break;
		}
		at += part + 1;
	}
	snprintf(buf, size, "%.*s", (int)(end < size ? end : size - 1), name);
	return buf;
}

static bool is_open(const struct gns_ui *ui, const char *group)
{
	for (size_t i = 0; i < ui->n_open; i++)
		if (strcmp(ui->open[i], group) == 0)
			return true;
	return false;
}

static void set_past(struct gns_layer_row *row, const struct gns_history *h, const struct gns_layer *const *layers, size_t n)
{
	size_t max = sizeof row->past / sizeof *row->past;
	row->n_past = h->points < max ? h->points : max;
	for (size_t k = 0; k < row->n_past; k++) {
		double s = 0, g2 = 0;
		for (size_t i = 0; i < n; i++) {
			size_t id = (size_t)layers[i]->param_id;
			if (layers[i]->excluded || id >= h->params)
				continue;
			s += h->s[id * h->points + k];
			g2 += h->g2[id * h->points + k];
		}
		row->past[k] = g2 > 0 && s > 0 ? log(s / g2) : (double)NAN;
	}
}

static struct gns_layer_row row_of(const struct gns_model *m, const struct gns_layer *l)
{
	struct gns_layer_row row = {.layer = l, .s = l->s, .g2 = l->g2, .share_s = l->share_s, .share_g2 = l->share_g2,
				    .b_noise = l->b_noise, .count = l->count};
	snprintf(row.name, sizeof row.name, "%s", l->name);
	set_past(&row, &m->history, &l, 1);
	return row;
}

static void widen(double *limit, double value, bool down)
{
	if (isnan(*limit) || (down ? value < *limit : value > *limit))
		*limit = value;
}

/* The sum over weights of means a step; limits are the hull of the members' own, absent when one of them is open. */
static struct gns_layer_row group_row(const struct gns_model *m, const char *name, const struct gns_layer *const *layers, size_t n)
{
	struct gns_layer_row row = {.members = n, .b_noise = {NAN, NAN, NAN, false, 0}};
	bool closed = true;
	snprintf(row.name, sizeof row.name, "%s", name);
	for (size_t i = 0; i < n; i++) {
		const struct gns_layer *l = layers[i];
		if (l->excluded || !(l->count > 0))
			continue;
		row.s += l->s;
		row.g2 += l->g2;
		row.share_s += l->share_s;
		row.share_g2 += l->share_g2;
		row.count = fmax(row.count, l->count);
		closed &= l->b_noise.resolved;
		widen(&row.b_noise.lo, l->b_noise.lo, true);
		widen(&row.b_noise.hi, l->b_noise.hi, false);
	}
	row.b_noise.resolved = row.count > 0 && row.g2 > 0 && row.s > 0;
	row.b_noise.value = row.b_noise.resolved ? row.s / row.g2 : (double)NAN;
	if (!closed)
		row.b_noise.lo = row.b_noise.hi = NAN;
	set_past(&row, &m->history, layers, n);
	return row;
}

/* ---- sorting ---- */

struct sorting {
	enum gns_sort by;
	bool reverse;
};

static double key_of(const struct gns_layer_row *row, enum gns_sort by)
{
	double key = by == GNS_SORT_FIRST ? (row->b_noise.resolved ? row->b_noise.value : row->b_noise.lo)
		     : by == GNS_SORT_SECOND ? row->share_s : row->share_g2;
	return isfinite(key) && row->count > 0 ? key : -INFINITY;
}

static int compare(double a, double b)
{
	return a > b ? -1 : a < b;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct gns_layer_row *x = a, *y = b;
	const struct sorting *sorting = arg;
	int order = sorting->by == GNS_SORT_NAME ? strverscmp(x->name, y->name) : compare(key_of(x, sorting->by), key_of(y, sorting->by));
	order = sorting->reverse ? -order : order;
	return order ? order : strverscmp(x->name, y->name);
}

static void reverse_rows(struct gns_layer_row *rows, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct gns_layer_row kept = rows[i];
		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = kept;
	}
}

static void sort_rows(struct gns_layer_row *rows, size_t n, const struct gns_ui *ui)
{
	struct sorting sorting = {ui->sort[GNS_VIEW_LAYERS], ui->reverse[GNS_VIEW_LAYERS]};
	if (sorting.by != GNS_SORT_GIVEN)
		qsort_r(rows, n, sizeof *rows, compare_rows, &sorting);
	else if (sorting.reverse)
		reverse_rows(rows, n);
}

/* ---- layers ---- */

struct members {
	const struct gns_layer **of;
	size_t n;
};

static struct members members_of(const struct gns_model *m, const struct gns_ui *ui, const char *group, const struct gns_layer **space)
{
	struct members members = {space, 0};
	char own[80];
	for (size_t i = 0; i < m->n_layers; i++)
		if (gns_filter_matches(ui->filter[GNS_VIEW_LAYERS], m->layers[i].name) &&
		    strcmp(gns_group_of(own, sizeof own, m->layers[i].name, ui->fold), group) == 0)
			space[members.n++] = &m->layers[i];
	return members;
}

static bool has_group(const struct gns_layer_row *rows, size_t n, const char *group)
{
	for (size_t i = n; i > 0; i--)
		if (!rows[i - 1].layer && strcmp(rows[i - 1].name, group) == 0)
			return true;
	return false;
}

/* Every weight that is in no group, and every group once. */
static size_t outer_rows(const struct gns_model *m, const struct gns_ui *ui, struct gns_layer_row *rows, const struct gns_layer **space)
{
	size_t n = 0;
	char group[80];
	for (size_t i = 0; i < m->n_layers; i++) {
		const struct gns_layer *l = &m->layers[i];
		if (!gns_filter_matches(ui->filter[GNS_VIEW_LAYERS], l->name))
			continue;
		gns_group_of(group, sizeof group, l->name, ui->fold);
		if (!group[0]) {
			rows[n++] = row_of(m, l);
		} else if (!has_group(rows, n, group)) {
			struct members members = members_of(m, ui, group, space);
			rows[n] = group_row(m, group, members.of, members.n);
			rows[n++].open = is_open(ui, group);
		}
	}
	return n;
}

struct gns_layer_row *gns_layer_rows(const struct gns_model *m, const struct gns_ui *ui, size_t *n)
{
	struct gns_layer_row *outer = calloc(m->n_layers + 1, sizeof *outer), *rows = calloc(2 * m->n_layers + 1, sizeof *rows);
	const struct gns_layer **space = calloc(m->n_layers + 1, sizeof *space);
	*n = 0;
	size_t n_outer = outer && rows && space ? outer_rows(m, ui, outer, space) : 0;
	sort_rows(outer, n_outer, ui);
	for (size_t i = 0; i < n_outer; i++) {
		rows[(*n)++] = outer[i];
		if (outer[i].layer || !outer[i].open)
			continue;
		struct members members = members_of(m, ui, outer[i].name, space);
		size_t first = *n;
		for (size_t k = 0; k < members.n; k++) {
			rows[*n] = row_of(m, members.of[k]);
			rows[(*n)++].inside = true;
		}
		sort_rows(rows + first, members.n, ui);
	}
	free(outer);
	free(space);
	if (*n == 0) {
		free(rows);
		return NULL;
	}
	return rows;
}

/* ---- kernels and runs ---- */

struct indices {
	const struct gns_model *model;
	enum gns_sort by;
	bool reverse;
};

static double kernel_key(const struct gns_kernel_row *k, enum gns_sort by)
{
	double key = by == GNS_SORT_FIRST ? k->ms_per_step : by == GNS_SORT_SECOND ? k->calls_per_step : k->gflops;
	return isfinite(key) ? key : -INFINITY;
}

static int compare_kernels(const void *a, const void *b, void *arg)
{
	const struct indices *c = arg;
	size_t ia = *(const size_t *)a, ib = *(const size_t *)b;
	const struct gns_kernel_row *x = &c->model->kernels[ia], *y = &c->model->kernels[ib];
	if (x->device != y->device)
		return x->device ? -1 : 1; /* two clocks, two lists */
	int order = c->by == GNS_SORT_GIVEN ? 0 : c->by == GNS_SORT_NAME ? strverscmp(x->name, y->name)
					   : compare(kernel_key(x, c->by), kernel_key(y, c->by));
	order = order ? order : ia < ib ? -1 : ia > ib;
	return c->reverse ? -order : order;
}

static double run_key(const struct gns_run_info *r, enum gns_sort by)
{
	return by == GNS_SORT_FIRST ? (double)r->steps : by == GNS_SORT_SECOND ? (double)r->steps_measured : (double)r->start_ns;
}

static int compare_runs(const void *a, const void *b, void *arg)
{
	const struct indices *c = arg;
	size_t ia = *(const size_t *)a, ib = *(const size_t *)b;
	const struct gns_run_info *x = &c->model->runs[ia], *y = &c->model->runs[ib];
	int order = c->by == GNS_SORT_GIVEN ? 0 : c->by == GNS_SORT_NAME ? strverscmp(x->name, y->name)
					   : compare(run_key(x, c->by), run_key(y, c->by));
	order = order ? order : ia < ib ? -1 : ia > ib;
	return c->reverse ? -order : order;
}

size_t *gns_kernel_order(const struct gns_model *m, const struct gns_ui *ui, size_t *n)
{
	struct indices c = {m, ui->sort[GNS_VIEW_KERNELS], ui->reverse[GNS_VIEW_KERNELS]};
	size_t *order = calloc(m->n_kernels + 1, sizeof *order);
	*n = 0;
	for (size_t i = 0; order && i < m->n_kernels; i++)
		if (gns_filter_matches(ui->filter[GNS_VIEW_KERNELS], m->kernels[i].name) ||
		    gns_filter_matches(ui->filter[GNS_VIEW_KERNELS], m->kernels[i].family))
			order[(*n)++] = i;
	if (order)
		qsort_r(order, *n, sizeof *order, compare_kernels, &c);
	return order;
}

size_t *gns_run_order(const struct gns_model *m, const struct gns_ui *ui, size_t *n)
{
	struct indices c = {m, ui->sort[GNS_VIEW_RUNS], ui->reverse[GNS_VIEW_RUNS]};
	size_t *order = calloc(m->n_runs + 1, sizeof *order);
	*n = 0;
	for (size_t i = 0; order && i < m->n_runs; i++)
		if (gns_filter_matches(ui->filter[GNS_VIEW_RUNS], m->runs[i].name) ||
		    gns_filter_matches(ui->filter[GNS_VIEW_RUNS], m->runs[i].command))
			order[(*n)++] = i;
	if (order)
		qsort_r(order, *n, sizeof *order, compare_runs, &c);
	return order;
}
