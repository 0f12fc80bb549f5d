/* Axes: from numbers to places and back, and ticks at round numbers. Pure functions. */
#ifndef GNS_PROFILER_TEXT_AXIS_H
#define GNS_PROFILER_TEXT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define GNS_TICKS_MAX 32

struct gns_axis {
	double lo, hi; /* lo < hi; both > 0 when log */
	bool log;
};

#define GNS_AXIS_MOST 1e300 /* beyond it, and on a log axis below its inverse, ends could not be rounded */

/* Nothing seen yet: lo and hi NaN. Then gns_axis_include each number that must be on the axis (absent ones, those too great, and on a
 * log axis those not above 0, are passed over), then gns_axis_round to make the ends round and the range not empty. */
struct gns_axis gns_axis_empty(bool log);
void gns_axis_include(struct gns_axis *axis, double value);
bool gns_axis_is_empty(const struct gns_axis *axis);
/* Widens: a linear axis by nothing but an empty range; a log axis to ends at 1, 2 or 5 times a power of ten. False when empty. */
bool gns_axis_round(struct gns_axis *axis);

/* 0 at lo, 1 at hi, beyond outside; NaN for what has no place (absent, or not above 0 on a log axis). */
double gns_axis_place(const struct gns_axis *axis, double value);
double gns_axis_value(const struct gns_axis *axis, double place);

/* At most `max` round numbers within the axis, rising: multiples of 1, 2 or 5 times a power of ten; on a log axis of two octaves
 * or more 1, 2, 5 of each decade, or decades alone, or every second, ... Returns how many. */
size_t gns_axis_ticks(const struct gns_axis *axis, size_t max, double ticks[GNS_TICKS_MAX]);
/* "500", "2k", "1.5M", "0.02", "2e-7"; short, for an axis. */
char *gns_axis_label(char *buf, size_t size, double value);

#endif
