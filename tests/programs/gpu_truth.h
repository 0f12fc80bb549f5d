/* Every sample's own weight gradient, materialised in float64 on the host from a layer's operands. */
#ifndef GNS_TESTS_PROGRAMS_GPU_TRUTH_H
#define GNS_TESTS_PROGRAMS_GPU_TRUTH_H

#include <stddef.h>

struct gpu_norms {
	double q_small, q_big; /* as in SCIENCE.md: of the mean over samples of |n A_i|^2, and |sum A_i|^2 */
};

/* x: rows x in, dy: rows x out; each of the `samples` owns rows / samples of them that follow each other. dy belongs to the mean loss. The
 * gradient (out x in) is also added to `whole`. */
struct gpu_norms gpu_truth(const double *x, const double *dy, size_t rows, size_t in, size_t out, size_t samples, double *whole);
double gpu_norm2(const double *v, size_t n);

#endif
