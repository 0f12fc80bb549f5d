/* Everything that is said of a run at a glance. */
#include "gnscope/text.h"
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

void gns_window(struct gns_store *store, int64_t run_id, int64_t window, struct gns_window *out)
{
	out->hi = gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", run_id);
	out->lo = window > 0 && out->hi > window ? out->hi - window + 1 : 1;
}

static int64_t count_and_sum(struct gns_store *store, int64_t run_id, bool buckets, int64_t covered_in, double *numel)
{
	sqlite3_stmt *stmt = covered_in < 0 ? gns_sql_bind(store, GNS_SQL_KNOWN, "ii", run_id, (int64_t)buckets)
					    : gns_sql_bind(store, GNS_SQL_COVERED, "iii", run_id, covered_in, (int64_t)buckets);
	int64_t n = 0;
	*numel = 0;
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		n = sqlite3_column_int64(stmt, 0);
		*numel = sqlite3_column_double(stmt, 1);
	}
	sqlite3_reset(stmt);
	return n;
}

/* Best first. Returns the best, 0 when nothing was measured. */
static uint32_t sources(struct gns_store *store, struct gns_summary *sum, int64_t newest)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEP_SOURCES, "ii", sum->run.run_id, newest);
	bool has[GNS_SOURCES] = { false };
	uint32_t best = 0;
	size_t at = 0;
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		has[gns_source_of((const char *)sqlite3_column_text(stmt, 0))] = true;
	sqlite3_reset(stmt);
	for (int i = 0; i < GNS_SOURCES - 1; i++)
		if (has[gns_source_order[i]]) {
			best = best ? best : gns_source_order[i];
			at += (size_t)snprintf(sum->sources + at, sizeof sum->sources - at, "%s%s", at ? "," : "",
					       gns_source_names[gns_source_order[i]]);
		}
	return best;
}

static bool has_event(struct gns_store *store, int64_t run_id, const char *name)
{
	return gns_sql_int(store, GNS_SQL_EVENT_NAMED, 0, "it", run_id, name) > 0;
}

/* PyTorch tells of every parameter that an optimizer trains, measured or not; matrix products only of those in them. Where
 * its part of gnscope turned itself off, the weights that the products then name are a second name for some of its own. */
static void coverage(struct gns_store *store, struct gns_summary *sum, uint32_t best, int64_t newest)
{
	double known, measured;
	char number[32];
	int64_t run_id = sum->run.run_id, process = sum->run.main_run_id;
	bool torch = best == GNS_SOURCE_TORCH || (best == 0 && has_event(store, process, "torch"));
	bool off = best == GNS_SOURCE_GEMM && has_event(store, process, "torch_off");
	bool several = sum->run.stream > 0 || gns_sql_int(store, GNS_SQL_STREAM_COUNT, 0, "i", run_id) > 0;
	bool buckets = gns_source_pools(best); /* what ranks reduce are the elements of other weights: never both in one sum */
	sum->params = count_and_sum(store, run_id, buckets, -1, &known);
	sum->params_measured = count_and_sum(store, run_id, buckets, newest, &measured);
	if (off && known > measured) {
		known -= measured;
		sum->params -= sum->params_measured;
	}
	sum->coverage = known > 0 ? measured / known : (double)NAN;
	if (!(known > 0))
		return;
	snprintf(sum->coverage_note, sizeof sum->coverage_note, "of %s %s", gns_text_number(number, sizeof number, known),
		 buckets ? "elements of gradients that ranks reduce"
		 : (torch || off) && several ? "parameters that this optimizer trains"
		 : torch || off	       ? "trainable parameters"
					       : "weights in matrix multiplications; biases, norms and embeddings are not seen");
}

