/* The records of what was measured before and after reductions over ranks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "profiler/shim/process/clock.h"
#include "profiler/shim/publish/deferred.h"
#include "reductions_state.h"
#include "state.h"

static const char *const kinds[] = { "allreduce", "reducescatter" };
static const char *const types[GNS_DTYPES] = { "", "f32", "f64", "f16", "bf16" };

static void stage_bucket(struct gns_publish *p, struct gns_reductions *r, uint32_t i, uint32_t stream)
{
	struct gns_reduction_bucket *b = &r->reduce.bucket[i];
	struct gns_rec_param *param = &gns_publish_stage(p, GNS_REC_PARAM, stream)->u.param;
	char name[80];
	snprintf(name, sizeof name, "%s %u (%llu x %s)", kinds[b->call.kind], i + 1, (unsigned long long)b->call.count,
		 types[b->call.dtype]);
	param->param_id = GNS_BUCKET_ID + i;
	param->dtype = b->call.dtype;
	param->rows = b->call.count;
	param->cols = 1;
	param->bucket = 1;
	gns_publish_text(param->name, sizeof param->name, name);
	b->told = b->new = true;
}

void gns_reductions_sent(bool sent)
{
	struct gns_reductions *r = gns_core.reductions;
	for (uint32_t i = 0; r && i < r->reduce.n_buckets; i++) {
		struct gns_reduction_bucket *b = &r->reduce.bucket[i];
		b->told &= sent || !b->new;
		b->new = false;
	}
}

/* True if some part of the gradient comes from a reduce-scatter. Then all GRAD records are
 * GNS_SOURCE_SHARD: q_big of an all-reduced part, which every rank has, is counted as if each rank had a shard of it. */
static bool scattered(const struct gns_reductions *r, const struct gns_reductions_step *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (r->reduce.bucket[m->entry[i].bucket].call.kind == GNS_REDUCE_SCATTER)
			return true;
	return false;
}

/* Averages over the tracks (devices of this process) that have the bucket. */
static void stage_grad(struct gns_publish *p, const struct gns_reductions *r, const struct gns_reductions_step *m,
		       struct gns_record *grad,
		       uint32_t bucket, double scale)
{
	const struct gns_reduction_bucket *b = &r->reduce.bucket[bucket];
	double each = 1 / (scale * scale * b->tracks);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct gns_reductions_entry *e = &m->entry[i];
		if (e->bucket != bucket)
			continue;
		gns_publish_deferred(p, grad, offsetof(struct gns_record, u.grad.q_small), GNS_DEFERRED_ADD,
				     m->set[e->track], e->slot, each);
		gns_publish_deferred(p, grad, offsetof(struct gns_record, u.grad.q_big), GNS_DEFERRED_ADD,
				     m->set[e->track], e->slot + 1,
				 gns_reduction_scale_big(b) * each);
	}
}

static bool first_of_bucket(const struct gns_reductions_step *m, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (m->entry[k].bucket == m->entry[i].bucket)
			return false;
	return true;
}

static void hand_over_sets(struct gns_publish *p, struct gns_reductions_step *m)
{
	for (uint32_t i = 0; i < GNS_REDUCE_TRACKS; i++)
		if (m->set[i]) {
			gns_set_finish(m->set[i]);
			gns_publish_deferred_set(p, m->set[i]);
			m->set[i] = NULL;
		}
}

/* PARAM records first: the hooks expect the GRAD records as the last that are staged. */
static void stage_buckets(struct gns_publish *p, struct gns_reductions *r, const struct gns_reductions_step *m,
			  uint32_t stream)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!r->reduce.bucket[m->entry[i].bucket].told)
			stage_bucket(p, r, m->entry[i].bucket, stream);
}

uint32_t gns_publish_rank_stage(struct gns_publish *p, struct gns_reductions *r, struct gns_reductions_step *m,
				const struct gns_step_facts *of)
{
	uint32_t source = scattered(r, m) ? GNS_SOURCE_SHARD : GNS_SOURCE_RANK, grads = 0;
	stage_buckets(p, r, m, of->stream);
	for (uint32_t i = 0; i < m->n; i++) {
		struct gns_reduction_bucket *b = &r->reduce.bucket[m->entry[i].bucket];
		if (!first_of_bucket(m, i))
			continue;
		uint64_t each = r->rank_batches ? 1 : of->n / b->tracks;
		struct gns_record *grad = gns_publish_stage(p, GNS_REC_GRAD, of->stream);
		grad->u.grad = (struct gns_rec_grad){ .step = m->step, .param_id = GNS_BUCKET_ID + m->entry[i].bucket,
						      .source = source,
						      .n_small = each, .n_big = each * b->world, .groups = b->tracks };
		stage_grad(p, r, m, grad, m->entry[i].bucket, of->scale);
		grads++;
	}
	hand_over_sets(p, m);
	return grads;
}

static uint32_t devices(const struct gns_reductions *r)
{
	uint32_t n = 1;
	for (uint32_t i = 0; i < r->reduce.n_buckets; i++)
		if (r->reduce.bucket[i].tracks > n)
			n = r->reduce.bucket[i].tracks;
	return n;
}

void gns_publish_rank_step(struct gns_publish *p, struct gns_reductions *r, const struct gns_step_report *report,
			   struct gns_reductions_step *m)
{
	struct gns_counter *list = gns_core.counter;
	if (!gns_publish_open(p, &gns_core.config))
		return;
	uint64_t samples = r->rank_batches ? devices(r) : gns_core.product_sums->samples;
	gns_publish_proc(p, &gns_core.config, r->rank_batches ? 0 : samples,
			 r->rank_batches ? GNS_UNIT_RANK_BATCHES : GNS_UNIT_SAMPLES);
	struct gns_step_facts of = { .step = report->step, .n = samples, .micro = 1, .scale = 1 };
	uint32_t grads = m ? gns_publish_rank_stage(p, r, m, &of) : 0;
	gns_publish_counters(p, list, gns_publish_counters_due(p, gns_now()) ? gns_step_boundary_counters(list) : 0);
	gns_publish_notes(p);
	gns_publish_stage(p, GNS_REC_STEP, 0)->u.step = (struct gns_rec_step){
		.step = report->step, .start_ns = report->start_ns, .dur_ns = report->dur_ns, .overhead_ns = report->overhead_ns,
		.samples = samples, .micro_steps = 1, .params = grads,
		.flags = grads ? gns_publish_outcome(report->flags, GNS_STEP_MEASURED) : report->flags,
		.every = report->every, .lr = NAN,
	};
	gns_reductions_sent(gns_publish_send(p, 1));
	gns_publish_revive(p, &gns_core.config, false);
}
