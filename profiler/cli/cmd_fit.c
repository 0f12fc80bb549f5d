/* `gnscope fit`: B_crit measured, from runs at several batch sizes. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/json.h"
#include "profiler/cli/laws.h"

static const char help[] =
	"Usage: gnscope fit [OPTION]... [--sweep NAME | RUN...]\n"
	"B_crit measured: fits steps = S_min + E_min/B to runs of one program at several\n"
	"batch sizes that reached the same loss. Without RUN: the latest sweep.\n"
	"\n"
	"      --sweep NAME       this sweep, a name or an id\n"
	"      --target-loss L    of saved runs: the loss to reach; default: the lowest\n"
	"                         that all have reached\n"
	"      --laws             only the power laws of B_noise and B_crit against loss\n"
	"                         and samples, over the runs\n"
	"      --json             one object, numbers as numbers, absent ones null\n"
	"      --store FILE       the store to read                       (GNSCOPE_STORE)\n"
	"  -h, --help             this text\n";

struct options {
	const char *store, *sweep;
	char **runs;
	size_t n_runs;
	double target;
	bool laws, json;
};

static int parse(int argc, char **argv, struct options *o)
{
	enum { STORE = 256, SWEEP, TARGET, LAWS, JSON };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"sweep", required_argument, NULL, SWEEP},
		{"target-loss", required_argument, NULL, TARGET}, {"laws", no_argument, NULL, LAWS}, {"json", no_argument, NULL, JSON},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: o->store = optarg; break;
		case SWEEP: o->sweep = optarg; break;
		case LAWS: o->laws = true; break;
		case JSON: o->json = true; break;
		case TARGET:
			if (gns_cli_number(optarg, &o->target) != 0)
				return gns_cli_usage(argv[0], "--target-loss '%s' is not a number", optarg);
			break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	o->runs = argv + optind;
	o->n_runs = (size_t)(argc - optind);
	if (o->n_runs && o->sweep)
		return gns_cli_usage(argv[0], "--sweep '%s' and runs together: name one or the other", o->sweep);
	if (!o->n_runs && isfinite(o->target))
		return gns_cli_usage(argv[0], "--target-loss is for saved runs: name them; a sweep has its own");
	return -1;
}

/* ---- what is said of a fit ---- */

struct answer {
	struct gns_points points;
	struct gns_fit fit;
	struct gns_fit_batch *table;
	size_t n_table;
	struct gns_law laws[GNS_LAWS];
};

static const char *number(char dst[40], double value)
{
	return gns_text_number(dst, 40, value);
}

static void note_of_edges(struct answer *a)
{
	char list[200] = "", x[40];
	size_t n = 0, at = 0;
	for (size_t i = 0; i < a->n_table; i++)
		if (a->table[i].lr_edge && at + 44 < sizeof list)
			at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", n++ ? ", " : "", number(x, a->table[i].batch));
	if (n)
		gns_note_add(&a->points.notes, "lr_edge", "at batch%s %s the best learning rate is at the edge of those tried: a better one may lie beyond",
			     n > 1 ? "es" : "", list);
}

static void notes_of_fit(struct answer *a)
{
	const struct gns_fit *f = &a->fit;
	struct gns_notes *notes = &a->points.notes;
	double lo = a->table[0].batch, hi = a->table[a->n_table - 1].batch;
	char x[40], y[40];
	if (f->law_fails)
		gns_note_add(notes, "law_fails", "the runs do not lie on S = S_min + E_min/B: %s; B_crit then says roughly what they do",
			     f->fit_p < 0.01 ? "batches scatter about it more than seeds explain" : "they bend otherwise");
	if (f->scatter == GNS_SCATTER_NONE)
		gns_note_add(notes, "no_limits", "too few runs for limits: three or more must reach the target; more seeds, more batch sizes");
	else if (isnan(f->b_crit.hi))
		gns_note_add(notes, "no_upper_limit", "B_crit has no upper limit: no batch tried is large enough to save visibly fewer steps than it "
			     "costs samples; try larger ones than %s", number(x, hi));
	if (f->scatter != GNS_SCATTER_NONE && f->b_crit.lo == 0)
		gns_note_add(notes, "no_lower_limit", "B_crit has no lower limit: try smaller batches than %s", number(x, lo));
	if (f->b_crit.value > hi || f->b_crit.value < lo)
		gns_note_add(notes, "extrapolated", "B_crit lies outside the batches tried, %s to %s: it rests on the law, not on runs near it",
			     number(x, lo), number(y, hi));
	if (f->scatter == GNS_SCATTER_BATCHES)
		gns_note_add(notes, "batch_scatter", "batches scatter about the law more than seeds do: the limits rest on the scatter of %zu batches",
			     a->n_table);
	note_of_edges(a);
	for (size_t i = 0; i < a->n_table; i++)
		if (a->table[i].lrs > 1 && a->table[i].censored == a->table[i].runs)
			gns_note_add(notes, "batch_never", "at batch %s no run reached the target at any learning rate", number(x, a->table[i].batch));
}

/* ---- JSON ---- */

