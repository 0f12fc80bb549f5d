/* The observations and the fit are those of `gnscope fit`. */
#include "profiler/cli/report_sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/sweep.h"
#include "gnscope/text.h"
#include "profiler/cli/json.h"
#include "profiler/cli/points.h"

static void why_not(struct gns_report_sweep *out)
{
	char target[48];
	gns_text_number(target, sizeof target, out->target);
	if (out->n == 0)
		snprintf(out->why, sizeof out->why, "B_crit is not measured: no run of the sweep is done yet");
	else if (out->fit.runs > 0 && out->fit.censored == out->fit.runs)
		snprintf(out->why, sizeof out->why, "B_crit is not measured: none of %zu runs reached the loss %s", out->fit.runs, target);
	else
		snprintf(out->why, sizeof out->why, "B_crit is not measured: the loss %s was reached at one batch size only", target);
}

static int take_notes(struct gns_report_sweep *out, const struct gns_notes *notes)
{
	out->notes = calloc(notes->n + 1, sizeof *out->notes);
	for (size_t i = 0; out->notes && i < notes->n; i++) {
		snprintf(out->notes[i].name, sizeof out->notes[i].name, "%s", notes->note[i].name);
		snprintf(out->notes[i].text, sizeof out->notes[i].text, "%s", notes->note[i].text);
		out->n_notes++;
	}
	return out->notes ? 0 : -ENOMEM;
}

static int fit(struct gns_report_sweep *out)
{
	out->table = calloc(out->n + 1, sizeof *out->table);
	out->taken = calloc(out->n + 1, sizeof *out->taken);
	if (!out->table || !out->taken)
		return -ENOMEM;
	int rc = gns_fit_hyperbola(out->points, out->n, &out->fit, out->table, &out->n_table, out->taken);
	out->fitted = rc == 0;
	if (rc == -ENOMEM)
		return rc;
	if (rc != 0) {
		why_not(out);
		for (size_t i = 0; i < out->n; i++)
			out->taken[i] = true;
	}
	return 0;
}

int gns_report_sweep_read(struct gns_store *store, const char *ref, struct gns_report_sweep *out, struct gns_error *err)
{
	struct gns_sweep sweep;
	struct gns_points points;
	*out = (struct gns_report_sweep){0};
	int rc = gns_store_find_sweep(store, ref, &sweep, err);
	if (rc == 0)
		rc = gns_points_of_sweep(store, ref, &points, err);
	if (rc != 0)
		return rc;
	out->there = true;
	out->sweep_id = sweep.sweep_id;
	out->target = points.target;
	snprintf(out->name, sizeof out->name, "%s", sweep.name);
	snprintf(out->unit, sizeof out->unit, "%s", points.unit);
	out->points = points.point;
	out->n = points.n;
	points.point = NULL;
	rc = take_notes(out, &points.notes);
	if (rc == 0)
		rc = fit(out);
	gns_points_free(&points);
	if (rc != 0) {
		gns_report_sweep_free(out);
		return gns_fail(err, rc, "no memory left");
	}
	return 0;
}

static void set_interval(json_t *o, const char *name, struct gns_interval i)
{
	gns_json_limits(o, name, i.value, i.lo, i.hi);
}

json_t *gns_report_sweep_json(const struct gns_report_sweep *s)
{
	static const struct gns_interval none = {NAN, NAN, NAN};
	char sql[GNS_SQL_SIZE];
	json_t *o = json_object(), *runs = json_array();
	json_object_set_new(o, "sweep", json_integer(s->sweep_id));
	json_object_set_new(o, "name", gns_json_text(s->name));
	json_object_set_new(o, "target_loss", gns_json_number(s->target));
	set_interval(o, "s_min", s->fitted ? s->fit.s_min : none);
	set_interval(o, "e_min", s->fitted ? s->fit.e_min : none);
	set_interval(o, "b_crit", s->fitted ? s->fit.b_crit : none);
	for (size_t i = 0; i < s->n; i++) {
		json_t *run = json_object();
		json_object_set_new(run, "batch", gns_json_number(s->points[i].batch));
		json_object_set_new(run, "lr", gns_json_number(s->points[i].lr));
		json_object_set_new(run, "steps", gns_json_number(s->points[i].steps));
		json_object_set_new(run, "censored", json_boolean(s->points[i].censored));
		json_object_set_new(run, "taken", json_boolean(s->taken[i]));
		json_array_append_new(runs, run);
	}
	json_object_set_new(o, "runs", runs);
	json_object_set_new(o, "sql", json_string(gns_sweep_sql(sql, sizeof sql, s)));
	return o;
}
