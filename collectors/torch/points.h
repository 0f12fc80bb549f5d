/* The entry points: PyTorch's functions that a training program calls in every step. In a step that nobody measures they are C alone: a few
 * loads, the count of a backward pass, the record of a step. Python's half is called in measured steps, and where something is new: an
 * optimizer that has no number yet, parameters that changed hands, the first clipping, a forked child, a scaler that skips. */
#ifndef GNS_COLLECTORS_TORCH_POINTS_H
#define GNS_COLLECTORS_TORCH_POINTS_H

#include "collectors/torch/torch.h"

extern struct gns_py_method gns_torch_points[]; /* the functions of `_g`; ends with a NULL name */

#endif
