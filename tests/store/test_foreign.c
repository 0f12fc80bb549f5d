/* Databases that another program has changed: views for our tables, views that never end, triggers, text that would harm a terminal. */
#include "tests/store/opened.h"

#include "store/internal.h"

TestSuite(foreign, .init = scratch, .fini = close_store);

#define ENDLESS "WITH RECURSIVE n(run_id) AS (SELECT 1 UNION ALL SELECT run_id + 1 FROM n) SELECT run_id FROM n"

static void make(void)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 40;
	o.kernels = false;
	generate(&o);
	gns_store_close(store);
	store = NULL;
}

static void refused(const char *words, bool for_writing)
{
	err.text[0] = 0;
	cr_expect_eq(for_writing ? gns_store_open_write(db, &store, &err) : gns_store_open_read(db, &store, &err), -EPROTO, "%s", err.text);
	cr_expect(strstr(err.text, words) && strstr(err.text, db) && strstr(err.text, "--store"), "%s: %s", words, err.text);
	store = NULL;
}

Test(foreign, a_view_for_a_table_is_refused, .timeout = 60)
{
	static const char *const names[] = { "run", "rank", "rank_param", "step", "rollup", "sweep" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char sql[512], words[64];
		scratch();
		make();
		snprintf(sql, sizeof sql, "ALTER TABLE %1$s RENAME TO was_%1$s; CREATE VIEW %1$s AS " ENDLESS, names[i]);
		execute(db, sql);
		snprintf(words, sizeof words, "its %s is a view", names[i]);
		refused(words, false);
		refused(words, true);
	}
}

Test(foreign, the_checked_names_are_all_tables_of_the_schema)
{
	sqlite3 *handle;
	sqlite3_stmt *stmt;
	cr_assert_eq(sqlite3_open(":memory:", &handle), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(handle, gns_schema_sql, NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(handle, "SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%'", -1, &stmt, NULL), SQLITE_OK);
	int n = 0;
	for (; sqlite3_step(stmt) == SQLITE_ROW; n++) {
		char sql[256], words[96];
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		scratch();
		make();
		snprintf(sql, sizeof sql, "PRAGMA legacy_alter_table=ON; ALTER TABLE \"%1$s\" RENAME TO \"was_%1$s\"; CREATE VIEW \"%1$s\" AS SELECT 1 AS run_id",
			 name);
		execute(db, sql);
		snprintf(words, sizeof words, "its %s is a view", name);
		refused(words, false);
	}
	cr_expect_eq(n, 22);
	sqlite3_finalize(stmt);
	sqlite3_close(handle);
}

static int count_rows(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	*(int64_t *)arg += !is_header;
	return 0;
}

Test(foreign, a_view_that_never_ends_is_stopped, .timeout = 120)
{
	make();
	execute(db, "DROP VIEW b_noise; CREATE VIEW b_noise AS WITH RECURSIVE n(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM n) "
		    "SELECT 1 AS run_id, step, 1.0 AS b_noise, 1.0 AS lo, 1.0 AS hi, 1 AS resolved, 1.0 AS b_crit, 1.0 AS b_crit_lo, 1.0 AS b_crit_hi FROM n");
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	int64_t rows = 0;
	cr_expect_eq(gns_store_sql(store, "SELECT max(step) FROM b_noise", count_rows, &rows, &err), -EPROTO, "%s", err.text);
	cr_expect(strstr(err.text, "more work than a store of this size") && strstr(err.text, db), "%s", err.text);
	cr_expect_eq(gns_store_sql(store, "SELECT step FROM step", count_rows, &rows, &err), 0, "the next query is not stopped: %s", err.text);
	cr_expect_eq(rows, 40);
	rows = 0;
	cr_expect_eq(gns_store_sql_unbounded(store, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000000) "
					     "SELECT max(i) FROM n", count_rows, &rows, &err), 0, "the user's own: %s", err.text);
}

Test(foreign, triggers_and_the_tokenizer_are_off)
{
	make();
	execute(db, "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM step; END");
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	int64_t id, rows = 0;
	struct gns_run_start start = { .key = 77, .name = "next", .command = "x", .host = "h", .version = "1" };
	cr_assert_eq(gns_store_run_begin(store, &start, &id, &err), 0, "%s", err.text);
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 40);
	int on = -1;
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, -1, &on);
	cr_expect_eq(on, 0);
	cr_expect_lt(gns_store_sql(store, "SELECT fts3_tokenizer('simple')", count_rows, &rows, &err), 0);
}

Test(foreign, a_unit_is_made_harmless)
{
	make();
	execute(db, "UPDATE rank SET sample_unit = 'a' || char(27) || '[2Jb' || char(155) || char(8238)");
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	struct gns_summary s;
	cr_assert_eq(gns_store_summary(store, 1, 0, &s, &err), 0, "%s", err.text);
	cr_expect_str_eq(s.sample_unit, "a?[2Jb??");
}
