/* The whole way from a ring to the database with real processes, killed at random moments: every step that was published
 * is there once, with all of its rows. */
#include "tests/store/scratch.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

#include "profiler/shim/ring/ring.h"
#include "store/adopt.h"
#include "store/recorder.h"
#include "store/spool.h"
#include "tests/store/generate.h"

static char session_name[GNS_NAME_MAX];
static struct gns_session *session;
static struct gns_generate model = GNS_GENERATE_DEFAULT;
static uint32_t streams = 1;
static int breath; /* a trainer rests a millisecond after so many steps, 0 never */

static void begin(void)
{
	scratch();
	snprintf(session_name, sizeof session_name, "/gnscope-test-%d", (int)getpid());
	gns_session_unlink(session_name);
	cr_assert_eq(gns_session_create(session_name, &session), 0);
	model.steps = 1000000;
	model.kernels = false;
}

static void end(void)
{
	gns_session_detach(session);
	gns_session_unlink(session_name);
	no_scratch();
}

TestSuite(recorder, .init = begin, .fini = end, .timeout = 120);

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
}

static pid_t start_recorder(bool detached)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	struct gns_recorder_options o = { .session = session_name, .store = db, .detached = detached };
	struct gns_error err = { "" };
	int rc = gns_recorder_run(&o, &err);
	if (rc < 0 && rc != -ENOSPC)
		fprintf(stderr, "recorder: %s\n", err.text);
	_exit(rc < 0);
}

static void put(struct gns_ring *ring, const struct gns_record *records, size_t n, bool wait, uint32_t steps)
{
	while (!gns_ring_reserve(ring, (uint32_t)n)) {
		if (!wait) {
			gns_ring_drop(ring, (uint32_t)n, steps);
			return;
		}
		sched_yield();
	}
	for (size_t i = 0; i < n; i++)
		*gns_ring_at(ring, (uint32_t)i) = records[i];
	gns_ring_publish(ring, (uint32_t)n);
}

/* steps 0: until killed. */
static pid_t start_trainer(int rank, int64_t steps, bool wait, bool close)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	struct gns_ring ring;
	struct gns_record records[64];
	size_t n = 0;
	if (gns_ring_claim(session_name, session, &ring) != 0)
		_exit(1);
	records[n++] = gns_generate_proc(&model, rank);
	for (uint32_t stream = 0; stream < streams; stream++)
		for (int i = 0; i < model.layers; i++) {
			records[n] = gns_generate_param(i);
			records[n].stream = stream;
			records[n++].u.param.param_id += stream * (uint32_t)model.layers;
		}
	put(&ring, records, n, true, 0);
	for (int64_t step = 1; steps == 0 || step <= steps; step++) {
		n = gns_generate_step(&model, rank, step, records);
		put(&ring, records, n, wait, 1);
		for (uint32_t stream = 1; stream < streams; stream++) {
			for (size_t i = 0; i < n; i++) {
				records[i].stream = stream;
				if (records[i].kind == GNS_REC_GRAD)
					records[i].u.grad.param_id += (uint32_t)model.layers;
			}
			put(&ring, records, n, wait, 1);
		}
		if (breath && step % breath == 0)
			pause_ms(1);
	}
	if (close)
		gns_ring_close(&ring);
	pause_ms(steps <= 100 ? 300 : 0);
	_exit(0);
}

static int finish(pid_t pid)
{
	int status = -1;
	waitpid(pid, &status, 0);
	return status;
}

static void finish_recorder(pid_t pid)
{
	atomic_store(&session->closing, 1);
	cr_expect_eq(finish(pid), 0);
}

