/* What was stored comes back: against raw rows added up here, and against the generator's truth. */
#include "tests/store/opened.h"

#include "store/internal.h"

TestSuite(numbers, .init = scratch, .fini = close_store);

static struct gns_summary summary(int64_t id, int64_t window)
{
	struct gns_summary s;
	cr_assert_eq(gns_store_summary(store, id, window, &s, &err), 0, "%s", err.text);
	return s;
}

static void near(double got, double want, double tolerance, const char *what)
{
	cr_expect(fabs(got - want) <= tolerance * fmax(1e-300, fabs(want)), "%s: got %.17g, want %.17g", what, got, want);
}

/* The totals of [lo, hi] from table grad alone, by the formulas of McCandlish et al. 2018, app. A.1. */
/* A step represents half the gap to each measured neighbour within [lo, hi]; the first and the last reach to its ends. */
static void from_raw(int64_t id, int64_t lo, int64_t hi, double *s, double *g2)
{
	char sql[1024];
	static const char *const forms[] = { "(qs-qb)/(1.0/ns-1.0/nb)", "(nb*qb-ns*qs)/(nb-ns)" };
	double *out[] = { s, g2 };
	for (int i = 0; i < 2; i++) {
		snprintf(sql, sizeof sql, "SELECT sum(w*(%s))/sum(w) FROM (SELECT *, (coalesce(lead(step) OVER (ORDER BY step), %lld-step)"
			 "-coalesce(lag(step) OVER (ORDER BY step), %lld-step))/2.0 AS w FROM (SELECT step, avg(qs) qs, avg(qb) qb, ns, nb FROM "
			 "(SELECT step, sum(q_small) qs, sum(q_big) qb, n_small ns, n_big nb FROM grad WHERE run_id=%lld AND step BETWEEN "
			 "%lld AND %lld GROUP BY step, rank) GROUP BY step))", forms[i], 2 * (long long)hi + 1, 2 * (long long)lo - 1,
			 (long long)id, (long long)lo, (long long)hi);
		*out[i] = query(db, sql);
	}
}

Test(numbers, any_window_equals_the_raw_rows)
{
	static const int64_t windows[] = { 0, 1, 7, 32, 33, 64, 100, 255, 256, 257, 1000, 1024, 1025, 2048, 4999, 5200, 6000 };
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 5200;
	for (o.every = 1; o.every <= 29; o.every += 14) {
		o.key++;
		int64_t id = generate(&o);
		for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
			char sql[200];
			double s, g2;
			struct gns_summary sum = summary(id, windows[i]);
			int64_t n = windows[i] == 0 || windows[i] > o.steps ? o.steps : windows[i];
			snprintf(sql, sizeof sql, "SELECT count(s) FROM step WHERE run_id=%lld AND step>%lld", (long long)id, (long long)(o.steps - n));
			double measured = query(db, sql);
			cr_expect_eq(sum.b_noise.count, measured);
			if (measured == 0)
				continue;
			from_raw(id, o.steps - n + 1, o.steps, &s, &g2);
			near(sum.mv.s, s, 1e-12, "s");
			near(sum.mv.g2, g2, 1e-11, "g2");
			if (measured > 1)
				near(s / g2, sum.b_noise.resolved ? sum.b_noise.value : s / g2, 1e-11, "b_noise");
		}
	}
}

