/* What gpu_mlp.c does between its matrix products. Compiled by nvcc for devices, and as C++ for the fakes (tests/fakes/emulate.h). */
#ifdef GNS_EMULATE
#include "tests/fakes/emulate.h"
#else
#define GNS_EMULATED(symbol, args)
#endif

#include "tests/programs/gpu_mlp_kernels.h"

static __device__ double load(const void *base, uint32_t type, uint64_t i)
{
	if (type == MLP_F64)
		return ((const double *)base)[i];
	if (type == MLP_F32)
		return (double)((const float *)base)[i];
	union { uint32_t bits; float value; } x;
	x.bits = (uint32_t)((const uint16_t *)base)[i] << 16;
	return (double)x.value;
}

static __device__ void store(void *base, uint32_t type, uint64_t i, double value)
{
	if (type == MLP_F64) {
		((double *)base)[i] = value;
	} else if (type == MLP_F32) {
		((float *)base)[i] = (float)value;
	} else {
		union { uint32_t bits; float value; } x;
		x.value = (float)value;
		((uint16_t *)base)[i] = (uint16_t)((x.bits + 0x7fff + (x.bits >> 16 & 1)) >> 16);
	}
}

static __device__ void relu(const mlp_relu &a, uint64_t i)
{
	if (i < a.n && !(load(a.y, a.type, i) > 0))
		store(a.y, a.type, i, 0);
}

static __device__ void drelu(const mlp_drelu &a, uint64_t i)
{
	if (i < a.n && !(load(a.y, a.type, i) > 0))
		store(a.dy, a.type, i, 0);
}

static __device__ void add(const mlp_add &a, uint64_t i)
{
	if (i < a.n)
		store(a.out, a.type, i, load(a.a, a.type, i) + load(a.b, a.type, i));
}

static __device__ double top_of(const void *x, uint32_t type, uint64_t row, uint64_t cols, double scale)
{
	double top = scale * load(x, type, row * cols);
	for (uint64_t c = 1; c < cols; c++) {
		const double one = scale * load(x, type, row * cols + c);
		top = one > top ? one : top;
	}
	return top;
}

static __device__ void loss(const mlp_loss &a, uint64_t row)
{
	if (row >= a.rows)
		return;
	const double top = top_of(a.y, a.type, row, a.cols, 1);
	double sum = 0;
	for (uint64_t c = 0; c < a.cols; c++)
		sum += exp(load(a.y, a.type, row * a.cols + c) - top);
	for (uint64_t c = 0; c < a.cols; c++) {
		const double p = exp(load(a.y, a.type, row * a.cols + c) - top) / sum;
		store(a.dy, a.type, row * a.cols + c, a.scale * (p - (double)((int32_t)c == a.label[row])));
	}
	a.loss[row] = (float)(log(sum) + top - load(a.y, a.type, row * a.cols + (uint64_t)a.label[row]));
}

static __device__ void softmax(const mlp_softmax &a, uint64_t row)
{
	if (row >= a.rows)
		return;
	const double top = top_of(a.p, a.type, row, a.cols, a.scale);
	double sum = 0;
	for (uint64_t c = 0; c < a.cols; c++)
		sum += exp(a.scale * load(a.p, a.type, row * a.cols + c) - top);
	for (uint64_t c = 0; c < a.cols; c++)
		store(a.p, a.type, row * a.cols + c, exp(a.scale * load(a.p, a.type, row * a.cols + c) - top) / sum);
}

static __device__ void dsoftmax(const mlp_dsoftmax &a, uint64_t row)
{
	if (row >= a.rows)
		return;
	double sum = 0;
	for (uint64_t c = 0; c < a.cols; c++)
		sum += load(a.p, a.type, row * a.cols + c) * load(a.dp, a.type, row * a.cols + c);
	for (uint64_t c = 0; c < a.cols; c++) {
		const uint64_t i = row * a.cols + c;
		store(a.dp, a.type, i, a.scale * load(a.p, a.type, i) * (load(a.dp, a.type, i) - sum));
	}
}

static __device__ void descend(const mlp_descend &a, uint64_t i)
{
	const uint32_t wide = a.type == MLP_F64 ? MLP_F64 : MLP_F32;
	if (i >= a.n)
		return;
	store(a.v, wide, i, a.momentum * load(a.v, wide, i) + load(a.g, a.g_type, i));
	store(a.master, wide, i, load(a.master, wide, i) - a.lr * load(a.v, wide, i));
	store(a.w, a.type, i, load(a.master, wide, i));
}

#define ENTRY(name) \
	extern "C" __global__ void mlp_##name(const struct mlp_##name a) \
	{ \
		name(a, (uint64_t)blockIdx.x * blockDim.x + threadIdx.x); \
	} \
	GNS_EMULATED(mlp_##name, mlp_##name)

ENTRY(relu)
ENTRY(drelu)
ENTRY(add)
ENTRY(loss)
ENTRY(softmax)
ENTRY(dsoftmax)
ENTRY(descend)
