/* What a collector that knows the layers tells: several optimizers in one process, settings, shapes, what is left out and why,
 * the parts of a step; each against numbers worked out here. */
#include "tests/store/opened.h"

#include "store/internal.h"

static int64_t run_id, row;

static void begin_store(void)
{
	struct gns_run_start start = { .key = 7, .name = "gan", .command = "python3 gan.py", .start_ns = 1 };
	begin_run(&start, &run_id, &row);
}

TestSuite(torch, .init = begin_store, .fini = close_store);

static void put(int64_t to, uint32_t stream, struct gns_record record)
{
	record.stream = stream;
	cr_assert_eq(gns_store_record(store, to, &record, &err), 0, "%s", err.text);
}

static void hello(int64_t to, int rank, int world)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.ranks = world;
	put(to, 0, gns_generate_proc(&o, rank));
}

static void param(int64_t to, uint32_t stream, uint32_t id, const char *name, uint64_t rows, uint64_t cols, const uint16_t *dims,
		  uint32_t why)
{
	struct gns_record r = gns_generate_record(GNS_REC_PARAM);
	r.u.param = (struct gns_rec_param){ .param_id = id, .dtype = GNS_F32, .rows = rows, .cols = cols, .excluded = why };
	for (int i = 0; dims && i < 4 && dims[i]; i++)
		r.u.param.dims[i] = dims[i];
	snprintf(r.u.param.name, sizeof r.u.param.name, "%s", name);
	put(to, stream, r);
}

static void grad(int64_t to, uint32_t stream, int64_t step, uint32_t id, enum gns_source source, uint64_t n, double q_small, double q_big)
{
	struct gns_record r = gns_generate_record(GNS_REC_GRAD);
	r.u.grad = (struct gns_rec_grad){ .step = (uint64_t)step, .param_id = id, .source = source, .n_small = 1, .n_big = n, .groups = n,
		.q_small = q_small, .q_big = q_big };
	put(to, stream, r);
}

static void step(int64_t to, uint32_t stream, int64_t number, uint64_t samples, double lr)
{
	struct gns_record r = gns_generate_record(GNS_REC_STEP);
	r.u.step = (struct gns_rec_step){ .step = (uint64_t)number, .start_ns = (uint64_t)number * 1000, .dur_ns = 1000000,
		.overhead_ns = 10000, .samples = samples, .micro_steps = 1, .flags = GNS_STEP_MEASURED, .params = 1, .lr = lr };
	put(to, stream, r);
}

static void setting(int64_t to, uint32_t stream, uint64_t at, const char *name, double value, const char *text)
{
	struct gns_record r = gns_generate_record(GNS_REC_SETTING);
	r.u.setting.step = at;
	r.u.setting.value = value;
	snprintf(r.u.setting.name, sizeof r.u.setting.name, "%s", name);
	snprintf(r.u.setting.text, sizeof r.u.setting.text, "%s", text);
	put(to, stream, r);
}

static void event(int64_t to, uint32_t stream, const char *name, const char *text)
{
	struct gns_record r = gns_generate_record(GNS_REC_EVENT);
	r.u.event.step = 1;
	snprintf(r.u.event.name, sizeof r.u.event.name, "%s", name);
	snprintf(r.u.event.text, sizeof r.u.event.text, "%s", text);
	put(to, stream, r);
}

static void counter(int64_t to, const char *name, uint64_t value)
{
	struct gns_record r = gns_generate_record(GNS_REC_COUNTER);
	r.u.counter.value = value;
	strcpy(r.u.counter.collector, "torch");
	snprintf(r.u.counter.name, sizeof r.u.counter.name, "%s", name);
	put(to, 0, r);
}

static void kernel(int64_t to, uint32_t id, const char *family, const char *name)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL);
	r.u.kernel.kernel_id = id;
	snprintf(r.u.kernel.family, sizeof r.u.kernel.family, "%s", family);
	snprintf(r.u.kernel.name, sizeof r.u.kernel.name, "%s", name);
	put(to, 0, r);
}

