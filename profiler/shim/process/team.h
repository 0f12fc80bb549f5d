/* The threads that the training program keeps for its own parallel regions (OpenMP), lent to a measurement while the thread that asks for
 * it would leave them idle. PyTorch runs its operations on the very same ones: no thread is started here that its next operation would
 * not start.
 *
 * A region has as many threads as the program's own: asked for another number, GNU's OpenMP ends threads and starts them again. */
#ifndef GNS_PROFILER_SHIM_PROCESS_TEAM_H
#define GNS_PROFILER_SHIM_PROCESS_TEAM_H

#define GNS_TEAM_MAX 16u /* parts */

/* Looks for the OpenMP that `library` (loaded; NULL: whatever the program has) was built with. Not for the hot path. */
void gns_team_find(const char *library);

/* Threads that a region of this thread's would have; 1: no OpenMP was found, or this is inside a region, or a forked child, in which GNU's
 * OpenMP would wait for threads that it does not have. */
unsigned gns_team_size(void);

/* Calls part(arg, index, parts) for each index below `parts`, at once as far as there are threads, and returns when all have returned.
 * parts: 1 to GNS_TEAM_MAX. `part` calls nothing that could be interposed, locks or ends the thread. Not under the core's lock. */
void gns_team_run(unsigned parts, void (*part)(void *arg, unsigned index, unsigned parts), void *arg);

#endif
