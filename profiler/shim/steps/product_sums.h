/* One step's measurements: per weight, over its micro-steps.
 *
 * A weight-gradient product P = X^T Y of n samples is taken as the mean gradient (mean loss); then sample i's own gradient is
 * n A_i, q_big = |P|^2 and q_small = mean_i |n A_i|^2 = n sum_i |A_i|^2 (SCIENCE.md, "Per-sample norms"). A summed loss
 * scales both by n^2 and leaves B_noise alone. */
#ifndef GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_H
#define GNS_PROFILER_SHIM_STEPS_PRODUCT_SUMS_H

#include <stdatomic.h>

#include "collectors/sketch/sketch.h"
#include "profiler/shim/weights/product.h"
#include "profiler/shim/weights/product_roles.h"

#define GNS_PARAMS_MAX 4096
#define GNS_OPEN_MAX 256    /* products whose weight is not settled yet */
#define GNS_PENDING_MAX 256 /* products between before and after, all threads; a batched call has many */
#define GNS_POOL 4
#define GNS_COPY_MAX (256u << 20)
#define GNS_INPUTS 8

enum gns_refusal { /* why a step that was to be measured is not */
	GNS_REFUSED_NOT = 0,
	GNS_REFUSED_NOT_DIVIDING, /* the samples told do not divide the rows */
	GNS_REFUSED_ROWS_DIFFER,  /* no samples told and the layers' rows differ */
	GNS_REFUSED_ONE_SAMPLE,
	GNS_REFUSED_NOT_FINITE,
	GNS_REFUSED_MEMORY,       /* scratch or copy could not be had, or is in use by too many threads */
	GNS_REFUSED_TOO_MANY,     /* weights or products beyond the tables */
	GNS_REFUSED_TYPE,         /* an element type the sketch does not know */
	GNS_REFUSED_ROWS_CHANGED, /* as if whole samples had gone or come (a smaller last batch), with the same number told */
	GNS_REFUSED_DEVICE_BEHIND, /* too many measurements were under way on a device, or one of its calls failed */
	GNS_REFUSALS
};
const char *gns_refusal_name(enum gns_refusal why);

struct gns_param_sum {
	double q_small, q_big;      /* sums over micro-steps */
	uint32_t micro, in_micro;   /* micro-steps measured; gradient products in the present one */
	uint64_t n, rows;
	uint64_t usual_rows, odd_rows; /* of one product, from step to step */
	uint32_t odd_run;
	uint64_t input[GNS_INPUTS]; /* fingerprints of the newest inputs of this step */
	uint32_t n_inputs;
	bool odd_same, rows_vary;
	bool known, told, excluded; /* seen in a measured step; PARAM published; used more than once a micro-step */
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
	void *copy; /* of the output before, when beta != 0 */
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
	uint64_t samples;            /* in a micro-step; 0 not told */
	bool samples_marked;         /* told by the trainer as it goes, not once for all */
	uint32_t probes;
	uint64_t rows, n;            /* of this step: tallest product; samples of a micro-step */
	enum gns_refusal refused;
	size_t max_cols;             /* widest operand of any weight seen */
	uint64_t seed;
	enum gns_isa isa;
	struct gns_product_sums_device *late; /* what the step has measured on devices; NULL where there are none */
};

bool gns_product_sums_init(struct gns_product_sums *measure);
void gns_product_sums_free(struct gns_product_sums *measure);

/* Under the lock. */
/* A forward use: its key, its micro-step. input: fingerprint of what it is multiplied with, 0 where the step is not measured. */
void gns_product_sums_weight(struct gns_product_sums *measure, const struct gns_weight *weight, uint64_t input);
/* A name given by the trainer, for the weight at this address now or later. */
void gns_product_sums_name(struct gns_product_sums *measure, const char *name, const void *data, uint64_t rows, uint64_t cols);
void gns_product_sums_clear(struct gns_product_sums *measure); /* a new step */
/* Before the product: a pending entry, or NULL (all its weights are left out, or the step is refused). */
struct gns_pending *gns_product_sums_before(struct gns_product_sums *measure, const struct gns_product *product,
				       const struct gns_verdict *verdict, const struct gns_roles *roles);
/* The first half of it, for products whose values come late: which weights, how many samples. False: none, or refused. */
struct gns_admitted {
	uint32_t id[GNS_OPERAND_USES_FOUND];
	const void *dy[GNS_OPERAND_USES_FOUND]; /* if it is that one's */
	unsigned n_id;
	uint64_t n;
};
bool gns_product_sums_admit(struct gns_product_sums *measure, const struct gns_product *product, const struct gns_verdict *verdict,
		       const struct gns_roles *roles, struct gns_admitted *out);
void gns_product_sums_refuse(struct gns_product_sums *measure, enum gns_refusal why); /* the step */
/* A data-gradient product met this weight with this dY: settles what is open. */
void gns_product_sums_settle(struct gns_product_sums *measure, const void *dy, uint32_t id);
/* After the product has been measured. */
void gns_product_sums_after(struct gns_product_sums *measure, struct gns_pending *pending);
/* Or else: it belongs to a step that is over. */
void gns_product_sums_drop(struct gns_pending *pending);
/* All is in: settles the rest, checks. The refusal of the step, or GNS_REFUSED_NOT. */
enum gns_refusal gns_product_sums_close(struct gns_product_sums *measure);

/* Outside the lock, between the two: reads the operands and the output. */
void gns_product_sums_run(struct gns_product_sums *measure, struct gns_pending *pending, uint64_t step);

#endif
