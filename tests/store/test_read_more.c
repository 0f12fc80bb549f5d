/* Parts of a run, against plain sums over the rows by another connection. */
#include "tests/store/opened.h"

TestSuite(parts, .init = scratch, .fini = close_store);

static void near(double got, double want, double tolerance, const char *what)
{
	cr_expect(fabs(got - want) <= tolerance * fabs(want), "%s: got %.17g, want %.17g", what, got, want);
}

Test(parts, a_stretch_equals_its_rows)
{
	static const int64_t ends[][2] = {{1, 3000}, {1, 700}, {513, 1024}, {40, 41}, {1000, 2999}, {-5, 90}, {2900, 99999}};
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.torch = true;
	o.steps = 3000;
	o.every = 3;
	int64_t id = generate(&o);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct gns_summary got;
		char sql[800];
		long long lo = ends[i][0], hi = ends[i][1], from = lo < 1 ? 1 : lo, to = hi > 3000 ? 3000 : hi;
		cr_assert_eq(gns_store_summary_range(store, id, lo, hi, &got, &err), 0, "%s", err.text);
		snprintf(sql, sizeof sql, "SELECT count(s) FROM step WHERE step BETWEEN %lld AND %lld", lo, hi);
		cr_expect_eq((double)got.run.steps_measured, query(db, sql));
		cr_expect_eq(got.run.steps, hi > 3000 ? 3000 : hi);
		if (got.run.steps_measured > 0) {
			/* half the gap to each measured neighbour; the first and the last reach to the ends */
			snprintf(sql, sizeof sql, "SELECT sum(w*s)/sum(w*g2) FROM (SELECT s, g2, (coalesce(lead(step) OVER (ORDER BY step), "
				 "%lld-step)-coalesce(lag(step) OVER (ORDER BY step), %lld-step))/2.0 AS w FROM step WHERE s IS NOT NULL AND "
				 "step BETWEEN %lld AND %lld)", 2 * to + 1, 2 * from - 1, from, to);
			near(got.mv.s / got.mv.g2, query(db, sql), 1e-9, "s / g2");
		}
		snprintf(sql, sizeof sql, "SELECT loss FROM step WHERE step <= %lld ORDER BY step DESC LIMIT 1", hi);
		near(got.loss, query(db, sql), 1e-12, "loss");
		snprintf(sql, sizeof sql, "SELECT lr FROM step WHERE step <= %lld ORDER BY step DESC LIMIT 1", hi);
		near(got.lr, query(db, sql), 1e-12, "learning rate");
	}
}

Test(parts, the_whole_stretch_is_the_summary)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 5000;
	int64_t id = generate(&o);
	struct gns_summary a, b;
	cr_assert_eq(gns_store_summary(store, id, 0, &a, &err), 0);
	cr_assert_eq(gns_store_summary_range(store, id, 1, -1, &b, &err), 0);
	near(b.b_noise.lo, a.b_noise.lo, 1e-12, "b_noise lo");
	near(b.b_crit.hi, a.b_crit.hi, 1e-12, "b_crit hi");
	near(b.step_ms, a.step_ms, 1e-12, "step_ms");
	near(b.overhead_pct, a.overhead_pct, 1e-12, "overhead_pct");
	cr_expect_eq(b.samples_per_step, a.samples_per_step);
	cr_expect_eq(b.last_step_ns, a.last_step_ns);
}

Test(parts, the_split_adds_up_the_newest_measured_steps)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 900;
	o.every = 4;
	o.ranks = 2;
	int64_t id = generate(&o);
	struct gns_split split;
	double sum = 0;
	cr_assert_eq(gns_store_split(store, id, 0, &split, &err), 0, "%s", err.text);
	cr_expect_eq(split.steps, 100);
	near(split.step_ms, query(db, "SELECT sum(weight*dur_ns)/sum(weight)/1e6 FROM step WHERE measured AND step > 900-400"), 1e-12, "step_ms");
	near(split.gnscope_ms, 0.11, 1e-12, "gnscope_ms");
	for (size_t i = 0; i < split.n_families; i++) {
		cr_expect(i == 0 || split.family[i].ms <= split.family[i - 1].ms);
		sum += split.family[i].ms;
	}
	near(sum, query(db, "SELECT sum(weight*total_ns)/1e6/(SELECT sum(weight) FROM step WHERE measured AND step > 900-400) "
			"FROM kernel_step JOIN step USING (run_id, step, rank) WHERE step > 900-400"), 1e-9, "products");
}

/* Changes the rows by a connection of its own. */
static void change(const char *sql)
{
	sqlite3 *handle;
	char *why = NULL;
	cr_assert_eq(sqlite3_open(db, &handle), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, &why), SQLITE_OK, "%s", why);
	sqlite3_close(handle);
}

Test(parts, a_pause_is_no_part_of_a_step)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_split split;
	struct gns_summary s;
	o.steps = 60;
	int64_t id = generate(&o);
	double ms = query(db, "SELECT avg(dur_ns)/1e6 FROM step WHERE step NOT IN (1, 30)");
	double products = query(db, "SELECT sum(total_ns)/1e6/58 FROM kernel_step WHERE step NOT IN (1, 30)"), sum = 0;
	change("UPDATE step SET dur_ns=2700000000 WHERE step IN (1, 30)");
	cr_assert_eq(gns_store_split(store, id, 0, &split, &err), 0, "%s", err.text);
	cr_expect_eq(split.steps, 58);
	near(split.step_ms, ms, 1e-12, "step_ms");
	for (size_t i = 0; i < split.n_families; i++)
		sum += split.family[i].ms;
	near(sum, products, 1e-12, "products");
	cr_assert_eq(gns_store_summary(store, id, 0, &s, &err), 0, "%s", err.text);
	near(s.mean_step_ms, query(db, "SELECT avg(dur_ns)/1e6 FROM step"), 1e-12, "what the run took");
}

