/* What a reader of a run's numbers must know beside them: from facts first, then from events by name. */
#include "gnscope/text.h"
#include "store/internal.h"

#include <inttypes.h>
#include <string.h>

#define FEW_STEPS 40 /* two blocks of the least length whose means estimate.h uses */

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

static void about_weights(struct gns_store *store, struct gns_summary *sum)
{
	char name[100] = "";
	int64_t left_out = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_EXCLUDED, "i", sum->run.run_id);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		left_out = sqlite3_column_int64(stmt, 0);
		gns_column_text(stmt, 1, name, sizeof name);
	}
	sqlite3_reset(stmt);
	if (left_out > 0)
		warn(sum, "tied_weight", "%" PRId64 " weight%s used more than once in a micro-step %s left out: %s%s", left_out,
		     left_out == 1 ? "" : "s", left_out == 1 ? "is" : "are", name, left_out == 1 ? "" : ", ...");
}

static void about_losses(struct gns_store *store, struct gns_summary *sum)
{
	char text[120] = "";
	int64_t n;
	if (sum->dropped > 0)
		warn(sum, "dropped", "%" PRId64 " step%s lost because the recorder was behind: they are in no number", sum->dropped,
		     sum->dropped == 1 ? " was" : "s were");
	if (sum->steps_refused > 0)
		warn(sum, "refused", "%" PRId64 " step%s could not be measured: the samples told do not divide the rows, or the step "
		     "changed shape (gnscope doctor says which)", sum->steps_refused, sum->steps_refused == 1 ? "" : "s");
	if ((n = counted(store, sum->run.run_id, "nonfinite_steps", NULL, 0)) > 0)
		warn(sum, "nonfinite", "%" PRId64 " step%s with infinite or undefined gradients left out", n, n == 1 ? "" : "s");
	if ((n = counted(store, sum->run.run_id, "ranks_disagree", NULL, 0)) > 0)
		warn(sum, "ranks_disagree", "in %" PRId64 " steps ranks had other batch sizes than the first rank; theirs are left out", n);
	if ((n = counted(store, sum->run.run_id, "malformed", text, sizeof text)) > 0)
		warn(sum, "malformed", "%" PRId64 " damaged record%s skipped (%s)", n, n == 1 ? " was" : "s were", text);
}

static void about_events(struct gns_store *store, struct gns_summary *sum)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_EVENT_NAMES, "ii", sum->run.run_id, (int64_t)GNS_WARNINGS_MAX);
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		char name[40], text[160];
		int64_t times = sqlite3_column_int64(stmt, 1);
		gns_column_text(stmt, 0, name, sizeof name);
		gns_column_text(stmt, 2, text, sizeof text);
		if (times > 1)
			warn(sum, name, "%s (%" PRId64 " times)", text, times);
		else
			warn(sum, name, "%s", text);
	}
	sqlite3_reset(stmt);
}

void gns_warnings(struct gns_store *store, struct gns_summary *sum, const struct gns_total *total)
{
	char lo[32], hi[32];
	if (sum->run.steps > 0 && strcmp(sum->sample_unit, "rows") == 0)
		warn(sum, "rows_as_samples", "a row counts as a sample: set --samples N, the samples in one batch");
	if (strcmp(sum->sources, "gemm") == 0)
		warn(sum, "blas_only", "the numbers and their coverage speak of weights in matrix products only; biases, norms and "
		     "embeddings are not seen");
	about_weights(store, sum);
	about_losses(store, sum);
	if (total->n_max > total->n_min)
		warn(sum, "batch_changed", "the batch size changed within these steps, from %s to %s samples at the ends of its range: "
		     "look at a --window of one size", gns_text_number(lo, sizeof lo, total->n_min),
		     gns_text_number(hi, sizeof hi, total->n_max));
	if (sum->run.steps > 0 && total->block.count < FEW_STEPS)
		warn(sum, "few_steps", "only %.0f measured step%s: intervals are rough below %d", total->block.count,
		     total->block.count == 1 ? "" : "s", FEW_STEPS);
	about_events(store, sum);
}
