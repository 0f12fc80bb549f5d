/* A file that a command writes: whole or not at all. */
#ifndef GNS_PROFILER_CLI_OUTPUT_H
#define GNS_PROFILER_CLI_OUTPUT_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "gnscope/error.h"

struct gns_output {
	const char *path;       /* as given; "-": standard output */
	char temporary[4352];
	FILE *file;
};

/* `ours`: bytes that tell a file of ours, near its beginning (for PDF: anywhere); NULL: it cannot be told. A file that is there
 * and is not known as ours is refused unless `force`; so is what is no regular file (a device or a pipe is written as it is).
 * Errors leave a sentence. */
int gns_output_open(struct gns_output *output, const char *path, const char *ours, bool force, struct gns_error *err);
/* The options of the commands that write one. */
struct gns_output_choice {
	const char *store, *output; /* NULL: not told */
	int format;                 /* -1: not told */
	bool force;
};
enum { GNS_OUTPUT_STORE = 256, GNS_OUTPUT_FORMAT, GNS_OUTPUT_FORCE, GNS_OUTPUT_OWN /* a command's own begin here */ };
#define GNS_OUTPUT_SHORT ":ho:"
#define GNS_OUTPUT_OPTIONS                                                                                                                 \
	{"store", required_argument, NULL, GNS_OUTPUT_STORE}, {"output", required_argument, NULL, 'o'},                                    \
	{"format", required_argument, NULL, GNS_OUTPUT_FORMAT}, {"force", no_argument, NULL, GNS_OUTPUT_FORCE},                            \
	{"help", no_argument, NULL, 'h'}
struct gns_output_words {
	const char *help;
	const char *const *formats;
	int n_formats;
	const char *listed; /* "csv, json or tensorboard" */
};
/* What getopt_long gave, when it is not of the command's own: -1 to go on, else an exit status. */
int gns_output_option(int c, char **argv, const struct gns_output_words *words, struct gns_output_choice *choice);

/* Makes the file appear under its name; `whole` false, or anything that could not be written: removes it instead. */
int gns_output_close(struct gns_output *output, bool whole, struct gns_error *err);

#endif
