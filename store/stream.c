/* A program with several optimizers steps each at its own pace: each has a stream of records of its own in the one ring of
 * its process, and a run of its own in the database, so that whatever reads a run reads one optimizer's. The process is a
 * rank in each of them; how far its ring was read, and what it counts, is kept with stream 0. */
#include "store/internal.h"

static int64_t stream_run(struct gns_store *store, int64_t main_run_id, uint32_t stream)
{
	int64_t run_id = gns_sql_int(store, GNS_SQL_STREAM_RUN, -1, "ii", main_run_id, (int64_t)stream);
	if (run_id >= 0)
		return run_id;
	if (gns_sql_run(store, GNS_SQL_STREAM_RUN_INSERT, "ii", main_run_id, (int64_t)stream) != SQLITE_OK)
		return -1;
	return sqlite3_last_insert_rowid(store->db);
}

struct gns_rank *gns_stream_rank(struct gns_store *store, struct gns_rank *rank, uint32_t stream)
{
	int64_t main_id = rank->rank_id;
	if (stream == 0)
		return rank;
	if (rank->stream[stream] == 0) {
		int64_t run_id = stream_run(store, store->writer->runs[rank->run].run_id, stream);
		if (run_id < 0 || gns_sql_run(store, GNS_SQL_STREAM_RANK_INSERT, "ii", run_id, main_id) != SQLITE_OK)
			return NULL;
		rank->stream[stream] = sqlite3_last_insert_rowid(store->db);
	}
	struct gns_rank *out = gns_writer_rank(store, rank->stream[stream]);
	if (out && !out->counted) {
		gns_rank_count(store, &store->writer->runs[out->run]);
		out->counted = true;
	}
	return out;
}

int gns_stream_follow(struct gns_store *store, int64_t rank_id)
{
	struct gns_rank *rank = gns_writer_rank(store, rank_id);
	int rc = rank ? SQLITE_OK : SQLITE_NOMEM;
	for (uint32_t stream = 1; rc == SQLITE_OK && stream < GNS_STREAMS_MAX; stream++) {
		rank = gns_writer_rank(store, rank_id); /* the array may have moved */
		struct gns_rank *other = rank->stream[stream] ? gns_writer_rank(store, rank->stream[stream]) : NULL;
		if (!other)
			continue;
		rank = gns_writer_rank(store, rank_id);
		rc = gns_sql_run(store, GNS_SQL_STREAM_RANK_COPY, "ii", other->rank_id, rank_id);
		other->known = rank->known;
		other->world = rank->world;
		other->unit = rank->unit;
		other->pooled = rank->pooled;
		gns_rank_count(store, &store->writer->runs[other->run]);
	}
	return rc;
}
