/* `gnscope export`: runs for those who live elsewhere. */
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/output.h"
#include "profiler/cli/table.h"
#include "profiler/export/export.h"

static const char help[] =
	"Usage: gnscope export --format FORMAT [OPTION]... [RUN]...\n"
	"Runs in the format of another program; without RUN: the latest.\n"
	"\n"
	"      --format F     csv (RFC 4180), json (an array), openmetrics or tensorboard\n"
	"      --table T      of csv and json: steps, grad, layers, estimate, devices or\n"
	"                     device_kernels (steps)\n"
	"  -o, --output PATH  a file, - is standard output, the default; of tensorboard:\n"
	"                     a folder, in which each run gets its own\n"
	"      --force        replace a file that is there\n"
	"      --store FILE   the store to read                           (GNSCOPE_STORE)\n"
	"  -h, --help         this text\n";

#define RUNS 64

enum format { CSV, JSON, OPENMETRICS, TENSORBOARD, FORMATS };
static const char *const formats[FORMATS] = {"csv", "json", "openmetrics", "tensorboard"};
enum table { STEPS, GRAD, LAYERS, ESTIMATE, DEVICES, DEVICE_KERNELS, TABLES };
static const char *const tables[TABLES] = {"steps", "grad", "layers", "estimate", "devices", "device_kernels"};

struct options {
	struct gns_output_choice to;
	int table; /* -1 not told */
	char **names;
	int n_names;
	int64_t run[RUNS];
	size_t n;
};

static int check(const char *command, struct options *o)
{
	if (o->to.format < 0)
		return gns_cli_usage(command, "in which format? give --format csv, json, openmetrics or tensorboard");
	if (o->table >= 0 && o->to.format != CSV && o->to.format != JSON)
		return gns_cli_usage(command, "--table is for csv and json; %s has its own choice", formats[o->to.format]);
	if (o->to.format == TENSORBOARD && (!o->to.output || strcmp(o->to.output, "-") == 0))
		return gns_cli_usage(command, "tensorboard reads a folder: give one with -o");
	if (o->n_names > RUNS)
		return gns_cli_usage(command, "%d runs are too many at once: at most %d", o->n_names, RUNS);
	o->table = o->table < 0 ? STEPS : o->table;
	o->to.output = o->to.output ? o->to.output : "-";
	return -1;
}

static int parse(int argc, char **argv, struct options *o)
{
	enum { TABLE = GNS_OUTPUT_OWN };
	static const struct option longs[] = {GNS_OUTPUT_OPTIONS, {"table", required_argument, NULL, TABLE}, {NULL, 0, NULL, 0}};
	static const struct gns_output_words words = {help, formats, FORMATS, "csv, json, openmetrics or tensorboard"};
	opterr = 0;
	for (int c, rc; (c = getopt_long(argc, argv, GNS_OUTPUT_SHORT, longs, NULL)) != -1;) {
		if (c == TABLE && (o->table = gns_cli_word(optarg, tables, TABLES)) < 0)
			return gns_cli_usage(argv[0], "no such table '%s': steps, grad, layers, estimate, devices or device_kernels", optarg);
		if (c != TABLE && (rc = gns_output_option(c, argv, &words, &o->to)) >= 0)
			return rc;
	}
	o->names = argv + optind;
	o->n_names = argc - optind;
	return check(argv[0], o);
}

static int find_runs(struct gns_store *store, struct options *o, struct gns_error *err)
{
	for (int i = 0; i < o->n_names || i == 0; i++) {
		int64_t id;
		bool twice = false;
		int rc = gns_store_find_run(store, o->n_names ? o->names[i] : NULL, &id, err);
		if (rc != 0)
			return rc;
		for (size_t k = 0; k < o->n; k++)
			twice |= o->run[k] == id;
		if (!twice)
			o->run[o->n++] = id;
	}
	return 0;
}

/* ---- tables ---- */