Test(numbers, the_summary_says_what_was_generated)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.b_from = o.b_to = 700;
	o.warnings = true;
	o.steps = 2000;
	int64_t id = generate(&o);
	struct gns_summary s = summary(id, 0);
	cr_expect_str_eq(s.run.name, "generated");
	cr_expect_str_eq(s.run.status, "finished");
	cr_expect_str_eq(s.run.host, "node1");
	cr_expect_eq(s.run.steps, 2000);
	cr_expect_eq(s.run.steps_measured, 2000);
	cr_expect_str_eq(s.sources, "gemm");
	cr_expect_str_eq(s.sample_unit, "samples");
	cr_expect_eq(s.samples_per_step, 128);
	cr_expect_eq(s.dropped, 5);
	cr_expect(s.b_noise.resolved);
	cr_expect(s.b_noise.lo < 700 && 700 < s.b_noise.hi, "%g [%g %g]", s.b_noise.value, s.b_noise.lo, s.b_noise.hi);
	cr_expect(s.b_crit.lo < s.b_crit.value && s.b_crit.value < s.b_crit.hi);
	near(s.step_ms, 12, 0.01, "step_ms");
	near(s.overhead_pct, 100 * 0.11 / 12, 0.01, "overhead");
	/* 784x512 + 512x512 + 512x256 + 256x10 of those and one 784x512 left out */
	near(s.coverage, 797184.0 / 1198592.0, 1e-12, "coverage");
	cr_expect_eq(s.params, 5);
	cr_expect_eq(s.params_measured, 4);
	near(s.loss, query(db, "SELECT loss FROM step ORDER BY step DESC LIMIT 1"), 0, "loss");
	cr_expect(isnan(s.lr));
	cr_expect_str_eq(s.optimizer, "");
	static const char *const names[] = { "blas_only", "tied_weight", "dropped", "clipping" };
	for (int i = 0; i < 4; i++)
		cr_expect(warned(&s, names[i]), "%s", names[i]);
	cr_expect_not(warned(&s, "rows_as_samples"));
	cr_expect_not(warned(&s, "batch_changed"));
	cr_expect_not(warned(&s, "few_steps"));
}

Test(numbers, few_rows_are_said_to_be_so)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.rows = true;
	o.steps = 10;
	struct gns_summary s = summary(generate(&o), 0);
	cr_expect_str_eq(s.sample_unit, "rows");
	cr_expect_eq(s.samples_per_step, 128);
	cr_expect(warned(&s, "rows_as_samples"));
	cr_expect(warned(&s, "few_steps"));
}

Test(numbers, curves_pool_what_they_say)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	static const size_t points[] = { 1, 2, 17, 100, 500 };
	o.steps = 3000;
	int64_t id = generate(&o);
	for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
		struct gns_point *p;
		size_t n;
		cr_assert_eq(gns_store_series(store, id, 1, -1, points[k], &p, &n, &err), 0);
		cr_expect(n >= 1 && n <= points[k], "%zu of %zu", n, points[k]);
		double count = 0;
		for (size_t i = 0; i < n; i++) {
			double s, g2;
			char sql[200];
			from_raw(id, p[i].step_lo, p[i].step_hi, &s, &g2);
			near(p[i].s, s, 1e-12, "s");
			near(p[i].g2, g2, 1e-11, "g2");
			count += p[i].count;
			cr_expect(i == 0 || p[i].step_lo == p[i - 1].step_hi + 1);
			snprintf(sql, sizeof sql, "SELECT avg(loss) FROM step WHERE step BETWEEN %lld AND %lld",
				 (long long)p[i].step_lo, (long long)p[i].step_hi);
			near(p[i].loss, query(db, sql), 1e-12, "loss");
			cr_expect_eq(p[i].samples_per_step, 128);
		}
		cr_expect_eq(count, 3000);
		free(p);
	}
	struct gns_point *p;
	size_t n;
	cr_assert_eq(gns_store_series(store, id, 101, 150, 100, &p, &n, &err), 0);
	cr_expect_eq(n, 50);
	cr_expect_eq(p[0].step_lo, 101);
	near(p[49].b_noise.value, query(db, "SELECT b_noise FROM estimate WHERE step=150 AND half_life=500"), 1e-12, "live");
	free(p);
	cr_assert_eq(gns_store_series(store, id, 5000, -1, 100, &p, &n, &err), 0);
	cr_expect_eq(n, 0);
	free(p);
}

