/* The log of GEMMs on devices. */
#include "product_log.h"

#include <string.h>

#include "profiler/shim/process/pages.h"
#include "collectors/gpu/layers_device.h"
#include "profiler/shim/publish/counters.h"

#define FINGERPRINT_SLOTS (2 + GNS_PRINT_N)
#define HITS 2              /* products that look like gradients, before the log begins */
#define FIRST_CHUNK 8u      /* products */
#define CHUNK_MAX 160u
#define FIRST_TRY 16u
#define CHANGES_MAX 28u     /* of some candidate, with nothing learned */
#define HOLE 32u            /* products after a hole, doubled each time */
#define HOLES_MAX 8u
#define PAUSE 4096u         /* products, doubled each time */
#define PAUSES_MAX 20u

static struct gns_live_counter gaps = { .collector = "shim", .name = "device_log_gaps" };
static struct gns_live_counter given_up = { .collector = "shim", .name = "device_log_given_up" };
static struct gns_live_counter batches_cut = { .collector = "shim", .name = "device_batches_cut" };

bool gns_product_log_init(struct gns_product_log *g)
{
	memset(g, 0, sizeof *g);
	g->entry = gns_pages(GNS_LOG_MAX * sizeof *g->entry);
	g->where = gns_pages(GNS_LOG_MAX * sizeof *g->where);
	g->chunk = gns_pages(GNS_LOG_CHUNKS * sizeof *g->chunk);
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++)
		g->place[i].lock.slow = true;
	g->next_try = FIRST_TRY;
	if (g->entry && g->where && g->chunk && gns_operand_uses_init(&g->uses) && gns_find_in_log_init(&g->learn)) {
		g->uses.no_prints = true;
		return true;
	}
	gns_product_log_free(g);
	return false;
}

void gns_product_log_free(struct gns_product_log *g)
{
	gns_pages_free(g->entry, GNS_LOG_MAX * sizeof *g->entry);
	gns_pages_free(g->where, GNS_LOG_MAX * sizeof *g->where);
	gns_pages_free(g->chunk, GNS_LOG_CHUNKS * sizeof *g->chunk);
	if (g->uses.slots)
		gns_operand_uses_free(&g->uses);
	gns_find_in_log_free(&g->learn);
	g->entry = NULL;
	g->where = NULL;
	g->chunk = NULL;
}

static void set_state(struct gns_product_log *g, enum gns_log_state state)
{
	atomic_store_explicit(&g->state, state, memory_order_release);
}

static enum gns_log_state state_of(const struct gns_product_log *g)
{
	return (enum gns_log_state)atomic_load_explicit(&g->state, memory_order_acquire);
}

/* Counts GEMMs that look like weight gradients by address and shape alone, in either storage order. */
static void watch(struct gns_product_log *g, const struct gns_product *p)
{
	struct gns_operand_use *met[GNS_OPERAND_USES_FOUND];
	if (p->left.sum_fast == p->right.sum_fast && (gns_operand_uses_find(&g->uses, &p->left, p->n, p->dtype, met) ||
						      gns_operand_uses_find(&g->uses, &p->right, p->m, p->dtype, met)))
		g->hits++;
	gns_operand_uses_add(&g->uses, &p->left, &p->right, p->dtype);
	gns_operand_uses_add(&g->uses, &p->right, &p->left, p->dtype);
	if (g->hits >= HITS)
		set_state(g, GNS_LOG_ON);
}

static void begin(struct gns_product_log *g)
{
	g->n = g->ready = 0;
	g->next_try = FIRST_TRY;
	g->found = g->boundaries = 0;
	uint32_t used = g->n_chunks < GNS_LOG_CHUNKS ? g->n_chunks : GNS_LOG_CHUNKS;
	memset(g->chunk, 0, used * sizeof *g->chunk);
	g->first_chunk = 0;
	g->n_chunks = 0;
	g->printed = 0;
	g->gap = false;
	set_state(g, GNS_LOG_ON);
}

void gns_product_log_stop(struct gns_product_log *g)
{
	set_state(g, GNS_LOG_DONE);
}

void gns_product_log_again(struct gns_product_log *g)
{
	set_state(g, GNS_LOG_DRAIN);
}

static void pause_for_a_while(struct gns_product_log *g)
{
	gns_count(&given_up);
	g->resume_at = g->products + ((uint64_t)PAUSE << (g->pauses < PAUSES_MAX ? g->pauses++ : PAUSES_MAX));
	set_state(g, GNS_LOG_PAUSE);
}

