/* Reductions over ranks: their sequence. */
#include "reduction_sequence.h"

#include <math.h>
#include <string.h>

#define NO_PLACES 96 /* reductions of which no buffer was used again */
#define MISSED_MAX 3 /* incomplete steps in a row after which the sequence is learned anew */

const char *gns_reduction_why_name(enum gns_reduction_why why)
{
	static const char *const names[GNS_REDUCE_WHYS] = {
		"", "few_elements", "element_type", "operation", "factor_unknown", "one_rank", "chained", "learning", "sequence_changed",
		"in_forward", "unsure", "several_communicators", "too_many", "not_on_device", "captured", "nonblocking", "failed",
		"device_busy", "every_micro_step", "incomplete", "more_than_parameters", "batch_unknown",
	};
	return names[why];
}

static bool is_chained(const struct gns_reduction_sequence *r, const struct gns_reduction *n)
{
	for (uint32_t i = 0; n->kind == GNS_REDUCE_ALL && i < r->n_scattered; i++)
		if (r->scattered[i].at == n->send && r->scattered[i].count == n->count)
			return true;
	return false;
}

enum gns_reduction_why gns_reduction_refuse(struct gns_reduction_sequence *r, const struct gns_reduction *n)
{
	if (n->world < 2)
		return GNS_REDUCE_ONE_RANK;
	if (!n->dtype)
		return GNS_REDUCE_TYPE;
	if (n->count < GNS_REDUCE_SMALL)
		return GNS_REDUCE_FEW;
	if (n->factor == 0)
		return GNS_REDUCE_OPERATION;
	if (!isfinite(n->factor))
		return GNS_REDUCE_FACTOR;
	if (is_chained(r, n))
		return GNS_REDUCE_CHAINED;
	if (n->kind == GNS_REDUCE_SCATTER && r->n_scattered < sizeof r->scattered / sizeof *r->scattered) {
		r->scattered[r->n_scattered].at = n->received;
		r->scattered[r->n_scattered++].count = n->count / n->world;
	}
	return GNS_REDUCE_IS;
}

static struct gns_reduction_track *find(struct gns_reduction_sequence *r, const void *comm)
{
	for (uint32_t i = 0; i < r->n_tracks; i++)
		if (r->track[i].comm == comm)
			return &r->track[i];
	return NULL;
}

static struct gns_reduction_track *track_of(struct gns_reduction_sequence *r, const void *comm, uint32_t world,
					    uint32_t rank)
{
	struct gns_reduction_track *t = find(r, comm);
	if (!t)
		t = find(r, NULL); /* a track whose communicator was destroyed */
	if (!t && r->n_tracks < GNS_REDUCE_TRACKS)
		t = &r->track[r->n_tracks++];
	if (t && t->comm != comm) {
		memset(t, 0, sizeof *t);
		t->comm = comm;
		t->world = world;
		t->rank = rank;
	}
	return t;
}

struct gns_reduction_track *gns_reduction_track(struct gns_reduction_sequence *r, const struct gns_reduction *n)
{
	struct gns_reduction_track *t = track_of(r, n->comm, n->world, n->rank);
	if (t)
		t->device = n->device;
	return t;
}

void gns_reduction_broadcast(struct gns_reduction_sequence *r, const void *comm, uint32_t world, uint32_t rank,
			     uint64_t count)
{
	struct gns_reduction_track *t = track_of(r, comm, world, rank);
	if (t && !t->calls)
		t->broadcast += count;
}

void gns_reduction_forget(struct gns_reduction_sequence *r, const void *comm)
{
	struct gns_reduction_track *t = find(r, comm);
	if (t && comm)
		memset(t, 0, sizeof *t);
}

/* Learning. */

static bool same(const struct gns_reduction_call *a, const struct gns_reduction_call *b)
{
	return a->kind == b->kind && a->dtype == b->dtype && a->count == b->count && a->factor == b->factor;
}

static bool repeats(const struct gns_reduction_track *t, uint32_t period, bool places)
{
	for (uint32_t i = period; i < t->n; i++)
		if (!same(&t->call[i], &t->call[i - period]) || (places && t->call[i].at != t->call[i - period].at))
			return false;
	return true;
}

