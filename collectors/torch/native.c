/* The functions of `_g`, which the embedded files call. What each is for: docs/torch.md. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collectors/torch/torch.h"
#include "profiler/shim/clock.h"
#include "profiler/shim/feeding.h"

#define DTYPES 16
#define LONG_WORK ((size_t)1 << 19) /* elements: about a millisecond. For less, the GIL is dearer to get back than to keep */

static struct {
	PyObject *dtype[DTYPES]; /* kept for good; torch never gives them back */
	uint32_t code[DTYPES];
	unsigned n;
} dtypes;

static struct {
	PyObject *dtype, *shape, *stride, *data_ptr;
} word;

static PyObject *nothing(void)
{
	gns_py.Py_IncRef(gns_py.none);
	return gns_py.none;
}

static PyObject *number(long long value)
{
	return gns_py.PyLong_FromLongLong(value);
}

/* ---- arguments: false with a TypeError set ---- */

static bool type_error(const char *what)
{
	gns_py.PyErr_Clear();
	gns_py.PyErr_SetString(gns_py.type_error, what);
	return false;
}

static bool take_count(Py_ssize_t given, Py_ssize_t least, Py_ssize_t most)
{
	return (given >= least && given <= most) || type_error("wrong number of arguments");
}

static bool take_int(PyObject *o, int64_t *out)
{
	*out = gns_py.PyLong_AsLongLong(o);
	return *out != -1 || !gns_py.PyErr_Occurred() || type_error("an int is wanted");
}

/* None: NaN. */
static bool take_double(PyObject *o, double *out)
{
	*out = __builtin_nan("");
	if (o == gns_py.none)
		return true;
	*out = gns_py.PyFloat_AsDouble(o);
	return *out != -1.0 || !gns_py.PyErr_Occurred() || type_error("a float is wanted");
}

static bool take_bool(PyObject *o, bool *out)
{
	int truth = gns_py.PyObject_IsTrue(o);
	*out = truth > 0;
	return truth >= 0 || type_error("a bool is wanted");
}

/* Cut to `size`, never within a character. None: "". */
static bool take_text(PyObject *o, char *out, size_t size)
{
	Py_ssize_t length = 0;
	const char *text = o == gns_py.none ? "" : gns_py.PyUnicode_AsUTF8AndSize(o, &length);
	if (!text)
		return type_error("a str is wanted");
	size_t n = (size_t)length < size ? (size_t)length : size - 1;
	while (n < (size_t)length && n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, text, n);
	out[n] = 0;
	return true;
}

/* A tuple of sizes; more than `most` of them is -1. */
static bool take_sizes(PyObject *o, uint64_t *out, unsigned most, int *count)
{
	Py_ssize_t n = gns_py.PyTuple_Size(o);
	int64_t value;
	if (n < 0)
		return type_error("a tuple is wanted");
	*count = n > (Py_ssize_t)most ? -1 : (int)n;
	for (int i = 0; i < *count; i++) {
		if (!take_int(gns_py.PyTuple_GetItem(o, i), &value))
			return false;
		out[i] = (uint64_t)value;
	}
	return true;
}

static uint32_t code_of(PyObject *dtype)
{
	for (unsigned i = 0; i < dtypes.n; i++)
		if (dtypes.dtype[i] == dtype)
			return dtypes.code[i];
	return 0;
}

static bool read_layout(PyObject *shape, PyObject *stride, PyObject *pointer, struct gns_tensor *t)
{
	uint64_t size[GNS_TENSOR_DIMS], step[GNS_TENSOR_DIMS];
	int dims, steps;
	int64_t at;
	if (!shape || !stride || !pointer || !take_sizes(shape, size, GNS_TENSOR_DIMS, &dims) ||
	    !take_sizes(stride, step, GNS_TENSOR_DIMS, &steps) || !take_int(pointer, &at) || dims < 0 || dims != steps)
		return false;
	t->ndim = (unsigned)dims;
	t->data = (const void *)(uintptr_t)at;
	for (int i = 0; i < dims; i++) {
		t->size[i] = (size_t)size[i];
		t->stride[i] = (ptrdiff_t)step[i];
	}
	return true;
}

