/* `gnscope list`: the runs in the store, newest first. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/json.h"

static const char help[] =
	"Usage: gnscope list [OPTION]...\n"
	"The runs in the store, latest first. Data that killed runs left in\n"
	"shared memory is stored first.\n"
	"\n"
	"      --json         an array of objects\n"
	"      --store FILE   the store to read                           (GNSCOPE_STORE)\n"
	"  -h, --help         this text\n";

static json_t *json_time(uint64_t realtime_ns)
{
	char text[32];
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	struct tm tm;
	if (!realtime_ns || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return json_null();
	return json_string(text);
}

static json_t *json_run(struct gns_store *store, const struct gns_run_info *r)
{
	struct gns_summary s;
	bool known = gns_store_summary(store, r->run_id, 0, &s, NULL) == 0;
	json_t *o = json_object();
	json_object_set_new(o, "run", json_integer(r->run_id));
	json_object_set_new(o, "name", gns_json_text(r->name));
	json_object_set_new(o, "command", gns_json_text(r->command));
	json_object_set_new(o, "status", gns_json_text(r->status));
	json_object_set_new(o, "exit_code", r->end_ns ? json_integer(r->exit_code) : json_null());
	json_object_set_new(o, "host", gns_json_text(r->host));
	json_object_set_new(o, "world", r->world > 0 ? json_integer(r->world) : json_null());
	json_object_set_new(o, "start", json_time(r->start_ns));
	json_object_set_new(o, "end", json_time(r->end_ns));
	json_object_set_new(o, "steps", gns_json_count(r->steps));
	json_object_set_new(o, "steps_measured", gns_json_count(known ? s.measured : r->steps_measured));
	return o;
}

static int print_json(const char *command, struct gns_store *store, const struct gns_run_info *runs, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_run(store, &runs[i]));
	return gns_json_print(command, list, stdout);
}

static void print_table(struct gns_store *store, const struct gns_run_info *runs, size_t n)
{
	char name[128], status[32], started[32], ratio[128];
	struct gns_summary summary;
	size_t width = 4;
	for (size_t i = 0; i < n; i++)
		width = strlen(gns_text_safe(name, 29, runs[i].name)) > width ? strlen(name) : width;
	printf("%5s  %-*s  %-8s  %-19s  %9s  %9s  %s\n", "RUN", (int)width, "NAME", "STATUS", "STARTED", "STEPS", "MEASURED", "B_NOISE");
	for (size_t i = 0; i < n; i++) {
		const char *noise = "-";
		int64_t measured = runs[i].steps_measured;
		if (gns_store_summary(store, runs[i].run_id, 0, &summary, NULL) == 0 && measured > 0) {
			noise = gns_text_ratio(ratio, sizeof ratio, &summary.b_noise, summary.sample_unit);
			measured = summary.measured;
		}
		printf("%5" PRId64 "  %-*s  %-8s  %-19s  %9" PRId64 "  %9" PRId64 "  %s\n", runs[i].run_id, (int)width,
		       gns_text_safe(name, 29, runs[i].name), gns_text_safe(status, sizeof status, runs[i].status),
		       gns_cli_time(started, sizeof started, runs[i].start_ns), runs[i].steps, measured, noise);
	}
}

int gns_cmd_list(int argc, char **argv)
{
	enum { STORE = 256, JSON };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *path = NULL;
	char full[4096];
	bool json = false;
	struct gns_store *store = NULL;
	struct gns_run_info *runs = NULL;
	struct gns_error err = {""};
	size_t n = 0;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: path = optarg; break;
		case JSON: json = true; break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	if (optind < argc)
		return gns_cli_usage(argv[0], "unexpected argument '%s' (for one run: gnscope show RUN)", argv[optind]);
	int rc = gns_cli_store_path(path, full, sizeof full, &err);
	if (rc)
		return gns_cli_fail_of(argv[0], &err, rc);
	gns_cli_adopt(argv[0], full);
	rc = gns_cli_open_read(argv[0], full, &store);
	if (rc)
		return rc;
	if ((rc = gns_store_runs(store, &runs, &n, &err)) != 0)
		rc = gns_cli_fail_of(argv[0], &err, rc);
	else if (json)
		rc = print_json(argv[0], store, runs, n);
	else if (n == 0)
		puts("no runs yet; start one: gnscope run --samples BATCH -- python3 train.py");
	else
		print_table(store, runs, n);
	free(runs);
	gns_store_close(store);
	return rc;
}
