/* `gnscope doctor`: checks the setup; explains what is and is not measured. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/doctor.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/words.h"
#include "profiler/shim/process/clock.h"

static const char help[] =
	"Usage: gnscope doctor [OPTION]... [RUN]\n"
	"       gnscope doctor [OPTION]... -- COMMAND [ARGUMENT]...\n"
	"Checks the setup; explains what is and is not measured: the library, the store,\n"
	"running sessions and a run (default: the latest). Or runs COMMAND for a few\n"
	"steps and reports what is measured, by which method, what is left out and why.\n"
	"Exit status 1 when something needs to be done.\n"
	"\n"
	"COMMAND really runs and may write files. After a few measured steps it is\n"
	"stopped with SIGTERM and, three seconds later, with SIGKILL. What was measured\n"
	"goes to a temporary store. Its output is not shown, except for its last lines\n"
	"when it fails.\n"
	"\n"
	"      --clean          first store what killed runs have left in shared memory\n"
	"      --samples N      samples in a micro-step of COMMAND      (GNSCOPE_SAMPLES)\n"
	"      --steps N        stop COMMAND once N steps are measured; default 20\n"
	"      --seconds N      or after N seconds; default 60\n"
	"      --lib FILE       the shim library                            (GNSCOPE_LIB)\n"
	"      --store FILE     the store to read                         (GNSCOPE_STORE)\n"
	"  -h, --help           this text\n";

static int look_at_library(const char *given)
{
	char path[4096];
	struct gns_error err = {""};
	if (gns_launch_find_lib(given, path, sizeof path, &err) != 0)
		return gns_finding(GNS_FAULT, "shim", "%s", err.text);
	gns_finding(GNS_OK, "shim", "%s", path);
	gns_doctor_machine(path);
	return 0;
}

static void look_at_session(const char *file)
{
	char name[GNS_NAME_MAX];
	struct gns_session *session = NULL;
	snprintf(name, sizeof name, "/%.*s", (int)sizeof name - 2, file);
	if (gns_session_attach(name, &session) != 0) {
		gns_finding(GNS_NOTE, "session", "%s is of another user or another version, or still being made", name);
		return;
	}
	pid_t recorder = (pid_t)atomic_load(&session->recorder_pid);
	uint64_t beat = atomic_load(&session->heartbeat_ns), now = gns_now(), lost = 0;
	int alive = 0;
	for (uint32_t i = 0; i < GNS_SLOTS; i++) {
		alive += gns_slot_alive(&session->slot[i]);
		lost += atomic_load(&session->slot[i].dropped_steps);
	}
	if (atomic_load(&session->recorder_error))
		gns_finding(GNS_NOTE, "session", "%s: the recorder says: %.500s", name, session->recorder_text);
	else if (!gns_session_recorded(name) && !gns_session_held(name))
		gns_finding(GNS_NOTE, "session", "%s: its processes were all killed; 'gnscope doctor --clean' stores what they left", name);
	else if (!gns_session_recorded(name))
		gns_finding(GNS_NOTE, "session", "%s: no recorder, processes alive: %d; one of them starts another", name, alive);
	else
		gns_finding(GNS_OK, "session", "%s: run %" PRIu64 ", recorder %d alive (last round %.1f s ago), processes alive: %d, "
			    "steps lost: %" PRIu64, name, atomic_load(&session->run_id), (int)recorder, (double)(now - beat) / 1e9, alive, lost);
	for (uint32_t i = 0; i < GNS_SLOTS; i++)
		if (gns_slot_alive(&session->slot[i]))
			gns_doctor_process((pid_t)atomic_load(&session->slot[i].pid));
	gns_session_detach(session);
}

static void look_at_sessions(void)
{
	char prefix[64];
	int n = 0;
	snprintf(prefix, sizeof prefix, "gnscope-%u-", (unsigned)getuid());
	DIR *folder = opendir("/dev/shm");
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && !strchr(entry->d_name, '.')) {
			look_at_session(entry->d_name);
			n++;
		}
	if (folder)
		closedir(folder);
	if (!n)
		gns_finding(GNS_NOTE, "session", "nothing is being recorded at the moment");
}

static int look_at_store(const char *given, const char *ref)
{
	char path[4096];
	struct gns_store *store = NULL;
	struct gns_error err = {""};
	int64_t run_id;
	int faults = 0;
	if (gns_cli_store_path(given, path, sizeof path, &err) != 0)
		return gns_finding(GNS_FAULT, "store", "%s", err.text);
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return gns_finding(ref ? GNS_FAULT : GNS_NOTE, "store", "%s does not exist yet; the first run makes it: gnscope run "
				   "--samples BATCH -- python3 train.py", path);
	if (gns_store_open_read(path, &store, &err) != 0)
		return gns_finding(GNS_FAULT, "store", "%s", err.text);
	gns_finding(GNS_OK, "store", "%s", path);
	if (gns_store_find_run(store, ref, &run_id, &err) == 0)
		faults = gns_doctor_run(store, run_id, -1, NULL);
	else
		faults = gns_finding(ref ? GNS_FAULT : GNS_NOTE, "run", "%s", err.text);
	gns_store_close(store);
	return faults;
}

static void clean_up(const char *given)
{
	char path[4096];
	struct gns_error err = {""};
	if (gns_cli_store_path(given, path, sizeof path, &err) == 0 && gns_cli_adopt("doctor", path) == 0)
		gns_finding(GNS_OK, "clean", "no session of killed processes");
}

int gns_cmd_doctor(int argc, char **argv)
{
	enum { STORE = 256, SAMPLES, SECONDS, STEPS, LIB, CLEAN };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"samples", required_argument, NULL, SAMPLES},
		{"seconds", required_argument, NULL, SECONDS}, {"lib", required_argument, NULL, LIB},
		{"steps", required_argument, NULL, STEPS}, {"clean", no_argument, NULL, CLEAN}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct gns_doctor_command command = {.seconds = 60, .steps = 20};
	const char *store = NULL;
	int64_t samples;
	bool clean = false;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "+:h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: store = optarg; break;
		case LIB: command.lib = optarg; break;
		case CLEAN: clean = true; break;
		case SAMPLES:
			command.samples = optarg;
			if (gns_cli_integer(optarg, 1, UINT32_MAX, &samples) != 0)
				return gns_cli_usage(argv[0], "--samples '%s' is not a whole number from 1", optarg);
			break;
		case SECONDS:
			if (gns_cli_integer(optarg, 1, 86400, &command.seconds) != 0)
				return gns_cli_usage(argv[0], "--seconds '%s' is not a whole number from 1 to 86400", optarg);
			break;
		case STEPS:
			if (gns_cli_integer(optarg, 1, INT64_MAX, &command.steps) != 0)
				return gns_cli_usage(argv[0], "--steps '%s' is not a whole number from 1", optarg);
			break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	bool dashes = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
	if (dashes && optind >= argc)
		return gns_cli_usage(argv[0], "the command after '--' is missing");
	if (!dashes && argc - optind > 1)
		return gns_cli_usage(argv[0], "unexpected argument '%s' (a command comes after '--')", argv[optind + 1]);
	int faults = look_at_library(command.lib);
	if (dashes) {
		command.argv = argv + optind;
		int more = faults ? 0 : gns_doctor_command(&command);
		return more < 0 ? -more : faults + more ? GNS_EXIT_FAIL : GNS_EXIT_OK;
	}
	if (clean)
		clean_up(store);
	look_at_sessions();
	faults += look_at_store(store, argv[optind]);
	return faults ? GNS_EXIT_FAIL : GNS_EXIT_OK;
}
