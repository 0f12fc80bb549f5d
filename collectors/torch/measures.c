/* The functions of `_g` that read tensors. */
#include "collectors/torch/measures.h"

#include <errno.h>

#include "collectors/torch/arguments.h"
#include "collectors/torch/parts.h"
#include "profiler/shim/core/layer_feed.h"

#define LONG_WORK ((size_t)1 << 19) /* elements: about a millisecond. For less, the GIL is dearer to get back than to keep */

static unsigned threads = 1; /* of PyTorch's own operations */

struct job {
	gns_torch_run *run;
	int (*run_there)(const struct gns_device_target *to, const struct gns_samples *samples, const struct job *job);
	int64_t id, n, axis;
	int64_t bias_id;               /* measured in the same call; 0: none */
	bool bias_done;
	struct gns_torch_tensor first, second, third, fourth;
	struct gns_conv conv;
	int64_t padding_idx, kind, groups;
	bool some_third, some_fourth;
	unsigned dims;
	size_t shape[GNS_TENSOR_DIMS];
};

static size_t numel(const struct gns_tensor *t)
{
	size_t n = 1;
	for (unsigned i = 0; i < t->ndim; i++)
		n *= t->size[i];
	return n;
}

static int measure_here(struct job *job)
{
	struct gns_layer_feed_work work, bias;
	int rc = gns_layer_feed_work_begin(job->id, (uint64_t)job->n, (unsigned)job->axis, &work);
	if (rc)
		return rc;
	const bool with_bias = job->bias_id && !gns_layer_feed_work_join(&work, job->bias_id, &bias);
	const size_t elements = numel(&job->first.t) + numel(&job->second.t);
	PyThreadState *thread = elements >= LONG_WORK ? gns_py.PyEval_SaveThread() : NULL;
	rc = gns_torch_run_parts(&work, with_bias ? &bias.samples : NULL, elements, threads, job->run, job);
	if (with_bias)
		gns_layer_feed_work_end(&bias, rc);
	job->bias_done = with_bias && !rc;
	gns_layer_feed_work_end(&work, rc);
	if (thread)
		gns_py.PyEval_RestoreThread(thread);
	return rc;
}

static int measure_there(const struct job *job)
{
	struct gns_layer_feed_device work;
	void *stream;
	int device = job->first.device;
	if (!gns_torch_stream(device, &stream))
		return -EINVAL;
	int rc = gns_layer_feed_device_begin(job->id, GNS_LAYER_SUMS_SUM, (uint64_t)job->n, (unsigned)job->axis, device, stream, &work);
	if (rc)
		return rc;
	rc = job->run_there(&work.to, &work.samples, job);
	gns_layer_feed_device_end(&work, rc);
	return rc;
}

static bool together(const struct job *job)
{
	int device = job->first.device;
	return (!job->second.t.data || job->second.device == device) && (!job->third.t.data || job->third.device == device) &&
	       (!job->fourth.t.data || job->fourth.device == device);
}

static int measure(struct job *job)
{
	if (job->n <= 0 || job->axis < 0 || !together(job))
		return -EINVAL;
	int rc = job->first.device == GNS_TORCH_HOST ? measure_here(job) : measure_there(job);
	return rc == -ENODATA ? 0 : rc;
}

/* Tensors into a job, None where that is allowed; the first failure. */
static int take_two(PyObject *const *args, struct job *job)
{
	int rc = gns_take_tensor(args[0], &job->first);
	return rc ? rc : gns_take_tensor(args[1], &job->second);
}

static PyObject *finish(int rc, struct job *job)
{
	struct gns_layer_feed_time time;
	if (rc == -EINTR)
		return NULL;
	gns_layer_feed_time_begin(&time);
	if (!rc)
		rc = measure(job);
	gns_layer_feed_time_end(&time);
	return gns_number(job->bias_done ? 1 : rc);
}

static int run_linear(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const void *operands)
{
	const struct job *job = operands;
	return gns_layer_linear_bias(layers, samples, bias, &job->first.t, &job->second.t);
}

static int linear_there(const struct gns_device_target *to, const struct gns_samples *samples, const struct job *job)
{
	return gns_device_linear(to, samples, &job->first.t, &job->second.t);
}

/* linear(id, x, y, n, axis, bias=0): 1 where the bias, another id, is measured, too */
static PyObject *g_linear(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_linear, .run_there = linear_there };
	if (!gns_take_count(n, 5, 6) || !gns_take_int(args[0], &job.id) || !gns_take_int(args[3], &job.n) || !gns_take_int(args[4], &job.axis) ||
	    (n == 6 && !gns_take_int(args[5], &job.bias_id)))
		return NULL;
	return finish(take_two(args + 1, &job), &job);
}

