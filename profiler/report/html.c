/* The report as one HTML page: no script, nothing from elsewhere, light and dark, fit for paper. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gnscope/text.h"
#include "profiler/report/escape.h"
#include "profiler/report/figures.h"
#include "profiler/report/sweep.h"

static const char style[] =
	"*{box-sizing:border-box}\n"
	"html{-webkit-text-size-adjust:100%}\n"
	"body{margin:0;background:var(--paper);color:var(--text);font:15.5px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',"
	"'DejaVu Sans',sans-serif;font-variant-numeric:tabular-nums}\n"
	"main{max-width:984px;margin:0 auto;padding:44px 32px 72px}\n"
	"code,pre,.mono{font-family:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:.86em}\n"
	".kicker{margin:0 0 6px;font-size:12px;font-weight:600;letter-spacing:.09em;text-transform:uppercase;color:var(--faint)}\n"
	"h1{margin:0;font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.012em;overflow-wrap:anywhere}\n"
	"h2{margin:52px 0 2px;font-size:19px;font-weight:640;letter-spacing:-.005em}\n"
	"h2+.lead{margin-top:0}\n"
	".about{margin:8px 0 0;color:var(--faint);overflow-wrap:anywhere}\n"
	".verdict{margin:26px 0 0;padding:2px 0 2px 18px;border-left:4px solid var(--noise);font-size:21px;line-height:1.4;font-weight:520;"
	"max-width:44em;text-wrap:pretty}\n"
	".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(208px,1fr));margin:30px 0 0;padding:0;"
	"border:1px solid var(--grid);border-radius:10px;overflow:hidden}\n"
	".fact{padding:14px 18px 13px;box-shadow:0 0 0 1px var(--grid)}\n"
	".fact dt{font-size:12.5px;color:var(--faint)}\n"
	".fact dd{margin:1px 0 0;font-size:23px;font-weight:620;letter-spacing:-.01em;line-height:1.3}\n"
	".fact dd .unit{font-size:14px;font-weight:450;letter-spacing:0;color:var(--faint)}\n"
	".fact dd.note{margin-top:1px;font-size:12.5px;font-weight:400;letter-spacing:0;line-height:1.4;color:var(--faint)}\n"
	".note,figcaption,.lead{color:var(--faint)}\n"
	".lead{margin:0 0 14px;max-width:52em}\n"
	"figure{margin:14px 0 0}\n"
	"figure .picture{overflow-x:auto}\n"
	"figure svg{display:block;width:100%;min-width:640px;height:auto;overflow:visible}\n"
	"figcaption{margin-top:10px;font-size:13.5px;line-height:1.5;max-width:60em}\n"
	"details{margin:8px 0 0;font-size:13px}\n"
	"summary{cursor:pointer;color:var(--faint);width:max-content;border-radius:4px;padding:1px 0}\n"
	"summary:hover{color:var(--text)}summary:focus-visible{outline:2px solid var(--noise)}\n"
	"pre{margin:8px 0 0;padding:12px 16px;border:1px solid var(--grid);border-radius:8px;overflow-x:auto;line-height:1.5}\n"
	".scroll{overflow-x:auto;margin:16px 0 0}\n"
	"table{border-collapse:collapse;width:100%;font-size:13.5px}\n"
	"th{text-align:left;font-weight:500;font-size:12.5px;color:var(--faint);border-bottom:1px solid var(--frame);padding:5px 12px 5px 0;"
	"white-space:nowrap;vertical-align:bottom}\n"
	"td{border-bottom:1px solid var(--grid);padding:5px 12px 5px 0;vertical-align:top;overflow-wrap:anywhere}\n"
	"th.n,td.n{text-align:right;padding:5px 0 5px 14px;white-space:nowrap}\n"
	"td:first-child.n,th:first-child.n{padding-left:0}td.n+td:not(.n),th.n+th:not(.n){padding-left:24px}\n"
	"tr.now td{font-weight:640;background:color-mix(in srgb,var(--batch) 9%,transparent)}\n"
	"ul.warnings{list-style:none;margin:12px 0 0;padding:0}\n"
	"ul.warnings li{padding:8px 14px;margin:6px 0 0;border-left:3px solid var(--crit);background:color-mix(in srgb,var(--crit) 7%,transparent);"
	"border-radius:0 6px 6px 0;font-size:14px}\n"
	"ul.warnings b{font-weight:640}\n"
	"section.run+section.run,section.compare+section{margin-top:72px;padding-top:44px;border-top:1px solid var(--frame)}\n"
	"footer{margin-top:64px;padding-top:14px;border-top:1px solid var(--grid);font-size:12.5px;color:var(--faint)}\n"
	"@media (max-width:600px){main{padding:24px 16px 48px}.verdict{font-size:18px}h1{font-size:25px}}\n"
	"@media print{main{max-width:none;padding:0}body{font-size:11pt}figure,.facts,tr,ul.warnings li{break-inside:avoid}h2{break-after:avoid}"
	"figure svg{min-width:0}details::details-content{content-visibility:visible;block-size:auto}section.run{break-before:page}"
	"section.run:first-of-type{break-before:auto}}\n";

struct page {
	FILE *out;
	int pictures; /* so far: a number makes the ids of each unique */
};

