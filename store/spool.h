/* A spool: what a recorder keeps in a plain file while its store cannot be written, as it came from the rings. Replayed into a store it
 * leaves there what the recorder would have: the rings' absolute indices are kept, so that nothing is stored twice however often a
 * replay is cut short. A file has one writer or importer at a time (flock), is made with mode 0600, and needs no locks or mappings of
 * its file system to be written.
 *
 *   head      struct of spool.c: versions, the session's key, what the run's row needs
 *   frames    records of one process, the end of a process, the end of the run; each with a check sum. A file that ends within a frame
 *             ends before it.
 * All functions return 0 or a negative errno with a sentence in `err`. */
#ifndef GNS_STORE_SPOOL_H
#define GNS_STORE_SPOOL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "gnscope/store.h"

struct gns_spool {
	int fd;              /* -1: closed */
	char path[PATH_MAX];
	uint64_t size;       /* of what is whole */
	uint64_t records;    /* in it */
};

/* Opens the spool of this session, beside the store or, where that cannot be written, in $TMPDIR (/tmp). GNS_SPOOL_ELSEWHERE: not on the
 * store's file system, which is full: the store needs what is freed there. -ENOENT: there is none, and none was to be made. */
enum gns_spool_make { GNS_SPOOL_NONE, GNS_SPOOL_ANYWHERE, GNS_SPOOL_ELSEWHERE };
int gns_spool_open(struct gns_spool *spool, const char *store, const struct gns_run_start *start, enum gns_spool_make make,
		   struct gns_error *err);
void gns_spool_close(struct gns_spool *spool);
/* After a replay: removes the file. */
void gns_spool_remove(struct gns_spool *spool);

/* `first`: absolute index in the ring of the first record. What was lost is as of now. Either all is written or nothing. */
struct gns_spool_part {
	uint32_t slot, pid;
	uint64_t first, dropped_records, dropped_steps;
};
int gns_spool_records(struct gns_spool *spool, const struct gns_spool_part *part, const struct gns_record *records, uint32_t n);
int gns_spool_rank_end(struct gns_spool *spool, uint32_t slot, uint32_t pid);
int gns_spool_run_end(struct gns_spool *spool, const char *status, int exit_code, uint64_t end_ns);

struct gns_spool_result {
	int64_t run_id;      /* 0: the spool was empty */
	uint64_t records;    /* stored now; those that were there already are not counted */
	bool ended;          /* the run's end was in it */
};
int gns_spool_replay(struct gns_spool *spool, struct gns_store *store, struct gns_spool_result *out, struct gns_error *err);

/* Replays a file into `store` (NULL: the one that it was meant for) and removes it. A run that it does not end is "lost". -EBUSY: a
 * recorder writes to it, or the store is locked. `used`: PATH_MAX bytes for the store's path, may be NULL. */
int gns_spool_import(const char *file, const char *store, struct gns_spool_result *out, char *used, struct gns_error *err);
/* All spools that were meant for this store and are not in use. How many were stored; those that could not be stay. */
int gns_spool_import_all(const char *store);
/* Adds the end of the run, which only `gnscope run` knows, to a spool that its recorder has left. */
int gns_spool_finish(const char *file, const char *status, int exit_code, uint64_t end_ns);

#endif
