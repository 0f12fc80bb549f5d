/* The functions of `_g` that read tensors: in host memory at once (layers.h), on a device by kernels on its present stream, the results of which
 * come later (layers_device.h). All operands of one call must be in one place. */
#ifndef GNS_COLLECTORS_TORCH_MEASURES_H
#define GNS_COLLECTORS_TORCH_MEASURES_H

#include "collectors/torch/torch.h"

extern struct gns_py_method gns_torch_measures[]; /* ends with a NULL name */

#endif
