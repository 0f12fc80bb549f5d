/* From what a device did to how it spent a step. */
#include "time_split.h"

#include <string.h>

enum { COMPUTE = 1u, COMM = 2u, COPY = 4u, OWN = 8u };

static size_t end_of_run(const struct gns_activity *list, size_t from, size_t n)
{
	size_t i = from + 1;
	while (i < n && list[i].start >= list[i - 1].start)
		i++;
	return i < n ? i : n;
}

/* list[a..b) and list[b..c) are sorted; afterwards list[a..c) is. */
static void merge(struct gns_activity *list, struct gns_activity *scratch, size_t a, size_t b, size_t c)
{
	size_t left = 0, n = b - a, right = b, out = a;
	memcpy(scratch, list + a, n * sizeof *list);
	while (left < n && right < c)
		list[out++] = list[right].start < scratch[left].start ? list[right++] : scratch[left++];
	memcpy(list + out, scratch + left, (n - left) * sizeof *list);
}

void gns_activity_sort(struct gns_activity *list, struct gns_activity *scratch, size_t n)
{
	for (size_t runs = 2; runs > 1;) {
		runs = 0;
		for (size_t a = 0; a < n; runs++) {
			size_t b = end_of_run(list, a, n), c = b < n ? end_of_run(list, b, n) : n;
			if (b < c)
				merge(list, scratch, a, b, c);
			a = c;
		}
	}
}

/* The length of a union of intervals that come sorted by start. */
struct covered {
	uint64_t until, ns;
};

static void cover(struct covered *c, uint64_t start, uint64_t end)
{
	if (end <= c->until)
		return;
	c->ns += end - (start > c->until ? start : c->until);
	c->until = end;
}

static unsigned what(const struct gns_activity *a, const uint8_t *families, size_t n_names)
{
	enum gns_device_family family = a->name < n_names ? (enum gns_device_family)families[a->name] : GNS_DEVICE_OTHER;
	if (a->mark || family == GNS_DEVICE_OWN)
		return COMPUTE | OWN;
	if (a->copy)
		return COPY;
	return family == GNS_DEVICE_COMM ? COMM : COMPUTE;
}

void gns_account_step(const struct gns_activity *list, size_t n, uint32_t device, uint64_t from, uint64_t to, const uint8_t *families,
		      size_t n_names, struct gns_account *out)
{
	struct covered compute = { from, 0 }, and_comm = { from, 0 }, all = { from, 0 };
	struct covered comm = { from, 0 }, copy = { from, 0 }, own = { from, 0 };
	memset(out, 0, sizeof *out);
	if (to <= from)
		return;
	out->wall_ns = to - from;
	for (size_t i = 0; i < n && list[i].start < to; i++) {
		const struct gns_activity *a = &list[i];
		if (a->device != device || a->end < a->start)
			continue;
		unsigned is = what(a, families, n_names);
		if (a->start >= from && !a->copy) {
			out->kernels++;
			if (a->queued && a->queued < a->start)
				out->queue_ns += a->start - a->queued;
		}
		if (a->end <= from)
			continue;
		uint64_t start = a->start > from ? a->start : from, end = a->end < to ? a->end : to;
		if (is & COMPUTE)
			cover(&compute, start, end);
		if (is & (COMPUTE | COMM))
			cover(&and_comm, start, end);
		cover(&all, start, end);
		if (is & COMM)
			cover(&comm, start, end);
		if (is & COPY)
			cover(&copy, start, end);
		if (is & OWN)
			cover(&own, start, end);
	}
	out->compute_ns = compute.ns;
	out->comm_exposed_ns = and_comm.ns - compute.ns;
	out->copy_exposed_ns = all.ns - and_comm.ns;
	out->idle_ns = out->wall_ns - all.ns;
	out->comm_ns = comm.ns;
	out->copy_ns = copy.ns;
	out->own_ns = own.ns;
}

void gns_kernel_used(struct gns_kernel_time *use, const struct gns_activity *a)
{
	uint64_t ns = a->end > a->start ? a->end - a->start : 0;
	use->total_ns += ns;
	if (!use->calls++ || ns > use->max_ns) {
		use->max_ns = ns;
		use->grid = a->grid;
		use->shared = a->shared;
		use->block = a->block;
		use->registers = a->registers;
	}
}