static int run_conv(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const void *operands)
{
	const struct job *job = operands;
	return gns_layer_conv_bias(layers, samples, bias, &job->first.t, &job->second.t, &job->conv);
}

static int conv_there(const struct gns_device_target *to, const struct gns_samples *samples, const struct job *job)
{
	return gns_device_conv(to, samples, &job->first.t, &job->second.t, &job->conv);
}

/* One number for each spatial dimension, or one for all. */
static bool take_spatial(PyObject *o, unsigned dims, size_t *out)
{
	uint64_t given[GNS_CONV_DIMS];
	int count;
	if (!gns_take_sizes(o, given, GNS_CONV_DIMS, &count))
		return false;
	if (count != 1 && count != (int)dims)
		return gns_type_error("a tuple of another length is wanted");
	for (unsigned i = 0; i < dims; i++)
		out[i] = (size_t)given[count == 1 ? 0 : i];
	return true;
}

/* conv(id, x, y, n, stride, padding, dilation, groups, transposed, kernel, bias=0): as linear */
static PyObject *g_conv(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_conv, .run_there = conv_there };
	if (!gns_take_count(n, 10, 11) || !gns_take_int(args[0], &job.id) || !gns_take_int(args[3], &job.n) ||
	    !gns_take_int(args[7], &job.groups) || !gns_take_bool(args[8], &job.conv.transposed) || (n == 11 && !gns_take_int(args[10], &job.bias_id)))
		return NULL;
	Py_ssize_t dims = gns_py.PyTuple_Size(args[9]);
	if (dims < 0 && !gns_type_error("a tuple is wanted"))
		return NULL;
	if (dims < 1 || dims > GNS_CONV_DIMS || job.groups < 1)
		return gns_number(-EINVAL);
	job.conv.dims = (unsigned)dims;
	job.conv.groups = (size_t)job.groups;
	if (!take_spatial(args[4], job.conv.dims, job.conv.stride) || !take_spatial(args[5], job.conv.dims, job.conv.padding) ||
	    !take_spatial(args[6], job.conv.dims, job.conv.dilation) || !take_spatial(args[9], job.conv.dims, job.conv.kernel))
		return NULL;
	return finish(take_two(args + 1, &job), &job);
}

static int run_embedding(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const void *operands)
{
	const struct job *job = operands;
	return gns_layer_embedding(layers, samples, &job->first.t, &job->second.t, job->padding_idx);
}

static int embedding_there(const struct gns_device_target *to, const struct gns_samples *samples, const struct job *job)
{
	return gns_device_embedding(to, samples, &job->first.t, &job->second.t, job->padding_idx);
}

/* embedding(id, ids, y, n, axis, padding_idx) */
static PyObject *g_embedding(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_embedding, .run_there = embedding_there };
	if (!gns_take_count(n, 6, 6) || !gns_take_int(args[0], &job.id) || !gns_take_int(args[3], &job.n) || !gns_take_int(args[4], &job.axis) ||
	    !gns_take_int(args[5], &job.padding_idx))
		return NULL;
	return finish(take_two(args + 1, &job), &job);
}

static int run_gain(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const void *operands)
{
	const struct job *job = operands;
	if (bias)
		return gns_layer_norm(layers, samples, bias, &job->first.t, job->some_third ? &job->third.t : NULL, &job->fourth.t,
				      &job->second.t);
	return gns_layer_gain(layers, samples, &job->first.t, job->some_third ? &job->third.t : NULL, &job->fourth.t, &job->second.t,
			      (enum gns_gain)job->kind, (size_t)job->groups);
}

static int gain_there(const struct gns_device_target *to, const struct gns_samples *samples, const struct job *job)
{
	return gns_device_gain(to, samples, &job->first.t, job->some_third ? &job->third.t : NULL, &job->fourth.t, &job->second.t,
			       (enum gns_gain)job->kind, (size_t)job->groups);
}

