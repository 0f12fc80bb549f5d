/* Streams, the threads that run them, and events. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cuda_private.h"

static __thread const char *running; /* what this worker runs now */

uint64_t fake_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- operations ---- */

struct fake_op *fake_op_new(const char *name, void (*run)(void *), const void *args, size_t size)
{
	struct fake_op *op = calloc(1, sizeof *op);
	op->run = run;
	op->size = size;
	op->args = size ? malloc(size) : NULL;
	if (size)
		memcpy(op->args, args, size);
	op->activity.name = name;
	return op;
}

void fake_op_free(struct fake_op *op)
{
	free(op->args);
	free(op->waits);
	free(op);
}

static void add_wait(struct fake_op *op, struct fake_wait wait)
{
	op->waits = realloc(op->waits, (op->n_waits + 1) * sizeof wait);
	op->waits[op->n_waits++] = wait;
}

static bool may_run(const struct fake_op *op)
{
	for (unsigned i = 0; i < op->n_waits; i++)
		if (op->waits[i].stream->completed < op->waits[i].ticket)
			return false;
	return true;
}

void fake_run(struct fake_stream *stream, struct fake_op *op, uint64_t queued)
{
	static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;
	if (!op->run)
		return;
	struct gns_fake_activity activity = op->activity;
	const char *before = running;
	running = activity.name;
	activity.device = stream->context->device;
	activity.stream = stream->id;
	activity.queued = queued;
	activity.start = fake_now();
	op->run(op->args);
	activity.end = fake_now();
	running = before;
	gns_fake_observer observer = __atomic_load_n(&fake.observer, __ATOMIC_ACQUIRE);
	if (observer && activity.name) {
		pthread_mutex_lock(&telling);
		observer(&activity);
		pthread_mutex_unlock(&telling);
	}
}

void gns_fake_observe(gns_fake_observer observer)
{
	__atomic_store_n(&fake.observer, observer, __ATOMIC_RELEASE);
}

/* ---- workers ---- */

