/* The shim's one static context, private to the files of this folder. */
#ifndef GNS_PROFILER_SHIM_CORE_STATE_H
#define GNS_PROFILER_SHIM_CORE_STATE_H

#include "profiler/shim/process/config.h"
#include "profiler/shim/steps/layer_sums.h"
#include "profiler/shim/publish/kernel_table.h"
#include "profiler/shim/process/lock.h"
#include "profiler/shim/steps/product_sums.h"
#include "profiler/shim/publish/publish.h"
#include "profiler/shim/weights/product_roles.h"
#include "profiler/shim/steps/step_clock.h"

#define GNS_BOUNDARY_TIMES 8
#define GNS_CORE_COUNTERS 128u /* at most; counters of the sources in the table of hooks come on top */

enum gns_state { GNS_ASLEEP = 0, GNS_AWAKE, GNS_OFF, GNS_FORKED };

enum { GNS_COUNT_PRODUCTS = 0, GNS_COUNT_FORWARD, GNS_COUNT_DGRAD, GNS_COUNT_WGRAD, GNS_COUNT_OTHER, GNS_COUNTS };

struct gns_core {
	_Atomic int state;
	_Atomic bool measured, learning; /* copies of steps.measured and roles.learning for readers without the lock */
	_Atomic bool aside;              /* a collector that knows the layers is in charge: GEMMs are only timed */
	_Atomic bool feeding;            /* some stream of the layer API is in a measured step */
	_Atomic uint32_t part;           /* while aside: the family of GEMMs in this part of the step */
	_Atomic uint32_t generation;     /* incremented in a child */
	/* reads 0 in a child, also one of clone() or vfork(), for which atfork handlers do not run */
	_Atomic uint32_t *ours;
	struct gns_lock lock;
	struct gns_config config;
	struct gns_roles roles;
	struct gns_product_sums *product_sums;
	struct gns_kernels *kernels;
	struct gns_publish publish;
	struct gns_step_clock steps;
	uint64_t steps_base;             /* steps of stream 0 that another collector counted before */
	struct gns_layer_sums *layer_sums;   /* NULL until a collector uses the layer API */
	struct gns_reductions *reductions;   /* NULL until the first reduction over ranks (reductions.h) */
	uint64_t first_ns, counts[GNS_COUNTS], refused[GNS_REFUSALS];
	struct { uint32_t m, n, k; } last_why[GNS_WHYS];
	uint64_t boundary_ns[GNS_BOUNDARY_TIMES], boundary_real[GNS_BOUNDARY_TIMES];
	uint32_t n_boundaries, early_marks;
	struct gns_counter counter[GNS_COUNTERS_MAX]; /* scratch for publishing counters: too large for a small stack */
	bool told_bad;
};
extern struct gns_core gns_core;

/* Nonzero while this thread is in the shim. GEMMs of gnscope itself, and of BLAS libraries that call each other's
 * entry points, must not be counted. */
extern __thread int gns_inside __attribute__((tls_model("initial-exec")));

/* The stack frame of the gns_core_enter that has set gns_inside; NULL: another function of the shim has set it. */
extern __thread const char *gns_entered_at __attribute__((tls_model("initial-exec")));

/* The lock alone, for a caller with gns_inside set. False, and not held: the shim is off or this is a child. */
bool gns_core_lock(void);
void gns_core_unlock(void);
uint64_t gns_core_seed(int32_t rank);
void gns_core_after_fork(void); /* in a child */
int gns_lifecycle_state(void); /* enum gns_state; notices that this process is a child */
void gns_lifecycle_off(void);  /* for the rest of the process; memory is kept, because other threads may still use it */

/* lifecycle.c */
/* To be called when gns_core_enter finds gns_inside set. If `frame` is not deeper in the stack than the earlier
 * call's frame, siglongjmp has left that call. Its step can never be complete, so the shim turns itself off. */
void gns_lifecycle_notice_left(const void *frame);
void gns_lifecycle_wake(void); /* afterwards gns_core.state is GNS_AWAKE or GNS_OFF */

/* step_boundary.c; under the lock */
size_t gns_step_boundary_counters(struct gns_counter *out);
void gns_step_boundary_close(bool all_counters); /* ends the present step and publishes it */
void gns_step_boundary_begin(uint64_t step);
void gns_step_boundary_reached(const struct gns_verdict *verdict);
void gns_step_boundary_note_time(void); /* a forward product after a backward pass */

#endif
