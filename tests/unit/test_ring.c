/* Sessions and rings: whole steps only, every record once and in order, and nothing in shared memory is believed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "profiler/shim/ring/ring.h"

static char name[GNS_NAME_MAX];
static struct gns_session *session;

static void setup(void)
{
	snprintf(name, sizeof name, "/gnscope-test-%d", (int)getpid());
	gns_session_unlink(name);
	cr_assert_eq(gns_session_create(name, &session), 0);
}

static void teardown(void)
{
	gns_session_detach(session);
	gns_session_unlink(name);
}

TestSuite(ring, .init = setup, .fini = teardown);

Test(ring, names_that_are_not_plain_are_refused)
{
	static const char *const bad[] = { "", "/", "gnscope", "/a/b", "/../x", "/.hidden", "/with space", "/new\nline",
		"/0123456789012345678901234567890123456789012345678901234567890123" };
	struct gns_session *s = NULL;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect_eq(gns_session_create(bad[i], &s), -EINVAL, "%s", bad[i]);
		cr_expect_eq(gns_session_attach(bad[i], &s), -EINVAL, "%s", bad[i]);
	}
}

Test(ring, a_session_is_private_and_single)
{
	struct gns_session *other;
	struct stat st;
	char path[128];
	snprintf(path, sizeof path, "/dev/shm%s", name);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(gns_session_create(name, &other), -EEXIST);
	cr_assert_eq(gns_session_attach(name, &other), 0);
	cr_expect_eq(other->key, session->key);
	cr_expect_neq(other->key, 0);
	gns_session_detach(other);
	cr_expect_eq(gns_session_attach("/gnscope-test-none", &other), -ENOENT);
}

static int attach_as(const char *what)
{
	struct gns_session *other;
	int rc = gns_session_attach(name, &other);
	if (rc == 0)
		gns_session_detach(other);
	return rc;
}

Test(ring, strange_shared_memory_is_refused)
{
	char path[128];
	snprintf(path, sizeof path, "/dev/shm%s", name);
	atomic_store(&session->magic, 0);
	cr_expect_eq(attach_as("still being made"), -EAGAIN);
	atomic_store(&session->magic, 42);
	cr_expect_eq(attach_as("other magic"), -EPROTO);
	atomic_store(&session->magic, GNS_SESSION_MAGIC);
	session->version++;
	cr_expect_eq(attach_as("other version"), -EPROTO);
	session->version--;
	cr_expect_eq(attach_as("sound"), 0);
	cr_assert_eq(chmod(path, 0644), 0);
	cr_expect_eq(attach_as("readable by others"), -EPROTO);
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(truncate(path, (off_t)sizeof *session / 2), 0);
	cr_expect_eq(attach_as("cut short"), -EPROTO);
	cr_assert_eq(truncate(path, 0), 0);
	cr_expect_eq(attach_as("empty"), -EAGAIN);
	cr_assert_eq(truncate(path, (off_t)sizeof *session), 0);
	if (geteuid() == 0) {
		cr_assert_eq(chown(path, 65534, (gid_t)-1), 0);
		cr_expect_eq(attach_as("another user's"), -EPROTO);
		cr_assert_eq(chown(path, 0, (gid_t)-1), 0);
	}
}

Test(ring, a_link_is_not_followed)
{
	char path[128], link_name[GNS_NAME_MAX], link_path[128];
	struct gns_session *other;
	snprintf(path, sizeof path, "/dev/shm%s", name);
	snprintf(link_name, sizeof link_name, "/gnscope-test-link-%d", (int)getpid());
	snprintf(link_path, sizeof link_path, "/dev/shm%s", link_name);
	cr_assert_eq(symlink(path, link_path), 0);
	cr_expect_eq(gns_session_attach(link_name, &other), -ELOOP);
	unlink(link_path);
}

Test(ring, full_shared_memory_is_an_error_and_not_a_signal)
{
	struct gns_session *small;
	struct gns_ring ring;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev/shm", "tmpfs", 0, "size=1m") < 0)
		cr_skip_test("a small /dev/shm cannot be mounted here: %s", strerror(errno));
	cr_assert_eq(gns_session_create("/gnscope-test-small", &small), 0);
	cr_expect_eq(gns_ring_claim("/gnscope-test-small", small, &ring), -ENOSPC);
	cr_expect_eq(atomic_load(&small->slot[0].state), GNS_SLOT_FREE);
	gns_session_unlink("/gnscope-test-small");
	gns_session_detach(small);
	umount("/dev/shm");
}

Test(ring, every_slot_has_a_ring_of_its_own)
{
	static const int slots[] = { 0, 9, 10, 99, 100, 109, 110, GNS_SLOTS - 1 };
	enum { N = sizeof slots / sizeof *slots };
	struct gns_ring ring[N];
	for (int i = 0; i < GNS_SLOTS; i++)
		atomic_store(&session->slot[i].state, GNS_SLOT_CLAIMED);
	for (int i = 0; i < N; i++) {
		atomic_store(&session->slot[slots[i]].state, GNS_SLOT_FREE);
		cr_assert_eq(gns_ring_claim(name, session, &ring[i]), 0);
		cr_expect_eq(ring[i].slot, (uint32_t)slots[i]);
		cr_assert(gns_ring_reserve(&ring[i], 1));
		gns_ring_at(&ring[i], 0)->u.step.step = (uint64_t)i + 1;
		gns_ring_publish(&ring[i], 1);
	}
	for (int i = 0; i < N; i++) {
		struct gns_ring other;
		cr_assert_eq(gns_ring_attach(name, session, (uint32_t)slots[i], &other), 0);
		cr_expect_eq(gns_ring_read(&other, 0)->u.step.step, (uint64_t)i + 1);
		gns_ring_detach(&other);
		gns_ring_close(&ring[i]);
	}
}

Test(ring, slots_run_out)
{
	enum { OURS = 3 }; /* all rings would be a gibibyte */
	struct gns_ring ring[OURS + 1];
	for (int i = OURS; i < GNS_SLOTS; i++)
		atomic_store(&session->slot[i].state, GNS_SLOT_READY);
	for (int i = 0; i < OURS; i++)
		cr_assert_eq(gns_ring_claim(name, session, &ring[i]), 0);
	cr_expect_eq(gns_ring_claim(name, session, &ring[OURS]), -EUSERS);
	for (int i = 0; i < OURS; i++)
		gns_ring_close(&ring[i]);
	gns_ring_close(&ring[0]);
	cr_expect_eq(atomic_load(&session->slot[0].state), GNS_SLOT_CLOSED);
}

