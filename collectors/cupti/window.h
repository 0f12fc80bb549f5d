/* When to subscribe to CUPTI and when to let go: windows of a few whole steps. Pure: told of step boundaries, answers what is to be done
 * there.
 *
 * A window begins at a step boundary. Its first step is not told: what was launched before is still running in it, and CUPTI's own
 * beginning is in it. Then come GNS_WINDOW_STEPS that are told. Then collecting stops, and what the device still has to finish is waited
 * for, by flushing now and then, before the subscription is given back. With "auto" there is a window at most every GNS_WINDOW_PERIOD
 * steps, and its cost on the host stays below a fifth of the budget. With "on" the one window never ends. */
#ifndef GNS_COLLECTORS_CUPTI_WINDOW_H
#define GNS_COLLECTORS_CUPTI_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/shim/process/config.h"

#define GNS_WINDOW_FIRST 10u   /* boundary of the first window: libraries have made their choices by then */
#define GNS_WINDOW_PERIOD 100u /* steps from window to window, at least */
#define GNS_WINDOW_STEPS 2u    /* that are told */
#define GNS_WINDOW_FLUSH_NS 1000000000u  /* between flushes */
#define GNS_WINDOW_FLUSH_STEPS 100u      /* or so many steps, of a window that does not end */
#define GNS_WINDOW_DRAIN_NS 10000000u    /* until the first flush of a window that is over; each next one waits twice as long */
#define GNS_WINDOW_PATIENCE_NS 15000000000u /* until what has not come is given up */

enum gns_kernel_window_state { GNS_WINDOW_OUT = 0, GNS_WINDOW_WARM, GNS_WINDOW_OPEN, GNS_WINDOW_DRAIN };

/* What to do at a boundary, in this order. */
enum {
	GNS_DO_BEGIN = 1u, /* subscribe and enable */
	GNS_DO_MARK = 2u,  /* mark the boundary on the device */
	GNS_DO_TELL = 4u,  /* the step that ends here is one to be told */
	GNS_DO_STOP = 8u,  /* disable */
	GNS_DO_FLUSH = 16u,
	GNS_DO_GIVE_UP = 32u, /* what is still missing will not come */
};

struct gns_kernel_window {
	enum gns_kernels_mode mode;
	enum gns_kernel_window_state state;
	double share;      /* of the time that windows may cost */
	uint64_t boundary; /* how many there were */
	uint64_t due, due_ns; /* the next window */
	uint32_t left;     /* steps to be told */
	uint64_t cost_ns;  /* of the present window, on the host */
	uint64_t drain_ns, flush_ns, gap_ns;
	uint32_t unflushed; /* steps */
};

void gns_kernel_window_init(struct gns_kernel_window *window, enum gns_kernels_mode mode, double budget_pct);
unsigned gns_kernel_window_step(struct gns_kernel_window *window, uint64_t now);
void gns_kernel_window_spent(struct gns_kernel_window *window, uint64_t ns);
/* All has come (or was given up), and the subscription is given back. */
void gns_kernel_window_over(struct gns_kernel_window *window, uint64_t now);
/* No more windows in this process. */
void gns_kernel_window_stop(struct gns_kernel_window *window);

#endif
