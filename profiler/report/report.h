/* What a report is made of: everything that is said and drawn of some runs, read once from the store, and the pages it becomes.
 *
 * Strings come from the database and are not to be trusted: every writer here escapes them. */
#ifndef GNS_PROFILER_REPORT_REPORT_H
#define GNS_PROFILER_REPORT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "gnscope/store.h"
#include "profiler/report/picture.h"

#define GNS_REPORT_RUNS 8      /* side by side: as many as there are inks */
#define GNS_REPORT_POINTS 160  /* of a curve at most */
#define GNS_REPORT_FEW 8       /* fewer points are no curve: some may then stay unresolved */
#define GNS_REPORT_LAYERS 500  /* rows of a table; what is left out is counted */
#define GNS_REPORT_KERNELS 100
#define GNS_REPORT_DEVICES 64
#define GNS_REPORT_SETTINGS 60
#define GNS_REPORT_EVENTS 50

struct gns_report_run {
	struct gns_summary summary;
	char verdict[768];         /* the first line of `gnscope show` */
	char others[768];          /* the runs of the program's other optimizers, in words; "" none */
	char *(*left_out)(char *dst, size_t size, const char *reason); /* why a weight is left out, in words */
	/* Up to step `rolled`: B_noise of stretches of `width` steps, as short as most of them resolve, and the loss of shorter ones of
	 * `fine_width`, measured or not. */
	struct gns_point *points;
	struct gns_report_loss { double step, loss; } *losses; /* step: the middle of the stretch */
	size_t n_points, n_losses;
	int64_t width, fine_width, rolled, thinned;
	struct gns_live live[4];
	size_t n_live;
	struct gns_split split;    /* steps 0: not known */
	struct gns_layer *layers;  /* as the store gives them */
	size_t n_layers;
	struct gns_kernel_row *kernels; /* most time first */
	size_t n_kernels;
	struct gns_gpu gpu;
	struct gns_setting_row *settings; /* by name, then by step */
	size_t n_settings;
	struct gns_event_row *events;
	size_t n_events;
};

struct gns_report {
	struct gns_report_run run[GNS_REPORT_RUNS];
	size_t n;
};

/* Reads one run; `verdict`, `others` and `left_out` are for the caller to fill. On an error nothing is left to free. */
int gns_report_read(struct gns_store *store, int64_t run_id, struct gns_report_run *out, struct gns_error *err);
void gns_report_free(struct gns_report *report);

/* ---- the pictures ---- */

enum gns_figure { GNS_FIGURE_NOISE, GNS_FIGURE_LOSS, GNS_FIGURE_TRADEOFF, GNS_FIGURE_LAYERS, GNS_FIGURE_TIME, GNS_FIGURES };
extern const char *const gns_figure_names[GNS_FIGURES];

#define GNS_FIGURE_WIDTH 920

/* Draws runs first..first + n - 1 of the report into `p` (started here, freed by the caller). `alone`: with a heading, for a file
 * of its own. -ENODATA with a sentence when there is nothing to draw, -EINVAL when this picture is of one run and n is more. */
int gns_figure_draw(struct gns_picture *p, enum gns_figure figure, const struct gns_report_run *runs, size_t n, bool alone,
		    struct gns_error *err);

void gns_figure_margin(struct gns_picture *p, double margin); /* around a picture that is done */

/* The query that gives a picture's numbers, to be asked of the same database. */
#define GNS_SQL_SIZE 2048
char *gns_figure_sql(char *dst, size_t size, enum gns_figure figure, const struct gns_report_run *run);
char *gns_devices_sql(char *dst, size_t size, const struct gns_report_run *run);
char *gns_device_kernels_sql(char *dst, size_t size, const struct gns_report_run *run);
char *gns_kernels_sql(char *dst, size_t size, const struct gns_report_run *run);

/* ---- the pages ---- */

/* `sweep` may be NULL. */
struct gns_report_sweep;
void gns_report_html(FILE *out, const struct gns_report *report, const struct gns_report_sweep *sweep);
void gns_report_markdown(FILE *out, const struct gns_report *report, const struct gns_report_sweep *sweep);

#endif