static double batch_of(int64_t id, int64_t window)
{
	struct gns_summary s;
	cr_assert_eq(gns_store_summary(store, id, window, &s, &err), 0, "%s", err.text);
	return s.samples_per_step;
}

Test(parts, the_batch_is_the_usual_one_and_not_the_last)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 160;
	o.batch = 64;
	int64_t id = generate(&o);
	cr_expect_eq(batch_of(id, 0), 64);
	change("UPDATE step SET samples=40,n_big=40 WHERE step%16=0");
	cr_expect_eq(batch_of(id, 0), 64, "not the last of an epoch");
	cr_expect_eq(batch_of(id, 1), 40, "the only one of the window");
	cr_expect_eq(batch_of(id, 2), 64, "of equally frequent ones the larger");
	change("UPDATE step SET samples=256,n_big=256 WHERE step>80");
	cr_expect_eq(batch_of(id, 79), 256);
	cr_expect_eq(batch_of(id, 0), 256, "80 steps of 256, 75 of 64, 5 of 40");
	change("UPDATE step SET samples=step,n_big=step");
	cr_expect_eq(batch_of(id, 0), 81, "no two alike: the median");
}

Test(parts, a_step_that_one_rank_measured_counts_for_all)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 90;
	o.batch = 16;
	o.ranks = 2;
	int64_t id = generate(&o);
	cr_expect_eq(batch_of(id, 0), 32);
	change("UPDATE step SET measured=0,samples=NULL,n_big=NULL,n_small=NULL,rows=NULL,s=NULL,g2=NULL WHERE (step+rank)%2=0");
	cr_expect_eq(batch_of(id, 0), 32, "each rank measured steps of its own");
	change("UPDATE step SET measured=0,samples=NULL,n_big=NULL,n_small=NULL,rows=NULL,s=NULL,g2=NULL");
	cr_expect(isnan(batch_of(id, 0)), "nothing measured");
}

static struct gns_trend trend_of(double from, double to, int64_t steps, int64_t every)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_summary s;
	o.steps = steps;
	o.every = every;
	o.b_from = from;
	o.b_to = to;
	o.key = (uint64_t)(from * 7 + to + (double)(steps + 13 * every));
	int64_t id = generate(&o);
	cr_assert_eq(gns_store_summary(store, id, 0, &s, &err), 0, "%s", err.text);
	return s.trend;
}

Test(parts, the_trend_is_that_of_the_last_two_tenths)
{
	struct gns_trend t = trend_of(100, 3000, 3000, 1);
	cr_expect_eq(t.direction, GNS_RISING);
	cr_expect(t.moving);
	near(t.last.value, query(db, "SELECT sum(s)/sum(g2) FROM step WHERE step>2700"), 1e-9, "the last tenth");
	near(t.before.value, query(db, "SELECT sum(s)/sum(g2) FROM step WHERE step BETWEEN 2401 AND 2700"), 1e-9, "the tenth before");
	cr_expect_eq(trend_of(3000, 100, 3000, 1).direction, GNS_FALLING);
	t = trend_of(700, 700, 3000, 1);
	cr_expect(t.direction == GNS_STEADY && !t.moving);
	cr_expect_eq(trend_of(700, 700, 99, 1).direction, GNS_DIRECTION_UNKNOWN, "tenths of 9 steps");
	cr_expect_eq(trend_of(100, 3000, 3000, 50).direction, GNS_DIRECTION_UNKNOWN, "6 measured steps in a tenth");
}

Test(parts, nothing_measured_has_no_split_and_no_past)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 5;
	o.every = 100;
	int64_t id = generate(&o);
	struct gns_split split;
	struct gns_history history;
	cr_assert_eq(gns_store_split(store, id, 0, &split, &err), 0);
	cr_expect(split.steps == 0 && isnan(split.step_ms) && split.n_families == 0);
	cr_assert_eq(gns_store_layer_history(store, id, 16, &history, &err), 0);
	cr_expect(history.points == 0 && !history.s);
}

Test(parts, the_past_of_a_weight_is_its_blocks)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 256 * 20 + 7;
	int64_t id = generate(&o);
	struct gns_history h;
	cr_assert_eq(gns_store_layer_history(store, id, 5, &h, &err), 0);
	cr_assert_eq(h.points, 5);
	static const int blocks[] = {0, 4, 9, 14, 19};
	for (int param = 1; param <= 4; param++)
		for (size_t k = 0; k < 5; k++) {
			char sql[256];
			snprintf(sql, sizeof sql, "SELECT sum((q_small-q_big)/(1.0/n_small-1.0/n_big)) FROM grad WHERE param_id=%d AND step "
				 "BETWEEN %d AND %d", param, blocks[k] * 256 + 1, blocks[k] * 256 + 256);
			near(h.s[(size_t)param * h.points + k], query(db, sql), 1e-9, "s");
		}
	free(h.s);
	o.steps = 300; /* one whole stretch is no past */
	o.key = 77;
	id = generate(&o);
	cr_assert_eq(gns_store_layer_history(store, id, 5, &h, &err), 0);
	cr_expect_eq(h.points, 0);
}

Test(parts, the_key_of_the_session)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = 3;
	o.key = 0xfedcba9876543210u;
	uint64_t key = 0;
	int64_t id = generate(&o);
	cr_assert_eq(gns_store_session_key(store, id, &key, &err), 0, "%s", err.text);
	cr_expect_eq(key, o.key);
	cr_expect_eq(gns_store_session_key(store, 99, &key, &err), -ENOENT);
	cr_expect(strstr(err.text, "99"));
}
