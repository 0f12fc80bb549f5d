/* See device.h. */
#include "tui/device.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/plot.h"
#include "tui/say.h"

#define LIST_ROWS 5     /* that are left for what stands below */
#define BARS_MAX 8
#define LABEL_WIDTH 20

static const char *const narrow[GNS_PARTS_OF_WALL] = {"compute", "exposed comm.", "exposed copies", "idle"}; /* of gns_say_parts */
static const enum gns_role roles[GNS_PARTS_OF_WALL] = {GNS_ROLE_TIME, GNS_ROLE_WARN, GNS_ROLE_CRIT, GNS_ROLE_FAINT};

/* All devices as one: what their steps took together. */
static struct gns_device_row together(const struct gns_gpu *gpu)
{
	struct gns_device_row all = gpu->devices[0];
	double weight = 0;
	if (gpu->n_devices == 1)
		return all;
	memset(all.share, 0, sizeof all.share);
	all.dropped = 0;
	for (size_t i = 0; i < gpu->n_devices; i++) {
		const struct gns_device_row *row = &gpu->devices[i];
		for (int k = 0; k < GNS_PARTS; k++)
			all.share[k] += row->total_ms * row->share[k];
		weight += row->total_ms;
		all.dropped += row->dropped;
	}
	for (int k = 0; k < GNS_PARTS; k++)
		all.share[k] /= weight;
	all.queue_us = (double)NAN;
	return all;
}

static void draw_bar(struct gns_canvas *canvas, struct gns_rect line, const struct gns_device_row *row, bool several, const struct gns_ui *ui)
{
	char label[96], time[48];
	int width = several ? LABEL_WIDTH + 8 : 7;
	if (several)
		snprintf(label, sizeof label, "GPU %" PRId64 " rank %" PRId64 " %s", row->device, row->rank,
			 gns_say_seconds(time, sizeof time, row->wall_ms.value / 1e3));
	else
		snprintf(label, sizeof label, "GPU %" PRId64, row->device);
	gns_canvas_text(canvas, line.x, line.y, width - 1, GNS_ROLE_TEXT, label);
	gns_parts(canvas, ui->renderer, line.x + width, line.y, line.w - width, row->share, roles, GNS_PARTS_OF_WALL);
}

/* "█ compute 79.2%", each with the glyph of its part. */
static void draw_legend(struct gns_canvas *canvas, struct gns_rect line, const struct gns_device_row *row, const struct gns_ui *ui)
{
	const char *const *words = line.w < 90 ? narrow : gns_say_parts;
	char share[48], text[96];
	int x = line.x, end = line.x + line.w;
	for (int i = 0; i < GNS_PARTS_OF_WALL; i++) {
		snprintf(text, sizeof text, "%s %s", words[i], gns_say_percent(share, sizeof share, row->share[i]));
		if (x + 2 >= end)
			return;
		gns_canvas_put(canvas, x, line.y, ui->renderer->part[i], roles[i]);
		x += 2 + gns_canvas_text(canvas, x + 2, line.y, end - x - 2, GNS_ROLE_TEXT, text) + 2;
	}
}

static int draw_reason(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_gpu *gpu)
{
	if (!gpu->why_not[0] || rect.h < 2 + LIST_ROWS)
		return 0;
	return gns_canvas_wrap(canvas, (struct gns_rect){rect.x, rect.y, rect.w, 2}, GNS_ROLE_WARN, gpu->why_not);
}

char *gns_device_line(char *buf, size_t size, const struct gns_gpu *gpu)
{
	char share[48];
	buf[0] = 0;
	if (gpu->n_devices == 0)
		return buf;
	struct gns_device_row all = together(gpu);
	size_t at = gpu->n_devices == 1 ? (size_t)snprintf(buf, size, "GPU %" PRId64, all.device) :
					  (size_t)snprintf(buf, size, "%zu GPUs", gpu->n_devices);
	for (int i = 0; i < GNS_PARTS_OF_WALL && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s %s", i ? " · " : ": ", narrow[i], gns_say_percent(share, sizeof share, all.share[i]));
	return buf;
}

int gns_device_panel(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_gpu *gpu, const struct gns_ui *ui)
{
	char text[400];
	if (gpu->n_devices == 0)
		return draw_reason(canvas, rect, gpu);
	int bars = (int)(gpu->n_devices < BARS_MAX ? gpu->n_devices : BARS_MAX);
	if (rect.w < 40 || rect.h < bars + 4 + LIST_ROWS)
		bars = 1;
	if (rect.w < 40 || rect.h < bars + 3 + LIST_ROWS)
		return 0;
	int y = rect.y;
	struct gns_device_row all = together(gpu);
	gns_canvas_text(canvas, rect.x, y++, rect.w, GNS_ROLE_STRONG, gns_say_device_step(text, sizeof text, &gpu->devices[0]));
	for (int i = 0; i < bars; i++)
		draw_bar(canvas, (struct gns_rect){rect.x, y++, rect.w, 1}, &gpu->devices[i], gpu->n_devices > 1, ui);
	draw_legend(canvas, (struct gns_rect){rect.x, y++, rect.w, 1}, &all, ui);
	size_t n = strlen(gns_say_device_beside(text, sizeof text, &all));
	if ((size_t)bars < gpu->n_devices)
		n += (size_t)snprintf(text + n, sizeof text - n, " · %zu more devices", gpu->n_devices - (size_t)bars);
	if (gpu->owner[0] && n < sizeof text)
		snprintf(text + n, sizeof text - n, " · CUPTI was also held by %s", gpu->owner);
	y += gns_canvas_wrap(canvas, (struct gns_rect){rect.x, y, rect.w, 2}, GNS_ROLE_FAINT, text);
	return y - rect.y;
}
