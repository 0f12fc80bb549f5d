/* What a collector reports about CUDA graphs. Any thread may call; errno is kept; no function here blocks. */
#ifndef GNS_PROFILER_SHIM_CORE_GRAPHS_H
#define GNS_PROFILER_SHIM_CORE_GRAPHS_H

/* To be called right before a graph is launched, by any API. Sends the steps of earlier launches and opens or closes
 * the gates of captured sets (deferred.h). One load where no measured graph exists. */
void gns_core_replayed(void);

/* To be called right before the capture with origin `stream` ends. A captured set cannot be finished later. */
void gns_core_capture_ends(void *stream);

#endif
