/* The collector of cudnnBackendExecute and the legacy backward-filter call. See cudnn.c; nothing to call. */
#ifndef GNS_CUDNN_H
#define GNS_CUDNN_H
extern const struct gns_collector gns_cudnn_collector;
#endif