/* The runs' ids stand between the two. */
static const struct { const char *select, *order; } queries[TABLES] = {
	[STEPS] = {"SELECT run_id, step, rank, start_ns, dur_ns, overhead_ns, samples, micro_steps, measured, refused, source, n_small, n_big, "
		  "q_small, q_big, s, g2, loss FROM step WHERE run_id IN (", ") ORDER BY run_id, step, rank"},
	[GRAD] = {"SELECT g.run_id, g.step, g.rank, g.param_id, p.name, g.source, g.n_small, g.n_big, g.groups, g.q_small, g.q_big FROM grad g "
		 "LEFT JOIN param p USING (run_id, param_id) WHERE g.run_id IN (", ") ORDER BY g.run_id, g.step, g.rank, g.param_id, g.source"},
	[ESTIMATE] = {"SELECT run_id, step, half_life, s, g2, b_noise, lo, hi, resolved, b_crit, b_crit_lo, b_crit_hi FROM estimate "
		     "WHERE run_id IN (", ") ORDER BY run_id, step, half_life"},
	[DEVICES] = {"SELECT run_id, step, rank, device, wall_ns, compute_ns, comm_exposed_ns, copy_exposed_ns, idle_ns, comm_ns, copy_ns, own_ns, "
		    "queue_ns, kernels, dropped FROM device_step WHERE run_id IN (", ") ORDER BY run_id, step, rank, device"},
	[DEVICE_KERNELS] = {"SELECT d.run_id, d.step, d.rank, k.family, k.name, d.calls, d.total_ns, d.max_ns, k.grid, k.block, k.registers, k.shared "
			   "FROM device_kernel_step d JOIN kernel k USING (run_id, kernel_id) WHERE d.run_id IN (",
			   ") ORDER BY d.run_id, d.step, d.rank, d.kernel_id"},
};

static char *id_list(char *dst, size_t size, const struct options *o)
{
	size_t at = 0;
	for (size_t i = 0; i < o->n && at < size; i++)
		at += (size_t)snprintf(dst + at, size - at, "%s%" PRId64, i ? "," : "", o->run[i]);
	return dst;
}

#define LAYER_COLUMNS 15
static const char *const layer_names[LAYER_COLUMNS] = {"run_id", "name", "shape", "numel", "count", "q_small", "q_big", "s", "g2", "b_noise",
	"b_noise_lo", "b_noise_hi", "share_s", "share_g2", "source"};

struct cells { char text[LAYER_COLUMNS][128]; const char *at[LAYER_COLUMNS]; int type[LAYER_COLUMNS]; int n; };

static void number_cell(struct cells *c, double value)
{
	snprintf(c->text[c->n], sizeof c->text[0], "%.15g", value);
	c->at[c->n] = isfinite(value) ? c->text[c->n] : NULL;
	c->type[c->n++] = isfinite(value) ? SQLITE_FLOAT : SQLITE_NULL;
}

static void count_cell(struct cells *c, int64_t value)
{
	snprintf(c->text[c->n], sizeof c->text[0], "%" PRId64, value);
	c->at[c->n] = c->text[c->n];
	c->type[c->n++] = SQLITE_INTEGER;
}

static void text_cell(struct cells *c, const char *value)
{
	snprintf(c->text[c->n], sizeof c->text[0], "%s", value);
	c->at[c->n] = c->text[c->n];
	c->type[c->n++] = SQLITE_TEXT;
}

static int layer_row(struct gns_table *table, int64_t run_id, const struct gns_layer *l)
{
	struct cells c = {.n = 0};
	double numbers[] = {l->count, l->q_small, l->q_big, l->s, l->g2, l->b_noise.resolved ? l->b_noise.value : (double)NAN, l->b_noise.lo,
			    l->b_noise.hi, l->share_s, l->share_g2};
	count_cell(&c, run_id);
	text_cell(&c, l->name);
	text_cell(&c, l->shape);
	count_cell(&c, l->numel);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		number_cell(&c, numbers[i]);
	text_cell(&c, l->excluded ? "left out" : l->source);
	return gns_table_row(table, false, c.n, c.at, c.type);
}

