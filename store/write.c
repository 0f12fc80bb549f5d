/* Writing: transactions, runs and the processes in them. Records are in record.c, what is kept in memory in writer.c. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

static int refuse_reader(struct gns_store *store, struct gns_error *err)
{
	return gns_fail(err, -EROFS, "cannot write %s: it was opened for reading", store->path);
}

/* ---- transactions ---- */

int gns_store_begin(struct gns_store *store, struct gns_error *err)
{
	if (!store->writable)
		return refuse_reader(store, err);
	if (gns_writer_refresh(store) < 0)
		return gns_fail(err, -ENOMEM, "cannot write %s: no memory left", store->path);
	if (gns_sql_run(store, GNS_SQL_BEGIN, "") != SQLITE_OK)
		return gns_store_fail(store, err, "write");
	store->writer->open = true;
	return 0;
}

int gns_store_rollback(struct gns_store *store)
{
	if (!store->writable)
		return -EROFS;
	for (int i = 0; i < GNS_SQL_COUNT; i++)
		if (store->stmt[i])
			sqlite3_reset(store->stmt[i]);
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	store->writer->open = false;
	store->writer->stale = true;
	return 0;
}

static int save_ranks(struct gns_store *store)
{
	struct gns_writer *writer = store->writer;
	for (uint32_t i = 0; i < writer->n_ranks; i++) {
		struct gns_rank *rank = &writer->ranks[i];
		if (!rank->dirty)
			continue;
		int rc = gns_sql_run(store, GNS_SQL_RANK_SAVE, "iiiiiii", rank->steps, rank->measured, rank->refused,
				     rank->last_step, rank->last_measured, rank->startup_ns, rank->rank_id);
		if (rc == SQLITE_OK)
			rc = gns_rank_save_counts(store, rank);
		if (rc != SQLITE_OK)
			return rc;
		rank->dirty = false;
	}
	return SQLITE_OK;
}

int gns_store_commit(struct gns_store *store, struct gns_error *err)
{
	if (!store->writable)
		return refuse_reader(store, err);
	struct gns_writer *writer = store->writer;
	int rc = writer->stale ? SQLITE_ABORT : save_ranks(store);
	for (uint32_t i = 0; rc == SQLITE_OK && i < writer->n_runs; i++) {
		if (writer->runs[i].loaded && (writer->runs[i].pooled > 1 || writer->runs[i].world > 1))
			rc = gns_run_finish_pending(store, &writer->runs[i], false);
		if (rc == SQLITE_OK)
			rc = gns_run_flush(store, &writer->runs[i]);
	}
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_COMMIT, "");
	if (rc != SQLITE_OK) {
		int code = gns_store_fail(store, err, "write");
		gns_store_rollback(store);
		return code;
	}
	writer->open = false;
	return 0;
}

/* A call outside a transaction is one by itself. */
static int own_begin(struct gns_store *store, bool *own, struct gns_error *err)
{
	*own = false;
	if (!store->writable)
		return refuse_reader(store, err);
	if (store->writer->open)
		return 0;
	int rc = gns_store_begin(store, err);
	*own = rc == 0;
	return rc;
}

static int own_end(struct gns_store *store, bool own, int rc, struct gns_error *err)
{
	if (rc != SQLITE_OK) {
		int code = gns_store_fail(store, err, "write");
		if (own)
			gns_store_rollback(store);
		return code;
	}
	return own ? gns_store_commit(store, err) : 0;
}

/* ---- runs ---- */

/* "python3 examples/mnist.py --lr 1" -> "mnist": the first word that is not an interpreter or an option. */
static void name_of_command(const char *command, char *out, size_t size)
{
	/* A number is an option's value, and no name: it would be taken for a run's id. */
	static const char *const skipped[] = { "bash", "sh", "env", "torchrun", "mpirun", "mpiexec", "time", "nice",
		"torch.distributed.run", "torch.distributed.launch", "accelerate", "launch" };
	snprintf(out, size, "run");
	for (const char *word = command ? command + strspn(command, " ") : ""; *word; word += strspn(word, " ")) {
		size_t length = strcspn(word, " ");
		const char *base = word;
		for (const char *c = word; c < word + length; c++)
			if (*c == '/' && c + 1 < word + length)
				base = c + 1;
		size_t n = (size_t)(word + length - base);
		bool number = strspn(word, "0123456789.") == length;
		bool skip = number || word[0] == '-' || memchr(word, '=', length) != NULL ||
			    (n >= 6 && memcmp(base, "python", 6) == 0 && strspn(base + 6, "0123456789.") == n - 6);
		for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++)
			skip = skip || (strlen(skipped[i]) == n && memcmp(skipped[i], base, n) == 0);
		word += length;
		if (base[0] == '\'' || base[0] == '"')
			return; /* a script in the command line itself: its interpreter's name will do */
		if (skip && base[0] != '-' && !number)
			snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), base);
		if (skip)
			continue;
		if (n > 3 && memcmp(base + n - 3, ".py", 3) == 0)
			n -= 3;
		snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), base);
		return;
	}
}

