/* The table of collectors. */
#include "collectors/collector.h"

#include "collectors/blas.h"
#include "collectors/torch/torch.h"

const struct gns_collector *const gns_collectors[] = {
	&gns_blas_collector,
	&gns_torch_collector,
	NULL,
};
