/* Drains the rings of one session into the store, in transactions: records, how far each ring was read, then the commit, and
 * only then are the rings told that there is room again. A step may begin in one transaction and end in the next: the store
 * knows what it has of a step that is not closed. */
#include "store/recorder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gnscope/store.h"
#include "gnscope/text.h"
#include "profiler/shim/ring/ring.h"
#include "store/mask.h"
#include "store/spool.h"

#define MS 1000000u
#define LOOK_MS 20          /* how often the rings are looked at while they fill quickly */
#define CALM_LOOK_MS 60     /* and otherwise: every look takes a core from a trainer that uses all of them */
#define ROUND_MS 150        /* how often what they hold is stored, when they are not filling up */
#define TRANSACTION_RECORDS 4096 /* of one ring: readers see news sooner, and other rings are not kept waiting */
#define ROUND_TRANSACTIONS 16    /* twice what a ring holds: one that is filled as fast as it is read ends no other's turn */
#define RETRY_MS 1000
#define BUSY_MS 250         /* a store that is locked for longer: into a spool, before the rings are full */
#define FILE_LOOK_MS 1000
#define FINAL_TRIES 3
#define LINGER_MS 2000      /* detached: after the last trainer is gone */
#define FIRST_TRAINER_MS 10000
#define LAST_WORDS_MS 2000   /* for a process that goes on training after the end, and never lets its ring run empty */
#define BAD_RING_MS 5000    /* a ring that cannot be attached for so long never will be */

struct feed { /* one slot of the session */
	struct gns_ring ring;
	int64_t rank_row;
	uint64_t tail;      /* stored with the next commit */
	uint64_t released;  /* told to the ring */
	uint64_t dropped_records, dropped_steps; /* as last stored */
	uint64_t lost_before_records, lost_before_steps; /* by the same process before execve */
	uint64_t seen_ns;   /* when the slot was first found ready */
	uint32_t pid;
	bool attached, begun, over, clean; /* begun: has a row in the store */
};

struct former { /* a process whose ring was drained: it may come again after execve */
	struct gns_slot_owner owner;
	uint64_t dropped_records, dropped_steps;
	int64_t rank_row;
};

struct recorder {
	const struct gns_recorder_options *options;
	struct gns_session *session;
	struct gns_store *store;
	char path[PATH_MAX];
	struct gns_spool spool;
	uint64_t look_ns;      /* when the store's file is to be looked at again */
	int office;            /* the lock on the session, negative none */
	int64_t run_id;
	bool killed_one;       /* a trainer ended without closing its ring */
	unsigned trainers;     /* seen */
	int failure;           /* negative errno of the last round, 0 fine */
	unsigned final_tries;
	bool more;             /* a ring held more than one transaction takes */
	bool told, spool_full;
	char why[512];
	struct gns_error text;
	uint64_t round_ns, retry_ns, gone_ns, end_ns;
	uint64_t real_offset_ns; /* 0 not taken yet; from the monotonic clock to the time of day as it was when this recorder began */
	uint64_t last_beat_ns; /* of the recorder before this one */
	struct feed feed[GNS_SLOTS];
	struct former former[GNS_SLOTS]; /* the last ones, round and round */
	unsigned n_former;
};

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signo)
{
	stop_asked = 1;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void say(struct recorder *r, const char *text)
{
	if (r->options->echo)
		fprintf(stderr, "gnscope: %s\n", text);
}

/* ---- trouble with the store ---- */

static uint64_t waiting_records(const struct recorder *r)
{
	uint64_t n = 0;
	for (int i = 0; i < GNS_SLOTS; i++) {
		int64_t ready = r->feed[i].attached ? gns_ring_ready(&r->feed[i].ring, r->feed[i].released) : 0;
		n += ready > 0 ? (uint64_t)ready : 0;
	}
	return n;
}

static uint64_t lost_steps(const struct recorder *r)
{
	uint64_t n = 0;
	for (int i = 0; i < GNS_SLOTS; i++)
		n += atomic_load(&r->session->slot[i].dropped_steps);
	return n;
}

/* A reader looks at recorder_error first and last: 0 while the text is being changed. */
static void tell(struct recorder *r, int code, const char *text)
{
	atomic_store(&r->session->recorder_error, 0);
	snprintf(r->session->recorder_text, sizeof r->session->recorder_text, "%s", text);
	atomic_store(&r->session->recorder_error, (uint32_t)-code);
}

static void failed(struct recorder *r, int code, const char *why)
{
	r->retry_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)RETRY_MS * MS;
	if (r->failure == 0)
		r->told = false;
	r->failure = code;
	snprintf(r->why, sizeof r->why, "%s", why);
}