static void kernel_time(int64_t to, uint32_t stream, int64_t at, uint32_t id, uint64_t ns)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL_STEP);
	r.u.kernel_step = (struct gns_rec_kernel_step){ .step = (uint64_t)at, .kernel_id = id, .calls = 1, .total_ns = ns, .max_ns = ns };
	put(to, stream, r);
}

static struct gns_summary summary(int64_t id)
{
	struct gns_summary s;
	cr_assert_eq(gns_store_summary(store, id, 0, &s, &err), 0, "%s", err.text);
	return s;
}

static const char *warning(const struct gns_summary *s, const char *name)
{
	for (size_t i = 0; i < s->n_warnings; i++)
		if (strcmp(s->warnings[i].name, name) == 0)
			return s->warnings[i].text;
	return NULL;
}

static bool says(const struct gns_summary *s, const char *name, const char *words)
{
	const char *text = warning(s, name);
	if (text && strstr(text, words))
		return true;
	fprintf(stderr, "%s: %s\n", name, text ? text : "no such warning");
	return false;
}

static int64_t other_run(const char *name)
{
	int64_t id = -1;
	cr_assert_eq(gns_store_find_run(store, name, &id, &err), 0, "%s", err.text);
	return id;
}

/* ---- streams ---- */

/* Two optimizers of one process: 60 steps of the first, 20 of the second in the gaps, with other weights and batches. */
static void two_optimizers(int64_t to, int64_t from, int64_t steps)
{
	for (int64_t i = from; i < from + steps; i++) {
		grad(to, 0, i, 1, GNS_SOURCE_TORCH, 8, 10, 2);
		step(to, 0, i, 8, 0.001);
		if (i % 3)
			continue;
		grad(to, 1, i / 3, 2, GNS_SOURCE_TORCH, 16, 40, 5);
		step(to, 1, i / 3, 16, 0.02);
	}
}

Test(torch, every_optimizer_has_a_run_of_its_own)
{
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "G.weight", 4, 8, NULL, 0);
	param(row, 1, 2, "D.weight", 4, 2, NULL, 0);
	setting(row, 0, 1, "optimizer", NAN, "AdamW");
	setting(row, 1, 1, "optimizer", NAN, "SGD");
	two_optimizers(row, 1, 60);
	commit();
	int64_t second = other_run("gan.2");
	struct gns_summary a = summary(run_id), b = summary(second);
	cr_expect_float_eq(a.mv.s, (10 - 2) / (1 - 1 / 8.0), 1e-12);
	cr_expect_float_eq(b.mv.s, (40 - 5) / (1 - 1 / 16.0), 1e-12);
	cr_expect_float_eq(b.mv.g2, (16 * 5 - 40) / 15.0, 1e-12);
	cr_expect(a.b_noise.count == 60 && b.b_noise.count == 20);
	cr_expect(a.samples_per_step == 8 && b.samples_per_step == 16);
	cr_expect_str_eq(a.optimizer, "AdamW");
	cr_expect_str_eq(b.optimizer, "SGD");
	cr_expect(a.lr == 0.001 && b.lr == 0.02);
	cr_expect_str_eq(b.sample_unit, "samples");
	cr_expect_str_eq(a.coverage_note, "of 32 parameters that this optimizer trains");
	cr_expect_str_eq(b.coverage_note, "of 8 parameters that this optimizer trains");
	cr_expect(a.coverage == 1 && b.coverage == 1);
	cr_expect_eq(query(db, "SELECT value FROM collector WHERE name='malformed'") > 0, 0);
	cr_expect_eq(other_run(NULL), run_id, "the newest run is the program's, not one of its streams");
	struct gns_run_info *runs;
	size_t n;
	cr_assert_eq(gns_store_streams(store, run_id, &runs, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 1);
	cr_expect(runs[0].run_id == second && runs[0].stream == 1 && runs[0].main_run_id == run_id);
	free(runs);
	cr_assert_eq(gns_store_streams(store, second, &runs, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 1);
	cr_expect_eq(runs[0].run_id, run_id);
	free(runs);
	cr_assert_eq(gns_store_runs(store, &runs, &n, &err), 0, "%s", err.text);
	cr_expect(n == 2 && runs[0].run_id == run_id && runs[1].run_id == second, "a stream's run stands below its program's");
	free(runs);
	uint64_t key = 0;
	cr_expect_eq(gns_store_session_key(store, second, &key, &err), 0);
	cr_expect_eq(key, 7);
}

Test(torch, streams_end_continue_and_are_undone_with_the_program)
{
	uint64_t tail;
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "G.weight", 4, 8, NULL, 0);
	two_optimizers(row, 1, 2); /* none of the second yet */
	commit();
	begin();
	param(row, 1, 2, "D.weight", 4, 2, NULL, 0);
	two_optimizers(row, 3, 30);
	gns_store_rollback(store);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 1, "undone whole");
	for (int round = 0; round < 3; round++) { /* a recorder that dies after each commit */
		begin();
		if (round == 0)
			param(row, 1, 2, "D.weight", 4, 2, NULL, 0);
		two_optimizers(row, 3 + 30 * round, 30);
		cr_assert_eq(gns_store_set_tail(store, row, 100 + (uint64_t)round, 7, 3, &err), 0);
		commit();
		gns_store_close(store);
		cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
		cr_assert_eq(gns_store_rank_begin(store, run_id, 0, 1000, &row, &tail, &err), 0, "%s", err.text);
		cr_expect_eq(tail, 100 + (uint64_t)round);
	}
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM grad WHERE run_id=2"), 30);
	cr_expect_eq(query(db, "SELECT steps FROM rank WHERE run_id=2"), 30);
	cr_expect_eq(query(db, "SELECT rolled_step FROM run WHERE stream=1"), 30);
	cr_expect_eq(query(db, "SELECT count(*) FROM estimate WHERE run_id=2 AND half_life=500"), 30);
	cr_expect_eq(query(db, "SELECT coalesce(sum(value),0) FROM collector WHERE collector='store'"), 0);
	struct gns_summary s = summary(2);
	cr_expect_eq(s.dropped, 3, "what the ring dropped may have been of any stream");
	cr_assert_eq(gns_store_rank_end(store, row, &err), 0);
	cr_expect_eq(query(db, "SELECT sum(ended) FROM rank"), 2);
	cr_assert_eq(gns_store_run_end(store, run_id, "failed", 3, 99, &err), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE status='failed' AND exit_code=3 AND end_ns=99"), 2);
}

