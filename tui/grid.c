/* Tables on a canvas. */
#include "tui/grid.h"

static int total_width(const struct gns_grid *t)
{
	int total = 0;
	for (size_t i = 0; i < t->n; i++)
		if (t->w[i] > 0)
			total += t->w[i] + 2;
	return total;
}

static void leave_out_one(struct gns_grid *t)
{
	size_t worst = t->n;
	for (size_t i = 0; i < t->n; i++)
		if (t->w[i] > 0 && (worst == t->n || t->column[i].keep <= t->column[worst].keep))
			worst = i;
	if (worst < t->n)
		t->w[worst] = 0;
}

void gns_grid_fit(struct gns_grid *t)
{
	int kept = 0, growing = 0;
	for (size_t i = 0; i < t->n; i++)
		t->w[i] = t->column[i].width;
	while (total_width(t) > t->frame.w) {
		kept = 0;
		for (size_t i = 0; i < t->n; i++)
			kept += t->w[i] > 0;
		if (kept <= 1)
			break;
		leave_out_one(t);
	}
	for (size_t i = 0; i < t->n; i++)
		growing += t->w[i] > 0 && t->column[i].grows;
	int spare = t->frame.w - total_width(t), x = t->frame.x + 2;
	for (size_t i = 0; i < t->n; i++) {
		if (t->w[i] > 0 && t->column[i].grows && growing > 0) {
			int share = spare / growing--;
			t->w[i] += share;
			spare -= share;
		}
		t->x[i] = x;
		x += t->w[i] ? t->w[i] + 2 : 0;
	}
}

void gns_grid_cell(const struct gns_grid *t, struct gns_canvas *canvas, int row, size_t column, enum gns_role role, const char *text)
{
	if (t->w[column] < 1 || row < 0 || row >= t->frame.h)
		return;
	if (t->column[column].align == GNS_ALIGN_RIGHT)
		gns_canvas_right(canvas, t->x[column], t->frame.y + row, t->w[column], role, text);
	else if (t->column[column].align == GNS_ALIGN_PATH)
		gns_canvas_path(canvas, t->x[column], t->frame.y + row, t->w[column], role, text);
	else
		gns_canvas_text(canvas, t->x[column], t->frame.y + row, t->w[column], role, text);
}

void gns_grid_titles(const struct gns_grid *t, struct gns_canvas *canvas)
{
	for (size_t i = 0; i < t->n; i++)
		gns_grid_cell(t, canvas, 0, i, GNS_ROLE_FAINT, t->column[i].title);
}

void gns_grid_select(const struct gns_grid *t, struct gns_canvas *canvas, const struct gns_renderer *renderer, int row)
{
	if (row < 0 || row >= t->frame.h)
		return;
	gns_canvas_put(canvas, t->frame.x, t->frame.y + row, renderer->more, GNS_ROLE_STRONG);
	gns_canvas_flag(canvas, (struct gns_rect){t->frame.x, t->frame.y + row, t->frame.w, 1}, GNS_CELL_BOLD);
}