static void at_fault(int number, siginfo_t *info, void *context)
{
	char what[160], text[320];
	if (running) {
		fake_memory_name_fault(info->si_addr, what, sizeof what);
		int n = snprintf(text, sizeof text, "fake libcuda: %s touched %p: %s\n", running, info->si_addr, what);
		if (write(2, text, (size_t)n) < 0)
			_exit(134);
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void watch_faults(void)
{
	struct sigaction old, mine = { .sa_sigaction = at_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	if (sigaction(SIGSEGV, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
		sigaction(SIGSEGV, &mine, NULL);
}

static unsigned delay_of(struct fake_stream *stream)
{
	uint64_t r = stream->random;
	r ^= r << 13, r ^= r >> 7, r ^= r << 17;
	stream->random = r;
	return fake.delay_us && r % 4 == 0 ? (unsigned)(r >> 32) % (fake.delay_us + 1) : 0;
}

static void *work(void *argument)
{
	struct fake_stream *stream = argument;

	fake_stack[0] = stream->context;
	fake_depth = 1;
	fake_lock();
	for (;;) {
		while (!stream->first || !may_run(stream->first)) {
			if (!stream->first && !stream->live)
				break;
			pthread_cond_wait(&fake.changed, &fake.lock);
		}
		struct fake_op *op = stream->first;
		if (!op)
			break;
		unsigned delay = delay_of(stream);
		fake_unlock();
		if (delay)
			usleep(delay);
		fake_run(stream, op, op->activity.queued);
		fake_lock();
		stream->first = op->next;
		if (!stream->first)
			stream->last = NULL;
		stream->completed = op->ticket;
		fake_op_free(op);
		pthread_cond_broadcast(&fake.changed);
	}
	fake_unlock();
	return NULL;
}

static void start(struct fake_stream *stream)
{
	pthread_t thread;
	sigset_t all, before;

	if (stream->thread_runs)
		return;
	stream->thread_runs = true;
	watch_faults();
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, work, stream))
		gns_fake_die("no thread for a stream");
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- order ---- */

/* The legacy stream waits for all blocking ones of its context, and they for it. Under the lock. */
static void wait_as_legacy(struct fake_stream *stream, struct fake_op *op)
{
	for (struct fake_stream *s = fake.streams; s; s = s->all) {
		bool ordered = s->context == stream->context && s != stream && s->blocking && (s->legacy || stream->legacy) && stream->blocking;
		if (ordered && s->enqueued > s->completed)
			add_wait(op, (struct fake_wait){ s, s->enqueued });
	}
}

int fake_submit(struct fake_stream *stream, struct fake_op *op, const char *call)
{
	fake_lock();
	if (stream->legacy)
		fake_no_capture(stream, call);
	op->activity.queued = fake_now();
	if (stream->capture) {
		fake_capture_op(stream, op);
		fake_unlock();
		return 0;
	}
	wait_as_legacy(stream, op);
	op->ticket = ++stream->enqueued;
	if (fake.sync) {
		fake_unlock();
		fake_run(stream, op, op->activity.queued);
		fake_lock();
		stream->completed = op->ticket;
		fake_unlock();
		fake_op_free(op);
		return 0;
	}
	*(stream->last ? &stream->last->next : &stream->first) = op;
	stream->last = op;
	start(stream);
	pthread_cond_broadcast(&fake.changed);
	fake_unlock();
	return 0;
}

void fake_wait_for(struct fake_stream *stream, uint64_t ticket)
{
	fake_lock();
	while (stream->completed < ticket)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake_unlock();
}

void fake_wait_context(struct fake_context *context)
{
	fake_lock();
	for (struct fake_stream *s = fake.streams; s; s = s->all)
		while (s->context == context && s->context_id == context->id && s->completed < s->enqueued)
			pthread_cond_wait(&fake.changed, &fake.lock);
	fake_unlock();
}

int gns_fake_enqueue(void *stream, const char *name, void (*run)(void *args), const void *args, size_t size)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of((CUstream)stream, name);
	return fake_submit(s, fake_op_new(name, run, args, size), name);
}

/* ---- streams ---- */

/* Never freed: a handle that is used after its end is to be told from a good one. Under the lock. */
struct fake_stream *fake_stream_make(struct fake_context *context, bool blocking, bool legacy)
{
	struct fake_stream *s = calloc(1, sizeof *s);
	s->context = context;
	s->context_id = context->id;
	s->blocking = blocking;
	s->legacy = legacy;
	s->live = true;
	s->id = ++fake.ids;
	s->random = (fake.seed + s->id) * 0x9e3779b97f4a7c15ull | 1;
	s->all = fake.streams;
	fake.streams = s;
	return s;
}

void fake_stream_end_all(struct fake_context *context)
{
	for (struct fake_stream *s = fake.streams; s; s = s->all)
		if (s->context == context)
			s->live = false;
	pthread_cond_broadcast(&fake.changed);
}

static struct fake_stream *per_thread(struct fake_context *context)
{
	struct fake_stream *s = fake.streams;
	while (s && !(s->per_thread && s->live && s->context == context && pthread_equal(s->owner, pthread_self())))
		s = s->all;
	if (!s) {
		s = fake_stream_make(context, true, false);
		s->per_thread = true;
		s->owner = pthread_self();
	}
	return s;
}

struct fake_stream *fake_stream_find(CUstream handle, const char *call)
{
	struct fake_context *current = fake_current();
	if ((uintptr_t)handle <= 2) {
		if (!current)
			gns_fake_die("%s: a special stream, and no context is current", call);
		return handle == CU_STREAM_PER_THREAD ? per_thread(current) : current->legacy;
	}
	struct fake_stream *s = fake.streams;
	while (s && s != (struct fake_stream *)handle)
		s = s->all;
	if (!s)
		gns_fake_die("%s: %p is no stream", call, (void *)handle);
	if (!s->live)
		gns_fake_die("%s: stream %llu was destroyed", call, s->id);
	return s;
}

struct fake_stream *fake_stream_of(CUstream handle, const char *call)
{
	fake_lock();
	struct fake_stream *s = fake_stream_find(handle, call);
	if (s->context != fake_current())
		gns_fake_die("%s: stream %llu is not of the current context", call, s->id);
	fake_unlock();
	return s;
}

void *gns_fake_stream_context(void *stream)
{
	if ((uintptr_t)stream <= 2)
		return fake_current();
	fake_lock();
	struct fake_stream *s = fake_stream_find((CUstream)stream, "gns_fake_stream_context");
	fake_unlock();
	return s->context;
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	ENTER_CONTEXT();
	fake_lock();
	*stream = (CUstream)fake_stream_make(fake_current(), !(flags & CU_STREAM_NON_BLOCKING), false);
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
	return cuStreamCreate(stream, flags);
}

/* What is enqueued still runs. */
CUresult cuStreamDestroy_v2(CUstream stream)
{
	ENTER();
	struct fake_stream *s = fake_stream_of(stream, "cuStreamDestroy");
	fake_lock();
	if (s->capture)
		gns_fake_die("cuStreamDestroy: stream %llu is being captured", s->id);
	s->live = false;
	pthread_cond_broadcast(&fake.changed);
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, "cuStreamSynchronize");
	fake_lock();
	fake_no_capture(s, "cuStreamSynchronize");
	fake_unlock();
	fake_unsafe("cuStreamSynchronize");
	if (s->legacy)
		fake_submit(s, fake_op_new(NULL, NULL, NULL, 0), "cuStreamSynchronize");
	fake_wait_for(s, s->enqueued);
	return CUDA_SUCCESS;
}

CUresult cuStreamQuery(CUstream stream)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, "cuStreamQuery");
	fake_unsafe("cuStreamQuery");
	fake_lock();
	fake_no_capture(s, "cuStreamQuery");
	bool done = s->completed == s->enqueued;
	fake_unlock();
	return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuStreamGetId(CUstream stream, unsigned long long *id)
{
	ENTER();
	fake_lock();
	*id = fake_stream_find(stream, "cuStreamGetId")->id;
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context)
{
	ENTER();
	*context = (CUcontext)gns_fake_stream_context(stream);
	return *context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

struct host_function {
	CUhostFn function;
	void *data;
};

static void call_host(void *args)
{
	struct host_function *h = args;
	h->function(h->data);
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data)
{
	ENTER_CONTEXT();
	struct host_function h = { function, data };
	return (CUresult)fake_submit(fake_stream_of(stream, "cuLaunchHostFunc"), fake_op_new(NULL, call_host, &h, sizeof h), "cuLaunchHostFunc");
}

/* ---- events ---- */

static struct fake_event *event_of(CUevent handle, const char *call)
{
	struct fake_event *e = (struct fake_event *)handle;
	if (!e || !e->live)
		gns_fake_die("%s: %s", call, e ? "this event was destroyed" : "no event");
	return e;
}

CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
	ENTER_CONTEXT();
	struct fake_event *e = calloc(1, sizeof *e);
	e->live = true;
	e->context = fake_current();
	*event = (CUevent)e;
	return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event)
{
	ENTER();
	event_of(event, "cuEventDestroy")->live = false;
	return CUDA_SUCCESS;
}

static void note_time(void *args)
{
	(*(struct fake_event **)args)->ns = fake_now();
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	ENTER_CONTEXT();
	struct fake_event *e = event_of(event, "cuEventRecord");
	struct fake_stream *s = fake_stream_of(stream, "cuEventRecord");
	if (e->context != s->context)
		gns_fake_die("cuEventRecord: the event is of another context than stream %llu", s->id);
	if (s->capture) {
		fake_lock();
		fake_capture_event(s, e);
		fake_unlock();
		return CUDA_SUCCESS;
	}
	fake_submit(s, fake_op_new(NULL, note_time, &e, sizeof e), "cuEventRecord");
	fake_lock();
	e->recorded = true;
	e->capture = NULL;
	e->at = (struct fake_wait){ s, s->enqueued };
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	ENTER_CONTEXT();
	struct fake_event *e = event_of(event, "cuStreamWaitEvent");
	struct fake_stream *s = fake_stream_of(stream, "cuStreamWaitEvent");
	fake_lock();
	if (fake_capture_of(e) || s->capture) {
		fake_capture_wait(s, e);
		fake_unlock();
		return CUDA_SUCCESS;
	}
	struct fake_op *op = fake_op_new(NULL, NULL, NULL, 0);
	if (e->recorded && !e->capture)
		add_wait(op, e->at);
	fake_unlock();
	return (CUresult)fake_submit(s, op, "cuStreamWaitEvent");
}

static struct fake_event *asked_event(CUevent event, const char *call)
{
	struct fake_event *e = event_of(event, call);
	if (fake_capture_of(e))
		gns_fake_die("%s: the event was recorded in a capture that is under way", call);
	fake_unsafe(call);
	return e;
}

CUresult cuEventQuery(CUevent event)
{
	ENTER();
	struct fake_event *e = asked_event(event, "cuEventQuery");
	fake_lock();
	bool done = !e->recorded || e->capture || e->at.stream->completed >= e->at.ticket;
	fake_unlock();
	return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventSynchronize(CUevent event)
{
	ENTER();
	struct fake_event *e = asked_event(event, "cuEventSynchronize");
	if (e->recorded && !e->capture)
		fake_wait_for(e->at.stream, e->at.ticket);
	return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime_v2(float *ms, CUevent start_event, CUevent end_event)
{
	ENTER();
	struct fake_event *a = asked_event(start_event, "cuEventElapsedTime"), *b = asked_event(end_event, "cuEventElapsedTime");
	fake_lock();
	bool done = a->recorded && b->recorded && a->at.stream->completed >= a->at.ticket && b->at.stream->completed >= b->at.ticket;
	fake_unlock();
	if (done)
		*ms = (float)((double)(int64_t)(b->ns - a->ns) / 1e6);
	return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
