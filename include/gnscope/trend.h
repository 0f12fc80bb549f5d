/* Where B_noise is going: its last tenth against the tenth before. Pure functions of numbers. */
#ifndef GNSCOPE_TREND_H
#define GNSCOPE_TREND_H

#include <stdbool.h>

#include "gnscope/estimate.h"

enum gns_direction { GNS_DIRECTION_UNKNOWN = 0, GNS_RISING, GNS_STEADY, GNS_FALLING };
/* "", "rising", "steady", "falling": the JSON key `trend`, null when unknown. */
extern const char *const gns_direction_names[4];

/* Rising or falling where the 95% interval of the difference excludes 0, else steady. The interval of the difference
 * comes from the limits of the two independent estimates (Zou and Donner 2008, "MOVER"), so that it is as lopsided
 * as they are:
 *   L = (x - y) - sqrt((x - lo_x)^2 + (hi_y - y)^2),  U = (x - y) + sqrt((hi_x - x)^2 + (y - lo_y)^2).
 * Where one is unresolved with a lower limit: rising when that of the last lies above the other's interval, falling
 * when that of the one before does; else unknown. */
enum gns_direction gns_direction_of(const struct gns_ratio *last, const struct gns_ratio *before);

struct gns_trend {
	enum gns_direction direction;
	struct gns_ratio last, before; /* B_noise of the last tenth of the steps, and of the tenth before it */
	bool moving; /* the trend moves more than the interval: rising or falling, and the last tenth lies outside of the whole interval */
};
/* Tenths with fewer than 10 measured steps say nothing: unknown. `whole`: the estimate over all of the steps. */
#define GNS_TREND_STEPS 10
struct gns_trend gns_trend_of(const struct gns_ratio *last, const struct gns_ratio *before, const struct gns_ratio *whole);

#endif
