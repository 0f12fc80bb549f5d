/* What ranks measured between them, before and after a reduction: one number a step, not one a rank. The truth is worked out here from
 * gradients of small vectors. */
#include "tests/store/opened.h"

#include <math.h>

#include "store/internal.h"

#define RANKS 4
#define NUMEL 4 /* one element a shard */

static int64_t run_id, row[RANKS];

static void hello(int64_t to, int rank, enum gns_unit unit)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.ranks = RANKS;
	struct gns_record proc = gns_generate_proc(&o, rank), param = gns_generate_record(GNS_REC_PARAM);
	proc.u.proc.unit = unit;
	param.u.param = (struct gns_rec_param){ .param_id = 49152, .dtype = GNS_F32, .rows = NUMEL, .cols = 1, .name = "allreduce 1 (4 x f32)",
						.bucket = 1 };
	cr_assert_eq(gns_store_record(store, to, &proc, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_record(store, to, &param, &err), 0, "%s", err.text);
}

static void begin_ranks(void)
{
	struct gns_run_start start = { .key = 7, .command = "train", .start_ns = 1 };
	uint64_t tail;
	begin_run(&start, &run_id, &row[0]);
	for (uint32_t i = 1; i < RANKS; i++)
		cr_assert_eq(gns_store_rank_begin(store, run_id, i, 2000 + i, &row[i], &tail, &err), 0, "%s", err.text);
	begin();
	for (int i = 0; i < RANKS; i++)
		hello(row[i], i, GNS_UNIT_RANK_BATCHES);
}

TestSuite(ranks, .init = begin_ranks, .fini = close_store);

static double gradient(int64_t step, int rank, int element)
{
	return 1 + sin((double)(step * 1000 + rank * 10 + element));
}

struct truth { double q_small, q_big, s, g2; };

static struct truth truth_of(int64_t step)
{
	struct truth t = { 0 };
	for (int e = 0; e < NUMEL; e++) {
		double mean = 0;
		for (int r = 0; r < RANKS; r++) {
			mean += gradient(step, r, e) / RANKS;
			t.q_small += gradient(step, r, e) * gradient(step, r, e) / RANKS;
		}
		t.q_big += mean * mean;
	}
	t.s = (t.q_small - t.q_big) / (1 - 1.0 / RANKS);
	t.g2 = (RANKS * t.q_big - t.q_small) / (RANKS - 1);
	return t;
}

