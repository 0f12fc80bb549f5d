/* Turns the sums of weight-gradient GEMMs into the records of a step. */
#include "product_records.h"

#include <math.h>
#include <stdio.h>

#include "product_sums_device.h"
#include "step_hooks.h"

static void stage_param(struct gns_publish *p, const struct gns_param_sum *param, uint32_t id)
{
	struct gns_rec_param *r = &gns_publish_stage(p, GNS_REC_PARAM, 0)->u.param;
	char name[24];
	snprintf(name, sizeof name, "mat%u", id);
	r->param_id = id;
	r->dtype = param->key.dtype;
	r->rows = param->key.slow_n;
	r->cols = param->key.fast_n;
	r->excluded = param->excluded;
	gns_publish_text(r->name, sizeof r->name, param->name[0] ? param->name : name);
}

static uint32_t stage_params(struct gns_publish *p, struct gns_product_sums *m, uint64_t step)
{
	uint32_t measured = 0;
	for (uint32_t id = 1; id <= m->n_params; id++) {
		struct gns_param_sum *param = &m->param[id - 1];
		if (!param->known)
			continue;
		if (!param->told || param->newly_excluded)
			stage_param(p, param, id);
		if (param->newly_excluded) {
			char text[72];
			snprintf(text, sizeof text, "weight %u (%zu x %zu) is used more than once a pass: left out", id,
				 param->key.slow_n, param->key.fast_n);
			gns_publish_event(p, 0, step, "tied_weight", text);
		}
		measured += param->micro && !param->excluded;
	}
	return measured;
}

static void stage_grads(struct gns_publish *p, const struct gns_product_sums *m, uint64_t step)
{
	for (uint32_t id = 1; id <= m->n_params; id++) {
		const struct gns_param_sum *param = &m->param[id - 1];
		if (!param->micro || param->excluded)
			continue;
		struct gns_record *staged = gns_publish_stage(p, GNS_REC_GRAD, 0);
		struct gns_rec_grad *r = &staged->u.grad;
		r->step = step;
		r->param_id = id;
		r->source = GNS_SOURCE_GEMM;
		r->n_small = 1;
		r->n_big = param->n;
		r->groups = param->n * param->micro;
		r->q_small = param->q_small / param->micro;
		r->q_big = param->q_big / param->micro;
		if (m->deferred)
			gns_product_sums_device_name(m->deferred, p, staged, m);
	}
}

static uint32_t micro_steps(const struct gns_product_sums *m)
{
	uint32_t most = 1;
	for (uint32_t id = 1; id <= m->n_params; id++)
		if (m->param[id - 1].micro > most)
			most = m->param[id - 1].micro;
	return most;
}

bool gns_publish_step(struct gns_publish *p, const struct gns_config *config, const struct gns_step_report *report,
		      struct gns_product_sums *m,
		      struct gns_kernels *kernels, const struct gns_counter *counters, size_t n_counters)
{
	bool chosen = report->flags & (GNS_STEP_MEASURED | GNS_STEP_REFUSED);
	uint32_t measured = 0, micro = chosen ? micro_steps(m) : 1;
	if (p->link != GNS_LINK_OPEN)
		return false;
	gns_publish_proc(p, config, m->samples, m->samples ? GNS_UNIT_SAMPLES : GNS_UNIT_ROWS);
	if (report->flags & GNS_STEP_MEASURED) {
		measured = stage_params(p, m, report->step);
		stage_grads(p, m, report->step);
		gns_publish_kernels(p, kernels, report->step);
	}
	uint32_t reduced = gns_hooks_stage(p, &(struct gns_step_facts){
		.step = report->step, .n = (m->n ? m->n : m->samples) * micro, .micro = micro, .scale = 1 });
	gns_publish_counters(p, counters, n_counters);
	gns_publish_notes(p);
	struct gns_rec_step *r = &gns_publish_stage(p, GNS_REC_STEP, 0)->u.step;
	*r = (struct gns_rec_step){ .step = report->step, .start_ns = report->start_ns, .dur_ns = report->dur_ns,
				    .overhead_ns = report->overhead_ns, .samples = m->samples ? m->n * micro
						   : 0, .rows = m->rows,
				    .micro_steps = micro, .flags = reduced
						   ? gns_publish_outcome(report->flags, GNS_STEP_MEASURED)
						   : report->flags,
				    .params = measured + reduced, .every = report->every, .lr = NAN };
	if (m->deferred && chosen)
		gns_product_sums_device_hand_over(m->deferred, p);
	bool sent = gns_publish_send(p, 1);
	gns_hooks_sent(sent);
	if (!sent)
		return false;
	if (report->flags & GNS_STEP_MEASURED) {
		for (uint32_t id = 1; id <= m->n_params; id++) {
			m->param[id - 1].told |= m->param[id - 1].known;
			m->param[id - 1].newly_excluded = false;
		}
		gns_kernels_told(kernels);
	}
	return true;
}

