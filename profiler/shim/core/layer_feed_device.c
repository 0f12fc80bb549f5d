/* The layer API's measurements on devices: finds a slot for each value and enqueues the kernels. */
#include <errno.h>

#include "layer_feed_private.h"
#include "state.h"

static struct gns_device *device_of(int ordinal)
{
	struct gns_device *device = gns_device_current(NULL);
	return device && gns_device_number(device) == ordinal ? device : NULL;
}

bool gns_layer_feed_device_ready(void)
{
	int saved = errno;
	bool ready = gns_device_current(NULL) != NULL;
	errno = saved;
	return ready;
}

/* Under the lock. */
static int find_place(struct gns_layer_sums_param *p, struct gns_device *device, void *stream, uint64_t n,
		      struct gns_layer_feed_device *work)
{
	struct gns_layer_sums_stream *s = &gns_core.layer_sums->stream[p->stream];
	if (!s->clock.measured || gns_layer_sums_closed(p))
		return -ENODATA;
	if (!n)
		return -EINVAL;
	if (p->device_uses && p->device_uses_stream != stream && work->what == GNS_LAYER_SUMS_SUM)
		return -EXDEV;
	int rc = gns_layer_sums_term(&s->sets, p->term, work->what, device, stream, &work->to);
	if (rc) {
		p->refused = GNS_REFUSED_DEVICE_BEHIND;
		return -ENODATA;
	}
	return 0;
}

int gns_layer_feed_device_begin(int64_t id, enum gns_layer_sums_what what, uint64_t n, unsigned axis, int ordinal,
				void *stream,
			     struct gns_layer_feed_device *work)
{
	struct gns_device *device = device_of(ordinal);
	if (!device)
		return -ENODEV;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&work->hold, id);
	if (!p)
		return -EINVAL;
	work->param = p;
	work->what = what;
	int rc = find_place(p, device, stream, n, work);
	if (rc) {
		gns_layer_feed_leave(&work->hold);
		return rc;
	}
	if (what == GNS_LAYER_SUMS_SUM)
		work->to.uses = p->device_uses;
	gns_lock_slow_begin(); /* the launch may wait for room in the driver's queue */
	work->samples = (struct gns_samples){ .n = n, .axis = axis, .probes = gns_core.product_sums->probes,
					      .stream = (uint64_t)id, .seed = gns_layer_feed_seed(p) };
	return 0;
}

static void uses_take(struct gns_layer_sums_param *p)
{
	struct gns_layer_sums *feed = gns_core.layer_sums;
	struct gns_layer_sums_stream *s = &feed->stream[p->stream];
	struct gns_device_target to;
	struct gns_device_uses *uses = p->device_uses;
	p->device_uses = NULL;
	feed->device_uses--;
	bool current = gns_device_current(NULL) == p->device_uses_of;
	int rc = !current ? -ENODEV : gns_layer_sums_term(&s->sets, p->term, GNS_LAYER_SUMS_SUM, p->device_uses_of,
							  p->device_uses_stream, &to);
	if (rc) {
		gns_device_uses_drop(uses);
		p->refused = GNS_REFUSED_DEVICE_BEHIND;
		return;
	}
	rc = gns_device_uses_finish(&to, uses);
	if (rc) {
		gns_layer_sums_term_kill(p->term, &to);
		p->refused = GNS_REFUSED_DEVICE_BEHIND;
		return;
	}
	p->any_sum = true;
}

void gns_layer_feed_device_backward_done(void)
{
	struct gns_layer_sums *feed = gns_core.layer_sums;
	gns_lock_slow_begin();
	for (uint32_t i = 0; feed->device_uses && i < feed->n_params; i++)
		if (feed->param[i].device_uses)
			uses_take(&feed->param[i]);
	gns_lock_slow_end();
}

/* The uses of a shared parameter accumulate without a slot; gns_device_uses_take gets one for their sum. */
static void sum_end(struct gns_layer_feed_device *work, int rc)
{
	struct gns_layer_sums_param *p = work->param;
	if (!work->to.uses) {
		p->any_sum |= !rc;
		return;
	}
	if (!work->to.add)
		gns_layer_sums_term_kill(p->term, &work->to);
	if (!rc && p->uses_left && !--p->uses_left)
		uses_take(p);
}

