/* Built without nvcc. */
#include "image.h"

const unsigned char gns_cuda_image[1] = { 0 };
const size_t gns_cuda_image_size = 0;
__attribute__((used)) const char gns_cuda_note[] = GNS_CUDA_NOTE "none";
