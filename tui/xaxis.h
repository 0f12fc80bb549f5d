/* The horizontal axis of curves: steps, samples or time, from the points of a series. */
#ifndef GNS_TUI_XAXIS_H
#define GNS_TUI_XAXIS_H

#include "profiler/text/axis.h"
#include "tui/view.h"

/* x of the middle of each point. Samples are counted from the first step that is shown (each stretch has its own batch), time from
 * `start_ns` in `unit` seconds; absent where it is not known. */
void gns_x_of(const struct gns_point *points, size_t n, enum gns_x_axis axis, uint64_t start_ns, double unit, double *x);
/* The unit in seconds in which a time reads well, and its name: 1 "s", 60 "min", 3600 "h", 86400 "d". */
double gns_x_unit(double seconds, const char **name);
/* "step", "samples", "samples since step 201", "hours since the start". */
char *gns_x_title(char *buf, size_t size, enum gns_x_axis axis, double first_step, double unit);

#endif
