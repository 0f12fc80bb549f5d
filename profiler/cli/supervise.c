/* While the trainer lives: its signals, its recorder. After it: the drain and the run's last line in the store. */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/store.h"
#include "profiler/cli/launch.h"
#include "store/recorder.h"
#include "store/spool.h"
#include "profiler/shim/process/clock.h"

#define SECOND 1000000000u
#define HANG_SECONDS 30u /* a recorder whose heart stood still this long while we wait for it is given up */

static void end_witness(struct gns_launch *l)
{
	if (l->witness <= 0)
		return;
	kill(l->witness, SIGKILL);
	waitpid(l->witness, NULL, 0);
	l->witness = 0;
}

static bool went_to_group(struct gns_launch *l, int signo)
{
	char path[64], line[128];
	unsigned long long pending = 0;
	if (l->witness <= 0)
		return false;
	poll(NULL, 0, 5); /* the kernel hands a group's signals out one after the other */
	snprintf(path, sizeof path, "/proc/%ld/status", (long)l->witness);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "ShdPnd: %llx", &pending) == 1)
			break;
	if (file)
		fclose(file);
	if (!(pending >> (signo - 1) & 1))
		return false;
	end_witness(l);
	gns_launch_witness(l);
	return true;
}

/* Stops us as Ctrl-Z would have, had we not caught it; returns once we are continued. */
static void stop_ourselves(void)
{
	sigset_t stop, old;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void forward(struct gns_launch *l, const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo;
	bool from_terminal = info->ssi_code == SI_KERNEL, from_trainer = (pid_t)info->ssi_pid == l->trainer;
	bool theirs = from_terminal || from_trainer || l->trainer_ended || signo == SIGWINCH || signo == SIGCHLD;
	if (!theirs && (signo == SIGCONT || !went_to_group(l, signo)))
		kill(l->trainer, signo);
	if (signo == SIGTSTP)
		stop_ourselves();
}

static void recorder_ended(struct gns_launch *l, int status)
{
	l->recorder = 0;
	if (WIFSIGNALED(status))
		snprintf(l->trouble, sizeof l->trouble, "the recorder was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		snprintf(l->trouble, sizeof l->trouble, "the recorder ended with status %d", WEXITSTATUS(status));
}

static void collect(struct gns_launch *l, void (*ended)(void *arg, pid_t pid, int status), void *arg)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == l->trainer) {
			l->trainer_ended = true;
			l->trainer_status = status;
			l->end_ns = l->start_ns + gns_now() - l->start_mono_ns;
		} else if (pid == l->recorder) {
			recorder_ended(l, status);
		} else if (pid == l->witness) {
			l->witness = 0;
		} else if (ended) {
			ended(arg, pid, status);
		}
	}
}

