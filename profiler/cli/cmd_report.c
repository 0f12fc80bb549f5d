/* `gnscope report`: runs as a page, a picture or numbers to send around. */
#include <stdlib.h>
#include <string.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/json.h"
#include "profiler/cli/output.h"
#include "profiler/cli/report_json.h"
#include "profiler/cli/report_sweep.h"
#include "profiler/cli/words.h"
#include "profiler/report/report.h"

static const char help[] =
	"Usage: gnscope report [OPTION]... [--sweep NAME] [RUN]... -o FILE\n"
	"Writes runs to one file. Its extension gives the format:\n"
	"  .html            a self-contained page: verdict, curves, layers,\n"
	"                   time, settings, warnings, and the SQL behind each picture\n"
	"  .svg .pdf .png   one picture\n"
	"  .md              text and tables\n"
	"  .json            all the numbers\n"
	"Up to 8 runs are shown side by side; without RUN and sweep: the latest.\n"
	"\n"
	"  -o, --output FILE  where to; - is standard output, as HTML or as --format says\n"
	"      --format F     html, svg, pdf, png, md or json, whatever the name\n"
	"      --figure P     the picture: noise, loss, tradeoff, layers, time or sweep\n"
	"      --sweep NAME   the runs of this sweep and the law fitted to them\n"
	"      --force        replace a file that is not a report\n"
	"      --store FILE   the store to read                           (GNSCOPE_STORE)\n"
	"  -h, --help         this text\n";

enum format { HTML, SVG, PDF, PNG, MARKDOWN, JSON, FORMATS };
static const char *const formats[FORMATS] = {"html", "svg", "pdf", "png", "md", "json"};
static const char *const marks[FORMATS] = {"<meta name=\"generator\" content=\"gnscope", "<!-- gnscope report -->", "/Creator (gnscope",
					   "tEXtgnscope", "<!-- gnscope report -->", "\"gnscope_report\": 1"};

#define SWEEP_FIGURE GNS_FIGURES

/* What was read. */
struct content {
	struct gns_report report;
	struct gns_report_sweep sweep;
};

struct options {
	struct gns_output_choice to;
	const char *sweep;
	int figure; /* -1 not told; SWEEP_FIGURE: of the sweep */
	char **runs;
	int n;
};

static int format_of_name(const char *command, struct options *o)
{
	const char *base = strrchr(o->to.output, '/'), *dot = strrchr(base ? base : o->to.output, '.');
	if (o->to.format < 0 && strcmp(o->to.output, "-") == 0)
		o->to.format = HTML;
	if (o->to.format < 0 && dot)
		o->to.format = strcasecmp(dot, ".htm") == 0 ? HTML : strcasecmp(dot, ".markdown") == 0 ? MARKDOWN : gns_cli_word(dot + 1, formats, FORMATS);
	if (o->to.format < 0)
		return gns_cli_usage(command, "'%s' does not say what to write: end it in .html, .svg, .pdf, .png, .md or .json, or give --format", o->to.output);
	bool picture = o->to.format == SVG || o->to.format == PDF || o->to.format == PNG;
	if (o->figure >= 0 && !picture)
		return gns_cli_usage(command, "--figure is for .svg, .pdf and .png, which hold one picture");
	if (o->figure == SWEEP_FIGURE && !o->sweep)
		return gns_cli_usage(command, "the picture of a sweep needs --sweep NAME");
	if (o->figure < 0)
		o->figure = o->sweep && !o->n ? SWEEP_FIGURE : GNS_FIGURE_NOISE;
	if (picture && o->figure != SWEEP_FIGURE && o->sweep && !o->n)
		return gns_cli_usage(command, "this picture is of a run: name it");
	return -1;
}

static int parse(int argc, char **argv, struct options *o)
{
	enum { FIGURE = GNS_OUTPUT_OWN, SWEEP };
	static const struct option longs[] = {
		GNS_OUTPUT_OPTIONS, {"figure", required_argument, NULL, FIGURE}, {"sweep", required_argument, NULL, SWEEP}, {NULL, 0, NULL, 0},
	};
	static const struct gns_output_words words = {help, formats, FORMATS, "html, svg, pdf, png, md or json"};
	opterr = 0;
	for (int c, rc; (c = getopt_long(argc, argv, GNS_OUTPUT_SHORT, longs, NULL)) != -1;) {
		switch (c) {
		case SWEEP: o->sweep = optarg; break;
		case FIGURE:
			o->figure = strcasecmp(optarg, "sweep") == 0 ? (int)SWEEP_FIGURE : gns_cli_word(optarg, gns_figure_names, GNS_FIGURES);
			if (o->figure < 0)
				return gns_cli_usage(argv[0], "no such picture '%s': noise, loss, tradeoff, layers, time or sweep", optarg);
			break;
		default:
			if ((rc = gns_output_option(c, argv, &words, &o->to)) >= 0)
				return rc;
		}
	}
	o->runs = argv + optind;
	o->n = argc - optind;
	if (!o->to.output || !*o->to.output)
		return gns_cli_usage(argv[0], "missing -o FILE, e.g. -o report.html");
	if (o->n > GNS_REPORT_RUNS)
		return gns_cli_usage(argv[0], "%d runs are too many for one report: at most %d", o->n, GNS_REPORT_RUNS);
	return format_of_name(argv[0], o);
}

