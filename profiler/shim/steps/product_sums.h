/* The sums of a step, as measured from GEMMs in host memory: for each weight, over its micro-steps.
 *
 * A weight-gradient product P = X^T Y of n samples is taken as the mean gradient (mean loss); then sample i's own
 * gradient is n A_i, q_big = |P|^2 and q_small = mean_i |n A_i|^2 = n sum_i |A_i|^2 (SCIENCE.md, "Per-sample norms").
 * A summed loss scales both by n^2, which does not change B_noise. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_H

#include <stdatomic.h>

#include "collectors/sketch/sketch.h"
#include "profiler/shim/weights/product.h"
#include "profiler/shim/weights/product_roles.h"

#define GNS_PARAMS_MAX 4096
#define GNS_OPEN_MAX 256    /* gradients that may belong to several weights */
#define GNS_PENDING_MAX 256 /* GEMMs between _before and _after, of all threads; a batched call has many */
#define GNS_POOL 4
#define GNS_COPY_MAX (256u << 20)
#define GNS_INPUTS 8

enum gns_refusal { /* why a step that should have been measured is skipped */
	GNS_REFUSED_NOT = 0,
	GNS_REFUSED_NOT_DIVIDING, /* the samples set by the user do not divide the rows */
	GNS_REFUSED_ROWS_DIFFER,  /* no samples were set and the layers have different numbers of rows */
	GNS_REFUSED_ONE_SAMPLE,
	GNS_REFUSED_NOT_FINITE,
	GNS_REFUSED_MEMORY,       /* scratch or copy could not be allocated, or is in use by too many threads */
	GNS_REFUSED_TOO_MANY,     /* more weights or GEMMs than the tables hold */
	GNS_REFUSED_TYPE,         /* an element type that the sketch does not support */
	/* by whole samples (a smaller last batch), while the number set by the user stayed the same */
	GNS_REFUSED_ROWS_CHANGED,
	GNS_REFUSED_DEVICE_BEHIND, /* too many measurements were in flight on a device, or one of its calls failed */
	GNS_REFUSALS
};
const char *gns_refusal_name(enum gns_refusal why);

struct gns_param_sum {
	double q_small, q_big;      /* sums over micro-steps */
	uint32_t micro, in_micro;   /* micro-steps measured; gradient GEMMs in the present one */
	uint64_t n, rows;
	uint64_t usual_rows, odd_rows; /* rows of one GEMM: the usual number; a different one that was seen */
	uint32_t odd_run;
	uint64_t input[GNS_INPUTS]; /* fingerprints of the latest inputs in this step */
	uint32_t n_inputs;
	bool odd_same, rows_vary;
	bool known, told, excluded; /* seen in a measured step; PARAM was sent; used more than once a micro-step */
	bool newly_excluded;
	struct gns_key key;
	char name[80];
};

struct gns_pending {
	_Atomic int busy;
	struct gns_pending *next; /* of the same call */
	struct gns_product product;
	uint32_t id[GNS_OPERAND_USES_FOUND];
	const void *dy[GNS_OPERAND_USES_FOUND];
	unsigned n_id;
	void *copy; /* of the output before the call, when beta != 0 */
	size_t copy_size;
	double q_small, q_big;
	uint64_t n;
	enum gns_refusal refused;
};

struct gns_open {
	uint32_t id[GNS_OPERAND_USES_FOUND];
	const void *dy[GNS_OPERAND_USES_FOUND];
	unsigned n_id;
	double q_small, q_big;
	uint64_t n, rows;
};

#define GNS_NAMES_MAX 1024
struct gns_given_name {
	const void *data;
	uint64_t rows, cols; /* 0: any */
	char name[80];
};

struct gns_product_sums {
	struct gns_given_name *given; /* GNS_NAMES_MAX */
	uint32_t n_given;
	struct gns_param_sum *param; /* by weight id - 1 */
	uint32_t n_params;           /* highest id seen */
	struct gns_open open[GNS_OPEN_MAX];
	uint32_t n_open;
	struct gns_pending pending[GNS_PENDING_MAX];
	struct {
		_Atomic int busy;
		struct gns_sketch *sketch;
		size_t cols;
	} pool[GNS_POOL];
	uint64_t samples;            /* in a micro-step, as set by the user; 0 not set */
	bool samples_marked;         /* set by gns_samples() in the training program, not by --samples */
	uint32_t probes;
	uint64_t rows, n;            /* in this step: the most rows of a GEMM; samples of a micro-step */
	enum gns_refusal refused;
	size_t max_cols;             /* widest operand of any weight seen */
	uint64_t seed;
	enum gns_isa isa;
	/* what the step measures on devices; NULL: GEMMs in host memory are measured */
	struct gns_product_sums_device *deferred;
};

bool gns_product_sums_init(struct gns_product_sums *sums);
void gns_product_sums_free(struct gns_product_sums *sums);

/* All but gns_product_sums_run under the core's lock. */

/* A forward use of a weight: updates its key and counts micro-steps. input: fingerprint of X; 0 where the step is not
 * measured. */
void gns_product_sums_weight(struct gns_product_sums *sums, const struct gns_weight *weight, uint64_t input);
/* A name given by the training program, for the weight that is at this address now or later. */
void gns_product_sums_name(struct gns_product_sums *sums, const char *name, const void *data, uint64_t rows,
			   uint64_t cols);
void gns_product_sums_clear(struct gns_product_sums *sums); /* a new step */
/* Before the GEMM: a pending entry, or NULL (all its weights are left out, or the step is skipped). */
struct gns_pending *gns_product_sums_before(struct gns_product_sums *sums, const struct gns_product *product,
				       const struct gns_verdict *verdict, const struct gns_roles *roles);
/* For GEMMs with deferred values, instead of _before: which weights, how many samples. False: none, or the step is
 * skipped. */
struct gns_admitted {
	uint32_t id[GNS_OPERAND_USES_FOUND];
	const void *dy[GNS_OPERAND_USES_FOUND]; /* its dY, if the gradient is that of id[i] */
	unsigned n_id;
	uint64_t n;
};
bool gns_product_sums_admit(struct gns_product_sums *sums, const struct gns_product *product,
			    const struct gns_verdict *verdict, const struct gns_roles *roles, struct gns_admitted *out);
void gns_product_sums_refuse(struct gns_product_sums *sums, enum gns_refusal why); /* skips the step */
/* This weight was multiplied by this dY in a data-gradient GEMM: an open gradient with this dY belongs to it. */
void gns_product_sums_settle(struct gns_product_sums *sums, const void *dy, uint32_t id);
/* After the GEMM has been measured: adds its numbers to the step. */
void gns_product_sums_after(struct gns_product_sums *sums, struct gns_pending *pending);
/* Instead of _after: the entry belongs to a step that is over. */
void gns_product_sums_drop(struct gns_pending *pending);
/* The step is complete: assigns the gradients that are still open and checks the step. Why it is skipped, or
 * GNS_REFUSED_NOT. */
enum gns_refusal gns_product_sums_close(struct gns_product_sums *sums);

/* Without the lock, between _before and _after: reads the operands and the output. */
void gns_product_sums_run(struct gns_product_sums *sums, struct gns_pending *pending, uint64_t step);

#endif
