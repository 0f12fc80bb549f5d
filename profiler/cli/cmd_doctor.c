/* `gnscope doctor`: why there is data, or why not. */
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

#define WEIGHTS 100 /* listed one by one */

static const char help[] =
	"Usage: gnscope doctor [OPTION]... [RUN]\n"
	"       gnscope doctor [OPTION]... -- COMMAND [ARGUMENT]...\n"
	"Why is there data, or why not. Looks at the shim library, the store, running\n"
	"sessions and a run (absent: the newest); or runs COMMAND for a few steps and\n"
	"tells what is measured of it, by which source, what is left out and why.\n"
	"Exit status 1 when something needs to be done.\n"
	"\n"
	"COMMAND is really run: what it writes it writes. After a few measured steps it\n"
	"is stopped with SIGTERM and, if it goes on for three seconds, with SIGKILL. What\n"
	"was measured is kept in a store of its own, which is removed; its output is\n"
	"not shown, but for its last words when it fails.\n"
	"\n"
	"      --clean          first store what killed runs have left in shared memory\n"
	"      --samples N      samples in a micro-step of COMMAND      (GNSCOPE_SAMPLES)\n"
	"      --steps N        stop COMMAND once N steps are measured; default 20\n"
	"      --seconds N      or after N seconds; default 60\n"
	"      --lib FILE       the shim library                            (GNSCOPE_LIB)\n"
	"      --store FILE     the store to read                         (GNSCOPE_STORE)\n"
	"  -h, --help           this text\n";

int gns_finding(enum gns_finding kind, const char *about, const char *fmt, ...)
{
	static const char *const marks[] = {"ok", "note", "FAULT"};
	char text[2048], safe[2048];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	printf("%-5s  %-9s %s\n", marks[kind], about, gns_text_safe(safe, sizeof safe, text));
	return kind == GNS_FAULT;
}

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
	uint64_t beat = atomic_load(&session->heartbeat_ns), now = gns_clock_ns(CLOCK_MONOTONIC), lost = 0;
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

static void print_counters(struct gns_store *store, int64_t run_id)
{
	struct gns_counter_row *rows = NULL;
	char words[128], name[64], text[64];
	size_t n = 0;
	if (gns_store_counters(store, run_id, &rows, &n, NULL) != 0 || n == 0)
		gns_finding(GNS_NOTE, "counters", "none: no collector had anything to count");
	for (size_t i = 0; i < n; i++) {
		gns_text_safe(name, sizeof name, rows[i].name);
		gns_text_safe(text, sizeof text, rows[i].text);
		printf("       %-9s %12" PRId64 "  %s%s%s%s (%s)\n", i ? "" : "counters", rows[i].value,
		       gns_words_reason(words, sizeof words, rows[i].name), text[0] ? "; last: " : "", text, "", name);
	}
	free(rows);
}

static void print_weights(struct gns_store *store, int64_t run_id, const char *unit)
{
	struct gns_layer *layers = NULL;
	char name[80], shape[48], ratio[128];
	size_t n = 0;
	if (gns_store_layers(store, run_id, 0, &layers, &n, NULL) != 0)
		n = 0;
	for (size_t i = 0; i < n && i < WEIGHTS; i++)
		printf("       %-9s %-28s %-12s %s\n", i ? "" : "weights", gns_text_safe(name, sizeof name, layers[i].name),
		       gns_text_safe(shape, sizeof shape, layers[i].shape),
		       layers[i].excluded ? gns_words_left_out(ratio, sizeof ratio, layers[i].left_out)
					  : gns_text_ratio(ratio, sizeof ratio, &layers[i].b_noise, unit));
	if (n > WEIGHTS)
		printf("       %-9s and %zu more: gnscope show --layers\n", "", n - WEIGHTS);
	free(layers);
}

int gns_doctor_run(struct gns_store *store, int64_t run_id, int processes, const struct gns_loaded *loaded)
{
	struct gns_summary s;
	struct gns_error err = {""};
	struct gns_event_row *events = NULL;
	char text[768], number[40];
	size_t n = 0;
	int faults = 0;
	if (gns_store_summary(store, run_id, 0, &s, &err) != 0)
		return gns_finding(GNS_FAULT, "run", "%s", err.text);
	gns_finding(GNS_OK, "run", "%" PRId64 " (%s), %s: %s", s.run.run_id, s.run.name, s.run.status, s.run.command);
	if (s.run.steps_measured > 0)
		gns_finding(GNS_OK, "steps", "%" PRId64 " of %" PRId64 " measured, %s %s a step; %s", s.measured, s.run.steps,
			    gns_text_number(number, sizeof number, s.samples_per_step), s.sample_unit,
			    gns_text_verdict(text, sizeof text, &s, NULL));
	else
		faults += gns_finding(strcmp(s.run.status, "running") == 0 ? GNS_NOTE : GNS_FAULT, "steps", "%s",
				      gns_words_why_nothing(text, sizeof text, store, &s, processes));
	if (isfinite(s.coverage))
		gns_finding(GNS_OK, "coverage", "%.3g%% %s", 100 * s.coverage, s.coverage_note);
	if (s.dropped > 0)
		faults += gns_finding(GNS_FAULT, "dropped", "%" PRId64 " steps were lost: the recorder was behind or could not write", s.dropped);
	for (size_t i = 0; i < s.n_warnings; i++)
		if (strcmp(s.warnings[i].name, "dropped") != 0 && !gns_doctor_explains(s.warnings[i].name))
			gns_finding(GNS_NOTE, "warning", "%s: %s", s.warnings[i].name, s.warnings[i].text);
	gns_doctor_explain(store, &s);
	gns_doctor_gpu(store, run_id, loaded);
	print_weights(store, run_id, s.sample_unit);
	print_counters(store, run_id);
	if (gns_store_events(store, run_id, &events, &n, NULL) == 0)
		for (size_t i = 0; i < n && i < 20; i++)
			gns_finding(GNS_NOTE, "event", "step %" PRId64 ": %s: %s", events[i].step, events[i].name, events[i].text);
	free(events);
	return faults;
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