/* Once it is known whether a spool takes what the store does not. */
static void tell_failure(struct recorder *r)
{
	if (r->spool.fd >= 0 && !r->spool_full)
		gns_fail(&r->text, 0, "%.300s. Until then the measurements are kept in %.180s", r->why, r->spool.path);
	else
		gns_fail(&r->text, 0, "%.330s. Training continues; %" PRIu64 " records wait in memory and %" PRIu64 " steps are lost so far",
			 r->why, waiting_records(r), lost_steps(r));
	tell(r, r->failure, r->text.text);
	if (!r->told)
		say(r, r->text.text);
	r->told = true;
}

static void recovered(struct recorder *r)
{
	if (r->failure == 0)
		return;
	r->failure = 0;
	r->final_tries = 0;
	r->text.text[0] = 0;
	atomic_store(&r->session->recorder_error, 0);
	say(r, "the store can be written again");
}

/* Trouble that may pass without a change of what we were told to write to. */
static bool may_pass(int code)
{
	return code == -ENOSPC || code == -EIO || code == -EAGAIN || code == -EBUSY || code == -ENOMEM || code == -EDQUOT ||
	       code == -ENOLCK;
}

/* ---- the run ---- */

/* The arguments of a process, joined. */
static void read_command(uint32_t pid, char *out, size_t size)
{
	char path[64], text[8192], word[2048];
	bool next = false;
	size_t n = 0;
	out[0] = 0;
	snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = 0;
	for (ssize_t at = 0; at < got && n + 1 < size; at += (ssize_t)strlen(text + at) + 1) {
		gns_mask_argument(word, sizeof word, text + at, &next);
		n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", word);
	}
}

struct about { /* a run */
	char command[512], cwd[PATH_MAX], host[64];
	struct gns_run_start start;
};

/* The time of day by a clock that nobody sets: what has begun and ended under one recorder took as long as that says. */
static uint64_t real_ns(struct recorder *r)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	if (!r->real_offset_ns)
		r->real_offset_ns = clock_ns(CLOCK_REALTIME) - now;
	return now + r->real_offset_ns;
}

static void find_out(struct recorder *r, uint32_t pid, struct about *a)
{
	char link[64];
	memset(a, 0, sizeof *a);
	gethostname(a->host, sizeof a->host - 1);
	read_command(pid, a->command, sizeof a->command);
	snprintf(link, sizeof link, "/proc/%u/cwd", pid);
	ssize_t n = readlink(link, a->cwd, sizeof a->cwd - 1);
	a->cwd[n > 0 ? n : 0] = 0;
	a->start = (struct gns_run_start){ .key = r->session->key, .name = r->options->name, .host = a->host, .version = GNS_VERSION,
		.command = r->options->command ? r->options->command : a->command[0] ? a->command : NULL,
		.cwd = r->options->cwd ? r->options->cwd : a->cwd[0] ? a->cwd : NULL,
		.start_ns = real_ns(r) };
}

static int begin_run(struct recorder *r, uint32_t pid, struct gns_error *err)
{
	struct about about;
	find_out(r, pid, &about);
	return gns_store_run_begin(r->store, &about.start, &r->run_id, err);
}

static int open_store(struct recorder *r, struct gns_error *err)
{
	if (r->store)
		return 0;
	return gns_store_open_write_within(r->path, BUSY_MS, &r->store, err);
}

/* What the spool holds is older than what the rings hold. */
static int empty_spool(struct recorder *r, struct gns_error *err)
{
	struct gns_spool_result result;
	if (r->spool.fd < 0)
		return 0;
	int rc = gns_spool_replay(&r->spool, r->store, &result, err);
	if (rc < 0)
		return rc;
	if (result.run_id > 0)
		r->run_id = result.run_id;
	gns_spool_remove(&r->spool);
	r->spool_full = false;
	memset(r->session->spool, 0, sizeof r->session->spool);
	return 0;
}