Test(torch, a_stream_that_cannot_be_is_skipped)
{
	begin();
	hello(row, 0, 1);
	param(row, GNS_STREAMS_MAX, 1, "x", 4, 8, NULL, 0);
	param(row, UINT32_MAX, 1, "x", 4, 8, NULL, 0);
	for (uint32_t stream = 0; stream < GNS_STREAMS_MAX; stream++)
		param(row, stream, stream + 1, "x", 4, 8, NULL, 0);
	commit();
	cr_expect_eq(query(db, "SELECT value FROM collector WHERE name='malformed'"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), GNS_STREAMS_MAX);
	cr_expect_eq(query(db, "SELECT count(*) FROM run WHERE name='gan.8' AND stream=7"), 1);
}

/* ---- ranks ---- */

static int64_t another_rank(uint32_t slot)
{
	int64_t other;
	uint64_t tail;
	cr_assert_eq(gns_store_rank_begin(store, run_id, slot, 2000 + slot, &other, &tail, &err), 0, "%s", err.text);
	return other;
}

/* World W, 4 samples on each rank: q_small is the mean over the ranks of 4 W sum |A_i|^2 as each tells it, q_big the same on all. */
static void ranks(int world)
{
	int64_t rows[4] = { row };
	double q_small = 0;
	for (int i = 1; i < world; i++)
		rows[i] = another_rank((uint32_t)i);
	begin();
	for (int i = 0; i < world; i++) {
		/* the first to come is the last rank, each names its weights in its own order */
		int rank = world - 1 - i;
		hello(rows[i], rank, world);
		param(rows[i], 0, 1, i % 2 ? "b" : "a", 3, 5, NULL, 0);
		param(rows[i], 0, 2, i % 2 ? "a" : "b", 3, 5, NULL, 0);
		param(rows[i], 1, 3, "c", 7, 1, NULL, 0);
		setting(rows[i], 0, 1, "momentum", 0.9, "");
	}
	for (int64_t t = 1; t <= 40; t++)
		for (int i = 0; i < world; i++) {
			double mine = 20 + 3 * i + (double)(t % 2);
			grad(rows[i], 0, t, i % 2 ? 2 : 1, GNS_SOURCE_TORCH, 4 * (uint64_t)world, mine, 1); /* "a" */
			grad(rows[i], 0, t, i % 2 ? 1 : 2, GNS_SOURCE_TORCH, 4 * (uint64_t)world, 100, 9);  /* "b" */
			step(rows[i], 0, t, 4, 0.1);
			grad(rows[i], 1, t, 3, GNS_SOURCE_TORCH, 4 * (uint64_t)world, mine / 2, 0.5);
			step(rows[i], 1, t, 4, 0.1);
			q_small += mine / world / 40;
		}
	commit();
	struct gns_summary s = summary(run_id), second = summary(other_run("gan.2"));
	double n = 4.0 * world;
	cr_expect_float_eq(s.mv.s, (q_small + 100 - 10) / (1 - 1 / n), 1e-9, "%g", s.mv.s);
	cr_expect_float_eq(s.mv.g2, (n * 10 - q_small - 100) / (n - 1), 1e-9);
	cr_expect_float_eq(second.mv.s, (q_small / 2 - 0.5) / (1 - 1 / n), 1e-9, "%g", second.mv.s);
	cr_expect(s.samples_per_step == n && second.samples_per_step == n, "all ranks' samples");
	cr_expect(s.run.world == world && s.b_noise.count == 40 && second.b_noise.count == 40);
	cr_expect_null(warning(&s, "ranks_disagree"));
	cr_expect_null(warning(&s, "several_trainers"));
	cr_expect_eq(query(db, "SELECT count(*) FROM run"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM param"), 3, "ranks share names");
	cr_expect_eq(query(db, "SELECT count(*) FROM setting"), 1);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank a JOIN rank b ON a.slot=b.slot AND a.pid=b.pid AND a.run_id<b.run_id AND a.rank<>b.rank"),
		     0, "a process has one number");
	struct gns_layer *layers;
	size_t count;
	cr_assert_eq(gns_store_layers(store, run_id, 0, &layers, &count, &err), 0);
	cr_assert_eq(count, 2);
	cr_expect_str_eq(layers[0].name, "a");
	cr_expect_float_eq(layers[0].q_small, q_small, 1e-9, "%g, %g", layers[0].q_small, q_small);
	cr_expect_eq(layers[1].q_small, 100);
	free(layers);
}

Test(torch, two_ranks_of_one_training_are_one)
{
	ranks(2);
}

Test(torch, four_ranks_of_one_training_are_one)
{
	ranks(4);
}

/* Two of four ranks, as one node of two sees them. */
Test(torch, the_batch_is_that_of_all_nodes)
{
	int64_t other = another_rank(1);
	begin();
	hello(row, 0, 4);
	hello(other, 1, 4);
	param(row, 0, 1, "a", 3, 5, NULL, 0);
	param(other, 0, 1, "a", 3, 5, NULL, 0);
	for (int64_t t = 1; t <= 3; t++) {
		grad(row, 0, t, 1, GNS_SOURCE_TORCH, 16, 20, 3);
		step(row, 0, t, 4, NAN);
		grad(other, 0, t, 1, GNS_SOURCE_TORCH, 16, 22, 3);
		step(other, 0, t, 4, NAN);
	}
	commit();
	cr_expect_eq(summary(run_id).measured, 0, "the other two may come yet");
	cr_assert_eq(gns_store_run_end(store, run_id, "finished", 0, 1, &err), 0, "%s", err.text);
	struct gns_summary s = summary(run_id);
	cr_expect_eq(s.samples_per_step, 16);
	cr_expect_float_eq(s.mv.s, (21 - 3) / (1 - 1 / 16.0), 1e-12);
}

/* A rank whose plan is a little denser measures a step alone: its rows speak for the step, whose batch is that of both. */
Test(torch, a_step_that_one_rank_measured_counts)
{
	int64_t other = another_rank(1);
	begin();
	hello(row, 0, 2);
	hello(other, 1, 2);
	param(row, 0, 1, "a", 3, 5, NULL, 0);
	param(other, 0, 1, "a", 3, 5, NULL, 0);
	for (int64_t t = 1; t <= 4; t++) {
		if (t % 2)
			grad(row, 0, t, 1, GNS_SOURCE_TORCH, 16, 20, 3);
		step(row, 0, t, t % 2 ? 8 : 0, NAN);
		grad(other, 0, t, 1, GNS_SOURCE_TORCH, 16, 20, 3);
		step(other, 0, t, 8, NAN);
	}
	commit();
	struct gns_summary s = summary(run_id);
	cr_expect_eq(s.measured, 4);
	cr_expect_eq(s.samples_per_step, 16);
	cr_expect_float_eq(s.mv.s, (20 - 3) / (1 - 1 / 16.0), 1e-12);
}

Test(torch, a_rank_that_learns_its_number_late_takes_its_streams_along)
{
	int64_t other = another_rank(1);
	begin();
	param(row, 1, 1, "a", 3, 5, NULL, 0);
	param(other, 1, 1, "a", 3, 5, NULL, 0);
	for (int64_t t = 1; t <= 3; t++) {
		grad(row, 1, t, 1, GNS_SOURCE_TORCH, 4, 10, 3);
		step(row, 1, t, 2, NAN);
		grad(other, 1, t, 1, GNS_SOURCE_TORCH, 4, 10, 3);
		step(other, 1, t, 2, NAN);
	}
	hello(other, 0, 2);
	hello(row, 1, 2);
	param(row, 1, 2, "b", 3, 5, NULL, 0);
	param(other, 1, 2, "b", 3, 5, NULL, 0);
	commit();
	cr_expect_eq(query(db, "SELECT count(*) FROM param WHERE run_id=2 AND name='b'"), 1, "now that they are ranks they share");
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE slot=1 AND rank=0 AND pooled AND world=2"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE slot=0 AND rank=1 AND pooled AND world=2"), 2);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE run_id=2 AND rank IN (0,1)"), 6);
	cr_expect_eq(query(db, "SELECT rolled_step FROM run WHERE stream=1"), 3);
}

