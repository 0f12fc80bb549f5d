/* The kernels of kernels.cu as a fatbin (SASS for sm_80, sm_90 and sm_100, and PTX), for cuModuleLoadData. */
#ifndef GNS_COLLECTORS_GPU_IMAGE_H
#define GNS_COLLECTORS_GPU_IMAGE_H

#include <stddef.h>

extern const unsigned char gns_cuda_image[];
extern const size_t gns_cuda_image_size; /* 0: built without nvcc */
/* For who looks into the file of the library (`gnscope doctor`): this mark, then "none" or "80 90 100", then a NUL. */
#define GNS_CUDA_NOTE "gnscope CUDA kernels for sm: "
extern const char gns_cuda_note[];

#endif