static void put(struct page *page, const char *text)
{
	gns_escape_html(page->out, text);
}

static void element(struct page *page, const char *open, const char *text, const char *close)
{
	fputs(open, page->out);
	put(page, text);
	fputs(close, page->out);
}

/* ---- parts ---- */

static void sql(struct page *page, const char *name, int64_t run_id, const char *query)
{
	fprintf(page->out, "<details><summary>SQL that gives these numbers</summary>\n<pre><code data-sql=\"%s\" data-run=\"%" PRId64 "\">", name, run_id);
	gns_escape_html_lines(page->out, query);
	fputs("</code></pre></details>\n", page->out);
}

static void sheet(struct page *page, struct gns_sheet table, const char *name)
{
	size_t rows = table.columns ? table.n / table.columns : 0;
	if (rows == 0 || table.failed) {
		gns_sheet_free(&table);
		return;
	}
	fprintf(page->out, "<div class=\"scroll\"><table data-table=\"%s\">\n<thead><tr>", name);
	for (size_t c = 0; c < table.columns; c++)
		element(page, table.right[c] ? "<th class=\"n\">" : "<th>", table.title[c], "</th>");
	fputs("</tr></thead>\n<tbody>\n", page->out);
	for (size_t r = 0; r < rows; r++) {
		fputs((long)r == table.marked ? "<tr class=\"now\">" : "<tr>", page->out);
		for (size_t c = 0; c < table.columns; c++)
			element(page, table.right[c] ? "<td class=\"n\">" : "<td>", table.cells[r * table.columns + c], "</td>");
		fputs("</tr>\n", page->out);
	}
	fputs("</tbody></table></div>\n", page->out);
	if (table.left_out > 0)
		fprintf(page->out, "<p class=\"note\">%zu more are not shown.</p>\n", table.left_out);
	gns_sheet_free(&table);
}

static void figure(struct page *page, enum gns_figure kind, const struct gns_report_run *runs, size_t n)
{
	struct gns_picture picture;
	struct gns_error err = {""};
	char caption[1200], query[GNS_SQL_SIZE];
	if (gns_figure_draw(&picture, kind, runs, n, false, &err) == 0) {
		fprintf(page->out, "<figure data-figure=\"%s\"><div class=\"picture\">\n", gns_figure_names[kind]);
		gns_svg_inline(page->out, &picture, page->pictures++);
		fputs("</div>", page->out);
		if (n == 1 && gns_report_caption(caption, sizeof caption, kind, runs)[0])
			element(page, "<figcaption>", caption, "</figcaption>");
		fputs("</figure>\n", page->out);
		if (n == 1)
			sql(page, gns_figure_names[kind], runs->summary.run.run_id, gns_figure_sql(query, sizeof query, kind, runs));
	} else {
		element(page, "<p class=\"note\">No picture: ", err.text, ".</p>\n");
	}
	gns_picture_free(&picture);
}

