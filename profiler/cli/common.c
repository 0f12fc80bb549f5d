/* Sentences, options and the store, as every command needs them. */
#include "profiler/cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/text.h"
#include "store/adopt.h"
#include "store/spool.h"

__attribute__((format(printf, 2, 0))) static void say(const char *command, const char *fmt, va_list ap, const char *more)
{
	char text[2048], safe[2048];
	vsnprintf(text, sizeof text, fmt, ap);
	gns_text_safe(safe, sizeof safe, text);
	fflush(stdout);
	fprintf(stderr, "gnscope%s%s: %s%s%s%s\n", command ? " " : "", command ? command : "", safe, more ? "; see 'gnscope " : "",
		more ? more : "", more ? "'" : "");
}

int gns_cli_fail(const char *command, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(command, fmt, ap, NULL);
	va_end(ap);
	return GNS_EXIT_FAIL;
}

int gns_cli_fail_of(const char *command, const struct gns_error *err, int rc)
{
	return gns_cli_fail(command, "%s", err->text[0] ? err->text : strerror(-rc));
}

int gns_cli_usage(const char *command, const char *fmt, ...)
{
	char help[64];
	va_list ap;
	va_start(ap, fmt);
	if (command)
		snprintf(help, sizeof help, "%s --help", command);
	say(command, fmt, ap, command ? help : "help");
	va_end(ap);
	return GNS_EXIT_USAGE;
}

int gns_cli_bad_option(char **argv, int opt)
{
	const char *word = optind > 0 ? argv[optind - 1] : "";
	bool is_long = strncmp(word, "--", 2) == 0;
	if (opt == ':' && is_long)
		return gns_cli_usage(argv[0], "option '%s' needs a value", word);
	if (opt == ':')
		return gns_cli_usage(argv[0], "option '-%c' needs a value", optopt);
	if (is_long && optopt)
		return gns_cli_usage(argv[0], "option '%.*s' takes no value", (int)strcspn(word, "="), word);
	if (is_long)
		return gns_cli_usage(argv[0], "no such option '%s'", word);
	return gns_cli_usage(argv[0], "no such option '-%c'", optopt);
}

int gns_cli_integer(const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		return -EINVAL;
	*out = value;
	return 0;
}

int gns_cli_number(const char *text, double *out)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !isfinite(value))
		return -EINVAL;
	*out = value;
	return 0;
}

int gns_cli_word(const char *word, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (strcasecmp(word, words[i]) == 0)
			return i;
	return -1;
}

int gns_cli_store_path(const char *given, char *buf, size_t size, struct gns_error *err)
{
	if (!given || !*given)
		given = getenv("GNSCOPE_STORE");
	if (!given || !*given) {
		int rc = gns_store_default_path(buf, size);
		if (rc == -ENOENT)
			return gns_fail(err, rc, "no place for the store: neither XDG_STATE_HOME nor HOME is set; give --store FILE");
		return rc ? gns_fail(err, rc, "the default store's path is too long; give --store FILE") : 0;
	}
	char cwd[4096] = "";
	if (*given != '/' && !getcwd(cwd, sizeof cwd))
		return gns_fail(err, -errno, "cannot find the current folder, which '%s' is relative to: %s; give an absolute path",
				given, strerror(errno));
	int n = snprintf(buf, size, "%s%s%s", cwd, *cwd ? "/" : "", given);
	return n < 0 || (size_t)n >= size ? gns_fail(err, -ENAMETOOLONG, "the store's path is too long: %s", given) : 0;
}

int gns_cli_open_read(const char *command, const char *given, struct gns_store **out)
{
	char path[4096];
	struct gns_error err = {""};
	int rc = gns_cli_store_path(given, path, sizeof path, &err);
	if (!rc)
		rc = gns_store_open_read(path, out, &err);
	if (rc)
		return gns_cli_fail_of(command, &err, rc);
	return 0;
}

int gns_cli_open_run(const char *command, const char *given, const char *ref, struct gns_store **out, int64_t *run_id)
{
	struct gns_error err = {""};
	int rc = gns_cli_open_read(command, given, out);
	if (rc)
		return rc;
	rc = gns_store_find_run(*out, ref, run_id, &err);
	if (!rc)
		return 0;
	gns_store_close(*out);
	return gns_cli_fail_of(command, &err, rc);
}

int gns_cli_adopt(const char *command, const char *store)
{
	struct gns_adopted adopted;
	gns_adopt_sessions(store, &adopted);
	if (adopted.sessions)
		gns_cli_fail(command, "%d session%s found whose processes were all killed: the last of %s steps are stored now, the run%s "
			     "ended as \"lost\"", adopted.sessions, adopted.sessions == 1 ? " was" : "s were",
			     adopted.sessions == 1 ? "its" : "their", adopted.sessions == 1 ? "" : "s");
	if (adopted.left)
		gns_cli_fail(command, "%d session%s of killed processes could not be stored and stay%s in shared memory: %s", adopted.left,
			     adopted.left == 1 ? "" : "s", adopted.left == 1 ? "s" : "", adopted.text.text);
	int spools = gns_spool_import_all(store);
	if (spools)
		gns_cli_fail(command, "%d file%s with runs that could not be stored before %s in the store now", spools, spools == 1 ? "" : "s",
			     spools == 1 ? "is" : "are");
	return adopted.sessions + spools;
}

char *gns_cli_time(char *dst, size_t size, uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	struct tm tm;
	if (!realtime_ns || !localtime_r(&seconds, &tm) || !strftime(dst, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(dst, size, "-");
	return dst;
}
