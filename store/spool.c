/* See spool.h. */
#include "store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD_MAGIC 0x6c6f6f7073736e67ull
#define FRAME_MAGIC 0x6d617266u
#define FRAME_RECORDS 4096u /* most of one frame */
#define SPOOL_MAX (2ull << 30) /* bytes; beyond them steps are lost and counted, as without a spool */

enum { PART = 1, RANK_END, RUN_END };

struct head {
	uint64_t magic, key, start_ns;
	uint32_t record_version, record_bytes;
	char name[128], command[8192], cwd[PATH_MAX], host[64], version[32], store[PATH_MAX];
	uint64_t check;
};

struct frame {
	uint32_t magic, kind;
	struct gns_spool_part part;
	uint32_t n;
	int32_t exit_code;
	uint64_t end_ns;
	char status[16];
	uint64_t check; /* of the frame with 0 here, and its records */
};

static uint64_t check_sum(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static uint64_t check_of(struct frame frame, const struct gns_record *records)
{
	frame.check = 0;
	return check_sum(check_sum(0xcbf29ce484222325ull, &frame, sizeof frame), records, frame.n * sizeof *records);
}

static int write_at(struct gns_spool *spool, struct iovec *parts, int n)
{
	size_t want = 0;
	for (int i = 0; i < n; i++)
		want += parts[i].iov_len;
	ssize_t got = spool->size + want > SPOOL_MAX ? (errno = EFBIG, -1) : pwritev(spool->fd, parts, n, (off_t)spool->size);
	if (got == (ssize_t)want) {
		spool->size += want;
		return 0;
	}
	int rc = got < 0 ? -errno : -ENOSPC;
	return ftruncate(spool->fd, (off_t)spool->size) == 0 ? rc : -errno;
}

static int put(struct gns_spool *spool, struct frame *frame, const struct gns_record *records)
{
	frame->magic = FRAME_MAGIC;
	frame->check = check_of(*frame, records);
	struct iovec parts[2] = { { frame, sizeof *frame }, { (void *)(uintptr_t)records, frame->n * sizeof *records } };
	return write_at(spool, parts, frame->n ? 2 : 1);
}

int gns_spool_records(struct gns_spool *spool, const struct gns_spool_part *part, const struct gns_record *records, uint32_t n)
{
	struct frame frame;
	int rc = 0;
	memset(&frame, 0, sizeof frame);
	for (uint32_t from = 0; rc == 0 && (from < n || n == 0); from += frame.n) {
		frame.kind = PART;
		frame.part = *part;
		frame.part.first += from;
		frame.n = n - from < FRAME_RECORDS ? n - from : FRAME_RECORDS;
		rc = put(spool, &frame, records + from);
		if (n == 0)
			break;
	}
	spool->records += rc == 0 ? n : 0;
	return rc;
}

int gns_spool_rank_end(struct gns_spool *spool, uint32_t slot, uint32_t pid)
{
	struct frame frame;
	memset(&frame, 0, sizeof frame);
	frame.kind = RANK_END;
	frame.part.slot = slot;
	frame.part.pid = pid;
	return put(spool, &frame, NULL);
}

int gns_spool_run_end(struct gns_spool *spool, const char *status, int exit_code, uint64_t end_ns)
{
	struct frame frame;
	memset(&frame, 0, sizeof frame);
	frame.kind = RUN_END;
	frame.exit_code = exit_code;
	frame.end_ns = end_ns;
	snprintf(frame.status, sizeof frame.status, "%s", status);
	return put(spool, &frame, NULL);
}

/* ---- files ---- */

static int read_head(int fd, struct head *head)
{
	if (pread(fd, head, sizeof *head, 0) != (ssize_t)sizeof *head || head->magic != HEAD_MAGIC)
		return -EPROTO;
	uint64_t check = head->check;
	head->check = 0;
	if (check_sum(1, head, sizeof *head) != check)
		return -EPROTO;
	head->name[sizeof head->name - 1] = head->command[sizeof head->command - 1] = head->cwd[sizeof head->cwd - 1] = 0;
	head->host[sizeof head->host - 1] = head->version[sizeof head->version - 1] = head->store[sizeof head->store - 1] = 0;
	return head->record_version == GNS_RECORD_VERSION && head->record_bytes == sizeof(struct gns_record) ? 0 : -ENOTSUP;
}

/* The next whole frame, -ENODATA at the end. */
static int next_frame(int fd, uint64_t *at, struct frame *frame, struct gns_record *records)
{
	if (pread(fd, frame, sizeof *frame, (off_t)*at) != (ssize_t)sizeof *frame || frame->magic != FRAME_MAGIC || frame->n > FRAME_RECORDS)
		return -ENODATA;
	size_t bytes = frame->n * sizeof *records;
	if (pread(fd, records, bytes, (off_t)(*at + sizeof *frame)) != (ssize_t)bytes || check_of(*frame, records) != frame->check)
		return -ENODATA;
	frame->status[sizeof frame->status - 1] = 0;
	*at += sizeof *frame + bytes;
	return 0;
}

static int find_end(struct gns_spool *spool)
{
	struct gns_record *records = malloc(FRAME_RECORDS * sizeof *records);
	struct frame frame;
	if (!records)
		return -ENOMEM;
	spool->size = sizeof(struct head);
	spool->records = 0;
	while (next_frame(spool->fd, &spool->size, &frame, records) == 0)
		spool->records += frame.n;
	free(records);
	return 0;
}

/* A file system without locks has one writer all the same: the recorder holds its session's lock. */
static int lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? -EBUSY : 0;
}