/* ---- settings ---- */

Test(torch, settings_are_kept_with_their_changes)
{
	struct gns_setting_row *rows;
	size_t n;
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "w", 4, 8, NULL, 0);
	setting(row, 0, 1, "optimizer", NAN, "SGD");
	setting(row, 0, 1, "momentum", 0.9, "");
	two_optimizers(row, 1, 2);
	setting(row, 0, 2, "momentum", 0.95, "");
	setting(row, 0, 3, "", 1, "");
	commit();
	cr_assert_eq(gns_store_settings(store, run_id, &rows, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 3);
	cr_expect(strcmp(rows[0].name, "momentum") == 0 && rows[0].step == 1 && rows[0].value == 0.9 && !rows[0].text[0]);
	cr_expect(strcmp(rows[1].name, "momentum") == 0 && rows[1].step == 2 && rows[1].value == 0.95);
	cr_expect(strcmp(rows[2].name, "optimizer") == 0 && isnan(rows[2].value) && strcmp(rows[2].text, "SGD") == 0);
	free(rows);
	cr_expect_eq(query(db, "SELECT value FROM collector WHERE name='malformed'"), 1);
	cr_expect_eq(query(db, "SELECT lr FROM step WHERE step=2"), 0.001);
	begin(); /* what changes every step is bounded */
	for (uint64_t t = 1; t <= 20100; t++)
		setting(row, 0, t, "lr.1", 1.0 / (double)t, "");
	commit();
	cr_expect_leq(query(db, "SELECT count(*) FROM setting"), 20000);
	cr_expect_eq(query(db, "SELECT value FROM setting WHERE name='lr.1' ORDER BY step DESC LIMIT 1"), 1.0 / 20100);
	gns_store_close(store);
	uint64_t tail;
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_rank_begin(store, run_id, 0, 1000, &row, &tail, &err), 0);
	begin();
	setting(row, 0, 20101, "lr.1", 0.5, "");
	commit();
	cr_expect_leq(query(db, "SELECT count(*) FROM setting"), 20000);
	cr_expect_eq(query(db, "SELECT value FROM setting WHERE name='lr.1' ORDER BY step DESC LIMIT 1"), 0.5);
}

