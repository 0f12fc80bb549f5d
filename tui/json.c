/* See json.h. */
#include "tui/json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "gnscope/text.h"
#include "tui/cost.h"
#include "tui/order.h"

static void number(json_t *object, const char *name, double value)
{
	json_object_set_new(object, name, !isfinite(value) ? json_null()
					  : value == floor(value) && fabs(value) < 9e15 ? json_integer((json_int_t)value) : json_real(value));
}

static void text(json_t *object, const char *name, const char *value)
{
	char safe[600];
	json_object_set_new(object, name, json_string(gns_text_safe(safe, sizeof safe, value)));
}

/* "": null */
static void word(json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, value[0] ? json_string(value) : json_null());
}

static void ratio(json_t *object, const char *name, const struct gns_ratio *r)
{
	char key[64];
	number(object, name, r->resolved ? r->value : (double)NAN);
	snprintf(key, sizeof key, "%s_lo", name);
	number(object, key, r->lo);
	snprintf(key, sizeof key, "%s_hi", name);
	number(object, key, r->resolved ? r->hi : (double)NAN);
}

static json_t *range(const struct gns_range *r)
{
	json_t *object = json_object();
	number(object, "value", r->value);
	number(object, "lo", r->lo);
	number(object, "hi", r->hi);
	return object;
}

static json_t *points(const struct gns_point *rows, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();
		number(o, "step_lo", (double)rows[i].step_lo);
		number(o, "step_hi", (double)rows[i].step_hi);
		ratio(o, "b_noise", &rows[i].b_noise);
		number(o, "samples_per_step", rows[i].samples_per_step);
		number(o, "loss", rows[i].loss);
		number(o, "step_ms", rows[i].step_ms);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *split(const struct gns_split *s)
{
	json_t *object = json_object(), *families = json_object(), *phases = json_object();
	char safe[64];
	number(object, "steps", s->steps);
	number(object, "measured_step_ms", s->step_ms);
	number(object, "gnscope_ms", s->gnscope_ms);
	for (size_t i = 0; i < s->n_families; i++)
		number(families, gns_text_safe(safe, sizeof safe, s->family[i].name), s->family[i].ms);
	for (size_t i = 0; i < s->n_phases; i++)
		number(phases, gns_text_safe(safe, sizeof safe, s->phase[i].name), s->phase[i].ms);
	json_object_set_new(object, "families_ms", families);
	json_object_set_new(object, "phases_ms", phases);
	return object;
}

static void tradeoff(json_t *root, const struct gns_model *m, const struct gns_ui *ui)
{
	static const char *const rules[] = {NULL, "bounds", "fit"};
	struct gns_step_time time = gns_step_time_of(m);
	struct gns_range fastest = gns_fastest(m, &time);
	json_t *list = json_array();
	for (int i = -3; i <= 3; i++) {
		struct gns_cost c = gns_cost_at(m, &time, m->summary.samples_per_step * pow(2, i), ui->devices, ui->price);
		json_t *o = json_object();
		if (!(c.batch >= 1)) {
			json_decref(o);
			continue;
		}
		number(o, "batch", c.batch);
		json_object_set_new(o, "predicted", json_boolean(!c.now));
		json_object_set_new(o, "steps_factor", range(&c.steps_factor));
		json_object_set_new(o, "samples_factor", range(&c.samples_factor));
		json_object_set_new(o, "steps", range(&c.steps));
		json_object_set_new(o, "samples", range(&c.samples));
		json_object_set_new(o, "step_ms", range(&c.step_ms));
		json_object_set_new(o, "seconds", range(&c.seconds));
		json_object_set_new(o, "time_ratio", range(&c.time_ratio));
		json_object_set_new(o, "device_hours", range(&c.device_hours));
		json_object_set_new(o, "money", range(&c.money));
		json_array_append_new(list, o);
	}
	json_object_set_new(root, "batches", list);
	json_object_set_new(root, "step_time_rule", rules[time.rule] ? json_string(rules[time.rule]) : json_null());
	json_object_set_new(root, "fastest", range(&fastest));
}

static json_t *layers(const struct gns_model *m, const struct gns_ui *ui)
{
	size_t n;
	json_t *list = json_array();
	struct gns_layer_row *rows = gns_layer_rows(m, ui, &n);
	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();
		text(o, "name", rows[i].name);
		json_object_set_new(o, "group", json_boolean(!rows[i].layer));
		ratio(o, "b_noise", &rows[i].b_noise);
		bool known = rows[i].count > 0;
		number(o, "s", known ? rows[i].s : (double)NAN);
		number(o, "g2", known ? rows[i].g2 : (double)NAN);
		number(o, "share_s", known ? rows[i].share_s : (double)NAN);
		number(o, "share_g2", known ? rows[i].share_g2 : (double)NAN);
		number(o, "snr", known && rows[i].b_noise.resolved ? rows[i].g2 / rows[i].s : (double)NAN);
		number(o, "steps_measured", rows[i].count);
		json_array_append_new(list, o);
	}
	free(rows);
	return list;
}

