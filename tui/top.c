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
#include "tui/config.h"
#include "tui/json.h"
#include "tui/screen.h"
#include "tui/state.h"

/* Settings: the file's, then the options'. */
static bool settle(struct gns_top *top)
{
	const struct gns_top_options *o = top->options;
	const char *no_color = getenv("NO_COLOR");
	char path[4096];
	top->theme = gns_theme_guess();
	top->mouse = true;
	if (gns_top_config_path(path, sizeof path) == 0)
		gns_top_config_read(top, path);
	if (o->view && gns_view_find(o->view, &top->ui.view) != 0) {
		fprintf(stderr, "gnscope top: there is no view \"%s\". The views: now, tradeoff, layers, kernels, runs, health, or 1 to 6\n", o->view);
		return false;
	}
	if (o->theme && gns_theme_find(o->theme, &top->theme) != 0) {
		fprintf(stderr, "gnscope top: there is no theme \"%s\". The themes: dark, light, none\n", o->theme);
		return false;
	}
	if (o->no_color || (no_color && *no_color))
		top->theme = GNS_THEME_NONE;
	if (o->no_mouse)
		top->mouse = false;
	if (o->price > 0)
		top->ui.price = o->price;
	if (o->devices > 0)
		top->ui.devices = o->devices;
	return true;
}

static bool ready(struct gns_top *top)
{
	const struct gns_top_options *o = top->options;
	*top = (struct gns_top){.options = o};
	setlocale(LC_CTYPE, "");
	top->ascii = o->ascii || !gns_screen_utf8();
	top->ui.renderer = gns_renderer(top->ascii ? GNS_RENDER_ASCII : GNS_RENDER_BRAILLE);
	if (!settle(top))
		return false;
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

static int resize(struct gns_top *top, int width, int height)
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

static int print_once(struct gns_top *top)
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
	top->ui.notice[0] = 0;
	if (top->options->json) {
		int failed = gns_view_json(stdout, &top->model, &top->ui) != 0 || fflush(stdout) != 0;
		if (failed)
			fprintf(stderr, "gnscope top: the numbers could not be written to stdout: %s\n", strerror(errno));
		return failed;
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
static bool watched_is_over(struct gns_top *top, uint64_t now, uint64_t *gone_at)
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

/* The control word as it is now, so that the screen says what is in force. */
static void look_at_control(struct gns_top *top, uint64_t now)
{
	bool live = top->model.state == GNS_MODEL_RUN && strcmp(top->model.summary.run.status, "running") == 0;
	uint64_t key = live ? gns_feed_session_key(&top->feed) : 0;
	top->model.control_known = gns_control_find(&top->control, key, now);
	top->model.control = top->model.control_known ? gns_control_word(&top->control) : 0;
}

static uint64_t cpu_us(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

/* When to look again: after the refresh, or later where a look and its frame cost so much that 2% of a core would be passed. */
static uint64_t next_look(const struct gns_top *top, uint64_t now, uint64_t cost_us)
{
	enum { SHARE = 50, MOST_MS = 5000 };
	uint64_t refresh = (uint64_t)(top->options->refresh_ms > 0 ? top->options->refresh_ms : GNS_TOP_REFRESH_MS);
	uint64_t wait = top->ui.replay > 0 ? 0 : cost_us * SHARE / 1000;
	if (wait > MOST_MS)
		wait = MOST_MS;
	return now + (wait > refresh ? wait : refresh);
}

/* 0 left, else an errno or (positive) the signal that ended it. */
static int loop(struct gns_top *top)
{
	uint64_t next_poll = 0, gone_at = 0;
	for (;;) {
		int width, height;
		uint64_t now = monotonic_ms(), used = cpu_us();
		gns_screen_size(&width, &height);
		if (resize(top, width, height) != 0)
			return -ENOMEM;
		bool asked = top->feed.dirty || top->feed.loaded != top->ui.view, looked = now >= next_poll || asked;
		if (looked) {
			gns_top_replay(top, now);
			if (!top->ui.paused || asked)
				gns_feed_poll(&top->feed, &top->model, top->ui.view);
			look_at_control(top, now);
		}
		bool over = watched_is_over(top, now, &gone_at);
		gns_screen_draw(&top->canvas, &top->model, &top->ui);
		gns_screen_show(&top->canvas);
		if (looked)
			next_poll = next_look(top, now, cpu_us() - used);
		if (over || (top->options->stop && *top->options->stop))
			return 0;
		now = monotonic_ms();
		int key = gns_screen_key(next_poll > now ? (int)(next_poll - now) : 0);
		if (key == GNS_KEY_SIGNAL)
			return gns_screen_signal();
		if (key == GNS_KEY_GONE)
			return SIGHUP;
		if (!gns_top_key(top, key))
			return 0;
	}
}

static int live(struct gns_top *top)
{
	struct gns_error err = {.text = ""};
	if (gns_screen_open(top->theme, top->mouse, &err) != 0) {
		fprintf(stderr, "gnscope top: %s\n", err.text);
		return 1;
	}
	int rc = loop(top);
	gns_screen_close();
	gns_control_close(&top->control);
	if (rc < 0)
		fprintf(stderr, "gnscope top: the dashboard ended: %s\n", strerror(-rc));
	return rc < 0 ? 1 : rc > 0 ? 128 + rc : 0;
}

int gns_top_main(const struct gns_top_options *options)
{
	struct gns_top top = {.options = options};
	if (!ready(&top))
		return 2;
	int rc = options->once ? print_once(&top) : live(&top);
	gns_feed_close(&top.feed);
	gns_model_free(&top.model);
	gns_canvas_free(&top.canvas);
	return rc;
}
