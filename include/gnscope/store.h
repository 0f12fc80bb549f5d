/* The run database: SQLite in WAL, schema in store/schema.sql and docs/reference/schema.md.
 *
 * One writer (the recorder) and any number of readers, which never block it. A store handle belongs to one thread.
 * All functions return 0 or a negative errno and leave a sentence in `err`. Arrays that are handed out are
 * one malloc each, freed by the caller with free(). Strings in structs are copies, always terminated, and may hold
 * any byte a trainer put there: make them harmless before a terminal sees them (gns_text_safe). Absent numbers are NaN,
 * absent integers negative. */
#ifndef GNSCOPE_STORE_H
#define GNSCOPE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gnscope/error.h"
#include "gnscope/estimate.h"
#include "gnscope/fit.h"
#include "gnscope/record.h"
#include "gnscope/trend.h"

#define GNS_SCHEMA_VERSION 4

struct gns_store;

/* $XDG_STATE_HOME/gnscope/runs.db or ~/.local/state/gnscope/runs.db. -ENAMETOOLONG, -ENOENT (no home). */
int gns_store_default_path(char *buf, size_t size);

/* Read: the file must exist and be ours (else a message: missing, a directory, not a database, not gnscope's, newer schema,
 * damaged, not readable). It is never written. Works on a read-only file or file system. */
int gns_store_open_read(const char *path, struct gns_store **out, struct gns_error *err);
/* Write: made (with its folder) when missing, migrated forward when older; refused and left untouched when it is not
 * ours, newer, damaged or read-only. */
int gns_store_open_write(const char *path, struct gns_store **out, struct gns_error *err);
/* The same, and never waits longer than so many milliseconds for another writer, at opening and later (gns_store_open_write: 5,000). */
int gns_store_open_write_within(const char *path, int busy_ms, struct gns_store **out, struct gns_error *err);
/* False once the file that was opened for writing is not the one at `path` any more: removed, moved or replaced. */
bool gns_store_is_at(const struct gns_store *store, const char *path);
/* Then: copies the run of this session, and no other, from the file that is open to where it was, and closes the store, whatever
 * happens. Where another file is there by now it is not touched: the copy is left beside it, and its path in `kept` ("" otherwise). */
int gns_store_rescue(struct gns_store *store, uint64_t key, char *kept, size_t size, struct gns_error *err);
void gns_store_close(struct gns_store *store);

/* ---- writing (the recorder) ---- */

struct gns_run_start {
	uint64_t key;         /* session key: the same key continues the same run */
	const char *name;     /* NULL: made from the command */
	const char *command;  /* the trainer's argv, joined */
	const char *cwd, *host, *version;
	uint64_t start_ns;
};
int gns_store_run_begin(struct gns_store *store, const struct gns_run_start *start, int64_t *run_id, struct gns_error *err);
/* status: "finished", "failed" (exit_code != 0), "killed" (by a signal; exit_code = -signal), "lost" (not seen to end). */
int gns_store_run_end(struct gns_store *store, int64_t run_id, const char *status, int exit_code, uint64_t end_ns,
		      struct gns_error *err);

/* Opens (or continues) one process of a run; slot identifies it. *tail is the committed ring index. */
int gns_store_rank_begin(struct gns_store *store, int64_t run_id, uint32_t slot, uint32_t pid, int64_t *rank_row,
			 uint64_t *tail, struct gns_error *err);
/* The process has replaced itself by execve and goes on in another ring, from index 0: it counts steps from 1 and gives ids anew. Its steps
 * follow those that are stored. */
int gns_store_rank_follow(struct gns_store *store, int64_t rank_row, uint32_t slot, struct gns_error *err);
/* Tells that nothing more comes from this process: the totals of later steps no longer wait for it. */
int gns_store_rank_end(struct gns_store *store, int64_t rank_row, struct gns_error *err);
int gns_store_begin(struct gns_store *store, struct gns_error *err);
/* One record of that process, checked; a malformed one is counted, not an error. Keeps the live estimate and roll-ups. */
int gns_store_record(struct gns_store *store, int64_t rank_row, const struct gns_record *record, struct gns_error *err);
/* Ends the transaction and remembers how far the ring was read and what it dropped. On an error everything since
 * gns_store_begin is undone and may be offered again. */
