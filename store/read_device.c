/* Reading what is known of devices: how steps were spent there, by which kernels, and the libraries in the processes. */
#include "gnscope/median.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS (1 + GNS_PARTS) /* wall first, as in DEVICE_STEPS */

/* ---- how steps were spent ---- */

struct samples { /* of one device: up to GNS_DEVICE_STEPS steps, in ms */
	double of[COLUMNS][GNS_DEVICE_STEPS], sum[COLUMNS];
	double queue_ns, queued, kernels;
	size_t n;
};

static int read_samples(struct gns_store *store, int64_t run_id, int64_t lo, int64_t hi, struct gns_device_row *row, struct samples *s)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_DEVICE_STEPS, "iiiii", run_id, lo, hi, row->rank, row->device);
	int rc = SQLITE_ERROR;
	memset(s, 0, sizeof *s);
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW && s->n < GNS_DEVICE_STEPS) {
		for (int i = 0; i < COLUMNS; i++) {
			s->of[i][s->n] = sqlite3_column_double(stmt, i) / 1e6;
			s->sum[i] += s->of[i][s->n];
		}
		double kernels = sqlite3_column_double(stmt, COLUMNS + 1);
		if (sqlite3_column_type(stmt, COLUMNS) != SQLITE_NULL) {
			s->queue_ns += sqlite3_column_double(stmt, COLUMNS);
			s->queued += kernels;
		}
		s->kernels += kernels;
		row->dropped += sqlite3_column_int64(stmt, COLUMNS + 2);
		s->n++;
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -EIO;
}

static void summarise(struct samples *s, struct gns_device_row *row)
{
	row->taken = (int64_t)s->n;
	row->total_ms = s->sum[0];
	gns_median(s->of[0], s->n, &row->wall_ms);
	for (int i = 0; i < GNS_PARTS; i++) {
		gns_median(s->of[1 + i], s->n, &row->ms[i]);
		row->share[i] = s->sum[0] > 0 ? s->sum[1 + i] / s->sum[0] : (double)NAN;
	}
	row->kernels = s->n > 0 ? s->kernels / (double)s->n : (double)NAN;
	row->queue_us = s->queued > 0 ? s->queue_ns / s->queued / 1e3 : (double)NAN;
}

static int read_devices(struct gns_store *store, int64_t run_id, const struct gns_window *w, struct gns_device_row **rows, size_t *n)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_DEVICE_COUNTS, "iii", run_id, w->lo, w->hi);
	size_t max = 0;
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (*n == max) {
			max = max ? max * 2 : 8;
			struct gns_device_row *grown = realloc(*rows, max * sizeof **rows);
			if (!grown)
				break;
			*rows = grown;
		}
		(*rows)[(*n)++] = (struct gns_device_row){ .rank = sqlite3_column_int64(stmt, 0), .device = sqlite3_column_int64(stmt, 1),
			.looked_at = sqlite3_column_int64(stmt, 2), .steps = w->hi - w->lo + 1 };
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : rc == SQLITE_ROW ? -ENOMEM : -EIO;
}

int gns_store_devices(struct gns_store *store, int64_t run_id, int64_t window, struct gns_device_row **rows, size_t *n, struct gns_error *err)
{
	struct samples *samples = NULL;
	struct gns_window w;
	bool mine;
	*rows = NULL;
	*n = 0;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	gns_window(store, run_id, window, &w);
	rc = read_devices(store, run_id, &w, rows, n);
	if (rc == 0 && *n > 0 && !(samples = malloc(sizeof *samples)))
		rc = -ENOMEM;
	int64_t from = rc == 0 && *n > 0 ? gns_sql_int(store, GNS_SQL_DEVICE_NEWEST, w.lo, "iiii", run_id, w.lo, w.hi, (int64_t)GNS_DEVICE_STEPS) : 0;
	for (size_t i = 0; rc == 0 && i < *n; i++) {
		rc = read_samples(store, run_id, from, w.hi, &(*rows)[i], samples);
		if (rc == 0)
			summarise(samples, &(*rows)[i]);
	}
	free(samples);
	if (rc < 0) {
		rc = gns_store_fail(store, err, "read");
		free(*rows);
		*rows = NULL;
		*n = 0;
	}
	gns_snapshot_end(store, mine);
	return rc;
}

/* ---- kernels ---- */

struct sum { int64_t id; double calls, total_ns, max_ns; struct gns_kernel_row row; };
struct sums { struct sum *of; size_t n, max; };

static int by_id(const void *a, const void *b)
{
	const int64_t *key = a;
	const struct sum *sum = b;
	return *key < sum->id ? -1 : *key > sum->id;
}

