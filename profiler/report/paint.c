/* A picture through cairo: PNG and PDF. */
#include <cairo-pdf.h>
#include <cairo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "profiler/report/escape.h"
#include "profiler/report/picture.h"

static void set_ink(cairo_t *c, const struct gns_pen *pen)
{
	unsigned rgb = gns_colours[pen->ink].light;
	cairo_set_source_rgba(c, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0, pen->alpha);
}

static void set_line(cairo_t *c, const struct gns_pen *pen)
{
	static const struct { double on[4]; int n; } dashes[GNS_DASHES] = {
		{{0}, 0}, {{8, 4}, 2}, {{4, 3}, 2}, {{1.5, 3}, 2}, {{8, 3, 1.5, 3}, 4},
	};
	cairo_set_line_width(c, pen->width);
	cairo_set_dash(c, dashes[pen->dash].on, dashes[pen->dash].n, 0);
	cairo_set_line_join(c, CAIRO_LINE_JOIN_ROUND);
}

static void finish(cairo_t *c, const struct gns_pen *pen, bool fill)
{
	set_ink(c, pen);
	if (fill) {
		cairo_fill(c);
		return;
	}
	set_line(c, pen);
	cairo_stroke(c);
}

static void spots(cairo_t *c, const struct gns_picture *p, const struct gns_stroke *stroke)
{
	for (size_t i = 0; i < stroke->n; i++) {
		const struct gns_spot *spot = &p->spots[stroke->first + i];
		if (i == 0)
			cairo_move_to(c, spot->x, spot->y);
		else
			cairo_line_to(c, spot->x, spot->y);
	}
	if (stroke->shape == GNS_SHAPE_AREA)
		cairo_close_path(c);
	finish(c, &stroke->pen, stroke->shape == GNS_SHAPE_AREA);
}

static void text(cairo_t *c, const struct gns_picture *p, const struct gns_stroke *stroke)
{
	const char *words = p->texts + stroke->text;
	cairo_text_extents_t extents;
	cairo_select_font_face(c, stroke->pen.mono ? "monospace" : "sans-serif", CAIRO_FONT_SLANT_NORMAL,
			       stroke->pen.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(c, stroke->pen.width * 0.94); /* DejaVu, the usual sans-serif here, is wider than a browser's */
	cairo_text_extents(c, words, &extents);
	cairo_move_to(c, stroke->box.x - extents.x_advance * stroke->anchor / 2, stroke->box.y);
	set_ink(c, &stroke->pen);
	cairo_show_text(c, words);
}

static void stroke_out(cairo_t *c, const struct gns_picture *p, const struct gns_stroke *stroke)
{
	const struct gns_box *b = &stroke->box;
	cairo_new_path(c);
	switch (stroke->shape) {
	case GNS_SHAPE_LINE:
	case GNS_SHAPE_AREA: spots(c, p, stroke); break;
	case GNS_SHAPE_TEXT: text(c, p, stroke); break;
	case GNS_SHAPE_CLIP:
		cairo_save(c);
		cairo_rectangle(c, b->x, b->y, b->w, b->h);
		cairo_clip(c);
		break;
	case GNS_SHAPE_UNCLIP: cairo_restore(c); break;
	case GNS_SHAPE_RECT:
		cairo_rectangle(c, b->x, b->y, b->w, b->h);
		finish(c, &stroke->pen, !(stroke->pen.width > 0));
		break;
	case GNS_SHAPE_DOT:
		cairo_arc(c, b->x, b->y, b->w, 0, 2 * M_PI);
		finish(c, &stroke->pen, !(stroke->pen.width > 0));
		break;
	}
}

static int draw(cairo_surface_t *surface, const struct gns_picture *p, double scale, struct gns_error *err)
{
	cairo_t *c = cairo_create(surface);
	cairo_scale(c, scale, scale);
	cairo_rectangle(c, 0, 0, p->width, p->height);
	finish(c, &(struct gns_pen){.ink = GNS_INK_PAPER, .alpha = 1}, true);
	for (size_t i = 0; i < p->n; i++)
		stroke_out(c, p, &p->strokes[i]);
	cairo_status_t status = cairo_status(c);
	cairo_destroy(c);
	if (p->failed || status == CAIRO_STATUS_NO_MEMORY)
		return gns_fail(err, -ENOMEM, "no memory left for the picture");
	return status == CAIRO_STATUS_SUCCESS ? 0 : gns_fail(err, -EIO, "cairo cannot draw the picture: %s", cairo_status_to_string(status));
}

static cairo_status_t write_out(void *closure, const unsigned char *data, unsigned int length)
{
	return fwrite(data, 1, length, closure) == length ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

/* ---- PNG: cairo's, with a chunk that names the program behind the header ---- */

#define PNG_HEADER 33 /* signature and IHDR */

struct png { FILE *out; size_t written; };

static void big_endian(unsigned char *dst, unsigned long value)
{
	for (int i = 0; i < 4; i++)
		dst[i] = (unsigned char)(value >> (24 - 8 * i));
}

static bool software_chunk(FILE *out)
{
	static const char body[] = "tEXtgnscope\0report " GNS_VERSION;
	size_t n = sizeof body - 1;
	unsigned char length[4], check[4];
	big_endian(length, n - 4);
	big_endian(check, crc32(0, (const unsigned char *)body, (unsigned)n));
	return fwrite(length, 1, 4, out) == 4 && fwrite(body, 1, n, out) == n && fwrite(check, 1, 4, out) == 4;
}

static cairo_status_t write_png(void *closure, const unsigned char *data, unsigned int length)
{
	struct png *png = closure;
	size_t head = png->written < PNG_HEADER ? PNG_HEADER - png->written : 0;
	head = head < length ? head : length;
	cairo_status_t rc = write_out(png->out, data, (unsigned)head);
	if (rc == CAIRO_STATUS_SUCCESS && head > 0 && png->written + head == PNG_HEADER && !software_chunk(png->out))
		rc = CAIRO_STATUS_WRITE_ERROR;
	if (rc == CAIRO_STATUS_SUCCESS)
		rc = write_out(png->out, data + head, length - (unsigned)head);
	png->written += length;
	return rc;
}

int gns_png_file(FILE *out, const struct gns_picture *p, double scale, struct gns_error *err)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(p->width * scale), (int)ceil(p->height * scale));
	struct png png = {.out = out};
	int rc = draw(surface, p, scale, err);
	if (rc == 0 && cairo_surface_write_to_png_stream(surface, write_png, &png) != CAIRO_STATUS_SUCCESS)
		rc = gns_fail(err, -EIO, "the picture could not be written as PNG");
	cairo_surface_destroy(surface);
	return rc;
}

int gns_pdf_file(FILE *out, const struct gns_picture *p, struct gns_error *err)
{
	double points = 72.0 / 96;
	char title[sizeof p->title];
	cairo_surface_t *surface = cairo_pdf_surface_create_for_stream(write_out, out, p->width * points, p->height * points);
	cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, "gnscope " GNS_VERSION);
	cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, gns_escape_safe(title, sizeof title, p->title));
	int rc = draw(surface, p, points, err);
	cairo_surface_finish(surface);
	if (rc == 0 && cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS)
		rc = gns_fail(err, -EIO, "the picture could not be written as PDF: %s", cairo_status_to_string(cairo_surface_status(surface)));
	cairo_surface_destroy(surface);
	return rc;
}
