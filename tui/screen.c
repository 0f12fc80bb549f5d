/* The ncurses screen driver and the terminal's safe return. */
#include "tui/screen.h"

#include <curses.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static const int other_signals[] = {SIGWINCH, SIGTSTP, SIGCONT};
#define ENDING (sizeof ending_signals / sizeof *ending_signals)
#define FAULTS (sizeof fault_signals / sizeof *fault_signals)
#define OTHERS (sizeof other_signals / sizeof *other_signals)

/* What a handler may touch is prepared before it can run and changes no more: bytes, sizes, descriptors, termios. */
static struct {
	volatile sig_atomic_t active, ending, resized, suspend, resumed;
	int in, out, tty; /* tty: /dev/tty when it had to be opened, else -1 */
	int wake[2];
	struct termios saved;
	char restore[256];
	size_t restore_size;
	struct sigaction former[ENDING + FAULTS + OTHERS];
	bool color;
	int mouse_x, mouse_y;
	SCREEN *screen;
	FILE *in_file, *out_file;
	struct gns_canvas shown;
} term = {.in = -1, .out = -1, .tty = -1, .wake = {-1, -1}};

/* ---- in signal handlers: async-signal-safe calls only ---- */

static void restore_now(void)
{
	if (!term.active)
		return;
	term.active = 0;
	if (write(term.out, term.restore, term.restore_size) < 0)
		return;
	tcsetattr(term.in, TCSANOW, &term.saved);
}

static void on_fault(int sig)
{
	restore_now();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void wake(void)
{
	int kept = errno;
	if (write(term.wake[1], "", 1) < 0)
		errno = kept; /* a full pipe wakes as well */
	errno = kept;
}

/* The first asks the loop to end; a second one means that the loop is stuck. */
static void on_ending(int sig)
{
	if (term.ending)
		on_fault(sig);
	term.ending = sig;
	wake();
}

static void on_other(int sig)
{
	if (sig == SIGWINCH)
		term.resized = 1;
	else if (sig == SIGTSTP)
		term.suspend = 1;
	else
		term.resumed = 1;
	wake();
}

/* ---- opening and closing ---- */

static int collect(int byte)
{
	if (term.restore_size < sizeof term.restore)
		term.restore[term.restore_size++] = (char)byte;
	return byte;
}

static void append_restore(const char *bytes)
{
	while (*bytes)
		collect(*bytes++);
}

/* Colours off, keypad off, cursor on, main screen: the bytes that endwin would send. */
static void prepare_restore(void)
{
	static const char *const names[] = {"sgr0", "op", "rmkx", "cnorm", "rmcup"};
	term.restore_size = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *bytes = tigetstr(names[i]);
		if (bytes && bytes != (const char *)-1)
			tputs(bytes, 1, collect);
	}
}

static void install(const int *signals, size_t n, void (*handler)(int), int flags, struct sigaction *former)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < n; i++)
		sigaction(signals[i], &action, &former[i]);
}

static void reinstate(const int *signals, size_t n, const struct sigaction *former)
{
	for (size_t i = 0; i < n; i++)
		sigaction(signals[i], &former[i], NULL);
}

static void install_handlers(void)
{
	static char alternate[1 << 16];
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
	sigaltstack(&stack, NULL); /* a stack overflow must be able to restore as well */
	install(ending_signals, ENDING, on_ending, SA_RESTART, term.former);
	install(fault_signals, FAULTS, on_fault, SA_ONSTACK | SA_NODEFER, term.former + ENDING);
	install(other_signals, OTHERS, on_other, SA_RESTART, term.former + ENDING + FAULTS);
}

static void set_colors(enum gns_theme theme)
{
	term.color = theme != GNS_THEME_NONE && has_colors();
	for (short role = 0; term.color && role < GNS_ROLES; role++)
		init_pair((short)(role + 1), gns_theme_color(theme, (enum gns_role)role, COLORS), -1);
}

static void start_colors(enum gns_theme theme)
{
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	set_colors(theme);
}

static int open_files(struct gns_error *err)
{
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		term.in = STDIN_FILENO;
		term.out = STDOUT_FILENO;
	} else {
		term.tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
		if (term.tty < 0)
			return gns_fail(err, -ENOTTY, "The dashboard needs a terminal, and there is none here (%s). "
					"Print one view instead: gnscope top --once", strerror(errno));
		term.in = term.out = term.tty;
	}
	term.in_file = fdopen(dup(term.in), "r");
	term.out_file = fdopen(dup(term.out), "w");
	if (!term.in_file || !term.out_file || pipe2(term.wake, O_CLOEXEC | O_NONBLOCK) != 0)
		return gns_fail(err, -errno, "The terminal could not be opened for the dashboard: %s", strerror(errno));
	return 0;
}

