/* One function per kind of picture. Each is given a picture that has its width, draws from height `top` on and sets the picture's
 * height, title and description; -ENODATA with a sentence when there is nothing to draw. */
#ifndef GNS_PROFILER_REPORT_FIGURES_H
#define GNS_PROFILER_REPORT_FIGURES_H

#include "profiler/report/chart.h"
#include "profiler/report/report.h"

typedef int (*gns_figure_fn)(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err);

int gns_figure_noise(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err);
int gns_figure_loss(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err);
int gns_figure_tradeoff(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err);
int gns_figure_layers(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err);
int gns_figure_time(struct gns_picture *p, const struct gns_report_run *runs, size_t n, double top, struct gns_error *err);

#endif
