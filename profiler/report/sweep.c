/* The words and the table of a sweep. */
#include "profiler/report/sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/cells.h"

void gns_report_sweep_free(struct gns_report_sweep *sweep)
{
	free(sweep->points);
	free(sweep->taken);
	free(sweep->table);
	free(sweep->notes);
	*sweep = (struct gns_report_sweep){0};
}

/* The same forms as `gnscope fit` has: a value with limits, without, or only a bound. */
static char *interval(char *dst, size_t size, struct gns_interval i, const char *unit)
{
	char v[40], lo[40], hi[40];
	gns_text_number(v, sizeof v, i.value);
	gns_text_number(lo, sizeof lo, i.lo);
	gns_text_number(hi, sizeof hi, i.hi);
	if (isnan(i.lo) && isnan(i.hi) && isfinite(i.value))
		snprintf(dst, size, "%s %s, no limits", v, unit);
	else if (isnan(i.hi) && i.lo > 0)
		snprintf(dst, size, "unresolved: >= %s %s", lo, unit);
	else if (isnan(i.hi))
		snprintf(dst, size, "unresolved");
	else if (isnan(i.value) || i.lo == 0)
		snprintf(dst, size, "unresolved: <= %s %s", hi, unit);
	else
		snprintf(dst, size, "%s %s [%s to %s]", v, unit, lo, hi);
	return dst;
}

char *gns_sweep_verdict(char *dst, size_t size, const struct gns_report_sweep *s)
{
	char crit[160], loss[40];
	gns_text_number(loss, sizeof loss, s->target);
	if (s->fitted)
		snprintf(dst, size, "B_crit measured: %s, for loss %s", interval(crit, sizeof crit, s->fit.b_crit, s->unit), loss);
	else
		snprintf(dst, size, "%s", s->why);
	return dst;
}

char *gns_sweep_caption(char *dst, size_t size, const struct gns_report_sweep *s)
{
	char s_min[160], e_min[160], cbs[40], p[64] = "";
	if (!s->fitted) {
		snprintf(dst, size, "Each dot is a run; an arrow, one that did not reach the loss.");
		return dst;
	}
	if (isfinite(s->fit.fit_p))
		snprintf(p, sizeof p, " (batches against seeds: p = %.2g)", s->fit.fit_p);
	snprintf(dst, size, "Line: steps = S_min + E_min/B (McCandlish et al. 2018, eq. 2.11), S_min %s, E_min %s. %s%s. 20%% more steps than linear scaling "
		 "(Zhang et al. 2024) at %s %s. Each dot is a run; an arrow, one that did not reach the loss; pale, a learning rate not taken.",
		 interval(s_min, sizeof s_min, s->fit.s_min, "steps"), interval(e_min, sizeof e_min, s->fit.e_min, s->unit),
		 s->fit.scatter == GNS_SCATTER_NONE ? "Too few runs to judge the law by" : s->fit.law_fails ? "The law does not hold" : "The law holds", p,
		 gns_text_number(cbs, sizeof cbs, s->fit.b_cbs20), s->unit);
	return dst;
}

char *gns_sweep_sql(char *dst, size_t size, const struct gns_report_sweep *s)
{
	snprintf(dst, size, "SELECT batch, lr, seed, status, steps FROM sweep_run\nWHERE sweep_id = %" PRId64
		 " AND steps > 0 AND status IN ('reached', 'capped', 'slower', 'ended', 'diverged')\nORDER BY batch, lr, seed;", s->sweep_id);
	return dst;
}

struct gns_sheet gns_sheet_sweep(const struct gns_report_sweep *s)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "batch", true);
	gns_cell_column(&sheet, "learning rate", true);
	gns_cell_column(&sheet, "of", true);
	gns_cell_column(&sheet, "runs", true);
	gns_cell_column(&sheet, "reached", true);
	gns_cell_column(&sheet, "steps, median", true);
	gns_cell_column(&sheet, "steps by the law", true);
	gns_cell_column(&sheet, "samples", true);
	for (size_t i = 0; i < s->n_table; i++) {
		const struct gns_fit_batch *b = &s->table[i];
		gns_cell_number(&sheet, b->batch);
		gns_cell_number(&sheet, b->lr);
		gns_cell_number(&sheet, (double)b->lrs);
		gns_cell_number(&sheet, (double)b->runs);
		gns_cell_number(&sheet, (double)(b->runs - b->censored));
		gns_cell_number(&sheet, round(b->steps));
		gns_cell_number(&sheet, round(b->fitted));
		gns_cell_number(&sheet, round(b->steps * b->batch));
	}
	return sheet;
}
