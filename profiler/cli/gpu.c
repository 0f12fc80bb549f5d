/* See gpu.h. */
#include "profiler/cli/gpu.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/json.h"
#include "tui/say.h"

#define DEVICES_PRINTED 8
#define KERNELS_PRINTED 10

/* ---- JSON ---- */

static json_t *devices(const struct gns_gpu *gpu)
{
	json_t *list = json_array();
	char key[32];
	for (size_t i = 0; i < gpu->n_devices; i++) {
		const struct gns_device_row *row = &gpu->devices[i];
		json_t *o = json_object();
		json_object_set_new(o, "rank", json_integer(row->rank));
		json_object_set_new(o, "device", json_integer(row->device));
		json_object_set_new(o, "steps", gns_json_count(row->steps));
		json_object_set_new(o, "steps_looked_at", gns_json_count(row->looked_at));
		json_object_set_new(o, "steps_taken", gns_json_count(row->taken));
		gns_json_limits(o, "step_ms", row->wall_ms.value, row->wall_ms.lo, row->wall_ms.hi);
		for (int k = 0; k < GNS_PARTS; k++) {
			snprintf(key, sizeof key, "%s_ms", gns_device_part_names[k]);
			gns_json_limits(o, key, row->ms[k].value, row->ms[k].lo, row->ms[k].hi);
			snprintf(key, sizeof key, "%s_share", gns_device_part_names[k]);
			json_object_set_new(o, key, gns_json_number(row->share[k]));
		}
		json_object_set_new(o, "kernels_per_step", gns_json_number(row->kernels));
		json_object_set_new(o, "queue_us", gns_json_number(row->queue_us));
		json_object_set_new(o, "dropped", gns_json_count(row->dropped));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *gns_kernels_json(const struct gns_kernel_row *rows, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct gns_kernel_row *k = &rows[i];
		json_t *o = json_object();
		json_object_set_new(o, "name", gns_json_text(k->name));
		json_object_set_new(o, "family", gns_json_text(k->family));
		json_object_set_new(o, "calls_per_step", gns_json_number(k->calls_per_step));
		json_object_set_new(o, "ms_per_step", gns_json_number(k->ms_per_step));
		json_object_set_new(o, "max_ms", gns_json_number(k->max_ms));
		if (!k->device)
			json_object_set_new(o, "gflops", gns_json_number(k->gflops));
		json_object_set_new(o, "share", gns_json_number(k->share));
		json_array_append_new(list, o);
		if (!k->device)
			continue;
		json_object_set_new(o, "grid", gns_json_count(k->grid));
		json_object_set_new(o, "block", gns_json_count(k->block));
		json_object_set_new(o, "registers", gns_json_count(k->registers));
		json_object_set_new(o, "shared", gns_json_count(k->shared));
	}
	return list;
}

static json_t *libraries(const struct gns_gpu *gpu)
{
	json_t *list = json_array();
	for (size_t i = 0; i < gpu->n_libraries; i++) {
		const struct gns_library_row *l = &gpu->libraries[i];
		json_t *o = json_object();
		json_object_set_new(o, "rank", json_integer(l->rank));
		json_object_set_new(o, "name", gns_json_text(l->name));
		json_object_set_new(o, "version", gns_json_text(l->version));
		json_object_set_new(o, "path", gns_json_text(l->path));
		json_array_append_new(list, o);
	}
	return list;
}

void gns_gpu_json(json_t *object, const struct gns_gpu *gpu)
{
	json_object_set_new(object, "devices", devices(gpu));
	json_object_set_new(object, "device_kernels", gns_kernels_json(gpu->kernels, gpu->n_kernels));
	json_object_set_new(object, "libraries", libraries(gpu));
	json_object_set_new(object, "kernel_times", gns_json_text(gpu->why_not));
}

/* ---- text ---- */

static void print_part(FILE *out, const char *name, const struct gns_interval *ms, double share)
{
	char time[160], percent[48];
	struct gns_range seconds = {ms->value / 1e3, ms->lo / 1e3, ms->hi / 1e3};
	fprintf(out, "  %-24s %8s  %s\n", name, gns_say_percent(percent, sizeof percent, share), gns_say_times(time, sizeof time, &seconds, true));
}

static void print_device(FILE *out, const struct gns_device_row *row)
{
	char text[400];
	fprintf(out, "\nGPU %" PRId64 " of rank %" PRId64 ": %s\n", row->device, row->rank, gns_say_device_step(text, sizeof text, row));
	for (int i = 0; i < GNS_PARTS_OF_WALL; i++)
		print_part(out, gns_say_parts[i], &row->ms[i], row->share[i]);
	fprintf(out, "  beside: %s\n", gns_say_device_beside(text, sizeof text, row));
}

static char *count_of(char *buf, size_t size, int64_t count)
{
	return gns_text_number(buf, size, count < 0 ? (double)NAN : (double)count);
}

static void print_kernels(FILE *out, const struct gns_gpu *gpu)
{
	char name[100], family[32], ms[48], share[48], calls[48], most[48], grid[48], block[48], registers[48];
	fprintf(out, "\n%-16s %8s %8s %8s %8s %9s %6s %5s  kernel\n", "on devices", "ms/step", "of step", "calls", "max ms", "grid", "block", "regs");
	for (size_t i = 0; i < gpu->n_kernels && i < KERNELS_PRINTED; i++) {
		const struct gns_kernel_row *k = &gpu->kernels[i];
		fprintf(out, "%-16s %8s %8s %8s %8s %9s %6s %5s  %s\n", gns_text_safe(family, sizeof family, k->family),
			gns_say_three(ms, sizeof ms, k->ms_per_step), gns_say_percent(share, sizeof share, k->share),
			gns_say_three(calls, sizeof calls, k->calls_per_step), gns_say_three(most, sizeof most, k->max_ms),
			count_of(grid, sizeof grid, k->grid), count_of(block, sizeof block, k->block),
			count_of(registers, sizeof registers, k->registers), gns_text_safe(name, sizeof name, k->name));
	}
	if (gpu->n_kernels > KERNELS_PRINTED)
		fprintf(out, "%zu more: show --json has all\n", gpu->n_kernels - KERNELS_PRINTED);
}

void gns_gpu_print(FILE *out, const struct gns_gpu *gpu)
{
	char text[300];
	for (size_t i = 0; i < gpu->n_devices && i < DEVICES_PRINTED; i++)
		print_device(out, &gpu->devices[i]);
	if (gpu->n_devices > DEVICES_PRINTED)
		fprintf(out, "\nand %zu more devices: show --json has all\n", gpu->n_devices - DEVICES_PRINTED);
	if (gpu->n_kernels > 0)
		print_kernels(out, gpu);
	if (gpu->why_not[0])
		fprintf(out, "\n%s\n", gns_text_safe(text, sizeof text, gpu->why_not));
	else if (gpu->owner[0])
		fprintf(out, "\nCUPTI, which serves one client at a time, was also held by %s\n", gns_text_safe(text, sizeof text, gpu->owner));
}
