/* Shared memory between training processes and the recorder: one session per node and run, one ring per process.
 *
 * libc only: this file is linked into the shim as well as into the program. Nothing here blocks, prints
 * or aborts; errors are negative errno.
 *
 * A session is a POSIX shared memory object (mode 0600, name "/gnscope-..."), a ring another one named
 * after it ("<session>.<slot>"). Both are allocated in full when made (posix_fallocate), so that a full
 * /dev/shm is an error at the start and never a SIGBUS in a training process. Training processes keep no file
 * descriptor.
 *
 * Locks on these objects (F_OFD_SETLK) show which process is alive, not pids: a lock belongs to the open file
 * description, which a mapping keeps after its descriptor is closed, and the kernel drops it with the mapping,
 * whatever kills the process and whatever pid namespace it is in. A child of fork() shares the mapping and so the
 * lock, until it exits or calls exec.
 *   office   one byte of the session, exclusive: its recorder
 *   hold     another byte of the session, shared: whoever made it or trains in it; and of a ring: its writer
 * If the kernel has no such locks, pids are used.
 *
 * A ring has one writer thread at a time (the shim serialises) and one reader. Indices are absolute
 * 64-bit record counts since the process began. The writer fills records past `head` and publishes them
 * with one release store, so a writer killed at any instruction leaves only whole steps. The reader
 * moves `tail` only after its transaction is committed, so a reader killed at any instruction loses
 * nothing; the database keeps the committed tail, so nothing is stored twice. */
#ifndef GNS_PROFILER_SHIM_RING_RING_H
#define GNS_PROFILER_SHIM_RING_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gnscope/record.h"

#define GNS_SESSION_MAGIC 0x6e6f6973736e6731ull
#define GNS_RING_MAGIC 0x67726164676e7332ull
#define GNS_SLOTS 256                /* processes of one run on one node at a time */
#define GNS_RING_RECORDS (1u << 15)  /* 4 MiB a ring */
#define GNS_NAME_MAX 64
#define GNS_PATH_MAX 4096

enum gns_slot_state { GNS_SLOT_FREE = 0, GNS_SLOT_CLAIMED, GNS_SLOT_READY, GNS_SLOT_CLOSED, GNS_SLOT_DRAINED };

/* The control word, the only data from the recorder's side to the shim: bit 31 = paused; bits 0-30 = interval K, 0 =
 * as configured. */
#define GNS_CONTROL_PAUSED 0x80000000u
#define GNS_CONTROL_EVERY(word) ((word) & 0x7fffffffu)

struct gns_slot {
	_Atomic uint32_t state;   /* enum gns_slot_state */
	_Atomic uint32_t pid;     /* writer */
	_Atomic uint64_t started; /* the writer's start time (field 22 of /proc/PID/stat), tells a reused pid */
	_Atomic uint64_t dropped_records; /* lost because the ring was full */
	_Atomic uint64_t dropped_steps;
	_Atomic uint64_t pid_ns;  /* the pid namespace that `pid` is of (inode of /proc/self/ns/pid), 0 unknown */
	_Atomic uint32_t rank;    /* the writer's rank + 1; 0 until the writer has set it */
	char ring[GNS_NAME_MAX];  /* the ring's name */
};

struct gns_session {
	_Atomic uint64_t magic; /* stored last: a session without it is still being made */
	uint32_t version, slots;
	uint64_t key;           /* random, identifies the run in the database */
	_Atomic uint32_t control;
	_Atomic uint32_t recorder_pid; /* 0: none yet */
	_Atomic uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the recorder's last round */
	_Atomic uint64_t run_id;       /* in the store, 0 until the recorder has made it */
	_Atomic uint32_t closing;      /* set by `gnscope run` when the training program has ended */
	_Atomic uint32_t recorder_error; /* errno of the recorder's last failure, 0 none */
	char recorder_text[512];       /* message of that failure; valid once recorder_error is set */
	_Atomic uint32_t join_error;   /* errno of the last process that could not get a ring, 0 none */
	_Atomic uint32_t join_limited; /* the reason was its limit on the size of files (RLIMIT_FSIZE) */
	_Atomic uint32_t join_failed;  /* how many such processes there were */
	/* Where the recorder stores, for a recorder that replaces it. "" unknown. */
	char store[GNS_PATH_MAX], run_name[128];
	char spool[GNS_PATH_MAX];      /* file with records that could not be stored yet, "" none */
	struct gns_slot slot[GNS_SLOTS];
};

