/* Kernels: which calls is the time spent in? */
#include <stdio.h>

#include "gnscope/text.h"
#include "tui/plot.h"
#include "tui/grid.h"
#include "tui/view.h"
#include "tui/say.h"

enum { NAME, FAMILY, MS, SHARE, BAR, CALLS, GFLOPS, MAX, COLUMNS };

static void draw_row(struct gns_canvas *canvas, const struct gns_grid *table, const struct gns_ui *ui, int row,
		     const struct gns_kernel_row *k)
{
	char text[160];
	gns_grid_cell(table, canvas, row, NAME, GNS_ROLE_TEXT, gns_text_safe(text, sizeof text, k->name));
	gns_grid_cell(table, canvas, row, FAMILY, GNS_ROLE_FAINT, gns_text_safe(text, sizeof text, k->family));
	gns_grid_cell(table, canvas, row, MS, GNS_ROLE_TEXT, gns_text_number(text, sizeof text, k->ms_per_step));
	gns_grid_cell(table, canvas, row, SHARE, GNS_ROLE_TEXT, gns_say_percent(text, sizeof text, k->share));
	gns_grid_cell(table, canvas, row, CALLS, GNS_ROLE_TEXT, gns_text_number(text, sizeof text, k->calls_per_step));
	gns_grid_cell(table, canvas, row, GFLOPS, GNS_ROLE_TEXT, gns_text_number(text, sizeof text, k->gflops));
	gns_grid_cell(table, canvas, row, MAX, GNS_ROLE_FAINT, gns_text_number(text, sizeof text, k->max_ms));
	if (table->w[BAR] > 0)
		gns_bar(canvas, ui->renderer, table->x[BAR], table->frame.y + row, table->w[BAR], k->share, GNS_ROLE_TIME);
}

void gns_view_kernels(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	if (m->n_kernels == 0) {
		gns_canvas_wrap(canvas, body, GNS_ROLE_STRONG, "No timed call yet: calls are timed in measured steps.");
		return;
	}
	struct gns_grid table = {
		.frame = body, .n = COLUMNS,
		.column = {
			[NAME] = {"call", 22, true, false, 9},
			[FAMILY] = {"family", 7, false, false, 4},
			[MS] = {"ms/step", 7, false, true, 8},
			[SHARE] = {"of step", 7, false, true, 7},
			[BAR] = {"share", 8, true, false, 3},
			[CALLS] = {"calls/step", 10, false, true, 2},
			[GFLOPS] = {"GFLOP/s", 7, false, true, 5},
			[MAX] = {"max ms", 7, false, true, 1},
		},
	};
	gns_grid_fit(&table);
	gns_grid_titles(&table, canvas);
	size_t rows = body.h > 1 ? (size_t)body.h - 1 : 0, *selected = &ui->selected[GNS_VIEW_KERNELS];
	if (*selected >= m->n_kernels)
		*selected = m->n_kernels - 1;
	size_t first = gns_grid_first(m->n_kernels, rows, *selected);
	for (size_t i = 0; i < rows && first + i < m->n_kernels; i++) {
		draw_row(canvas, &table, ui, (int)i + 1, &m->kernels[first + i]);
		if (first + i == *selected)
			gns_grid_select(&table, canvas, ui->renderer, (int)i + 1);
	}
}
