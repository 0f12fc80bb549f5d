/* The numbers behind `advise`. */
#include "profiler/cli/advice.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/crossing.h"
#include "gnscope/sweep.h"
#include "gnscope/text.h"

/* ---- the step time ---- */

/* A run's step without our own time in it. */
static double own_ms(const struct gns_summary *s)
{
	return s->overhead_pct > 0 && s->overhead_pct < 100 ? s->step_ms * (1 - s->overhead_pct / 100) : s->step_ms;
}

/* Runs that have come to their end, or were ended: those of a sweep are, at their target. */
static bool is_over(const struct gns_run_info *run)
{
	return strcmp(run->status, "finished") == 0 || strcmp(run->status, "killed") == 0 || strcmp(run->status, "reached") == 0;
}

/* Other runs of the program on this machine at other batches. They may have been measured more or less often than this one. */
static int refine(struct gns_store *store, struct gns_advice *a, struct gns_error *err)
{
	struct gns_run_info *runs = NULL;
	struct gns_step_point point[GNS_ADVICE_RUNS];
	struct gns_step_model parts = a->model;
	size_t n = 0, used = 0;
	int rc = gns_store_runs(store, &runs, &n, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && used < GNS_ADVICE_RUNS; i++) {
		struct gns_summary s;
		if (runs[i].run_id == a->summary.run.run_id)
			s = a->summary;
		else if (strcmp(runs[i].host, a->summary.run.host) != 0 || !is_over(&runs[i]) ||
			 runs[i].world != a->summary.run.world || !gns_points_same_command(runs[i].command, a->summary.run.command) ||
			 gns_store_summary(store, runs[i].run_id, 0, &s, NULL) < 0 || s.params != a->summary.params ||
			 strcmp(s.sample_unit, a->summary.sample_unit) != 0 || s.run.steps < 20)
			continue;
		point[used++] = (struct gns_step_point){s.samples_per_step / a->world,
							own_ms(&s) * a->summary.step_ms / own_ms(&a->summary)};
	}
	free(runs);
	gns_step_from_runs(point, used, &parts, &a->model);
	return 0;
}

/* ---- B_crit ---- */

static int crit_of_sweep(struct gns_store *store, struct gns_advice *a, struct gns_error *err)
{
	struct gns_points points;
	struct gns_fit fit;
	int rc = gns_points_of_sweep(store, a->ask.sweep, &points, err);
	if (rc < 0)
		return rc;
	rc = gns_fit_hyperbola(points.point, points.n, &fit, NULL, NULL, NULL);
	gns_points_free(&points);
	if (rc < 0)
		return gns_fail(err, rc, "sweep %s gives no B_crit; gnscope fit --sweep %s says why", a->ask.sweep, a->ask.sweep);
	a->b_crit = fit.b_crit;
	a->resolved = isfinite(fit.b_crit.value) && isfinite(fit.b_crit.hi) && fit.b_crit.lo > 0;
	if (!a->resolved)
		a->b_crit.value = NAN;
	a->b_crit.lo = a->b_crit.lo > 0 ? a->b_crit.lo : (double)NAN;
	snprintf(a->b_crit_source, sizeof a->b_crit_source, "measured by sweep %.100s", a->ask.sweep);
	if (fit.law_fails)
		gns_note_add(&a->notes, "law_fails", "the runs of sweep %s do not lie on the law that B_crit is of", a->ask.sweep);
	return 0;
}

static void crit_of_run(struct gns_advice *a)
{
	const struct gns_ratio *r = &a->summary.b_crit;
	/* A B_crit that cannot be told from zero advises nothing either. */
	a->resolved = r->resolved && r->lo > 0;
	a->b_crit = (struct gns_interval){a->resolved ? r->value : (double)NAN, r->lo > 0 ? r->lo : (double)NAN, r->hi > 0 ? r->hi : (double)NAN};
	snprintf(a->b_crit_source, sizeof a->b_crit_source, "of the run, from its gradients' noise");
}

/* ---- a row ---- */

