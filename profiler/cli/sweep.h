/* `gnscope sweep` in its parts: what is to be run (sweep_plan.c), one training run (sweep_child.c), all of them in turn
 * (sweep_all.c), what is printed (sweep_words.c). cmd_sweep.c reads the options. One thread. */
#ifndef GNS_PROFILER_CLI_SWEEP_H
#define GNS_PROFILER_CLI_SWEEP_H

#include <regex.h>
#include <stdbool.h>
#include <sys/types.h>

#include "gnscope/crossing.h"
#include "gnscope/sweep.h"

#define GNS_SWEEP_LIST 64 /* batches, learning rates or seeds at most */

/* How a learning rate becomes that of a batch; lr is as given at `batch`. */
enum gns_lr_rule { GNS_LR_NONE, GNS_LR_LINEAR, GNS_LR_SQRT, GNS_LR_NOISE };

/* ---- what is to be run ---- */

struct gns_sweep_settings {
	struct gns_sweep sweep;
	char store[4096];
	int64_t batch[GNS_SWEEP_LIST], seed[GNS_SWEEP_LIST];
	double lr[GNS_SWEEP_LIST];
	size_t n_batch, n_lr, n_seed; /* n_lr, n_seed 0: the command has no {lr}, {seed} */
	enum gns_lr_rule rule;
	double noise;                 /* of the rule GNS_LR_NOISE: lr / (1 + noise/B) */
	int64_t tune;                 /* the first so many seeds try every learning rate */
	int64_t max_steps, max_samples; /* 0 none */
	double max_seconds;           /* 0 none */
	double give_up;               /* 0 never */
	int64_t jobs;
	const char *every, *budget, *lib;
	char *const *argv;            /* the command with its placeholders */
};

/* "16,32,64", "1-3", whole numbers from `min`, rising or not, none twice; or numbers above 0. -EINVAL with a sentence. */
int gns_sweep_integers(const char *text, const char *option, int64_t min, int64_t *out, size_t *n, struct gns_error *err);
int gns_sweep_numbers(const char *text, const char *option, double *out, size_t *n, struct gns_error *err);
/* "linear", "sqrt", "none", "noise:200". */
int gns_sweep_rule(const char *text, struct gns_sweep_settings *settings, struct gns_error *err);
/* Do the placeholders of the command fit the lists? */
int gns_sweep_check(const struct gns_sweep_settings *settings, struct gns_error *err);
/* The learning rate at a batch by the rule. */
double gns_sweep_lr(const struct gns_sweep_settings *settings, double lr, int64_t batch);
/* Most steps at a batch; infinite without a limit. */
double gns_sweep_cap(const struct gns_sweep_settings *settings, int64_t batch);
/* The command of a point: an argument vector, freed by gns_sweep_free_words. */
char **gns_sweep_words(char *const *argv, const struct gns_sweep_point *point);
void gns_sweep_free_words(char **words);
/* The words as a JSON array, and a name made of them and the target. */
int gns_sweep_command_text(char *dst, size_t size, char *const *argv, struct gns_error *err);
void gns_sweep_default_name(char *dst, size_t size, char *const *argv, double target);
/* "b16 lr0.1 s0", what is not given left out. */
char *gns_sweep_label(char *dst, size_t size, const struct gns_sweep_point *point);

/* ---- one training run ---- */

struct gns_sweep_child {
	bool used;
	size_t index;             /* of the plan */
	struct gns_sweep_point point;
	pid_t pid;                /* of its `gnscope run`, the leader of its process group */
	char run_name[160], log[4300];
	uint64_t started_ns, stop_ns; /* monotonic; stop_ns: asked to end, 0 not */
	enum gns_sweep_status verdict; /* why it was asked to end; GNS_SWEEP_RUNNING: it was not */
	/* Its losses so far. */
	double *steps, *losses;
	size_t n, max;
	int64_t newest_step;
	struct gns_crossing crossing;
	/* Of its output, where steps are read from there. */
	int tail;
	char line[4096];
	size_t line_len;
	off_t offset;
	uint64_t restarts;        /* step numbers that did not rise */
	uint64_t loss_ns;         /* monotonic, of the newest loss */
	bool not_finite;          /* a loss was no number */
};

struct gns_sweep_reader { /* how losses are read from the output; shared by the children */
	bool from_output;
	regex_t loss, step;
};

int gns_sweep_child_start(struct gns_sweep_child *child, const struct gns_sweep_settings *settings, struct gns_error *err);
/* Takes what losses there are, and says whether it is to end now: the target is reached, or cannot be any more. `quickest`: the fewest
 * steps of a learning rate at this batch so far, NaN none. */
void gns_sweep_child_look(struct gns_sweep_child *child, const struct gns_sweep_settings *settings, const struct gns_sweep_reader *reader,
			  struct gns_store *store, double quickest);
/* Asks it to end, and again by force when it does not. */
void gns_sweep_child_stop(struct gns_sweep_child *child, enum gns_sweep_status why);
void gns_sweep_child_insist(struct gns_sweep_child *child);
/* After its end: the point as it is to be stored. */
void gns_sweep_child_finish(struct gns_sweep_child *child, const struct gns_sweep_settings *settings,
			    const struct gns_sweep_reader *reader, struct gns_store *store, int status);
void gns_sweep_child_free(struct gns_sweep_child *child);

/* ---- all of them ---- */

/* Runs what is not there yet. Returns an exit status. */
int gns_sweep_all(struct gns_sweep_settings *settings, const struct gns_sweep_reader *reader, bool quiet);

/* The quickest learning rate at a batch: of the least mean of steps over the seeds that all of its rates were tried with, all of which
 * reached the target; *any false: there is none. */
double gns_sweep_best_lr(const struct gns_sweep_point *points, size_t n, int64_t batch, bool *any);

/* ---- what is printed ---- */

struct gns_sweep_progress {
	bool terminal, quiet;
	size_t done, all;
	double seconds_left; /* NaN unknown */
};
/* One line for a point that has come to its end. */
void gns_sweep_say_point(const struct gns_sweep_progress *progress, const struct gns_sweep_point *point);
/* The bar; on a terminal only. `line` "" takes it away. */
void gns_sweep_say_bar(const struct gns_sweep_progress *progress, const struct gns_sweep_child *children, size_t n, double target);
void gns_sweep_clear_bar(const struct gns_sweep_progress *progress);
/* The sweep's table, or as JSON, on standard output. */
int gns_sweep_print(struct gns_store *store, const struct gns_sweep *sweep, bool json);

#endif
