/* What the views are made of: folding, sorting, filtering, costs, axes. Against small cases worked out by hand. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/shim/ring/ring.h"
#include "tests/screens/models.h"
#include "tui/control.h"
#include "tui/cost.h"
#include "tui/order.h"
#include "tui/say.h"
#include "tui/theme.h"
#include "tui/xaxis.h"

static void near(double got, double want, const char *what)
{
	cr_expect(fabs(got - want) <= 1e-9 * fmax(1, fabs(want)), "%s: got %.17g, want %.17g", what, got, want);
}

Test(fold, prefixes)
{
	static const struct {
		const char *name;
		enum gns_fold fold;
		const char *group;
	} cases[] = {
		{"blocks.3.attn.q.weight", GNS_FOLD_BLOCKS, "blocks.3"}, {"blocks.3.attn.q.weight", GNS_FOLD_TOPS, "blocks"},
		{"encoder.layers.12.fc1", GNS_FOLD_BLOCKS, "encoder.layers.12"}, {"head.weight", GNS_FOLD_BLOCKS, ""},
		{"head.weight", GNS_FOLD_TOPS, "head"}, {"fc1", GNS_FOLD_TOPS, ""}, {"blocks.3", GNS_FOLD_BLOCKS, ""},
		{"blocks.3.x", GNS_FOLD_OFF, ""}, {"", GNS_FOLD_BLOCKS, ""}, {"..", GNS_FOLD_BLOCKS, ""}, {"1.2", GNS_FOLD_BLOCKS, "1"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char group[80];
		cr_expect_str_eq(gns_group_of(group, sizeof group, cases[i].name, cases[i].fold), cases[i].group, "%s: %s", cases[i].name, group);
	}
}

static void two_blocks(struct gns_model *m)
{
	static const struct {
		const char *name;
		double s, g2, lo, hi;
	} rows[] = {{"b.0.q", 6, 2, 2, 5}, {"b.0.k", 10, 1, 8, 12}, {"b.1.q", 3, 3, 0.5, 2}, {"head", 1, 0.1, 9, 11}};
	*m = (struct gns_model){.state = GNS_MODEL_RUN, .n_layers = 4};
	m->layers = calloc(4, sizeof *m->layers);
	for (int i = 0; i < 4; i++) {
		struct gns_layer *l = &m->layers[i];
		*l = (struct gns_layer){.param_id = i + 1, .s = rows[i].s, .g2 = rows[i].g2, .count = 5, .share_s = rows[i].s / 20,
					.share_g2 = rows[i].g2 / 6.1, .b_noise = {rows[i].s / rows[i].g2, rows[i].lo, rows[i].hi, true, 5}};
		strcpy(l->name, rows[i].name);
	}
}

Test(fold, a_group_is_the_sum_of_its_members)
{
	struct gns_model m;
	struct gns_ui ui = {.fold = GNS_FOLD_BLOCKS};
	size_t n;
	two_blocks(&m);
	struct gns_layer_row *rows = gns_layer_rows(&m, &ui, &n);
	cr_assert_eq(n, 3);
	cr_expect_str_eq(rows[0].name, "b.0");
	cr_expect_eq(rows[0].members, 2);
	near(rows[0].b_noise.value, 16.0 / 3, "b_noise of the group");
	near(rows[0].b_noise.lo, 2, "hull");
	near(rows[0].b_noise.hi, 12, "hull");
	near(rows[0].share_s, 0.8, "share");
	free(rows);
	strcpy(ui.open[ui.n_open++], "b.0");
	rows = gns_layer_rows(&m, &ui, &n);
	cr_assert_eq(n, 5);
	cr_expect(rows[1].inside && rows[2].inside && strcmp(rows[2].name, "b.0.k") == 0);
	free(rows);
	m.layers[1].b_noise.resolved = false;
	rows = gns_layer_rows(&m, &ui, &n);
	cr_expect(rows[0].b_noise.resolved && isnan(rows[0].b_noise.hi), "an open member leaves the group without limits");
	free(rows);
	gns_model_free(&m);
}

Test(fold, sorts_and_filters)
{
	struct gns_model m;
	struct gns_ui ui = {.sort = {[GNS_VIEW_LAYERS] = GNS_SORT_FIRST}};
	size_t n;
	two_blocks(&m);
	struct gns_layer_row *rows = gns_layer_rows(&m, &ui, &n);
	cr_expect(strcmp(rows[0].name, "b.0.k") == 0 && strcmp(rows[1].name, "head") == 0 && strcmp(rows[3].name, "b.1.q") == 0);
	free(rows);
	ui.reverse[GNS_VIEW_LAYERS] = true;
	rows = gns_layer_rows(&m, &ui, &n);
	cr_expect_str_eq(rows[0].name, "b.1.q");
	free(rows);
	strcpy(ui.filter[GNS_VIEW_LAYERS], "Q");
	rows = gns_layer_rows(&m, &ui, &n);
	cr_expect_eq(n, 2);
	free(rows);
	strcpy(ui.filter[GNS_VIEW_LAYERS], "nothing");
	cr_expect_null(gns_layer_rows(&m, &ui, &n));
	gns_model_free(&m);
}

/* B_crit 1000 [500 to 2000], batch 1000 now, 100 steps of 10 ms of which 6 are products. */
static void priced(struct gns_model *m)
{
	*m = (struct gns_model){.state = GNS_MODEL_RUN};
	m->summary.samples_per_step = 1000;
	m->summary.step_ms = 10;
	m->summary.run = (struct gns_run_info){.run_id = 1, .steps = 100, .world = 4};
	m->summary.b_crit = (struct gns_ratio){1000, 500, 2000, true, 50};
	m->split = (struct gns_split){.steps = 10, .step_ms = 10, .gnscope_ms = 0.1, .family = {{"wgrad", 6}}, .n_families = 1};
}

