/* A picture as a list of strokes, texts and frames, and those who render it: SVG as text, PNG and PDF through cairo.
 *
 * Units: CSS pixels (1/96 inch), origin at the top left, y downward. Strings are copied. What does not fit in memory leaves
 * the picture marked as failed; rendering then says so. A picture belongs to one thread. */
#ifndef GNS_PROFILER_REPORT_PICTURE_H
#define GNS_PROFILER_REPORT_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "gnscope/error.h"
#include "profiler/report/ink.h"
#include "profiler/text/axis.h"

enum gns_anchor { GNS_ANCHOR_START = 0, GNS_ANCHOR_MIDDLE, GNS_ANCHOR_END };
enum gns_dash { GNS_DASH_NONE = 0, GNS_DASH_LONG, GNS_DASH_SHORT, GNS_DASH_DOTS, GNS_DASH_MIXED, GNS_DASHES };

struct gns_box { double x, y, w, h; };
struct gns_spot { double x, y; };

enum gns_shape { GNS_SHAPE_LINE, GNS_SHAPE_AREA, GNS_SHAPE_RECT, GNS_SHAPE_DOT, GNS_SHAPE_TEXT, GNS_SHAPE_CLIP, GNS_SHAPE_UNCLIP };

struct gns_pen {
	enum gns_ink ink;
	double width;        /* of a line; 0 in a dot or rectangle: filled. Size of a text */
	double alpha;        /* 0..1; 0 stands for 1 */
	enum gns_dash dash;
	bool bold, mono;     /* of a text */
	const char *name;    /* a word of ours that says what it shows, kept in SVG for readers and tests; NULL none. Not copied */
};

struct gns_stroke {
	enum gns_shape shape;
	struct gns_pen pen;
	enum gns_anchor anchor;
	struct gns_box box;  /* of a rectangle or clip; x, y of a text; centre and radius (w) of a dot */
	size_t first, n;     /* spots of a line or area */
	size_t text;         /* offset */
};

struct gns_picture {
	double width, height;
	/* The plot in it, if there is one: how places become numbers. */
	bool has_frame;
	struct gns_box frame;
	struct gns_axis x, y;
	char title[256], about[1024]; /* for those who do not see it */
	bool failed;
	struct gns_stroke *strokes;
	struct gns_spot *spots;
	char *texts;
	size_t n, max, n_spots, max_spots, n_texts, max_texts;
};

void gns_picture_start(struct gns_picture *p, double width, double height);
void gns_picture_free(struct gns_picture *p);

void gns_picture_line(struct gns_picture *p, struct gns_pen pen, const struct gns_spot *spots, size_t n);
void gns_picture_segment(struct gns_picture *p, struct gns_pen pen, double x1, double y1, double x2, double y2);
void gns_picture_area(struct gns_picture *p, struct gns_pen pen, const struct gns_spot *spots, size_t n); /* closed, filled */
void gns_picture_rect(struct gns_picture *p, struct gns_pen pen, struct gns_box box);
void gns_picture_dot(struct gns_picture *p, struct gns_pen pen, double x, double y, double radius);
/* One line of text on its baseline; bytes from outside are made harmless here. */
void gns_picture_text(struct gns_picture *p, struct gns_pen pen, enum gns_anchor anchor, double x, double y, const char *text);
void gns_picture_clip(struct gns_picture *p, struct gns_box box); /* until gns_picture_unclip; does not nest */
void gns_picture_unclip(struct gns_picture *p);
/* About how wide a text will be; fonts differ, so leave some room. */
double gns_picture_text_width(const char *text, double size);

/* ---- renderers ---- */

/* As an element of an HTML page that has the style of gns_svg_style: colours by class, so that the page's theme rules.
 * `number` makes its ids unique on the page. */
void gns_svg_inline(FILE *out, const struct gns_picture *p, int number);
void gns_svg_style(FILE *out);
/* A file of its own, light, with its colours written out. */
void gns_svg_file(FILE *out, const struct gns_picture *p);

/* Light, through cairo. `scale`: pixels of a PNG for one of the picture. -ENOMEM, -EIO with a sentence. */
int gns_png_file(FILE *out, const struct gns_picture *p, double scale, struct gns_error *err);
int gns_pdf_file(FILE *out, const struct gns_picture *p, struct gns_error *err);

#endif
