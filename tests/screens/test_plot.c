/* Plots against cells worked out by hand, ticks against their definition, and nothing outside a frame. */
#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/plot.h"

static struct gns_canvas canvas;

static void setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	cr_assert_eq(gns_canvas_init(&canvas, 80, 24, false), 0);
}

static void teardown(void)
{
	gns_canvas_free(&canvas);
}

static const char *glyph(int x, int y)
{
	return gns_canvas_at(&canvas, x, y)->glyph;
}

/* y from 1 to 1000 (log), 7 rows inside: row 0 is 1000, 3 is 31.6, 6 is 1. x from 0 to 10, 11 columns: one a unit. */
static struct gns_plot plain(void)
{
	struct gns_plot plot = {.frame = {4, 2, 17, 9}, .x = {0, 10, false}, .y = {1, 1000, true}};
	struct gns_rect in = gns_plot_inside(&plot);
	plot.frame.w += 11 - in.w;
	return plot;
}

Test(plot, marks_and_levels_in_their_cells, .init = setup, .fini = teardown)
{
	struct gns_plot plot = plain();
	plot.marks[plot.n_marks++] = (struct gns_mark){.x = 3, .y = 100, .here = true};
	plot.marks[plot.n_marks++] = (struct gns_mark){.x = 10, .y = 1};
	plot.levels[plot.n_levels++] = (struct gns_level){.y = 10};
	struct gns_rect in = gns_plot_inside(&plot);
	cr_assert_eq(in.w, 11);
	cr_assert_eq(in.h, 7);
	cr_assert(gns_plot_draw(&canvas, gns_renderer(GNS_RENDER_BRAILLE), &plot));
	cr_expect_str_eq(glyph(in.x + 3, in.y + 2), "●");
	cr_expect_str_eq(glyph(in.x + 10, in.y + 6), "◆");
	for (int x = 0; x < 11; x++)
		cr_expect_str_eq(glyph(in.x + x, in.y + 4), "─");
	cr_expect_str_eq(glyph(in.x - 1, in.y + 0), "┤"); /* 1k */
	cr_expect_str_eq(glyph(in.x - 1, in.y + 2), "┤"); /* 100 */
	cr_expect_str_eq(glyph(in.x - 2, in.y + 6), "1");
}

Test(plot, line_goes_through_its_points_and_leaves_gaps, .init = setup, .fini = teardown)
{
	double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, y[] = {1, 1, 1, NAN, NAN, 1000, 1000, 1000, 1000, 1000, 1000};
	struct gns_plot plot = plain();
	plot.curves[plot.n_curves++] = (struct gns_curve){.x = x, .y = y, .n = 11, .role = GNS_ROLE_NOISE};
	struct gns_rect in = gns_plot_inside(&plot);
	for (int kind = 0; kind < 3; kind++) {
		gns_canvas_clear(&canvas);
		cr_assert(gns_plot_draw(&canvas, gns_renderer((enum gns_renderer_kind)kind), &plot));
		for (int i = 0; i < 11; i++)
			for (int row = 0; row < in.h; row++) {
				bool drawn = strcmp(glyph(in.x + i, in.y + row), " ") != 0;
				bool expected = (i <= 2 && row == 6) || (i >= 5 && row == 0);
				cr_expect_eq(drawn, expected, "renderer %d, column %d, row %d: '%s'", kind, i, row, glyph(in.x + i, in.y + row));
			}
	}
}

Test(plot, every_dot_row_of_a_steep_line_is_set, .init = setup, .fini = teardown)
{
	double x[] = {5, 5.4}, y[] = {1, 1000};
	struct gns_plot plot = plain();
	plot.curves[plot.n_curves++] = (struct gns_curve){.x = x, .y = y, .n = 2, .role = GNS_ROLE_NOISE};
	struct gns_rect in = gns_plot_inside(&plot);
	cr_assert(gns_plot_draw(&canvas, gns_renderer(GNS_RENDER_BRAILLE), &plot));
	for (int row = 0; row < in.h; row++)
		cr_expect(strcmp(glyph(in.x + 5, in.y + row), " ") != 0, "row %d", row);
}