uint64_t gns_launch_signals(struct gns_launch *l, void (*ended)(void *arg, pid_t pid, int status), void *arg)
{
	struct signalfd_siginfo info;
	uint64_t seen = 0;
	while (read(l->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		seen |= (uint64_t)1 << info.ssi_signo;
		if (info.ssi_signo == SIGCHLD)
			collect(l, ended, arg);
		else
			forward(l, &info);
	}
	return seen;
}

void gns_launch_tick(struct gns_launch *l)
{
	uint64_t since = gns_now() - l->recorder_started_ns;
	bool patient = l->recorder_starts < 2 || since > SECOND;
	if (l->recorder <= 0 && l->recorder_starts < GNS_RECORDER_STARTS && patient)
		gns_launch_recorder(l);
}

int gns_launch_claimed(const struct gns_session *session)
{
	int n = 0;
	for (uint32_t i = 0; i < GNS_SLOTS; i++)
		n += atomic_load(&session->slot[i].state) != GNS_SLOT_FREE;
	return n;
}

/* Only the recorder's own report of a clean end counts as drained; one that died is started once more. */
static void drain(struct gns_launch *l)
{
	uint64_t beat = 0, beat_seen = gns_now();
	bool again = true;
	while (l->recorder > 0 || (again && l->trouble[0])) {
		if (l->recorder <= 0) {
			again = false;
			l->trouble[0] = '\0';
			gns_launch_recorder(l);
		}
		struct pollfd watch = {.fd = l->signals, .events = POLLIN};
		poll(&watch, 1, 100);
		uint64_t seen = gns_launch_signals(l, NULL, NULL), now = gns_now();
		uint64_t heart = atomic_load(&l->session->heartbeat_ns);
		if (heart != beat) {
			beat = heart;
			beat_seen = now;
		}
		if (l->recorder > 0 && seen & ((uint64_t)1 << SIGINT | (uint64_t)1 << SIGTERM | (uint64_t)1 << SIGHUP))
			kill(l->recorder, SIGTERM);
		if (l->recorder > 0 && now - beat_seen > (uint64_t)HANG_SECONDS * SECOND) {
			kill(l->recorder, SIGKILL);
			again = false;
		}
	}
}

/* Its own sentence says more than its status. */
static void recorder_sentence(struct gns_launch *l)
{
	char text[sizeof l->trouble] = "";
	if (atomic_load(&l->session->recorder_error)) {
		memcpy(text, l->session->recorder_text, sizeof text - 1);
	} else if (l->recorder_text_fd >= 0 && l->trouble[0]) {
		off_t size = lseek(l->recorder_text_fd, 0, SEEK_END);
		off_t from = size > (off_t)sizeof text - 1 ? size - (off_t)sizeof text + 1 : 0;
		ssize_t n = pread(l->recorder_text_fd, text, sizeof text - 1, from);
		text[n > 0 ? n : 0] = '\0';
		while (n > 0 && text[n - 1] == '\n')
			text[--n] = '\0';
		char *last = strrchr(text, '\n');
		if (last)
			memmove(text, last + 1, strlen(last + 1) + 1);
	}
	if (text[0])
		snprintf(l->trouble, sizeof l->trouble, "%s", text);
}

/* The recorder could not store the run: its file gets the run's end, and perhaps the store is free by now. */
static int64_t import_spool(struct gns_launch *l, const char *word, int code, struct gns_error *err)
{
	struct gns_spool_result result;
	char spool[GNS_PATH_MAX];
	memcpy(spool, l->session->spool, sizeof spool);
	spool[sizeof spool - 1] = '\0';
	gns_spool_finish(spool, word, code, l->end_ns);
	if (gns_spool_import(spool, NULL, &result, NULL, err) != 0)
		return 0;
	l->trouble[0] = '\0';
	return result.run_id;
}

/* The run is stored but for its end. */
static void keep_end(struct gns_launch *l, const struct gns_run_start *start, const char *word, int code, struct gns_error *err)
{
	struct gns_spool spool;
	struct gns_error why = *err;
	if (gns_spool_open(&spool, l->store, start, GNS_SPOOL_ANYWHERE, NULL) != 0)
		return;
	if (gns_spool_run_end(&spool, word, code, l->end_ns) == 0)
		gns_fail(err, 0, "%.250s. The end of the run is kept; later: gnscope import %.180s", why.text, spool.path);
	gns_spool_close(&spool);
}

/* 0: nothing is stored. A run is there even where only its end could not be written: `err` then says why. */
static int64_t store_end(struct gns_launch *l, struct gns_error *err)
{
	struct gns_store *store = NULL;
	char host[64] = "";
	int64_t run_id = 0;
	int status = l->trainer_status, code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
	const char *word = code < 0 ? "killed" : code > 0 ? "failed" : "finished";
	gethostname(host, sizeof host - 1);
	struct gns_run_start start = {.key = l->session->key, .name = l->name ? l->name : getenv("GNSCOPE_NAME"), .command = l->command,
				      .cwd = l->cwd, .host = host, .version = GNS_VERSION, .start_ns = l->start_ns};
	if (start.name && !*start.name)
		start.name = NULL;
	if (l->session->spool[0])
		return import_spool(l, word, code, err);
	int rc = gns_store_open_write(l->session->store[0] ? l->session->store : l->store, &store, err);
	if (!rc)
		rc = gns_store_run_begin(store, &start, &run_id, err);
	char trouble[256];
	if (!rc && gns_session_join_trouble(l->session, trouble, sizeof trouble))
		gns_store_event(store, run_id, -1, l->end_ns, "not_joined", trouble, NULL);
	if (!rc)
		rc = gns_store_run_end(store, run_id, word, code, l->end_ns, err);
	gns_store_close(store);
	if (rc)
		keep_end(l, &start, word, code, err);
	return run_id;
}

void gns_launch_finish(struct gns_launch *l, int64_t *run_id)
{
	struct gns_error err = {""};
	end_witness(l);
	if (l->losses[1] >= 0)
		close(l->losses[1]);
	l->losses[1] = -1;
	atomic_store(&l->session->closing, 1);
	drain(l);
	recorder_sentence(l);
	if (!l->trouble[0])
		gns_session_join_trouble(l->session, l->trouble, sizeof l->trouble);
	*run_id = store_end(l, &err);
	if (err.text[0] && !l->trouble[0])
		snprintf(l->trouble, sizeof l->trouble, "%s", err.text);
	gns_session_unlink(l->session_name);
}
