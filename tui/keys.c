/* What keys and the mouse do. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/shim/ring/ring.h"
#include "tui/config.h"
#include "tui/screen.h"
#include "tui/state.h"

__attribute__((format(printf, 2, 3))) static void note(struct gns_top *top, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(top->ui.notice, sizeof top->ui.notice, fmt, ap);
	va_end(ap);
}

static void move(struct gns_top *top, long rows)
{
	size_t *selected = top->ui.help ? &top->ui.help_scroll : &top->ui.selected[top->ui.view];
	if (rows < 0 && *selected < (size_t)-rows)
		*selected = 0;
	else
		*selected += (size_t)rows;
}

/* ---- the stretch that is shown ---- */

static int64_t last_shown(const struct gns_top *top)
{
	return top->feed.end > 0 ? top->feed.end : top->model.last_step;
}

static void set_end(struct gns_top *top, int64_t end)
{
	top->ui.replay = 0;
	gns_feed_set_end(&top->feed, end >= top->model.last_step || end < 1 ? 0 : end);
}

/* Around the middle of what is shown, except while the newest step is followed: that stays. */
static void zoom(struct gns_top *top, bool in)
{
	enum { LEAST = 20 };
	int64_t last = last_shown(top), span = top->feed.window > 0 && top->feed.window < last ? top->feed.window : last;
	int64_t next = in ? span / 2 : span * 2;
	if (last < 1 || (in && next < LEAST))
		return;
	if (top->feed.end > 0 && top->ui.replay <= 0)
		set_end(top, in ? last - span / 4 : last + span / 2);
	last = last_shown(top);
	gns_feed_set_window(&top->feed, next >= last ? 0 : next);
}

static void scroll(struct gns_top *top, bool back)
{
	int64_t last = last_shown(top), span = top->feed.window;
	if (span <= 0 || span >= top->model.last_step) {
		note(top, "the whole run is on the screen: + zooms in");
		return;
	}
	int64_t by = span / 4 > 0 ? span / 4 : 1, end = back ? last - by : last + by;
	set_end(top, end < span ? span : end);
}

static void freeze(struct gns_top *top)
{
	top->ui.replay = 0;
	if (top->feed.end > 0) {
		gns_feed_set_end(&top->feed, 0);
		note(top, "following the latest step");
	} else if (top->model.last_step > 0) {
		gns_feed_set_end(&top->feed, top->model.last_step);
		note(top, "frozen: f follows again");
	}
}

static void next_window(struct gns_top *top)
{
	static const int64_t windows[] = {0, 10000, 1000, 100};
	size_t i = 0;
	while (i < 4 && windows[i] != top->feed.window)
		i++;
	gns_feed_set_window(&top->feed, windows[i < 4 ? (i + 1) % 4 : 0]);
}

/* ---- replay ---- */

/* At a speed that takes half a minute for the whole run. */
static void start_replay(struct gns_top *top)
{
	enum { SECONDS = 30 };
	double steps = (double)top->model.last_step, ms = top->model.summary.step_ms;
	if (top->ui.replay > 0) {
		top->ui.replay = 0;
		gns_feed_set_end(&top->feed, 0);
		return;
	}
	if (steps < 2 || !(ms > 0)) {
		note(top, "there is nothing to replay: no step time is known yet");
		return;
	}
	top->ui.replay = pow(2, ceil(log2(fmax(1, steps * ms / 1e3 / SECONDS))));
	top->ui.replay_stopped = false;
	top->replay_at = 1;
	top->replay_ms = 0;
	gns_feed_set_end(&top->feed, 1);
}

void gns_top_replay(struct gns_top *top, uint64_t now_ms)
{
	double ms = top->model.summary.step_ms, passed = top->replay_ms ? (double)(now_ms - top->replay_ms) : 0;
	if (top->ui.replay <= 0)
		return;
	top->replay_ms = now_ms;
	if (top->ui.replay_stopped || top->ui.paused)
		return;
	top->replay_at += passed / (ms > 0 ? ms : 1) * top->ui.replay;
	if (top->replay_at < (double)top->model.last_step) {
		gns_feed_set_end(&top->feed, top->replay_at >= 1 ? (int64_t)top->replay_at : 1);
		return;
	}
	top->ui.replay = 0;
	gns_feed_set_end(&top->feed, 0);
	note(top, "the replay has reached the end");
}

static void speed(struct gns_top *top, double by)
{
	if (top->ui.replay > 0)
		top->ui.replay = fmin(fmax(top->ui.replay * by, 0.125), 1 << 24);
	else
		note(top, "no replay: r begins one");
}

/* ---- runs ---- */

