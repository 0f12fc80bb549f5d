/* CUDA C compiled as C++ for this processor, so that tests run the source of the kernels itself. Blocks run one after another in the
 * calling thread; the threads of a block are fibers, which give way at barriers and warp shuffles only: one that is left out shows
 * as a wrong result (the order in which fibers run is turned from block to block), one that not all reach as a message and an abort.
 * Shared memory is not cleared: a kernel must write it before it reads it, as on a device.
 *
 * Only what collectors/gpu/kernels.cu needs of the language is here. Included by that file when GNS_EMULATE is defined; the C side
 * is at the end. */
#ifndef GNS_TESTS_FAKES_EMULATE_H
#define GNS_TESTS_FAKES_EMULATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#include <math.h>
#include <string.h>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static thread_local

struct gns_emulated_index {
	unsigned x, y, z;
};
extern thread_local gns_emulated_index threadIdx, blockIdx, blockDim, gridDim;

void gns_emulated_barrier(void);
/* Gives `bits` to the warp and returns what lane (own xor mask) gave, or own + delta where `down`. */
uint64_t gns_emulated_shuffle(unsigned lanes, uint64_t bits, unsigned by, bool down);

static inline void __syncthreads(void) { gns_emulated_barrier(); }

template <class T> static inline T gns_emulated_exchange(unsigned lanes, T value, unsigned by, bool down)
{
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof value);
	bits = gns_emulated_shuffle(lanes, bits, by, down);
	memcpy(&value, &bits, sizeof value);
	return value;
}
template <class T> static inline T __shfl_xor_sync(unsigned lanes, T value, unsigned mask)
{
	return gns_emulated_exchange(lanes, value, mask, false);
}
template <class T> static inline T __shfl_down_sync(unsigned lanes, T value, unsigned delta)
{
	return gns_emulated_exchange(lanes, value, delta, true);
}
static inline uint32_t __ballot_sync(unsigned lanes, int set)
{
	uint32_t mask = (uint32_t)(set != 0) << threadIdx.x % 32;
	for (unsigned step = 16; step; step /= 2)
		mask |= __shfl_xor_sync(lanes, mask, step);
	return mask;
}
static inline int __ffs(int word) { return __builtin_ffs(word); }
static inline void __threadfence_system(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return (uint64_t)(((unsigned __int128)a * b) >> 64); }

struct gns_emulated_kernel {
	const char *name;
	void (*call)(void *const *parameters);
	size_t size; /* of the one parameter */
	const gns_emulated_kernel *next;
	gns_emulated_kernel(const char *symbol, void (*function)(void *const *), size_t bytes);
};
#define GNS_EMULATED(symbol, args) \
	static const gns_emulated_kernel registered_##symbol( \
		#symbol, [](void *const *parameters) { symbol(*(const struct args *)parameters[0]); }, sizeof(struct args));

extern "C" {
#endif

/* Runs kernel `name` to its end; parameters as cuLaunchKernel takes them. 0, or -1: there is no such kernel. One stack of
 * 64 KiB a thread of the block is kept for the calling thread. */
int gns_emulate_launch(const char *name, const uint32_t grid[3], uint32_t block, void *const *parameters);

/* Bytes of its one parameter; 0: there is no such kernel. */
size_t gns_emulate_size(const char *name);

#ifdef __cplusplus
}
#endif
#endif
