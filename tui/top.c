/* The dashboard's loop: poll the feed, draw, show, read keys. */
#include "tui/top.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/text.h"
#include "tui/feed.h"
#include "tui/screen.h"
#include "tui/view.h"

struct top {
	const struct gns_top_options *options;
	struct gns_feed feed;
	struct gns_model model;
	struct gns_ui ui;
	struct gns_canvas canvas;
	bool ascii;
	char path[4096];
};

static bool ready(struct top *top)
{
	const struct gns_top_options *o = top->options;
	*top = (struct top){.options = o};
	setlocale(LC_CTYPE, "");
	top->ascii = o->ascii || !gns_screen_utf8();
	top->ui.renderer = gns_renderer(top->ascii ? GNS_RENDER_ASCII : GNS_RENDER_BRAILLE);
	if (o->view && gns_view_find(o->view, &top->ui.view) != 0) {
		fprintf(stderr, "gnscope top: there is no view \"%s\". The views: now, tradeoff, layers, kernels, runs, health, or 1 to 6\n", o->view);
		return false;
	}
	if (o->width < 0 || o->height < 0 || o->width > GNS_CANVAS_MAX || o->height > GNS_CANVAS_MAX || o->window < 0) {
		fprintf(stderr, "gnscope top: a size is 1 to %d columns and rows, a window 1 step or more (0: all)\n", GNS_CANVAS_MAX);
		return false;
	}
	if (o->store) {
		snprintf(top->path, sizeof top->path, "%s", o->store);
	} else if (gns_store_default_path(top->path, sizeof top->path) != 0) {
		fprintf(stderr, "gnscope top: no default store: neither XDG_STATE_HOME nor HOME is set. Name one with --store FILE\n");
		return false;
	}
	top->feed = (struct gns_feed){.path = top->path, .ref = o->run, .find_run = o->find_run, .find_run_arg = o->find_run_arg,
				      .window = o->window, .max_points = 512};
	return true;
}

static int resize(struct top *top, int width, int height)
{
	if (top->canvas.width == width && top->canvas.height == height)
		return 0;
	gns_canvas_free(&top->canvas);
	gns_feed_set_points(&top->feed, width > 64 ? (size_t)width * 2 : 128);
	return gns_canvas_init(&top->canvas, width, height, top->ascii);
}

/* ---- one view as text ---- */

static void terminal_size(int *width, int *height)
{
	struct winsize size;
	*width = 80;
	*height = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		*width = size.ws_col;
		*height = size.ws_row > 1 ? size.ws_row - 1 : 1;
	}
}

static int print_once(struct top *top)
{
	int width, height;
	terminal_size(&width, &height);
	width = top->options->width ? top->options->width : width;
	height = top->options->height ? top->options->height : height;
	if (resize(top, width, height) != 0) {
		fprintf(stderr, "gnscope top: no memory for a view of %d x %d\n", width, height);
		return 1;
	}
	gns_feed_poll(&top->feed, &top->model, top->ui.view);
	if (top->model.state != GNS_MODEL_RUN) {
		char safe[600];
		fprintf(stderr, "gnscope top: %s\n", gns_text_safe(safe, sizeof safe, top->model.message));
		return 1;
	}
	gns_screen_draw(&top->canvas, &top->model, &top->ui);
	char *text = gns_canvas_dump(&top->canvas);
	int rc = !text || fputs(text, stdout) == EOF || fflush(stdout) != 0;
	if (rc)
		fprintf(stderr, "gnscope top: the view could not be written to stdout: %s\n", strerror(errno));
	free(text);
	return rc;
}

/* ---- live ---- */

static void move(struct top *top, long rows)
{
	size_t *selected = &top->ui.selected[top->ui.view];
	if (rows < 0 && *selected < (size_t)-rows)
		*selected = 0;
	else
		*selected += (size_t)rows;
}

static void next_window(struct top *top)
{
	static const int64_t windows[] = {0, 10000, 1000, 100};
	size_t i = 0;
	while (i < 4 && windows[i] != top->feed.window)
		i++;
	gns_feed_set_window(&top->feed, windows[(i + 1) % 4]);
}

static void enter(struct top *top)
{
	size_t row = top->ui.selected[GNS_VIEW_RUNS];
	if (top->ui.view != GNS_VIEW_RUNS || row >= top->model.n_runs)
		return;
	gns_feed_show_run(&top->feed, top->model.runs[row].run_id);
	top->ui.view = GNS_VIEW_NOW;
}

static void turn(struct top *top, int by)
{
	top->ui.view = (enum gns_view)(((int)top->ui.view + by + GNS_VIEWS) % GNS_VIEWS);
}

