/* Reading: which runs there are. */
#include "gnscope/text.h"
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

static void run_read(sqlite3_stmt *stmt, struct gns_run_info *out)
{
	memset(out, 0, sizeof *out);
	out->run_id = sqlite3_column_int64(stmt, 0);
	gns_column_text(stmt, 1, out->name, sizeof out->name);
	gns_column_text(stmt, 2, out->command, sizeof out->command);
	gns_column_text(stmt, 3, out->host, sizeof out->host);
	gns_column_text(stmt, 4, out->status, sizeof out->status);
	out->start_ns = (uint64_t)sqlite3_column_int64(stmt, 5);
	out->end_ns = (uint64_t)gns_column_int(stmt, 6, 0);
	out->exit_code = sqlite3_column_int(stmt, 7);
	out->steps = gns_column_int(stmt, 8, 0);
	out->steps_measured = gns_column_int(stmt, 9, 0);
	out->world = (int)gns_column_int(stmt, 10, 0);
	out->stream = sqlite3_column_int(stmt, 11);
	out->main_run_id = sqlite3_column_int64(stmt, 12);
}

static int read_runs(struct gns_store *store, sqlite3_stmt *stmt, struct gns_run_info **runs, size_t *n, struct gns_error *err)
{
	struct gns_run_info *all = NULL;
	size_t used = 0, max = 0;
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (used == max) {
			max = max ? max * 2 : 16;
			struct gns_run_info *grown = realloc(all, max * sizeof *all);
			if (!grown)
				break;
			all = grown;
		}
		run_read(stmt, &all[used++]);
	}
	if (rc != SQLITE_DONE) {
		int code = gns_store_fail(store, err, "read");
		sqlite3_reset(stmt);
		free(all);
		return code;
	}
	sqlite3_reset(stmt);
	*runs = all;
	*n = used;
	return 0;
}

int gns_store_runs(struct gns_store *store, struct gns_run_info **runs, size_t *n, struct gns_error *err)
{
	return read_runs(store, gns_sql(store, GNS_SQL_RUNS), runs, n, err);
}

int gns_store_streams(struct gns_store *store, int64_t run_id, struct gns_run_info **runs, size_t *n, struct gns_error *err)
{
	return read_runs(store, gns_sql_bind(store, GNS_SQL_RUN_STREAMS, "i", run_id), runs, n, err);
}

int gns_store_run_info(struct gns_store *store, int64_t run_id, struct gns_run_info *out, struct gns_error *err)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_RUN, "i", run_id);
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
	if (rc == SQLITE_ROW)
		run_read(stmt, out);
	int code = 0;
	if (rc == SQLITE_DONE)
		code = gns_fail(err, -ENOENT, "there is no run %lld in %s; gnscope list shows what is there", (long long)run_id,
				store->path);
	else if (rc != SQLITE_ROW)
		code = gns_store_fail(store, err, "read");
	sqlite3_reset(stmt);
	return code;
}

static int no_such_run(struct gns_store *store, const char *ref, struct gns_error *err)
{
	char known[256] = "", safe[140];
	size_t at = 0;
	sqlite3_stmt *stmt = gns_sql(store, GNS_SQL_RUN_NAMES);
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW && at < sizeof known - 1) {
		gns_text_safe(safe, sizeof safe, (const char *)sqlite3_column_text(stmt, 1));
		int wrote = snprintf(known + at, sizeof known - at, "%s%lld (%.40s)", at ? ", " : "",
				     (long long)sqlite3_column_int64(stmt, 0), safe);
		if (wrote < 0 || (size_t)wrote >= sizeof known - at) {
			known[at] = 0;
			break;
		}
		at += (size_t)wrote;
	}
	sqlite3_reset(stmt);
	if (!known[0])
		return gns_fail(err, -ENOENT, "%s has no runs yet; gnscope run -- CMD records one", store->path);
	gns_text_safe(safe, sizeof safe, ref ? ref : "");
	return gns_fail(err, -ENOENT, "there is no run \"%s\" in %s; the latest are %s", safe, store->path, known);
}

int gns_store_find_run(struct gns_store *store, const char *ref, int64_t *run_id, struct gns_error *err)
{
	int64_t found = -1;
	if (!ref) {
		found = gns_sql_int(store, GNS_SQL_RUN_NEWEST, -1, "");
	} else {
		char *end;
		errno = 0;
		long long id = strtoll(ref, &end, 10);
		if (ref[0] >= '0' && ref[0] <= '9' && *end == 0 && errno == 0)
			found = gns_sql_int(store, GNS_SQL_RUN_EXISTS, -1, "i", (int64_t)id);
		if (found < 0)
			found = gns_sql_int(store, GNS_SQL_RUN_BY_NAME, -1, "t", ref);
	}
	if (found >= 0) {
		*run_id = found;
		return 0;
	}
	int code = sqlite3_errcode(store->db) & 0xff;
	if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE)
		return gns_store_fail(store, err, "read");
	return no_such_run(store, ref, err);
}