/* 0, or -EINVAL: not a tensor that we can read. -EINTR: something that is not ours to handle was raised. */
static int take_tensor(PyObject *o, struct gns_tensor *t)
{
	memset(t, 0, sizeof *t);
	PyObject *dtype = gns_py.PyObject_GetAttr(o, word.dtype);
	PyObject *shape = dtype ? gns_py.PyObject_GetAttr(o, word.shape) : NULL;
	PyObject *stride = shape ? gns_py.PyObject_CallMethodObjArgs(o, word.stride, NULL) : NULL;
	PyObject *pointer = stride ? gns_py.PyObject_CallMethodObjArgs(o, word.data_ptr, NULL) : NULL;
	t->dtype = dtype ? code_of(dtype) : 0;
	bool read = read_layout(shape, stride, pointer, t);
	gns_py.Py_DecRef(pointer);
	gns_py.Py_DecRef(stride);
	gns_py.Py_DecRef(shape);
	gns_py.Py_DecRef(dtype);
	if (gns_py.PyErr_Occurred()) {
		if (!gns_py.PyErr_ExceptionMatches(gns_py.exception))
			return -EINTR;
		gns_py.PyErr_Clear();
	}
	return read && t->dtype ? 0 : -EINVAL;
}

static size_t numel(const struct gns_tensor *t)
{
	size_t n = 1;
	for (unsigned i = 0; i < t->ndim; i++)
		n *= t->size[i];
	return n;
}

/* ---- the collector as a whole ---- */

static PyObject *g_setup(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t code;
	if (!take_count(n, 1, 1))
		return NULL;
	Py_ssize_t count = gns_py.PyTuple_Size(args[0]);
	if (count < 0 && !type_error("a tuple is wanted"))
		return NULL;
	dtypes.n = 0;
	for (Py_ssize_t i = 0; i < count && dtypes.n < DTYPES; i++) {
		PyObject *pair = gns_py.PyTuple_GetItem(args[0], i), *dtype = gns_py.PyTuple_GetItem(pair, 0);
		PyObject *of = dtype ? gns_py.PyTuple_GetItem(pair, 1) : NULL;
		if ((!of && !type_error("pairs of a dtype and a code are wanted")) || !take_int(of, &code))
			return NULL;
		gns_py.Py_IncRef(dtype);
		dtypes.dtype[dtypes.n] = dtype;
		dtypes.code[dtypes.n++] = (uint32_t)code;
	}
	return nothing();
}

static PyObject *g_wrap(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	bool replace = false;
	if (!take_count(n, 3, 4) || (n == 4 && !take_bool(args[3], &replace)))
		return NULL;
	return gns_torch_wrap(args[0], args[1], args[2], replace);
}

static PyObject *g_hook(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return take_count(n, 1, 1) ? gns_torch_wrap(NULL, args[0], NULL, false) : NULL;
}

static PyObject *g_load(PyObject *self, PyObject *unused)
{
	return gns_torch_load();
}

static PyObject *g_state(PyObject *self, PyObject *unused)
{
	return number(gns_feeding_on());
}

static PyObject *g_generation(PyObject *self, PyObject *unused)
{
	return number(gns_feeding_generation());
}

static PyObject *g_take_over(PyObject *self, PyObject *unused)
{
	gns_feeding_take_over();
	return nothing();
}

static PyObject *g_give_up(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char reason[72];
	if (!take_count(n, 1, 1) || !take_text(args[0], reason, sizeof reason))
		return NULL;
	gns_feeding_give_up(reason);
	return nothing();
}

static PyObject *g_world(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t rank, world;
	if (!take_count(n, 2, 2) || !take_int(args[0], &rank) || !take_int(args[1], &world))
		return NULL;
	if (rank >= 0 && rank < world && world <= INT32_MAX)
		gns_feeding_world((int32_t)rank, (int32_t)world);
	return nothing();
}