/* Every step from 1 to the last without a hole, each with all its weights and its loss. */
static void whole(int64_t least)
{
	double steps = query(db, "SELECT count(*) FROM step WHERE rank=0");
	cr_expect_geq(steps, (double)least);
	cr_expect_eq(query(db, "SELECT max(step) FROM step WHERE rank=0"), steps);
	cr_expect_eq(query(db, "SELECT count(*) FROM grad WHERE rank=0"), steps * model.layers);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE loss IS NOT NULL AND s IS NOT NULL AND rank=0"), steps);
	cr_expect_eq(query(db, "SELECT steps FROM rank WHERE rank=0"), steps);
	cr_expect_eq(query(db, "SELECT ring_tail FROM rank WHERE rank=0"), 5 + steps * (model.layers + 2));
	cr_expect_eq(query(db, "SELECT rolled_step FROM run"), steps);
	cr_expect_eq(query(db, "SELECT coalesce(sum(value),0) FROM collector WHERE collector='store'"), 0);
	cr_expect_eq(query(db, "SELECT sum(count) FROM rollup WHERE size=32"), floor((steps - 1) / 32) * 32);
}

Test(recorder, a_whole_run_arrives)
{
	pid_t recorder = start_recorder(false);
	cr_expect_eq(finish(start_trainer(0, 18000, true, true)), 0);
	finish_recorder(recorder);
	whole(18000);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='running'"), 1, "gnscope run ends it, who knows the exit status");
	cr_expect_eq(atomic_load(&session->slot[0].state), GNS_SLOT_DRAINED);
	cr_expect_eq(atomic_load(&session->run_id), 1);
	cr_expect_eq(atomic_load(&session->recorder_error), 0);
}

Test(recorder, a_trainer_killed_at_any_moment_loses_no_published_step)
{
	for (int round = 0; round < 25; round++) {
		snprintf(db, sizeof db, "%s/%d.db", folder, round);
		pid_t recorder = start_recorder(false);
		pid_t trainer = start_trainer(0, 0, true, false);
		pause_ms(30 + round * 37 % 250);
		struct gns_ring ring;
		int rc = gns_ring_attach(session_name, session, 0, &ring);
		kill(trainer, SIGKILL);
		finish(trainer);
		if (rc != 0) { /* killed before it had a ring */
			finish_recorder(recorder);
			atomic_store(&session->closing, 0);
			continue;
		}
		int64_t published = (int64_t)atomic_load(&ring.shared->head);
		finish_recorder(recorder);
		if (published > 5) {
			whole((published - 5) / (model.layers + 2));
			cr_expect_eq(query(db, "SELECT ring_tail FROM rank"), (double)published);
		}
		gns_ring_detach(&ring);
		atomic_store(&session->closing, 0);
		atomic_store(&session->slot[0].state, GNS_SLOT_FREE);
		session->key++;
	}
}

Test(recorder, a_recorder_killed_at_any_moment_stores_nothing_twice)
{
	pid_t recorder = start_recorder(false);
	breath = 8;
	pid_t trainer = start_trainer(0, 18000, true, true);
	for (int round = 0; round < 30; round++) {
		pause_ms(5 + round * 53 % 120);
		kill(recorder, SIGKILL);
		finish(recorder);
		recorder = start_recorder(false);
	}
	cr_expect_eq(finish(trainer), 0, "the trainer goes on unharmed");
	finish_recorder(recorder);
	whole(18000);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank"), 1);
}

