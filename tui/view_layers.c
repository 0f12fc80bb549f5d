/* Layers: which weights is the noise in? */
#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"
#include "tui/plot.h"
#include "tui/grid.h"
#include "tui/view.h"
#include "tui/say.h"

enum { NAME, SHAPE, NOISE, SHARE_S, BAR, SHARE_G2, COUNT, COLUMNS };

static void draw_row(struct gns_canvas *canvas, const struct gns_grid *table, const struct gns_ui *ui, int row, const struct gns_layer *l)
{
	char text[160];
	gns_grid_cell(table, canvas, row, NAME, GNS_ROLE_TEXT, gns_text_safe(text, sizeof text, l->name));
	gns_grid_cell(table, canvas, row, SHAPE, GNS_ROLE_FAINT, gns_text_safe(text, sizeof text, l->shape));
	if (l->excluded) {
		gns_grid_cell(table, canvas, row, NOISE, GNS_ROLE_WARN, "left out: used twice");
		return;
	}
	gns_grid_cell(table, canvas, row, NOISE, GNS_ROLE_TEXT,
		       l->count > 0 ? gns_say_ratio(text, sizeof text, &l->b_noise) : "not measured");
	gns_grid_cell(table, canvas, row, SHARE_S, GNS_ROLE_TEXT, gns_say_percent(text, sizeof text, l->share_s));
	gns_grid_cell(table, canvas, row, SHARE_G2, GNS_ROLE_TEXT, gns_say_percent(text, sizeof text, l->share_g2));
	gns_grid_cell(table, canvas, row, COUNT, GNS_ROLE_FAINT, gns_text_number(text, sizeof text, l->count));
	if (table->w[BAR] > 0)
		gns_bar(canvas, ui->renderer, table->x[BAR], table->frame.y + row, table->w[BAR], l->share_s, GNS_ROLE_NOISE);
}

void gns_view_layers(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	if (m->n_layers == 0) {
		gns_canvas_wrap(canvas, body, GNS_ROLE_STRONG, "No weight was found yet: a weight is known once its products recur in a second step.");
		return;
	}
	char title[64], unit[32];
	snprintf(title, sizeof title, "B_noise, %s", gns_text_safe(unit, sizeof unit, m->summary.sample_unit));
	struct gns_grid table = {
		.frame = body, .n = COLUMNS,
		.column = {
			[NAME] = {"layer", 11, true, false, 9},
			[SHAPE] = {"shape", 9, false, true, 4},
			[NOISE] = {title, 22, false, true, 8},
			[SHARE_S] = {"of S", 6, false, true, 7},
			[BAR] = {"share of S", 10, true, false, 3},
			[SHARE_G2] = {"of |G|²", 8, false, true, 6},
			[COUNT] = {"measured", 8, false, true, 1},
		},
	};
	gns_grid_fit(&table);
	gns_grid_titles(&table, canvas);
	size_t rows = body.h > 1 ? (size_t)body.h - 1 : 0, *selected = &ui->selected[GNS_VIEW_LAYERS];
	if (*selected >= m->n_layers)
		*selected = m->n_layers - 1;
	size_t first = gns_grid_first(m->n_layers, rows, *selected);
	for (size_t i = 0; i < rows && first + i < m->n_layers; i++) {
		draw_row(canvas, &table, ui, (int)i + 1, &m->layers[first + i]);
		if (first + i == *selected)
			gns_grid_select(&table, canvas, ui->renderer, (int)i + 1);
	}
}
