/* The numbers at the head of a report, and the sentences under its pictures. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/report/sheet.h"

static char *duration(char *dst, size_t size, uint64_t from_ns, uint64_t to_ns)
{
	return gns_text_duration(dst, size, from_ns && to_ns > from_ns ? (double)((to_ns - from_ns) / 1000000000u) : (double)NAN);
}

char *gns_report_status(char *dst, size_t size, const struct gns_run_info *run)
{
	char after[48], status[32];
	duration(after, sizeof after, run->start_ns, run->end_ns);
	gns_text_safe(status, sizeof status, run->status);
	if (strcmp(run->status, "running") == 0)
		snprintf(dst, size, "running when this was written");
	else if (strcmp(run->status, "failed") == 0)
		snprintf(dst, size, "failed after %s with exit status %d", after, run->exit_code);
	else if (strcmp(run->status, "killed") == 0)
		snprintf(dst, size, "killed after %s by signal %d", after, -run->exit_code);
	else if (strcmp(run->status, "lost") == 0)
		snprintf(dst, size, "lost: its end was not seen");
	else
		snprintf(dst, size, "%s after %s", status, after);
	return dst;
}

static struct gns_report_fact *fact(struct gns_report_fact *facts, size_t *n, const char *key, const char *label)
{
	struct gns_report_fact *f = &facts[(*n)++];
	*f = (struct gns_report_fact){.key = key};
	snprintf(f->label, sizeof f->label, "%s", label);
	return f;
}

static void of_ratio(struct gns_report_fact *f, const struct gns_ratio *r, const char *unit)
{
	char lo[48], hi[48];
	gns_text_number(lo, sizeof lo, r->lo);
	gns_text_number(hi, sizeof hi, r->hi);
	if (r->resolved && r->value > 0) {
		gns_text_number(f->value, sizeof f->value, r->value);
		snprintf(f->unit, sizeof f->unit, "%s", unit);
		gns_text_interval(f->note, sizeof f->note, r);
	} else if (r->resolved) {
		snprintf(f->value, sizeof f->value, "< %s", hi);
		snprintf(f->unit, sizeof f->unit, "%s", unit);
		snprintf(f->note, sizeof f->note, "95%% CI");
	} else if (r->lo > 0) {
		snprintf(f->value, sizeof f->value, "≥ %s", lo);
		snprintf(f->unit, sizeof f->unit, "%s", unit);
		snprintf(f->note, sizeof f->note, "unresolved: no upper limit");
	} else {
		snprintf(f->value, sizeof f->value, "unresolved");
		snprintf(f->note, sizeof f->note, "lost in the noise: measure more steps");
	}
}

static void of_batch(struct gns_report_fact *facts, size_t *n, const struct gns_summary *s, const char *unit)
{
	struct gns_report_fact *f = fact(facts, n, "samples_per_step", "Your batch");
	gns_text_number(f->value, sizeof f->value, s->samples_per_step);
	snprintf(f->unit, sizeof f->unit, "%s", unit);
	snprintf(f->note, sizeof f->note, "the usual one, all ranks");
	if (gns_verdict_is_class(gns_verdict_of(s)))
		snprintf(f->note, sizeof f->note, "%s: sample efficiency %.0f%%", gns_batch_verdict_names[gns_verdict_of(s)],
			 100 * gns_sample_efficiency(s->samples_per_step, s->b_crit.value));
}

static void of_time(struct gns_report_fact *facts, size_t *n, const struct gns_summary *s)
{
	struct gns_report_fact *f = fact(facts, n, "step_ms", "Step time");
	char overhead[48];
	gns_text_number(f->value, sizeof f->value, s->step_ms);
	snprintf(f->unit, sizeof f->unit, "ms");
	if (isfinite(s->overhead_pct))
		snprintf(f->note, sizeof f->note, "median; gnscope %s%% of it", gns_text_number(overhead, sizeof overhead, s->overhead_pct));
}

static void of_steps(struct gns_report_fact *facts, size_t *n, const struct gns_summary *s)
{
	struct gns_report_fact *f = fact(facts, n, "steps", "Steps");
	char a[48], more[96] = "";
	gns_text_number(f->value, sizeof f->value, (double)s->run.steps);
	if (s->steps_refused > 0 || s->dropped > 0)
		snprintf(more, sizeof more, ", %" PRId64 " skipped, %" PRId64 " lost", s->steps_refused, s->dropped);
	snprintf(f->note, sizeof f->note, "%s measured%s", gns_text_number(a, sizeof a, (double)s->measured), more);
}

size_t gns_report_facts(const struct gns_report_run *run, struct gns_report_fact facts[GNS_FACTS])
{
	const struct gns_summary *s = &run->summary;
	size_t n = 0;
	char unit[32], note[160];
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	of_ratio(fact(facts, &n, "b_noise", "B_noise"), &s->b_noise, unit);
	of_ratio(fact(facts, &n, "b_crit", "B_crit"), &s->b_crit, unit);
	of_batch(facts, &n, s, unit);
	of_steps(facts, &n, s);
	of_time(facts, &n, s);
	struct gns_report_fact *f = fact(facts, &n, "coverage", "Coverage");
	if (isfinite(s->coverage))
		snprintf(f->value, sizeof f->value, "%.3g%%", 100 * s->coverage);
	else
		snprintf(f->value, sizeof f->value, "-");
	snprintf(f->note, sizeof f->note, "%s", gns_text_safe(note, sizeof note, s->coverage_note));
	f = fact(facts, &n, "loss", "Loss");
	gns_text_number(f->value, sizeof f->value, s->loss);
	snprintf(f->note, sizeof f->note, isfinite(s->loss) ? "the last" : "unknown");
	f = fact(facts, &n, "optimizer", "Optimizer");
	snprintf(f->value, sizeof f->value, "%s", s->optimizer[0] ? gns_text_safe(note, sizeof note, s->optimizer) : "-");
	if (isfinite(s->lr))
		snprintf(f->note, sizeof f->note, "learning rate %s", gns_text_number(note, sizeof note, s->lr));
	else
		snprintf(f->note, sizeof f->note, s->optimizer[0] ? "learning rate not known" : "not known");
	return n;
}

/* ---- under the pictures ---- */

