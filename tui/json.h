/* The numbers of a view as JSON: one object, numbers as numbers, absent ones null. */
#ifndef GNS_TUI_JSON_H
#define GNS_TUI_JSON_H

#include <stdio.h>

#include "tui/view.h"

/* Always: view, run, name, status, steps, steps_measured, samples_per_step, sample_unit, b_noise and b_crit with _lo, _hi, resolved,
 * step_ms, overhead_pct, coverage, loss. Then by view: now: points, split; tradeoff: batches, step_time_rule, fastest; layers; kernels;
 * runs, overlay; health: warnings, counters, events, store_bytes. 0 or a negative errno. */
int gns_view_json(FILE *out, const struct gns_model *model, const struct gns_ui *ui);

#endif
