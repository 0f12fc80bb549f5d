/* Records as a ring hands them over, in which nothing is trusted: into a store, which is then read. The input is records of 128 bytes; each
 * begins as a true record of some kind, which its bytes then overwrite where they are not zero. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/read_all.h"
#include "tests/store/generate.h"

enum { RUNS_A_STORE = 200, RECORDS_MAX = 512 };

static struct gns_record patched(const uint8_t *data, size_t size)
{
	struct gns_record record = gns_generate_record((enum gns_record_kind)(size ? data[0] % GNS_REC_KINDS : 0));
	for (size_t i = 1; i < size && i < sizeof record; i++)
		if (data[i])
			((uint8_t *)&record)[i] ^= data[i];
	return record;
}

static struct gns_store *fresh(struct gns_store *old, const char *path)
{
	struct gns_store *store = NULL;
	gns_store_close(old);
	unlink(path);
	return gns_store_open_write(path, &store, NULL) == 0 ? store : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gns_store *store;
	static char path[64];
	static unsigned runs;
	int64_t run, rank;
	uint64_t tail;
	if (runs++ % RUNS_A_STORE == 0) {
		snprintf(path, sizeof path, "/dev/shm/gns-fuzz-records-%d.db", (int)getpid());
		store = fresh(store, path);
	}
	struct gns_run_start start = { .key = runs, .command = "fuzz", .version = "0", .start_ns = 1 };
	if (!store || gns_store_run_begin(store, &start, &run, NULL) || gns_store_rank_begin(store, run, 0, 1, &rank, &tail, NULL))
		abort();
	if (gns_store_begin(store, NULL))
		abort();
	bool whole = true;
	for (size_t at = 0, n = 0; at < size && n < RECORDS_MAX && whole; at += sizeof(struct gns_record), n++) {
		struct gns_record record = patched(data + at, size - at);
		whole = gns_store_record(store, rank, &record, NULL) == 0;
	}
	if (!whole || gns_store_commit(store, NULL))
		abort(); /* no record, however false, is an error of the store */
	if (gns_store_rank_end(store, rank, NULL) || gns_store_run_end(store, run, "finished", 0, 2, NULL))
		abort();
	gns_fuzz_read_run(store, run);
	return 0;
}
