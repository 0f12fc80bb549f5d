/* The help page: every key, every word. */
#include "tui/view.h"

static const char *const lines[][2] = {
	{"1 .. 6", "the views: Now, Tradeoff, Layers, Kernels, Runs, Health"},
	{"Tab, left, right", "next or former view (also h, l)"},
	{"up, down", "move in a list or a text (also j, k, PgUp, PgDn, Home, End, g, G); in Now: zoom"},
	{"q", "quit; training continues"},
	{"p", "pause the display; training and recording continue"},
	{"", ""},
	{"+ -", "zoom in, out; 0: the whole run"},
	{"[ ]", "scroll back, forth by a quarter"},
	{"f", "freeze the steps shown, or follow the latest step again"},
	{"w", "window: the whole run, the last 10,000, 1,000 or 100 steps"},
	{"x", "axis of the curves: steps, samples, time"},
	{"r", "replay from the first step, or end it; < > slower, faster; Space pauses"},
	{"a", "Tradeoff: steps, hours, money"},
	{"$", "price of a device-hour; D: number of devices"},
	{"/", "Layers, Kernels, Runs: show only names with these letters; Esc shows all"},
	{"s S", "sort by the next column; turn the order around"},
	{"t", "Layers: fold by block, by first part, not at all; Enter opens a group"},
	{"m", "Runs: mark for the overlay (up to 4); M: no marks. Tradeoff takes their step times"},
	{"Enter", "Runs: show that run"},
	{"n N", "next older, next newer run"},
	{"P", "pause or resume measuring"},
	{"e", "measure every K-th step; 0: as configured"},
	{"b", "braille, block or ASCII; T: colours for a dark or a light background, or none"},
	{"W", "write these settings to the configuration file"},
	{"mouse", "wheel moves or zooms; a click takes a tab or a row"},
	{"", ""},
	{"B_noise", "noise of one sample's gradient over the gradient itself, in samples"},
	{"B_crit", "the batch at which steps and samples both cost twice their least"},
	{"[a to b]", "95% interval"},
	{"unresolved", "the gradient is lost in the noise: only a lower limit is known"},
	{"SNR", "signal to noise of one sample's gradient: 1 / B_noise (not GSNR, a mean over elements)"},
};

#define PAGE_ROWS 256

void gns_help_draw(struct gns_canvas *canvas, struct gns_rect body, struct gns_ui *ui)
{
	struct gns_canvas page;
	int y = 0, left = body.w < 60 ? 11 : 18;
	if (body.w < 1 || gns_canvas_init(&page, body.w, PAGE_ROWS, canvas->ascii) != 0)
		return;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0] && y < PAGE_ROWS; i++) {
		gns_canvas_text(&page, 0, y, left - 1, GNS_ROLE_STRONG, lines[i][0]);
		int used = gns_canvas_wrap(&page, (struct gns_rect){left, y, body.w - left, PAGE_ROWS - y}, GNS_ROLE_TEXT, lines[i][1]);
		y += used > 0 ? used : 1;
	}
	size_t most = y > body.h ? (size_t)(y - body.h) : 0;
	if (ui->help_scroll > most)
		ui->help_scroll = most;
	gns_canvas_copy(canvas, body, &page, (int)ui->help_scroll);
	if (ui->help_scroll < most)
		gns_canvas_right(canvas, body.x, body.y + body.h - 1, body.w, GNS_ROLE_FAINT, " ↓ more");
	gns_canvas_free(&page);
}
