/* Fingerprints of matrices. */
#include "fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Places spread by the golden ratio over both dimensions, so that a zero row or column cannot contain them all. */
static size_t place(const struct gns_key *key, unsigned j)
{
	uint64_t a = (j + 1) * 0x9e3779b97f4a7c15ull, b = (j + 1) * 0xd1b54a32d192ed03ull;
	size_t slow = (size_t)(((unsigned __int128)a * key->slow_n) >> 64);
	size_t fast = (size_t)(((unsigned __int128)b * key->fast_n) >> 64);
	return slow * (size_t)key->ld + fast;
}

static const char *element(const struct gns_key *key, unsigned j)
{
	return (const char *)key->data + place(key, j) * gns_dtype_size(key->dtype);
}

/* Callers pass a constant size, so that an element is one load. */
static inline __attribute__((always_inline)) uint64_t load(const struct gns_key *key, unsigned j, size_t size)
{
	uint64_t bits = 0;
	memcpy(&bits, (const char *)key->data + place(key, j) * size, size);
	return bits;
}

static inline __attribute__((always_inline)) void take(const struct gns_key *key, size_t size,
						       struct gns_fingerprint *out)
{
	for (unsigned j = 0; j < GNS_PRINT_N; j++)
		out->bits[j] = load(key, j, size);
}

void gns_fingerprint_take(const struct gns_key *key, struct gns_fingerprint *out)
{
	switch (gns_dtype_size(key->dtype)) {
	case 8: take(key, 8, out); break;
	case 4: take(key, 4, out); break;
	default: take(key, 2, out); break;
	}
}

static inline __attribute__((always_inline)) uint64_t hash(const struct gns_key *key, size_t size)
{
	/* Two chains, so that the multiplications overlap. */
	uint64_t h = 0x9e3779b97f4a7c15ull, g = 0xd1b54a32d192ed03ull;
	for (unsigned j = 0; j < GNS_PRINT_N; j += 2) {
		h = (h ^ load(key, j, size)) * 0xff51afd7ed558ccdull;
		g = (g ^ load(key, j + 1, size)) * 0xc4ceb9fe1a85ec53ull;
		h ^= h >> 32;
		g ^= g >> 29;
	}
	return h ^ (g << 31 | g >> 33);
}

uint64_t gns_fingerprint_hash(const struct gns_key *key)
{
	switch (gns_dtype_size(key->dtype)) {
	case 8: return hash(key, 8);
	case 4: return hash(key, 4);
	default: return hash(key, 2);
	}
}

/* Used where seccomp forbids process_vm_readv: writing memory to a pipe also reads it in the kernel, and an unmapped
 * page is an error, too. False when no pipe can be made. */
static bool scan_by_pipe(const struct gns_key *const *keys, size_t n, struct gns_fingerprint *out, bool *ok)
{
	int ends[2], cancel;
	char spill[GNS_PRINT_N * sizeof(uint64_t)];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	/* the caller holds a lock, and read and write are cancellation points */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	for (size_t i = 0; i < n; i++) {
		struct iovec from[GNS_PRINT_N], to[GNS_PRINT_N];
		size_t size = gns_dtype_size(keys[i]->dtype);
		memset(&out[i], 0, sizeof out[i]);
		for (unsigned j = 0; j < GNS_PRINT_N; j++) {
			from[j] = (struct iovec){ (void *)(uintptr_t)element(keys[i], j), size };
			to[j] = (struct iovec){ &out[i].bits[j], size };
		}
		ssize_t written = writev(ends[1], from, GNS_PRINT_N);
		ok[i] = written == (ssize_t)(GNS_PRINT_N * size) && readv(ends[0], to, GNS_PRINT_N) == written;
		if (!ok[i] && written > 0 && read(ends[0], spill, sizeof spill) != written)
			break;
	}
	close(ends[0]);
	close(ends[1]);
	pthread_setcancelstate(cancel, &cancel);
	return true;
}

/* A call takes at most 1024 pieces (IOV_MAX): 64 matrices of 16, so that no matrix is split over two calls. */
#define SCAN_BATCH 64
/* For arrays on the stack, which may be small. */
#define SCAN_BATCH_SMALL 2

struct pieces {
	struct iovec *local, *remote;
};

