/* What a reader of a run's numbers must know beside them: from facts first, then from events by name. */
#include "gnscope/text.h"
#include "store/internal.h"

#include <inttypes.h>
#include <string.h>

#define REASONS_SAID 4

__attribute__((format(printf, 3, 4))) static void warn(struct gns_summary *sum, const char *name, const char *fmt, ...)
{
	for (size_t i = 0; i < sum->n_warnings; i++)
		if (strcmp(sum->warnings[i].name, name) == 0)
			return;
	if (sum->n_warnings == GNS_WARNINGS_MAX)
		return;
	struct gns_warning *w = &sum->warnings[sum->n_warnings++];
	snprintf(w->name, sizeof w->name, "%s", name);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w->text, sizeof w->text, fmt, ap);
	va_end(ap);
}

static int64_t counted(struct gns_store *store, int64_t run_id, const char *name, char *text, size_t size)
{
	int64_t value = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_COUNTER_SUM, "it", run_id, name);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		value = sqlite3_column_int64(stmt, 0);
		if (text)
			gns_column_text(stmt, 1, text, size);
	}
	sqlite3_reset(stmt);
	return value;
}

/* ---- weights that are left out ---- */

static const char *const why_left_out[GNS_LEFT_OUTS] = {
	[GNS_LEFT_TIED] = "used more than once in a pass",
	[GNS_LEFT_RECURRENT] = "in a fused recurrent layer, whose inner GEMMs are not seen,",
	[GNS_LEFT_COMPILED] = "in a compiled region, whose inner operations are not seen,",
	[GNS_LEFT_SPARSE] = "with a sparse gradient",
	[GNS_LEFT_DEVICE] = "not in the processor's memory, as on a GPU,",
	[GNS_LEFT_DTYPE] = "of an element type that is not measured",
	[GNS_LEFT_OPERATION] = "in an operation that no rule is known for",
	[GNS_LEFT_USER_HOOK] = "whose gradient a hook of the program changes",
	[GNS_LEFT_SHARDED] = "of which each rank holds a part, as in FSDP and ZeRO,",
	[GNS_LEFT_UNUSED] = "that got no gradient so far",
	[GNS_LEFT_CHECKPOINT] = "whose operands are recomputed and could not be read",
	[GNS_LEFT_SAMPLES] = "whose rows cannot be assigned to samples (--layout)",
};

struct left_out {
	int64_t n;
	double numel;
	char names[96]; /* of the largest few */
};

static uint32_t reason_of(const char *word)
{
	for (uint32_t i = 1; i < GNS_LEFT_OUTS; i++)
		if (word && strcmp(word, gns_left_out_names[i]) == 0)
			return i;
	return GNS_LEFT_NOT;
}

static void add_name(struct left_out *left, const char *name)
{
	size_t at = strlen(left->names);
	if (left->n > 3 || (at > 0 && strcmp(left->names + at - 3, "...") == 0))
		return;
	if (at > 0 && at + 2 + strlen(name) > sizeof left->names - 6)
		snprintf(left->names + at, sizeof left->names - at, ", ...");
	else
		snprintf(left->names + at, sizeof left->names - at, "%s%.60s", at ? ", " : "", name);
}

static double read_left_out(struct gns_store *store, int64_t run_id, struct left_out left[GNS_LEFT_OUTS])
{
	double known = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_EXCLUDED, "i", run_id);
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		char name[100];
		struct left_out *of = &left[reason_of((const char *)sqlite3_column_text(stmt, 0))];
		gns_column_text(stmt, 1, name, sizeof name);
		of->n++;
		of->numel += sqlite3_column_double(stmt, 2);
		add_name(of, name);
	}
	sqlite3_reset(stmt);
	stmt = gns_sql_bind(store, GNS_SQL_KNOWN, "i", run_id);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		known = sqlite3_column_double(stmt, 1);
	sqlite3_reset(stmt);
	return known;
}

