/* Reading for those who look at a part of a run: a stretch of steps, where a step's time goes, a weight's past, the session. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define REACH 4096       /* how far back a loss or a learning rate is looked for */

static sqlite3_stmt *prepared(struct gns_store *store, const char *sql, int64_t run_id)
{
	sqlite3_stmt *stmt = NULL;
	if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) == SQLITE_OK)
		sqlite3_bind_int64(stmt, 1, run_id);
	return stmt;
}

int gns_store_session_key(struct gns_store *store, int64_t run_id, uint64_t *key, struct gns_error *err)
{
	sqlite3_stmt *stmt = prepared(store, "SELECT session_key FROM run WHERE run_id=?", run_id);
	int step = stmt ? sqlite3_step(stmt) : SQLITE_ERROR, rc = 0;
	if (step == SQLITE_ROW)
		*key = (uint64_t)sqlite3_column_int64(stmt, 0);
	else if (step == SQLITE_DONE)
		rc = gns_fail(err, -ENOENT, "there is no run %lld in %s; gnscope list shows what is there", (long long)run_id, store->path);
	else
		rc = gns_store_fail(store, err, "read");
	sqlite3_finalize(stmt);
	return rc;
}

/* ---- a stretch of steps ---- */

/* The last that is known of a column of step. */
static int last_known(struct gns_store *store, const char *sql, int64_t run_id, int64_t lo, int64_t hi, double *out)
{
	sqlite3_stmt *stmt = prepared(store, sql, run_id);
	if (stmt) {
		sqlite3_bind_int64(stmt, 2, lo > hi - REACH ? lo : hi - REACH);
		sqlite3_bind_int64(stmt, 3, hi);
	}
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
	*out = rc == SQLITE_ROW ? gns_column_double(stmt, 0) : (double)NAN;
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -EIO;
}

#define LAST_OF(column) "SELECT " column " FROM step WHERE run_id=?1 AND step BETWEEN ?2 AND ?3 AND " column " IS NOT NULL " \
	"ORDER BY step DESC LIMIT 1"

static int stretch_of(struct gns_store *store, struct gns_summary *out, int64_t lo, int64_t hi, struct gns_error *err)
{
	struct gns_pooled_window pooled;
	int rc = gns_pool_window(store, out->run.run_id, (struct gns_window){ lo, hi }, &pooled);
	if (rc == -ENOMEM)
		return gns_fail(err, -ENOMEM, "cannot read %s: no memory left", store->path);
	if (rc < 0)
		return gns_store_fail(store, err, "read");
	gns_pooled_noise(&pooled, &out->b_noise, &out->b_crit, &out->mv);
	gns_pooled_free(&pooled);
	gns_describe_window(store, (struct gns_window){ lo, hi }, &pooled.total, out);
	out->run.steps = hi;
	out->run.steps_measured = out->measured;
	out->window = lo > 1 || hi < gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", out->run.run_id) ? hi - lo + 1 : 0;
	rc = gns_trend_of_window(store, out->run.run_id, (struct gns_window){ lo, hi }, &out->b_noise, &out->trend);
	out->last_step_ns = (uint64_t)pooled.total.start_ns;
	if (rc == 0)
		rc = last_known(store, LAST_OF("loss"), out->run.run_id, lo, hi, &out->loss);
	if (rc == 0)
		rc = last_known(store, LAST_OF("lr"), out->run.run_id, lo, hi, &out->lr);
	return rc < 0 ? gns_store_fail(store, err, "read") : 0;
}

int gns_store_summary_range(struct gns_store *store, int64_t run_id, int64_t step_lo, int64_t step_hi, struct gns_summary *out,
			    struct gns_error *err)
{
	bool mine;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	rc = gns_store_summary(store, run_id, 0, out, err);
	int64_t last = gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", run_id);
	int64_t lo = step_lo < 1 ? 1 : step_lo, hi = step_hi < 1 || step_hi > last ? last : step_hi;
	if (rc == 0)
		rc = stretch_of(store, out, lo, hi < lo ? lo : hi, err);
	gns_snapshot_end(store, mine);
	return rc;
}

/* ---- the past of every weight ---- */

/* Blocks evenly spread over the run, each read by its key. */
static int read_history(struct gns_store *store, int64_t run_id, size_t points, int64_t blocks, struct gns_history *out)
{
	sqlite3_stmt *stmt = prepared(store, "SELECT param_id,sum(s),sum(g2) FROM rollup_param WHERE run_id=?1 AND size=256 AND block=?2 "
				      "GROUP BY param_id", run_id);
	int rc = stmt ? SQLITE_DONE : SQLITE_ERROR;
	for (size_t k = 0; rc == SQLITE_DONE && k < points; k++) {
		sqlite3_bind_int64(stmt, 2, (int64_t)k * (blocks - 1) / (int64_t)(points > 1 ? points - 1 : 1));
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
			int64_t id = sqlite3_column_int64(stmt, 0);
			if (id < 0 || (size_t)id >= out->params)
				continue;
			out->s[(size_t)id * points + k] = sqlite3_column_double(stmt, 1);
			out->g2[(size_t)id * points + k] = sqlite3_column_double(stmt, 2);
		}
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EIO;
}

int gns_store_layer_history(struct gns_store *store, int64_t run_id, size_t max_points, struct gns_history *out, struct gns_error *err)
{
	*out = (struct gns_history){ 0 };
	int64_t blocks = gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", run_id) / GNS_SIZE_LAYER;
	sqlite3_stmt *stmt = prepared(store, "SELECT max(param_id) FROM param WHERE run_id=?", run_id);
	int64_t params = stmt && sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) + 1 : 0;
	sqlite3_finalize(stmt);
	if (blocks < 2 || params < 1 || max_points < 2)
		return 0;
	out->points = (size_t)blocks < max_points ? (size_t)blocks : max_points;
	out->params = (size_t)params;
	size_t n = out->points * out->params;
	out->s = malloc(2 * n * sizeof *out->s);
	if (!out->s)
		return gns_fail(err, -ENOMEM, "cannot read %s: no memory left", store->path);
	out->g2 = out->s + n;
	for (size_t i = 0; i < 2 * n; i++)
		out->s[i] = NAN;
	if (read_history(store, run_id, out->points, blocks, out) == 0)
		return 0;
	free(out->s);
	*out = (struct gns_history){ 0 };
	return gns_store_fail(store, err, "read");
}
