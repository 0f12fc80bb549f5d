/* What a file is, found out before SQLite may touch it: opening a strange WAL database for writing would already change
 * it. The header's fields are in https://www.sqlite.org/fileformat2.html, section 1.3. */
#include "store/internal.h"

#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 100
#define FULL_CHECK_BYTES (8 << 20) /* larger files are only probed: a check must not cost seconds */

static uint32_t big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int fail_open(struct gns_error *err, const char *path, int why)
{
	const char *next = why == EACCES ? "ask its owner, or name another with --store" : "check the path given to --store";
	return gns_fail(err, -why, "cannot open %s: %s; %s", path, strerror(why), next);
}

int gns_check_folder(const char *path, struct gns_error *err)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof copy, "%s", path);
	const char *folder = dirname(copy);
	struct stat st;
	if (stat(folder, &st) == 0 && (st.st_mode & 0222) != 0 && faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return gns_fail(err, errno == EROFS ? -EROFS : -EACCES,
			"cannot write %s: its folder %s is read-only and SQLite must keep a log beside the file; make the "
			"folder writable or name another store with --store", path, folder);
}

static int check_writable(const char *path, const struct stat *st, struct gns_error *err)
{
	if ((st->st_mode & 0222) == 0 || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
		return gns_fail(err, errno == EROFS ? -EROFS : -EACCES,
				"cannot write %s: it is read-only; make it writable (chmod u+w) or name another store with --store",
				path);
	return gns_check_folder(path, err);
}

static bool has_log(const char *path)
{
	char log[PATH_MAX];
	struct stat st;
	snprintf(log, sizeof log, "%s-wal", path);
	return stat(log, &st) == 0 && st.st_size > 0;
}

static int check_header(const char *path, const unsigned char *head, ssize_t got, off_t size, struct gns_error *err)
{
	if (got < HEADER_BYTES || memcmp(head, "SQLite format 3", 16) != 0)
		return gns_fail(err, -EPROTO, "cannot open %s: it is not a database; it was left as it is; name another store with "
				"--store", path);
	if (big_endian(head + 68) != GNS_APPLICATION_ID)
		return gns_fail(err, -EPROTO, "cannot open %s: it is a database of another program, not of gnscope; it was left as "
				"it is; name another store with --store", path);
	uint32_t version = big_endian(head + 60);
	if (version > GNS_SCHEMA_VERSION)
		return gns_fail(err, -ENOTSUP, "cannot open %s: it was written by a newer gnscope (schema %u, this one knows up to %d); "
				"it was left as it is; use the newer gnscope or name another store with --store",
				path, version, GNS_SCHEMA_VERSION);
	uint32_t page = (uint32_t)head[16] << 8 | head[17];
	if (page == 1)
		page = 65536;
	/* With a log beside it the file may be behind its own header: a checkpoint that a full disk cut short. */
	bool sound = page >= 512 && (page & (page - 1)) == 0;
	bool cut = sound && (size % page != 0 || (off_t)big_endian(head + 28) * page > size);
	if (!sound || (cut && !has_log(path)))
		return gns_fail(err, -EPROTO, "cannot open %s: it is damaged (%lld bytes, its header says %u pages of %u); it was left "
				"as it is; save what can be read with sqlite3's .recover and name another store with --store",
				path, (long long)size, big_endian(head + 28), page);
	return 0;
}

int gns_check_file(const char *path, bool for_writing, enum gns_file_kind *kind, struct gns_error *err)
{
	struct stat st;
	if (strlen(path) >= PATH_MAX - 16)
		return gns_fail(err, -ENAMETOOLONG, "cannot open the store: its path is longer than the system allows; give a shorter "
				"one with --store");
	if (stat(path, &st) < 0) {
		if (errno == ENOENT && for_writing) {
			*kind = GNS_FILE_MISSING;
			return 0;
		}
		if (errno == ENOENT)
			return gns_fail(err, -ENOENT, "cannot open %s: there is no such file; nothing has been recorded there yet "
					"(gnscope run -- CMD does), or name another store with --store", path);
		return fail_open(err, path, errno);
	}
	if (S_ISDIR(st.st_mode))
		return gns_fail(err, -EISDIR, "cannot open %s: it is a directory; name a file in it with --store", path);
	if (!S_ISREG(st.st_mode))
		return gns_fail(err, -EINVAL, "cannot open %s: it is not an ordinary file; name another store with --store", path);
	errno = 0;
	int rc = for_writing ? check_writable(path, &st, err) : 0;
	if (rc < 0)
		return rc;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fail_open(err, path, errno);
	unsigned char head[HEADER_BYTES];
	ssize_t got = pread(fd, head, sizeof head, 0);
	close(fd);
	if (got < 0)
		return fail_open(err, path, errno);
	*kind = got == 0 ? GNS_FILE_EMPTY : GNS_FILE_OURS;
	if (got == 0 && !for_writing)
		return gns_fail(err, -ENOENT, "cannot read %s: it is empty; nothing has been recorded there yet (gnscope run -- CMD "
				"does), or name another store with --store", path);
	return got == 0 ? 0 : check_header(path, head, got, st.st_size, err);
}

static int fail_damaged(struct gns_store *store, struct gns_error *err, const char *what)
{
	return gns_fail(err, -EPROTO, "cannot open %s: it is damaged (%s); keep a copy, save what can be read with sqlite3's .recover, "
			"and name another store with --store", store->path, what);
}

static int64_t query_int(struct gns_store *store, const char *sql, int64_t absent)
{
	sqlite3_stmt *stmt;
	int64_t value = absent;
	if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		value = gns_column_int(stmt, 0, absent);
	sqlite3_finalize(stmt);
	return value;
}

static int full_check(struct gns_store *store, struct gns_error *err)
{
	sqlite3_stmt *stmt = NULL;
	char said[200] = "";
	int rc = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		gns_column_text(stmt, 0, said, sizeof said);
	sqlite3_finalize(stmt);
	if (rc == SQLITE_BUSY)
		return gns_store_fail(store, err, "read");
	if (strcmp(said, "ok") == 0)
		return 0;
	for (char *c = said; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	return fail_damaged(store, err, said[0] ? said : sqlite3_errmsg(store->db));
}

/* All tables of schema.sql; the first PROBED have a run_id in each row. */
static const char *const tables[] = { "run", "rank", "param", "step", "grad", "kernel", "kernel_step", "collector",
	"event", "setting", "estimate", "rollup", "rollup_param", "rollup_kernel", "device_step", "device_kernel_step", "library",
	"rollup_device_kernel", "rank_param", "rank_kernel", "sweep", "sweep_run" };
#define PROBED 18

/* A view or virtual table of one of our names would run code of the file's author in every query of ours. */
static int check_names(struct gns_store *store, struct gns_error *err)
{
	sqlite3_stmt *stmt = NULL;
	char type[16], name[64];
	int rc = sqlite3_prepare_v2(store->db, "SELECT type, name FROM sqlite_schema WHERE type <> 'table' OR rootpage = 0", -1, &stmt, NULL);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		gns_column_text(stmt, 0, type, sizeof type);
		gns_column_text(stmt, 1, name, sizeof name);
		for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
			if (strcasecmp(name, tables[i]) == 0)
				rc = gns_fail(err, -EPROTO, "cannot open %s: its %s is a %s, which gnscope never makes of it: another program "
					      "has changed the file; it was left as it is; name another store with --store", store->path,
					      tables[i], strcmp(type, "table") == 0 ? "virtual table" : strcmp(type, "view") == 0 ? "view" : "trigger or index");
	}
	int stopped = sqlite3_finalize(stmt);
	return rc < 0 ? rc : rc != SQLITE_OK || stopped != SQLITE_OK ? gns_store_fail(store, err, "read") : 0;
}

/* The newest rows of every table lie on the pages written last: a file cut short or overwritten shows there. */
static int probe(struct gns_store *store, struct gns_error *err)
{
	char sql[128];
	for (size_t i = 0; i < PROBED; i++) {
		snprintf(sql, sizeof sql, "SELECT max(run_id) FROM %s", tables[i]);
		if (i == 0 || strcmp(tables[i], "rank") == 0 || strcmp(tables[i], "event") == 0)
			snprintf(sql, sizeof sql, "SELECT run_id FROM %s ORDER BY rowid DESC LIMIT 1", tables[i]);
		sqlite3_stmt *stmt = NULL;
		int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(stmt);
		sqlite3_finalize(stmt);
		if (rc == SQLITE_BUSY || (rc & 0xff) == SQLITE_INTERRUPT)
			return gns_store_fail(store, err, "read");
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			return fail_damaged(store, err, sqlite3_errmsg(store->db));
	}
	return 0;
}

int gns_check_database(struct gns_store *store, struct gns_error *err)
{
	int64_t version = query_int(store, "PRAGMA user_version", -1);
	if (version < 0)
		return gns_store_fail(store, err, "read");
	if (version > GNS_SCHEMA_VERSION)
		return gns_fail(err, -ENOTSUP, "cannot open %s: it was written by a newer gnscope (schema %lld, this one knows up to %d); "
				"use the newer gnscope or name another store with --store",
				store->path, (long long)version, GNS_SCHEMA_VERSION);
	int named = check_names(store, err);
	if (named < 0)
		return named;
	if (query_int(store, "PRAGMA page_count", 0) * query_int(store, "PRAGMA page_size", 0) <= FULL_CHECK_BYTES) {
		int rc = full_check(store, err);
		if (rc < 0)
			return rc;
	}
	return version < GNS_SCHEMA_VERSION ? 0 : probe(store, err);
}