int gns_store_set_tail(struct gns_store *store, int64_t rank_row, uint64_t tail, uint64_t dropped_records,
		       uint64_t dropped_steps, struct gns_error *err);
int gns_store_commit(struct gns_store *store, struct gns_error *err);
int gns_store_rollback(struct gns_store *store);
int gns_store_loss(struct gns_store *store, int64_t run_id, int64_t step, uint64_t time_ns, double loss, struct gns_error *err);
int gns_store_event(struct gns_store *store, int64_t run_id, int64_t step, uint64_t time_ns, const char *name, const char *text,
		    struct gns_error *err);

/* ---- reading ---- */

struct gns_run_info {
	int64_t run_id;
	char name[128], command[512], host[64], status[16]; /* status: "running" or as above */
	uint64_t start_ns, end_ns; /* end 0 while running */
	int exit_code;
	int64_t steps, steps_measured;
	int world;
	int stream;          /* a program with several optimizers has a run for each, numbered from 0 */
	int64_t main_run_id; /* stream 0's run; of a run of stream 0 its own id */
};

/* ref: an id, a name (the newest of that name), or NULL for the newest run. -ENOENT with a sentence that lists what is there. */
int gns_store_find_run(struct gns_store *store, const char *ref, int64_t *run_id, struct gns_error *err);
int gns_store_runs(struct gns_store *store, struct gns_run_info **runs, size_t *n, struct gns_error *err); /* newest first */
int gns_store_run_info(struct gns_store *store, int64_t run_id, struct gns_run_info *out, struct gns_error *err);

struct gns_warning {
	char name[40];  /* "clipping", "tied_weight", "rows_as_samples", "blas_only", "dropped", ... */
	char text[200]; /* the sentence for the user */
};
#define GNS_WARNINGS_MAX 16

/* Everything `gnscope show` says of a run; the fields are the JSON keys of DESIGN.md. */
struct gns_summary {
	struct gns_run_info run;
	int64_t window;             /* last N steps, 0 the whole run */
	int64_t measured;           /* steps of the window behind b_noise and b_crit */
	double samples_per_step;    /* the usual batch: the mode of the window's newest 1,000 measured steps, all ranks together; NaN unknown */
	char sample_unit[16];       /* "samples" or "rows" */
	char sources[64];           /* "gemm" or "gemm,rank": comma-joined, from grad.source */
	double coverage;            /* 0..1: measured share of the parameters that are known; coverage_note says of what */
	char coverage_note[120];    /* "of 535,818 weights in matrix products; biases, norms and embeddings are not seen" */
	int64_t params, params_measured; /* weights known, measured in the newest measured step */
	struct gns_ratio b_noise, b_crit;
	struct gns_trend trend;     /* of b_noise, by tenths of the window */
	bool starting;              /* start-up lasts: no step after it has ended yet */
	struct gns_meanvar mv;      /* s and g2 behind b_noise */
	double step_ms;             /* median of the last (up to 1,000) steps or of the window */
	double mean_step_ms;        /* mean of all steps of the window, start-up apart: steps times it is what they took, pauses included */
	double overhead_pct;        /* shim's time of all step time of the window, without start-up */
	double startup_ms;          /* what it took gnscope to get into the process: of the rank that it took most; 0 not known */
	int64_t dropped;            /* steps lost, all ranks */
	int64_t steps_refused;      /* chosen for measuring but refused */
	char optimizer[40];         /* "" unknown */
	double lr, loss;            /* NaN unknown; loss: the last */
	struct gns_warning warnings[GNS_WARNINGS_MAX];
	size_t n_warnings;
	uint64_t last_step_ns;      /* realtime clock of the newest step's start */
};
int gns_store_summary(struct gns_store *store, int64_t run_id, int64_t window, struct gns_summary *out, struct gns_error *err);

