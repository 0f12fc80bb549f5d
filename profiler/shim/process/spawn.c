/* Starts the recorder from inside a training program. */
#include "spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pages.h"

#define STACK (64u << 10)

extern char **environ;

struct job {
	char path[4096];
	char *argv[16];
	char **env;
	char *stack;
	volatile int failed; /* the program was not started; written by the child, which shares the memory */
};

static int is_program(const char *path)
{
	return access(path, X_OK) == 0;
}

/* The absolute path of this library. The loader's name for it may be relative to an earlier working directory: then
 * the path is taken from /proc/self/maps. */
static int own_path(char *path, size_t size)
{
	Dl_info self;
	static char line[4400]; /* static: guarded by the core's lock */
	if (!dladdr((void *)(uintptr_t)gns_spawn_recorder, &self) || !self.dli_fname)
		return -ENOENT;
	snprintf(path, size, "%s", self.dli_fname);
	FILE *maps = path[0] == '/' ? NULL : fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof line, maps)) {
		char *name = strchr(line, '/');
		if (strtoull(line, NULL, 16) != (uintptr_t)self.dli_fbase || !name)
			continue;
		name[strcspn(name, "\n")] = 0;
		snprintf(path, size, "%s", name);
	}
	if (maps)
		fclose(maps);
	return 0;
}

/* Searches for gnscope beside the library (build tree and installation), then on PATH. */
static int find_program(char *path, size_t size)
{
	const char *given = getenv("GNSCOPE_BIN");
	if (given && *given) {
		snprintf(path, size, "%s", given);
		return is_program(path) ? 0 : -ENOENT;
	}
	static const char *const beside[] = { "../bin/gnscope", "../../bin/gnscope", "gnscope", NULL };
	static char self[4096];
	if (own_path(self, sizeof self) == 0) {
		const char *slash = strrchr(self, '/');
		int folder = slash ? (int)(slash - self) : 0;
		for (const char *const *b = beside; slash && *b; b++) {
			snprintf(path, size, "%.*s/%s", folder, self, *b);
			if (is_program(path))
				return 0;
		}
	}
	const char *dir = getenv("PATH");
	while (dir && *dir) {
		size_t n = strcspn(dir, ":");
		snprintf(path, size, "%.*s/gnscope", (int)n, dir);
		if (n && is_program(path))
			return 0;
		dir += n + (dir[n] == ':');
	}
	return -ENOENT;
}

/* A relative GNSCOPE_STORE is relative to the first working directory: the program may change it before it trains. */
static char first_folder[4096];

__attribute__((constructor)) static void note_folder(void)
{
	const char *store = getenv("GNSCOPE_STORE");
	if (store && *store && *store != '/' && !getcwd(first_folder, sizeof first_folder))
		first_folder[0] = 0;
}

static const char *absolute(const char *store)
{
	static char path[8192];
	if (!store || *store == '/' || !first_folder[0])
		return store;
	snprintf(path, sizeof path, "%s/%s", first_folder, store);
	return path;
}

/* Runs in a child that shares our memory while we are suspended: system calls only, and it touches nothing of ours but
 * its own stack. */
static int grandchild(void *arg)
{
	struct job *job = arg;
	sigset_t none;
	setsid();
	int null = open("/dev/null", O_RDWR);
	/* if /dev/null cannot be opened, no descriptor is better than the training program's */
	for (int fd = 0; fd < 3; fd++)
		if (null < 0)
			close(fd);
		else
			dup2(null, fd);
	if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
		for (int fd = 3; fd < 4096; fd++)
			close(fd);
	struct sigaction standard = { .sa_handler = SIG_DFL };
	for (int sig = 1; sig < 32; sig++)
		sigaction(sig, &standard, NULL); /* exec would keep ignored signals ignored */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(job->path, job->argv, job->env);
	job->failed = 1;
	_exit(127);
}

static int child(void *arg)
{
	struct job *job = arg;
	pid_t pid = clone(grandchild, job->stack + STACK / 2, CLONE_VM | CLONE_VFORK, job);
	_exit(pid > 0 && !job->failed ? 0 : 1);
}

/* The environment without our own library, or the recorder would carry the shim. */
static char **without_preload(void *pages, size_t size)
{
	char **env = pages;
	size_t n = 0, room = size / sizeof *env - 1;
	for (char **e = environ; e && *e && n < room; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11) != 0 && strncmp(*e, "LD_AUDIT=", 9) != 0)
			env[n++] = *e;
	env[n] = NULL;
	return env;
}

int gns_spawn_recorder(const char *session_name)
{
	static struct job job;
	size_t env_size = 256u << 10;
	int rc = find_program(job.path, sizeof job.path);
	if (rc)
		return rc;
	char *pages = gns_pages(STACK + env_size);
	if (!pages)
		return -ENOMEM;
	const char *store = absolute(getenv("GNSCOPE_STORE")), *name = getenv("GNSCOPE_NAME");
	int n = 0;
	job.argv[n++] = (char *)"gnscope";
	job.argv[n++] = (char *)"record";
	job.argv[n++] = (char *)"--session";
	job.argv[n++] = (char *)session_name;
	job.argv[n++] = (char *)"--detached";
	if (store && *store) {
		job.argv[n++] = (char *)"--store";
		job.argv[n++] = (char *)store;
	}
	if (name && *name) {
		job.argv[n++] = (char *)"--name";
		job.argv[n++] = (char *)name;
	}
	job.argv[n] = NULL;
	job.stack = pages;
	job.env = without_preload(pages + STACK, env_size);

	/* An orphan is reparented to the nearest subreaper: if that is the training program, its wait() would find
	 * the recorder. */
	int subreaper = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
	if (subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	sigset_t all, before;
	job.failed = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* No exit signal: the training program's wait() and SIGCHLD handler do not notice the child. */
	pid_t pid = clone(child, pages + STACK, CLONE_VM | CLONE_VFORK, &job);
	int status = 0;
	if (pid > 0)
		waitpid(pid, &status, __WCLONE);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	gns_pages_free(pages, STACK + env_size);
	return pid > 0 && status == 0 ? 0 : -ECHILD;
}