static void copy_prints(struct gns_product_log *g, uint32_t chunk, const double *values)
{
	for (uint32_t i = g->ready; i < g->n && g->chunk[chunk].left; i++) {
		if (g->where[i].chunk != chunk + 1 || g->where[i].come)
			continue;
		for (unsigned side = 0; side < 2; side++)
			memcpy(&g->entry[i].print[side], values + g->where[i].slot[side] + 2,
			       sizeof g->entry[i].print[side]);
		g->where[i].come = true;
		g->chunk[chunk].left--;
	}
}

/* Copies fingerprints that have come back to the log and releases their sets. True when no set is in flight any more.
 * */
static bool collect(struct gns_product_log *g)
{
	uint32_t n = g->n_chunks < GNS_LOG_CHUNKS ? g->n_chunks : GNS_LOG_CHUNKS;
	bool all = true;
	for (uint32_t i = g->first_chunk; i < n; i++) {
		struct gns_log_chunk *c = &g->chunk[i];
		if (c->released)
			continue;
		if (!c->finished || !gns_set_delivered(c->set)) {
			all = false;
			continue;
		}
		const double *values = gns_set_values(c->set, 1);
		if (values && state_of(g) == GNS_LOG_ON)
			copy_prints(g, i, values);
		gns_set_release(c->set);
		c->released = true;
		c->place->behind -= c->products;
	}
	while (g->first_chunk < n && g->chunk[g->first_chunk].released)
		g->first_chunk++;
	while (g->ready < g->n && g->where[g->ready].come)
		g->ready++;
	return all;
}

bool gns_product_log_at_rest(struct gns_product_log *g)
{
	return collect(g) && !g->working;
}

/* Searches the log. True when the same weights were found twice, at least a step apart, so that rarely used ones are
 * included. */
static bool look(struct gns_product_log *g)
{
	struct gns_found *f = &g->learn.found;
	bool known = gns_find_in_log(&g->learn, g->entry, g->ready), first = known && !g->found, again;
	g->next_try = g->ready + (g->ready / 8 > FIRST_TRY ? g->ready / 8 : FIRST_TRY);
	again = known && f->n == g->found && f->boundaries > g->boundaries;
	if (!known || f->n != g->found)
		g->boundaries = f->boundaries;
	g->found = known ? f->n : 0;
	/* The first search may already cover many steps, if the device was far behind. */
	if (!again && ((!first && f->changes >= CHANGES_MAX) || g->ready == GNS_LOG_MAX))
		pause_for_a_while(g);
	return again;
}

bool gns_product_log_turn(struct gns_product_log *g)
{
	enum gns_log_state state = state_of(g);
	g->products++;
	if (state == GNS_LOG_WATCH)
		return false;
	bool all = collect(g);
	if (state == GNS_LOG_ON && g->gap) {
		gns_count(&gaps);
		g->resume_at = g->products + (HOLE << g->holes);
		g->holes += g->holes < HOLES_MAX;
		set_state(g, GNS_LOG_DRAIN);
		return false;
	}
	if (state == GNS_LOG_ON && g->ready >= g->next_try && look(g))
		return true;
	bool over = (state == GNS_LOG_DRAIN || state == GNS_LOG_PAUSE) && g->products >= g->resume_at;
	if (over && all && !g->working)
		begin(g);
	return false;
}

void gns_product_log_add(struct gns_product_log *g, const struct gns_product *p, uint32_t *first)
{
	enum gns_log_state state = state_of(g);
	if (state == GNS_LOG_WATCH)
		watch(g, p);
	if (state != GNS_LOG_ON || g->gap)
		return;
	uint32_t of_call = 0;
	for (uint32_t i = *first; i && of_call < GNS_LOG_BATCH; i = g->where[i - 1].next)
		of_call++;
	if (of_call == GNS_LOG_BATCH) {
		gns_count(&batches_cut);
		return;
	}
	if (g->n == GNS_LOG_MAX) {
		pause_for_a_while(g);
		return;
	}
	uint32_t i = g->n++;
	g->entry[i].product = *p;
	g->where[i] = (struct gns_log_where){ .next = *first };
	if (!*first)
		g->working++;
	*first = i + 1;
}

/* GEMMs for each chunk: few, so that open chunks delay only a small part of the log; but a device that is far behind
 * gets larger ones, or it would use up all sets. */
static uint32_t per_chunk(const struct gns_product_log *g, const struct gns_log_place *place)
{
	uint32_t of_log = g->printed / 4, of_behind = place->behind / 3 * 2, per = of_log > of_behind ? of_log
			  : of_behind;
	return per < FIRST_CHUNK ? FIRST_CHUNK : per < CHUNK_MAX ? per : CHUNK_MAX;
}

