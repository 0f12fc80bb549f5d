/* Sweeps in the store: what is written is what is read, absent numbers stay absent, one name is one sweep. */
#include "tests/store/scratch.h"

#include "gnscope/sweep.h"

static struct gns_store *store;
static struct gns_error err;

static void begin(void)
{
	scratch();
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
}

static void end(void)
{
	gns_store_close(store);
	no_scratch();
}

TestSuite(sweep, .init = begin, .fini = end);

static struct gns_sweep sample(const char *name)
{
	struct gns_sweep sweep = {.command = "[\"train\", \"{batch}\"]", .target_loss = 0.45, .window = 1.5, .lr_rule = "sqrt", .lr_batch = 16,
				  .loss_regex = "loss (.*)", .start_ns = 77};
	snprintf(sweep.name, sizeof sweep.name, "%s", name);
	return sweep;
}

Test(sweep, is_read_as_it_was_written)
{
	struct gns_sweep sweep = sample("one"), other = sample("two"), got;
	cr_assert_eq(gns_store_sweep_begin(store, &sweep, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_sweep_begin(store, &other, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_sweep_end(store, sweep.sweep_id, 99, &err), 0);
	cr_assert_eq(gns_store_find_sweep(store, "one", &got, &err), 0, "%s", err.text);
	cr_expect(got.sweep_id == sweep.sweep_id && got.target_loss == 0.45 && got.window == 1.5 && got.lr_batch == 16);
	cr_expect_str_eq(got.command, sweep.command);
	cr_expect_str_eq(got.loss_regex, "loss (.*)");
	cr_expect_str_eq(got.step_regex, "");
	cr_expect_str_eq(got.lr_rule, "sqrt");
	cr_expect(got.start_ns == 77 && got.end_ns == 99);
	cr_assert_eq(gns_store_find_sweep(store, NULL, &got, &err), 0);
	cr_expect_str_eq(got.name, "two", "the newest");
	cr_expect_eq(got.end_ns, 0);
	cr_assert_eq(gns_store_find_sweep(store, "1", &got, &err), 0);
	cr_expect_str_eq(got.name, "one", "by its id");
	cr_expect_eq(gns_store_find_sweep(store, "three", &got, &err), -ENOENT);
	cr_expect(strstr(err.text, "two, one") != NULL, "%s", err.text);
}

Test(sweep, of_one_name_is_one)
{
	struct gns_sweep first = sample("one"), again = sample("one"), other = sample("one"), number = sample("1");
	cr_assert_eq(gns_store_sweep_begin(store, &first, &err), 0);
	cr_assert_eq(gns_store_sweep_begin(store, &again, &err), 0);
	cr_expect_eq(again.sweep_id, first.sweep_id);
	other.target_loss = 0.4;
	cr_expect_eq(gns_store_sweep_begin(store, &other, &err), -EEXIST);
	cr_expect(strstr(err.text, "to another target loss") != NULL, "%s", err.text);
	cr_assert_eq(gns_store_sweep_begin(store, &number, &err), 0, "a name that looks like an id: %s", err.text);
	cr_expect_neq(number.sweep_id, first.sweep_id);
}

Test(sweep, points_keep_what_is_absent_absent)
{
	struct gns_sweep sweep = sample("one");
	struct gns_sweep_point bare = {.batch = 64, .lr = NAN, .seed = -1}, full = {.batch = 16, .lr = 0.1, .seed = 3}, twice = bare, *points;
	size_t n;
	cr_assert_eq(gns_store_sweep_begin(store, &sweep, &err), 0);
	cr_assert_eq(gns_store_sweep_add(store, sweep.sweep_id, &bare, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_sweep_add(store, sweep.sweep_id, &full, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_sweep_add(store, sweep.sweep_id, &twice, &err), 0);
	cr_expect_eq(twice.sweep_run_id, bare.sweep_run_id, "the same point");
	cr_expect(bare.status == GNS_SWEEP_WAITING && bare.run_id == -1 && isnan(bare.steps));
	full.status = GNS_SWEEP_REACHED;
	full.run_id = 12;
	full.steps = 100.5;
	full.steps_se = NAN;
	full.samples = 1608;
	full.loss = 0.45;
	full.losses = 200;
	full.cap_steps = INFINITY;
	full.start_ns = 5;
	full.end_ns = 6;
	snprintf(full.note, sizeof full.note, "a note");
	cr_assert_eq(gns_store_sweep_set(store, &full, &err), 0, "%s", err.text);
	bare.status = GNS_SWEEP_SLOWER;
	cr_assert_eq(gns_store_sweep_set(store, &bare, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_sweep_points(store, sweep.sweep_id, &points, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 2);
	cr_expect(points[0].batch == 16 && points[0].lr == 0.1 && points[0].seed == 3 && points[0].run_id == 12, "by batch");
	cr_expect(points[0].reached && !points[0].censored && points[0].steps == 100.5 && points[0].samples == 1608 && points[0].losses == 200);
	cr_expect(isnan(points[0].steps_se) && isnan(points[0].cap_steps) && points[0].start_ns == 5 && points[0].end_ns == 6);
	cr_expect_str_eq(points[0].note, "a note");
	cr_expect(points[1].batch == 64 && isnan(points[1].lr) && points[1].seed == -1 && points[1].run_id == -1);
	cr_expect(!points[1].reached && points[1].censored);
	free(points);
}

Test(sweep, every_status_has_its_word)
{
	for (int status = GNS_SWEEP_WAITING; status <= GNS_SWEEP_STOPPED; status++)
		cr_expect_eq(gns_sweep_status_of(gns_sweep_status_name((enum gns_sweep_status)status)), status);
	cr_expect_eq(gns_sweep_status_of("nonsense"), -1);
}

Test(sweep, losses_come_in_order_and_ranks_are_averaged)
{
	struct gns_run_start start = {.key = 1, .name = "run", .start_ns = 1};
	struct gns_loss_point points[4];
	int64_t run_id;
	size_t n;
	cr_assert_eq(gns_store_run_begin(store, &start, &run_id, &err), 0, "%s", err.text);
	execute(db, "INSERT INTO step(run_id,step,rank,loss) VALUES(1,3,0,0.5),(1,1,0,2),(1,1,1,1),(1,2,0,NULL),(1,9,0,0.25),(2,1,0,7)");
	cr_assert_eq(gns_store_losses(store, run_id, 0, points, 2, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 2);
	cr_expect(points[0].step == 1 && points[0].loss == 1.5 && points[1].step == 3 && points[1].loss == 0.5);
	cr_assert_eq(gns_store_losses(store, run_id, 3, points, 4, &n, &err), 0);
	cr_assert_eq(n, 1);
	cr_expect(points[0].step == 9 && points[0].loss == 0.25);
}
