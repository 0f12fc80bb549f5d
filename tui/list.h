/* The rows of a table that are on the screen, around the selected one: the same for each view that is a list. */
#ifndef GNS_TUI_LIST_H
#define GNS_TUI_LIST_H

#include "tui/grid.h"
#include "tui/view.h"

struct gns_list { size_t first, end; }; /* entries [first, end) are shown, the first of them in row 1 of the table */

/* Of n entries, below the table's titles. Brings the view's selection into its range (0 where there is no entry) and tells the mouse
 * where the list is. */
struct gns_list gns_list_place(const struct gns_grid *table, struct gns_ui *ui, enum gns_view view, size_t n);
/* Marks the selected entry; after the rows have been drawn. */
void gns_list_select(struct gns_list list, const struct gns_grid *table, struct gns_canvas *canvas, const struct gns_ui *ui, enum gns_view view);

#endif