Test(plot, band_covers_what_lies_between, .init = setup, .fini = teardown)
{
	double x[] = {0, 10}, y[] = {1000, 1000}, lo[] = {10, 10}, hi[] = {100, 100};
	struct gns_plot plot = plain();
	plot.curves[plot.n_curves++] = (struct gns_curve){x, y, lo, hi, 2, GNS_ROLE_NOISE};
	struct gns_rect in = gns_plot_inside(&plot);
	cr_assert(gns_plot_draw(&canvas, gns_renderer(GNS_RENDER_BLOCK), &plot));
	for (int i = 0; i < 11; i++)
		for (int row = 1; row < in.h; row++) /* 100 is row 2, 10 is row 4 */
			cr_expect_eq(strcmp(glyph(in.x + i, in.y + row), "░") == 0, row >= 2 && row <= 4, "column %d row %d", i, row);
}

Test(plot, unresolved_is_a_lower_bound, .init = setup, .fini = teardown)
{
	double x[] = {0, 4, 6, 10}, y[] = {NAN, NAN, 31.6, 31.6}, lo[] = {10, 10, 31, 31}, hi[] = {NAN, NAN, 32, 32};
	struct gns_plot plot = plain();
	plot.curves[plot.n_curves++] = (struct gns_curve){x, y, lo, hi, 4, GNS_ROLE_NOISE};
	struct gns_rect in = gns_plot_inside(&plot);
	cr_assert(gns_plot_draw(&canvas, gns_renderer(GNS_RENDER_ASCII), &plot));
	for (int i = 0; i <= 4; i++) {
		cr_expect_str_eq(glyph(in.x + i, in.y + 4), "^", "column %d", i);
		cr_expect_str_eq(glyph(in.x + i, in.y + 5), " ");
		int sparse = 0;
		for (int row = 0; row < 4; row++)
			sparse += strcmp(glyph(in.x + i, in.y + row), ",") == 0;
		cr_expect_eq(sparse, 2);
	}
	cr_expect_str_eq(glyph(in.x + 5, in.y + 4), " ");
	cr_expect_str_eq(glyph(in.x + 8, in.y + 3), "-");
}

static double uniform(void)
{
	return (double)rand() / RAND_MAX;
}

Test(plot, nothing_outside_the_frame, .init = setup, .fini = teardown)
{
	srand(1);
	for (int trial = 0; trial < 3000; trial++) {
		double x[50], y[50], lo[50], hi[50];
		bool log = trial % 2;
		struct gns_plot plot = {.frame = {rand() % 30, rand() % 10, 1 + rand() % 50, 1 + rand() % 14},
					.x = {0, 49, false}, .y = gns_axis_empty(log), .x_title = "step", .y_title = trial % 3 ? "samples" : NULL};
		for (int i = 0; i < 50; i++) {
			x[i] = i + 4 * (uniform() - 0.5);
			y[i] = rand() % 5 ? pow(10, 12 * uniform() - 6) : NAN;
			lo[i] = rand() % 7 ? y[i] * uniform() : pow(10, uniform());
			hi[i] = rand() % 7 ? y[i] / uniform() : NAN;
		}
		gns_axis_include(&plot.y, pow(10, 4 * uniform()));
		gns_axis_include(&plot.y, pow(10, -4 * uniform()));
		gns_axis_round(&plot.y);
		plot.curves[plot.n_curves++] = (struct gns_curve){x, y, lo, hi, 50, GNS_ROLE_NOISE};
		plot.levels[plot.n_levels++] = (struct gns_level){.y = uniform(), .label = "B_crit 985"};
		plot.levels[plot.n_levels++] = (struct gns_level){.y = uniform(), .label = "batch 256", .dashed = true};
		plot.marks[plot.n_marks++] = (struct gns_mark){.x = 60 * uniform(), .y = uniform(), .label = "you are here"};
		plot.marks[plot.n_marks++] = (struct gns_mark){.x = 60 * uniform(), .y = uniform(), .label = "B_crit"};
		gns_canvas_clear(&canvas);
		gns_plot_draw(&canvas, gns_renderer((enum gns_renderer_kind)(trial % 3)), &plot);
		struct gns_rect f = plot.frame;
		for (int cy = 0; cy < canvas.height; cy++)
			for (int cx = 0; cx < canvas.width; cx++) {
				bool inside = cx >= f.x && cx < f.x + f.w && cy >= f.y && cy < f.y + f.h;
				cr_assert(inside || strcmp(glyph(cx, cy), " ") == 0, "trial %d: '%s' at %d,%d outside %d,%d %dx%d", trial,
					  glyph(cx, cy), cx, cy, f.x, f.y, f.w, f.h);
			}
	}
}

