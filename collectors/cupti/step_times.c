/* From activities and boundaries to what is told of a step. */
#include "step_times.h"

#include <string.h>

#include "collectors/gpu/kernels.h"

static struct gns_boundary *boundary(struct gns_boundaries *all, uint64_t number)
{
	return &all->at[number % GNS_BOUNDARIES];
}

bool gns_boundaries_add(struct gns_boundaries *all, const struct gns_boundary *b)
{
	if (all->first == 0)
		all->first = all->next = 1;
	if (all->next - all->first == GNS_BOUNDARIES)
		return false;
	*boundary(all, all->next++) = *b;
	return true;
}

uint64_t gns_boundaries_next(struct gns_boundaries *all)
{
	while (all->first && all->next - all->first > 1) {
		const struct gns_boundary *begin = boundary(all, all->first), *end = boundary(all, all->first + 1);
		if (end->tell && end->step == begin->step + 1)
			return all->first + 1;
		all->first++;
	}
	return 0;
}

static const struct gns_activity *mark_of(const struct gns_activities *all, uint64_t step, uint32_t device)
{
	uint16_t mark = (uint16_t)(1 + step % GNS_CU_MARKS);
	for (uint32_t i = 0; i < all->n; i++)
		if (all->list[i].mark == mark && all->list[i].device == device)
			return &all->list[i];
	return NULL;
}

static bool is_marked(const struct gns_boundaries *boundaries, uint64_t number, uint32_t device)
{
	return boundaries->at[number % GNS_BOUNDARIES].marked >> device & 1;
}

static bool has_later_mark(const struct gns_boundaries *boundaries, uint64_t number, uint32_t device, const struct gns_activities *all)
{
	for (uint64_t n = number + 1; n < boundaries->next; n++)
		if (is_marked(boundaries, n, device) && mark_of(all, boundaries->at[n % GNS_BOUNDARIES].step, device))
			return true;
	return false;
}

enum gns_marks gns_told_marks(const struct gns_boundaries *boundaries, uint64_t number, const struct gns_activities *all)
{
	enum gns_marks worst = GNS_MARKS_IN;
	for (uint64_t n = number - 1; n <= number; n++)
		for (uint32_t device = 0; device < GNS_TOLD_DEVICES; device++) {
			if (!is_marked(boundaries, n, device) || mark_of(all, boundaries->at[n % GNS_BOUNDARIES].step, device))
				continue;
			if (!has_later_mark(boundaries, n, device, all))
				return GNS_MARKS_AWAITED;
			worst = GNS_MARKS_LOST;
		}
	return worst;
}

/* Where the step ends (or begins) on this device; *sure is left alone only where there is a mark. */
static uint64_t edge(const struct gns_boundary *b, const struct gns_activities *all, uint32_t device, bool *sure)
{
	const struct gns_activity *mark = b->marked >> device & 1 ? mark_of(all, b->step, device) : NULL;
	if (mark)
		return mark->start;
	*sure = false;
	return b->host_ns;
}

static bool had_work(const struct gns_activities *all, uint32_t device, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (all->list[i].device == device && all->list[i].end > from && all->list[i].start < to)
			return true;
	return false;
}

static void add_uses(const struct gns_activities *all, uint32_t device, uint64_t from, uint64_t to, struct gns_told *out)
{
	for (uint32_t i = 0; i < all->n; i++) {
		const struct gns_activity *a = &all->list[i];
		if (a->device == device && a->start >= from && a->start < to)
			gns_kernel_used(&out->use[a->name], a);
	}
}

bool gns_told_make(struct gns_boundaries *boundaries, uint64_t number, struct gns_activities *all, struct gns_told *out)
{
	const struct gns_boundary *begin = boundary(boundaries, number - 1), *end = boundary(boundaries, number);
	memset(out, 0, sizeof *out);
	out->step = end->step;
	gns_activities_sort(all);
	uint64_t until[GNS_TOLD_DEVICES] = { 0 };
	for (uint32_t device = 0; device < GNS_TOLD_DEVICES; device++) {
		bool sure = true;
		uint64_t from = edge(begin, all, device, &sure), to = edge(end, all, device, &sure);
		if (to <= from || !had_work(all, device, from, to))
			continue;
		struct gns_told_device *told = &out->device[out->n_devices++];
		told->device = device;
		gns_account_step(all->list, all->n, device, from, to, all->family, all->n_rows, &told->account);
		add_uses(all, device, from, to, out);
		out->approximate |= !sure;
		until[device] = to;
	}
	for (uint32_t device = 0; device < GNS_TOLD_DEVICES; device++)
		if (until[device])
			gns_activities_forget(all, device, until[device]);
	boundaries->first = number;
	return out->n_devices > 0;
}
