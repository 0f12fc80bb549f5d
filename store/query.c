/* Reading: counters, events, settings, libraries, and SQL of the user's own. */
#include "store/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Grows an array by one element; NULL when memory is out. */
static void *grow(void **array, size_t *n, size_t *max, size_t size)
{
	if (*n == *max) {
		size_t wanted = *max ? *max * 2 : 32;
		void *grown = realloc(*array, wanted * size);
		if (!grown)
			return NULL;
		*array = grown;
		*max = wanted;
	}
	return (char *)*array + size * (*n)++;
}

typedef void (*read_row_fn)(sqlite3_stmt *stmt, void *row);

static int read_all(struct gns_store *store, enum gns_sql id, int64_t run_id, size_t size, read_row_fn read_row, void **rows,
		    size_t *n, struct gns_error *err)
{
	size_t max = 0;
	int rc = SQLITE_ERROR;
	*rows = NULL;
	*n = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, id, "i", run_id);
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		void *row = grow(rows, n, &max, size);
		if (!row)
			break;
		read_row(stmt, row);
	}
	int code = rc == SQLITE_DONE ? 0 : gns_store_fail(store, err, "read");
	sqlite3_reset(stmt);
	if (code < 0) {
		free(*rows);
		*rows = NULL;
		*n = 0;
	}
	return code;
}

static void read_counter(sqlite3_stmt *stmt, void *arg)
{
	struct gns_counter_row *row = arg;
	row->rank = sqlite3_column_int64(stmt, 0);
	gns_column_text(stmt, 1, row->collector, sizeof row->collector);
	gns_column_text(stmt, 2, row->name, sizeof row->name);
	row->value = sqlite3_column_int64(stmt, 3);
	gns_column_text(stmt, 4, row->text, sizeof row->text);
}

int gns_store_counters(struct gns_store *store, int64_t run_id, struct gns_counter_row **rows, size_t *n, struct gns_error *err)
{
	void *all;
	int rc = read_all(store, GNS_SQL_COUNTERS, run_id, sizeof **rows, read_counter, &all, n, err);
	*rows = all;
	return rc;
}

static void read_event(sqlite3_stmt *stmt, void *arg)
{
	struct gns_event_row *row = arg;
	row->step = gns_column_int(stmt, 0, -1);
	row->time_ns = (uint64_t)sqlite3_column_int64(stmt, 1);
	gns_column_text(stmt, 2, row->name, sizeof row->name);
	gns_column_text(stmt, 3, row->text, sizeof row->text);
}

int gns_store_events(struct gns_store *store, int64_t run_id, struct gns_event_row **rows, size_t *n, struct gns_error *err)
{
	void *all;
	int rc = read_all(store, GNS_SQL_EVENTS, run_id, sizeof **rows, read_event, &all, n, err);
	*rows = all;
	return rc;
}

static void read_setting(sqlite3_stmt *stmt, void *arg)
{
	struct gns_setting_row *row = arg;
	row->step = sqlite3_column_int64(stmt, 0);
	gns_column_text(stmt, 1, row->name, sizeof row->name);
	row->value = gns_column_double(stmt, 2);
	gns_column_text(stmt, 3, row->text, sizeof row->text);
}

int gns_store_settings(struct gns_store *store, int64_t run_id, struct gns_setting_row **rows, size_t *n, struct gns_error *err)
{
	void *all;
	int rc = read_all(store, GNS_SQL_SETTINGS, run_id, sizeof **rows, read_setting, &all, n, err);
	*rows = all;
	return rc;
}

static void read_library(sqlite3_stmt *stmt, void *arg)
{
	struct gns_library_row *row = arg;
	row->rank = sqlite3_column_int64(stmt, 0);
	gns_column_text(stmt, 1, row->name, sizeof row->name);
	gns_column_text(stmt, 2, row->version, sizeof row->version);
	gns_column_text(stmt, 3, row->path, sizeof row->path);
	gns_column_text(stmt, 4, row->note, sizeof row->note);
}

int gns_store_libraries(struct gns_store *store, int64_t run_id, struct gns_library_row **rows, size_t *n, struct gns_error *err)
{
	void *all;
	int rc = read_all(store, GNS_SQL_LIBRARIES, run_id, sizeof **rows, read_library, &all, n, err);
	*rows = all;
	return rc;
}

/* ---- the user's own SQL ---- */