static void open_spool(struct recorder *r, uint32_t pid, enum gns_spool_make make)
{
	struct about about;
	find_out(r, pid, &about);
	if (r->spool.fd < 0 && gns_spool_open(&r->spool, r->path, &about.start, make, NULL) == 0)
		snprintf(r->session->spool, sizeof r->session->spool, "%s", r->spool.path);
}

/* For whoever takes over. */
static void leave_word(struct recorder *r)
{
	const char *name = r->options->name;
	memset(r->session->store, 0, sizeof r->session->store);
	snprintf(r->session->store, sizeof r->session->store, "%s", r->path[0] == '/' ? r->path : "");
	snprintf(r->session->run_name, sizeof r->session->run_name, "%s", name ? name : "");
}

/* The store's file was removed or replaced: the run goes on where it was, with all that was stored of it. */
static void look_at_file(struct recorder *r, uint64_t now)
{
	struct gns_error err = { "" };
	char kept[PATH_MAX + 32], text[2 * PATH_MAX + 200];
	if (!r->store || r->failure != 0 || now < r->look_ns)
		return;
	r->look_ns = now + (uint64_t)FILE_LOOK_MS * MS;
	if (gns_store_is_at(r->store, r->path))
		return;
	int rc = gns_store_rescue(r->store, r->session->key, kept, sizeof kept, &err);
	r->store = NULL;
	r->run_id = 0;
	for (int i = 0; i < GNS_SLOTS; i++)
		r->feed[i].begun = false;
	if (rc < 0)
		snprintf(text, sizeof text, "the store %s was removed while it was written, and what was stored of this run is lost: %s", r->path,
			 err.text);
	else if (kept[0])
		snprintf(text, sizeof text, "the store %s was replaced while it was written; this run is in %.2000s", r->path, kept);
	else
		snprintf(text, sizeof text, "the store %s was removed while it was written; this run was put there again", r->path);
	say(r, text);
	if (rc == 0 && kept[0]) {
		snprintf(r->path, sizeof r->path, "%.*s", (int)sizeof r->path - 1, kept);
		leave_word(r);
	}
	if (open_store(r, &err) == 0 && begin_run(r, 0, &err) == 0)
		gns_store_event(r->store, r->run_id, -1, real_ns(r), "store_removed", text, NULL);
}

/* ---- slots ---- */

static void bad_ring(struct recorder *r, int i, struct feed *feed, const char *why)
{
	char text[160];
	snprintf(text, sizeof text, "the shared memory of process %u cannot be read (%s); what it measured from here on is lost",
		 feed->pid, why);
	if (r->store && r->run_id > 0)
		gns_store_event(r->store, r->run_id, -1, real_ns(r), "ring_damaged", text, NULL);
	say(r, text);
	feed->over = true;
	r->killed_one = true;
}

static void attach(struct recorder *r, int i)
{
	struct feed *feed = &r->feed[i];
	struct gns_slot *slot = &r->session->slot[i];
	uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
	if (feed->attached || (state != GNS_SLOT_READY && state != GNS_SLOT_CLOSED))
		return;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	if (feed->seen_ns == 0)
		*feed = (struct feed){ .seen_ns = now, .pid = atomic_load(&slot->pid) };
	int rc = feed->over ? -EPROTO : gns_ring_attach(r->options->session, r->session, (uint32_t)i, &feed->ring);
	if (rc == 0) {
		feed->attached = true;
		feed->released = atomic_load(&feed->ring.shared->tail);
		r->trainers++;
	} else if (!feed->over && (rc == -EPROTO || now - feed->seen_ns > (uint64_t)BAD_RING_MS * MS)) {
		bad_ring(r, i, feed, strerror(-rc));
	}
}

/* A process that died between taking a slot and making its ring leaves it claimed. */
static void free_abandoned(struct recorder *r, int i)
{
	struct gns_slot *slot = &r->session->slot[i];
	uint32_t claimed = GNS_SLOT_CLAIMED;
	if (atomic_load(&slot->state) == GNS_SLOT_CLAIMED && atomic_load(&slot->pid) != 0 && !gns_slot_alive(slot)) {
		atomic_store(&slot->pid, 0);
		atomic_compare_exchange_strong(&slot->state, &claimed, GNS_SLOT_FREE);
	}
}

