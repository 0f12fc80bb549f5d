/* CUDA graphs: cudaGraphLaunch, cuGraphLaunch, cudaStreamEndCapture, cuStreamEndCapture. See graph.c; nothing to call. */
#ifndef GNS_CUDA_GRAPH_H
#define GNS_CUDA_GRAPH_H
extern const struct gns_collector gns_graph_collector;
#endif
