/* Steps to a target loss, read from the noisy losses of single steps. Pure functions of numbers, as estimate.h.
 *
 * The rule, the same for every batch size: over the losses of the steps from k/window to k a line is fitted, loss against ln(step)
 * (at least GNS_CROSSING_LOSSES of them: where there are fewer, the last so many). Its value at the window's centre, the
 * geometric mean of its first and last step, is the smoothed loss there. The target is reached at the first centre whose
 * smoothed loss is at or below it, interpolated between that and the centre before.
 *
 * Why so. A single loss scatters by sigma/sqrt(B), so its first passage comes early, at small batches by far; a trailing mean
 * comes late, by a share of the run that depends on the batch. A window that is a constant share of the way, and is looked at
 * in its middle, has neither: docs/guides/sweep.md shows what is left (below 1%) against the usual rules. It needs sqrt(window) times
 * the steps to the target. */
#ifndef GNSCOPE_CROSSING_H
#define GNSCOPE_CROSSING_H

#include <stdbool.h>
#include <stddef.h>

#define GNS_CROSSING_WINDOW 1.5
#define GNS_CROSSING_LOSSES 8

struct gns_crossing {
	bool crossed;
	bool early;     /* the first smoothed loss was already below the target: `step` is an upper limit */
	double step;    /* to the target, between steps; NaN unless crossed */
	double step_se; /* its standard error from the scatter about the line; NaN where the line does not fall or `early` */
	double centre;  /* the last centre that was looked at: not crossed by there */
	double loss;    /* the smoothed loss there */
	size_t window_losses; /* losses in that window */
};
/* steps ascending and positive, losses finite, target finite, window > 1: else -EINVAL. -ENODATA below GNS_CROSSING_LOSSES. */
int gns_crossing(const double *steps, const double *losses, size_t n, double target, double window, struct gns_crossing *out);

#endif