static bool slot_ended(const struct recorder *r, int i, bool *clean)
{
	const struct gns_slot *slot = &r->session->slot[i];
	*clean = atomic_load_explicit(&slot->state, memory_order_acquire) == GNS_SLOT_CLOSED;
	return *clean || r->options->adopt || !gns_slot_alive(slot);
}

/* An image that execve has replaced closed nothing, and what it published is complete. */
static void close_replaced(struct recorder *r)
{
	for (int i = 0; i < GNS_SLOTS; i++) {
		struct gns_slot *slot = &r->session->slot[i];
		uint32_t ready = GNS_SLOT_READY;
		if (r->feed[i].attached && gns_slot_alive(slot) && gns_slot_replaced(slot))
			atomic_compare_exchange_strong(&slot->state, &ready, GNS_SLOT_CLOSED);
	}
}

static bool anyone_alive(const struct recorder *r)
{
	if (r->options->adopt)
		return false;
	for (int i = 0; i < GNS_SLOTS; i++) {
		uint32_t state = atomic_load(&r->session->slot[i].state);
		if ((state == GNS_SLOT_CLAIMED || state == GNS_SLOT_READY) && gns_slot_alive(&r->session->slot[i]))
			return true;
	}
	return false;
}

/* ---- a round ---- */

static const struct former *former_of(const struct recorder *r, const struct gns_slot *slot)
{
	struct gns_slot_owner owner = gns_slot_owner(slot);
	for (unsigned back = 1; back <= r->n_former && back <= GNS_SLOTS; back++) {
		const struct former *f = &r->former[(r->n_former - back) % GNS_SLOTS];
		if (gns_slot_owner_same(&f->owner, &owner))
			return f;
	}
	return NULL;
}

static void remember(struct recorder *r, int i)
{
	const struct gns_slot *slot = &r->session->slot[i];
	const struct feed *feed = &r->feed[i];
	if (feed->begun)
		r->former[r->n_former++ % GNS_SLOTS] = (struct former){
			.owner = gns_slot_owner(slot), .rank_row = feed->rank_row, .dropped_records = feed->lost_before_records + feed->dropped_records,
			.dropped_steps = feed->lost_before_steps + feed->dropped_steps };
}

/* What it published before execve comes first. */
static bool waits_for_former(const struct recorder *r, int i)
{
	struct gns_slot_owner mine = gns_slot_owner(&r->session->slot[i]);
	for (int j = 0; j < GNS_SLOTS; j++) {
		struct gns_slot_owner other = gns_slot_owner(&r->session->slot[j]);
		bool older = r->feed[j].seen_ns < r->feed[i].seen_ns || (r->feed[j].seen_ns == r->feed[i].seen_ns && j < i);
		if (j != i && older && r->feed[j].attached && gns_slot_owner_same(&other, &mine))
			return true;
	}
	return false;
}

/* The rank that the process had before execve goes on, in another ring. */
static int follow(struct recorder *r, int i, struct feed *feed, const struct former *former, struct gns_error *err)
{
	feed->rank_row = former->rank_row;
	feed->lost_before_records = former->dropped_records;
	feed->lost_before_steps = former->dropped_steps;
	return gns_store_rank_follow(r->store, feed->rank_row, (uint32_t)i, err);
}

static int begin_feed(struct recorder *r, int i, struct feed *feed, struct gns_error *err)
{
	uint64_t stored = 0;
	int rc = r->run_id > 0 ? 0 : begin_run(r, feed->pid, err);
	const struct former *former = former_of(r, &r->session->slot[i]);
	if (rc == 0 && former)
		rc = follow(r, i, feed, former, err);
	else if (rc == 0)
		rc = gns_store_rank_begin(r->store, r->run_id, (uint32_t)i, feed->pid, &feed->rank_row, &stored, err);
	if (rc < 0)
		return rc;
	feed->begun = true;
	uint64_t told = feed->released;
	feed->tail = feed->released = stored;
	if (stored < told && gns_ring_ready(&feed->ring, told) >= 0) {
		char text[120];
		snprintf(text, sizeof text, "%" PRIu64 " records of process %u were in a file that is gone", told - stored, feed->pid);
		feed->tail = feed->released = told;
		return gns_store_event(r->store, r->run_id, -1, real_ns(r), "store_removed", text, err);
	}
	if (gns_ring_ready(&feed->ring, stored) < 0) {
		bad_ring(r, i, feed, "its counts contradict the store's");
		return 0;
	}
	gns_ring_release(&feed->ring, stored); /* a recorder killed after its commit had not told the ring */
	return 0;
}