Test(ring, a_drained_slot_is_used_again_with_an_empty_ring)
{
	struct gns_ring writer, reader;
	for (int round = 0; round < 3 * GNS_SLOTS; round++) {
		cr_assert_eq(gns_ring_claim(name, session, &writer), 0);
		cr_assert_eq(gns_ring_attach(name, session, writer.slot, &reader), 0);
		cr_expect_eq(gns_ring_ready(&reader, 0), 0);
		cr_assert(gns_ring_reserve(&writer, 1));
		gns_ring_publish(&writer, 1);
		gns_ring_drop(&writer, 2, 1);
		cr_expect_eq(gns_ring_ready(&reader, 0), 1);
		cr_expect_eq(atomic_load(&session->slot[writer.slot].dropped_records), 2);
		gns_ring_close(&writer);
		gns_ring_detach(&reader);
		gns_ring_unlink(name, writer.slot);
		atomic_store(&session->slot[writer.slot].state, GNS_SLOT_DRAINED);
	}
}

Test(ring, room_is_exact_at_the_edge)
{
	struct gns_ring w, r;
	cr_assert_eq(gns_ring_claim(name, session, &w), 0);
	cr_assert_eq(gns_ring_attach(name, session, w.slot, &r), 0);
	cr_expect(gns_ring_reserve(&w, GNS_RING_RECORDS));
	cr_expect_not(gns_ring_reserve(&w, GNS_RING_RECORDS + 1));
	gns_ring_publish(&w, GNS_RING_RECORDS - 3);
	cr_expect(gns_ring_reserve(&w, 3));
	cr_expect_not(gns_ring_reserve(&w, 4));
	gns_ring_release(&r, 10);
	cr_expect(gns_ring_reserve(&w, 13));
	cr_expect_not(gns_ring_reserve(&w, 14));
	gns_ring_close(&w);
	gns_ring_detach(&r);
}

