/* libcupti.so.13 on this processor: the activity API over what the fake libcuda runs, or over a timeline from a file.
 *
 * As the real one: one subscriber; an activity is recorded if its kind was enabled when it was launched; buffers are asked for on
 * whatever thread, and come back on a thread of this library's own; records without a buffer are dropped and counted; a buffer with a
 * kernel that still runs comes back by force alone, and the kernel then has no end. What no client may do ends the process with a
 * sentence on stderr.
 *
 *     GNS_FAKE_CUPTI_TAKEN=1     a tool holds CUPTI: nobody may subscribe
 *     GNS_FAKE_CUPTI_BUFFER=n    of every buffer only n bytes are used
 *     GNS_FAKE_CUPTI_RUNNING=1   one kernel of each buffer's is still running, until 0.3 s after kernels are no longer recorded
 *     GNS_FAKE_CUPTI_HOLD=n      a buffer comes back at the n-th flush only
 *     GNS_FAKE_CUPTI_SCRIPT=F    every step of every device is as F says, whatever is launched; gns_mark divides the steps.
 *                                Lines, times in ns since the step began, the steps of F over and over:
 *         step WALL                                   how long it takes, and where the next begins
 *         kernel START END QUEUED GRID BLOCK REGISTERS SHARED NAME      QUEUED relative as well, or - for none
 *         copy START END KIND | fill START END | overhead START END */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collectors/cupti/cupti_api.h"
#include "tests/fakes/cuda_fake.h"

#define KINDS 64
#define BUFFERS 64
#define MARK_NS 1000u
#define RUNS_ON_NS 300000000u
#define SCRIPT_MAX 512
#define SCRIPT_DEVICES 16
#define VERSION 130001u

struct line {
	uint32_t step; /* of the script, from 0 */
	uint64_t start, end, queued;
	uint32_t kind, grid, block, registers, shared;
	bool has_queued;
	char name[256];
};

