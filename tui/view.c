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

/* What differs from the whole run, followed, measured as configured. */
static void state_text(char *buf, size_t size, const struct gns_model *model, const struct gns_ui *ui)
{
	char part[4][64] = {"", "", "", ""}, number[48];
	gns_say_control(part[0], sizeof part[0], model);
	gns_say_stretch(part[1], sizeof part[1], model);
	if (ui->replay > 0)
		snprintf(part[2], sizeof part[2], "replay ×%s%s", gns_text_number(number, sizeof number, ui->replay),
			 ui->replay_stopped ? " stopped" : "");
	if (ui->paused)
		snprintf(part[3], sizeof part[3], "display paused");
	buf[0] = 0;
	for (int i = 0; i < 4; i++)
		if (part[i][0])
			snprintf(buf + strlen(buf), size - strlen(buf), "%s%s", buf[0] ? " · " : "", part[i]);
}

static void draw_header(struct gns_canvas *canvas, const struct gns_model *model, const struct gns_ui *ui)
{
	char name[128], status[128], steps[48], right[400];
	bool narrow = canvas->width < 50 && model->state == GNS_MODEL_RUN;
	int x = narrow ? 0 : gns_canvas_text(canvas, 0, 0, canvas->width, GNS_ROLE_STRONG, "gnscope") + 2;
	gns_canvas_flag(canvas, (struct gns_rect){0, 0, narrow ? 0 : 7, 1}, GNS_CELL_BOLD);
	state_text(right, sizeof right, model, ui);
	int right_columns = gns_canvas_columns(canvas, right), end = canvas->width;
	if (right_columns && canvas->width - right_columns > (narrow ? 12 : 30)) {
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

/* The keys of the view, as many as fit; all of them are in the help. */
static const char *keys_of(enum gns_view view)
{
	static const char *const keys[GNS_VIEWS] = {
		[GNS_VIEW_NOW] = "+ - zoom  [ ] scroll  f freeze  x axis  r replay  e every",
		[GNS_VIEW_TRADEOFF] = "a steps, hours, money  $ price  w window",
		[GNS_VIEW_LAYERS] = "/ filter  s sort  t fold  Enter open  w window",
		[GNS_VIEW_KERNELS] = "/ filter  s sort  w window",
		[GNS_VIEW_RUNS] = "m mark  Enter show  x axis  / filter  s sort",
		[GNS_VIEW_HEALTH] = "P pause measuring  e every  W write settings",
	};
	return keys[view];
}

static void draw_prompt(struct gns_canvas *canvas, int y, const struct gns_ui *ui)
{
	char safe[80];
	int x = gns_canvas_text(canvas, 0, y, canvas->width, GNS_ROLE_STRONG, ui->prompt);
	x += gns_canvas_text(canvas, x, y, canvas->width - x, GNS_ROLE_TEXT, gns_text_safe(safe, sizeof safe, ui->typed));
	gns_canvas_put(canvas, x, y, "_", GNS_ROLE_STRONG);
	gns_canvas_right(canvas, x + 2, y, canvas->width - x - 2, GNS_ROLE_FAINT, canvas->width - x > 30 ? "Enter: take  Esc: leave" : "");
}

static void draw_keys(struct gns_canvas *canvas, struct gns_ui *ui)
{
	int y = canvas->height - 1, x = 0, needed = 0;
	if (ui->prompt) {
		draw_prompt(canvas, y, ui);
		return;
	}
	for (int i = 0; i < GNS_VIEWS; i++)
		needed += 4 + (int)strlen(gns_views[i].title);
	bool titles = needed + 16 <= canvas->width;
	for (int i = 0; i < GNS_VIEWS; i++) {
		ui->tab_x[i] = x;
		x = draw_tab(canvas, x, y, i, i == (int)ui->view && !ui->help, titles);
	}
	ui->tab_x[GNS_VIEWS] = x;
	char keys[160];
	snprintf(keys, sizeof keys, "%s  ? help  q quit", keys_of(ui->view));
	if (gns_canvas_columns(canvas, keys) + x + 2 > canvas->width)
		snprintf(keys, sizeof keys, "? help  q quit");
	int columns = gns_canvas_columns(canvas, keys);
	if (columns + x + 1 <= canvas->width)
		gns_canvas_right(canvas, x + 1, y, canvas->width - x - 1, GNS_ROLE_FAINT, keys);
	else if (x + 4 <= canvas->width)
		gns_canvas_right(canvas, x + 1, y, canvas->width - x - 1, GNS_ROLE_FAINT, "? q");
}

static void draw_notice(struct gns_canvas *canvas, const struct gns_ui *ui)
{
	char safe[300];
	if (!ui->notice[0] || canvas->height < 3)
		return;
	struct gns_rect line = {0, canvas->height - 2, canvas->width, 1};
	gns_canvas_fill(canvas, line, " ", GNS_ROLE_TEXT);
	gns_canvas_text(canvas, 0, line.y, line.w, GNS_ROLE_STRONG, gns_text_safe(safe, sizeof safe, ui->notice));
	gns_canvas_flag(canvas, line, GNS_CELL_REVERSE);
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
		gns_help_draw(canvas, body, ui);
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
	ui->row_run = 0;
	ui->row_group[0] = 0;
	ui->first_y = -1;
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
	draw_notice(canvas, ui);
	if (canvas->height > 1)
		draw_keys(canvas, ui);
}
