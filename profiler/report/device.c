/* How steps went on devices, as a table. */
#include <inttypes.h>

#include "gnscope/text.h"
#include "profiler/report/cells.h"

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
