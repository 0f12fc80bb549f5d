/* Models with known numbers, for screens that are compared to the letter. */
#ifndef GNS_TESTS_SCREENS_MODELS_H
#define GNS_TESTS_SCREENS_MODELS_H

#include "tui/model.h"

/* A run as one would have it while it trains: B_noise rising from 300 to 3,000 samples over 2,000 steps with an unresolved start,
 * batch 256, B_crit 984.6 (so that 256 is 0.26 of it, 79% of its samples count, 4.8 times the fewest steps). */
void model_training(struct gns_model *model);
/* The same, but nothing resolved: lower limits only. */
void model_unresolved(struct gns_model *model);
void model_finished(struct gns_model *model);
void model_waiting(struct gns_model *model);  /* 12 steps, 3 weights, nothing measured */
void model_no_store(struct gns_model *model);
void model_no_run(struct gns_model *model);
/* A program on one GPU: a step of 11 ms of which 71.5% computes, 6.25% only communicates, 2% only copies, the rest idles. */
void model_device(struct gns_model *model);
void model_devices(struct gns_model *model); /* on twelve */
void model_no_kernel_times(struct gns_model *model); /* on one, where another program had CUPTI */
/* Long names, escape sequences, wide characters, sixteen warnings, absurd numbers. */
void model_hostile(struct gns_model *model);

#endif
