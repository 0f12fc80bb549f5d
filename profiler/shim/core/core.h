/* The core of the shim: turns the matrix multiplications (products) that collectors report into measured steps in the
 * ring.
 *
 *   struct gns_call call;
 *   if (gns_core_enter(&call, "sgemm")) {     // false: re-entered or switched off: just call through
 *           gns_core_before(&call, &product); // once per product; several for a batched call
 *           gns_core_calling(&call);
 *           ... the real call ...
 *           gns_core_after(&call);
 *   }
 *
 * Any thread may call. One mutex guards the state; it is never held while the training program's real call runs.
 * errno is kept. Nothing here prints or aborts. */
#ifndef GNS_PROFILER_SHIM_CORE_CORE_H
#define GNS_PROFILER_SHIM_CORE_CORE_H

#include "profiler/shim/steps/step_hooks.h"
#include "profiler/shim/weights/product.h"

#define GNS_GEMM_COUNTERS 32u /* at most */
#define GNS_BATCH_MAX 4096 /* products that are read of one batched call */

struct gns_device_job;
struct gns_pending; /* a weight gradient to be measured after its GEMM has returned */

struct gns_call {
	const char *api;      /* for example "sgemm": names the kernel in the records */
	uint64_t entered_ns, called_ns;
	uint64_t step;        /* the step that its gradients belong to */
	struct gns_product product; /* the first product of the call */
	uint32_t role;        /* enum gns_product_role or enum gns_family */
	uint32_t n_products, n_wgrads;
	struct gns_pending *pending;
	struct gns_device_job *jobs; /* kernels to launch before or after a call on a device */
	uint32_t logged;             /* index of its first entry in the product log, +1; 0 none */
	bool began;                  /* a step begins with this call */
	uint32_t scale;       /* the timed cost counts for this many calls */
	bool measured;
	/* the caller sets it before gns_core_after if the real call returned an error: then the call is not measured */
	bool failed;
	int saved_errno;
};

bool gns_core_enter(struct gns_call *call, const char *api);
/* The same for products in host memory. Also false where a collector that knows the layers is in charge and the step
 * is not measured. Not for products on devices: their streams must always be known. */
bool gns_core_enter_host(struct gns_call *call, const char *api);
void gns_core_before(struct gns_call *call, const struct gns_product *product);
void gns_core_calling(struct gns_call *call); /* right before the real call, after the last gns_core_before */
void gns_core_after(struct gns_call *call);   /* right after it */

/* True while a collector that knows the layers is in charge: products need not be described. One load. */
bool gns_core_stands_aside(void);

/* Marks from gnscope.h. */
void gns_core_mark_step(void);
void gns_core_mark_samples(uint64_t samples);
void gns_core_mark_loss(double loss);
void gns_core_mark_param(const char *name, const void *data, uint64_t rows, uint64_t cols);

/* Rows of the table of hooks: GEMMs, and GEMMs on devices (products_device.c). */
extern const struct gns_step_hooks gns_gemm_hooks, gns_device_gemm_hooks;

#endif
