/* Memory of the shim: whole mappings, allocated at start-up. Never malloc: the shim may run inside the training
 * program's allocator. */
#ifndef GNS_PROFILER_SHIM_PROCESS_PAGES_H
#define GNS_PROFILER_SHIM_PROCESS_PAGES_H

#include <stddef.h>
#include <sys/mman.h>

/* Zeroed pages, committed when touched; NULL when there are none. */
static inline void *gns_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static inline void gns_pages_free(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

#endif
