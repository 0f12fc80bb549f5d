/* Health: can the numbers be trusted, and if there are none, why not? */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/text.h"
#include "tui/view.h"
#include "tui/say.h"

#define PAGE_ROWS 1024
#define EVENTS_SHOWN 200

struct page { /* a tall canvas that is written from the top, then shown in part */
	struct gns_canvas canvas;
	int rows;
};

__attribute__((format(printf, 4, 5))) static void write_line(struct page *page, enum gns_role role, int indent, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	struct gns_rect rect = {indent, page->rows, page->canvas.width - indent, PAGE_ROWS - page->rows};
	int used = gns_canvas_wrap(&page->canvas, rect, role, text);
	page->rows += used > 0 ? used : 1;
}

static void write_run(struct page *page, const struct gns_model *m)
{
	const struct gns_summary *s = &m->summary;
	char a[600], b[48], c[48], d[48];
	write_line(page, GNS_ROLE_STRONG, 0, "Measuring");
	write_line(page, GNS_ROLE_TEXT, 2, "%s of %s steps measured, %s skipped, %s lost",
		   gns_text_number(a, 48, (double)s->measured), gns_text_number(b, sizeof b, (double)s->run.steps),
		   gns_text_number(c, sizeof c, (double)s->steps_refused), gns_text_number(d, sizeof d, (double)s->dropped));
	write_line(page, GNS_ROLE_TEXT, 2, "%s of %s parameters measured in the last measured step; coverage %s",
		   gns_text_number(a, 48, (double)s->params_measured), gns_text_number(b, sizeof b, (double)s->params),
		   gns_say_percent(c, sizeof c, s->coverage));
	if (s->coverage_note[0])
		write_line(page, GNS_ROLE_FAINT, 2, "%s", gns_text_safe(a, sizeof a, s->coverage_note));
	write_line(page, GNS_ROLE_TEXT, 2, "overhead %s of step time, by the shim's own clock%s%s%s", gns_say_percent(b, sizeof b, s->overhead_pct / 100),
		   s->startup_ms > 0 ? "; start-up " : "", s->startup_ms > 0 ? gns_text_number(c, sizeof c, s->startup_ms) : "",
		   s->startup_ms > 0 ? " ms" : "");
	write_line(page, GNS_ROLE_TEXT, 2, "method: %s; unit: %s",
		   s->sources[0] ? gns_text_safe(a, 100, s->sources) : "none yet", gns_text_safe(b, sizeof b, s->sample_unit));
	if (s->optimizer[0] || isfinite(s->lr))
		write_line(page, GNS_ROLE_TEXT, 2, "optimizer %s, learning rate %s",
			   s->optimizer[0] ? gns_text_safe(a, 100, s->optimizer) : "not known", gns_text_number(b, sizeof b, s->lr));
	write_line(page, GNS_ROLE_TEXT, 2, "host %s, ranks %s", gns_text_safe(a, 100, s->run.host),
		   s->run.world > 0 ? gns_text_number(b, sizeof b, s->run.world) : "not known");
	write_line(page, GNS_ROLE_FAINT, 2, "%s", gns_text_safe(a, sizeof a, s->run.command));
}

/* How far behind the trainer the screen is, and how much is kept. */
static void write_store(struct page *page, const struct gns_model *m)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB"};
	char number[48], lag[48];
	double bytes = m->store_bytes / 1e3;
	size_t unit = 0;
	for (; bytes >= 1000 && unit < 3; unit++)
		bytes /= 1e3;
	if (m->store_bytes > 0)
		write_line(page, GNS_ROLE_TEXT, 2, "database %s %s, its log included", gns_say_three(number, sizeof number, bytes), units[unit]);
	if (strcmp(m->summary.run.status, "running") == 0 && m->summary.last_step_ns > 0 && m->now_ns >= m->summary.last_step_ns)
		write_line(page, GNS_ROLE_TEXT, 2, "last step %s ago%s",
			   gns_say_seconds(lag, sizeof lag, (double)(m->now_ns - m->summary.last_step_ns) / 1e9),
			   m->control_known ? "; P pauses measuring, e measures every K-th step"
					    : "; the program is not on this machine or not yours: P and e do nothing");
}