Test(torch, settings_of_a_process_that_trains_apart_are_not_the_runs)
{
	int64_t other = another_rank(1);
	begin();
	hello(row, 0, 1);
	hello(other, 0, 1);
	setting(row, 0, 1, "optimizer", NAN, "SGD");
	setting(other, 0, 1, "optimizer", NAN, "Adam");
	param(other, 0, 1, "w", 4, 8, NULL, 0);
	grad(other, 0, 1, 1, GNS_SOURCE_TORCH, 8, 10, 2);
	step(other, 0, 1, 8, 0.5);
	commit();
	struct gns_summary s = summary(run_id);
	cr_expect_str_eq(s.optimizer, "SGD");
	cr_expect(isnan(s.lr));
	cr_expect_eq(query(db, "SELECT count(*) FROM setting"), 1);
}

/* ---- weights ---- */

Test(torch, shapes_are_the_weights_own)
{
	static const uint16_t conv[4] = { 3, 7, 7 }, wrong[4] = { 3, 7 }, column[4] = { 1 };
	struct gns_layer *layers;
	size_t n;
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "conv", 64, 147, conv, 0);
	param(row, 0, 2, "bias", 64, 1, NULL, 0);
	param(row, 0, 3, "linear", 10, 64, NULL, 0);
	param(row, 0, 4, "head", 10, 1, column, 0);
	param(row, 0, 5, "bad", 64, 147, wrong, 0);
	param(row, 0, 6, "bad", 64, 147, NULL, GNS_LEFT_OUTS);
	param(row, 0, 7, "complex", 2, 2, NULL, GNS_LEFT_DTYPE);
	commit();
	cr_assert_eq(gns_store_layers(store, run_id, 0, &layers, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 5);
	static const char *const shapes[] = { "64x3x7x7", "64", "10x64", "10x1", "2x2" };
	for (size_t i = 0; i < 5; i++)
		cr_expect_str_eq(layers[i].shape, shapes[i]);
	cr_expect(layers[4].excluded && strcmp(layers[4].left_out, "dtype") == 0 && !layers[0].excluded && !layers[0].left_out[0]);
	cr_expect_eq(layers[0].numel, 64 * 147);
	free(layers);
	cr_expect_eq(query(db, "SELECT value FROM collector WHERE name='malformed'"), 2);
}

