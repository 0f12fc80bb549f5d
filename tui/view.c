/* The frame around every view: header, keys, help, and the sentences for when there is nothing to show yet. */
#include "tui/view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gnscope/text.h"
#include "tui/say.h"

const struct gns_view_def gns_views[GNS_VIEWS] = {
	[GNS_VIEW_NOW] = {"now", "Now", gns_view_now},
	[GNS_VIEW_TRADEOFF] = {"tradeoff", "Tradeoff", gns_view_tradeoff},
	[GNS_VIEW_LAYERS] = {"layers", "Layers", gns_view_layers},
	[GNS_VIEW_KERNELS] = {"kernels", "Kernels", gns_view_kernels},
	[GNS_VIEW_RUNS] = {"runs", "Runs", gns_view_runs},
	[GNS_VIEW_HEALTH] = {"health", "Health", gns_view_health},
};

int gns_view_find(const char *text, enum gns_view *view)
{
	for (int i = 0; i < GNS_VIEWS; i++)
		if ((text[0] == '1' + i && !text[1]) || (text[0] && strncasecmp(gns_views[i].name, text, strlen(text)) == 0)) {
			*view = (enum gns_view)i;
			return 0;
		}
	return -EINVAL;
}

static void draw_header(struct gns_canvas *canvas, const struct gns_model *model, const struct gns_ui *ui)
{
	char name[128], status[128], steps[48], window[64] = "", right[96];
	bool narrow = canvas->width < 50 && model->state == GNS_MODEL_RUN;
	int x = narrow ? 0 : gns_canvas_text(canvas, 0, 0, canvas->width, GNS_ROLE_STRONG, "gnscope") + 2;
	gns_canvas_flag(canvas, (struct gns_rect){0, 0, narrow ? 0 : 7, 1}, GNS_CELL_BOLD);
	if (model->window > 0)
		snprintf(window, sizeof window, "last %s steps", gns_text_number(steps, sizeof steps, (double)model->window));
	snprintf(right, sizeof right, "%s%s%s", window, window[0] && ui->paused ? " · " : "", ui->paused ? "display paused" : "");
	int right_columns = gns_canvas_columns(canvas, right), end = canvas->width;
	if (right_columns && canvas->width - right_columns > 30) {
		gns_canvas_right(canvas, 0, 0, canvas->width, GNS_ROLE_WARN, right);
		end -= right_columns + 2;
	}
	if (model->state != GNS_MODEL_RUN)
		return;
	gns_text_safe(name, sizeof name, model->summary.run.name);
	x += gns_canvas_text(canvas, x, 0, end - x > 60 ? (end - x) / 2 : (end - x) / 3, GNS_ROLE_TEXT, name) + 2;
	gns_canvas_printf(canvas, x, 0, end - x, GNS_ROLE_FAINT, "step %s · %s",
			  gns_text_number(steps, sizeof steps, (double)model->summary.run.steps), gns_say_status(status, sizeof status, model));
}

static int draw_tab(struct gns_canvas *canvas, int x, int y, int i, bool current, bool titles)
{
	char text[32];
	snprintf(text, sizeof text, current ? "[%d %s]" : titles ? " %d %s " : " %d%s", i + 1, current || titles ? gns_views[i].title : "");
	int columns = gns_canvas_text(canvas, x, y, canvas->width - x, current ? GNS_ROLE_STRONG : GNS_ROLE_FAINT, text);
	if (current)
		gns_canvas_flag(canvas, (struct gns_rect){x, y, columns, 1}, GNS_CELL_BOLD | GNS_CELL_REVERSE);
	return x + columns;
}

