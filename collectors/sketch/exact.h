/* Exact per-sample squared gradient norms of layers that are no matrix product: bias, LayerNorm, embedding. libc only.
 *
 * Y (rows x out) is the gradient with respect to the layer's output; sample i owns rows i*t .. i*t + t - 1, t = rows / samples.
 * Sums are float64. Nothing is allocated; the matrices are only read. Each returns 0, or -EINVAL when samples do not divide the rows,
 * shapes or types disagree, or a matrix is empty. Formulas: SCIENCE.md, "Per-sample norms"; Gray et al. 2023 and 2024
 * (arXiv 2411.00999). */
#ifndef GNS_EXACT_H
#define GNS_EXACT_H

#include "collectors/sketch/sketch.h"

/* sum_i |sum_t y_t|^2: a bias, and LayerNorm's shift. */
int gns_exact_bias(const struct gns_mat *y, size_t samples, double *sum);
/* sum_i |sum_t y_t * xhat_t|^2 (elementwise): LayerNorm's gain; xhat is its normalised input, shaped as y. */
int gns_exact_gain(const struct gns_mat *xhat, const struct gns_mat *y, size_t samples, double *sum);
/* sum_i sum_v |sum_{t: id_t = v} y_t|^2: rows of an embedding table; ids has y->rows entries. Cost t^2 out a sample. */
int gns_exact_embedding(const int64_t *ids, const struct gns_mat *y, size_t samples, double *sum);

#endif