static void set_interval(json_t *o, const char *name, struct gns_interval i)
{
	gns_json_limits(o, name, i.value, i.lo, i.hi);
}

static json_t *json_batches(const struct answer *a)
{
	json_t *list = json_array();
	for (size_t i = 0; i < a->n_table; i++) {
		const struct gns_fit_batch *b = &a->table[i];
		json_t *o = json_object();
		json_object_set_new(o, "batch", gns_json_number(b->batch));
		json_object_set_new(o, "lr", gns_json_number(b->lr));
		json_object_set_new(o, "lrs", json_integer((json_int_t)b->lrs));
		json_object_set_new(o, "lr_edge", json_boolean(b->lr_edge));
		json_object_set_new(o, "runs", json_integer((json_int_t)b->runs));
		json_object_set_new(o, "censored", json_integer((json_int_t)b->censored));
		json_object_set_new(o, "steps", gns_json_number(b->steps));
		json_object_set_new(o, "steps_fitted", gns_json_number(b->fitted));
		json_array_append_new(list, o);
	}
	return list;
}

static const char *scatter_word(enum gns_fit_scatter scatter)
{
	static const char *const words[] = {"none", "exact", "runs", "batches"};
	return words[scatter];
}

static int print_json(const char *command, const struct answer *a, bool laws_only)
{
	const struct gns_fit *f = &a->fit;
	json_t *o = json_object();
	json_object_set_new(o, "of", gns_json_text(a->points.what));
	if (!laws_only) {
		json_object_set_new(o, "target_loss", gns_json_number(a->points.target));
		set_interval(o, "s_min", f->s_min);
		set_interval(o, "e_min", f->e_min);
		set_interval(o, "b_crit", f->b_crit);
		json_object_set_new(o, "b_cbs20", gns_json_number(f->b_cbs20));
		json_object_set_new(o, "b_sfo", gns_json_number(f->b_sfo));
		json_object_set_new(o, "b_sfo_edge", json_boolean(f->b_sfo_edge));
		json_object_set_new(o, "sample_unit", gns_json_text(a->points.unit));
		json_object_set_new(o, "runs", json_integer((json_int_t)f->runs));
		json_object_set_new(o, "censored", json_integer((json_int_t)f->censored));
		json_object_set_new(o, "set_aside", json_integer((json_int_t)(a->points.n - f->runs)));
		json_object_set_new(o, "scatter", json_string(scatter_word(f->scatter)));
		json_object_set_new(o, "sigma", gns_json_number(f->sigma));
		json_object_set_new(o, "dof", gns_json_number(f->dof));
		json_object_set_new(o, "seed_sigma", gns_json_number(f->seed_sigma));
		json_object_set_new(o, "fit_p", gns_json_number(f->fit_p));
		json_object_set_new(o, "curve_p", gns_json_number(f->curve_p));
		json_object_set_new(o, "law_fails", json_boolean(f->law_fails));
		json_object_set_new(o, "batches", json_batches(a));
	}
	json_object_set_new(o, "laws", gns_laws_json(a->laws));
	json_object_set_new(o, "warnings", gns_notes_json(&a->points.notes));
	return gns_json_print(command, o, stdout);
}

/* ---- text ---- */

static void line(const char *name, struct gns_interval i, const char *unit, const char *more)
{
	char v[40], lo[40], hi[40];
	printf("%-10s ", name);
	if (isnan(i.lo) && isnan(i.hi) && isfinite(i.value))
		printf("%s %s, no limits", number(v, i.value), unit);
	else if (isnan(i.hi) && i.lo > 0)
		printf("unresolved: >= %s %s", number(lo, i.lo), unit);
	else if (isnan(i.hi))
		printf("unresolved");
	else if (isnan(i.value) || i.lo == 0)
		printf("unresolved: <= %s %s", number(hi, i.hi), unit);
	else
		printf("%s %s [%s to %s]", number(v, i.value), unit, number(lo, i.lo), number(hi, i.hi));
	printf("%s\n", more);
}

static void say_law(const struct gns_fit *f)
{
	static const char *const from[] = {"", "the points lie on it", "the scatter of runs", "the scatter of batches"};
	printf("fit        ");
	if (f->scatter == GNS_SCATTER_EXACT || f->scatter == GNS_SCATTER_NONE) {
		printf("%s\n", f->scatter == GNS_SCATTER_EXACT ? from[1] : "as many numbers as runs: nothing is left to judge it by");
		return;
	}
	printf("%s", f->law_fails ? "the law does not hold" : "the law holds");
	if (isfinite(f->fit_p))
		printf("; batches against seeds p = %.2g", f->fit_p);
	if (isfinite(f->curve_p))
		printf("; curvature p = %.2g", f->curve_p);
	printf("; 95%% limits from %s, %.0f%% with %g degrees of freedom\n", from[f->scatter], 100 * f->sigma, f->dof);
}

