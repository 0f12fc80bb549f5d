/* A store whose file was removed or replaced while it was open for writing. SQLite would go on writing to a file that has no name any more. */
#include "store/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool gns_store_is_at(const struct gns_store *store, const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && st.st_dev == store->device && st.st_ino == store->inode;
}

/* A copy of all that was there is no copy of the store: who removed it meant the other runs. */
static int keep_only(sqlite3 *db, uint64_t key)
{
	sqlite3_stmt *tables = NULL;
	char sql[512];
	int rc = sqlite3_prepare_v2(db, "SELECT m.name FROM sqlite_schema m WHERE m.type='table' AND EXISTS (SELECT 1 FROM "
				    "pragma_table_info(m.name) c WHERE c.name='run_id') AND m.name<>'run'", -1, &tables, NULL);
	while (rc == SQLITE_OK && sqlite3_step(tables) == SQLITE_ROW) {
		snprintf(sql, sizeof sql, "DELETE FROM \"%s\" WHERE run_id IS NULL OR run_id NOT IN (SELECT run_id FROM run WHERE session_key=%" PRId64 ")",
			 (const char *)sqlite3_column_text(tables, 0), (int64_t)key);
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	}
	sqlite3_finalize(tables);
	snprintf(sql, sizeof sql, "DELETE FROM sweep; DELETE FROM rank_param WHERE rank_id NOT IN (SELECT rank_id FROM rank);"
		 "DELETE FROM rank_kernel WHERE rank_id NOT IN (SELECT rank_id FROM rank); DELETE FROM run WHERE session_key<>%" PRId64, (int64_t)key);
	return rc == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : rc;
}

static int copy_run(struct gns_store *store, const char *copy, uint64_t key, struct gns_error *err)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	int fd = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return gns_fail(err, -errno, "cannot make %s: %s", copy, strerror(errno));
	close(fd);
	int rc = sqlite3_prepare_v2(store->db, "VACUUM INTO ?1", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, copy, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(store->db);
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK)
		rc = sqlite3_open_v2(copy, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = keep_only(db, key);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "VACUUM", NULL, NULL, NULL);
	sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : gns_fail(err, -EIO, "cannot copy the run to %s: %s", copy, sqlite3_errstr(rc));
}

/* The log of the file that is gone is still there by name, and would be taken for one of the copy's. */
static int put_in_place(const char *copy, const char *path)
{
	struct stat st;
	char log[PATH_MAX + 8];
	if (stat(path, &st) == 0)
		return -EEXIST;
	snprintf(log, sizeof log, "%s-wal", path);
	unlink(log);
	snprintf(log, sizeof log, "%s-shm", path);
	unlink(log);
	return link(copy, path) == 0 ? 0 : -errno;
}

int gns_store_rescue(struct gns_store *store, uint64_t key, char *kept, size_t size, struct gns_error *err)
{
	char path[PATH_MAX], copy[PATH_MAX + 32];
	snprintf(path, sizeof path, "%s", store->path);
	snprintf(copy, sizeof copy, "%s.rescued-%016" PRIx64 "-%d", path, key, (int)getpid());
	kept[0] = 0;
	int rc = gns_make_folder(path, err);
	if (rc == 0)
		rc = copy_run(store, copy, key, err);
	gns_store_close(store);
	if (rc == 0 && put_in_place(copy, path) != 0)
		snprintf(kept, size, "%s", copy);
	if (!kept[0])
		unlink(copy);
	return rc;
}