static int drain_feed(struct recorder *r, int i, struct feed *feed, struct gns_error *err)
{
	const struct gns_slot *slot = &r->session->slot[i];
	int64_t ready = gns_ring_ready(&feed->ring, feed->released);
	if (ready < 0) {
		bad_ring(r, i, feed, "its counts are damaged");
		ready = 0;
	}
	if (ready > TRANSACTION_RECORDS) {
		ready = TRANSACTION_RECORDS;
		feed->over = false; /* not before the rest is read */
		r->more = true;
	}
	int rc = 0;
	for (int64_t n = 0; rc == 0 && n < ready; n++) {
		struct gns_record record = *gns_ring_read(&feed->ring, feed->released + (uint64_t)n);
		rc = gns_store_record(r->store, feed->rank_row, &record, err);
	}
	uint64_t records = atomic_load(&slot->dropped_records), steps = atomic_load(&slot->dropped_steps);
	feed->tail = feed->released + (uint64_t)ready;
	if (rc == 0)
		rc = gns_store_set_tail(r->store, feed->rank_row, feed->tail, feed->lost_before_records + records,
					feed->lost_before_steps + steps, err);
	feed->dropped_records = records;
	feed->dropped_steps = steps;
	if (rc == 0 && feed->over)
		rc = gns_store_rank_end(r->store, feed->rank_row, err);
	return rc;
}

static bool has_news(const struct recorder *r, int i)
{
	const struct feed *feed = &r->feed[i];
	const struct gns_slot *slot = &r->session->slot[i];
	bool clean;
	return feed->attached && !waits_for_former(r, i) && (!feed->begun || gns_ring_ready(&feed->ring, feed->released) != 0 || slot_ended(r, i, &clean) ||
				  atomic_load(&slot->dropped_steps) != feed->dropped_steps);
}

static void finish_feed(struct recorder *r, int i)
{
	struct feed *feed = &r->feed[i];
	struct gns_slot *slot = &r->session->slot[i];
	remember(r, i);
	gns_ring_detach(&feed->ring);
	gns_ring_unlink(r->options->session, (uint32_t)i);
	r->killed_one = r->killed_one || !feed->clean;
	*feed = (struct feed){ .attached = false };
	atomic_store(&slot->pid, 0);
	atomic_store_explicit(&slot->state, GNS_SLOT_DRAINED, memory_order_release);
}

static int store_news(struct recorder *r, const bool *news, bool *fresh, struct gns_error *err)
{
	int rc = gns_store_begin(r->store, err);
	for (int i = 0; rc == 0 && i < GNS_SLOTS; i++)
		if (news[i] && !r->feed[i].begun) {
			fresh[i] = true;
			rc = begin_feed(r, i, &r->feed[i], err);
		}
	for (int i = 0; rc == 0 && i < GNS_SLOTS; i++)
		if (news[i]) {
			/* Asked before the ring is read: what an ended process wrote is all there. */
			r->feed[i].over = slot_ended(r, i, &r->feed[i].clean) || r->feed[i].over;
			rc = drain_feed(r, i, &r->feed[i], err);
		}
	return rc == 0 ? gns_store_commit(r->store, err) : rc;
}

static int store_round(struct recorder *r, const bool *news, struct gns_error *err)
{
	bool fresh[GNS_SLOTS] = { false };
	int rc = open_store(r, err);
	if (rc == 0)
		rc = empty_spool(r, err);
	if (rc < 0)
		return rc;
	int64_t run_id = r->run_id;
	rc = store_news(r, news, fresh, err);
	if (rc < 0) { /* what was begun in this transaction is not there */
		gns_store_rollback(r->store);
		r->run_id = run_id;
		for (int i = 0; i < GNS_SLOTS; i++)
			r->feed[i].begun = r->feed[i].begun && !fresh[i];
	}
	return rc;
}