/* However they are sorted, kernels of devices stay before calls of the host: their times are by another clock. */
Test(fold, kernels_of_devices_go_first)
{
	struct gns_model m;
	model_device(&m);
	for (int sort = 0; sort < GNS_SORTS; sort++)
		for (int reverse = 0; reverse < 2; reverse++) {
			struct gns_ui ui = {.view = GNS_VIEW_KERNELS};
			size_t n;
			ui.sort[GNS_VIEW_KERNELS] = (enum gns_sort)sort;
			ui.reverse[GNS_VIEW_KERNELS] = reverse;
			size_t *order = gns_kernel_order(&m, &ui, &n);
			cr_assert_eq(n, m.n_kernels);
			for (size_t i = 0; i < n; i++)
				cr_expect_eq(m.kernels[order[i]].device, i < m.gpu.n_kernels, "sort %d, row %zu", sort, i);
			if (sort == GNS_SORT_FIRST && !reverse)
				cr_expect_str_eq(m.kernels[order[0]].family, "gpu matmul");
			if (sort == GNS_SORT_FIRST && reverse)
				cr_expect_str_eq(m.kernels[order[0]].family, "gpu gnscope");
			free(order);
		}
	gns_model_free(&m);
}

Test(words, how_a_step_went_on_a_device)
{
	struct gns_device_row row = {.looked_at = 1500, .steps = 6002, .taken = 1000, .wall_ms = {11.04, 10.98, 11.12}, .queue_us = NAN,
				     .share = {0.5, 0.25, 0.05, 0.2, 0.5, 0.05, 0.004}};
	char text[400];
	cr_expect_str_eq(gns_say_device(text, sizeof text, &row), "compute 50.0% · exposed communication 25.0% · exposed copies 5.00% · idle 20.0%", "%s", text);
	gns_say_device_beside(text, sizeof text, &row);
	cr_expect_str_eq(text, "gnscope's kernels 0.40% · communication 50.0% in all, 50.0% of it overlapped · copies 5.00% in all, 0% of it overlapped", "%s", text);
	gns_say_device_step(text, sizeof text, &row);
	cr_expect_str_eq(text, "11 [11 to 11.1] ms a step, 1,500 of 6,002 steps looked at, the latest 1,000 taken", "%s", text);
	row = (struct gns_device_row){.looked_at = 1, .steps = 3, .taken = 1, .wall_ms = {11.04, NAN, NAN}, .share = {1}, .queue_us = 8.54, .dropped = 2};
	gns_say_device_step(text, sizeof text, &row);
	cr_expect_str_eq(text, "11 ms a step, 1 of 3 steps looked at", "%s", text);
	gns_say_device_beside(text, sizeof text, &row);
	cr_expect_str_eq(text, "gnscope's kernels 0% · a kernel waits 8.54 us · 2 records lost", "%s", text);
}

