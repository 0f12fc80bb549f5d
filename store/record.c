/* One record of one process, checked and stored. Records come from another process's memory: nothing in them is trusted. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define CLAIMS_MAX 4       /* of a rank by one process: each moves all its rows, and true ones claim one or two */
#define SETTINGS_MAX 20000 /* of a run; then each name keeps its newest */

/* ---- who the process is ---- */

static int renumber_rows(struct gns_store *store, struct gns_rank *rank, int64_t number)
{
	static const enum gns_sql tables[] = { GNS_SQL_RANK_RENUMBER_STEP, GNS_SQL_RANK_RENUMBER_GRAD, GNS_SQL_RANK_RENUMBER_KERNEL,
		GNS_SQL_RANK_RENUMBER_COLLECTOR, GNS_SQL_RANK_RENUMBER_EVENT, GNS_SQL_RANK_RENUMBER_DEVICE, GNS_SQL_RANK_RENUMBER_DEVICE_KERNEL,
		GNS_SQL_RANK_RENUMBER_LIBRARY };
	int64_t run_id = store->writer->runs[rank->run].run_id;
	int rc = SQLITE_OK;
	for (size_t i = 0; !rank->empty && rc == SQLITE_OK && i < sizeof tables / sizeof *tables; i++)
		rc = gns_sql_run(store, tables[i], "iii", number, run_id, rank->number);
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_RANK_NUMBER, "ii", number, rank->rank_id);
	rank->number = number;
	return rc;
}

/* A process has the same number in the runs of all its streams. */
static int renumber(struct gns_store *store, int64_t rank_id, int64_t number)
{
	struct gns_rank *rank = gns_writer_rank(store, rank_id), *other;
	int rc = rank ? renumber_rows(store, rank, number) : SQLITE_NOMEM;
	for (uint32_t stream = 1; rc == SQLITE_OK && stream < GNS_STREAMS_MAX; stream++) {
		int64_t id = gns_writer_rank(store, rank_id)->stream[stream]; /* the array may have moved */
		if (id && (other = gns_writer_rank(store, id)))
			rc = renumber_rows(store, other, number);
	}
	return rc;
}

/* Takes the number the process says it has, moving one aside that has it only for want of a better. */
static int claim_number(struct gns_store *store, struct gns_rank *rank, int64_t run_id, int64_t wanted, bool *taken)
{
	*taken = false;
	if (wanted == rank->number)
		return SQLITE_OK;
	if (rank->claims++ >= CLAIMS_MAX)
		return gns_malformed(rank, "process: its rank changed too often");
	int64_t holder = gns_sql_int(store, GNS_SQL_RANK_TAKEN, -1, "ii", run_id, wanted), rank_id = rank->rank_id;
	if (holder >= 0) {
		const struct gns_rank *other = gns_writer_rank(store, holder);
		if (!other)
			return SQLITE_NOMEM;
		if (other->known) {
			*taken = true;
			return SQLITE_OK;
		}
		int64_t spare = gns_sql_int(store, GNS_SQL_RANK_FREE_NUMBER, 0, "i", run_id);
		int rc = renumber(store, holder, spare > wanted ? spare : wanted + 1);
		if (rc != SQLITE_OK)
			return rc;
	}
	return renumber(store, rank_id, wanted);
}