Test(torch, coverage_is_of_all_that_is_trained)
{
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "linear", 100, 60, NULL, 0);
	param(row, 0, 2, "lstm.weight", 100, 20, NULL, GNS_LEFT_RECURRENT);
	param(row, 0, 3, "lstm.bias", 500, 1, NULL, GNS_LEFT_RECURRENT);
	param(row, 0, 4, "emb", 100, 15, NULL, GNS_LEFT_SPARSE);
	for (int64_t t = 1; t <= 50; t++) {
		grad(row, 0, t, 1, GNS_SOURCE_TORCH, 8, 10, 2);
		step(row, 0, t, 8, 0.1);
	}
	commit();
	struct gns_summary s = summary(run_id);
	cr_expect_eq(s.coverage, 0.6);
	cr_expect_str_eq(s.coverage_note, "of 10,000 trainable parameters");
	cr_expect_str_eq(s.sources, "torch");
	cr_expect(s.params == 4 && s.params_measured == 1);
	cr_expect_null(warning(&s, "blas_only"));
	cr_expect(says(&s, "recurrent", "2 parameters in a fused recurrent layer, whose inner GEMMs are not seen, are left out (25% of all): "
		       "lstm.weight, lstm.bias"));
	cr_expect(says(&s, "sparse", "1 parameter with a sparse gradient is left out (15% of all): emb"));
	begin(); /* a reason may go away */
	param(row, 0, 4, "emb", 100, 15, NULL, 0);
	commit();
	s = summary(run_id);
	cr_expect_null(warning(&s, "sparse"));
	cr_expect_eq(query(db, "SELECT count(*) FROM param WHERE left_out IS NOT NULL AND excluded"), 2);
}

