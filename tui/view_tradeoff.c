/* Tradeoff: what would another batch size cost in steps and in samples? (McCandlish et al. 2018, eq. 2.11) */
#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"
#include "tui/plot.h"
#include "tui/grid.h"
#include "tui/view.h"
#include "tui/say.h"

enum { BATCH, STEPS, SAMPLES, COUNT, STATUS, COLUMNS };
#define CURVE_POINTS 128

/* A factor that rises with B_crit (or falls: lo and hi change places), with its 95% limits; a limit alone when unresolved. */
static void factor_text(char *buf, size_t size, const struct gns_ratio *crit, double batch, double (*factor)(double, double), bool wide)
{
	char value[48], lo[48], hi[48];
	double a = factor(batch, crit->lo), b = factor(batch, crit->hi);
	bool rising = factor == gns_steps_factor;
	if (!crit->resolved) {
		snprintf(buf, size, "%s %s", rising ? "≥" : "≤", gns_text_number(lo, sizeof lo, a));
		return;
	}
	gns_text_number(value, sizeof value, round(factor(batch, crit->value) * 1000) / 1000);
	if (!wide || !isfinite(a) || !isfinite(b)) {
		snprintf(buf, size, "%s", value);
		return;
	}
	snprintf(buf, size, "%s [%s to %s]", value, gns_text_number(lo, sizeof lo, round((rising ? a : b) * 1000) / 1000),
		 gns_text_number(hi, sizeof hi, round((rising ? b : a) * 1000) / 1000));
}

static void share_text(char *buf, size_t size, const struct gns_ratio *crit, double batch, bool wide)
{
	double lo = 100 * gns_sample_efficiency(batch, crit->lo), hi = 100 * gns_sample_efficiency(batch, crit->hi);
	if (!crit->resolved)
		snprintf(buf, size, "≥ %.0f%%", lo);
	else if (wide && isfinite(lo) && isfinite(hi))
		snprintf(buf, size, "%.0f%% [%.0f to %.0f]", 100 * gns_sample_efficiency(batch, crit->value), lo, hi);
	else
		snprintf(buf, size, "%.0f%%", 100 * gns_sample_efficiency(batch, crit->value));
}

static void draw_row(struct gns_canvas *canvas, const struct gns_grid *table, int row, const struct gns_summary *s, double batch, bool wide)
{
	char text[160];
	bool now = batch == s->samples_per_step;
	enum gns_role role = now ? GNS_ROLE_BATCH : GNS_ROLE_TEXT;
	gns_grid_cell(table, canvas, row, BATCH, role, gns_text_number(text, sizeof text, batch));
	factor_text(text, sizeof text, &s->b_crit, batch, gns_steps_factor, wide);
	gns_grid_cell(table, canvas, row, STEPS, role, text);
	factor_text(text, sizeof text, &s->b_crit, batch, gns_samples_factor, wide);
	gns_grid_cell(table, canvas, row, SAMPLES, role, text);
	share_text(text, sizeof text, &s->b_crit, batch, wide);
	gns_grid_cell(table, canvas, row, COUNT, role, text);
	gns_grid_cell(table, canvas, row, STATUS, role, now ? "now" : "predicted");
}

/* Batches from 1/8 to 8 times the one in use. Returns the rows, titles and the note on the rule included. */
static int draw_table(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui)
{
	const struct gns_summary *s = &m->summary;
	bool wide = rect.w >= 79;
	struct gns_grid table = {
		.frame = rect, .n = COLUMNS,
		.column = {
			[BATCH] = {"batch", 7, false, true, 9},
			[STEPS] = {wide ? "steps / fewest" : "steps", wide ? 19 : 7, false, true, 8},
			[SAMPLES] = {wide ? "samples / fewest" : "samples", wide ? 19 : 7, false, true, 7},
			[COUNT] = {"count", wide ? 14 : 5, false, true, 6},
			[STATUS] = {"", 9, false, false, 5},
		},
	};
	gns_grid_fit(&table);
	gns_grid_titles(&table, canvas);
	int row = 1;
	for (int i = -3; i <= 3 && row < rect.h; i++) {
		double batch = s->samples_per_step * pow(2, i);
		if (batch < 1)
			continue;
		if (i == 0)
			gns_grid_select(&table, canvas, ui->renderer, row);
		draw_row(canvas, &table, row++, s, batch, wide);
	}
	if (row < rect.h)
		row += gns_canvas_wrap(canvas, (struct gns_rect){rect.x, rect.y + row, rect.w, rect.h - row}, GNS_ROLE_FAINT,
				       "predicted by (S/S_min - 1)(E/E_min - 1) = 1 (McCandlish et al. 2018) at B_crit of the "
				       "run so far, learning rate tuned; count: share of samples that count");
	return row;
}

