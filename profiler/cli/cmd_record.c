/* The hidden command `record`: the recorder as a process of its own. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/loss.h"
#include "store/adopt.h"
#include "store/recorder.h"
#include "store/spool.h"
#include "profiler/shim/process/clock.h"

static const char help[] =
	"Usage: gnscope record --session NAME [OPTION]...\n"
	"Moves what training programs measure from shared memory into the store. Run by\n"
	"'gnscope run' or by the shim; not meant to be typed.\n"
	"\n"
	"      --session NAME   the session in shared memory\n"
	"      --store FILE     the store\n"
	"      --name S         the run's name\n"
	"      --command S      the training program's command line\n"
	"      --cwd S          the training program's folder\n"
	"      --detached       ends after the last training program\n"
	"      --parent PID     once this process is gone, close after the programs\n"
	"      --losses FD      a pipe with the losses that were read from the output\n"
	"      --echo           write troubles to standard error\n";

/* `gnscope run` may be killed while its trainer goes on. Then this thread closes the session once every trainer is gone, so
 * that the recorder ends and the run is not left "running" for ever. */
struct orphan {
	const char *session_name;
	pid_t parent;
	struct gns_session *session;
	_Atomic bool orphaned;
};

static bool trainers_alive(struct gns_session *session)
{
	for (uint32_t i = 0; i < GNS_SLOTS; i++) {
		uint32_t state = atomic_load(&session->slot[i].state);
		if ((state == GNS_SLOT_CLAIMED || state == GNS_SLOT_READY) && gns_slot_alive(&session->slot[i]))
			return true;
	}
	return false;
}

static void *watch_parent(void *arg)
{
	struct orphan *o = arg;
	while (getppid() == o->parent)
		poll(NULL, 0, 250);
	if (atomic_load(&o->session->closing))
		return NULL;
	atomic_store(&o->orphaned, true);
	while (trainers_alive(o->session))
		poll(NULL, 0, 250);
	atomic_store(&o->session->closing, 1);
	return NULL;
}

static int close_orphan(struct orphan *o, const char *path, struct gns_error *err)
{
	struct gns_store *store = NULL;
	int64_t run_id = (int64_t)atomic_load(&o->session->run_id);
	int rc = run_id > 0 ? gns_store_open_write(path, &store, err) : 0;
	if (store)
		rc = gns_store_run_end(store, run_id, "lost", 0, gns_realtime(), err);
	gns_store_close(store);
	gns_session_unlink(o->session_name);
	return rc;
}

static int record(const struct gns_recorder_options *options, pid_t parent, int losses_fd)
{
	struct gns_loss_store *losses = NULL;
	struct orphan orphan = {.session_name = options->session, .parent = parent};
	struct gns_error err = {""};
	pthread_t thread;
	bool attached = parent > 0 && gns_session_attach(options->session, &orphan.session) == 0;
	if (attached && pthread_create(&thread, NULL, watch_parent, &orphan) == 0)
		pthread_detach(thread);
	if (attached && losses_fd >= 0)
		gns_loss_store_start(losses_fd, options->store, orphan.session, &losses);
	int rc = gns_recorder_run(options, &err);
	uint64_t lost = gns_loss_store_finish(losses);
	if (lost && !rc)
		rc = gns_fail(&err, -EIO, "the last %" PRIu64 " losses could not be stored in %s", lost, options->store);
	if (atomic_load(&orphan.orphaned)) {
		int closed = close_orphan(&orphan, options->store, rc ? NULL : &err);
		rc = rc ? rc : closed;
	}
	if (options->detached && !rc) { /* `gnscope run` waits for us, and does it itself */
		gns_adopt_sessions(options->store, &(struct gns_adopted){0});
		gns_spool_import_all(options->store);
	}
	if (!rc)
		return GNS_EXIT_OK;
	return options->detached ? GNS_EXIT_FAIL : gns_cli_fail_of("record", &err, rc);
}

int gns_cmd_record(int argc, char **argv)
{
	enum { SESSION = 256, STORE, NAME, COMMAND, CWD, DETACHED, PARENT, LOSSES, ECHO_ };
	static const struct option longs[] = {
		{"session", required_argument, NULL, SESSION}, {"store", required_argument, NULL, STORE},
		{"name", required_argument, NULL, NAME}, {"command", required_argument, NULL, COMMAND},
		{"cwd", required_argument, NULL, CWD}, {"detached", no_argument, NULL, DETACHED},
		{"parent", required_argument, NULL, PARENT}, {"losses", required_argument, NULL, LOSSES}, {"echo", no_argument, NULL, ECHO_},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct gns_recorder_options options = {0};
	struct gns_error err = {""};
	const char *store = NULL;
	char path[4096];
	int64_t parent = 0, losses = -1;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "+:h", longs, NULL)) != -1;) {
		switch (c) {
		case SESSION: options.session = optarg; break;
		case STORE: store = optarg; break;
		case NAME: options.name = optarg; break;
		case COMMAND: options.command = optarg; break;
		case CWD: options.cwd = optarg; break;
		case DETACHED: options.detached = true; break;
		case ECHO_: options.echo = true; break;
		case PARENT:
			if (gns_cli_integer(optarg, 1, INT32_MAX, &parent) != 0)
				return gns_cli_usage(argv[0], "--parent '%s' is not a process id", optarg);
			break;
		case LOSSES:
			if (gns_cli_integer(optarg, 0, 1 << 20, &losses) != 0)
				return gns_cli_usage(argv[0], "--losses '%s' is not a file descriptor", optarg);
			break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	if (!options.session)
		return gns_cli_usage(argv[0], "--session NAME is missing");
	if (optind < argc)
		return gns_cli_usage(argv[0], "unexpected argument '%s'", argv[optind]);
	if (gns_cli_store_path(store, path, sizeof path, &err) != 0)
		return gns_cli_fail(argv[0], "%s", err.text);
	options.store = path;
	return record(&options, (pid_t)parent, (int)losses);
}