/* One ring, three runs: each has all of its own steps once, and they end together. */
Test(recorder, every_optimizer_is_whole_whoever_is_killed)
{
	streams = 3;
	breath = 8;
	pid_t recorder = start_recorder(true);
	pid_t trainer = start_trainer(0, 0, true, false);
	for (int round = 0; round < 12; round++) {
		pause_ms(5 + round * 53 % 120);
		kill(recorder, SIGKILL);
		finish(recorder);
		recorder = start_recorder(true);
	}
	struct gns_ring ring;
	cr_assert_eq(gns_ring_attach(session_name, session, 0, &ring), 0);
	kill(trainer, SIGKILL);
	finish(trainer);
	double published = (double)atomic_load(&ring.shared->head), each = model.layers + 2, all = 0;
	cr_expect_eq(finish(recorder), 0);
	gns_ring_detach(&ring);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='killed' AND end_ns>0"), 3);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank"), 3);
	cr_expect_eq(query(db, "SELECT max(ring_tail) FROM rank"), published);
	for (int run = 1; run <= 3; run++) {
		char where[64], sql[200];
#define OF_RUN(what) (snprintf(where, sizeof where, "WHERE run_id=%d", run), snprintf(sql, sizeof sql, what " %s", where), query(db, sql))
		double steps = OF_RUN("SELECT count(*) FROM step");
		all += steps;
		cr_expect_gt(steps, 0);
		cr_expect_eq(OF_RUN("SELECT max(step) FROM step"), steps);
		cr_expect_eq(OF_RUN("SELECT count(*) FROM grad"), steps * model.layers);
		cr_expect_eq(OF_RUN("SELECT steps FROM rank"), steps);
		cr_expect_eq(OF_RUN("SELECT rolled_step FROM run"), steps);
		cr_expect_eq(OF_RUN("SELECT count(*) FROM param"), model.layers);
		cr_expect_eq(OF_RUN("SELECT ended FROM rank"), 1);
	}
	cr_expect_eq(1 + 3 * model.layers + all * each, published, "every record is in one of the runs");
	cr_expect_eq(query(db, "SELECT coalesce(sum(value),0) FROM collector WHERE collector='store'"), 0);
}

Test(recorder, what_is_lost_is_counted)
{
	pid_t recorder = start_recorder(false);
	pid_t trainer = start_trainer(0, 15000, false, true);
	kill(recorder, SIGSTOP);
	pause_ms(200);
	kill(recorder, SIGCONT);
	cr_expect_eq(finish(trainer), 0);
	finish_recorder(recorder);
	double stored = query(db, "SELECT steps FROM rank"), dropped = query(db, "SELECT dropped_steps FROM rank");
	cr_expect_eq(stored + dropped, 15000);
	cr_expect_eq(query(db, "SELECT count(*) FROM grad"), stored * model.layers);
}

Test(recorder, several_ranks_are_one_run)
{
	model.ranks = 3;
	pid_t recorder = start_recorder(false), trainers[3];
	for (int i = 0; i < 3; i++)
		trainers[i] = start_trainer(i, 3000, true, true);
	for (int i = 0; i < 3; i++)
		finish(trainers[i]);
	finish_recorder(recorder);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE pooled AND ended AND steps=3000"), 3);
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 9000);
	cr_expect_eq(query(db, "SELECT rolled_step FROM run"), 3000);
}

Test(recorder, more_trainers_than_slots_one_after_the_other)
{
	pid_t recorder = start_recorder(false);
	for (int i = 0; i < GNS_SLOTS + 6; i++) {
		pid_t trainer = start_trainer(0, 101, true, i % 2 == 0);
		cr_assert_eq(finish(trainer), 0, "trainer %d", i);
		for (int k = 0; i >= GNS_SLOTS - 8 && k < 100 && atomic_load(&session->slot[i % GNS_SLOTS].state) != GNS_SLOT_DRAINED; k++)
			pause_ms(10);
	}
	finish_recorder(recorder);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE steps=101"), GNS_SLOTS + 6, "%g ranks, %g whole", query(db, "SELECT count(*) FROM rank"),
		     query(db, "SELECT count(*) FROM rank WHERE steps=101"));
}

