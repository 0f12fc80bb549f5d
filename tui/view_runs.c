/* Runs: what else is in this store, and how do several of them compare? */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gnscope/text.h"
#include "tui/list.h"
#include "tui/order.h"
#include "tui/plot.h"
#include "tui/say.h"
#include "tui/xaxis.h"

enum { ID, NAME, STATUS, STEPS, MEASURED, STARTED, TOOK, COMMAND, COLUMNS };

/* The letter by which a marked run is known in the plot, 0 when it is not marked. */
static char letter_of(const struct gns_ui *ui, int64_t run_id)
{
	for (size_t i = 0; i < ui->n_marked; i++)
		if (ui->marked[i] == run_id)
			return (char)('A' + i);
	return 0;
}

static void draw_row(struct gns_canvas *canvas, const struct gns_grid *table, int row, const struct gns_run_info *run, int64_t shown, char letter)
{
	char text[520], mark[8] = "";
	enum gns_role role = run->run_id == shown ? GNS_ROLE_BATCH : GNS_ROLE_TEXT;
	if (letter)
		snprintf(mark, sizeof mark, " [%c]", letter);
	snprintf(text, sizeof text, "%" PRId64 "%s%s", run->run_id, run->run_id == shown ? " shown" : "", mark);
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
	gns_grid_cell(table, canvas, row, TOOK, GNS_ROLE_FAINT, gns_text_duration(text, sizeof text, took));
	gns_grid_cell(table, canvas, row, COMMAND, GNS_ROLE_FAINT, gns_text_safe(text, sizeof text, run->command));
}

/* ---- the overlay ---- */

struct series { /* of one marked run */
	double *x, *noise, *loss;
	size_t n;
	char label[24];
};

static const enum gns_role roles[GNS_MARKS_MAX] = {GNS_ROLE_NOISE, GNS_ROLE_CRIT, GNS_ROLE_LOSS, GNS_ROLE_BATCH};

static double common_unit(const struct gns_model *m, const char **name)
{
	double longest = 0;
	for (size_t i = 0; i < m->n_overlay; i++) {
		const struct gns_overlay *o = &m->overlay[i];
		if (o->n_points && o->points[o->n_points - 1].time_ns > o->start_ns)
			longest = fmax(longest, (double)(o->points[o->n_points - 1].time_ns - o->start_ns) / 1e9);
	}
	return gns_x_unit(longest, name);
}

static size_t series_of(const struct gns_model *m, const struct gns_ui *ui, double unit, struct series *series)
{
	size_t n = 0;
	for (size_t i = 0; i < m->n_overlay; i++) {
		const struct gns_overlay *o = &m->overlay[i];
		struct series *s = &series[n];
		double *at = o->n_points ? calloc(3 * o->n_points, sizeof *at) : NULL;
		if (!at)
			continue;
		*s = (struct series){at, at + o->n_points, at + 2 * o->n_points, o->n_points, ""};
		snprintf(s->label, sizeof s->label, "%c", letter_of(ui, o->run_id) ? letter_of(ui, o->run_id) : '?');
		gns_x_of(o->points, s->n, ui->x_axis, o->start_ns, unit, s->x);
		for (size_t k = 0; k < s->n; k++) {
			s->noise[k] = o->points[k].b_noise.resolved ? o->points[k].b_noise.value : (double)NAN;
			s->loss[k] = o->points[k].loss;
		}
		n++;
	}
	return n;
}

static size_t last_known(const double *values, size_t n)
{
	while (n > 0 && !isfinite(values[n - 1]))
		n--;
	return n;
}