/* f over the limits of B_crit, which it is monotonic in; no upper limit: up to infinity, no lower one: from zero. */
static struct gns_interval over_crit(const struct gns_advice *a, double (*f)(double crit, double batch, double now), double batch, double now)
{
	double lo = f(a->b_crit.lo > 0 ? a->b_crit.lo : 0, batch, now), hi = f(isfinite(a->b_crit.hi) ? a->b_crit.hi : INFINITY, batch, now);
	return (struct gns_interval){a->resolved ? f(a->b_crit.value, batch, now) : (double)NAN, fmin(lo, hi), fmax(lo, hi)};
}

static double steps_ratio(double crit, double batch, double now)
{
	return isinf(crit) ? now / batch : gns_steps_factor(batch, crit) / gns_steps_factor(now, crit);
}

static double efficiency(double crit, double batch, double now)
{
	return isinf(crit) ? 1 : crit / (crit + batch);
}

static struct gns_interval product(struct gns_interval a, struct gns_interval b)
{
	return (struct gns_interval){a.value * b.value, a.lo * b.lo, a.hi * b.hi};
}

static struct gns_interval scaled(struct gns_interval a, double by)
{
	return product(a, (struct gns_interval){by, by, by});
}

/* What the run took, pauses between steps included, over its steps times their median. */
static double stretch(const struct gns_summary *s)
{
	double by = s->mean_step_ms / s->step_ms;
	return by > 0 && isfinite(by) ? by : 1;
}

static struct gns_advice_row row_at(const struct gns_advice *a, double batch)
{
	double now = a->summary.samples_per_step, times = batch / now;
	struct gns_advice_row r = {.batch = batch, .per_device = batch / a->devices, .now = batch == now, .wanted = batch == a->ask.batch,
				   .far = times > 4 || times < 0.25};
	struct gns_interval ratio = r.now ? (struct gns_interval){1, 1, 1} : over_crit(a, steps_ratio, batch, now);
	r.steps = scaled(ratio, a->steps_now);
	r.samples = scaled(r.steps, batch);
	r.efficiency = over_crit(a, efficiency, batch, now);
	r.step_ms = gns_step_at(&a->model, r.per_device);
	r.step_measured = r.now && a->devices == a->world;
	if (r.step_measured)
		r.step_ms = (struct gns_interval){a->summary.step_ms, a->summary.step_ms, a->summary.step_ms};
	r.hours = scaled(product(r.steps, r.step_ms), stretch(&a->summary) / 3.6e6);
	r.cost = scaled(r.hours, a->devices * a->ask.price);
	return r;
}

static int by_batch(const void *a, const void *b)
{
	const struct gns_advice_row *x = a, *y = b;
	return x->batch < y->batch ? -1 : x->batch > y->batch;
}

static void add_row(struct gns_advice *a, double batch)
{
	for (size_t i = 0; i < a->n_rows; i++)
		if (a->row[i].batch == batch)
			return;
	if (a->n_rows < GNS_ADVICE_ROWS && batch >= 1)
		a->row[a->n_rows++] = row_at(a, batch);
}

static void rows(struct gns_advice *a)
{
	double now = a->summary.samples_per_step;
	if (isfinite(a->ask.batch))
		add_row(a, a->ask.batch);
	add_row(a, now);
	for (int power = -2; power <= 2; power++)
		add_row(a, now * pow(2, power));
	qsort(a->row, a->n_rows, sizeof *a->row, by_batch);
}

/* The batch that the verdict speaks of, on the run's devices. */
static void other_batch(struct gns_advice *a)
{
	double now = a->summary.samples_per_step, other = gns_verdict_other_batch(&a->summary);
	struct gns_interval ms = gns_step_at(&a->model, other / a->world), ratio = over_crit(a, steps_ratio, other, now);
	a->other_time = scaled(product(ratio, ms), 1 / a->summary.step_ms);
	if (a->ask.sweep || gns_verdict_is_class(gns_verdict_of(&a->summary)))
		return;
	char text[GNS_VERDICT_SIZE];
	gns_note_add(&a->notes, "no_verdict", "%s", gns_text_verdict(text, sizeof text, &a->summary, NULL));
}

/* ---- target ---- */