static void print_table(const struct answer *a)
{
	char b[40], lr[40], s[40], law[40], e[40];
	bool rates = false;
	for (size_t i = 0; i < a->n_table; i++)
		rates |= isfinite(a->table[i].lr);
	printf("\n%10s  %s%5s  %8s  %10s  %10s  %12s\n", "BATCH", rates ? "      LR   OF  " : "", "RUNS", "REACHED", "STEPS", "LAW", "SAMPLES");
	for (size_t i = 0; i < a->n_table; i++) {
		const struct gns_fit_batch *t = &a->table[i];
		printf("%10s  ", number(b, t->batch));
		if (rates)
			printf("%8s  %3zu  ", number(lr, t->lr), t->lrs);
		printf("%5zu  %8zu  %10s  %10s  %12s\n", t->runs, t->runs - t->censored, number(s, round(t->steps)), number(law, round(t->fitted)),
		       number(e, round(t->steps * t->batch)));
	}
	printf("Steps are medians; of several learning rates the one of the least median is taken.\n\n");
}

static void print_text(const struct answer *a)
{
	const struct gns_fit *f = &a->fit;
	const char *unit = a->points.unit;
	char x[40], y[40], safe[256];
	printf("%s: loss %s reached by %zu of %zu runs at %zu batch sizes, %zu censored", gns_text_safe(safe, sizeof safe, a->points.what),
	       number(x, a->points.target), f->runs - f->censored, f->runs, f->batches, f->censored);
	printf(a->points.n > f->runs ? "; %zu at other learning rates set aside\n" : "\n", a->points.n - f->runs);
	line("B_crit", f->b_crit, unit, "   measured: E_min/S_min");
	line("S_min", f->s_min, "steps", "");
	line("E_min", f->e_min, unit, "");
	printf("20%%        %s %s: 20%% more steps than linear scaling (Zhang et al. 2024), 0.2 B_crit\n", number(x, f->b_cbs20), unit);
	printf("SFO        %s %s: of the batches tried, the one of the fewest samples (Sato, Iiduka)%s\n", number(y, f->b_sfo), unit,
	       f->b_sfo_edge ? "; at the edge" : "");
	say_law(f);
	print_table(a);
}

/* ---- */

/* Why there is no fit, and what to do. */
static int refuse(const char *command, const struct answer *a, int rc)
{
	const struct gns_fit *f = &a->fit;
	char x[40], what[256];
	snprintf(what, sizeof what, "%s", a->points.what);
	if (rc != -ENODATA)
		return gns_cli_fail(command, "%s cannot be fitted: %s", what, strerror(-rc));
	if (a->points.n == 0)
		return gns_cli_fail(command, "%s: no run to fit%s%s; it needs runs at two or more batch sizes that reach the target", what,
				    a->points.notes.n ? ": " : "", a->points.notes.n ? a->points.notes.note[0].text : "");
	if (f->censored == f->runs)
		return gns_cli_fail(command, "%s: none of %zu runs reached the loss %s; take a higher target or train longer", what, f->runs,
				    number(x, a->points.target));
	if (f->batches == 1)
		return gns_cli_fail(command, "%s: one batch size only, %s %s; B_crit needs runs at two or more, better seven over a factor of 30", what,
				    number(x, a->table[0].batch), a->points.unit);
	return gns_cli_fail(command, "%s: the loss %s was reached at one batch size only; take a higher target or train longer", what,
			    number(x, a->points.target));
}

static int answer(const char *command, struct gns_store *store, const struct options *o, struct answer *a)
{
	struct gns_error err = {""};
	int rc = o->n_runs ? gns_points_of_runs(store, o->runs, o->n_runs, o->target, o->laws, &a->points, &err)
			   : gns_points_of_sweep(store, o->sweep, &a->points, &err);
	if (rc == -ENOENT && !o->n_runs && !o->sweep)
		return gns_cli_fail(command, "%s; or name runs: gnscope fit RUN RUN ...", err.text);
	if (rc)
		return gns_cli_fail_of(command, &err, rc);
	gns_laws_fit(a->points.fact, a->points.n_facts, a->laws);
	if (o->laws)
		return GNS_EXIT_OK;
	a->table = calloc(a->points.n + 1, sizeof *a->table);
	rc = a->table ? gns_fit_hyperbola(a->points.point, a->points.n, &a->fit, a->table, &a->n_table, NULL) : -ENOMEM;
	if (rc)
		return refuse(command, a, rc);
	notes_of_fit(a);
	return GNS_EXIT_OK;
}

int gns_cmd_fit(int argc, char **argv)
{
	struct options o = {.target = NAN};
	struct answer a = {0};
	struct gns_store *store = NULL;
	int rc = parse(argc, argv, &o);
	if (rc >= 0)
		return rc;
	rc = gns_cli_open_read(argv[0], o.store, &store);
	if (rc)
		return rc;
	rc = answer(argv[0], store, &o, &a);
	if (rc == GNS_EXIT_OK && o.json) {
		rc = print_json(argv[0], &a, o.laws);
	} else if (rc == GNS_EXIT_OK) {
		if (!o.laws)
			print_text(&a);
		gns_laws_print(a.laws, a.points.unit);
		gns_notes_print(&a.points.notes);
	}
	free(a.table);
	gns_points_free(&a.points);
	gns_store_close(store);
	return rc;
}