struct gns_ring_shared {
	_Atomic uint64_t magic;
	uint32_t version, capacity; /* capacity in records, a power of two */
	_Alignas(64) _Atomic uint64_t head; /* next record the writer will publish */
	_Alignas(64) _Atomic uint64_t tail; /* next record the reader will take */
	_Alignas(64) struct gns_record records[];
};

struct gns_ring { /* handle of the writer or the reader; owns nothing but the mapping */
	struct gns_session *session;
	struct gns_ring_shared *shared;
	uint32_t slot;
	uint32_t capacity; /* checked copy: the shared one is not trusted after attach */
	uint64_t head;     /* the writer's private copy */
};

/* Makes a session under `name` (it must begin with '/') and holds it. -EEXIST when there is one. */
int gns_session_create(const char *name, struct gns_session **out);
/* Maps an existing session. -ENOENT none, -EAGAIN still being made (try again later), -EPROTO not ours or
 * another version. Checks owner and size. */
int gns_session_attach(const char *name, struct gns_session **out);
/* gns_session_attach, and holds it while it is mapped. -EAGAIN, too, while somebody is about to remove it. */
int gns_session_join(const char *name, struct gns_session **out);
/* True while a process that made or joined the session is alive, or if that cannot be determined. */
bool gns_session_held(const char *name);
/* True while the session has a recorder, or if that cannot be determined. */
bool gns_session_recorded(const char *name);
/* The recorder's lock. Returns a descriptor to be kept open, -EAGAIN when there is a recorder, another negative errno
 * where there are no such locks. */
int gns_session_office(const char *name);
/* From now on no process can join. `office`: the descriptor of gns_session_office. False: some process holds the
 * session. */
bool gns_session_seal(int office);
void gns_session_detach(struct gns_session *session);
/* Removes the session's name and those of all its rings. */
void gns_session_unlink(const char *name);

/* Writer: takes a free slot and makes its ring. -EUSERS no slot is free, -ENOSPC no shared memory. */
int gns_ring_claim(const char *session_name, struct gns_session *session, struct gns_ring *out);
/* Room for `count` records in a row of absolute indices (the caller writes them with gns_ring_at), or false
 * when the reader is behind: then count the loss with gns_ring_drop. */
bool gns_ring_reserve(struct gns_ring *ring, uint32_t count);
struct gns_record *gns_ring_at(struct gns_ring *ring, uint32_t offset); /* offset from head, < reserved count */
void gns_ring_publish(struct gns_ring *ring, uint32_t count);
void gns_ring_drop(struct gns_ring *ring, uint32_t records, uint32_t steps);
/* Writer: marks the slot closed (clean exit) and unmaps. Safe to call twice. */
void gns_ring_close(struct gns_ring *ring);

/* Reader. -EAGAIN: slot claimed but its ring not ready. */
int gns_ring_attach(const char *session_name, struct gns_session *session, uint32_t slot, struct gns_ring *out);
/* Number of records ready from absolute index `from`; corrupt indices give -EPROTO. */
int64_t gns_ring_ready(const struct gns_ring *ring, uint64_t from);
const struct gns_record *gns_ring_read(const struct gns_ring *ring, uint64_t index);
void gns_ring_release(struct gns_ring *ring, uint64_t new_tail);
/* False once the process that claimed the slot is gone: by pid and start time, in another pid namespace by the lock
 * on its ring. */
bool gns_slot_alive(const struct gns_slot *slot);
/* Whose slot it is. execve keeps all three. */
struct gns_slot_owner {
	uint32_t pid;
	uint64_t started, pid_ns;
};
struct gns_slot_owner gns_slot_owner(const struct gns_slot *slot);
/* One process. False where its start is not known. */
bool gns_slot_owner_same(const struct gns_slot_owner *a, const struct gns_slot_owner *b);
/* True once the process that made the slot's ring runs another image (execve): nothing more will come. False where
 * that cannot be known. */
bool gns_slot_replaced(const struct gns_slot *slot);
void gns_ring_detach(struct gns_ring *ring);
/* Removes one ring's name. The reader's, after it has drained the ring and before it sets GNS_SLOT_DRAINED: from then
 * on the slot may be claimed again, by a process that makes a new ring of the same name. */
void gns_ring_unlink(const char *session_name, uint32_t slot);

#endif