Test(torch, a_few_sentences_tell_of_many_reasons)
{
	begin();
	hello(row, 0, 1);
	for (uint32_t why = 1; why < GNS_LEFT_OUTS; why++)
		for (uint32_t i = 0; i < 50; i++) {
			char name[80];
			snprintf(name, sizeof name, "transformer.blocks.%u.attention.projection.weight.of.reason.%u", i, why);
			param(row, 0, 1 + why * 50 + i, name, 10 * why, 10, NULL, why);
		}
	event(row, 0, "operation", "MulBackward7");
	commit();
	struct gns_summary s = summary(run_id);
	cr_expect(says(&s, "samples", "50 parameters whose rows cannot be assigned to samples (--layout) are left out (15% of all): transformer"));
	cr_expect(warning(&s, "checkpoint") && warning(&s, "unused") && warning(&s, "sharded") && !warning(&s, "tied_weight"));
	cr_expect(says(&s, "left_out", "400 more parameters are left out for other reasons"));
	begin();
	for (uint32_t i = 0; i < 50; i++)
		param(row, 0, 1 + GNS_LEFT_SAMPLES * 50 + i, "w", 10 * GNS_LEFT_SAMPLES, 10, NULL, GNS_LEFT_OPERATION);
	commit();
	s = summary(run_id);
	cr_expect(says(&s, "operation", "no rule is known for (MulBackward7) are left out"));
	for (size_t i = 0; i < s.n_warnings; i++)
		cr_expect_lt(strlen(s.warnings[i].text), sizeof s.warnings[i].text - 1, "%s is cut", s.warnings[i].name);
}

/* ---- sources ---- */

Test(torch, a_weight_of_two_sources_is_in_no_total_twice)
{
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "linear.weight", 4, 8, NULL, 0);
	param(row, 0, 2, "linear.bias", 4, 1, NULL, 0);
	param(row, 0, 3, "mat1", 4, 8, NULL, 0);
	for (int64_t t = 1; t <= 40; t++) {
		grad(row, 0, t, 3, GNS_SOURCE_GEMM, 8, 11, 2.5);
		grad(row, 0, t, 1, GNS_SOURCE_RANK, 8, 99, 50);
		grad(row, 0, t, 1, GNS_SOURCE_TORCH, 8, 10, 2);
		grad(row, 0, t, 2, GNS_SOURCE_TORCH, 8, 1, 0.5);
		step(row, 0, t, 8, NAN);
	}
	commit();
	struct gns_summary s = summary(run_id);
	struct gns_layer *layers;
	size_t n;
	cr_expect_str_eq(s.sources, "torch,gemm,rank");
	cr_expect_float_eq(s.mv.s, (11 - 2.5) / (1 - 1 / 8.0), 1e-12);
	cr_expect(isnan(s.lr));
	cr_assert_eq(gns_store_layers(store, run_id, 0, &layers, &n, &err), 0);
	cr_assert_eq(n, 3);
	cr_expect_float_eq(layers[0].share_s + layers[1].share_s, 1, 1e-12);
	cr_expect_eq(layers[2].share_s, 1);
	cr_expect_str_eq(layers[0].source, "torch");
	cr_expect_str_eq(layers[2].source, "gemm");
	free(layers);
}

Test(torch, when_it_turns_off_products_speak_and_it_is_said)
{
	begin();
	hello(row, 0, 1);
	event(row, 0, "torch", "PyTorch 2.15.0");
	param(row, 0, 1, "linear.weight", 4, 8, NULL, 0);
	param(row, 0, 2, "linear.bias", 8, 1, NULL, 0);
	commit();
	struct gns_summary s = summary(run_id);
	cr_expect_str_eq(s.coverage_note, "of 40 trainable parameters", "known before a step was measured");
	cr_expect_null(warning(&s, "torch"));
	begin();
	event(row, 0, "torch_off", "an unknown form of graph");
	param(row, 0, 3, "mat1", 4, 8, NULL, 0);
	for (int64_t t = 1; t <= 40; t++) {
		grad(row, 0, t, 3, GNS_SOURCE_GEMM, 8, 10, 2);
		step(row, 0, t, 8, NAN);
	}
	param(row, 1, 9, "other", 4, 8, NULL, 0);
	commit();
	s = summary(run_id);
	cr_expect_float_eq(s.coverage, 32 / 40.0, 1e-12);
	cr_expect(says(&s, "torch_off", "turned itself off (an unknown form of graph): from then on only matrix multiplications"));
	cr_expect_not_null(warning(&s, "blas_only"));
	s = summary(other_run("gan.2"));
	cr_expect_not_null(warning(&s, "torch_off"), "all optimizers of the program are concerned");
}