static void facts(struct page *page, const struct gns_report_run *run)
{
	struct gns_report_fact fact[GNS_FACTS];
	size_t n = gns_report_facts(run, fact);
	fputs("<dl class=\"facts\">\n", page->out);
	for (size_t i = 0; i < n; i++) {
		element(page, "<div class=\"fact\"><dt>", fact[i].label, "</dt>");
		fprintf(page->out, "<dd data-key=\"%s\">", fact[i].key);
		put(page, fact[i].value);
		if (fact[i].unit[0])
			element(page, " <span class=\"unit\">", fact[i].unit, "</span>");
		fputs("</dd>", page->out);
		if (fact[i].note[0])
			element(page, "<dd class=\"note\">", fact[i].note, "</dd>");
		fputs("</div>\n", page->out);
	}
	fputs("</dl>\n", page->out);
}

static void warnings(struct page *page, const struct gns_summary *s)
{
	fputs("<h2>Warnings</h2>\n", page->out);
	if (s->n_warnings == 0)
		fputs("<p class=\"lead\">None.</p>\n", page->out);
	else
		fputs("<ul class=\"warnings\">\n", page->out);
	for (size_t i = 0; i < s->n_warnings; i++) {
		element(page, "<li><b>", s->warnings[i].name, "</b>: ");
		element(page, "", s->warnings[i].text, "</li>\n");
	}
	if (s->n_warnings)
		fputs("</ul>\n", page->out);
}

static void measured(struct page *page, const struct gns_report_run *run)
{
	const struct gns_summary *s = &run->summary;
	char text[900], a[48], b[48], c[48], d[48], unit[32];
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	fputs("<h2>What the numbers speak for</h2>\n", page->out);
	snprintf(text, sizeof text, "%s of %s steps measured; source of the two batch sizes: %s; the unit is %s. S (trace of the per-sample gradient "
		 "covariance) %s, |G|² %s, in squared gradient units.", gns_text_number(a, sizeof a, (double)s->run.steps_measured),
		 gns_text_number(b, sizeof b, (double)s->run.steps), s->sources[0] ? s->sources : "none yet", unit[0] ? unit : "not known",
		 gns_text_number(c, sizeof c, s->mv.s), gns_text_number(d, sizeof d, s->mv.g2));
	element(page, "<p class=\"lead\">", text, "</p>\n");
	sheet(page, gns_sheet_events(run), "events");
}

static void settings(struct page *page, const struct gns_report_run *run)
{
	const struct gns_summary *s = &run->summary;
	char text[200], lr[48];
	fputs("<h2>Settings of the training</h2>\n", page->out);
	if (s->optimizer[0]) {
		snprintf(text, sizeof text, "%s, learning rate %s.", s->optimizer, gns_text_number(lr, sizeof lr, s->lr));
		element(page, "<p class=\"lead\">", text, "</p>\n");
	} else if (run->n_settings == 0) {
		fputs("<p class=\"lead\">Unknown: the program reports no optimizer and no learning rate.</p>\n", page->out);
	}
	sheet(page, gns_sheet_settings(run), "settings");
}

static void section(struct page *page, const char *title, enum gns_figure kind, const struct gns_report_run *run)
{
	element(page, "<h2>", title, "</h2>\n");
	figure(page, kind, run, 1);
}

