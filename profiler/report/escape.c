/* See escape.h. */
#include "profiler/report/escape.h"

#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"

/* gns_text_safe never makes a text longer. XML forbids U+FFFE and U+FFFF, too. NULL: no memory. */
static char *harmless(const char *text)
{
	size_t size = strlen(text) + 1;
	char *safe = malloc(size);
	if (!safe)
		return NULL;
	gns_text_safe(safe, size, text);
	for (char *at = safe; (at = strstr(at, "\xef\xbf")); at += 3)
		if ((unsigned char)at[2] >= 0xbe)
			memcpy(at, "???", 3);
	return safe;
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
