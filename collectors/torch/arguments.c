/* Arguments of the functions of `_g`. */
#include "collectors/torch/arguments.h"

#include <errno.h>
#include <string.h>

#define DTYPES 16

static struct {
	PyObject *dtype[DTYPES]; /* kept for good; torch never gives them back */
	uint32_t code[DTYPES];
	unsigned n;
} dtypes;

static struct {
	PyObject *dtype, *shape, *stride, *data_ptr, *is_cpu, *numel, *item;
} word;

static PyObject *tensor_type; /* torch.Tensor itself */

static struct {
	PyObject *device_of, *stream_of; /* NULL: there is no CUDA */
} where;

PyObject *gns_nothing(void)
{
	gns_py.Py_IncRef(gns_py.none);
	return gns_py.none;
}

PyObject *gns_number(long long value)
{
	return gns_py.PyLong_FromLongLong(value);
}

bool gns_type_error(const char *what)
{
	gns_py.PyErr_Clear();
	gns_py.PyErr_SetString(gns_py.type_error, what);
	return false;
}

bool gns_take_count(Py_ssize_t given, Py_ssize_t least, Py_ssize_t most)
{
	return (given >= least && given <= most) || gns_type_error("wrong number of arguments");
}

bool gns_take_int(PyObject *o, int64_t *out)
{
	*out = gns_py.PyLong_AsLongLong(o);
	return *out != -1 || !gns_py.PyErr_Occurred() || gns_type_error("an int is wanted");
}

bool gns_take_double(PyObject *o, double *out)
{
	*out = __builtin_nan("");
	if (o == gns_py.none)
		return true;
	*out = gns_py.PyFloat_AsDouble(o);
	return *out != -1.0 || !gns_py.PyErr_Occurred() || gns_type_error("a float is wanted");
}

bool gns_take_bool(PyObject *o, bool *out)
{
	int truth = gns_py.PyObject_IsTrue(o);
	*out = truth > 0;
	return truth >= 0 || gns_type_error("a bool is wanted");
}

bool gns_take_text(PyObject *o, char *out, size_t size)
{
	Py_ssize_t length = 0;
	const char *text = o == gns_py.none ? "" : gns_py.PyUnicode_AsUTF8AndSize(o, &length);
	if (!text)
		return gns_type_error("a str is wanted");
	size_t n = (size_t)length < size ? (size_t)length : size - 1;
	while (n < (size_t)length && n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, text, n);
	out[n] = 0;
	return true;
}