static int most_time_first(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	return x->total_ns > y->total_ns ? -1 : x->total_ns < y->total_ns ? 1 : x->id < y->id ? -1 : x->id > y->id;
}

static int read_names(struct gns_store *store, int64_t run_id, struct sums *sums)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_DEVICE_KERNELS, "i", run_id);
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (sums->n == sums->max) {
			size_t max = sums->max ? sums->max * 2 : 64;
			struct sum *grown = realloc(sums->of, max * sizeof *grown);
			if (!grown)
				break;
			sums->of = grown;
			sums->max = max;
		}
		struct sum *sum = &sums->of[sums->n++];
		memset(sum, 0, sizeof *sum);
		sum->id = sqlite3_column_int64(stmt, 0);
		gns_column_text(stmt, 1, sum->row.family, sizeof sum->row.family);
		gns_column_text(stmt, 2, sum->row.name, sizeof sum->row.name);
		sum->row.registers = gns_column_int(stmt, 3, -1);
		sum->row.block = gns_column_int(stmt, 4, -1);
		sum->row.grid = gns_column_int(stmt, 5, -1);
		sum->row.shared = gns_column_int(stmt, 6, -1);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : rc == SQLITE_ROW ? -ENOMEM : -EIO;
}

static int add_rows(struct gns_store *store, int64_t run_id, int64_t a, int64_t b, int64_t size, void *arg)
{
	struct sums *sums = arg;
	sqlite3_stmt *stmt = size == 1 ? gns_sql_bind(store, GNS_SQL_DEVICE_KERNEL_STEPS, "iii", run_id, a, b)
				       : gns_sql_bind(store, GNS_SQL_ROLLUP_DEVICE_KERNELS, "iiii", run_id, size, a, b);
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(stmt, 0);
		struct sum *sum = sums->n ? bsearch(&id, sums->of, sums->n, sizeof *sums->of, by_id) : NULL;
		if (!sum)
			continue;
		sum->calls += sqlite3_column_double(stmt, 1);
		sum->total_ns += sqlite3_column_double(stmt, 2);
		sum->max_ns = fmax(sum->max_ns, sqlite3_column_double(stmt, 3));
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : -EIO;
}

/* Steps that were looked at, counted for each process, and the wall time of their devices. */
static void looked_at(struct gns_store *store, int64_t run_id, const struct gns_window *w, double *steps, double *wall_ns)
{
	*steps = *wall_ns = NAN;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_DEVICE_WALL, "iii", run_id, w->lo, w->hi);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_double(stmt, 1) > 0) {
		*steps = sqlite3_column_double(stmt, 0);
		*wall_ns = sqlite3_column_double(stmt, 1);
	}
	sqlite3_reset(stmt);
}

static int hand_out(struct sums *sums, double steps, double wall_ns, struct gns_kernel_row **rows, size_t *n)
{
	if (sums->n == 0)
		return 0;
	qsort(sums->of, sums->n, sizeof *sums->of, most_time_first);
	*rows = malloc(sums->n * sizeof **rows);
	for (size_t i = 0; *rows && i < sums->n && sums->of[i].calls > 0; i++) {
		const struct sum *sum = &sums->of[i];
		struct gns_kernel_row *row = &(*rows)[(*n)++];
		*row = sum->row;
		row->device = true;
		row->gflops = NAN;
		row->calls_per_step = sum->calls / steps;
		row->ms_per_step = sum->total_ns / steps / 1e6;
		row->max_ms = sum->max_ns / 1e6;
		row->share = sum->total_ns / wall_ns;
	}
	return *rows ? 0 : -ENOMEM;
}

int gns_store_device_kernels(struct gns_store *store, int64_t run_id, int64_t window, struct gns_kernel_row **rows, size_t *n,
			     struct gns_error *err)
{
	struct sums sums = { 0 };
	double steps, wall_ns;
	bool mine;
	*rows = NULL;
	*n = 0;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	struct gns_window w = gns_window_of_rows(store, run_id, window);
	rc = read_names(store, run_id, &sums);
	if (rc == 0 && sums.n > 0) {
		rc = gns_over_window(store, run_id, w, add_rows, &sums);
		looked_at(store, run_id, &w, &steps, &wall_ns);
	}
	if (rc == 0 && sums.n > 0)
		rc = hand_out(&sums, steps, wall_ns, rows, n);
	if (rc < 0)
		rc = gns_store_fail(store, err, "read");
	free(sums.of);
	gns_snapshot_end(store, mine);
	return rc;
}
