/* What is told of devices, checked and stored: how a step was spent on one, the kernels that ran there, and libraries. It comes some
 * time after its step, even after that step's block of sums was closed, so the sums of kernels are kept up to date row by row. */
#include "internal.h"

#define AHEAD 1024        /* a step may be told after its account, when the values of its weights are still on the device */
#define DEVICES 1024
#define LIBRARIES 256     /* of one process */

/* A step that was never told is kept: its STEP may have been dropped, or is still to come. */
static bool possible_step(const struct gns_rank *rank, uint64_t step)
{
	return step > 0 && step <= (uint64_t)rank->last_step + AHEAD;
}

/* ---- how a step was spent ---- */

static bool possible(const struct gns_rec_device_step *d)
{
	const uint64_t times[] = { d->wall_ns, d->compute_ns, d->comm_exposed_ns, d->copy_exposed_ns, d->idle_ns, d->comm_ns, d->copy_ns,
		d->own_ns, d->queue_ns, d->dropped };
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (times[i] > GNS_WHOLE_MAX)
			return false;
	return d->device < DEVICES && d->wall_ns > 0 && d->comm_exposed_ns <= d->comm_ns && d->copy_exposed_ns <= d->copy_ns &&
	       d->comm_ns <= d->wall_ns && d->copy_ns <= d->wall_ns && d->own_ns <= d->compute_ns;
}

/* Its parts make up the whole; each of the four may have been rounded, and clocks converted. */
static bool adds_up(const struct gns_rec_device_step *d)
{
	uint64_t sum = d->compute_ns + d->comm_exposed_ns + d->copy_exposed_ns + d->idle_ns;
	uint64_t off = sum > d->wall_ns ? sum - d->wall_ns : d->wall_ns - sum;
	return off <= 4 + d->wall_ns / 1000000;
}

int gns_device_step_store(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_device_step *d)
{
	if (!possible_step(rank, d->step))
		return gns_malformed(rank, "device: a step far from any that was reported");
	if (!possible(d))
		return gns_malformed(rank, "device: times or counts out of range");
	if (!adds_up(d))
		return gns_malformed(rank, "device: its parts do not make up the step");
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_DEVICE_STEP_INSERT, "iiiiiiiiiiiiiii", store->writer->runs[rank->run].run_id,
		(int64_t)d->step, rank->number, (int64_t)d->device, (int64_t)d->wall_ns, (int64_t)d->compute_ns, (int64_t)d->comm_exposed_ns,
		(int64_t)d->copy_exposed_ns, (int64_t)d->idle_ns, (int64_t)d->comm_ns, (int64_t)d->copy_ns, (int64_t)d->own_ns,
		(int64_t)d->queue_ns, (int64_t)d->kernels, (int64_t)d->dropped);
	if (!stmt)
		return sqlite3_errcode(store->db);
	if (d->queue_ns == 0)
		sqlite3_bind_null(stmt, 13);
	sqlite3_step(stmt);
	int rc = sqlite3_reset(stmt);
	return (rc & 0xff) == SQLITE_CONSTRAINT ? gns_malformed(rank, "device: twice in one step") : rc;
}

/* ---- kernels ---- */

/* Two kernels whose names were cut to the same bytes are one kernel: their times add. */
int gns_device_kernel_store(struct gns_store *store, struct gns_rank *rank, int64_t id, const struct gns_rec_kernel_step *use)
{
	static const int64_t sizes[] = { GNS_SIZE_LAYER, GNS_SIZE_COARSE };
	int64_t run_id = store->writer->runs[rank->run].run_id, step = (int64_t)use->step;
	if (!possible_step(rank, use->step))
		return gns_malformed(rank, "kernel time: a step far from any that was reported");
	if (use->calls == 0 || use->total_ns > GNS_WHOLE_MAX || use->max_ns > use->total_ns)
		return gns_malformed(rank, "kernel time: kernel or times out of range");
	int rc = gns_sql_run(store, GNS_SQL_DEVICE_KERNEL_INSERT, "iiiiiii", run_id, step, rank->number, id, (int64_t)use->calls,
			     (int64_t)use->total_ns, (int64_t)use->max_ns);
	for (size_t i = 0; rc == SQLITE_OK && rank->pooled && i < sizeof sizes / sizeof *sizes; i++)
		rc = gns_sql_run(store, GNS_SQL_DEVICE_KERNEL_ROLLUP, "iiiiiii", run_id, sizes[i], gns_block_of(step, sizes[i]), id,
				 (int64_t)use->calls, (int64_t)use->total_ns, (int64_t)use->max_ns);
	return rc;
}

/* ---- libraries ---- */

/* Told again when more is known: the last is right. */
int gns_library_store(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_library *library)
{
	char name[sizeof library->name + 1], version[sizeof library->version + 1], path[sizeof library->path + 1], note[sizeof library->note + 1];
	int64_t run_id = store->writer->runs[rank->run].run_id;
	if (GNS_FIELD(name, library->name)[0] == 0)
		return gns_malformed(rank, "library: no name");
	GNS_FIELD(version, library->version);
	GNS_FIELD(path, library->path);
	GNS_FIELD(note, library->note);
	const char *v = version[0] ? version : NULL, *n = note[0] ? note : NULL;
	int rc = gns_sql_run(store, GNS_SQL_LIBRARY_UPDATE, "ttiitt", v, n, run_id, rank->number, name, path);
	if (rc != SQLITE_OK || sqlite3_changes(store->db) > 0)
		return rc;
	if (rank->libraries >= LIBRARIES)
		return gns_malformed(rank, "library: more of them than a process loads");
	rank->libraries++;
	return gns_sql_run(store, GNS_SQL_LIBRARY_INSERT, "ttiitt", v, n, run_id, rank->number, name, path);
}
