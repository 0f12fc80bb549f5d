/* Each run is the object of `show --json --layers` with what the pictures are drawn from. */
#include "profiler/cli/report_json.h"

#include <math.h>

#include "profiler/cli/gpu.h"
#include "profiler/cli/json.h"
#include "profiler/cli/report_sweep.h"
#include "profiler/cli/run_json.h"

static json_t *series(const struct gns_report_run *run)
{
	json_t *list = json_array();
	for (size_t i = 0; i < run->n_points; i++) {
		const struct gns_point *p = &run->points[i];
		json_t *o = json_object();
		json_object_set_new(o, "step_lo", json_integer(p->step_lo));
		json_object_set_new(o, "step_hi", json_integer(p->step_hi));
		json_object_set_new(o, "measured", gns_json_number(p->count));
		gns_ratio_json(o, "b_noise", &p->b_noise);
		json_object_set_new(o, "resolved", json_boolean(p->b_noise.resolved));
		json_object_set_new(o, "s", gns_json_number(p->s));
		json_object_set_new(o, "g2", gns_json_number(p->g2));
		json_object_set_new(o, "samples_per_step", gns_json_number(p->samples_per_step));
		json_object_set_new(o, "loss", gns_json_number(p->loss));
		json_object_set_new(o, "step_ms", gns_json_number(p->step_ms));
		json_object_set_new(o, "overhead_ms", gns_json_number(p->overhead_ms));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *losses(const struct gns_report_run *run)
{
	json_t *list = json_array();
	for (size_t i = 0; i < run->n_losses; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "step", gns_json_number(run->losses[i].step));
		json_object_set_new(o, "loss", gns_json_number(run->losses[i].loss));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *recent(const struct gns_report_run *run)
{
	json_t *list = json_array();
	for (size_t i = 0; i < run->n_live; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "half_life", gns_json_number(run->live[i].half_life));
		json_object_set_new(o, "step", json_integer(run->live[i].step));
		gns_ratio_json(o, "b_noise", &run->live[i].b_noise);
		json_object_set_new(o, "resolved", json_boolean(run->live[i].b_noise.resolved));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *settings(const struct gns_report_run *run)
{
	json_t *list = json_array();
	for (size_t i = 0; i < run->n_settings; i++) {
		const struct gns_setting_row *s = &run->settings[i];
		json_t *o = json_object();
		json_object_set_new(o, "name", gns_json_text(s->name));
		json_object_set_new(o, "step", json_integer(s->step));
		json_object_set_new(o, "value", isnan(s->value) ? gns_json_text(s->text) : gns_json_number(s->value));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *events(const struct gns_report_run *run)
{
	json_t *list = json_array();
	for (size_t i = 0; i < run->n_events; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "step", gns_json_count(run->events[i].step));
		json_object_set_new(o, "name", gns_json_text(run->events[i].name));
		json_object_set_new(o, "text", gns_json_text(run->events[i].text));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *queries(const struct gns_report_run *run)
{
	char sql[GNS_SQL_SIZE];
	json_t *o = json_object();
	for (int f = 0; f < GNS_FIGURES && run->width > 0; f++)
		json_object_set_new(o, gns_figure_names[f], json_string(gns_figure_sql(sql, sizeof sql, (enum gns_figure)f, run)));
	if (run->n_kernels > 0)
		json_object_set_new(o, "kernels", json_string(gns_kernels_sql(sql, sizeof sql, run)));
	if (run->gpu.n_devices > 0)
		json_object_set_new(o, "devices", json_string(gns_devices_sql(sql, sizeof sql, run)));
	if (run->gpu.n_kernels > 0)
		json_object_set_new(o, "device_kernels", json_string(gns_device_kernels_sql(sql, sizeof sql, run)));
	return o;
}

static json_t *run_json(const struct gns_report_run *run)
{
	json_t *o = gns_run_json(&run->summary);
	json_object_set_new(o, "layers", gns_layers_json(run->layers, run->n_layers));
	json_object_set_new(o, "verdict_text", gns_json_text(run->verdict));
	json_object_set_new(o, "recent", recent(run));
	json_object_set_new(o, "series", series(run));
	json_object_set_new(o, "losses", losses(run));
	json_object_set_new(o, "split", gns_split_json(&run->split));
	json_object_set_new(o, "kernels", gns_kernels_json(run->kernels, run->n_kernels));
	gns_gpu_json(o, &run->gpu);
	json_object_set_new(o, "settings", settings(run));
	json_object_set_new(o, "events", events(run));
	json_object_set_new(o, "sql", queries(run));
	return o;
}

json_t *gns_report_json(const struct gns_report *report, const struct gns_report_sweep *sweep)
{
	json_t *o = json_object(), *runs = json_array();
	json_object_set_new(o, "gnscope_report", json_integer(1));
	json_object_set_new(o, "version", json_string(GNS_VERSION));
	for (size_t i = 0; i < report->n; i++)
		json_array_append_new(runs, run_json(&report->run[i]));
	json_object_set_new(o, "runs", runs);
	if (sweep)
		json_object_set_new(o, "sweep", gns_report_sweep_json(sweep));
	return o;
}