Test(axis, ticks_are_round_and_within)
{
	srand(2);
	for (int trial = 0; trial < 20000; trial++) {
		double a = pow(10, 24 * uniform() - 12), b = a * (1 + pow(10, 8 * uniform() - 3)), ticks[GNS_TICKS_MAX];
		struct gns_axis axis = {trial % 2 ? a : a - b, b, trial % 2};
		size_t max = 1 + (size_t)(rand() % 12), n = gns_axis_ticks(&axis, max, ticks);
		cr_assert(n <= max, "%zu of %zu", n, max);
		for (size_t i = 0; i < n; i++) {
			double slack = 1e-6 * (axis.hi - axis.lo);
			cr_assert(ticks[i] >= axis.lo - slack && ticks[i] <= axis.hi + slack, "%g in %g..%g", ticks[i], axis.lo, axis.hi);
			cr_assert(i == 0 || ticks[i] > ticks[i - 1]);
		}
	}
	struct gns_axis log = {100, 5000, true};
	double ticks[GNS_TICKS_MAX], expected[] = {100, 200, 500, 1000, 2000, 5000};
	cr_assert_eq(gns_axis_ticks(&log, 8, ticks), 6);
	for (int i = 0; i < 6; i++)
		cr_expect_float_eq(ticks[i], expected[i], 1e-9 * expected[i]);
	struct gns_axis linear = {1, 2000, false};
	cr_assert_eq(gns_axis_ticks(&linear, 5, ticks), 4);
	cr_expect_float_eq(ticks[0], 500, 1e-9);
	cr_expect_float_eq(ticks[3], 2000, 1e-9);
}

Test(axis, place_and_value_are_inverse)
{
	struct gns_axis axes[] = {{1, 1000, true}, {-5, 5, false}};
	for (int k = 0; k < 2; k++)
		for (double place = 0; place <= 1; place += 0.01)
			cr_assert_float_eq(gns_axis_place(&axes[k], gns_axis_value(&axes[k], place)), place, 1e-12);
	cr_expect(isnan(gns_axis_place(&axes[0], -1)) && isnan(gns_axis_place(&axes[0], 0)) && isnan(gns_axis_place(&axes[1], NAN)));
}

Test(bar, eighths, .init = setup, .fini = teardown)
{
	gns_bar(&canvas, gns_renderer(GNS_RENDER_BLOCK), 0, 0, 8, 0.5 + 3.0 / 64, GNS_ROLE_TEXT); /* 4 cells and 3/8 */
	cr_expect_str_eq(glyph(3, 0), "█");
	cr_expect_str_eq(glyph(4, 0), "▍");
	cr_expect_str_eq(glyph(5, 0), " ");
	gns_bar(&canvas, gns_renderer(GNS_RENDER_BLOCK), 0, 1, 8, 7, GNS_ROLE_TEXT);
	cr_expect_str_eq(glyph(7, 1), "█");
	cr_expect_str_eq(glyph(8, 1), " ");
	gns_bar(&canvas, gns_renderer(GNS_RENDER_BLOCK), 0, 2, 8, NAN, GNS_ROLE_TEXT);
	gns_bar(&canvas, gns_renderer(GNS_RENDER_BLOCK), 0, 2, 8, -1, GNS_ROLE_TEXT);
	cr_expect_str_eq(glyph(0, 2), " ");
}

