/* What jansson refuses, made an honest null. */
#include "profiler/cli/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"

json_t *gns_json_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *gns_json_count(long long value)
{
	return value >= 0 ? json_integer(value) : json_null();
}

json_t *gns_json_text(const char *text)
{
	if (!text || !*text)
		return json_null();
	json_t *value = json_string(text);
	if (value)
		return value;
	size_t size = strlen(text) * 4 + 1;
	char *safe = malloc(size);
	value = safe ? json_string(gns_text_safe(safe, size, text)) : NULL;
	free(safe);
	return value ? value : json_null();
}

void gns_json_limits(json_t *object, const char *name, double value, double lo, double hi)
{
	char key[32];
	json_object_set_new(object, name, gns_json_number(value));
	snprintf(key, sizeof key, "%s_lo", name);
	json_object_set_new(object, key, gns_json_number(lo));
	snprintf(key, sizeof key, "%s_hi", name);
	json_object_set_new(object, key, gns_json_number(hi));
}

int gns_json_dump(const json_t *value, size_t flags, FILE *out)
{
	char *text = value ? json_dumps(value, flags) : NULL;
	int rc = text ? gns_text_json(out, text) : -1;
	free(text);
	return rc;
}

int gns_json_print(const char *command, json_t *value, FILE *out)
{
	int rc = gns_json_dump(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17), out);
	json_decref(value);
	if (rc != 0)
		return gns_cli_fail(command, "cannot write JSON: %s", errno ? strerror(errno) : "no memory");
	fputc('\n', out);
	return GNS_EXIT_OK;
}
