/* `gnscope doctor`: what a run measures, by which source, what is left out and why, and what can be done about it. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/doctor.h"
#include "profiler/cli/words.h"

#define GROUPS 24

/* What else could be done than to take the number as it is; NULL: nothing. */
static const struct { const char *left_out, *advice; } advice[] = {
	{"compiled", "run it once without torch.compile to have them measured"},
	{"sparse", "sparse=False in the embedding has them measured"},
	{"device", "what is on a GPU is not measured by this source"},
	{"user_hook", "without the hook they are measured"},
	{"sharded", "with DistributedDataParallel parameters are whole and are measured"},
	{"unused", "if they should train, look whether the loss depends on them"},
	{"checkpoint", "without checkpointing they are measured"},
	{"samples", "tell the batch of one process with --samples N, whose its rows are with --layout"},
};

struct group { /* weights of one source, or left out for one reason */
	char key[24];
	bool left_out;
	int64_t n;
	double numel;
	char names[120];
};

static struct group *group_of(struct group *groups, int *n, const struct gns_layer *l)
{
	const char *key = l->excluded ? l->left_out : l->count > 0 ? l->source : "";
	for (int i = 0; i < *n; i++)
		if (groups[i].left_out == l->excluded && strcmp(groups[i].key, key) == 0)
			return &groups[i];
	if (*n == GROUPS)
		return NULL;
	struct group *group = &groups[(*n)++];
	*group = (struct group){.left_out = l->excluded};
	snprintf(group->key, sizeof group->key, "%s", key);
	return group;
}

static void add(struct group *group, const struct gns_layer *l)
{
	size_t at = strlen(group->names);
	char safe[80];
	group->n++;
	group->numel += (double)l->numel;
	if (group->n <= 3 && at + strlen(l->name) + 8 < sizeof group->names)
		snprintf(group->names + at, sizeof group->names - at, "%s%s", at ? ", " : "", gns_text_safe(safe, sizeof safe, l->name));
	else if (at + 6 < sizeof group->names && (at < 4 || strcmp(group->names + at - 3, "...") != 0))
		snprintf(group->names + at, sizeof group->names - at, ", ...");
}

static int most_first(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	if (x->left_out != y->left_out)
		return x->left_out - y->left_out;
	return x->numel > y->numel ? -1 : x->numel < y->numel;
}

static const char *source_words(const char *source)
{
	static const struct { const char *name, *words; } sources[] = {
		{"torch", "from PyTorch's own graph, one sample at a time"},
		{"gemm", "per sample, from matrix multiplications"},
		{"rank", "from before and after the reduction over ranks"},
		{"microstep", "from the micro-steps of gradient accumulation"},
		{"consecutive", "from steps that follow each other, which is biased"},
	};
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
		if (strcmp(source, sources[i].name) == 0)
			return sources[i].words;
	return "from a source that this gnscope does not know";
}

static void print_group(const struct group *group, double known)
{
	char why[128];
	const char *next = NULL;
	double percent = 100 * group->numel / known;
	if (!group->left_out && !group->key[0]) {
		gns_finding(GNS_NOTE, "weights", "%.3g%% known but not measured so far, %" PRId64 ": %s", percent, group->n, group->names);
		return;
	}
	if (!group->left_out) {
		gns_finding(GNS_OK, "measured", "%.3g%% %s, %" PRId64 " parameter%s: %s", percent, source_words(group->key), group->n,
			    group->n == 1 ? "" : "s", group->names);
		return;
	}
	for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++)
		if (strcmp(group->key, advice[i].left_out) == 0)
			next = advice[i].advice;
	gns_finding(GNS_NOTE, "left out", "%.3g%% %s, %" PRId64 " parameter%s: %s%s%s", percent,
		    gns_words_left_out(why, sizeof why, group->key) + strlen("left out: "), group->n, group->n == 1 ? "" : "s", group->names,
		    next ? "; " : "", next ? next : "");
}

