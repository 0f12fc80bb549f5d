/* Advice as text and as JSON. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/advice.h"
#include "profiler/cli/json.h"

/* ---- text ---- */

static const char *number(char dst[40], double value)
{
	return gns_text_number(dst, 40, value);
}

/* Three significant digits where there is no more to a prediction, whole numbers as they are. */
static const char *rough(char dst[40], double value)
{
	double unit = pow(10, floor(log10(fabs(value))) - 2);
	return number(dst, value > 0 && isfinite(value) ? round(value / unit) * unit : value);
}

/* "1,200 [1,100 to 1,300]", "1,100 to 1,300" or "-" */
static const char *cell(char *dst, size_t size, struct gns_interval i)
{
	char v[40], lo[40], hi[40];
	if (i.lo == i.hi && i.value == i.lo)
		snprintf(dst, size, "%s", rough(v, i.value));
	else if (isfinite(i.value) && isfinite(i.lo) && isfinite(i.hi))
		snprintf(dst, size, "%s [%s to %s]", rough(v, i.value), rough(lo, i.lo), rough(hi, i.hi));
	else if (isfinite(i.value))
		snprintf(dst, size, "%s", rough(v, i.value));
	else if (isfinite(i.lo) && isfinite(i.hi))
		snprintf(dst, size, "%s to %s", rough(lo, i.lo), rough(hi, i.hi));
	else
		snprintf(dst, size, "-");
	return dst;
}

static struct gns_interval scaled(struct gns_interval i, double by)
{
	return (struct gns_interval){i.value * by, i.lo * by, i.hi * by};
}

/* A batch is a whole number. */
static struct gns_interval whole(struct gns_interval i)
{
	return (struct gns_interval){round(i.value), round(i.lo), round(i.hi)};
}

static void print_head(const struct gns_advice *a)
{
	const struct gns_summary *s = &a->summary;
	char name[128], optimizer[64], x[160], y[40], verdict[GNS_VERDICT_SIZE];
	struct gns_ratio crit = {a->b_crit.value, a->b_crit.lo, a->b_crit.hi, a->resolved, NAN};
	bool most = !a->resolved && isnan(a->b_crit.lo) && a->b_crit.hi > 0;
	if (!a->ask.sweep && gns_verdict_is_class(gns_verdict_of(s)))
		printf("%s\n\n", gns_text_verdict(verdict, sizeof verdict, s, &a->other_time));
	printf("run %" PRId64 "  %s  batch %s %s", s->run.run_id, gns_text_safe(name, sizeof name, s->run.name), number(y, s->samples_per_step),
	       s->sample_unit);
	printf(", %s", s->optimizer[0] ? gns_text_safe(optimizer, sizeof optimizer, s->optimizer) : "optimizer not known");
	if (isfinite(s->lr))
		printf(", lr %s", number(y, s->lr));
	if (most)
		printf("\nB_crit     unresolved: <= %s %s, %s\n", number(y, a->b_crit.hi), s->sample_unit, a->b_crit_source);
	else
		printf("\nB_crit     %s, %s\n", gns_text_ratio(x, sizeof x, &crit, s->sample_unit), a->b_crit_source);
	printf("B_noise    %s over the run\n", gns_text_ratio(x, sizeof x, &s->b_noise, s->sample_unit));
	if (isfinite(a->now_half_life))
		printf("           %s now, half-life %.0f measured steps\n", gns_text_ratio(x, sizeof x, &a->b_noise_now, s->sample_unit), a->now_half_life);
	printf("target     %s\n", a->target);
}

static void print_model(const struct gns_advice *a)
{
	const struct gns_step_model *m = &a->model;
	if (m->rule == GNS_STEP_RUNS)
		printf("step time  %.3g ms + %.3g ms a sample, from %zu runs at %zu batches\n", m->alpha, m->beta, m->runs, m->batches);
	else if (m->rule == GNS_STEP_PARTS && isfinite(m->optimizer_ms))
		printf("step time  %.3g ms [%.3g to %.3g] + %.3g ms a sample; fixed: optimizer %.3g, of GEMMs %.3g of %.3g, of the rest %.3g of %.3g\n",
		       m->alpha, m->alpha_lo, m->alpha_hi, m->beta, m->optimizer_ms, m->products_fixed_ms, m->products_ms, m->rest_fixed_ms, m->rest_ms);
	else if (m->rule == GNS_STEP_PARTS)
		printf("step time  %.3g ms [%.3g to %.3g] + %.3g ms a sample; fixed: of GEMMs %.3g of %.3g, of the rest (with the optimizer) %.3g of %.3g\n",
		       m->alpha, m->alpha_lo, m->alpha_hi, m->beta, m->products_fixed_ms, m->products_ms, m->rest_fixed_ms, m->rest_ms);
	else if (m->rule == GNS_STEP_WHOLE)
		printf("step time  %.3g ms; what of it grows with the batch is not known\n", m->ms);
	else
		printf("step time  not known\n");
}