static void one_reason(struct gns_store *store, struct gns_summary *sum, uint32_t reason, const struct left_out *left, double known)
{
	const char *name = reason == GNS_LEFT_TIED ? "tied_weight" : gns_left_out_names[reason];
	char text[64] = "", share[32] = "";
	sqlite3_stmt *stmt = reason == GNS_LEFT_OPERATION ? gns_sql_bind(store, GNS_SQL_EVENT_TEXT, "it", sum->run.run_id, name) : NULL;
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		gns_column_text(stmt, 0, text, 40);
	sqlite3_reset(stmt);
	if (known > 0)
		snprintf(share, sizeof share, left->numel >= 0.995 * known ? " (%.0f%% of all)" : " (%.2g%% of all)", 100 * left->numel / known);
	warn(sum, name, "%" PRId64 " parameter%s %s%s%s%s %s left out%s: %s%s", left->n, left->n == 1 ? "" : "s", why_left_out[reason],
	     text[0] ? " (" : "", text, text[0] ? ")" : "", left->n == 1 ? "is" : "are", share, left->names,
	     left->n > 3 && !strstr(left->names, "...") ? ", ..." : "");
}

/* A sentence for each of the reasons that weigh most, one for the rest. */
static void about_weights(struct gns_store *store, struct gns_summary *sum)
{
	struct left_out left[GNS_LEFT_OUTS] = { { 0 } };
	double known = read_left_out(store, sum->run.run_id, left);
	int64_t others = 0;
	for (int said = 0;; said++) {
		uint32_t most = 0;
		for (uint32_t i = 1; i < GNS_LEFT_OUTS; i++)
			if (left[i].n > 0 && (most == 0 || left[i].numel > left[most].numel))
				most = i;
		if (most == 0)
			break;
		if (said < REASONS_SAID)
			one_reason(store, sum, most, &left[most], known);
		else
			others += left[most].n;
		left[most].n = 0;
	}
	if (others + left[0].n > 0)
		warn(sum, "left_out", "%" PRId64 " more parameters are left out for other reasons: gnscope show --layers %" PRId64 " lists them",
		     others + left[0].n, sum->run.run_id);
}

static void about_losses(struct gns_store *store, struct gns_summary *sum)
{
	char text[120] = "";
	int64_t n;
	if (sum->dropped > 0)
		warn(sum, "dropped", "%" PRId64 " step%s lost because the recorder was behind: they are in no number", sum->dropped,
		     sum->dropped == 1 ? " was" : "s were");
	if (sum->steps_refused > 0)
		warn(sum, "refused", "%" PRId64 " step%s skipped: --samples does not divide the batch, or its shape changed. See `gnscope doctor`.",
		     sum->steps_refused, sum->steps_refused == 1 ? " was" : "s were");
	if ((n = counted(store, sum->run.run_id, "nonfinite_steps", NULL, 0)) > 0)
		warn(sum, "nonfinite", "%" PRId64 " step%s with infinite or undefined gradients left out", n, n == 1 ? "" : "s");
	if ((n = counted(store, sum->run.run_id, "ranks_disagree", NULL, 0)) > 0)
		warn(sum, "ranks_disagree", "in %" PRId64 " steps ranks had other batch sizes than the first rank; theirs are left out", n);
	if ((n = counted(store, sum->run.run_id, "malformed", text, sizeof text)) > 0)
		warn(sum, "malformed", "%" PRId64 " damaged record%s skipped (%s)", n, n == 1 ? " was" : "s were", text);
}

/* ---- what the collectors tell by name ---- */

static int64_t most_counted(struct gns_store *store, const struct gns_summary *sum, const char *name)
{
	return gns_sql_int(store, GNS_SQL_COUNTER_MOST, 0, "itt", sum->run.run_id, "torch", name);
}

