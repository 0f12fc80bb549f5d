/* A command under the shim: where the shim is, the session, the trainer's environment, the two processes, and their end.
 *
 * Used by `run` and by `doctor -- CMD`. One thread. The trainer stays in our process group and session: what the terminal
 * sends (Ctrl-C, Ctrl-Z, a hangup) reaches it as if we were not there. The recorder gets a session of its own, so
 * that none of these reach it. */
#ifndef GNS_PROFILER_CLI_LAUNCH_H
#define GNS_PROFILER_CLI_LAUNCH_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "gnscope/error.h"
#include "profiler/shim/ring/ring.h"

#define GNS_RECORDER_STARTS 5 /* a recorder that dies is started again at most this often */

struct gns_launch {
	/* Given. NULL: as the environment says. */
	const char *store; /* absolute path */
	const char *name, *samples, *layout, *every, *budget, *probes, *torch, *gpu, *kernels, *lib;
	char *const *argv; /* the command, NULL at the end */
	bool no_command;   /* store the program's name and none of its arguments */
	bool wants_losses; /* a pipe for losses to the recorder, loss.h */

	/* Made by gns_launch_prepare. */
	bool surroundings;
	char lib_path[4096], cwd[4096], command[8192];
	char session_name[GNS_NAME_MAX];
	struct gns_session *session;
	sigset_t old_mask;             /* the signal mask and dispositions that the trainer gets back */
	struct sigaction old_chld, old_pipe, old_xfsz;
	int losses[2];                 /* the pipe's ends, -1: none */
	int signals;                   /* a signalfd with every signal that concerns us */

	/* The processes. */
	pid_t trainer, recorder, witness; /* 0: not there */
	int trainer_status;            /* of waitpid, once trainer_ended */
	bool trainer_ended;
	uint64_t start_ns, end_ns;     /* realtime at the start; the end is as far from it as the monotonic clock says, whatever sets the clock */
	uint64_t start_mono_ns;
	int recorder_starts;
	uint64_t recorder_started_ns;  /* monotonic */
	int recorder_text_fd;          /* what it wrote to stderr */
	char trouble[512];             /* the recorder's sentence when it failed, "" otherwise */
};

/* GNSCOPE_LIB or `given`, else ../lib/, ../lib/<multiarch>/ and . beside the program. The sentence lists where it was looked for. */
int gns_launch_find_lib(const char *given, char *buf, size_t size, struct gns_error *err);

/* Checks the library and the store, makes the session, blocks the signals. Nothing runs yet. On an error `surroundings` tells
 * whether the machine is the cause (no shared memory, a read-only folder, no descriptors left) and not what the user has given. */
int gns_launch_prepare(struct gns_launch *launch, struct gns_error *err);

/* Starts the trainer with the given descriptors as 0, 1 and 2 (-1: as ours are), then the recorder. A command that cannot
 * be executed gives the negative errno of exec. */
int gns_launch_start(struct gns_launch *launch, const int fds[3], struct gns_error *err);

/* recorder_process.c. The two that gns_launch_start adds to the trainer: the recorder, and a witness in our process group that tells a signal sent
 * to the whole group (the trainer has it already) from one sent to us alone (it must be passed on). */
void gns_launch_recorder(struct gns_launch *launch);
void gns_launch_witness(struct gns_launch *launch);

/* Handles what the signalfd has: forwards signals, collects ended children, starts a dead recorder again. `ended`, when not
 * NULL, is told of any other child of ours that ended. Returns a bit mask of the signals seen (1 << signo). */
uint64_t gns_launch_signals(struct gns_launch *launch, void (*ended)(void *arg, pid_t pid, int status), void *arg);

/* Starts a dead recorder again when its time has come; call it a few times a second. */
void gns_launch_tick(struct gns_launch *launch);

/* After the trainer's end: lets the recorder drain, stores how the run ended, and removes the session. *run_id is 0 when no
 * run could be stored. A sentence in `trouble` tells what was lost. */
void gns_launch_finish(struct gns_launch *launch, int64_t *run_id);
/* Removes what prepare made, when nothing was started; signals are as they were before. */
void gns_launch_abandon(struct gns_launch *launch);

/* Number of processes that claimed a place in the session, and what they lost. */
int gns_launch_claimed(const struct gns_session *session);

#endif