/* True when there is more to store at once. */
static bool one_transaction(struct recorder *r)
{
	bool news[GNS_SLOTS], any = r->spool.fd >= 0;
	for (int i = 0; i < GNS_SLOTS; i++)
		any = (news[i] = has_news(r, i)) || any;
	r->round_ns = clock_ns(CLOCK_MONOTONIC);
	r->more = false;
	if (!any)
		return false;
	struct gns_error err = { "" };
	int rc = store_round(r, news, &err);
	if (rc < 0) {
		failed(r, rc, err.text);
		return false;
	}
	recovered(r);
	if (r->run_id > 0)
		atomic_store(&r->session->run_id, (uint64_t)r->run_id);
	for (int i = 0; i < GNS_SLOTS; i++)
		if (news[i]) {
			r->feed[i].released = r->feed[i].tail;
			gns_ring_release(&r->feed[i].ring, r->feed[i].tail);
			if (r->feed[i].over)
				finish_feed(r, i);
		}
	return r->more;
}

/* Into the spool what one ring holds. False when it takes no more. */
static bool spool_feed(struct recorder *r, int i)
{
	static struct gns_record records[TRANSACTION_RECORDS];
	struct feed *feed = &r->feed[i];
	const struct gns_slot *slot = &r->session->slot[i];
	bool over = slot_ended(r, i, &feed->clean), ok = true;
	int64_t ready;
	while (ok && (ready = gns_ring_ready(&feed->ring, feed->released)) > 0) {
		uint32_t n = ready < TRANSACTION_RECORDS ? (uint32_t)ready : TRANSACTION_RECORDS;
		for (uint32_t k = 0; k < n; k++)
			records[k] = *gns_ring_read(&feed->ring, feed->released + k);
		struct gns_spool_part part = { .slot = (uint32_t)i, .pid = feed->pid, .first = feed->released,
					       .dropped_records = atomic_load(&slot->dropped_records),
					       .dropped_steps = atomic_load(&slot->dropped_steps) };
		ok = gns_spool_records(&r->spool, &part, records, n) == 0;
		feed->released += ok ? n : 0;
		gns_ring_release(&feed->ring, feed->released);
		if (n < TRANSACTION_RECORDS)
			break;
	}
	if (ok && over && gns_spool_rank_end(&r->spool, (uint32_t)i, feed->pid) == 0)
		finish_feed(r, i);
	return ok;
}

/* The store cannot be written: nothing is lost as long as a file can be. */
static void spool_round(struct recorder *r)
{
	bool ok = true, full = r->failure == -ENOSPC || r->failure == -EDQUOT;
	for (int i = 0; ok && i < GNS_SLOTS; i++) {
		if (!r->feed[i].attached || r->feed[i].over)
			continue;
		open_spool(r, r->feed[i].pid, full ? GNS_SPOOL_ELSEWHERE : GNS_SPOOL_ANYWHERE);
		ok = r->spool.fd >= 0 && spool_feed(r, i);
	}
	r->spool_full = !ok;
	tell_failure(r);
}

static void round_of(struct recorder *r, bool end)
{
	r->round_ns = clock_ns(CLOCK_MONOTONIC);
	close_replaced(r);
	if (r->failure == 0 || r->round_ns >= r->retry_ns) {
		r->final_tries += end && r->failure != 0;
		for (int i = 0; i < ROUND_TRANSACTIONS && one_transaction(r); i++)
			atomic_store(&r->session->heartbeat_ns, clock_ns(CLOCK_MONOTONIC));
	}
	if (r->failure != 0)
		spool_round(r);
}

/* ---- the loop ---- */

static bool is_due(const struct recorder *r, uint64_t now)
{
	if (now - r->round_ns >= (uint64_t)ROUND_MS * MS)
		return true;
	for (int i = 0; i < GNS_SLOTS; i++)
		if (r->feed[i].attached && gns_ring_ready(&r->feed[i].ring, r->feed[i].released) > GNS_RING_RECORDS / 4)
			return true;
	return false;
}