static int store_proc(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_proc *proc)
{
	struct gns_run *run = &store->writer->runs[rank->run];
	int64_t run_id = run->run_id, rank_id = rank->rank_id;
	char host[sizeof proc->host + 1], text[96];
	if (proc->rank < 0 || proc->rank > 1 << 24 || proc->world < 0 || proc->unit >= GNS_UNITS)
		return gns_malformed(rank, "process: rank, world or unit out of range");
	bool taken, first = !rank->known, was_pooled = rank->pooled;
	int rc = claim_number(store, rank, run_id, proc->rank, &taken);
	if (rc != SQLITE_OK)
		return rc;
	rank = gns_writer_rank(store, rank_id); /* the array may have moved */
	run = &store->writer->runs[rank->run];
	rank->known = true;
	rank->world = proc->world;
	rank->unit = proc->unit;
	bool ranks = proc->world > 1 && !taken;
	rank->pooled = ranks || was_pooled || (first && run->pooled == 0);
	gns_run_note_world(run, rank->pooled ? proc->world : 0);
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_RANK_PROC, "tiitiidii", GNS_FIELD(host, proc->host), (int64_t)proc->world,
		(int64_t)rank->pooled, gns_unit_names[rank->unit], (int64_t)proc->samples, (int64_t)proc->every,
		proc->budget_pct, (int64_t)(proc->start_ns <= INT64_MAX ? proc->start_ns : 0), rank_id);
	if (!stmt)
		return sqlite3_errcode(store->db);
	if (proc->world == 0)
		sqlite3_bind_null(stmt, 2);
	if (proc->samples == 0)
		sqlite3_bind_null(stmt, 5);
	if (proc->every == 0)
		sqlite3_bind_null(stmt, 6);
	sqlite3_step(stmt);
	rc = sqlite3_reset(stmt);
	if (rc == SQLITE_OK && first && !rank->pooled) {
		snprintf(text, sizeof text, "process %u trains apart from rank 0; the run's numbers are of rank 0 alone", rank->pid);
		rc = gns_sql_run(store, GNS_SQL_EVENT_INSERT, "iinitt", run_id, rank->number, (int64_t)proc->start_ns,
				 "several_trainers", text);
		rank->empty = false;
	}
	if (rc == SQLITE_OK)
		rc = gns_rank_count(store, run);
	return rc == SQLITE_OK ? gns_stream_follow(store, rank_id) : rc;
}

/* ---- numbers ---- */

static int store_grad(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_grad *grad)
{
	struct gns_run *run = &store->writer->runs[rank->run];
	int64_t id = gns_ids_get(&rank->params, grad->param_id), step = (int64_t)grad->step;
	if (id == 0 || grad->source == 0 || grad->source >= GNS_SOURCES || grad->n_small == 0 || grad->n_small >= grad->n_big ||
	    grad->n_big > GNS_WHOLE_MAX || grad->groups > GNS_WHOLE_MAX) {
		rank->incomplete = true;
		return gns_malformed(rank, "gradient: weight, source or sample counts out of range");
	}
	if (step <= rank->last_step || grad->step > GNS_WHOLE_MAX)
		return gns_malformed(rank, "gradient: of a step that is over");
	int rc = gns_sql_run(store, GNS_SQL_GRAD_INSERT, "iiiitiiidd", run->run_id, step, rank->number, id,
			     gns_source_names[grad->source], (int64_t)grad->n_small, (int64_t)grad->n_big, (int64_t)grad->groups,
			     grad->q_small, grad->q_big);
	if (rc != SQLITE_OK)
		return (rc & 0xff) == SQLITE_CONSTRAINT ? gns_malformed(rank, "gradient: twice in one step") : rc;
	return gns_rank_grad(rank, (uint32_t)id, grad->source, (int64_t)grad->n_small, (int64_t)grad->n_big, (int64_t)grad->groups,
			     grad->q_small, grad->q_big) < 0 ? SQLITE_NOMEM : SQLITE_OK;
}

/* Two kernels of one process whose names are the same to their last byte are one kernel: their times add. */
static int store_kernel_step(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_kernel_step *use)
{
	struct gns_run *run = &store->writer->runs[rank->run];
	int64_t id = gns_ids_get(&rank->device_kernels, use->kernel_id), step = (int64_t)use->step;
	if (id > 0)
		return gns_device_kernel_store(store, rank, id, use);
	id = gns_ids_get(&rank->kernels, use->kernel_id);
	if (id == 0 || use->total_ns > GNS_WHOLE_MAX || use->max_ns > use->total_ns)
		return gns_malformed(rank, "kernel time: kernel or times out of range");
	if (step <= rank->last_step || use->step > GNS_WHOLE_MAX)
		return gns_malformed(rank, "kernel time: of a step that is over");
	int rc = gns_sql_run(store, GNS_SQL_KERNEL_STEP_INSERT, "iiiiiiid", run->run_id, step, rank->number, id, (int64_t)use->calls,
			     (int64_t)use->total_ns, (int64_t)use->max_ns, use->flops);
	if (rc != SQLITE_OK)
		return rc;
	struct gns_kernel_use row = { (uint32_t)id, use->calls, (int64_t)use->total_ns, (int64_t)use->max_ns, use->flops };
	return gns_rank_use(rank, &row) < 0 ? SQLITE_NOMEM : SQLITE_OK;
}

