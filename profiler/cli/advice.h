/* What `advise` says of a run: numbers first, words and JSON in advice_words.c. */
#ifndef GNS_PROFILER_CLI_ADVICE_H
#define GNS_PROFILER_CLI_ADVICE_H

#include "gnscope/scaling.h"
#include "gnscope/steptime.h"
#include "profiler/cli/points.h"

struct gns_advice_ask {
	double batch;    /* wanted, NaN none */
	double devices;  /* NaN: as the run had */
	double price;    /* of a device-hour, NaN none */
	double target;   /* loss, NaN: the one that the run has reached */
	double steps;    /* at the run's batch, NaN: as the target or the run says */
	double exchange; /* samples that a step is worth, NaN none */
	double most;     /* the largest batch that the hardware takes, NaN not told */
	const char *sweep; /* take B_crit from the fit of this sweep; NULL: of the run */
};

/* A batch size, all devices together. Intervals are NaN where nothing is known; value NaN with limits: only these. */
struct gns_advice_row {
	double batch, per_device;
	bool now, wanted, far; /* far: more than four times away from what was measured */
	bool step_measured;
	struct gns_interval steps, samples, efficiency, step_ms, hours, cost;
};
#define GNS_ADVICE_ROWS 8

#define GNS_ADVICE_PARTS 256
#define GNS_ADVICE_RUNS 64

struct gns_advice {
	struct gns_summary summary;
	struct gns_advice_ask ask;
	double world, devices;          /* of the run; asked about */
	struct gns_ratio b_noise_now;   /* with a half-life of now_half_life measured steps; NaN and not resolved: not known */
	double now_half_life;
	struct gns_interval b_crit;     /* value NaN when unresolved: lo is then a lower limit or NaN */
	char b_crit_source[160];
	bool resolved;
	double steps_now;               /* to the target at the run's batch, NaN */
	char target[160];               /* what the target is */
	struct gns_step_model model;    /* a device's batch */
	struct gns_advice_row row[GNS_ADVICE_ROWS];
	size_t n_rows;
	struct gns_interval best_time, best_exchange;
	struct gns_interval other_time; /* time with gns_verdict_other_batch, times the run's */
	double rules_for;               /* batch that the rules are for; NaN: none can be named */
	const char *rules_why;          /* "asked for", "least time" */
	struct gns_scaling rule[GNS_SCALING_MAX];
	size_t n_rules;
	struct gns_schedule schedule;   /* x NaN: none */
	size_t schedule_points;
	struct gns_notes notes;
};

int gns_advise(struct gns_store *store, int64_t run_id, const struct gns_advice_ask *ask, struct gns_advice *out, struct gns_error *err);
void gns_advice_print(const struct gns_advice *advice);
json_t *gns_advice_json(const struct gns_advice *advice);

/* The norm test of the run's batch by the noise of now. */
struct gns_norm_test {
	double theta;
	struct gns_interval needed; /* the batch that passes; not above the run's: it passes */
	int passed;                 /* 1, 0; -1: its limits hold the run's batch */
	double batch;               /* to train on with: never below the run's, at most ask.most; NaN undecided */
};
#define GNS_NORM_TESTS 2
void gns_advice_norm_tests(const struct gns_advice *advice, struct gns_norm_test out[GNS_NORM_TESTS]);

/* From the kernels of a run: the model of its step. */
int gns_advice_step(struct gns_store *store, const struct gns_summary *summary, double world, struct gns_step_model *out,
		    struct gns_error *err);
/* The dimension of a product of this family and name ("sgemm NT 512x784x128") that the batch is in, NaN none; `rows` is that of
 * the weight gradients. */
double gns_advice_rows(const char *family, const char *name, double rows);

#endif
