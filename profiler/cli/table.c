/* Text is held back only until the widths are known; CSV and JSON pass row by row. */
#include "profiler/cli/table.h"

#include <errno.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gnscope/text.h"
#include "profiler/cli/json.h"

static size_t columns_of(const char *utf8)
{
	size_t n = 0;
	for (; *utf8; utf8++)
		n += ((unsigned char)*utf8 & 0xc0) != 0x80;
	return n;
}

static void text_cell(struct gns_table *t, const char *cell, int column)
{
	size_t pad = t->width[column] > columns_of(cell + 1) ? t->width[column] - columns_of(cell + 1) : 0;
	bool last = column + 1 == t->columns;
	if (*cell == 'n')
		fprintf(t->out, "%*s%s%s", (int)pad, "", cell + 1, last ? "\n" : "  ");
	else
		fprintf(t->out, "%s%*s%s", cell + 1, last ? 0 : (int)pad, "", last ? "\n" : "  ");
}

static void text_flush(struct gns_table *t)
{
	size_t n = t->held;
	for (int c = 0; c < t->columns && !t->widths_known; c++) {
		t->width[c] = columns_of(t->names[c]);
		for (size_t r = 0; r < n; r++) {
			size_t w = columns_of(t->cells[r * (size_t)t->columns + (size_t)c] + 1);
			t->width[c] = w > t->width[c] ? w : t->width[c];
		}
	}
	for (int c = 0; c < t->columns && !t->widths_known; c++) {
		bool number = n > 0 && t->cells[c][0] == 'n', last = c + 1 == t->columns;
		int pad = (int)(t->width[c] - columns_of(t->names[c]));
		fprintf(t->out, "%*s%s%*s%s", number ? pad : 0, "", t->names[c], number || last ? 0 : pad, "", last ? "\n" : "  ");
	}
	t->widths_known = true;
	for (size_t i = 0; i < n * (size_t)t->columns; i++) {
		text_cell(t, t->cells[i], (int)(i % (size_t)t->columns));
		free(t->cells[i]);
	}
	t->held = 0;
}

static char *cell_of(const char *text, int type)
{
	size_t size = (text ? strlen(text) : 0) * 4 + 2;
	char *cell = malloc(size < 8 ? 8 : size);
	if (!cell)
		return NULL;
	cell[0] = type == SQLITE_INTEGER || type == SQLITE_FLOAT ? 'n' : 't';
	if (text)
		gns_text_safe(cell + 1, size - 1, text);
	else
		strcpy(cell + 1, "-");
	return cell;
}

static int text_row(struct gns_table *t, const char *const *texts, const int *types)
{
	for (int c = 0; c < t->columns; c++) {
		char *cell = cell_of(texts[c], types[c]);
		if (!cell)
			return -ENOMEM;
		t->cells[t->held * (size_t)t->columns + (size_t)c] = cell;
	}
	t->held++;
	if (t->widths_known || t->held == GNS_TABLE_LOOK)
		text_flush(t);
	return 0;
}

static void csv_row(struct gns_table *t, const char *const *texts)
{
	for (int c = 0; c < t->columns; c++) {
		gns_text_csv(t->out, texts[c] ? texts[c] : "");
		fputs(c + 1 == t->columns ? "\r\n" : ",", t->out);
	}
}

static json_t *json_value(const char *text, int type)
{
	if (!text)
		return json_null();
	if (type == SQLITE_INTEGER)
		return json_integer(strtoll(text, NULL, 10));
	if (type == SQLITE_FLOAT)
		return gns_json_number(strtod(text, NULL));
	return *text ? gns_json_text(text) : json_string("");
}

static int json_row(struct gns_table *t, const char *const *texts, const int *types)
{
	json_t *o = json_object();
	for (int c = 0; c < t->columns; c++)
		json_object_set_new(o, t->names[c], json_value(texts[c], types[c]));
	fputs(t->rows ? ",\n" : "[\n", t->out);
	int rc = gns_json_dump(o, JSON_REAL_PRECISION(17), t->out);
	json_decref(o);
	return rc ? -EIO : 0;
}

/* Two columns of one name would be one key: the second becomes name:2. */
static char *column_name(struct gns_table *t, int column, const char *text)
{
	size_t size = strlen(text) * 4 + 16;
	char *name = malloc(size);
	int copies = 1;
	if (!name)
		return NULL;
	gns_text_safe(name, size - 12, text);
	for (int c = 0; c < column && t->style == GNS_TABLE_JSON; c++)
		copies += strcmp(t->names[c], name) == 0;
	if (copies > 1)
		sprintf(name + strlen(name), ":%d", copies);
	return name;
}

static int header(struct gns_table *t, int n, const char *const *texts)
{
	t->columns = n;
	t->names = calloc((size_t)n, sizeof *t->names);
	t->width = calloc((size_t)n, sizeof *t->width);
	t->cells = t->style == GNS_TABLE_TEXT ? calloc((size_t)n * GNS_TABLE_LOOK, sizeof *t->cells) : NULL;
	if (!t->names || !t->width || (t->style == GNS_TABLE_TEXT && !t->cells))
		return -ENOMEM;
	for (int c = 0; c < n; c++)
		if (!(t->names[c] = column_name(t, c, texts[c] ? texts[c] : "")))
			return -ENOMEM;
	if (t->style == GNS_TABLE_CSV)
		csv_row(t, (const char *const *)t->names);
	return 0;
}

int gns_table_row(void *table, bool is_header, int n, const char *const *texts, const int *types)
{
	struct gns_table *t = table;
	int rc = 0;
	if (is_header)
		return n > 0 ? header(t, n, texts) : 0;
	if (t->style == GNS_TABLE_TEXT)
		rc = text_row(t, texts, types);
	else if (t->style == GNS_TABLE_CSV)
		csv_row(t, texts);
	else
		rc = json_row(t, texts, types);
	t->rows++;
	return ferror(t->out) ? -EIO : rc;
}

void gns_table_end(struct gns_table *t, bool whole)
{
	if (t->style == GNS_TABLE_TEXT && t->names && (whole || t->held))
		text_flush(t);
	if (t->style == GNS_TABLE_JSON && (whole || t->rows))
		fputs(t->rows ? "\n]\n" : "[]\n", t->out);
	for (int c = 0; c < t->columns && t->names; c++)
		free(t->names[c]);
	free(t->names);
	free(t->cells);
	free(t->width);
}