static int target(struct gns_store *store, struct gns_advice *a, struct gns_error *err)
{
	double *steps = NULL, *losses = NULL;
	struct gns_crossing c;
	char x[40];
	size_t n = 0;
	a->steps_now = (double)a->summary.run.steps;
	if (isfinite(a->ask.steps)) {
		a->steps_now = a->ask.steps;
		snprintf(a->target, sizeof a->target, "what %s steps at the run's batch reach", gns_text_number(x, sizeof x, a->ask.steps));
		return 0;
	}
	snprintf(a->target, sizeof a->target, "what the run has reached in its %s steps", gns_text_number(x, sizeof x, a->steps_now));
	if (!isfinite(a->ask.target))
		return 0;
	int rc = gns_points_losses(store, a->summary.run.run_id, &steps, &losses, &n, err);
	if (rc < 0)
		return rc;
	rc = gns_crossing(steps, losses, n, a->ask.target, GNS_CROSSING_WINDOW, &c);
	free(steps);
	free(losses);
	gns_text_number(x, sizeof x, a->ask.target);
	if (rc < 0)
		return gns_fail(err, -ENODATA, "run %" PRId64 " has %zu losses, too few to tell when it reached %s; give --steps N", a->summary.run.run_id, n, x);
	if (!c.crossed)
		return gns_fail(err, -ENODATA, "run %" PRId64 " did not reach the loss %s (its smoothed loss ended at %.6g); how long that takes cannot "
				"be derived from it: give --steps N, or a loss it has reached", a->summary.run.run_id, x, c.loss);
	a->steps_now = c.step;
	snprintf(a->target, sizeof a->target, "the loss %s, which the run reached at step %.0f", x, c.step);
	return 0;
}

/* ---- settings and rules ---- */

static double setting(const struct gns_setting_row *rows, size_t n, const char *name)
{
	double value = NAN;
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			value = rows[i].value;
	return value;
}

static int rules(struct gns_store *store, struct gns_advice *a, struct gns_error *err)
{
	struct gns_setting_row *rows = NULL;
	size_t n = 0;
	a->rules_for = isfinite(a->ask.batch) ? a->ask.batch : a->resolved ? round(a->best_time.value) : (double)NAN;
	a->rules_why = isfinite(a->ask.batch) ? "asked for" : "of least time";
	int rc = gns_store_settings(store, a->summary.run.run_id, &rows, &n, err);
	if (rc < 0)
		return rc;
	struct gns_scaling_in in = {
		.optimizer = a->summary.optimizer, .from = a->summary.samples_per_step, .to = a->rules_for, .lr = a->summary.lr,
		.beta1 = setting(rows, n, "beta1"), .beta2 = setting(rows, n, "beta2"), .eps = setting(rows, n, "eps"),
		.weight_decay = setting(rows, n, "weight_decay"), .ema = NAN, .b_noise = a->b_noise_now,
		.b_crit = {a->b_crit.value, a->b_crit.lo, a->b_crit.hi, a->resolved, NAN},
	};
	free(rows);
	if (a->rules_for >= 1)
		a->n_rules = gns_scaling_rules(&in, a->rule);
	if (a->summary.optimizer[0] == '\0')
		gns_note_add(&a->notes, "optimizer_unknown", "the optimizer is not known: the rules for SGD and for Adam stand side by side");
	else if (gns_optimizer_of(a->summary.optimizer) == GNS_OPT_UNKNOWN)
		gns_note_add(&a->notes, "optimizer_unknown", "no rule is known for the optimizer %s: none is given", a->summary.optimizer);
	return 0;
}

static int noise_of_now(struct gns_store *store, struct gns_advice *a, struct gns_error *err)
{
	struct gns_live live[8];
	size_t n = 0;
	int rc = gns_store_live(store, a->summary.run.run_id, live, sizeof live / sizeof *live, &n, err);
	a->b_noise_now = (struct gns_ratio){NAN, NAN, NAN, false, NAN};
	a->now_half_life = NAN;
	if (rc == 0 && n > 0) {
		a->b_noise_now = live[n - 1].b_noise;
		a->now_half_life = live[n - 1].half_life;
	}
	return rc < 0 ? rc : 0;
}

