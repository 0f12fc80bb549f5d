/* Screens to the letter, and screens of every size. */
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/screens/cases.h"

static void setup(void)
{
	cr_assert(setlocale(LC_CTYPE, "C.UTF-8"), "the locale C.UTF-8 is needed");
	setenv("TZ", "UTC", 1);
}

static char *read_expected(const char *name)
{
	char path[4096], *text = calloc(1, 1 << 20);
	snprintf(path, sizeof path, "%s/%s.txt", GNS_EXPECTED, name);
	FILE *f = fopen(path, "r");
	cr_assert(f && text, "cannot read %s", path);
	text[fread(text, 1, (1 << 20) - 1, f)] = 0;
	fclose(f);
	return text;
}

Test(screens, to_the_letter, .init = setup)
{
	for (size_t i = 0; i < n_screen_cases; i++) {
		char *expected = read_expected(screen_cases[i].name), *drawn = screen_text(&screen_cases[i]);
		cr_expect(strcmp(expected, drawn) == 0, "%s differs. Expected:\n%s\nDrawn:\n%s", screen_cases[i].name, expected, drawn);
		free(expected);
		free(drawn);
	}
}

/* Rows and columns of a dump, wide characters counted as two. */
static void check_size(const char *text, int width, int height, const char *what)
{
	struct gns_canvas canvas;
	int lines = 0;
	cr_assert_eq(gns_canvas_init(&canvas, 1, 1, false), 0);
	char *copy = strdup(text), *rest = copy;
	for (char *line; (line = strsep(&rest, "\n")) && rest; lines++) {
		cr_expect(gns_canvas_columns(&canvas, line) <= width, "%s at %dx%d: too wide: %s", what, width, height, line);
		for (const char *p = line; *p; p++)
			cr_expect((unsigned char)*p >= 0x20 && *p != 0x7f, "%s at %dx%d: control byte %02x", what, width, height, *p);
	}
	cr_expect_eq(lines, height, "%s at %dx%d: %d lines", what, width, height, lines);
	free(copy);
	gns_canvas_free(&canvas);
}

Test(screens, any_size_stays_within, .init = setup, .timeout = 300)
{
	static const int widths[] = {1, 2, 3, 5, 9, 16, 20, 33, 40, 41, 59, 60, 79, 80, 81, 100, 139, 140, 300};
	static const int heights[] = {1, 2, 3, 4, 5, 8, 10, 13, 16, 24, 25, 40, 100};
	static void (*const models[])(struct gns_model *) = {model_training, model_unresolved, model_waiting, model_no_store, model_no_run,
							     model_hostile, model_devices, model_no_kernel_times};
	for (size_t m = 0; m < sizeof models / sizeof *models; m++)
		for (int view = 0; view <= GNS_VIEWS; view++)
			for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
				for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
					struct screen_case screen = {"size", models[m], (enum gns_view)(view % GNS_VIEWS), widths[w], heights[h],
								     (enum gns_renderer_kind)((w + h) % 3), .help = view == GNS_VIEWS};
					char *text = screen_text(&screen);
					cr_assert_not_null(text);
					check_size(text, widths[w], heights[h], gns_views[view % GNS_VIEWS].name);
					free(text);
				}
}

/* A small generator, so that a failure comes again. */
static unsigned draw_number(unsigned *state, unsigned below)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % below;
}

static void random_choices(struct gns_ui *ui, unsigned *state)
{
	static const char *const filters[] = {"", "fc", "w", "\033[31m", "zzz"};
	*ui = (struct gns_ui){.renderer = gns_renderer((enum gns_renderer_kind)draw_number(state, 3)),
			      .view = (enum gns_view)draw_number(state, GNS_VIEWS), .help = draw_number(state, 8) == 0,
			      .x_axis = (enum gns_x_axis)draw_number(state, GNS_X_AXES), .replay = draw_number(state, 4) * 3.5,
			      .cost_axis = (enum gns_cost_axis)draw_number(state, GNS_COST_AXES), .price = draw_number(state, 3) * 1.25,
			      .fold = (enum gns_fold)draw_number(state, GNS_FOLDS), .n_marked = 2, .marked = {1, 2},
			      .prompt = draw_number(state, 6) ? NULL : "show only: ", .typed = "\xc3\xbc\033"};
	for (int view = 0; view < GNS_VIEWS; view++) {
		strcpy(ui->filter[view], filters[draw_number(state, 5)]);
		ui->sort[view] = (enum gns_sort)draw_number(state, GNS_SORTS);
		ui->reverse[view] = draw_number(state, 2);
		ui->selected[view] = draw_number(state, 40);
	}
	if (draw_number(state, 3) == 0)
		strcpy(ui->notice, "a notice\n\033[2J of the dashboard");
}

