/* A picture as SVG: text stays text, so that it can be searched, read aloud and scaled. */
#include <math.h>
#include <string.h>

#include "profiler/report/escape.h"
#include "profiler/report/picture.h"

#define FONT "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
#define MONO "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

static const char *const dashes[GNS_DASHES] = {NULL, "8 4", "4 3", "1.5 3", "8 3 1.5 3"};

struct svg {
	FILE *out;
	const struct gns_picture *p;
	bool own_colours;
	int number, clips;
};

static void places(FILE *out, double value)
{
	char text[32];
	snprintf(text, sizeof text, "%.2f", value);
	size_t n = strlen(text);
	while (n > 1 && text[n - 1] == '0')
		text[--n] = '\0';
	if (n > 1 && text[n - 1] == '.')
		text[--n] = '\0';
	fputs(strcmp(text, "-0") ? text : "0", out);
}

static void attribute(FILE *out, const char *name, double value)
{
	fprintf(out, " %s=\"", name);
	places(out, value);
	fputc('"', out);
}

static void paint(struct svg *s, const struct gns_pen *pen, bool fill)
{
	const struct gns_colour *colour = &gns_colours[pen->ink];
	if (s->own_colours)
		fprintf(s->out, fill ? " fill=\"#%06x\"" : " fill=\"none\" stroke=\"#%06x\"", colour->light);
	else
		fprintf(s->out, " class=\"%s-%s\"", fill ? "f" : "s", colour->name);
	if (pen->alpha < 1)
		attribute(s->out, fill ? "fill-opacity" : "stroke-opacity", pen->alpha);
	if (!fill && pen->width != 1)
		attribute(s->out, "stroke-width", pen->width);
	if (!fill && dashes[pen->dash])
		fprintf(s->out, " stroke-dasharray=\"%s\"", dashes[pen->dash]);
	if (pen->name)
		fprintf(s->out, " data-name=\"%s\"", pen->name);
}

static void spots(struct svg *s, const struct gns_stroke *stroke)
{
	bool fill = stroke->shape == GNS_SHAPE_AREA;
	fputs("<path d=\"", s->out);
	for (size_t i = 0; i < stroke->n; i++) {
		const struct gns_spot *spot = &s->p->spots[stroke->first + i];
		fputs(i == 0 ? "M" : i == 1 ? "L" : " ", s->out);
		places(s->out, spot->x);
		fputc(' ', s->out);
		places(s->out, spot->y);
	}
	fputs(fill ? "Z\"" : "\"", s->out);
	if (!fill)
		fputs(" stroke-linejoin=\"round\"", s->out);
	paint(s, &stroke->pen, fill);
	fputs("/>\n", s->out);
}

static void text(struct svg *s, const struct gns_stroke *stroke)
{
	static const char *const anchors[] = {NULL, "middle", "end"};
	fputs("<text", s->out);
	attribute(s->out, "x", stroke->box.x);
	attribute(s->out, "y", stroke->box.y);
	attribute(s->out, "font-size", stroke->pen.width);
	if (stroke->pen.bold)
		fputs(" font-weight=\"600\"", s->out);
	if (stroke->pen.mono)
		fputs(" font-family=\"" MONO "\"", s->out);
	if (anchors[stroke->anchor])
		fprintf(s->out, " text-anchor=\"%s\"", anchors[stroke->anchor]);
	paint(s, &stroke->pen, true);
	fputc('>', s->out);
	gns_escape_html(s->out, s->p->texts + stroke->text);
	fputs("</text>\n", s->out);
}

static void box(struct svg *s, const struct gns_box *b)
{
	attribute(s->out, "x", b->x);
	attribute(s->out, "y", b->y);
	attribute(s->out, "width", fmax(b->w, 0));
	attribute(s->out, "height", fmax(b->h, 0));
}

static void clip(struct svg *s, const struct gns_stroke *stroke)
{
	fprintf(s->out, "<clipPath id=\"clip-%d-%d\"><rect", s->number, s->clips);
	box(s, &stroke->box);
	fprintf(s->out, "/></clipPath>\n<g clip-path=\"url(#clip-%d-%d)\">\n", s->number, s->clips++);
}

