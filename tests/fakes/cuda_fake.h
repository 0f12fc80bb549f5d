/* What the fake libcuda.so.1 is, and what it gives to the other fakes and to tests beside the driver's own functions.
 *
 * Device memory is host memory: NaN when allocated (0xff in every byte of the first 16 MiB), a page that cannot be touched behind it, and all of it
 * untouchable once freed. Every stream has a thread of its own that runs what is enqueued, in order, after delays at random; the
 * legacy stream and blocking streams wait for each other as on a device. Kernels are those of collectors/gpu/kernels.cu run by emulate.h, and those
 * that are registered here. A graph's nodes run one after another in the order in which they were captured.
 *
 * What the real driver forbids ends the process with a sentence on stderr: allocation or synchronisation beside a capture (where the
 * thread's mode does not allow it), an unjoined capture, a stream, event, context or module that is gone or of another context,
 * memory that is freed, foreign or too short. After a fork every call in the child returns CUDA_ERROR_NOT_INITIALIZED, as the real one does.
 *
 * Environment: GNS_FAKE_DEVICES=n (1); GNS_FAKE_SYNC=1: everything runs in the caller at once; GNS_FAKE_ANY=1: every host address
 * counts as device memory; GNS_FAKE_DELAY_US=n: the longest delay (100, 0: none), at random by GNS_FAKE_SEED. */
#ifndef GNS_TESTS_FAKES_CUDA_FAKE_H
#define GNS_TESTS_FAKES_CUDA_FAKE_H

#include <stddef.h>
#include <stdint.h>

/* Runs run(copy of args) on the stream in its order, or makes it a node of the graph that the stream is being captured into. The
 * stream's context must be current. Returns a CUresult. `name` must last: it is what an observer is told. */
int gns_fake_enqueue(void *stream, const char *name, void (*run)(void *args), const void *args, size_t size);

enum gns_fake_memory { GNS_FAKE_FINE = 0, GNS_FAKE_NO_DEVICE_MEMORY, GNS_FAKE_FREED, GNS_FAKE_TOO_SHORT, GNS_FAKE_FOREIGN };
/* Are these bytes device memory of the current context (or managed, or mapped host memory)? In run(): of its stream's context. */
int gns_fake_check(const void *address, size_t bytes);
/* The same, or the end of the process with a sentence: "cublasSgemm_v2, C: ... was freed". */
void gns_fake_need(const void *address, size_t bytes, const char *call, const char *what);

void *gns_fake_context(void);              /* the current one, NULL none */
void *gns_fake_stream_context(void *stream); /* NULL and the special streams: the current one */
_Noreturn void gns_fake_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Kernels of a trainer's own that cuModuleGetFunction finds in any module: parameters as cuLaunchKernel takes them, copied by size. */
void gns_fake_register_kernel(const char *name, void (*run)(const uint32_t grid[3], const uint32_t block[3], void *const *parameters),
			      unsigned n, const size_t *sizes);

/* Told of what a stream's worker has run, by that worker; of one at a time. NULL: nobody. */
struct gns_fake_activity {
	const char *name; /* of the kernel; "memcpy", "memset" */
	int device;
	unsigned long long stream;   /* its id */
	uint64_t queued, start, end; /* ns of CLOCK_REALTIME */
	uint32_t grid[3], block;
	int copy; /* 0 no, 1 host to device, 2 device to host, 3 device to device */
	uint64_t bytes;
};
typedef void (*gns_fake_observer)(const struct gns_fake_activity *);
void gns_fake_observe(gns_fake_observer observer);

/* From the n-th launch of a kernel in the current context on (1: the next), every call there fails with `error`, as after a fault on a
 * device; 0: all is well again. */
void gns_fake_break(int error, unsigned n);
void gns_fake_starve(size_t most); /* larger allocations find no memory */
uint64_t gns_fake_calls(void); /* of the driver's functions, in this process */

#endif
