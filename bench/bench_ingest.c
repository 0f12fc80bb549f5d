/* Rows a second of the recorder's path, ring included, against bare prepared inserts of the same rows into the same tables
 * under the same settings in the same run. Prints both and their ratio: the median of several pairs, taken in turn.
 *
 *   bench_ingest [STEPS] [LAYERS] [PAIRS] [FOLDER] */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/store.h"
#include "profiler/shim/ring/ring.h"
#include "tests/store/generate.h"

struct cost { double wall, cpu; }; /* seconds */

static double clock_of(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(struct cost *cost)
{
	cost->wall -= clock_of(CLOCK_MONOTONIC);
	cost->cpu -= clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void stop(struct cost *cost)
{
	cost->wall += clock_of(CLOCK_MONOTONIC);
	cost->cpu += clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_ingest: %s: %s\n", what, why);
	exit(1);
}

static void must(int rc, const struct gns_error *err)
{
	if (rc < 0)
		die("store", err->text);
}

static void remove_db(const char *path)
{
	char name[600];
	static const char *const parts[] = { "", "-wal", "-shm" };
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s", path, parts[i]);
		unlink(name);
	}
}

/* The recorder's path without its waiting: publish a batch, drain it in one transaction. */
static struct cost through_recorder(const char *path, const struct gns_generate *o)
{
	struct gns_store *store;
	struct gns_error err = { "" };
	struct gns_session *session;
	struct gns_ring w, r;
	struct gns_record *records = malloc(((size_t)o->layers + 32) * sizeof *records);
	char name[64];
	int64_t run_id, row;
	uint64_t tail;
	struct cost cost = { 0, 0 };
	snprintf(name, sizeof name, "/gnscope-bench-%d", (int)getpid());
	gns_session_unlink(name);
	must(gns_store_open_write(path, &store, &err), &err);
	struct gns_run_start begin = { .key = 1, .name = "bench", .command = "bench", .start_ns = 1 };
	must(gns_store_run_begin(store, &begin, &run_id, &err), &err);
	must(gns_store_rank_begin(store, run_id, 0, 1, &row, &tail, &err), &err);
	if (!records || gns_session_create(name, &session) < 0 || gns_ring_claim(name, session, &w) < 0 ||
	    gns_ring_attach(name, session, 0, &r) < 0)
		die("ring", "cannot be made");
	must(gns_store_begin(store, &err), &err);
	struct gns_record proc = gns_generate_proc(o, 0);
	must(gns_store_record(store, row, &proc, &err), &err);
	for (int i = 0; i < o->layers; i++) {
		struct gns_record param = gns_generate_param(i);
		must(gns_store_record(store, row, &param, &err), &err);
	}
	for (int i = 0; i < 12; i++) {
		struct gns_record kernel = gns_generate_kernel(i);
		must(gns_store_record(store, row, &kernel, &err), &err);
	}
	must(gns_store_commit(store, &err), &err);
	tail = 0;
	for (int64_t step = 1; step <= o->steps;) {
		for (; step <= o->steps; step++) {
			size_t n = gns_generate_step(o, 0, step, records);
			if (!gns_ring_reserve(&w, (uint32_t)n) || w.head + n - tail > GNS_RING_RECORDS / 4)
				break;
			for (size_t i = 0; i < n; i++)
				*gns_ring_at(&w, (uint32_t)i) = records[i];
			gns_ring_publish(&w, (uint32_t)n);
		}
		start(&cost);
		must(gns_store_begin(store, &err), &err);
		for (int64_t ready = gns_ring_ready(&r, tail); ready > 0; ready--) {
			struct gns_record record = *gns_ring_read(&r, tail++);
			must(gns_store_record(store, row, &record, &err), &err);
		}
		must(gns_store_set_tail(store, row, tail, 0, 0, &err), &err);
		must(gns_store_commit(store, &err), &err);
		gns_ring_release(&r, tail);
		stop(&cost);
	}
	gns_ring_close(&w);
	gns_ring_detach(&r);
	gns_session_detach(session);
	gns_session_unlink(name);
	gns_store_close(store);
	free(records);
	return cost;
}

static const char *const tables[] = { "grad", "kernel_step", "step", "estimate" };

/* Reads back what the recorder stored, and inserts it by prepared statements, a transaction for as many rows. */
static struct cost bare(const char *from, const char *path, double *rows)
{
	sqlite3 *src = NULL, *dst = NULL;
	struct gns_store *store;
	struct gns_error err = { "" };
	must(gns_store_open_write(path, &store, &err), &err);
	gns_store_close(store);
	if (sqlite3_open(from, &src) || sqlite3_open(path, &dst))
		die(path, "cannot be opened");
	sqlite3_exec(dst, "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16384; PRAGMA journal_size_limit=67108864", NULL, NULL, NULL);
	sqlite3_stmt *get[4], *put[4];
	int columns[4];
	for (int t = 0; t < 4; t++) {
		char sql[512], marks[128] = "?";
		snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY run_id, step", tables[t]);
		if (sqlite3_prepare_v2(src, sql, -1, &get[t], NULL))
			die(sql, sqlite3_errmsg(src));
		columns[t] = sqlite3_column_count(get[t]);
		for (int i = 1; i < columns[t]; i++)
			strcat(marks, ",?");
		snprintf(sql, sizeof sql, "INSERT INTO %s VALUES(%s)", tables[t], marks);
		if (sqlite3_prepare_v2(dst, sql, -1, &put[t], NULL))
			die(sql, sqlite3_errmsg(dst));
	}
	/* In memory first: reading is not what is measured. Rows in order of steps, as the recorder writes them. */
	struct row { sqlite3_value *v[24]; int table; int64_t step; } *all = NULL;
	size_t n = 0, max = 0;
	bool more[4];
	for (int t = 0; t < 4; t++)
		more[t] = sqlite3_step(get[t]) == SQLITE_ROW;
	for (;;) {
		int best = -1;
		for (int t = 0; t < 4; t++)
			if (more[t] && (best < 0 || sqlite3_column_int64(get[t], 1) < sqlite3_column_int64(get[best], 1)))
				best = t;
		if (best < 0)
			break;
		if (n == max) {
			max = max ? max * 2 : 1024;
			all = realloc(all, max * sizeof *all);
			if (!all)
				die("rows", "no memory left");
		}
		struct row *row = &all[n++];
		row->table = best;
		row->step = sqlite3_column_int64(get[best], 1);
		for (int i = 0; i < columns[best]; i++)
			row->v[i] = sqlite3_value_dup(sqlite3_column_value(get[best], i));
		more[best] = sqlite3_step(get[best]) == SQLITE_ROW;
	}
	struct cost cost = { 0, 0 };
	start(&cost);
	for (size_t i = 0; i < n; i++) {
		if (i % (GNS_RING_RECORDS / 4) == 0)
			sqlite3_exec(dst, i ? "COMMIT; BEGIN IMMEDIATE" : "BEGIN IMMEDIATE", NULL, NULL, NULL);
		sqlite3_stmt *stmt = put[all[i].table];
		for (int k = 0; k < columns[all[i].table]; k++)
			sqlite3_bind_value(stmt, k + 1, all[i].v[k]);
		if (sqlite3_step(stmt) != SQLITE_DONE)
			die("insert", sqlite3_errmsg(dst));
		sqlite3_reset(stmt);
	}
	sqlite3_exec(dst, "COMMIT", NULL, NULL, NULL);
	stop(&cost);
	*rows = (double)n;
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < columns[all[i].table]; k++)
			sqlite3_value_free(all[i].v[k]);
	free(all);
	for (int i = 0; i < 4; i++) {
		sqlite3_finalize(get[i]);
		sqlite3_finalize(put[i]);
	}
	sqlite3_close(src);
	sqlite3_close(dst);
	return cost;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = argc > 1 ? atoll(argv[1]) : 3000;
	o.layers = argc > 2 ? atoi(argv[2]) : 50;
	o.losses = false;
	int pairs = argc > 3 ? atoi(argv[3]) : 5; /* at most 64 */
	pairs = pairs < 1 ? 1 : pairs > 64 ? 64 : pairs;
	const char *folder = argc > 4 ? argv[4] : "/tmp";
	char a[512], b[512];
	double wall[64], cpu[64], rows = 0;
	snprintf(a, sizeof a, "%s/gns-bench-%d-a.db", folder, (int)getpid());
	snprintf(b, sizeof b, "%s/gns-bench-%d-b.db", folder, (int)getpid());
	for (int i = 0; i < pairs; i++) {
		remove_db(a);
		remove_db(b);
		struct cost recorder = through_recorder(a, &o), inserts = bare(a, b, &rows);
		wall[i] = inserts.wall / recorder.wall;
		cpu[i] = inserts.cpu / recorder.cpu;
		printf("%.0f rows: recorder %.0f rows/s, bare inserts %.0f rows/s, ratio %.2f (of processor time %.2f)\n", rows,
		       rows / recorder.wall, rows / inserts.wall, wall[i], cpu[i]);
	}
	remove_db(a);
	remove_db(b);
	qsort(wall, (size_t)pairs, sizeof *wall, ascending);
	qsort(cpu, (size_t)pairs, sizeof *cpu, ascending);
	printf("median ratio %.2f (of processor time %.2f)\n", wall[pairs / 2], cpu[pairs / 2]);
	return 0;
}
