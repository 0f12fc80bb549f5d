/* The session, the recorder, and sending staged records to the ring. */
#include "publish.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "libraries.h"
#include "profiler/shim/process/lock.h"
#include "profiler/shim/process/spawn.h"

#define STAGE_MAX (GNS_RING_RECORDS / 2)
#define COUNTERS_EVERY_NS 1000000000u
#define SILENT_NS 500000000u      /* a recorder beats every 60 ms, unless its disk keeps it */
#define WATCH_NS 500000000u
#define SUPERVISED_NS 4000000000u /* `gnscope run` starts another itself, if it is alive */
#define SPAWNS_MAX 100
#define ATTEMPTS 8                /* names of sessions that belong to somebody else */

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
	gns_deferred_free(p->deferred);
	memset(p, 0, sizeof *p);
}

/* Beyond RLIMIT_FSIZE the kernel would not only refuse a ring, it would kill the training program (SIGXFSZ). */
static bool room_for_rings(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	       limit.rlim_cur > (rlim_t)(GNS_RING_RECORDS + 64) * sizeof(struct gns_record);
}

static bool holds_rank(const struct gns_session *session, uint32_t rank)
{
	for (uint32_t i = 0; i < GNS_SLOTS; i++)
		if (atomic_load(&session->slot[i].state) != GNS_SLOT_FREE &&
		    atomic_load(&session->slot[i].rank) == rank)
			return true;
	return false;
}

/* Starts a recorder for a session that was just made. */
static int made(struct gns_publish *p)
{
	if (gns_spawn_recorder(p->session_name) == 0)
		return 0;
	/* No recorder would ever read the session: remove it. */
	gns_session_unlink(p->session_name);
	gns_session_detach(p->session);
	p->session = NULL;
	return -ECHILD;
}

/* Finds the session of `gnscope run` or of the job, or makes one for this process. -EAGAIN: try again. */
static int find_session(struct gns_publish *p, const struct gns_config *config)
{
	if (config->session) {
		snprintf(p->session_name, sizeof p->session_name, "%s", config->session);
		return gns_session_join(p->session_name, &p->session);
	}
	int rc = -EPROTO;
	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		gns_config_session_name(config, attempt, p->session_name, sizeof p->session_name);
		rc = gns_session_create(p->session_name, &p->session);
		if (rc == 0)
			return made(p);
		if (rc == -EEXIST && gns_config_is_job(config)) {
			rc = gns_session_join(p->session_name, &p->session);
			if (rc == 0 && !holds_rank(p->session, (uint32_t)config->rank + 1))
				return 0;
			/* If our rank is registered already, the session belongs to another start of the job. */
			if (rc == 0)
				gns_session_detach(p->session);
			p->session = NULL;
			if (rc == -EAGAIN || rc == -ENOENT)
				return -EAGAIN;
		} else if (rc != -EEXIST) {
			return rc;
		}
	}
	return rc == 0 ? -EEXIST : rc;
}

static bool open_link(struct gns_publish *p, const struct gns_config *config)
{
	bool room = room_for_rings();
	int rc = room || config->session ? 0 : -EFBIG;
	if (rc == 0 && !p->session)
		rc = find_session(p, config);
	if (rc == -EAGAIN)
		return false;
	if (rc == 0)
		rc = room ? gns_ring_claim(p->session_name, p->session, &p->ring) : -EFBIG;
	if (rc == 0) {
		atomic_store(&p->session->slot[p->ring.slot].rank, (uint32_t)config->rank + 1);
	} else if (p->session) {
		atomic_store(&p->session->join_limited, !room);
		atomic_store(&p->session->join_error, (uint32_t)-rc);
		atomic_fetch_add(&p->session->join_failed, 1);
	}
	p->watched_ns = gns_now();
	p->link = rc == 0 ? GNS_LINK_OPEN : GNS_LINK_OFF;
	return p->link == GNS_LINK_OPEN;
}

bool gns_publish_open(struct gns_publish *p, const struct gns_config *config)
{
	sigset_t before;
	if (p->link != GNS_LINK_NONE)
		return p->link == GNS_LINK_OPEN;
	gns_undisturbed_begin(&before);
	bool open = open_link(p, config);
	gns_undisturbed_end(&before);
	return open;
}