static void show_run(struct gns_top *top, int64_t run_id)
{
	if (run_id <= 0 || run_id == top->feed.run_id)
		return;
	top->ui.replay = 0;
	gns_feed_set_end(&top->feed, 0);
	gns_feed_set_window(&top->feed, top->options->window);
	gns_feed_show_run(&top->feed, run_id);
	top->ui.selected[GNS_VIEW_LAYERS] = top->ui.selected[GNS_VIEW_KERNELS] = top->ui.selected[GNS_VIEW_HEALTH] = 0;
}

static void mark(struct gns_top *top)
{
	struct gns_ui *ui = &top->ui;
	size_t i = 0;
	if (ui->row_run <= 0)
		return;
	while (i < ui->n_marked && ui->marked[i] != ui->row_run)
		i++;
	if (i < ui->n_marked) {
		memmove(&ui->marked[i], &ui->marked[i + 1], (ui->n_marked - i - 1) * sizeof *ui->marked);
		ui->n_marked--;
	} else if (ui->n_marked == GNS_MARKS_MAX) {
		note(top, "%d runs are marked already: m on one of them takes its mark away, M all", GNS_MARKS_MAX);
	} else {
		ui->marked[ui->n_marked++] = ui->row_run;
		move(top, 1);
	}
	gns_feed_set_marks(&top->feed, ui->marked, ui->n_marked);
}

static void enter(struct gns_top *top)
{
	struct gns_ui *ui = &top->ui;
	if (ui->view == GNS_VIEW_RUNS && ui->row_run > 0) {
		show_run(top, ui->row_run);
		ui->view = GNS_VIEW_NOW;
	}
	if (ui->view != GNS_VIEW_LAYERS || !ui->row_group[0])
		return;
	size_t i = 0;
	while (i < ui->n_open && strcmp(ui->open[i], ui->row_group) != 0)
		i++;
	if (i < ui->n_open) {
		memmove(ui->open[i], ui->open[i + 1], (ui->n_open - i - 1) * sizeof *ui->open);
		ui->n_open--;
	} else if (ui->n_open < GNS_OPEN_MAX) {
		memcpy(ui->open[ui->n_open++], ui->row_group, sizeof *ui->open);
	}
}

/* ---- asking for a line ---- */

static void ask(struct gns_top *top, enum gns_asking what)
{
	static const char *const prompts[] = {NULL, "show only: ", "price of a device-hour: ", "devices (0: one for each rank): ",
					      "measure every K-th step (0: as configured): "};
	bool list = top->ui.view == GNS_VIEW_LAYERS || top->ui.view == GNS_VIEW_KERNELS || top->ui.view == GNS_VIEW_RUNS;
	if (what == GNS_ASK_FILTER && !list) {
		note(top, "only lists can be filtered: 3 Layers, 4 Kernels, 5 Runs");
		return;
	}
	top->asking = what;
	top->ui.prompt = prompts[what];
	top->ui.typed[0] = 0;
	if (what == GNS_ASK_FILTER)
		snprintf(top->ui.typed, sizeof top->ui.typed, "%s", top->ui.filter[top->ui.view]);
}

static void set_interval(struct gns_top *top, const char *typed)
{
	struct gns_error err = {.text = ""};
	char *end, number[48];
	errno = 0;
	long every = strtol(typed, &end, 10);
	if (end == typed || *end || errno || every < 0 || every > 1 << 30)
		note(top, "'%s' is not a whole number from 0 to %d: the interval stays", typed, 1 << 30);
	else if (gns_control_every(&top->control, (uint32_t)every, &err) != 0)
		note(top, "%.250s", err.text);
	else if (every == 0)
		note(top, "the program now measures as configured");
	else
		note(top, "the program now measures 1 step in %s", gns_text_number(number, sizeof number, (double)every));
}

static void set_amount(struct gns_top *top, double *amount, const char *typed, const char *what)
{
	char *end;
	double value = strtod(typed, &end);
	if (end == typed || *end || !isfinite(value) || value < 0)
		note(top, "'%s' is not a number from 0: %s stays", typed, what);
	else
		*amount = value;
}

static void answered(struct gns_top *top)
{
	enum gns_asking asked = top->asking;
	const char *typed = top->ui.typed;
	top->asking = GNS_ASK_NOTHING;
	top->ui.prompt = NULL;
	if (asked == GNS_ASK_FILTER) {
		snprintf(top->ui.filter[top->ui.view], sizeof *top->ui.filter, "%.*s", (int)sizeof *top->ui.filter - 1, typed);
		top->ui.selected[top->ui.view] = 0;
	} else if (asked == GNS_ASK_PRICE) {
		set_amount(top, &top->ui.price, typed, "the price");
	} else if (asked == GNS_ASK_DEVICES) {
		set_amount(top, &top->ui.devices, typed, "the number of devices");
	} else if (asked == GNS_ASK_EVERY) {
		set_interval(top, typed);
	}
}

