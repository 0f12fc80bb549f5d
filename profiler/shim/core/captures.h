/* What collectors/cuda/graph.c tells the shim of captures. Any thread; errno is kept; nothing waits. */
#ifndef GNS_CAPTURES_H
#define GNS_CAPTURES_H

/* Right before a capture ends that has `stream` as its origin: the last moment at which a captured set can be finished. */
void gns_core_capture_ends(void *stream);

#endif
