/* A matrix product (GEMM) C = alpha * L R + beta * C, as every collector describes it, whatever its API:
 * L is m x k, R is k x n, k is summed over. Addresses belong to the training program and are only read while its call
 * is in progress. Strides are in elements; each operand has one stride of 1. */
#ifndef GNS_PROFILER_SHIM_WEIGHTS_PRODUCT_H
#define GNS_PROFILER_SHIM_WEIGHTS_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gnscope/record.h"

struct gns_operand {
	const void *data;
	size_t free_n;     /* extent of the dimension that is not summed over: m of L, n of R */
	size_t sum_n;      /* extent of the dimension that is summed over: k */
	ptrdiff_t ld;      /* stride of the slow dimension */
	bool sum_fast;     /* the summed dimension is the contiguous one */
};

struct gns_fingerprint;
struct gns_device;

struct gns_product {
	uint32_t dtype;   /* enum gns_dtype, of L and R; float32 and float64 in host memory, any on a device */
	uint32_t c_dtype; /* of C; 0: the same */
	struct gns_device *device; /* NULL: host memory. Otherwise addresses are of this device and are not read here */
	void *stream;              /* of the call, on a device */
	/* fingerprints of L and R if they are known; NULL: read the operands */
	const struct gns_fingerprint *left_print, *right_print;
	size_t m, n, k;
	struct gns_operand left, right;
	void *c;
	ptrdiff_t c_row_stride, c_col_stride;
	double alpha, beta;          /* NaN: in device memory, not read */
	/* NULL, or why the result is not exactly this C ("epilogue", "other_c"): such a GEMM has a role, but is not
	 * measured as a weight gradient */
	const char *altered;
};

/* Where and how a matrix operand is stored: identifies a weight. */
struct gns_key {
	const void *data;
	size_t slow_n, fast_n;
	ptrdiff_t ld;
	uint32_t dtype;
};

static inline struct gns_key gns_operand_key(const struct gns_operand *o, uint32_t dtype)
{
	return (struct gns_key){ o->data, o->sum_fast ? o->free_n : o->sum_n, o->sum_fast ? o->sum_n : o->free_n,
				 o->ld, dtype };
}

static inline size_t gns_dtype_size(uint32_t dtype)
{
	return dtype == GNS_F64 ? 8 : dtype == GNS_F32 ? 4 : 2;
}

/* The purpose of a GEMM in training. */
enum gns_product_role { GNS_ROLE_OTHER = 0, GNS_ROLE_FORWARD, GNS_ROLE_DGRAD, GNS_ROLE_WGRAD, GNS_ROLES };

#endif