int gns_store_run_begin(struct gns_store *store, const struct gns_run_start *start, int64_t *run_id, struct gns_error *err)
{
	bool own;
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	char name[128];
	if (start->name && start->name[0])
		snprintf(name, sizeof name, "%s", start->name);
	else
		name_of_command(start->command, name, sizeof name);
	*run_id = gns_sql_int(store, GNS_SQL_RUN_BY_KEY, -1, "i", (int64_t)start->key);
	if (*run_id >= 0) {
		rc = gns_sql_run(store, GNS_SQL_RUN_CONTINUE, "i", *run_id);
	} else {
		rc = gns_sql_run(store, GNS_SQL_RUN_INSERT, "ittttti", (int64_t)start->key, name, start->command, start->cwd,
				 start->host, start->version, (int64_t)start->start_ns);
		*run_id = sqlite3_last_insert_rowid(store->db);
	}
	return own_end(store, own, rc, err);
}

/* The newest measured step of the run, and of its other streams, reaches to the end. */
static int end_sums(struct gns_store *store, int64_t run_id)
{
	int64_t ids[GNS_STREAMS_MAX];
	int n = 0, rc = SQLITE_ERROR;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_RUN_ALL_STREAMS, "i", run_id);
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW && n < GNS_STREAMS_MAX)
		ids[n++] = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	rc = rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
	for (int i = 0; rc == SQLITE_OK && i < n; i++) {
		struct gns_run *run = gns_writer_run(store, ids[i]);
		rc = !run ? SQLITE_NOMEM : run->loaded ? SQLITE_OK : gns_run_load(store, run);
		if (rc == SQLITE_OK && (run->pooled > 1 || run->world > 1))
			rc = gns_run_finish_pending(store, run, true);
		if (rc == SQLITE_OK)
			rc = gns_run_weigh_newest(store, run, 0);
		if (rc == SQLITE_OK) {
			run->noise_step = -1;
			run->noise_ns = 0;
			rc = gns_run_flush(store, run);
		}
	}
	return rc;
}

int gns_store_run_end(struct gns_store *store, int64_t run_id, const char *status, int exit_code, uint64_t end_ns,
		      struct gns_error *err)
{
	bool own;
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	if (rc == SQLITE_OK)
		rc = end_sums(store, run_id);
	/* A run that was killed or lost unseen has no exit code that is known. */
	bool unknown = strcmp(status, "lost") == 0 || (strcmp(status, "killed") == 0 && exit_code == 0);
	if (rc != SQLITE_OK)
		return own_end(store, own, rc, err);
	if (unknown)
		rc = gns_sql_run(store, GNS_SQL_RUN_END, "tnii", status, (int64_t)end_ns, run_id);
	else
		rc = gns_sql_run(store, GNS_SQL_RUN_END, "tiii", status, (int64_t)exit_code, (int64_t)end_ns, run_id);
	return own_end(store, own, rc, err);
}

/* ---- ranks ---- */

int gns_store_rank_begin(struct gns_store *store, int64_t run_id, uint32_t slot, uint32_t pid, int64_t *rank_row,
			 uint64_t *tail, struct gns_error *err)
{
	bool own;
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	*tail = 0;
	bool fresh = false;
	*rank_row = gns_sql_int(store, GNS_SQL_RANK_BY_SLOT, -1, "iii", run_id, (int64_t)slot, (int64_t)pid);
	if (*rank_row < 0) {
		int64_t number = gns_sql_int(store, GNS_SQL_RANK_FREE_NUMBER, 0, "i", run_id);
		rc = gns_sql_run(store, GNS_SQL_RANK_INSERT, "iiiii", run_id, number, (int64_t)slot, (int64_t)pid,
				 (int64_t)(number == 0));
		*rank_row = sqlite3_last_insert_rowid(store->db);
		fresh = rc == SQLITE_OK;
	} else {
		sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_RANK_LOAD, "i", *rank_row);
		rc = stmt && sqlite3_step(stmt) == SQLITE_ROW ? SQLITE_OK : SQLITE_ERROR;
		if (rc == SQLITE_OK)
			*tail = (uint64_t)sqlite3_column_int64(stmt, 13);
		sqlite3_reset(stmt);
	}
	struct gns_rank *rank = rc == SQLITE_OK ? gns_writer_rank(store, *rank_row) : NULL;
	if (rank)
		rank->empty = fresh;
	if (rc == SQLITE_OK)
		rc = rank ? gns_rank_count(store, &store->writer->runs[rank->run]) : SQLITE_NOMEM;
	return own_end(store, own, rc, err);
}

