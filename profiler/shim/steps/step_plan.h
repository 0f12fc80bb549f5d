/* Which steps of a run are measured when one in `interval` is to be. Pure.
 *
 * Each step has a number x(step) in [0, 1) and is measured if x < 1 / interval. x is the van der Corput sequence, its
 * digits swapped at random, depending on the step's higher digits (nested uniform scrambling: Owen 1995, "Randomly
 * permuted (t,m,s)-nets and (t,s)-sequences"). Therefore:
 *   - Even: of each aligned stretch of 2^m steps a share of 1 / interval is measured, give or take one step.
 *   - Random: at an interval of 2^j each aligned stretch of 2^j steps has one measured step, at a uniformly random
 *     place that does not depend on the other stretches. No period of the training program (epochs, gradient
 *     accumulation, evaluation) resonates with it. (Multiples of the golden ratio are more even still, but over a
 *     period of 34, 55, 89 or 144 steps they miss the share of a place by up to four times what chance explains, even
 *     if redrawn every 1,024 steps.)
 *   - Nested: the plan of a longer interval is a part of that of a shorter one, so ranks whose intervals differ
 *     measure the same steps, as far as each of them measures at all.
 *   - The gap between two measured steps is below 2 intervals where the interval is a power of two, else below 4 and
 *     rarely above 3. */
#ifndef GNS_PROFILER_SHIM_STEPS_STEP_PLAN_H
#define GNS_PROFILER_SHIM_STEPS_STEP_PLAN_H

#include <stdbool.h>
#include <stdint.h>

/* seed: the same in all ranks of a job. An interval of at most 1 takes every step. */
bool gns_step_plan_takes(uint64_t seed, uint64_t step, double interval);

#endif
