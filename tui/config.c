/* See config.h. */
#include "tui/config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const x_names[] = {"steps", "samples", "time", NULL};
static const char *const cost_names[] = {"steps", "hours", "money", NULL};
static const char *const fold_names[] = {"off", "blocks", "tops", NULL};
static const char *const sort_names[] = {"given", "name", "first", "second", "third", NULL};
static const char *const mark_names[] = {"ascii", "block", "braille", NULL};
static const char *const yes_names[] = {"no", "yes", NULL};
static const char *const sorted[] = {[GNS_VIEW_LAYERS] = "sort_layers", [GNS_VIEW_KERNELS] = "sort_kernels", [GNS_VIEW_RUNS] = "sort_runs"};

int gns_top_config_path(char *buf, size_t size)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = -1;
	if (config && config[0] == '/')
		n = snprintf(buf, size, "%s/gnscope/top.conf", config);
	else if (home && home[0])
		n = snprintf(buf, size, "%s/.config/gnscope/top.conf", home);
	return n < 0 ? -ENOENT : (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int index_of(const char *const *names, const char *value)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], value) == 0)
			return i;
	return -1;
}

static bool take_number(const char *value, double *out)
{
	char *end;
	double number = strtod(value, &end);
	if (end == value || *end || !isfinite(number) || number < 0)
		return false;
	*out = number;
	return true;
}

static bool take_sort(struct gns_ui *ui, const char *name, const char *value)
{
	for (int view = GNS_VIEW_LAYERS; view <= GNS_VIEW_RUNS; view++)
		if (strcmp(name, sorted[view]) == 0) {
			int sort = index_of(sort_names, value + (value[0] == '-'));
			if (sort < 0)
				return false;
			ui->sort[view] = (enum gns_sort)sort;
			ui->reverse[view] = value[0] == '-';
			return true;
		}
	return false;
}

static bool take(struct gns_top *top, const char *name, const char *value)
{
	struct gns_ui *ui = &top->ui;
	int i = -1;
	if (strcmp(name, "view") == 0)
		return gns_view_find(value, &ui->view) == 0;
	if (strcmp(name, "theme") == 0)
		return gns_theme_find(value, &top->theme) == 0;
	if (strcmp(name, "price") == 0)
		return take_number(value, &ui->price);
	if (strcmp(name, "devices") == 0)
		return take_number(value, &ui->devices);
	if (strcmp(name, "x_axis") == 0 && (i = index_of(x_names, value)) >= 0)
		ui->x_axis = (enum gns_x_axis)i;
	else if (strcmp(name, "cost_axis") == 0 && (i = index_of(cost_names, value)) >= 0)
		ui->cost_axis = (enum gns_cost_axis)i;
	else if (strcmp(name, "fold") == 0 && (i = index_of(fold_names, value)) >= 0)
		ui->fold = (enum gns_fold)i;
	else if (strcmp(name, "mouse") == 0 && (i = index_of(yes_names, value)) >= 0)
		top->mouse = i == 1;
	else if (strcmp(name, "marks") == 0 && (i = index_of(mark_names, value)) >= 0)
		ui->renderer = gns_renderer(top->ascii ? GNS_RENDER_ASCII : (enum gns_renderer_kind)i);
	return i >= 0 || take_sort(ui, name, value);
}

void gns_top_config_read(struct gns_top *top, const char *path)
{
	char line[256], name[64], value[128];
	FILE *file = fopen(path, "re");
	int number = 0;
	while (file && fgets(line, sizeof line, file)) {
		number++;
		line[strcspn(line, "#\n")] = 0;
		int words = sscanf(line, "%63s %127s", name, value);
		if (words < 1 || (words == 2 && take(top, name, value)) || top->ui.notice[0])
			continue;
		snprintf(top->ui.notice, sizeof top->ui.notice, "line %d is not understood and passed over: %.40s (%.120s)", number, line, path);
	}
	if (file)
		fclose(file);
}

static void put(FILE *f, const struct gns_top *top)
{
	const struct gns_ui *ui = &top->ui;
	int marks = ui->renderer == gns_renderer(GNS_RENDER_ASCII) ? 0 : ui->renderer == gns_renderer(GNS_RENDER_BLOCK) ? 1 : 2;
	fprintf(f, "# gnscope top, written on request (key W)\nview %s\nx_axis %s\ncost_axis %s\nprice %.12g\ndevices %.12g\n",
		gns_views[ui->view].name, x_names[ui->x_axis], cost_names[ui->cost_axis], ui->price, ui->devices);
	fprintf(f, "theme %s\nmarks %s\nmouse %s\nfold %s\n", gns_theme_names[top->theme], mark_names[marks], yes_names[top->mouse],
		fold_names[ui->fold]);
	for (int view = GNS_VIEW_LAYERS; view <= GNS_VIEW_RUNS; view++)
		fprintf(f, "%s %s%s\n", sorted[view], ui->reverse[view] ? "-" : "", sort_names[ui->sort[view]]);
}

static void make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0700);
		*slash = '/';
	}
}

int gns_top_config_write(const struct gns_top *top, const char *path, struct gns_error *err)
{
	char copy[4096], fresh[4110];
	if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
		return gns_fail(err, -ENAMETOOLONG, "the settings were not written: the path is too long");
	make_folders(copy);
	snprintf(fresh, sizeof fresh, "%s.new", path);
	FILE *file = fopen(fresh, "we");
	if (!file)
		return gns_fail(err, -errno, "the settings were not written to %s: %s", path, strerror(errno));
	put(file, top);
	bool good = fflush(file) == 0 && !ferror(file);
	good = fclose(file) == 0 && good;
	if (good && rename(fresh, path) == 0)
		return 0;
	int rc = gns_fail(err, -errno, "the settings were not written to %s: %s", path, strerror(errno));
	unlink(fresh);
	return rc;
}
