/* `gnscope show`: one run on one screen, or as one JSON object. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/gpu.h"
#include "profiler/cli/json.h"
#include "profiler/cli/run_json.h"
#include "profiler/cli/words.h"
#include "tui/say.h"

static const char help[] =
	"Usage: gnscope show [OPTION]... [RUN]\n"
	"One run: B_noise with its interval, what it means for the batch size, and its\n"
	"coverage. RUN is an id or a name; default: the latest run.\n"
	"\n"
	"      --window N     only the last N steps\n"
	"      --layers       every parameter, too\n"
	"      --json         one object, numbers as numbers, absent ones null\n"
	"      --store FILE   the store to read                           (GNSCOPE_STORE)\n"
	"  -h, --help         this text\n";

struct show {
	const char *store, *ref;
	int64_t window;
	bool layers, json;
};

static int parse(int argc, char **argv, struct show *o)
{
	enum { STORE = 256, WINDOW, LAYERS, JSON };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"window", required_argument, NULL, WINDOW},
		{"layers", no_argument, NULL, LAYERS}, {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: o->store = optarg; break;
		case LAYERS: o->layers = true; break;
		case JSON: o->json = true; break;
		case WINDOW:
			if (gns_cli_integer(optarg, 1, INT64_MAX, &o->window) != 0)
				return gns_cli_usage(argv[0], "--window '%s' is not a whole number of steps from 1", optarg);
			break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	o->ref = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return gns_cli_usage(argv[0], "unexpected argument '%s' (show takes one RUN)", argv[optind]);
	return -1;
}

/* ---- JSON ---- */

