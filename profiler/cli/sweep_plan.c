/* What a sweep is to run: its lists, the learning rate at each batch, the command of a point. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/sweep.h"

/* ---- lists ---- */

static int add_integer(int64_t *out, size_t *n, int64_t value, const char *option, struct gns_error *err)
{
	for (size_t i = 0; i < *n; i++)
		if (out[i] == value)
			return gns_fail(err, -EINVAL, "%s has %" PRId64 " twice", option, value);
	if (*n == GNS_SWEEP_LIST)
		return gns_fail(err, -EINVAL, "%s has more than %d numbers", option, GNS_SWEEP_LIST);
	out[(*n)++] = value;
	return 0;
}

static int add_range(char *word, int64_t min, int64_t *out, size_t *n, const char *option, struct gns_error *err)
{
	int64_t lo, hi;
	char *dash = strchr(word, '-');
	if (dash)
		*dash++ = '\0';
	bool bad = gns_cli_integer(word, min, INT32_MAX, &lo) != 0 || gns_cli_integer(dash ? dash : word, min, INT32_MAX, &hi) != 0;
	if (bad || hi < lo)
		return gns_fail(err, -EINVAL, "%s: '%s%s%s' is not a whole number from %" PRId64 "; write for instance %s 16,32,64", option, word,
				dash ? "-" : "", dash ? dash : "", min, option);
	int rc = 0;
	for (int64_t value = lo; !rc && value <= hi; value++)
		rc = add_integer(out, n, value, option, err);
	return rc;
}

int gns_sweep_integers(const char *text, const char *option, int64_t min, int64_t *out, size_t *n, struct gns_error *err)
{
	char *copy = strdup(text);
	int rc = copy ? 0 : -ENOMEM;
	*n = 0;
	for (char *rest = copy, *word; !rc && (word = strsep(&rest, ","));)
		rc = add_range(word, min, out, n, option, err);
	free(copy);
	return rc;
}

int gns_sweep_numbers(const char *text, const char *option, double *out, size_t *n, struct gns_error *err)
{
	char *copy = strdup(text);
	int rc = copy ? 0 : -ENOMEM;
	*n = 0;
	for (char *rest = copy, *word; !rc && (word = strsep(&rest, ","));) {
		double value;
		if (*n == GNS_SWEEP_LIST)
			rc = gns_fail(err, -EINVAL, "%s has more than %d numbers", option, GNS_SWEEP_LIST);
		else if (gns_cli_number(word, &value) != 0 || !(value > 0))
			rc = gns_fail(err, -EINVAL, "%s: '%s' is not a number above 0; write for instance %s 0.05,0.1,0.2", option, word, option);
		for (size_t i = 0; !rc && i < *n; i++)
			if (out[i] == value)
				rc = gns_fail(err, -EINVAL, "%s has %s twice", option, word);
		if (!rc)
			out[(*n)++] = value;
	}
	free(copy);
	return rc;
}

int gns_sweep_rule(const char *text, struct gns_sweep_settings *s, struct gns_error *err)
{
	static const char *const names[] = {"none", "linear", "sqrt"};
	snprintf(s->sweep.lr_rule, sizeof s->sweep.lr_rule, "%s", text);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			s->rule = (enum gns_lr_rule)i;
			return 0;
		}
	s->rule = GNS_LR_NOISE;
	if (strncmp(text, "noise:", 6) == 0 && gns_cli_number(text + 6, &s->noise) == 0 && s->noise > 0)
		return 0;
	return gns_fail(err, -EINVAL, "--lr-rule '%s' is none of: linear, sqrt, none, noise:N (N samples, above 0)", text);
}

double gns_sweep_lr(const struct gns_sweep_settings *s, double lr, int64_t batch)
{
	double ratio = (double)batch / s->sweep.lr_batch;
	switch (s->rule) {
	case GNS_LR_LINEAR: return lr * ratio;
	case GNS_LR_SQRT: return lr * sqrt(ratio);
	case GNS_LR_NOISE: return lr * gns_lr_factor((double)batch, s->noise);
	default: return lr;
	}
}

double gns_sweep_cap(const struct gns_sweep_settings *s, int64_t batch)
{
	double steps = s->max_steps ? (double)s->max_steps : INFINITY;
	return s->max_samples ? fmin(steps, (double)s->max_samples / (double)batch) : steps;
}

/* ---- placeholders ---- */

static bool has(char *const *argv, const char *placeholder)
{
	for (; *argv; argv++)
		if (strstr(*argv, placeholder))
			return true;
	return false;
}

int gns_sweep_check(const struct gns_sweep_settings *s, struct gns_error *err)
{
	bool lr = has(s->argv, "{lr}"), seed = has(s->argv, "{seed}");
	if (!has(s->argv, "{batch}"))
		return gns_fail(err, -EINVAL, "the command has no {batch}, so that every run would be the same; write it where the batch size "
				"goes, as in: gnscope sweep ... -- python3 train.py --batch-size {batch}");
	if (s->n_batch < 2)
		return gns_fail(err, -EINVAL, "one batch size says nothing about others; give --batch at least two, better six from far below "
				"to far above where you expect B_crit");
	if (lr && !s->n_lr)
		return gns_fail(err, -EINVAL, "the command has {lr} but no learning rate is given; add --lr X or --lr X,Y,Z to try several");
	if (!lr && s->n_lr)
		return gns_fail(err, -EINVAL, "--lr is given but the command has no {lr}; write it where the learning rate goes, as in "
				"--lr {lr}");
	if (!seed && s->n_seed > 1)
		return gns_fail(err, -EINVAL, "several seeds are given but the command has no {seed}; write it where the seed goes, as in "
				"--seed {seed}");
	return 0;
}