Test(cost, doubling_by_hand)
{
	struct gns_model m;
	priced(&m);
	struct gns_step_time t = gns_step_time_of(&m);
	cr_assert_eq(t.rule, GNS_TIME_BOUNDS);
	struct gns_cost c = gns_cost_at(&m, &t, 2000, 0, 3);
	near(c.steps.value, 75, "100 (1 + 1/2) / (1 + 1)");
	near(c.steps.hi, 100 * (1 + 0.25) / 1.5, "B_crit 500");
	near(c.steps.lo, 100 * (1 + 1.0) / 3, "B_crit 2000");
}

Test(cost, limits_are_in_order_and_time_is_between_two_rules)
{
	struct gns_model m;
	priced(&m);
	struct gns_step_time t = gns_step_time_of(&m);
	struct gns_cost c = gns_cost_at(&m, &t, 4000, 0, 3), now = gns_cost_at(&m, &t, 1000, 0, 3);
	double at500 = 100 * (1 + 500.0 / 4000) / (1 + 0.5), at2000 = 100 * 1.5 / 3;
	near(c.steps.lo, at2000, "steps lo");
	near(c.steps.hi, at500, "steps hi");
	near(c.step_ms.lo, 4 + 6 * 4, "the rest stays");
	near(c.step_ms.hi, 40, "all grows");
	cr_expect(isnan(c.step_ms.value) && isnan(c.seconds.value), "a step time that was not measured has no value");
	near(c.seconds.hi, at500 * 0.040, "seconds");
	near(c.money.hi, at500 * 0.040 / 3600 * 4 * 3, "four devices, three an hour");
	cr_expect(now.now && now.step_measured);
	near(now.seconds.value, 1, "100 steps of 10 ms");
	c = gns_cost_at(&m, &t, 4000, 0, 0);
	cr_expect(isnan(c.money.hi), "no price, no money");
	m.summary.run.world = 0;
	c = gns_cost_at(&m, &t, 4000, 0, 3);
	cr_expect(isnan(c.device_hours.hi) && isnan(c.money.hi), "no number of devices, no device-hours");
}

Test(cost, marked_runs_fit_the_step_time)
{
	struct gns_model m;
	priced(&m);
	m.overlay[0] = (struct gns_overlay){.run_id = 2, .samples_per_step = 3000, .step_ms = 22};
	m.n_overlay = 1;
	struct gns_step_time t = gns_step_time_of(&m);
	cr_assert_eq(t.rule, GNS_TIME_FIT);
	near(t.alpha, 4, "alpha");
	near(t.beta, 0.006, "beta");
	near(gns_fastest(&m, &t).value, sqrt(1000 * 4 / 0.006), "sqrt(B_crit alpha / beta)");
	struct gns_cost c = gns_cost_at(&m, &t, 3000, 0, 0);
	cr_expect(c.step_measured && !c.now);
	near(c.step_ms.value, 22, "measured there");
	m.overlay[0].samples_per_step = 1000; /* the same batch twice fits nothing */
	t = gns_step_time_of(&m);
	cr_expect_eq(t.rule, GNS_TIME_BOUNDS);
	m.overlay[0] = (struct gns_overlay){.run_id = 2, .samples_per_step = 3000, .step_ms = 5}; /* faster with more: no such machine */
	t = gns_step_time_of(&m);
	cr_expect_eq(t.rule, GNS_TIME_BOUNDS);
}