static int write_layers(struct gns_store *store, const struct options *o, struct gns_table *table, struct gns_error *err)
{
	int types[LAYER_COLUMNS] = {0}, rc = gns_table_row(table, true, LAYER_COLUMNS, layer_names, types);
	for (size_t i = 0; rc == 0 && i < o->n; i++) {
		struct gns_layer *layers;
		size_t n;
		rc = gns_store_layers(store, o->run[i], 0, &layers, &n, err);
		for (size_t k = 0; rc == 0 && k < n; k++)
			rc = layer_row(table, o->run[i], &layers[k]);
		free(layers);
	}
	return rc;
}

static int write_table(struct gns_store *store, const struct options *o, FILE *out, struct gns_error *err)
{
	struct gns_table table = {.style = o->to.format == CSV ? GNS_TABLE_CSV : GNS_TABLE_JSON, .out = out};
	char query[2048], ids[RUNS * 21];
	int rc;
	if (o->table == LAYERS) {
		rc = write_layers(store, o, &table, err);
	} else {
		snprintf(query, sizeof query, "%s%s%s", queries[o->table].select, id_list(ids, sizeof ids, o), queries[o->table].order);
		rc = gns_store_sql(store, query, gns_table_row, &table, err);
	}
	gns_table_end(&table, rc == 0);
	return rc;
}

static int write_openmetrics(struct gns_store *store, const struct options *o, FILE *out, struct gns_error *err)
{
	struct gns_summary *runs = calloc(o->n, sizeof *runs);
	int rc = runs ? 0 : gns_fail(err, -ENOMEM, "no memory left");
	for (size_t i = 0; rc == 0 && i < o->n; i++)
		rc = gns_store_summary(store, o->run[i], 0, &runs[i], err);
	if (rc == 0)
		gns_openmetrics(out, runs, o->n);
	free(runs);
	return rc;
}

static int write_one_file(struct gns_store *store, const struct options *o, struct gns_error *err)
{
	struct gns_output output;
	int rc = gns_output_open(&output, o->to.output, o->to.format == OPENMETRICS ? "# TYPE gnscope_run info" : NULL, o->to.force, err);
	if (rc != 0)
		return rc;
	rc = o->to.format == OPENMETRICS ? write_openmetrics(store, o, output.file, err) : write_table(store, o, output.file, err);
	int closed = gns_output_close(&output, rc == 0, rc == 0 ? err : NULL);
	return rc ? rc : closed;
}

/* ---- TensorBoard ---- */

struct scalars { struct gns_tfevents events; const char *tags[4]; };

static double cell_number(const char *text)
{
	return text ? strtod(text, NULL) : (double)NAN;
}

/* Columns: wall clock in seconds, step, then a value for each tag. */
static int scalar_row(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	struct scalars *s = arg;
	for (int i = 2; !is_header && texts[0] && i < n; i++)
		gns_tfevents_scalar(&s->events, cell_number(texts[0]), texts[1] ? strtoll(texts[1], NULL, 10) : 0, s->tags[i - 2], cell_number(texts[i]));
	return ferror(s->events.out) ? -EIO : 0;
}