/* Finishes the open chunk; under the place's lock. */
static void finish(struct gns_product_log *g, struct gns_log_place *place)
{
	if (!place->chunk)
		return;
	struct gns_log_chunk *c = &g->chunk[place->chunk - 1];
	gns_set_finish(c->set);
	c->left = c->products;
	place->chunk = 0;
	g->printed += c->products;
	place->behind += c->products;
	atomic_store_explicit(&c->finished, true, memory_order_release);
}

static struct gns_log_chunk *open_chunk(struct gns_product_log *g, struct gns_log_place *place, void *stream)
{
	struct gns_set *set;
	if (place->chunk)
		return &g->chunk[place->chunk - 1];
	if (g->n_chunks >= GNS_LOG_CHUNKS || gns_set_begin(place->device, stream, &set))
		return NULL;
	/* Atomic, because several places may open a chunk at the same time. */
	uint32_t i = atomic_fetch_add(&g->n_chunks, 1);
	if (i >= GNS_LOG_CHUNKS) {
		gns_set_finish(set);
		gns_set_release(set);
		return NULL;
	}
	g->chunk[i] = (struct gns_log_chunk){ .set = set, .place = place, .began = g->n };
	place->chunk = i + 1;
	return &g->chunk[i];
}

static bool print_operand(struct gns_log_chunk *c, const struct gns_product *p, const struct gns_operand *o,
			  uint32_t *slot)
{
	struct gns_key key = gns_operand_key(o, p->dtype);
	return !gns_set_slot(c->set, p->stream, FINGERPRINT_SLOTS, slot) &&
	       !gns_device_print(c->set, p->stream, *slot, key.data, key.dtype, key.slow_n, key.fast_n, key.ld, true);
}

static bool print_both(struct gns_product_log *g, struct gns_log_place *place, uint32_t i)
{
	const struct gns_product *p = &g->entry[i].product;
	for (int attempt = 0; attempt < 2; attempt++) {
		struct gns_log_chunk *c = open_chunk(g, place, p->stream);
		if (!c)
			return false;
		if (print_operand(c, p, &p->left, &g->where[i].slot[0]) &&
		    print_operand(c, p, &p->right, &g->where[i].slot[1])) {
			c->products++;
			atomic_store_explicit(&g->where[i].chunk, place->chunk, memory_order_release);
			return true;
		}
		finish(g, place); /* full, or it has used too many streams */
	}
	return false;
}

/* A context keeps its place; there are as many places as contexts. */
static struct gns_log_place *place_of(struct gns_product_log *g, struct gns_device *device)
{
	for (unsigned i = 0; i < GNS_DEVICES_MAX; i++) {
		struct gns_device *there = NULL;
		if (atomic_compare_exchange_strong(&g->place[i].device, &there, device) || there == device)
			return &g->place[i];
	}
	return NULL;
}

void gns_product_log_enqueue(struct gns_product_log *g, uint32_t first)
{
	uint32_t list[GNS_LOG_BATCH], n = 0;
	/* The list has the latest entry first. */
	for (uint32_t i = first; i && n < GNS_LOG_BATCH; i = g->where[i - 1].next)
		list[n++] = i - 1;
	while (n && !g->gap && state_of(g) == GNS_LOG_ON) {
		uint32_t i = list[--n];
		struct gns_log_place *place = place_of(g, g->entry[i].product.device);
		if (!place) {
			g->gap = true;
			break;
		}
		if (!gns_lock_take(&place->lock)) {
			g->gap = true;
			break;
		}
		if (!print_both(g, place, i))
			g->gap = true;
		else if (!n && g->chunk[place->chunk - 1].products >= per_chunk(g, place))
			finish(g, place);
		gns_lock_release(&place->lock);
	}
	if (first)
		g->working--;
}

static bool stale(const struct gns_product_log *g, const struct gns_log_place *place, bool on)
{
	uint32_t chunk = place->chunk;
	return chunk && (!on || g->n - g->chunk[chunk - 1].began > 2 * per_chunk(g, place));
}

void gns_product_log_sweep(struct gns_product_log *g)
{
	bool on = state_of(g) == GNS_LOG_ON && !g->gap;
	for (unsigned i = 0; i < GNS_DEVICES_MAX && g->place[i].device; i++) {
		struct gns_log_place *place = &g->place[i];
		if (!stale(g, place, on) || !gns_lock_try(&place->lock))
			continue;
		if (stale(g, place, on))
			finish(g, place);
		gns_lock_release(&place->lock);
	}
}