/* The run as a curve of at most max_points points, oldest first, each point the pooled steps of a stretch [step_lo, step_hi];
 * cost does not grow with the length of the run (roll-ups). step_hi < 0: to the end. Steps without a measurement
 * belong to no point. */
struct gns_point {
	int64_t step_lo, step_hi;
	uint64_t time_ns;           /* start of step_hi, realtime */
	double count;               /* measured steps pooled */
	struct gns_ratio b_noise;   /* of these steps alone, or the long half-life's where a point is one step */
	double s, g2;               /* means */
	double samples_per_step;
	double loss;                /* mean of those known, NaN */
	double step_ms, overhead_ms; /* means over all steps of the stretch */
};
int gns_store_series(struct gns_store *store, int64_t run_id, int64_t step_lo, int64_t step_hi, size_t max_points,
		     struct gns_point **points, size_t *n, struct gns_error *err);

/* The live estimate at the newest measured step (table estimate), one row per half-life, shortest first. */
struct gns_live {
	int64_t step;
	double half_life;
	double s, g2;
	struct gns_ratio b_noise;
	double b_crit, b_crit_lo, b_crit_hi;
};
int gns_store_live(struct gns_store *store, int64_t run_id, struct gns_live *rows, size_t max, size_t *n, struct gns_error *err);

struct gns_layer {
	int64_t param_id;
	char name[80], shape[48];  /* "64x3x7x7" */
	int64_t numel;
	double count;              /* measured steps */
	double q_small, q_big, s, g2; /* means over the window */
	struct gns_ratio b_noise;
	double share_s, share_g2;  /* of the run's totals; share_g2 NaN when the total is not positive */
	bool excluded;
	char source[16];
	char left_out[16];         /* why, one of GNS_LEFT_OUT_NAMES; "" unless excluded */
};
int gns_store_layers(struct gns_store *store, int64_t run_id, int64_t window, struct gns_layer **layers, size_t *n,
		     struct gns_error *err);
/* Of those that were measured: the noisiest by its own B_noise, among the resolved ones, and the one with the largest share of S.
 * NULL: there is none. */
void gns_layers_outstanding(const struct gns_layer *layers, size_t n, const struct gns_layer **noisiest, const struct gns_layer **most);

struct gns_kernel_row {
	char name[96], family[24];
	double calls_per_step, ms_per_step, max_ms, gflops; /* of measured steps */
	double share; /* of the measured steps' wall time, 0..1 */
	bool device;  /* a kernel on a device, timed by its clock: never to be added to others */
	int64_t registers, block, grid, shared; /* of those; -1 not known */
};
/* Matrix multiplications and other calls over the typical steps (gns_store_split) of the last `window` steps; the phases of a step,
 * which hold them, are in gns_store_split. */
int gns_store_kernels(struct gns_store *store, int64_t run_id, int64_t window, struct gns_kernel_row **rows, size_t *n,
		      struct gns_error *err); /* most time first */

/* How the newest steps that were looked at (up to GNS_DEVICE_STEPS of them) went on one device of one process, by the device's own
 * clock. Of the parts the first four make up the whole; the others are beside them. */
#define GNS_DEVICE_STEPS 1000
enum gns_device_part {
	GNS_PART_COMPUTE = 0,  /* "compute": kernels, gnscope's among them */
	GNS_PART_COMM_EXPOSED, /* "comm_exposed": communication and nothing else */
	GNS_PART_COPY_EXPOSED, /* "copy_exposed": memory copies and nothing else */
	GNS_PART_IDLE,         /* "idle" */
	GNS_PART_COMM,         /* "comm": in all, overlapped or not */
	GNS_PART_COPY,         /* "copy" */
	GNS_PART_OWN,          /* "gnscope": its kernels */
	GNS_PARTS
};
#define GNS_PARTS_OF_WALL 4
extern const char *const gns_device_part_names[GNS_PARTS];

