/* The trainer's output, passed on byte for byte while someone looks at it.
 *
 * A channel stands for one of the trainer's standard streams: the trainer writes to `give`, we read `src` and write all of
 * it to `dst`. Where the stream was a terminal it stays one: a pseudo-terminal of the same size and settings, whose own
 * output processing is off because the real terminal does it. The trainer's standard input and its
 * controlling terminal remain the real ones, so keys, Ctrl-C, Ctrl-D, Ctrl-Z and job control work as without us, and our
 * terminal's settings are never changed: there is nothing to restore.
 *
 * Bounded: one buffer a channel; a reader of ours that is slow makes the trainer wait, as it would have without us. */
#ifndef GNS_PROFILER_CLI_PASS_H
#define GNS_PROFILER_CLI_PASS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "gnscope/error.h"

#define GNS_PASS_BUFFER 65536
#define GNS_PASS_LINE 8192 /* of a longer line only this much is shown to `line` */

struct gns_channel {
	int src, dst, give; /* -1: closed or not used */
	bool terminal;
	size_t from, to;    /* buffer[from, to) waits to be written */
	size_t line_len;
	bool line_cut;
	char buffer[GNS_PASS_BUFFER], line[GNS_PASS_LINE + 1];
	/* Each line of the stream, terminated, without its end (newline or carriage return). */
	void (*on_line)(void *arg, const char *line);
	void *arg;
};

/* A channel that stands for our descriptor `dst`. */
int gns_channel_open(struct gns_channel *channel, int dst, struct gns_error *err);
void gns_channel_close(struct gns_channel *channel);
/* After the trainer was started: our copy of its end. */
void gns_channel_started(struct gns_channel *channel);
/* The terminal's size may have changed. */
void gns_channel_resize(struct gns_channel *channel);

/* Fills up to two entries; returns how many. Then poll, then gns_channel_serve with the same entries. */
int gns_channel_poll(const struct gns_channel *channel, struct pollfd *fds);
void gns_channel_serve(struct gns_channel *channel, const struct pollfd *fds, int n);
/* Passes on what is still there after the trainer's end, and its last line. Does not wait for what a child that outlived it
 * may still write. */
void gns_channel_drain(struct gns_channel *channel);
/* A process of ours that goes on passing both channels to their ends, where children of the trainer still hold the other one: they would be
 * killed by SIGPIPE, or miss their terminal. Nobody reads lines any more. */
void gns_channel_outlive(struct gns_channel *a, struct gns_channel *b);

#endif
