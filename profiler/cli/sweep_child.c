/* One training run of a sweep: a `gnscope run` in a process group of its own, its output in a file, its losses read as they come. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/loss.h"
#include "profiler/cli/sweep.h"
#include "profiler/shim/process/clock.h"

#define SECOND 1000000000u
#define GRACE_SECONDS 10u   /* from the asking to the force */
#define SILENCE_SECONDS 10u /* steps go on for so long without a loss: it is no number any more */
#define SILENCE_STEPS 50
#define DIVERGED 3          /* the last losses' median over that of the first */
#define PATIENCE 100        /* losses before that counts: many a start overshoots and recovers */
#define FETCH 1024

/* ---- its start ---- */

static void name_it(struct gns_sweep_child *c, const struct gns_sweep_settings *s)
{
	char label[64], folder[4096], *p;
	gns_sweep_label(label, sizeof label, &c->point);
	snprintf(c->run_name, sizeof c->run_name, "%.90s %s", s->sweep.name, label);
	snprintf(folder, sizeof folder, "%s", s->store);
	int n = snprintf(c->log, sizeof c->log, "%s/", dirname(folder));
	snprintf(c->log + n, sizeof c->log - (size_t)n, "%s.log", c->run_name);
	for (p = c->log + n; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *p))
			*p = '-';
}

static void become_run(const struct gns_sweep_child *c, const struct gns_sweep_settings *s, char **words, pid_t parent)
{
	char samples[32];
	const char *argv[24] = {"gnscope", "run", "--no-top", "--store", s->store, "--name", c->run_name, "--samples", samples};
	int n = 9;
	size_t count = 0;
	snprintf(samples, sizeof samples, "%" PRId64, c->point.batch);
	const char *const options[][2] = {{"--every", s->every}, {"--budget", s->budget}, {"--lib", s->lib},
					  {"--loss-regex", s->sweep.loss_regex[0] ? s->sweep.loss_regex : NULL}};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i][1]) {
			argv[n++] = options[i][0];
			argv[n++] = options[i][1];
		}
	argv[n++] = "--";
	while (words[count])
		count++;
	const char **all = calloc((size_t)n + count + 1, sizeof *all);
	if (!all)
		_exit(126);
	memcpy(all, argv, (size_t)n * sizeof *all);
	memcpy(all + n, words, count * sizeof *all);
	setenv("GNSCOPE_LOSSES", "every", 1); /* the target is looked for in each of them */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(126);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", (char *const *)all);
	_exit(126);
}

int gns_sweep_child_start(struct gns_sweep_child *c, const struct gns_sweep_settings *s, struct gns_error *err)
{
	c->tail = -1;
	c->verdict = GNS_SWEEP_RUNNING;
	name_it(c, s);
	char **words = gns_sweep_words(s->argv, &c->point);
	int log = open(c->log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), rc = 0;
	if (!words)
		rc = gns_fail(err, -ENOMEM, "no memory left for a command");
	else if (log < 0 || null < 0)
		rc = gns_fail(err, -errno, "cannot make '%s' for the command's output: %s", c->log, strerror(errno));
	pid_t parent = getpid(), pid = rc ? -1 : fork();
	if (pid == 0) {
		dup2(null, 0);
		dup2(log, 1);
		dup2(log, 2);
		become_run(c, s, words, parent);
	}
	if (!rc && pid < 0)
		rc = gns_fail(err, -EAGAIN, "cannot start a process: %s", strerror(errno));
	gns_sweep_free_words(words);
	if (null >= 0)
		close(null);
	if (rc) {
		if (log >= 0)
			close(log);
		return rc;
	}
	setpgid(pid, pid);
	c->pid = pid;
	c->tail = log;
	c->used = true;
	c->started_ns = gns_now();
	c->loss_ns = c->started_ns;
	c->point.start_ns = gns_realtime();
	c->point.status = GNS_SWEEP_RUNNING;
	return 0;
}

