/* Live counters of collectors. */
#include "counters.h"

#include "publish.h"

static _Atomic(struct gns_live_counter *) list[GNS_LIVE_COUNTERS_MAX];
static _Atomic uint32_t listed;

static void enlist(struct gns_live_counter *t)
{
	if (atomic_exchange(&t->listed, true))
		return;
	uint32_t at = atomic_load(&listed);
	while (at < GNS_LIVE_COUNTERS_MAX && !atomic_compare_exchange_weak(&listed, &at, at + 1))
		;
	if (at < GNS_LIVE_COUNTERS_MAX)
		atomic_store_explicit(&list[at], t, memory_order_release);
}

void gns_count(struct gns_live_counter *t)
{
	if (!atomic_load_explicit(&t->listed, memory_order_relaxed))
		enlist(t);
	atomic_fetch_add_explicit(&t->value, 1, memory_order_relaxed);
}

size_t gns_live_counters(struct gns_counter *out)
{
	for (uint32_t i = 0; i < GNS_LIVE_COUNTERS_MAX; i++) {
		struct gns_live_counter *t = atomic_load_explicit(&list[i], memory_order_acquire);
		out[i] = (struct gns_counter){ 0 };
		if (t)
			out[i] = (struct gns_counter){ .collector = t->collector, .name = t->name,
						       .value = atomic_load_explicit(&t->value, memory_order_relaxed) };
	}
	return GNS_LIVE_COUNTERS_MAX;
}

void gns_live_counters_clear(void)
{
	for (uint32_t i = 0; i < GNS_LIVE_COUNTERS_MAX; i++) {
		struct gns_live_counter *t = atomic_load_explicit(&list[i], memory_order_acquire);
		if (t)
			atomic_store_explicit(&t->value, 0, memory_order_relaxed);
	}
}
