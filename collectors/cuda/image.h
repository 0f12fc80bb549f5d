/* The kernels of kernels.cu as a fatbin (SASS for sm_80, sm_90 and sm_100, and PTX), for cuModuleLoadData. */
#ifndef GNS_CUDA_IMAGE_H
#define GNS_CUDA_IMAGE_H

#include <stddef.h>

extern const unsigned char gns_cuda_image[];
extern const size_t gns_cuda_image_size; /* 0: built without nvcc */

#endif
