/* Sessions and rings in shared memory; the contract is ring.h. libc only. */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/shim/process/identity.h"

#define OFFICE 0 /* offsets of the bytes that are locked */
#define HOLD 1

#define RING_BYTES (sizeof(struct gns_ring_shared) + (size_t)GNS_RING_RECORDS * sizeof(struct gns_record))

_Static_assert((GNS_RING_RECORDS & (GNS_RING_RECORDS - 1)) == 0, "indices wrap by a mask");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics are shared between processes");

/* One path component after the slash, with room for ".255" behind it. */
static bool name_ok(const char *name)
{
	if (!name || name[0] != '/' || !name[1] || name[1] == '.')
		return false;
	size_t length = strlen(name);
	if (length > GNS_NAME_MAX - 5)
		return false;
	for (const char *c = name + 1; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			     *c == '-' || *c == '_' || *c == '.';
		if (!plain)
			return false;
	}
	return true;
}

_Static_assert(GNS_SLOTS <= 1000, "a ring's number has up to three digits");

static void ring_name(char out[GNS_NAME_MAX], const char *session_name, uint32_t slot)
{
	size_t n = strlen(session_name);
	memcpy(out, session_name, n);
	out[n++] = '.';
	if (slot >= 100)
		out[n++] = (char)('0' + slot / 100 % 10);
	if (slot >= 10)
		out[n++] = (char)('0' + slot / 10 % 10);
	out[n++] = (char)('0' + slot % 10);
	out[n] = 0;
}

static int lock_byte(int fd, off_t byte, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* True if some process has a lock on this byte, or if that cannot be determined; false when there is no such object. */
static bool is_locked(const char *name, off_t byte)
{
	int fd = shm_open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return errno != ENOENT;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	bool locked = fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
	close(fd);
	return locked;
}

/* Every page is allocated before anyone writes to it: a full /dev/shm is -ENOSPC here, not a SIGBUS later. */
static int map_new(const char *name, size_t bytes, void **out)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc;
	do
		rc = posix_fallocate(fd, 0, (off_t)bytes);
	while (rc == EINTR);
	void *map = MAP_FAILED;
	if (rc == 0) {
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			rc = errno;
		else
			lock_byte(fd, HOLD, F_RDLCK); /* of a new file: fails only where there are no such locks */
	}
	close(fd);
	if (rc != 0) {
		shm_unlink(name);
		return -rc;
	}
	*out = map;
	return 0;
}

