/* Calls the functions of all sources in the table. */
#include "step_hooks.h"

#include "profiler/shim/publish/publish.h"

/* Weak: replaced at link time by the program's table, or by a test's. */
__attribute__((weak)) const struct gns_step_hooks *const gns_step_hooks[] = { NULL };

_Atomic uint32_t gns_turn_wanted;

#define FOR_EACH_WITH(h, function) \
	for (const struct gns_step_hooks *const *row_ = gns_step_hooks, *h; (h = *row_) != NULL; row_++) \
		if (h->function)

void gns_hooks_begin(uint64_t step, bool measured)
{
	FOR_EACH_WITH(h, begin)
		h->begin(step, measured);
}

uint64_t gns_hooks_close(uint64_t step)
{
	uint64_t ns = 0;
	FOR_EACH_WITH(h, close)
		ns += h->close(step);
	return ns;
}

uint32_t gns_hooks_stage(struct gns_publish *publish, const struct gns_step_facts *facts)
{
	uint32_t grads = 0;
	FOR_EACH_WITH(h, stage)
		grads += h->stage(publish, facts);
	return grads;
}

void gns_hooks_sent(bool sent)
{
	FOR_EACH_WITH(h, sent)
		h->sent(sent);
}

void gns_hooks_publish(struct gns_publish *publish, bool last)
{
	FOR_EACH_WITH(h, publish)
		h->publish(publish, last);
}

void gns_hooks_over(uint64_t step)
{
	FOR_EACH_WITH(h, over)
		h->over(step);
}

size_t gns_hooks_count(struct gns_counter *out)
{
	size_t n = 0;
	FOR_EACH_WITH(h, count)
		n += h->count(out + n);
	return n;
}

void gns_hooks_forget(void)
{
	FOR_EACH_WITH(h, forget)
		h->forget();
}

void gns_hooks_hello(void)
{
	FOR_EACH_WITH(h, hello)
		h->hello();
}

void gns_hooks_backward(void)
{
	FOR_EACH_WITH(h, backward)
		h->backward();
}

void gns_hooks_mark(uint64_t next)
{
	FOR_EACH_WITH(h, mark)
		h->mark(next);
}

bool gns_hooks_expect(void)
{
	FOR_EACH_WITH(h, expects)
		if (h->expects())
			return true;
	return false;
}

uint64_t gns_hooks_last(void)
{
	uint64_t last = 0;
	FOR_EACH_WITH(h, last) {
		uint64_t step = h->last();
		last = step > last ? step : last;
	}
	return last;
}

enum gns_unit gns_hooks_unit(enum gns_unit other)
{
	FOR_EACH_WITH(h, unit)
		other = h->unit(other);
	return other;
}

void gns_hooks_work(struct gns_device *device, void *stream, bool stays)
{
	FOR_EACH_WITH(h, work)
		h->work(device, stream, stays);
}

uint64_t gns_hooks_do_turn(struct gns_device *device, void *stream)
{
	uint64_t ns = 0;
	FOR_EACH_WITH(h, turn)
		ns += h->turn(device, stream);
	return ns;
}
