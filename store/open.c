/* Opening a store: where it is, what it must be, how it is made and brought up to date. */
#include "store/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 5000

static const struct gns_migration migrations[] = {
	{ 0, GNS_SCHEMA_VERSION, gns_schema_sql, NULL },
	{ 1, GNS_SCHEMA_VERSION, gns_schema_from_1, gns_store_reweigh },
	{ 2, GNS_SCHEMA_VERSION, gns_schema_from_2, gns_store_reweigh },
	{ 3, GNS_SCHEMA_VERSION, gns_schema_from_3, gns_store_reweigh },
	{ -1, 0, NULL, NULL },
};

int gns_store_default_path(char *buf, size_t size)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;
	if (state && state[0] == '/')
		n = snprintf(buf, size, "%s/gnscope/runs.db", state);
	else if (home && home[0])
		n = snprintf(buf, size, "%s/.local/state/gnscope/runs.db", home);
	else
		return -ENOENT;
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int gns_make_folder(const char *path, struct gns_error *err)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof copy, "%s", path);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		struct stat st;
		if (stat(copy, &st) < 0 && mkdir(copy, 0700) < 0 && errno != EEXIST)
			return gns_fail(err, -errno, "cannot make the folder %s for the store: %s; make it, or name another store with "
					"--store", copy, strerror(errno));
		*slash = '/';
	}
	return 0;
}

static struct gns_store *store_new(const char *path)
{
	struct gns_store *store = calloc(1, sizeof *store);
	if (store)
		store->busy_ms = BUSY_MS;
	if (store)
		snprintf(store->path, sizeof store->path, "%s", path);
	return store;
}

void gns_store_close(struct gns_store *store)
{
	if (!store)
		return;
	if (store->writer)
		gns_writer_free(store->writer);
	for (int i = 0; i < GNS_SQL_COUNT; i++)
		sqlite3_finalize(store->stmt[i]);
	sqlite3_close_v2(store->db);
	free(store);
}

/* SQLite takes a path by URI, so that "immutable" can be said; what is special there is escaped. */
static void uri_of(const char *path, const char *query, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = (size_t)snprintf(out, size, "file:%s", path[0] == '/' ? "//" : "");
	for (; *path && n + 4 < size; path++) {
		unsigned char c = (unsigned char)*path;
		if (c == '?' || c == '#' || c == '%' || c < ' ') {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		} else {
			out[n++] = (char)c;
		}
	}
	snprintf(out + n, size - n, "%s", query);
}

static int open_db(struct gns_store *store, const char *query, int flags)
{
	char uri[PATH_MAX * 3 + 64];
	uri_of(store->path, query, uri, sizeof uri);
	int rc = sqlite3_open_v2(uri, &store->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(store->db, store->busy_ms);
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL);
		gns_budget_set(store);
		rc = sqlite3_exec(store->db, store->alone ? "PRAGMA locking_mode=EXCLUSIVE; SELECT count(*) FROM sqlite_schema"
							  : "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
	}
	return rc;
}

static bool no_shared_maps(int rc)
{
	return rc == SQLITE_IOERR_SHMMAP || rc == SQLITE_IOERR_SHMOPEN || rc == SQLITE_IOERR_SHMSIZE;
}

