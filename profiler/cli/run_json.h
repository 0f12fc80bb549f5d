/* A run and its weights as JSON, the same wherever they are printed. The caller owns what is returned. */
#ifndef GNS_PROFILER_CLI_RUN_JSON_H
#define GNS_PROFILER_CLI_RUN_JSON_H

#include <jansson.h>

#include "gnscope/store.h"

json_t *gns_run_json(const struct gns_summary *summary);
json_t *gns_layers_json(const struct gns_layer *layers, size_t n);
json_t *gns_split_json(const struct gns_split *split); /* null where nothing was measured; measured_step_ms: of the typical steps */
json_t *gns_phases_json(const struct gns_split *split);
/* NAME, NAME_lo and NAME_hi; NAME is null when unresolved. */
void gns_ratio_json(json_t *object, const char *name, const struct gns_ratio *ratio);

#endif
