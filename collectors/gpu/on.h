/* Whether the collectors in this room are to do anything: not with GNSCOPE_GPU=0 or GNSCOPE_OFF=1. Every wrapper here asks first and
 * calls straight through where they are off. Cheap; any thread. */
#ifndef GNS_COLLECTORS_GPU_ON_H
#define GNS_COLLECTORS_GPU_ON_H

#include <stdbool.h>

bool gns_cuda_on(void);

#endif