/* A store with a WAL, where the index of a WAL cannot be shared: one process alone can do without, and give the store a journal. */
static int leave_wal(struct gns_store *store)
{
	sqlite3_close_v2(store->db);
	store->db = NULL;
	store->alone = true;
	int rc = open_db(store, "?mode=rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	store->alone = false;
	if (rc != SQLITE_OK)
		return rc;
	return sqlite3_exec(store->db, "PRAGMA journal_mode=DELETE; PRAGMA locking_mode=NORMAL; SELECT count(*) FROM sqlite_schema", NULL, NULL,
			    NULL);
}

static bool wal_has_content(const char *path)
{
	char wal[PATH_MAX + 8];
	struct stat st;
	snprintf(wal, sizeof wal, "%s-wal", path);
	return stat(wal, &st) == 0 && st.st_size > 0;
}

/* On a read-only medium SQLite cannot make the shared index of a WAL. Where the WAL is empty the file is complete by
 * itself, and can be read as one that nobody changes. */
static int open_reading(struct gns_store *store, struct gns_error *err)
{
	int rc = open_db(store, "?mode=ro", SQLITE_OPEN_READONLY);
	if (rc == SQLITE_OK)
		return 0;
	int primary = rc & 0xff;
	if (primary != SQLITE_CANTOPEN && primary != SQLITE_READONLY && !no_shared_maps(rc))
		return gns_store_fail(store, err, "read");
	if (wal_has_content(store->path))
		return gns_fail(err, -EROFS, "cannot read %s: part of it is still in its log (%s-wal), which cannot be read where "
				"nothing may be written; copy both files to a writable folder and name the copy with --store",
				store->path, store->path);
	sqlite3_close_v2(store->db);
	store->db = NULL;
	rc = open_db(store, "?mode=ro&immutable=1", SQLITE_OPEN_READONLY);
	return rc == SQLITE_OK ? 0 : gns_store_fail(store, err, "read");
}

static int user_version(struct gns_store *store)
{
	sqlite3_stmt *stmt = NULL;
	int version = -1;
	if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		version = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return version;
}

int gns_store_open_read(const char *path, struct gns_store **out, struct gns_error *err)
{
	enum gns_file_kind kind;
	int rc = gns_check_file(path, false, &kind, err);
	if (rc < 0)
		return rc;
	struct gns_store *store = store_new(path);
	if (!store)
		return gns_fail(err, -ENOMEM, "cannot open %s: no memory left", path);
	rc = open_reading(store, err);
	if (rc == 0)
		rc = gns_check_database(store, err);
	if (rc == 0 && user_version(store) < GNS_SCHEMA_VERSION)
		rc = gns_fail(err, -EPROTO, "cannot read %s: it was made by an older gnscope; record one run into it with this one, "
			      "which brings it up to date", path);
	if (rc < 0) {
		gns_store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

int gns_store_migrate(struct gns_store *store, const struct gns_migration *steps, int to, struct gns_error *err)
{
	if (user_version(store) == to)
		return 0;
	if (sqlite3_exec(store->db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK)
		return gns_store_fail(store, err, "bring up to date");
	int version = user_version(store); /* another process may have been faster */
	bool ok = version >= 0;
	while (ok && version < to) {
		const struct gns_migration *step = steps;
		while (step->from >= 0 && step->from != version)
			step++;
		ok = step->from == version && sqlite3_exec(store->db, step->sql, NULL, NULL, NULL) == SQLITE_OK &&
		     (!step->after || step->after(store) == SQLITE_OK);
		version = ok ? step->to : version;
	}
	char mark[96];
	snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", GNS_APPLICATION_ID, version);
	if (ok && sqlite3_exec(store->db, mark, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	int rc = gns_store_fail(store, err, "bring up to date");
	sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int open_writing(struct gns_store *store, enum gns_file_kind kind, struct gns_error *err)
{
	int opened = open_db(store, "?mode=rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	if (no_shared_maps(opened))
		opened = leave_wal(store);
	if (opened != SQLITE_OK)
		return gns_store_fail(store, err, "write");
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* a file that is refused stays as it is */
	int rc = kind == GNS_FILE_OURS ? gns_check_database(store, err) : 0;
	if (rc == 0)
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	/* The schema before the WAL: application_id and user_version must be in the file itself for gns_check_file. */
	if (rc == 0)
		rc = gns_store_migrate(store, migrations, GNS_SCHEMA_VERSION, err);
	/* Without shared mappings there is no WAL: then readers and the writer wait for each other. */
	if (rc == 0 && sqlite3_exec(store->db, "PRAGMA journal_mode=WAL; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) != SQLITE_OK &&
	    leave_wal(store) != SQLITE_OK)
		rc = gns_store_fail(store, err, "write");
	if (rc == 0 && sqlite3_exec(store->db, "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
				    "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16384", NULL, NULL, NULL) != SQLITE_OK)
		rc = gns_store_fail(store, err, "write");
	struct stat st;
	if (rc == 0 && stat(store->path, &st) == 0) {
		store->device = st.st_dev;
		store->inode = st.st_ino;
	}
	return rc;
}

/* SQLite gives a log the mode of its database. */
static int make_file(const char *path, struct gns_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno != ELOOP)
		return gns_fail(err, -errno, "cannot write %s: %s; name another store with --store", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return 0;
}

int gns_store_open_write(const char *path, struct gns_store **out, struct gns_error *err)
{
	return gns_store_open_write_within(path, BUSY_MS, out, err);
}

int gns_store_open_write_within(const char *path, int busy_ms, struct gns_store **out, struct gns_error *err)
{
	enum gns_file_kind kind;
	int rc = gns_check_file(path, true, &kind, err);
	if (rc == 0 && kind == GNS_FILE_MISSING)
		rc = gns_make_folder(path, err);
	if (rc == 0 && kind == GNS_FILE_MISSING)
		rc = gns_check_folder(path, err);
	if (rc == 0 && kind == GNS_FILE_MISSING)
		rc = make_file(path, err);
	if (rc < 0)
		return rc;
	struct gns_store *store = store_new(path);
	struct gns_writer *writer = calloc(1, sizeof *writer);
	if (!store || !writer) {
		free(store);
		free(writer);
		return gns_fail(err, -ENOMEM, "cannot open %s: no memory left", path);
	}
	store->writable = true;
	store->busy_ms = busy_ms;
	store->writer = writer;
	writer->keep = GNS_KEEP_DEFAULT;
	rc = open_writing(store, kind, err);
	if (rc < 0) {
		gns_store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

void gns_store_set_keep(struct gns_store *store, int64_t measured_steps)
{
	if (store->writer)
		store->writer->keep = measured_steps > 0 ? measured_steps : GNS_KEEP_DEFAULT;
}

int64_t gns_store_data_version(struct gns_store *store)
{
	return gns_sql_int(store, GNS_SQL_DATA_VERSION, -1, "");
}
