/* Per-sample gradient norms from the operands of a weight-gradient product, on the CPU. libc only.
 *
 * A weight-gradient product sums over rows: P = X^T Y with X (rows x in) and Y (rows x out). Sample i owns
 * rows i*t .. i*t + t - 1 (t = rows / samples), its share of P is A_i = X_i^T Y_i. See SCIENCE.md, "Per-sample norms".
 *
 * Matrices are given as base, row stride and column stride in elements, so that every storage order and
 * leading dimension is one case; one of the two strides is 1 in every BLAS call. They are only read.
 *
 * Nothing here allocates after gns_sketch_init, locks, changes the rounding mode, flushes denormals or
 * starts a thread. Inputs with inf or nan give inf or nan. Sums are float64; float32 sketches may sum runs of at
 * most 64 terms in float32 lanes before they are folded into float64. Results are the same on every
 * code path to rounding, and bit-identical from call to call on one path. */
#ifndef GNS_COLLECTORS_SKETCH_SKETCH_H
#define GNS_COLLECTORS_SKETCH_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include "gnscope/record.h"

#define GNS_PROBES_DEFAULT 8
#define GNS_PROBES_MAX 32 /* a multiple of 8 */

struct gns_mat {
	const void *data;
	uint32_t dtype; /* enum gns_dtype; the exact norms below take GNS_F32 and GNS_F64 */
	size_t rows, cols;
	ptrdiff_t row_stride, col_stride; /* elements */
};

enum gns_isa { GNS_ISA_PORTABLE = 0, GNS_ISA_AVX2, GNS_ISA_AVX512 };

struct gns_sketch; /* scratch for one thread at a time */

/* The best path this CPU and operating system run. GNSCOPE_ISA=portable|avx2|avx512 lowers it, never raises it. */
enum gns_isa gns_sketch_best_isa(void);

/* Scratch for operands of at most `max_cols` columns (either operand), by mmap; rows are unlimited.
 * NULL when memory cannot be had. A later product with more columns gets -ENOSPC; the caller may then make a
 * larger one outside the hot path. */
struct gns_sketch *gns_sketch_init(size_t max_cols, enum gns_isa isa);
void gns_sketch_free(struct gns_sketch *scratch);

/* Sum over samples i of an unbiased estimate of |A_i|_F^2. With X the narrower side: v is the sum of some of the sample's rows of
 * X, P = v v^T / |v|^2, and
 *     |A|^2 = |P A|^2 + |(I - P) A|^2,   |P A|^2 = |Y^T (X v)|^2 / |v|^2.
 * The first term, which holds all that the mean row adds to A (most of A, as a rule), is exact. Only the second is estimated, with
 * `probes` sign vectors r (E r r^T = I) drawn by a counter-based generator from (seed, stream, sample): u = Y r, z = X^T u, mean
 * over probes of |z - P z|^2. Any v that does not depend on the signs gives the same expectation. With R = (I - P) A,
 * Var of one sample's estimate <= 2 |R|^4 / (probes * stable rank of R). Where v is 0, R is A.
 * One row a sample (rows == samples): |x_i|^2 |y_i|^2, exact, no probes.
 * The signs are put on the wider side, X or Y, where they cost least: the same expectation, with the two exchanged above. A side of
 * at most 8 columns takes them instead, since its estimate is then exact; so is that of a sample of 2 to 4 rows whenever the Gram
 * form is the cheaper one. Which signs, which rows make v, and how the 8 probes of a group share them: docs/internals/sketch.md.
 * `probes` is a multiple of 8. samples must divide rows; no matrix may be empty; both or neither are GNS_F64: else -EINVAL.
 * GNS_F16 and GNS_BF16 are converted to float32 by chunks of 64 rows on their way. `seed`: fresh every step; `stream`: the weight.
 * *per_sample, when not NULL, receives the `samples` single estimates. */
int gns_sketch_sum(struct gns_sketch *scratch, const struct gns_mat *x, const struct gns_mat *y, size_t samples,
		   unsigned probes, uint64_t seed, uint64_t stream, double *sum, double *per_sample);

/* The same of one sample, number `sample` of its step, that is the whole of x and y: for samples whose rows do not follow each
 * other. Bit for bit what gns_sketch_sum gives for it. */
int gns_sketch_one(struct gns_sketch *scratch, const struct gns_mat *x, const struct gns_mat *y, unsigned probes, uint64_t seed,
		   uint64_t stream, uint64_t sample, double *value);

/* Exact |M|_F^2, and |M - scale * N|_F^2 for a product that accumulates into its output. */
double gns_norm2(const struct gns_mat *m, enum gns_isa isa);
double gns_diff_norm2(const struct gns_mat *m, const struct gns_mat *n, double scale, enum gns_isa isa);

/* The generator, exposed for tests: 64 fair bits, a pure function of its arguments. */
uint64_t gns_sketch_bits(uint64_t seed, uint64_t stream, uint64_t sample, uint64_t counter);

#endif
