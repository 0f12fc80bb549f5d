/* Views: each draws one question's answer from a model onto a canvas. Nothing here reads, waits or knows a terminal. */
#ifndef GNS_VIEW_H
#define GNS_VIEW_H

#include "tui/canvas.h"
#include "tui/model.h"
#include "tui/renderer.h"

struct gns_ui { /* what the person at the keyboard chose */
	const struct gns_renderer *renderer;
	enum gns_view view;
	size_t selected[GNS_VIEWS]; /* row of the view; a view that is drawn brings it into its range */
	bool help, paused;
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

/* One per file view_*.c. */
void gns_view_now(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_tradeoff(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_layers(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_kernels(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_runs(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);
void gns_view_health(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui);

#endif
