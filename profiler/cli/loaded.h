/* What a process has loaded that means something to us, from /proc/PID/maps. */
#ifndef GNS_PROFILER_CLI_LOADED_H
#define GNS_PROFILER_CLI_LOADED_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define GNS_LOADED_MAX 48

struct gns_loaded {
	struct gns_loaded_library {
		char path[PATH_MAX];
		const char *words;     /* what it means */
		const char *collector; /* that stands before it, as in collectors/collectors.c; "" none */
	} library[GNS_LOADED_MAX];
	int n, looks;          /* looks: lines read; 0: no process could be looked at */
	bool shim, torch;
	char python[PATH_MAX]; /* the interpreter, "" none seen */
};

/* Adds what this process has. */
void gns_loaded_look(struct gns_loaded *loaded, pid_t pid);
/* The first library that this collector stands before; NULL: none is loaded. */
const struct gns_loaded_library *gns_loaded_of(const struct gns_loaded *loaded, const char *collector);

#endif