/* The steps that each measured one represents within [lo, hi], by their neighbours there. */
static const char *weights(int64_t id, int64_t lo, int64_t hi)
{
	static char sql[500];
	snprintf(sql, sizeof sql, "WITH w AS (SELECT step, dur_ns, (coalesce(lead(step) OVER (ORDER BY step), %lld-step)-coalesce(lag(step) OVER "
		 "(ORDER BY step), %lld-step))/2.0 AS w FROM step WHERE run_id=%lld AND s IS NOT NULL AND step BETWEEN %lld AND %lld) ",
		 2 * (long long)hi + 1, 2 * (long long)lo - 1, (long long)id, (long long)lo, (long long)hi);
	return sql;
}

static void layers_equal(int64_t id, int64_t window, int64_t steps)
{
	struct gns_layer *layers;
	size_t n;
	char sql[1000];
	double share = 0;
	int64_t lo = window ? steps - window + 1 : 1;
	cr_assert_eq(gns_store_layers(store, id, window, &layers, &n, &err), 0);
	cr_assert_eq(n, 4);
	for (size_t i = 0; i < n; i++) {
		snprintf(sql, sizeof sql, "%sSELECT sum(w*(q_small-q_big)/(1.0/n_small-1.0/n_big))/sum(w) FROM grad JOIN w USING (step) WHERE "
			 "run_id=%lld AND param_id=%lld", weights(id, lo, steps), (long long)id, (long long)layers[i].param_id);
		near(layers[i].s, query(db, sql), 1e-11, "s");
		snprintf(sql, sizeof sql, "%sSELECT sum(w*q_big)/sum(w) FROM grad JOIN w USING (step) WHERE run_id=%lld AND param_id=%lld",
			 weights(id, lo, steps), (long long)id, (long long)layers[i].param_id);
		near(layers[i].q_big, query(db, sql), 1e-12, "q_big");
		snprintf(sql, sizeof sql, "SELECT count(*) FROM grad WHERE run_id=%lld AND step>=%lld AND param_id=1", (long long)id, (long long)lo);
		cr_expect_eq(layers[i].count, query(db, sql));
		cr_expect_str_eq(layers[i].source, "gemm");
		share += layers[i].share_s;
	}
	near(share, 1, 1e-12, "shares");
	cr_expect_str_eq(layers[0].shape, "512x784");
	free(layers);
}

/* The last 100 measured steps of the window, whatever its length; a step of half its weight counts half. */
static void kernels_equal(int64_t id, int64_t window, int64_t steps)
{
	struct gns_kernel_row *kernels;
	struct gns_split split;
	size_t n;
	char sql[2000], newest[200];
	double of_families = 0, of_kernels = 0;
	snprintf(newest, sizeof newest, "(SELECT step FROM step WHERE run_id=%lld AND measured AND step>%lld ORDER BY step DESC LIMIT 100)",
		 (long long)id, window ? (long long)(steps - window) : 0);
	cr_assert_eq(gns_store_kernels(store, id, window, &kernels, &n, &err), 0);
	cr_assert_eq(gns_store_split(store, id, window, &split, &err), 0);
	cr_assert_eq(n, 12);
	for (size_t i = 0; i < n; i++) {
		snprintf(sql, sizeof sql, "%sSELECT sum(w*total_ns)/1e6/(SELECT sum(w) FROM w WHERE step IN %s) FROM kernel_step JOIN w USING (step) "
			 "JOIN kernel USING(run_id,kernel_id) WHERE run_id=%lld AND step IN %s AND name='%s' AND family='%s'",
			 weights(id, 1, steps), newest, (long long)id, newest, kernels[i].name, kernels[i].family);
		near(kernels[i].ms_per_step, query(db, sql), 1e-12, "ms");
		near(kernels[i].calls_per_step, 2, 1e-12, "calls");
		cr_expect(i == 0 || kernels[i].ms_per_step <= kernels[i - 1].ms_per_step);
		of_kernels += kernels[i].ms_per_step;
	}
	for (size_t i = 0; i < split.n_families; i++)
		of_families += split.family[i].ms;
	near(of_families, of_kernels, 1e-12, "the split is of the same calls");
	snprintf(sql, sizeof sql, "%sSELECT sum(w*total_ns)/(SELECT sum(w*dur_ns) FROM w WHERE step IN %s) FROM kernel_step JOIN w USING (step) "
		 "WHERE run_id=%lld AND step IN %s GROUP BY kernel_id ORDER BY 1 DESC LIMIT 1", weights(id, 1, steps), newest, (long long)id, newest);
	near(kernels[0].share, query(db, sql), 1e-12, "share");
	free(kernels);
}

