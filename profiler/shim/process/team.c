/* The training program's own OpenMP threads. */
#include "team.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static struct {
	void (*parallel)(void (*fn)(void *), void *data, unsigned threads, unsigned flags);
	int (*max_threads)(void);
	int (*in_parallel)(void);
	int (*threads)(void);
	int (*thread)(void);
	_Atomic int found;
} omp;

static pid_t home;

__attribute__((constructor)) static void remember_home(void)
{
	home = getpid();
}

void gns_team_find(const char *library)
{
	static const struct {
		const char *name;
		size_t at;
	} wanted[] = {
		{ "GOMP_parallel", offsetof(typeof(omp), parallel) },	       { "omp_get_max_threads",
										 offsetof(typeof(omp), max_threads) },
		{ "omp_in_parallel", offsetof(typeof(omp), in_parallel) },     { "omp_get_num_threads",
										 offsetof(typeof(omp), threads) },
		{ "omp_get_thread_num", offsetof(typeof(omp), thread) },
	};
	void *handle = library ? dlopen(library, RTLD_LAZY | RTLD_NOLOAD) : NULL;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		void *function = dlsym(handle ? handle : RTLD_DEFAULT, wanted[i].name);
		if (!function) {
			dlerror();
			return;
		}
		memcpy((char *)&omp + wanted[i].at, &function, sizeof function);
	}
	atomic_store(&omp.found, 1); /* the handle stays open, so that the library stays loaded */
}

unsigned gns_team_size(void)
{
	if (!atomic_load_explicit(&omp.found, memory_order_acquire) || getpid() != home || omp.in_parallel())
		return 1;
	int n = omp.max_threads();
	return n < 1 ? 1 : (unsigned)n;
}

struct region {
	void (*part)(void *arg, unsigned index, unsigned parts);
	void *arg;
	unsigned parts;
};

/* Runs this thread's share of the parts: all of them if the region got only one thread. */
static void run_share(void *data)
{
	const struct region *region = data;
	unsigned threads = (unsigned)omp.threads();
	for (unsigned i = (unsigned)omp.thread(); i < region->parts; i += threads)
		region->part(region->arg, i, region->parts);
}

void gns_team_run(unsigned parts, void (*part)(void *arg, unsigned index, unsigned parts), void *arg)
{
	struct region region = { part, arg, parts };
	if (parts > 1 && gns_team_size() > 1) {
		omp.parallel(run_share, &region, 0, 0);
		return;
	}
	for (unsigned i = 0; i < parts; i++)
		part(arg, i, parts);
}
