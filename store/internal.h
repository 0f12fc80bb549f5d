/* Shared by the files of the store; nothing here is for others. The contract is include/gnscope/store.h. */
#ifndef GNS_STORE_INTERNAL_H
#define GNS_STORE_INTERNAL_H

#include <limits.h>
#include <math.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "gnscope/store.h"

#define GNS_APPLICATION_ID 0x676e7363 /* "gnsc" */
#define GNS_HALF_LIFE_SHORT 50.0
#define GNS_HALF_LIFE_LONG 500.0
#define GNS_KEEP_DEFAULT 20000 /* newest measured steps whose raw grad, kernel_step and estimate rows are kept; newest steps whose
				    * step rows all are */

extern const char gns_schema_sql[], gns_schema_from_1[], gns_schema_from_2[], gns_schema_from_3[];

/* Sizes of roll-up blocks, in steps; block b of size n holds the steps (b n, (b + 1) n]. */
enum { GNS_SIZE_FINE = 32, GNS_SIZE_MIDDLE = 1024, GNS_SIZE_COARSE = 32768, GNS_SIZE_LAYER = 256 };
static inline int64_t gns_block_of(int64_t step, int64_t size)
{
	return (step - 1) / size;
}

/* ---- statement.c: prepared once, kept with the store ---- */

enum gns_sql {
#define GNS_SQL(id, text) GNS_SQL_##id,
#include "store/statements.inc"
#undef GNS_SQL
	GNS_SQL_COUNT
};

struct gns_writer;

struct gns_store {
	sqlite3 *db;
	bool writable;
	bool alone; /* while it is opened: without shared memory */
	bool in_snapshot;
	char path[PATH_MAX];
	int busy_ms;
	dev_t device; /* of the file that was opened for writing */
	ino_t inode;
	sqlite3_stmt *stmt[GNS_SQL_COUNT];
	struct gns_writer *writer; /* NULL for a reader */
	int64_t worked, budget; /* instructions of the query under way, and its bound as last computed */
	bool unbounded;         /* the query is the user's own */
};

/* The statement, reset and without bindings; NULL when it cannot be prepared (sqlite3_errcode tells). */
sqlite3_stmt *gns_sql(struct gns_store *store, enum gns_sql id);
/* Bindings by a format: i int64_t, d double (NaN and inf: NULL), t const char * (NULL: NULL), n nothing (NULL).
 * Texts must live until the statement has run. */
sqlite3_stmt *gns_sql_bind(struct gns_store *store, enum gns_sql id, const char *format, ...);
/* Binds and runs a statement that returns no rows. 0 or an SQLite code. */
int gns_sql_run(struct gns_store *store, enum gns_sql id, const char *format, ...);
/* The single integer of a query, `absent` when there is no row or it is NULL. */
int64_t gns_sql_int(struct gns_store *store, enum gns_sql id, int64_t absent, const char *format, ...);

double gns_column_double(sqlite3_stmt *stmt, int column);                      /* NULL: NaN */
int64_t gns_column_int(sqlite3_stmt *stmt, int column, int64_t absent);
void gns_column_text(sqlite3_stmt *stmt, int column, char *dst, size_t size); /* NULL: ""; cut to the buffer */

/* A sentence for what SQLite said, "cannot WHAT PATH: why; what to do", and a negative errno (-ENOSPC, -EIO, -EAGAIN for
 * a busy database, -EROFS, -EPROTO for a damaged one, ...). */
int gns_store_fail(struct gns_store *store, struct gns_error *err, const char *what);

/* One consistent view of the database for several queries; nests. */
int gns_snapshot_begin(struct gns_store *store, struct gns_error *err, const char *what, bool *mine);
void gns_snapshot_end(struct gns_store *store, bool mine);

/* ---- budget.c: no query of ours takes more work than the file's size explains; it ends as SQLITE_INTERRUPT ---- */

void gns_budget_set(struct gns_store *store);   /* of a connection that was just opened */
void gns_budget_begin(struct gns_store *store); /* before each query; gns_sql does */

/* ---- check.c: what a file is, before SQLite may touch it ---- */