/* `ended`: of processes that are not there any more. */
static bool all_drained(const struct recorder *r, bool ended)
{
	for (int i = 0; i < GNS_SLOTS; i++) {
		uint32_t state = atomic_load(&r->session->slot[i].state);
		const struct feed *feed = &r->feed[i];
		bool clean, waits = feed->attached && (!feed->begun || gns_ring_ready(&feed->ring, feed->released) > 0);
		waits |= (state == GNS_SLOT_READY || state == GNS_SLOT_CLOSED) && !feed->attached && !feed->over;
		if (waits && (!ended || slot_ended(r, i, &clean)))
			return false;
	}
	return true;
}

/* Whether nothing more is to be expected. */
static bool is_end(struct recorder *r, uint64_t now)
{
	if (stop_asked || r->options->adopt || atomic_load(&r->session->closing))
		return true;
	if (!r->options->detached)
		return false;
	if (anyone_alive(r)) {
		r->gone_ns = 0;
		return false;
	}
	if (r->gone_ns == 0)
		r->gone_ns = now;
	uint64_t patience = r->trainers > 0 ? LINGER_MS : FIRST_TRAINER_MS;
	return now - r->gone_ns >= patience * MS;
}

static void loop(struct recorder *r)
{
	for (;;) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		atomic_store(&r->session->heartbeat_ns, now);
		bool end = is_end(r, now);
		for (int i = 0; i < GNS_SLOTS; i++) {
			free_abandoned(r, i);
			attach(r, i);
		}
		look_at_file(r, now);
		if (is_due(r, now) || (end && r->failure == 0))
			round_of(r, end);
		if (end && r->end_ns == 0)
			r->end_ns = now;
		bool patient = now - r->end_ns <= (uint64_t)LAST_WORDS_MS * MS;
		if (end && r->failure == 0 && all_drained(r, !patient))
			return;
		if (end && r->final_tries >= FINAL_TRIES)
			return;
		bool calm = waiting_records(r) < GNS_RING_RECORDS / 16;
		struct timespec pause = { .tv_nsec = (calm ? CALM_LOOK_MS : LOOK_MS) * (long)MS };
		if (!(end && r->failure == 0))
			nanosleep(&pause, NULL);
	}
}

static const char *end_status(const struct recorder *r)
{
	return r->options->adopt || anyone_alive(r) ? "lost" : r->killed_one ? "killed" : "finished";
}

static int give_up(struct recorder *r, struct gns_error *err)
{
	uint64_t waiting = waiting_records(r);
	char lost[96] = "";
	if (waiting || lost_steps(r))
		snprintf(lost, sizeof lost, ". %" PRIu64 " records were given up and %" PRIu64 " steps are lost", waiting, lost_steps(r));
	if (r->spool.fd < 0)
		return gns_fail(err, r->failure, "%.380s%s", r->text.text, lost);
	if (r->options->detached || r->options->adopt)
		gns_spool_run_end(&r->spool, end_status(r), 0, real_ns(r));
	gns_fail(&r->text, 0, "%.200s. The run is kept%.90s; later: gnscope import %.160s", r->why, lost, r->spool.path);
	tell(r, r->failure, r->text.text);
	return gns_fail(err, r->failure, "%s", r->text.text);
}

bool gns_session_join_trouble(const struct gns_session *session, char *text, size_t size)
{
	int code = (int)atomic_load(&session->join_error);
	unsigned n = atomic_load(&session->join_failed);
	char why[128];
	if (!code)
		return false;
	if (atomic_load(&session->join_limited))
		snprintf(why, sizeof why, "the limit on the size of files (ulimit -f) is below 5 MiB");
	else if (code == EUSERS)
		snprintf(why, sizeof why, "%u processes of one run were measured already, and more cannot be at a time", GNS_SLOTS);
	else
		snprintf(why, sizeof why, "4 MiB of shared memory in /dev/shm cannot be had: %s", strerror(code));
	snprintf(text, size, "%u process%s could not hand over measurements: %s", n, n == 1 ? "" : "es", why);
	return true;
}