static void write_gpu(struct page *page, const struct gns_gpu *gpu)
{
	char a[400], b[96], c[64], d[64];
	if (gpu->n_devices == 0 && gpu->n_libraries == 0 && !gpu->why_not[0])
		return;
	write_line(page, GNS_ROLE_STRONG, 0, "Devices");
	for (size_t i = 0; i < gpu->n_devices && page->rows < PAGE_ROWS - 8; i++) {
		const struct gns_device_row *row = &gpu->devices[i];
		write_line(page, GNS_ROLE_TEXT, 2, "GPU %" PRId64 " of rank %" PRId64 ": %s", row->device, row->rank,
			   gns_say_device_step(a, sizeof a, row));
		write_line(page, GNS_ROLE_TEXT, 4, "%s", gns_say_device(a, sizeof a, row));
		write_line(page, GNS_ROLE_FAINT, 4, "%s", gns_say_device_beside(a, sizeof a, row));
	}
	if (gpu->why_not[0])
		write_line(page, GNS_ROLE_WARN, 2, "! %s", gns_text_safe(a, sizeof a, gpu->why_not));
	else if (gpu->owner[0])
		write_line(page, GNS_ROLE_TEXT, 2, "CUPTI, which serves one client at a time, was also held by %s", gns_text_safe(a, 100, gpu->owner));
	for (size_t i = 0; i < gpu->n_libraries && page->rows < PAGE_ROWS - 8; i++) {
		const struct gns_library_row *l = &gpu->libraries[i];
		if (i > 0 && strcmp(l->name, l[-1].name) == 0 && strcmp(l->path, l[-1].path) == 0)
			continue; /* another rank's */
		write_line(page, GNS_ROLE_FAINT, 2, "%s %s%s%s", gns_text_safe(c, sizeof c, l->name), gns_text_safe(d, sizeof d, l->version),
			   l->version[0] ? "  " : "", gns_text_safe(b, sizeof b, l->path));
	}
}

static void write_warnings(struct page *page, const struct gns_summary *s)
{
	char name[64], text[256];
	write_line(page, GNS_ROLE_STRONG, 0, "Warnings");
	if (s->n_warnings == 0)
		write_line(page, GNS_ROLE_TEXT, 2, "none");
	for (size_t i = 0; i < s->n_warnings && i < GNS_WARNINGS_MAX; i++)
		write_line(page, GNS_ROLE_WARN, 2, "! %s: %s", gns_text_safe(name, sizeof name, s->warnings[i].name),
			   gns_text_safe(text, sizeof text, s->warnings[i].text));
}

static void write_counters(struct page *page, const struct gns_model *m)
{
	char number[48], collector[48], name[64], last[96];
	write_line(page, GNS_ROLE_STRONG, 0, "Counters, by reason");
	if (m->n_counters == 0)
		write_line(page, GNS_ROLE_TEXT, 2, "none");
	for (size_t i = 0; i < m->n_counters && page->rows < PAGE_ROWS - 1; i++) {
		const struct gns_counter_row *row = &m->counters[i];
		gns_text_safe(last, sizeof last, row->text);
		write_line(page, GNS_ROLE_TEXT, 2, "%12s  %s %s%s%s%s", gns_text_number(number, sizeof number, (double)row->value),
			   gns_text_safe(collector, sizeof collector, row->collector), gns_text_safe(name, sizeof name, row->name),
			   last[0] ? " (last: " : "", last, last[0] ? ")" : "");
	}
}

static void write_events(struct page *page, const struct gns_model *m)
{
	char step[48], name[64], text[256];
	write_line(page, GNS_ROLE_STRONG, 0, "Events, latest first");
	if (m->n_events == 0)
		write_line(page, GNS_ROLE_TEXT, 2, "none");
	for (size_t i = 0; i < m->n_events && i < EVENTS_SHOWN && page->rows < PAGE_ROWS - 2; i++) {
		const struct gns_event_row *row = &m->events[m->n_events - 1 - i];
		write_line(page, GNS_ROLE_TEXT, 2, "step %s  %s: %s", gns_text_number(step, sizeof step, row->step < 0 ? NAN : (double)row->step),
			   gns_text_safe(name, sizeof name, row->name), gns_text_safe(text, sizeof text, row->text));
	}
	if (m->n_events > EVENTS_SHOWN)
		write_line(page, GNS_ROLE_FAINT, 2, "and %zu older", m->n_events - EVENTS_SHOWN);
}

void gns_view_health(struct gns_canvas *canvas, struct gns_rect body, const struct gns_model *m, struct gns_ui *ui)
{
	struct page page = {.rows = 0};
	if (gns_canvas_init(&page.canvas, body.w, PAGE_ROWS, canvas->ascii) != 0)
		return;
	write_warnings(&page, &m->summary);
	write_run(&page, m);
	write_store(&page, m);
	write_gpu(&page, &m->gpu);
	write_counters(&page, m);
	write_events(&page, m);
	size_t *scroll = &ui->selected[GNS_VIEW_HEALTH], most = page.rows > body.h ? (size_t)(page.rows - body.h) : 0;
	if (*scroll > most)
		*scroll = most;
	for (int y = 0; y < body.h && (size_t)y + *scroll < (size_t)page.rows; y++)
		memcpy(gns_canvas_at(canvas, body.x, body.y + y), gns_canvas_at(&page.canvas, 0, y + (int)*scroll),
		       sizeof(struct gns_cell) * (size_t)body.w);
	if (*scroll < most)
		gns_canvas_right(canvas, body.x, body.y + body.h - 1, body.w, GNS_ROLE_FAINT, " ↓ more");
	gns_canvas_free(&page.canvas);
}
