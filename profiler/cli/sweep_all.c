/* All runs of a sweep in turn: which is next, how many at once, what an interruption leaves, how long it will take. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/sweep.h"
#include "profiler/shim/process/clock.h"

#define ROUND_MS 200

struct item {
	struct gns_sweep_point point;
	bool tuned; /* its learning rate is the quickest of its batch, known once the others there are done */
	enum { WAITING, RUNNING, DONE } state;
};

struct all {
	struct gns_sweep_settings *s;
	const struct gns_sweep_reader *reader;
	struct gns_store *store;
	struct item *items;
	size_t n;
	struct gns_sweep_child *children;
	struct gns_sweep_progress progress;
	int signals, signo;      /* signo: of the interruption */
	bool broken;             /* the command fails at once: no more */
	struct gns_error err;
	int lock;
	char lock_path[4300];
};

/* ---- the plan ---- */

static bool over(const struct all *a, const struct gns_sweep_point *p)
{
	if (p->status == GNS_SWEEP_CAPPED)
		return !(isfinite(p->cap_steps) && gns_sweep_cap(a->s, p->batch) > p->cap_steps);
	return p->reached || p->censored;
}

/* What the store has of it. */
static int look_up(struct all *a, struct item *item)
{
	int rc = gns_store_sweep_add(a->store, a->s->sweep.sweep_id, &item->point, &a->err);
	if (!rc && over(a, &item->point))
		item->state = DONE;
	return rc;
}

static int plan(struct all *a)
{
	const struct gns_sweep_settings *s = a->s;
	size_t lrs = s->n_lr ? s->n_lr : 1, seeds = s->n_seed ? s->n_seed : 1;
	a->items = calloc(seeds * s->n_batch * lrs, sizeof *a->items);
	if (!a->items)
		return gns_fail(&a->err, -ENOMEM, "no memory left for the plan");
	int rc = 0;
	for (size_t seed = 0; seed < seeds; seed++)
		for (size_t b = 0; b < s->n_batch; b++) {
			bool tuned = lrs > 1 && seed >= (size_t)s->tune;
			for (size_t l = 0; !rc && l < (tuned ? 1 : lrs); l++) {
				struct item *item = &a->items[a->n++];
				item->tuned = tuned;
				item->point = (struct gns_sweep_point){.batch = s->batch[b], .run_id = -1,
					.lr = tuned || !s->n_lr ? (double)NAN : gns_sweep_lr(s, s->lr[l], s->batch[b]),
					.seed = s->n_seed ? s->seed[seed] : -1};
				rc = tuned ? 0 : look_up(a, item);
			}
		}
	return rc;
}

static double best_lr(const struct all *a, int64_t batch, bool *any)
{
	struct gns_sweep_point *points = calloc(a->n, sizeof *points);
	size_t n = 0;
	*any = false;
	for (size_t i = 0; points && i < a->n; i++)
		if (!a->items[i].tuned && a->items[i].state == DONE)
			points[n++] = a->items[i].point;
	double best = points ? gns_sweep_best_lr(points, n, batch, any) : (double)NAN;
	free(points);
	return best;
}

static bool tuning_is_done(const struct all *a, int64_t batch)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->items[i].tuned && a->items[i].point.batch == batch && a->items[i].state != DONE)
			return false;
	return true;
}

/* Gives a tuned item its learning rate; where none reached the target there is nothing to repeat. */
static int settle(struct all *a, struct item *item)
{
	bool any;
	if (!item->tuned || isfinite(item->point.lr))
		return 0;
	item->point.lr = best_lr(a, item->point.batch, &any);
	if (any)
		return look_up(a, item);
	item->state = DONE;
	return 0;
}

static struct item *next(struct all *a)
{
	for (size_t i = 0; i < a->n; i++) {
		struct item *item = &a->items[i];
		if (item->state != WAITING || (item->tuned && !tuning_is_done(a, item->point.batch)))
			continue;
		if (settle(a, item) == 0 && item->state == WAITING)
			return item;
	}
	return NULL;
}

/* Fewest steps of another learning rate at this batch. */
static double quickest(const struct all *a, const struct gns_sweep_child *c)
{
	double least = NAN;
	if (a->items[c->index].tuned)
		return NAN;
	for (size_t i = 0; i < a->n; i++) {
		const struct gns_sweep_point *p = &a->items[i].point;
		if (a->items[i].state == DONE && p->reached && p->batch == c->point.batch && p->lr != c->point.lr)
			least = fmin(least, p->steps);
	}
	return least;
}