static int write_scalars(struct gns_store *store, int64_t run_id, struct scalars *s, struct gns_error *err)
{
	static const struct { const char *select, *order, *tags[4]; } kinds[] = {
		{"SELECT t.start_ns / 1e9, e.step, e.b_noise, e.lo, e.hi, e.b_crit FROM b_noise e JOIN step t ON t.run_id = e.run_id AND t.step = e.step AND "
		 "t.rank = (SELECT min(rank) FROM step u WHERE u.run_id = e.run_id AND u.step = e.step) WHERE e.run_id = ", " ORDER BY e.step",
		 {"gnscope/recent_b_noise_500", "gnscope/recent_b_noise_500_low", "gnscope/recent_b_noise_500_high", "gnscope/b_crit"}},
		{"SELECT coalesce((SELECT max(start_ns) FROM step s WHERE s.run_id = run.run_id AND s.step = noise_step), start_ns) / 1e9, noise_step, "
		 "b_noise, b_noise_lo, b_noise_hi FROM run WHERE noise_step > 0 AND run_id = ", "",
		 {"gnscope/b_noise", "gnscope/b_noise_low", "gnscope/b_noise_high"}},
		{"SELECT min(start_ns) / 1e9, step, sum(samples), avg(dur_ns) / 1e6, avg(loss) FROM step WHERE run_id = ",
		 " AND start_ns IS NOT NULL GROUP BY step ORDER BY step", {"gnscope/batch", "gnscope/step_ms", "gnscope/loss"}},
	};
	int rc = 0;
	for (size_t k = 0; rc == 0 && k < sizeof kinds / sizeof *kinds; k++) {
		char query[512];
		snprintf(query, sizeof query, "%s%" PRId64 "%s", kinds[k].select, run_id, kinds[k].order);
		memcpy(s->tags, kinds[k].tags, sizeof s->tags);
		rc = gns_store_sql(store, query, scalar_row, s, err);
	}
	return rc;
}

static int make_folder(const char *path, struct gns_error *err)
{
	struct stat st;
	if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	int code = errno;
	return gns_fail(err, -code, "cannot make the folder '%s': %s", path, code == EEXIST ? "a file of that name is there" : strerror(code));
}

/* A name of a folder that no one can lead elsewhere with. */
static void folder_name(char *dst, size_t size, const struct gns_run_info *run)
{
	int n = snprintf(dst, size, "%s-%" PRId64, run->name[0] ? run->name : "run", run->run_id);
	for (int i = 0; i < n && (size_t)i + 1 < size; i++) {
		char c = dst[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || (c == '.' && i > 0);
		dst[i] = plain ? c : '_';
	}
}

static int write_events(struct gns_store *store, const struct options *o, int64_t run_id, struct gns_error *err)
{
	struct gns_run_info run;
	struct gns_output output;
	struct scalars s;
	char name[160], path[4096];
	int rc = gns_store_run_info(store, run_id, &run, err);
	if (rc != 0)
		return rc;
	folder_name(name, sizeof name, &run);
	if (snprintf(path, sizeof path, "%s/%s", o->to.output, name) >= (int)sizeof path - 64)
		return gns_fail(err, -ENAMETOOLONG, "the folder's path is too long: %.80s...", o->to.output);
	rc = make_folder(path, err);
	snprintf(path + strlen(path), sizeof path - strlen(path), "/events.out.tfevents.%" PRIu64 ".gnscope", run.start_ns / 1000000000u);
	if (rc == 0)
		rc = gns_output_open(&output, path, "gnscope " GNS_VERSION, o->to.force, err);
	if (rc != 0)
		return rc;
	gns_tfevents_start(&s.events, output.file, (double)run.start_ns / 1e9);
	rc = write_scalars(store, run_id, &s, err);
	int closed = gns_output_close(&output, rc == 0, rc == 0 ? err : NULL);
	return rc ? rc : closed;
}

static int write_tensorboard(struct gns_store *store, const struct options *o, struct gns_error *err)
{
	int rc = make_folder(o->to.output, err);
	for (size_t i = 0; rc == 0 && i < o->n; i++)
		rc = write_events(store, o, o->run[i], err);
	return rc;
}

int gns_cmd_export(int argc, char **argv)
{
	struct options o = {.to.format = -1, .table = -1};
	struct gns_store *store = NULL;
	struct gns_error err = {""};
	int rc = parse(argc, argv, &o);
	if (rc >= 0)
		return rc;
	rc = gns_cli_open_read(argv[0], o.to.store, &store);
	if (rc)
		return rc;
	rc = find_runs(store, &o, &err);
	if (rc == 0)
		rc = o.to.format == TENSORBOARD ? write_tensorboard(store, &o, &err) : write_one_file(store, &o, &err);
	if (rc != 0)
		rc = gns_cli_fail_of(argv[0], &err, rc);
	gns_store_close(store);
	return rc;
}
