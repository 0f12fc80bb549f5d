/* All numbers behind a report as JSON. The caller owns what is returned. */
#ifndef GNS_PROFILER_CLI_REPORT_JSON_H
#define GNS_PROFILER_CLI_REPORT_JSON_H

#include <jansson.h>

#include "profiler/report/report.h"

struct gns_report_sweep;
json_t *gns_report_json(const struct gns_report *report, const struct gns_report_sweep *sweep); /* sweep may be NULL */

#endif
