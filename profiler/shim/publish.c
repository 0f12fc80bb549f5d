/* From the shim's state to records in the ring. */
#include "publish.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "spawn.h"

#define STAGE_MAX (GNS_RING_RECORDS / 2)
#define COUNTERS_EVERY_NS 1000000000u
#define SILENT_NS 10000000000u
#define SPAWNS_MAX 3

bool gns_publish_init(struct gns_publish *p)
{
	memset(p, 0, sizeof *p);
	p->hello = true;
	p->stage = gns_pages(STAGE_MAX * sizeof *p->stage);
	return p->stage != NULL;
}

void gns_publish_free(struct gns_publish *p)
{
	gns_pages_free(p->stage, STAGE_MAX * sizeof *p->stage);
	memset(p, 0, sizeof *p);
}

/* Beyond the limit on file sizes the kernel would not only refuse a ring, it would kill the trainer (SIGXFSZ). */
static bool room_for_rings(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur > (rlim_t)(GNS_RING_RECORDS + 64) * sizeof(struct gns_record);
}

bool gns_publish_open(struct gns_publish *p, const struct gns_config *config)
{
	if (p->link != GNS_LINK_NONE)
		return p->link == GNS_LINK_OPEN;
	if (!p->session_name[0]) {
		if (config->session)
			snprintf(p->session_name, sizeof p->session_name, "%s", config->session);
		else
			gns_config_session_name(p->session_name, sizeof p->session_name);
	}
	if (!room_for_rings()) {
		p->link = GNS_LINK_OFF;
		return false;
	}
	if (!p->session) {
		int rc = gns_session_attach(p->session_name, &p->session);
		if (rc == -ENOENT && !config->session) {
			rc = gns_session_create(p->session_name, &p->session);
			p->ours = rc == 0;
			if (rc == -EEXIST)
				rc = -EAGAIN;
		}
		if (rc == -EAGAIN)
			return false;
		if (rc) {
			p->link = GNS_LINK_OFF;
			return false;
		}
		if (p->ours && gns_spawn_recorder(p->session_name) != 0) {
			/* Nobody would ever read: leave nothing behind. */
			gns_session_unlink(p->session_name);
			gns_session_detach(p->session);
			p->session = NULL;
			p->link = GNS_LINK_OFF;
			return false;
		}
	}
	p->link = gns_ring_claim(p->session_name, p->session, &p->ring) == 0 ? GNS_LINK_OPEN : GNS_LINK_OFF;
	return p->link == GNS_LINK_OPEN;
}

uint32_t gns_publish_control(const struct gns_publish *p)
{
	return p->session ? atomic_load_explicit(&p->session->control, memory_order_relaxed) : 0;
}

void gns_publish_revive(struct gns_publish *p)
{
	if (!p->ours || p->spawns >= SPAWNS_MAX || p->link != GNS_LINK_OPEN)
		return;
	uint64_t beat = atomic_load(&p->session->heartbeat_ns), now = gns_now();
	if (beat && now > beat && now - beat > SILENT_NS * (p->spawns + 1)) {
		p->spawns++;
		gns_spawn_recorder(p->session_name);
	}
}

void gns_publish_event(struct gns_publish *p, uint64_t step, const char *name, const char *text)
{
	if (p->n_events == GNS_EVENTS_MAX)
		return;
	p->event[p->n_events].step = step;
	snprintf(p->event[p->n_events].name, sizeof p->event->name, "%s", name);
	snprintf(p->event[p->n_events++].text, sizeof p->event->text, "%s", text);
}

void gns_publish_loss(struct gns_publish *p, uint64_t step, double loss)
{
	if (p->n_losses < GNS_LOSSES_MAX) {
		p->loss[p->n_losses].step = step;
		p->loss[p->n_losses++].loss = loss;
	}
}

