/* Layers: which weights is the noise in? */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "tui/list.h"
#include "tui/order.h"
#include "tui/plot.h"
#include "tui/say.h"

enum { NAME, SHAPE, NOISE, PAST, SHARE_S, BAR, SHARE_G2, GRADIENT, SNR, COUNT, COLUMNS };

/* A group has no interval of its own: its members' limits in parentheses. */
static char *noise_text(char *buf, size_t size, const struct gns_layer_row *row)
{
	char value[48], lo[48], hi[48];
	const struct gns_ratio *b = &row->b_noise;
	if (!(row->count > 0))
		snprintf(buf, size, "not measured");
	else if (row->layer)
		gns_say_ratio(buf, size, b);
	else if (!b->resolved)
		snprintf(buf, size, "unresolved");
	else if (isfinite(b->lo) && isfinite(b->hi))
		snprintf(buf, size, "%s (%s to %s)", gns_text_number(value, sizeof value, b->value), gns_text_number(lo, sizeof lo, b->lo),
			 gns_text_number(hi, sizeof hi, b->hi));
	else
		snprintf(buf, size, "about %s", gns_say_three(value, sizeof value, b->value));
	return buf;
}

static void name_text(char *buf, size_t size, const struct gns_layer_row *row)
{
	char safe[160];
	gns_text_safe(safe, sizeof safe, row->name);
	if (!row->layer)
		snprintf(buf, size, "%s %s.* (%zu)", row->open ? "-" : "+", safe, row->members);
	else
		snprintf(buf, size, "%s%s", row->inside ? "  " : "", safe);
}

