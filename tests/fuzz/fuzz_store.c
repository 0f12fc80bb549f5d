/* A database from elsewhere: a true one of which the input changes cells, to values of any type, and then bytes of the file. Opened and read
 * as the program does, then opened for writing. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/read_all.h"
#include "tests/store/generate.h"

enum { CHANGES_MAX = 12, BYTES_MAX = 4 };

static struct { uint8_t *data; size_t size; } seed;

struct input { const uint8_t *at, *end; };

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;
	for (; bytes && in->at < in->end; bytes--)
		value = value << 8 | *in->at++;
	return value;
}

static void make_seed(const char *path)
{
	struct gns_store *store = NULL;
	struct gns_generate options = GNS_GENERATE_DEFAULT;
	options.steps = 70;
	options.layers = 2;
	options.streams = 2;
	options.torch = options.device = options.warnings = true;
	int64_t run;
	unlink(path);
	if (gns_store_open_write(path, &store, NULL) || gns_generate_run(store, &options, &run, NULL))
		abort();
	gns_store_close(store);
	sqlite3 *db;
	if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, "PRAGMA journal_mode=DELETE; VACUUM", NULL, NULL, NULL) != SQLITE_OK)
		abort();
	sqlite3_close(db);
	int fd = open(path, O_RDONLY);
	off_t size = lseek(fd, 0, SEEK_END);
	seed.data = malloc((size_t)size);
	if (size <= 0 || pread(fd, seed.data, (size_t)size, 0) != (ssize_t)size)
		abort();
	seed.size = (size_t)size;
	close(fd);
}

/* The k-th name that a query gives. */
static void name_of(sqlite3 *db, const char *query, uint64_t k, char *out, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	out[0] = 0;
	if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) != SQLITE_OK)
		return;
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)k);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
}

static void bind_any(sqlite3_stmt *stmt, struct input *in)
{
	static const double odd[] = { 1e308, -1e308, 1e-320, -0.0, 9.3e18, -9.3e18, 0.5, 4294967296.5 };
	static const int64_t large[] = { INT64_MAX, INT64_MIN, 0, -1, 1ll << 53, 1ll << 32, 65536, 1ll << 62 };
	uint64_t kind = take(in, 1), value = take(in, 8);
	switch (kind % 7) {
	case 0: sqlite3_bind_int64(stmt, 1, (sqlite3_int64)value); break;
	case 1: sqlite3_bind_int64(stmt, 1, large[value % 8]); break;
	case 2: sqlite3_bind_double(stmt, 1, odd[value % 8]); break;
	case 3: {
		double d;
		memcpy(&d, &value, sizeof d);
		sqlite3_bind_double(stmt, 1, d);
		break;
	}
	case 4: sqlite3_bind_text(stmt, 1, (const char *)in->at, (int)(in->end - in->at < 40 ? in->end - in->at : 40), SQLITE_TRANSIENT); break;
	case 5: sqlite3_bind_blob(stmt, 1, in->at, (int)(in->end - in->at < 40 ? in->end - in->at : 40), SQLITE_TRANSIENT); break;
	default: sqlite3_bind_null(stmt, 1); break;
	}
}

static void change(sqlite3 *db, struct input *in)
{
	char table[64], column[64], text[300];
	sqlite3_stmt *stmt = NULL;
	name_of(db, "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name LIMIT 1 OFFSET ?1 % (SELECT count(*) FROM sqlite_schema "
		    "WHERE type='table')", take(in, 1), table, sizeof table);
	snprintf(text, sizeof text, "SELECT name FROM pragma_table_info('%s') LIMIT 1 OFFSET ?1 %% (SELECT count(*) FROM pragma_table_info('%s'))",
		 table, table);
	name_of(db, text, take(in, 1), column, sizeof column);
	uint64_t place = take(in, 1);
	if (place == 255) /* all rows */
		snprintf(text, sizeof text, "UPDATE OR IGNORE \"%s\" SET \"%s\"=?1", table, column);
	else
		snprintf(text, sizeof text, "UPDATE OR IGNORE \"%s\" SET \"%s\"=?1 WHERE \"%s\" = (SELECT \"%s\" FROM \"%s\" LIMIT 1 OFFSET %u)", table,
			 column, column, column, table, (unsigned)place);
	if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) == SQLITE_OK) {
		bind_any(stmt, in);
		sqlite3_step(stmt);
	}
	sqlite3_finalize(stmt);
}

static void damage(const char *path, struct input *in)
{
	int fd = open(path, O_WRONLY);
	for (int i = 0; i < BYTES_MAX && in->at < in->end && take(in, 1) > 200; i++) {
		uint8_t byte = (uint8_t)take(in, 1);
		if (pwrite(fd, &byte, 1, (off_t)(take(in, 4) % seed.size)) != 1)
			abort();
	}
	close(fd);
}

static void put_seed(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, seed.data, seed.size) != (ssize_t)seed.size)
		abort();
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64], journal[80];
	struct input in = { data, data + size };
	struct gns_store *store = NULL;
	sqlite3 *db = NULL;
	if (!seed.data) {
		snprintf(path, sizeof path, "/dev/shm/gns-fuzz-store-%d.db", (int)getpid());
		make_seed(path);
	}
	put_seed(path);
	if (sqlite3_open(path, &db) == SQLITE_OK) {
		sqlite3_exec(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
		for (int i = 0; i < CHANGES_MAX && in.end - in.at >= 3; i++)
			change(db, &in);
	}
	sqlite3_close(db);
	damage(path, &in);
	if (gns_store_open_read(path, &store, NULL) == 0)
		gns_fuzz_read_all(store);
	gns_store_close(store);
	store = NULL;
	if (size % 4 == 0) { /* opened for writing, it is migrated and weighed anew: slow */
		if (gns_store_open_write(path, &store, NULL) == 0)
			gns_fuzz_read_all(store);
		gns_store_close(store);
	}
	static const char *const beside[] = { "-wal", "-shm", "-journal" };
	for (int i = 0; i < 3; i++) {
		snprintf(journal, sizeof journal, "%s%s", path, beside[i]);
		unlink(journal);
	}
	return 0;
}