static char *substituted(const char *word, const struct gns_sweep_point *p)
{
	const char *const names[] = {"{batch}", "{lr}", "{seed}"};
	char values[3][32], *out = NULL;
	size_t size = 0;
	snprintf(values[0], sizeof values[0], "%" PRId64, p->batch);
	snprintf(values[1], sizeof values[1], "%.9g", p->lr);
	snprintf(values[2], sizeof values[2], "%" PRId64, p->seed);
	FILE *stream = open_memstream(&out, &size);
	if (!stream)
		return NULL;
	while (*word) {
		int which = -1;
		for (int i = 0; i < 3; i++)
			if (strncmp(word, names[i], strlen(names[i])) == 0)
				which = i;
		if (which < 0)
			fputc(*word++, stream);
		else {
			fputs(values[which], stream);
			word += strlen(names[which]);
		}
	}
	return fclose(stream) == 0 ? out : NULL;
}

char **gns_sweep_words(char *const *argv, const struct gns_sweep_point *point)
{
	size_t n = 0;
	while (argv[n])
		n++;
	char **words = calloc(n + 1, sizeof *words);
	for (size_t i = 0; words && i < n; i++)
		if (!(words[i] = substituted(argv[i], point))) {
			gns_sweep_free_words(words);
			return NULL;
		}
	return words;
}

void gns_sweep_free_words(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

/* ---- names ---- */

int gns_sweep_command_text(char *dst, size_t size, char *const *argv, struct gns_error *err)
{
	json_t *words = json_array();
	for (; *argv; argv++)
		if (json_array_append_new(words, json_stringn_nocheck(*argv, strlen(*argv))) != 0)
			break;
	size_t need = *argv ? 0 : json_dumpb(words, dst, size - 1, JSON_ENSURE_ASCII);
	json_decref(words);
	if (*argv || need == 0)
		return gns_fail(err, -EINVAL, "the command cannot be kept: a word of it is not UTF-8");
	if (need >= size)
		return gns_fail(err, -E2BIG, "the command is too long to be kept: %zu bytes; put it into a script that takes {batch}", need);
	dst[need] = '\0';
	return 0;
}

/* The program is the first word that looks like a file with a suffix, else the first: "python3 -u train.py --lr {lr}" is train. */
void gns_sweep_default_name(char *dst, size_t size, char *const *argv, double target)
{
	const char *program = argv[0];
	uint32_t hash = 2166136261u;
	for (size_t i = 1; argv[i]; i++) {
		const char *end = strrchr(argv[i], '/'), *word = end ? end + 1 : argv[i];
		if (argv[i][0] != '-' && !strchr(argv[i], '{') && strchr(word, '.') > word) {
			program = argv[i];
			break;
		}
	}
	for (size_t i = 0; argv[i]; i++)
		for (const char *p = argv[i];; p++) {
			hash = (hash ^ (unsigned char)*p) * 16777619u;
			if (!*p)
				break;
		}
	const char *slash = strrchr(program, '/'), *base = slash ? slash + 1 : program;
	const char *dot = strrchr(base, '.');
	snprintf(dst, size, "%.*s-%g-%04x", (int)(dot && dot > base && dot - base < 60 ? dot - base : 60), base, target, (hash ^ hash >> 16) & 0xffff);
}

char *gns_sweep_label(char *dst, size_t size, const struct gns_sweep_point *p)
{
	int n = snprintf(dst, size, "b%" PRId64, p->batch);
	if (isfinite(p->lr))
		n += snprintf(dst + n, size - (size_t)n, " lr%.4g", p->lr);
	if (p->seed >= 0)
		snprintf(dst + n, size - (size_t)n, " s%" PRId64, p->seed);
	return dst;
}

static bool same_lr(const struct gns_sweep_point *a, const struct gns_sweep_point *b)
{
	return a->batch == b->batch && (a->lr == b->lr || (isnan(a->lr) && isnan(b->lr)));
}

static bool observed(const struct gns_sweep_point *p)
{
	return p->reached || p->censored;
}

/* Was every learning rate of its batch tried with its seed? The quickest is given more seeds, which are not to count against it. */
static bool common(const struct gns_sweep_point *points, size_t n, const struct gns_sweep_point *p)
{
	for (size_t i = 0; i < n; i++) {
		bool found = points[i].batch != p->batch || !observed(&points[i]);
		for (size_t j = 0; j < n && !found; j++)
			found = same_lr(&points[j], &points[i]) && points[j].seed == p->seed && observed(&points[j]);
		if (!found)
			return false;
	}
	return true;
}

/* Mean steps of a learning rate, infinite when one of its runs did not reach the target or there is none. */
static double mean_steps(const struct gns_sweep_point *points, size_t n, const struct gns_sweep_point *like)
{
	double sum = 0, count = 0;
	for (size_t i = 0; i < n; i++)
		if (same_lr(&points[i], like) && observed(&points[i]) && common(points, n, &points[i])) {
			sum += points[i].reached ? points[i].steps : INFINITY;
			count++;
		}
	return count > 0 ? sum / count : INFINITY;
}

double gns_sweep_best_lr(const struct gns_sweep_point *points, size_t n, int64_t batch, bool *any)
{
	double best = NAN, least = INFINITY;
	*any = false;
	for (size_t i = 0; i < n; i++) {
		double steps = points[i].batch == batch ? mean_steps(points, n, &points[i]) : INFINITY;
		if (steps < least) {
			least = steps;
			best = points[i].lr;
			*any = true;
		}
	}
	return best;
}
