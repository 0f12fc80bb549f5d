/* A sweep in a report: the runs, the law fitted to them, in a picture, words and a table. */
#ifndef GNS_PROFILER_REPORT_SWEEP_H
#define GNS_PROFILER_REPORT_SWEEP_H

#include "gnscope/fit.h"
#include "profiler/report/sheet.h"

struct gns_report_sweep {
	bool there, fitted;
	int64_t sweep_id;
	char name[128], unit[16];
	double target;               /* loss */
	struct gns_fit_point *points; /* observations; owned, as are the next three */
	bool *taken;                 /* those that entered the fit */
	struct gns_fit_batch *table;
	struct gns_report_note { char name[40], text[300]; } *notes;
	size_t n, n_table, n_notes;
	struct gns_fit fit;
	char why[400];               /* no fit: the reason */
};
void gns_report_sweep_free(struct gns_report_sweep *sweep);

/* "B_crit measured: 1,000 samples [930 to 1,080], for loss 0.45 ..." */
char *gns_sweep_verdict(char *dst, size_t size, const struct gns_report_sweep *sweep);
/* Does the law hold, and what else was found out. */
char *gns_sweep_caption(char *dst, size_t size, const struct gns_report_sweep *sweep);
char *gns_sweep_sql(char *dst, size_t size, const struct gns_report_sweep *sweep);
struct gns_sheet gns_sheet_sweep(const struct gns_report_sweep *sweep);
/* As gns_figure_draw. -ENODATA: no run has steps. */
int gns_figure_sweep(struct gns_picture *p, const struct gns_report_sweep *sweep, bool alone, struct gns_error *err);

#endif