static int open_existing(struct gns_spool *spool, struct head *head)
{
	struct stat st;
	spool->fd = open(spool->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (spool->fd < 0)
		return -errno;
	int rc = fstat(spool->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() ? lock(spool->fd) : -EPERM;
	if (rc == 0)
		rc = read_head(spool->fd, head);
	if (rc == 0)
		rc = find_end(spool);
	if (rc < 0)
		gns_spool_close(spool);
	return rc;
}

static void fill_head(struct head *head, const char *store, const struct gns_run_start *start)
{
	memset(head, 0, sizeof *head);
	head->magic = HEAD_MAGIC;
	head->key = start->key;
	head->start_ns = start->start_ns;
	head->record_version = GNS_RECORD_VERSION;
	head->record_bytes = sizeof(struct gns_record);
	snprintf(head->name, sizeof head->name, "%s", start->name ? start->name : "");
	snprintf(head->command, sizeof head->command, "%s", start->command ? start->command : "");
	snprintf(head->cwd, sizeof head->cwd, "%s", start->cwd ? start->cwd : "");
	snprintf(head->host, sizeof head->host, "%s", start->host ? start->host : "");
	snprintf(head->version, sizeof head->version, "%s", start->version ? start->version : "");
	snprintf(head->store, sizeof head->store, "%s", store);
	head->check = check_sum(1, head, sizeof *head);
}

static int make_new(struct gns_spool *spool, struct head *head)
{
	spool->fd = open(spool->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (spool->fd < 0)
		return -errno;
	spool->size = spool->records = 0;
	int rc = lock(spool->fd);
	if (rc == 0)
		rc = write_at(spool, &(struct iovec){ head, sizeof *head }, 1);
	if (rc < 0)
		gns_spool_remove(spool);
	return rc;
}

static const char *temporary_folder(void)
{
	const char *folder = getenv("TMPDIR");
	return folder && folder[0] == '/' ? folder : "/tmp";
}

static bool path_of(struct gns_spool *spool, int place, const char *store, uint64_t key)
{
	int n = place == 0 ? snprintf(spool->path, sizeof spool->path, "%s.spool-%016" PRIx64, store, key)
			   : snprintf(spool->path, sizeof spool->path, "%s/gnscope-%u-%016" PRIx64 ".spool", temporary_folder(),
				      (unsigned)getuid(), key);
	return n > 0 && (size_t)n < sizeof spool->path;
}

static bool is_elsewhere(const char *store)
{
	char folder[PATH_MAX];
	struct stat a, b;
	snprintf(folder, sizeof folder, "%s", store);
	return stat(dirname(folder), &a) == 0 && stat(temporary_folder(), &b) == 0 && a.st_dev != b.st_dev;
}

int gns_spool_open(struct gns_spool *spool, const char *store, const struct gns_run_start *start, enum gns_spool_make make,
		   struct gns_error *err)
{
	struct head *head = malloc(sizeof *head);
	int rc = head ? -ENOENT : -ENOMEM;
	spool->fd = -1;
	for (int place = 0; head && rc == -ENOENT && place < 2; place++)
		if (path_of(spool, place, store, start->key))
			rc = open_existing(spool, head);
	if (make == GNS_SPOOL_ELSEWHERE && !is_elsewhere(store))
		make = GNS_SPOOL_NONE;
	for (int place = make == GNS_SPOOL_ANYWHERE ? 0 : 1; head && make && rc < 0 && place < 2; place++) {
		fill_head(head, store, start);
		if (path_of(spool, place, store, start->key))
			rc = make_new(spool, head);
	}
	free(head);
	return rc < 0 ? gns_fail(err, rc, "cannot keep measurements in %s: %s", spool->path, strerror(-rc)) : 0;
}

void gns_spool_close(struct gns_spool *spool)
{
	if (spool->fd >= 0)
		close(spool->fd);
	spool->fd = -1;
}

void gns_spool_remove(struct gns_spool *spool)
{
	unlink(spool->path);
	gns_spool_close(spool);
}

int gns_spool_finish(const char *file, const char *status, int exit_code, uint64_t end_ns)
{
	struct gns_spool spool = { .fd = -1 };
	struct head *head = malloc(sizeof *head);
	snprintf(spool.path, sizeof spool.path, "%s", file);
	int rc = head ? open_existing(&spool, head) : -ENOMEM;
	if (rc == 0)
		rc = gns_spool_run_end(&spool, status, exit_code, end_ns);
	gns_spool_close(&spool);
	free(head);
	return rc;
}

/* ---- replay ---- */

static int store_part(struct gns_store *store, int64_t row, uint64_t tail, const struct frame *frame, const struct gns_record *records,
		      struct gns_spool_result *out, struct gns_error *err)
{
	const struct gns_spool_part *part = &frame->part;
	uint64_t end = part->first + frame->n;
	int rc = 0;
	for (uint32_t i = 0; rc == 0 && i < frame->n; i++)
		if (part->first + i >= tail) {
			rc = gns_store_record(store, row, &records[i], err);
			out->records++;
		}
	if (rc == 0 && end >= tail)
		rc = gns_store_set_tail(store, row, end, part->dropped_records, part->dropped_steps, err);
	return rc;
}

static int store_frame(struct gns_store *store, const struct frame *frame, const struct gns_record *records, struct gns_spool_result *out,
		       struct gns_error *err)
{
	int64_t row;
	uint64_t tail;
	int rc = gns_store_begin(store, err);
	if (rc == 0 && frame->kind == RUN_END) {
		rc = gns_store_run_end(store, out->run_id, frame->status, frame->exit_code, frame->end_ns, err);
		out->ended = true;
	} else if (rc == 0) {
		rc = gns_store_rank_begin(store, out->run_id, frame->part.slot, frame->part.pid, &row, &tail, err);
		if (rc == 0)
			rc = frame->kind == RANK_END ? gns_store_rank_end(store, row, err)
						     : store_part(store, row, tail, frame, records, out, err);
	}
	if (rc == 0)
		rc = gns_store_commit(store, err);
	if (rc < 0)
		gns_store_rollback(store);
	return rc;
}

static int begin_run(struct gns_store *store, struct head *head, struct gns_spool_result *out, struct gns_error *err)
{
	struct gns_run_start start = { .key = head->key, .name = head->name, .command = head->command[0] ? head->command : NULL,
				       .cwd = head->cwd[0] ? head->cwd : NULL, .host = head->host, .version = head->version,
				       .start_ns = head->start_ns };
	return gns_store_run_begin(store, &start, &out->run_id, err);
}

int gns_spool_replay(struct gns_spool *spool, struct gns_store *store, struct gns_spool_result *out, struct gns_error *err)
{
	struct head *head = malloc(sizeof *head);
	struct gns_record *records = malloc(FRAME_RECORDS * sizeof *records);
	struct frame frame;
	uint64_t at = sizeof *head;
	memset(out, 0, sizeof *out);
	int rc = head && records ? read_head(spool->fd, head) : -ENOMEM;
	if (rc < 0)
		gns_fail(err, rc, "cannot read %s: %s", spool->path, rc == -ENOTSUP ? "it is of another version of gnscope" : "it is damaged");
	while (rc == 0 && next_frame(spool->fd, &at, &frame, records) == 0) {
		if (out->run_id == 0)
			rc = begin_run(store, head, out, err);
		if (rc == 0)
			rc = store_frame(store, &frame, records, out, err);
	}
	free(head);
	free(records);
	return rc;
}

/* ---- import ---- */

static int end_unended(struct gns_spool *spool, struct gns_store *store, const struct gns_spool_result *out, struct gns_error *err)
{
	struct stat st;
	if (out->run_id == 0 || out->ended || fstat(spool->fd, &st) != 0)
		return 0;
	uint64_t end_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	return gns_store_run_end(store, out->run_id, "lost", 0, end_ns, err);
}

static int open_named(struct gns_spool *spool, struct head *head, struct gns_error *err)
{
	int rc = open_existing(spool, head);
	if (rc == -EPROTO)
		return gns_fail(err, rc, "cannot import %s: it is not a file that gnscope's recorder has kept", spool->path);
	if (rc == -ENOTSUP)
		return gns_fail(err, rc, "cannot import %s: another version of gnscope has written it; import it with that one", spool->path);
	if (rc == -EBUSY)
		return gns_fail(err, rc, "cannot import %s: a recorder still writes to it, and will import it itself", spool->path);
	return rc < 0 ? gns_fail(err, rc, "cannot import %s: %s", spool->path, strerror(-rc)) : 0;
}

int gns_spool_import(const char *file, const char *store_path, struct gns_spool_result *out, char *used, struct gns_error *err)
{
	struct gns_spool spool = { .fd = -1 };
	struct gns_store *store = NULL;
	struct head *head = calloc(1, sizeof *head);
	memset(out, 0, sizeof *out);
	if (!head || (size_t)snprintf(spool.path, sizeof spool.path, "%s", file) >= sizeof spool.path) {
		free(head);
		return gns_fail(err, -ENAMETOOLONG, "cannot import '%.80s...': the path is too long", file);
	}
	int rc = open_named(&spool, head, err);
	const char *path = store_path ? store_path : head->store;
	if (rc == 0 && used)
		snprintf(used, PATH_MAX, "%s", path);
	if (rc == 0)
		rc = gns_store_open_write(path, &store, err);
	if (rc == 0)
		rc = gns_spool_replay(&spool, store, out, err);
	if (rc == 0)
		rc = end_unended(&spool, store, out, err);
	if (rc == 0)
		gns_spool_remove(&spool);
	gns_spool_close(&spool);
	gns_store_close(store);
	free(head);
	return rc;
}

static bool is_meant_for(const char *file, const char *store)
{
	struct head *head = malloc(sizeof *head);
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool yes = head && fd >= 0 && read_head(fd, head) == 0 && strncmp(head->store, store, sizeof head->store) == 0;
	if (fd >= 0)
		close(fd);
	free(head);
	return yes;
}

int gns_spool_import_all(const char *store)
{
	char pattern[PATH_MAX + 64];
	struct gns_spool_result result;
	glob_t found = { 0 };
	int n = 0;
	snprintf(pattern, sizeof pattern, "%s/gnscope-%u-*.spool", temporary_folder(), (unsigned)getuid());
	glob(pattern, GLOB_NOSORT, NULL, &found);
	snprintf(pattern, sizeof pattern, "%s.spool-*", store);
	glob(pattern, GLOB_NOSORT | GLOB_APPEND, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		n += is_meant_for(found.gl_pathv[i], store) && gns_spool_import(found.gl_pathv[i], NULL, &result, NULL, NULL) == 0;
	globfree(&found);
	return n;
}
