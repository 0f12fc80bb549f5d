/* Tables that give up columns when there is no room. */
#ifndef GNS_TUI_GRID_H
#define GNS_TUI_GRID_H

#include "tui/canvas.h"
#include "tui/renderer.h"

#define GNS_GRID_COLUMNS 12

/* PATH: from the left, and what does not fit is cut in the middle. */
enum gns_align { GNS_ALIGN_LEFT = 0, GNS_ALIGN_RIGHT, GNS_ALIGN_PATH };

struct gns_column {
	const char *title;
	int width;    /* columns it needs */
	bool grows;   /* takes what is left over (one of them, or shared evenly) */
	enum gns_align align;
	int keep;     /* the higher, the longer it stays; columns of equal `keep` leave from the right */
};

struct gns_grid {
	struct gns_rect frame; /* row 0: titles */
	size_t n;
	struct gns_column column[GNS_GRID_COLUMNS];
	int x[GNS_GRID_COLUMNS], w[GNS_GRID_COLUMNS]; /* by gns_grid_fit; w = 0: left out */
};

/* Fills x and w. Two blank columns between columns; two on the left for the mark of a selected row. */
void gns_grid_fit(struct gns_grid *table);
void gns_grid_titles(const struct gns_grid *table, struct gns_canvas *canvas);
void gns_grid_cell(const struct gns_grid *table, struct gns_canvas *canvas, int row, size_t column, enum gns_role role,
		    const char *text);
void gns_grid_select(const struct gns_grid *table, struct gns_canvas *canvas, const struct gns_renderer *renderer, int row);

#endif