static void tell(int rank, int64_t step, uint32_t source)
{
	struct gns_record grad = gns_generate_record(GNS_REC_GRAD), last = gns_generate_record(GNS_REC_STEP);
	double q_small = 0, shard = 0;
	for (int e = 0; e < NUMEL; e++)
		q_small += gradient(step, rank, e) * gradient(step, rank, e);
	for (int r = 0; r < RANKS; r++)
		shard += gradient(step, r, rank) / RANKS;
	grad.u.grad = (struct gns_rec_grad){ .step = (uint64_t)step, .param_id = 49152, .source = source, .n_small = 1, .n_big = RANKS,
		.groups = 1, .q_small = q_small, .q_big = source == GNS_SOURCE_SHARD ? RANKS * shard * shard : truth_of(step).q_big };
	last.u.step = (struct gns_rec_step){ .step = (uint64_t)step, .start_ns = (uint64_t)step * 1000, .dur_ns = 1000000, .samples = 1,
		.micro_steps = 1, .flags = GNS_STEP_MEASURED, .params = 1 };
	cr_assert_eq(gns_store_record(store, row[rank], &grad, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_record(store, row[rank], &last, &err), 0, "%s", err.text);
}

static struct gns_layer only_layer(void)
{
	struct gns_layer *layers, out;
	size_t n;
	cr_assert_eq(gns_store_layers(store, run_id, 0, &layers, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 1);
	out = layers[0];
	free(layers);
	return out;
}

static void check_mean(int64_t steps, const char *source)
{
	struct gns_summary s;
	struct truth sum = { 0 };
	double ss = 0;
	for (int64_t step = 1; step <= steps; step++) {
		struct truth t = truth_of(step);
		sum.s += t.s / (double)steps;
		sum.g2 += t.g2 / (double)steps;
		sum.q_big += t.q_big / (double)steps;
		ss += t.s * t.s;
	}
	cr_assert_eq(gns_store_summary(store, run_id, 0, &s, &err), 0, "%s", err.text);
	cr_expect_str_eq(s.sources, source);
	cr_expect_str_eq(s.sample_unit, "rank batches");
	cr_expect_float_eq(s.samples_per_step, RANKS, 1e-12);
	cr_expect_float_eq(s.mv.s, sum.s, 1e-9, "s %g, not %g", s.mv.s, sum.s);
	cr_expect_float_eq(s.mv.g2, sum.g2, 1e-9, "g2 %g, not %g", s.mv.g2, sum.g2);
	cr_expect_float_eq(s.coverage, 1, 1e-12);
	struct gns_layer layer = only_layer();
	cr_expect_float_eq(layer.count, (double)steps, 1e-12, "a step counts once, not %g", layer.count / (double)steps);
	cr_expect_float_eq(layer.s, sum.s, 1e-9);
	cr_expect_float_eq(layer.q_big, sum.q_big, 1e-9);
	cr_expect_float_eq(query(db, "SELECT avg(s) FROM step_total"), sum.s, 1e-9);
}

static void all_tell(int64_t steps, uint32_t source)
{
	for (int64_t step = 1; step <= steps; step++)
		for (int r = 0; r < RANKS; r++)
			tell(r, step, source);
	commit();
}

Test(ranks, before_and_after_an_all_reduce)
{
	all_tell(300, GNS_SOURCE_RANK);
	check_mean(300, "rank");
	cr_expect_eq(query(db, "SELECT count FROM rollup_param WHERE size=256 AND block=0"), 256);
}

Test(ranks, parts_of_a_reduce_scatter_add_up)
{
	all_tell(300, GNS_SOURCE_SHARD);
	check_mean(300, "shard");
	double count = query(db, "SELECT count FROM rollup_param WHERE size=256 AND block=0"), ss = 0;
	for (int64_t step = 1; step <= 256; step++)
		ss += truth_of(step).s * truth_of(step).s;
	cr_expect_eq(count, 256);
	cr_expect_float_eq(query(db, "SELECT ss FROM rollup_param WHERE size=256 AND block=0"), ss, 1e-6, "the spread of steps, not of shards");
}

Test(ranks, a_missing_part_says_nothing)
{
	struct gns_summary s;
	for (int64_t step = 1; step <= 40; step++)
		for (int r = 0; r < RANKS; r++)
			if (r < 3 || step <= 10)
				tell(r, step, GNS_SOURCE_SHARD);
	cr_assert_eq(gns_store_rank_end(store, row[3], &err), 0);
	commit();
	cr_assert_eq(gns_store_summary(store, run_id, 0, &s, &err), 0, "%s", err.text);
	cr_expect_eq(s.b_noise.count, 10, "%g steps", s.b_noise.count);
	cr_expect_not(warned(&s, "ranks_disagree"));
	cr_expect_eq(query(db, "SELECT count(*) FROM step_total"), 10);
	cr_expect_eq(only_layer().count, 10);
}

/* One rank's norm alone is a fair sample of the mean. */
Test(ranks, a_rank_that_did_not_measure_is_left_out_of_an_all_reduce)
{
	struct gns_summary s;
	tell(0, 1, GNS_SOURCE_RANK);
	tell(1, 1, GNS_SOURCE_RANK);
	for (int i = 2; i < RANKS; i++)
		cr_assert_eq(gns_store_rank_end(store, row[i], &err), 0);
	commit();
	double q_small = 0;
	for (int r = 0; r < 2; r++)
		for (int e = 0; e < NUMEL; e++)
			q_small += gradient(1, r, e) * gradient(1, r, e) / 2;
	cr_assert_eq(gns_store_summary(store, run_id, 0, &s, &err), 0, "%s", err.text);
	cr_expect_float_eq(s.mv.s, (q_small - truth_of(1).q_big) / (1 - 1.0 / RANKS), 1e-12);
}

static void weight_too(int rank, int64_t step)
{
	struct gns_record param = gns_generate_param(0), grad = gns_generate_record(GNS_REC_GRAD);
	param.u.param.rows = 100;
	param.u.param.cols = 10;
	param.u.param.dims[0] = 0;
	grad.u.grad = (struct gns_rec_grad){ .step = (uint64_t)step, .param_id = param.u.param.param_id, .source = GNS_SOURCE_TORCH,
		.n_small = 1, .n_big = 8, .groups = 8, .q_small = 3, .q_big = 2 };
	if (step == 1)
		cr_assert_eq(gns_store_record(store, row[rank], &param, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_record(store, row[rank], &grad, &err), 0, "%s", err.text);
	tell(rank, step, GNS_SOURCE_RANK);
}

Test(ranks, what_is_reduced_is_not_counted_beside_the_weights)
{
	struct gns_summary s;
	for (int64_t step = 1; step <= 3; step++)
		for (int r = 0; r < RANKS; r++)
			weight_too(r, step);
	commit();
	cr_assert_eq(gns_store_summary(store, run_id, 0, &s, &err), 0, "%s", err.text);
	cr_expect_str_eq(s.sources, "torch,rank");
	cr_expect_eq(s.params, 1);
	cr_expect_eq(s.params_measured, 1);
	cr_expect_float_eq(s.coverage, 1, 1e-12);
	cr_expect(strncmp(s.coverage_note, "of 1,000 ", 9) == 0, "%s", s.coverage_note);
}

static void is_rank(int i, int32_t number, int32_t world)
{
	struct gns_record proc = gns_generate_record(GNS_REC_PROC);
	proc.u.proc = (struct gns_rec_proc){ .pid = 2000 + (uint32_t)i, .rank = number, .world = world, .start_ns = 1, .host = "h" };
	cr_assert_eq(gns_store_record(store, row[i], &proc, &err), 0, "%s", err.text);
}

/* Instructions of SQLite's virtual machine that moving rows of table step took. */
static int moved_work(void)
{
	sqlite3_stmt *stmt = store->stmt[GNS_SQL_RANK_RENUMBER_STEP];
	return stmt ? sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 0) : 0;
}

static void many_steps(int i, int64_t n)
{
	struct gns_record step = gns_generate_record(GNS_REC_STEP);
	for (int64_t s = 1; s <= n; s++) {
		step.u.step = (struct gns_rec_step){ .step = (uint64_t)s, .start_ns = (uint64_t)s, .dur_ns = 1000, .micro_steps = 1 };
		cr_assert_eq(gns_store_record(store, row[i], &step, &err), 0, "%s", err.text);
	}
}

static void begin_unknown(void)
{
	struct gns_run_start start = { .key = 8, .command = "train", .start_ns = 1 };
	uint64_t tail;
	begin_run(&start, &run_id, &row[0]);
	for (uint32_t i = 1; i < RANKS; i++)
		cr_assert_eq(gns_store_rank_begin(store, run_id, i, 2000 + i, &row[i], &tail, &err), 0, "%s", err.text);
	begin();
}

/* A long history of one rank costs the others nothing when they say which ranks they are. */
Test(renumber, processes_without_rows_move_none, .init = begin_unknown, .fini = close_store)
{
	is_rank(0, 0, RANKS);
	many_steps(0, 5000);
	is_rank(1, RANKS - 1, RANKS);
	is_rank(RANKS - 1, 1, RANKS);
	cr_expect_eq(moved_work(), 0, "%d", moved_work());
	many_steps(1, 10);
	commit();
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE rank=0"), 5000);
	char sql[96];
	snprintf(sql, sizeof sql, "SELECT count(*) FROM step WHERE rank=%d", RANKS - 1);
	cr_expect_eq(query(db, sql), 10);
}

/* It may say so late, with rows to move; it may not go on changing. */
Test(renumber, a_process_moves_its_rows_a_few_times_at_most, .init = begin_unknown, .fini = close_store)
{
	is_rank(0, 0, 1);
	many_steps(0, 2000);
	is_rank(0, 50, 100);
	commit();
	int once = moved_work();
	cr_expect_gt(once, 2000);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE rank=50"), 2000);
	begin();
	for (int i = 0; i < 1000; i++)
		is_rank(0, 60 + i, 2000);
	commit();
	cr_expect_lt(moved_work(), 6 * once, "%d for one, %d for 1,000", once, moved_work());
	cr_expect_eq(query(db, "SELECT count(*) FROM step"), 2000);
	cr_expect_gt(query(db, "SELECT value FROM collector WHERE name='malformed'"), 990);
	cr_expect_eq(query(db, "SELECT count(*) FROM step s JOIN rank r USING (run_id, rank)"), 2000, "rows have the number of their process");
}