/* Local ids are given anew after execve; the same name and shape get the same number in the run. */
static int follow_one(struct gns_store *store, struct gns_rank *rank, int64_t slot)
{
	int64_t run_id = store->writer->runs[rank->run].run_id;
	static const enum gns_sql forget[] = { GNS_SQL_RANK_PARAMS_FORGET, GNS_SQL_RANK_KERNELS_FORGET };
	int rc = gns_sql_run(store, GNS_SQL_RANK_FOLLOW, "ii", slot, rank->rank_id);
	for (size_t i = 0; rc == SQLITE_OK && i < sizeof forget / sizeof *forget; i++)
		rc = gns_sql_run(store, forget[i], "i", rank->rank_id);
	if (rc != SQLITE_OK)
		return rc;
	rank->ended = false;
	rank->before = rank->last_step;
	rank->params.n = rank->kernels.n = rank->device_kernels.n = 0;
	rank->n_grads = rank->n_uses = 0;
	rank->incomplete = false;
	memset(rank->tally, 0, sizeof rank->tally);
	return gns_sql_run(store, GNS_SQL_COLLECTOR_SET, "iittin", run_id, rank->number, "store", GNS_STEPS_BEFORE_EXEC, rank->before);
}

int gns_store_rank_follow(struct gns_store *store, int64_t rank_row, uint32_t slot, struct gns_error *err)
{
	bool own;
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	struct gns_rank *rank = gns_writer_rank(store, rank_row);
	rc = rank ? SQLITE_OK : SQLITE_NOMEM;
	int64_t ids[GNS_STREAMS_MAX] = { rank_row };
	for (int i = 1; rank && i < GNS_STREAMS_MAX; i++)
		ids[i] = rank->stream[i];
	for (int i = 0; rc == SQLITE_OK && i < GNS_STREAMS_MAX; i++) {
		rank = ids[i] ? gns_writer_rank(store, ids[i]) : NULL;
		if (rank)
			rc = follow_one(store, rank, (int64_t)slot);
	}
	return own_end(store, own, rc, err);
}

int gns_store_rank_end(struct gns_store *store, int64_t rank_row, struct gns_error *err)
{
	bool own;
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	int64_t ids[GNS_STREAMS_MAX] = { rank_row };
	struct gns_rank *rank = gns_writer_rank(store, rank_row);
	for (int i = 1; rank && i < GNS_STREAMS_MAX; i++)
		ids[i] = rank->stream[i];
	for (int i = 0; rc == SQLITE_OK && i < GNS_STREAMS_MAX; i++) {
		if (ids[i] == 0)
			continue;
		rc = gns_sql_run(store, GNS_SQL_RANK_END, "i", ids[i]);
		if ((rank = gns_writer_rank(store, ids[i])))
			rank->ended = true;
	}
	return own_end(store, own, rc, err);
}

int gns_store_set_tail(struct gns_store *store, int64_t rank_row, uint64_t tail, uint64_t dropped_records,
		       uint64_t dropped_steps, struct gns_error *err)
{
	if (!store->writable)
		return refuse_reader(store, err);
	if (gns_sql_run(store, GNS_SQL_RANK_TAIL, "iiii", (int64_t)tail, (int64_t)dropped_records, (int64_t)dropped_steps,
			rank_row) != SQLITE_OK)
		return gns_store_fail(store, err, "write");
	return 0;
}

int gns_store_loss(struct gns_store *store, int64_t run_id, int64_t step, uint64_t time_ns, double loss, struct gns_error *err)
{
	bool own;
	if (step < 1)
		return gns_fail(err, -EINVAL, "cannot store a loss of step %lld: steps count from 1", (long long)step);
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	struct gns_run *run = gns_writer_run(store, run_id);
	int64_t rank = gns_sql_int(store, GNS_SQL_RANK_LOWEST, 0, "i", run_id);
	for (uint32_t i = 0; run && i < store->writer->n_ranks; i++)
		if (store->writer->ranks[i].number == rank)
			store->writer->ranks[i].empty = false;
	rc = run ? gns_loss_store(store, run, rank, step, loss) : SQLITE_NOMEM;
	return own_end(store, own, rc, err);
}

int gns_store_event(struct gns_store *store, int64_t run_id, int64_t step, uint64_t time_ns, const char *name, const char *text,
		    struct gns_error *err)
{
	bool own;
	int rc = own_begin(store, &own, err);
	if (rc < 0)
		return rc;
	rc = step < 0 ? gns_sql_run(store, GNS_SQL_EVENT_INSERT, "inn" "itt", run_id, (int64_t)time_ns, name, text)
		      : gns_sql_run(store, GNS_SQL_EVENT_INSERT, "iniitt", run_id, step, (int64_t)time_ns, name, text);
	return own_end(store, own, rc, err);
}