static PyObject *g_now(PyObject *self, PyObject *unused)
{
	return number((long long)gns_now());
}

static PyObject *g_cost(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t ns;
	if (!take_count(n, 1, 1) || !take_int(args[0], &ns))
		return NULL;
	if (ns > 0)
		gns_feeding_cost((uint64_t)ns);
	return nothing();
}

static PyObject *g_samples_told(PyObject *self, PyObject *unused)
{
	return number((long long)gns_feeding_samples_told());
}

/* ---- streams and parameters ---- */

static PyObject *g_stream(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char name[64];
	if (!take_count(n, 1, 1) || !take_text(args[0], name, sizeof name))
		return NULL;
	return number(gns_feeding_stream(name));
}

static PyObject *g_param(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	uint64_t size[GNS_TENSOR_DIMS];
	int64_t stream, dtype, data = 0;
	char name[80];
	int dims;
	if (!take_count(n, 4, 5) || !take_int(args[0], &stream) || !take_text(args[1], name, sizeof name) ||
	    !take_sizes(args[2], size, GNS_TENSOR_DIMS, &dims) || !take_int(args[3], &dtype) || (n == 5 && !take_int(args[4], &data)))
		return NULL;
	if (dims < 0)
		return number(0);
	return number(gns_feeding_param(stream, name, (unsigned)dims, size, (uint32_t)dtype, (const void *)(uintptr_t)data));
}

static PyObject *g_rename(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	char name[80];
	if (!take_count(n, 2, 2) || !take_int(args[0], &id) || !take_text(args[1], name, sizeof name))
		return NULL;
	gns_feeding_rename(id, name);
	return nothing();
}

static PyObject *g_leave_out(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	char reason[32];
	if (!take_count(n, 2, 2) || !take_int(args[0], &id) || !take_text(args[1], reason, sizeof reason))
		return NULL;
	gns_feeding_leave_out(id, reason);
	return nothing();
}

static PyObject *g_measuring(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	if (!take_count(n, 1, 1) || !take_int(args[0], &stream))
		return NULL;
	return gns_py.PyBool_FromLong(gns_feeding_measuring(stream));
}

static PyObject *g_any_measuring(PyObject *self, PyObject *unused)
{
	return gns_py.PyBool_FromLong(gns_feeding_any());
}

static PyObject *g_phase(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char name[16];
	if (!take_count(n, 1, 1) || !take_text(args[0], name, sizeof name))
		return NULL;
	gns_feeding_phase(name);
	return nothing();
}

static PyObject *g_loss(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	double value;
	if (!take_count(n, 2, 2) || !take_int(args[0], &stream) || !take_double(args[1], &value))
		return NULL;
	gns_feeding_loss(stream, value);
	return nothing();
}

static PyObject *g_scale(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	double scale;
	if (!take_count(n, 2, 2) || !take_int(args[0], &stream) || !take_double(args[1], &scale))
		return NULL;
	gns_feeding_scale(stream, scale);
	return nothing();
}

static PyObject *g_setting(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	char name[32], text[64] = "";
	double value;
	if (!take_count(n, 3, 4) || !take_int(args[0], &stream) || !take_text(args[1], name, sizeof name) || !take_double(args[2], &value) ||
	    (n == 4 && !take_text(args[3], text, sizeof text)))
		return NULL;
	gns_feeding_setting(stream, name, value, text);
	return nothing();
}

static PyObject *g_event(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	char name[32], text[72];
	if (!take_count(n, 3, 3) || !take_int(args[0], &stream) || !take_text(args[1], name, sizeof name) ||
	    !take_text(args[2], text, sizeof text))
		return NULL;
	gns_feeding_event(stream, name, text);
	return nothing();
}

static PyObject *g_count(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char name[40];
	if (!take_count(n, 1, 1) || !take_text(args[0], name, sizeof name))
		return NULL;
	gns_feeding_count(name);
	return nothing();
}

