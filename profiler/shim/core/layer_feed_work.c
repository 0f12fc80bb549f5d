/* Measurements of layers on the CPU, which run without the core's lock. */
#include <errno.h>

#include "layer_feed_private.h"
#include "profiler/shim/process/fpu.h"
#include "state.h"

/* Borrows scratch from the pool: threads that measure at the same time must not share it. */
static struct gns_layers *borrow(struct gns_layer_sums *feed, unsigned *slot)
{
	for (unsigned i = 0; i < GNS_LAYER_SUMS_POOL; i++) {
		int idle = 0;
		if (!atomic_compare_exchange_strong(&feed->pool[i].busy, &idle, 1))
			continue;
		if (!feed->pool[i].layers)
			feed->pool[i].layers = gns_layers_init(gns_core.product_sums->isa);
		*slot = i;
		if (feed->pool[i].layers)
			return feed->pool[i].layers;
		atomic_store(&feed->pool[i].busy, 0);
		return NULL;
	}
	return NULL;
}

/* first: the measurement whose scratch is shared; NULL: scratch is borrowed from the pool. */
static int begin_work(int64_t id, uint64_t n, unsigned axis, const struct gns_layer_feed_work *first,
		      struct gns_layer_feed_work *work)
{
	struct gns_guard h;
	unsigned slot;
	int rc = 0;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return -EINVAL;
	work->slots = 0;
	const struct gns_layer_sums_stream *s = &gns_core.layer_sums->stream[p->stream];
	if (!s->clock.measured || gns_layer_sums_closed(p))
		rc = -ENODATA;
	else if (!n)
		rc = -EINVAL;
	else if (first && p->uses)
		rc = -EBUSY;
	else if (first) {
		work->layers = first->layers;
	} else if ((work->layers = borrow(gns_core.layer_sums, &slot))) {
		work->slots = UINT64_C(1) << slot;
	} else {
		p->refused = GNS_REFUSED_MEMORY;
		rc = -ENODATA;
	}
	if (!rc) {
		p->working++;
		work->id = id;
		work->step = s->clock.step;
		work->samples = (struct gns_samples){ .n = n, .axis = axis, .probes = gns_core.product_sums->probes,
						      .stream = (uint64_t)id, .seed = gns_layer_feed_seed(p),
						      .uses = p->uses_dropped ? NULL : p->uses };
	}
	gns_layer_feed_leave(&h);
	if (!rc)
		work->fpu = gns_fpu_begin();
	return rc;
}

unsigned gns_layer_feed_work_share(struct gns_layer_feed_work *work, unsigned parts)
{
	struct gns_guard h;
	unsigned slot, have = 1;
	if (!gns_layer_feed_enter_param(&h, work->id))
		return 1;
	while (have < parts && (work->more[have - 1] = borrow(gns_core.layer_sums, &slot))) {
		work->slots |= UINT64_C(1) << slot;
		have++;
	}
	gns_layer_feed_leave(&h);
	return have;
}

int gns_layer_feed_work_begin(int64_t id, uint64_t n, unsigned axis, struct gns_layer_feed_work *work)
{
	return begin_work(id, n, axis, NULL, work);
}

int gns_layer_feed_work_join(const struct gns_layer_feed_work *first, int64_t id, struct gns_layer_feed_work *work)
{
	return begin_work(id, first->samples.n, first->samples.axis, first, work);
}

void gns_layer_feed_work_end(struct gns_layer_feed_work *work, int rc)
{
	struct gns_guard h;
	gns_fpu_end(work->fpu);
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, work->id);
	if (!p)
		return; /* the shim was turned off since work_begin, or the process ends */
	p->working--;
	for (unsigned i = 0; i < GNS_LAYER_SUMS_POOL; i++)
		if (work->slots >> i & 1)
			atomic_store(&gns_core.layer_sums->pool[i].busy, 0);
	if (work->step == gns_core.layer_sums->stream[p->stream].clock.step && !rc) {
		if (work->samples.uses)
			gns_layer_sums_uses_done(gns_core.layer_sums, p);
		else
			gns_layer_sums_sum(p, work->samples.sum);
	} else if (p->uses_dropped) {
		gns_layer_sums_uses_drop(gns_core.layer_sums, p);
	}
	gns_layer_feed_leave(&h);
}

void gns_layer_feed_work_big(struct gns_layer_feed_work *work, int rc, double norm2, uint32_t world)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = rc ? NULL : gns_layer_feed_enter_param(&h, work->id);
	if (p) {
		if (work->step == gns_core.layer_sums->stream[p->stream].clock.step)
			gns_layer_sums_big(p, norm2, world);
		gns_layer_feed_leave(&h);
	}
	work->samples.uses = NULL;
	gns_layer_feed_work_end(work, -ENODATA);
}

int gns_layer_feed_uses(int64_t id, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest)
{
	struct gns_guard h;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return -EINVAL;
	const struct gns_layer_sums_stream *s = &gns_core.layer_sums->stream[p->stream];
	int rc = 0;
	if (s->clock.measured && !gns_layer_sums_closed(p))
		rc = gns_layer_sums_uses(gns_core.layer_sums, p, count, n, dim0, rest, gns_core.product_sums->probes,
				   gns_layer_feed_seed(p), (uint64_t)id);
	gns_layer_feed_leave(&h);
	return rc;
}
