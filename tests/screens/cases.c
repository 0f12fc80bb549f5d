/* See cases.h. */
#include "tests/screens/cases.h"

#include <stdlib.h>

#define A GNS_RENDER_ASCII
#define B GNS_RENDER_BLOCK
#define U GNS_RENDER_BRAILLE

const struct screen_case screen_cases[] = {
	{"now-40x10", model_training, GNS_VIEW_NOW, 40, 10, U, .help = false},
	{"now-80x24", model_training, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"now-80x24-ascii", model_training, GNS_VIEW_NOW, 80, 24, A, .help = false},
	{"now-80x24-block", model_training, GNS_VIEW_NOW, 80, 24, B, .help = false},
	{"now-100x30-window-paused", model_training, GNS_VIEW_NOW, 100, 30, U, .paused = true, .window = 1000},
	{"now-200x60", model_training, GNS_VIEW_NOW, 200, 60, U, .help = false},
	{"now-unresolved-80x24", model_unresolved, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"now-unresolved-40x10-ascii", model_unresolved, GNS_VIEW_NOW, 40, 10, A, .help = false},
	{"now-finished-80x24", model_finished, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"now-waiting-80x24", model_waiting, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"now-waiting-40x10", model_waiting, GNS_VIEW_NOW, 40, 10, U, .help = false},
	{"now-no-store-80x24", model_no_store, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"now-no-run-80x24", model_no_run, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"tradeoff-40x10", model_training, GNS_VIEW_TRADEOFF, 40, 10, U, .help = false},
	{"tradeoff-80x24", model_training, GNS_VIEW_TRADEOFF, 80, 24, U, .help = false},
	{"tradeoff-80x24-ascii", model_training, GNS_VIEW_TRADEOFF, 80, 24, A, .help = false},
	{"tradeoff-200x60", model_training, GNS_VIEW_TRADEOFF, 200, 60, U, .help = false},
	{"tradeoff-unresolved-80x24", model_unresolved, GNS_VIEW_TRADEOFF, 80, 24, U, .help = false},
	{"layers-40x10", model_training, GNS_VIEW_LAYERS, 40, 10, U, .help = false},
	{"layers-80x24", model_training, GNS_VIEW_LAYERS, 80, 24, U, .help = false},
	{"layers-120x24-ascii", model_training, GNS_VIEW_LAYERS, 120, 24, A, .help = false},
	{"kernels-80x24", model_training, GNS_VIEW_KERNELS, 80, 24, U, .help = false},
	{"kernels-120x24", model_training, GNS_VIEW_KERNELS, 120, 24, U, .help = false},
	{"now-device-80x24", model_device, GNS_VIEW_NOW, 80, 24, U, .help = false},
	{"now-devices-100x30", model_devices, GNS_VIEW_NOW, 100, 30, U, .help = false},
	{"kernels-device-80x24", model_device, GNS_VIEW_KERNELS, 80, 24, U, .help = false},
	{"kernels-device-160x24-ascii", model_device, GNS_VIEW_KERNELS, 160, 24, A, .help = false},
	{"kernels-device-40x12", model_device, GNS_VIEW_KERNELS, 40, 12, U, .help = false},
	{"kernels-devices-100x30", model_devices, GNS_VIEW_KERNELS, 100, 30, U, .help = false},
	{"kernels-devices-80x16", model_devices, GNS_VIEW_KERNELS, 80, 16, U, .help = false},
	{"kernels-no-times-80x24", model_no_kernel_times, GNS_VIEW_KERNELS, 80, 24, U, .help = false},
	{"health-device-80x24", model_device, GNS_VIEW_HEALTH, 80, 24, U, .help = false},
	{"runs-80x24", model_training, GNS_VIEW_RUNS, 80, 24, U, .help = false},
	{"runs-120x24", model_training, GNS_VIEW_RUNS, 120, 24, U, .help = false},
	{"health-80x24", model_training, GNS_VIEW_HEALTH, 80, 24, U, .help = false},
	{"health-40x10", model_training, GNS_VIEW_HEALTH, 40, 10, U, .help = false},
	{"help-80x24", model_training, GNS_VIEW_NOW, 80, 24, U, .help = true},
	{"hostile-80x24", model_hostile, GNS_VIEW_NOW, 80, 24, U, .help = false},
};
const size_t n_screen_cases = sizeof screen_cases / sizeof screen_cases[0];

char *screen_text(const struct screen_case *screen)
{
	struct gns_model model;
	struct gns_canvas canvas;
	struct gns_ui ui = {.renderer = gns_renderer(screen->kind), .view = screen->view, .help = screen->help, .paused = screen->paused};
	screen->model(&model);
	model.window = screen->window;
	if (gns_canvas_init(&canvas, screen->width, screen->height, screen->kind == GNS_RENDER_ASCII) != 0)
		abort();
	gns_screen_draw(&canvas, &model, &ui);
	char *text = gns_canvas_dump(&canvas);
	gns_canvas_free(&canvas);
	gns_model_free(&model);
	return text;
}