static const char *detached_end(bool close)
{
	static char status[32];
	pid_t recorder = start_recorder(true);
	cr_expect_eq(finish(start_trainer(0, 100, true, close)), 0);
	cr_expect_eq(finish(recorder), 0);
	sqlite3 *handle;
	sqlite3_stmt *stmt;
	sqlite3_open(db, &handle);
	sqlite3_prepare_v2(handle, "SELECT status FROM run", -1, &stmt, NULL);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	snprintf(status, sizeof status, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(handle);
	return status;
}

Test(recorder, detached_it_ends_by_itself_and_cleans_up)
{
	struct gns_session *none;
	cr_expect_str_eq(detached_end(true), "finished");
	cr_expect_eq(gns_session_attach(session_name, &none), -ENOENT);
	cr_expect_gt(query(db, "SELECT end_ns FROM run"), 0);
	char sql[4600], mine[4096];
	FILE *file = fopen("/proc/self/cmdline", "r");
	size_t n = fread(mine, 1, 400, file);
	fclose(file);
	for (size_t i = 0; i + 1 < n; i++)
		mine[i] = mine[i] ? mine[i] : ' ';
	snprintf(sql, sizeof sql, "SELECT count(*) FROM run WHERE command = '%s'", mine);
	cr_expect_eq(query(db, sql), 1, "%s", sql);
}

Test(recorder, detached_it_tells_a_trainer_that_was_killed)
{
	cr_expect_str_eq(detached_end(false), "killed");
	cr_expect(isnan(query(db, "SELECT exit_code FROM run")));
}

Test(recorder, there_is_one_recorder_to_a_session)
{
	pid_t first = start_recorder(false);
	while (atomic_load(&session->recorder_pid) == 0)
		sched_yield();
	struct gns_recorder_options o = { .session = session_name, .store = db };
	struct gns_error err = { "" };
	cr_expect_eq(gns_recorder_run(&o, &err), -EBUSY);
	cr_expect(strstr(err.text, "already has a recorder") != NULL, "%s", err.text);
	finish_recorder(first);
	o.session = "/gnscope-test-none";
	cr_expect_eq(gns_recorder_run(&o, &err), -ENOENT);
}

Test(recorder, a_signal_makes_it_store_what_is_there_and_end)
{
	pid_t trainer = start_trainer(0, 2000, true, false);
	finish(trainer);
	pid_t recorder = start_recorder(false);
	while (atomic_load(&session->recorder_pid) == 0)
		sched_yield();
	kill(recorder, SIGTERM);
	cr_expect_eq(finish(recorder), 0);
	whole(2000);
}

Test(recorder, a_store_that_is_refused_is_told_in_the_session)
{
	FILE *file = fopen(db, "w");
	fputs("this is not a database, it is a diary", file);
	fclose(file);
	struct gns_recorder_options o = { .session = session_name, .store = db };
	struct gns_error err = { "" };
	cr_expect_eq(gns_recorder_run(&o, &err), -EPROTO);
	cr_expect(strstr(err.text, "not a database") != NULL, "%s", err.text);
	cr_expect_eq(atomic_load(&session->recorder_error), EPROTO);
	cr_expect_str_eq(session->recorder_text, err.text);
}

Test(recorder, noise_in_shared_memory_does_no_harm)
{
	struct gns_ring ring;
	uint64_t state = 99;
	cr_assert_eq(gns_ring_claim(session_name, session, &ring), 0);
	pid_t recorder = start_recorder(false);
	for (int round = 0; round < 60; round++) {
		uint32_t n = 1 + (uint32_t)(round * 37 % 500);
		for (uint32_t i = 0; gns_ring_reserve(&ring, n) && i < n; i++) {
			unsigned char *bytes = (unsigned char *)gns_ring_at(&ring, i);
			for (size_t k = 0; k < sizeof(struct gns_record); k++) {
				state = state * 6364136223846793005u + 1442695040888963407u;
				bytes[k] = k > 8 && i % 2 ? (unsigned char)(state >> 62) : (unsigned char)(state >> 40);
			}
			gns_ring_at(&ring, i)->kind %= GNS_REC_KINDS + 2;
			gns_ring_at(&ring, i)->version = GNS_RECORD_VERSION;
		}
		if (gns_ring_reserve(&ring, n))
			gns_ring_publish(&ring, n);
		pause_ms(5);
	}
	atomic_store(&ring.shared->head, (uint64_t)1 << 60); /* and an index that contradicts everything */
	pause_ms(300);
	finish_recorder(recorder);
	gns_ring_close(&ring);
	cr_expect_gt(query(db, "SELECT value FROM collector WHERE collector='store' AND name='malformed'"), 100);
	cr_expect_eq(query(db, "SELECT count(*) FROM event WHERE name='ring_damaged'"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
}

/* Its weights are not among those that the run's numbers speak for. */
Test(recorder, a_process_that_trains_apart_does_not_lower_coverage)
{
	struct gns_ring ring;
	struct gns_store *store;
	struct gns_summary summary;
	struct gns_error err = { "" };
	pid_t recorder = start_recorder(false);
	cr_expect_eq(finish(start_trainer(0, 300, true, true)), 0);
	cr_assert_eq(gns_ring_claim(session_name, session, &ring), 0);
	struct gns_record records[2] = { gns_generate_proc(&model, 0), gns_generate_param(0) };
	memcpy(records[1].u.param.name, "apart", 6);
	put(&ring, records, 2, true, 0);
	gns_ring_close(&ring);
	finish_recorder(recorder);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE NOT pooled"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM param WHERE name='apart'"), 1);
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_summary(store, 1, 0, &summary, &err), 0, "%s", err.text);
	cr_expect_eq(summary.params, model.layers);
	cr_expect_eq(summary.coverage, 1);
	gns_store_close(store);
}

