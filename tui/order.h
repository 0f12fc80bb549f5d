/* Which rows a list shows, and in which order: filter, sort, groups by prefix. Pure functions of the model and the choices. */
#ifndef GNS_TUI_ORDER_H
#define GNS_TUI_ORDER_H

#include "tui/view.h"

struct gns_layer_row {
	char name[80];      /* of the weight, or of the group: "blocks.3" */
	const struct gns_layer *layer; /* NULL: a group */
	size_t members;     /* of a group */
	bool open, inside;  /* a group that shows its members; one of them */
	double s, g2, share_s, share_g2; /* means a step; a group's are its members' sums */
	struct gns_ratio b_noise; /* a group: s / g2, lo and hi the hull of its members' limits */
	double count;
	double past[32];    /* B_noise, oldest first */
	size_t n_past;
};

/* The prefix by which a weight is folded: up to the first component that is a number (blocks), or the first component (tops).
 * "" when the name has no such prefix with something behind it. */
char *gns_group_of(char *buf, size_t size, const char *name, enum gns_fold fold);
/* Contains the filter, upper and lower case alike; an empty one matches all. */
bool gns_filter_matches(const char *filter, const char *text);

/* One malloc, the caller's; NULL and *n = 0 when there are none (or no memory). Sort columns: first B_noise (an unresolved one
 * by its lower limit), second the share of S, third the share of |G|^2; most first, names from A. Groups by the same. */
struct gns_layer_row *gns_layer_rows(const struct gns_model *model, const struct gns_ui *ui, size_t *n);
/* Indices into model->kernels, those of devices first: by time per step, second calls, third GFLOP/s. */
size_t *gns_kernel_order(const struct gns_model *model, const struct gns_ui *ui, size_t *n);
/* Indices into model->runs: first steps, second measured steps, third the start. */
size_t *gns_run_order(const struct gns_model *model, const struct gns_ui *ui, size_t *n);

#endif