/* A run named twice is shown once. */
static int add_run(struct gns_store *store, struct gns_report *report, const char *ref, struct gns_error *err)
{
	int64_t id;
	int rc = gns_store_find_run(store, ref, &id, err);
	for (size_t i = 0; rc == 0 && i < report->n; i++)
		if (report->run[i].summary.run.run_id == id)
			return 0;
	struct gns_report_run *run = &report->run[report->n];
	if (rc == 0)
		rc = gns_report_read(store, id, run, err);
	if (rc != 0)
		return rc;
	report->n++;
	run->left_out = gns_words_left_out;
	gns_words_others(run->others, sizeof run->others, store, id);
	gns_words_verdict(run->verdict, sizeof run->verdict, store, &run->summary, -1);
	return 0;
}

static int write_picture(FILE *out, const struct options *o, const struct content *content, struct gns_error *err)
{
	struct gns_picture picture;
	int rc = o->figure == SWEEP_FIGURE ? gns_figure_sweep(&picture, &content->sweep, true, err)
					   : gns_figure_draw(&picture, (enum gns_figure)o->figure, content->report.run, content->report.n, true, err);
	if (rc == 0 && o->to.format == SVG)
		gns_svg_file(out, &picture);
	else if (rc == 0)
		rc = o->to.format == PNG ? gns_png_file(out, &picture, 2, err) : gns_pdf_file(out, &picture, err);
	gns_picture_free(&picture);
	return rc;
}

static int write_json(FILE *out, json_t *value, struct gns_error *err)
{
	errno = 0;
	int rc = gns_json_dump(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17), out);
	int code = errno ? errno : ENOMEM;
	json_decref(value);
	fputc('\n', out);
	return rc == 0 ? 0 : gns_fail(err, -code, "cannot write the JSON: %s", strerror(code));
}

static int write_report(FILE *out, const struct options *o, const struct content *content, struct gns_error *err)
{
	const struct gns_report_sweep *sweep = content->sweep.there ? &content->sweep : NULL;
	if (o->to.format == HTML)
		gns_report_html(out, &content->report, sweep);
	else if (o->to.format == MARKDOWN)
		gns_report_markdown(out, &content->report, sweep);
	else if (o->to.format == JSON)
		return write_json(out, gns_report_json(&content->report, sweep), err);
	else
		return write_picture(out, o, content, err);
	return 0;
}

static int write_file(const struct options *o, const struct content *content, struct gns_error *err)
{
	struct gns_output output;
	int rc = gns_output_open(&output, o->to.output, marks[o->to.format], o->to.force, err);
	if (rc != 0)
		return rc;
	rc = write_report(output.file, o, content, err);
	int closed = gns_output_close(&output, rc == 0, rc == 0 ? err : NULL);
	return rc ? rc : closed;
}

int gns_cmd_report(int argc, char **argv)
{
	struct options o = {.to.format = -1, .figure = -1};
	struct gns_store *store = NULL;
	struct gns_error err = {""};
	int rc = parse(argc, argv, &o);
	if (rc >= 0)
		return rc;
	rc = gns_cli_open_read(argv[0], o.to.store, &store);
	if (rc)
		return rc;
	struct content *content = calloc(1, sizeof *content);
	rc = content ? 0 : gns_fail(&err, -ENOMEM, "no memory left");
	if (rc == 0 && o.sweep)
		rc = gns_report_sweep_read(store, o.sweep, &content->sweep, &err);
	for (int i = 0; rc == 0 && (i < o.n || (i == 0 && !o.sweep)); i++)
		rc = add_run(store, &content->report, o.n ? o.runs[i] : NULL, &err);
	gns_store_close(store);
	if (rc == 0)
		rc = write_file(&o, content, &err);
	if (rc != 0)
		rc = gns_cli_fail_of(argv[0], &err, rc);
	if (content) {
		gns_report_free(&content->report);
		gns_report_sweep_free(&content->sweep);
	}
	free(content);
	return rc;
}