/* The sums over weights of the best source that measured this step. */
static uint32_t step_total(const struct gns_rank *rank, struct gns_rank_step *row)
{
	uint32_t source = 0;
	for (int i = 0; i < GNS_SOURCES - 1 && source == 0; i++)
		if (rank->tally[gns_source_order[i]].params > 0)
			source = gns_source_order[i];
	if (source == 0)
		return 0;
	const struct gns_source_sum *tally = &rank->tally[source];
	if (tally->bad || rank->incomplete)
		return source; /* a sum over some of the weights would pass for the sum over all */
	row->q_small = tally->q_small;
	row->q_big = tally->q_big;
	row->s = tally->s;
	row->g2 = tally->g2;
	if (tally->mixed)
		return source;
	row->n_small = tally->n_small;
	row->n_big = tally->n_big;
	gns_two_batch((double)row->n_small, (double)row->n_big, row->q_small, row->q_big, &row->s, &row->g2);
	return source;
}

static int insert_step(struct gns_store *store, int64_t run_id, const struct gns_rank_step *row, const struct gns_rec_step *step,
		       const char *source)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEP_INSERT, "iiiiiiiiiiiiitiidddddd" "i", run_id, row->step, row->rank,
		row->start_ns, row->dur_ns, row->overhead_ns, row->samples, row->rows, row->micro_steps, (int64_t)row->measured,
		(int64_t)row->refused, (int64_t)step->params, (int64_t)step->every, source, row->n_small, row->n_big,
		row->q_small, row->q_big, row->s, row->g2, step->lr, row->weight, (int64_t)1);
	if (!stmt)
		return sqlite3_errcode(store->db);
	if (row->samples < 0)
		sqlite3_bind_null(stmt, 7);
	if (row->n_small < 0)
		sqlite3_bind_null(stmt, 15);
	if (row->n_big < 0)
		sqlite3_bind_null(stmt, 16);
	if (!row->startup)
		sqlite3_bind_null(stmt, 23);
	sqlite3_step(stmt);
	return sqlite3_reset(stmt);
}

static void count_step(struct gns_rank *rank, const struct gns_rank_step *row, uint32_t source)
{
	rank->steps++;
	rank->measured += row->measured;
	rank->refused += row->refused;
	if (row->startup && rank->startup_ns < (int64_t)GNS_WHOLE_MAX)
		rank->startup_ns += row->overhead_ns;
	rank->last_step = row->step;
	if (row->measured)
		rank->last_measured = row->step;
	if (source && !isfinite(row->s))
		rank->nonfinite++;
	rank->dirty = true;
}

static int store_step(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_step *step)
{
	struct gns_run *run = &store->writer->runs[rank->run];
	if (step->step == 0 || step->step > GNS_WHOLE_MAX || (int64_t)step->step <= rank->last_step)
		return gns_malformed(rank, "step: number out of order");
	if (step->start_ns > INT64_MAX || step->dur_ns > GNS_WHOLE_MAX || step->overhead_ns > GNS_WHOLE_MAX || step->samples > GNS_WHOLE_MAX ||
	    step->rows > GNS_WHOLE_MAX)
		return gns_malformed(rank, "step: times or counts out of range");
	struct gns_rank_step row = {
		.step = (int64_t)step->step, .rank = rank->number, .start_ns = (int64_t)step->start_ns,
		.dur_ns = (int64_t)step->dur_ns, .overhead_ns = (int64_t)step->overhead_ns,
		.samples = step->samples ? (int64_t)step->samples : -1, .rows = (int64_t)step->rows,
		.micro_steps = step->micro_steps, .n_small = -1, .n_big = -1,
		.refused = (step->flags & GNS_STEP_REFUSED) != 0,
		.startup = (step->flags & GNS_STEP_STARTUP) != 0,
		.q_small = NAN, .q_big = NAN, .s = NAN, .g2 = NAN, .loss = NAN,
	};
	uint32_t source = step_total(rank, &row);
	row.measured = source != 0;
	row.sharded = source == GNS_SOURCE_SHARD;
	row.world = rank->world > 1 ? rank->world : 1;
	row.weight = rank->pooled && isfinite(row.s) && isfinite(row.g2) ? 1 : (double)NAN; /* until it is known to be another */
	int rc = insert_step(store, run->run_id, &row, step, source ? gns_source_names[source] : NULL);
	if (rc != SQLITE_OK)
		return rc;
	if (row.step <= run->rolled && rank->pooled) /* its totals are final: a rank that came late */
		rc = gns_sql_run(store, GNS_SQL_STEP_TAKE_WEIGHT, "iii", run->run_id, row.step, row.rank);
	if (rc != SQLITE_OK)
		return rc;
	count_step(rank, &row, source);
	if (rank->pooled && isfinite(step->lr))
		run->lr = step->lr;
	if (rank->pooled && run->pooled == 1 && run->world <= 1)
		rc = gns_run_finish_step(store, run, &row, 1, rank->grads, rank->n_grads, rank->uses, row.startup ? 0 : rank->n_uses);
	memset(rank->tally, 0, sizeof rank->tally);
	rank->n_grads = rank->n_uses = 0;
	rank->incomplete = false;
	return rc;
}

