/* Sweeps in the run database (tables sweep and sweep_run): one program trained at several batch sizes until its smoothed loss
 * reached one target. Written by `gnscope sweep`, read by `fit`. Conventions of store.h: 0 or a negative errno and a sentence,
 * absent numbers NaN, absent integers negative, one malloc an array, freed by the caller with free(). */
#ifndef GNSCOPE_SWEEP_H
#define GNSCOPE_SWEEP_H

#include "gnscope/store.h"

enum gns_sweep_status {
	GNS_SWEEP_WAITING,  /* not started yet */
	GNS_SWEEP_RUNNING,
	GNS_SWEEP_REACHED,  /* the target, after `steps` */
	/* Censored: more than `steps` would have been needed. */
	GNS_SWEEP_CAPPED,   /* stopped at a limit of steps, samples or time */
	GNS_SWEEP_SLOWER,   /* stopped because another learning rate at the same batch is quicker by far */
	GNS_SWEEP_ENDED,    /* the program came to its own end */
	GNS_SWEEP_DIVERGED, /* the loss grew or became no number: never, at this learning rate */
	/* No observation. */
	GNS_SWEEP_FAILED,   /* the program failed, or no loss was read; `note` says what */
	GNS_SWEEP_STOPPED,  /* by the user; started anew when the sweep goes on */
};
/* "reached" and so on, as in the database; gns_sweep_status_of gives -1 for an unknown word. */
const char *gns_sweep_status_name(enum gns_sweep_status status);
int gns_sweep_status_of(const char *name);

struct gns_sweep {
	int64_t sweep_id;
	char name[128], command[4096] /* JSON array of words */, cwd[1024];
	double target_loss, window;
	char loss_regex[256], step_regex[256]; /* "" none */
	char lr_rule[32];
	double lr_batch;
	uint64_t start_ns, end_ns; /* end 0: not complete */
};

struct gns_sweep_point {
	int64_t sweep_run_id;
	int64_t batch;  /* samples a step */
	double lr;      /* NaN: the program's own */
	int64_t seed;   /* -1: the program's own */
	int64_t run_id; /* -1: none */
	enum gns_sweep_status status;
	bool reached;   /* status is GNS_SWEEP_REACHED */
	bool censored;  /* one of the four kinds of "not within `steps`" */
	double steps, steps_se, samples; /* to the target, between steps; censored: trained in vain */
	double loss;    /* smoothed, at the end */
	int64_t losses; /* losses read */
	double cap_steps;
	uint64_t start_ns, end_ns;
	char note[200];
};

/* ref: a name, an id, or NULL for the newest. -ENOENT with a sentence that lists what is there. */
int gns_store_find_sweep(struct gns_store *store, const char *ref, struct gns_sweep *out, struct gns_error *err);
/* Its points by batch, learning rate and seed. */
int gns_store_sweep_points(struct gns_store *store, int64_t sweep_id, struct gns_sweep_point **points, size_t *n,
			   struct gns_error *err);

/* ---- writing ---- */

/* Makes the sweep, or finds the one of this name, and sets sweep_id. -EEXIST: the one that is there has another command, target,
 * window or way to read the loss. */
int gns_store_sweep_begin(struct gns_store *store, struct gns_sweep *sweep, struct gns_error *err);
/* Adds the point as waiting unless batch, lr and seed are there; sets *point to what is stored. */
int gns_store_sweep_add(struct gns_store *store, int64_t sweep_id, struct gns_sweep_point *point, struct gns_error *err);
/* Stores everything but batch, lr and seed. */
int gns_store_sweep_set(struct gns_store *store, const struct gns_sweep_point *point, struct gns_error *err);
/* end_ns 0: not complete. */
int gns_store_sweep_end(struct gns_store *store, int64_t sweep_id, uint64_t end_ns, struct gns_error *err);

/* ---- losses of a run, in order of steps ---- */

/* The losses of the steps after `after_step`, ranks averaged; at most `max`. */
struct gns_loss_point { int64_t step; double loss; };
int gns_store_losses(struct gns_store *store, int64_t run_id, int64_t after_step, struct gns_loss_point *points, size_t max,
		     size_t *n, struct gns_error *err);

#endif
