/* The program: finds the command and gives it its arguments. */
#include <stdlib.h>
#include <string.h>

#include "profiler/cli/cli.h"

struct gns_command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *brief; /* one line of `gnscope help`; NULL: hidden */
};

static const struct gns_command commands[] = {
	{"run", gns_cmd_run, "train under gnscope: measure, store, print a summary"},
	{"top", gns_cmd_top, "the dashboard of a live or a saved run"},
	{"list", gns_cmd_list, "the runs in the store"},
	{"show", gns_cmd_show, "one run: its noise scale and what it means for the batch"},
	{"report", gns_cmd_report, "write runs as a page, a picture or numbers"},
	{"export", gns_cmd_export, "convert runs to CSV, JSON, OpenMetrics or TensorBoard"},
	{"fit", gns_cmd_fit, "measure B_crit from a sweep or from saved runs"},
	{"advise", gns_cmd_advise, "what another batch size would cost, and its settings"},
	{"sql", gns_cmd_sql, "query the store in SQL, or open the sqlite3 shell on it"},
	{"sweep", gns_cmd_sweep, "train at several batch sizes to one loss"},
	{"import", gns_cmd_import, "store runs that were kept in a file"},
	{"doctor", gns_cmd_doctor, "check the setup; explain what is and is not measured"},
	{"help", gns_cmd_help, "this text, or the help of a command"},
	{"record", gns_cmd_record, NULL},
	{NULL, NULL, NULL},
};

static const char about[] =
	"Usage: gnscope COMMAND [OPTION]...\n"
	"Measures how noisy the gradients of a training program are (B_noise), estimates\n"
	"the largest batch size that still pays (B_crit), and says what another batch\n"
	"size would cost. The program is not changed.\n"
	"\n";

static const char where[] =
	"\n"
	"Start:   gnscope run -- python3 train.py\n"
	"         gnscope COMMAND --help, man gnscope\n"
	"\n"
	"Runs are kept in $XDG_STATE_HOME/gnscope/runs.db or, without that variable, in\n"
	"~/.local/state/gnscope/runs.db; --store FILE or GNSCOPE_STORE names another.\n";

static const struct gns_command *find(const char *name)
{
	for (const struct gns_command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static size_t distance(const char *a, const char *b)
{
	size_t row[32], na = strlen(a), nb = strlen(b);
	if (na > 31 || nb > 31)
		return 32;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

static const char *nearest_to(const char *word)
{
	const char *best = NULL;
	size_t least = strlen(word) < 4 ? 2 : 3;
	for (const struct gns_command *c = commands; c->name; c++) {
		size_t d = c->brief ? distance(word, c->name) : 32;
		if (d < least) {
			least = d;
			best = c->name;
		}
	}
	return best;
}

static int unknown(const char *word)
{
	const char *nearest = nearest_to(word);
	if (nearest)
		return gns_cli_usage(NULL, "no such command '%s', the nearest is '%s'", word, nearest);
	return gns_cli_usage(NULL, "no such command '%s'", word);
}

int gns_cmd_help(int argc, char **argv)
{
	const struct gns_command *command = argc > 1 && argv[1][0] != '-' ? find(argv[1]) : NULL;
	if (argc > 1 && argv[1][0] != '-' && !command)
		return unknown(argv[1]);
	if (argc > 1 && argv[1][0] == '-' && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
		return gns_cli_usage(NULL, "no such option '%s'", argv[1]);
	if (command && command->main != gns_cmd_help) {
		char option[] = "--help", *args[] = {(char *)command->name, option, NULL};
		return command->main(2, args);
	}
	fputs(about, stdout);
	for (const struct gns_command *c = commands; c->name; c++)
		if (c->brief)
			printf("  %-8s %s\n", c->name, c->brief);
	fputs(where, stdout);
	return GNS_EXIT_OK;
}

static int finish(int status)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == GNS_EXIT_OK)
		return gns_cli_fail(NULL, "cannot write the output: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		gns_cli_usage(NULL, "a command is missing");
		return GNS_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("gnscope %s\n", GNS_VERSION);
		return finish(GNS_EXIT_OK);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return finish(gns_cmd_help(1, argv + 1));
	if (argv[1][0] == '-')
		return gns_cli_usage(NULL, "no such option '%s' before a command", argv[1]);
	const struct gns_command *command = find(argv[1]);
	return command ? finish(command->main(argc - 1, argv + 1)) : unknown(argv[1]);
}
