/* The observations behind `fit` and `advise`: runs of a sweep, or saved runs read at a target loss. */
#ifndef GNS_PROFILER_CLI_POINTS_H
#define GNS_PROFILER_CLI_POINTS_H

#include <jansson.h>

#include "gnscope/fit.h"
#include "gnscope/store.h"

/* Something the user should know of, by name. */
struct gns_note { char name[40], text[300]; };
#define GNS_NOTES_MAX 24
struct gns_notes { struct gns_note note[GNS_NOTES_MAX]; size_t n; };
__attribute__((format(printf, 3, 4))) void gns_note_add(struct gns_notes *notes, const char *name, const char *fmt, ...);
json_t *gns_notes_json(const struct gns_notes *notes); /* [{name, text}] */
void gns_notes_print(const struct gns_notes *notes);

/* A run's own numbers, for the power laws. */
struct gns_fact {
	int64_t run_id;
	double loss;    /* smoothed, at its end; NaN */
	double samples; /* trained on */
	struct gns_ratio b_noise, b_crit;
};

struct gns_points {
	struct gns_fit_point *point;
	size_t n;
	struct gns_fact *fact; /* one a run that was stored */
	size_t n_facts;
	char what[200];        /* "sweep fm", "5 runs" */
	char unit[16];         /* "samples" or "rows" */
	double target;         /* loss */
	struct gns_notes notes;
};

/* ref NULL: the newest sweep. */
int gns_points_of_sweep(struct gns_store *store, const char *ref, struct gns_points *out, struct gns_error *err);
/* Runs of one program, each an id or a name; target NaN: the lowest loss that all have reached. -EXDEV: runs of different
 * programs. `facts_only`: no target, no points. */
int gns_points_of_runs(struct gns_store *store, char *const *refs, size_t n, double target, bool facts_only, struct gns_points *out,
		       struct gns_error *err);
void gns_points_free(struct gns_points *points);

/* All losses of a run, one malloc each, freed by the caller. */
int gns_points_losses(struct gns_store *store, int64_t run_id, double **steps, double **losses, size_t *n, struct gns_error *err);
/* Whether two commands are one program with other numbers: equal but for words that hold a digit, and words after them. */
bool gns_points_same_command(const char *a, const char *b);

#endif
