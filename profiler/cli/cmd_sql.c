/* `gnscope sql`: one question in SQL, or the sqlite3 shell on the store, for reading only. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/table.h"

static const char help[] =
	"Usage: gnscope sql [OPTION]... [QUERY]\n"
	"Queries the store in SQL. Without QUERY: opens the sqlite3 shell on it. The\n"
	"store is only read. docs/reference/schema.md lists the tables and useful\n"
	"queries.\n"
	"\n"
	"      --csv          rows as CSV (RFC 4180), names first\n"
	"      --json         rows as an array of objects\n"
	"      --store FILE   the store to read                           (GNSCOPE_STORE)\n"
	"  -h, --help         this text\n"
	"\n"
	"Example: gnscope sql 'select run_id, name, status from run'\n";

static int shell(const char *path)
{
	execlp("sqlite3", "sqlite3", "-readonly", path, (char *)NULL);
	if (errno == ENOENT)
		return gns_cli_fail("sql", "the sqlite3 shell is not installed: apt install sqlite3, or give a query: "
					   "gnscope sql 'select * from run'");
	return gns_cli_fail("sql", "cannot start the sqlite3 shell: %s", strerror(errno));
}

int gns_cmd_sql(int argc, char **argv)
{
	enum { STORE = 256, CSV, JSON };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"csv", no_argument, NULL, CSV}, {"json", no_argument, NULL, JSON},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	const char *given = NULL;
	char path[4096];
	bool csv = false, json = false;
	struct gns_store *store = NULL;
	struct gns_error err = {""};
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: given = optarg; break;
		case CSV: csv = true; break;
		case JSON: json = true; break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	const char *query = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return gns_cli_usage(argv[0], "unexpected argument '%s' (put the query in quotes)", argv[optind]);
	if (csv && json)
		return gns_cli_usage(argv[0], "--csv and --json exclude each other");
	if (!query && (csv || json))
		return gns_cli_usage(argv[0], "--csv and --json need a query");
	int rc = gns_cli_open_read(argv[0], given, &store);
	if (rc)
		return rc;
	if (!query) {
		gns_store_close(store);
		gns_cli_store_path(given, path, sizeof path, &err);
		return shell(path);
	}
	struct gns_table table = {.style = json ? GNS_TABLE_JSON : csv ? GNS_TABLE_CSV : GNS_TABLE_TEXT, .out = stdout};
	rc = gns_store_sql_unbounded(store, query, gns_table_row, &table, &err);
	gns_table_end(&table, rc == 0);
	if (rc)
		rc = gns_cli_fail_of(argv[0], &err, rc);
	gns_store_close(store);
	return rc;
}