void gns_advice_norm_tests(const struct gns_advice *a, struct gns_norm_test out[GNS_NORM_TESTS])
{
	static const double thetas[GNS_NORM_TESTS] = {1, 0.5};
	const double n = a->summary.samples_per_step;
	for (size_t i = 0; i < GNS_NORM_TESTS; i++) {
		struct gns_norm_test *t = &out[i];
		*t = (struct gns_norm_test){thetas[i], gns_norm_test_batch(&a->b_noise_now, n, thetas[i]), -1, NAN};
		if (t->needed.hi <= n)
			t->passed = 1;
		else if (t->needed.lo > n)
			t->passed = 0;
		if (t->passed >= 0)
			t->batch = t->passed ? n : ceil(t->needed.value);
		if (t->batch > n && t->batch > a->ask.most)
			t->batch = fmax(n, a->ask.most);
	}
}

static int schedule(struct gns_store *store, struct gns_advice *a, struct gns_error *err)
{
	struct gns_point *points = NULL;
	size_t n = 0, used = 0;
	a->schedule = (struct gns_schedule){NAN, NAN, NAN, NAN, NAN};
	int rc = gns_store_series(store, a->summary.run.run_id, 1, -1, 8, &points, &n, err);
	if (rc < 0)
		return rc;
	double *noise = calloc(2 * n + 1, sizeof *noise), *steps = noise ? noise + n : NULL;
	bool known = noise != NULL, steady = true;
	for (size_t i = 0; known && i < n; i++) {
		known = points[i].b_noise.resolved && points[i].b_noise.value > 0;
		steady &= points[i].samples_per_step == a->summary.samples_per_step;
		noise[used] = points[i].b_noise.value;
		steps[used++] = (double)(points[i].step_hi - points[i].step_lo + 1);
	}
	if (known && steady && gns_adaptive_schedule(noise, steps, used, a->summary.samples_per_step, &a->schedule) == 0)
		a->schedule_points = used;
	free(noise);
	free(points);
	return 0;
}

/* ---- what would make it wrong ---- */

static int take_number(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	double *out = arg;
	for (int i = 0; !is_header && i < n; i++)
		out[i] = texts[i] ? strtod(texts[i], NULL) : (double)NAN;
	return 0;
}

static void learning_rates(struct gns_store *store, struct gns_advice *a)
{
	char sql[400];
	double lr[3] = {NAN, NAN, NAN}; /* first, most, last */
	snprintf(sql, sizeof sql, "SELECT (SELECT lr FROM step WHERE run_id=%1$" PRId64 " AND lr IS NOT NULL ORDER BY step LIMIT 1),"
		 "(SELECT max(lr) FROM step WHERE run_id=%1$" PRId64 "),"
		 "(SELECT lr FROM step WHERE run_id=%1$" PRId64 " AND lr IS NOT NULL ORDER BY step DESC LIMIT 1)", a->summary.run.run_id);
	if (gns_store_sql(store, sql, take_number, lr, NULL) < 0)
		return;
	if (lr[0] < 0.9 * lr[1])
		gns_note_add(&a->notes, "warmup", "the learning rate warmed up from %.3g to %.3g: the rules are for its peak, and a warmup keeps its length "
			     "in samples, not in steps", lr[0], lr[1]);
	if (lr[2] < 0.9 * lr[1])
		gns_note_add(&a->notes, "lr_schedule", "the learning rate fell from %.3g to %.3g: scale the peak and let the schedule end at the same samples; "
			     "the rules below start from %.3g", lr[1], lr[2], lr[2]);
}