static void print_groups(struct gns_store *store, int64_t run_id)
{
	struct gns_layer *layers = NULL;
	struct group groups[GROUPS];
	size_t n = 0;
	int n_groups = 0;
	double known = 0;
	if (gns_store_layers(store, run_id, 0, &layers, &n, NULL) != 0 || n == 0) {
		gns_finding(GNS_NOTE, "weights", "none was found");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct group *group = group_of(groups, &n_groups, &layers[i]);
		known += (double)layers[i].numel;
		if (group)
			add(group, &layers[i]);
	}
	qsort(groups, (size_t)n_groups, sizeof *groups, most_first);
	for (int i = 0; i < n_groups; i++)
		print_group(&groups[i], known);
	free(layers);
}

static int one_number(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	if (!is_header && texts[0])
		*(int64_t *)arg = strtoll(texts[0], NULL, 10);
	return 0;
}

/* How it is known what a sample is. */
static void print_samples(struct gns_store *store, const struct gns_summary *s)
{
	char query[128], number[48];
	int64_t told = 0;
	snprintf(query, sizeof query, "SELECT max(samples_told) FROM rank WHERE run_id=%" PRId64 " AND pooled", s->run.run_id);
	gns_store_sql(store, query, one_number, &told, NULL);
	gns_text_number(number, sizeof number, s->samples_per_step);
	if (s->run.steps_measured == 0)
		return;
	if (told > 0)
		gns_finding(GNS_OK, "samples", "%s a step: %" PRId64 " in a micro-step of one process, set by the user", number, told);
	else if (strcmp(s->sample_unit, "samples") == 0)
		gns_finding(GNS_OK, "samples", "%s a step, detected from the model's input; --samples N overrides",
			    number);
	else
		gns_finding(GNS_NOTE, "samples", "unknown: each row counts as one, %s a step; --samples N sets the batch of one process", number);
}

static void print_optimizer(struct gns_store *store, const struct gns_summary *s)
{
	struct gns_setting_row *rows = NULL;
	char text[400] = "", name[48], value[72], optimizer[48], lr[48];
	size_t n = 0, at = 0;
	if (!s->optimizer[0] || gns_store_settings(store, s->run.run_id, &rows, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n && at < sizeof text; i++) {
		bool newest = i + 1 == n || strcmp(rows[i].name, rows[i + 1].name) != 0;
		if (!newest || strcmp(rows[i].name, "optimizer") == 0 || strcmp(rows[i].name, "lr") == 0)
			continue;
		if (isfinite(rows[i].value))
			gns_text_number(value, sizeof value, rows[i].value);
		else
			gns_text_safe(value, sizeof value, rows[i].text);
		at += (size_t)snprintf(text + at, sizeof text - at, ", %s %s", gns_text_safe(name, sizeof name, rows[i].name), value);
	}
	gns_finding(GNS_OK, "optimizer", "%s, learning rate %s%s", gns_text_safe(optimizer, sizeof optimizer, s->optimizer),
		    gns_text_number(lr, sizeof lr, s->lr), text);
	free(rows);
}

static void explain_one(struct gns_store *store, const struct gns_summary *s)
{
	print_optimizer(store, s);
	print_samples(store, s);
	print_groups(store, s->run.run_id);
}

bool gns_doctor_explains(const char *warning)
{
	static const char *const reasons[] = GNS_LEFT_OUT_NAMES;
	bool told = strcmp(warning, "tied_weight") == 0 || strcmp(warning, "left_out") == 0;
	for (size_t i = 1; i < GNS_LEFT_OUTS; i++)
		told = told || strcmp(warning, reasons[i]) == 0;
	return told;
}

void gns_doctor_explain(struct gns_store *store, const struct gns_summary *summary)
{
	struct gns_run_info *runs = NULL;
	struct gns_summary other;
	char name[64];
	size_t n = 0;
	explain_one(store, summary);
	if (gns_store_streams(store, summary->run.run_id, &runs, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (gns_store_summary(store, runs[i].run_id, 0, &other, NULL) != 0)
			continue;
		gns_finding(GNS_OK, "another", "optimizer of this program has run %" PRId64 " (%s): %" PRId64 " of %" PRId64 " steps measured",
			    runs[i].run_id, gns_text_safe(name, sizeof name, other.run.name), other.run.steps_measured, other.run.steps);
		explain_one(store, &other);
	}
	free(runs);
}
