/* `gnscope import`: what a recorder kept in a file because the store could not be written. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/cli/cli.h"
#include "store/spool.h"

static const char help[] =
	"Usage: gnscope import [OPTION]... FILE...\n"
	"Stores runs that a recorder kept in a file because the store was locked, full or\n"
	"on a file system without locks. Each file is removed once it is stored; what is\n"
	"stored already is not stored twice. The files are beside the store\n"
	"(runs.db.spool-...) or in $TMPDIR (gnscope-...spool). 'gnscope list' and the end\n"
	"of the next run import those of their store by themselves.\n"
	"\n"
	"      --store FILE   another store than the one that the run was meant for\n"
	"  -h, --help         this text\n";

static int import(const char *command, const char *file, const char *store)
{
	struct gns_spool_result result;
	struct gns_error err = {""};
	char used[PATH_MAX] = "";
	int rc = gns_spool_import(file, store, &result, used, &err);
	if (rc)
		return gns_cli_fail_of(command, &err, rc);
	if (result.run_id)
		printf("run %" PRId64 ": %" PRIu64 " records from %s are now in %s\n", result.run_id, result.records, file, used);
	else
		printf("%s was empty\n", file);
	return GNS_EXIT_OK;
}

int gns_cmd_import(int argc, char **argv)
{
	static const struct option longs[] = {
		{"store", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	const char *given = NULL;
	char store[PATH_MAX];
	struct gns_error err = {""};
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case 's': given = optarg; break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	if (optind >= argc)
		return gns_cli_usage(argv[0], "the file to import is missing");
	int rc = given ? gns_cli_store_path(given, store, sizeof store, &err) : 0;
	if (rc)
		return gns_cli_fail_of(argv[0], &err, rc);
	for (int i = optind; i < argc; i++)
		rc |= import(argv[0], argv[i], given ? store : NULL);
	return rc;
}
