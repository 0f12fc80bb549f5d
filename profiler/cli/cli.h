/* What the commands of the program `gnscope` share: exit statuses, options, the store. */
#ifndef GNS_PROFILER_CLI_CLI_H
#define GNS_PROFILER_CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gnscope/error.h"
#include "gnscope/store.h"

enum gns_exit {
	GNS_EXIT_OK = 0,
	GNS_EXIT_FAIL = 1,  /* tried and could not: a sentence says why */
	GNS_EXIT_USAGE = 2, /* wrong option or argument */
	GNS_EXIT_CANNOT_RUN = 126, /* `run`: the command is there but cannot be executed, as a shell says it */
	GNS_EXIT_NOT_FOUND = 127,  /* `run`: there is no such command */
};

/* A command gets its own name as argv[0] and returns the exit status. */
int gns_cmd_run(int argc, char **argv);
int gns_cmd_top(int argc, char **argv);
int gns_cmd_list(int argc, char **argv);
int gns_cmd_show(int argc, char **argv);
int gns_cmd_report(int argc, char **argv);
int gns_cmd_export(int argc, char **argv);
int gns_cmd_sql(int argc, char **argv);
int gns_cmd_doctor(int argc, char **argv);
int gns_cmd_sweep(int argc, char **argv);
int gns_cmd_fit(int argc, char **argv);
int gns_cmd_advise(int argc, char **argv);
int gns_cmd_import(int argc, char **argv);
int gns_cmd_record(int argc, char **argv);
int gns_cmd_help(int argc, char **argv);

/* One sentence to stderr, after "gnscope COMMAND: "; bytes from outside are made harmless. gns_cli_usage adds where the
 * help is. They return the exit status. */
__attribute__((format(printf, 2, 3))) int gns_cli_fail(const char *command, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) int gns_cli_usage(const char *command, const char *fmt, ...);
/* The sentence of `err`, or of the errno -rc where it has none. */
int gns_cli_fail_of(const char *command, const struct gns_error *err, int rc);
/* The sentence for getopt_long's ':' or '?' (with opterr = 0 and optstring beginning with "+:" or ":"). */
int gns_cli_bad_option(char **argv, int opt);

/* A whole number in [min, max], nothing behind it. -EINVAL. */
int gns_cli_integer(const char *text, int64_t min, int64_t max, int64_t *out);
/* A finite number, nothing behind it. -EINVAL. */
int gns_cli_number(const char *text, double *out);
/* Which of n words it is, upper and lower case alike; -1: none. */
int gns_cli_word(const char *word, const char *const *words, int n);

/* `given` (a flag's value, may be NULL), else GNSCOPE_STORE, else the default path; always absolute. */
int gns_cli_store_path(const char *given, char *buf, size_t size, struct gns_error *err);
/* The store opened for reading, and the run that `ref` names. Prints the sentence and returns an exit status on failure. */
int gns_cli_open_read(const char *command, const char *given, struct gns_store **out);
int gns_cli_open_run(const char *command, const char *given, const char *ref, struct gns_store **out, int64_t *run_id);

/* Stores what is left of sessions whose processes are all gone, and the spools of this store, and says on stderr what came of it. How many were stored. */
int gns_cli_adopt(const char *command, const char *store);

/* "2025-11-22 01:10:05", local time; "-" for 0. */
char *gns_cli_time(char *dst, size_t size, uint64_t realtime_ns);

#endif
