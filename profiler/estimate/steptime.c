/* alpha + beta B: from the parts of one run's step, or from several runs. */
#include "gnscope/steptime.h"

#include <math.h>

#include "profiler/estimate/variance.h"

static double products_fixed(const struct gns_step_seen *seen, double half_rows)
{
	double fixed = 0;
	for (size_t i = 0; i < seen->n; i++)
		if (seen->product[i].rows > 0)
			fixed += seen->product[i].ms * half_rows / (half_rows + seen->product[i].rows);
	return fixed;
}

void gns_step_from_parts(const struct gns_step_seen *seen, struct gns_step_model *out)
{
	*out = (struct gns_step_model){.batch = seen->batch, .ms = seen->step_ms, .alpha = NAN, .beta = NAN, .alpha_lo = NAN,
				       .alpha_hi = NAN, .optimizer_ms = seen->optimizer_ms, .sigma = NAN, .dof = NAN};
	if (!(seen->batch > 0) || !(seen->step_ms > 0))
		return;
	double calls = 0, optimizer = seen->optimizer_ms > 0 ? fmin(seen->optimizer_ms, seen->step_ms) : 0;
	for (size_t i = 0; i < seen->n; i++) {
		out->products_ms += seen->product[i].ms;
		calls += seen->product[i].rows > 0 ? seen->product[i].calls : 0;
	}
	out->rule = out->products_ms > 0 ? GNS_STEP_PARTS : GNS_STEP_WHOLE;
	out->alpha_lo = optimizer;
	out->alpha_hi = seen->step_ms;
	if (out->rule == GNS_STEP_WHOLE)
		return;
	double scale = fmin(1, (seen->step_ms - optimizer) / out->products_ms);
	out->products_ms *= scale;
	out->products_fixed_ms = scale * products_fixed(seen, GNS_STEP_HALF_ROWS);
	out->rest_ms = seen->step_ms - optimizer - out->products_ms;
	out->rest_fixed_ms = isnan(seen->optimizer_ms) ? out->rest_ms / 2 : fmin(out->rest_ms, GNS_STEP_CALL_MS * calls);
	out->alpha = optimizer + out->products_fixed_ms + out->rest_fixed_ms;
	out->alpha_hi = optimizer + scale * products_fixed(seen, GNS_STEP_HALF_ROWS_MOST) + out->rest_ms;
	out->beta = (seen->step_ms - out->alpha) / seen->batch;
}

/* alpha/t + beta B/t = 1. */
void gns_step_from_runs(const struct gns_step_point *points, size_t n, const struct gns_step_model *parts, struct gns_step_model *out)
{
	double xx = 0, xy = 0, yy = 0, x1 = 0, y1 = 0, left = 0;
	size_t used = 0, batches = 0;
	*out = *parts;
	for (size_t i = 0; i < n; i++) {
		if (!(points[i].batch > 0) || !(points[i].ms > 0))
			continue;
		double x = 1 / points[i].ms, y = points[i].batch / points[i].ms;
		bool again = false;
		for (size_t j = 0; j < i; j++)
			again |= points[j].ms > 0 && points[j].batch == points[i].batch;
		batches += !again;
		used++;
		xx += x * x;
		xy += x * y;
		yy += y * y;
		x1 += x;
		y1 += y;
	}
	double det = xx * yy - xy * xy;
	if (batches < 2 || !(det > 1e-12 * xx * yy))
		return;
	double alpha = (x1 * yy - y1 * xy) / det, beta = (y1 * xx - x1 * xy) / det;
	if (alpha < 0) {
		alpha = 0;
		beta = y1 / yy;
	} else if (beta < 0) {
		beta = 0;
		alpha = x1 / xx;
	}
	for (size_t i = 0; i < n; i++)
		if (points[i].batch > 0 && points[i].ms > 0)
			left += pow((alpha + beta * points[i].batch) / points[i].ms - 1, 2);
	out->miss = 1;
	for (size_t i = 0; i < n; i++) {
		double miss = points[i].batch > 0 && points[i].ms > 0 ? points[i].ms / (alpha + beta * points[i].batch) : 1;
		if (fabs(log(miss)) > fabs(log(out->miss))) {
			out->miss = miss;
			out->miss_batch = points[i].batch;
		}
	}
	out->rule = GNS_STEP_RUNS;
	out->alpha = alpha;
	out->beta = beta;
	out->alpha_lo = out->alpha_hi = NAN;
	out->runs = used;
	out->batches = batches;
	out->dof = (double)used - 2;
	out->sigma = used > 2 ? sqrt(left / out->dof) : (double)NAN;
	out->xx = xx;
	out->xy = xy;
	out->yy = yy;
}

/* Of the line, and of one more run about it. */
static double runs_half_width(const struct gns_step_model *m, double batch, double ms)
{
	double det = m->xx * m->yy - m->xy * m->xy;
	double line = (m->yy - 2 * batch * m->xy + batch * batch * m->xx) / det;
	return GNS_Z95 * sqrt(gns_small_sample(m->dof)) * m->sigma * sqrt(line + ms * ms);
}

struct gns_interval gns_step_at(const struct gns_step_model *m, double batch)
{
	struct gns_interval at = {NAN, NAN, NAN};
	if (m->rule == GNS_STEP_NONE || !(batch > 0))
		return at;
	double scale = batch / m->batch;
	if (m->rule == GNS_STEP_RUNS) {
		at.value = m->alpha + m->beta * batch;
		double times = m->runs > 2 ? exp(runs_half_width(m, batch, at.value) / at.value) : (double)NAN;
		times = isfinite(times) ? times : (double)NAN; /* so wide that nothing is known */
		at.lo = at.value / times;
		at.hi = at.value * times;
		return at;
	}
	double a = m->alpha_lo + (m->ms - m->alpha_lo) * scale, b = m->alpha_hi + (m->ms - m->alpha_hi) * scale;
	at.value = batch == m->batch ? m->ms : m->alpha + m->beta * batch;
	at.lo = fmin(a, b);
	at.hi = fmax(a, b);
	return at;
}

struct gns_interval gns_step_fastest(const struct gns_step_model *m, struct gns_interval b_crit, double devices)
{
	struct gns_interval best = {NAN, NAN, NAN};
	if (m->rule == GNS_STEP_NONE || !(devices > 0))
		return best;
	best.value = gns_fastest_batch(b_crit.value, m->alpha * devices, m->beta);
	bool range = m->rule != GNS_STEP_RUNS;
	double lo = range ? m->alpha_lo : m->alpha, hi = range ? m->alpha_hi : m->alpha;
	best.lo = gns_fastest_batch(b_crit.lo, lo * devices, range ? (m->ms - lo) / m->batch : m->beta);
	best.hi = gns_fastest_batch(b_crit.hi, hi * devices, range ? (m->ms - hi) / m->batch : m->beta);
	return best;
}
