/* What may be opened and what is refused, with which words, and that what is refused stays as it was to the last byte. */
#include "tests/store/scratch.h"

#include "store/internal.h"
#include "tests/store/generate.h"

TestSuite(open, .init = scratch, .fini = no_scratch);

static void make_store(void)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_store *store;
	struct gns_error err = { "" };
	int64_t id;
	o.steps = 300;
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_generate_run(store, &o, &id, &err), 0, "%s", err.text);
	gns_store_close(store);
}

/* Both ways of opening fail, each with a sentence that holds `words` and names the file; the file is untouched. */
static void refused(const char *words, bool also_for_reading)
{
	struct gns_store *store = NULL;
	struct gns_error err = { "" };
	size_t before_size = 0, after_size = 0;
	char *before = contents(db, &before_size), *after;
	struct stat a, b;
	stat(db, &a);
	cr_expect_lt(gns_store_open_write(db, &store, &err), 0, "%s", words);
	cr_expect(strstr(err.text, words) != NULL, "\"%s\" is not in: %s", words, err.text);
	cr_expect(strstr(err.text, db) != NULL, "%s", err.text);
	cr_expect(strstr(err.text, "; ") != NULL, "what to do next: %s", err.text);
	if (also_for_reading) {
		err.text[0] = 0;
		cr_expect_lt(gns_store_open_read(db, &store, &err), 0, "%s", words);
		cr_expect(strstr(err.text, words) != NULL, "\"%s\" is not in: %s", words, err.text);
	}
	stat(db, &b);
	after = contents(db, &after_size);
	cr_expect_eq(before_size, after_size);
	if (before && after)
		cr_expect_eq(memcmp(before, after, before_size), 0, "%s: the file was changed", words);
	cr_expect_eq(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	free(before);
	free(after);
}

static void write_file(const char *bytes, size_t size)
{
	FILE *file = fopen(db, "wb");
	cr_assert_eq(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

Test(open, a_text_file_is_not_a_database)
{
	char text[5000];
	memset(text, 'x', sizeof text);
	write_file(text, sizeof text);
	refused("not a database", true);
	write_file("hello\n", 6);
	refused("not a database", true);
}

Test(open, the_database_of_another_program_is_left_alone)
{
	execute(db, "CREATE TABLE bookmarks(url TEXT); INSERT INTO bookmarks VALUES('x')");
	refused("another program", true);
	execute(db, "PRAGMA journal_mode=WAL; INSERT INTO bookmarks VALUES('y')");
	refused("another program", true);
}

Test(open, a_newer_schema_is_refused)
{
	make_store();
	execute(db, "PRAGMA user_version=7");
	refused("newer gnscope (schema 7, this one knows up to 4)", true);
}

Test(open, a_newer_schema_still_in_the_log_is_refused)
{
	struct gns_store *store = NULL;
	struct gns_error err = { "" };
	sqlite3 *handle;
	make_store();
	cr_assert_eq(sqlite3_open(db, &handle), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(handle, "PRAGMA user_version=7", NULL, NULL, NULL), SQLITE_OK);
	cr_expect_eq(gns_store_open_write(db, &store, &err), -ENOTSUP);
	cr_expect_eq(gns_store_open_read(db, &store, &err), -ENOTSUP);
	cr_expect(strstr(err.text, "newer gnscope") != NULL, "%s", err.text);
	sqlite3_close(handle);
}

Test(open, a_file_cut_short_is_damaged)
{
	make_store();
	struct stat st;
	stat(db, &st);
	cr_assert_eq(truncate(db, st.st_size / 2 / 4096 * 4096), 0);
	refused("damaged", true);
	cr_assert_eq(truncate(db, 5000), 0);
	refused("damaged", true);
}

/* A checkpoint writes the first page, with its count of pages, before it makes the file as long as that. */
Test(open, a_file_behind_its_log_is_not_damaged)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	sqlite3 *handle;
	char log[160], saved[160], command[640];
	make_store();
	snprintf(log, sizeof log, "%s-wal", db);
	snprintf(saved, sizeof saved, "%s/saved", folder);
	struct stat before, after;
	stat(db, &before);
	cr_assert_eq(sqlite3_open(db, &handle), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(handle, "UPDATE run SET name='later'; CREATE TABLE more(x); INSERT INTO more VALUES(zeroblob(200000))",
				  NULL, NULL, NULL), SQLITE_OK);
	snprintf(command, sizeof command, "cp %s %s", log, saved);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(sqlite3_close(handle), SQLITE_OK);
	stat(db, &after);
	cr_assert_gt(after.st_size, before.st_size);
	snprintf(command, sizeof command, "cp %s %s", saved, log);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(truncate(db, before.st_size + 1000), 0);
	cr_expect_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_expect_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_expect_eq(query(db, "SELECT length(x) FROM more"), 200000);
}

Test(open, overwritten_pages_are_damage)
{
	make_store();
	int fd = open(db, O_WRONLY);
	char noise[4096];
	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (char)(i * 131 + 7);
	for (int page = 1; page < 8; page++)
		cr_assert_eq(pwrite(fd, noise, sizeof noise, page * 4096), (ssize_t)sizeof noise);
	close(fd);
	refused("damaged", true);
}

Test(open, a_folder_is_not_a_store)
{
	struct gns_store *store;
	struct gns_error err;
	cr_expect_eq(gns_store_open_write(folder, &store, &err), -EISDIR);
	cr_expect(strstr(err.text, "is a directory") != NULL, "%s", err.text);
	cr_expect_eq(gns_store_open_read(folder, &store, &err), -EISDIR);
	cr_expect_eq(gns_store_open_read("/dev/null", &store, &err), -EINVAL);
}

Test(open, a_read_only_file_can_be_read)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	make_store();
	chmod(db, 0444);
	refused("read-only", false);
	cr_expect_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
}

Test(open, a_read_only_folder_can_be_read_from)
{
	struct gns_error err = { "" };
	struct gns_store *store = NULL;
	make_store();
	chmod(folder, 0555);
	refused("read-only", false);
	char missing[160];
	snprintf(missing, sizeof missing, "%s/none.db", folder);
	cr_expect_eq(gns_store_open_write(missing, &store, &err), -EACCES);
	cr_expect(strstr(err.text, "read-only") != NULL, "%s", err.text);
	cr_expect_eq(access(missing, F_OK), -1);
}

static void mount_scratch(const char *options, unsigned long flags)
{
	if (mount("none", folder, "tmpfs", flags, options) < 0)
		cr_skip_test("a small file system cannot be mounted here: %s", strerror(errno));
}

Test(open, a_read_only_file_system_can_be_read_from)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	struct gns_run_info *runs;
	size_t n;
	mount_scratch("size=8m", 0);
	make_store();
	cr_assert_eq(mount("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	cr_expect_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	cr_expect_eq(gns_store_runs(store, &runs, &n, &err), 0, "%s", err.text);
	cr_expect_eq(n, 1);
	free(runs);
	gns_store_close(store);
	refused("read-only", false);
	umount(folder);
}

Test(open, a_log_on_a_read_only_file_system_is_explained)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	mount_scratch("size=8m", 0);
	make_store();
	pid_t pid = fork();
	if (pid == 0) { /* leaves its log behind */
		execute(db, "UPDATE run SET name='x'");
		sqlite3 *handle;
		sqlite3_open(db, &handle);
		sqlite3_exec(handle, "UPDATE run SET name='y'", NULL, NULL, NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	char index[160];
	snprintf(index, sizeof index, "%s-shm", db);
	unlink(index);
	cr_assert_eq(mount("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	cr_expect_eq(gns_store_open_read(db, &store, &err), -EROFS);
	cr_expect(strstr(err.text, "copy both files") != NULL, "%s", err.text);
	umount(folder);
}

Test(open, what_is_missing_is_made_for_writing_only)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	cr_expect_eq(gns_store_open_read(db, &store, &err), -ENOENT);
	cr_expect(strstr(err.text, "nothing has been recorded") != NULL, "%s", err.text);
	cr_expect_eq(access(db, F_OK), -1);
	snprintf(db, sizeof db, "%s/a/b c#?%%/runs.db", folder);
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_expect_eq(query(db, "PRAGMA user_version"), GNS_SCHEMA_VERSION);
	cr_expect_eq(query(db, "PRAGMA application_id"), GNS_APPLICATION_ID);
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode='wal'"), 1);
	cr_expect_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
}

Test(open, an_empty_file_becomes_a_store)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	write_file("", 0);
	cr_expect_eq(gns_store_open_read(db, &store, &err), -ENOENT);
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 0);
}

Test(open, the_default_place_follows_the_environment)
{
	char path[64];
	setenv("XDG_STATE_HOME", "/x/state", 1);
	setenv("HOME", "/home/u", 1);
	cr_expect_eq(gns_store_default_path(path, sizeof path), 0);
	cr_expect_str_eq(path, "/x/state/gnscope/runs.db");
	unsetenv("XDG_STATE_HOME");
	cr_expect_eq(gns_store_default_path(path, sizeof path), 0);
	cr_expect_str_eq(path, "/home/u/.local/state/gnscope/runs.db");
	cr_expect_eq(gns_store_default_path(path, 10), -ENAMETOOLONG);
	unsetenv("HOME");
	cr_expect_eq(gns_store_default_path(path, sizeof path), -ENOENT);
}

/* ---- migration ---- */

Test(open, an_older_store_is_brought_up_to_date)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	make_store();
	double grads = query(db, "SELECT sum(q_big) FROM grad");
	execute(db, "PRAGMA journal_mode=DELETE; DROP VIEW run_summary; DROP TABLE rollup_kernel; PRAGMA user_version=0");
	cr_expect_eq(gns_store_open_read(db, &store, &err), -EPROTO, "reading never writes");
	cr_expect(strstr(err.text, "older gnscope") != NULL, "%s", err.text);
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_expect_eq(query(db, "PRAGMA user_version"), GNS_SCHEMA_VERSION);
	cr_expect_eq(query(db, "SELECT count(*) FROM run_summary"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM rollup_kernel"), 0);
	cr_expect_eq(query(db, "SELECT sum(q_big) FROM grad"), grads);
}

static void make_version(const char *path, int version)
{
	char name[256];
	size_t size;
	snprintf(name, sizeof name, GNS_SOURCE_DIR "/tests/store/version_%d.sql", version);
	char *dump = contents(name, &size);
	cr_assert(dump != NULL);
	dump[size] = 0;
	execute(path, dump);
	free(dump);
}

/* Columns and what holds of them, in order, of every table: a store brought up to date is like one made new. */
#define SHAPE "SELECT group_concat(line, char(10)) FROM (SELECT m.name||'.'||c.name||' '||c.type||' '||c.\"notnull\"||' '||" \
	"coalesce(c.dflt_value,'-')||' '||c.pk AS line FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type IN " \
	"('table','view') UNION ALL SELECT i.name||' of '||m.name||' '||i.\"unique\"||' '||i.partial FROM sqlite_schema m " \
	"JOIN pragma_index_list(m.name) i WHERE m.type='table' ORDER BY line)"

static char *shape_of(const char *path)
{
	sqlite3 *handle;
	sqlite3_stmt *stmt;
	sqlite3_open(path, &handle);
	cr_assert_eq(sqlite3_prepare_v2(handle, SHAPE, -1, &stmt, NULL), SQLITE_OK, "%s", sqlite3_errmsg(handle));
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	char *text = strdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(handle);
	return text;
}

static void is_like_a_fresh_one(void)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	char fresh[160];
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
	snprintf(fresh, sizeof fresh, "%s/fresh.db", folder);
	cr_assert_eq(gns_store_open_write(fresh, &store, &err), 0, "%s", err.text);
	gns_store_close(store);
	char *mine = shape_of(db), *theirs = shape_of(fresh);
	cr_expect_str_eq(mine, theirs);
	free(mine);
	free(theirs);
}

/* Runs whose B_noise is not that of their raw rows, each times half the gap to its measured neighbours; the ends reach to those of the run. */
#define WRONG "WITH w AS (SELECT t.run_id, s, g2, (coalesce(lead(step) OVER m, 2*rolled_step+1-step)-coalesce(lag(step) OVER m, 1-step))/2.0 " \
	"AS w FROM step_total t JOIN run USING (run_id) WINDOW m AS (PARTITION BY t.run_id ORDER BY step)), " \
	"raw AS (SELECT run_id, sum(w*s)/sum(w*g2) AS b FROM w GROUP BY run_id) SELECT count(*) FROM run JOIN raw USING (run_id) " \
	"WHERE resolved IS NULL OR (resolved AND NOT abs(b_noise/b-1)<1e-12)"

Test(open, a_store_of_version_1_becomes_one_of_today)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	make_version(db, 1);
	double estimates = query(db, "SELECT count(*) FROM estimate"), start = query(db, "SELECT sum(start_ns)+sum(session_key%1000) FROM run");
	cr_expect_eq(gns_store_open_read(db, &store, &err), -EPROTO, "reading never writes");
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	struct gns_generate o = { .name = "second", .steps = 40, .first_step = 21, .layers = 2, .ranks = 1, .every = 4, .batch = 128,
		.b_from = 200, .b_to = 2000, .noise = 0.05, .seed = 9, .streams = 2 };
	int64_t id;
	cr_assert_eq(gns_generate_run(store, &o, &id, &err), 0, "the run left open goes on: %s", err.text);
	cr_expect_eq(id, 2);
	struct gns_summary sum;
	struct gns_layer *layers;
	size_t n;
	cr_assert_eq(gns_store_summary(store, 1, 0, &sum, &err), 0, "%s", err.text);
	cr_expect_eq(sum.run.steps_measured, 10);
	cr_assert_eq(gns_store_layers(store, 1, 0, &layers, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 3);
	cr_expect_str_eq(layers[0].shape, "512x784");
	cr_expect(layers[2].excluded && !layers[1].excluded);
	free(layers);
	gns_store_close(store);
	cr_expect_eq(query(db, "PRAGMA user_version"), GNS_SCHEMA_VERSION);
	cr_expect_eq(query(db, "SELECT count(*) FROM estimate WHERE step<=40 AND (run_id=1 OR step<=20)"), estimates);
	cr_expect_eq(query(db, WRONG), 0);
	cr_expect_gt(query(db, "SELECT count(*) FROM run WHERE resolved"), 0);
	cr_expect_eq(query(db, "SELECT sum(start_ns)+sum(session_key%1000) FROM run WHERE stream=0"), start);
	cr_expect_eq(query(db, "SELECT steps FROM rank WHERE run_id=2"), 40);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE stream=1 AND main_run_id=2 AND name='second.2'"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM param WHERE left_out='tied' AND shape='256x512'"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
	is_like_a_fresh_one();
}

Test(open, a_store_of_version_2_becomes_one_of_today)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	make_version(db, 2);
	double kernels = query(db, "SELECT sum(total_ns) FROM kernel_step WHERE run_id=1"), estimates = query(db, "SELECT count(*) FROM estimate");
	cr_expect_eq(gns_store_open_read(db, &store, &err), -EPROTO, "reading never writes");
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_expect_eq(query(db, "SELECT count(*) FROM estimate"), estimates);
	cr_expect_eq(query(db, WRONG), 0);
	cr_expect_gt(query(db, "SELECT count(*) FROM run WHERE resolved"), 0);
	struct gns_generate o = { .name = "second", .steps = 40, .first_step = 21, .layers = 2, .ranks = 1, .every = 4, .batch = 128,
		.b_from = 200, .b_to = 2000, .noise = 0.05, .kernels = true, .seed = 9, .streams = 2, .torch = true, .device = true };
	int64_t id;
	cr_assert_eq(gns_generate_run(store, &o, &id, &err), 0, "the run left open goes on: %s", err.text);
	cr_expect_eq(id, 2);
	gns_store_close(store);
	cr_expect_eq(query(db, "PRAGMA user_version"), GNS_SCHEMA_VERSION);
	cr_expect_eq(query(db, "SELECT sum(total_ns) FROM kernel_step WHERE run_id=1"), kernels);
	cr_expect_eq(query(db, "SELECT count(*) FROM kernel WHERE run_id=1 AND (registers IS NOT NULL OR grid IS NOT NULL)"), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM device_step WHERE run_id=2"), 5, "of steps 20 to 36, each told two steps later");
	is_like_a_fresh_one();
}

Test(open, migrations_run_in_order_and_all_or_none)
{
	static const struct gns_migration good[] = { { GNS_SCHEMA_VERSION + 1, GNS_SCHEMA_VERSION + 2, "UPDATE note SET text=text||'2'", NULL },
		{ GNS_SCHEMA_VERSION, GNS_SCHEMA_VERSION + 1, "CREATE TABLE note(text TEXT); INSERT INTO note VALUES('1')", NULL }, { -1, 0, NULL, NULL } };
	static const struct gns_migration bad[] = { { GNS_SCHEMA_VERSION + 2, GNS_SCHEMA_VERSION + 3, "UPDATE note SET text=text||'3'", NULL },
		{ GNS_SCHEMA_VERSION + 3, GNS_SCHEMA_VERSION + 4, "UPDATE nothing SET x=1", NULL }, { -1, 0, NULL, NULL } };
	struct gns_store *store;
	struct gns_error err = { "" };
	make_store();
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_expect_eq(gns_store_migrate(store, good, GNS_SCHEMA_VERSION + 2, &err), 0, "%s", err.text);
	cr_expect_eq(query(db, "SELECT text='12' FROM note"), 1);
	cr_expect_eq(query(db, "PRAGMA user_version"), GNS_SCHEMA_VERSION + 2);
	cr_expect_lt(gns_store_migrate(store, bad, GNS_SCHEMA_VERSION + 4, &err), 0);
	cr_expect_eq(query(db, "SELECT text='12' FROM note"), 1);
	cr_expect_eq(query(db, "PRAGMA user_version"), GNS_SCHEMA_VERSION + 2);
	gns_store_close(store);
}
