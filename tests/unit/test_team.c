/* The program's OpenMP threads, as GNU's library has them. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/shim/process/team.h"

#define PARTS GNS_TEAM_MAX

static atomic_int calls[PARTS];
static atomic_int by[PARTS];
static _Atomic unsigned nested;

static void part(void *arg, unsigned index, unsigned parts)
{
	cr_assert(arg == calls && parts <= PARTS && index < parts);
	atomic_fetch_add(&calls[index], 1);
	atomic_store(&by[index], gettid());
	atomic_store(&nested, gns_team_size());
	usleep(2000);
}

static unsigned run(unsigned parts)
{
	unsigned threads = 0;
	for (unsigned i = 0; i < PARTS; i++)
		calls[i] = by[i] = 0;
	gns_team_run(parts, part, calls);
	for (unsigned i = 0; i < PARTS; i++)
		cr_assert_eq(calls[i], i < parts, "part %u of %u: called %d times", i, parts, (int)calls[i]);
	for (unsigned i = 0; i < parts; i++) {
		bool seen = false;
		for (unsigned j = 0; j < i; j++)
			seen |= by[j] == by[i];
		threads += !seen;
	}
	return threads;
}

Test(team, without_openmp_one_thread_does_it)
{
	gns_team_find(NULL);
	cr_assert_eq(gns_team_size(), 1u);
	cr_assert_eq(run(5), 1u);
}

Test(team, every_part_once_on_as_many_threads_as_the_program_has)
{
	void *gomp = dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL);
	cr_assert(gomp, "%s", dlerror());
	void (*set)(int) = (void (*)(int))dlsym(gomp, "omp_set_num_threads");
	gns_team_find("libgomp.so.1");
	for (int threads = 1; threads <= 4; threads++) {
		set(threads);
		cr_assert_eq(gns_team_size(), (unsigned)threads);
		cr_assert_eq(run(1), 1u);
		cr_assert_eq(run(3), threads < 3 ? (unsigned)threads : 3u);
		cr_assert_eq(run(PARTS), (unsigned)threads);
		cr_assert_eq(nested, 1u, "a region inside a region");
		pid_t child = fork();
		if (!child)
			_exit(gns_team_size() == 1 && run(4) == 1 ? 0 : 1);
		int status = -1;
		cr_assert(waitpid(child, &status, 0) == child && status == 0, "a forked child: status %d", status);
	}
}
