/* Turns the layer sums of a step into records. */
#include "layer_records.h"

#include <stddef.h>
#include <string.h>

#include "step_hooks.h"

size_t gns_layer_sums_counters(const struct gns_layer_sums *sums, struct gns_counter *out)
{
	for (uint32_t i = 0; i < sums->n_counts; i++)
		out[i] = (struct gns_counter){ .collector = "torch", .name = sums->count[i].name,
					       .value = sums->count[i].value };
	return sums->n_counts;
}

static void stage_settings(struct gns_publish *p, const struct gns_layer_sums_stream *s, uint32_t stream)
{
	for (uint32_t i = 0; i < s->n_settings; i++) {
		const struct gns_layer_sums_setting *setting = &s->setting[i];
		if (setting->told)
			continue;
		struct gns_rec_setting *r = &gns_publish_stage(p, GNS_REC_SETTING, stream)->u.setting;
		r->step = setting->step;
		r->value = setting->value;
		gns_publish_text(r->name, sizeof r->name, setting->name);
		gns_publish_text(r->text, sizeof r->text, setting->text);
	}
}

static void stage_params(struct gns_publish *p, const struct gns_layer_sums *sums, uint32_t stream)
{
	for (uint32_t i = 0; i < sums->n_params; i++) {
		const struct gns_layer_sums_param *param = &sums->param[i];
		if (param->stream != stream || param->told)
			continue;
		struct gns_rec_param *r = &gns_publish_stage(p, GNS_REC_PARAM, stream)->u.param;
		r->param_id = sums->first_id + i;
		r->dtype = param->dtype;
		r->rows = param->rows;
		r->cols = param->cols;
		r->excluded = param->left_out;
		memcpy(r->dims, param->dims, sizeof r->dims);
		gns_publish_text(r->name, sizeof r->name, param->name);
	}
}

#define Q_SMALL offsetof(struct gns_record, u.grad.q_small)
#define Q_BIG offsetof(struct gns_record, u.grad.q_big)
#define LOSS offsetof(struct gns_record, u.loss.loss)

/* Adds the items of a parameter's deferred values, with the factors that the host's values have. */
static void name_grad(struct gns_publish *p, const struct gns_record *r, const struct gns_layer_sums_term *term,
		      double n, double scale)
{
	for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++) {
		const struct gns_layer_sums_term *t = &term[i];
		if (!t->live)
			continue;
		if (t->what == GNS_LAYER_SUMS_SUM)
			gns_publish_deferred(p, r, Q_SMALL, GNS_DEFERRED_ADD, t->set, t->slot, n / scale / scale);
		else if (t->what == GNS_LAYER_SUMS_BIG)
			gns_publish_deferred(p, r, Q_BIG, GNS_DEFERRED_ADD, t->set, t->slot, 1 / scale / scale);
		else if (t->what == GNS_LAYER_SUMS_ZERO)
			gns_publish_deferred(p, r, Q_BIG, GNS_DEFERRED_ZERO, t->set, t->slot, 0);
	}
}

/* The loss scale, if it is in device memory. Its items must come after all ADD items. */
static void name_scale(struct gns_publish *p, const struct gns_record *r, size_t offset,
		       const struct gns_layer_sums_stream *s, double power)
{
	for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++)
		if (s->term[i].live && s->term[i].what == GNS_LAYER_SUMS_SCALE)
			gns_publish_deferred(p, r, offset, GNS_DEFERRED_SCALE, s->term[i].set, s->term[i].slot, power);
}

static void stage_grads(struct gns_publish *p, const struct gns_layer_sums *sums, uint32_t stream,
			const struct gns_layer_sums_report *report)
{
	double scale = sums->stream[stream].scale;
	for (uint32_t i = 0; i < sums->n_params; i++) {
		const struct gns_layer_sums_param *param = &sums->param[i];
		if (param->stream != stream || param->left_out || !param->any_sum || !param->any_big)
			continue;
		struct gns_record *record = gns_publish_stage(p, GNS_REC_GRAD, stream);
		struct gns_rec_grad *r = &record->u.grad;
		r->step = report->step.step;
		r->param_id = sums->first_id + i;
		r->source = GNS_SOURCE_TORCH;
		r->n_small = 1;
		r->n_big = report->n * param->world;
		r->groups = report->n;
		r->q_small = (double)report->n * param->sum / scale / scale;
		r->q_big = param->q_big / scale / scale;
		name_grad(p, record, param->term, (double)report->n, scale);
		name_scale(p, record, Q_SMALL, &sums->stream[stream], -2);
		name_scale(p, record, Q_BIG, &sums->stream[stream], -2);
	}
}

