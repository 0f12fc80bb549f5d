/* The session, the trainer and its environment. The processes' later life is in supervise.c. */
#include "profiler/cli/launch.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/store.h"
#include "profiler/shim/process/clock.h"
#include "store/mask.h"

#ifndef GNS_MULTIARCH
#define GNS_MULTIARCH "."
#endif

static int check_lib(const char *path, struct gns_error *err)
{
	if (strpbrk(path, ": \t\n"))
		return gns_fail(err, -EINVAL,
				"the shim library '%s' cannot be preloaded: its path has a space or a colon, which LD_PRELOAD takes "
				"for the end of a name; move or link it to another place and give --lib FILE", path);
	if (access(path, R_OK) != 0)
		return gns_fail(err, -errno, "cannot read the shim library '%s': %s; give --lib FILE", path, strerror(errno));
	return 0;
}

int gns_launch_find_lib(const char *given, char *buf, size_t size, struct gns_error *err)
{
	static const char *const places[] = {"../lib", ("../lib/" GNS_MULTIARCH), "../lib64", "."};
	char self[PATH_MAX] = "", path[PATH_MAX + 64], resolved[PATH_MAX];
	if (!given || !*given)
		given = getenv("GNSCOPE_LIB");
	if (given && *given) {
		if (!realpath(given, resolved))
			return gns_fail(err, -errno, "cannot find the shim library '%s': %s; --lib or GNSCOPE_LIB must name "
					"libgnscope.so", given, strerror(errno));
		snprintf(buf, size, "%s", resolved);
		return check_lib(buf, err);
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return gns_fail(err, -ENOENT, "cannot tell where the program itself is (/proc is not mounted?), so the shim "
				"library cannot be found; give --lib FILE");
	const char *folder = dirname(self);
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		snprintf(path, sizeof path, "%s/%s/libgnscope.so", folder, places[i]);
		if (realpath(path, resolved)) {
			snprintf(buf, size, "%s", resolved);
			return check_lib(buf, err);
		}
	}
	return gns_fail(err, -ENOENT, "the shim library libgnscope.so is neither in %s/../lib, %s/../lib/" GNS_MULTIARCH
			" nor %s; install gnscope whole or give --lib FILE", folder, folder, folder);
}

/* A word as one could type it again. How many bytes it took. */
static size_t quoted(char *dst, size_t size, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^*";
	bool quote = !*word || word[strspn(word, plain)];
	size_t n = 0;
	if (quote)
		dst[n++] = '\'';
	for (const char *p = word; *p && n + 6 < size; p++) {
		if (*p == '\'') {
			memcpy(dst + n, "'\\''", 4);
			n += 4;
		} else {
			dst[n++] = *p;
		}
	}
	if (quote && n + 1 < size)
		dst[n++] = '\'';
	return n;
}

static void join(char *dst, size_t size, char *const *argv)
{
	char word[4096];
	bool next = false;
	size_t n = 0;
	for (size_t i = 0; argv[i] && n + 8 < size; i++) {
		gns_mask_argument(word, sizeof word, argv[i], &next);
		if (i)
			dst[n++] = ' ';
		n += quoted(dst + n, size - n, word);
	}
	dst[n] = '\0';
}

static int make_session(struct gns_launch *l, struct gns_error *err)
{
	int rc = -EEXIST;
	for (int attempt = 0; attempt < 8 && rc == -EEXIST; attempt++) {
		uint64_t random;
		if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
			return gns_fail(err, -EIO, "cannot get a random name for the session: %s", strerror(errno));
		snprintf(l->session_name, sizeof l->session_name, "/gnscope-%u-%016llx", (unsigned)getuid(),
			 (unsigned long long)random);
		rc = gns_session_create(l->session_name, &l->session);
	}
	if (rc)
		return gns_fail(err, rc, "cannot make the shared memory %s in /dev/shm: %s%s", l->session_name, strerror(-rc),
				rc == -ENOSPC ? "; free some space there" : "");
	return 0;
}

/* The machine's doing, for which a training program is not to be kept from running. */
static bool is_of_surroundings(int rc)
{
	static const int codes[] = {EROFS, EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EIO, ENOLCK, ENODEV, ENOSPC, EDQUOT, EOPNOTSUPP, ENOSYS};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (rc == -codes[i])
			return true;
	return false;
}

/* A store that will be refused is told before anything runs. One that is only full, locked or without locks is not: the trainer is to go
 * on, and what it measures is kept. */
static int check_store(const char *path, struct gns_error *err)
{
	struct gns_store *store = NULL;
	int rc = gns_store_open_write(path, &store, err);
	if (!rc)
		gns_store_close(store);
	bool kept = rc == -ENOSPC || rc == -EDQUOT || rc == -EBUSY || rc == -EAGAIN || rc == -ENOLCK;
	return kept ? 0 : rc;
}

static void restore_signals(const struct gns_launch *l)
{
	sigaction(SIGCHLD, &l->old_chld, NULL);
	sigaction(SIGPIPE, &l->old_pipe, NULL);
	sigaction(SIGXFSZ, &l->old_xfsz, NULL);
	sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
}

static int block_signals(struct gns_launch *l, struct gns_error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT, SIGCHLD};
	struct sigaction standard = {.sa_handler = SIG_DFL}, ignore = {.sa_handler = SIG_IGN};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaddset(&set, signals[i]);
	sigaction(SIGCHLD, &standard, &l->old_chld);
	sigaction(SIGPIPE, &ignore, &l->old_pipe);
	sigprocmask(SIG_BLOCK, &set, &l->old_mask);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signals >= 0)
		return 0;
	int rc = gns_fail(err, -errno, "cannot watch signals: %s", strerror(errno));
	restore_signals(l);
	return rc;
}

