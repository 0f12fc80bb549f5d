/* One finding of `gnscope doctor`. */
#include "profiler/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "gnscope/text.h"

int gns_finding(enum gns_finding kind, const char *about, const char *fmt, ...)
{
	static const char *const marks[] = {"ok", "note", "FAULT"};
	char text[2048], safe[2048];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	printf("%-5s  %-9s %s\n", marks[kind], about, gns_text_safe(safe, sizeof safe, text));
	return kind == GNS_FAULT;
}