static void stage_loss(struct gns_publish *p, const struct gns_layer_sums *sums, uint32_t stream, uint64_t step)
{
	const struct gns_layer_sums_stream *s = &sums->stream[stream];
	if (!s->any_loss || (stream == 0 && sums->losses_marked))
		return;
	struct gns_record *r = gns_publish_stage(p, GNS_REC_LOSS, stream);
	r->u.loss.step = step;
	r->u.loss.loss = s->loss;
	for (unsigned i = 0; i < GNS_LAYER_SUMS_TERMS; i++)
		if (s->term[i].live && s->term[i].what == GNS_LAYER_SUMS_LOSS)
			gns_publish_deferred(p, r, LOSS, GNS_DEFERRED_ADD, s->term[i].set, s->term[i].slot, 1);
	name_scale(p, r, LOSS, s, -1);
}

/* The queue of deferred steps owns the sets from now on. */
static void hand_over_sets(struct gns_publish *p, struct gns_layer_sums_stream *s)
{
	for (uint32_t i = 0; i < s->sets.n; i++)
		gns_publish_deferred_set(p, s->sets.of[i].set);
	s->sets.n = 0;
}

static uint64_t samples_of(const struct gns_layer_sums_report *report)
{
	return report->n ? report->n : report->samples * (report->micro_steps ? report->micro_steps : 1);
}

/* Records of the other sources, such as reductions over ranks. */
static uint32_t stage_reduced(struct gns_publish *p, const struct gns_layer_sums *sums, uint32_t stream,
			      const struct gns_layer_sums_report *report)
{
	const struct gns_layer_sums_stream *s = &sums->stream[stream];
	struct gns_step_facts of = { .step = report->step.step, .stream = stream, .n = samples_of(report),
				     .scale = s->scale,
					   .micro = report->micro_steps ? report->micro_steps : 1, .numel = s->numel };
	uint32_t n = gns_hooks_stage(p, &of);
	for (uint32_t i = 0; i < n; i++) {
		name_scale(p, &p->stage[p->staged - 1 - i], Q_SMALL, s, -2);
		name_scale(p, &p->stage[p->staged - 1 - i], Q_BIG, s, -2);
	}
	return n;
}

static void stage_step(struct gns_publish *p, uint32_t stream, const struct gns_layer_sums_report *report,
		       uint32_t reduced)
{
	uint32_t micro = report->micro_steps ? report->micro_steps : 1;
	uint64_t samples = samples_of(report);
	uint32_t flags = reduced ? gns_publish_outcome(report->step.flags, GNS_STEP_MEASURED) : report->step.flags;
	gns_publish_stage(p, GNS_REC_STEP, stream)->u.step = (struct gns_rec_step){
		.step = report->step.step, .start_ns = report->step.start_ns, .dur_ns = report->step.dur_ns,
		.overhead_ns = report->step.overhead_ns, .samples = samples, .micro_steps = micro, .flags = flags,
		.params = (report->step.flags & GNS_STEP_MEASURED ? report->measured : 0) + reduced,
		.every = report->step.every, .lr = report->lr, };
}

static void note_sent(struct gns_layer_sums *sums, uint32_t stream)
{
	struct gns_layer_sums_stream *s = &sums->stream[stream];
	for (uint32_t i = 0; s->settings_new && i < s->n_settings; i++)
		s->setting[i].told = true;
	s->settings_new = false;
	for (uint32_t i = 0; s->params_new && i < sums->n_params; i++)
		sums->param[i].told |= sums->param[i].stream == stream;
	s->params_new = false;
}

bool gns_publish_feed(struct gns_publish *p, const struct gns_config *config, struct gns_layer_sums *sums,
		      uint32_t stream,
		      const struct gns_layer_sums_report *report, struct gns_kernels *kernels, const struct gns_counter *counters, size_t n_counters)
{
	bool measured = report->step.flags & GNS_STEP_MEASURED;
	if (p->link != GNS_LINK_OPEN)
		return false;
	gns_publish_proc(p, config, report->samples, GNS_UNIT_SAMPLES);
	if (sums->stream[stream].settings_new)
		stage_settings(p, &sums->stream[stream], stream);
	if (sums->stream[stream].params_new)
		stage_params(p, sums, stream);
	if (measured)
		stage_grads(p, sums, stream, report);
	if (measured && stream == 0)
		gns_publish_kernels(p, kernels, report->step.step);
	uint32_t reduced = stage_reduced(p, sums, stream, report);
	gns_publish_counters(p, counters, n_counters);
	stage_loss(p, sums, stream, report->step.step);
	gns_publish_notes(p);
	stage_step(p, stream, report, reduced);
	hand_over_sets(p, &sums->stream[stream]);
	bool sent = gns_publish_send(p, 1);
	gns_hooks_sent(sent);
	if (!sent)
		return false;
	note_sent(sums, stream);
	if (measured && stream == 0)
		gns_kernels_told(kernels);
	return true;
}
