/* `gnscope doctor -- COMMAND`: what the shim sees of it, with a store that is thrown away. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/doctor.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/loaded.h"
#include "profiler/shim/process/clock.h"

static void look(struct gns_loaded *w, const struct gns_launch *l)
{
	gns_loaded_look(w, l->trainer);
	for (uint32_t i = 0; i < GNS_SLOTS; i++) {
		pid_t pid = (pid_t)atomic_load(&l->session->slot[i].pid);
		if (pid > 0 && pid != l->trainer && gns_slot_alive(&l->session->slot[i]))
			gns_loaded_look(w, pid);
	}
}

static int64_t measured(const struct gns_launch *l)
{
	struct gns_store *store = NULL;
	struct gns_run_info info = {0};
	int64_t run_id = (int64_t)atomic_load(&l->session->run_id);
	if (run_id <= 0 || gns_store_open_read(l->store, &store, NULL) != 0)
		return 0;
	if (gns_store_run_info(store, run_id, &info, NULL) != 0)
		info.steps_measured = 0;
	gns_store_close(store);
	return info.steps_measured;
}

/* Until it ends, has shown enough, or its time is up. Returns whether we stopped it. */
static bool follow(struct gns_launch *l, struct gns_loaded *w, const struct gns_doctor_command *command)
{
	uint64_t start = gns_now(), stopped = 0, last = 0;
	while (!l->trainer_ended) {
		struct pollfd fd = {.fd = l->signals, .events = POLLIN};
		poll(&fd, 1, 50);
		gns_launch_signals(l, NULL, NULL);
		gns_launch_tick(l);
		uint64_t now = gns_now();
		if (l->trainer_ended || (now - last < 500000000u && w->looks > 0 && now - start > 500000000u))
			continue;
		last = now;
		look(w, l);
		if (!stopped && ((int64_t)((now - start) / 1000000000u) >= command->seconds || measured(l) >= command->steps)) {
			stopped = now;
			kill(l->trainer, SIGTERM);
		} else if (stopped && now - stopped > 3000000000u) {
			kill(l->trainer, SIGKILL);
		}
	}
	return stopped != 0;
}

static void print_end(const struct gns_launch *l, bool stopped, const char *log)
{
	char text[2048], *line = text;
	int status = l->trainer_status;
	if (stopped) {
		gns_finding(GNS_OK, "command", "stopped after %.1f s: enough was seen, or its time was up",
			    (double)(l->end_ns - l->start_ns) / 1e9);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		gns_finding(GNS_OK, "command", "ended by itself after %.1f s", (double)(l->end_ns - l->start_ns) / 1e9);
		return;
	}
	gns_finding(GNS_NOTE, "command", WIFSIGNALED(status) ? "was killed by signal %d; its last words:" : "failed with status %d; its last words:",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	int fd = open(log, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, size > (off_t)sizeof text - 1 ? size - (off_t)sizeof text + 1 : 0);
	text[n > 0 ? n : 0] = '\0';
	for (int lines = 0; n > 0 && lines <= 5; n--)
		if (text[n - 1] == '\n' && ++lines > 5)
			line = text + n;
	for (char *word; (word = strsep(&line, "\n"));)
		if (*word)
			gns_finding(GNS_NOTE, "", "| %s", word);
	if (fd >= 0)
		close(fd);
}

static int print_libraries(const struct gns_loaded *w)
{
	for (int i = 0; i < w->n; i++)
		gns_finding(GNS_OK, "library", "%s: %s", w->library[i].path, w->library[i].words);
	if (w->looks == 0)
		return gns_finding(GNS_NOTE, "library", "the command was over before its libraries could be read");
	if (!w->shim)
		return gns_finding(GNS_FAULT, "library", "the shim is not loaded: the command is linked statically, runs with other rights, "
				   "or takes LD_PRELOAD away from the program that trains");
	if (w->n == 1)
		return gns_finding(GNS_NOTE, "library", "no BLAS library is loaded: the command has its own loops, or has "
				   "not begun to train");
	return 0;
}

static int event_text(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	if (!is_header && texts[0])
		snprintf(arg, 80, "%s", texts[0]);
	return 0;
}

/* PyTorch's part of the shim starts with the first optimizer, and tells its version then. */
static void print_torch(struct gns_store *store, int64_t run_id, const struct gns_loaded *w)
{
	char query[160], version[80] = "";
	snprintf(query, sizeof query, "SELECT text FROM event WHERE name='torch' AND run_id=%" PRId64 " LIMIT 1", run_id);
	gns_store_sql(store, query, event_text, version, NULL);
	if (version[0])
		gns_finding(GNS_OK, "torch", "%s: all layers measured via autograd", version);
	else if (w->torch)
		gns_finding(GNS_NOTE, "torch", "PyTorch is loaded, but no optimizer of torch.optim was made: only matrix multiplications can be seen");
}

static void clean(const char *folder)
{
	static const char *const files[] = {"doctor.db", "doctor.db-wal", "doctor.db-shm", "output.log"};
	char path[PATH_MAX];
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, files[i]);
		unlink(path);
	}
	rmdir(folder);
}

static int report(struct gns_launch *l, const struct gns_loaded *w, bool stopped, const char *log)
{
	struct gns_store *store = NULL;
	struct gns_error err = {""};
	int64_t run_id = 0;
	int processes = gns_launch_claimed(l->session), faults;
	gns_launch_finish(l, &run_id);
	print_end(l, stopped, log);
	faults = print_libraries(w);
	if (w->python[0])
		gns_finding(GNS_OK, "python", "%s", w->python);
	gns_finding(processes ? GNS_OK : GNS_NOTE, "processes", "%d called something that is collected", processes);
	if (l->trouble[0])
		faults += gns_finding(GNS_FAULT, "recorder", "%s", l->trouble);
	if (run_id && gns_store_open_read(l->store, &store, &err) == 0) {
		print_torch(store, run_id, w);
		faults += gns_doctor_run(store, run_id, processes, w);
	} else {
		faults += gns_finding(GNS_FAULT, "run", "nothing was stored: %s", err.text);
	}
	gns_store_close(store);
	return faults;
}

int gns_doctor_command(const struct gns_doctor_command *command)
{
	static struct gns_loaded watch;
	static struct gns_launch launch;
	struct gns_error err = {""};
	const char *temporary = getenv("TMPDIR");
	char folder[PATH_MAX - 64], store[PATH_MAX], log[PATH_MAX];
	snprintf(folder, sizeof folder, "%s/gnscope-doctor-XXXXXX", temporary && *temporary == '/' ? temporary : "/tmp");
	if (!mkdtemp(folder))
		return -gns_cli_fail("doctor", "cannot make a folder '%s': %s", folder, strerror(errno));
	snprintf(store, sizeof store, "%s/doctor.db", folder);
	snprintf(log, sizeof log, "%s/output.log", folder);
	launch = (struct gns_launch){.store = store, .name = "doctor", .samples = command->samples, .every = "1", .lib = command->lib,
				     .argv = command->argv};
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), fds[3] = {-1, out, out};
	int rc = gns_launch_prepare(&launch, &err);
	if (!rc)
		rc = gns_launch_start(&launch, fds, &err);
	if (rc) {
		gns_launch_abandon(&launch);
		clean(folder);
		gns_cli_fail("doctor", "%s", err.text);
		return rc == -ENOENT ? -GNS_EXIT_NOT_FOUND : -GNS_EXIT_CANNOT_RUN;
	}
	bool stopped = follow(&launch, &watch, command);
	rc = report(&launch, &watch, stopped, log);
	clean(folder);
	return rc;
}