static bool scan_some(const struct gns_key *const *keys, size_t n, const struct pieces *pieces,
		      struct gns_fingerprint *out, bool *ok)
{
	struct iovec *local = pieces->local, *remote = pieces->remote;
	size_t total = 0, done = 0;
	for (size_t i = 0; i < n; i++) {
		memset(&out[i], 0, sizeof out[i]);
		ok[i] = true;
		for (unsigned j = 0; j < GNS_PRINT_N; j++) {
			size_t size = gns_dtype_size(keys[i]->dtype);
			local[total] = (struct iovec){ &out[i].bits[j], size };
			remote[total++] = (struct iovec){ (void *)(uintptr_t)element(keys[i], j), size };
		}
	}
	/* A piece that cannot be read ends the call early: mark its matrix unread, go on with the next one. */
	while (done < total) {
		ssize_t got = process_vm_readv(getpid(), local + done, total - done, remote + done, total - done, 0);
		if (got < 0 && errno != EFAULT)
			return false;
		size_t left = got > 0 ? (size_t)got : 0;
		while (done < total && left >= local[done].iov_len) {
			left -= local[done].iov_len;
			done++;
		}
		if (done < total) {
			ok[done / GNS_PRINT_N] = false;
			done = (done / GNS_PRINT_N + 1) * GNS_PRINT_N;
		}
	}
	return true;
}

static bool scan_all(const struct gns_key *const *keys, size_t n, size_t batch, const struct pieces *pieces,
		     struct gns_fingerprint *out, bool *ok)
{
	for (size_t i = 0; i < n; i += batch) {
		size_t some = n - i < batch ? n - i : batch;
		if (!scan_some(keys + i, some, pieces, out + i, ok + i) &&
		    !scan_by_pipe(keys + i, some, out + i, ok + i))
			return false;
	}
	return true;
}

static bool scan_small(const struct gns_key *const *keys, size_t n, struct gns_fingerprint *out, bool *ok)
{
	struct iovec local[SCAN_BATCH_SMALL * GNS_PRINT_N], remote[SCAN_BATCH_SMALL * GNS_PRINT_N];
	return scan_all(keys, n, SCAN_BATCH_SMALL, &(struct pieces){ local, remote }, out, ok);
}

bool gns_fingerprint_scan(const struct gns_key *const *keys, size_t n, struct gns_fingerprint *out, bool *ok)
{
	static struct {
		_Atomic bool busy; /* in use by another thread, or by one that has left the shim by siglongjmp */
		struct iovec local[SCAN_BATCH * GNS_PRINT_N], remote[SCAN_BATCH * GNS_PRINT_N];
	} room;
	if (atomic_exchange(&room.busy, true))
		return scan_small(keys, n, out, ok);
	bool good = scan_all(keys, n, SCAN_BATCH, &(struct pieces){ room.local, room.remote }, out, ok);
	atomic_store(&room.busy, false);
	return good;
}

static double half_value(uint16_t h)
{
	int exponent = h >> 10 & 31;
	double mantissa = (h & 1023) / 1024.0, sign = h >> 15 ? -1 : 1;
	if (exponent == 31)
		return (double)(h & 1023 ? __builtin_nanf("") : sign * __builtin_inff());
	double scale = exponent ? 1 : 2;
	for (int e = exponent; e < 15; e++)
		scale /= 2;
	for (int e = 15; e < exponent; e++)
		scale *= 2;
	return sign * scale * (exponent ? 1 + mantissa : mantissa);
}

static double value(uint64_t bits, uint32_t dtype)
{
	if (dtype == GNS_F64) {
		double d;
		memcpy(&d, &bits, sizeof d);
		return d;
	}
	if (dtype == GNS_F16)
		return half_value((uint16_t)bits);
	uint32_t b = dtype == GNS_BF16 ? (uint32_t)bits << 16 : (uint32_t)bits;
	float f;
	memcpy(&f, &b, sizeof f);
	return f;
}

double gns_fingerprint_distance(const struct gns_fingerprint *a, const struct gns_fingerprint *b, uint32_t dtype)
{
	double diff = 0, sum = 0;
	for (unsigned j = 0; j < GNS_PRINT_N; j++) {
		double x = value(a->bits[j], dtype), y = value(b->bits[j], dtype);
		diff += x > y ? x - y : y - x;
		sum += (x < 0 ? -x : x) + (y < 0 ? -y : y);
	}
	double d = sum > 0 ? diff / sum : 0;
	return d >= 0 && d <= 1 ? d : 1;
}
