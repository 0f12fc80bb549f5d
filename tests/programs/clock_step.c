/* Somebody sets the clock: from the moment that the file $CLOCK_STEP is there, the time of day is a day later. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int rc = real(clock, t);
	const char *file = clock == CLOCK_REALTIME ? getenv("CLOCK_STEP") : NULL;
	if (rc == 0 && file && access(file, F_OK) == 0)
		t->tv_sec += 24 * 3600;
	return rc;
}