static int store_loss(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_loss *loss)
{
	if (loss->step == 0 || loss->step > GNS_WHOLE_MAX)
		return gns_malformed(rank, "loss: step out of range");
	return gns_loss_store(store, &store->writer->runs[rank->run], rank->number, (int64_t)loss->step, loss->loss);
}

static int store_counter(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_counter *counter)
{
	char collector[sizeof counter->collector + 1], name[sizeof counter->name + 1], text[sizeof counter->text + 1];
	if (GNS_FIELD(collector, counter->collector)[0] == 0 || GNS_FIELD(name, counter->name)[0] == 0 ||
	    strcmp(collector, "store") == 0 || counter->value > INT64_MAX)
		return gns_malformed(rank, "counter: no name or out of range");
	GNS_FIELD(text, counter->text);
	return gns_sql_run(store, GNS_SQL_COLLECTOR_SET, text[0] ? "iittit" : "iittin", store->writer->runs[rank->run].run_id,
			   rank->number, collector, name, (int64_t)counter->value, text);
}

static int store_event(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_event *event)
{
	char name[sizeof event->name + 1], text[sizeof event->text + 1];
	if (GNS_FIELD(name, event->name)[0] == 0 || event->step > GNS_WHOLE_MAX || event->time_ns > INT64_MAX)
		return gns_malformed(rank, "event: no name or out of range");
	rank->dirty = true;
	if (++rank->events > GNS_EVENTS_STORED)
		return SQLITE_OK;
	return gns_sql_run(store, GNS_SQL_EVENT_INSERT, "iiiitt", store->writer->runs[rank->run].run_id, rank->number,
			   (int64_t)event->step, (int64_t)event->time_ns, name, GNS_FIELD(text, event->text));
}

/* Of the ranks that make the run's numbers: they agree, or the last to tell is right. */
static int store_setting(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_setting *setting)
{
	char name[sizeof setting->name + 1], text[sizeof setting->text + 1];
	struct gns_run *run = &store->writer->runs[rank->run];
	if (GNS_FIELD(name, setting->name)[0] == 0 || setting->step > GNS_WHOLE_MAX)
		return gns_malformed(rank, "setting: no name or step out of range");
	if (!rank->pooled)
		return SQLITE_OK;
	GNS_FIELD(text, setting->text);
	enum gns_sql id = run->settings < SETTINGS_MAX ? GNS_SQL_SETTING_INSERT : GNS_SQL_SETTING_MOVE;
	int rc = gns_sql_run(store, id, text[0] ? "iitdt" : "iitdn", run->run_id, (int64_t)setting->step, name, setting->value, text);
	run->settings++;
	if (rc == SQLITE_OK && strcmp(name, "optimizer") == 0)
		rc = gns_sql_run(store, GNS_SQL_RUN_SET_OPTIMIZER, text[0] ? "ti" : "ni", text, run->run_id);
	return rc;
}

