/* A list on the screen. */
#include "tui/list.h"

/* As still as possible from 0. */
static size_t first_shown(size_t n, size_t rows, size_t selected)
{
	if (rows == 0 || n <= rows || selected < rows)
		return 0;
	size_t first = selected - rows + 1;
	return first + rows > n ? n - rows : first;
}

struct gns_list gns_list_place(const struct gns_grid *table, struct gns_ui *ui, enum gns_view view, size_t n)
{
	size_t rows = table->frame.h > 1 ? (size_t)table->frame.h - 1 : 0, *selected = &ui->selected[view];
	if (*selected >= n)
		*selected = n ? n - 1 : 0;
	size_t first = first_shown(n, rows, *selected);
	ui->first_y = table->frame.y + 1;
	ui->first_row = first;
	return (struct gns_list){first, first + (n - first < rows ? n - first : rows)};
}

void gns_list_select(struct gns_list list, const struct gns_grid *table, struct gns_canvas *canvas, const struct gns_ui *ui, enum gns_view view)
{
	size_t selected = ui->selected[view];
	if (selected >= list.first && selected < list.end)
		gns_grid_select(table, canvas, ui->renderer, (int)(selected - list.first) + 1);
}
