/* Views: each draws one question's answer from a model onto a canvas. Nothing here reads, waits or knows a terminal. */
#ifndef GNS_TUI_VIEW_H
#define GNS_TUI_VIEW_H

#include "tui/canvas.h"
#include "tui/model.h"
#include "tui/renderer.h"

enum gns_x_axis { GNS_X_STEPS = 0, GNS_X_SAMPLES, GNS_X_TIME, GNS_X_AXES };
enum gns_cost_axis { GNS_COST_STEPS = 0, GNS_COST_HOURS, GNS_COST_MONEY, GNS_COST_AXES };
enum gns_sort { GNS_SORT_GIVEN = 0, GNS_SORT_NAME, GNS_SORT_FIRST, GNS_SORT_SECOND, GNS_SORT_THIRD, GNS_SORTS };
enum gns_fold { GNS_FOLD_OFF = 0, GNS_FOLD_BLOCKS, GNS_FOLD_TOPS, GNS_FOLDS };

#define GNS_OPEN_MAX 32

struct gns_ui { /* what the person at the keyboard chose */
	const struct gns_renderer *renderer;
	enum gns_view view;
	size_t selected[GNS_VIEWS]; /* row of the view; a view that is drawn brings it into its range */
	bool help, paused;
	size_t help_scroll;

	enum gns_x_axis x_axis;
	enum gns_cost_axis cost_axis;
	double price;  /* of a device-hour; 0: not told */
	double devices; /* 0: one for each rank */
	char filter[GNS_VIEWS][48];
	enum gns_sort sort[GNS_VIEWS];
	bool reverse[GNS_VIEWS];
	enum gns_fold fold;
	char open[GNS_OPEN_MAX][80]; /* groups that show their members */
	size_t n_open;
	int64_t marked[GNS_MARKS_MAX];
	size_t n_marked;

	double replay;     /* speed, in steps of the run's own step time; 0: no replay */
	bool replay_stopped;
	const char *prompt; /* a line is being typed: what for; NULL: none */
	char typed[64];
	char notice[256];   /* one line for the user until the next key; "" none */

	/* Written by the view that is drawn, for Enter and the mouse. */
	int64_t row_run;    /* the selected run, 0 none */
	char row_group[80]; /* the selected group, "" none */
	int first_y;        /* canvas row of the first row of the list, and which row that is */
	size_t first_row;
	int tab_x[GNS_VIEWS + 1]; /* columns where the tabs begin, and where the last ends */
};

struct gns_view_def {
	const char *name;  /* "now": for --view */
	const char *title; /* "Now": for the tab */
	void (*draw)(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
};

extern const struct gns_view_def gns_views[GNS_VIEWS];

/* By name, a start of a name, or number 1..6. -EINVAL. */
int gns_view_find(const char *text, enum gns_view *view);
/* The whole screen: header, the view (or what is waited for, or help), keys. Any canvas size. */
void gns_screen_draw(struct gns_canvas *canvas, const struct gns_model *model, struct gns_ui *ui);
/* The help page alone. */
void gns_help_draw(struct gns_canvas *canvas, struct gns_rect body, struct gns_ui *ui);

/* One per file view_*.c. */
void gns_view_now(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_tradeoff(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_layers(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_kernels(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_runs(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_health(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);

#endif
