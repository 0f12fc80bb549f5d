/* A futex with an owner and a bounded wait. The contract is lock.h. */
#include "lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The limit counts waits, not time: a program that was stopped for an hour has waited once. */
#define WAIT_NS 5000000
#define WAITS 100
#define WAITS_SLOW 4000

static _Atomic uint32_t slow_owners;
__thread uint32_t gns_lock_self __attribute__((tls_model("initial-exec")));
static __thread struct {
	int depth, state, type; /* cancellation state and type before the outermost disable */
} self __attribute__((tls_model("initial-exec")));

void gns_lock_forked(void)
{
	gns_lock_self = 0; /* the child has one thread; its id is another */
	atomic_store(&slow_owners, 0);
}


void gns_cancel_disable(void)
{
	if (self.depth++)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &self.state);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &self.type);
}

void gns_cancel_restore(void)
{
	int state = self.state, type = self.type;
	if (--self.depth)
		return;
	pthread_setcancelstate(state, &state);
	if (__builtin_expect(type == PTHREAD_CANCEL_DEFERRED, 1))
		return;
	/* A cancellation that is pending: glibc 2.36 would otherwise end the thread with a result other than
	 * PTHREAD_CANCELED. */
	pthread_testcancel();
	pthread_setcanceltype(type, &type);
}

void gns_lock_slow_begin(void)
{
	gns_cancel_disable();
	atomic_fetch_add(&slow_owners, 1);
}

void gns_lock_slow_end(void)
{
	atomic_fetch_sub(&slow_owners, 1);
	gns_cancel_restore();
}

void gns_undisturbed_begin(sigset_t *before)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
	gns_lock_slow_begin();
}

void gns_undisturbed_end(const sigset_t *before)
{
	gns_lock_slow_end();
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

void gns_lock_left(void)
{
	if (self.depth) {
		self.depth = 1;
		gns_cancel_restore();
	}
}

static uint32_t my_id(void)
{
	if (!gns_lock_self)
		gns_lock_self = (uint32_t)syscall(SYS_gettid);
	return gns_lock_self;
}

bool gns_lock_is_mine(const struct gns_lock *lock)
{
	return atomic_load_explicit(&lock->owner, memory_order_relaxed) == my_id();
}

static bool is_gone(uint32_t thread)
{
	return syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH;
}

static bool take_free(struct gns_lock *lock, uint32_t id)
{
	uint32_t expected = 0;
	return atomic_compare_exchange_strong_explicit(&lock->owner, &expected, id, memory_order_acquire,
						       memory_order_relaxed);
}

static unsigned most_waits(const struct gns_lock *lock)
{
	return lock->slow || atomic_load(&slow_owners) ? WAITS_SLOW : WAITS;
}

static bool wait_for(struct gns_lock *lock, uint32_t id)
{
	const struct timespec most = { .tv_nsec = WAIT_NS };
	for (unsigned waits = 0; !atomic_load(&lock->given_up); waits++) {
		uint32_t owner = atomic_load(&lock->owner);
		if (!owner && take_free(lock, id))
			return true;
		if (!owner)
			continue;
		if (owner == id || waits >= (most_waits(lock)) || is_gone(owner))
			break;
		atomic_fetch_add(&lock->waiters, 1);
		syscall(SYS_futex, &lock->owner, FUTEX_WAIT_PRIVATE, owner, &most, NULL, 0);
		atomic_fetch_sub(&lock->waiters, 1);
	}
	atomic_store(&lock->given_up, true);
	return false;
}

static bool take(struct gns_lock *lock, bool wait)
{
	if (lock->slow)
		gns_cancel_disable();
	uint32_t id = my_id();
	bool taken = !atomic_load_explicit(&lock->given_up, memory_order_relaxed) && take_free(lock, id);
	if (!taken && wait) {
		int saved = errno;
		taken = wait_for(lock, id);
		errno = saved;
	}
	if (!taken && lock->slow)
		gns_cancel_restore();
	return taken;
}

bool gns_lock_take_slowly(struct gns_lock *lock)
{
	return take(lock, true);
}

bool gns_lock_try(struct gns_lock *lock)
{
	return take(lock, false);
}

void gns_lock_release_slowly(struct gns_lock *lock)
{
	if (atomic_load(&lock->waiters)) {
		int saved = errno;
		syscall(SYS_futex, &lock->owner, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		errno = saved;
	}
	if (lock->slow)
		gns_cancel_restore();
}