/* ---- a full disk ---- */

static void fill_disk(const char *path)
{
	static const char block[4096];
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	while (write(fd, block, sizeof block) > 0)
		;
	close(fd);
}

static void small_disk(const char *size)
{
	setenv("TMPDIR", folder, 1); /* no other disk for a spool */
	if (mount("none", folder, "tmpfs", 0, size) < 0)
		cr_skip_test("a small file system cannot be mounted here: %s", strerror(errno));
}

Test(recorder, a_full_disk_is_told_and_survived)
{
	char filler[160];
	small_disk("size=4m");
	snprintf(filler, sizeof filler, "%s/filler", folder);
	pid_t recorder = start_recorder(false);
	pid_t trainer = start_trainer(0, 200, true, false);
	finish(trainer);
	while (atomic_load(&session->run_id) == 0)
		pause_ms(10);
	fill_disk(filler);
	trainer = start_trainer(0, 60000, false, true);
	cr_expect_eq(finish(trainer), 0, "the trainer goes on");
	for (int i = 0; i < 500 && atomic_load(&session->recorder_error) == 0; i++)
		pause_ms(10);
	cr_expect_eq(atomic_load(&session->recorder_error), ENOSPC);
	static const char *const words[] = { "cannot write ", "no space left on device", "Training continues", "steps are lost", "free some" };
	for (int i = 0; i < 5; i++)
		cr_expect(strstr(session->recorder_text, words[i]) != NULL, "%s", session->recorder_text);
	unlink(filler); /* freed: the waiting records are stored after all, as far as they fit */
	for (int i = 0; i < 300 && atomic_load(&session->recorder_error) != 0; i++)
		pause_ms(10);
	cr_expect_eq(atomic_load(&session->recorder_error), 0);
	atomic_store(&session->closing, 1);
	finish(recorder);
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
	cr_expect_eq(query(db, "SELECT steps+dropped_steps FROM rank WHERE rank=1"), 60000);
	cr_expect_gt(query(db, "SELECT dropped_steps FROM rank WHERE rank=1"), 0);
	umount(folder);
}

Test(recorder, a_disk_that_stays_full_ends_with_a_sound_store)
{
	small_disk("size=1m");
	pid_t recorder = start_recorder(false);
	cr_expect_eq(finish(start_trainer(0, 60000, false, true)), 0);
	atomic_store(&session->closing, 1);
	cr_expect_neq(finish(recorder), 0, "something was lost, and it says so");
	cr_expect_eq(atomic_load(&session->recorder_error), ENOSPC);
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
	umount(folder);
}

/* ---- a store that cannot be written for another reason ---- */