static int store_one(struct gns_store *store, struct gns_rank *rank, const struct gns_record *record)
{
	rank->empty = rank->empty && record->kind == GNS_REC_PROC;
	switch (record->kind) {
	case GNS_REC_PROC:
		return store_proc(store, rank, &record->u.proc);
	case GNS_REC_PARAM:
		return gns_names_param(store, rank, &record->u.param);
	case GNS_REC_KERNEL:
		return gns_names_kernel(store, rank, &record->u.kernel);
	case GNS_REC_GRAD:
		return store_grad(store, rank, &record->u.grad);
	case GNS_REC_KERNEL_STEP:
		return store_kernel_step(store, rank, &record->u.kernel_step);
	case GNS_REC_LOSS:
		return store_loss(store, rank, &record->u.loss);
	case GNS_REC_STEP:
		return store_step(store, rank, &record->u.step);
	case GNS_REC_COUNTER:
		return store_counter(store, rank, &record->u.counter);
	case GNS_REC_EVENT:
		return store_event(store, rank, &record->u.event);
	case GNS_REC_SETTING:
		return store_setting(store, rank, &record->u.setting);
	case GNS_REC_DEVICE_STEP:
		return gns_device_step_store(store, rank, &record->u.device_step);
	case GNS_REC_LIBRARY:
		return gns_library_store(store, rank, &record->u.library);
	default:
		return gns_malformed(rank, "record of an unknown kind");
	}
}

static uint64_t *step_of(struct gns_record *record)
{
	switch (record->kind) {
	case GNS_REC_GRAD: return &record->u.grad.step;
	case GNS_REC_KERNEL_STEP: return &record->u.kernel_step.step;
	case GNS_REC_LOSS: return &record->u.loss.step;
	case GNS_REC_STEP: return &record->u.step.step;
	case GNS_REC_EVENT: return &record->u.event.step;
	case GNS_REC_SETTING: return &record->u.setting.step;
	case GNS_REC_DEVICE_STEP: return &record->u.device_step.step;
	default: return NULL;
	}
}

/* After execve the process counts its steps from 1 again. */
static int store_counted_on(struct gns_store *store, struct gns_rank *rank, const struct gns_record *record)
{
	struct gns_record moved = *record;
	uint64_t *step = step_of(&moved);
	if (step && *step > 0 && *step <= GNS_WHOLE_MAX)
		*step += (uint64_t)rank->before;
	return store_one(store, rank, &moved);
}

/* To the run of its stream; what a process tells of itself is kept with stream 0. */
static int store_of_stream(struct gns_store *store, struct gns_rank *rank, const struct gns_record *record)
{
	uint16_t kind = record->kind;
	if (record->version != GNS_RECORD_VERSION)
		return gns_malformed(rank, "record of another version");
	if (record->stream >= GNS_STREAMS_MAX || kind == GNS_REC_NONE || kind >= GNS_REC_KINDS)
		return gns_malformed(rank, "record of an unknown kind or stream");
	if (record->stream == 0 || kind == GNS_REC_PROC || kind == GNS_REC_COUNTER || kind == GNS_REC_KERNEL ||
	    kind == GNS_REC_LIBRARY)
		return rank->before ? store_counted_on(store, rank, record) : store_one(store, rank, record);
	int64_t process = rank->rank_id;
	rank = gns_stream_rank(store, rank, record->stream);
	if (!rank)
		return SQLITE_ERROR;
	if (kind == GNS_REC_KERNEL_STEP) {
		int rc = gns_names_adopt_kernel(store, rank, gns_writer_rank(store, process), record->u.kernel_step.kernel_id);
		if (rc != SQLITE_OK)
			return rc;
	}
	return rank->before ? store_counted_on(store, rank, record) : store_one(store, rank, record);
}

int gns_store_record(struct gns_store *store, int64_t rank_row, const struct gns_record *record, struct gns_error *err)
{
	if (!store->writable || !store->writer->open)
		return gns_fail(err, -EINVAL, "cannot write a record to %s outside a transaction", store->path);
	struct gns_rank *rank = store->writer->stale ? NULL : gns_writer_rank(store, rank_row);
	int rc = rank ? store_of_stream(store, rank, record) : SQLITE_ERROR;
	if (rc == SQLITE_OK)
		return 0;
	int code = gns_store_fail(store, err, "write");
	gns_store_rollback(store);
	return code;
}
