/* The BLAS collector: sgemm_, dgemm_, cblas_sgemm, cblas_dgemm and the batched forms. See blas.c; nothing to call. */
#ifndef GNS_BLAS_H
#define GNS_BLAS_H
extern const struct gns_collector gns_blas_collector;
#endif