static int end_run(struct recorder *r, struct gns_error *err)
{
	char trouble[256];
	if (r->failure != 0)
		return give_up(r, err);
	if (!(r->options->detached || r->options->adopt) || r->run_id <= 0)
		return 0;
	if (gns_session_join_trouble(r->session, trouble, sizeof trouble))
		gns_store_event(r->store, r->run_id, -1, real_ns(r), "not_joined", trouble, NULL);
	uint64_t since = r->options->adopt && r->last_beat_ns ? clock_ns(CLOCK_MONOTONIC) - r->last_beat_ns : 0;
	return gns_store_run_end(r->store, r->run_id, end_status(r), 0, real_ns(r) - since, err);
}

static int take_office(struct recorder *r, struct gns_error *err)
{
	uint32_t before = atomic_load(&r->session->recorder_pid), self = (uint32_t)getpid();
	r->office = gns_session_office(r->options->session);
	bool no_locks = r->office < 0 && r->office != -EAGAIN;
	if (r->office >= 0 || (no_locks && (before == 0 || before == self || kill((pid_t)before, 0) < 0))) {
		atomic_store(&r->session->recorder_pid, self);
		return 0;
	}
	return gns_fail(err, -EBUSY, "the session %s already has a recorder, process %u; nothing is to be done", r->options->session,
			before);
}

/* Its last recorder may have stored all there was, but for the end. */
static int continue_run(struct recorder *r, struct gns_error *err)
{
	if (!r->options->adopt || atomic_load(&r->session->run_id) == 0)
		return 0;
	return begin_run(r, 0, err);
}

static int prepare(struct recorder *r, struct gns_error *err)
{
	const char *store = r->options->store;
	int rc = store ? 0 : gns_store_default_path(r->path, sizeof r->path);
	if (rc < 0)
		return gns_fail(err, rc, "there is no place for the store: neither XDG_STATE_HOME nor HOME is set; name one with --store");
	if (store && (size_t)snprintf(r->path, sizeof r->path, "%s", store) >= sizeof r->path)
		return gns_fail(err, -ENAMETOOLONG, "the store's path is longer than the system allows; name another with --store");
	struct gns_error why = { "" };
	leave_word(r);
	rc = open_store(r, &why);
	if (rc == 0)
		rc = continue_run(r, &why);
	open_spool(r, 0, GNS_SPOOL_NONE);
	if (rc < 0 && may_pass(rc)) {
		failed(r, rc, why.text);
		return 0;
	}
	if (rc < 0) {
		tell(r, rc, why.text);
		if (err)
			*err = why;
	}
	return rc;
}

int gns_recorder_run(const struct gns_recorder_options *options, struct gns_error *err)
{
	struct recorder *r = calloc(1, sizeof *r);
	if (!r)
		return gns_fail(err, -ENOMEM, "cannot record: no memory left");
	r->options = options;
	r->office = r->spool.fd = -1;
	struct sigaction action = { .sa_handler = ask_stop }, old_term, old_int;
	stop_asked = 0;
	sigaction(SIGTERM, &action, &old_term);
	sigaction(SIGINT, &action, &old_int);
	int rc = gns_session_attach(options->session, &r->session);
	if (rc < 0)
		rc = gns_fail(err, rc, "cannot record: there is no session %s that can be read (%s)", options->session, strerror(-rc));
	bool ours = rc == 0 && (rc = take_office(r, err)) == 0;
	if (ours && options->adopt && !gns_session_seal(r->office))
		rc = gns_fail(err, -EBUSY, "the session %s is in use; nothing is to be done", options->session);
	if (rc == 0)
		r->last_beat_ns = atomic_load(&r->session->heartbeat_ns);
	if (rc == 0 && (rc = prepare(r, err)) == 0) {
		loop(r);
		rc = end_run(r, err);
	}
	if (ours && (options->detached || (options->adopt && rc == 0)))
		gns_session_unlink(options->session);
	if (ours)
		atomic_store(&r->session->recorder_pid, 0);
	if (r->office >= 0)
		close(r->office);
	for (int i = 0; i < GNS_SLOTS; i++)
		if (r->feed[i].attached)
			gns_ring_detach(&r->feed[i].ring);
	gns_spool_close(&r->spool);
	gns_store_close(r->store);
	gns_session_detach(r->session);
	free(r);
	sigaction(SIGTERM, &old_term, NULL);
	sigaction(SIGINT, &old_int, NULL);
	return rc;
}