Test(numbers, layers_and_kernels_equal_the_raw_rows)
{
	static const int64_t windows[] = { 0, 10, 256, 700 };
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 1500;
	for (o.every = 1; o.every <= 9; o.every += 8) {
		o.key++;
		int64_t id = generate(&o);
		for (size_t k = 0; k < 4; k++) {
			layers_equal(id, windows[k], o.steps);
			kernels_equal(id, windows[k], o.steps);
		}
	}
}

Test(numbers, sparse_steps_have_no_holes_in_them)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 9000;
	o.every = 70;
	int64_t id = generate(&o);
	struct gns_summary s = summary(id, 0);
	double want_s, want_g2;
	from_raw(id, 1, 9000, &want_s, &want_g2);
	near(s.mv.s, want_s, 1e-12, "s");
	cr_expect_eq(s.run.steps, 9000);
	cr_expect_eq(s.run.steps_measured, 128);
	struct gns_point *p;
	size_t n;
	cr_assert_eq(gns_store_series(store, id, 0, -1, 1000, &p, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		cr_expect_gt(p[i].count, 0, "a point without a measurement");
	free(p);
	struct gns_kernel_row *k;
	cr_assert_eq(gns_store_kernels(store, id, 0, &k, &n, &err), 0);
	near(k[0].calls_per_step, 2, 1e-12, "calls of measured steps");
	free(k);
}

static void summaries_equal(const struct gns_summary *a, const struct gns_summary *b)
{
	near(b->mv.s, a->mv.s, 1e-12, "s");
	near(b->mv.g2, a->mv.g2, 1e-12, "g2");
	near(b->b_noise.lo, a->b_noise.lo, 1e-9, "lo");
	if (a->b_noise.resolved)
		near(b->b_noise.hi, a->b_noise.hi, 1e-9, "hi");
	near(b->b_crit.value, a->b_crit.value, 1e-9, "b_crit");
	cr_expect_eq(a->b_noise.count, b->b_noise.count);
	near(b->step_ms, a->step_ms, 1e-12, "ms");
	if (!isnan(a->loss))
		near(b->loss, a->loss, 0, "loss");
}

static void starts_again(int64_t every)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 2500;
	o.every = every;
	struct gns_summary whole = summary(generate(&o), 0);
	double live = query(db, "SELECT s / g2 FROM estimate WHERE half_life=500 ORDER BY step DESC LIMIT 1");
	double blocks = query(db, "SELECT sum(s) FROM rollup_param");
	gns_store_close(store);
	snprintf(db, sizeof db, "%s/parts.db", folder);
	static const int64_t stops[] = { 1, 31, 32, 33, 200, 255, 256, 257, 1023, 1024, 1025, 1500, 2048, 2500 };
	int64_t id;
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
		struct gns_run_start start = { .key = 99, .name = "generated", .command = "x", .start_ns = 1 };
		int64_t row;
		uint64_t tail;
		cr_assert_eq(gns_store_run_begin(store, &start, &id, &err), 0);
		cr_assert_eq(gns_store_rank_begin(store, id, 0, 1000, &row, &tail, &err), 0);
		cr_assert_eq(tail, i ? (uint64_t)stops[i - 1] : 0);
		cr_assert_eq(gns_store_begin(store, &err), 0);
		struct gns_record records[64] = { gns_generate_proc(&o, 0) };
		if (i == 0) {
			gns_store_record(store, row, &records[0], &err);
			for (int k = 0; k < 4; k++) {
				records[0] = gns_generate_param(k);
				gns_store_record(store, row, &records[0], &err);
			}
			for (int k = 0; k < 12; k++) {
				records[0] = gns_generate_kernel(k);
				gns_store_record(store, row, &records[0], &err);
			}
		}
		for (int undo = 1; undo >= 0; undo--) { /* the same records twice, the first time undone */
			if (undo && i == 0)
				continue;
			for (int64_t step = (int64_t)tail + 1; step <= stops[i]; step++) {
				size_t n = gns_generate_step(&o, 0, step, records);
				for (size_t k = 0; k < n; k++)
					cr_assert_eq(gns_store_record(store, row, &records[k], &err), 0, "%s", err.text);
			}
			if (undo) {
				gns_store_rollback(store);
				cr_assert_eq(gns_store_begin(store, &err), 0);
			}
		}
		cr_assert_eq(gns_store_set_tail(store, row, (uint64_t)stops[i], 0, 0, &err), 0);
		cr_assert_eq(gns_store_commit(store, &err), 0, "%s", err.text);
		gns_store_close(store);
	}
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0);
	struct gns_summary parts = summary(id, 0);
	summaries_equal(&whole, &parts);
	cr_expect_eq(parts.run.steps, 2500);
	near(query(db, "SELECT s / g2 FROM estimate WHERE half_life=500 ORDER BY step DESC LIMIT 1"), live, 1e-9, "live estimate");
	near(query(db, "SELECT sum(s) FROM rollup_param"), blocks, 1e-12, "blocks of weights");
}

