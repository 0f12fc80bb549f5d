/* The parts that plots share: a frame with grid and ticks, labels at its right edge, a heading. */
#ifndef GNS_PROFILER_REPORT_CHART_H
#define GNS_PROFILER_REPORT_CHART_H

#include "profiler/report/picture.h"

#define GNS_TEXT_SIZE 12.5
#define GNS_SMALL_SIZE 11.5

/* Sets the picture's frame and axes (rounded) and draws grid, ticks and titles; that of y stands above, on title_y. */
void gns_chart_frame(struct gns_picture *p, struct gns_box frame, double title_y, struct gns_axis x, struct gns_axis y,
		     const char *x_title, const char *y_title);
double gns_chart_x(const struct gns_picture *p, double value); /* NaN: no place */
double gns_chart_y(const struct gns_picture *p, double value);

#define GNS_CHART_LABELS 24
struct gns_chart_labels {
	struct { double y, key_y; enum gns_ink ink; enum gns_dash dash; char text[96]; } of[GNS_CHART_LABELS];
	size_t n;
};
/* Notes a label for the height y; labels beyond the frame or the room are left out. */
void gns_chart_label(struct gns_chart_labels *labels, const struct gns_picture *p, double y, enum gns_ink ink, enum gns_dash dash,
		     const char *text);
/* Writes them at the right of the frame, moved apart where they would touch. */
void gns_chart_write_labels(struct gns_picture *p, struct gns_chart_labels *labels);

/* Two lines above a picture that stands alone. */
#define GNS_HEADING 58
void gns_chart_heading(struct gns_picture *p, const char *title, const char *about);

/* Cuts a text to about `width` pixels, with an ellipsis, in place. */
char *gns_chart_cut(char *text, double size, double width);

struct gns_report_run;
/* The name of a run for a label, cut and harmless: "fashion-128", or "run 3" without one. */
char *gns_figure_run_name(char *dst, size_t size, const struct gns_report_run *run);

#endif