static void close_files(void)
{
	if (term.in_file)
		fclose(term.in_file);
	if (term.out_file)
		fclose(term.out_file);
	int *fds[] = {&term.tty, &term.wake[0], &term.wake[1]};
	for (size_t i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	term.in_file = term.out_file = NULL;
}

int gns_screen_open(enum gns_theme theme, bool mouse, struct gns_error *err)
{
	static bool at_exit;
	int rc = open_files(err);
	if (rc == 0 && tcgetattr(term.in, &term.saved) != 0)
		rc = gns_fail(err, -errno, "The terminal's settings cannot be read: %s", strerror(errno));
	const char *type = getenv("TERM");
	int known = 0;
	if (rc == 0 && (setupterm(type, term.out, &known) != OK || !tigetstr("cup") || tigetstr("cup") == (char *)-1))
		rc = gns_fail(err, -ENOTTY, "The terminal type TERM=%s cannot show a dashboard. Set TERM, or print one view: gnscope top --once",
			      type ? type : "(not set)");
	if (rc == 0 && !(term.screen = newterm(NULL, term.out_file, term.in_file)))
		rc = gns_fail(err, -ENOTTY, "The terminal of type %s could not be set up for the dashboard", type ? type : "(not set)");
	if (rc != 0) {
		close_files();
		return rc;
	}
	set_term(term.screen);
	prepare_restore();
	term.ending = term.resized = term.suspend = term.resumed = 0;
	term.active = 1;
	install_handlers();
	if (!at_exit)
		atexit(gns_screen_close);
	at_exit = true;
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	set_escdelay(25);
	nodelay(stdscr, TRUE);
	leaveok(stdscr, TRUE);
	curs_set(0);
	start_colors(theme);
	if (mouse) {
		mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
		mouseinterval(0);
		append_restore("\033[?1006l\033[?1002l\033[?1000l");
	}
	erase();
	refresh();
	return 0;
}

void gns_screen_close(void)
{
	if (!term.screen)
		return;
	endwin();
	term.active = 0;
	tcsetattr(term.in, TCSADRAIN, &term.saved);
	reinstate(ending_signals, ENDING, term.former);
	reinstate(fault_signals, FAULTS, term.former + ENDING);
	reinstate(other_signals, OTHERS, term.former + ENDING + FAULTS);
	delscreen(term.screen);
	term.screen = NULL;
	gns_canvas_free(&term.shown);
	close_files();
}

void gns_screen_theme(enum gns_theme theme)
{
	set_colors(theme);
	gns_canvas_free(&term.shown);
}

void gns_screen_mouse(int *x, int *y)
{
	*x = term.mouse_x;
	*y = term.mouse_y;
}

/* ---- showing ---- */

void gns_screen_size(int *width, int *height)
{
	struct winsize size;
	if (ioctl(term.out, TIOCGWINSZ, &size) != 0 || size.ws_col < 1 || size.ws_row < 1) {
		*width = COLS;
		*height = LINES;
		return;
	}
	*width = size.ws_col < GNS_CANVAS_MAX ? size.ws_col : GNS_CANVAS_MAX;
	*height = size.ws_row < GNS_CANVAS_MAX ? size.ws_row : GNS_CANVAS_MAX;
	if (*width != COLS || *height != LINES)
		resizeterm(*height, *width);
}

static attr_t look(const struct gns_cell *cell)
{
	attr_t attributes = A_NORMAL;
	if (cell->flags & GNS_CELL_BOLD)
		attributes |= A_BOLD;
	if (cell->flags & GNS_CELL_REVERSE)
		attributes |= A_REVERSE;
	if (cell->role == GNS_ROLE_FAINT || cell->role == GNS_ROLE_BAND)
		attributes |= A_DIM;
	return attributes;
}

static bool same_cell(const struct gns_cell *a, const struct gns_cell *b)
{
	return a->role == b->role && a->flags == b->flags && strcmp(a->glyph, b->glyph) == 0;
}

void gns_screen_show(const struct gns_canvas *canvas)
{
	bool all = canvas->width != term.shown.width || canvas->height != term.shown.height;
	if (all) {
		gns_canvas_free(&term.shown);
		if (gns_canvas_init(&term.shown, canvas->width, canvas->height, canvas->ascii) != 0)
			return;
		erase();
	}
	for (int y = 0; y < canvas->height; y++)
		for (int x = 0; x < canvas->width; x++) {
			const struct gns_cell *cell = gns_canvas_at(canvas, x, y);
			struct gns_cell *old = gns_canvas_at(&term.shown, x, y);
			if (!all && same_cell(cell, old))
				continue;
			*old = *cell;
			if (cell->flags & GNS_CELL_TAIL)
				continue;
			attr_set(look(cell), term.color ? (short)(cell->role + 1) : 0, NULL);
			mvaddstr(y, x, cell->glyph);
		}
	attr_set(A_NORMAL, 0, NULL);
	refresh();
}

/* ---- keys ---- */

static int mouse_key(void)
{
	MEVENT event;
	if (getmouse(&event) != OK)
		return GNS_KEY_NONE;
	term.mouse_x = event.x;
	term.mouse_y = event.y;
	if (event.bstate & BUTTON4_PRESSED)
		return GNS_KEY_WHEEL_UP;
	if (event.bstate & BUTTON5_PRESSED)
		return GNS_KEY_WHEEL_DOWN;
	return event.bstate & BUTTON1_PRESSED ? GNS_KEY_CLICK : GNS_KEY_NONE;
}

static int translate(int key)
{
	static const struct {
		int from, to;
	} keys[] = {
		{KEY_UP, GNS_KEY_UP}, {KEY_DOWN, GNS_KEY_DOWN}, {KEY_LEFT, GNS_KEY_LEFT}, {KEY_RIGHT, GNS_KEY_RIGHT},
		{KEY_PPAGE, GNS_KEY_PAGE_UP}, {KEY_NPAGE, GNS_KEY_PAGE_DOWN}, {KEY_HOME, GNS_KEY_HOME}, {KEY_END, GNS_KEY_END},
		{'\t', GNS_KEY_TAB}, {KEY_BTAB, GNS_KEY_BACKTAB}, {'\r', GNS_KEY_ENTER}, {'\n', GNS_KEY_ENTER}, {KEY_ENTER, GNS_KEY_ENTER},
		{27, GNS_KEY_ESCAPE}, {KEY_BACKSPACE, GNS_KEY_BACKSPACE}, {127, GNS_KEY_BACKSPACE}, {8, GNS_KEY_BACKSPACE}, {KEY_RESIZE, GNS_KEY_RESIZED},
	};
	if (key == KEY_MOUSE)
		return mouse_key();
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].from == key)
			return keys[i].to;
	return key > 0 && key < 256 ? key : GNS_KEY_NONE;
}