Test(numbers, a_writer_that_starts_again_changes_nothing)
{
	starts_again(1);
}

/* The weight of a step is known to one writer and its successor is measured by the next. */
Test(numbers, a_writer_that_starts_again_between_measured_steps_changes_nothing)
{
	starts_again(7);
}

Test(numbers, a_writer_that_starts_again_far_between_measured_steps_changes_nothing)
{
	starts_again(119);
}

/* The run into a store of its own that keeps the raw rows of 2,000 steps; it is `store` then, open for reading. */
static int64_t generate_thin(const struct gns_generate *o)
{
	int64_t id;
	snprintf(db, sizeof db, "%s/thin.db", folder);
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0);
	gns_store_set_keep(store, 2000);
	cr_assert_eq(gns_generate_run(store, o, &id, &err), 0);
	gns_store_close(store);
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0);
	return id;
}

Test(numbers, thinning_loses_no_sum)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 9000;
	int64_t id = generate(&o);
	struct gns_summary whole = summary(id, 0);
	struct gns_layer *a, *b;
	struct gns_kernel_row *k1, *k2;
	size_t n;
	cr_assert_eq(gns_store_layers(store, id, 0, &a, &n, &err), 0);
	cr_assert_eq(gns_store_kernels(store, id, 0, &k1, &n, &err), 0);
	gns_store_close(store);
	id = generate_thin(&o);
	struct gns_summary thin = summary(id, 0);
	summaries_equal(&whole, &thin);
	cr_assert_eq(gns_store_layers(store, id, 0, &b, &n, &err), 0);
	for (size_t i = 0; i < n; i++) {
		near(b[i].s, a[i].s, 1e-12, "s");
		near(b[i].q_small, a[i].q_small, 1e-12, "q_small");
	}
	size_t kernels;
	cr_assert_eq(gns_store_kernels(store, id, 0, &k2, &kernels, &err), 0);
	near(k2[0].ms_per_step, k1[0].ms_per_step, 1e-12, "ms");
	double kept = query(db, "SELECT count(DISTINCT step) FROM grad");
	cr_expect(kept >= 2000 && kept < 2000 + 2 * 1024 + 32, "%g", kept);
	cr_expect_eq(query(db, "SELECT max(step) FROM step"), 9000);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE s IS NOT NULL"), 9000, "totals of steps stay");
	cr_expect_eq(query(db, "SELECT count(*) FROM estimate WHERE step<=1024"), 64, "one step in 32, two half-lives");
	cr_expect_eq(query(db, "SELECT thinned_step FROM run") + 1, query(db, "SELECT min(step) FROM grad"));
	struct gns_layer *w;
	cr_assert_eq(gns_store_layers(store, id, 6000, &w, &n, &err), 0);
	cr_expect(w[0].count <= 6000 && w[0].count > 6000 - 256, "a window that begins among thinned rows: %g", w[0].count);
	free(a), free(b), free(k1), free(k2), free(w);
}

