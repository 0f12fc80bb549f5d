/* Starts the recorder from inside a training program without it noticing: no SIGCHLD, nothing for its wait() to find,
 * no signal mask or handler changed, no descriptor inherited. */
#ifndef GNS_PROFILER_SHIM_PROCESS_SPAWN_H
#define GNS_PROFILER_SHIM_PROCESS_SPAWN_H

/* 0, or a negative errno (-ENOENT: the program gnscope is not found). Blocks until the exec has succeeded or failed,
 * once a run. */
int gns_spawn_recorder(const char *session_name);

#endif
