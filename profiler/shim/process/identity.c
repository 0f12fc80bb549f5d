/* Identifiers that distinguish processes. */
#include "identity.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t gns_random(void)
{
	uint64_t key = 0;
	if (getrandom(&key, sizeof key, GRND_NONBLOCK) == (ssize_t)sizeof key && key != 0)
		return key;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	key = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return (key ^ ((uint64_t)getpid() << 40) ^ (uintptr_t)&key) | 1u;
}

uint64_t gns_pid_namespace(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}
