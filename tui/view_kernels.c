/* Kernels: which calls is the time spent in? */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "tui/device.h"
#include "tui/list.h"
#include "tui/order.h"
#include "tui/plot.h"
#include "tui/say.h"

enum { NAME, FAMILY, MS, SHARE, BAR, CALLS, GFLOPS, MAX, GRID, BLOCK, REGISTERS, COLUMNS }; /* from GRID on: of devices */

static void draw_count(struct gns_canvas *canvas, const struct gns_grid *table, int row, size_t column, int64_t count)
{
	char text[48];
	gns_grid_cell(table, canvas, row, column, GNS_ROLE_FAINT, gns_text_number(text, sizeof text, count < 0 ? NAN : (double)count));
}

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
	if (table->n > GRID && k->device) {
		draw_count(canvas, table, row, GRID, k->grid);
		draw_count(canvas, table, row, BLOCK, k->block);
		draw_count(canvas, table, row, REGISTERS, k->registers);
	}
	if (table->w[BAR] > 0)
		gns_bar(canvas, ui->renderer, table->x[BAR], table->frame.y + row, table->w[BAR], k->share, GNS_ROLE_TIME);
}

/* Where a step goes, in one sentence. */
static int draw_split(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m)
{
	char text[400], line[560], ms[48], steps[48];
	if (rect.h < 9 || !gns_say_split(text, sizeof text, &m->split, true)[0])
		return 0;
	snprintf(line, sizeof line, "A measured step (mean of the last %s): %s, %s", gns_text_number(steps, sizeof steps, m->split.steps),
		 gns_say_seconds(ms, sizeof ms, m->split.step_ms / 1e3), text);
	int used = gns_canvas_wrap(canvas, (struct gns_rect){rect.x, rect.y, rect.w, 2}, GNS_ROLE_STRONG, line);
	return used;
}

static int draw_choices(struct gns_canvas *canvas, struct gns_rect line, const struct gns_model *m, const struct gns_ui *ui, size_t shown)
{
	static const char *const sorts[] = {"", "by name", "by time", "by calls", "by GFLOP/s"};
	char text[200], filter[64];
	enum gns_sort sort = ui->sort[GNS_VIEW_KERNELS];
	if (!ui->filter[GNS_VIEW_KERNELS][0] && !sort && !ui->reverse[GNS_VIEW_KERNELS])
		return 0;
	snprintf(text, sizeof text, "%zu of %zu calls%s%s%s%s%s%s", shown, m->n_kernels, ui->filter[GNS_VIEW_KERNELS][0] ? " · with \"" : "",
		 gns_text_safe(filter, sizeof filter, ui->filter[GNS_VIEW_KERNELS]), ui->filter[GNS_VIEW_KERNELS][0] ? "\"" : "",
		 sort ? " · " : "", sorts[sort], ui->reverse[GNS_VIEW_KERNELS] ? ", turned around" : "");
	gns_canvas_text(canvas, line.x, line.y, line.w, GNS_ROLE_FAINT, text);
	return 1;
}

static struct gns_grid grid_of(struct gns_rect frame, bool devices)
{
	struct gns_grid table = {
		.frame = frame, .n = devices ? COLUMNS : GRID,
		.column = {
			[NAME] = {"call", 22, true, GNS_ALIGN_LEFT, 9},
			[FAMILY] = {"family", 7, false, GNS_ALIGN_LEFT, 4},
			[MS] = {"ms/step", 7, false, GNS_ALIGN_RIGHT, 8},
			[SHARE] = {"of step", 7, false, GNS_ALIGN_RIGHT, 7},
			[BAR] = {"share", 8, true, GNS_ALIGN_LEFT, 3},
			[CALLS] = {"calls/step", 10, false, GNS_ALIGN_RIGHT, 2},
			[GFLOPS] = {"GFLOP/s", 7, false, GNS_ALIGN_RIGHT, 5},
			[MAX] = {"max ms", 7, false, GNS_ALIGN_RIGHT, 1},
			[GRID] = {"grid", 7, false, GNS_ALIGN_RIGHT, 0},
			[BLOCK] = {"block", 5, false, GNS_ALIGN_RIGHT, 0},
			[REGISTERS] = {"registers", 9, false, GNS_ALIGN_RIGHT, 0},
		},
	};
	if (devices) { /* names of templates say most at their two ends */
		table.column[NAME] = (struct gns_column){"kernel or call", 22, true, GNS_ALIGN_PATH, 9};
		table.column[FAMILY].width = 15;
		table.column[GFLOPS].keep = 0;
	}
	gns_grid_fit(&table);
	return table;
}

void gns_view_kernels(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	size_t n;
	int used = gns_device_panel(canvas, body, &m->gpu, ui);
	if (m->n_kernels == 0) {
		gns_canvas_wrap(canvas, (struct gns_rect){body.x, body.y + used, body.w, body.h - used}, GNS_ROLE_STRONG,
				"No timed call yet: calls are timed in measured steps.");
		return;
	}
	size_t *order = gns_kernel_order(m, ui, &n);
	used += draw_split(canvas, (struct gns_rect){body.x, body.y + used, body.w, body.h - used}, m);
	used += draw_choices(canvas, (struct gns_rect){body.x, body.y + used, body.w, 1}, m, ui, n);
	body.y += used;
	body.h -= used;
	struct gns_grid table = grid_of(body, m->gpu.n_kernels > 0);
	gns_grid_titles(&table, canvas);
	struct gns_list list = gns_list_place(&table, ui, GNS_VIEW_KERNELS, n);
	for (size_t i = list.first; i < list.end; i++)
		draw_row(canvas, &table, ui, (int)(i - list.first) + 1, &m->kernels[order[i]]);
	gns_list_select(list, &table, canvas, ui, GNS_VIEW_KERNELS);
	free(order);
}