Test(screens, five_hundred_sizes_with_any_choices, .init = setup, .timeout = 120)
{
	static void (*const models[])(struct gns_model *) = {model_training, model_devices, model_hostile, model_waiting};
	unsigned state = 7;
	for (int round = 0; round < 500; round++) {
		struct gns_model model;
		struct gns_canvas canvas;
		struct gns_ui ui;
		int width = 1 + (int)draw_number(&state, 300), height = 1 + (int)draw_number(&state, 100);
		models[draw_number(&state, 4)](&model);
		for (int i = 0; i < 2 && model.n_points; i++) {
			model.overlay[i] = (struct gns_overlay){.run_id = i + 1, .samples_per_step = 256 << i, .step_ms = 12 << i, .n_points = model.n_points};
			model.overlay[i].points = malloc(model.n_points * sizeof *model.points);
			memcpy(model.overlay[i].points, model.points, model.n_points * sizeof *model.points);
			model.n_overlay++;
		}
		random_choices(&ui, &state);
		cr_assert_eq(gns_canvas_init(&canvas, width, height, ui.renderer == gns_renderer(GNS_RENDER_ASCII)), 0);
		gns_screen_draw(&canvas, &model, &ui);
		char *text = gns_canvas_dump(&canvas);
		check_size(text, width, height, gns_views[ui.view].name);
		free(text);
		gns_canvas_free(&canvas);
		gns_model_free(&model);
	}
}

/* An ASCII screen has ASCII only, whatever the model holds. */
Test(screens, ascii_is_ascii, .init = setup)
{
	static void (*const models[])(struct gns_model *) = {model_training, model_unresolved, model_hostile, model_devices};
	for (size_t m = 0; m < 4; m++)
		for (int view = 0; view < GNS_VIEWS; view++) {
			struct screen_case screen = {"ascii", models[m], (enum gns_view)view, 120, 40, GNS_RENDER_ASCII, .help = false};
			char *text = screen_text(&screen);
			for (const char *p = text; *p; p++)
				cr_assert(*p == '\n' || (*p >= 0x20 && *p < 0x7f), "%s: byte %02x", gns_views[view].name, (unsigned char)*p);
			free(text);
		}
}

/* The numbers on the screen are those of the model, worked out here from their definitions. */
Test(screens, numbers_are_the_models, .init = setup)
{
	struct screen_case screen = {"numbers", model_training, GNS_VIEW_TRADEOFF, 80, 24, GNS_RENDER_BRAILLE, .help = false};
	char *text = screen_text(&screen), row[64];
	double crit = 256 / 0.26;
	for (double batch = 32; batch <= 512; batch *= 2) {
		snprintf(row, sizeof row, "%.3g [", 1 + crit / batch);
		cr_expect(strstr(text, row), "batch %g: steps factor %s not on the screen", batch, row);
		snprintf(row, sizeof row, "%.0f%% [", 100 / (1 + batch / crit));
		cr_expect(strstr(text, row), "batch %g: share %s not on the screen", batch, row);
	}
	free(text);
	screen.view = GNS_VIEW_NOW;
	text = screen_text(&screen);
	cr_expect(strstr(text, "B_noise 1,840 samples (95% CI 1,610 to 2,120)"));
	free(text);
}

Test(screens, view_names)
{
	enum gns_view view;
	for (int i = 0; i < GNS_VIEWS; i++) {
		cr_expect(gns_view_find(gns_views[i].name, &view) == 0 && (int)view == i);
		cr_expect(gns_view_find((char[]){(char)('1' + i), 0}, &view) == 0 && (int)view == i);
	}
	cr_expect_eq(gns_view_find("7", &view), -EINVAL);
	cr_expect_eq(gns_view_find("", &view), -EINVAL);
	cr_expect_eq(gns_view_find("nowhere", &view), -EINVAL);
}
