/* One family after the other, as the format wants it: all samples of a family stand together. */
#include <inttypes.h>
#include <math.h>

#include "gnscope/text.h"
#include "profiler/export/export.h"

static double b_noise(const struct gns_summary *s) { return s->b_noise.resolved ? s->b_noise.value : (double)NAN; }
static double b_noise_low(const struct gns_summary *s) { return s->b_noise.lo; }
static double b_noise_high(const struct gns_summary *s) { return s->b_noise.hi; }
static double b_crit(const struct gns_summary *s) { return s->b_crit.resolved ? s->b_crit.value : (double)NAN; }
static double b_crit_low(const struct gns_summary *s) { return s->b_crit.lo; }
static double b_crit_high(const struct gns_summary *s) { return s->b_crit.hi; }
static double batch(const struct gns_summary *s) { return s->samples_per_step; }
static double loss(const struct gns_summary *s) { return s->loss; }
static double lr(const struct gns_summary *s) { return s->lr; }
static double step_seconds(const struct gns_summary *s) { return s->step_ms / 1e3; }
static double overhead(const struct gns_summary *s) { return s->overhead_pct / 100; }
static double coverage(const struct gns_summary *s) { return s->coverage; }
static double steps(const struct gns_summary *s) { return (double)s->run.steps; }
static double measured(const struct gns_summary *s) { return (double)s->measured; }
static double dropped(const struct gns_summary *s) { return (double)s->dropped; }

static const struct {
	const char *name, *unit, *help;
	bool counter, of_samples; /* of_samples: its unit is that of the run, in a label */
	double (*value)(const struct gns_summary *s);
} families[] = {
	{"gnscope_b_noise", NULL, "Gradient noise scale of the run, only while resolved.", false, true, b_noise},
	{"gnscope_b_noise_low", NULL, "Lower 95% limit of the gradient noise scale.", false, true, b_noise_low},
	{"gnscope_b_noise_high", NULL, "Upper 95% limit of the gradient noise scale.", false, true, b_noise_high},
	{"gnscope_b_crit", NULL, "Critical batch size of the run, only while resolved.", false, true, b_crit},
	{"gnscope_b_crit_low", NULL, "Lower 95% limit of the critical batch size.", false, true, b_crit_low},
	{"gnscope_b_crit_high", NULL, "Upper 95% limit of the critical batch size.", false, true, b_crit_high},
	{"gnscope_batch", NULL, "Usual batch of a step, all ranks.", false, true, batch},
	{"gnscope_loss", NULL, "The last loss.", false, false, loss},
	{"gnscope_learning_rate", NULL, "The learning rate.", false, false, lr},
	{"gnscope_step_seconds", "seconds", "Median time of a step.", false, false, step_seconds},
	{"gnscope_overhead_ratio", "ratio", "Share of step time that the profiler itself took.", false, false, overhead},
	{"gnscope_coverage_ratio", "ratio", "Share of the parameters that the numbers speak for.", false, false, coverage},
	{"gnscope_steps", NULL, "Optimizer steps seen.", true, false, steps},
	{"gnscope_steps_measured", NULL, "Steps measured.", true, false, measured},
	{"gnscope_steps_dropped", NULL, "Steps lost before they were stored.", true, false, dropped},
};

static void label(FILE *out, const char *name, const char *value)
{
	char safe[256];
	fprintf(out, "%s=\"", name);
	for (const char *c = gns_text_safe(safe, sizeof safe, value); *c; c++)
		fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	fputc('"', out);
}

static void labels(FILE *out, const struct gns_summary *s)
{
	fprintf(out, "{run=\"%" PRId64 "\",", s->run.run_id);
	label(out, "name", s->run.name);
}

static void info(FILE *out, const struct gns_summary *runs, size_t n)
{
	fputs("# TYPE gnscope_run info\n# HELP gnscope_run What was run, and how it stands.\n", out);
	for (size_t i = 0; i < n; i++) {
		fputs("gnscope_run_info", out);
		labels(out, &runs[i]);
		fputc(',', out);
		label(out, "status", runs[i].run.status);
		fputc(',', out);
		label(out, "host", runs[i].run.host);
		fputc(',', out);
		label(out, "optimizer", runs[i].optimizer);
		fputs("} 1\n", out);
	}
}

void gns_openmetrics(FILE *out, const struct gns_summary *runs, size_t n)
{
	info(out, runs, n);
	for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
		fprintf(out, "# TYPE %s %s\n", families[f].name, families[f].counter ? "counter" : "gauge");
		if (families[f].unit)
			fprintf(out, "# UNIT %s %s\n", families[f].name, families[f].unit);
		fprintf(out, "# HELP %s %s\n", families[f].name, families[f].help);
		for (size_t i = 0; i < n; i++) {
			double value = families[f].value(&runs[i]);
			if (!isfinite(value) || (families[f].counter && value < 0))
				continue;
			fprintf(out, "%s%s", families[f].name, families[f].counter ? "_total" : "");
			labels(out, &runs[i]);
			if (families[f].of_samples) {
				fputc(',', out);
				label(out, "unit", runs[i].sample_unit);
			}
			fprintf(out, "} %.17g\n", value);
		}
	}
	fputs("# EOF\n", out);
}