/* By another process: a child of one that has SQLite open would inherit its idea of who locks what. */
static pid_t lock_store(void)
{
	int ready[2];
	char byte;
	cr_assert_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		sqlite3 *handle;
		if (sqlite3_open(db, &handle) != SQLITE_OK || sqlite3_busy_timeout(handle, 10000) != SQLITE_OK ||
		    sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the store can be locked");
	close(ready[0]);
	return pid;
}

static void unlock_store(pid_t locker)
{
	kill(locker, SIGKILL);
	finish(locker);
}

static void until_stored(pid_t recorder)
{
	while (atomic_load(&session->run_id) == 0)
		pause_ms(5);
}

/* More than a ring holds, and none is lost. */
Test(recorder, a_locked_store_loses_nothing)
{
	pid_t recorder = start_recorder(false);
	finish(start_trainer(0, 100, true, true));
	until_stored(recorder);
	pid_t locker = lock_store();
	cr_expect_eq(finish(start_trainer(0, 18000, true, true)), 0, "the ring is emptied all the same");
	while (atomic_load(&session->recorder_error) != EAGAIN)
		pause_ms(5);
	cr_expect(strstr(session->recorder_text, session->spool) != NULL, "%s", session->recorder_text);
	struct stat st;
	cr_expect_eq(stat(session->spool, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	unlock_store(locker);
	finish_recorder(recorder);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE rank=1"), 18000);
	cr_expect_eq(query(db, "SELECT count(*) FROM grad WHERE rank=1"), 18000 * model.layers);
	cr_expect_eq(query(db, "SELECT sum(dropped_steps) FROM rank"), 0);
	cr_expect_eq(query(db, "SELECT coalesce(sum(value),0) FROM collector WHERE collector='store'"), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 1);
	cr_expect_str_empty(session->spool);
}

Test(recorder, a_recorder_killed_beside_a_locked_store_loses_nothing)
{
	breath = 8;
	pid_t recorder = start_recorder(false), trainer = start_trainer(0, 18000, true, true);
	until_stored(recorder);
	pid_t locker = lock_store();
	for (int round = 0; round < 6; round++) {
		pause_ms(300 + round * 53 % 120);
		kill(recorder, SIGKILL);
		finish(recorder);
		recorder = start_recorder(false);
	}
	unlock_store(locker);
	cr_expect_eq(finish(trainer), 0);
	finish_recorder(recorder);
	whole(18000);
}

Test(recorder, what_was_never_stored_is_imported)
{
	pid_t recorder = start_recorder(false);
	finish(start_trainer(0, 100, true, true));
	until_stored(recorder);
	pid_t locker = lock_store();
	finish(start_trainer(0, 300, true, true));
	atomic_store(&session->closing, 1);
	cr_expect_neq(finish(recorder), 0);
	cr_expect(strstr(session->recorder_text, "gnscope import") != NULL, "%s", session->recorder_text);
	struct gns_spool_result result;
	struct gns_error err = { "" };
	cr_expect_eq(gns_spool_import(session->spool, NULL, &result, NULL, &err), -EAGAIN, "%s", err.text);
	unlock_store(locker);
	cr_expect_eq(gns_spool_finish(session->spool, "failed", 3, 77), 0);
	cr_expect_eq(gns_spool_import_all(db), 1);
	cr_expect_eq(gns_spool_import_all(db), 0, "it is removed");
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='failed' AND exit_code=3 AND end_ns=77"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 400);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE ended"), 2);
	cr_expect_eq(query(db, "SELECT sum(dropped_steps) FROM rank"), 0);
}

/* Cut anywhere, it is what it was before the frame that was cut; and what is stored already is not stored twice. */
Test(recorder, a_torn_spool_ends_before_the_tear)
{
	struct gns_spool spool;
	struct gns_record records[64];
	struct gns_run_start start = { .key = 5, .name = "torn", .version = "x", .start_ns = 1 };
	struct gns_spool_part part = { .pid = 7 };
	struct gns_spool_result result;
	uint64_t whole_size = 0;
	cr_assert_eq(gns_spool_open(&spool, db, &start, GNS_SPOOL_ANYWHERE, NULL), 0);
	size_t n = 0;
	records[n++] = gns_generate_proc(&model, 0);
	for (int i = 0; i < model.layers; i++)
		records[n++] = gns_generate_param(i);
	for (int step = 0; step <= 20; step++) {
		cr_assert_eq(gns_spool_records(&spool, &part, records, (uint32_t)n), 0);
		whole_size = step == 10 ? spool.size : whole_size;
		part.first += n;
		n = gns_generate_step(&model, 0, step + 1, records);
	}
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s", spool.path);
	struct gns_error err = { "" };
	struct gns_store *store;
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_expect_eq(gns_spool_import(path, NULL, &result, NULL, &err), -EBUSY, "it is being written");
	cr_assert_eq(ftruncate(spool.fd, (off_t)whole_size + 100), 0);
	cr_assert_eq(gns_spool_replay(&spool, store, &result, &err), 0, "%s", err.text);
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 10);
	gns_store_close(store);
	gns_spool_close(&spool);
	cr_assert_eq(gns_spool_import(path, NULL, &result, NULL, &err), 0, "%s", err.text);
	cr_expect_eq(result.records, 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 10);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='lost' AND name='torn'"), 1);
}

