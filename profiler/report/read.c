/* From the store into a report. */
#include <stdlib.h>
#include <string.h>

#include "profiler/report/report.h"

static int take_numbers(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	struct gns_report_run *run = arg;
	if (!is_header && n == 2) {
		run->rolled = texts[0] ? strtoll(texts[0], NULL, 10) : 0;
		run->thinned = texts[1] ? strtoll(texts[1], NULL, 10) : 0;
	}
	return 0;
}

static int read_extent(struct gns_store *store, int64_t run_id, struct gns_report_run *run, struct gns_error *err)
{
	char query[128];
	snprintf(query, sizeof query, "SELECT rolled_step, thinned_step FROM run WHERE run_id = %lld", (long long)run_id);
	return gns_store_sql(store, query, take_numbers, run, err);
}

/* So many that a point pools eight measured steps or more, and two steps at least. */
static size_t curve_points(const struct gns_report_run *run)
{
	int64_t points = run->summary.run.steps_measured / 8;
	points = points > run->rolled / 2 ? run->rolled / 2 : points;
	return points < 1 ? 1 : points > GNS_REPORT_POINTS ? GNS_REPORT_POINTS : (size_t)points;
}

/* How many steps a stretch has: the widths that gns_store_series cuts a curve of at most `points` into. */
static int64_t stretch_width(int64_t steps, int64_t points)
{
	int64_t width = (steps - 1 + points) / points, unit = 32768;
	while (unit > width)
		unit = unit > 32 ? unit / 32 : 1;
	width = (width + unit - 1) / unit * unit;
	while ((steps - 1) / width >= points)
		width += unit;
	return width;
}

int gns_report_read(struct gns_store *store, int64_t run_id, struct gns_report_run *out, struct gns_error *err)
{
	*out = (struct gns_report_run){0};
	int rc = gns_store_summary(store, run_id, 0, &out->summary, err);
	if (rc == 0)
		rc = read_extent(store, run_id, out, err);
	if (rc == 0 && out->rolled > 0) {
		size_t points = curve_points(out);
		out->width = stretch_width(out->rolled, (int64_t)points);
		rc = gns_store_series(store, run_id, 1, out->rolled, points, &out->points, &out->n_points, err);
	}
	if (rc == 0)
		rc = gns_store_live(store, run_id, out->live, sizeof out->live / sizeof *out->live, &out->n_live, err);
	if (rc == 0)
		rc = gns_store_split(store, run_id, GNS_REPORT_NEWEST, &out->split, err);
	if (rc == 0)
		rc = gns_store_layers(store, run_id, 0, &out->layers, &out->n_layers, err);
	if (rc == 0)
		rc = gns_store_kernels(store, run_id, 0, &out->kernels, &out->n_kernels, err);
	if (rc == 0)
		rc = gns_store_settings(store, run_id, &out->settings, &out->n_settings, err);
	if (rc == 0)
		rc = gns_store_events(store, run_id, &out->events, &out->n_events, err);
	if (rc != 0)
		gns_report_free(&(struct gns_report){.run = {*out}, .n = 1});
	return rc;
}

void gns_report_free(struct gns_report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		free(report->run[i].points);
		free(report->run[i].layers);
		free(report->run[i].kernels);
		free(report->run[i].settings);
		free(report->run[i].events);
	}
	*report = (struct gns_report){0};
}