static void head_of_run(struct page *page, const struct gns_report_run *run, bool only)
{
	const struct gns_run_info *info = &run->summary.run;
	char name[128], line[512], status[128], host[80], started[32] = "-";
	time_t seconds = (time_t)(info->start_ns / 1000000000u);
	struct tm tm;
	if (info->start_ns && localtime_r(&seconds, &tm))
		strftime(started, sizeof started, "%Y-%m-%d %H:%M", &tm);
	fprintf(page->out, "<p class=\"kicker\">%sRun %" PRId64 "</p>\n", only ? "gnscope · " : "", info->run_id);
	element(page, only ? "<h1>" : "<h1 class=\"second\">", gns_figure_run_name(name, sizeof name, run), "</h1>\n");
	snprintf(line, sizeof line, "%s · started %s%s%s", gns_report_status(status, sizeof status, info), started, info->host[0] ? " · host " : "",
		 gns_text_safe(host, sizeof host, info->host));
	element(page, "<p class=\"about\">", line, "</p>\n");
	if (info->command[0])
		element(page, "<p class=\"about mono\">", info->command, "</p>\n");
	element(page, "<p class=\"verdict\">", run->verdict, "</p>\n");
}

static void devices(struct page *page, const struct gns_report_run *run)
{
	char query[GNS_SQL_SIZE];
	int64_t id = run->summary.run.run_id;
	if (run->gpu.n_devices == 0 && run->gpu.n_kernels == 0 && !run->gpu.why_not[0])
		return;
	fputs("<h2>Where the time of a step goes on the device</h2>\n", page->out);
	if (run->gpu.why_not[0])
		element(page, "<p class=\"lead\">Of the device, ", run->gpu.why_not, ".</p>\n");
	else
		fputs("<p class=\"lead\">By the device's own clock, in the steps that were looked at: a moment counts as compute while any kernel runs, else as "
		      "exposed communication, else as exposed copies, else as idle. These times are not to be added to those of calls above.</p>\n", page->out);
	sheet(page, gns_sheet_devices(run), "devices");
	if (run->gpu.n_devices > 0)
		sql(page, "devices", id, gns_devices_sql(query, sizeof query, run));
	sheet(page, gns_sheet_device_kernels(run), "device_kernels");
	if (run->gpu.n_kernels > 0)
		sql(page, "device_kernels", id, gns_device_kernels_sql(query, sizeof query, run));
}

static void one_run(struct page *page, const struct gns_report_run *run, bool only)
{
	char query[GNS_SQL_SIZE];
	fprintf(page->out, "<section class=\"run\" data-run=\"%" PRId64 "\">\n", run->summary.run.run_id);
	head_of_run(page, run, only);
	facts(page, run);
	if (run->others[0])
		element(page, "<p class=\"about\">Other optimizers of the program: ", run->others, ".</p>\n");
	section(page, "How noisy the gradients were", GNS_FIGURE_NOISE, run);
	section(page, "What another batch would cost", GNS_FIGURE_TRADEOFF, run);
	sheet(page, gns_sheet_batches(run), "batches");
	section(page, "Loss", GNS_FIGURE_LOSS, run);
	section(page, "Which weights the noise is in", GNS_FIGURE_LAYERS, run);
	if (run->n_layers > 0) {
		fprintf(page->out, "<details><summary>All %zu weights as a table</summary>\n", run->n_layers);
		sheet(page, gns_sheet_layers(run), "layers");
		fputs("</details>\n", page->out);
	}
	section(page, "Where the time of a step goes", GNS_FIGURE_TIME, run);
	sheet(page, gns_sheet_kernels(run), "kernels");
	if (run->n_kernels > 0)
		sql(page, "kernels", run->summary.run.run_id, gns_kernels_sql(query, sizeof query, run));
	devices(page, run);
	settings(page, run);
	warnings(page, &run->summary);
	measured(page, run);
	fputs("</section>\n", page->out);
}

static void compare(struct page *page, const struct gns_report *report)
{
	char title[64];
	snprintf(title, sizeof title, "%zu runs side by side", report->n);
	fputs("<section class=\"compare\">\n<p class=\"kicker\">gnscope</p>\n", page->out);
	element(page, "<h1>", title, "</h1>\n");
	sheet(page, gns_sheet_runs(report), "runs");
	fputs("<h2>How noisy the gradients were</h2>\n", page->out);
	figure(page, GNS_FIGURE_NOISE, report->run, report->n);
	fputs("<h2>Loss</h2>\n", page->out);
	figure(page, GNS_FIGURE_LOSS, report->run, report->n);
	fputs("</section>\n", page->out);
}