static void print_rows(const struct gns_advice *a)
{
	char batch[40], steps[128], samples[128], ms[128], hours[128], cost[128];
	bool priced = isfinite(a->ask.price), brief = a->steps_now * a->summary.step_ms < 360e3;
	printf("\n  %8s  %-26s  %-28s  %-24s  %-26s%s\n", "BATCH", "STEPS", "SAMPLES", "STEP ms", brief ? "SECONDS" : "HOURS", priced ? "  COST" : "");
	for (size_t i = 0; i < a->n_rows; i++) {
		const struct gns_advice_row *r = &a->row[i];
		printf("%c %8s  %-26s  %-28s  %-24s  %-26s", r->wanted ? '>' : r->now ? '*' : ' ', number(batch, r->batch),
		       cell(steps, sizeof steps, r->steps), cell(samples, sizeof samples, r->samples), cell(ms, sizeof ms, r->step_ms),
		       cell(hours, sizeof hours, scaled(r->hours, brief ? 3600 : 1)));
		printf(priced ? "  %s%s\n" : "%.0s%s\n", priced ? cell(cost, sizeof cost, r->cost) : "", r->far ? "  far" : "");
	}
	printf("* the run's batch%s%s; 95%% limits of B_crit and what may be fixed of the step; learning rate tuned\n\n",
	       a->devices == a->world ? ", measured" : "", isfinite(a->ask.batch) ? ", > asked for" : "");
}

static void print_best(const struct gns_advice *a)
{
	char x[128], y[40];
	const char *unit = a->summary.sample_unit;
	if (!a->resolved) {
		printf("best       no batch is advised: B_crit is unresolved\n");
		return;
	}
	printf("best time  batch %s on %.0f device%s: sqrt(B_crit %salpha/beta)\n", cell(x, sizeof x, whole(a->best_time)), a->devices,
	       a->devices == 1 ? "" : "s", a->devices == 1 ? "" : "devices ");
	printf("best cost  that batch when you pay per device-hour; the smallest batch when you pay per %.*s (B_crit costs twice the fewest)\n",
	       (int)strlen(unit) - 1, unit);
	if (isfinite(a->ask.exchange))
		printf("exchange   batch %s where a step is worth %s %s: sqrt(x B_crit)\n", cell(x, sizeof x, whole(a->best_exchange)),
		       number(y, a->ask.exchange), unit);
}

static void print_rules(const struct gns_advice *a)
{
	char now[40], value[128];
	if (!a->n_rules)
		return;
	printf("\nat batch %s, %s, kappa = %.4g:\n", number(now, a->rules_for), a->rules_why, a->rules_for / a->summary.samples_per_step);
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct gns_scaling *s = &a->rule[i];
		struct gns_interval v = {s->value, s->lo, s->hi};
		printf("  %-12s  %-11s  ", s->what, s->rule);
		if (isfinite(s->value) && isfinite(s->lo))
			printf("%.4g -> %s", s->now, cell(value, sizeof value, v));
		else if (isfinite(s->value))
			printf("%.6g -> %.6g", s->now, s->value);
		else if (isfinite(s->factor))
			printf("times %.4g", s->factor);
		else
			printf("-");
		printf("   %s; %s\n", s->formula, s->paper);
		if (s->note[0])
			printf("  %-12s  %-11s  (%s)\n", "", "", s->note);
	}
}