void gns_layer_feed_device_end(struct gns_layer_feed_device *work, int rc)
{
	struct gns_layer_sums_param *p = work->param;
	if (rc)
		gns_layer_sums_term_kill(p->term, &work->to);
	if (work->what == GNS_LAYER_SUMS_SUM)
		sum_end(work, rc);
	if (rc == -EIO)
		p->refused = GNS_REFUSED_DEVICE_BEHIND;
	gns_lock_slow_end();
	gns_layer_feed_leave(&work->hold);
}

static int norm(int64_t id, enum gns_layer_sums_what what, const struct gns_tensor *t, uint32_t world, int ordinal,
		void *stream)
{
	struct gns_layer_feed_device work;
	int rc = gns_layer_feed_device_begin(id, what, 1, 0, ordinal, stream, &work);
	if (rc)
		return rc == -ENODATA ? 0 : rc;
	rc = gns_device_norm2(&work.to, t);
	if (!rc && what == GNS_LAYER_SUMS_BIG)
		gns_layer_sums_big(work.param, 0, world);
	gns_layer_feed_device_end(&work, rc);
	return rc;
}

int gns_layer_feed_device_big(int64_t id, const struct gns_tensor *gradient, uint32_t world, int ordinal, void *stream)
{
	return norm(id, GNS_LAYER_SUMS_BIG, gradient, world, ordinal, stream);
}

int gns_layer_feed_device_before(int64_t id, const struct gns_tensor *gradient, int ordinal, void *stream)
{
	return norm(id, GNS_LAYER_SUMS_ZERO, gradient, 1, ordinal, stream);
}

int gns_layer_feed_device_uses(int64_t id, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest, int ordinal,
			       void *stream)
{
	struct gns_guard h;
	struct gns_set *set;
	struct gns_device *device = device_of(ordinal);
	if (!device)
		return -ENODEV;
	struct gns_layer_sums_param *p = gns_layer_feed_enter_param(&h, id);
	if (!p)
		return -EINVAL;
	struct gns_layer_sums_stream *s = &gns_core.layer_sums->stream[p->stream];
	int rc = s->clock.measured && !gns_layer_sums_closed(p) ? 0 : -ENODATA;
	gns_layer_sums_uses_drop(gns_core.layer_sums, p);
	if (!rc && gns_layer_sums_set(&s->sets, device, stream, &set)) {
		p->refused = GNS_REFUSED_DEVICE_BEHIND;
		rc = -ENODATA;
	}
	if (!rc) {
		p->device_uses = gns_device_uses_init(set, stream, n, dim0, rest, gns_layer_feed_seed(p), (uint64_t)id);
		gns_core.layer_sums->device_uses += p->device_uses != NULL;
		p->device_uses_stream = stream;
		p->device_uses_of = device;
		p->uses_left = count;
		rc = p->device_uses ? 0 : -ENOMEM;
	}
	gns_layer_feed_leave(&h);
	return rc == -ENODATA ? 0 : rc;
}

/* A value of the whole stream: losses are added, of several scales the latest counts. */
static int value(int64_t id, enum gns_layer_sums_what what, const struct gns_tensor *t, int ordinal, void *stream)
{
	struct gns_guard h;
	struct gns_device_target to;
	struct gns_device *device = device_of(ordinal);
	if (!device)
		return -ENODEV;
	if (!gns_layer_feed_enter(&h, false))
		return 0;
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(gns_core.layer_sums, id);
	int rc = s && s->clock.measured ? gns_layer_sums_term(&s->sets, s->term, what, device, stream, &to) : -ENODATA;
	if (!rc) {
		rc = gns_device_value(&to, t);
		if (rc)
			gns_layer_sums_term_kill(s->term, &to);
		else if (what == GNS_LAYER_SUMS_LOSS)
			s->any_loss = true;
	}
	gns_layer_feed_leave(&h);
	return rc == -ENODATA ? 0 : rc;
}

int gns_layer_feed_device_loss(int64_t id, const struct gns_tensor *loss, int ordinal, void *stream)
{
	return value(id, GNS_LAYER_SUMS_LOSS, loss, ordinal, stream);
}

int gns_layer_feed_device_scale(int64_t id, const struct gns_tensor *scale, int ordinal, void *stream)
{
	return value(id, GNS_LAYER_SUMS_SCALE, scale, ordinal, stream);
}

void gns_layer_feed_measure_now(int64_t stream)
{
	struct gns_guard h;
	if (!gns_layer_feed_enter(&h, false))
		return;
	gns_layer_sums_measure_now(gns_core.layer_sums, stream);
	gns_layer_feed_show_measuring();
	gns_layer_feed_leave(&h);
}