static void other_run(void)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	struct gns_run_start start = { .key = 99, .name = "private", .version = "x", .start_ns = 1 };
	int64_t run_id;
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_run_begin(store, &start, &run_id, &err), 0);
	gns_store_close(store);
}

Test(recorder, a_removed_store_is_made_again_with_this_run_alone)
{
	other_run();
	breath = 8;
	pid_t recorder = start_recorder(false), trainer = start_trainer(0, 18000, true, true);
	until_stored(recorder);
	pause_ms(300);
	unlink(db);
	cr_expect_eq(finish(trainer), 0);
	finish_recorder(recorder);
	whole(18000);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 1, "who removed it meant the other run");
	cr_expect_eq(query(db, "SELECT count(*) FROM event WHERE name='store_removed'"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
}

Test(recorder, a_replaced_store_is_not_touched)
{
	char other[sizeof db + 8];
	breath = 8;
	pid_t recorder = start_recorder(false), trainer = start_trainer(0, 18000, true, true);
	until_stored(recorder);
	snprintf(other, sizeof other, "%s.moved", db);
	rename(db, other);
	fclose(fopen(db, "w"));
	cr_expect_eq(finish(trainer), 0);
	finish_recorder(recorder);
	struct stat st;
	cr_expect(stat(db, &st) == 0 && st.st_size == 0);
	cr_assert_str_neq(session->store, db);
	snprintf(db, sizeof db, "%.*s", (int)sizeof db - 1, session->store);
	whole(18000);
}

/* Killed all at once: the rings outlive their writers and their reader. */
Test(recorder, a_dead_session_is_read_to_its_end)
{
	char mine[GNS_NAME_MAX];
	struct gns_adopted adopted;
	gns_session_detach(session);
	gns_session_unlink(session_name);
	snprintf(mine, sizeof mine, "/gnscope-%u-test-%d", (unsigned)getuid(), (int)getpid());
	snprintf(session_name, sizeof session_name, "%s", mine);
	cr_assert_eq(gns_session_create(session_name, &session), 0);
	pid_t recorder = start_recorder(true), trainer = start_trainer(0, 0, true, false);
	until_stored(recorder);
	kill(recorder, SIGKILL);
	finish(recorder);
	struct gns_ring ring;
	cr_assert_eq(gns_ring_attach(session_name, session, 0, &ring), 0);
	while (gns_ring_reserve(&ring, GNS_RING_RECORDS / 2)) /* a reader's copy: counts what is ready from the writer's head */
		ring.head = atomic_load(&ring.shared->head);
	gns_adopt_sessions(db, &adopted);
	cr_expect_eq(adopted.sessions, 0, "its trainer is alive");
	kill(trainer, SIGKILL);
	finish(trainer);
	int64_t published = (int64_t)atomic_load(&ring.shared->head);
	gns_ring_detach(&ring);
	gns_adopt_sessions(db, &adopted);
	cr_expect_eq(adopted.sessions, 0, "whoever made it is alive");
	gns_session_detach(session);
	gns_adopt_sessions(db, &adopted);
	cr_expect_eq(adopted.sessions, 1, "%s", adopted.text.text);
	whole((published - 5) / (model.layers + 2));
	cr_expect_eq(query(db, "SELECT ring_tail FROM rank"), (double)published);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='lost' AND end_ns>0"), 1);
	cr_expect_eq(gns_session_attach(session_name, &session), -ENOENT);
	session = NULL;
}