/* The last loss that is known: down through the blocks that have one, so that a long run without losses costs nothing. */
static double last_loss(struct gns_store *store, int64_t run_id)
{
	static const int64_t sizes[] = { GNS_SIZE_COARSE, GNS_SIZE_MIDDLE, GNS_SIZE_FINE };
	int64_t from = 0, to = INT64_MAX;
	for (int i = 0; i < 3; i++) {
		int64_t block = gns_sql_int(store, GNS_SQL_LOSS_BLOCK, -1, "iiii", run_id, sizes[i], from, to);
		if (block < 0)
			return NAN;
		int64_t parts = i < 2 ? sizes[i] / sizes[i + 1] : sizes[i];
		from = block * parts;
		to = (block + 1) * parts;
	}
	double loss = NAN;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_LOSS_LAST, "iii", run_id, from + 1, to);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		loss = gns_column_double(stmt, 0);
	sqlite3_reset(stmt);
	return loss;
}

static void about_ranks(struct gns_store *store, struct gns_summary *sum, int64_t *newest)
{
	snprintf(sum->sample_unit, sizeof sum->sample_unit, "rows");
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_RUN_RANKS, "i", sum->run.run_id);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		sum->steps_refused = sqlite3_column_int64(stmt, 3);
		sum->startup_ms = gns_column_double(stmt, 8) / 1e6;
		if (sqlite3_column_type(stmt, 4) != SQLITE_NULL)
			gns_text_safe(sum->sample_unit, sizeof sum->sample_unit, (const char *)sqlite3_column_text(stmt, 4));
	}
	sqlite3_reset(stmt);
	sum->dropped = gns_sql_int(store, GNS_SQL_RUN_DROPPED, 0, "i", sum->run.main_run_id);
	*newest = gns_sql_int(store, GNS_SQL_LAST_MEASURED, 0, "i", sum->run.run_id);
	int64_t last = gns_sql_int(store, GNS_SQL_RANKS_LAST, 0, "i", sum->run.run_id);
	sum->last_step_ns = (uint64_t)gns_sql_int(store, GNS_SQL_NEWEST_STEP, 0, "ii", sum->run.run_id, last);
	stmt = gns_sql_bind(store, GNS_SQL_RUN_OPTIMIZER, "i", sum->run.run_id);
	sum->lr = NAN;
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		gns_column_text(stmt, 0, sum->optimizer, sizeof sum->optimizer);
		sum->lr = gns_column_double(stmt, 1);
	}
	sqlite3_reset(stmt);
}

static int summarise(struct gns_store *store, struct gns_summary *sum, struct gns_error *err)
{
	struct gns_window w;
	struct gns_pooled_window pooled;
	int64_t newest, run_id = sum->run.run_id;
	gns_window(store, run_id, sum->window, &w);
	int rc = gns_pool_window(store, run_id, w, &pooled);
	if (rc == -ENOMEM)
		return gns_fail(err, -ENOMEM, "cannot read %s: no memory left", store->path);
	if (rc < 0)
		return gns_store_fail(store, err, "read");
	gns_pooled_noise(&pooled, &sum->b_noise, &sum->b_crit, &sum->mv);
	about_ranks(store, sum, &newest);
	coverage(store, sum, sources(store, sum, newest), newest);
	gns_describe_window(store, w, &pooled.total, sum);
	rc = gns_trend_of_window(store, run_id, w, &sum->b_noise, &sum->trend);
	sum->loss = last_loss(store, run_id);
	gns_warnings(store, sum, &pooled.total);
	gns_pooled_free(&pooled);
	return rc < 0 ? gns_store_fail(store, err, "read") : 0;
}

int gns_store_summary(struct gns_store *store, int64_t run_id, int64_t window, struct gns_summary *out, struct gns_error *err)
{
	bool mine;
	memset(out, 0, sizeof *out);
	out->window = window > 0 ? window : 0;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	rc = gns_store_run_info(store, run_id, &out->run, err);
	if (rc == 0)
		rc = summarise(store, out, err);
	gns_snapshot_end(store, mine);
	return rc;
}