Test(ring, damaged_indices_are_seen)
{
	struct gns_ring w, r;
	cr_assert_eq(gns_ring_claim(name, session, &w), 0);
	cr_assert_eq(gns_ring_attach(name, session, w.slot, &r), 0);
	atomic_store(&r.shared->head, UINT64_MAX);
	cr_expect_eq(gns_ring_ready(&r, 0), -EPROTO);
	atomic_store(&r.shared->head, 5);
	cr_expect_eq(gns_ring_ready(&r, 6), -EPROTO);
	cr_expect_eq(gns_ring_ready(&r, 5), 0);
	atomic_store(&r.shared->tail, 7); /* past what was ever written */
	cr_expect_not(gns_ring_reserve(&w, 1));
	r.shared->capacity = 1u << 30; /* the checked copy rules */
	cr_expect_lt((char *)gns_ring_read(&r, UINT64_MAX), (char *)&r.shared->records[GNS_RING_RECORDS]);
	gns_ring_detach(&r);
	cr_expect_eq(gns_ring_attach(name, session, w.slot, &r), -EPROTO);
	gns_ring_close(&w);
}

#define THROUGH 400000u

static void *write_through(void *arg)
{
	struct gns_ring *w = arg;
	for (uint64_t i = 0; i < THROUGH;) {
		uint32_t n = 1 + (uint32_t)(i * 7919 % 97);
		if (!gns_ring_reserve(w, n)) {
			sched_yield();
			continue;
		}
		for (uint32_t k = 0; k < n; k++) {
			struct gns_record *record = gns_ring_at(w, k);
			memset(record, (int)((i + k) & 0xff), sizeof *record);
			record->u.step.step = i + k;
		}
		gns_ring_publish(w, n);
		i += n;
	}
	return NULL;
}

Test(ring, every_record_once_and_in_order_through_many_wraps, .timeout = 60)
{
	struct gns_ring w, r;
	pthread_t thread;
	cr_assert_eq(gns_ring_claim(name, session, &w), 0);
	cr_assert_eq(gns_ring_attach(name, session, w.slot, &r), 0);
	cr_assert_eq(pthread_create(&thread, NULL, write_through, &w), 0);
	uint64_t next = 0;
	while (next < THROUGH) {
		int64_t ready = gns_ring_ready(&r, next);
		cr_assert_geq(ready, 0);
		for (int64_t i = 0; i < ready; i++, next++) {
			const struct gns_record *record = gns_ring_read(&r, next);
			cr_assert_eq(record->u.step.step, next);
			cr_assert_eq(record->u.bytes[119], next & 0xff);
		}
		gns_ring_release(&r, next);
		if (ready == 0)
			sched_yield();
	}
	pthread_join(thread, NULL);
	gns_ring_close(&w);
	gns_ring_detach(&r);
}

/* Steps of varying length, each closed by its STEP record, until killed. */
static void write_steps_for_ever(void)
{
	struct gns_ring w;
	if (gns_ring_claim(name, session, &w) != 0)
		_exit(1);
	for (uint64_t step = 1;; step++) {
		uint32_t n = 2 + (uint32_t)(step % 50);
		if (!gns_ring_reserve(&w, n)) {
			gns_ring_drop(&w, n, 1);
			sched_yield();
			continue;
		}
		for (uint32_t k = 0; k < n; k++) {
			struct gns_record *record = gns_ring_at(&w, k);
			record->kind = k + 1 < n ? GNS_REC_GRAD : GNS_REC_STEP;
			record->u.step.step = step;
			record->u.bytes[64] = (unsigned char)k;
		}
		gns_ring_publish(&w, n);
	}
}