void gns_sweep_child_free(struct gns_sweep_child *c)
{
	free(c->steps);
	free(c->losses);
	if (c->used && c->tail >= 0)
		close(c->tail);
	memset(c, 0, sizeof *c);
}

/* ---- its losses ---- */

static void take(struct gns_sweep_child *c, double step, double loss)
{
	if (!isfinite(loss)) {
		c->not_finite = true;
		return;
	}
	if (!(step > (c->n ? c->steps[c->n - 1] : 0))) {
		c->restarts++;
		return;
	}
	if (c->n == c->max) {
		size_t max = c->max ? 2 * c->max : 4096;
		double *steps = realloc(c->steps, max * sizeof *steps), *losses = steps ? realloc(c->losses, max * sizeof *losses) : NULL;
		c->steps = steps ? steps : c->steps;
		c->losses = losses ? losses : c->losses;
		if (!losses)
			return;
		c->max = max;
	}
	c->steps[c->n] = step;
	c->losses[c->n++] = loss;
	c->newest_step = step > (double)c->newest_step ? (int64_t)step : c->newest_step;
	c->loss_ns = gns_now();
}

static void take_line(struct gns_sweep_child *c, const struct gns_sweep_reader *reader)
{
	double step, loss;
	c->line[c->line_len] = '\0';
	c->line_len = 0;
	if (gns_number_in(&reader->step, c->line, &step) && step > 0 && step < 1e15)
		c->newest_step = (int64_t)step;
	if (c->newest_step > 0 && gns_number_in(&reader->loss, c->line, &loss))
		take(c, (double)c->newest_step, loss);
}

static void read_output(struct gns_sweep_child *c, const struct gns_sweep_reader *reader)
{
	char buffer[16384];
	ssize_t n;
	while ((n = pread(c->tail, buffer, sizeof buffer, c->offset)) > 0) {
		c->offset += n;
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] == '\n' || buffer[i] == '\r')
				take_line(c, reader);
			else if (c->line_len + 1 < sizeof c->line)
				c->line[c->line_len++] = buffer[i];
		}
	}
}

