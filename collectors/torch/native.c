/* The functions of `_g`, which the embedded files call. What each is for: docs/internals/pytorch.md. */
#include <string.h>

#include "collectors/torch/arguments.h"
#include "collectors/torch/measures.h"
#include "collectors/torch/parts.h"
#include "collectors/torch/points.h"
#include "collectors/torch/streams.h"
#include "profiler/shim/process/clock.h"
#include "profiler/shim/core/layer_feed.h"

/* ---- the collector as a whole ---- */

static PyObject *g_setup(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return gns_torch_setup(args, n);
}

static PyObject *g_wrap(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return gns_take_count(n, 3, 3) ? gns_torch_wrap(args[0], args[1], args[2]) : NULL;
}

static PyObject *g_hook(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return gns_take_count(n, 1, 1) ? gns_torch_wrap(NULL, args[0], gns_py.none) : NULL;
}

static PyObject *g_load(PyObject *self, PyObject *unused)
{
	return gns_torch_load();
}

static PyObject *g_state(PyObject *self, PyObject *unused)
{
	return gns_number(gns_layer_feed_on());
}

static PyObject *g_generation(PyObject *self, PyObject *unused)
{
	return gns_number(gns_layer_feed_generation());
}

static PyObject *g_take_over(PyObject *self, PyObject *unused)
{
	gns_layer_feed_take_over();
	gns_torch_parts_begin();
	return gns_nothing();
}

static PyObject *g_give_up(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char reason[72];
	if (!gns_take_count(n, 1, 1) || !gns_take_text(args[0], reason, sizeof reason))
		return NULL;
	gns_layer_feed_give_up(reason);
	return gns_nothing();
}

static PyObject *g_world(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t rank, world;
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &rank) || !gns_take_int(args[1], &world))
		return NULL;
	if (rank >= 0 && rank < world && world <= INT32_MAX)
		gns_layer_feed_world((int32_t)rank, (int32_t)world);
	return gns_nothing();
}

static PyObject *g_now(PyObject *self, PyObject *unused)
{
	return gns_number((long long)gns_now());
}

static PyObject *g_cost(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t ns;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &ns))
		return NULL;
	if (ns > 0)
		gns_layer_feed_cost((uint64_t)ns);
	return gns_nothing();
}

static PyObject *g_samples_told(PyObject *self, PyObject *unused)
{
	return gns_number((long long)gns_layer_feed_samples_told());
}

/* As given; an enum gns_layout */
static PyObject *g_layout_told(PyObject *self, PyObject *unused)
{
	return gns_number((long long)gns_layer_feed_layout_told());
}

#define TYPES 256

/* Whether a type is `of` or made of it, remembered for most types. */
static bool is_kind(PyObject *type, PyObject *of, PyObject **is, PyObject **is_not)
{
	size_t at = ((uintptr_t)type >> 4) * 0x9e3779b97f4a7c15ull >> 56;
	if (is[at] == type || is_not[at] == type)
		return is[at] == type;
	bool found = gns_py.PyType_IsSubtype(type, of);
	*(found ? &is[at] : &is_not[at]) = type;
	return found;
}

/* instances(type): a list of the objects of that type and those made of it that the garbage collector knows. No Python runs between the list
 * of all objects and its end, so that no other thread can let go of one that this list then is the last to hold. */
static PyObject *g_instances(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	static PyObject *is[TYPES], *is_not[TYPES]; /* too much for a small stack; the GIL keeps others out */
	if (!gns_take_count(n, 1, 1))
		return NULL;
	memset(is, 0, sizeof is);
	memset(is_not, 0, sizeof is_not);
	PyObject *gc = gns_py.PyImport_ImportModule("gc"), *get = gc ? gns_py.PyObject_GetAttrString(gc, "get_objects") : NULL;
	PyObject *found = get ? gns_py.PyList_New(0) : NULL, *all = found ? gns_py.PyObject_CallNoArgs(get) : NULL;
	Py_ssize_t count = all ? gns_py.PyList_Size(all) : -1;
	bool done = count >= 0;
	for (Py_ssize_t i = 0; done && i < count; i++) {
		PyObject *o = gns_py.PyList_GetItem(all, i);
		if (is_kind(gns_py_type(o), args[0], is, is_not))
			done = gns_py.PyList_Append(found, o) == 0;
	}
	gns_py.Py_DecRef(all);
	gns_py.Py_DecRef(get);
	gns_py.Py_DecRef(gc);
	if (done)
		return found;
	gns_py.Py_DecRef(found);
	return NULL;
}

/* ---- streams and parameters ---- */

static PyObject *g_stream(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char name[64];
	if (!gns_take_count(n, 1, 1) || !gns_take_text(args[0], name, sizeof name))
		return NULL;
	return gns_number(gns_layer_feed_stream(name));
}

