/* Identifiers that distinguish processes. libc only, no errors. */
#ifndef GNS_PROFILER_SHIM_PROCESS_IDENTITY_H
#define GNS_PROFILER_SHIM_PROCESS_IDENTITY_H

#include <stdint.h>

/* Inode of the caller's pid namespace, 0 unknown. */
uint64_t gns_pid_namespace(void);
/* Never 0; from the clock where the kernel has no random numbers yet. */
uint64_t gns_random(void);

#endif
