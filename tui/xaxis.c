/* See xaxis.h. */
#include "tui/xaxis.h"

#include <math.h>
#include <stdio.h>

#include "gnscope/text.h"

void gns_x_of(const struct gns_point *points, size_t n, enum gns_x_axis axis, uint64_t start_ns, double unit, double *x)
{
	double samples = 0, reached = n ? (double)points[0].step_lo - 1 : 0;
	for (size_t i = 0; i < n; i++) {
		const struct gns_point *p = &points[i];
		double middle = ((double)p->step_lo + (double)p->step_hi) / 2;
		if (axis == GNS_X_SAMPLES) {
			x[i] = samples + (middle - reached) * p->samples_per_step;
			samples += ((double)p->step_hi - reached) * p->samples_per_step;
			reached = (double)p->step_hi;
		} else if (axis == GNS_X_TIME) {
			x[i] = p->time_ns > start_ns ? (double)(p->time_ns - start_ns) / 1e9 / unit : (double)NAN;
		} else {
			x[i] = middle;
		}
	}
}

double gns_x_unit(double seconds, const char **name)
{
	static const struct {
		double unit;
		const char *name;
	} units[] = {{86400, "days"}, {3600, "hours"}, {60, "minutes"}};
	for (int i = 0; i < 3; i++)
		if (seconds >= 2 * units[i].unit) {
			*name = units[i].name;
			return units[i].unit;
		}
	*name = "seconds";
	return 1;
}

char *gns_x_title(char *buf, size_t size, enum gns_x_axis axis, double first_step, double unit)
{
	char number[48];
	const char *name;
	gns_x_unit(2 * unit, &name);
	if (axis == GNS_X_SAMPLES && first_step > 1)
		snprintf(buf, size, "samples since step %s", gns_text_number(number, sizeof number, first_step));
	else if (axis == GNS_X_TIME)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, axis == GNS_X_SAMPLES ? "samples" : "step");
	return buf;
}