static PyObject *g_param(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	uint64_t size[GNS_TENSOR_DIMS];
	int64_t stream, dtype, data = 0;
	char name[80];
	int dims;
	if (!gns_take_count(n, 4, 5) || !gns_take_int(args[0], &stream) || !gns_take_text(args[1], name, sizeof name) ||
	    !gns_take_sizes(args[2], size, GNS_TENSOR_DIMS, &dims) || !gns_take_int(args[3], &dtype) || (n == 5 && !gns_take_int(args[4], &data)))
		return NULL;
	if (dims < 0)
		return gns_number(0);
	return gns_number(gns_layer_feed_param(stream, name, (unsigned)dims, size, (uint32_t)dtype, (const void *)(uintptr_t)data));
}

static PyObject *g_rename(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	char name[80];
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &id) || !gns_take_text(args[1], name, sizeof name))
		return NULL;
	gns_layer_feed_rename(id, name);
	return gns_nothing();
}

static PyObject *g_leave_out(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	char reason[32];
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &id) || !gns_take_text(args[1], reason, sizeof reason))
		return NULL;
	gns_layer_feed_leave_out(id, reason);
	return gns_nothing();
}

static PyObject *g_measuring(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &stream))
		return NULL;
	return gns_py.PyBool_FromLong(gns_layer_feed_measuring(stream));
}

static PyObject *g_any_measuring(PyObject *self, PyObject *unused)
{
	return gns_py.PyBool_FromLong(gns_layer_feed_any());
}

static PyObject *g_phase(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char name[16];
	if (!gns_take_count(n, 1, 1) || !gns_take_text(args[0], name, sizeof name))
		return NULL;
	gns_layer_feed_phase(name);
	return gns_nothing();
}

static PyObject *g_loss(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	double value;
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &stream) || !gns_take_double(args[1], &value))
		return NULL;
	gns_layer_feed_loss(stream, value);
	return gns_nothing();
}

static PyObject *g_scale(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	double scale;
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &stream) || !gns_take_double(args[1], &scale))
		return NULL;
	gns_layer_feed_scale(stream, scale);
	return gns_nothing();
}

static PyObject *g_setting(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	char name[32], text[64] = "";
	double value;
	if (!gns_take_count(n, 3, 4) || !gns_take_int(args[0], &stream) || !gns_take_text(args[1], name, sizeof name) ||
	    !gns_take_double(args[2], &value) || (n == 4 && !gns_take_text(args[3], text, sizeof text)))
		return NULL;
	gns_layer_feed_setting(stream, name, value, text);
	return gns_nothing();
}

/* shift(param, sum): to the sum of the samples' squares, of a term of the loss that is the same for all of them */
static PyObject *g_shift(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	double sum;
	if (!gns_take_count(n, 2, 2) || !gns_take_int(args[0], &id) || !gns_take_double(args[1], &sum))
		return NULL;
	gns_layer_feed_shift(id, sum);
	return gns_nothing();
}

static PyObject *g_event(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	char name[32], text[72];
	if (!gns_take_count(n, 3, 3) || !gns_take_int(args[0], &stream) || !gns_take_text(args[1], name, sizeof name) ||
	    !gns_take_text(args[2], text, sizeof text))
		return NULL;
	gns_layer_feed_event(stream, name, text);
	return gns_nothing();
}

static PyObject *g_count(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	char name[40];
	if (!gns_take_count(n, 1, 1) || !gns_take_text(args[0], name, sizeof name))
		return NULL;
	gns_layer_feed_count(name);
	return gns_nothing();
}

/* measure_now(stream): a graph is about to be captured, and nothing has happened in the step */
static PyObject *g_measure_now(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t stream;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &stream))
		return NULL;
	gns_layer_feed_measure_now(stream);
	return gns_nothing();
}

/* ---- the object ---- */

static struct gns_py_method functions[] = {
#define FAST(name) { #name, (void *)g_##name, GNS_PY_FASTCALL, NULL }
#define BARE(name) { #name, (void *)g_##name, GNS_PY_NOARGS, NULL }
	FAST(setup), FAST(wrap), FAST(hook), BARE(load), BARE(state), BARE(generation), BARE(take_over), FAST(give_up), FAST(world),
	BARE(now), FAST(cost), BARE(samples_told), BARE(layout_told), FAST(instances), FAST(stream), FAST(param), FAST(rename), FAST(leave_out), FAST(measuring),
	BARE(any_measuring), FAST(phase), FAST(loss), FAST(scale), FAST(setting), FAST(event), FAST(shift), FAST(count), FAST(measure_now),
#undef FAST
#undef BARE
	{ NULL, NULL, 0, NULL },
};

static bool put(PyObject *object, struct gns_py_method *table)
{
	for (; table->name; table++) {
		PyObject *function = gns_py.PyCFunction_NewEx(table, NULL, NULL);
		int rc = function ? gns_py.PyObject_SetAttrString(object, table->name, function) : -1;
		gns_py.Py_DecRef(function);
		if (rc)
			return false;
	}
	return true;
}

PyObject *gns_torch_native(void)
{
	PyObject *object = gns_torch_arguments_init() ? gns_py.PyModule_New("gnscope") : NULL;
	if (object && !(put(object, functions) && put(object, gns_torch_points) && put(object, gns_torch_stream_functions) && put(object, gns_torch_measures))) {
		gns_py.Py_DecRef(object);
		object = NULL;
	}
	return object;
}
