/* The words and tables of a report, the same for every page format. */
#ifndef GNS_PROFILER_REPORT_SHEET_H
#define GNS_PROFILER_REPORT_SHEET_H

#include "profiler/report/report.h"

#define GNS_SHEET_COLUMNS 10

struct gns_sheet {
	size_t columns, n, max; /* n cells so far, row by row */
	const char *title[GNS_SHEET_COLUMNS];
	bool right[GNS_SHEET_COLUMNS]; /* numbers */
	char **cells;
	size_t left_out;        /* rows that are not shown */
	long marked;            /* the row that is the run as it was, -1 none */
	bool failed;            /* no memory */
};

void gns_sheet_free(struct gns_sheet *sheet);

/* Free with gns_sheet_free; n 0: nothing to show. */
struct gns_sheet gns_sheet_batches(const struct gns_report_run *run);
struct gns_sheet gns_sheet_layers(const struct gns_report_run *run);
struct gns_sheet gns_sheet_kernels(const struct gns_report_run *run);
struct gns_sheet gns_sheet_devices(const struct gns_report_run *run);
struct gns_sheet gns_sheet_device_kernels(const struct gns_report_run *run);
struct gns_sheet gns_sheet_settings(const struct gns_report_run *run);
struct gns_sheet gns_sheet_events(const struct gns_report_run *run);
struct gns_sheet gns_sheet_runs(const struct gns_report *report);

/* One number of a run with what makes it whole. */
struct gns_report_fact { const char *key; char label[48], value[96], unit[40], note[240]; };
#define GNS_FACTS 8
size_t gns_report_facts(const struct gns_report_run *run, struct gns_report_fact facts[GNS_FACTS]);

/* "finished after 3 min 12 s", "running", "failed with exit status 1", ... */
char *gns_report_status(char *dst, size_t size, const struct gns_run_info *run);
/* What a picture shows, in a sentence or two; "" where the picture says it. */
char *gns_report_caption(char *dst, size_t size, enum gns_figure figure, const struct gns_report_run *run);

#endif