/* Each part has the columns between the rounded sums. */
Test(bar, parts_of_a_whole, .init = setup, .fini = teardown)
{
	static const enum gns_role roles[] = {GNS_ROLE_TIME, GNS_ROLE_WARN, GNS_ROLE_CRIT, GNS_ROLE_FAINT};
	static const struct {
		double shares[4];
		const char *drawn;
	} cases[] = {
		{{0.5, 0.25, 0.125, 0.125}, "########====~~.."}, {{0.72, 0.06, 0.02, 0.2}, "############~..."}, /* 11.52, 12.48, 12.8 */
		{{0, 0, 0, 1}, "................"}, {{2, 1, 1, 1}, "################"}, {{NAN, -1, 0.5, 0.5}, "~~~~~~~~........"}, {{0.25, 0, 0, 0}, "####            "},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		gns_canvas_clear(&canvas);
		gns_parts(&canvas, gns_renderer(GNS_RENDER_ASCII), 1, 0, 16, cases[i].shares, roles, 4);
		for (int x = 0; x < 16; x++)
			cr_expect_eq(gns_canvas_at(&canvas, 1 + x, 0)->glyph[0], cases[i].drawn[x], "case %zu, column %d: %s", i, x,
				     gns_canvas_at(&canvas, 1 + x, 0)->glyph);
		cr_expect_eq(gns_canvas_at(&canvas, 17, 0)->glyph[0], ' ');
		cr_expect_eq(gns_canvas_at(&canvas, 0, 0)->glyph[0], ' ');
	}
}

Test(bar, spark_scales_and_leaves_blanks, .init = setup, .fini = teardown)
{
	double values[] = {0, 1, NAN, 8};
	gns_spark(&canvas, gns_renderer(GNS_RENDER_BLOCK), 0, 0, 4, values, 4, GNS_ROLE_TEXT);
	cr_expect_str_eq(glyph(0, 0), "▁");
	cr_expect_str_eq(glyph(1, 0), "▂");
	cr_expect_str_eq(glyph(2, 0), " ");
	cr_expect_str_eq(glyph(3, 0), "█");
	cr_expect_str_eq(glyph(4, 0), " ");
	gns_spark(&canvas, gns_renderer(GNS_RENDER_BLOCK), 0, 1, 8, values, 4, GNS_ROLE_TEXT);
	cr_expect_str_eq(glyph(5, 1), " ");
	cr_expect_str_eq(glyph(6, 1), "█");
	cr_expect_str_eq(glyph(7, 1), "█");
}

Test(canvas, clips_cuts_and_replaces, .init = setup, .fini = teardown)
{
	cr_expect_eq(gns_canvas_text(&canvas, 76, 0, 10, GNS_ROLE_TEXT, "abcdef"), 4);
	cr_expect_str_eq(glyph(78, 0), "c");
	cr_expect_str_eq(glyph(79, 0), "…");
	cr_expect_eq(gns_canvas_text(&canvas, 0, 1, 80, GNS_ROLE_TEXT, "\033[2J\xff\xc3"), 6);
	cr_expect_str_eq(glyph(0, 1), "?");
	cr_expect_str_eq(glyph(4, 1), "?");
	cr_expect_eq(gns_canvas_text(&canvas, 0, 2, 80, GNS_ROLE_TEXT, "训练"), 4);
	cr_expect(gns_canvas_at(&canvas, 1, 2)->flags & GNS_CELL_TAIL);
	gns_canvas_put(&canvas, 1, 2, "x", GNS_ROLE_TEXT); /* half of a wide character is none */
	cr_expect_str_eq(glyph(0, 2), " ");
	gns_canvas_put(&canvas, -1, 0, "x", GNS_ROLE_TEXT);
	gns_canvas_put(&canvas, 0, 24, "x", GNS_ROLE_TEXT);
	cr_expect_eq(gns_canvas_wrap(&canvas, (struct gns_rect){0, 5, 5, 3}, GNS_ROLE_TEXT, "one two three four five"), 3);
	cr_expect_str_eq(glyph(0, 6), "t");
	struct gns_canvas bad;
	cr_expect_eq(gns_canvas_init(&bad, 0, 5, false), -EINVAL);
	cr_expect_eq(gns_canvas_init(&bad, 5, GNS_CANVAS_MAX + 1, false), -EINVAL);
}
