/* Locks of the shim, for a program that may cancel or end a thread, or siglongjmp out of a signal handler, while the
 * thread is in the shim.
 *
 * Waits are bounded. If the owner is gone, is the waiting thread itself, or does not release the lock within half a
 * second (20 s after gns_lock_slow_begin), the lock is abandoned: every later attempt fails at once. An owner that
 * was only slow can safely go on, because no other thread ever gets an abandoned lock.
 *
 * Not recursive. No memory is taken, nothing is printed, and errno is kept. */
#ifndef GNS_PROFILER_SHIM_PROCESS_LOCK_H
#define GNS_PROFILER_SHIM_PROCESS_LOCK_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: free. */
struct gns_lock {
	_Atomic uint32_t owner;   /* thread id, 0: free */
	_Atomic uint32_t waiters;
	_Atomic bool given_up;
	/* set at initialisation: held across driver calls, which may take seconds; the owner cannot be cancelled
	 * while it holds the lock */
	bool slow;
};

extern __thread uint32_t gns_lock_self __attribute__((tls_model("initial-exec"))); /* thread id; 0: not known yet */
bool gns_lock_take_slowly(struct gns_lock *lock);
void gns_lock_release_slowly(struct gns_lock *lock);

/* False: the lock is abandoned, and not held. */
static inline bool gns_lock_take(struct gns_lock *lock)
{
	uint32_t nobody = 0;
	if (__builtin_expect(gns_lock_self && !lock->slow &&
			     !atomic_load_explicit(&lock->given_up, memory_order_relaxed) &&
			     atomic_compare_exchange_strong_explicit(&lock->owner, &nobody, gns_lock_self,
								     memory_order_acquire, memory_order_relaxed), 1))
		return true;
	return gns_lock_take_slowly(lock);
}
/* False: held by another thread, or abandoned. Does not wait. */
bool gns_lock_try(struct gns_lock *lock);
static inline void gns_lock_release(struct gns_lock *lock)
{
	atomic_store(&lock->owner, 0); /* before `waiters` is read */
	if (__builtin_expect(atomic_load_explicit(&lock->waiters, memory_order_relaxed) || lock->slow, 0))
		gns_lock_release_slowly(lock);
}
bool gns_lock_is_mine(const struct gns_lock *lock);

/* Around cancellation points of the C library under a lock: open, read, write, waitpid. A BLAS has none, so a program
 * does not expect its thread to end there. (Asynchronous cancellation ends it anywhere: then the lock is given up.)
 * Nests. */
void gns_cancel_disable(void);
void gns_cancel_restore(void);

/* Around what may take seconds under a lock that is not always slow: starting the recorder, enqueueing on a device. Not
 * cancelled meanwhile. */
void gns_lock_slow_begin(void);
void gns_lock_slow_end(void);

/* This thread has left the shim by siglongjmp: restores its cancellation state. */
void gns_lock_left(void);

/* In the child of a fork, before any other function of locks: thread ids have changed. */
void gns_lock_forked(void);

/* Around what must not be left in the middle even by siglongjmp, because it takes locks of the C library (its loader,
 * its allocator) or starts a process: all signals are blocked and cancellation is disabled; whoever waits for a lock
 * of ours waits longer. Two system calls, so not for what happens often. Nests. */
void gns_undisturbed_begin(sigset_t *before);
void gns_undisturbed_end(const sigset_t *before);

#endif
