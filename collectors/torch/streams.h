/* The optimizers that have a stream, found by address: what is counted of each step without Python, and the end of a step. All of it with the
 * GIL. A table of this process; a forked child forgets it (gns_torch_streams_forget) as it begins to train. */
#ifndef GNS_COLLECTORS_TORCH_STREAMS_H
#define GNS_COLLECTORS_TORCH_STREAMS_H

#include "collectors/torch/torch.h"

#define GNS_TORCH_LOOK_NS 50000000u /* loss and learning rate are read in measured steps, and in others so long after the last time */

struct gns_torch_stream {
	const void *optimizer; /* its address; it is not kept alive. NULL: free */
	int64_t id;            /* of profiler/shim/core/layer_feed.h; negative: there are no more, its steps are not recorded */
	uint64_t steps;        /* that have ended */
	uint64_t passes;       /* backward passes of the process before this step */
	uint64_t looked_ns;
	bool look;             /* loss and learning rate are to be read in this step */
	bool changed;          /* Python has to look through its parameters before its next step ends */
	bool stepping;         /* its step() runs */
};

struct gns_torch_streams {
	uint32_t n;       /* in use */
	uint64_t passes;  /* backward passes from a loss, of the process */
	bool pending;     /* an optimizer waits for a gradient, to be given a number by Python as the next pass begins */
	bool every_loss;  /* GNSCOPE_LOSSES=every */
};
extern struct gns_torch_streams gns_torch_streams;

struct gns_torch_stream *gns_torch_stream_find(const PyObject *optimizer); /* NULL none */
/* Loss and learning rate of this step are wanted: of the only stream there is. */
struct gns_torch_stream *gns_torch_stream_look(void);
/* The step ends. False: the process has forked, and Python has to begin anew. */
bool gns_torch_stream_close(struct gns_torch_stream *stream, uint32_t micro_steps, double lr);

extern struct gns_py_method gns_torch_stream_functions[]; /* of `_g`; ends with a NULL name */

#endif