static int map_existing(const char *name, size_t bytes, bool hold, void **out)
{
	int fd = shm_open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	struct stat st;
	int rc = 0;
	void *map = MAP_FAILED;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		rc = -EPROTO;
	else if (st.st_size == 0)
		rc = -EAGAIN;
	else if ((size_t)st.st_size != bytes)
		rc = -EPROTO;
	else if (hold && lock_byte(fd, HOLD, F_RDLCK) == -EAGAIN)
		rc = -EAGAIN;
	else if ((map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
		rc = -errno;
	close(fd);
	if (rc == 0)
		*out = map;
	return rc;
}

int gns_session_create(const char *name, struct gns_session **out)
{
	if (!name_ok(name))
		return -EINVAL;
	void *map;
	int rc = map_new(name, sizeof(struct gns_session), &map);
	if (rc < 0)
		return rc;
	struct gns_session *session = map;
	session->version = GNS_RECORD_VERSION;
	session->slots = GNS_SLOTS;
	session->key = gns_random();
	atomic_store_explicit(&session->magic, GNS_SESSION_MAGIC, memory_order_release);
	*out = session;
	return 0;
}

static int attach(const char *name, bool hold, struct gns_session **out)
{
	if (!name_ok(name))
		return -EINVAL;
	void *map;
	int rc = map_existing(name, sizeof(struct gns_session), hold, &map);
	if (rc < 0)
		return rc;
	struct gns_session *session = map;
	uint64_t magic = atomic_load_explicit(&session->magic, memory_order_acquire);
	if (magic == 0)
		rc = -EAGAIN;
	else if (magic != GNS_SESSION_MAGIC || session->version != GNS_RECORD_VERSION || session->slots != GNS_SLOTS)
		rc = -EPROTO;
	if (rc < 0)
		munmap(map, sizeof(struct gns_session));
	else
		*out = session;
	return rc;
}

int gns_session_attach(const char *name, struct gns_session **out)
{
	return attach(name, false, out);
}

int gns_session_join(const char *name, struct gns_session **out)
{
	return attach(name, true, out);
}

bool gns_session_held(const char *name)
{
	return name_ok(name) && is_locked(name, HOLD);
}

bool gns_session_recorded(const char *name)
{
	return name_ok(name) && is_locked(name, OFFICE);
}

int gns_session_office(const char *name)
{
	if (!name_ok(name))
		return -EINVAL;
	int fd = shm_open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = lock_byte(fd, OFFICE, F_WRLCK);
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

bool gns_session_seal(int office)
{
	return lock_byte(office, HOLD, F_WRLCK) == 0;
}

void gns_session_detach(struct gns_session *session)
{
	if (session)
		munmap(session, sizeof *session);
}

void gns_session_unlink(const char *name)
{
	if (!name_ok(name))
		return;
	for (uint32_t slot = 0; slot < GNS_SLOTS; slot++)
		gns_ring_unlink(name, slot);
	shm_unlink(name);
}

void gns_ring_unlink(const char *session_name, uint32_t slot)
{
	char name[GNS_NAME_MAX];
	if (!name_ok(session_name) || slot >= GNS_SLOTS)
		return;
	ring_name(name, session_name, slot);
	shm_unlink(name);
}

/* State and start time of a process, from /proc/PID/stat. The command name before them may hold anything, so
 * the fields are counted from the last ')'. False when it cannot be read. */
static bool process_stat(uint32_t pid, char *state, uint64_t *started)
{
	char path[32] = "/proc/", text[1024], digits[12];
	int n = 0;
	for (uint32_t left = pid; left || n == 0; left /= 10)
		digits[n++] = (char)('0' + left % 10);
	size_t at = 6;
	while (n > 0)
		path[at++] = digits[--n];
	memcpy(path + at, "/stat", 6);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return false;
	text[got] = 0;
	const char *field = strrchr(text, ')');
	if (!field || field[1] != ' ' || !field[2])
		return false;
	*state = field[2];
	field++;
	for (int i = 3; i <= 22; i++) {
		field = strchr(field, ' ');
		if (!field)
			return false;
		field++;
	}
	*started = strtoull(field, NULL, 10);
	return true;
}

/* A writer that has not made its ring yet already holds the session. */
static bool ring_locked(const struct gns_slot *slot)
{
	char name[GNS_NAME_MAX];
	memcpy(name, slot->ring, sizeof name);
	name[sizeof name - 1] = 0;
	return atomic_load_explicit(&slot->state, memory_order_acquire) == GNS_SLOT_CLAIMED || is_locked(name, HOLD);
}

/* The lock was released with the memory of the image that held it. */
bool gns_slot_replaced(const struct gns_slot *slot)
{
	return atomic_load_explicit(&slot->state, memory_order_acquire) == GNS_SLOT_READY && !ring_locked(slot);
}

bool gns_slot_alive(const struct gns_slot *slot)
{
	uint32_t pid = atomic_load_explicit(&slot->pid, memory_order_acquire);
	if (pid == 0 || pid > INT32_MAX)
		return false;
	uint64_t theirs = atomic_load(&slot->pid_ns), ours = theirs ? gns_pid_namespace() : 0;
	if (theirs && ours && theirs != ours)
		return ring_locked(slot);
	if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
		return false;
	char state;
	uint64_t started, claimed = atomic_load_explicit(&slot->started, memory_order_acquire);
	if (!process_stat(pid, &state, &started))
		return true;
	if (state == 'Z' || state == 'X' || state == 'x')
		return false;
	return claimed == 0 || claimed == started;
}

static bool take_slot(struct gns_session *session, uint32_t *out)
{
	static const uint32_t states[] = { GNS_SLOT_FREE, GNS_SLOT_DRAINED };
	for (size_t k = 0; k < sizeof states / sizeof *states; k++)
		for (uint32_t i = 0; i < GNS_SLOTS; i++) {
			uint32_t expected = states[k];
			if (atomic_compare_exchange_strong(&session->slot[i].state, &expected, GNS_SLOT_CLAIMED)) {
				*out = i;
				return true;
			}
		}
	return false;
}

struct gns_slot_owner gns_slot_owner(const struct gns_slot *slot)
{
	return (struct gns_slot_owner){ .pid = atomic_load(&slot->pid), .started = atomic_load(&slot->started), .pid_ns = atomic_load(&slot->pid_ns) };
}

bool gns_slot_owner_same(const struct gns_slot_owner *a, const struct gns_slot_owner *b)
{
	return a->started && a->started == b->started && a->pid == b->pid && a->pid_ns == b->pid_ns;
}

/* execve keeps pid and start time: a slot with ours belongs to the image that this one has replaced; what it
 * published is complete. */
static void close_former(struct gns_session *session, const struct gns_slot *mine)
{
	struct gns_slot_owner me = gns_slot_owner(mine);
	for (uint32_t i = 0; i < GNS_SLOTS; i++) {
		struct gns_slot *slot = &session->slot[i];
		struct gns_slot_owner owner = gns_slot_owner(slot);
		uint32_t ready = GNS_SLOT_READY;
		if (slot != mine && gns_slot_owner_same(&owner, &me))
			atomic_compare_exchange_strong(&slot->state, &ready, GNS_SLOT_CLOSED);
	}
}

int gns_ring_claim(const char *session_name, struct gns_session *session, struct gns_ring *out)
{
	char name[GNS_NAME_MAX];
	uint32_t index;
	if (!name_ok(session_name))
		return -EINVAL;
	if (!take_slot(session, &index))
		return -EUSERS;
	struct gns_slot *slot = &session->slot[index];
	uint32_t pid = (uint32_t)getpid();
	uint64_t started = 0;
	char state;
	if (!process_stat(pid, &state, &started))
		started = 0;
	atomic_store(&slot->dropped_records, 0);
	atomic_store(&slot->dropped_steps, 0);
	atomic_store(&slot->started, started);
	atomic_store(&slot->rank, 0);
	atomic_store(&slot->pid_ns, gns_pid_namespace());
	ring_name(name, session_name, index);
	memcpy(slot->ring, name, strlen(name) + 1);
	atomic_store(&slot->pid, pid);

	shm_unlink(name);
	void *map;
	int rc = map_new(name, RING_BYTES, &map);
	if (rc < 0) {
		atomic_store(&slot->pid, 0);
		atomic_store_explicit(&slot->state, GNS_SLOT_FREE, memory_order_release);
		return rc;
	}
	struct gns_ring_shared *shared = map;
	shared->version = GNS_RECORD_VERSION;
	shared->capacity = GNS_RING_RECORDS;
	atomic_store_explicit(&shared->magic, GNS_RING_MAGIC, memory_order_release);
	*out = (struct gns_ring){ .session = session, .shared = shared, .slot = index, .capacity = GNS_RING_RECORDS };
	close_former(session, slot);
	atomic_store_explicit(&slot->state, GNS_SLOT_READY, memory_order_release);
	return 0;
}

bool gns_ring_reserve(struct gns_ring *ring, uint32_t count)
{
	if (!ring->shared || count > ring->capacity)
		return false;
	uint64_t used = ring->head - atomic_load_explicit(&ring->shared->tail, memory_order_acquire);
	return used <= ring->capacity && ring->capacity - used >= count; /* a tail past head wraps to a huge `used` */
}

struct gns_record *gns_ring_at(struct gns_ring *ring, uint32_t offset)
{
	return &ring->shared->records[(ring->head + offset) & (ring->capacity - 1)];
}

void gns_ring_publish(struct gns_ring *ring, uint32_t count)
{
	ring->head += count;
	atomic_store_explicit(&ring->shared->head, ring->head, memory_order_release);
}

void gns_ring_drop(struct gns_ring *ring, uint32_t records, uint32_t steps)
{
	struct gns_slot *slot = &ring->session->slot[ring->slot];
	atomic_fetch_add_explicit(&slot->dropped_records, records, memory_order_relaxed);
	atomic_fetch_add_explicit(&slot->dropped_steps, steps, memory_order_relaxed);
}

void gns_ring_close(struct gns_ring *ring)
{
	if (!ring->shared)
		return;
	munmap(ring->shared, RING_BYTES);
	ring->shared = NULL;
	uint32_t expected = GNS_SLOT_READY;
	atomic_compare_exchange_strong(&ring->session->slot[ring->slot].state, &expected, GNS_SLOT_CLOSED);
}

int gns_ring_attach(const char *session_name, struct gns_session *session, uint32_t slot, struct gns_ring *out)
{
	char name[GNS_NAME_MAX];
	if (!name_ok(session_name) || slot >= GNS_SLOTS)
		return -EINVAL;
	uint32_t state = atomic_load_explicit(&session->slot[slot].state, memory_order_acquire);
	if (state == GNS_SLOT_CLAIMED)
		return -EAGAIN;
	if (state != GNS_SLOT_READY && state != GNS_SLOT_CLOSED)
		return -ENOENT;
	ring_name(name, session_name, slot);
	void *map = NULL;
	int rc = map_existing(name, RING_BYTES, false, &map);
	if (rc < 0)
		return rc;
	struct gns_ring_shared *shared = map;
	uint64_t magic = atomic_load_explicit(&shared->magic, memory_order_acquire);
	if (magic != GNS_RING_MAGIC || shared->version != GNS_RECORD_VERSION || shared->capacity != GNS_RING_RECORDS) {
		munmap(map, RING_BYTES);
		return -EPROTO;
	}
	*out = (struct gns_ring){ .session = session, .shared = shared, .slot = slot, .capacity = GNS_RING_RECORDS };
	return 0;
}

int64_t gns_ring_ready(const struct gns_ring *ring, uint64_t from)
{
	uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
	if (from > head || head - from > ring->capacity)
		return -EPROTO;
	return (int64_t)(head - from);
}

const struct gns_record *gns_ring_read(const struct gns_ring *ring, uint64_t index)
{
	return &ring->shared->records[index & (ring->capacity - 1)];
}

void gns_ring_release(struct gns_ring *ring, uint64_t new_tail)
{
	atomic_store_explicit(&ring->shared->tail, new_tail, memory_order_release);
}

void gns_ring_detach(struct gns_ring *ring)
{
	if (ring->shared)
		munmap(ring->shared, RING_BYTES);
	ring->shared = NULL;
}
