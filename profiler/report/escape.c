/* See escape.h. */
#include "profiler/report/escape.h"

#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"

char *gns_escape_safe(char *dst, size_t size, const char *text)
{
	gns_text_safe(dst, size, text);
	for (char *at = dst; (at = strstr(at, "\xef\xbf")); at += 3)
		if ((unsigned char)at[2] >= 0xbe) /* U+FFFE, U+FFFF */
			memcpy(at, "???", 3);
	return dst;
}

/* NULL: no memory. */
static char *harmless(const char *text)
{
	size_t size = strlen(text) + 1;
	char *safe = malloc(size);
	return safe ? gns_escape_safe(safe, size, text) : NULL;
}

static const char *entity(char c)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	default: return NULL;
	}
}

void gns_escape_html(FILE *out, const char *text)
{
	char *safe = harmless(text);
	for (const char *c = safe ? safe : "?"; *c; c++) {
		const char *name = entity(*c);
		if (name)
			fputs(name, out);
		else
			fputc(*c, out);
	}
	free(safe);
}

void gns_escape_html_lines(FILE *out, const char *text)
{
	for (const char *end; *text; text = end) {
		char line[512];
		end = text + strcspn(text, "\n");
		snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
		gns_escape_html(out, line);
		if (*end == '\n')
			fputc(*end++, out);
	}
}

void gns_escape_markdown(FILE *out, const char *text)
{
	char *safe = harmless(text);
	for (const char *c = safe ? safe : "?"; *c; c++) {
		if (*c == '<' || *c == '>' || *c == '&')
			fputs(entity(*c), out);
		else if (strchr("\\`*_{}[]()#+!|~$", *c))
			fprintf(out, "\\%c", *c);
		else
			fputc(*c, out);
	}
	free(safe);
}