static void sweep_notes(struct page *page, const struct gns_report_sweep *sweep)
{
	if (sweep->n_notes)
		fputs("<ul class=\"warnings\">\n", page->out);
	for (size_t i = 0; i < sweep->n_notes; i++) {
		element(page, "<li><b>", sweep->notes[i].name, "</b>: ");
		element(page, "", sweep->notes[i].text, "</li>\n");
	}
	if (sweep->n_notes)
		fputs("</ul>\n", page->out);
}

static void of_sweep(struct page *page, const struct gns_report_sweep *sweep)
{
	struct gns_picture picture;
	struct gns_error err = {""};
	char text[1200];
	fprintf(page->out, "<section class=\"compare\" data-sweep=\"%" PRId64 "\">\n<p class=\"kicker\">gnscope · Sweep</p>\n", sweep->sweep_id);
	element(page, "<h1>", sweep->name, "</h1>\n");
	element(page, "<p class=\"verdict\">", gns_sweep_verdict(text, sizeof text, sweep), "</p>\n");
	fputs("<h2>Steps to the loss, by batch</h2>\n", page->out);
	if (gns_figure_sweep(&picture, sweep, false, &err) == 0) {
		fputs("<figure data-figure=\"sweep\"><div class=\"picture\">\n", page->out);
		gns_svg_inline(page->out, &picture, page->pictures++);
		element(page, "</div><figcaption>", gns_sweep_caption(text, sizeof text, sweep), "</figcaption>");
		fputs("</figure>\n", page->out);
		sql(page, "sweep", 0, gns_sweep_sql(text, sizeof text, sweep));
	} else {
		element(page, "<p class=\"note\">No picture: ", err.text, ".</p>\n");
	}
	gns_picture_free(&picture);
	sheet(page, gns_sheet_sweep(sweep), "sweep");
	sweep_notes(page, sweep);
	fputs("</section>\n", page->out);
}

static void page_title(struct page *page, const struct gns_report *report, const struct gns_report_sweep *sweep)
{
	char name[128], title[200];
	if (sweep)
		snprintf(title, sizeof title, "%s · gnscope report", gns_text_safe(name, sizeof name, sweep->name));
	else if (report->n == 1)
		snprintf(title, sizeof title, "%s · gnscope report", gns_figure_run_name(name, sizeof name, report->run));
	else
		snprintf(title, sizeof title, "%zu runs · gnscope report", report->n);
	element(page, "<title>", title, "</title>\n");
}

void gns_report_html(FILE *out, const struct gns_report *report, const struct gns_report_sweep *sweep)
{
	struct page page = {.out = out};
	char now[32] = "";
	time_t seconds = time(NULL);
	struct tm tm;
	if (localtime_r(&seconds, &tm))
		strftime(now, sizeof now, "%Y-%m-%d %H:%M", &tm);
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"generator\" content=\"gnscope " GNS_VERSION "\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n", out);
	page_title(&page, report, sweep);
	fputs("<style>\n", out);
	gns_svg_style(out);
	fputs(style, out);
	fputs("</style>\n</head>\n<body>\n<main>\n", out);
	if (sweep)
		of_sweep(&page, sweep);
	if (report->n > 1)
		compare(&page, report);
	for (size_t i = 0; i < report->n; i++)
		one_run(&page, &report->run[i], report->n == 1 && !sweep);
	fprintf(out, "<footer>Written by gnscope " GNS_VERSION " on %s. B_noise: noise of one sample's gradient over the gradient itself, in samples "
		"(McCandlish et al. 2018). Every query above is asked with <code>gnscope sql '...'</code> or sqlite3 of the run database.</footer>\n", now);
	fputs("</main>\n</body>\n</html>\n", out);
}
