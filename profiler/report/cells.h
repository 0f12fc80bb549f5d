/* Filling a sheet cell by cell, row by row; for those who make one. */
#ifndef GNS_PROFILER_REPORT_CELLS_H
#define GNS_PROFILER_REPORT_CELLS_H

#include "profiler/report/sheet.h"

void gns_cell_column(struct gns_sheet *sheet, const char *title, bool right); /* all columns before the first cell */
__attribute__((format(printf, 2, 3))) void gns_cell(struct gns_sheet *sheet, const char *fmt, ...);
void gns_cell_number(struct gns_sheet *sheet, double value);
void gns_cell_percent(struct gns_sheet *sheet, double share);
void gns_cell_range(struct gns_sheet *sheet, double value, double a, double b); /* "4.85 [4.33 to 5.54]", "≥ 4.33", "≤ 5.54", "-" */

#endif