static int allow_reading(void *arg, int action, const char *a, const char *b, const char *schema, const char *trigger)
{
	static const char *const pragmas[] = { "table_info", "table_xinfo", "table_list", "index_list", "index_info", "user_version",
		"application_id", "schema_version", "page_count", "page_size", "freelist_count", "data_version", "integrity_check",
		"quick_check", "foreign_key_check", "compile_options", "function_list" };
	switch (action) {
	case SQLITE_FUNCTION:
		return b && (strcmp(b, "load_extension") == 0 || strcmp(b, "fts3_tokenizer") == 0) ? SQLITE_DENY : SQLITE_OK;
	case SQLITE_PRAGMA:
		for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
			if (a && strcasecmp(a, pragmas[i]) == 0)
				return b && (strstr(a, "version") || strstr(a, "application")) ? SQLITE_DENY : SQLITE_OK;
		return SQLITE_DENY;
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
	case SQLITE_TRANSACTION:
	case SQLITE_SAVEPOINT:
	case SQLITE_CREATE_TEMP_INDEX:
	case SQLITE_CREATE_TEMP_TABLE:
	case SQLITE_CREATE_TEMP_TRIGGER:
	case SQLITE_CREATE_TEMP_VIEW:
		return SQLITE_DENY;
	default:
		return SQLITE_OK; /* what would write to the store is told by sqlite3_stmt_readonly */
	}
}

static bool only_blank(const char *text)
{
	while (*text) {
		if (isspace((unsigned char)*text) || *text == ';') {
			text++;
		} else if (text[0] == '-' && text[1] == '-') {
			text += strcspn(text, "\n");
		} else if (text[0] == '/' && text[1] == '*') {
			const char *end = strstr(text + 2, "*/");
			text = end ? end + 2 : text + strlen(text);
		} else {
			return false;
		}
	}
	return true;
}

static int prepare_reading(struct gns_store *store, const char *query, sqlite3_stmt **stmt, struct gns_error *err)
{
	const char *tail = "";
	*stmt = NULL;
	sqlite3_set_authorizer(store->db, allow_reading, NULL);
	int rc = sqlite3_prepare_v2(store->db, query, -1, stmt, &tail);
	sqlite3_set_authorizer(store->db, NULL, NULL);
	int code = 0;
	if ((rc & 0xff) == SQLITE_AUTH)
		code = gns_fail(err, -EPERM, "the query was not run: gnscope sql only reads, and this would write or change settings; "
				"use sqlite3 on a copy of %s", store->path);
	else if (rc != SQLITE_OK)
		code = gns_fail(err, -EINVAL, "the query was not understood: %s; .schema in gnscope sql (or docs/reference/schema.md) lists the "
				"tables", sqlite3_errmsg(store->db));
	else if (!*stmt)
		code = gns_fail(err, -EINVAL, "the query is empty; give one SELECT");
	else if (!sqlite3_stmt_readonly(*stmt))
		code = gns_fail(err, -EPERM, "the query was not run: gnscope sql only reads; use sqlite3 on a copy of %s", store->path);
	else if (!only_blank(tail))
		code = gns_fail(err, -EINVAL, "the query was not run: it has more than one statement; give them one at a time");
	if (code < 0) {
		sqlite3_finalize(*stmt);
		*stmt = NULL;
	}
	return code;
}

int gns_store_sql_unbounded(struct gns_store *store, const char *query, gns_row_fn row, void *arg, struct gns_error *err)
{
	store->unbounded = true;
	int rc = gns_store_sql(store, query, row, arg, err);
	store->unbounded = false;
	return rc;
}

int gns_store_sql(struct gns_store *store, const char *query, gns_row_fn row, void *arg, struct gns_error *err)
{
	sqlite3_stmt *stmt;
	gns_budget_begin(store);
	int rc = prepare_reading(store, query, &stmt, err);
	if (rc < 0)
		return rc;
	int n = sqlite3_column_count(stmt), stop = 0;
	const char **texts = calloc((size_t)n + 1, sizeof *texts);
	int *types = calloc((size_t)n + 1, sizeof *types);
	rc = texts && types ? SQLITE_ROW : SQLITE_NOMEM;
	for (int i = 0; rc == SQLITE_ROW && i < n; i++) {
		texts[i] = sqlite3_column_name(stmt, i);
		types[i] = SQLITE_TEXT;
	}
	if (rc == SQLITE_ROW)
		stop = row(arg, true, n, texts, types);
	while (rc == SQLITE_ROW && stop == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (int i = 0; i < n; i++) {
			types[i] = sqlite3_column_type(stmt, i);
			texts[i] = (const char *)sqlite3_column_text(stmt, i);
		}
		stop = row(arg, false, n, texts, types);
	}
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		rc = stop;
	else if ((rc & 0xff) == SQLITE_ERROR)
		rc = gns_fail(err, -EINVAL, "the query failed: %s", sqlite3_errmsg(store->db));
	else
		rc = gns_store_fail(store, err, "read");
	sqlite3_finalize(stmt);
	free(texts);
	free(types);
	return rc;
}