static void type_key(struct gns_top *top, int key)
{
	size_t n = strlen(top->ui.typed), most = sizeof *top->ui.filter - 1;
	if (key == GNS_KEY_ENTER) {
		answered(top);
	} else if (key == GNS_KEY_ESCAPE) {
		top->asking = GNS_ASK_NOTHING;
		top->ui.prompt = NULL;
	} else if (key == GNS_KEY_BACKSPACE && n > 0) {
		do
			top->ui.typed[--n] = 0;
		while (n > 0 && ((unsigned char)top->ui.typed[n - 1] & 0xc0) == 0x80);
	} else if (key >= 0x20 && key < 0x100 && key != 0x7f && n < most) {
		top->ui.typed[n] = (char)key;
		top->ui.typed[n + 1] = 0;
	}
}

/* ---- the trainer ---- */

static void pause_measuring(struct gns_top *top)
{
	struct gns_error err = {.text = ""};
	bool paused = top->control.session && gns_control_word(&top->control) & GNS_CONTROL_PAUSED;
	if (gns_control_pause(&top->control, !paused, &err) != 0)
		note(top, "%.250s", err.text);
	else
		note(top, paused ? "the program measures again" : "measuring is paused, training continues. P resumes");
}

static void ask_interval(struct gns_top *top)
{
	if (top->control.session)
		ask(top, GNS_ASK_EVERY);
	else
		set_interval(top, "0");
}

/* ---- looks and settings ---- */

static void next_renderer(struct gns_top *top)
{
	static const enum gns_renderer_kind next[] = {GNS_RENDER_BRAILLE, GNS_RENDER_ASCII, GNS_RENDER_BLOCK};
	if (top->ascii) {
		note(top, "this terminal's characters are ASCII only (its charset, or --ascii)");
		return;
	}
	for (int i = 0; i < 3; i++)
		if (top->ui.renderer == gns_renderer((enum gns_renderer_kind)i)) {
			top->ui.renderer = gns_renderer(next[i]);
			return;
		}
}

static void next_theme(struct gns_top *top)
{
	top->theme = (enum gns_theme)((top->theme + 1) % GNS_THEMES);
	gns_screen_theme(top->theme);
	note(top, "colours: %s", gns_theme_names[top->theme]);
}

static void write_settings(struct gns_top *top)
{
	char path[4096];
	struct gns_error err = {.text = ""};
	if (gns_top_config_path(path, sizeof path) != 0)
		note(top, "the settings were not written: neither XDG_CONFIG_HOME nor HOME is set");
	else if (gns_top_config_write(top, path, &err) != 0)
		note(top, "%.250s", err.text);
	else
		note(top, "the settings are in %.220s", path);
}

/* ---- the mouse ---- */

static void click(struct gns_top *top)
{
	int x, y;
	struct gns_ui *ui = &top->ui;
	gns_screen_mouse(&x, &y);
	if (y == top->canvas.height - 1) {
		for (int i = 0; i < GNS_VIEWS; i++)
			if (x >= ui->tab_x[i] && x < ui->tab_x[i + 1])
				ui->view = (enum gns_view)i;
		return;
	}
	if (ui->first_y < 0 || y < ui->first_y || y >= top->canvas.height - 1)
		return;
	size_t row = ui->first_row + (size_t)(y - ui->first_y);
	if (row == ui->selected[ui->view])
		enter(top);
	else
		ui->selected[ui->view] = row;
}

static void wheel(struct gns_top *top, bool up)
{
	if (top->ui.view == GNS_VIEW_NOW && !top->ui.help)
		zoom(top, up);
	else
		move(top, up ? -3 : 3);
}

/* ---- every key ---- */

static void turn(struct gns_top *top, int by)
{
	top->ui.view = (enum gns_view)(((int)top->ui.view + by + GNS_VIEWS) % GNS_VIEWS);
}

static void up_or_down(struct gns_top *top, bool up)
{
	if (top->ui.view == GNS_VIEW_NOW && !top->ui.help)
		zoom(top, up);
	else
		move(top, up ? -1 : 1);
}

static void escape(struct gns_top *top)
{
	top->ui.filter[top->ui.view][0] = 0;
}

static void next_sort(struct gns_top *top)
{
	enum gns_sort *sort = &top->ui.sort[top->ui.view];
	*sort = (enum gns_sort)((*sort + 1) % GNS_SORTS);
}