static json_t *json_streams(struct gns_store *store, int64_t run_id)
{
	struct gns_run_info *runs = NULL;
	json_t *list = json_array();
	size_t n = 0;
	if (gns_store_streams(store, run_id, &runs, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			json_array_append_new(list, json_integer(runs[i].run_id));
	free(runs);
	return list;
}

/* The parts of a measured step, and the calls in them. */
static void json_split(json_t *o, struct gns_store *store, int64_t run_id, int64_t window)
{
	struct gns_split split;
	bool known = gns_store_split(store, run_id, window, &split, NULL) == 0;
	json_object_set_new(o, "split", known ? gns_split_json(&split) : json_null());
	json_object_set_new(o, "phases", known ? gns_phases_json(&split) : json_array());
}

/* ---- text ---- */

static void field(const char *name, const char *value)
{
	printf("%-10s %s\n", name, value);
}

static void head(const struct gns_summary *s)
{
	char name[128], command[512], status[32], started[32], exit[48] = "";
	gns_text_safe(name, sizeof name, s->run.name);
	gns_text_safe(command, sizeof command, s->run.command);
	gns_text_safe(status, sizeof status, s->run.status);
	gns_cli_time(started, sizeof started, s->run.start_ns);
	if (strcmp(s->run.status, "failed") == 0)
		snprintf(exit, sizeof exit, " with exit status %d", s->run.exit_code);
	else if (strcmp(s->run.status, "killed") == 0)
		snprintf(exit, sizeof exit, " by signal %d", -s->run.exit_code);
	printf("run %" PRId64 "  %s  %s%s, started %s\n", s->run.run_id, name, status, exit, started);
	field("command", command);
}

static void numbers(const struct gns_summary *s)
{
	char unit[32], a[128], b[128], line[400];
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	field("B_noise", gns_text_ratio(a, sizeof a, &s->b_noise, unit));
	field("B_crit", gns_text_ratio(a, sizeof a, &s->b_crit, unit));
	if (s->trend.direction != GNS_DIRECTION_UNKNOWN) {
		snprintf(line, sizeof line, "%s: B_noise %s in the last tenth of the steps, %s in the tenth before",
			 gns_direction_names[s->trend.direction], gns_text_ratio(a, sizeof a, &s->trend.last, ""),
			 gns_text_ratio(b, sizeof b, &s->trend.before, ""));
		field("trend", line);
	}
	snprintf(line, sizeof line, "%s a step, the usual one", gns_words_quantity(a, sizeof a, s->samples_per_step, unit));
	field("batch", line);
	snprintf(line, sizeof line, "%s   |G|^2 %s   (squared gradient units)", gns_text_number(a, sizeof a, s->mv.s),
		 gns_text_number(b, sizeof b, s->mv.g2));
	field("S", line);
}

static void time_line(char *line, size_t size, const struct gns_summary *s)
{
	char step[48], overhead[48], startup[48];
	if (!isfinite(s->step_ms)) {
		snprintf(line, size, "unknown");
		return;
	}
	int n = snprintf(line, size, "%s ms a step (median of the last 1,000 at most); gnscope took %s%% of all steps",
			 gns_text_number(step, sizeof step, s->step_ms), gns_text_number(overhead, sizeof overhead, s->overhead_pct));
	if (s->startup_ms > 0 && n > 0 && (size_t)n < size)
		snprintf(line + n, size - (size_t)n, ", and %s ms to start", gns_text_number(startup, sizeof startup, s->startup_ms));
}

static void basis(const struct gns_summary *s)
{
	char a[128], b[128], line[600];
	int n;
	if (s->window > 0 && s->window < s->run.steps)
		n = snprintf(line, sizeof line, "%" PRId64 " measured of the last %" PRId64 " (of %" PRId64 ")", s->measured, s->window, s->run.steps);
	else
		n = snprintf(line, sizeof line, "%" PRId64 " of %" PRId64 " measured", s->measured, s->run.steps);
	if (s->steps_refused > 0)
		n += snprintf(line + n, sizeof line - (size_t)n, ", %" PRId64 " skipped", s->steps_refused);
	if (s->dropped > 0)
		snprintf(line + n, sizeof line - (size_t)n, ", %" PRId64 " lost", s->dropped);
	field("steps", line);
	if (isfinite(s->coverage))
		snprintf(line, sizeof line, "%.3g%% %s", 100 * s->coverage, gns_text_safe(b, sizeof b, s->coverage_note));
	else
		snprintf(line, sizeof line, "unknown");
	field("coverage", line);
	time_line(line, sizeof line, s);
	field("time", line);
	if (isfinite(s->loss))
		field("loss", gns_text_number(a, sizeof a, s->loss));
	if (s->optimizer[0]) {
		snprintf(line, sizeof line, "%s, learning rate %s", gns_text_safe(a, sizeof a, s->optimizer),
			 gns_text_number(b, sizeof b, s->lr));
		field("optimizer", line);
	}
	field("sources", s->sources[0] ? gns_text_safe(a, sizeof a, s->sources) : "none yet");
}

/* Where a measured step's time goes, where that is known by its phases. */
static void parts(struct gns_store *store, int64_t run_id, int64_t window)
{
	struct gns_split split;
	char text[400], line[600], over[120];
	if (gns_store_split(store, run_id, window, &split, NULL) != 0 || split.n_phases == 0)
		return;
	snprintf(line, sizeof line, "%s (%s)", gns_say_split(text, sizeof text, &split, true), gns_say_split_steps(over, sizeof over, &split));
	field("a step is", line);
}

static void show_layers(const struct gns_layer *layers, size_t n, const char *unit)
{
	char name[80], shape[48], ratio[128], s[24], g2[24];
	printf("\n%-28s %-12s %8s %8s  B_noise\n", "layer", "shape", "of S", "of |G|^2");
	for (size_t i = 0; i < n; i++) {
		const struct gns_layer *l = &layers[i];
		snprintf(s, sizeof s, isfinite(l->share_s) ? "%.1f%%" : "-", 100 * l->share_s);
		snprintf(g2, sizeof g2, isfinite(l->share_g2) ? "%.1f%%" : "-", 100 * l->share_g2);
		printf("%-28s %-12s %8s %8s  %s\n", gns_text_safe(name, sizeof name, l->name),
		       gns_text_safe(shape, sizeof shape, l->shape), s, g2,
		       l->excluded ? gns_words_left_out(ratio, sizeof ratio, l->left_out) : gns_text_ratio(ratio, sizeof ratio, &l->b_noise, unit));
	}
}

static void show_libraries(const struct gns_gpu *gpu)
{
	char text[600] = "", name[32], version[32];
	size_t at = 0;
	for (size_t i = 0; i < gpu->n_libraries && at < sizeof text - 80; i++) {
		const struct gns_library_row *l = &gpu->libraries[i];
		if (l->rank != gpu->libraries[0].rank)
			continue;
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%s%s", at ? ", " : "", gns_text_safe(name, sizeof name, l->name),
				       l->version[0] ? " " : "", gns_text_safe(version, sizeof version, l->version));
	}
	if (at > 0)
		field("libraries", text);
}

static void show_text(struct gns_store *store, const struct gns_summary *s, const struct gns_layer *layers, size_t n, const struct gns_gpu *gpu,
		      bool want_layers)
{
	char text[768], name[64];
	puts(gns_words_verdict(text, sizeof text, store, s, -1));
	putchar('\n');
	head(s);
	numbers(s);
	basis(s);
	parts(store, s->run.run_id, s->window);
	show_libraries(gpu);
	if (gns_words_others(text, sizeof text, store, s->run.run_id)[0])
		field("others", text);
	for (size_t i = 0; i < s->n_warnings; i++) {
		gns_text_safe(name, sizeof name, s->warnings[i].name);
		printf("warning    %s: %s\n", name, gns_text_safe(text, sizeof text, s->warnings[i].text));
	}
	gns_gpu_print(stdout, gpu);
	if (want_layers)
		show_layers(layers, n, s->sample_unit);
	printf("\nnext: gnscope top %" PRId64 "   gnscope show %" PRId64 " %s", s->run.run_id, s->run.run_id, want_layers ? "--json" : "--layers");
	if (strcmp(gns_words_next(s), "show") != 0)
		printf("   gnscope %s %" PRId64, gns_words_next(s), s->run.run_id);
	putchar('\n');
}

int gns_cmd_show(int argc, char **argv)
{
	struct show o = {0};
	struct gns_store *store = NULL;
	struct gns_summary summary;
	struct gns_layer *layers = NULL;
	struct gns_gpu gpu = {0};
	struct gns_error err = {""};
	int64_t run_id;
	size_t n = 0;
	int rc = parse(argc, argv, &o);
	if (rc >= 0)
		return rc;
	rc = gns_cli_open_run(argv[0], o.store, o.ref, &store, &run_id);
	if (rc)
		return rc;
	rc = gns_store_summary(store, run_id, o.window, &summary, &err);
	if (!rc)
		rc = gns_store_gpu(store, run_id, o.window, &gpu, &err);
	if (!rc && o.layers)
		rc = gns_store_layers(store, run_id, o.window, &layers, &n, &err);
	if (rc) {
		rc = gns_cli_fail_of(argv[0], &err, rc);
	} else if (o.json) {
		char verdict[768];
		json_t *object = gns_run_json(&summary);
		json_object_set_new(object, "verdict_text", gns_json_text(gns_words_verdict(verdict, sizeof verdict, store, &summary, -1)));
		json_object_set_new(object, "streams", json_streams(store, run_id));
		json_split(object, store, run_id, o.window);
		gns_gpu_json(object, &gpu);
		if (o.layers)
			json_object_set_new(object, "layers", gns_layers_json(layers, n));
		rc = gns_json_print(argv[0], object, stdout);
	} else {
		show_text(store, &summary, layers, n, &gpu, o.layers);
	}
	free(layers);
	gns_gpu_free(&gpu);
	gns_store_close(store);
	return rc;
}
