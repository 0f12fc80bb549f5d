/* The collector of cublasLtMatmul. See cublaslt.c; nothing to call. */
#ifndef GNS_CUBLASLT_H
#define GNS_CUBLASLT_H
extern const struct gns_collector gns_cublaslt_collector;
#endif