/* False: leave. */
static bool handle_key(struct top *top, int key)
{
	long page = top->canvas.height > 4 ? top->canvas.height - 4 : 1;
	if (key != GNS_KEY_NONE && key < GNS_KEY_RESIZED && top->ui.help && key != 'q') {
		top->ui.help = false;
		return true;
	}
	if (key >= '1' && key < '1' + GNS_VIEWS)
		top->ui.view = (enum gns_view)(key - '1');
	switch (key) {
	case 'q': case 'Q': return false;
	case '?': top->ui.help = true; break;
	case 'p': top->ui.paused = !top->ui.paused; break;
	case 'w': next_window(top); break;
	case GNS_KEY_TAB: case GNS_KEY_RIGHT: case 'l': turn(top, 1); break;
	case GNS_KEY_BACKTAB: case GNS_KEY_LEFT: case 'h': turn(top, -1); break;
	case GNS_KEY_UP: case 'k': move(top, -1); break;
	case GNS_KEY_DOWN: case 'j': move(top, 1); break;
	case GNS_KEY_PAGE_UP: move(top, -page); break;
	case GNS_KEY_PAGE_DOWN: case ' ': move(top, page); break;
	case GNS_KEY_HOME: case 'g': top->ui.selected[top->ui.view] = 0; break;
	case GNS_KEY_END: case 'G': move(top, 1 << 24); break;
	case GNS_KEY_ENTER: enter(top); break;
	default: break;
	}
	return true;
}

/* Gone, or a zombie that its parent has yet to wait for. */
static bool process_gone(pid_t pid)
{
	char path[64], stat[512];
	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	ssize_t n = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (n <= 0)
		return true;
	stat[n] = 0;
	const char *state = strrchr(stat, ')');
	return state && (state[1] == ' ') && (state[2] == 'Z' || state[2] == 'X');
}

static uint64_t monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The trainer is gone and the recorder has written all it left (or two seconds have passed without it). */
static bool watched_is_over(struct top *top, uint64_t now, uint64_t *gone_at)
{
	const struct gns_top_options *o = top->options;
	if (o->watch_pid <= 0 || (*gone_at == 0 && !process_gone(o->watch_pid)))
		return false;
	if (*gone_at == 0)
		*gone_at = now;
	top->model.watched_gone = true;
	bool ended = top->model.state == GNS_MODEL_RUN && strcmp(top->model.summary.run.status, "running") != 0;
	return o->quit_with_watched && (ended || now - *gone_at > 2000);
}

/* 0 left, else an errno or (positive) the signal that ended it. */
static int loop(struct top *top)
{
	int refresh = top->options->refresh_ms > 0 ? top->options->refresh_ms : GNS_TOP_REFRESH_MS;
	uint64_t next_poll = 0, gone_at = 0;
	for (;;) {
		int width, height;
		uint64_t now = monotonic_ms();
		gns_screen_size(&width, &height);
		if (resize(top, width, height) != 0)
			return -ENOMEM;
		if (now >= next_poll || top->feed.dirty || top->feed.loaded != top->ui.view) {
			if (!top->ui.paused || top->feed.dirty || top->feed.loaded != top->ui.view)
				gns_feed_poll(&top->feed, &top->model, top->ui.view);
			next_poll = now + (uint64_t)refresh;
		}
		bool over = watched_is_over(top, now, &gone_at);
		gns_screen_draw(&top->canvas, &top->model, &top->ui);
		gns_screen_show(&top->canvas);
		if (over || (top->options->stop && *top->options->stop))
			return 0;
		now = monotonic_ms();
		int key = gns_screen_key(next_poll > now ? (int)(next_poll - now) : 0);
		if (key == GNS_KEY_SIGNAL)
			return gns_screen_signal();
		if (key == GNS_KEY_GONE)
			return SIGHUP;
		if (!handle_key(top, key))
			return 0;
	}
}

static int live(struct top *top)
{
	struct gns_error err = {.text = ""};
	const char *no_color = getenv("NO_COLOR");
	if (gns_screen_open(!top->options->no_color && !(no_color && *no_color), &err) != 0) {
		fprintf(stderr, "gnscope top: %s\n", err.text);
		return 1;
	}
	int rc = loop(top);
	gns_screen_close();
	if (rc < 0)
		fprintf(stderr, "gnscope top: the dashboard ended: %s\n", strerror(-rc));
	return rc < 0 ? 1 : rc > 0 ? 128 + rc : 0;
}

int gns_top_main(const struct gns_top_options *options)
{
	struct top top = {.options = options};
	if (!ready(&top))
		return 2;
	int rc = options->once ? print_once(&top) : live(&top);
	gns_feed_close(&top.feed);
	gns_model_free(&top.model);
	gns_canvas_free(&top.canvas);
	return rc;
}