uint32_t gns_publish_control(const struct gns_publish *p)
{
	return p->session ? atomic_load_explicit(&p->session->control, memory_order_relaxed) : 0;
}

void gns_publish_revive(struct gns_publish *p, const struct gns_config *config, bool last)
{
	if (p->link != GNS_LINK_OPEN || p->spawns >= SPAWNS_MAX)
		return;
	uint64_t now = gns_now(), beat = atomic_load_explicit(&p->session->heartbeat_ns, memory_order_relaxed);
	uint64_t patience = config->session ? SUPERVISED_NS : SILENT_NS;
	bool silent = now > beat && now - beat > patience && now - p->watched_ns > WATCH_NS;
	/* `gnscope run` starts its first recorder itself, and ends with the last. */
	if (config->session ? last || !beat || !silent : !last && !silent)
		return;
	p->watched_ns = now;
	if (gns_session_recorded(p->session_name))
		return;
	sigset_t signals;
	p->spawns++;
	gns_undisturbed_begin(&signals);
	gns_spawn_recorder(p->session_name);
	gns_undisturbed_end(&signals);
}

bool gns_publish_event(struct gns_publish *p, uint32_t stream, uint64_t step, const char *name, const char *text)
{
	if (p->n_events == GNS_EVENTS_MAX)
		return false;
	p->event[p->n_events].stream = stream;
	p->event[p->n_events].step = step;
	snprintf(p->event[p->n_events].name, sizeof p->event->name, "%s", name);
	snprintf(p->event[p->n_events++].text, sizeof p->event->text, "%s", text);
	return true;
}

void gns_publish_loss(struct gns_publish *p, uint32_t stream, uint64_t step, double loss)
{
	if (p->n_losses < GNS_LOSSES_MAX) {
		p->loss[p->n_losses].stream = stream;
		p->loss[p->n_losses].step = step;
		p->loss[p->n_losses++].loss = loss;
	}
}

struct gns_record *gns_publish_stage(struct gns_publish *p, uint16_t kind, uint32_t stream)
{
	if (p->staged == STAGE_MAX)
		/* cannot happen, because the tables are smaller; a lost record is better than a write out of bounds */
		p->staged--;
	struct gns_record *r = &p->stage[p->staged++];
	memset(r, 0, sizeof *r);
	r->kind = kind;
	r->version = GNS_RECORD_VERSION;
	r->stream = stream;
	return r;
}

static void stage_proc(struct gns_publish *p, const struct gns_config *config, uint64_t samples, enum gns_unit unit)
{
	struct gns_rec_proc *r = &gns_publish_stage(p, GNS_REC_PROC, 0)->u.proc;
	r->pid = (uint32_t)getpid();
	r->rank = config->rank;
	r->world = config->world;
	r->unit = unit;
	r->samples = (uint32_t)samples;
	r->every = config->every;
	r->budget_pct = config->every ? (double)NAN : config->budget_pct;
	r->start_ns = gns_realtime();
	gethostname(r->host, sizeof r->host);
}

static void stage_libraries(struct gns_publish *p)
{
	uint32_t n = gns_library_count();
	for (uint32_t i = 0; i < n; i++) {
		const struct gns_rec_library *library = p->libraries_told >> i & 1 ? NULL : gns_library_at(i);
		if (!library)
			continue;
		gns_publish_stage(p, GNS_REC_LIBRARY, 0)->u.library = *library;
		p->libraries_staged |= 1u << i;
	}
}

void gns_publish_proc(struct gns_publish *p, const struct gns_config *config, uint64_t samples, enum gns_unit unit)
{
	if (p->hello)
		stage_proc(p, config, samples, unit);
	stage_libraries(p);
}

