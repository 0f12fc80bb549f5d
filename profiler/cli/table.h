/* Rows of a query as an aligned table, CSV or JSON. */
#ifndef GNS_PROFILER_CLI_TABLE_H
#define GNS_PROFILER_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define GNS_TABLE_LOOK 500 /* the columns' widths come from so many rows; later wider cells push their row */

enum gns_table_style { GNS_TABLE_TEXT, GNS_TABLE_CSV, GNS_TABLE_JSON };

struct gns_table {
	enum gns_table_style style;
	FILE *out;
	/* Private. */
	int columns;
	char **names;
	char **cells; /* the rows held back, columns each; a leading byte tells a number ('n') from text ('t') */
	size_t rows, held, *width;
	bool widths_known;
};

/* A gns_row_fn; `table` is the struct. */
int gns_table_row(void *table, bool is_header, int n, const char *const *texts, const int *types);
/* Prints what is held back and frees; `whole`: the query came to its end. */
void gns_table_end(struct gns_table *table, bool whole);

#endif