/* gain(id, x, mean, rstd, y, n, kind, groups, bias=0); mean None: RMSNorm; bias, of kind 0 alone: as linear */
static PyObject *g_gain(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_gain, .run_there = gain_there };
	if (!gns_take_count(n, 8, 9) || !gns_take_int(args[0], &job.id) || !gns_take_int(args[5], &job.n) || !gns_take_int(args[6], &job.kind) ||
	    !gns_take_int(args[7], &job.groups) || (n == 9 && !gns_take_int(args[8], &job.bias_id)))
		return NULL;
	if (job.kind < GNS_GAIN_LAYER || job.kind > GNS_GAIN_BATCH || job.groups < 0 || (job.bias_id && job.kind != GNS_GAIN_LAYER))
		return gns_number(-EINVAL);
	int rc = gns_take_tensor(args[1], &job.first);
	job.some_third = args[2] != gns_py.none;
	if (!rc && job.some_third)
		rc = gns_take_tensor(args[2], &job.third);
	if (!rc)
		rc = gns_take_tensor(args[3], &job.fourth);
	return finish(rc ? rc : gns_take_tensor(args[4], &job.second), &job);
}

static int run_reduce(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const void *operands)
{
	const struct job *job = operands;
	return gns_layer_reduce(layers, samples, &job->first.t, job->some_third ? &job->third.t : NULL, job->dims, job->shape);
}

static int reduce_there(const struct gns_device_target *to, const struct gns_samples *samples, const struct job *job)
{
	return gns_device_reduce(to, samples, &job->first.t, job->some_third ? &job->third.t : NULL, job->dims, job->shape);
}

/* reduce(id, g, n, axis, shape, other=None) */
static PyObject *g_reduce(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_reduce, .run_there = reduce_there, .second = { .t.ndim = 1 } };
	uint64_t shape[GNS_TENSOR_DIMS];
	int dims;
	if (!gns_take_count(n, 5, 6) || !gns_take_int(args[0], &job.id) || !gns_take_int(args[2], &job.n) || !gns_take_int(args[3], &job.axis) ||
	    !gns_take_sizes(args[4], shape, GNS_TENSOR_DIMS, &dims))
		return NULL;
	if (dims < 0)
		return gns_number(-EINVAL);
	job.dims = (unsigned)dims;
	for (int i = 0; i < dims; i++)
		job.shape[i] = (size_t)shape[i];
	int rc = gns_take_tensor(args[1], &job.first);
	job.some_third = n == 6 && args[5] != gns_py.none;
	if (!rc && job.some_third)
		rc = gns_take_tensor(args[5], &job.third);
	return finish(rc, &job);
}

/* uses(id, count, n, dim0, rest, parameter) */
static PyObject *g_uses(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct gns_torch_tensor p = { .device = GNS_TORCH_HOST };
	void *stream;
	int64_t v[5];
	if (!gns_take_count(n, 5, 6))
		return NULL;
	for (int i = 0; i < 5; i++)
		if (!gns_take_int(args[i], &v[i]))
			return NULL;
	int rc = n == 6 ? gns_take_tensor(args[5], &p) : 0;
	if (rc == -EINTR)
		return NULL;
	if (rc || v[1] < 1 || v[1] > INT32_MAX || v[2] < 1 || v[3] < 1 || v[4] < 1)
		return gns_number(-EINVAL);
	if (p.device == GNS_TORCH_HOST)
		return gns_number(gns_layer_feed_uses(v[0], (uint32_t)v[1], (uint64_t)v[2], (uint64_t)v[3], (uint64_t)v[4]));
	if (!gns_torch_stream(p.device, &stream))
		return gns_number(-EINVAL);
	return gns_number(gns_layer_feed_device_uses(v[0], (uint32_t)v[1], (uint64_t)v[2], (uint64_t)v[3], (uint64_t)v[4], p.device, stream));
}

/* threads(n): that PyTorch's operations use in this thread */
static PyObject *g_threads(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t count;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &count))
		return NULL;
	threads = count > 0 && count <= INT32_MAX ? (unsigned)count : 1;
	return gns_nothing();
}

static PyObject *g_backward_done(PyObject *self, PyObject *unused)
{
	gns_layer_feed_backward_done();
	return gns_nothing();
}

static PyObject *g_void(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &id))
		return NULL;
	gns_layer_feed_void(id);
	return gns_nothing();
}

static PyObject *g_used(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id, samples;
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &id) || !gns_take_int(args[1], &samples))
		return NULL;
	if (samples > 0)
		gns_layer_feed_used(id, (uint64_t)samples);
	return gns_nothing();
}

static PyObject *g_is_zero(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct gns_torch_tensor t;
	if (!gns_take_count(n, 1, 1))
		return NULL;
	int rc = gns_take_tensor(args[0], &t);
	return rc == -EINTR ? NULL : gns_py.PyBool_FromLong(!rc && t.device == GNS_TORCH_HOST && gns_tensor_is_zero(&t.t));
}