static void draw_keys(struct gns_canvas *canvas, const struct gns_ui *ui)
{
	int y = canvas->height - 1, x = 0, needed = 0;
	for (int i = 0; i < GNS_VIEWS; i++)
		needed += 4 + (int)strlen(gns_views[i].title);
	bool titles = needed + 16 <= canvas->width;
	for (int i = 0; i < GNS_VIEWS; i++)
		x = draw_tab(canvas, x, y, i, i == (int)ui->view && !ui->help, titles);
	const char *keys = canvas->width - x > 62 ? "arrows move  w window  p pause  ? help  q quit" : "? help  q quit";
	int columns = gns_canvas_columns(canvas, keys);
	if (columns + x + 1 <= canvas->width)
		gns_canvas_right(canvas, x + 1, y, canvas->width - x - 1, GNS_ROLE_FAINT, keys);
	else if (x + 4 <= canvas->width)
		gns_canvas_right(canvas, x + 1, y, canvas->width - x - 1, GNS_ROLE_FAINT, "? q");
}

static void draw_help(struct gns_canvas *canvas, struct gns_rect body)
{
	static const char *const lines[][2] = {
		{"1 .. 6", "the views: Now, Tradeoff, Layers, Kernels, Runs, Health"},
		{"Tab, left, right", "next or former view (also h, l)"},
		{"up, down", "move in a list or a text (also j, k, PgUp, PgDn, Home, End)"},
		{"Enter", "in Runs: show that run"},
		{"w", "window: the whole run, the last 10,000, 1,000 or 100 steps"},
		{"p", "pause the display; the trainer and the recorder go on"},
		{"q", "quit; the trainer goes on"},
		{"", ""},
		{"B_noise", "noise of one sample's gradient over the gradient itself, in samples"},
		{"B_crit", "the batch at which steps and samples both cost twice their least"},
		{"[a to b]", "95% interval"},
		{"unresolved", "the gradient is lost in the noise: only a lower limit is known"},
	};
	int y = body.y, end = body.y + body.h, left = body.w < 60 ? 11 : 18;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0] && y < end; i++) {
		gns_canvas_text(canvas, body.x, y, left - 1, GNS_ROLE_STRONG, lines[i][0]);
		int used = gns_canvas_wrap(canvas, (struct gns_rect){body.x + left, y, body.w - left, end - y}, GNS_ROLE_TEXT, lines[i][1]);
		y += used > 0 ? used : 1;
	}
}

static void draw_sentence(struct gns_canvas *canvas, struct gns_rect body, const char *text)
{
	char safe[600];
	struct gns_rect rect = {body.x + (body.w > 60 ? 4 : 0), body.y + body.h / 4, body.w > 60 ? body.w - 8 : body.w, body.h - body.h / 4};
	gns_canvas_wrap(canvas, rect, GNS_ROLE_STRONG, gns_text_safe(safe, sizeof safe, text));
}

static void draw_body(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *model, struct gns_ui *ui)
{
	char waiting[256];
	bool needs_numbers = ui->view == GNS_VIEW_NOW || ui->view == GNS_VIEW_TRADEOFF;
	if (ui->help)
		draw_help(canvas, body);
	else if (model->state != GNS_MODEL_RUN)
		draw_sentence(canvas, body, model->message);
	else if (needs_numbers && gns_say_waiting(waiting, sizeof waiting, model)[0])
		draw_sentence(canvas, body, waiting);
	else
		gns_views[ui->view].draw(canvas, body, model, ui);
}

void gns_screen_draw(struct gns_canvas *canvas, const struct gns_model *model, struct gns_ui *ui)
{
	gns_canvas_clear(canvas);
	struct gns_rect body = {0, 1, canvas->width, canvas->height - 2};
	draw_header(canvas, model, ui);
	if (model->trouble[0] && body.h > 2) {
		char safe[512];
		gns_canvas_printf(canvas, 0, body.y, body.w, GNS_ROLE_BAD, "! what is shown is older: %s",
				  gns_text_safe(safe, sizeof safe, model->trouble));
		body.y++;
		body.h--;
	}
	if (body.h > 0)
		draw_body(canvas, body, model, ui);
	if (canvas->height > 1)
		draw_keys(canvas, ui);
}
