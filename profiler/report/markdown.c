/* The report as Markdown: the words and tables, for an issue or a page of notes. */
#include <inttypes.h>
#include <string.h>

#include "profiler/report/escape.h"
#include "profiler/report/figures.h"
#include "profiler/report/sweep.h"

static void line(FILE *out, const char *before, const char *text, const char *after)
{
	fputs(before, out);
	gns_escape_markdown(out, text);
	fputs(after, out);
}

static void sheet(FILE *out, const char *title, struct gns_sheet table)
{
	size_t rows = table.columns ? table.n / table.columns : 0;
	if (rows > 0 && !table.failed) {
		if (title)
			fprintf(out, "## %s\n\n", title);
		for (size_t c = 0; c < table.columns; c++)
			line(out, "| ", table.title[c], c + 1 == table.columns ? " |\n" : " ");
		for (size_t c = 0; c < table.columns; c++)
			fprintf(out, "|%s%s", table.right[c] ? "---:" : "---", c + 1 == table.columns ? "|\n" : "");
		for (size_t i = 0; i < rows * table.columns; i++)
			line(out, "| ", table.cells[i], (i + 1) % table.columns == 0 ? " |\n" : " ");
		if (table.left_out > 0)
			fprintf(out, "\n%zu more are not shown.\n", table.left_out);
		fputc('\n', out);
	}
	gns_sheet_free(&table);
}

static void query(FILE *out, const char *text)
{
	fprintf(out, "```sql\n%s\n```\n\n", text);
}

static void facts(FILE *out, const struct gns_report_run *run)
{
	struct gns_report_fact fact[GNS_FACTS];
	size_t n = gns_report_facts(run, fact);
	fputs("| | | |\n|---|---:|---|\n", out);
	for (size_t i = 0; i < n; i++) {
		line(out, "| ", fact[i].label, " ");
		line(out, "| ", fact[i].value, fact[i].unit[0] ? " " : "");
		line(out, "", fact[i].unit, " ");
		line(out, "| ", fact[i].note, " |\n");
	}
	fputc('\n', out);
}

static void one_run(FILE *out, const struct gns_report_run *run)
{
	const struct gns_summary *s = &run->summary;
	char text[1200], sql[GNS_SQL_SIZE];
	line(out, "# ", gns_figure_run_name(text, sizeof text, run), "");
	fprintf(out, " (run %" PRId64 ")\n\n", s->run.run_id);
	line(out, "**", run->verdict, "**\n\n");
	line(out, "", gns_report_status(text, sizeof text, &s->run), "");
	line(out, s->run.command[0] ? ": " : "", s->run.command, "\n\n");
	facts(out, run);
	if (run->others[0])
		line(out, "Other optimizers of the program: ", run->others, ".\n\n");
	sheet(out, "What another batch would cost", gns_sheet_batches(run));
	if (s->b_crit.lo > 0)
		line(out, "", gns_report_caption(text, sizeof text, GNS_FIGURE_TRADEOFF, run), "\n\n");
	sheet(out, "Weights", gns_sheet_layers(run));
	if (run->n_layers > 0)
		query(out, gns_figure_sql(sql, sizeof sql, GNS_FIGURE_LAYERS, run));
	sheet(out, "Kernels", gns_sheet_kernels(run));
	if (run->n_kernels > 0)
		query(out, gns_kernels_sql(sql, sizeof sql, run));
	sheet(out, "Where the time of a step goes on the device", gns_sheet_devices(run));
	if (run->gpu.why_not[0])
		line(out, "Of the device, ", run->gpu.why_not, ".\n\n");
	if (run->gpu.n_devices > 0)
		query(out, gns_devices_sql(sql, sizeof sql, run));
	sheet(out, "Kernels on devices", gns_sheet_device_kernels(run));
	if (run->gpu.n_kernels > 0)
		query(out, gns_device_kernels_sql(sql, sizeof sql, run));
	sheet(out, "Settings of the training", gns_sheet_settings(run));
	if (s->n_warnings > 0)
		fputs("## Warnings\n\n", out);
	for (size_t i = 0; i < s->n_warnings; i++) {
		line(out, "- **", s->warnings[i].name, "**: ");
		line(out, "", s->warnings[i].text, "\n");
	}
	if (s->n_warnings > 0)
		fputc('\n', out);
	sheet(out, "Events", gns_sheet_events(run));
}

static void of_sweep(FILE *out, const struct gns_report_sweep *sweep)
{
	char text[1200];
	line(out, "# Sweep ", sweep->name, "\n\n");
	line(out, "**", gns_sweep_verdict(text, sizeof text, sweep), "**\n\n");
	line(out, "", gns_sweep_caption(text, sizeof text, sweep), "\n\n");
	sheet(out, NULL, gns_sheet_sweep(sweep));
	for (size_t i = 0; i < sweep->n_notes; i++) {
		line(out, "- **", sweep->notes[i].name, "**: ");
		line(out, "", sweep->notes[i].text, i + 1 == sweep->n_notes ? "\n\n" : "\n");
	}
	query(out, gns_sweep_sql(text, sizeof text, sweep));
}

void gns_report_markdown(FILE *out, const struct gns_report *report, const struct gns_report_sweep *sweep)
{
	fputs("<!-- gnscope report -->\n", out);
	if (sweep)
		of_sweep(out, sweep);
	if (report->n > 1)
		sheet(out, "Runs", gns_sheet_runs(report));
	for (size_t i = 0; i < report->n; i++)
		one_run(out, &report->run[i]);
}
