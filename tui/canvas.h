/* A canvas: a rectangle of cells, each one glyph in one role. It knows nothing of terminals: views draw on it, the screen
 * driver (screen.h) shows it, tests and `--once` dump it as text.
 *
 * Texts are UTF-8. On an ASCII canvas every glyph beyond ASCII is written in words ASCII has (">=" for the sign, "|" for a middle
 * dot, "?" for what has no such word), so callers write one text for both. Nothing is ever drawn outside the canvas.
 * Columns count terminal cells: a wide character takes two, a combining one is left out. */
#ifndef GNS_TUI_CANVAS_H
#define GNS_TUI_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a cell stands for; the screen driver gives each a colour, where there are colours. Never the only carrier of a meaning. */
enum gns_role {
	GNS_ROLE_TEXT = 0,
	GNS_ROLE_FAINT,  /* labels, axes' numbers */
	GNS_ROLE_STRONG, /* the sentence on top, headings */
	GNS_ROLE_FRAME,  /* lines and axes */
	GNS_ROLE_NOISE,  /* B_noise */
	GNS_ROLE_BAND,   /* its 95% band */
	GNS_ROLE_CRIT,   /* B_crit */
	GNS_ROLE_BATCH,  /* the batch in use, "you are here" */
	GNS_ROLE_LOSS,
	GNS_ROLE_TIME,
	GNS_ROLE_GOOD,
	GNS_ROLE_WARN,
	GNS_ROLE_BAD,
	GNS_ROLES
};

#define GNS_CELL_BOLD 1u
#define GNS_CELL_REVERSE 2u
#define GNS_CELL_TAIL 4u /* second column of the wide glyph to the left */

struct gns_cell {
	char glyph[8]; /* one character in UTF-8, terminated; "" in a tail */
	uint8_t role;  /* enum gns_role */
	uint8_t flags; /* GNS_CELL_* */
};

struct gns_rect {
	int x, y, w, h; /* columns and rows, from the upper left corner */
};

struct gns_canvas {
	int width, height;
	bool ascii;
	struct gns_cell *cells; /* height x width, row-major */
};

#define GNS_CANVAS_MAX 4096 /* columns or rows */

/* Blank. -EINVAL for a size outside 1..GNS_CANVAS_MAX, -ENOMEM. */
int gns_canvas_init(struct gns_canvas *canvas, int width, int height, bool ascii);
void gns_canvas_free(struct gns_canvas *canvas);
void gns_canvas_clear(struct gns_canvas *canvas);
/* NULL outside. */
struct gns_cell *gns_canvas_at(const struct gns_canvas *canvas, int x, int y);
/* One glyph of one column; outside: nothing. */
void gns_canvas_put(struct gns_canvas *canvas, int x, int y, const char *glyph, enum gns_role role);
void gns_canvas_fill(struct gns_canvas *canvas, struct gns_rect rect, const char *glyph, enum gns_role role);
/* Adds flags to the cells there, to mark a selection. */
void gns_canvas_flag(struct gns_canvas *canvas, struct gns_rect rect, unsigned flags);

/* Columns that `text` takes on this canvas. */
int gns_canvas_columns(const struct gns_canvas *canvas, const char *text);
/* One line, in at most `max` columns: what does not fit is cut and ends in an ellipsis. Returns the columns drawn. */
int gns_canvas_text(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *text);
/* The same, but cut in the middle: the two ends of a path say most. */
int gns_canvas_path(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *text);
__attribute__((format(printf, 6, 7))) int gns_canvas_printf(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role,
							    const char *fmt, ...);
/* The same, ending in column x + max - 1. Returns the first column. */
int gns_canvas_right(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *text);
/* Broken between words into at most rect.h lines of rect.w columns; the last is cut when there is more. Returns the lines. */
int gns_canvas_wrap(struct gns_canvas *canvas, struct gns_rect rect, enum gns_role role, const char *text);

/* Rows of `page`, from `row` on, over `to`; page is as wide as `to`, and what is below its last row stays blank. */
void gns_canvas_copy(struct gns_canvas *canvas, struct gns_rect to, const struct gns_canvas *page, int row);

/* All rows, each without trailing blanks and with a newline. One malloc, the caller's; NULL without memory. */
char *gns_canvas_dump(const struct gns_canvas *canvas);

#endif
