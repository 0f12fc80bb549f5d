/* What collectors/cuda/graph.c tells the shim of CUDA graphs that it sees go by. Any thread; errno is kept; nothing waits. */
#ifndef GNS_REPLAYS_H
#define GNS_REPLAYS_H

/* Right before a capture ends that has `stream` as its origin: the last moment at which a captured set can be finished. */
void gns_core_capture_ends(void *stream);
/* Right after a graph was launched on `stream`. */
void gns_core_replayed(void *stream);

#endif