/* The length of the sequence while inferring; 0 not known. If buffers are used again, their addresses distinguish
 * reductions of one size: two repetitions are enough (three for a single reduction, which could be the first of
 * several from one buffer). If buffers change every time, only the order of sizes can be compared. */
static uint32_t period_of(const struct gns_reduction_track *t)
{
	if (t->n == 3 && repeats(t, 1, true))
		return 1;
	if (t->n % 2 == 0 && t->n > 2 && repeats(t, t->n / 2, true))
		return t->n / 2;
	for (uint32_t period = 1; t->n >= NO_PLACES && period <= t->n / 3; period++)
		if (t->n % period == 0 && repeats(t, period, false))
			return period;
	return 0;
}

/* True if another communicator of the same device already has this bucket: two sequences of one device never share
 * buckets. */
static bool taken(const struct gns_reduction_sequence *r, const struct gns_reduction_track *t, uint32_t first)
{
	for (uint32_t i = 0; i < r->n_tracks; i++) {
		const struct gns_reduction_track *other = &r->track[i];
		if (other != t && other->learned && other->bucket[0] == first && other->device == t->device)
			return true;
	}
	return false;
}

static bool is_sequence(const struct gns_reduction_sequence *r, const struct gns_reduction_track *t, uint32_t first)
{
	const struct gns_reduction_bucket *b = &r->bucket[first];
	bool is = b->length == t->n_last && b->world == t->world;
	for (uint32_t i = 0; i < t->n_last && is; i++)
		is = same(&b[i].call, &t->last[i]);
	return is && !taken(r, t, first);
}

static bool find_buckets(struct gns_reduction_sequence *r, struct gns_reduction_track *t)
{
	uint32_t first = 0;
	while (first < r->n_buckets && !is_sequence(r, t, first))
		first += r->bucket[first].length;
	if (first + t->n_last > GNS_REDUCE_BUCKETS)
		return false;
	for (uint32_t i = 0; i < t->n_last; i++) {
		if (first + i >= r->n_buckets)
			r->bucket[first + i] = (struct gns_reduction_bucket){ .call = t->last[i], .world = t->world,
									      .length = i ? 0 : t->n_last };
		t->bucket[i] = (uint16_t)(first + i);
	}
	if (first == r->n_buckets)
		r->n_buckets += t->n_last;
	return true;
}

static void count_tracks(struct gns_reduction_sequence *r)
{
	for (uint32_t i = 0; i < r->n_buckets; i++)
		r->bucket[i].tracks = 0;
	for (uint32_t i = 0; i < r->n_tracks; i++)
		for (uint32_t k = 0; r->track[i].learned && k < r->track[i].n_last; k++)
			r->bucket[r->track[i].bucket[k]].tracks++;
}

/* Learns the sequence that is in last[]. */
static void learn(struct gns_reduction_sequence *r, struct gns_reduction_track *t)
{
	t->learned = t->n_last > 0 && find_buckets(r, t);
	t->total = t->missed = 0;
	for (uint32_t i = 0; i < t->n_last; i++)
		t->total += t->last[i].count;
	memset(t->filled, 0, sizeof t->filled);
	t->n = t->n_filled = 0;
	count_tracks(r);
}

static void unlearn(struct gns_reduction_sequence *r, struct gns_reduction_track *t)
{
	t->learned = false;
	t->n = t->n_last = t->n_filled = 0;
	t->broken = !r->inferring;
	count_tracks(r);
}

static void remember(struct gns_reduction_sequence *r, struct gns_reduction_track *t,
		     const struct gns_reduction_call *call)
{
	uint32_t room = r->inferring ? 3 * GNS_REDUCE_CALLS : GNS_REDUCE_CALLS;
	if (t->n == room) {
		t->n = 0;
		t->broken = true;
	}
	t->call[t->n++] = *call;
	uint32_t period = r->inferring ? period_of(t) : 0;
	if (!period || period > GNS_REDUCE_CALLS)
		return;
	t->steps += t->n / period;
	t->n_last = period;
	memcpy(t->last, t->call, period * sizeof *t->last);
	learn(r, t);
}

static int match(struct gns_reduction_track *t, const struct gns_reduction_call *call)
{
	for (uint32_t i = 0; i < t->n_last; i++)
		if (!t->filled[i] && same(&t->last[i], call)) {
			t->filled[i] = true;
			t->n_filled++;
			return (int)i;
		}
	return -1;
}