int gns_launch_prepare(struct gns_launch *l, struct gns_error *err)
{
	l->recorder_text_fd = l->signals = l->losses[0] = l->losses[1] = -1;
	struct stat st;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGXFSZ, &ignore, &l->old_xfsz); /* of a store beyond `ulimit -f`: an error, not the end */
	int rc = gns_launch_find_lib(l->lib, l->lib_path, sizeof l->lib_path, err);
	if (rc)
		return rc;
	rc = check_store(l->store, err);
	l->surroundings = is_of_surroundings(rc) && !(stat(l->store, &st) == 0 && S_ISDIR(st.st_mode));
	if (rc)
		return rc;
	l->surroundings = true;
	rc = make_session(l, err);
	if (rc)
		return rc;
	if (l->no_command) /* its program gives the run's name */
		snprintf(l->command, sizeof l->command, "%s", basename(l->argv[0]));
	else
		join(l->command, sizeof l->command, l->argv);
	if (!getcwd(l->cwd, sizeof l->cwd))
		l->cwd[0] = '\0';
	rc = block_signals(l, err);
	if (!rc && l->wants_losses && pipe2(l->losses, O_CLOEXEC | O_NONBLOCK) != 0)
		rc = gns_fail(err, -errno, "cannot make a pipe for the losses: %s", strerror(errno));
	if (rc)
		gns_launch_abandon(l);
	return rc;
}

void gns_launch_abandon(struct gns_launch *l)
{
	sigaction(SIGXFSZ, &l->old_xfsz, NULL);
	if (!l->session)
		return;
	gns_session_unlink(l->session_name);
	gns_session_detach(l->session);
	l->session = NULL;
	if (l->signals >= 0)
		restore_signals(l);
}

static void set_or_leave(const char *variable, const char *value)
{
	if (value)
		setenv(variable, value, 1);
}

/* Is `path` one of the names in an LD_PRELOAD? */
static bool preloaded(const char *list, const char *path)
{
	size_t n = strlen(path);
	for (const char *p = list; *p; p += strspn(p, ": ")) {
		size_t length = strcspn(p, ": ");
		if (length == n && strncmp(p, path, n) == 0)
			return true;
		p += length;
	}
	return false;
}

static void set_environment(const struct gns_launch *l)
{
	const char *old = getenv("LD_PRELOAD");
	char *preload = NULL;
	if (old && *old && !preloaded(old, l->lib_path)) {
		if (asprintf(&preload, "%s:%s", l->lib_path, old) > 0)
			setenv("LD_PRELOAD", preload, 1);
	} else if (!old || !*old) {
		setenv("LD_PRELOAD", l->lib_path, 1);
	}
	setenv("GNSCOPE_SESSION", l->session_name, 1);
	setenv("GNSCOPE_STORE", l->store, 1);
	set_or_leave("GNSCOPE_NAME", l->name);
	set_or_leave("GNSCOPE_SAMPLES", l->samples);
	set_or_leave("GNSCOPE_LAYOUT", l->layout);
	set_or_leave("GNSCOPE_EVERY", l->every);
	set_or_leave("GNSCOPE_BUDGET", l->budget);
	set_or_leave("GNSCOPE_PROBES", l->probes);
	set_or_leave("GNSCOPE_TORCH", l->torch);
	set_or_leave("GNSCOPE_GPU", l->gpu);
	set_or_leave("GNSCOPE_KERNELS", l->kernels);
	if (l->every)
		unsetenv("GNSCOPE_BUDGET");
	else if (l->budget)
		unsetenv("GNSCOPE_EVERY");
}

static void become_trainer(const struct gns_launch *l, const int fds[3], int report)
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0 && dup2(fds[i], i) < 0)
			_exit(126);
	set_environment(l);
	restore_signals(l);
	execvp(l->argv[0], l->argv);
	int code = errno;
	if (write(report, &code, sizeof code) != (ssize_t)sizeof code)
		_exit(126);
	_exit(127);
}

static int start_trainer(struct gns_launch *l, const int fds[3], struct gns_error *err)
{
	int report[2], code = 0;
	if (pipe2(report, O_CLOEXEC) != 0)
		return gns_fail(err, -errno, "cannot make a pipe: %s", strerror(errno));
	l->start_ns = gns_realtime();
	l->start_mono_ns = gns_now();
	pid_t pid = fork();
	if (pid == 0)
		become_trainer(l, fds, report[1]);
	int fork_error = errno;
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return gns_fail(err, -EAGAIN, "cannot start a process: %s", strerror(fork_error));
	}
	ssize_t n;
	while ((n = read(report[0], &code, sizeof code)) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (n == (ssize_t)sizeof code) {
		waitpid(pid, NULL, 0);
		if (code == ENOENT && !strchr(l->argv[0], '/'))
			return gns_fail(err, -code, "cannot run '%s': there is no such command on PATH", l->argv[0]);
		return gns_fail(err, -code, "cannot run '%s': %s", l->argv[0], strerror(code));
	}
	l->trainer = pid;
	return 0;
}

int gns_launch_start(struct gns_launch *l, const int fds[3], struct gns_error *err)
{
	int rc = start_trainer(l, fds, err);
	if (rc)
		return rc;
	gns_launch_recorder(l);
	gns_launch_witness(l);
	return 0;
}