enum gns_file_kind { GNS_FILE_MISSING, GNS_FILE_EMPTY, GNS_FILE_OURS };
int gns_check_file(const char *path, bool for_writing, enum gns_file_kind *kind, struct gns_error *err);
int gns_make_folder(const char *path, struct gns_error *err); /* of a file to be made, and those above it */
int gns_check_folder(const char *path, struct gns_error *err); /* of a file to be made: may it be written? */
/* Deeper, through SQLite: the version behind the WAL, that our names are tables and no views, a full check of small files. */
int gns_check_database(struct gns_store *store, struct gns_error *err);

/* ---- open.c ---- */

/* Ended by from = -1. `after`: what SQL alone cannot do, in the same transaction; 0 or an SQLite code. */
struct gns_migration { int from, to; const char *sql; int (*after)(struct gns_store *store); };
int gns_store_migrate(struct gns_store *store, const struct gns_migration *steps, int to, struct gns_error *err);
/* Instead of GNS_KEEP_DEFAULT; for tests and tools. */
void gns_store_set_keep(struct gns_store *store, int64_t measured_steps);

/* ---- block_stack.c: a bounded stack of blocks in order of steps ---- */

struct gns_pile {
	struct gns_block *blocks;
	size_t n, max;
	double target; /* a block is full at so many measured steps; doubles when the pile is full */
};
int gns_pile_init(struct gns_pile *pile, size_t max);
void gns_pile_free(struct gns_pile *pile);
void gns_pile_add(struct gns_pile *pile, const struct gns_block *block);
int gns_pile_noise(const struct gns_pile *pile, struct gns_ratio *out, struct gns_meanvar *mv);

/* ---- totals.c: one step of a run, all ranks together ---- */

struct gns_rank_step { /* a row of table step */
	int64_t step, rank;
	int64_t start_ns, dur_ns, overhead_ns, samples, micro_steps, rows;
	int64_t n_small, n_big; /* these and samples and rows: -1 for NULL */
	int64_t world;          /* processes of the training, 1 where that is not known */
	bool measured, refused;
	bool startup;           /* its times are those of getting in */
	double weight;          /* steps that it represents, NaN: not in the totals */
	bool sharded;           /* q_big is of this rank's part of the gradient, times the number of ranks */
	double q_small, q_big, s, g2, loss; /* NaN: NULL */
};
#define GNS_STEP_COLUMNS "s.step,s.rank,s.start_ns,s.dur_ns,s.overhead_ns,s.samples,s.micro_steps,s.n_small,s.n_big," \
	"s.measured,s.refused,s.q_small,s.q_big,s.s,s.g2,s.loss,s.rows,s.source,r.world,s.weight,s.startup"
void gns_step_read(sqlite3_stmt *stmt, struct gns_rank_step *out);

struct gns_total { /* sums over steps: a row of table rollup, or one step */
	struct gns_block block;
	double n_min, n_max; /* samples of a step */
	int64_t steps, startup, measured, refused, dur_ns, overhead_ns, start_ns; /* durations without start-up steps */
	double timed, timed_ns; /* weighted: rows that measured, without start-up, and their time */
	double loss_sum, loss_count;
};
void gns_total_clear(struct gns_total *total);
void gns_total_merge(struct gns_total *into, const struct gns_total *from);
/* One step alone, its measurement without a weight. */
struct gns_one_step {
	struct gns_total total;       /* block empty, timed 0 */
	bool measured;                /* it has these: */
	struct gns_measured values;
	double timed, timed_ns;       /* rows that measured, without start-up, and their time */
};
/* The rows of one step, lowest rank first. Returns false when ranks disagree on batch sizes (those that differ from
 * the first are left out). Where the parts of a sharded gradient are not all there, nothing is measured. */
bool gns_one_step(const struct gns_rank_step *rows, size_t n, struct gns_one_step *out);
/* What the rows say that the step represents: a rank that did not measure it says nothing. NaN: none does. */
double gns_step_weight(const struct gns_rank_step *rows, size_t n);
/* Its total, measured with that weight. */
void gns_one_step_weigh(struct gns_one_step *step, double weight);
/* Both, with the weight that the rows have. */
bool gns_total_of_step(const struct gns_rank_step *rows, size_t n, struct gns_total *out);

#define GNS_ROLLUP_COLUMNS "block,loss_count,loss_sum,first_step,last_step,count,weight,weight2,s,g2,ss,sg,gg,q_big,n_big,n_min,n_max," \
	"steps,startup,measured,refused,dur_ns,overhead_ns,timed,timed_ns,start_ns"
void gns_rollup_read(sqlite3_stmt *stmt, struct gns_total *out);