/* |gradient|^2 of slices along its first dimension, which stand where samples stand elsewhere. */
static int run_norm(struct gns_layers *layers, struct gns_samples *slices, struct gns_samples *bias, const void *operands)
{
	struct gns_tensor part = *(const struct gns_tensor *)operands;
	(void)bias;
	if (slices->count) {
		part.data = (const char *)part.data + (ptrdiff_t)slices->first * part.stride[0] * (ptrdiff_t)gns_dtype_size(part.dtype);
		part.size[0] = slices->count;
	}
	return gns_tensor_norm2(layers, &part, &slices->sum);
}

static int big(int64_t id, const struct gns_torch_tensor *t, uint32_t world)
{
	struct gns_layer_feed_work work;
	void *stream;
	if (t->device != GNS_TORCH_HOST)
		return gns_torch_stream(t->device, &stream) ? gns_layer_feed_device_big(id, &t->t, world, t->device, stream) : -EINVAL;
	int rc = gns_layer_feed_work_begin(id, t->t.ndim && t->t.size[0] ? t->t.size[0] : 1, 0, &work);
	if (rc)
		return rc == -ENODATA ? 0 : rc;
	work.samples.uses = NULL;
	PyThreadState *thread = numel(&t->t) >= 4 * LONG_WORK ? gns_py.PyEval_SaveThread() : NULL;
	rc = gns_torch_run_parts(&work, NULL, numel(&t->t), threads, run_norm, &t->t);
	gns_layer_feed_work_big(&work, rc, work.samples.sum, world);
	if (thread)
		gns_py.PyEval_RestoreThread(thread);
	return rc;
}

/* grad(id, t, world) */
static PyObject *g_grad(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct gns_layer_feed_time time;
	struct gns_torch_tensor t;
	int64_t id, world;
	if (!gns_take_count(n, 3, 3) || !gns_take_int(args[0], &id) || !gns_take_int(args[2], &world))
		return NULL;
	int rc = gns_take_tensor(args[1], &t);
	if (rc)
		return rc == -EINTR ? NULL : gns_number(rc);
	gns_layer_feed_time_begin(&time);
	rc = big(id, &t, world > 0 && world <= INT32_MAX ? (uint32_t)world : 1);
	gns_layer_feed_time_end(&time);
	return gns_number(rc);
}

/* Of a tensor on a device; one in host memory is -EINVAL. */
static PyObject *one_there(PyObject *const *args, Py_ssize_t n, int (*run)(int64_t, const struct gns_tensor *, int, void *))
{
	struct gns_layer_feed_time time;
	struct gns_torch_tensor t;
	void *stream;
	int64_t id;
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &id))
		return NULL;
	int rc = gns_take_tensor(args[1], &t);
	if (rc == -EINTR)
		return NULL;
	if (rc || t.device == GNS_TORCH_HOST || !gns_torch_stream(t.device, &stream))
		return gns_number(-EINVAL);
	gns_layer_feed_time_begin(&time);
	rc = run(id, &t.t, t.device, stream);
	gns_layer_feed_time_end(&time);
	return gns_number(rc);
}

/* before(id, gradient): it ought to be zero, which the device will tell */
static PyObject *g_before(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return one_there(args, n, gns_layer_feed_device_before);
}

/* loss_there(stream, tensor), scale_there(stream, tensor): their first elements */
static PyObject *g_loss_there(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return one_there(args, n, gns_layer_feed_device_loss);
}

static PyObject *g_scale_there(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return one_there(args, n, gns_layer_feed_device_scale);
}

static PyObject *g_device_ready(PyObject *self, PyObject *unused)
{
	return gns_py.PyBool_FromLong(gns_layer_feed_device_ready());
}

struct gns_py_method gns_torch_measures[] = {
#define FAST(name) { #name, (void *)g_##name, GNS_PY_FASTCALL, NULL }
#define BARE(name) { #name, (void *)g_##name, GNS_PY_NOARGS, NULL }
	FAST(linear), FAST(conv), FAST(embedding), FAST(gain), FAST(reduce), FAST(uses), FAST(threads), BARE(backward_done), FAST(void), FAST(used),
	FAST(is_zero), FAST(grad), FAST(before), FAST(loss_there), FAST(scale_there), BARE(device_ready),
#undef FAST
#undef BARE
	{ NULL, NULL, 0, NULL },
};