static void warn(struct gns_store *store, struct gns_advice *a)
{
	double now = a->summary.samples_per_step, wanted = a->ask.batch;
	char x[40], y[40];
	for (size_t i = 0; i < a->summary.n_warnings; i++)
		gns_note_add(&a->notes, a->summary.warnings[i].name, "%s", a->summary.warnings[i].text);
	if (!a->resolved)
		gns_note_add(&a->notes, "unresolved", "B_crit is unresolved%s%s: no batch is advised; measure more steps, or gnscope sweep",
			     a->b_crit.lo > 0 ? ", at least " : a->b_crit.hi > 0 ? ", at most " : "",
			     a->b_crit.lo > 0 || a->b_crit.hi > 0 ? gns_text_number(x, sizeof x, a->b_crit.lo > 0 ? a->b_crit.lo : a->b_crit.hi) : "");
	if (a->ask.most < fmax(now, a->resolved && !isfinite(wanted) ? a->best_time.value : 0))
		gns_note_add(&a->notes, "max_batch", "the hardware takes at most batch %s (--max-batch): below %s", gns_text_number(x, sizeof x, a->ask.most),
			     a->ask.most < now ? "the run's own" : "that of least time");
	if (a->model.rule == GNS_STEP_RUNS && fabs(log(a->model.miss)) > log(2))
		gns_note_add(&a->notes, "step_line", "the step at batch %s a device took %.2g times what the line through the runs says: step times here are not "
			     "of that line, and those below are a guess", gns_text_number(x, sizeof x, a->model.miss_batch), a->model.miss);
	if (wanted > 4 * now || wanted < now / 4)
		gns_note_add(&a->notes, "extrapolated", "batch %s is more than four times away from %s, where all was measured",
			     gns_text_number(x, sizeof x, wanted), gns_text_number(y, sizeof y, now));
	if (a->resolved && !isfinite(wanted) && (a->best_time.value > 4 * now || a->best_time.value < now / 4))
		gns_note_add(&a->notes, "extrapolated", "the batch of least time, %s, is more than four times away from %s, where all was measured: go "
			     "there in steps and look again", gns_text_number(x, sizeof x, round(a->best_time.value)), gns_text_number(y, sizeof y, now));
	if (!a->ask.sweep)
		gns_note_add(&a->notes, "diagnostic", "B_crit of the run is a diagnostic from the gradients' noise, off by 0.05 to 8 in the paper that "
			     "made it; a sweep measures it");
	if (a->devices != a->world)
		gns_note_add(&a->notes, "communication", "communication not measured: on %.0f devices a step takes longer than this says", a->devices);
	else if (a->world > 1)
		gns_note_add(&a->notes, "communication", "communication is in the step time of this run, not measured of itself");
	if (a->model.rule == GNS_STEP_WHOLE)
		gns_note_add(&a->notes, "no_kernels", "no GEMM was timed in this run, so its step time at another batch has limits only; run with --every 1, "
			     "or run the program at a second batch");
	learning_rates(store, a);
	gns_note_add(&a->notes, "not_seen", "Not valid for: reinforcement learning, contrastive losses, fine-tuning, or targets other than the training loss.");
}

int gns_advise(struct gns_store *store, int64_t run_id, const struct gns_advice_ask *ask, struct gns_advice *a, struct gns_error *err)
{
	memset(a, 0, sizeof *a);
	a->ask = *ask;
	int rc = gns_store_summary(store, run_id, 0, &a->summary, err);
	if (rc < 0)
		return rc;
	a->world = a->summary.run.world > 0 ? a->summary.run.world : 1;
	a->devices = isfinite(ask->devices) ? ask->devices : a->world;
	if (!(a->summary.samples_per_step > 0))
		return gns_fail(err, -ENODATA, "run %" PRId64 " (%s) has no measured step, so its batch is not known and nothing can be advised; gnscope "
				"doctor %" PRId64 " says why", run_id, a->summary.run.name, run_id);
	if (ask->sweep)
		rc = crit_of_sweep(store, a, err);
	else
		crit_of_run(a);
	if (rc == 0)
		rc = gns_advice_step(store, &a->summary, a->world, &a->model, err);
	if (rc == 0)
		rc = refine(store, a, err);
	if (rc == 0)
		rc = target(store, a, err);
	if (rc < 0)
		return rc;
	struct gns_interval none = {NAN, NAN, NAN};
	a->best_time = a->resolved ? gns_step_fastest(&a->model, a->b_crit, a->devices) : none;
	a->best_exchange = none;
	if (a->resolved)
		a->best_exchange = (struct gns_interval){sqrt(ask->exchange * a->b_crit.value), sqrt(ask->exchange * a->b_crit.lo),
							 sqrt(ask->exchange * a->b_crit.hi)};
	rows(a);
	other_batch(a);
	rc = noise_of_now(store, a, err);
	if (rc == 0)
		rc = rules(store, a, err);
	if (rc == 0)
		rc = schedule(store, a, err);
	if (rc == 0)
		warn(store, a);
	return rc;
}
