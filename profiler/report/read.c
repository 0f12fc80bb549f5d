/* From the store into a report. */
#include <math.h>
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

static size_t within(int64_t value, int64_t most)
{
	return value < 1 ? 1 : value > most ? (size_t)most : (size_t)value;
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

static bool mostly_resolved(const struct gns_point *points, size_t n)
{
	size_t open = 0;
	for (size_t i = 0; i < n; i++)
		open += !points[i].b_noise.resolved;
	return open * 20 <= n;
}

/* From points of eight measured steps or more to ever fewer ones, until nearly all are resolved or few are left. A point of one
 * step alone would be the live estimate, which is another number. */
static int read_noise(struct gns_store *store, int64_t run_id, struct gns_report_run *run, struct gns_error *err)
{
	size_t points = within(run->summary.run.steps_measured / 8, GNS_REPORT_POINTS);
	points = within(run->rolled / 2, (int64_t)points);
	for (;; points = points * 2 / 3) {
		free(run->points);
		run->width = stretch_width(run->rolled, (int64_t)points);
		int rc = gns_store_series(store, run_id, 1, run->rolled, points, &run->points, &run->n_points, err);
		if (rc != 0 || points * 2 / 3 < GNS_REPORT_FEW || mostly_resolved(run->points, run->n_points))
			return rc;
	}
}

static int take_loss(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	struct gns_report_run *run = arg;
	if (is_header || n != 2 || !texts[0] || !texts[1] || run->n_losses == GNS_REPORT_POINTS)
		return 0;
	int64_t from = strtoll(texts[0], NULL, 10), to = from + run->fine_width - 1;
	double loss = strtod(texts[1], NULL);
	if (isfinite(loss))
		run->losses[run->n_losses++] = (struct gns_report_loss){(double)(from + (to > run->rolled ? run->rolled : to)) / 2, loss};
	return 0;
}

/* The picture is drawn from the query that stands under it. */
static int read_loss(struct gns_store *store, struct gns_report_run *run, struct gns_error *err)
{
	size_t points = within(run->rolled / 2, GNS_REPORT_POINTS);
	char query[GNS_SQL_SIZE];
	run->fine_width = stretch_width(run->rolled, (int64_t)points);
	run->losses = calloc(GNS_REPORT_POINTS, sizeof *run->losses);
	if (!run->losses)
		return gns_fail(err, -ENOMEM, "no memory left");
	return gns_store_sql(store, gns_figure_sql(query, sizeof query, GNS_FIGURE_LOSS, run), take_loss, run, err);
}

int gns_report_read(struct gns_store *store, int64_t run_id, struct gns_report_run *out, struct gns_error *err)
{
	*out = (struct gns_report_run){0};
	int rc = gns_store_summary(store, run_id, 0, &out->summary, err);
	if (rc == 0)
		rc = read_extent(store, run_id, out, err);
	if (rc == 0 && out->rolled > 0)
		rc = read_noise(store, run_id, out, err);
	if (rc == 0 && out->rolled > 0)
		rc = read_loss(store, out, err);
	if (rc == 0)
		rc = gns_store_live(store, run_id, out->live, sizeof out->live / sizeof *out->live, &out->n_live, err);
	if (rc == 0)
		rc = gns_store_split(store, run_id, 0, &out->split, err);
	if (rc == 0)
		rc = gns_store_layers(store, run_id, 0, &out->layers, &out->n_layers, err);
	if (rc == 0)
		rc = gns_store_kernels(store, run_id, 0, &out->kernels, &out->n_kernels, err);
	if (rc == 0)
		rc = gns_store_gpu(store, run_id, 0, &out->gpu, err);
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
		free(report->run[i].losses);
		free(report->run[i].layers);
		free(report->run[i].kernels);
		gns_gpu_free(&report->run[i].gpu);
		free(report->run[i].settings);
		free(report->run[i].events);
	}
	*report = (struct gns_report){0};
}