static void read_store(struct gns_sweep_child *c, struct gns_store *store)
{
	struct gns_loss_point points[FETCH];
	struct gns_run_info info;
	size_t n = FETCH;
	if (c->point.run_id < 0)
		return;
	while (n == FETCH && gns_store_losses(store, c->point.run_id, c->n ? (int64_t)c->steps[c->n - 1] : 0, points, FETCH, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			take(c, (double)points[i].step, points[i].loss);
	if (gns_store_run_info(store, c->point.run_id, &info, NULL) == 0 && info.steps > c->newest_step)
		c->newest_step = info.steps;
}

static void find_run(struct gns_sweep_child *c, struct gns_store *store)
{
	struct gns_run_info info;
	int64_t run_id;
	if (c->point.run_id >= 0 || gns_store_find_run(store, c->run_name, &run_id, NULL) != 0)
		return;
	if (gns_store_run_info(store, run_id, &info, NULL) == 0 && info.start_ns + SECOND >= c->point.start_ns)
		c->point.run_id = run_id;
}

/* ---- is it over? ---- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(const double *values)
{
	double copy[GNS_CROSSING_LOSSES];
	memcpy(copy, values, sizeof copy);
	qsort(copy, GNS_CROSSING_LOSSES, sizeof *copy, ascending);
	return (copy[(GNS_CROSSING_LOSSES - 1) / 2] + copy[GNS_CROSSING_LOSSES / 2]) / 2;
}

/* Where the expression does not match what stands for no number, steps go on and losses do not. */
static bool silent(const struct gns_sweep_child *c)
{
	if (c->n < GNS_CROSSING_LOSSES || gns_now() - c->loss_ns < (uint64_t)SILENCE_SECONDS * SECOND)
		return false;
	double every = c->steps[c->n - 1] / (double)c->n, missing = (double)c->newest_step - c->steps[c->n - 1];
	return missing > SILENCE_STEPS && missing > 10 * every;
}

static bool grown(const struct gns_sweep_child *c)
{
	if (c->n < PATIENCE)
		return false;
	double first = median(c->losses), last = median(c->losses + c->n - GNS_CROSSING_LOSSES);
	return first > 0 && last > DIVERGED * first;
}

static bool diverged(const struct gns_sweep_child *c)
{
	return c->not_finite || silent(c) || grown(c);
}

static bool at_limit(const struct gns_sweep_child *c, const struct gns_sweep_settings *s)
{
	double seconds = (double)(gns_now() - c->started_ns) / 1e9;
	return (double)c->newest_step >= gns_sweep_cap(s, c->point.batch) || (s->max_seconds > 0 && seconds >= s->max_seconds);
}

/* Losses beyond the limit do not count: how far a quick run got before it was stopped is chance. */
static void judge(struct gns_sweep_child *c, const struct gns_sweep_settings *s)
{
	double cap = gns_sweep_cap(s, c->point.batch);
	size_t n = c->n;
	while (n > 0 && c->steps[n - 1] > cap)
		n--;
	c->crossing = (struct gns_crossing){.step = NAN, .step_se = NAN, .centre = NAN, .loss = NAN};
	gns_crossing(c->steps, c->losses, n, s->sweep.target_loss, s->sweep.window, &c->crossing);
}

void gns_sweep_child_look(struct gns_sweep_child *c, const struct gns_sweep_settings *s, const struct gns_sweep_reader *reader,
			  struct gns_store *store, double quickest)
{
	size_t before = c->n;
	find_run(c, store);
	if (reader->from_output)
		read_output(c, reader);
	else
		read_store(c, store);
	if (c->stop_ns)
		return;
	if (c->n != before)
		judge(c, s);
	if (c->crossing.crossed)
		gns_sweep_child_stop(c, GNS_SWEEP_REACHED);
	else if (diverged(c))
		gns_sweep_child_stop(c, GNS_SWEEP_DIVERGED);
	else if (s->give_up > 0 && c->crossing.centre > s->give_up * quickest)
		gns_sweep_child_stop(c, GNS_SWEEP_SLOWER);
	else if (at_limit(c, s))
		gns_sweep_child_stop(c, GNS_SWEEP_CAPPED);
}

/* ---- its end ---- */

void gns_sweep_child_stop(struct gns_sweep_child *c, enum gns_sweep_status why)
{
	if (c->stop_ns || c->pid <= 0)
		return;
	c->verdict = why;
	c->stop_ns = gns_now();
	kill(-c->pid, SIGTERM);
}

/* By force all of the group but its leader, the `gnscope run`, which is to store how the run ended. */
static void kill_group(pid_t group)
{
	DIR *folder = opendir("/proc");
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && pid != group && getpgid(pid) == group)
			kill(pid, SIGKILL);
	}
	if (folder)
		closedir(folder);
}

void gns_sweep_child_insist(struct gns_sweep_child *c)
{
	uint64_t now = gns_now();
	if (!c->stop_ns || c->pid <= 0 || now - c->stop_ns < (uint64_t)GRACE_SECONDS * SECOND)
		return;
	kill_group(c->pid);
	c->stop_ns = now;
}

/* The last line that is the command's own. */
static void last_line(const struct gns_sweep_child *c, char *dst, size_t size)
{
	char text[4097], *rest = text, *line;
	off_t end = lseek(c->tail, 0, SEEK_END), from = end > 4096 ? end - 4096 : 0;
	ssize_t n = pread(c->tail, text, sizeof text - 1, from);
	text[n > 0 ? n : 0] = '\0';
	*dst = '\0';
	while ((line = strsep(&rest, "\r\n")))
		if (line[strspn(line, " \t")] && strncmp(line, "gnscope: ", 9) != 0)
			snprintf(dst, size, "%s", line);
}