static struct gns_record *stage(struct gns_publish *p, uint16_t kind)
{
	if (p->staged == STAGE_MAX)
		p->staged--; /* cannot be: the tables are smaller; better a lost record than a stray write */
	struct gns_record *r = &p->stage[p->staged++];
	memset(r, 0, sizeof *r);
	r->kind = kind;
	r->version = GNS_RECORD_VERSION;
	return r;
}

/* Record strings are filled without a terminator when full; readers know. */
static void copy_text(char *dst, size_t size, const char *src)
{
	size_t n = strnlen(src, size);
	memcpy(dst, src, n);
	memset(dst + n, 0, size - n);
}

static void stage_proc(struct gns_publish *p, const struct gns_config *config, uint64_t samples)
{
	struct gns_rec_proc *r = &stage(p, GNS_REC_PROC)->u.proc;
	r->pid = (uint32_t)getpid();
	r->rank = config->rank;
	r->world = config->world;
	r->unit = samples ? GNS_UNIT_SAMPLES : GNS_UNIT_ROWS;
	r->samples = (uint32_t)samples;
	r->every = config->every;
	r->budget_pct = config->every ? (double)NAN : config->budget_pct;
	r->start_ns = gns_realtime();
	gethostname(r->host, sizeof r->host);
}

static void stage_param(struct gns_publish *p, const struct gns_param_sum *param, uint32_t id)
{
	struct gns_rec_param *r = &stage(p, GNS_REC_PARAM)->u.param;
	char name[24];
	snprintf(name, sizeof name, "mat%u", id);
	r->param_id = id;
	r->dtype = param->key.dtype;
	r->rows = param->key.slow_n;
	r->cols = param->key.fast_n;
	r->excluded = param->excluded;
	copy_text(r->name, sizeof r->name, param->name[0] ? param->name : name);
}

static uint32_t stage_params(struct gns_publish *p, struct gns_measure *m, uint64_t step)
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
			gns_publish_event(p, step, "tied_weight", text);
		}
		measured += param->micro && !param->excluded;
	}
	return measured;
}

static void stage_grads(struct gns_publish *p, const struct gns_measure *m, uint64_t step)
{
	for (uint32_t id = 1; id <= m->n_params; id++) {
		const struct gns_param_sum *param = &m->param[id - 1];
		if (!param->micro || param->excluded)
			continue;
		struct gns_rec_grad *r = &stage(p, GNS_REC_GRAD)->u.grad;
		r->step = step;
		r->param_id = id;
		r->source = GNS_SOURCE_GEMM;
		r->n_small = 1;
		r->n_big = param->n;
		r->groups = param->n * param->micro;
		r->q_small = param->q_small / param->micro;
		r->q_big = param->q_big / param->micro;
	}
}

static void stage_kernels(struct gns_publish *p, struct gns_kernels *kernels, uint64_t step)
{
	for (uint32_t i = 0; i < kernels->n; i++) {
		struct gns_kernel *k = &kernels->row[i];
		if (!k->told && k->calls) {
			struct gns_rec_kernel *r = &stage(p, GNS_REC_KERNEL)->u.kernel;
			r->kernel_id = i + 1;
			copy_text(r->family, sizeof r->family, gns_role_family(k->role));
			snprintf(r->name, sizeof r->name, "%s %s %ux%ux%u", k->api, k->form, k->m, k->n, k->k);
		}
		if (k->calls) {
			struct gns_rec_kernel_step *r = &stage(p, GNS_REC_KERNEL_STEP)->u.kernel_step;
			*r = (struct gns_rec_kernel_step){ .step = step, .kernel_id = i + 1, .calls = k->calls, .total_ns = k->total_ns,
							   .max_ns = k->max_ns, .flops = k->flops };
		}
	}
}

bool gns_publish_counters_due(const struct gns_publish *p)
{
	return gns_now() - p->counters_ns >= COUNTERS_EVERY_NS;
}

