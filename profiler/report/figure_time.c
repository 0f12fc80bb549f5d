/* Where the time of a measured step goes. */
#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"
#include "profiler/report/figures.h"

#define PARTS (GNS_SPLIT_FAMILIES + 2)
#define BAR 40
#define LEGEND 22

struct part { char name[48]; double ms; enum gns_ink ink; double alpha; };

static size_t parts_of(const struct gns_split *split, struct part *parts, double *sum)
{
	size_t n = 0;
	*sum = 0;
	for (size_t i = 0; i < split->n_families; i++) {
		gns_text_safe(parts[n].name, sizeof parts[n].name, split->family[i].name);
		parts[n].ms = split->family[i].ms;
		parts[n].alpha = 0.9;
		parts[n].ink = gns_ink_series((size_t[]){0, 4, 2, 3, 5, 6, 7, 7}[i % GNS_SPLIT_FAMILIES]);
		*sum += parts[n++].ms;
	}
	if (isfinite(split->gnscope_ms)) {
		parts[n] = (struct part){"gnscope itself", split->gnscope_ms, GNS_INK_OWN, 0.95};
		*sum += parts[n++].ms;
	}
	if (*sum <= split->step_ms) {
		parts[n] = (struct part){"all else", split->step_ms - *sum, GNS_INK_FRAME, 0.45};
		n++;
	}
	return n;
}

static void legend(struct gns_picture *p, const struct part *part, double step_ms, double x, double y)
{
	char text[128], ms[48];
	gns_picture_rect(p, (struct gns_pen){.ink = part->ink, .alpha = part->alpha}, (struct gns_box){x, y - 10, 12, 12});
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_TEXT, .width = GNS_TEXT_SIZE, .bold = true}, GNS_ANCHOR_START, x + 19, y, part->name);
	snprintf(text, sizeof text, "%s ms · %.3g%%", gns_text_number(ms, sizeof ms, part->ms), 100 * part->ms / step_ms);
	gns_picture_text(p, (struct gns_pen){.ink = GNS_INK_FAINT, .width = GNS_TEXT_SIZE}, GNS_ANCHOR_START, x + 19 + gns_picture_text_width(part->name, GNS_TEXT_SIZE) * 1.1 + 10, y, text);
}

int gns_figure_time(struct gns_picture *p, const struct gns_report_run *runs, size_t n_runs, double top, struct gns_error *err)
{
	const struct gns_split *split = &runs->split;
	struct part parts[PARTS];
	double sum, x = 0;
	char name[128];
	if (!(split->steps > 0) || !(split->step_ms > 0))
		return gns_fail(err, -ENODATA, "no measured step has its time in the store");
	if (split->n_families == 0)
		return gns_fail(err, -ENODATA, "the store has no kernel times of this run");
	size_t n = parts_of(split, parts, &sum);
	if (!(sum < GNS_AXIS_MOST) || !(split->step_ms < GNS_AXIS_MOST))
		return gns_fail(err, -ENODATA, "the times in the store are no times");
	/* Side by side, kernels can take longer than the step: the bar is then of their sum. */
	double whole = fmax(sum, split->step_ms);
	p->has_frame = true;
	p->frame = (struct gns_box){0, top + 4, GNS_FIGURE_WIDTH, BAR};
	p->x = (struct gns_axis){0, whole, false};
	p->y = (struct gns_axis){0, 1, false};
	for (size_t i = 0; i < n; i++) {
		double w = parts[i].ms / whole * GNS_FIGURE_WIDTH;
		gns_picture_rect(p, (struct gns_pen){.ink = parts[i].ink, .alpha = parts[i].alpha, .name = "part"},
				 (struct gns_box){x, top + 4, fmax(w - 1.5, w / 2), BAR});
		x += w;
	}
	for (size_t i = 0; i < n; i++)
		legend(p, &parts[i], split->step_ms, (double)(i % 3) * 312, top + BAR + 32 + LEGEND * (double)(i / 3));
	p->height = top + BAR + 32 + LEGEND * (double)((n + 2) / 3);
	snprintf(p->title, sizeof p->title, "Where the time of a step goes, %s", gns_figure_run_name(name, sizeof name, runs));
	return 0;
}
