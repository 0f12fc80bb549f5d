/* Records as they may come: in any order, twice, damaged, from several processes, while others read and write. */
#include "tests/store/opened.h"

#include <time.h>

#include "store/internal.h"

static int64_t run_id, row;

static void begin_store(void)
{
	struct gns_run_start start = { .key = 7, .command = "/usr/bin/python3 -u dir/train.py --lr 1", .start_ns = 1 };
	begin_run(&start, &run_id, &row);
}

TestSuite(writing, .init = begin_store, .fini = close_store);

static void put(int64_t to, struct gns_record record)
{
	cr_assert_eq(gns_store_record(store, to, &record, &err), 0, "%s", err.text);
}

static void step_of(int64_t to, int64_t step, uint64_t n_big, double q_small, double q_big)
{
	struct gns_record grad = gns_generate_record(GNS_REC_GRAD), last = gns_generate_record(GNS_REC_STEP);
	grad.u.grad = (struct gns_rec_grad){ .step = (uint64_t)step, .param_id = 1, .source = GNS_SOURCE_GEMM, .n_small = 1,
		.n_big = n_big, .groups = n_big, .q_small = q_small, .q_big = q_big };
	last.u.step = (struct gns_rec_step){ .step = (uint64_t)step, .start_ns = (uint64_t)step * 1000, .dur_ns = 1000000,
		.overhead_ns = 10000, .samples = n_big, .rows = n_big, .micro_steps = 1, .flags = GNS_STEP_MEASURED, .params = 1 };
	put(to, grad);
	put(to, last);
}

static void hello(int64_t to, int rank, int world)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.ranks = world;
	put(to, gns_generate_proc(&o, rank));
	put(to, gns_generate_param(0));
}

static int64_t another_rank(uint32_t slot)
{
	int64_t other;
	uint64_t tail;
	cr_assert_eq(gns_store_rank_begin(store, run_id, slot, 2000 + slot, &other, &tail, &err), 0, "%s", err.text);
	return other;
}

static struct gns_summary summary(void)
{
	struct gns_summary s;
	cr_assert_eq(gns_store_summary(store, run_id, 0, &s, &err), 0, "%s", err.text);
	return s;
}

Test(writing, a_run_is_named_after_its_script)
{
	struct gns_run_info info;
	cr_assert_eq(gns_store_run_info(store, run_id, &info, &err), 0);
	cr_expect_str_eq(info.name, "train");
	cr_expect_str_eq(info.status, "running");
	cr_expect_eq(gns_store_run_info(store, 99, &info, &err), -ENOENT);
	cr_expect(strstr(err.text, "no run 99") != NULL, "%s", err.text);
}

Test(writing, runs_are_found_by_id_name_or_newest)
{
	struct gns_run_start start = { .key = 8, .name = "train", .start_ns = 2 }, number = { .key = 9, .name = "1", .start_ns = 3 };
	int64_t second, third, found;
	cr_assert_eq(gns_store_run_begin(store, &start, &second, &err), 0);
	cr_assert_eq(gns_store_run_begin(store, &number, &third, &err), 0);
	cr_assert_eq(gns_store_find_run(store, NULL, &found, &err), 0);
	cr_expect_eq(found, third);
	cr_assert_eq(gns_store_find_run(store, "train", &found, &err), 0);
	cr_expect_eq(found, second, "the newest of that name");
	cr_assert_eq(gns_store_find_run(store, "1", &found, &err), 0);
	cr_expect_eq(found, run_id, "an id goes before a name");
	cr_expect_eq(gns_store_find_run(store, "x\x1b[2J", &found, &err), -ENOENT);
	cr_expect(strstr(err.text, "train") != NULL && strchr(err.text, '\x1b') == NULL, "%s", err.text);
	struct gns_run_info *runs;
	size_t n;
	cr_assert_eq(gns_store_runs(store, &runs, &n, &err), 0);
	cr_expect_eq(n, 3);
	cr_expect_eq(runs[0].run_id, third);
	free(runs);
}