static void about_training(struct gns_store *store, struct gns_summary *sum)
{
	int64_t n;
	if ((n = most_counted(store, sum, "skipped_steps")) > 0)
		warn(sum, "skipped_steps", "%" PRId64 " step%s skipped by the loss scaler, %s gradients not finite: they are in no number", n,
		     n == 1 ? " was" : "s were", n == 1 ? "its" : "their");
	if ((n = most_counted(store, sum, "gradient_not_zeroed")) > 0)
		warn(sum, "gradient_not_zeroed", "%" PRId64 " time%s a step began with gradients of an earlier one still there: it is not "
		     "measured; call optimizer.zero_grad() once a step", n, n == 1 ? "" : "s");
}

/* Sentences around what an event says; "" is not a warning. Others speak for themselves. */
static const struct {
	const char *name, *before, *after;
} events[] = {
	{ "torch", "", "" },
	{ "operation", "", "" }, /* told with the weights that it leaves out */
	{ "clipping", "the gradients are clipped (", "): these numbers are of the gradients before that" },
	{ "batchnorm", "BatchNorm couples the samples of a batch (", "): B_noise is only valid near the current batch size." },
	{ "torch_off", "gnscope's PyTorch part turned itself off (", "): from then on only matrix multiplications are seen" },
};

static void one_event(struct gns_store *store, struct gns_summary *sum, const char *name, const char *text, int64_t times)
{
	int64_t clipped = strcmp(name, "clipping") == 0 ? most_counted(store, sum, "clipped_steps") : 0;
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (strcmp(name, events[i].name) == 0) {
			char how_often[48] = "";
			if (clipped > 0)
				snprintf(how_often, sizeof how_often, "; %" PRId64 " step%s", clipped, clipped == 1 ? "" : "s");
			if (events[i].before[0])
				warn(sum, name, "%s%.60s%s%s", events[i].before, text, how_often, events[i].after);
			return;
		}
	if (times > 1)
		warn(sum, name, "%s (%" PRId64 " times)", text, times);
	else
		warn(sum, name, "%s", text);
}

/* Of a run of another stream also what befell the process. */
static void about_events(struct gns_store *store, struct gns_summary *sum)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_EVENT_NAMES, "iii", sum->run.run_id, sum->run.main_run_id,
					  (int64_t)GNS_WARNINGS_MAX);
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		char name[40], text[160];
		gns_column_text(stmt, 0, name, sizeof name);
		gns_column_text(stmt, 2, text, sizeof text);
		one_event(store, sum, name, text, sqlite3_column_int64(stmt, 1));
	}
	sqlite3_reset(stmt);
}

void gns_warnings(struct gns_store *store, struct gns_summary *sum, const struct gns_total *total)
{
	char lo[32], hi[32];
	if (sum->run.steps > 0 && strcmp(sum->sample_unit, "rows") == 0)
		warn(sum, "rows_as_samples", "a row counts as a sample: set --samples N, the samples in one batch");
	if (sum->run.steps > 0 && strcmp(sum->sample_unit, gns_unit_names[GNS_UNIT_RANK_BATCHES]) == 0)
		warn(sum, "rank_batches", "the batch of a rank counts as one sample, its size is unknown: set --samples N");
	if (strcmp(sum->sources, "gemm") == 0)
		warn(sum, "blas_only", "the numbers and their coverage are of weights in matrix multiplications only; biases, norms and "
		     "embeddings are not seen");
	about_weights(store, sum);
	about_training(store, sum);
	about_losses(store, sum);
	if (total->n_max > total->n_min)
		warn(sum, "batch_changed", "The batch size changed within these steps, from %s to %s samples. For one size only, use --window N.",
		     gns_text_number(lo, sizeof lo, total->n_min), gns_text_number(hi, sizeof hi, total->n_max));
	if (sum->run.steps > 0 && sum->measured < GNS_VERDICT_STEPS)
		warn(sum, "few_steps", "Only %" PRId64 " of %" PRId64 " steps were measured: treat the numbers as a guess. Run longer, or with --every 1.",
		     sum->measured, sum->window > 0 && sum->window < sum->run.steps ? sum->window : sum->run.steps);
	about_events(store, sum);
}
