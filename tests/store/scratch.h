/* A folder of its own for every test, removed afterwards, and small helpers for files and databases. */
#ifndef GNS_TESTS_STORE_SCRATCH_H
#define GNS_TESTS_STORE_SCRATCH_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gnscope/store.h"

static char folder[64];
static char db[128];

static void remove_all(const char *path)
{
	char inner[512];
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
			if (unlink(inner) < 0)
				remove_all(inner);
		}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static void scratch(void)
{
	snprintf(folder, sizeof folder, "/tmp/gns-store-XXXXXX");
	cr_assert(mkdtemp(folder) != NULL);
	snprintf(db, sizeof db, "%s/runs.db", folder);
}

static void no_scratch(void)
{
	chmod(folder, 0700);
	remove_all(folder);
}

/* One number of an independent SQLite connection. */
__attribute__((unused)) static double query(const char *path, const char *sql)
{
	sqlite3 *handle;
	sqlite3_stmt *stmt = NULL;
	double value = NAN;
	cr_assert_eq(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_busy_timeout(handle, 5000);
	cr_assert_eq(sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(handle));
	if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
		value = sqlite3_column_double(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(handle);
	return value;
}

__attribute__((unused)) static void execute(const char *path, const char *sql)
{
	sqlite3 *handle;
	char *why = NULL;
	cr_assert_eq(sqlite3_open(path, &handle), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, &why), SQLITE_OK, "%s: %s", sql, why);
	sqlite3_close(handle);
}

__attribute__((unused)) static char *contents(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return NULL;
	fseek(file, 0, SEEK_END);
	*size = (size_t)ftell(file);
	rewind(file);
	char *bytes = malloc(*size + 1);
	cr_assert_eq(fread(bytes, 1, *size, file), *size);
	fclose(file);
	return bytes;
}

#endif