static PyObject *g_step(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream, micro;
	double lr;
	if (!take_count(n, 3, 3) || !take_int(args[0], &stream) || !take_int(args[1], &micro) || !take_double(args[2], &lr))
		return NULL;
	return number(gns_feeding_step(stream, micro > 0 && micro <= INT32_MAX ? (uint32_t)micro : 1, lr));
}

static PyObject *g_skip(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	if (!take_count(n, 1, 1) || !take_int(args[0], &stream))
		return NULL;
	gns_feeding_skip(stream);
	return nothing();
}

/* ---- measurements ---- */

struct job {
	int (*run)(struct gns_layers *layers, struct gns_samples *samples, const struct job *job);
	int64_t id, n, axis;
	struct gns_tensor first, second, third, fourth;
	struct gns_conv conv;
	int64_t padding_idx, kind, groups;
	bool some_third, some_fourth;
	unsigned dims;
	size_t shape[GNS_TENSOR_DIMS];
};

static int run_grown(struct gns_feeding_work *work, const struct job *job)
{
	int rc = job->run(work->layers, &work->samples, job);
	for (unsigned tries = 0; rc == -ENOSPC && tries < 8; tries++) {
		rc = gns_layers_grow(work->layers);
		if (!rc)
			rc = job->run(work->layers, &work->samples, job);
	}
	return rc;
}

static int measure(const struct job *job)
{
	struct gns_feeding_work work;
	int rc = job->n > 0 && job->axis >= 0 ? gns_feeding_work_begin(job->id, (uint64_t)job->n, (unsigned)job->axis, &work) : -EINVAL;
	if (rc)
		return rc == -ENODATA ? 0 : rc;
	PyThreadState *thread = numel(&job->first) + numel(&job->second) >= LONG_WORK ? gns_py.PyEval_SaveThread() : NULL;
	rc = run_grown(&work, job);
	gns_feeding_work_end(&work, rc);
	if (thread)
		gns_py.PyEval_RestoreThread(thread);
	return rc;
}

/* Tensors into a job, None where that is allowed; the first failure. */
static int take_two(PyObject *const *args, struct job *job)
{
	int rc = take_tensor(args[0], &job->first);
	return rc ? rc : take_tensor(args[1], &job->second);
}

static PyObject *finish(int rc, const struct job *job)
{
	struct gns_feeding_time time;
	if (rc == -EINTR)
		return NULL;
	gns_feeding_time_begin(&time);
	if (!rc)
		rc = measure(job);
	gns_feeding_time_end(&time);
	return number(rc);
}

static int run_linear(struct gns_layers *layers, struct gns_samples *samples, const struct job *job)
{
	return gns_layer_linear(layers, samples, &job->first, &job->second);
}

/* linear(id, x, y, n, axis) */
static PyObject *g_linear(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_linear };
	if (!take_count(n, 5, 5) || !take_int(args[0], &job.id) || !take_int(args[3], &job.n) || !take_int(args[4], &job.axis))
		return NULL;
	return finish(take_two(args + 1, &job), &job);
}

static int run_conv(struct gns_layers *layers, struct gns_samples *samples, const struct job *job)
{
	return gns_layer_conv(layers, samples, &job->first, &job->second, &job->conv);
}

/* One number for each spatial dimension, or one for all. */
static bool take_spatial(PyObject *o, unsigned dims, size_t *out)
{
	uint64_t given[GNS_CONV_DIMS];
	int count;
	if (!take_sizes(o, given, GNS_CONV_DIMS, &count))
		return false;
	if (count != 1 && count != (int)dims)
		return type_error("a tuple of another length is wanted");
	for (unsigned i = 0; i < dims; i++)
		out[i] = (size_t)given[count == 1 ? 0 : i];
	return true;
}

