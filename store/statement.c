/* Prepared statements, bindings and columns; SQLite's failures as sentences. */
#include "store/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdarg.h>
#include <string.h>

static const char *const texts[GNS_SQL_COUNT] = {
#define GNS_SQL(id, text) text,
#include "store/statements.inc"
#undef GNS_SQL
};

sqlite3_stmt *gns_sql(struct gns_store *store, enum gns_sql id)
{
	sqlite3_stmt **stmt = &store->stmt[id];
	gns_budget_begin(store);
	if (!*stmt) {
		if (sqlite3_prepare_v3(store->db, texts[id], -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
			return NULL;
	} else {
		sqlite3_reset(*stmt);
	}
	return *stmt;
}

static void bind_all(sqlite3_stmt *stmt, const char *format, va_list ap)
{
	for (int i = 1; *format; i++, format++) {
		double d;
		switch (*format) {
		case 'i':
			sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
			break;
		case 'd':
			d = va_arg(ap, double);
			if (isfinite(d))
				sqlite3_bind_double(stmt, i, d);
			else
				sqlite3_bind_null(stmt, i);
			break;
		case 't':
			sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		default:
			sqlite3_bind_null(stmt, i);
			break;
		}
	}
}

sqlite3_stmt *gns_sql_bind(struct gns_store *store, enum gns_sql id, const char *format, ...)
{
	sqlite3_stmt *stmt = gns_sql(store, id);
	if (!stmt)
		return NULL;
	va_list ap;
	va_start(ap, format);
	bind_all(stmt, format, ap);
	va_end(ap);
	return stmt;
}

int gns_sql_run(struct gns_store *store, enum gns_sql id, const char *format, ...)
{
	sqlite3_stmt *stmt = gns_sql(store, id);
	if (!stmt)
		return sqlite3_errcode(store->db);
	va_list ap;
	va_start(ap, format);
	bind_all(stmt, format, ap);
	va_end(ap);
	int rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
		sqlite3_reset(stmt);
		return rc;
	}
	return sqlite3_reset(stmt);
}

int64_t gns_sql_int(struct gns_store *store, enum gns_sql id, int64_t absent, const char *format, ...)
{
	sqlite3_stmt *stmt = gns_sql(store, id);
	if (!stmt)
		return absent;
	va_list ap;
	va_start(ap, format);
	bind_all(stmt, format, ap);
	va_end(ap);
	int64_t value = absent;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		value = gns_column_int(stmt, 0, absent);
	sqlite3_reset(stmt);
	return value;
}

double gns_column_double(sqlite3_stmt *stmt, int column)
{
	return sqlite3_column_type(stmt, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(stmt, column);
}

int64_t gns_column_int(sqlite3_stmt *stmt, int column, int64_t absent)
{
	return sqlite3_column_type(stmt, column) == SQLITE_NULL ? absent : sqlite3_column_int64(stmt, column);
}

void gns_column_text(sqlite3_stmt *stmt, int column, char *dst, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	size_t n = text ? strnlen(text, size - 1) : 0;
	if (n > 0)
		memcpy(dst, text, n);
	dst[n] = 0;
}

struct reason { int sqlite, code; const char *why, *next; };

static const struct reason reasons[] = {
	{ SQLITE_FULL, -ENOSPC, "no space left on device", "free some space" },
	{ SQLITE_BUSY, -EAGAIN, "another program keeps it locked", "close it and try again" },
	{ SQLITE_LOCKED, -EAGAIN, "another program keeps it locked", "close it and try again" },
	{ SQLITE_READONLY, -EROFS, "it is read-only", "make it writable or name another with --store" },
	{ SQLITE_CORRUPT, -EPROTO, "it is damaged", "keep a copy, save what can be read with sqlite3's .recover, and name another "
	  "with --store" },
	{ SQLITE_NOTADB, -EPROTO, "it is not a database", "name another with --store" },
	{ SQLITE_PERM, -EACCES, "permission denied", "name another with --store" },
	{ SQLITE_AUTH, -EACCES, "permission denied", "name another with --store" },
	{ SQLITE_CANTOPEN, -EACCES, "it cannot be opened", "check the file and its folder, or name another with --store" },
	{ SQLITE_NOMEM, -ENOMEM, "no memory left", "close other programs" },
	{ SQLITE_INTERRUPT, -EPROTO, "a query took more work than a store of this size can need, so its tables or views are not as gnscope made "
	  "them", "name another with --store" },
	{ SQLITE_IOERR, -EIO, "the device failed to read or write", "check the disk" },
};

/* SQLite takes the lack of locks for a lock of somebody else's. */
static bool has_no_locks(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1 };
	char probe[PATH_MAX + 16]; /* another file: closing the database would drop the locks that SQLite has on it */
	snprintf(probe, sizeof probe, "%s.XXXXXX", path);
	int fd = mkostemp(probe, O_CLOEXEC);
	bool none = fd >= 0 && fcntl(fd, F_GETLK, &lock) != 0 && (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS);
	if (fd >= 0) {
		unlink(probe);
		close(fd);
	}
	return none;
}

int gns_store_fail(struct gns_store *store, struct gns_error *err, const char *what)
{
	int rc = store->db ? sqlite3_extended_errcode(store->db) : SQLITE_NOMEM;
	int primary = rc & 0xff;
	if (primary == SQLITE_OK || primary == SQLITE_ROW || primary == SQLITE_DONE)
		primary = SQLITE_NOMEM; /* SQLite is content: it was our own allocation that failed */
	if (primary == SQLITE_IOERR && sqlite3_system_errno(store->db) == ENOSPC)
		primary = SQLITE_FULL;
	if ((primary == SQLITE_BUSY || primary == SQLITE_IOERR) && has_no_locks(store->path))
		return gns_fail(err, -ENOLCK, "cannot %s %s: its file system has no locks; name a store on another with --store", what,
				store->path);
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].sqlite == primary)
			return gns_fail(err, reasons[i].code, "cannot %s %s: %s; %s", what, store->path, reasons[i].why,
					reasons[i].next);
	return gns_fail(err, -EIO, "cannot %s %s: %s", what, store->path, store->db ? sqlite3_errmsg(store->db) : "no memory left");
}

int gns_snapshot_begin(struct gns_store *store, struct gns_error *err, const char *what, bool *mine)
{
	*mine = false;
	if (store->in_snapshot || !sqlite3_get_autocommit(store->db))
		return 0;
	if (gns_sql_run(store, GNS_SQL_BEGIN_READ, "") != SQLITE_OK)
		return gns_store_fail(store, err, what);
	*mine = store->in_snapshot = true;
	return 0;
}

void gns_snapshot_end(struct gns_store *store, bool mine)
{
	if (!mine)
		return;
	for (int i = 0; i < GNS_SQL_COUNT; i++)
		if (store->stmt[i] && sqlite3_stmt_busy(store->stmt[i]))
			sqlite3_reset(store->stmt[i]);
	gns_sql_run(store, GNS_SQL_COMMIT, "");
	store->in_snapshot = false;
}