/* ---- curve.c ---- */

/* Hands out the totals of [lo, hi] in order, in aligned blocks of at most `size` steps (1: single steps) and finer ones at
 * the edges. hi is cut to the last step whose totals are final. */
typedef int (*gns_total_fn)(void *arg, int64_t step_lo, int64_t step_hi, const struct gns_total *total);
int gns_cover(struct gns_store *store, int64_t run_id, int64_t lo, int64_t hi, int64_t size, gns_total_fn fn, void *arg);
int64_t gns_cover_size(int64_t steps); /* the size that keeps a walk over so many steps short */

/* ---- summary.c, warnings.c ---- */

struct gns_window { int64_t lo, hi; }; /* steps, hi = the last that is final */
void gns_window(struct gns_store *store, int64_t run_id, int64_t window, struct gns_window *out);
/* Where raw rows were thinned away a window begins at a whole block. */
struct gns_window gns_window_of_rows(struct gns_store *store, int64_t run_id, int64_t window);
/* Parts of a window: raw rows (size 1, steps [a, b]) to the first whole block, blocks [a, b) of GNS_SIZE_LAYER, of GNS_SIZE_COARSE, of
 * GNS_SIZE_LAYER, raw rows. */
typedef int (*gns_rows_fn)(struct gns_store *store, int64_t run_id, int64_t a, int64_t b, int64_t size, void *arg);
int gns_over_window(struct gns_store *store, int64_t run_id, struct gns_window window, gns_rows_fn fn, void *arg);
/* ---- usual.c ---- */

/* Of the window's totals: measured, mean_step_ms, starting; and its usual batch, where a step that only some ranks measured counts as
 * theirs times all ranks. */
void gns_describe_window(struct gns_store *store, struct gns_window window, const struct gns_total *total, struct gns_summary *out);
int gns_trend_of_window(struct gns_store *store, int64_t run_id, struct gns_window window, const struct gns_ratio *whole,
			struct gns_trend *out);

void gns_warnings(struct gns_store *store, struct gns_summary *sum, const struct gns_total *total);

/* ---- edges.c: what the first and the last measured step of a window represent beside what they do in the run ---- */

struct gns_edge { /* more 0: nothing to do */
	struct gns_measured step;
	double weight, more;
};
/* Of the window [lo, hi]: its first and its last measured step. 0 or -EIO. */
int gns_edges(struct gns_store *store, int64_t run_id, struct gns_window window, struct gns_edge edge[2]);

/* A window pooled: what every number of it comes from. */
struct gns_pooled_window { struct gns_total total; struct gns_pile pile; };
int gns_pool_window(struct gns_store *store, int64_t run_id, struct gns_window window, struct gns_pooled_window *out); /* 0, -ENOMEM, -EIO */
void gns_pooled_free(struct gns_pooled_window *pooled);
void gns_pooled_noise(const struct gns_pooled_window *pooled, struct gns_ratio *b_noise, struct gns_ratio *b_crit, struct gns_meanvar *mv);

/* ---- writing: writer.c, rank.c; write.c, record.c, names.c, stream.c, rollup.c ---- */

#define GNS_STEPS_BEFORE_EXEC "steps_before_exec" /* the counter of gns_rank.before */
#define GNS_EVENTS_STORED 10000 /* of a run; more are counted, not stored */
#define GNS_WHOLE_MAX ((uint64_t)1 << 53) /* beyond it doubles skip integers; no true count is so large */

struct gns_grad_row {
	uint32_t param; /* run-wide id */
	uint32_t source;
	int64_t n_small, n_big, groups;
	int64_t world; /* processes of the training */
	double q_small, q_big, s, g2; /* s, g2 NaN when a q is not finite */
};

struct gns_source_sum { /* one source of the step in the making, one rank */
	double q_small, q_big, s, g2;
	int64_t n_small, n_big;
	uint32_t params;
	bool mixed, bad;
};

struct gns_kernel_use { uint32_t kernel; int64_t calls, total_ns, max_ns; double flops; };
void gns_kernel_read(sqlite3_stmt *stmt, struct gns_kernel_use *out); /* a row of GNS_SQL_STEP_KERNELS */

struct gns_ids { uint32_t *of; uint32_t n; }; /* local id -> run-wide id, 0 unknown */

