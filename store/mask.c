/* See mask.h. */
#include "store/mask.h"

#include <stdio.h>
#include <string.h>

static const char mask[] = "***";

static bool is_private(const char *name, size_t length)
{
	static const char *const words[] = { "key", "token", "secret", "password" };
	char copy[128];
	snprintf(copy, sizeof copy, "%.*s", (int)(length < sizeof copy ? length : sizeof copy - 1), name);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasestr(copy, words[i]))
			return true;
	return false;
}

static void without_user(char *dst, size_t size, const char *text)
{
	size_t n = 0;
	const char *url;
	dst[0] = 0;
	while (n < size && (url = strstr(text, "://"))) {
		const char *host = url + 3, *end = host + strcspn(host, "/?# "), *at = memrchr(host, '@', (size_t)(end - host));
		n += (size_t)snprintf(dst + n, size - n, "%.*s%s", (int)(host - text), text, at ? mask : "");
		text = at ? at : host;
	}
	if (n < size)
		snprintf(dst + n, size - n, "%s", text);
}

void gns_mask_argument(char *dst, size_t size, const char *argument, bool *next)
{
	bool option = argument[0] == '-', value = *next && !option;
	const char *equals = strchr(argument, '=');
	*next = false;
	if (value)
		snprintf(dst, size, "%s", mask);
	else if (equals && strcspn(argument, " ") > (size_t)(equals - argument) && is_private(argument, (size_t)(equals - argument)))
		snprintf(dst, size, "%.*s=%s", (int)(equals - argument), argument, mask);
	else
		without_user(dst, size, argument);
	if (option && !equals)
		*next = is_private(argument, strlen(argument));
}
