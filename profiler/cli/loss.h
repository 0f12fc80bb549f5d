/* Losses read from the trainer's output: `run --loss-regex`.
 *
 * The expression is a POSIX extended one; its first group is the number. A loss belongs to the newest step that the shim has
 * closed when its line arrives, read from the trainer's ring without touching it: the shim closes a step with its last
 * weight gradient, and a loss is printed after that. What comes before the first closed step belongs to none and is not
 * stored. A trainer that keeps its output in a buffer tells its losses late; several for one step are a sign of that.
 *
 * Lines are matched in a process of their own: an expression that takes more than a second of processor time on one line ends that process,
 * and no more losses are read; the output and the signals never wait for it.
 *
 * The losses go through a pipe to the recorder's process, which stores them beside the step (loss_store.c): so a store that
 * is busy or full never holds up the output. A full pipe loses losses and counts them. */
#ifndef GNS_PROFILER_CLI_LOSS_H
#define GNS_PROFILER_CLI_LOSS_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gnscope/error.h"
#include "profiler/shim/ring/ring.h"

struct gns_loss_record { /* in the pipe; written at once or not at all */
	uint64_t step;
	uint64_t time_ns; /* realtime */
	double loss;
};

struct gns_loss_counts {
	uint64_t found, crowded, lost; /* losses; of which for a step that had one already; that the pipe did not take */
	_Atomic bool matching;         /* after its end: it ended within a line */
};

struct gns_loss {
	regex_t regex;
	int pipe;                        /* the end to write to; not owned */
	const char *session_name;
	struct gns_session *session;
	struct gns_ring seen[GNS_SLOTS]; /* the trainers' */
	uint64_t looked[GNS_SLOTS];      /* each looked at up to this index */
	uint64_t newest;                 /* highest closed step of any process */
	int lines;                       /* to the process that matches; -1: none */
	pid_t matcher;
	struct gns_loss_counts *counts;  /* shared with it */
	uint64_t skipped;                /* lines that it was too slow for */
};

/* An expression given with `option`, which needs a group: the number. A sentence where it is none. */
int gns_number_regex(regex_t *regex, const char *option, const char *expression, struct gns_error *err);
/* The number of the first match in a line; may be one that is not finite. */
bool gns_number_in(const regex_t *regex, const char *line, double *out);

int gns_loss_init(struct gns_loss *loss, const char *expression, struct gns_error *err);
/* Once the session exists; starts the process that matches. */
int gns_loss_attach(struct gns_loss *loss, const char *session_name, struct gns_session *session, int pipe, struct gns_error *err);
/* For struct gns_channel; `loss` is the struct. */
void gns_loss_line(void *loss, const char *line);
/* Waits two seconds at most for what is being matched. Counts may be read until gns_loss_free. */
void gns_loss_finish(struct gns_loss *loss);
void gns_loss_free(struct gns_loss *loss);

/* The other side, in the recorder's process: a thread that stores what comes through the pipe until it is closed. */
struct gns_loss_store;
int gns_loss_store_start(int pipe, const char *store, struct gns_session *session, struct gns_loss_store **out);
/* Waits for the end of the pipe; returns how many losses could not be stored. */
uint64_t gns_loss_store_finish(struct gns_loss_store *losses);

#endif