Test(writing, the_same_key_goes_on_with_the_same_run)
{
	struct gns_run_start start = { .key = 7, .name = "other", .start_ns = 5 };
	int64_t again;
	cr_assert_eq(gns_store_run_end(store, run_id, "lost", 0, 9, &err), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='lost' AND end_ns=9 AND exit_code IS NULL"), 1);
	cr_assert_eq(gns_store_run_begin(store, &start, &again, &err), 0);
	cr_expect_eq(again, run_id);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='running' AND end_ns IS NULL"), 1);
	cr_assert_eq(gns_store_run_end(store, run_id, "killed", -9, 9, &err), 0);
	cr_expect_eq(query(db, "SELECT exit_code FROM run"), -9);
}

Test(writing, what_starts_a_script_gives_no_name)
{
	static const struct { const char *command, *name; } cases[] = {
		{ "/usr/bin/python3 -u dir/train.py --lr 1", "train" }, { "torchrun --nproc_per_node 2 train.py", "train" },
		{ "python3.11 -m torch.distributed.run --nproc_per_node 4 ddp.py 8", "ddp" }, { "env A=1 nice ./mlp 64", "mlp" },
		{ "python3 -m torch.distributed.launch --nproc_per_node 4 ddp.py 8", "ddp" }, { "python3 -c 'import x'", "python3" },
		{ "mpirun -n 4 ./train", "train" }, { "python_trainer.py --lr 1", "python_trainer" }, { "python3 -i --x 0.5", "python3" }, { "", "run" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct gns_run_start start = { .key = 100 + i, .command = cases[i].command, .start_ns = 1 };
		struct gns_run_info info;
		int64_t id;
		cr_assert_eq(gns_store_run_begin(store, &start, &id, &err), 0, "%s", err.text);
		cr_assert_eq(gns_store_run_info(store, id, &info, &err), 0);
		cr_expect_str_eq(info.name, cases[i].name, "%s: %s", cases[i].command, info.name);
	}
}

Test(writing, a_loss_may_come_before_or_after_its_step_and_change)
{
	begin();
	hello(row, 0, 1);
	struct gns_record loss = gns_generate_record(GNS_REC_LOSS);
	loss.u.loss = (struct gns_rec_loss){ 1, 3.0 };
	put(row, loss);
	step_of(row, 1, 8, 10, 2);
	commit();
	struct gns_store *other; /* the program that reads losses from the trainer's output */
	cr_assert_eq(gns_store_open_write(db, &other, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_loss(other, run_id, 2, 5, 2.5, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_loss(other, run_id, 40, 5, 1.5, &err), 0, "%s", err.text);
	begin();
	for (int64_t step = 2; step <= 40; step++)
		step_of(row, step, 8, 10, 2);
	commit();
	cr_assert_eq(gns_store_loss(other, run_id, 3, 5, 2.0, &err), 0);
	cr_assert_eq(gns_store_loss(other, run_id, 3, 5, 1.0, &err), 0);
	cr_expect_eq(gns_store_loss(other, run_id, 0, 5, 1.0, &err), -EINVAL);
	gns_store_close(other);
	begin();
	for (int64_t step = 41; step <= 2000; step++)
		step_of(row, step, 8, 10, 2);
	commit();
	cr_expect_eq(query(db, "SELECT sum(loss) FROM step"), 3 + 2.5 + 1 + 1.5);
	for (int size = 0; size < 3; size++) {
		char sql[128];
		snprintf(sql, sizeof sql, "SELECT sum(loss_sum) FROM rollup WHERE size=%d", size == 0 ? 32 : size == 1 ? 1024 : 32768);
		cr_expect_eq(query(db, sql), 8.0, "%s", sql);
	}
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 2000);
	struct gns_summary s = summary();
	cr_expect_eq(s.loss, 1.5);
	struct gns_point *p;
	size_t n;
	cr_assert_eq(gns_store_series(store, run_id, 0, -1, 2, &p, &n, &err), 0);
	cr_expect_eq(p[0].loss, 2.0);
	cr_expect(isnan(p[1].loss));
	free(p);
}

Test(writing, infinite_gradients_are_left_out_and_said)
{
	begin();
	hello(row, 0, 1);
	for (int64_t step = 1; step <= 50; step++)
		step_of(row, step, 8, step == 20 ? INFINITY : step == 30 ? NAN : 10, 2);
	commit();
	struct gns_summary s = summary();
	cr_expect_eq(s.b_noise.count, 48);
	cr_expect_float_eq(s.mv.s, (10 - 2) / (1 - 1 / 8.0), 1e-12);
	cr_expect(warned(&s, "nonfinite"));
	cr_expect_eq(query(db, "SELECT count(*) FROM grad WHERE q_small IS NULL"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE s IS NULL AND measured"), 2);
}

Test(writing, a_changed_batch_is_said)
{
	begin();
	hello(row, 0, 1);
	for (int64_t step = 1; step <= 100; step++)
		step_of(row, step, step <= 50 ? 8 : 16, 10, 2);
	commit();
	struct gns_summary s = summary();
	cr_expect(warned(&s, "batch_changed"));
	cr_expect_eq(s.samples_per_step, 16);
	cr_assert_eq(gns_store_summary(store, run_id, 50, &s, &err), 0);
	cr_expect_not(warned(&s, "batch_changed"));
}

Test(writing, micro_steps_make_the_batch_of_the_step)
{
	begin();
	hello(row, 0, 1);
	struct gns_record grad = gns_generate_record(GNS_REC_GRAD), last = gns_generate_record(GNS_REC_STEP);
	grad.u.grad = (struct gns_rec_grad){ .step = 1, .param_id = 1, .source = GNS_SOURCE_GEMM, .n_small = 1, .n_big = 32,
		.groups = 128, .q_small = 40, .q_big = 9 };
	last.u.step = (struct gns_rec_step){ .step = 1, .start_ns = 1, .dur_ns = 10, .samples = 128, .rows = 32, .micro_steps = 4,
		.flags = GNS_STEP_MEASURED, .params = 1 };
	put(row, grad);
	put(row, last);
	commit();
	struct gns_summary s = summary();
	cr_expect_eq(s.samples_per_step, 128);
	cr_expect_float_eq(s.mv.s, (40 - 9) / (1 - 1 / 32.0), 1e-12);
	cr_expect_float_eq(s.mv.g2, (32 * 9 - 40) / 31.0, 1e-12);
}

Test(writing, the_best_source_makes_the_total)
{
	begin();
	hello(row, 0, 1);
	struct gns_record grad = gns_generate_record(GNS_REC_GRAD);
	grad.u.grad = (struct gns_rec_grad){ .step = 1, .param_id = 1, .source = GNS_SOURCE_RANK, .n_small = 4, .n_big = 8, .groups = 2,
		.q_small = 99, .q_big = 50 };
	put(row, grad);
	step_of(row, 1, 8, 10, 2);
	commit();
	struct gns_summary s = summary();
	cr_expect_str_eq(s.sources, "gemm,rank");
	cr_expect_float_eq(s.mv.s, (10 - 2) / (1 - 1 / 8.0), 1e-12);
	cr_expect_not(warned(&s, "blas_only"));
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE source='gemm'"), 1);
}

Test(writing, weights_of_different_batches_add_by_their_own_formula)
{
	begin();
	hello(row, 0, 1);
	put(row, gns_generate_param(1));
	struct gns_record grad = gns_generate_record(GNS_REC_GRAD);
	grad.u.grad = (struct gns_rec_grad){ .step = 1, .param_id = 2, .source = GNS_SOURCE_GEMM, .n_small = 2, .n_big = 4, .groups = 2,
		.q_small = 7, .q_big = 5 };
	put(row, grad);
	step_of(row, 1, 8, 10, 2);
	commit();
	struct gns_summary s = summary();
	cr_expect_float_eq(s.mv.s, (10 - 2) / (1 - 1 / 8.0) + (7 - 5) / (1 / 2.0 - 1 / 4.0), 1e-12);
	cr_expect_float_eq(s.mv.g2, (8 * 2 - 10) / 7.0 + (4 * 5 - 2 * 7) / 2.0, 1e-12);
	cr_expect(isnan(query(db, "SELECT n_big FROM step")));
}

Test(writing, ranks_get_the_numbers_they_say)
{
	int64_t second = another_rank(1), third = another_rank(2);
	begin();
	hello(row, 2, 3);
	hello(third, 0, 3);
	hello(second, 1, 3);
	for (int64_t step = 1; step <= 3; step++) {
		step_of(row, step, 8, 10, 2);
		step_of(third, step, step == 2 ? 16 : 8, 14, 4);
	}
	commit();
	cr_expect_eq(query(db, "SELECT group_concat(rank) = '0,1,2' FROM (SELECT rank FROM rank WHERE pooled ORDER BY rank)"), 1);
	cr_expect_eq(query(db, "SELECT rank FROM rank WHERE slot=0"), 2);
	cr_expect_eq(query(db, "SELECT rank FROM rank WHERE slot=2"), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM param"), 1);
	struct gns_summary s = summary();
	cr_expect_eq(s.b_noise.count, 3, "a rank that has not stepped yet is not waited for");
	cr_expect(warned(&s, "ranks_disagree"));
	/* steps 1 and 3: both ranks; step 2: rank 0 alone */
	double both = ((10 + 14) / 2.0 - (2 + 4) / 2.0) / (1 - 1 / 8.0), one = (14 - 4) / (1 - 1 / 16.0);
	cr_expect_float_eq(s.mv.s, (2 * both + one) / 3, 1e-12);
}

Test(writing, a_slower_rank_is_waited_for_until_it_ends)
{
	int64_t second = another_rank(1);
	begin();
	hello(row, 0, 2);
	hello(second, 1, 2);
	for (int64_t step = 1; step <= 10; step++)
		step_of(row, step, 8, 10, 2);
	for (int64_t step = 1; step <= 4; step++)
		step_of(second, step, 8, 10, 2);
	commit();
	cr_expect_eq(query(db, "SELECT rolled_step FROM run"), 4);
	cr_assert_eq(gns_store_rank_end(store, second, &err), 0, "%s", err.text);
	cr_expect_eq(query(db, "SELECT rolled_step FROM run"), 10);
	cr_expect_eq(query(db, "SELECT count(*) FROM estimate WHERE half_life=50"), 10);
}

Test(writing, processes_that_train_apart_are_not_mixed)
{
	int64_t second = another_rank(1);
	begin();
	hello(row, 0, 1);
	hello(second, 0, 1);
	for (int64_t step = 1; step <= 50; step++) {
		step_of(row, step, 8, 10, 2);
		step_of(second, step, 8, 1000, 2);
	}
	commit();
	struct gns_summary s = summary();
	cr_expect_float_eq(s.mv.s, (10 - 2) / (1 - 1 / 8.0), 1e-12);
	cr_expect(warned(&s, "several_trainers"));
	cr_expect_eq(query(db, "SELECT count(*) FROM grad WHERE q_small=1000"), 50, "stored all the same");
	cr_expect_eq(query(db, "SELECT count(*) FROM param"), 2);
}

Test(writing, what_cannot_be_true_is_counted_and_skipped)
{
	struct gns_record bad[12];
	begin();
	hello(row, 0, 1);
	step_of(row, 5, 8, 10, 2);
	for (int i = 0; i < 12; i++)
		bad[i] = gns_generate_record(GNS_REC_GRAD);
	for (int i = 0; i < 6; i++)
		bad[i].u.grad = (struct gns_rec_grad){ 6, 1, GNS_SOURCE_GEMM, 1, 8, 8, 1, 1 };
	bad[0].u.grad.param_id = 77;
	bad[1].u.grad.source = 9;
	bad[2].u.grad.n_small = 8;
	bad[3].u.grad.step = 5;
	bad[4].version = GNS_RECORD_VERSION + 1;
	bad[5].u.grad.n_small = 0;
	bad[6].kind = 200;
	bad[7] = gns_generate_record(GNS_REC_STEP); /* step 0 */
	bad[8] = gns_generate_param(0);
	bad[8].u.param.rows = 3; /* another shape under the same id */
	bad[9] = gns_generate_param(5);
	bad[9].u.param.rows = bad[9].u.param.cols = UINT64_MAX;
	bad[10] = gns_generate_record(GNS_REC_KERNEL_STEP);
	bad[11] = gns_generate_record(GNS_REC_PROC);
	bad[11].u.proc.rank = -5;
	for (int i = 0; i < 12; i++)
		put(row, bad[i]);
	commit();
	cr_expect_eq(query(db, "SELECT value FROM collector WHERE collector='store' AND name='malformed'"), 12);
	cr_expect_eq(query(db, "SELECT count(*) FROM grad"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM param"), 1);
	begin(); /* a step that lost a gradient has no total: it would be the sum over some weights only */
	struct gns_record half = gns_generate_record(GNS_REC_GRAD);
	half.u.grad = (struct gns_rec_grad){ 7, 1, GNS_SOURCE_GEMM, 9, 8, 8, 1, 1 };
	put(row, half);
	step_of(row, 7, 8, 10, 2);
	commit();
	cr_expect(isnan(query(db, "SELECT s FROM step WHERE step=7")));
	struct gns_summary s = summary();
	cr_expect(warned(&s, "malformed"));
}

Test(writing, strings_need_no_end)
{
	begin();
	struct gns_record param = gns_generate_param(0), event = gns_generate_record(GNS_REC_EVENT);
	memset(param.u.param.name, 'n', sizeof param.u.param.name);
	memset(event.u.event.name, 'e', sizeof event.u.event.name);
	memset(event.u.event.text, 't', sizeof event.u.event.text);
	put(row, param);
	put(row, event);
	commit();
	struct gns_event_row *events;
	size_t n;
	cr_assert_eq(gns_store_events(store, run_id, &events, &n, &err), 0);
	cr_assert_eq(n, 1);
	cr_expect_eq(strlen(events[0].name), 32);
	cr_expect_eq(strlen(events[0].text), 72);
	cr_expect_eq(query(db, "SELECT length(name) FROM param"), 80);
	free(events);
}

/* Random bytes, and sound records with random bytes in them, in random order, with restarts between. */
Test(writing, noise_never_breaks_the_store, .timeout = 120)
{
	uint64_t state = 12345;
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_record sound[64];
	o.device = true;
	for (int round = 0; round < 40; round++) {
		begin();
		for (int i = 0; i < 500; i++) {
			size_t n = gns_generate_step(&o, 0, 1 + round * 100 + i / 5, sound);
			state = state * 6364136223846793005u + 1442695040888963407u;
			struct gns_record record = sound[(state >> 33) % n];
			if (i % 7 == 0)
				record = gns_generate_param((int)(state >> 40) % 6);
			if (i % 11 == 0)
				record = i % 2 ? gns_generate_kernel((int)(state >> 40) % 12) :
						 gns_generate_device_kernel((int)(state >> 40) % GNS_GENERATE_DEVICE_KERNELS);
			if (i % 13 == 0)
				record = gns_generate_proc(&o, (int)(state >> 40) % 3);
			unsigned char *bytes = (unsigned char *)&record;
			for (unsigned k = 0; k < (state >> 60); k++) {
				state = state * 6364136223846793005u + 1442695040888963407u;
				bytes[(state >> 33) % (i % 3 ? 40 : sizeof record)] = (unsigned char)(state >> 50);
			}
			if (i % 5 == 0)
				record.kind = (uint16_t)(state >> 20) % (GNS_REC_KINDS + 1);
			if (i % 3)
				record.version = GNS_RECORD_VERSION;
			cr_assert_eq(gns_store_record(store, row, &record, &err), 0, "%s", err.text);
		}
		if (round % 5 == 4)
			gns_store_rollback(store);
		else
			commit();
		struct gns_summary s = summary();
		struct gns_layer *layers;
		struct gns_point *points;
		struct gns_kernel_row *kernels;
		struct gns_gpu gpu;
		size_t n;
		cr_assert_eq(gns_store_gpu(store, run_id, round, &gpu, &err), 0, "%s", err.text);
		gns_gpu_free(&gpu);
		cr_assert_eq(gns_store_layers(store, run_id, round, &layers, &n, &err), 0, "%s", err.text);
		cr_assert_eq(gns_store_kernels(store, run_id, round, &kernels, &n, &err), 0, "%s", err.text);
		cr_assert_eq(gns_store_series(store, run_id, round, -1, 50, &points, &n, &err), 0, "%s", err.text);
		cr_expect(n <= 50 && s.n_warnings <= GNS_WARNINGS_MAX);
		free(layers);
		free(points);
		free(kernels);
		if (round % 9 == 8) {
			uint64_t tail;
			gns_store_close(store);
			cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
			cr_assert_eq(gns_store_rank_begin(store, run_id, 0, 1000, &row, &tail, &err), 0);
		}
	}
	cr_expect_eq(query(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
	cr_expect_gt(query(db, "SELECT count(*) FROM device_step"), 0);
	cr_expect_gt(query(db, "SELECT count(*) FROM device_kernel_step"), 0);
}

Test(writing, readers_do_not_stop_the_writer)
{
	struct gns_store *reader;
	begin();
	hello(row, 0, 1);
	step_of(row, 1, 8, 10, 2);
	commit();
	cr_assert_eq(gns_store_open_read(db, &reader, &err), 0, "%s", err.text);
	sqlite3_busy_timeout(store->db, 0); /* any wait would be an error */
	int64_t version = gns_store_data_version(reader);
	cr_assert_eq(sqlite3_exec(reader->db, "BEGIN; SELECT count(*) FROM step", NULL, NULL, NULL), SQLITE_OK);
	for (int64_t step = 2; step <= 5000; step++) { /* past SQLite's own checkpoint */
		begin();
		step_of(row, step, 8, 10, 2);
		commit();
	}
	struct gns_summary s;
	cr_assert_eq(gns_store_summary(reader, run_id, 0, &s, &err), 0, "%s", err.text);
	cr_expect_eq(s.run.steps, 1, "the reader's view stands still");
	cr_assert_eq(sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	cr_expect_neq(gns_store_data_version(reader), version);
	cr_assert_eq(gns_store_summary(reader, run_id, 0, &s, &err), 0, "%s", err.text);
	cr_expect_eq(s.run.steps, 5000);
	gns_store_close(reader);
}

Test(writing, two_recorders_share_a_store, .timeout = 120)
{
	pid_t pids[3];
	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		struct gns_generate o = GNS_GENERATE_DEFAULT;
		struct gns_store *mine;
		int64_t id;
		o.seed = 100 + (uint64_t)i;
		o.steps = 3000;
		snprintf(db, sizeof db, "%s/shared.db", folder);
		int rc = gns_store_open_write(db, &mine, &err);
		if (rc == 0)
			rc = gns_generate_run(mine, &o, &id, &err);
		if (rc < 0)
			fprintf(stderr, "%s\n", err.text);
		_exit(rc < 0);
	}
	for (int i = 0; i < 3; i++) {
		int status;
		waitpid(pids[i], &status, 0);
		cr_expect_eq(status, 0);
	}
	snprintf(db, sizeof db, "%s/shared.db", folder);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 3);
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 9000);
}

static int count_rows(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	*(int *)arg += !is_header;
	return 0;
}

Test(writing, sql_only_reads)
{
	static const char *const bad[] = { "DELETE FROM run", "DROP TABLE run", "UPDATE run SET name='x'", "ATTACH '/tmp/x.db' AS x",
		"PRAGMA journal_mode=DELETE", "PRAGMA user_version=5", "BEGIN", "VACUUM", "CREATE TEMP TABLE t(x)", "SELECT 1; SELECT 2",
		"", "  -- nothing", "SELEC 1", "SELECT load_extension('x')", "INSERT INTO run DEFAULT VALUES", "PRAGMA writable_schema=1" };
	int rows = 0;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err.text[0] = 0;
		cr_expect_lt(gns_store_sql(store, bad[i], count_rows, &rows, &err), 0, "%s", bad[i]);
		cr_expect_gt(strlen(err.text), 20, "%s", bad[i]);
	}
	cr_expect_eq(rows, 0);
	cr_expect_eq(gns_store_sql(store, "SELECT name FROM run; -- done", count_rows, &rows, &err), 0, "%s", err.text);
	cr_expect_eq(gns_store_sql(store, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9) SELECT i FROM n",
				   count_rows, &rows, &err), 0, "%s", err.text);
	cr_expect_eq(rows, 10);
	cr_expect_eq(gns_store_sql(store, "SELECT * FROM pragma_table_info('run')", count_rows, &rows, &err), 0, "%s", err.text);
}

Test(writing, a_reader_cannot_write)
{
	struct gns_store *reader;
	cr_assert_eq(gns_store_open_read(db, &reader, &err), 0);
	cr_expect_eq(gns_store_begin(reader, &err), -EROFS);
	cr_expect_eq(gns_store_run_end(reader, run_id, "finished", 0, 1, &err), -EROFS);
	cr_expect_eq(gns_store_loss(reader, run_id, 1, 1, 1, &err), -EROFS);
	gns_store_close(reader);
}

/* ---- a step that ends in another transaction than it began in ---- */

#define SUMS "SELECT (SELECT group_concat(x) FROM (SELECT run_id||' '||step||' '||source||' '||s||' '||g2||' '||params AS x FROM step))||" \
	"(SELECT group_concat(x) FROM (SELECT step||' '||half_life||' '||b_noise||' '||b_crit AS x FROM estimate))||" \
	"(SELECT group_concat(x) FROM (SELECT size||' '||block||' '||s||' '||g2||' '||loss_sum||' '||steps AS x FROM rollup))||" \
	"(SELECT sum(q_small)||' '||count(*) FROM grad)||(SELECT sum(total_ns)||' '||count(*) FROM kernel_step)||" \
	"(SELECT group_concat(steps||' '||steps_measured||' '||last_step) FROM rank)"

/* 70 steps in transactions of so many records; `again`: each in a store that was closed and opened between. */
static char *stored_in_pieces(const char *path, int64_t key, size_t piece, bool again)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_run_start start = { .key = (uint64_t)key, .name = "pieces", .start_ns = 1 };
	struct gns_record records[2048];
	struct gns_store *s;
	int64_t id, to;
	uint64_t tail;
	size_t n = 0;
	o.steps = 70;
	o.layers = 2;
	records[n++] = gns_generate_proc(&o, 0);
	for (int i = 0; i < o.layers; i++)
		records[n++] = gns_generate_param(i);
	for (int i = 0; i < 8; i++)
		records[n++] = gns_generate_kernel(i);
	for (int64_t step = 1; step <= o.steps; step++)
		n += gns_generate_step(&o, 0, step, records + n);
	cr_assert_eq(gns_store_open_write(path, &s, &err), 0, "%s", err.text);
	for (size_t at = 0; at < n; at += piece) {
		cr_assert_eq(gns_store_run_begin(s, &start, &id, &err), 0, "%s", err.text);
		cr_assert_eq(gns_store_rank_begin(s, id, 0, 1000, &to, &tail, &err), 0, "%s", err.text);
		cr_assert_eq(tail, at);
		cr_assert_eq(gns_store_begin(s, &err), 0, "%s", err.text);
		for (size_t i = at; i < at + piece && i < n; i++)
			cr_assert_eq(gns_store_record(s, to, &records[i], &err), 0, "%s", err.text);
		cr_assert_eq(gns_store_set_tail(s, to, at + piece, 0, 0, &err), 0);
		cr_assert_eq(gns_store_commit(s, &err), 0, "%s", err.text);
		if (!again)
			continue;
		gns_store_close(s);
		cr_assert_eq(gns_store_open_write(path, &s, &err), 0, "%s", err.text);
	}
	sqlite3_stmt *stmt;
	cr_assert_eq(sqlite3_prepare_v2(s->db, SUMS, -1, &stmt, NULL), SQLITE_OK, "%s", sqlite3_errmsg(s->db));
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	char *text = strdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	gns_store_close(s);
	return text;
}

Test(writing, a_step_may_end_in_another_transaction, .timeout = 120)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 7, 12, 31, 100 };
	char path[160];
	snprintf(path, sizeof path, "%s/whole.db", folder);
	char *whole = stored_in_pieces(path, 1, 100000, false);
	for (size_t i = 0; i < 2 * sizeof pieces / sizeof *pieces; i++) {
		snprintf(path, sizeof path, "%s/%zu.db", folder, i);
		char *text = stored_in_pieces(path, 1, pieces[i / 2], i % 2);
		cr_expect_str_eq(text, whole, "in pieces of %zu records", pieces[i / 2]);
		free(text);
	}
	free(whole);
}

/* The first step: 2 s of which 40 ms are gnscope's way in. Four more of 1 ms, 10 us each. */
Test(writing, start_up_is_in_no_step_time)
{
	struct gns_record first = gns_generate_record(GNS_REC_STEP);
	first.u.step = (struct gns_rec_step){ .step = 1, .start_ns = 1000, .dur_ns = 2000000000, .overhead_ns = 40000000, .samples = 8,
		.micro_steps = 1, .flags = GNS_STEP_STARTUP };
	begin();
	hello(row, 0, 1);
	put(row, first);
	for (int64_t step = 2; step <= 5; step++)
		step_of(row, step, 8, 3, 1);
	commit();
	struct gns_summary s = summary();
	cr_expect_eq(s.startup_ms, 40);
	cr_expect_eq(s.step_ms, 1);
	cr_expect_float_eq(s.overhead_pct, 1, 1e-12);
	cr_expect_eq(s.run.steps, 5);
	cr_expect_eq(query(db, "SELECT startup_ns FROM rank"), 40000000);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE startup"), 1);
	cr_expect_eq(query(db, "SELECT weight FROM step WHERE step=2"), 2, "it represents the first step, too");
}
