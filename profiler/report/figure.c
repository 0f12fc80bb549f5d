/* Which picture is drawn by whom, and the heading of one that stands alone. */
#include <inttypes.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/figures.h"

const char *const gns_figure_names[GNS_FIGURES] = {"noise", "loss", "tradeoff", "layers", "time"};

static const struct {
	gns_figure_fn draw;
	size_t most; /* runs in one picture */
} kinds[GNS_FIGURES] = {
	[GNS_FIGURE_NOISE] = {gns_figure_noise, GNS_REPORT_RUNS}, [GNS_FIGURE_LOSS] = {gns_figure_loss, GNS_REPORT_RUNS},
	[GNS_FIGURE_TRADEOFF] = {gns_figure_tradeoff, 1}, [GNS_FIGURE_LAYERS] = {gns_figure_layers, 1},
	[GNS_FIGURE_TIME] = {gns_figure_time, 1},
};

static void heading(struct gns_picture *p, const struct gns_report_run *runs, size_t n)
{
	char name[128], title[300];
	if (n > 1) {
		snprintf(title, sizeof title, "%zu runs", n);
		gns_chart_heading(p, title, "gnscope report");
		return;
	}
	snprintf(title, sizeof title, "%s · run %" PRId64, gns_figure_run_name(name, sizeof name, runs), runs->summary.run.run_id);
	gns_chart_heading(p, title, runs->verdict);
}

/* The drawing is moved inward, so that it does not touch the edge of its page. */
void gns_figure_margin(struct gns_picture *p, double margin)
{
	for (size_t i = 0; i < p->n; i++) {
		p->strokes[i].box.x += margin;
		p->strokes[i].box.y += margin;
	}
	for (size_t i = 0; i < p->n_spots; i++) {
		p->spots[i].x += margin;
		p->spots[i].y += margin;
	}
	p->frame.x += margin;
	p->frame.y += margin;
	p->width += 2 * margin;
	p->height += 2 * margin;
}

int gns_figure_draw(struct gns_picture *p, enum gns_figure figure, const struct gns_report_run *runs, size_t n, bool alone,
		    struct gns_error *err)
{
	gns_picture_start(p, GNS_FIGURE_WIDTH, 0);
	if (n > kinds[figure].most)
		return gns_fail(err, -EINVAL, "the picture '%s' shows one run, and %zu were named: name one of them", gns_figure_names[figure], n);
	if (alone)
		heading(p, runs, n);
	int rc = kinds[figure].draw(p, runs, n, alone ? GNS_HEADING : 0, err);
	if (rc == 0 && alone)
		gns_figure_margin(p, 24);
	return rc == 0 && p->failed ? gns_fail(err, -ENOMEM, "no memory left for the picture") : rc;
}