static void draw_curve(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_model *m, const struct gns_ui *ui)
{
	double x[CURVE_POINTS], y[CURVE_POINTS], crit = m->summary.b_crit.value, batch = m->summary.samples_per_step;
	char here[64], critical[64], number[48];
	struct gns_axis axis = gns_axis_empty(true);
	double reach = fmax(16, isfinite(batch) ? 2 * fmax(batch / crit, crit / batch) : 16);
	for (int i = 0; i < CURVE_POINTS; i++) {
		double b = crit / reach * pow(reach * reach, (double)i / (CURVE_POINTS - 1));
		x[i] = gns_samples_factor(b, crit);
		y[i] = gns_steps_factor(b, crit);
	}
	gns_axis_include(&axis, 1);
	gns_axis_include(&axis, x[CURVE_POINTS - 1]);
	gns_axis_round(&axis);
	snprintf(here, sizeof here, "you are here: batch %s", gns_text_number(number, sizeof number, batch));
	snprintf(critical, sizeof critical, "B_crit %s", gns_text_number(number, sizeof number, crit));
	struct gns_plot plot = {
		.frame = rect, .x = axis, .y = axis,
		.x_title = "samples, times the fewest", .y_title = "steps, times the fewest",
		.curves = {{.x = x, .y = y, .n = CURVE_POINTS, .role = GNS_ROLE_NOISE}}, .n_curves = 1,
		.marks = {{2, 2, critical, false, GNS_ROLE_CRIT},
			  {gns_samples_factor(batch, crit), gns_steps_factor(batch, crit), here, true, GNS_ROLE_BATCH}},
		.n_marks = isfinite(batch) ? 2 : 1,
	};
	gns_plot_draw(canvas, ui->renderer, &plot);
}

static bool limits_known(const struct gns_ratio *crit)
{
	return crit->resolved || crit->lo > 0;
}

void gns_view_tradeoff(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	char verdict[320];
	const struct gns_summary *s = &m->summary;
	gns_say_verdict(verdict, sizeof verdict, s);
	int used = gns_canvas_wrap(canvas, (struct gns_rect){body.x, body.y, body.w, body.h < 4 ? 1 : 3}, GNS_ROLE_STRONG, verdict);
	gns_canvas_flag(canvas, (struct gns_rect){body.x, body.y, body.w, used}, GNS_CELL_BOLD);
	struct gns_rect rest = {body.x, body.y + used, body.w, body.h - used};
	bool table = isfinite(s->samples_per_step) && limits_known(&s->b_crit), curve = s->b_crit.resolved && s->b_crit.value > 0;
	if (rest.h > 10) {
		rest.y++;
		rest.h--;
	}
	if (!table && !curve) {
		gns_canvas_wrap(canvas, rest, GNS_ROLE_TEXT, "Nothing can be predicted before B_crit or a lower limit of it is known.");
	} else if (table && rest.w >= 140 && rest.h >= 12) {
		if (curve)
			draw_curve(canvas, (struct gns_rect){rest.x, rest.y, rest.w - 84, rest.h}, m, ui);
		else
			gns_canvas_wrap(canvas, (struct gns_rect){rest.x, rest.y, rest.w - 86, 3}, GNS_ROLE_TEXT,
					"The curve is drawn once B_crit is resolved; the table has its limits.");
		draw_table(canvas, (struct gns_rect){rest.x + rest.w - 82, rest.y, 82, rest.h}, m, ui);
	} else {
		int rows = !table ? 0 : rest.w >= 79 ? 10 : 12, plot = rest.h - rows;
		bool room = curve && plot >= 8;
		if (room)
			draw_curve(canvas, (struct gns_rect){rest.x, rest.y, rest.w, plot}, m, ui);
		if (table)
			draw_table(canvas, (struct gns_rect){rest.x, rest.y + (room ? plot : 0), rest.w, room ? rows : rest.h}, m, ui);
	}
}
