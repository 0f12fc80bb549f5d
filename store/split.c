/* Where the time of a measured step goes: its parts and its calls, all over the same steps. */
#include "store/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

char *gns_typical_steps_sql(char *dst, size_t size, int64_t run_id, int64_t step_lo)
{
	snprintf(dst, size,
		 "WITH newest AS (SELECT run_id, step, rank, coalesce(weight, 1) AS weight, dur_ns, overhead_ns FROM step\n"
		 "    WHERE run_id = %1$" PRId64 " AND step >= %2$" PRId64 " AND measured AND startup IS NULL AND dur_ns IS NOT NULL\n"
		 "    AND step > (SELECT thinned_step FROM run WHERE run_id = %1$" PRId64 ")\n"
		 "    AND rank IN (SELECT rank FROM rank WHERE run_id = %1$" PRId64 " AND pooled)\n"
		 "    ORDER BY step DESC LIMIT (SELECT min(%3$d * count(*), 1000) FROM rank WHERE run_id = %1$" PRId64 " AND pooled)),\n"
		 "  middle(ns) AS (SELECT dur_ns FROM newest ORDER BY dur_ns LIMIT 1 OFFSET (SELECT (count(*) - 1) / 2 FROM newest)),\n"
		 "  typical AS (SELECT run_id, step, rank, weight, dur_ns, overhead_ns FROM newest, middle WHERE dur_ns <= 3 * ns)\n",
		 run_id, step_lo, GNS_SPLIT_STEPS);
	return dst;
}

static sqlite3_stmt *over_typical(struct gns_store *store, int64_t run_id, int64_t window, const char *select)
{
	char typical[GNS_TYPICAL_SQL_SIZE], sql[GNS_TYPICAL_SQL_SIZE + 800];
	struct gns_window w;
	sqlite3_stmt *stmt = NULL;
	gns_window(store, run_id, window, &w);
	snprintf(sql, sizeof sql, "%s%s", gns_typical_steps_sql(typical, sizeof typical, run_id, w.lo), select);
	sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
	return stmt;
}

struct typical { double weight, steps, ms, gnscope_ms; };

static int read_typical(struct gns_store *store, int64_t run_id, int64_t window, struct typical *out)
{
	sqlite3_stmt *stmt = over_typical(store, run_id, window, "SELECT sum(weight), count(DISTINCT step),\n"
					  "sum(weight * dur_ns) / sum(weight), sum(weight * overhead_ns) / sum(weight) FROM typical");
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
	*out = (struct typical){ 0, 0, NAN, NAN };
	if (rc == SQLITE_ROW && sqlite3_column_double(stmt, 0) > 0)
		*out = (struct typical){ sqlite3_column_double(stmt, 0), sqlite3_column_double(stmt, 1), gns_column_double(stmt, 2) / 1e6,
					 gns_column_double(stmt, 3) / 1e6 };
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : -EIO;
}

/* Calls of the host, most time first; with those of the family "phase". */
static int read_calls(struct gns_store *store, int64_t run_id, int64_t window, const struct typical *typical, struct gns_kernel_row **rows,
		      size_t *n)
{
	sqlite3_stmt *stmt = over_typical(store, run_id, window, GNS_TYPICAL_KERNELS_SQL);
	size_t max = 0;
	int rc = SQLITE_ERROR;
	*rows = NULL;
	*n = 0;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (*n == max) {
			max = max ? 2 * max : 32;
			struct gns_kernel_row *grown = realloc(*rows, max * sizeof *grown);
			if (!grown)
				break;
			*rows = grown;
		}
		struct gns_kernel_row *row = &(*rows)[(*n)++];
		double ns = sqlite3_column_double(stmt, 3);
		memset(row, 0, sizeof *row);
		gns_column_text(stmt, 0, row->family, sizeof row->family);
		gns_column_text(stmt, 1, row->name, sizeof row->name);
		row->registers = row->block = row->grid = row->shared = -1;
		row->calls_per_step = sqlite3_column_double(stmt, 2) / typical->weight;
		row->ms_per_step = ns / typical->weight / 1e6;
		row->max_ms = sqlite3_column_double(stmt, 4) / 1e6;
		row->gflops = ns > 0 ? sqlite3_column_double(stmt, 5) / ns : (double)NAN;
		row->share = typical->ms > 0 ? row->ms_per_step / typical->ms : (double)NAN;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : rc == SQLITE_ROW ? -ENOMEM : -EIO;
}

