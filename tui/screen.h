/* The terminal: shows canvases by differences, reads keys, and gives the terminal back on every way out.
 *
 * One at a time in a process. Opening it installs handlers for the signals named in top.h; closing it puts the former ones back. */
#ifndef GNS_TUI_SCREEN_H
#define GNS_TUI_SCREEN_H

#include "gnscope/error.h"
#include "tui/theme.h"

enum gns_key {
	GNS_KEY_NONE = 0, /* nothing within the time */
	/* 1..255: the character itself */
	GNS_KEY_UP = 0x100, GNS_KEY_DOWN, GNS_KEY_LEFT, GNS_KEY_RIGHT, GNS_KEY_PAGE_UP, GNS_KEY_PAGE_DOWN, GNS_KEY_HOME, GNS_KEY_END,
	GNS_KEY_TAB, GNS_KEY_BACKTAB, GNS_KEY_ENTER, GNS_KEY_ESCAPE, GNS_KEY_BACKSPACE,
	GNS_KEY_CLICK, GNS_KEY_WHEEL_UP, GNS_KEY_WHEEL_DOWN, /* where: gns_screen_mouse */
	GNS_KEY_RESIZED, /* the size changed: ask again */
	GNS_KEY_REDRAW,  /* came back from a suspension: show again */
	GNS_KEY_SIGNAL,  /* told to end: gns_screen_signal says by which */
	GNS_KEY_GONE     /* the terminal is gone */
};

/* On stdin and stdout when both are terminals, else on /dev/tty. -ENOTTY with a sentence. */
int gns_screen_open(enum gns_theme theme, bool mouse, struct gns_error *err);
void gns_screen_theme(enum gns_theme theme); /* from the next show on, which sends everything anew */
void gns_screen_mouse(int *x, int *y);
void gns_screen_close(void); /* twice is harmless */
void gns_screen_size(int *width, int *height);
/* Only cells that differ from what was shown last are sent. */
void gns_screen_show(const struct gns_canvas *canvas);
/* Waits at most timeout_ms. */
int gns_screen_key(int timeout_ms);
int gns_screen_signal(void); /* 0: none */
/* The locale's charset is UTF-8 (after setlocale). */
bool gns_screen_utf8(void);

#endif