struct gns_rank {
	int64_t rank_id, number;
	uint32_t run; /* index in gns_writer.runs */
	uint32_t pid;
	bool pooled, ended, known; /* known: a PROC record was seen */
	bool empty;   /* surely without a row yet */
	uint32_t claims; /* of numbers, by PROC records */
	bool counted; /* among the ranks of its stream's run */
	uint32_t unit; /* enum gns_unit */
	int64_t world;
	int64_t stream[GNS_STREAMS_MAX]; /* rank_id of this process in the runs of its other streams, 0 none; of stream 0 only */
	struct gns_ids params, kernels, device_kernels; /* the last two: a kernel is in one of them */
	int64_t steps, measured, refused, last_step, last_measured, startup_ns;
	int64_t before; /* steps of the process before its last execve, which begins to count anew */
	int64_t malformed, nonfinite, events, libraries;
	const char *malformed_text;
	bool dirty, incomplete; /* incomplete: a gradient of the step in the making was malformed */
	struct gns_source_sum tally[GNS_SOURCES];
	struct gns_grad_row *grads; /* of the step in the making */
	struct gns_kernel_use *uses;
	uint32_t n_grads, max_grads, n_uses, max_uses;
};

struct gns_layer_sum { struct gns_block block; double q_small; }; /* n_big, q_big as in grad */
struct gns_layer_open { struct gns_layer_sum source[GNS_SOURCES]; };
struct gns_kernel_open { int64_t count, max_ns; double calls, total_ns, flops; }; /* the last three weighted */

#define GNS_LOSS_BLOCKS 3
struct gns_loss_sum { int64_t block; double count, sum; };

struct gns_run {
	int64_t run_id;
	bool loaded; /* false: only losses and events are written through this store */
	int64_t rolled, rolled_stored;
	int64_t steps_thinned; /* rows of steps up to here were thinned by this writer; 0: not yet */
	double lr, lr_stored; /* of the newest step, NaN unknown */
	int64_t settings;
	uint32_t pooled; /* ranks */
	int64_t world;   /* ranks that the job has, as far as they have said so */
	uint64_t wait_ns; /* until then totals wait for ranks that have not come; monotonic */
	int64_t disagreements;
	struct gns_one_step newest; /* measured; its weight so far */
	double newest_weight;       /* 0: none yet */
	double newest_before;       /* the measured step before it; mirrored at the start of the run where there is none */
	int64_t noise_step;         /* of the run's numbers as stored */
	uint64_t noise_ns;          /* when they were stored, monotonic */
	struct gns_ema ema[2];
	struct gns_pile crit; /* the whole run, for B_crit */
	struct gns_total open;          /* the block of GNS_SIZE_FINE that holds `rolled` */
	struct gns_layer_open *layers;  /* by run-wide id; the block of GNS_SIZE_LAYER that holds `rolled` */
	struct gns_kernel_open *kernels;
	uint32_t n_layers, n_kernels;
	struct gns_loss_sum loss[GNS_LOSS_BLOCKS];
};

struct gns_writer {
	struct gns_rank *ranks;
	struct gns_run *runs;
	uint32_t n_ranks, n_runs;
	int64_t keep;
	bool stale; /* a transaction was undone: memory is read again before it is used */
	bool open;  /* in a transaction */
};

void gns_writer_free(struct gns_writer *writer);
struct gns_rank *gns_writer_rank(struct gns_store *store, int64_t rank_id);
struct gns_run *gns_writer_run(struct gns_store *store, int64_t run_id); /* not loaded yet; NULL: no memory */
int gns_writer_refresh(struct gns_store *store);

/* A field of a record as a string; fields need no terminator. */
const char *gns_field_text(char *out, size_t size, const char *field, size_t field_size);
#define GNS_FIELD(out, field) gns_field_text(out, sizeof(out), field, sizeof(field))
/* A record that cannot be true is counted and skipped: SQLITE_OK. */
int gns_malformed(struct gns_rank *rank, const char *why);

/* stream.c: pointers to ranks and runs end with any call here. Functions return 0 or an SQLite code. */
struct gns_rank *gns_stream_rank(struct gns_store *store, struct gns_rank *rank, uint32_t stream); /* made when missing; NULL: failed */
int gns_stream_follow(struct gns_store *store, int64_t rank_id); /* what is known of the process, to its other streams */

