/* What is used of cuDNN, declared here so that no header of its is needed; with GNS_REAL_HEADERS the types are NVIDIA's own.
 *
 * Reference: cuDNN documentation, 8 and 9. */
#ifndef GNS_COLLECTORS_CUDA_CUDNN_API_H
#define GNS_COLLECTORS_CUDA_CUDNN_API_H

#include <stddef.h>

#ifdef GNS_REAL_HEADERS
#include <cudnn.h>
#else
typedef struct cudnnContext *cudnnHandle_t;
typedef void *cudnnBackendDescriptor_t;
typedef struct cudnnTensorStruct *cudnnTensorDescriptor_t;
typedef struct cudnnConvolutionStruct *cudnnConvolutionDescriptor_t;
typedef struct cudnnFilterStruct *cudnnFilterDescriptor_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef unsigned cudnnStatus_t, cudnnConvolutionBwdFilterAlgo_t;
#endif

/* CUDNN_STATUS_NOT_INITIALIZED is 1 in cuDNN 8 and 1001 in 9; either is an error in both. */
enum { GNS_CUDNN_SUCCESS = 0, GNS_CUDNN_NOT_INITIALIZED = 1001 };

#endif
