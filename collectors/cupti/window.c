/* When to subscribe to CUPTI and when to let go. */
#include "window.h"

#include <string.h>

void gns_kernel_window_init(struct gns_kernel_window *w, enum gns_kernels_mode mode, double budget_pct)
{
	memset(w, 0, sizeof *w);
	w->mode = mode;
	w->share = budget_pct / 100 / 5;
	w->due = mode == GNS_KERNELS_ON ? 1 : GNS_WINDOW_FIRST;
}

static unsigned drain(struct gns_kernel_window *w, uint64_t now)
{
	if (now - w->drain_ns > GNS_WINDOW_PATIENCE_NS)
		return GNS_DO_GIVE_UP;
	if (now - w->flush_ns < w->gap_ns)
		return 0;
	w->flush_ns = now;
	w->gap_ns = w->gap_ns * 2 < GNS_WINDOW_FLUSH_NS ? w->gap_ns * 2 : GNS_WINDOW_FLUSH_NS;
	return GNS_DO_FLUSH;
}

static unsigned collect(struct gns_kernel_window *w, uint64_t now)
{
	if (w->mode == GNS_KERNELS_ON) {
		if (now - w->flush_ns < GNS_WINDOW_FLUSH_NS && ++w->unflushed < GNS_WINDOW_FLUSH_STEPS)
			return GNS_DO_MARK | GNS_DO_TELL;
		w->flush_ns = now;
		w->unflushed = 0;
		return GNS_DO_MARK | GNS_DO_TELL | GNS_DO_FLUSH;
	}
	if (--w->left)
		return GNS_DO_MARK | GNS_DO_TELL;
	w->state = GNS_WINDOW_DRAIN;
	w->drain_ns = w->flush_ns = now;
	w->gap_ns = GNS_WINDOW_DRAIN_NS;
	return GNS_DO_MARK | GNS_DO_TELL | GNS_DO_STOP;
}

unsigned gns_kernel_window_step(struct gns_kernel_window *w, uint64_t now)
{
	w->boundary++;
	if (w->mode == GNS_KERNELS_OFF)
		return 0;
	switch (w->state) {
	case GNS_WINDOW_OUT:
		if (w->boundary < w->due || now < w->due_ns)
			return 0;
		w->state = GNS_WINDOW_WARM;
		w->due = w->boundary + GNS_WINDOW_PERIOD;
		w->left = GNS_WINDOW_STEPS;
		w->cost_ns = 0;
		w->flush_ns = now;
		return GNS_DO_BEGIN | GNS_DO_MARK;
	case GNS_WINDOW_WARM:
		w->state = GNS_WINDOW_OPEN;
		return GNS_DO_MARK;
	case GNS_WINDOW_OPEN:
		return collect(w, now);
	case GNS_WINDOW_DRAIN:
		return drain(w, now);
	}
	return 0;
}

void gns_kernel_window_spent(struct gns_kernel_window *w, uint64_t ns)
{
	w->cost_ns += ns;
}

void gns_kernel_window_over(struct gns_kernel_window *w, uint64_t now)
{
	w->state = GNS_WINDOW_OUT;
	w->due_ns = now + (w->share > 0 ? (uint64_t)((double)w->cost_ns / w->share) : 0);
}

void gns_kernel_window_stop(struct gns_kernel_window *w)
{
	w->mode = GNS_KERNELS_OFF;
	w->state = GNS_WINDOW_OUT;
}
