/* One weight in one step, all ranks together, where they measured one thing between them: before and after a reduction over ranks.
 * Other sources measure each rank's own samples, and their rows count one by one. */
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>

bool gns_source_pools(uint32_t source)
{
	return source == GNS_SOURCE_RANK || source == GNS_SOURCE_SHARD;
}

static int by_weight(const void *a, const void *b)
{
	const struct gns_grad_row *x = a, *y = b;
	int source = (x->source > y->source) - (x->source < y->source);
	return source ? source : (x->param > y->param) - (x->param < y->param);
}

static bool together(const struct gns_grad_row *a, const struct gns_grad_row *b)
{
	return a->source == b->source && a->param == b->param && a->n_small == b->n_small && a->n_big == b->n_big;
}

/* Each rank has a part of the reduced gradient: without one of them the norm of the whole is not known. */
static bool complete(const struct gns_grad_row *row, int64_t rows, int64_t groups)
{
	return row->source != GNS_SOURCE_SHARD || rows == row->world || groups == row->n_big / row->n_small;
}

/* The mean over `n` rows from `from` on. False: it says nothing. */
static bool pool(const struct gns_grad_row *from, size_t n, struct gns_grad_row *out)
{
	int64_t groups = 0;
	double q_small = 0, q_big = 0;
	for (size_t i = 0; i < n; i++) {
		groups += from[i].groups;
		q_small += from[i].q_small;
		q_big += from[i].q_big;
	}
	if (!complete(from, (int64_t)n, groups))
		return false;
	*out = *from;
	out->groups = groups;
	out->q_small = q_small / (double)n;
	out->q_big = q_big / (double)n;
	if (gns_two_batch((double)out->n_small, (double)out->n_big, out->q_small, out->q_big, &out->s, &out->g2) < 0)
		out->s = out->g2 = NAN;
	return true;
}

size_t gns_grads_pool(struct gns_grad_row *rows, size_t n)
{
	size_t out = 0;
	bool any = false;
	for (size_t i = 0; i < n && !any; i++)
		any = gns_source_pools(rows[i].source);
	if (!any)
		return n;
	qsort(rows, n, sizeof *rows, by_weight);
	for (size_t i = 0, same; i < n; i += same) {
		for (same = 1; gns_source_pools(rows[i].source) && i + same < n && together(&rows[i], &rows[i + same]); same++)
			;
		struct gns_grad_row row = rows[i];
		if (!gns_source_pools(row.source) || pool(&rows[i], same, &row))
			rows[out++] = row;
	}
	return out;
}

int gns_step_grads(struct gns_store *store, int64_t run_id, int64_t lo, int64_t hi, gns_grads_fn fn, void *arg)
{
	struct gns_grad_row *rows = NULL;
	size_t n = 0, max = 0;
	int64_t step = 0;
	double weight = NAN;
	int rc = SQLITE_ERROR, out = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEP_GRADS, "iii", run_id, lo, hi);
	while (out == 0 && stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t of = sqlite3_column_int64(stmt, 6);
		if (n > 0 && of != step) {
			out = fn(arg, step, weight, rows, gns_grads_pool(rows, n));
			n = 0;
		}
		if (n == max) {
			max = max ? max * 2 : 64;
			struct gns_grad_row *grown = realloc(rows, max * sizeof *grown);
			if (!grown) {
				out = -ENOMEM;
				break;
			}
			rows = grown;
		}
		step = of;
		weight = gns_column_double(stmt, 9);
		gns_grad_read(stmt, &rows[n]);
		n += rows[n].source != 0;
	}
	sqlite3_reset(stmt);
	if (out == 0 && rc == SQLITE_DONE && n > 0)
		out = fn(arg, step, weight, rows, gns_grads_pool(rows, n));
	free(rows);
	return out != 0 ? out : rc == SQLITE_DONE ? 0 : -EIO;
}

void gns_grad_read(sqlite3_stmt *stmt, struct gns_grad_row *out)
{
	*out = (struct gns_grad_row){ .param = (uint32_t)sqlite3_column_int64(stmt, 0),
		.source = gns_source_of((const char *)sqlite3_column_text(stmt, 1)), .n_small = sqlite3_column_int64(stmt, 2),
		.n_big = sqlite3_column_int64(stmt, 3), .q_small = gns_column_double(stmt, 4), .q_big = gns_column_double(stmt, 5),
		.groups = sqlite3_column_int64(stmt, 7), .world = gns_column_int(stmt, 8, 1) };
	if (gns_two_batch((double)out->n_small, (double)out->n_big, out->q_small, out->q_big, &out->s, &out->g2) < 0)
		out->s = out->g2 = NAN;
}

void gns_kernel_read(sqlite3_stmt *stmt, struct gns_kernel_use *out)
{
	*out = (struct gns_kernel_use){ (uint32_t)sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2),
		sqlite3_column_int64(stmt, 3), gns_column_double(stmt, 4) };
}
