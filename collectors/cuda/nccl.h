/* The collector of ncclAllReduce and ncclReduceScatter. See nccl.c; nothing to call. */
#ifndef GNS_NCCL_H
#define GNS_NCCL_H
extern const struct gns_collector gns_nccl_collector;
#endif
