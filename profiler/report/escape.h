/* Text from the database on its way into markup. */
#ifndef GNS_PROFILER_REPORT_ESCAPE_H
#define GNS_PROFILER_REPORT_ESCAPE_H

#include <stdio.h>

/* Between tags and inside double quotes of HTML, XML and SVG: control characters and invalid UTF-8 become '?', then & < > " ' are
 * written as entities. */
void gns_escape_html(FILE *out, const char *text);
/* The same of a text of several lines, which it keeps. */
void gns_escape_html_lines(FILE *out, const char *text);
/* Valid UTF-8 without control characters and without what XML forbids; never longer than `text`, in a buffer of strlen + 1. */
char *gns_escape_safe(char *dst, size_t size, const char *text);
/* In a paragraph or table cell of Markdown: nothing of it is read as markup, a line stays a line. */
void gns_escape_markdown(FILE *out, const char *text);

#endif