Test(cost, an_open_b_crit_leaves_limits)
{
	struct gns_model m;
	priced(&m);
	m.summary.b_crit = (struct gns_ratio){NAN, 1000, NAN, false, 50};
	struct gns_step_time t = gns_step_time_of(&m);
	struct gns_cost c = gns_cost_at(&m, &t, 2000, 0, 0);
	near(c.steps_ratio.lo, 0.5, "B_crit without end: half the steps");
	near(c.steps_ratio.hi, 0.75, "B_crit at its limit");
	cr_expect(isnan(c.steps_ratio.value) && isnan(gns_fastest(&m, &t).hi));
	m.summary.b_crit.lo = NAN;
	c = gns_cost_at(&m, &t, 2000, 0, 0);
	cr_expect(isnan(c.steps_ratio.lo) && isnan(c.seconds.hi));
}

Test(axes, samples_and_time_of_points)
{
	struct gns_point points[2] = {{.step_lo = 11, .step_hi = 20, .samples_per_step = 100, .time_ns = 5000000000u},
				      {.step_lo = 21, .step_hi = 40, .samples_per_step = 200, .time_ns = 125000000000u}};
	double x[2];
	gns_x_of(points, 2, GNS_X_STEPS, 0, 1, x);
	near(x[0], 15.5, "middle");
	gns_x_of(points, 2, GNS_X_SAMPLES, 0, 1, x);
	near(x[0], 550, "5.5 steps of 100");
	near(x[1], 1000 + 10.5 * 200, "ten of 100 before");
	gns_x_of(points, 2, GNS_X_TIME, 5000000000u, 60, x);
	cr_expect(isnan(x[0]));
	near(x[1], 2, "two minutes");
	const char *name;
	cr_expect(gns_x_unit(7200, &name) == 3600 && strcmp(name, "hours") == 0);
	cr_expect(gns_x_unit(60, &name) == 1);
}

Test(words, ranges)
{
	char text[160];
	cr_expect_str_eq(gns_say_range(text, sizeof text, &(struct gns_range){2, 1, 3}, gns_say_three, true), "2 [1 to 3]");
	cr_expect_str_eq(gns_say_range(text, sizeof text, &(struct gns_range){NAN, 1, 3}, gns_say_three, true), "1 to 3");
	cr_expect_str_eq(gns_say_range(text, sizeof text, &(struct gns_range){NAN, NAN, 3}, gns_say_three, true), "≤ 3");
	cr_expect_str_eq(gns_say_range(text, sizeof text, &(struct gns_range){NAN, NAN, NAN}, gns_say_three, true), "-");
	cr_expect_str_eq(gns_say_times(text, sizeof text, &(struct gns_range){NAN, 1800, 7200}, true), "0.5 to 2 h");
	struct gns_split beside = {.steps = 1, .step_ms = 10, .gnscope_ms = 0.1, .family = {{"wgrad", 12}}, .n_families = 1};
	cr_expect(strstr(gns_say_split(text, sizeof text, &beside, true), "side by side") && !strstr(text, "rest"));
}

Test(words, a_step_by_its_phases)
{
	char text[200];
	struct gns_split split = {.steps = 1, .step_ms = 10, .gnscope_ms = 0.1, .family = {{"backward", 3}, {"forward", 1}}, .n_families = 2,
				  .phase = {{"forward", 2, 1}, {"backward", 5, 3}, {"optimizer", 1, 0}}, .n_phases = 3};
	cr_expect_str_eq(gns_say_split(text, sizeof text, &split, true), "forward 20.0% (GEMMs 10.0%) · backward 50.0% (GEMMs 30.0%) · "
			 "optimizer 10.0% · gnscope 1.00% · rest 19.0%");
	cr_expect_str_eq(gns_say_split(text, sizeof text, &split, false), "forward 20.0% · backward 50.0% · optimizer 10.0% · gnscope 1.00% · "
			 "rest 19.0%");
	for (size_t size = 0; size <= 100; size++) {
		char small[101];
		memset(small, 'x', sizeof small);
		gns_say_split(small, size < 1 ? 1 : size, &split, true);
		cr_expect_eq(small[size < 1 ? 1 : size], 'x', "%zu", size);
	}
	split.phase[2].ms = 4;
	cr_expect_null(strstr(gns_say_split(text, sizeof text, &split, true), "rest"));
}