static void recent(char *dst, size_t size, const struct gns_report_run *run)
{
	char ratio[128], unit[32], half[48];
	size_t at = 0;
	dst[0] = '\0';
	gns_text_safe(unit, sizeof unit, run->summary.sample_unit);
	for (size_t i = 0; i < run->n_live && at < size; i++)
		at += (size_t)snprintf(dst + at, size - at, "%s%s (half-life %s measured steps)", i ? ", " : " Recent B_noise, with decaying weights: ",
				       gns_text_ratio(ratio, sizeof ratio, &run->live[i].b_noise, unit),
				       gns_text_number(half, sizeof half, run->live[i].half_life));
	if (at > 0 && at < size)
		snprintf(dst + at, size - at, ".");
}

static void of_noise(char *dst, size_t size, const struct gns_report_run *run)
{
	char now[400], width[48];
	size_t open = 0;
	for (size_t i = 0; i < run->n_points; i++)
		open += !run->points[i].b_noise.resolved;
	recent(now, sizeof now, run);
	gns_text_number(width, sizeof width, (double)run->width);
	int n = snprintf(dst, size, "Each point pools the measured steps of %s steps: ratio of the means, Fieller's 95%% limits.", width);
	if (open > 0 && n > 0 && (size_t)n < size)
		n += snprintf(dst + n, size - (size_t)n, " %zu of %zu stretches are unresolved: the signal is lost in the noise there, and only \"at least\" is known.",
			      open, run->n_points);
	if (n > 0 && (size_t)n < size)
		snprintf(dst + n, size - (size_t)n, "%s", now);
}

static void of_layers(char *dst, size_t size, const struct gns_report_run *run)
{
	const struct gns_layer *noisiest, *most;
	size_t out = 0, at = 0;
	char name[96], ratio[128], unit[32];
	gns_text_safe(unit, sizeof unit, run->summary.sample_unit);
	gns_layers_outstanding(run->layers, run->n_layers, &noisiest, &most);
	for (size_t i = 0; i < run->n_layers; i++)
		out += run->layers[i].excluded;
	dst[0] = '\0';
	if (noisiest)
		at += (size_t)snprintf(dst, size, "Noisiest layer: %s, B_noise %s. ", gns_text_safe(name, sizeof name, noisiest->name),
				       gns_text_ratio(ratio, sizeof ratio, &noisiest->b_noise, unit));
	if (most && at < size)
		at += (size_t)snprintf(dst + at, size - at, "Largest share of the noise: %s, %.1f%% of S. ", gns_text_safe(name, sizeof name, most->name), 100 * most->share_s);
	if (out > 0 && at < size)
		snprintf(dst + at, size - at, "%zu left out.", out);
}

static void of_time_split(char *dst, size_t size, const struct gns_report_run *run)
{
	char ms[48], steps[48];
	double sum = fmax(0, run->split.gnscope_ms);
	for (size_t i = 0; i < run->split.n_families; i++)
		sum += run->split.family[i].ms;
	snprintf(dst, size, "Mean over the last %s measured steps, %s ms each, one rank.%s", gns_text_number(steps, sizeof steps, run->split.steps),
		 gns_text_number(ms, sizeof ms, run->split.step_ms),
		 sum > run->split.step_ms ? " Calls run side by side: their times add up to more than the step." : "");
}

char *gns_report_caption(char *dst, size_t size, enum gns_figure figure, const struct gns_report_run *run)
{
	dst[0] = '\0';
	if (figure == GNS_FIGURE_NOISE)
		of_noise(dst, size, run);
	else if (figure == GNS_FIGURE_LAYERS)
		of_layers(dst, size, run);
	else if (figure == GNS_FIGURE_TIME)
		of_time_split(dst, size, run);
	else if (figure == GNS_FIGURE_TRADEOFF)
		snprintf(dst, size, "Predicted (McCandlish et al. 2018, eq. 2.11) from B_crit of the run, assuming a re-tuned learning "
				    "rate. B_crit estimated from one run is a diagnostic; runs at several batch sizes measure it.");
	return dst;
}
