/* How marks look: the same plots in ASCII, in block elements, or in braille. A renderer is constant data and one function. */
#ifndef GNS_TUI_RENDERER_H
#define GNS_TUI_RENDERER_H

enum gns_renderer_kind { GNS_RENDER_ASCII = 0, GNS_RENDER_BLOCK, GNS_RENDER_BRAILLE };

#define GNS_PARTS_MAX 4
#define GNS_LEVELS 8 /* heights of one cell of a bar or spark line, empty not counted */

struct gns_renderer {
	const char *name;
	int sub_x, sub_y; /* dots in a cell */
	/* The glyph of the dots set in `mask`: bit (row * sub_x + column), row 0 on top. mask is not 0. */
	const char *(*dots)(unsigned mask, char glyph[8]);
	const char *band;     /* inside the 95% band */
	const char *above;    /* above a lower bound: anything up there is possible */
	const char *at_least; /* on a lower bound */
	const char *solid, *dashed; /* horizontal reference lines */
	const char *here, *cross;   /* "you are here", a named point */
	const char *axis_x, *axis_y, *corner, *tick_x, *tick_y;
	const char *up[GNS_LEVELS];    /* spark line: filled from below, 1/8 .. 8/8 */
	const char *right[GNS_LEVELS]; /* bar: filled from the left */
	const char *more;              /* selected row */
	const char *part[GNS_PARTS_MAX]; /* parts of a whole, most to least filled */
};

const struct gns_renderer *gns_renderer(enum gns_renderer_kind kind);

#endif
