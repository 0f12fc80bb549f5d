/* What is usual of a window: its batch, its step time, and where its B_noise is going. */
#include "store/internal.h"

#include <stdlib.h>

#define DURATIONS 1000 /* steps behind the usual duration */
#define BATCHES 1000  /* measured steps behind the usual batch */
#define REACH 20000   /* steps that are looked through for them */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* The mode, of equally frequent ones the largest: the last batch of an epoch is smaller. Where hardly any two are
 * alike, as in batches of so many tokens, the median. */
static double most_frequent(double *values, size_t n)
{
	double best = NAN;
	size_t most = 0;
	qsort(values, n, sizeof *values, ascending);
	for (size_t i = 0, from = 0; i < n; i++) {
		if (values[i] > values[from])
			from = i;
		if (i - from + 1 >= most) {
			most = i - from + 1;
			best = values[i];
		}
	}
	return n == 0 || 10 * most >= n ? best : values[n / 2];
}

static double usual_batch(struct gns_store *store, int64_t run_id, struct gns_window w)
{
	double batches[BATCHES];
	size_t n = 0;
	int64_t lo = w.hi - REACH + 1 > w.lo ? w.hi - REACH + 1 : w.lo;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_BATCHES, "iiii", run_id, lo, w.hi, (int64_t)BATCHES);
	while (stmt && n < BATCHES && sqlite3_step(stmt) == SQLITE_ROW) {
		double batch = gns_column_double(stmt, 0);
		if (batch > 0)
			batches[n++] = batch;
	}
	sqlite3_reset(stmt);
	return most_frequent(batches, n);
}

/* Of the last steps of the window, without start-up. */
static double median_step_ms(struct gns_store *store, int64_t run_id, struct gns_window w)
{
	double ms[DURATIONS];
	size_t n = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_DURATIONS, "iiii", run_id, w.lo, w.hi, (int64_t)DURATIONS);
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW && n < DURATIONS)
		ms[n++] = sqlite3_column_double(stmt, 0) / 1e6;
	sqlite3_reset(stmt);
	if (n == 0)
		return NAN;
	qsort(ms, n, sizeof *ms, ascending);
	return n % 2 ? ms[n / 2] : (ms[n / 2 - 1] + ms[n / 2]) / 2;
}

void gns_describe_window(struct gns_store *store, struct gns_window w, const struct gns_total *total, struct gns_summary *out)
{
	int64_t steps = total->steps - total->startup;
	out->measured = (int64_t)total->block.count;
	out->mean_step_ms = steps > 0 ? (double)total->dur_ns / (double)steps / 1e6 : (double)NAN;
	out->step_ms = median_step_ms(store, out->run.run_id, w);
	out->overhead_pct = total->dur_ns > 0 ? 100 * (double)total->overhead_ns / (double)total->dur_ns : (double)NAN;
	out->starting = total->steps > 0 && steps == 0;
	out->samples_per_step = usual_batch(store, out->run.run_id, w);
}

static int noise_of(struct gns_store *store, int64_t run_id, struct gns_window w, struct gns_ratio *out)
{
	struct gns_pooled_window pooled;
	struct gns_ratio b_crit;
	int rc = gns_pool_window(store, run_id, w, &pooled);
	*out = (struct gns_ratio){ NAN, NAN, NAN, false, 0 };
	if (rc < 0)
		return rc;
	gns_pooled_noise(&pooled, out, &b_crit, NULL);
	out->count = pooled.total.block.count;
	gns_pooled_free(&pooled);
	return 0;
}

int gns_trend_of_window(struct gns_store *store, int64_t run_id, struct gns_window w, const struct gns_ratio *whole, struct gns_trend *out)
{
	struct gns_ratio last, before;
	int64_t tenth = (w.hi - w.lo + 1) / 10;
	*out = (struct gns_trend){ .last = { NAN, NAN, NAN, false, 0 }, .before = { NAN, NAN, NAN, false, 0 } };
	if (tenth < GNS_TREND_STEPS)
		return 0;
	int rc = noise_of(store, run_id, (struct gns_window){ w.hi - tenth + 1, w.hi }, &last);
	if (rc == 0)
		rc = noise_of(store, run_id, (struct gns_window){ w.hi - 2 * tenth + 1, w.hi - tenth }, &before);
	if (rc == 0)
		*out = gns_trend_of(&last, &before, whole);
	return rc;
}