bool gns_take_sizes(PyObject *o, uint64_t *out, unsigned most, int *count)
{
	Py_ssize_t n = gns_py.PyTuple_Size(o);
	int64_t value;
	if (n < 0)
		return gns_type_error("a tuple is wanted");
	*count = n > (Py_ssize_t)most ? -1 : (int)n;
	for (int i = 0; i < *count; i++) {
		if (!gns_take_int(gns_py.PyTuple_GetItem(o, i), &value))
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
	if (!shape || !stride || !pointer || !gns_take_sizes(shape, size, GNS_TENSOR_DIMS, &dims) ||
	    !gns_take_sizes(stride, step, GNS_TENSOR_DIMS, &steps) || !gns_take_int(pointer, &at) || dims < 0 || dims != steps)
		return false;
	t->ndim = (unsigned)dims;
	t->data = (const void *)(uintptr_t)at;
	for (int i = 0; i < dims; i++) {
		t->size[i] = (size_t)size[i];
		t->stride[i] = (ptrdiff_t)step[i];
	}
	return true;
}

/* Where it is: of one Python call, where there is CUDA at all. */
static bool read_device(PyObject *o, int *device)
{
	int64_t at = GNS_TORCH_HOST;
	PyObject *told = where.device_of ? gns_py.PyObject_CallFunctionObjArgs(where.device_of, o, NULL) : NULL;
	bool read = !where.device_of || (told && gns_take_int(told, &at) && at >= GNS_TORCH_HOST && at < INT16_MAX);
	gns_py.Py_DecRef(told);
	*device = (int)at;
	return read;
}

int gns_settled(bool read)
{
	if (!gns_py.PyErr_Occurred())
		return read ? 0 : -EINVAL;
	if (!gns_py.PyErr_ExceptionMatches(gns_py.exception))
		return -EINTR;
	gns_py.PyErr_Clear();
	return -EINVAL;
}

int gns_take_tensor(PyObject *o, struct gns_torch_tensor *out)
{
	struct gns_tensor *t = &out->t;
	memset(out, 0, sizeof *out);
	PyObject *dtype = gns_py.PyObject_GetAttr(o, word.dtype);
	PyObject *shape = dtype ? gns_py.PyObject_GetAttr(o, word.shape) : NULL;
	PyObject *stride = shape ? gns_py.PyObject_CallMethodObjArgs(o, word.stride, NULL) : NULL;
	PyObject *pointer = stride ? gns_py.PyObject_CallMethodObjArgs(o, word.data_ptr, NULL) : NULL;
	t->dtype = dtype ? code_of(dtype) : 0;
	bool read = read_layout(shape, stride, pointer, t) && read_device(o, &out->device);
	gns_py.Py_DecRef(pointer);
	gns_py.Py_DecRef(stride);
	gns_py.Py_DecRef(shape);
	gns_py.Py_DecRef(dtype);
	return gns_settled(read && t->dtype);
}

static bool is_one_number_here(PyObject *o)
{
	int64_t count = 0;
	PyObject *here = gns_py.PyObject_GetAttr(o, word.is_cpu);
	PyObject *numel = here && gns_py.PyObject_IsTrue(here) > 0 ? gns_py.PyObject_CallMethodObjArgs(o, word.numel, NULL) : NULL;
	bool is = numel && gns_take_int(numel, &count) && count == 1;
	gns_py.Py_DecRef(numel);
	gns_py.Py_DecRef(here);
	return is;
}

int gns_take_number(PyObject *o, double *out)
{
	if (gns_py_type(o) == gns_py.float_type || gns_py_type(o) == gns_py.int_type)
		return gns_settled(gns_take_double(o, out));
	if (gns_py_type(o) != tensor_type || !is_one_number_here(o))
		return gns_settled(false);
	PyObject *item = gns_py.PyObject_CallMethodObjArgs(o, word.item, NULL);
	bool read = item && gns_take_double(item, out);
	gns_py.Py_DecRef(item);
	return gns_settled(read);
}

bool gns_torch_stream(int device, void **stream)
{
	int64_t handle = 0;
	PyObject *ordinal = where.stream_of ? gns_number(device) : NULL;
	PyObject *told = ordinal ? gns_py.PyObject_CallFunctionObjArgs(where.stream_of, ordinal, NULL) : NULL;
	bool read = told && gns_take_int(told, &handle);
	gns_py.Py_DecRef(told);
	gns_py.Py_DecRef(ordinal);
	*stream = (void *)(uintptr_t)handle;
	return gns_settled(read) == 0;
}

static void set_slot(PyObject **slot, PyObject *function)
{
	PyObject *before = *slot;
	*slot = function == gns_py.none ? NULL : function;
	if (*slot)
		gns_py.Py_IncRef(*slot);
	gns_py.Py_DecRef(before);
}

PyObject *gns_torch_setup(PyObject *const *args, Py_ssize_t n)
{
	int64_t code;
	if (!gns_take_count(n, 2, 4))
		return NULL;
	set_slot(&tensor_type, args[1]);
	Py_ssize_t count = gns_py.PyTuple_Size(args[0]);
	if (count < 0 && !gns_type_error("a tuple is wanted"))
		return NULL;
	dtypes.n = 0;
	for (Py_ssize_t i = 0; i < count && dtypes.n < DTYPES; i++) {
		PyObject *pair = gns_py.PyTuple_GetItem(args[0], i), *dtype = gns_py.PyTuple_GetItem(pair, 0);
		PyObject *of = dtype ? gns_py.PyTuple_GetItem(pair, 1) : NULL;
		if ((!of && !gns_type_error("pairs of a dtype and a code are wanted")) || !gns_take_int(of, &code))
			return NULL;
		gns_py.Py_IncRef(dtype);
		dtypes.dtype[dtypes.n] = dtype;
		dtypes.code[dtypes.n++] = (uint32_t)code;
	}
	set_slot(&where.device_of, n == 4 ? args[2] : gns_py.none);
	set_slot(&where.stream_of, n == 4 ? args[3] : gns_py.none);
	return gns_nothing();
}

bool gns_torch_arguments_init(void)
{
	word.dtype = gns_py.PyUnicode_InternFromString("dtype");
	word.shape = gns_py.PyUnicode_InternFromString("shape");
	word.stride = gns_py.PyUnicode_InternFromString("stride");
	word.data_ptr = gns_py.PyUnicode_InternFromString("data_ptr");
	word.is_cpu = gns_py.PyUnicode_InternFromString("is_cpu");
	word.numel = gns_py.PyUnicode_InternFromString("numel");
	word.item = gns_py.PyUnicode_InternFromString("item");
	return word.dtype && word.shape && word.stride && word.data_ptr && word.is_cpu && word.numel && word.item;
}
