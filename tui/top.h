/* The dashboard: `gnscope top`, and the one beside a trainer in `gnscope run --top`.
 *
 * It reads the run database and nothing else (include/gnscope/store.h), and may be started before the store or the run
 * exists: it then says what it waits for. Text from the database is made harmless before a terminal sees it.
 *
 * The terminal is restored on every way out: q, a signal (SIGINT, SIGTERM, SIGHUP, SIGQUIT), a fault (SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL, SIGABRT). Signal dispositions that were in force before are put back on return. */
#ifndef GNS_TUI_TOP_H
#define GNS_TUI_TOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GNS_TOP_REFRESH_MS 250 /* how often the store is asked whether there is anything new */

struct gns_top_options {
	const char *store;  /* NULL: the default path */
	const char *run;    /* id or name; NULL: the newest when the dashboard starts, or the first to come */
	const char *view;   /* "1".."6" or a name: now, tradeoff, layers, kernels, runs, health; NULL: now */
	bool once;          /* print one view to stdout as text and return; no terminal is needed */
	int width, height;  /* of the printed view; 0: the terminal's size or 80 x 24 */
	bool ascii;         /* draw with ASCII only; otherwise by the locale's charset */
	bool no_color;      /* no colours (also when NO_COLOR is set and not empty) */
	const char *theme;  /* "dark", "light", "none"; NULL: as the configuration or the terminal says */
	bool no_mouse;      /* leave the mouse to the terminal */
	bool json;          /* with once: the view's numbers as one JSON object, absent ones null */
	double price;       /* of a device-hour, 0: not told */
	double devices;     /* 0: one for each rank */
	int refresh_ms;     /* 0: GNS_TOP_REFRESH_MS */
	int64_t window;     /* only the last N steps; 0 the whole run */

	/* For `run --top`. */
	int64_t (*find_run)(void *arg); /* NULL: by `run`. Asked until it gives the run's id (> 0), so that an older run is not taken
					 * for one that the recorder has yet to make */
	void *find_run_arg;
	pid_t watch_pid;    /* 0: none. The trainer: when it is gone the header says "finished" and the dashboard stays */
	bool quit_with_watched; /* return as soon as watch_pid is gone and its last steps were shown */
	const volatile sig_atomic_t *stop; /* NULL: none. Set to non-zero (by a handler, or another thread) to end the dashboard */
};

/* Exit status for the program: 0 when left with q, by `stop` or with the watched process (or, with once, when printed),
 * 1 after an error (its sentence is on stderr, the terminal restored first), 2 for an option that makes no sense,
 * 128 + n after signal n. Settings that no option names come from $XDG_CONFIG_HOME/gnscope/top.conf (config.h). */
int gns_top_main(const struct gns_top_options *options);

#endif
