/* One measurement on the threads that the training program has for its own operations, each taking some of the samples. */
#ifndef GNS_COLLECTORS_TORCH_PARTS_H
#define GNS_COLLECTORS_TORCH_PARTS_H

#include "profiler/shim/core/layer_feed.h"

/* A function of layers.h with its operands; bias NULL: none is asked for. */
typedef int gns_torch_run(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const void *operands);

/* Once a process, before the first measurement. */
void gns_torch_parts_begin(void);
/* run(...) into work->samples.sum and bias->sum, in parts where that pays; the scratch grows as it must. `elements`: that are read.
 * `threads`: of PyTorch's own operations. 0, or the first part's error; nothing was added then. */
int gns_torch_run_parts(struct gns_layer_feed_work *work, struct gns_samples *bias, size_t elements, unsigned threads, gns_torch_run *run,
			const void *operands);

#endif