static void stroke_out(struct svg *s, const struct gns_stroke *stroke)
{
	switch (stroke->shape) {
	case GNS_SHAPE_LINE:
	case GNS_SHAPE_AREA: spots(s, stroke); break;
	case GNS_SHAPE_TEXT: text(s, stroke); break;
	case GNS_SHAPE_CLIP: clip(s, stroke); break;
	case GNS_SHAPE_UNCLIP: fputs("</g>\n", s->out); break;
	case GNS_SHAPE_RECT:
		fputs("<rect", s->out);
		box(s, &stroke->box);
		paint(s, &stroke->pen, !(stroke->pen.width > 0));
		fputs("/>\n", s->out);
		break;
	case GNS_SHAPE_DOT:
		fputs("<circle", s->out);
		attribute(s->out, "cx", stroke->box.x);
		attribute(s->out, "cy", stroke->box.y);
		attribute(s->out, "r", stroke->box.w);
		paint(s, &stroke->pen, !(stroke->pen.width > 0));
		fputs("/>\n", s->out);
		break;
	}
}

static void axis(FILE *out, const char *name, const struct gns_axis *a)
{
	fprintf(out, " data-%s=\"%s %.17g %.17g\"", name, a->log ? "log" : "linear", a->lo, a->hi);
}

static void whole(struct svg *s)
{
	const struct gns_picture *p = s->p;
	fprintf(s->out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\"", p->width, p->height);
	if (s->own_colours)
		fprintf(s->out, " width=\"%.0f\" height=\"%.0f\"", p->width, p->height);
	fprintf(s->out, " role=\"img\" font-family=\"%s\"", FONT);
	if (p->has_frame) {
		fprintf(s->out, " data-frame=\"%.17g %.17g %.17g %.17g\"", p->frame.x, p->frame.y, p->frame.w, p->frame.h);
		axis(s->out, "x", &p->x);
		axis(s->out, "y", &p->y);
	}
	fputs(">\n", s->out);
	if (s->own_colours)
		fputs("<!-- gnscope report -->\n", s->out);
	fputs("<title>", s->out);
	gns_escape_html(s->out, p->title);
	fputs("</title>\n<desc>", s->out);
	gns_escape_html(s->out, p->about);
	fputs("</desc>\n", s->out);
	if (s->own_colours)
		fprintf(s->out, "<rect width=\"100%%\" height=\"100%%\" fill=\"#%06x\"/>\n", gns_colours[GNS_INK_PAPER].light);
	for (size_t i = 0; i < p->n; i++)
		stroke_out(s, &p->strokes[i]);
	fputs("</svg>\n", s->out);
}

void gns_svg_inline(FILE *out, const struct gns_picture *p, int number)
{
	whole(&(struct svg){.out = out, .p = p, .number = number});
}

void gns_svg_file(FILE *out, const struct gns_picture *p)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	whole(&(struct svg){.out = out, .p = p, .own_colours = true});
}

void gns_svg_style(FILE *out)
{
	for (int dark = 0; dark < 2; dark++) {
		fputs(dark ? "@media (prefers-color-scheme:dark){:root{color-scheme:dark" : ":root{color-scheme:light dark", out);
		for (int i = 0; i < GNS_INKS; i++)
			fprintf(out, ";--%s:#%06x", gns_colours[i].name, dark ? gns_colours[i].dark : gns_colours[i].light);
		fputs(dark ? "}}\n" : "}\n", out);
	}
	fputs("@media print{:root{color-scheme:light", out);
	for (int i = 0; i < GNS_INKS; i++)
		fprintf(out, ";--%s:#%06x", gns_colours[i].name, gns_colours[i].light);
	fputs("}}\n", out);
	for (int i = 0; i < GNS_INKS; i++)
		fprintf(out, ".f-%s{fill:var(--%s)}.s-%s{fill:none;stroke:var(--%s)}\n", gns_colours[i].name, gns_colours[i].name,
			gns_colours[i].name, gns_colours[i].name);
}
