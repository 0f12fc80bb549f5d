/* Numbers and text from the store as JSON values: what is absent is null, text is valid UTF-8. */
#ifndef GNS_PROFILER_CLI_JSON_H
#define GNS_PROFILER_CLI_JSON_H

#include <jansson.h>
#include <stdio.h>

json_t *gns_json_number(double value);         /* NaN and infinities: null */
json_t *gns_json_text(const char *text);       /* "": null; bytes that are no UTF-8 are made harmless */
json_t *gns_json_count(long long value);       /* negative: null */
/* NAME, NAME_lo and NAME_hi. */
void gns_json_limits(json_t *object, const char *name, double value, double lo, double hi);
/* By the flags of json_dumps; what could harm a terminal is written as \uXXXX. 0 or -1. */
int gns_json_dump(const json_t *value, size_t flags, FILE *out);
/* Indented, numbers with 17 digits, a newline at the end; takes the value. Returns an exit status. */
int gns_json_print(const char *command, json_t *value, FILE *out);

#endif