/* ---- how far, how long ---- */

static double seconds_of(const struct gns_sweep_point *p)
{
	return p->end_ns > p->start_ns && p->start_ns ? (double)(p->end_ns - p->start_ns) / 1e9 : (double)NAN;
}

/* Mean of the done runs whose batch is nearest. */
static double expected_seconds(const struct all *a, int64_t batch)
{
	double nearest = INFINITY, sum = 0, count = 0;
	for (size_t i = 0; i < a->n; i++) {
		double seconds = seconds_of(&a->items[i].point), far = fabs(log((double)a->items[i].point.batch / (double)batch));
		if (a->items[i].state != DONE || !isfinite(seconds) || far > nearest)
			continue;
		if (far < nearest)
			sum = count = 0;
		nearest = far;
		sum += seconds;
		count++;
	}
	return count > 0 ? sum / count : (double)NAN;
}

static void count(struct all *a)
{
	double left = 0;
	uint64_t now = gns_now();
	a->progress.done = 0;
	a->progress.all = a->n;
	for (size_t i = 0; i < a->n; i++) {
		a->progress.done += a->items[i].state == DONE;
		if (a->items[i].state == WAITING)
			left += expected_seconds(a, a->items[i].point.batch);
	}
	for (int64_t i = 0; i < a->s->jobs; i++)
		if (a->children[i].used)
			left += fmax(0, expected_seconds(a, a->children[i].point.batch) - (double)(now - a->children[i].started_ns) / 1e9);
	a->progress.seconds_left = left / (double)a->s->jobs;
}

/* ---- running ---- */

static void start_one(struct all *a, struct gns_sweep_child *c)
{
	struct item *item = next(a);
	if (!item)
		return;
	memset(c, 0, sizeof *c);
	c->index = (size_t)(item - a->items);
	c->point = item->point;
	c->point.run_id = -1;
	c->point.note[0] = '\0';
	if (gns_sweep_child_start(c, a->s, &a->err) != 0) {
		a->broken = true;
		return;
	}
	item->state = RUNNING;
	gns_store_sweep_set(a->store, &c->point, NULL);
}

static bool anything_observed(const struct all *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].point.reached || a->items[i].point.censored)
			return true;
	return false;
}

static void stop_all(struct all *a)
{
	for (int64_t i = 0; i < a->s->jobs; i++)
		if (a->children[i].used)
			gns_sweep_child_stop(&a->children[i], GNS_SWEEP_STOPPED);
}

static void ended(struct all *a, struct gns_sweep_child *c, int status)
{
	struct item *item = &a->items[c->index];
	char label[64];
	gns_sweep_child_finish(c, a->s, a->reader, a->store, status);
	item->point = c->point;
	item->state = c->point.status == GNS_SWEEP_STOPPED ? WAITING : DONE;
	for (int tries = 0; gns_store_sweep_set(a->store, &c->point, &a->err) != 0 && tries < 5; tries++)
		poll(NULL, 0, 1000);
	count(a);
	if (c->point.status != GNS_SWEEP_STOPPED)
		gns_sweep_say_point(&a->progress, &c->point);
	if (c->point.status == GNS_SWEEP_FAILED && !a->broken && !anything_observed(a)) {
		a->broken = true;
		gns_fail(&a->err, -ECHILD, "the first run (%s) came to nothing: %s; its output is in %s; put the command right and start the "
			 "sweep again", gns_sweep_label(label, sizeof label, &c->point), c->point.note, c->log);
	}
	gns_sweep_child_free(c);
}

static void collect(struct all *a)
{
	int status;
	for (int64_t i = 0; i < a->s->jobs; i++) {
		struct gns_sweep_child *c = &a->children[i];
		if (c->used && waitpid(c->pid, &status, WNOHANG) == c->pid)
			ended(a, c, status);
	}
}

static void take_signals(struct all *a)
{
	struct signalfd_siginfo info;
	while (read(a->signals, &info, sizeof info) == (ssize_t)sizeof info)
		if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGWINCH)
			a->signo = (int)info.ssi_signo;
}

static bool round_of(struct all *a)
{
	bool busy = false;
	collect(a);
	if (a->signo || a->broken)
		stop_all(a);
	for (int64_t i = 0; i < a->s->jobs; i++) {
		struct gns_sweep_child *c = &a->children[i];
		if (!c->used && !a->signo && !a->broken)
			start_one(a, c);
		if (!c->used)
			continue;
		busy = true;
		gns_sweep_child_look(c, a->s, a->reader, a->store, quickest(a, c));
		gns_sweep_child_insist(c);
	}
	count(a);
	gns_sweep_say_bar(&a->progress, a->children, (size_t)a->s->jobs, a->s->sweep.target_loss);
	return busy;
}

