/* A store with one run in it: generated and opened for reading, or open for writing, to be fed record by record. */
#ifndef GNS_TESTS_STORE_OPENED_H
#define GNS_TESTS_STORE_OPENED_H

#include "tests/store/generate.h"
#include "tests/store/scratch.h"

static struct gns_error err;
static struct gns_store *store;

__attribute__((unused)) static void close_store(void)
{
	gns_store_close(store);
	store = NULL;
	no_scratch();
}

/* The run's id; its store is open for reading, one that was open before is closed. */
__attribute__((unused)) static int64_t generate(const struct gns_generate *o)
{
	int64_t id;
	gns_store_close(store);
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_generate_run(store, o, &id, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	return id;
}

/* Open for writing, with a run and its first rank. */
__attribute__((unused)) static void begin_run(const struct gns_run_start *start, int64_t *run_id, int64_t *row)
{
	uint64_t tail;
	scratch();
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_run_begin(store, start, run_id, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_rank_begin(store, *run_id, 0, 1000, row, &tail, &err), 0, "%s", err.text);
}

__attribute__((unused)) static void begin(void)
{
	cr_assert_eq(gns_store_begin(store, &err), 0, "%s", err.text);
}

__attribute__((unused)) static void commit(void)
{
	cr_assert_eq(gns_store_commit(store, &err), 0, "%s", err.text);
}

__attribute__((unused)) static bool warned(const struct gns_summary *s, const char *name)
{
	for (size_t i = 0; i < s->n_warnings; i++)
		if (strcmp(s->warnings[i].name, name) == 0)
			return true;
	return false;
}

#endif