/* conv(id, x, y, n, stride, padding, dilation, groups, transposed, kernel) */
static PyObject *g_conv(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_conv };
	if (!take_count(n, 10, 10) || !take_int(args[0], &job.id) || !take_int(args[3], &job.n) || !take_int(args[7], &job.groups) ||
	    !take_bool(args[8], &job.conv.transposed))
		return NULL;
	Py_ssize_t dims = gns_py.PyTuple_Size(args[9]);
	if (dims < 0 && !type_error("a tuple is wanted"))
		return NULL;
	if (dims < 1 || dims > GNS_CONV_DIMS || job.groups < 1)
		return number(-EINVAL);
	job.conv.dims = (unsigned)dims;
	job.conv.groups = (size_t)job.groups;
	if (!take_spatial(args[4], job.conv.dims, job.conv.stride) || !take_spatial(args[5], job.conv.dims, job.conv.padding) ||
	    !take_spatial(args[6], job.conv.dims, job.conv.dilation) || !take_spatial(args[9], job.conv.dims, job.conv.kernel))
		return NULL;
	return finish(take_two(args + 1, &job), &job);
}

static int run_embedding(struct gns_layers *layers, struct gns_samples *samples, const struct job *job)
{
	return gns_layer_embedding(layers, samples, &job->first, &job->second, job->padding_idx);
}

/* embedding(id, ids, y, n, axis, padding_idx) */
static PyObject *g_embedding(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_embedding };
	if (!take_count(n, 6, 6) || !take_int(args[0], &job.id) || !take_int(args[3], &job.n) || !take_int(args[4], &job.axis) ||
	    !take_int(args[5], &job.padding_idx))
		return NULL;
	return finish(take_two(args + 1, &job), &job);
}

static int run_gain(struct gns_layers *layers, struct gns_samples *samples, const struct job *job)
{
	return gns_layer_gain(layers, samples, &job->first, job->some_third ? &job->third : NULL, &job->fourth, &job->second,
			      (enum gns_gain)job->kind, (size_t)job->groups);
}

/* gain(id, x, mean, rstd, y, n, kind, groups); mean None: RMSNorm */
static PyObject *g_gain(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_gain };
	if (!take_count(n, 8, 8) || !take_int(args[0], &job.id) || !take_int(args[5], &job.n) || !take_int(args[6], &job.kind) ||
	    !take_int(args[7], &job.groups))
		return NULL;
	if (job.kind < GNS_GAIN_LAYER || job.kind > GNS_GAIN_BATCH || job.groups < 0)
		return number(-EINVAL);
	int rc = take_tensor(args[1], &job.first);
	job.some_third = args[2] != gns_py.none;
	if (!rc && job.some_third)
		rc = take_tensor(args[2], &job.third);
	if (!rc)
		rc = take_tensor(args[3], &job.fourth);
	return finish(rc ? rc : take_tensor(args[4], &job.second), &job);
}

static int run_reduce(struct gns_layers *layers, struct gns_samples *samples, const struct job *job)
{
	return gns_layer_reduce(layers, samples, &job->first, job->some_third ? &job->third : NULL, job->dims, job->shape);
}

/* reduce(id, g, n, axis, shape, other=None) */
static PyObject *g_reduce(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct job job = { .run = run_reduce, .second = { .ndim = 1 } };
	uint64_t shape[GNS_TENSOR_DIMS];
	int dims;
	if (!take_count(n, 5, 6) || !take_int(args[0], &job.id) || !take_int(args[2], &job.n) || !take_int(args[3], &job.axis) ||
	    !take_sizes(args[4], shape, GNS_TENSOR_DIMS, &dims))
		return NULL;
	if (dims < 0)
		return number(-EINVAL);
	job.dims = (unsigned)dims;
	for (int i = 0; i < dims; i++)
		job.shape[i] = (size_t)shape[i];
	int rc = take_tensor(args[1], &job.first);
	job.some_third = n == 6 && args[5] != gns_py.none;
	if (!rc && job.some_third)
		rc = take_tensor(args[5], &job.third);
	return finish(rc, &job);
}