int gns_reduction_see(struct gns_reduction_sequence *r, struct gns_reduction_track *t, const struct gns_reduction *n,
		      bool forward, uint64_t now)
{
	struct gns_reduction_call call = { .count = n->count, .ns = now, .factor = n->factor, .at = (uintptr_t)n->send,
					.kind = (uint8_t)n->kind, .dtype = (uint8_t)n->dtype };
	t->calls++;
	t->forward += forward;
	t->mean |= n->factor != 1;
	if (t->learned) {
		int at = match(t, &call);
		if (at >= 0)
			return at;
		unlearn(r, t);
	}
	remember(r, t, &call);
	return -1;
}

bool gns_reduction_complete(const struct gns_reduction_track *t)
{
	return t->learned && t->n_filled == t->n_last;
}

void gns_reduction_next(struct gns_reduction_track *t)
{
	memset(t->filled, 0, sizeof t->filled);
	t->n_filled = 0;
	t->steps++;
}

static void compare_steps(struct gns_reduction_sequence *r, struct gns_reduction_track *t)
{
	bool again = !t->broken && t->n && t->n == t->n_last;
	for (uint32_t i = 0; i < t->n && again; i++)
		again = same(&t->call[i], &t->last[i]);
	if (t->n || t->broken) { /* steps without a reduction are not compared */
		t->n_last = t->broken ? 0 : t->n;
		memcpy(t->last, t->call, t->n_last * sizeof *t->last);
	}
	t->n = 0;
	t->broken = false;
	if (again)
		learn(r, t);
}

void gns_reduction_boundary(struct gns_reduction_sequence *r)
{
	r->n_scattered = 0;
	for (uint32_t i = 0; i < r->n_tracks; i++) {
		struct gns_reduction_track *t = &r->track[i];
		if (!t->learned) {
			compare_steps(r, t);
			continue;
		}
		t->missed = t->n_filled && t->n_filled < t->n_last ? t->missed + 1 : 0;
		if (t->missed == MISSED_MAX) {
			unlearn(r, t);
			t->broken = false;
		} else {
			gns_reduction_next(t);
		}
	}
}

void gns_reduction_infer(struct gns_reduction_sequence *r, bool inferring)
{
	if (r->inferring == inferring)
		return;
	r->inferring = inferring;
	for (uint32_t i = 0; i < r->n_tracks; i++)
		unlearn(r, &r->track[i]);
}

/* Is it gradients? */

static bool in_forward(const struct gns_reduction_track *t)
{
	return t->forward * 4 > t->calls;
}

/* True if about as many elements were broadcast as are reduced: the parameters, perhaps with buffers (running means
 * of BatchNorm) and padding. */
static bool as_broadcast(const struct gns_reduction_track *t)
{
	return t->broadcast && (double)t->broadcast >= 0.98 * (double)t->total &&
	       (double)t->broadcast <= 1.02 * (double)t->total;
}

static bool same_sequence(const struct gns_reduction_track *a, const struct gns_reduction_track *b)
{
	return a->learned && b->learned && a->bucket[0] == b->bucket[0];
}

enum gns_reduction_why gns_reduction_what(const struct gns_reduction_sequence *r, const struct gns_reduction_track *t)
{
	if (!t->learned)
		return GNS_REDUCE_LEARNING;
	if (in_forward(t))
		return GNS_REDUCE_FORWARD;
	if (t->mean || as_broadcast(t))
		return GNS_REDUCE_IS;
	if (r->inferring)
		return GNS_REDUCE_UNSURE;
	for (uint32_t i = 0; i < r->n_tracks; i++) {
		const struct gns_reduction_track *other = &r->track[i];
		if (other != t && other->comm && other->calls && !in_forward(other) && !same_sequence(t, other))
			return GNS_REDUCE_SEVERAL;
	}
	return GNS_REDUCE_IS;
}

double gns_reduction_scale_big(const struct gns_reduction_bucket *b)
{
	double mean = b->call.factor * b->world;
	return (b->call.kind == GNS_REDUCE_SCATTER ? b->world : 1) / (mean * mean);
}