static json_t *kernels(const struct gns_model *m)
{
	json_t *list = json_array();
	for (size_t i = 0; i < m->n_kernels; i++) {
		const struct gns_kernel_row *k = &m->kernels[i];
		json_t *o = json_object();
		text(o, "name", k->name);
		text(o, "family", k->family);
		number(o, "ms_per_step", k->ms_per_step);
		number(o, "share", k->share);
		number(o, "calls_per_step", k->calls_per_step);
		number(o, "gflops", k->gflops);
		number(o, "max_ms", k->max_ms);
		json_object_set_new(o, "device", json_boolean(k->device));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *devices(const struct gns_gpu *gpu)
{
	json_t *list = json_array();
	char key[32];
	for (size_t i = 0; i < gpu->n_devices; i++) {
		const struct gns_device_row *row = &gpu->devices[i];
		json_t *o = json_object();
		number(o, "rank", (double)row->rank);
		number(o, "device", (double)row->device);
		number(o, "steps", (double)row->steps);
		number(o, "steps_looked_at", (double)row->looked_at);
		number(o, "step_ms", row->wall_ms.value);
		for (int k = 0; k < GNS_PARTS; k++) {
			snprintf(key, sizeof key, "%s_share", gns_device_part_names[k]);
			number(o, key, row->share[k]);
		}
		json_array_append_new(list, o);
	}
	return list;
}

static void runs(json_t *root, const struct gns_model *m)
{
	json_t *list = json_array(), *overlay = json_array();
	for (size_t i = 0; i < m->n_runs; i++) {
		json_t *o = json_object();
		number(o, "run", (double)m->runs[i].run_id);
		text(o, "name", m->runs[i].name);
		text(o, "status", m->runs[i].status);
		number(o, "steps", (double)m->runs[i].steps);
		number(o, "steps_measured", (double)m->runs[i].steps_measured);
		text(o, "command", m->runs[i].command);
		json_array_append_new(list, o);
	}
	for (size_t i = 0; i < m->n_overlay; i++) {
		json_t *o = json_object();
		number(o, "run", (double)m->overlay[i].run_id);
		json_object_set_new(o, "points", points(m->overlay[i].points, m->overlay[i].n_points));
		json_array_append_new(overlay, o);
	}
	json_object_set_new(root, "runs", list);
	json_object_set_new(root, "overlay", overlay);
}

static void health(json_t *root, const struct gns_model *m)
{
	json_t *counters = json_array(), *events = json_array();
	for (size_t i = 0; i < m->n_counters; i++) {
		json_t *o = json_object();
		number(o, "rank", (double)m->counters[i].rank);
		text(o, "collector", m->counters[i].collector);
		text(o, "name", m->counters[i].name);
		number(o, "value", (double)m->counters[i].value);
		text(o, "last", m->counters[i].text);
		json_array_append_new(counters, o);
	}
	for (size_t i = 0; i < m->n_events; i++) {
		json_t *o = json_object();
		number(o, "step", m->events[i].step < 0 ? (double)NAN : (double)m->events[i].step);
		text(o, "name", m->events[i].name);
		text(o, "text", m->events[i].text);
		json_array_append_new(events, o);
	}
	json_object_set_new(root, "counters", counters);
	json_object_set_new(root, "events", events);
	number(root, "store_bytes", m->store_bytes);
}

static json_t *head(const struct gns_model *m, const struct gns_ui *ui)
{
	const struct gns_summary *s = &m->summary;
	json_t *root = json_object(), *warnings = json_array();
	char verdict[GNS_VERDICT_SIZE];
	text(root, "view", gns_views[ui->view].name);
	number(root, "run", (double)s->run.run_id);
	text(root, "name", s->run.name);
	text(root, "status", s->run.status);
	number(root, "steps", (double)s->run.steps);
	number(root, "steps_measured", (double)s->measured);
	number(root, "samples_per_step", s->samples_per_step);
	text(root, "sample_unit", s->sample_unit);
	ratio(root, "b_noise", &s->b_noise);
	json_object_set_new(root, "resolved", json_boolean(s->b_noise.resolved));
	ratio(root, "b_crit", &s->b_crit);
	number(root, "step_ms", s->step_ms);
	number(root, "overhead_pct", s->overhead_pct);
	number(root, "coverage", s->coverage);
	number(root, "loss", s->loss);
	word(root, "verdict", gns_batch_verdict_names[gns_verdict_of(s)]);
	text(root, "verdict_text", gns_text_verdict(verdict, sizeof verdict, s, NULL));
	word(root, "trend", gns_direction_names[s->trend.direction]);
	for (size_t i = 0; i < s->n_warnings; i++) {
		json_t *o = json_object();
		text(o, "name", s->warnings[i].name);
		text(o, "text", s->warnings[i].text);
		json_array_append_new(warnings, o);
	}
	json_object_set_new(root, "warnings", warnings);
	return root;
}

int gns_view_json(FILE *out, const struct gns_model *m, const struct gns_ui *ui)
{
	json_t *root = head(m, ui);
	if (ui->view == GNS_VIEW_NOW) {
		json_object_set_new(root, "points", points(m->points, m->n_points));
		json_object_set_new(root, "split", split(&m->split));
		json_object_set_new(root, "devices", devices(&m->gpu));
	} else if (ui->view == GNS_VIEW_TRADEOFF) {
		tradeoff(root, m, ui);
	} else if (ui->view == GNS_VIEW_LAYERS) {
		json_object_set_new(root, "layers", layers(m, ui));
	} else if (ui->view == GNS_VIEW_KERNELS) {
		json_object_set_new(root, "kernels", kernels(m));
		json_object_set_new(root, "split", split(&m->split));
		json_object_set_new(root, "devices", devices(&m->gpu));
		if (m->gpu.why_not[0])
			text(root, "kernel_times", m->gpu.why_not);
		else
			json_object_set_new(root, "kernel_times", json_null());
	} else if (ui->view == GNS_VIEW_RUNS) {
		runs(root, m);
	} else {
		health(root, m);
	}
	char *dump = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	int rc = !dump || gns_text_json(out, dump) != 0 || fputc('\n', out) == EOF ? -EIO : 0;
	free(dump);
	json_decref(root);
	return rc;
}
