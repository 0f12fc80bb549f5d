/* The collector of cublasSgemm, cublasGemmEx, their batched and 64-bit forms. See cublas.c; nothing to call. */
#ifndef GNS_CUBLAS_H
#define GNS_CUBLAS_H
extern const struct gns_collector gns_cublas_collector;
#endif
