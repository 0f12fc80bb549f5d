/* The keys of DESIGN.md, in their order. */
#include "profiler/cli/run_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/json.h"

static json_t *json_sources(const char *joined)
{
	char copy[64];
	json_t *list = json_array();
	snprintf(copy, sizeof copy, "%s", joined);
	for (char *rest = copy, *word; (word = strsep(&rest, ","));)
		if (*word)
			json_array_append_new(list, gns_json_text(word));
	return list;
}

static json_t *json_warnings(const struct gns_summary *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_warnings; i++) {
		json_t *warning = json_object();
		json_object_set_new(warning, "name", gns_json_text(s->warnings[i].name));
		json_object_set_new(warning, "text", gns_json_text(s->warnings[i].text));
		json_array_append_new(list, warning);
	}
	return list;
}

void gns_ratio_json(json_t *o, const char *name, const struct gns_ratio *ratio)
{
	gns_json_limits(o, name, ratio->resolved ? ratio->value : NAN, ratio->lo, ratio->hi);
}

static json_t *word_or_null(const char *word)
{
	return word[0] ? json_string(word) : json_null();
}

json_t *gns_run_json(const struct gns_summary *s)
{
	json_t *o = json_object();
	char text[GNS_VERDICT_SIZE];
	json_object_set_new(o, "run", json_integer(s->run.run_id));
	json_object_set_new(o, "name", gns_json_text(s->run.name));
	json_object_set_new(o, "command", gns_json_text(s->run.command));
	json_object_set_new(o, "status", gns_json_text(s->run.status));
	json_object_set_new(o, "steps", gns_json_count(s->run.steps));
	json_object_set_new(o, "steps_measured", gns_json_count(s->measured));
	json_object_set_new(o, "samples_per_step", gns_json_number(s->samples_per_step));
	json_object_set_new(o, "sample_unit", gns_json_text(s->sample_unit));
	json_object_set_new(o, "sources", json_sources(s->sources));
	json_object_set_new(o, "coverage", gns_json_number(s->coverage));
	gns_ratio_json(o, "b_noise", &s->b_noise);
	json_object_set_new(o, "resolved", json_boolean(s->b_noise.resolved));
	json_object_set_new(o, "s", gns_json_number(s->mv.s));
	json_object_set_new(o, "g2", gns_json_number(s->mv.g2));
	gns_ratio_json(o, "b_crit", &s->b_crit);
	json_object_set_new(o, "step_ms", gns_json_number(s->step_ms));
	json_object_set_new(o, "overhead_pct", gns_json_number(s->overhead_pct));
	json_object_set_new(o, "startup_ms", gns_json_number(s->startup_ms > 0 ? s->startup_ms : (double)NAN));
	json_object_set_new(o, "dropped", gns_json_count(s->dropped));
	json_object_set_new(o, "optimizer", gns_json_text(s->optimizer));
	json_object_set_new(o, "lr", gns_json_number(s->lr));
	json_object_set_new(o, "loss", gns_json_number(s->loss));
	json_object_set_new(o, "verdict", word_or_null(gns_batch_verdict_names[gns_verdict_of(s)]));
	json_object_set_new(o, "verdict_text", gns_json_text(gns_text_verdict(text, sizeof text, s, NULL)));
	json_object_set_new(o, "trend", word_or_null(gns_direction_names[s->trend.direction]));
	json_object_set_new(o, "warnings", json_warnings(s));
	return o;
}

json_t *gns_phases_json(const struct gns_split *split)
{
	json_t *list = json_array();
	for (size_t i = 0; i < split->n_phases; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "name", gns_json_text(split->phase[i].name));
		json_object_set_new(o, "ms", gns_json_number(split->phase[i].ms));
		json_object_set_new(o, "products_ms", gns_json_number(split->phase[i].products_ms));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *gns_split_json(const struct gns_split *split)
{
	if (!(split->steps > 0))
		return json_null();
	json_t *o = json_object(), *families = json_array();
	json_object_set_new(o, "steps", gns_json_number(split->steps));
	json_object_set_new(o, "measured_step_ms", gns_json_number(split->step_ms));
	json_object_set_new(o, "gnscope_ms", gns_json_number(split->gnscope_ms));
	for (size_t i = 0; i < split->n_families; i++) {
		json_t *family = json_object();
		json_object_set_new(family, "name", gns_json_text(split->family[i].name));
		json_object_set_new(family, "ms", gns_json_number(split->family[i].ms));
		json_array_append_new(families, family);
	}
	json_object_set_new(o, "families", families);
	json_object_set_new(o, "phases", gns_phases_json(split));
	return o;
}

/* "64x3x7x7" as [64, 3, 7, 7] */
static json_t *json_shape(const char *shape)
{
	json_t *list = json_array();
	for (char *end; *shape >= '0' && *shape <= '9'; shape = end + (*end == 'x'))
		json_array_append_new(list, json_integer(strtoll(shape, &end, 10)));
	return list;
}

json_t *gns_layers_json(const struct gns_layer *layers, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct gns_layer *l = &layers[i];
		json_t *o = json_object();
		json_object_set_new(o, "name", gns_json_text(l->name));
		json_object_set_new(o, "shape", json_shape(l->shape));
		json_object_set_new(o, "numel", gns_json_count(l->numel));
		json_object_set_new(o, "q_small", gns_json_number(l->q_small));
		json_object_set_new(o, "q_big", gns_json_number(l->q_big));
		json_object_set_new(o, "s", gns_json_number(l->s));
		json_object_set_new(o, "g2", gns_json_number(l->g2));
		gns_ratio_json(o, "b_noise", &l->b_noise);
		json_object_set_new(o, "resolved", json_boolean(l->b_noise.resolved));
		json_object_set_new(o, "share_s", gns_json_number(l->share_s));
		json_object_set_new(o, "share_g2", gns_json_number(l->share_g2));
		json_object_set_new(o, "source", gns_json_text(l->source));
		json_object_set_new(o, "excluded", json_boolean(l->excluded));
		json_object_set_new(o, "left_out", gns_json_text(l->left_out));
		json_array_append_new(list, o);
	}
	return list;
}