static PyObject *g_uses(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t v[5];
	if (!take_count(n, 5, 5))
		return NULL;
	for (int i = 0; i < 5; i++)
		if (!take_int(args[i], &v[i]))
			return NULL;
	if (v[1] < 1 || v[1] > INT32_MAX || v[2] < 1 || v[3] < 1 || v[4] < 1)
		return number(-EINVAL);
	return number(gns_feeding_uses(v[0], (uint32_t)v[1], (uint64_t)v[2], (uint64_t)v[3], (uint64_t)v[4]));
}

static PyObject *g_backward_done(PyObject *self, PyObject *unused)
{
	gns_feeding_backward_done();
	return nothing();
}

static PyObject *g_void(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	if (!take_count(n, 1, 1) || !take_int(args[0], &id))
		return NULL;
	gns_feeding_void(id);
	return nothing();
}

static PyObject *g_used(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id, samples;
	if (!take_count(n, 2, 2) || !take_int(args[0], &id) || !take_int(args[1], &samples))
		return NULL;
	if (samples > 0)
		gns_feeding_used(id, (uint64_t)samples);
	return nothing();
}

static PyObject *g_is_zero(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct gns_tensor t;
	if (!take_count(n, 1, 1))
		return NULL;
	int rc = take_tensor(args[0], &t);
	return rc == -EINTR ? NULL : gns_py.PyBool_FromLong(!rc && gns_tensor_is_zero(&t));
}

/* grad(id, t, world) */
static PyObject *g_grad(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct gns_feeding_time time;
	struct gns_tensor t;
	int64_t id, world;
	if (!take_count(n, 3, 3) || !take_int(args[0], &id) || !take_int(args[2], &world))
		return NULL;
	int rc = take_tensor(args[1], &t);
	if (rc)
		return rc == -EINTR ? NULL : number(rc);
	gns_feeding_time_begin(&time);
	PyThreadState *thread = numel(&t) >= 4 * LONG_WORK ? gns_py.PyEval_SaveThread() : NULL;
	rc = gns_feeding_big(id, &t, world > 0 && world <= INT32_MAX ? (uint32_t)world : 1);
	if (thread)
		gns_py.PyEval_RestoreThread(thread);
	gns_feeding_time_end(&time);
	return number(rc);
}

/* ---- the object ---- */

static struct gns_py_method functions[] = {
#define FAST(name) { #name, (void *)g_##name, GNS_PY_FASTCALL, NULL }
#define BARE(name) { #name, (void *)g_##name, GNS_PY_NOARGS, NULL }
	FAST(setup), FAST(wrap), FAST(hook), BARE(load), BARE(state), BARE(generation), BARE(take_over), FAST(give_up), FAST(world),
	BARE(now), FAST(cost), BARE(samples_told), FAST(stream), FAST(param), FAST(rename), FAST(leave_out), FAST(measuring),
	BARE(any_measuring), FAST(phase), FAST(loss), FAST(scale), FAST(setting), FAST(event), FAST(count), FAST(step), FAST(skip),
	FAST(linear), FAST(conv), FAST(embedding), FAST(gain), FAST(reduce), FAST(uses), BARE(backward_done), FAST(void), FAST(used),
	FAST(is_zero), FAST(grad),
#undef FAST
#undef BARE
};

static bool intern(void)
{
	word.dtype = gns_py.PyUnicode_InternFromString("dtype");
	word.shape = gns_py.PyUnicode_InternFromString("shape");
	word.stride = gns_py.PyUnicode_InternFromString("stride");
	word.data_ptr = gns_py.PyUnicode_InternFromString("data_ptr");
	return word.dtype && word.shape && word.stride && word.data_ptr;
}

PyObject *gns_torch_native(void)
{
	PyObject *object = intern() ? gns_py.PyModule_New("gnscope") : NULL;
	for (size_t i = 0; object && i < sizeof functions / sizeof *functions; i++) {
		PyObject *function = gns_py.PyCFunction_NewEx(&functions[i], NULL, NULL);
		int rc = function ? gns_py.PyObject_SetAttrString(object, functions[i].name, function) : -1;
		gns_py.Py_DecRef(function);
		if (rc) {
			gns_py.Py_DecRef(object);
			return NULL;
		}
	}
	return object;
}