static void explain_failure(struct gns_sweep_child *c, const struct gns_sweep_settings *s, int status)
{
	char line[100], safe[100], how[48];
	last_line(c, line, sizeof line);
	gns_text_safe(safe, sizeof safe, line);
	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
	if (status != 0)
		snprintf(c->point.note, sizeof c->point.note, "%s%s%s", how, safe[0] ? "; its last line: " : "", safe);
	else if (c->n)
		snprintf(c->point.note, sizeof c->point.note, "only %zu losses were read, %d are needed", c->n, GNS_CROSSING_LOSSES);
	else if (s->sweep.loss_regex[0] && !s->sweep.step_regex[0] && c->newest_step == 0)
		snprintf(c->point.note, sizeof c->point.note, "no training step was seen, so that losses have no step: give --step-regex, too");
	else if (s->sweep.loss_regex[0])
		snprintf(c->point.note, sizeof c->point.note, "no loss was read: no line matched the expression; its last line: %s", safe);
	else
		snprintf(c->point.note, sizeof c->point.note, "no loss was read: the program reports none; give --loss-regex");
}

static enum gns_sweep_status outcome(const struct gns_sweep_child *c, int status)
{
	if (c->crossing.crossed)
		return GNS_SWEEP_REACHED;
	if (c->verdict != GNS_SWEEP_RUNNING)
		return c->verdict;
	if (diverged(c))
		return GNS_SWEEP_DIVERGED;
	return status == 0 && c->n >= GNS_CROSSING_LOSSES ? GNS_SWEEP_ENDED : GNS_SWEEP_FAILED;
}

/* A batch that every rank took for itself is not the step's. */
static void mention_ranks(struct gns_sweep_point *p, struct gns_store *store)
{
	struct gns_summary summary;
	if (p->run_id < 0 || gns_store_summary(store, p->run_id, 0, &summary, NULL) != 0 || summary.run.world < 2)
		return;
	if (summary.samples_per_step >= 2 * (double)p->batch)
		snprintf(p->note, sizeof p->note, "%d ranks took %.0f samples a step, not %" PRId64 ": {batch} must be that of the step",
			 summary.run.world, summary.samples_per_step, p->batch);
}

void gns_sweep_child_finish(struct gns_sweep_child *c, const struct gns_sweep_settings *s, const struct gns_sweep_reader *reader,
			    struct gns_store *store, int status)
{
	struct gns_sweep_point *p = &c->point;
	find_run(c, store);
	if (!reader->from_output)
		c->n = 0; /* all of them again, now that every process has told its own */
	if (reader->from_output)
		read_output(c, reader);
	else
		read_store(c, store);
	if (c->verdict != GNS_SWEEP_REACHED) /* that was judged once, when it was stopped */
		judge(c, s);
	p->status = outcome(c, status);
	p->reached = p->status == GNS_SWEEP_REACHED;
	p->censored = p->status >= GNS_SWEEP_CAPPED && p->status <= GNS_SWEEP_DIVERGED;
	p->steps = p->reached ? c->crossing.step : p->censored ? c->crossing.centre : (double)NAN;
	p->steps_se = p->reached ? c->crossing.step_se : (double)NAN;
	p->samples = p->steps * (double)p->batch;
	p->loss = c->crossing.loss;
	p->losses = (int64_t)c->n;
	p->cap_steps = gns_sweep_cap(s, p->batch);
	p->end_ns = gns_realtime();
	p->note[0] = '\0';
	if (p->status == GNS_SWEEP_FAILED)
		explain_failure(c, s, status);
	else if (p->reached && c->crossing.early)
		snprintf(p->note, sizeof p->note, "the target was reached before it could be judged: the steps are an upper limit");
	else
		mention_ranks(p, store);
	if (p->status != GNS_SWEEP_FAILED)
		unlink(c->log);
}
