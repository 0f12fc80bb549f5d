/* What a run means, in sentences. */
#include "profiler/cli/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"

/* Counters by name; a prefix is enough, so that a collector may say more behind it. */
static const struct {
	const char *name, *words;
} reasons[] = {
	{"products", "matrix products seen"},
	{"wgrad", "weight-gradient products measured"},
	{"rejected_attention", "attention products: their operands are activations, not weights"},
	{"rejected_forward", "forward products: no gradient in them"},
	{"rejected_dgrad", "data-gradient products: they pass the error on and hold no weight's gradient"},
	{"rejected_small", "products too small to be worth measuring"},
	{"rejected_no_partner", "no forward product with the same weight was seen before: not taken for a weight"},
	{"rejected_not_persistent", "the operand did not stay from step to step, as a weight does"},
	{"rejected_unknown", "products whose part in the training could not be told"},
	{"rejected_tied", "weights used more than once in a micro-step: their norms do not add, so they are left out"},
	{"rejected_dtype", "number types that are not measured on this path"},
	{"rejected_accumulate", "products that add to their output in a way that cannot be undone"},
	{"samples_not_dividing", "the rows are no multiple of the samples told: check --samples N"},
	{"one_sample", "only one sample in the step: the noise needs two or more"},
	{"ring_full", "the recorder was behind and the ring was full"},
	{"no_memory", "no memory could be had for scratch space"},
	{"malformed", "records that made no sense and were skipped"},
};

const char *gns_words_reason(char *dst, size_t size, const char *name)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (strncmp(name, reasons[i].name, strlen(reasons[i].name)) == 0)
			return reasons[i].words;
	gns_text_safe(dst, size, name);
	for (char *p = dst; *p; p++)
		if (*p == '_')
			*p = ' ';
	return dst;
}

char *gns_words_quantity(char *dst, size_t size, double value, const char *unit)
{
	char number[40], safe[32];
	snprintf(dst, size, "%s %s", gns_text_number(number, sizeof number, value), gns_text_safe(safe, sizeof safe, unit));
	return dst;
}

char *gns_words_verdict(char *dst, size_t size, const struct gns_summary *s)
{
	char ratio[128];
	gns_text_verdict(dst, size, s->samples_per_step, &s->b_crit);
	if (dst[0])
		return dst;
	if (s->run.steps_measured == 0)
		snprintf(dst, size, "nothing was measured yet");
	else if (s->b_noise.resolved)
		snprintf(dst, size, "B_noise %s; B_crit of the run is not resolved yet",
			 gns_text_ratio(ratio, sizeof ratio, &s->b_noise, s->sample_unit));
	else
		snprintf(dst, size, "%s: the signal is lost in the noise, measure more steps",
			 gns_text_ratio(ratio, sizeof ratio, &s->b_noise, s->sample_unit));
	return dst;
}

/* The counter that explains most: refused steps first, then rejected products. */
static void main_reason(char *dst, size_t size, struct gns_store *store, int64_t run_id)
{
	struct gns_counter_row *rows = NULL;
	char words[128];
	size_t n = 0, best = (size_t)-1;
	dst[0] = '\0';
	if (!store || gns_store_counters(store, run_id, &rows, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		bool reason = strncmp(rows[i].name, "rejected", 8) == 0 || strncmp(rows[i].name, "refused", 7) == 0 ||
			      strncmp(rows[i].name, "samples_", 8) == 0;
		if (reason && rows[i].value > 0 && (best == (size_t)-1 || rows[i].value > rows[best].value))
			best = i;
	}
	if (best != (size_t)-1)
		snprintf(dst, size, "; most often (%" PRId64 "): %s", rows[best].value,
			 gns_words_reason(words, sizeof words, rows[best].name));
	free(rows);
}

char *gns_words_why_nothing(char *dst, size_t size, struct gns_store *store, const struct gns_summary *s, int processes)
{
	char reason[256];
	main_reason(reason, sizeof reason, store, s->run.run_id);
	if (s->run.steps_measured > 0)
		dst[0] = '\0';
	else if (s->steps_refused > 0)
		snprintf(dst, size, "nothing was measured: %" PRId64 " steps were chosen but could not be%s", s->steps_refused, reason);
	else if (s->run.steps > 0)
		snprintf(dst, size, "nothing was measured: %" PRId64 " steps were seen, none was chosen; set --every 1", s->run.steps);
	else if (processes == 0)
		snprintf(dst, size, "nothing was measured: no matrix product was seen in any process of the command");
	else
		snprintf(dst, size, "nothing was measured: no training step was recognised%s", reason);
	return dst;
}

static void line_numbers(FILE *out, const struct gns_summary *s)
{
	char noise[128], crit[128], unit[32];
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	fprintf(out, "gnscope: B_noise %s; B_crit of the run so far %s\n", gns_text_ratio(noise, sizeof noise, &s->b_noise, unit),
		gns_text_ratio(crit, sizeof crit, &s->b_crit, unit));
}

static void line_run(FILE *out, const struct gns_summary *s)
{
	char name[128], status[32];
	gns_text_safe(name, sizeof name, s->run.name);
	gns_text_safe(status, sizeof status, s->run.status);
	fprintf(out, "gnscope: run %" PRId64 " (%s) %s: %" PRId64 " of %" PRId64 " steps measured", s->run.run_id, name, status,
		s->run.steps_measured, s->run.steps);
	if (isfinite(s->overhead_pct))
		fprintf(out, ", overhead %.2f%%", s->overhead_pct);
	if (isfinite(s->coverage))
		fprintf(out, ", coverage %.0f%%", 100 * s->coverage);
	fputc('\n', out);
}

static void line_losses(FILE *out, const struct gns_summary *s, const char *trouble)
{
	char safe[512];
	if (s->dropped > 0)
		fprintf(out, "gnscope: dropped %" PRId64 " steps", s->dropped);
	else
		fputs("gnscope: dropped nothing", out);
	if (trouble[0])
		fprintf(out, "; %s", gns_text_safe(safe, sizeof safe, trouble));
	if (s->n_warnings)
		fputs("; warnings:", out);
	for (size_t i = 0; i < s->n_warnings; i++)
		fprintf(out, "%s %s", i ? "," : "", gns_text_safe(safe, sizeof safe, s->warnings[i].name));
	fputc('\n', out);
}

void gns_words_closing(FILE *out, struct gns_store *store, const struct gns_summary *s, int processes, const char *trouble)
{
	char text[768];
	if (s->run.steps_measured > 0) {
		fprintf(out, "gnscope: %s\n", gns_words_verdict(text, sizeof text, s));
		line_numbers(out, s);
	} else {
		fprintf(out, "gnscope: %s\n", gns_words_why_nothing(text, sizeof text, store, s, processes));
		fputs("gnscope: what gnscope sees of a command, and what is missing: gnscope doctor -- COMMAND\n", out);
	}
	line_run(out, s);
	line_losses(out, s, trouble);
	fprintf(out, "gnscope: next: gnscope show %" PRId64 " | gnscope top %" PRId64 "\n", s->run.run_id, s->run.run_id);
}
