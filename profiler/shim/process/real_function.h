/* Finds the real function behind a wrapper.
 *
 * Searched first: what the dynamic linker would have bound without the shim (RTLD_NEXT: the global scope behind the
 * preloaded libraries), then the scope of the object that called (Python loads libraries RTLD_LOCAL: the global scope
 * does not have them), then any loaded object. Answers are cached by call site, so that two copies of one library are
 * kept apart. A library in which a function was found stays loaded. */
#ifndef GNS_PROFILER_SHIM_PROCESS_REAL_FUNCTION_H
#define GNS_PROFILER_SHIM_PROCESS_REAL_FUNCTION_H

#include <stdatomic.h>

#define GNS_REAL_SITES 256 /* gns_real_find hashes to 8 bits */

struct gns_real {
	const char *name;
	void *self; /* the wrapper itself, never an answer */
	struct {
		_Atomic(void *) site, target;
	} sites[GNS_REAL_SITES];
};

/* NULL when there is none: the wrapper then returns as the API would on error, or does nothing. Any thread. */
void *gns_real_find(struct gns_real *real, void *call_site);
/* Another function of the library that `found` is in (or of one that it needs); NULL: there is none. Slow, because it
 * calls dlsym: the caller should keep the answer. */
void *gns_real_beside(void *found, const char *name);

#endif
