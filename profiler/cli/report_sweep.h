/* A sweep, fitted, for a report. */
#ifndef GNS_PROFILER_CLI_REPORT_SWEEP_H
#define GNS_PROFILER_CLI_REPORT_SWEEP_H

#include <jansson.h>

#include "profiler/report/sweep.h"

/* By name or id. That it cannot be fitted is no error: the sweep then says why. Free with gns_report_sweep_free. */
int gns_report_sweep_read(struct gns_store *store, const char *ref, struct gns_report_sweep *out, struct gns_error *err);
json_t *gns_report_sweep_json(const struct gns_report_sweep *sweep);

#endif
