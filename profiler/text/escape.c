/* Text from a database on its way into JSON and CSV. HTML and Markdown: profiler/report/escape.h. */
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"

static bool passes(uint32_t point)
{
	return gns_text_harmless(point) || point == '\n' || point == '\t' || point == '\r';
}

int gns_text_json(FILE *out, const char *json)
{
	while (*json) {
		uint32_t point = 0;
		size_t n = gns_text_decode(json, &point);
		if (n > 0 && passes(point))
			fwrite(json, 1, n, out);
		else
			fprintf(out, "\\u%04x", n > 0 ? (unsigned)point : 0xfffdu);
		json += n > 0 ? n : 1;
	}
	return ferror(out) ? -1 : 0;
}

static bool is_number(const char *cell)
{
	char *end = NULL;
	bool digits = cell[strspn(cell, "+-.0123456789eE")] == 0;
	if (digits)
		strtod(cell, &end);
	return digits && end > cell && !*end;
}

void gns_text_csv(FILE *out, const char *cell)
{
	bool formula = *cell && strchr("=+-@\t\r\n", *cell) && !is_number(cell);
	bool quoted = formula || cell[strcspn(cell, "\",\r\n")];
	if (quoted)
		fputc('"', out);
	if (formula)
		fputc('\'', out);
	while (*cell) {
		uint32_t point = 0;
		size_t n = gns_text_decode(cell, &point);
		if (*cell == '"')
			fputc('"', out);
		if (n > 0 && passes(point))
			fwrite(cell, 1, n, out);
		else
			fputc('?', out);
		cell += n > 0 ? n : 1;
	}
	if (quoted)
		fputc('"', out);
}
