/* The list of strokes. */
#include "profiler/report/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/report/escape.h"

void gns_picture_start(struct gns_picture *p, double width, double height)
{
	*p = (struct gns_picture){.width = width, .height = height};
}

void gns_picture_free(struct gns_picture *p)
{
	free(p->strokes);
	free(p->spots);
	free(p->texts);
	*p = (struct gns_picture){0};
}

/* Room for n + more items; false when there is none. */
static bool grow(void *array, size_t item, size_t n, size_t more, size_t *max)
{
	void **at = array;
	if (n + more <= *max)
		return true;
	size_t want = *max ? *max * 2 : 128;
	while (want < n + more)
		want *= 2;
	void *grown = realloc(*at, want * item);
	if (!grown)
		return false;
	*at = grown;
	*max = want;
	return true;
}

static struct gns_stroke *add(struct gns_picture *p, enum gns_shape shape, struct gns_pen pen)
{
	if (p->failed || !grow(&p->strokes, sizeof *p->strokes, p->n, 1, &p->max)) {
		p->failed = true;
		return NULL;
	}
	struct gns_stroke *stroke = &p->strokes[p->n++];
	*stroke = (struct gns_stroke){.shape = shape, .pen = pen};
	if (!(stroke->pen.alpha > 0))
		stroke->pen.alpha = 1;
	return stroke;
}

static void add_spots(struct gns_picture *p, enum gns_shape shape, struct gns_pen pen, const struct gns_spot *spots, size_t n)
{
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!isfinite(spots[i].x) || !isfinite(spots[i].y))
			return;
	struct gns_stroke *stroke = add(p, shape, pen);
	if (!stroke || !grow(&p->spots, sizeof *p->spots, p->n_spots, n, &p->max_spots)) {
		p->failed = true;
		return;
	}
	stroke->first = p->n_spots;
	stroke->n = n;
	memcpy(p->spots + p->n_spots, spots, n * sizeof *spots);
	p->n_spots += n;
}

void gns_picture_line(struct gns_picture *p, struct gns_pen pen, const struct gns_spot *spots, size_t n)
{
	add_spots(p, GNS_SHAPE_LINE, pen, spots, n);
}

void gns_picture_segment(struct gns_picture *p, struct gns_pen pen, double x1, double y1, double x2, double y2)
{
	gns_picture_line(p, pen, (struct gns_spot[]){{x1, y1}, {x2, y2}}, 2);
}

void gns_picture_area(struct gns_picture *p, struct gns_pen pen, const struct gns_spot *spots, size_t n)
{
	add_spots(p, GNS_SHAPE_AREA, pen, spots, n);
}

static void add_box(struct gns_picture *p, enum gns_shape shape, struct gns_pen pen, struct gns_box box)
{
	struct gns_stroke *stroke = isfinite(box.x) && isfinite(box.y) && isfinite(box.w) && isfinite(box.h) ? add(p, shape, pen) : NULL;
	if (stroke)
		stroke->box = box;
}

void gns_picture_rect(struct gns_picture *p, struct gns_pen pen, struct gns_box box)
{
	add_box(p, GNS_SHAPE_RECT, pen, box);
}

void gns_picture_dot(struct gns_picture *p, struct gns_pen pen, double x, double y, double radius)
{
	add_box(p, GNS_SHAPE_DOT, pen, (struct gns_box){x, y, radius, radius});
}

void gns_picture_text(struct gns_picture *p, struct gns_pen pen, enum gns_anchor anchor, double x, double y, const char *text)
{
	size_t size = strlen(text) + 1;
	struct gns_stroke *stroke = isfinite(x) && isfinite(y) && *text ? add(p, GNS_SHAPE_TEXT, pen) : NULL;
	if (!stroke)
		return;
	if (!grow(&p->texts, 1, p->n_texts, size, &p->max_texts)) {
		p->failed = true;
		p->n--;
		return;
	}
	stroke->anchor = anchor;
	stroke->box = (struct gns_box){x, y, 0, 0};
	stroke->text = p->n_texts;
	gns_escape_safe(p->texts + p->n_texts, size, text);
	p->n_texts += size;
}

void gns_picture_clip(struct gns_picture *p, struct gns_box box)
{
	add_box(p, GNS_SHAPE_CLIP, (struct gns_pen){0}, box);
}

void gns_picture_unclip(struct gns_picture *p)
{
	add(p, GNS_SHAPE_UNCLIP, (struct gns_pen){0});
}

double gns_picture_text_width(const char *text, double size)
{
	double width = 0;
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if ((*c & 0xc0) != 0x80)
			width += strchr("iljt.,:;'|![]() ", *c) ? 0.36 : *c >= 0xe0 ? 1 : *c == 'm' || *c == 'w' || (*c >= 'A' && *c <= 'Z') ? 0.72 : 0.58;
	return width * size;
}
