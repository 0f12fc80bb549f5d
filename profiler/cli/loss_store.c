/* Stores the losses that `gnscope run` read from the trainer's output. A thread with a handle of its own: SQLite lets one writer
 * in at a time, and the recorder's own transactions are short. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gnscope/store.h"
#include "profiler/cli/loss.h"

#define BATCH 1024
#define ROUND_MS 250
#define LAST_TRIES 8

struct gns_loss_store {
	int pipe;
	const char *path;
	struct gns_session *session;
	struct gns_store *store;
	pthread_t thread;
	struct gns_loss_record waiting[BATCH];
	size_t n;
	uint64_t lost;
};

static int store_waiting(struct gns_loss_store *l)
{
	int64_t run_id = (int64_t)atomic_load(&l->session->run_id);
	int rc = run_id > 0 ? 0 : -EAGAIN;
	if (!rc && !l->store)
		rc = gns_store_open_write(l->path, &l->store, NULL);
	if (!rc)
		rc = gns_store_begin(l->store, NULL);
	if (rc)
		return rc;
	for (size_t i = 0; i < l->n && !rc; i++)
		rc = gns_store_loss(l->store, run_id, (int64_t)l->waiting[i].step, l->waiting[i].time_ns, l->waiting[i].loss, NULL);
	if (!rc)
		rc = gns_store_commit(l->store, NULL);
	if (rc)
		gns_store_rollback(l->store);
	else
		l->n = 0;
	return rc;
}

/* False at the end of the pipe. */
static bool take(struct gns_loss_store *l)
{
	struct pollfd in = {.fd = l->pipe, .events = POLLIN};
	while (l->n < BATCH && poll(&in, 1, 0) > 0) {
		ssize_t n = read(l->pipe, l->waiting + l->n, sizeof *l->waiting * (BATCH - l->n));
		if (n == 0)
			return false;
		if (n < 0 && errno != EINTR)
			return errno == EAGAIN;
		l->n += n > 0 ? (size_t)n / sizeof *l->waiting : 0;
	}
	return true;
}

/* A store that cannot be written is tried again and again, but not for ever once the trainer is gone. */
static void *follow(void *arg)
{
	struct gns_loss_store *l = arg;
	bool open = true;
	for (int failures = 0; (open || l->n) && failures < LAST_TRIES;) {
		open = open && take(l);
		bool failed = l->n && store_waiting(l) != 0;
		failures = !failed ? 0 : failures + (!open || atomic_load(&l->session->closing));
		if (open || l->n)
			poll(NULL, 0, ROUND_MS);
	}
	l->lost = l->n;
	gns_store_close(l->store);
	return NULL;
}

int gns_loss_store_start(int pipe, const char *store, struct gns_session *session, struct gns_loss_store **out)
{
	struct gns_loss_store *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->pipe = pipe;
	l->path = store;
	l->session = session;
	int rc = pthread_create(&l->thread, NULL, follow, l);
	if (rc) {
		free(l);
		return -rc;
	}
	*out = l;
	return 0;
}

uint64_t gns_loss_store_finish(struct gns_loss_store *l)
{
	if (!l)
		return 0;
	pthread_join(l->thread, NULL);
	uint64_t lost = l->lost;
	free(l);
	return lost;
}
