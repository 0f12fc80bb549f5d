/* Runs: what else is in this store? */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "gnscope/text.h"
#include "tui/grid.h"
#include "tui/view.h"
#include "tui/say.h"

enum { ID, NAME, STATUS, STEPS, MEASURED, STARTED, TOOK, COMMAND, COLUMNS };

static void draw_row(struct gns_canvas *canvas, const struct gns_grid *table, int row, const struct gns_run_info *run, int64_t shown)
{
	char text[520];
	enum gns_role role = run->run_id == shown ? GNS_ROLE_BATCH : GNS_ROLE_TEXT;
	snprintf(text, sizeof text, "%" PRId64 "%s", run->run_id, run->run_id == shown ? " shown" : "");
	gns_grid_cell(table, canvas, row, ID, role, text);
	gns_grid_cell(table, canvas, row, NAME, role, gns_text_safe(text, sizeof text, run->name));
	gns_grid_cell(table, canvas, row, STATUS, GNS_ROLE_TEXT, gns_text_safe(text, sizeof text, run->status));
	gns_grid_cell(table, canvas, row, STEPS, GNS_ROLE_TEXT, gns_text_number(text, sizeof text, (double)run->steps));
	gns_grid_cell(table, canvas, row, MEASURED, GNS_ROLE_TEXT, gns_text_number(text, sizeof text, (double)run->steps_measured));
	time_t start = (time_t)(run->start_ns / 1000000000u);
	struct tm local;
	if (!localtime_r(&start, &local) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local))
		text[0] = 0;
	gns_grid_cell(table, canvas, row, STARTED, GNS_ROLE_FAINT, text);
	double took = run->end_ns > run->start_ns ? (double)(run->end_ns - run->start_ns) / 1e9 : NAN;
	gns_grid_cell(table, canvas, row, TOOK, GNS_ROLE_FAINT, gns_say_duration(text, sizeof text, took));
	gns_grid_cell(table, canvas, row, COMMAND, GNS_ROLE_FAINT, gns_text_safe(text, sizeof text, run->command));
}

void gns_view_runs(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	struct gns_grid table = {
		.frame = body, .n = COLUMNS,
		.column = {
			[ID] = {"run", 10, false, false, 8},
			[NAME] = {"name", 12, true, false, 9},
			[STATUS] = {"status", 8, false, false, 7},
			[STEPS] = {"steps", 9, false, true, 6},
			[MEASURED] = {"measured", 9, false, true, 5},
			[STARTED] = {"started", 16, false, false, 3},
			[TOOK] = {"took", 13, false, false, 2},
			[COMMAND] = {"command", 24, true, false, 1},
		},
	};
	gns_grid_fit(&table);
	gns_grid_titles(&table, canvas);
	size_t rows = body.h > 1 ? (size_t)body.h - 1 : 0, *selected = &ui->selected[GNS_VIEW_RUNS];
	if (m->n_runs && *selected >= m->n_runs)
		*selected = m->n_runs - 1;
	size_t first = gns_grid_first(m->n_runs, rows, *selected);
	for (size_t i = 0; i < rows && first + i < m->n_runs; i++) {
		draw_row(canvas, &table, (int)i + 1, &m->runs[first + i], m->summary.run.run_id);
		if (first + i == *selected)
			gns_grid_select(&table, canvas, ui->renderer, (int)i + 1);
	}
}
