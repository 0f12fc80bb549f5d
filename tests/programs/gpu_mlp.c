/* A trainer on GPUs in C: a perceptron of three layers, with an attention block between if asked for, on cuBLAS or cuBLASLt and the driver API.
 *
 * Softmax cross-entropy of every row (a token of a sample), SGD with momentum, synthetic data of a random teacher. It knows nothing of
 * gnscope. The same binary runs on the fakes and on real devices: LD_LIBRARY_PATH decides. With --truth a second run of the same
 * training, without graphs, also computes every sample's own gradient, from operands copied back after each step (gpu_truth.c). */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_api.h"
#include "gpu_mlp_kernels.h"
#include "gpu_mlp_options.h"
#include "gpu_product.h"
#include "gpu_truth.h"

extern const unsigned char gpu_mlp_image[];

#define CLASSES 10

enum kernel { RELU, DRELU, ADD, LOSS, SOFTMAX, DSOFTMAX, DESCEND, KERNELS };
static const char *const kernel_names[KERNELS] = { "mlp_relu", "mlp_drelu", "mlp_add", "mlp_loss", "mlp_softmax", "mlp_dsoftmax",
						   "mlp_descend" };

struct device {
	CUcontext context;
	CUstream stream[MLP_STREAMS];
	CUevent fork, join;
	CUfunction kernel[KERNELS];
	struct gpu_blas blas;
};

struct linear {
	const char *name;
	struct device *on;
	int in, out;
	void *w, *master, *v, *g, *bias_g;
	const void *x, *dy; /* of the newest pass */
	double q_small, q_big, *whole; /* truth of the step, summed over micro-steps */
};

enum layer { FC1, QUERY, KEY, VALUE, OUTPUT, FC2, FC3, LAYERS };

struct model {
	struct mlp_options o;
	int rows; /* of a micro-step */
	struct device device[MLP_DEVICES];
	struct device *last; /* of fc2 and fc3 */
	struct linear layer[LAYERS];
	void *x, *h1, *q, *k, *v, *p, *a, *o1, *h2, *h2_far, *h3, *y;
	void *dy, *dh3, *dh2, *dh2_far, *da, *dp, *dq, *dk, *dv, *dh1;
	void *label, *loss; /* accumulate times rows */
	char *staging;
	size_t input_bytes, label_bytes;
	double *teacher;
	uint64_t state;
	FILE *truth;
};

