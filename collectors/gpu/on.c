/* The switch of the CUDA collectors. */
#include "on.h"

#include <errno.h>
#include <stdatomic.h>

#include "profiler/shim/process/config.h"

bool gns_cuda_on(void)
{
	static _Atomic int known; /* 0 not yet, 1 on, -1 off */
	int state = atomic_load_explicit(&known, memory_order_relaxed);
	if (!state) {
		int saved = errno;
		struct gns_config config;
		gns_config_read(&config);
		state = config.off || config.no_gpu ? -1 : 1;
		atomic_store_explicit(&known, state, memory_order_relaxed);
		errno = saved;
	}
	return state > 0;
}
