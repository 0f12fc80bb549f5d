/* Blocks of emulated threads: see emulate.h. */
/* longjmp between stacks, which the checked one takes for a mistake. */
#undef _FORTIFY_SOURCE
#include "tests/fakes/emulate.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define MOST_THREADS 1024
#define STACK_BYTES ((size_t)64 << 10)
#define WARP 32

thread_local gns_emulated_index threadIdx, blockIdx, blockDim, gridDim;

enum state { READY, AT_BARRIER, AT_SHUFFLE, DONE };

/* A fiber is entered by its context once; from then on by jumps, which make no system call. */
struct fiber {
	ucontext_t context;
	jmp_buf at;
	bool entered;
	enum state state;
	unsigned lanes;
	uint64_t given;
	uint64_t taken[WARP]; /* what the warp gave, at the last shuffle */
};

struct block {
	jmp_buf scheduler;
	struct fiber fibers[MOST_THREADS];
	char *stacks;
	unsigned running;
	void (*call)(void *const *);
	void *const *parameters;
	const char *name;
};

static thread_local struct block *current;
static const gns_emulated_kernel *kernels;

gns_emulated_kernel::gns_emulated_kernel(const char *symbol, void (*function)(void *const *), size_t bytes)
	: name(symbol), call(function), size(bytes), next(kernels)
{
	kernels = this;
}

[[noreturn]] static void stop(const char *what)
{
	fprintf(stderr, "emulated kernel %s, block (%u, %u, %u): %s\n", current->name, blockIdx.x, blockIdx.y, blockIdx.z, what);
	abort();
}

static void wait_as(enum state state)
{
	struct block *block = current;
	struct fiber *fiber = &block->fibers[block->running];

	fiber->state = state;
	if (!_setjmp(fiber->at))
		_longjmp(block->scheduler, 1);
}

void gns_emulated_barrier(void) { wait_as(AT_BARRIER); }

uint64_t gns_emulated_shuffle(unsigned lanes, uint64_t bits, unsigned by, bool down)
{
	struct fiber *fiber = &current->fibers[current->running];
	const unsigned lane = current->running % WARP, from = down ? lane + by : lane ^ by;

	fiber->lanes = lanes;
	fiber->given = bits;
	wait_as(AT_SHUFFLE);
	return from < WARP ? fiber->taken[from] : bits;
}

static void enter(void)
{
	struct block *block = current;

	for (;;) {
		block->call(block->parameters);
		wait_as(DONE);
	}
}

/* A fiber is made for the first block that needs it and runs its part of every later one. */
static void begin(struct block *block, unsigned threads)
{
	for (unsigned i = 0; i < threads; i++) {
		struct fiber *fiber = &block->fibers[i];
		fiber->state = READY;
		if (fiber->entered)
			continue;
		getcontext(&fiber->context);
		fiber->context.uc_stack.ss_sp = block->stacks + i * STACK_BYTES;
		fiber->context.uc_stack.ss_size = STACK_BYTES;
		fiber->context.uc_link = NULL;
		makecontext(&fiber->context, enter, 0);
	}
}

static void resume(struct block *block, struct fiber *fiber)
{
	if (_setjmp(block->scheduler))
		return;
	if (fiber->entered)
		_longjmp(fiber->at, 1);
	fiber->entered = true;
	setcontext(&fiber->context);
}

static bool run_ready(struct block *block, unsigned threads, bool backwards)
{
	bool any = false;

	for (unsigned k = 0; k < threads; k++) {
		const unsigned i = backwards ? threads - 1 - k : k;
		if (block->fibers[i].state != READY)
			continue;
		any = true;
		block->running = i;
		threadIdx = (gns_emulated_index){i, 0, 0};
		resume(block, &block->fibers[i]);
	}
	return any;
}

/* A shuffle happens when all lanes it names have come to one. */
static bool release_warps(struct block *block, unsigned threads)
{
	bool any = false;

	for (unsigned first = 0; first < threads; first += WARP) {
		struct fiber *warp = &block->fibers[first];
		const unsigned here = threads - first < WARP ? threads - first : WARP;
		unsigned lanes = 0, came = 0;
		for (unsigned i = 0; i < here; i++)
			if (warp[i].state == AT_SHUFFLE) {
				came |= 1u << i;
				lanes |= warp[i].lanes;
			}
		if (!came || came != lanes)
			continue;
		for (unsigned i = 0; i < here; i++)
			for (unsigned j = 0; j < here && warp[i].state == AT_SHUFFLE; j++)
				warp[i].taken[j] = warp[j].given;
		for (unsigned i = 0; i < here; i++)
			if (warp[i].state == AT_SHUFFLE)
				warp[i].state = READY;
		any = true;
	}
	return any;
}

static bool release_barrier(struct block *block, unsigned threads)
{
	unsigned waiting = 0, done = 0;

	for (unsigned i = 0; i < threads; i++) {
		waiting += block->fibers[i].state == AT_BARRIER;
		done += block->fibers[i].state == DONE;
	}
	if (done == threads)
		return false;
	if (waiting != threads)
		stop(done ? "some threads have ended while others wait for them" :
			    "threads wait for each other at different barriers or shuffles");
	for (unsigned i = 0; i < threads; i++)
		block->fibers[i].state = READY;
	return true;
}

static struct block *this_threads_block(void)
{
	static thread_local struct block *made;

	if (!made) {
		void *memory = mmap(NULL, sizeof *made + MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED) {
			fprintf(stderr, "emulated kernels: no memory for %u stacks\n", MOST_THREADS);
			abort();
		}
		made = (struct block *)memory;
		made->stacks = (char *)memory + sizeof *made;
	}
	return made;
}

static void run_block(struct block *block, unsigned threads, bool backwards)
{
	begin(block, threads);
	while (run_ready(block, threads, backwards) || release_warps(block, threads) || release_barrier(block, threads))
		;
}

static const gns_emulated_kernel *find(const char *name)
{
	const gns_emulated_kernel *kernel = kernels;

	while (kernel && strcmp(kernel->name, name))
		kernel = kernel->next;
	return kernel;
}

size_t gns_emulate_size(const char *name)
{
	const gns_emulated_kernel *kernel = find(name);
	return kernel ? kernel->size : 0;
}

int gns_emulate_launch(const char *name, const uint32_t grid[3], uint32_t threads, void *const *parameters)
{
	const gns_emulated_kernel *kernel = find(name);

	if (!kernel || !threads || threads > MOST_THREADS)
		return -1;
	current = this_threads_block();
	current->call = kernel->call;
	current->parameters = parameters;
	current->name = name;
	gridDim = (gns_emulated_index){grid[0], grid[1], grid[2]};
	blockDim = (gns_emulated_index){threads, 1, 1};
	unsigned turn = 0;
	for (unsigned z = 0; z < grid[2]; z++)
		for (unsigned y = 0; y < grid[1]; y++)
			for (unsigned x = 0; x < grid[0]; x++) {
				blockIdx = (gns_emulated_index){x, y, z};
				run_block(current, threads, turn++ & 1);
			}
	return 0;
}