static char *left_out_text(char *buf, size_t size, const char *why)
{
	char safe[32];
	bool tied = !why[0] || strcmp(why, "tied") == 0;
	snprintf(buf, size, "left out: %s", tied ? "used twice" : gns_text_safe(safe, sizeof safe, why));
	for (char *c = buf; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	return buf;
}

static void draw_row(struct gns_canvas *canvas, const struct gns_grid *grid, const struct gns_ui *ui, int y, const struct gns_layer_row *row)
{
	char text[240], number[48];
	name_text(text, sizeof text, row);
	gns_grid_cell(grid, canvas, y, NAME, row->layer ? GNS_ROLE_TEXT : GNS_ROLE_STRONG, text);
	if (row->layer)
		gns_grid_cell(grid, canvas, y, SHAPE, GNS_ROLE_FAINT, gns_text_safe(text, sizeof text, row->layer->shape));
	if (row->layer && row->layer->excluded) {
		gns_grid_cell(grid, canvas, y, NOISE, GNS_ROLE_WARN, left_out_text(text, sizeof text, row->layer->left_out));
		return;
	}
	gns_grid_cell(grid, canvas, y, NOISE, GNS_ROLE_TEXT, noise_text(text, sizeof text, row));
	if (!(row->count > 0))
		return;
	gns_grid_cell(grid, canvas, y, SHARE_S, GNS_ROLE_TEXT, gns_say_percent(text, sizeof text, row->share_s));
	gns_grid_cell(grid, canvas, y, SHARE_G2, GNS_ROLE_TEXT, gns_say_percent(text, sizeof text, row->share_g2));
	gns_grid_cell(grid, canvas, y, GRADIENT, GNS_ROLE_TEXT, gns_say_three(number, sizeof number, row->g2 > 0 ? sqrt(row->g2) : (double)NAN));
	gns_grid_cell(grid, canvas, y, SNR, GNS_ROLE_TEXT,
		      gns_say_three(number, sizeof number, row->b_noise.resolved ? row->g2 / row->s : (double)NAN));
	gns_grid_cell(grid, canvas, y, COUNT, GNS_ROLE_FAINT, gns_text_number(text, sizeof text, row->count));
	if (grid->w[BAR] > 0)
		gns_bar(canvas, ui->renderer, grid->x[BAR], grid->frame.y + y, grid->w[BAR], row->share_s, GNS_ROLE_NOISE);
	if (grid->w[PAST] > 0)
		gns_spark(canvas, ui->renderer, grid->x[PAST], grid->frame.y + y, grid->w[PAST], row->past, row->n_past, GNS_ROLE_NOISE);
}

/* The answer in a sentence: the noisiest by its own ratio, and the one with most of the noise. */
static void draw_answer(struct gns_canvas *canvas, struct gns_rect line, const struct gns_model *m)
{
	const struct gns_layer *noisiest, *most;
	char name[160], other[160], ratio[160], share[48], text[600];
	gns_layers_outstanding(m->layers, m->n_layers, &noisiest, &most);
	if (!most)
		return;
	size_t at = noisiest ? (size_t)snprintf(text, sizeof text, "Noisiest layer: %s, B_noise %s. ",
						gns_text_safe(name, sizeof name, noisiest->name),
						gns_say_ratio(ratio, sizeof ratio, &noisiest->b_noise)) : 0;
	snprintf(text + at, sizeof text - at, "Largest share of the noise: %s, %s of S.", gns_text_safe(other, sizeof other, most->name),
		 gns_say_percent(share, sizeof share, most->share_s));
	gns_canvas_wrap(canvas, line, GNS_ROLE_STRONG, text);
}

static void draw_choices(struct gns_canvas *canvas, struct gns_rect line, const struct gns_model *m, const struct gns_ui *ui, size_t shown)
{
	static const char *const sorts[] = {"", "by name", "by B_noise", "by share of S", "by share of |G|²"};
	static const char *const folds[] = {"", "folded by block", "folded by first part"};
	char text[256], filter[64], stretch[96];
	gns_say_stretch(stretch, sizeof stretch, m);
	snprintf(text, sizeof text, "%zu parameters in %zu row%s", m->n_layers, shown, shown == 1 ? "" : "s");
	if (ui->filter[GNS_VIEW_LAYERS][0])
		snprintf(text + strlen(text), sizeof text - strlen(text), " · with \"%s\"", gns_text_safe(filter, sizeof filter, ui->filter[GNS_VIEW_LAYERS]));
	if (ui->sort[GNS_VIEW_LAYERS])
		snprintf(text + strlen(text), sizeof text - strlen(text), " · %s", sorts[ui->sort[GNS_VIEW_LAYERS]]);
	if (ui->reverse[GNS_VIEW_LAYERS])
		snprintf(text + strlen(text), sizeof text - strlen(text), ", turned around");
	if (ui->fold)
		snprintf(text + strlen(text), sizeof text - strlen(text), " · %s", folds[ui->fold]);
	if (m->end > 0)
		snprintf(text + strlen(text), sizeof text - strlen(text), " · of the whole run");
	gns_canvas_text(canvas, line.x, line.y, line.w, GNS_ROLE_FAINT, text);
}

static struct gns_grid grid_of(struct gns_rect frame, const char *title, bool past)
{
	struct gns_grid grid = {
		.frame = frame, .n = COLUMNS,
		.column = {
			[NAME] = {"layer", frame.w >= 70 ? 18 : 11, true, GNS_ALIGN_PATH, 9},
			[SHAPE] = {"shape", 9, false, GNS_ALIGN_RIGHT, 4},
			[NOISE] = {title, 22, false, GNS_ALIGN_RIGHT, 8},
			[PAST] = {"history", 12, false, GNS_ALIGN_LEFT, 5},
			[SHARE_S] = {"of S", 6, false, GNS_ALIGN_RIGHT, 7},
			[BAR] = {"share of S", 10, true, GNS_ALIGN_LEFT, 3},
			[SHARE_G2] = {"of |G|²", 8, false, GNS_ALIGN_RIGHT, 6},
			[GRADIENT] = {"|G|", 8, false, GNS_ALIGN_RIGHT, 2},
			[SNR] = {"SNR", 9, false, GNS_ALIGN_RIGHT, 1},
			[COUNT] = {"measured", 8, false, GNS_ALIGN_RIGHT, 1},
		},
	};
	if (!past)
		grid.column[PAST].width = 0;
	gns_grid_fit(&grid);
	return grid;
}

static void draw_rows(struct gns_canvas *canvas, struct gns_grid *grid, struct gns_ui *ui, const struct gns_layer_row *rows, size_t n)
{
	struct gns_list list = gns_list_place(grid, ui, GNS_VIEW_LAYERS, n);
	for (size_t i = list.first; i < list.end; i++)
		draw_row(canvas, grid, ui, (int)(i - list.first) + 1, &rows[i]);
	gns_list_select(list, grid, canvas, ui, GNS_VIEW_LAYERS);
	const struct gns_layer_row *selected = &rows[ui->selected[GNS_VIEW_LAYERS]];
	if (!selected->layer)
		snprintf(ui->row_group, sizeof ui->row_group, "%s", selected->name);
}

void gns_view_layers(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	char title[64], unit[32];
	size_t n;
	if (m->n_layers == 0) {
		gns_canvas_wrap(canvas, body, GNS_ROLE_STRONG, "No weight was found yet: a weight is known once its GEMMs recur in a second step.");
		return;
	}
	if (body.h >= 8 && (body.w >= 60 || body.h >= 12)) {
		int rows = body.w < 100 && body.h >= 12 ? 2 : 1;
		draw_answer(canvas, (struct gns_rect){body.x, body.y, body.w, rows}, m);
		body.y += rows;
		body.h -= rows;
	}
	struct gns_layer_row *rows = gns_layer_rows(m, ui, &n);
	if (body.h >= 10 || ui->filter[GNS_VIEW_LAYERS][0]) {
		draw_choices(canvas, (struct gns_rect){body.x, body.y++, body.w, 1}, m, ui, n);
		body.h--;
	}
	if (!rows) {
		gns_canvas_text(canvas, body.x, body.y, body.w, GNS_ROLE_STRONG, "No name has these letters: / and Enter on an empty line shows all.");
		return;
	}
	snprintf(title, sizeof title, "B_noise, %s", gns_text_safe(unit, sizeof unit, m->summary.sample_unit));
	struct gns_grid grid = grid_of(body, title, m->history.points > 0);
	gns_grid_titles(&grid, canvas);
	draw_rows(canvas, &grid, ui, rows, n);
	free(rows);
}