Test(words, of_a_weight_left_out_and_of_the_optimizer)
{
	struct gns_model model, *m = &model;
	struct gns_canvas canvas;
	struct gns_ui ui = {.renderer = gns_renderer(GNS_RENDER_BRAILLE), .view = GNS_VIEW_LAYERS};
	char *text;
	model_training(m);
	m->layers[1].excluded = true;
	strcpy(m->layers[1].left_out, "user_hook");
	m->layers[2].excluded = true;
	strcpy(m->layers[2].left_out, "tied");
	cr_assert_eq(gns_canvas_init(&canvas, 120, 30, false), 0);
	gns_screen_draw(&canvas, m, &ui);
	text = gns_canvas_dump(&canvas);
	cr_expect_not_null(strstr(text, "left out: user hook"), "%s", text);
	cr_expect_not_null(strstr(text, "left out: used twice"), "%s", text);
	free(text);
	ui.view = GNS_VIEW_NOW;
	strcpy(m->summary.optimizer, "AdamW");
	m->summary.lr = 0.00025;
	gns_screen_draw(&canvas, m, &ui);
	text = gns_canvas_dump(&canvas);
	cr_expect_not_null(strstr(text, " AdamW, lr 0.00025"), "%s", text);
	free(text);
	gns_canvas_free(&canvas);
	gns_model_free(m);
}

/* A session of our own, as a trainer has it. */
Test(control, finds_its_session_by_key_and_sets_the_word)
{
	char name[64];
	struct gns_session *session;
	struct gns_ring ring;
	struct gns_control control = {.session = NULL};
	struct gns_error err = {.text = ""};
	snprintf(name, sizeof name, "/gnscope-test-control-%d", (int)getpid());
	cr_assert_eq(gns_session_create(name, &session), 0);
	uint64_t key = session->key;
	cr_expect(!gns_control_find(&control, key, 1), "no trainer yet");
	cr_expect_eq(gns_control_pause(&control, true, &err), -ESRCH);
	cr_expect(strstr(err.text, "is not training here"));
	cr_assert_eq(gns_ring_claim(name, session, &ring), 0);
	cr_expect(!gns_control_find(&control, key + 1, 2000), "another run's key");
	cr_assert(gns_control_find(&control, key, 4000));
	cr_expect_eq(gns_control_every(&control, 7, &err), 0);
	cr_expect_eq(gns_control_pause(&control, true, &err), 0);
	cr_expect_eq(atomic_load(&session->control), GNS_CONTROL_PAUSED | 7);
	cr_expect_eq(gns_control_every(&control, 0, &err), 0);
	cr_expect_eq(atomic_load(&session->control), GNS_CONTROL_PAUSED, "the pause stays");
	cr_expect_eq(gns_control_pause(&control, false, &err), 0);
	cr_expect_eq(gns_control_word(&control), 0);
	gns_ring_close(&ring);
	cr_expect(!gns_control_find(&control, key, 9000), "the trainer has ended");
	gns_control_close(&control);
	gns_session_detach(session);
	gns_session_unlink(name);
}

Test(themes, every_role_has_a_colour_where_there_are_colours)
{
	for (int theme = 0; theme < GNS_THEMES; theme++)
		for (int role = 0; role < GNS_ROLES; role++) {
			short many = gns_theme_color((enum gns_theme)theme, (enum gns_role)role, 256);
			short few = gns_theme_color((enum gns_theme)theme, (enum gns_role)role, 8);
			cr_expect(many >= -1 && many < 256 && few >= -1 && few < 8);
			cr_expect(theme != GNS_THEME_NONE || (many == -1 && few == -1));
		}
	cr_expect_eq(gns_theme_color(GNS_THEME_DARK, GNS_ROLE_CRIT, 2), -1);
}
