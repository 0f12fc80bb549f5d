/* What the files of the fake libcuda share. All of it under fake.lock, but for what a thread has for itself. */
#ifndef GNS_TESTS_FAKES_CUDA_PRIVATE_H
#define GNS_TESTS_FAKES_CUDA_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cuda_api.h"
#include "cuda_fake.h"

#define DEVICES_MAX 16
#define CONTEXTS_MAX 64
#define STACK_MAX 64
#define JOINED_MAX 16 /* streams of one capture */

struct fake_stream;

struct fake_context {
	int device;
	bool live, primary;
	unsigned retained;
	unsigned long long id;
	int error; /* that every call returns */
	int break_with;
	unsigned break_at;
	struct fake_stream *legacy;
};

struct fake_wait {
	struct fake_stream *stream;
	uint64_t ticket;
};

/* One thing to run; `args` are its own copy. */
struct fake_op {
	struct fake_op *next;
	uint64_t ticket;
	void (*run)(void *args);
	void *args;
	size_t size;
	struct fake_wait *waits;
	unsigned n_waits;
	struct gns_fake_activity activity;
};

struct fake_graph {
	bool live;
	struct fake_op *first, *last;
	unsigned nodes;
	struct fake_stream *ran_on; /* of an executable one: its last launch */
	uint64_t ticket;
};

struct fake_capture {
	uint64_t id;
	int mode;
	pthread_t thread;
	struct fake_stream *origin, *streams[JOINED_MAX];
	unsigned n_streams;
	uint64_t newest[JOINED_MAX]; /* node of each stream */
	struct fake_graph *graph;
};

struct fake_stream {
	struct fake_stream *all; /* the next of all that ever were */
	struct fake_context *context;
	bool live, blocking, legacy, thread_runs;
	unsigned long long id, context_id;
	pthread_t owner; /* of a per-thread stream */
	bool per_thread;
	uint64_t enqueued, completed, random;
	struct fake_op *first, *last;
	struct fake_capture *capture;
	unsigned joined;             /* its index there */
	uint64_t known[JOINED_MAX];  /* nodes of each stream that its next node comes behind */
	CUgraphNode before[JOINED_MAX]; /* the same, as cuStreamGetCaptureInfo answers */
};

struct fake_event {
	bool live, recorded;
	struct fake_context *context;
	struct fake_wait at;
	uint64_t ns;
	struct fake_capture *capture; /* in which it was recorded last */
	uint64_t known[JOINED_MAX];
};

struct fake {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pid_t pid; /* 0: before cuInit */
	bool ended, sync, any;
	int devices;
	unsigned delay_us;
	uint64_t seed, calls;
	unsigned long long ids;
	struct fake_context contexts[CONTEXTS_MAX];
	struct fake_context *primary[DEVICES_MAX];
	struct fake_stream *streams;
	struct fake_capture *captures[CONTEXTS_MAX]; /* under way */
	gns_fake_observer observer;
};
extern struct fake fake __attribute__((visibility("hidden")));

#pragma GCC visibility push(hidden)
/* Of a thread. */
extern __thread struct fake_context *fake_stack[STACK_MAX];
extern __thread int fake_depth, fake_mode;

static inline void fake_lock(void) { pthread_mutex_lock(&fake.lock); }
static inline void fake_unlock(void) { pthread_mutex_unlock(&fake.lock); }
struct fake_context *fake_current(void);

/* First in every function; not 0: return it. */
int fake_enter(void);
int fake_enter_context(void); /* one must be current */
#define ENTER()                                       \
	do {                                          \
		int enter_ = fake_enter();            \
		if (enter_)                           \
			return (CUresult)enter_;      \
	} while (0)
#define ENTER_CONTEXT()                               \
	do {                                          \
		int enter_ = fake_enter_context();    \
		if (enter_)                           \
			return (CUresult)enter_;      \
	} while (0)

/* cuda_graph.c. Dies where a capture forbids the call. */
void fake_unsafe(const char *call);
void fake_no_capture(struct fake_stream *stream, const char *call); /* also none of its context's blocking streams, for the legacy one */
struct fake_capture *fake_capture_of(const struct fake_event *event); /* NULL: none that is under way */
void fake_capture_op(struct fake_stream *stream, struct fake_op *op);
void fake_capture_event(struct fake_stream *stream, struct fake_event *event);
void fake_capture_wait(struct fake_stream *stream, const struct fake_event *event);

/* cuda_stream.c */
struct fake_stream *fake_stream_make(struct fake_context *context, bool blocking, bool legacy);
void fake_stream_end_all(struct fake_context *context);
/* The live stream of this handle, in the current context; dies otherwise. */
struct fake_stream *fake_stream_find(CUstream handle, const char *call); /* of any context; under the lock */
struct fake_stream *fake_stream_of(CUstream handle, const char *call);
struct fake_op *fake_op_new(const char *name, void (*run)(void *), const void *args, size_t size);
void fake_op_free(struct fake_op *op);
/* Takes the lock. */
int fake_submit(struct fake_stream *stream, struct fake_op *op, const char *call);
void fake_run(struct fake_stream *stream, struct fake_op *op, uint64_t queued);
void fake_wait_for(struct fake_stream *stream, uint64_t ticket);
void fake_wait_context(struct fake_context *context);
uint64_t fake_now(void);

/* cuda_memory.c */
void fake_memory_end(struct fake_context *context);
void fake_memory_name_fault(const void *address, char *text, size_t size);

/* cuda_module.c */
struct fake_op *fake_launch_op(CUfunction function, const uint32_t grid[3], const uint32_t block[3], void **parameters);
void fake_module_end(struct fake_context *context);
#pragma GCC visibility pop

#endif