/* Stops as the shell expects of Ctrl-Z; comes back when continued. */
static void suspend(void)
{
	endwin();
	raise(SIGSTOP);
	term.resumed = 1;
}

static int pending_signal(void)
{
	char bytes[64];
	while (read(term.wake[0], bytes, sizeof bytes) > 0)
		;
	if (term.ending)
		return GNS_KEY_SIGNAL;
	if (term.suspend) {
		term.suspend = 0;
		suspend();
	}
	if (term.resumed) {
		term.resumed = 0;
		clearok(curscr, TRUE);
		refresh();
		return GNS_KEY_REDRAW;
	}
	if (term.resized) {
		term.resized = 0;
		return GNS_KEY_RESIZED;
	}
	return GNS_KEY_NONE;
}

int gns_screen_key(int timeout_ms)
{
	int event = pending_signal();
	if (event != GNS_KEY_NONE)
		return event;
	int key = getch();
	if (key != ERR)
		return translate(key);
	struct pollfd fds[] = {{.fd = term.in, .events = POLLIN}, {.fd = term.wake[0], .events = POLLIN}};
	if (poll(fds, 2, timeout_ms) <= 0)
		return pending_signal();
	event = pending_signal();
	if (event != GNS_KEY_NONE)
		return event;
	key = getch();
	if (key == ERR && (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
		return GNS_KEY_GONE;
	return key == ERR ? GNS_KEY_NONE : translate(key);
}

int gns_screen_signal(void)
{
	return term.ending;
}

bool gns_screen_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