struct gns_device_row {
	int64_t rank, device;
	int64_t looked_at, steps;      /* steps of the window that were looked at, of how many */
	int64_t taken;                 /* of them, behind the numbers below */
	struct gns_interval wall_ms;   /* median step; 95% limits as if steps were independent, NaN below 6 steps */
	struct gns_interval ms[GNS_PARTS];
	double total_ms;               /* their wall time */
	double share[GNS_PARTS];       /* of it, 0..1 */
	double kernels;                /* a step, mean */
	double queue_us;               /* mean time of a kernel from launch to start; NaN not known */
	int64_t dropped;               /* activity records lost in these steps */
};
int gns_store_devices(struct gns_store *store, int64_t run_id, int64_t window, struct gns_device_row **rows, size_t *n,
		      struct gns_error *err); /* by rank, then device */

/* Kernels on devices, over the steps of the window that were looked at; of a step of one process. share: of the wall time of its
 * devices; kernels that run beside one another add up to more than the whole. */
int gns_store_device_kernels(struct gns_store *store, int64_t run_id, int64_t window, struct gns_kernel_row **rows, size_t *n,
			     struct gns_error *err); /* most time first */

/* Libraries that collectors met in the run's processes; those of stream 0 speak for all. */
struct gns_library_row {
	int64_t rank;
	char name[24], version[24], path[96]; /* version "" not known */
	char note[16];
};
int gns_store_libraries(struct gns_store *store, int64_t run_id, struct gns_library_row **rows, size_t *n, struct gns_error *err);

/* All of these. */
struct gns_gpu {
	struct gns_device_row *devices;
	struct gns_kernel_row *kernels;
	struct gns_library_row *libraries;
	size_t n_devices, n_kernels, n_libraries;
	char why_not[256]; /* "no kernel times: ..." where the program uses a device and nothing is known of its kernels; "" otherwise */
	char owner[96];    /* who held CUPTI when gnscope wanted it; "" nobody else */
};
int gns_store_gpu(struct gns_store *store, int64_t run_id, int64_t window, struct gns_gpu *out, struct gns_error *err);
void gns_gpu_free(struct gns_gpu *gpu); /* and empties it */

struct gns_counter_row {
	int64_t rank;
	char collector[32], name[48], text[64];
	int64_t value;
};
int gns_store_counters(struct gns_store *store, int64_t run_id, struct gns_counter_row **rows, size_t *n, struct gns_error *err);

struct gns_event_row {
	int64_t step;
	uint64_t time_ns;
	char name[40], text[200];
};
int gns_store_events(struct gns_store *store, int64_t run_id, struct gns_event_row **rows, size_t *n, struct gns_error *err);

/* Runs one SQL statement read-only and hands each row to `row` (texts as SQLite gives them, NULL for NULL; header: call with
 * is_header true first). `row` returns 0 to go on. Writing statements are refused, and a statement ends with -EPROTO when it takes more
 * work than the size of the file explains: a file from elsewhere may hold views that never end. */
typedef int (*gns_row_fn)(void *arg, bool is_header, int n, const char *const *texts, const int *types /* SQLITE_* */);
int gns_store_sql(struct gns_store *store, const char *query, gns_row_fn row, void *arg, struct gns_error *err);
/* The same without that bound: for a statement that the user wrote, who can interrupt it. */
int gns_store_sql_unbounded(struct gns_store *store, const char *query, gns_row_fn row, void *arg, struct gns_error *err);

/* ---- parts of a run, for the dashboard ---- */

/* gns_store_summary as it was of the steps [step_lo, step_hi] alone: the estimates pool them, run.steps is step_hi, steps_measured
 * theirs; step time, loss and learning rate are those of the last of them. What does not belong to steps (coverage, warnings, status) is
 * the run's. step_hi < 1: to the end. */
int gns_store_summary_range(struct gns_store *store, int64_t run_id, int64_t step_lo, int64_t step_hi, struct gns_summary *out,
			    struct gns_error *err);