/* ---- from the beginning to the end ---- */

static int take_lock(struct all *a)
{
	char name[128];
	snprintf(name, sizeof name, "%s", a->s->sweep.name);
	for (char *p = name; *p; p++)
		*p = *p == '/' ? '-' : *p;
	snprintf(a->lock_path, sizeof a->lock_path, "%s-sweep-%s.lock", a->s->store, name);
	a->lock = open(a->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->lock < 0)
		return gns_fail(&a->err, -errno, "cannot make '%s': %s", a->lock_path, strerror(errno));
	if (flock(a->lock, LOCK_EX | LOCK_NB) != 0)
		return gns_fail(&a->err, -EBUSY, "the sweep '%s' is being run by another process; wait for it, or give this one another --name",
				a->s->sweep.name);
	return 0;
}

static int prepare(struct all *a)
{
	sigset_t set;
	char lib[4096];
	int rc = gns_launch_find_lib(a->s->lib, lib, sizeof lib, &a->err);
	if (!rc)
		rc = gns_store_open_write(a->s->store, &a->store, &a->err);
	if (!rc)
		rc = take_lock(a);
	if (!rc)
		rc = gns_store_sweep_begin(a->store, &a->s->sweep, &a->err);
	if (!rc)
		rc = gns_store_sweep_end(a->store, a->s->sweep.sweep_id, 0, &a->err);
	if (!rc)
		rc = plan(a);
	a->children = calloc((size_t)a->s->jobs, sizeof *a->children);
	if (!rc && !a->children)
		rc = gns_fail(&a->err, -ENOMEM, "no memory left for %" PRId64 " jobs", a->s->jobs);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return rc;
}

static int interrupted(const struct all *a)
{
	gns_cli_fail("sweep", "interrupted with %zu of %zu runs done; run the same command again to resume", a->progress.done, a->n);
	return 128 + a->signo;
}

static int none_reached(const struct all *a)
{
	double least = INFINITY;
	char label[64] = "";
	for (size_t i = 0; i < a->n; i++) {
		if (a->items[i].point.reached)
			return 0;
		if (a->items[i].point.loss < least) {
			least = a->items[i].point.loss;
			gns_sweep_label(label, sizeof label, &a->items[i].point);
		}
	}
	if (!isfinite(least))
		return gns_cli_fail("sweep", "no run reached the loss %g, and none had losses enough to smooth; train longer (--max-steps, --max-samples, "
				    "the command's own length)", a->s->sweep.target_loss);
	return gns_cli_fail("sweep", "no run reached the loss %g: the lowest smoothed loss was %.4g (%s); raise --target-loss, train longer "
			    "(--max-steps, --max-samples, the command's own length), or try other learning rates", a->s->sweep.target_loss,
			    least, label);
}

static int close_all(struct all *a)
{
	size_t failed = 0;
	for (size_t i = 0; i < a->n; i++)
		failed += a->items[i].point.status == GNS_SWEEP_FAILED;
	if (a->signo)
		return interrupted(a);
	if (a->broken)
		return gns_cli_fail("sweep", "%s", a->err.text);
	if (failed)
		gns_cli_fail("sweep", "%zu of %zu runs failed; the same command tries them again", failed, a->n);
	else
		gns_store_sweep_end(a->store, a->s->sweep.sweep_id, gns_realtime(), NULL);
	return none_reached(a);
}

int gns_sweep_all(struct gns_sweep_settings *s, const struct gns_sweep_reader *reader, bool quiet)
{
	struct all all = {.s = s, .reader = reader, .signals = -1, .lock = -1}, *a = &all;
	int status = prepare(a) ? gns_cli_fail("sweep", "%s", a->err.text) : GNS_EXIT_OK;
	a->progress.quiet = quiet;
	a->progress.terminal = !quiet && isatty(2);
	if (!status) {
		while (round_of(a)) {
			struct pollfd watch = {.fd = a->signals, .events = POLLIN};
			poll(&watch, 1, ROUND_MS);
			take_signals(a);
		}
		gns_sweep_clear_bar(&a->progress);
		status = close_all(a);
	}
	if (a->lock >= 0) {
		unlink(a->lock_path);
		close(a->lock);
	}
	gns_store_close(a->store);
	free(a->items);
	free(a->children);
	return status;
}
