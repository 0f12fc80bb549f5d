/* What a collector reports of CUDA graphs. Any thread; errno is kept; nothing waits. */
#ifndef GNS_PROFILER_SHIM_CORE_GRAPHS_H
#define GNS_PROFILER_SHIM_CORE_GRAPHS_H

/* A graph is about to be launched, by whatever API: steps of earlier launches are sent, and gates moved. Next to nothing where no graph
 * was measured. Any thread. */
void gns_core_replayed(void);

/* Right before a capture ends that has `stream` as its origin: the last moment at which a captured set can be finished. */
void gns_core_capture_ends(void *stream);

#endif