struct buffer {
	uint8_t *data;
	size_t size, used, limit, most, records;
	uint32_t held; /* flushes that it has been kept for */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started, scripted;
	void *subscriber;
	gns_cupti_requested_fn requested;
	gns_cupti_completed_fn completed;
	uint64_t enabled_from[KINDS], enabled_to[KINDS]; /* ns; to 0: still */
	struct buffer current, full[BUFFERS];
	uint32_t n_full, completing; /* the worker is in a callback */
	const uint8_t *completing_data;
	uint64_t flushes_asked, flushes_done;
	uint32_t flush_flag;
	size_t dropped, buffer_limit;
	uint32_t hold;
	bool running, taken;
	struct line script[SCRIPT_MAX];
	uint64_t wall[SCRIPT_MAX];
	uint32_t n_script, n_steps;
	uint64_t clock[SCRIPT_DEVICES], at[SCRIPT_DEVICES]; /* of each device: where it is, in which step */
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static __thread bool in_callback;

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- the script ---- */

static void bad_script(const char *path, unsigned number)
{
	gns_fake_die("fake libcupti: %s, line %u is none of step, kernel, copy, fill, overhead", path, number);
}

static void read_script(const char *path)
{
	FILE *file = fopen(path, "r");
	char text[512];
	if (!file)
		gns_fake_die("fake libcupti: cannot read %s", path);
	for (unsigned number = 1; fgets(text, sizeof text, file); number++) {
		struct line *l = &fake.script[fake.n_script];
		char word[16] = "", queued[24] = "-";
		*l = (struct line){ .step = fake.n_steps ? fake.n_steps - 1 : 0 };
		text[strcspn(text, "\n")] = 0;
		if (sscanf(text, "%15s", word) != 1 || word[0] == '#')
			continue;
		if (fake.n_script == SCRIPT_MAX || fake.n_steps == SCRIPT_MAX)
			gns_fake_die("fake libcupti: %s is longer than %d lines", path, SCRIPT_MAX);
		if (strcmp(word, "step") == 0) {
			if (sscanf(text, "step %lu", &fake.wall[fake.n_steps++]) != 1)
				bad_script(path, number);
			continue;
		}
		if (!fake.n_steps)
			bad_script(path, number);
		if (strcmp(word, "kernel") == 0) {
			if (sscanf(text, "kernel %lu %lu %23s %u %u %u %u %255[^\n]", &l->start, &l->end, queued, &l->grid, &l->block,
				   &l->registers, &l->shared, l->name) != 8)
				bad_script(path, number);
			l->kind = GNS_CUPTI_CONCURRENT_KERNEL;
			l->has_queued = queued[0] != '-';
			l->queued = strtoull(queued, NULL, 10);
		} else if (sscanf(text, "copy %lu %lu %u", &l->start, &l->end, &l->grid) == 3) {
			l->kind = GNS_CUPTI_MEMCPY;
		} else if (sscanf(text, "fill %lu %lu", &l->start, &l->end) == 2) {
			l->kind = GNS_CUPTI_MEMSET;
		} else if (sscanf(text, "overhead %lu %lu", &l->start, &l->end) == 2) {
			l->kind = GNS_CUPTI_OVERHEAD;
		} else {
			bad_script(path, number);
		}
		fake.n_script++;
	}
	fclose(file);
	if (!fake.n_steps)
		gns_fake_die("fake libcupti: %s has no step", path);
}

/* ---- records and buffers; under the lock ---- */

static size_t size_of(uint32_t kind)
{
	switch (kind) {
	case GNS_CUPTI_CONCURRENT_KERNEL:
		return 232; /* more than our prefix, as a newer library's are */
	case GNS_CUPTI_MEMCPY:
	case GNS_CUPTI_MEMCPY2:
		return 104;
	case GNS_CUPTI_MEMSET:
		return 96;
	case GNS_CUPTI_OVERHEAD:
		return 64;
	}
	return 0;
}

static bool take_buffer(void)
{
	struct buffer b = { 0 };
	gns_cupti_requested_fn ask = fake.requested;
	if (!ask)
		return false;
	/* The client's lock may be held by who waits for ours: never call it under ours. */
	pthread_mutex_unlock(&fake.lock);
	in_callback = true;
	ask(&b.data, &b.size, &b.most);
	in_callback = false;
	pthread_mutex_lock(&fake.lock);
	if (!b.data || !b.size)
		return false;
	if ((uintptr_t)b.data % GNS_CUPTI_BUFFER_ALIGN)
		gns_fake_die("fake libcupti: a buffer at %p is not aligned to %u bytes", (void *)b.data, GNS_CUPTI_BUFFER_ALIGN);
	for (uint32_t i = 0; i <= fake.n_full; i++) {
		const struct buffer *other = i < fake.n_full ? &fake.full[i] : &fake.current;
		if (other->data && b.data < other->data + other->size && other->data < b.data + b.size)
			gns_fake_die("fake libcupti: the buffer at %p is in use already", (void *)b.data);
	}
	b.limit = fake.buffer_limit && fake.buffer_limit < b.size ? fake.buffer_limit : b.size;
	memset(b.data, 0, b.size);
	if (fake.current.data) { /* another thread was quicker */
		fake.full[fake.n_full++] = b;
		return true;
	}
	fake.current = b;
	return true;
}

static void *room_for(uint32_t kind)
{
	size_t size = size_of(kind);
	struct buffer *b = &fake.current;
	if (b->data && b->used + size > b->limit && fake.n_full < BUFFERS) {
		fake.full[fake.n_full++] = *b;
		*b = (struct buffer){ 0 };
		pthread_cond_broadcast(&fake.changed);
	}
	if (!b->data && !take_buffer())
		b->data = NULL;
	if (!b->data || b->used + size > b->limit || (b->most && b->records == b->most)) {
		fake.dropped++;
		return NULL;
	}
	void *record = b->data + b->used;
	b->used += size;
	b->records++;
	memcpy(record, &kind, sizeof kind);
	return record;
}

static bool was_enabled(uint32_t kind, uint64_t when)
{
	return fake.enabled_from[kind] && when >= fake.enabled_from[kind] && (!fake.enabled_to[kind] || when <= fake.enabled_to[kind]);
}

static void put_kernel(int device, const struct line *l, const char *name, uint64_t base)
{
	struct gns_cupti_kernel *k = room_for(GNS_CUPTI_CONCURRENT_KERNEL);
	if (!k)
		return;
	k->registers = (uint16_t)l->registers;
	k->start = base + l->start;
	k->end = k->completed = base + l->end;
	k->queued = l->has_queued ? base + l->queued : 0;
	k->device = (uint32_t)device;
	k->grid[0] = (int32_t)l->grid;
	k->block[0] = (int32_t)l->block;
	k->grid[1] = k->grid[2] = k->block[1] = k->block[2] = 1;
	k->dynamic_shared = (int32_t)l->shared;
	k->name = name;
}

static void put(int device, const struct line *l, const char *name, uint64_t base)
{
	if (l->kind == GNS_CUPTI_CONCURRENT_KERNEL) {
		put_kernel(device, l, name, base);
	} else if (l->kind == GNS_CUPTI_MEMCPY) {
		struct gns_cupti_memcpy *c = room_for(l->kind);
		if (c) {
			c->copy_kind = (uint8_t)l->grid;
			c->start = base + l->start;
			c->end = base + l->end;
			c->device = (uint32_t)device;
		}
	} else if (l->kind == GNS_CUPTI_MEMSET) {
		struct gns_cupti_memset *m = room_for(l->kind);
		if (m) {
			m->start = base + l->start;
			m->end = base + l->end;
			m->device = (uint32_t)device;
		}
	} else {
		struct gns_cupti_overhead *o = room_for(l->kind);
		if (o) {
			o->start = base + l->start;
			o->end = base + l->end;
		}
	}
}

/* ---- what the fake libcuda has run ---- */

/* A mark ends the script's step of its device. */
static void play(const struct gns_fake_activity *a)
{
	if (strcmp(a->name, "gns_mark") != 0 || a->device < 0 || a->device >= SCRIPT_DEVICES)
		return;
	uint64_t *clock = &fake.clock[a->device], *at = &fake.at[a->device];
	if (!*clock)
		*clock = a->start;
	for (uint32_t i = 0; i < fake.n_script; i++)
		if (fake.script[i].step == *at % fake.n_steps && was_enabled(fake.script[i].kind, a->queued))
			put(a->device, &fake.script[i], fake.script[i].name, *clock);
	*clock += fake.wall[(*at)++ % fake.n_steps];
	struct line mark = { .end = MARK_NS, .grid = 1, .block = a->block, .registers = 8 };
	put_kernel(a->device, &mark, "gns_mark", *clock);
}

static const char *kept_name(const char *name)
{
	static char kept[256][128];
	static uint32_t n;
	for (uint32_t i = 0; i < n; i++)
		if (strncmp(kept[i], name, sizeof kept[i] - 1) == 0)
			return kept[i];
	if (n == 256)
		return "too_many_names";
	strncpy(kept[n], name, sizeof kept[n] - 1);
	return kept[n++];
}

static void record(const struct gns_fake_activity *a)
{
	struct line l = { .end = a->end - a->start, .grid = a->grid[0] * a->grid[1] * a->grid[2], .block = a->block, .registers = 32 };
	l.kind = a->copy ? GNS_CUPTI_MEMCPY : strcmp(a->name, "memset") == 0 ? GNS_CUPTI_MEMSET : GNS_CUPTI_CONCURRENT_KERNEL;
	if (!was_enabled(l.kind, a->queued))
		return;
	if (l.kind == GNS_CUPTI_MEMCPY)
		l.grid = a->copy == 1 ? 1 : a->copy == 2 ? 2 : 8;
	put(a->device, &l, kept_name(a->name), a->start);
}

static void observe(const struct gns_fake_activity *a)
{
	pthread_mutex_lock(&fake.lock);
	if (!fake.scripted)
		record(a);
	else if (was_enabled(GNS_CUPTI_CONCURRENT_KERNEL, a->queued))
		play(a);
	pthread_mutex_unlock(&fake.lock);
}

/* ---- the library's own thread ---- */

static bool may_return(struct buffer *b, bool forced)
{
	if (forced)
		return true;
	const uint64_t *from = &fake.enabled_from[GNS_CUPTI_CONCURRENT_KERNEL], *to = &fake.enabled_to[GNS_CUPTI_CONCURRENT_KERNEL];
	if (fake.running && *from && (!*to || now_ns() < *to + RUNS_ON_NS))
		return false;
	return ++b->held >= fake.hold;
}

static void give_back(struct buffer b, bool forced)
{
	gns_cupti_completed_fn complete = fake.completed;
	if (forced && fake.running && b.used + size_of(GNS_CUPTI_CONCURRENT_KERNEL) <= b.size) {
		struct gns_cupti_kernel *k = (void *)(b.data + b.used);
		*k = (struct gns_cupti_kernel){ .kind = GNS_CUPTI_CONCURRENT_KERNEL, .start = now_ns(), .name = "still_running" };
		b.used += size_of(GNS_CUPTI_CONCURRENT_KERNEL);
	}
	fake.completing_data = b.data;
	pthread_mutex_unlock(&fake.lock);
	in_callback = true;
	if (complete)
		complete(NULL, 0, b.data, b.size, b.used);
	in_callback = false;
	pthread_mutex_lock(&fake.lock);
	fake.completing_data = NULL;
}

static void give_back_all(bool flush, bool forced)
{
	struct buffer kept[BUFFERS];
	uint32_t n = fake.n_full, n_kept = 0;
	struct buffer all[BUFFERS];
	memcpy(all, fake.full, n * sizeof *all);
	fake.n_full = 0;
	for (uint32_t i = 0; i < n; i++) {
		if ((flush || !fake.hold) && may_return(&all[i], forced))
			give_back(all[i], forced);
		else
			kept[n_kept++] = all[i];
	}
	if (flush && fake.current.data && may_return(&fake.current, forced)) {
		struct buffer b = fake.current;
		fake.current = (struct buffer){ 0 };
		give_back(b, forced);
	}
	for (uint32_t i = 0; i < n_kept; i++)
		fake.full[fake.n_full++] = kept[i];
}

static void *work(void *arg)
{
	pthread_mutex_lock(&fake.lock);
	for (;;) {
		bool flush = fake.flushes_asked > fake.flushes_done;
		give_back_all(flush, flush && fake.flush_flag & GNS_CUPTI_FLUSH_FORCED);
		if (flush) {
			fake.flushes_done = fake.flushes_asked;
			pthread_cond_broadcast(&fake.changed);
		}
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 2000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		if (fake.flushes_asked == fake.flushes_done)
			pthread_cond_timedwait(&fake.changed, &fake.lock, &until);
	}
	return arg;
}

static void start(void)
{
	pthread_t thread;
	const char *script = getenv("GNS_FAKE_CUPTI_SCRIPT");
	pthread_mutex_lock(&fake.lock);
	if (!fake.started) {
		fake.started = true;
		fake.taken = number_of("GNS_FAKE_CUPTI_TAKEN", 0);
		fake.buffer_limit = number_of("GNS_FAKE_CUPTI_BUFFER", 0);
		fake.running = number_of("GNS_FAKE_CUPTI_RUNNING", 0);
		fake.hold = (uint32_t)number_of("GNS_FAKE_CUPTI_HOLD", 0);
		fake.scripted = script && *script;
		if (fake.scripted)
			read_script(script);
		if (pthread_create(&thread, NULL, work, NULL) == 0)
			pthread_detach(thread);
		gns_fake_observe(observe);
	}
	pthread_mutex_unlock(&fake.lock);
}

/* ---- the API ---- */

static void no_callback(const char *call)
{
	if (in_callback)
		gns_fake_die("fake libcupti: %s from within a callback of its buffers", call);
}

int cuptiGetVersion(uint32_t *version);
int cuptiGetVersion(uint32_t *version)
{
	*version = VERSION;
	return GNS_CUPTI_SUCCESS;
}

static int subscribe(void **subscriber, struct gns_cupti_params *params)
{
	static char handle;
	int rc = GNS_CUPTI_SUCCESS;
	if (!subscriber)
		return GNS_CUPTI_ERROR_INVALID_PARAMETER;
	start();
	pthread_mutex_lock(&fake.lock);
	if (fake.taken || fake.subscriber)
		rc = GNS_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS;
	else
		*subscriber = fake.subscriber = &handle;
	if (rc && params && params->old_subscriber_name)
		snprintf(params->old_subscriber_name, params->old_subscriber_size, "CUPTI for a fake tool");
	pthread_mutex_unlock(&fake.lock);
	return rc;
}

int cuptiSubscribe(void **subscriber, void *callback, void *userdata);
int cuptiSubscribe(void **subscriber, void *callback, void *userdata)
{
	(void)callback, (void)userdata;
	no_callback("cuptiSubscribe");
	return subscribe(subscriber, NULL);
}

int cuptiSubscribe_v2(void **subscriber, void *callback, void *userdata, struct gns_cupti_params *params);
int cuptiSubscribe_v2(void **subscriber, void *callback, void *userdata, struct gns_cupti_params *params)
{
	(void)callback, (void)userdata;
	no_callback("cuptiSubscribe_v2");
	return subscribe(subscriber, params);
}

int cuptiUnsubscribe(void *subscriber);
int cuptiUnsubscribe(void *subscriber)
{
	no_callback("cuptiUnsubscribe");
	pthread_mutex_lock(&fake.lock);
	if (!subscriber || subscriber != fake.subscriber)
		gns_fake_die("fake libcupti: cuptiUnsubscribe of who is not subscribed");
	fake.subscriber = NULL;
	pthread_mutex_unlock(&fake.lock);
	return GNS_CUPTI_SUCCESS;
}

int cuptiActivityRegisterCallbacks(gns_cupti_requested_fn requested, gns_cupti_completed_fn completed);
int cuptiActivityRegisterCallbacks(gns_cupti_requested_fn requested, gns_cupti_completed_fn completed)
{
	if (!requested || !completed)
		return GNS_CUPTI_ERROR_INVALID_PARAMETER;
	start();
	pthread_mutex_lock(&fake.lock);
	fake.requested = requested;
	fake.completed = completed;
	pthread_mutex_unlock(&fake.lock);
	return GNS_CUPTI_SUCCESS;
}

int cuptiActivityEnable(int kind);
int cuptiActivityEnable(int kind)
{
	if (kind <= 0 || kind >= KINDS || !size_of((uint32_t)kind))
		return GNS_CUPTI_ERROR_INVALID_KIND;
	no_callback("cuptiActivityEnable");
	start();
	pthread_mutex_lock(&fake.lock);
	if (!fake.enabled_from[kind] || fake.enabled_to[kind])
		fake.enabled_from[kind] = now_ns();
	fake.enabled_to[kind] = 0;
	pthread_mutex_unlock(&fake.lock);
	return GNS_CUPTI_SUCCESS;
}

int cuptiActivityDisable(int kind);
int cuptiActivityDisable(int kind)
{
	if (kind <= 0 || kind >= KINDS || !size_of((uint32_t)kind))
		return GNS_CUPTI_ERROR_INVALID_KIND;
	no_callback("cuptiActivityDisable");
	pthread_mutex_lock(&fake.lock);
	if (fake.enabled_from[kind] && !fake.enabled_to[kind])
		fake.enabled_to[kind] = now_ns();
	pthread_mutex_unlock(&fake.lock);
	return GNS_CUPTI_SUCCESS;
}

int cuptiActivityFlushAll(uint32_t flag);
int cuptiActivityFlushAll(uint32_t flag)
{
	no_callback("cuptiActivityFlushAll");
	pthread_mutex_lock(&fake.lock);
	if (!fake.completed) {
		pthread_mutex_unlock(&fake.lock);
		return 7; /* CUPTI_ERROR_INVALID_OPERATION */
	}
	uint64_t number = ++fake.flushes_asked;
	fake.flush_flag = flag;
	pthread_cond_broadcast(&fake.changed);
	while (fake.flushes_done < number)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
	return GNS_CUPTI_SUCCESS;
}

int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid, void **record);
int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid, void **record)
{
	uint32_t kind;
	if (!buffer || !record)
		return GNS_CUPTI_ERROR_INVALID_PARAMETER;
	if (buffer != fake.completing_data)
		gns_fake_die("fake libcupti: records are read from %p, a buffer that is not being returned", (void *)buffer);
	uint8_t *next = buffer;
	if (*record) {
		memcpy(&kind, *record, sizeof kind);
		next = (uint8_t *)*record + size_of(kind);
	}
	if (next >= buffer + valid)
		return GNS_CUPTI_ERROR_MAX_LIMIT_REACHED;
	memcpy(&kind, next, sizeof kind);
	if (!size_of(kind))
		return GNS_CUPTI_ERROR_INVALID_KIND;
	*record = next;
	return GNS_CUPTI_SUCCESS;
}

int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *dropped);
int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *dropped)
{
	(void)context, (void)stream;
	pthread_mutex_lock(&fake.lock);
	*dropped = fake.dropped;
	fake.dropped = 0;
	pthread_mutex_unlock(&fake.lock);
	return GNS_CUPTI_SUCCESS;
}

int cuptiGetTimestamp(uint64_t *ns);
int cuptiGetTimestamp(uint64_t *ns)
{
	*ns = now_ns();
	return GNS_CUPTI_SUCCESS;
}

int cuptiFinalize(void);
int cuptiFinalize(void)
{
	gns_fake_die("fake libcupti: cuptiFinalize, which takes CUPTI away from everybody");
}