static void stage_counters(struct gns_publish *p, const struct gns_counter *counters, size_t n)
{
	if (n)
		p->counters_ns = gns_now();
	for (size_t i = 0; i < n && i < GNS_COUNTERS_MAX; i++) {
		if (p->counter[i].ever ? p->counter[i].sent == counters[i].value : !counters[i].value)
			continue;
		p->counter[i].ever = true;
		p->counter[i].sent = counters[i].value;
		struct gns_rec_counter *r = &stage(p, GNS_REC_COUNTER)->u.counter;
		r->value = counters[i].value;
		copy_text(r->collector, sizeof r->collector, counters[i].collector);
		copy_text(r->name, sizeof r->name, counters[i].name);
		copy_text(r->text, sizeof r->text, counters[i].text);
	}
}

static void stage_notes(struct gns_publish *p)
{
	for (uint32_t i = 0; i < p->n_losses; i++) {
		struct gns_rec_loss *r = &stage(p, GNS_REC_LOSS)->u.loss;
		r->step = p->loss[i].step;
		r->loss = p->loss[i].loss;
	}
	for (uint32_t i = 0; i < p->n_events; i++) {
		struct gns_rec_event *r = &stage(p, GNS_REC_EVENT)->u.event;
		r->time_ns = gns_realtime();
		r->step = p->event[i].step;
		copy_text(r->name, sizeof r->name, p->event[i].name);
		copy_text(r->text, sizeof r->text, p->event[i].text);
	}
}

static bool deliver(struct gns_publish *p, uint32_t steps)
{
	bool sent = gns_ring_reserve(&p->ring, p->staged);
	if (sent) {
		for (uint32_t i = 0; i < p->staged; i++)
			*gns_ring_at(&p->ring, i) = p->stage[i];
		gns_ring_publish(&p->ring, p->staged);
	} else {
		gns_ring_drop(&p->ring, p->staged, steps);
	}
	p->staged = 0;
	return sent;
}

bool gns_publish_step(struct gns_publish *p, const struct gns_config *config, const struct gns_step_report *report, struct gns_measure *m,
		      struct gns_kernels *kernels, const struct gns_counter *counters, size_t n_counters)
{
	uint32_t measured = 0, micro = 1;
	if (p->link != GNS_LINK_OPEN)
		return false;
	if (p->hello)
		stage_proc(p, config, m->samples);
	if (report->flags & GNS_STEP_MEASURED) {
		measured = stage_params(p, m, report->step);
		stage_grads(p, m, report->step);
		stage_kernels(p, kernels, report->step);
	}
	stage_counters(p, counters, n_counters);
	stage_notes(p);
	for (uint32_t id = 1; id <= m->n_params; id++)
		if (m->param[id - 1].micro > micro)
			micro = m->param[id - 1].micro;
	struct gns_rec_step *r = &stage(p, GNS_REC_STEP)->u.step;
	*r = (struct gns_rec_step){ .step = report->step, .start_ns = report->start_ns, .dur_ns = report->dur_ns,
				    .overhead_ns = report->overhead_ns, .samples = m->samples ? m->n * micro : 0, .rows = m->rows,
				    .micro_steps = micro, .flags = report->flags, .params = measured, .every = report->every, .lr = NAN };
	if (!deliver(p, 1))
		return false;
	p->hello = false;
	p->n_events = p->n_losses = 0;
	if (report->flags & GNS_STEP_MEASURED) {
		for (uint32_t id = 1; id <= m->n_params; id++) {
			m->param[id - 1].told |= m->param[id - 1].known;
			m->param[id - 1].newly_excluded = false;
		}
		for (uint32_t i = 0; i < kernels->n; i++)
			kernels->row[i].told |= kernels->row[i].calls > 0;
	}
	return true;
}

void gns_publish_rest(struct gns_publish *p, const struct gns_config *config, const struct gns_counter *counters, size_t n_counters)
{
	if (p->link != GNS_LINK_OPEN)
		return;
	if (p->hello)
		stage_proc(p, config, 0);
	stage_counters(p, counters, n_counters);
	stage_notes(p);
	deliver(p, 0);
	p->n_events = p->n_losses = 0;
}
