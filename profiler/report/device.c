/* What devices did, as tables. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"
#include "profiler/report/cells.h"

static void text_of(struct gns_sheet *sheet, const char *text)
{
	char safe[128];
	gns_cell(sheet, "%s", gns_text_safe(safe, sizeof safe, text));
}

static void count_of(struct gns_sheet *sheet, int64_t count)
{
	gns_cell_number(sheet, count < 0 ? (double)NAN : (double)count);
}

struct gns_sheet gns_sheet_devices(const struct gns_report_run *run)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "device", false);
	gns_cell_column(&sheet, "steps looked at", true);
	gns_cell_column(&sheet, "ms a step, median", true);
	gns_cell_column(&sheet, "compute", true);
	gns_cell_column(&sheet, "exposed communication", true);
	gns_cell_column(&sheet, "exposed copies", true);
	gns_cell_column(&sheet, "idle", true);
	gns_cell_column(&sheet, "gnscope's kernels", true);
	gns_cell_column(&sheet, "communication in all", true);
	gns_cell_column(&sheet, "kernels wait, us", true);
	for (size_t i = 0; i < run->gpu.n_devices && i < GNS_REPORT_DEVICES; i++) {
		const struct gns_device_row *row = &run->gpu.devices[i];
		char seen[48], steps[48];
		gns_cell(&sheet, "GPU %" PRId64 " of rank %" PRId64, row->device, row->rank);
		gns_cell(&sheet, "%s of %s", gns_text_number(seen, sizeof seen, (double)row->looked_at),
			 gns_text_number(steps, sizeof steps, (double)row->steps));
		gns_cell_range(&sheet, row->wall_ms.value, row->wall_ms.lo, row->wall_ms.hi);
		for (int k = 0; k < GNS_PARTS_OF_WALL; k++)
			gns_cell_percent(&sheet, row->share[k]);
		gns_cell_percent(&sheet, row->share[GNS_PART_OWN]);
		gns_cell_percent(&sheet, row->share[GNS_PART_COMM]);
		gns_cell_number(&sheet, row->queue_us);
	}
	sheet.left_out = run->gpu.n_devices > GNS_REPORT_DEVICES ? run->gpu.n_devices - GNS_REPORT_DEVICES : 0;
	return sheet;
}

struct gns_sheet gns_sheet_device_kernels(const struct gns_report_run *run)
{
	struct gns_sheet sheet = {.marked = -1};
	gns_cell_column(&sheet, "kernel", false);
	gns_cell_column(&sheet, "family", false);
	gns_cell_column(&sheet, "ms a step", true);
	gns_cell_column(&sheet, "of the step", true);
	gns_cell_column(&sheet, "calls a step", true);
	gns_cell_column(&sheet, "longest, ms", true);
	gns_cell_column(&sheet, "grid", true);
	gns_cell_column(&sheet, "block", true);
	gns_cell_column(&sheet, "registers", true);
	gns_cell_column(&sheet, "shared, bytes", true);
	for (size_t i = 0; i < run->gpu.n_kernels && i < GNS_REPORT_KERNELS; i++) {
		const struct gns_kernel_row *k = &run->gpu.kernels[i];
		text_of(&sheet, k->name);
		text_of(&sheet, k->family);
		gns_cell_number(&sheet, k->ms_per_step);
		gns_cell_percent(&sheet, k->share);
		gns_cell_number(&sheet, k->calls_per_step);
		gns_cell_number(&sheet, k->max_ms);
		count_of(&sheet, k->grid);
		count_of(&sheet, k->block);
		count_of(&sheet, k->registers);
		count_of(&sheet, k->shared);
	}
	sheet.left_out = run->gpu.n_kernels > GNS_REPORT_KERNELS ? run->gpu.n_kernels - GNS_REPORT_KERNELS : 0;
	return sheet;
}
