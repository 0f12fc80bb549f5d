/* Runs a measurement on the OpenMP threads of the training program, which would be idle while the calling thread
 * measures. PyTorch runs its operations on the same threads, so the shim starts no thread that the program's next
 * operation would not start.
 *
 * A region has as many threads as the program's regions have: for another number, GNU's OpenMP would end and restart
 * threads. */
#ifndef GNS_PROFILER_SHIM_PROCESS_TEAM_H
#define GNS_PROFILER_SHIM_PROCESS_TEAM_H

#define GNS_TEAM_MAX 16u /* parts */

/* Finds the OpenMP runtime that `library` (already loaded; NULL: the whole program) was linked with. Not for the hot
 * path. */
void gns_team_find(const char *library);

/* The number of threads that a region of this thread would have. 1: no OpenMP was found, or this is inside a region,
 * or in a forked child, where GNU's OpenMP would wait for threads that do not exist. */
unsigned gns_team_size(void);

/* Calls part(arg, index, parts) for each index below `parts`, in parallel as far as there are threads, and returns
 * when all have returned. parts: 1 to GNS_TEAM_MAX. `part` calls nothing that could be interposed, locks or ends the
 * thread. Not under the core's lock. */
void gns_team_run(unsigned parts, void (*part)(void *arg, unsigned index, unsigned parts), void *arg);

#endif
