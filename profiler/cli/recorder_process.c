/* The two processes beside the training program: the recorder and the witness. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "profiler/cli/launch.h"
#include "profiler/shim/process/clock.h"

#define LOSSES_FD 3

static void become_recorder(const struct gns_launch *l, pid_t us)
{
	sigset_t none;
	char parent[32];
	setsid();
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	dup2(l->recorder_text_fd >= 0 ? l->recorder_text_fd : null, 2);
	if (l->losses[0] == LOSSES_FD)
		fcntl(LOSSES_FD, F_SETFD, 0);
	else if (l->losses[0] >= 0)
		dup2(l->losses[0], LOSSES_FD);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(parent, sizeof parent, "%ld", (long)us); /* getppid() is 1 where we were killed meanwhile */
	const char *argv[20] = {"gnscope", "record", "--session", l->session_name, "--store", l->store, "--command", l->command,
				"--cwd", l->cwd, "--parent", parent, "--echo"};
	int n = 13;
	if (l->losses[0] >= 0) {
		argv[n++] = "--losses";
		argv[n++] = "3";
	}
	const char *name = l->name ? l->name : getenv("GNSCOPE_NAME");
	if (name && *name) {
		argv[n++] = "--name";
		argv[n++] = name;
	}
	unsetenv("LD_PRELOAD"); /* the recorder is not to carry the shim */
	execv("/proc/self/exe", (char *const *)argv);
	dprintf(2, "cannot start the recorder: %s\n", strerror(errno));
	_exit(127);
}

void gns_launch_recorder(struct gns_launch *l)
{
	if (l->recorder_text_fd < 0)
		l->recorder_text_fd = memfd_create("gnscope-recorder", MFD_CLOEXEC);
	l->recorder_starts++;
	l->recorder_started_ns = gns_now();
	pid_t us = getpid(), pid = fork();
	if (pid == 0)
		become_recorder(l, us);
	l->recorder = pid > 0 ? pid : 0;
}

void gns_launch_witness(struct gns_launch *l)
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0) {
		l->witness = pid > 0 ? pid : 0;
		return;
	}
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "gnscope-witness");
	close_range(0, ~0u, 0);
	while (getppid() == parent)
		sigsuspend(&all);
	_exit(0);
}