/* Where the time of a measured step goes: weighted means over the typical steps of the last `window` steps (0: of the run), of one rank. Typical
 * are the last GNS_SPLIT_STEPS measured steps without start-up and without those that took more than three times their median, so that
 * a pause does not pass for a part of a step, and the parts add up. A measured step is longer than step_ms of the summary, which is the
 * median of all steps. Absent where no step was measured: steps 0. Two ways to split a step, not to be added: by matrix multiplications
 * (what they leave is the rest), and by phases, which hold them but not gnscope's own time. Calls that run beside one another can add
 * up to more than step_ms. */
#define GNS_SPLIT_STEPS 100
#define GNS_SPLIT_FAMILIES 8
struct gns_split {
	double steps, step_ms, gnscope_ms;
	struct gns_split_family {
		char name[24];
		double ms;
	} family[GNS_SPLIT_FAMILIES]; /* of products; most time first */
	size_t n_families;
	struct gns_split_phase { /* parts of the step, where a collector tells them: "forward", "backward", "optimizer" */
		char name[24];
		double ms, products_ms; /* products_ms: products that are known to be in it, which are in family, too */
	} phase[GNS_SPLIT_FAMILIES]; /* as they follow in a step; then those of other names, most time first */
	size_t n_phases;
};
int gns_store_split(struct gns_store *store, int64_t run_id, int64_t window, struct gns_split *out, struct gns_error *err);
/* The typical steps from step_lo on, as the head of a query: "WITH ... typical(run_id, step, rank, weight,
 * dur_ns, overhead_ns)"; what follows it for
 * the calls: family, name, calls, total_ns, max_ns, flops, weighted sums over
 * these steps. */
#define GNS_TYPICAL_SQL_SIZE 1200
char *gns_typical_steps_sql(char *dst, size_t size, int64_t run_id, int64_t step_lo);
#define GNS_TYPICAL_KERNELS_SQL \
	"SELECT k.family, k.name, sum(t.weight * u.calls) AS calls, sum(t.weight * u.total_ns) AS total_ns, max(u.max_ns) AS max_ns,\n" \
	"  sum(t.weight * u.flops) AS flops\n" \
	"FROM typical t CROSS JOIN kernel_step u ON u.run_id = t.run_id AND u.step = t.step AND u.rank = t.rank\n" \
	"CROSS JOIN kernel k ON k.run_id = t.run_id AND k.kernel_id = u.kernel_id\n" \
	"WHERE k.family NOT LIKE 'gpu %' GROUP BY u.kernel_id ORDER BY 4 DESC, u.kernel_id"

/* The past of every weight: sums of s and g2 over up to max_points stretches of 256 steps, evenly spread over the run; NaN where
 * a weight was not measured. s[param_id * points + k], oldest first. points 0 while there are fewer than two stretches. */
struct gns_history {
	size_t params, points;
	double *s, *g2; /* one malloc: free(s) */
};
int gns_store_layer_history(struct gns_store *store, int64_t run_id, size_t max_points, struct gns_history *out,
			    struct gns_error *err);

/* The key of the session that records (or recorded) the run: struct gns_session.key. */
int gns_store_session_key(struct gns_store *store, int64_t run_id, uint64_t *key, struct gns_error *err);

/* What the training was set to, each row a change: "optimizer", "momentum", "lr.1", ... By name, then by step, so that the last
 * row of a name is the one in force. */
struct gns_setting_row {
	int64_t step;     /* from which on */
	double value;     /* NaN when it is a text */
	char name[40];
	char text[72];    /* "AdamW" */
};
int gns_store_settings(struct gns_store *store, int64_t run_id, struct gns_setting_row **rows, size_t *n, struct gns_error *err);

/* The runs of the other optimizers of the same program, by stream: of a run of any stream, those of all the others. */
int gns_store_streams(struct gns_store *store, int64_t run_id, struct gns_run_info **runs, size_t *n, struct gns_error *err);

/* Changes whenever a writer committed (PRAGMA data_version): a cheap "is there anything new". */
int64_t gns_store_data_version(struct gns_store *store);

#endif
