/* All numbers behind a report as JSON. The caller owns what is returned. */
#ifndef GNS_REPORT_JSON_H
#define GNS_REPORT_JSON_H

#include <jansson.h>

#include "profiler/report/report.h"

json_t *gns_report_json(const struct gns_report *report);

#endif