static void totals_equal(int64_t id, const char *other, int64_t lo, int64_t hi, size_t points)
{
	struct gns_point *a, *b;
	size_t n, m;
	struct gns_store *thin;
	cr_assert_eq(gns_store_open_read(other, &thin, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_series(store, id, lo, hi, points, &a, &n, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_series(thin, id, lo, hi, points, &b, &m, &err), 0, "%s", err.text);
	cr_assert_eq(n, m, "%zu and %zu points", n, m);
	for (size_t i = 0; i < n; i++) {
		cr_expect_eq(a[i].count, b[i].count);
		cr_expect_eq(a[i].step_hi, b[i].step_hi);
		cr_expect(isnan(a[i].b_noise.value) ? isnan(b[i].b_noise.value) : fabs(b[i].b_noise.value / a[i].b_noise.value - 1) < 1e-12);
		cr_expect(isnan(a[i].loss) ? isnan(b[i].loss) : fabs(b[i].loss / a[i].loss - 1) < 1e-12, "loss: %g and %g", b[i].loss, a[i].loss);
		if ((a[i].step_lo - 1) % GNS_SIZE_FINE == 0 && a[i].step_hi % GNS_SIZE_FINE == 0)
			near(b[i].step_ms, a[i].step_ms, 1e-12, "step_ms");
		else
			near(b[i].step_ms, a[i].step_ms, 0.2, "step_ms");
	}
	free(a), free(b);
	gns_store_close(thin);
}

/* The same records with and without: what a reader prints is the same, and the rows of old steps that no rank measured are gone. */
static void thin_steps(bool losses, int ranks)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	char whole_path[sizeof db];
	o.steps = 9000;
	o.every = 17;
	o.ranks = ranks;
	o.losses = losses;
	o.torch = ranks == 1; /* learning rates */
	o.kernels = false;
	int64_t id = generate(&o), windows[] = { 0, 100, 5000, 5003, 8999 };
	struct gns_summary whole[5], thin;
	for (int i = 0; i < 5; i++)
		whole[i] = summary(id, windows[i]);
	snprintf(whole_path, sizeof whole_path, "%s", db);
	gns_store_close(store);
	id = generate_thin(&o);
	for (int i = 0; i < 5; i++) {
		thin = summary(id, windows[i]);
		summaries_equal(&whole[i], &thin);
		near(thin.mean_step_ms, whole[i].mean_step_ms, windows[i] == 0 || windows[i] == 100 ? 1e-12 : 1e-4, "mean_step_ms");
		near(thin.overhead_pct, whole[i].overhead_pct, windows[i] == 0 || windows[i] == 100 ? 1e-12 : 1e-3, "overhead_pct");
	}
	gns_store_close(store);
	cr_assert_eq(gns_store_open_read(whole_path, &store, &err), 0);
	totals_equal(id, db, 1, -1, 100);
	totals_equal(id, db, 1, -1, 7);
	totals_equal(id, db, 1, 2000, 4000);
	totals_equal(id, db, 777, 1500, 20);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE weight IS NOT NULL"), query(whole_path, "SELECT count(*) FROM step WHERE weight IS NOT NULL"));
	cr_expect_eq(query(db, "SELECT sum(weight) FROM step"), query(whole_path, "SELECT sum(weight) FROM step"));
	static const char losses_of_steps[] = "SELECT coalesce(sum(step * l), 0) FROM (SELECT step, avg(loss) AS l FROM step GROUP BY step)";
	near(query(db, losses_of_steps), query(whole_path, losses_of_steps), 1e-12, "losses of steps");
	cr_expect_eq(query(db, "SELECT coalesce(max(lr), 0) FROM step"), query(whole_path, "SELECT coalesce(max(lr), 0) FROM step"));
	double rows = query(db, "SELECT count(*) FROM step WHERE step<=6144 AND dur_ns IS NOT NULL");
	cr_expect(rows <= ranks * (6144 / 17 + 1 + 2 * 6), "%g rows of old steps", rows);
	cr_expect_eq(query(db, "SELECT count(*) FROM step WHERE step>7168"), query(whole_path, "SELECT count(*) FROM step WHERE step>7168"));
}

Test(numbers, thinning_steps_changes_no_number)
{
	thin_steps(false, 1);
}

Test(numbers, thinning_steps_with_losses_changes_no_number)
{
	thin_steps(true, 1);
}

Test(numbers, thinning_steps_of_several_ranks_changes_no_number)
{
	thin_steps(true, 3);
}

static int count_work(void *arg)
{
	++*(int64_t *)arg;
	return 0;
}

/* Work in SQLite's own unit, its virtual machine's instructions, not in time. */
Test(numbers, a_long_run_opens_with_no_more_work_than_a_short_one, .timeout = 300)
{
	int64_t work[2];
	static const int64_t steps[] = { 100000, 1000000 };
	for (int i = 0; i < 2; i++) {
		struct gns_generate o = GNS_GENERATE_DEFAULT;
		snprintf(db, sizeof db, "%s/%d.db", folder, i);
		o.steps = steps[i];
		o.every = 50;
		o.losses = o.kernels = false;
		int64_t id = generate(&o);
		struct gns_point *p;
		struct gns_layer *l;
		size_t n;
		work[i] = 0;
		sqlite3_progress_handler(store->db, 100, count_work, &work[i]);
		struct gns_summary s = summary(id, 0);
		cr_expect_eq(s.run.steps_measured, steps[i] / 50);
		cr_assert_eq(gns_store_series(store, id, 0, -1, 500, &p, &n, &err), 0);
		cr_expect_gt(n, 400);
		cr_assert_eq(gns_store_layers(store, id, 0, &l, &n, &err), 0);
		sqlite3_progress_handler(store->db, 0, NULL, NULL);
		free(p);
		free(l);
	}
	cr_expect_lt(work[1], 3 * work[0], "%lld and %lld hundred instructions", (long long)work[0], (long long)work[1]);
	cr_expect_lt(work[1], 20000);
}

Test(numbers, ranks_are_pooled)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.ranks = 4;
	o.steps = 600;
	o.b_from = o.b_to = 500;
	int64_t id = generate(&o);
	struct gns_summary s = summary(id, 0);
	double want_s, want_g2;
	from_raw(id, 1, 600, &want_s, &want_g2);
	near(s.mv.s, want_s, 1e-12, "s");
	near(s.mv.g2, want_g2, 1e-11, "g2");
	cr_expect_eq(s.run.steps, 600);
	cr_expect_eq(s.run.world, 4);
	cr_expect_eq(s.b_noise.count, 600);
	cr_expect_eq(s.samples_per_step, 512);
	cr_expect_eq(s.params, 4, "ranks share their weights");
	cr_expect_eq(query(db, "SELECT count(*) FROM rank WHERE pooled"), 4);
	cr_expect_eq(query(db, "SELECT count(*) FROM estimate WHERE half_life=50"), 600);
	struct gns_layer *layers;
	size_t n;
	cr_assert_eq(gns_store_layers(store, id, 0, &layers, &n, &err), 0);
	cr_expect_eq(layers[0].count, 600);
	free(layers);
	cr_expect_eq(query(db, "SELECT count(*) FROM step_total WHERE ranks=4 AND samples=512"), 600);
}