void gpu_die(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fputs("gpu_mlp: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void must(CUresult result, const char *what)
{
	if (result)
		gpu_die("%s failed: CUDA error %d", what, result);
}

/* splitmix64 (Steele, Lea and Flood 2014) */
static double uniform(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1;
}

/* ---- elements ---- */

static void to_type(void *out, enum mlp_type type, const double *in, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float f = (float)in[i];
		uint32_t bits;
		memcpy(&bits, &f, sizeof bits);
		if (type == MLP_F64)
			((double *)out)[i] = in[i];
		else if (type == MLP_F32)
			((float *)out)[i] = f;
		else
			((uint16_t *)out)[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
	}
}

static void from_type(double *out, enum mlp_type type, const void *in, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (type == MLP_F64)
			out[i] = ((const double *)in)[i];
		else if (type == MLP_F32)
			out[i] = (double)((const float *)in)[i];
		else {
			uint32_t bits = (uint32_t)((const uint16_t *)in)[i] << 16;
			float f;
			memcpy(&f, &bits, sizeof f);
			out[i] = (double)f;
		}
	}
}

static enum mlp_type wide_type(enum mlp_type type)
{
	return type == MLP_F64 ? MLP_F64 : MLP_F32;
}

/* ---- memory and kernels ---- */

static void use(const struct device *d)
{
	must(cuCtxSetCurrent(d->context), "cuCtxSetCurrent");
}

static void *device_memory(size_t bytes)
{
	CUdeviceptr at;
	must(cuMemAlloc_v2(&at, bytes), "cuMemAlloc");
	must(cuMemsetD8_v2(at, 0, bytes), "cuMemsetD8");
	return (void *)at;
}

static double *read_back(const void *from, enum mlp_type type, size_t n)
{
	void *raw = malloc(n * gpu_size(type));
	double *out = malloc(n * sizeof *out);
	must(cuMemcpyDtoH_v2(raw, (CUdeviceptr)from, n * gpu_size(type)), "cuMemcpyDtoH");
	from_type(out, type, raw, n);
	free(raw);
	return out;
}

static void launch(struct device *d, enum kernel kernel, size_t threads, void *args)
{
	void *parameters[] = { args };
	must(cuLaunchKernel(d->kernel[kernel], (unsigned)((threads + MLP_THREADS - 1) / MLP_THREADS), 1, 1, MLP_THREADS, 1, 1, 0, d->stream[0],
			    parameters, NULL), kernel_names[kernel]);
}

static void device_open(struct device *d, int ordinal, const struct mlp_options *o)
{
	CUdevice number;
	CUmodule module;
	must(cuDeviceGet(&number, ordinal), "cuDeviceGet");
	must(cuDevicePrimaryCtxRetain(&d->context, number), "cuDevicePrimaryCtxRetain");
	use(d);
	for (int i = 0; i < MLP_STREAMS; i++)
		must(cuStreamCreate(&d->stream[i], CU_STREAM_NON_BLOCKING), "cuStreamCreate");
	must(cuEventCreate(&d->fork, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
	must(cuEventCreate(&d->join, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
	must(cuModuleLoadData(&module, gpu_mlp_image), "cuModuleLoadData (built without nvcc there are no kernels for a real device)");
	for (int i = 0; i < KERNELS; i++)
		must(cuModuleGetFunction(&d->kernel[i], module, kernel_names[i]), kernel_names[i]);
	gpu_blas_init(&d->blas, o->api, o->wide, o->type, o->g_type);
}

/* ---- model ---- */

static void linear_init(struct model *m, enum layer which, const char *name, struct device *on, int in, int out)
{
	struct linear *l = &m->layer[which];
	size_t n = (size_t)in * (size_t)out, wide = gpu_size(wide_type(m->o.type));
	double *w = malloc(n * sizeof *w), limit = sqrt(3.0 / in);
	char *raw = malloc(n * sizeof *w);
	*l = (struct linear){ .name = name, .on = on, .in = in, .out = out };
	for (size_t i = 0; i < n; i++)
		w[i] = limit * uniform(&m->state);
	use(on);
	l->w = device_memory(n * gpu_size(m->o.type));
	l->master = device_memory(n * wide);
	l->v = device_memory(n * wide);
	l->g = device_memory(n * gpu_size(m->o.g_type));
	l->bias_g = device_memory((size_t)out * gpu_size(m->o.g_type));
	to_type(raw, m->o.type, w, n);
	must(cuMemcpyHtoD_v2((CUdeviceptr)l->w, raw, n * gpu_size(m->o.type)), "cuMemcpyHtoD");
	to_type(raw, wide_type(m->o.type), w, n);
	must(cuMemcpyHtoD_v2((CUdeviceptr)l->master, raw, n * wide), "cuMemcpyHtoD");
	free(raw);
	free(w);
}

static void buffers_init(struct model *m)
{
	const struct mlp_options *o = &m->o;
	size_t rows = (size_t)m->rows, item = gpu_size(o->type), micro = (size_t)o->accumulate;
	size_t hidden = rows * (size_t)o->hidden * item, scores = rows * (size_t)o->tokens * item, classes = rows * CLASSES * item;
	void **near[] = { &m->h1, &m->q, &m->k, &m->v, &m->a, &m->o1, &m->h2, &m->dh2, &m->da, &m->dq, &m->dk, &m->dv, &m->dh1 };
	void **far[] = { &m->h2_far, &m->h3, &m->dh3, &m->dh2_far };
	m->input_bytes = rows * (size_t)o->in * item;
	m->label_bytes = rows * sizeof(int32_t);
	m->staging = malloc((m->input_bytes + m->label_bytes) * micro);
	use(&m->device[0]);
	m->x = device_memory(m->input_bytes * micro);
	m->p = device_memory(scores);
	m->dp = device_memory(scores);
	for (size_t i = 0; i < sizeof near / sizeof *near; i++)
		*near[i] = device_memory(hidden);
	use(m->last);
	for (size_t i = 0; i < sizeof far / sizeof *far; i++)
		*far[i] = device_memory(hidden);
	m->y = device_memory(classes);
	m->dy = device_memory(classes);
	m->label = device_memory(m->label_bytes * micro);
	m->loss = device_memory(rows * sizeof(float) * micro);
}

static void model_init(struct model *m, const struct mlp_options *o)
{
	int count = 0;
	*m = (struct model){ .o = *o, .rows = o->batch * o->tokens, .state = o->seed };
	must(cuInit(0), "cuInit");
	must(cuDeviceGetCount(&count), "cuDeviceGetCount");
	if (count < o->devices)
		gpu_die("%d devices are asked for, there are %d", o->devices, count);
	for (int i = 0; i < o->devices; i++)
		device_open(&m->device[i], i, o);
	m->last = &m->device[o->devices - 1];
	linear_init(m, FC1, "fc1", &m->device[0], o->in, o->hidden);
	for (int i = QUERY; i <= OUTPUT; i++)
		linear_init(m, (enum layer)i, (const char *const[]){ "query", "key", "value", "output" }[i - QUERY], &m->device[0], o->hidden,
			    o->hidden);
	linear_init(m, FC2, "fc2", m->last, o->hidden, o->hidden);
	linear_init(m, FC3, "fc3", m->last, o->hidden, CLASSES);
	buffers_init(m);
	m->teacher = malloc((size_t)o->in * CLASSES * sizeof *m->teacher);
	for (int i = 0; i < o->in * CLASSES; i++)
		m->teacher[i] = uniform(&m->state);
	/* What was cleared is cleared in the legacy stream, for which ours do not wait. */
	for (int i = 0; i < o->devices; i++) {
		use(&m->device[i]);
		must(cuCtxSynchronize(), "cuCtxSynchronize");
	}
}

/* Labels by a linear teacher; every tenth is drawn at random, so that noise remains. */
static void draw_rows(struct model *m, void *x, int32_t *label)
{
	int in = m->o.in;
	double *row = malloc((size_t)in * sizeof *row);
	for (int r = 0; r < m->rows; r++) {
		double best = -INFINITY;
		for (int i = 0; i < in; i++)
			row[i] = uniform(&m->state);
		for (int c = 0; c < CLASSES; c++) {
			double score = 0;
			for (int i = 0; i < in; i++)
				score += m->teacher[c * in + i] * row[i];
			if (score > best) {
				best = score;
				label[r] = c;
			}
		}
		if (uniform(&m->state) > 0.8)
			label[r] = (int32_t)((uniform(&m->state) + 1) * 0.5 * CLASSES) % CLASSES;
		to_type((char *)x + (size_t)r * (size_t)in * gpu_size(m->o.type), m->o.type, row, (size_t)in);
	}
	free(row);
}

/* All micro-steps' data, before the step: a graph has no such copy. */
static void feed(struct model *m)
{
	size_t micro = (size_t)m->o.accumulate;
	char *label = m->staging + m->input_bytes * micro;
	for (size_t i = 0; i < micro; i++)
		draw_rows(m, m->staging + i * m->input_bytes, (int32_t *)(label + i * m->label_bytes));
	use(&m->device[0]);
	must(cuMemcpyHtoDAsync_v2((CUdeviceptr)m->x, m->staging, m->input_bytes * micro, m->device[0].stream[0]), "cuMemcpyHtoDAsync");
	use(m->last);
	must(cuMemcpyHtoDAsync_v2((CUdeviceptr)m->label, label, m->label_bytes * micro, m->last->stream[0]), "cuMemcpyHtoDAsync");
}

/* To the other device by way of the host. */
static void carry(struct model *m, struct device *from, const void *at, struct device *to, void *there)
{
	size_t bytes = (size_t)m->rows * (size_t)m->o.hidden * gpu_size(m->o.type);
	void *host = malloc(bytes);
	use(from);
	must(cuMemcpyDtoHAsync_v2(host, (CUdeviceptr)at, bytes, from->stream[0]), "cuMemcpyDtoHAsync");
	must(cuStreamSynchronize(from->stream[0]), "cuStreamSynchronize");
	use(to);
	must(cuMemcpyHtoDAsync_v2((CUdeviceptr)there, host, bytes, to->stream[0]), "cuMemcpyHtoDAsync");
	must(cuStreamSynchronize(to->stream[0]), "cuStreamSynchronize");
	free(host);
}

static void forward(struct model *m, enum layer which, const void *x, void *y, bool relu)
{
	struct linear *l = &m->layer[which];
	struct device *d = l->on;
	bool fused = relu && gpu_blas_fuses_relu(&d->blas);
	l->x = x;
	gpu_forward(&d->blas, d->stream[0], x, l->w, y, m->rows, l->in, l->out, fused);
	if (relu && !fused)
		launch(d, RELU, (size_t)m->rows * (size_t)l->out,
		       &(struct mlp_relu){ .y = y, .n = (uint64_t)m->rows * (uint64_t)l->out, .type = m->o.type });
}

/* The weight gradient, beside the rest of the backward pass where there is a second stream. */
static void weight_gradient(struct model *m, enum layer which, const void *dy, int micro)
{
	struct linear *l = &m->layer[which];
	struct device *d = l->on;
	CUstream stream = d->stream[m->o.streams - 1];
	l->dy = dy;
	if (stream != d->stream[0]) {
		must(cuEventRecord(d->fork, d->stream[0]), "cuEventRecord");
		must(cuStreamWaitEvent(stream, d->fork, 0), "cuStreamWaitEvent");
	}
	gpu_weight_gradient(&d->blas, stream, l->x, dy, l->g, m->rows, l->in, l->out, micro ? 1 : 0, m->o.bgrad ? l->bias_g : NULL);
}

static void data_gradient(struct model *m, enum layer which, const void *dy, void *dx, float beta, const void *y)
{
	struct linear *l = &m->layer[which];
	struct device *d = l->on;
	uint64_t n = (uint64_t)m->rows * (uint64_t)l->in;
	gpu_data_gradient(&d->blas, d->stream[0], dy, l->w, dx, m->rows, l->in, l->out, beta);
	if (y)
		launch(d, DRELU, n, &(struct mlp_drelu){ .y = y, .dy = dx, .n = n, .type = m->o.type });
}

/* Both gradients of a layer; dx NULL: there is nothing below. */
static void backward(struct model *m, enum layer which, const void *dy, void *dx, float beta, const void *y, int micro)
{
	if (m->o.weights_first)
		weight_gradient(m, which, dy, micro);
	if (dx)
		data_gradient(m, which, dy, dx, beta, y);
	if (!m->o.weights_first)
		weight_gradient(m, which, dy, micro);
}

static void join(struct model *m, struct device *d)
{
	use(d);
	if (m->o.streams > 1) {
		must(cuEventRecord(d->join, d->stream[1]), "cuEventRecord");
		must(cuStreamWaitEvent(d->stream[0], d->join, 0), "cuStreamWaitEvent");
	}
}

static void attention_forward(struct model *m)
{
	struct device *d = &m->device[0];
	int t = m->o.tokens, width = m->o.hidden, n = m->o.batch;
	uint64_t rows = (uint64_t)m->rows;
	forward(m, QUERY, m->h1, m->q, false);
	forward(m, KEY, m->h1, m->k, false);
	forward(m, VALUE, m->h1, m->v, false);
	gpu_batched(&d->blas, d->stream[0], false, true, t, t, width, m->q, m->k, m->p, n);
	launch(d, SOFTMAX, rows, &(struct mlp_softmax){ .p = m->p, .rows = rows, .cols = (uint64_t)t, .scale = 1 / sqrt(width), .type = m->o.type });
	gpu_batched(&d->blas, d->stream[0], false, false, t, width, t, m->p, m->v, m->a, n);
	forward(m, OUTPUT, m->a, m->o1, false);
	launch(d, ADD, rows * (uint64_t)width, &(struct mlp_add){ .a = m->h1, .b = m->o1, .out = m->h2, .n = rows * (uint64_t)width,
								 .type = m->o.type });
}

static void attention_backward(struct model *m, int micro)
{
	struct device *d = &m->device[0];
	int t = m->o.tokens, width = m->o.hidden, n = m->o.batch;
	uint64_t rows = (uint64_t)m->rows;
	backward(m, OUTPUT, m->dh2, m->da, 0, NULL, micro);
	gpu_batched(&d->blas, d->stream[0], false, true, t, t, width, m->da, m->v, m->dp, n);
	gpu_batched(&d->blas, d->stream[0], true, false, t, width, t, m->p, m->da, m->dv, n);
	launch(d, DSOFTMAX, rows, &(struct mlp_dsoftmax){ .p = m->p, .dp = m->dp, .rows = rows, .cols = (uint64_t)t, .scale = 1 / sqrt(width),
							 .type = m->o.type });
	gpu_batched(&d->blas, d->stream[0], false, false, t, width, t, m->dp, m->k, m->dq, n);
	gpu_batched(&d->blas, d->stream[0], true, false, t, width, t, m->dp, m->q, m->dk, n);
	backward(m, QUERY, m->dq, m->dh1, 0, NULL, micro);
	backward(m, KEY, m->dk, m->dh1, 1, NULL, micro);
	backward(m, VALUE, m->dv, m->dh1, 1, NULL, micro);
	launch(d, ADD, rows * (uint64_t)width, &(struct mlp_add){ .a = m->dh1, .b = m->dh2, .out = m->dh1, .n = rows * (uint64_t)width,
								 .type = m->o.type });
	launch(d, DRELU, rows * (uint64_t)width, &(struct mlp_drelu){ .y = m->h1, .dy = m->dh1, .n = rows * (uint64_t)width, .type = m->o.type });
}

static void far_half(struct model *m, const void *h2, void *dh2, bool relu_below, int micro)
{
	struct device *d = m->last;
	size_t rows = (size_t)m->rows;
	use(d);
	forward(m, FC2, h2, m->h3, true);
	forward(m, FC3, m->h3, m->y, false);
	launch(d, LOSS, rows, &(struct mlp_loss){ .y = m->y, .dy = m->dy, .label = (int32_t *)m->label + (size_t)micro * rows,
						  .loss = (float *)m->loss + (size_t)micro * rows, .rows = rows, .cols = CLASSES,
						  .scale = 1.0 / ((double)rows * m->o.accumulate), .type = m->o.type });
	backward(m, FC3, m->dy, m->dh3, 0, m->h3, micro);
	backward(m, FC2, m->dh3, dh2, 0, relu_below ? h2 : NULL, micro);
}

static void micro_step(struct model *m, int micro)
{
	bool attention = m->o.attention, apart = m->last != &m->device[0];
	void *h2 = attention ? m->h2 : m->h1, *dh2 = attention ? m->dh2 : m->dh1;
	use(&m->device[0]);
	forward(m, FC1, (char *)m->x + (size_t)micro * m->input_bytes, m->h1, true);
	if (attention)
		attention_forward(m);
	if (apart)
		carry(m, &m->device[0], h2, m->last, m->h2_far);
	far_half(m, apart ? m->h2_far : h2, apart ? m->dh2_far : dh2, !attention, micro);
	if (apart)
		carry(m, m->last, m->dh2_far, &m->device[0], dh2);
	use(&m->device[0]);
	if (attention)
		attention_backward(m, micro);
	backward(m, FC1, m->dh1, NULL, 0, NULL, micro);
	for (int i = 0; i < m->o.devices; i++)
		join(m, &m->device[i]);
}

static bool in_use(const struct model *m, int layer)
{
	return m->o.attention || layer < QUERY || layer > OUTPUT;
}

static void note_truth(struct model *m)
{
	for (int i = 0; i < m->o.devices; i++) {
		use(&m->device[i]);
		must(cuCtxSynchronize(), "cuCtxSynchronize");
	}
	for (int i = 0; i < LAYERS; i++) {
		struct linear *l = &m->layer[i];
		if (!in_use(m, i))
			continue;
		use(l->on);
		double *x = read_back(l->x, m->o.type, (size_t)m->rows * (size_t)l->in);
		double *dy = read_back(l->dy, m->o.type, (size_t)m->rows * (size_t)l->out);
		if (!l->whole)
			l->whole = calloc((size_t)l->in * (size_t)l->out, sizeof *l->whole);
		struct gpu_norms norms = gpu_truth(x, dy, (size_t)m->rows, (size_t)l->in, (size_t)l->out, (size_t)m->o.batch, l->whole);
		l->q_small += norms.q_small;
		l->q_big += norms.q_big;
		free(x);
		free(dy);
	}
}

/* By micro-steps: the means of their own norms. As a whole: of all samples of the step, |N A_i|^2 and the gradient's own norm. */
static void tell_truth(struct model *m, int step)
{
	fprintf(m->truth, "{\"step\": %d", step);
	for (int i = 0; i < LAYERS; i++) {
		struct linear *l = &m->layer[i];
		size_t cells = (size_t)l->in * (size_t)l->out;
		if (!in_use(m, i))
			continue;
		fprintf(m->truth, ", \"%s\": [%d, %d, %d, %d, %.17g, %.17g, %.17g, %.17g]", l->name, l->out, l->in, m->o.batch,
			m->o.accumulate, l->q_small / m->o.accumulate, l->q_big / m->o.accumulate, l->q_small * m->o.accumulate,
			gpu_norm2(l->whole, cells));
		memset(l->whole, 0, cells * sizeof *l->whole);
		l->q_small = l->q_big = 0;
	}
	fputs("}\n", m->truth);
}

static void gradients_and_descent(struct model *m)
{
	for (int micro = 0; micro < m->o.accumulate; micro++) {
		micro_step(m, micro);
		if (m->truth)
			note_truth(m);
	}
	for (int i = 0; i < LAYERS; i++) {
		struct linear *l = &m->layer[i];
		uint64_t n = (uint64_t)l->in * (uint64_t)l->out;
		if (!in_use(m, i))
			continue;
		use(l->on);
		launch(l->on, DESCEND, n, &(struct mlp_descend){ .w = l->w, .master = l->master, .v = l->v, .g = l->g, .n = n, .lr = m->o.lr,
								.momentum = m->o.momentum, .type = m->o.type, .g_type = m->o.g_type });
	}
}

static CUgraphExec capture(struct model *m)
{
	CUgraph graph;
	CUgraphExec exec;
	CUstream stream = m->device[0].stream[0];
	must(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), "cuStreamBeginCapture");
	gradients_and_descent(m);
	must(cuStreamEndCapture(stream, &graph), "cuStreamEndCapture");
	must(cuGraphInstantiateWithFlags(&exec, graph, 0), "cuGraphInstantiateWithFlags");
	return exec;
}

static double mean_loss(struct model *m)
{
	size_t n = (size_t)m->rows * (size_t)m->o.accumulate;
	float *rows = malloc(n * sizeof *rows);
	double sum = 0;
	use(m->last);
	must(cuMemcpyDtoHAsync_v2(rows, (CUdeviceptr)m->loss, n * sizeof *rows, m->last->stream[0]), "cuMemcpyDtoHAsync");
	must(cuStreamSynchronize(m->last->stream[0]), "cuStreamSynchronize");
	for (size_t i = 0; i < n; i++)
		sum += (double)rows[i];
	free(rows);
	return sum / (double)n;
}

static FILE *create(const char *path)
{
	FILE *f = path ? fopen(path, "w") : NULL;
	if (path && !f)
		gpu_die("cannot write to %s: %s", path, strerror(errno));
	return f;
}

static double train(struct model *m)
{
	CUgraphExec exec = NULL;
	FILE *losses = create(m->o.losses);
	double loss = (double)NAN;
	m->truth = create(m->o.truth);
	for (int step = 1; step <= m->o.steps; step++) {
		feed(m);
		if (m->o.capture && step > m->o.capture && !m->truth) {
			if (!exec)
				exec = capture(m);
			must(cuGraphLaunch(exec, m->device[0].stream[0]), "cuGraphLaunch");
		} else {
			gradients_and_descent(m);
		}
		loss = mean_loss(m);
		if (losses)
			fprintf(losses, "%d %a\n", step, loss);
		if (m->truth)
			tell_truth(m, step);
	}
	if (losses)
		fclose(losses);
	if (m->truth)
		fclose(m->truth);
	return loss;
}

/* FNV-1a, 64 bits */
static uint64_t weights_hash(struct model *m)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	for (int i = 0; i < LAYERS; i++) {
		struct linear *l = &m->layer[i];
		size_t bytes = (size_t)l->in * (size_t)l->out * gpu_size(wide_type(m->o.type));
		unsigned char *w = malloc(bytes);
		use(l->on);
		must(cuCtxSynchronize(), "cuCtxSynchronize");
		must(cuMemcpyDtoH_v2(w, (CUdeviceptr)l->master, bytes), "cuMemcpyDtoH");
		for (size_t b = 0; in_use(m, i) && b < bytes; b++)
			hash = (hash ^ w[b]) * 0x100000001b3ull;
		free(w);
	}
	return hash;
}

int main(int argc, char **argv)
{
	static struct model m;
	struct mlp_options o = mlp_options_parse(argc, argv);
	model_init(&m, &o);
	double loss = train(&m);
	if (o.hash)
		printf("weights %016llx\n", (unsigned long long)weights_hash(&m));
	printf("%d steps, loss %.6f\n", o.steps, loss);
	return 0;
}