void gns_publish_kernels(struct gns_publish *p, const struct gns_kernels *kernels, uint64_t step)
{
	for (uint32_t i = 0; i < kernels->n; i++) {
		const struct gns_kernel *k = &kernels->row[i];
		if (!k->told && k->calls) {
			struct gns_rec_kernel *r = &gns_publish_stage(p, GNS_REC_KERNEL, 0)->u.kernel;
			r->kernel_id = i + 1;
			gns_publish_text(r->family, sizeof r->family, gns_family_name(k->family));
			if (k->family == GNS_FAMILY_PHASE)
				gns_publish_text(r->name, sizeof r->name, k->api);
			else
				snprintf(r->name, sizeof r->name, "%s %s %ux%ux%u", k->api, k->form, k->m, k->n, k->k);
		}
		if (k->calls) {
			struct gns_rec_kernel_step *r = &gns_publish_stage(p, GNS_REC_KERNEL_STEP, 0)->u.kernel_step;
			*r = (struct gns_rec_kernel_step){ .step = step, .kernel_id = i + 1, .calls = k->calls,
							   .total_ns = k->total_ns,
							   .max_ns = k->max_ns, .flops = k->flops };
		}
	}
}

bool gns_publish_counters_due(const struct gns_publish *p, uint64_t now)
{
	return now - p->counters_ns >= COUNTERS_EVERY_NS;
}

void gns_publish_counters(struct gns_publish *p, const struct gns_counter *counters, size_t n)
{
	if (n)
		p->counters_ns = gns_now();
	for (size_t i = 0; i < n && i < GNS_COUNTERS_MAX; i++) {
		if (p->counter[i].ever ? p->counter[i].sent == counters[i].value : !counters[i].value)
			continue;
		p->counter[i].ever = true;
		p->counter[i].sent = counters[i].value;
		struct gns_rec_counter *r = &gns_publish_stage(p, GNS_REC_COUNTER, 0)->u.counter;
		r->value = counters[i].value;
		gns_publish_text(r->collector, sizeof r->collector, counters[i].collector);
		gns_publish_text(r->name, sizeof r->name, counters[i].name);
		gns_publish_text(r->text, sizeof r->text, counters[i].text);
	}
}

void gns_publish_notes(struct gns_publish *p)
{
	for (uint32_t i = 0; i < p->n_losses; i++) {
		struct gns_rec_loss *r = &gns_publish_stage(p, GNS_REC_LOSS, p->loss[i].stream)->u.loss;
		r->step = p->loss[i].step;
		r->loss = p->loss[i].loss;
	}
	for (uint32_t i = 0; i < p->n_events; i++) {
		struct gns_rec_event *r = &gns_publish_stage(p, GNS_REC_EVENT, p->event[i].stream)->u.event;
		r->time_ns = gns_realtime();
		r->step = p->event[i].step;
		gns_publish_text(r->name, sizeof r->name, p->event[i].name);
		gns_publish_text(r->text, sizeof r->text, p->event[i].text);
	}
}

static bool send_now(struct gns_publish *p)
{
	if (!gns_ring_reserve(&p->ring, p->staged))
		return false;
	for (uint32_t i = 0; i < p->staged; i++)
		*gns_ring_at(&p->ring, i) = p->stage[i];
	gns_ring_publish(&p->ring, p->staged);
	return true;
}

bool gns_publish_send(struct gns_publish *p, uint32_t steps)
{
	enum gns_deferred_verdict deferred = p->deferred ? gns_deferred_push(p) : GNS_DEFERRED_PASS;
	bool sent = deferred == GNS_DEFERRED_PASS ? send_now(p) : deferred == GNS_DEFERRED_TAKEN;
	if (sent) {
		p->hello = false;
		p->libraries_told |= p->libraries_staged;
		p->n_events = p->n_losses = 0;
	} else {
		gns_ring_drop(&p->ring, p->staged, steps);
	}
	p->libraries_staged = 0;
	p->staged = 0;
	return sent;
}

void gns_publish_rest(struct gns_publish *p, const struct gns_config *config, uint64_t samples, enum gns_unit unit,
		      const struct gns_counter *counters, size_t n_counters)
{
	if (p->link != GNS_LINK_OPEN)
		return;
	gns_publish_proc(p, config, samples, unit);
	gns_publish_counters(p, counters, n_counters);
	gns_publish_notes(p);
	gns_publish_send(p, 0);
}