static void print_norm_tests(const struct gns_advice *a)
{
	struct gns_norm_test test[GNS_NORM_TESTS];
	char x[128], y[40];
	gns_advice_norm_tests(a, test);
	for (size_t i = 0; i < GNS_NORM_TESTS && isfinite(a->now_half_life); i++) {
		const struct gns_norm_test *t = &test[i];
		printf("norm test  theta %g: ", t->theta);
		if (t->passed > 0)
			printf("passed, keep batch %s", number(y, t->batch));
		else if (t->passed < 0)
			printf("undecided, it needs batch %s", cell(x, sizeof x, whole(t->needed)));
		else
			printf("failed, next batch %s", cell(x, sizeof x, whole(t->needed)));
		if (t->passed == 0 && t->batch < ceil(t->needed.value))
			printf(", of which the hardware takes %s", number(y, t->batch));
		puts(" (Byrd et al. 2012, AdAdaGrad)");
	}
}

static void print_schedule(const struct gns_advice *a)
{
	char x[128], y[40], z[40];
	if (isfinite(a->schedule.x))
		printf("schedule   batch sqrt(x B_noise), x = %s: %s at the start, %s at the end; as many steps, %.0f%% of the samples; gamma %.3f\n"
		       "           (McCandlish et al. 2018, app. D; 1 is no gain)\n", rough(x, a->schedule.x), rough(y, a->schedule.first),
		       rough(z, a->schedule.last), 100 * a->schedule.samples, a->schedule.gain);
	else
		printf("schedule   none: B_noise is not resolved all along the run%s\n", a->summary.b_noise.resolved ? ", or the batch changed" : "");
}

void gns_advice_print(const struct gns_advice *a)
{
	print_head(a);
	print_model(a);
	print_rows(a);
	print_best(a);
	print_norm_tests(a);
	print_schedule(a);
	print_rules(a);
	putchar('\n');
	gns_notes_print(&a->notes);
}

/* ---- JSON ---- */

static void set(json_t *o, const char *name, struct gns_interval i)
{
	char key[40];
	json_object_set_new(o, name, gns_json_number(i.value));
	snprintf(key, sizeof key, "%s_lo", name);
	json_object_set_new(o, key, gns_json_number(i.lo));
	snprintf(key, sizeof key, "%s_hi", name);
	json_object_set_new(o, key, gns_json_number(i.hi));
}

static json_t *json_model(const struct gns_step_model *m)
{
	static const char *const words[] = {"none", "whole", "parts", "runs"};
	bool parts = m->rule == GNS_STEP_PARTS;
	json_t *o = json_object();
	json_object_set_new(o, "rule", json_string(words[m->rule]));
	json_object_set_new(o, "alpha_ms", gns_json_number(m->alpha));
	json_object_set_new(o, "alpha_ms_lo", gns_json_number(m->alpha_lo));
	json_object_set_new(o, "alpha_ms_hi", gns_json_number(m->alpha_hi));
	json_object_set_new(o, "beta_ms", gns_json_number(m->beta));
	json_object_set_new(o, "optimizer_ms", gns_json_number(parts ? m->optimizer_ms : NAN));
	json_object_set_new(o, "products_ms", gns_json_number(parts ? m->products_ms : NAN));
	json_object_set_new(o, "products_fixed_ms", gns_json_number(parts ? m->products_fixed_ms : NAN));
	json_object_set_new(o, "rest_ms", gns_json_number(parts ? m->rest_ms : NAN));
	json_object_set_new(o, "rest_fixed_ms", gns_json_number(parts ? m->rest_fixed_ms : NAN));
	json_object_set_new(o, "runs", json_integer(m->rule == GNS_STEP_RUNS ? (json_int_t)m->runs : 1));
	json_object_set_new(o, "batches", json_integer(m->rule == GNS_STEP_RUNS ? (json_int_t)m->batches : 1));
	return o;
}