static void draw_overlay(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_ui *ui, const struct series *series, size_t n,
			 bool loss, const char *x_title)
{
	struct gns_plot plot = {.frame = rect, .x = gns_axis_empty(false), .y = gns_axis_empty(!loss), .x_title = x_title,
				.y_title = loss ? "loss" : "B_noise, samples"};
	for (size_t i = 0; i < n; i++) {
		const double *y = loss ? series[i].loss : series[i].noise;
		size_t known = last_known(y, series[i].n);
		for (size_t k = 0; k < series[i].n; k++) {
			gns_axis_include(&plot.x, series[i].x[k]);
			gns_axis_include(&plot.y, y[k]);
		}
		plot.curves[plot.n_curves++] = (struct gns_curve){.x = series[i].x, .y = y, .n = series[i].n, .role = roles[i]};
		if (known)
			plot.marks[plot.n_marks++] = (struct gns_mark){series[i].x[known - 1], y[known - 1], series[i].label, false, roles[i]};
	}
	gns_axis_round(&plot.x);
	gns_axis_round(&plot.y);
	if (!gns_plot_draw(canvas, ui->renderer, &plot))
		gns_canvas_text(canvas, rect.x, rect.y, rect.w, GNS_ROLE_FAINT, loss ? "no loss is known of these runs" : "B_noise of these runs is unresolved");
}

static void draw_overlays(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui)
{
	struct series series[GNS_MARKS_MAX];
	const char *name;
	double unit = common_unit(m, &name);
	char title[64];
	size_t n = series_of(m, ui, unit, series);
	gns_x_title(title, sizeof title, ui->x_axis, 1, unit);
	if (rect.w >= 100) {
		int half = rect.w / 2;
		draw_overlay(canvas, (struct gns_rect){rect.x, rect.y, half - 1, rect.h}, ui, series, n, false, title);
		draw_overlay(canvas, (struct gns_rect){rect.x + half + 1, rect.y, rect.w - half - 1, rect.h}, ui, series, n, true, title);
	} else if (rect.h >= 14) {
		int half = rect.h / 2;
		draw_overlay(canvas, (struct gns_rect){rect.x, rect.y, rect.w, half}, ui, series, n, false, title);
		draw_overlay(canvas, (struct gns_rect){rect.x, rect.y + half, rect.w, rect.h - half}, ui, series, n, true, title);
	} else {
		draw_overlay(canvas, rect, ui, series, n, false, title);
	}
	for (size_t i = 0; i < n; i++)
		free(series[i].x);
}

static struct gns_grid grid_of(struct gns_rect frame)
{
	struct gns_grid table = {
		.frame = frame, .n = COLUMNS,
		.column = {
			[ID] = {"run", 12, false, GNS_ALIGN_LEFT, 8},
			[NAME] = {"name", 12, true, GNS_ALIGN_LEFT, 9},
			[STATUS] = {"status", 8, false, GNS_ALIGN_LEFT, 7},
			[STEPS] = {"steps", 9, false, GNS_ALIGN_RIGHT, 6},
			[MEASURED] = {"measured", 9, false, GNS_ALIGN_RIGHT, 5},
			[STARTED] = {"started", 16, false, GNS_ALIGN_LEFT, 3},
			[TOOK] = {"took", 13, false, GNS_ALIGN_LEFT, 2},
			[COMMAND] = {"command", 24, true, GNS_ALIGN_LEFT, 1},
		},
	};
	gns_grid_fit(&table);
	return table;
}

void gns_view_runs(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	size_t n;
	size_t *order = gns_run_order(m, ui, &n);
	int list = (int)n + 1, plot = body.h - (list < 8 ? list : 8);
	if (m->n_overlay > 0 && plot >= 7) {
		draw_overlays(canvas, (struct gns_rect){body.x, body.y, body.w, plot}, m, ui);
		body.y += plot;
		body.h -= plot;
	}
	struct gns_grid table = grid_of(body);
	gns_grid_titles(&table, canvas);
	struct gns_list shown = gns_list_place(&table, ui, GNS_VIEW_RUNS, n);
	ui->row_run = n ? m->runs[order[ui->selected[GNS_VIEW_RUNS]]].run_id : 0;
	for (size_t i = shown.first; i < shown.end; i++) {
		const struct gns_run_info *run = &m->runs[order[i]];
		draw_row(canvas, &table, (int)(i - shown.first) + 1, run, m->summary.run.run_id, letter_of(ui, run->run_id));
	}
	gns_list_select(shown, &table, canvas, ui, GNS_VIEW_RUNS);
	if (n == 0 && m->n_runs > 0 && body.h > 1)
		gns_canvas_text(canvas, body.x, body.y + 1, body.w, GNS_ROLE_STRONG, "No run has these letters: / and Enter on an empty line shows all.");
	free(order);
}
