/* The shim's middle: from products, as collectors report them, to measured steps in the ring.
 *
 *   struct gns_call call;
 *   if (gns_core_enter(&call, "sgemm")) {     // false: re-entered or switched off: just call through
 *           gns_core_before(&call, &product); // once per product; several for a batched call
 *           gns_core_calling(&call);
 *           ... the real call ...
 *           gns_core_after(&call);
 *   }
 *
 * Any thread may call; the state is guarded by one mutex that is never held while the trainer's own call runs. errno is kept.
 * Nothing here prints or aborts. */
#ifndef GNS_PROFILER_SHIM_CORE_CORE_H
#define GNS_PROFILER_SHIM_CORE_CORE_H

#include "profiler/shim/steps/step_hooks.h"
#include "profiler/shim/weights/product.h"

#define GNS_GEMM_COUNTERS 32u /* at most */
#define GNS_BATCH_MAX 4096 /* products of one batched call that are looked at */

struct gns_device_job;
struct gns_pending; /* a weight gradient to be measured once its product is there */

struct gns_call {
	const char *api;      /* "sgemm", for names of kernels */
	uint64_t entered_ns, called_ns;
	uint64_t step;        /* that its gradients belong to */
	struct gns_product product; /* the first */
	uint32_t role;        /* or family */
	uint32_t n_products, n_wgrads;
	struct gns_pending *pending;
	struct gns_device_job *jobs; /* what is to be launched around a call on a device */
	uint32_t logged;             /* its products in the log of these, +1 */
	bool began;                  /* a step begins with it */
	uint32_t scale;       /* how many calls this one's timed cost stands for */
	bool measured;
	bool failed;          /* set before gns_core_after where the call returned an error: nothing of it is measured */
	int saved_errno;
};

bool gns_core_enter(struct gns_call *call, const char *api);
/* The same for products in host memory: false, too, where nothing is wanted of them, since another collector stands before this one
 * and the step is not measured. Not for devices, of which it must be known where products run. */
bool gns_core_enter_host(struct gns_call *call, const char *api);
void gns_core_before(struct gns_call *call, const struct gns_product *product);
void gns_core_calling(struct gns_call *call); /* right before the real call, after the last gns_core_before */
void gns_core_after(struct gns_call *call);   /* right after it */

/* A collector that knows the layers is at work: products need not be described. One load. */
bool gns_core_stands_aside(void);

/* Marks from gnscope.h. */
void gns_core_mark_step(void);
void gns_core_mark_samples(uint64_t samples);
void gns_core_mark_loss(double loss);
void gns_core_mark_param(const char *name, const void *data, uint64_t rows, uint64_t cols);

/* Rows of the table of hooks: GEMMs, and GEMMs on devices (products_device.c). */
extern const struct gns_step_hooks gns_gemm_hooks, gns_device_gemm_hooks;

#endif
