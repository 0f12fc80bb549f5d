/* What the kernels of gpu_mlp.c are called with: each takes one struct by value. Plain C and CUDA C alike. Matrices are row-major and dense; one
 * thread does one element, or one row where it says so; element types are enum mlp_type. */
#ifndef GNS_TESTS_PROGRAMS_GPU_MLP_KERNELS_H
#define GNS_TESTS_PROGRAMS_GPU_MLP_KERNELS_H

#include <stdint.h>

#define MLP_THREADS 128

enum mlp_type { MLP_F32 = 1, MLP_F64, MLP_BF16 };

/* mlp_relu: y = max(y, 0) */
struct mlp_relu {
	void *y;
	uint64_t n;
	uint32_t type, reserved;
};

/* mlp_drelu: dy = 0 where y <= 0 */
struct mlp_drelu {
	const void *y;
	void *dy;
	uint64_t n;
	uint32_t type, reserved;
};

/* mlp_add: out = a + b */
struct mlp_add {
	const void *a, *b;
	void *out;
	uint64_t n;
	uint32_t type, reserved;
};

/* mlp_loss, a row a thread: dy = scale (softmax(y) - onehot(label)), loss[row] = cross entropy */
struct mlp_loss {
	const void *y;
	void *dy;
	const int32_t *label;
	float *loss;
	uint64_t rows, cols;
	double scale;
	uint32_t type, reserved;
};

/* mlp_softmax, a row a thread, in place: p = softmax(scale p) */
struct mlp_softmax {
	void *p;
	uint64_t rows, cols;
	double scale;
	uint32_t type, reserved;
};

/* mlp_dsoftmax, a row a thread, in place: ds = scale p (dp - sum p dp) */
struct mlp_dsoftmax {
	const void *p;
	void *dp;
	uint64_t rows, cols;
	double scale;
	uint32_t type, reserved;
};

/* mlp_descend: v = momentum v + g; master -= lr v; w = master */
struct mlp_descend {
	void *w, *master, *v; /* master and v: float32, float64 of float64 weights */
	const void *g;
	uint64_t n;
	double lr, momentum;
	uint32_t type, g_type;
};

#endif