static json_t *json_rows(const struct gns_advice *a)
{
	json_t *list = json_array();
	for (size_t i = 0; i < a->n_rows; i++) {
		const struct gns_advice_row *r = &a->row[i];
		json_t *o = json_object();
		json_object_set_new(o, "batch", gns_json_number(r->batch));
		json_object_set_new(o, "batch_per_device", gns_json_number(r->per_device));
		json_object_set_new(o, "now", json_boolean(r->now));
		json_object_set_new(o, "wanted", json_boolean(r->wanted));
		json_object_set_new(o, "far", json_boolean(r->far));
		set(o, "steps", r->steps);
		set(o, "samples", r->samples);
		set(o, "efficiency", r->efficiency);
		json_object_set_new(o, "step_measured", json_boolean(r->step_measured));
		set(o, "step_ms", r->step_ms);
		set(o, "hours", r->hours);
		set(o, "cost", r->cost);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_rules(const struct gns_advice *a)
{
	json_t *list = json_array();
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct gns_scaling *s = &a->rule[i];
		json_t *o = json_object();
		json_object_set_new(o, "what", json_string(s->what));
		json_object_set_new(o, "rule", json_string(s->rule));
		json_object_set_new(o, "formula", json_string(s->formula));
		json_object_set_new(o, "paper", json_string(s->paper));
		json_object_set_new(o, "note", json_string(s->note));
		json_object_set_new(o, "now", gns_json_number(s->now));
		json_object_set_new(o, "factor", gns_json_number(s->factor));
		set(o, "value", (struct gns_interval){s->value, s->lo, s->hi});
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_schedule(const struct gns_advice *a)
{
	const struct gns_schedule *s = &a->schedule;
	if (!isfinite(s->x))
		return json_null();
	json_t *o = json_object();
	json_object_set_new(o, "x", gns_json_number(s->x));
	json_object_set_new(o, "gain", gns_json_number(s->gain));
	json_object_set_new(o, "samples", gns_json_number(s->samples));
	json_object_set_new(o, "first", gns_json_number(s->first));
	json_object_set_new(o, "last", gns_json_number(s->last));
	json_object_set_new(o, "points", json_integer((json_int_t)a->schedule_points));
	return o;
}

static json_t *json_norm_tests(const struct gns_advice *a)
{
	struct gns_norm_test test[GNS_NORM_TESTS];
	json_t *list = json_array();
	gns_advice_norm_tests(a, test);
	for (size_t i = 0; i < GNS_NORM_TESTS; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "theta", json_real(test[i].theta));
		set(o, "needed", test[i].needed);
		json_object_set_new(o, "passed", test[i].passed < 0 ? json_null() : json_boolean(test[i].passed));
		json_object_set_new(o, "batch", gns_json_number(test[i].batch));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *gns_advice_json(const struct gns_advice *a)
{
	const struct gns_summary *s = &a->summary;
	const struct gns_ratio *noise = &s->b_noise;
	json_t *o = json_object();
	json_object_set_new(o, "run", json_integer(s->run.run_id));
	json_object_set_new(o, "name", gns_json_text(s->run.name));
	json_object_set_new(o, "batch", gns_json_number(s->samples_per_step));
	json_object_set_new(o, "sample_unit", gns_json_text(s->sample_unit));
	json_object_set_new(o, "optimizer", gns_json_text(s->optimizer));
	json_object_set_new(o, "lr", gns_json_number(s->lr));
	json_object_set_new(o, "resolved", json_boolean(a->resolved));
	set(o, "b_crit", a->b_crit);
	json_object_set_new(o, "b_crit_source", json_string(a->b_crit_source));
	set(o, "b_noise", (struct gns_interval){noise->resolved ? noise->value : (double)NAN, noise->lo, noise->hi});
	set(o, "b_noise_now", (struct gns_interval){a->b_noise_now.resolved ? a->b_noise_now.value : (double)NAN, a->b_noise_now.lo, a->b_noise_now.hi});
	json_object_set_new(o, "now_half_life", gns_json_number(a->now_half_life));
	json_object_set_new(o, "target", json_string(a->target));
	json_object_set_new(o, "target_steps", gns_json_number(a->steps_now));
	json_object_set_new(o, "devices", gns_json_number(a->devices));
	json_object_set_new(o, "price", gns_json_number(a->ask.price));
	json_object_set_new(o, "step_time", json_model(&a->model));
	json_object_set_new(o, "rows", json_rows(a));
	set(o, "best_time", a->best_time);
	set(o, "best_cost", a->best_time);
	json_object_set_new(o, "exchange", gns_json_number(a->ask.exchange));
	set(o, "best_exchange", a->best_exchange);
	json_object_set_new(o, "norm_test", json_norm_tests(a));
	json_object_set_new(o, "schedule", json_schedule(a));
	json_object_set_new(o, "rules_for", gns_json_number(a->n_rules ? a->rules_for : NAN));
	json_object_set_new(o, "rules", json_rules(a));
	json_object_set_new(o, "warnings", gns_notes_json(&a->notes));
	return o;
}
