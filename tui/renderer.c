/* The three looks of a plot. */
#include "tui/renderer.h"

#include <string.h>

/* One cell is three dots high: apostrophe, hyphen, full stop. */
static const char *ascii_dots(unsigned mask, char glyph[8])
{
	static const char by_mask[] = " '-|.|||";
	glyph[0] = by_mask[mask & 7u];
	glyph[1] = 0;
	return glyph;
}

static const char *block_dots(unsigned mask, char glyph[8])
{
	static const char *const by_mask[16] = {" ", "▘", "▝", "▀", "▖", "▌", "▞", "▛", "▗", "▚", "▐", "▜", "▄", "▙", "▟", "█"};
	return strcpy(glyph, by_mask[mask & 15u]);
}

static const char *braille_dots(unsigned mask, char glyph[8])
{
	static const unsigned char dot[8] = {0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80};
	unsigned bits = 0;
	for (int i = 0; i < 8; i++)
		if (mask & 1u << i)
			bits |= dot[i];
	glyph[0] = (char)0xe2;
	glyph[1] = (char)(0xa0 | bits >> 6);
	glyph[2] = (char)(0x80 | (bits & 0x3f));
	glyph[3] = 0;
	return glyph;
}

/* clang-format off */
#define UTF8_LOOK \
	.band = "░", .above = "·", .at_least = "↑", .solid = "─", .dashed = "╌", .here = "●", .cross = "◆", \
	.axis_x = "─", .axis_y = "│", .corner = "└", .tick_x = "┬", .tick_y = "┤", \
	.up = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}, .right = {"▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"}, .more = "▸", \
	.part = {"█", "▓", "▒", "░"}

static const struct gns_renderer renderers[] = {
	[GNS_RENDER_ASCII] = {
		.name = "ascii", .sub_x = 1, .sub_y = 3, .dots = ascii_dots,
		.band = ":", .above = ",", .at_least = "^", .solid = "=", .dashed = "~", .here = "@", .cross = "+",
		.axis_x = "-", .axis_y = "|", .corner = "+", .tick_x = "+", .tick_y = "+",
		.up = {"_", "_", ".", ".", "-", "-", "'", "'"}, .right = {" ", " ", " ", " ", "#", "#", "#", "#"}, .more = ">",
		.part = {"#", "=", "~", "."},
	},
	[GNS_RENDER_BLOCK] = {.name = "block", .sub_x = 2, .sub_y = 2, .dots = block_dots, UTF8_LOOK},
	[GNS_RENDER_BRAILLE] = {.name = "braille", .sub_x = 2, .sub_y = 4, .dots = braille_dots, UTF8_LOOK},
};
/* clang-format on */

const struct gns_renderer *gns_renderer(enum gns_renderer_kind kind)
{
	return &renderers[kind];
}