Test(torch, what_the_training_does_is_said_in_sentences)
{
	begin();
	hello(row, 0, 1);
	event(row, 0, "clipping", "max_norm 1");
	counter(row, "clipped_steps", 34);
	counter(row, "skipped_steps", 3);
	counter(row, "gradient_not_zeroed", 1);
	event(row, 0, "batchnorm", "bn1");
	commit();
	struct gns_summary s = summary(run_id);
	cr_expect(says(&s, "clipping", "the gradients are clipped (max_norm 1; 34 steps): these numbers are of the gradients before that"));
	cr_expect(says(&s, "skipped_steps", "3 steps were skipped by the loss scaler"));
	cr_expect(says(&s, "gradient_not_zeroed", "1 time a step began with gradients of an earlier one"));
	cr_expect(says(&s, "batchnorm", "couples the samples of a batch (bn1)"));
}

/* ---- parts of a step ---- */

Test(torch, phases_hold_products_and_are_not_added_to_them)
{
	struct gns_split split;
	struct gns_kernel_row *kernels;
	size_t n;
	begin();
	hello(row, 0, 1);
	param(row, 0, 1, "w", 4, 8, NULL, 0);
	param(row, 1, 2, "v", 4, 8, NULL, 0);
	kernel(row, 1, "phase", "optimizer");
	kernel(row, 2, "forward", "sgemm TN 4x8x8");
	kernel(row, 3, "phase", "backward");
	kernel(row, 4, "backward", "sgemm NT 4x8x8");
	kernel(row, 5, "phase", "forward");
	kernel(row, 6, "other", "sgemm NN 4x8x8");
	for (int64_t t = 1; t <= 10; t++)
		for (uint32_t stream = 0; stream < 2; stream++) {
			uint64_t ns[] = { 100000, 150000, 500000, 300000, 200000, 50000 };
			for (uint32_t k = 0; k < 6; k++)
				kernel_time(row, stream, t, k + 1, ns[k] / (stream + 1));
			grad(row, stream, t, stream + 1, GNS_SOURCE_TORCH, 8, 10, 2);
			step(row, stream, t, 8, NAN);
		}
	commit();
	cr_expect_eq(query(db, "SELECT coalesce(sum(value),0) FROM collector"), 0);
	for (int half = 1; half <= 2; half++) {
		int64_t id = half == 1 ? run_id : other_run("gan.2");
		static const char *const names[] = { "forward", "backward", "optimizer" };
		static const double ms[] = { 0.2, 0.5, 0.1 }, products[] = { 0.15, 0.3, 0 };
		cr_assert_eq(gns_store_split(store, id, 0, &split, &err), 0, "%s", err.text);
		cr_assert_eq(split.n_phases, 3);
		for (int i = 0; i < 3; i++) {
			cr_expect_str_eq(split.phase[i].name, names[i]);
			cr_expect_float_eq(split.phase[i].ms, ms[i] / half, 1e-9);
			cr_expect_float_eq(split.phase[i].products_ms, products[i] / half, 1e-9);
		}
		cr_expect_eq(split.n_families, 3);
		cr_expect_float_eq(split.family[0].ms + split.family[1].ms + split.family[2].ms, 0.5 / half, 1e-9);
		cr_assert_eq(gns_store_kernels(store, id, 0, &kernels, &n, &err), 0, "%s", err.text);
		cr_expect_eq(n, 3);
		for (size_t i = 0; i < n; i++)
			cr_expect_str_neq(kernels[i].family, "phase");
		free(kernels);
	}
}
