/* See output.h. */
#include "profiler/cli/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/cli/cli.h"

#define LOOK (4 << 20)

static bool is_ours(const char *path, const char *mark)
{
	FILE *file = mark ? fopen(path, "rb") : NULL;
	char *text = file ? malloc(LOOK) : NULL;
	size_t n = text ? fread(text, 1, LOOK, file) : 0;
	bool pdf = n > 4 && memcmp(text, "%PDF", 4) == 0, yes = text && n == 0;
	if (!yes && n > 0)
		yes = memmem(text, pdf || n < 4096 ? n : 4096, mark, strlen(mark)) != NULL;
	free(text);
	if (file)
		fclose(file);
	return yes;
}

static int folder_trouble(const char *path, int code, struct gns_error *err)
{
	const char *slash = strrchr(path, '/');
	char folder[4096] = ".";
	struct stat st;
	if (slash)
		snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (code == ENOENT && stat(folder, &st) != 0)
		return gns_fail(err, -code, "cannot write '%s': there is no folder '%s'", path, folder);
	return gns_fail(err, -code, "cannot write '%s': the folder '%s' cannot be written to: %s", path, folder, strerror(code));
}

static int open_beside(struct gns_output *o, struct gns_error *err)
{
	if (snprintf(o->temporary, sizeof o->temporary, "%s.XXXXXX", o->path) >= (int)sizeof o->temporary)
		return gns_fail(err, -ENAMETOOLONG, "cannot write '%.80s...': the path is too long", o->path);
	int fd = mkostemp(o->temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return folder_trouble(o->path, errno, err);
	o->file = fdopen(fd, "wb");
	if (o->file)
		return 0;
	close(fd);
	unlink(o->temporary);
	return gns_fail(err, -ENOMEM, "cannot write '%s': no memory left", o->path);
}

int gns_output_open(struct gns_output *o, const char *path, const char *ours, bool force, struct gns_error *err)
{
	struct stat st;
	*o = (struct gns_output){.path = path};
	if (strcmp(path, "-") == 0) {
		o->file = stdout;
		return 0;
	}
	bool there = stat(path, &st) == 0;
	if (there && S_ISDIR(st.st_mode))
		return gns_fail(err, -EISDIR, "cannot write '%s': it is a folder", path);
	if (there && !S_ISREG(st.st_mode)) {
		o->file = fopen(path, "wbe");
		return o->file ? 0 : gns_fail(err, -errno, "cannot write '%s': %s", path, strerror(errno));
	}
	if (there && !force && !is_ours(path, ours))
		return gns_fail(err, -EEXIST, "'%s' is there already and was not written by this command; --force replaces it", path);
	return open_beside(o, err);
}

int gns_output_close(struct gns_output *o, bool whole, struct gns_error *err)
{
	errno = 0;
	bool good = fflush(o->file) == 0 && !ferror(o->file);
	int code = good ? 0 : errno ? errno : EIO;
	if (o->file == stdout)
		return good ? 0 : gns_fail(err, -code, "cannot write the output: %s", strerror(code));
	if (fclose(o->file) != 0 && good) {
		code = errno;
		good = false;
	}
	if (good && whole && o->temporary[0] && rename(o->temporary, o->path) != 0) {
		code = errno;
		good = false;
	}
	if ((!good || !whole) && o->temporary[0])
		unlink(o->temporary);
	return good ? 0 : gns_fail(err, -code, "cannot write '%s': %s", o->path, strerror(code));
}

int gns_output_option(int c, char **argv, const struct gns_output_words *words, struct gns_output_choice *choice)
{
	switch (c) {
	case GNS_OUTPUT_STORE: choice->store = optarg; return -1;
	case 'o': choice->output = optarg; return -1;
	case GNS_OUTPUT_FORCE: choice->force = true; return -1;
	case GNS_OUTPUT_FORMAT:
		if ((choice->format = gns_cli_word(optarg, words->formats, words->n_formats)) < 0)
			return gns_cli_usage(argv[0], "no such format '%s': %s", optarg, words->listed);
		return -1;
	case 'h': fputs(words->help, stdout); return GNS_EXIT_OK;
	default: return gns_cli_bad_option(argv, c);
	}
}