/* names.c. Functions return 0 or an SQLite code. */
extern const char *const gns_left_out_names[GNS_LEFT_OUTS];
int gns_names_param(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_param *param);
int gns_names_kernel(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_kernel *kernel);
/* Kernels are named once in a process; another stream takes the name when it first uses one. */
int gns_names_adopt_kernel(struct gns_store *store, struct gns_rank *rank, const struct gns_rank *from, uint32_t local);

/* record_device.c: what is told of devices and libraries. Functions return 0 or an SQLite code. */
int gns_device_step_store(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_device_step *step);
int gns_device_kernel_store(struct gns_store *store, struct gns_rank *rank, int64_t kernel_id, const struct gns_rec_kernel_step *use);
int gns_library_store(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_library *library);

#define GNS_MAX_LOCAL_ID 65536u
int gns_ids_set(struct gns_ids *ids, uint32_t local, uint32_t id);
uint32_t gns_ids_get(const struct gns_ids *ids, uint32_t local);
int gns_layers_room(struct gns_run *run, uint32_t param_id);
int gns_kernels_room(struct gns_run *run, uint32_t kernel_id);

extern const char *const gns_source_names[GNS_SOURCES], *const gns_unit_names[GNS_UNITS];
uint32_t gns_source_of(const char *name);
/* Best first: where a step or a weight has several, the first of these speaks. */
extern const uint32_t gns_source_order[GNS_SOURCES - 1];
uint32_t gns_source_place(uint32_t source); /* in that order, from 0 */

/* One row of the step in the making, kept until its STEP record. 0 or -ENOMEM. `param`, `kernel`: run-wide ids. */
int gns_rank_grad(struct gns_rank *rank, uint32_t param, uint32_t source, int64_t n_small, int64_t n_big, int64_t groups,
		  double q_small, double q_big);
int gns_rank_use(struct gns_rank *rank, const struct gns_kernel_use *use);
int gns_rank_save_counts(struct gns_store *store, struct gns_rank *rank);
int gns_rank_count(struct gns_store *store, struct gns_run *run); /* how many ranks are pooled */

/* ranks.c: rows of one step, pooled over ranks where their source says so; reorders them. How many are left. */
bool gns_source_pools(uint32_t source);
size_t gns_grads_pool(struct gns_grad_row *rows, size_t n);
/* A row of GNS_SQL_STEP_GRADS; source 0: damaged. */
void gns_grad_read(sqlite3_stmt *stmt, struct gns_grad_row *out);
/* Steps [lo, hi], each handed out with its rows pooled. 0, what `fn` returned, or -EIO. */
typedef int (*gns_grads_fn)(void *arg, int64_t step, double weight, const struct gns_grad_row *rows, size_t n);
int gns_step_grads(struct gns_store *store, int64_t run_id, int64_t lo, int64_t hi, gns_grads_fn fn, void *arg);

/* rollup.c: makes a step final. Functions return 0 or an SQLite code. */
int gns_run_finish_step(struct gns_store *store, struct gns_run *run, const struct gns_rank_step *rows, size_t n,
			struct gns_grad_row *grads, size_t n_grads, const struct gns_kernel_use *uses, size_t n_uses);
/* weigh.c: the measured step before `next` gets the weight that it has with that one (0: no other has come, up to run.rolled). */
int gns_run_weigh_newest(struct gns_store *store, struct gns_run *run, int64_t next);
/* Into the sums of the open blocks. uses of a start-up step: n_uses 0. */
int gns_run_add_rows(struct gns_run *run, int64_t step, double weight, struct gns_grad_row *grads, size_t n_grads,
		     const struct gns_kernel_use *uses, size_t n_uses);
int gns_run_save_noise(struct gns_store *store, struct gns_run *run);
/* reweigh.c: all of a store of version 3. */
int gns_store_reweigh(struct gns_store *store);
/* Several ranks: what all have reached. Ranks that have not come yet are waited for at first, unless `all`. */
int gns_run_finish_pending(struct gns_store *store, struct gns_run *run, bool all);
void gns_run_note_world(struct gns_run *run, int64_t world);
uint64_t gns_store_now(void); /* monotonic, ns */
int gns_run_load(struct gns_store *store, struct gns_run *run);           /* memory as of run.rolled_step */
int gns_run_flush(struct gns_store *store, struct gns_run *run);          /* before a commit */
void gns_run_free(struct gns_run *run);
int gns_loss_store(struct gns_store *store, struct gns_run *run, int64_t rank, int64_t step, double loss);

#endif