static void clear_marks(struct gns_top *top)
{
	top->ui.n_marked = 0;
	gns_feed_set_marks(&top->feed, top->ui.marked, 0);
}

/* Keys that mean the same in every view. False: not one of them. */
static bool common_key(struct gns_top *top, int key)
{
	long page = top->canvas.height > 4 ? top->canvas.height - 4 : 1;
	switch (key) {
	case '?': top->ui.help = true; top->ui.help_scroll = 0; break;
	case 'p': top->ui.paused = !top->ui.paused; break;
	case GNS_KEY_TAB: case GNS_KEY_RIGHT: case 'l': turn(top, 1); break;
	case GNS_KEY_BACKTAB: case GNS_KEY_LEFT: case 'h': turn(top, -1); break;
	case GNS_KEY_UP: case 'k': up_or_down(top, true); break;
	case GNS_KEY_DOWN: case 'j': up_or_down(top, false); break;
	case GNS_KEY_PAGE_UP: move(top, -page); break;
	case GNS_KEY_PAGE_DOWN: move(top, page); break;
	case GNS_KEY_HOME: case 'g': top->ui.selected[top->ui.view] = 0; break;
	case GNS_KEY_END: case 'G': move(top, 1 << 24); break;
	case GNS_KEY_ENTER: enter(top); break;
	case GNS_KEY_ESCAPE: escape(top); break;
	case GNS_KEY_CLICK: click(top); break;
	case GNS_KEY_WHEEL_UP: wheel(top, true); break;
	case GNS_KEY_WHEEL_DOWN: wheel(top, false); break;
	case ' ':
		if (top->ui.replay > 0)
			top->ui.replay_stopped = !top->ui.replay_stopped;
		else
			move(top, page);
		break;
	default: return false;
	}
	return true;
}

static void other_key(struct gns_top *top, int key)
{
	struct gns_ui *ui = &top->ui;
	switch (key) {
	case 'w': next_window(top); break;
	case '+': case '=': zoom(top, true); break;
	case '-': zoom(top, false); break;
	case '0': set_end(top, 0); gns_feed_set_window(&top->feed, 0); break;
	case '[': scroll(top, true); break;
	case ']': scroll(top, false); break;
	case 'f': freeze(top); break;
	case 'x': ui->x_axis = (enum gns_x_axis)((ui->x_axis + 1) % GNS_X_AXES); break;
	case 'a': ui->cost_axis = (enum gns_cost_axis)((ui->cost_axis + 1) % GNS_COST_AXES); break;
	case 'r': start_replay(top); break;
	case '<': speed(top, 0.5); break;
	case '>': speed(top, 2); break;
	case '/': ask(top, GNS_ASK_FILTER); break;
	case '$': ask(top, GNS_ASK_PRICE); break;
	case 'D': ask(top, GNS_ASK_DEVICES); break;
	case 's': next_sort(top); break;
	case 'S': ui->reverse[ui->view] = !ui->reverse[ui->view]; break;
	case 't': ui->fold = (enum gns_fold)((ui->fold + 1) % GNS_FOLDS); break;
	case 'm': mark(top); break;
	case 'M': clear_marks(top); break;
	case 'n': show_run(top, gns_feed_next_run(&top->feed, 1)); break;
	case 'N': show_run(top, gns_feed_next_run(&top->feed, -1)); break;
	case 'P': pause_measuring(top); break;
	case 'e': ask_interval(top); break;
	case 'b': next_renderer(top); break;
	case 'T': next_theme(top); break;
	case 'W': write_settings(top); break;
	default: break;
	}
}

static bool scrolls_help(int key)
{
	static const int keys[] = {'j', 'k', ' ', 'g', 'G', GNS_KEY_UP, GNS_KEY_DOWN, GNS_KEY_PAGE_UP, GNS_KEY_PAGE_DOWN, GNS_KEY_WHEEL_UP,
				   GNS_KEY_WHEEL_DOWN};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i] == key)
			return true;
	return false;
}

bool gns_top_key(struct gns_top *top, int key)
{
	if (key == GNS_KEY_NONE || key == GNS_KEY_RESIZED || key == GNS_KEY_REDRAW)
		return true;
	top->ui.notice[0] = 0;
	if (top->ui.prompt) {
		type_key(top, key);
		return true;
	}
	if (key == 'q' || key == 'Q')
		return false;
	bool view_key = key >= '1' && key < '1' + GNS_VIEWS;
	if (top->ui.help && !scrolls_help(key)) {
		top->ui.help = false;
		if (!view_key)
			return true;
	}
	if (view_key)
		top->ui.view = (enum gns_view)(key - '1');
	else if (!common_key(top, key))
		other_key(top, key);
	return true;
}
