/* See chart.h. */
#include "profiler/report/chart.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/report.h"

double gns_chart_x(const struct gns_picture *p, double value)
{
	return p->frame.x + p->frame.w * gns_axis_place(&p->x, value);
}

double gns_chart_y(const struct gns_picture *p, double value)
{
	double place = gns_axis_place(&p->y, value);
	return p->frame.y + p->frame.h * (1 - place);
}

static void x_ticks(struct gns_picture *p, const char *title)
{
	double ticks[GNS_TICKS_MAX], bottom = p->frame.y + p->frame.h;
	size_t n = gns_axis_ticks(&p->x, (size_t)(p->frame.w / 80), ticks);
	struct gns_pen faint = {.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE}, frame = {.ink = GNS_INK_FRAME, .width = 1};
	double right = p->frame.x + p->frame.w, title_from = right - gns_picture_text_width(title, GNS_SMALL_SIZE) - 8;
	gns_picture_segment(p, frame, p->frame.x, bottom, right, bottom);
	for (size_t i = 0; i < n; i++) {
		char label[32];
		double x = gns_chart_x(p, ticks[i]);
		gns_picture_segment(p, frame, x, bottom, x, bottom + 4);
		if (x + gns_picture_text_width(gns_axis_label(label, sizeof label, ticks[i]), GNS_SMALL_SIZE) / 2 < title_from)
			gns_picture_text(p, faint, GNS_ANCHOR_MIDDLE, x, bottom + 17, label);
	}
	gns_picture_text(p, faint, GNS_ANCHOR_END, right, bottom + 17, title);
}

static void y_ticks(struct gns_picture *p, double title_y, const char *title)
{
	double ticks[GNS_TICKS_MAX];
	size_t n = gns_axis_ticks(&p->y, (size_t)fmax(2, p->frame.h / 34), ticks);
	for (size_t i = 0; i < n; i++) {
		char label[32];
		double y = gns_chart_y(p, ticks[i]);
		gns_picture_segment(p, (struct gns_pen){.ink = GNS_INK_GRID, .width = 1}, p->frame.x, y, p->frame.x + p->frame.w, y);
		gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE}, GNS_ANCHOR_END, p->frame.x - 8, y + 4,
				 gns_axis_label(label, sizeof label, ticks[i]));
	}
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = GNS_SMALL_SIZE}, GNS_ANCHOR_START, 0, title_y, title);
}

void gns_chart_frame(struct gns_picture *p, struct gns_box frame, double title_y, struct gns_axis x, struct gns_axis y,
		     const char *x_title, const char *y_title)
{
	p->has_frame = true;
	p->frame = frame;
	p->x = x;
	p->y = y;
	y_ticks(p, title_y, y_title);
	x_ticks(p, x_title);
}

void gns_chart_label(struct gns_chart_labels *labels, const struct gns_picture *p, double y, enum gns_ink ink, enum gns_dash dash,
		     const char *text)
{
	if (labels->n == GNS_CHART_LABELS || !(y >= p->frame.y - 1) || !(y <= p->frame.y + p->frame.h + 1))
		return;
	labels->of[labels->n].y = labels->of[labels->n].key_y = y;
	labels->of[labels->n].ink = ink;
	labels->of[labels->n].dash = dash;
	snprintf(labels->of[labels->n++].text, sizeof labels->of->text, "%s", text);
}

/* Sorted by height; pushed down where they touch, then up again where they leave the frame. */
static void move_apart(struct gns_chart_labels *labels, double bottom)
{
	const double gap = 16;
	for (size_t i = 1; i < labels->n; i++)
		for (size_t k = i; k > 0 && labels->of[k].y < labels->of[k - 1].y; k--) {
			typeof(labels->of[0]) swap = labels->of[k];
			labels->of[k] = labels->of[k - 1];
			labels->of[k - 1] = swap;
		}
	for (size_t i = 1; i < labels->n; i++)
		labels->of[i].y = fmax(labels->of[i].y, labels->of[i - 1].y + gap);
	for (size_t i = labels->n; i-- > 0;)
		labels->of[i].y = fmin(labels->of[i].y, i + 1 < labels->n ? labels->of[i + 1].y - gap : bottom);
}

void gns_chart_write_labels(struct gns_picture *p, struct gns_chart_labels *labels)
{
	double right = p->frame.x + p->frame.w;
	move_apart(labels, p->frame.y + p->frame.h);
	for (size_t i = 0; i < labels->n; i++) {
		double y = labels->of[i].y, from = labels->of[i].key_y;
		enum gns_ink ink = labels->of[i].ink;
		gns_picture_line(p, (struct gns_pen){.ink = ink, .width = 1, .alpha = 0.6},
				 (struct gns_spot[]){{right + 2, from}, {right + 8, y}, {right + 12, y}}, 3);
		/* Bold letters are wider. */
		gns_picture_text(p, (struct gns_pen){.ink = ink, .width = GNS_TEXT_SIZE, .bold = true}, GNS_ANCHOR_START, right + 16, y + 4,
				 gns_chart_cut(labels->of[i].text, GNS_TEXT_SIZE * 1.14, p->width - right - 18));
	}
}

void gns_chart_heading(struct gns_picture *p, const char *title, const char *about)
{
	char text[256], line[400];
	snprintf(text, sizeof text, "%s", title);
	snprintf(line, sizeof line, "%s", about);
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_TEXT, .width = 17, .bold = true}, GNS_ANCHOR_START, 0, 18,
			 gns_chart_cut(text, 17, p->width));
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = 13}, GNS_ANCHOR_START, 0, 38, gns_chart_cut(line, 13, p->width));
}

char *gns_chart_cut(char *text, double size, double width)
{
	size_t length = strlen(text), n = length;
	if (gns_picture_text_width(text, size) <= width || length < 4)
		return text;
	while (n > 0 && (n + 3 > length || gns_picture_text_width(text, size) > width - size)) {
		do
			n--;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80);
		text[n] = '\0';
	}
	memcpy(text + n, "…", sizeof "…"); /* its three bytes take the place of three or more */
	return text;
}

char *gns_figure_run_name(char *dst, size_t size, const struct gns_report_run *run)
{
	if (run->summary.run.name[0])
		return gns_text_safe(dst, size, run->summary.run.name);
	snprintf(dst, size, "run %" PRId64, run->summary.run.run_id);
	return dst;
}