Test(ring, a_writer_killed_at_any_moment_leaves_whole_steps, .timeout = 60)
{
	for (int round = 0; round < 50; round++) {
		pid_t pid = fork();
		if (pid == 0)
			write_steps_for_ever();
		uint32_t slot = 0;
		struct gns_ring r;
		while (gns_ring_attach(name, session, slot, &r) != 0)
			sched_yield();
		uint64_t next = 0, step = 0, stop = 1000 + (uint64_t)round * 7001 % 60000;
		uint32_t at = 0;
		bool killed = false;
		for (;;) {
			if (next >= stop && !killed) {
				kill(pid, SIGKILL);
				waitpid(pid, NULL, 0);
				killed = true;
			}
			int64_t ready = gns_ring_ready(&r, next);
			cr_assert_geq(ready, 0);
			if (ready == 0 && killed)
				break;
			for (int64_t i = 0; i < ready; i++, next++) {
				const struct gns_record *record = gns_ring_read(&r, next);
				if (at == 0) {
					cr_assert_gt(record->u.step.step, step);
					step = record->u.step.step;
				}
				cr_assert_eq(record->u.step.step, step);
				cr_assert_eq(record->u.bytes[64], at);
				at = record->kind == GNS_REC_STEP ? 0 : at + 1;
			}
			gns_ring_release(&r, next);
		}
		cr_assert_eq(at, 0, "the last step is whole");
		gns_ring_detach(&r);
		gns_ring_unlink(name, slot);
		atomic_store(&session->slot[slot].state, GNS_SLOT_FREE);
	}
}

Test(ring, who_is_alive)
{
	struct gns_ring w;
	struct gns_slot *slot = &session->slot[0];
	cr_assert_eq(gns_ring_claim(name, session, &w), 0);
	cr_expect(gns_slot_alive(slot));
	cr_expect_gt(atomic_load(&slot->started), 0);
	atomic_fetch_add(&slot->started, 1);
	cr_expect_not(gns_slot_alive(slot), "the pid is another process's now");
	atomic_store(&slot->started, 0);
	atomic_store(&slot->pid, 1); /* init: not ours to signal, maybe, but alive */
	cr_expect(gns_slot_alive(slot));
	atomic_store(&slot->pid, 0);
	cr_expect_not(gns_slot_alive(slot));
	atomic_store(&slot->pid, UINT32_MAX);
	cr_expect_not(gns_slot_alive(slot));
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	siginfo_t info;
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	atomic_store(&slot->pid, (uint32_t)pid);
	cr_expect_not(gns_slot_alive(slot), "a zombie is dead");
	waitpid(pid, NULL, 0);
	cr_expect_not(gns_slot_alive(slot));
	gns_ring_close(&w);
}

/* A writer that holds the ring of slot 0 until it is killed. */
static pid_t far_writer(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct gns_session *joined;
		struct gns_ring w;
		gns_session_detach(session);
		if (gns_session_join(name, &joined) != 0 || gns_ring_claim(name, joined, &w) != 0)
			_exit(1);
		atomic_store(&joined->slot[0].pid_ns, 1); /* as if its pid were of another namespace */
		atomic_store(&joined->slot[0].pid, (uint32_t)getppid());
		for (;;)
			pause();
	}
	while (atomic_load(&session->slot[0].pid_ns) != 1 || atomic_load(&session->slot[0].pid) != (uint32_t)getpid())
		usleep(1000);
	return pid;
}

Test(ring, a_writer_in_another_pid_namespace_lives_by_its_lock)
{
	pid_t pid = far_writer();
	cr_expect(gns_slot_alive(&session->slot[0]));
	atomic_store(&session->slot[0].pid, INT32_MAX); /* no such process here: says nothing */
	cr_expect(gns_slot_alive(&session->slot[0]));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	atomic_store(&session->slot[0].pid, (uint32_t)getpid()); /* alive, and another's */
	cr_expect_not(gns_slot_alive(&session->slot[0]));
}

Test(ring, a_session_is_held_while_anybody_trains_in_it)
{
	pid_t pid = far_writer();
	struct gns_session *other;
	gns_session_detach(session);
	cr_expect(gns_session_held(name), "its maker is gone, the writer is not");
	int office = gns_session_office(name);
	cr_assert_geq(office, 0);
	cr_expect_not(gns_session_seal(office));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect_not(gns_session_held(name));
	cr_expect(gns_session_seal(office));
	cr_expect_eq(gns_session_join(name, &other), -EAGAIN, "it is about to be removed");
	cr_expect(gns_session_recorded(name));
	cr_expect_eq(gns_session_office(name), -EAGAIN);
	close(office);
	cr_expect_not(gns_session_recorded(name));
	cr_assert_eq(gns_session_join(name, &session), 0);
}
