/* A bound on the work of one query. A file from elsewhere may hold views that never end; any query of ours is linear in what the
 * file holds, so the file's size bounds it. Counted in instructions of SQLite's virtual machine: the same on every machine. */
#include "store/internal.h"

#include <sys/stat.h>

#define EVERY 20000                /* instructions between two looks */
#define FLOOR 20000000             /* instructions that any query may take: below a second */
#define A_BYTE 100                 /* more for each byte; a row of 60 bytes takes some 200 at most where two tables are joined */
#define LONGEST_VALUE (64 << 20)   /* bytes of a text or blob */

static int64_t bytes_of(const char *path, const char *suffix)
{
	char name[PATH_MAX + 8];
	struct stat st;
	snprintf(name, sizeof name, "%s%s", path, suffix);
	return stat(name, &st) == 0 ? st.st_size : 0;
}

static int look(void *arg)
{
	struct gns_store *store = arg;
	if (store->unbounded || (store->worked += EVERY) < store->budget)
		return 0;
	store->budget = FLOOR + A_BYTE * (bytes_of(store->path, "") + bytes_of(store->path, "-wal"));
	return store->worked >= store->budget;
}

void gns_budget_begin(struct gns_store *store)
{
	store->worked = 0;
}

void gns_budget_set(struct gns_store *store)
{
	sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, LONGEST_VALUE);
	sqlite3_progress_handler(store->db, EVERY, look, store);
	gns_budget_begin(store);
}
