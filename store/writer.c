/* What is kept in memory of runs and processes while a store is written. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

void gns_run_free(struct gns_run *run)
{
	gns_pile_free(&run->crit);
	free(run->layers);
	free(run->kernels);
}

static void rank_free(struct gns_rank *rank)
{
	free(rank->params.of);
	free(rank->kernels.of);
	free(rank->device_kernels.of);
	free(rank->grads);
	free(rank->uses);
}

void gns_writer_free(struct gns_writer *writer)
{
	for (uint32_t i = 0; i < writer->n_runs; i++)
		gns_run_free(&writer->runs[i]);
	for (uint32_t i = 0; i < writer->n_ranks; i++)
		rank_free(&writer->ranks[i]);
	free(writer->runs);
	free(writer->ranks);
	free(writer);
}

struct gns_run *gns_writer_run(struct gns_store *store, int64_t run_id)
{
	struct gns_writer *writer = store->writer;
	for (uint32_t i = 0; i < writer->n_runs; i++)
		if (writer->runs[i].run_id == run_id)
			return &writer->runs[i];
	struct gns_run *runs = realloc(writer->runs, (writer->n_runs + 1) * sizeof *runs);
	if (!runs)
		return NULL;
	writer->runs = runs;
	runs[writer->n_runs] = (struct gns_run){ .run_id = run_id };
	for (int i = 0; i < GNS_LOSS_BLOCKS; i++)
		runs[writer->n_runs].loss[i].block = -1;
	return &runs[writer->n_runs++];
}

static int load_ids(struct gns_store *store, enum gns_sql id, int64_t rank_id, struct gns_ids *ids)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, id, "i", rank_id);
	int rc = stmt ? SQLITE_ROW : SQLITE_ERROR;
	while (rc == SQLITE_ROW && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		if (gns_ids_set(ids, (uint32_t)sqlite3_column_int64(stmt, 0), (uint32_t)sqlite3_column_int64(stmt, 1)) < 0)
			rc = SQLITE_NOMEM;
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Rows of a step whose STEP record is still to come: only there when a transaction ended between them. */
static int load_unclosed(struct gns_store *store, struct gns_rank *rank, int64_t run_id)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_UNCLOSED_GRADS, "iii", run_id, rank->last_step, rank->number);
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		if (gns_rank_grad(rank, (uint32_t)sqlite3_column_int64(stmt, 0),
				  gns_source_of((const char *)sqlite3_column_text(stmt, 1)), sqlite3_column_int64(stmt, 2),
				  sqlite3_column_int64(stmt, 3), sqlite3_column_int64(stmt, 6), gns_column_double(stmt, 4),
				  gns_column_double(stmt, 5)) < 0)
			rc = SQLITE_NOMEM;
	sqlite3_reset(stmt);
	if (rc != SQLITE_DONE)
		return rc;
	stmt = gns_sql_bind(store, GNS_SQL_UNCLOSED_KERNELS, "iii", run_id, rank->last_step, rank->number);
	rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gns_kernel_use use = { (uint32_t)sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
			sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3), gns_column_double(stmt, 4) };
		if (gns_rank_use(rank, &use) < 0)
			rc = SQLITE_NOMEM;
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int load_streams(struct gns_store *store, struct gns_rank *rank)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STREAM_RANKS, "i", rank->rank_id);
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t stream = sqlite3_column_int64(stmt, 0);
		if (stream > 0 && stream < GNS_STREAMS_MAX)
			rank->stream[stream] = sqlite3_column_int64(stmt, 1);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int rank_load(struct gns_store *store, int64_t rank_id, struct gns_rank *rank)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_RANK_LOAD, "i", rank_id);
	if (!stmt || sqlite3_step(stmt) != SQLITE_ROW)
		return SQLITE_ERROR;
	*rank = (struct gns_rank){ .rank_id = rank_id };
	int64_t run_id = sqlite3_column_int64(stmt, 0);
	char unit[16];
	rank->number = sqlite3_column_int64(stmt, 1);
	rank->pid = (uint32_t)sqlite3_column_int64(stmt, 2);
	rank->pooled = sqlite3_column_int(stmt, 3) != 0;
	rank->ended = sqlite3_column_int(stmt, 4) != 0;
	rank->world = gns_column_int(stmt, 5, 0);
	gns_column_text(stmt, 6, unit, sizeof unit);
	for (uint32_t i = 0; i < GNS_UNITS; i++)
		if (strcmp(unit, gns_unit_names[i]) == 0)
			rank->unit = i;
	rank->steps = sqlite3_column_int64(stmt, 7);
	rank->measured = sqlite3_column_int64(stmt, 8);
	rank->refused = sqlite3_column_int64(stmt, 9);
	rank->last_step = sqlite3_column_int64(stmt, 10);
	rank->last_measured = sqlite3_column_int64(stmt, 11);
	rank->known = sqlite3_column_type(stmt, 12) != SQLITE_NULL;
	rank->startup_ns = sqlite3_column_int64(stmt, 14);
	sqlite3_reset(stmt);
	struct gns_run *run = gns_writer_run(store, run_id);
	if (!run)
		return SQLITE_NOMEM;
	if (!run->loaded) {
		int failed = gns_run_load(store, run);
		if (failed != SQLITE_OK)
			return failed;
	}
	rank->run = (uint32_t)(run - store->writer->runs);
	gns_run_note_world(run, rank->pooled ? rank->world : 0);
	rank->malformed = gns_sql_int(store, GNS_SQL_COLLECTOR_VALUE, 0, "iitt", run_id, rank->number, "store", "malformed");
	rank->nonfinite = gns_sql_int(store, GNS_SQL_COLLECTOR_VALUE, 0, "iitt", run_id, rank->number, "store", "nonfinite_steps");
	rank->events = gns_sql_int(store, GNS_SQL_EVENT_COUNT, 0, "i", run_id);
	rank->before = gns_sql_int(store, GNS_SQL_COLLECTOR_VALUE, 0, "iitt", run_id, rank->number, "store", GNS_STEPS_BEFORE_EXEC);
	rank->libraries = gns_sql_int(store, GNS_SQL_LIBRARY_COUNT, 0, "ii", run_id, rank->number);
	int rc = load_ids(store, GNS_SQL_RANK_PARAMS, rank_id, &rank->params);
	if (rc == SQLITE_OK)
		rc = load_ids(store, GNS_SQL_RANK_KERNELS, rank_id, &rank->kernels);
	if (rc == SQLITE_OK)
		rc = load_ids(store, GNS_SQL_RANK_DEVICE_KERNELS, rank_id, &rank->device_kernels);
	if (rc == SQLITE_OK)
		rc = load_unclosed(store, rank, run_id);
	return rc == SQLITE_OK ? load_streams(store, rank) : rc;
}

struct gns_rank *gns_writer_rank(struct gns_store *store, int64_t rank_id)
{
	struct gns_writer *writer = store->writer;
	for (uint32_t i = 0; i < writer->n_ranks; i++)
		if (writer->ranks[i].rank_id == rank_id)
			return &writer->ranks[i];
	struct gns_rank *ranks = realloc(writer->ranks, (writer->n_ranks + 1) * sizeof *ranks);
	if (!ranks)
		return NULL;
	writer->ranks = ranks;
	if (rank_load(store, rank_id, &ranks[writer->n_ranks]) != SQLITE_OK) {
		rank_free(&ranks[writer->n_ranks]);
		return NULL;
	}
	return &ranks[writer->n_ranks++];
}

/* After an undone transaction memory is ahead of the database: all of it is read again, when it is next needed. */
int gns_writer_refresh(struct gns_store *store)
{
	struct gns_writer *old = store->writer;
	if (!old->stale)
		return 0;
	struct gns_writer *fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return -ENOMEM;
	fresh->open = old->open;
	fresh->keep = old->keep;
	store->writer = fresh;
	gns_writer_free(old);
	return 0;
}