static bool is_phase(const struct gns_kernel_row *row)
{
	return strcmp(row->family, "phase") == 0;
}

/* ---- parts ---- */

static int most_time_first(const void *a, const void *b)
{
	const struct gns_split_family *x = a, *y = b;
	return x->ms > y->ms ? -1 : x->ms < y->ms ? 1 : strcmp(x->name, y->name);
}

static void add_to_family(struct gns_split *split, const struct gns_kernel_row *row)
{
	size_t i = 0;
	while (i < split->n_families && strcmp(split->family[i].name, row->family) != 0)
		i++;
	if (i == GNS_SPLIT_FAMILIES)
		return;
	if (i == split->n_families)
		snprintf(split->family[split->n_families++].name, sizeof split->family[0].name, "%s", row->family);
	split->family[i].ms += row->ms_per_step;
}

static double products_of(const struct gns_split *split, const char *phase)
{
	static const char *const backward[] = { "backward", "wgrad", "dgrad" };
	double ms = 0;
	for (size_t i = 0; i < split->n_families; i++) {
		const struct gns_split_family *family = &split->family[i];
		bool in = strcmp(family->name, phase) == 0;
		for (int k = 0; k < 3 && strcmp(phase, "backward") == 0; k++)
			in = in || strcmp(family->name, backward[k]) == 0;
		ms += in ? family->ms : 0;
	}
	return ms;
}

/* "forward", "backward", "optimizer", as they follow in a step; then those of other names, most time first. */
static int phase_place(const char *name)
{
	static const char *const known[] = { "forward", "backward", "optimizer" };
	int place = 0;
	while (place < 3 && strcmp(name, known[place]) != 0)
		place++;
	return place;
}

static void add_phases(struct gns_split *split, const struct gns_kernel_row *rows, size_t n)
{
	for (int place = 0; place < 4; place++)
		for (size_t i = 0; i < n && split->n_phases < GNS_SPLIT_FAMILIES; i++) {
			if (!is_phase(&rows[i]) || phase_place(rows[i].name) != place)
				continue;
			struct gns_split_phase *phase = &split->phase[split->n_phases++];
			snprintf(phase->name, sizeof phase->name, "%.23s", rows[i].name);
			phase->ms = rows[i].ms_per_step;
			phase->products_ms = products_of(split, phase->name);
		}
}

static int split_of(struct gns_store *store, int64_t run_id, int64_t window, struct gns_split *out)
{
	struct typical typical;
	struct gns_kernel_row *rows = NULL;
	size_t n = 0;
	int rc = read_typical(store, run_id, window, &typical);
	if (rc == 0 && typical.weight > 0)
		rc = read_calls(store, run_id, window, &typical, &rows, &n);
	if (rc == 0) {
		out->steps = typical.steps;
		out->step_ms = typical.ms;
		out->gnscope_ms = typical.gnscope_ms;
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!is_phase(&rows[i]))
			add_to_family(out, &rows[i]);
	qsort(out->family, out->n_families, sizeof *out->family, most_time_first);
	if (rc == 0)
		add_phases(out, rows, n);
	free(rows);
	return rc;
}

int gns_store_split(struct gns_store *store, int64_t run_id, int64_t window, struct gns_split *out, struct gns_error *err)
{
	bool mine;
	*out = (struct gns_split){ .step_ms = NAN, .gnscope_ms = NAN };
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	rc = split_of(store, run_id, window, out);
	if (rc < 0)
		rc = gns_store_fail(store, err, "read");
	gns_snapshot_end(store, mine);
	return rc;
}

/* ---- calls ---- */

int gns_store_kernels(struct gns_store *store, int64_t run_id, int64_t window, struct gns_kernel_row **rows, size_t *n,
		      struct gns_error *err)
{
	struct typical typical;
	bool mine;
	*rows = NULL;
	*n = 0;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	rc = read_typical(store, run_id, window, &typical);
	if (rc == 0 && typical.weight > 0)
		rc = read_calls(store, run_id, window, &typical, rows, n);
	if (rc < 0)
		rc = gns_store_fail(store, err, "read");
	gns_snapshot_end(store, mine);
	size_t kept = 0;
	for (size_t i = 0; rc == 0 && i < *n; i++)
		if (!is_phase(&(*rows)[i]))
			(*rows)[kept++] = (*rows)[i];
	*n = kept;
	if (rc < 0) {
		free(*rows);
		*rows = NULL;
	}
	return rc;
}
