/* The collector to copy: it counts the calls of one function of a library and lets each through unchanged.
 *
 * A collector has this file (or folder) with its wrappers, a row in collectors/collectors.c with the names that it exports, and a line
 * for its sources in a CMakeLists.txt. CONTRIBUTING.md has the steps. This one is built with -DGNS_NULL_COLLECTOR=ON, and by
 * the tests. Reference, for a real one: the manual of the API, with its version. */
#include "profiler/shim/process/real_function.h"
#include "profiler/shim/publish/counters.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT double null_compute(double x);

/* Any thread; no lock is held while the library's own function runs, and errno is what that function left. */
double null_compute(double x)
{
	static struct gns_real real = { .name = "null_compute", .self = (void *)null_compute };
	static struct gns_live_counter calls = { .collector = "null", .name = "null_compute" };
	double (*next)(double) = (double (*)(double))gns_real_find(&real, __builtin_return_address(0));
	if (!next)
		return 0; /* as the API answers where its library is not loaded */
	gns_count(&calls);
	return next(x);
}
