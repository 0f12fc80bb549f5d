/* Callables that stand before PyTorch's own. In C, so that no frame of ours is in a traceback of the trainer's. */
#include <stdio.h>
#include <string.h>

#include "collectors/torch/torch.h"
#include "collectors/torch/wrap.h"
#include "profiler/shim/core/layer_feed.h"

struct wrap { /* a PyObject */
	char head[GNS_PY_HEAD_SIZE];
	PyObject *dict, *weak;
	PyObject *original, *before, *after; /* NULL none */
	const struct gns_torch_entry *entry; /* NULL: before and after are called, whenever it is */
};

static PyObject *wrap_type;

static PyObject *keep(PyObject *o)
{
	if (o == gns_py.none)
		return NULL;
	gns_py.Py_IncRef(o);
	return o;
}

static void put_text(char *out, size_t size, PyObject *o)
{
	Py_ssize_t length;
	PyObject *text = o ? gns_py.PyObject_Str(o) : NULL;
	const char *utf8 = text ? gns_py.PyUnicode_AsUTF8AndSize(text, &length) : NULL;
	snprintf(out, size, "%s", utf8 ? utf8 : "");
	gns_py.Py_DecRef(text);
	if (gns_py.PyErr_Occurred())
		gns_py.PyErr_Clear();
}

static PyObject *attribute(PyObject *o, const char *name)
{
	PyObject *found = o && o != gns_py.none ? gns_py.PyObject_GetAttrString(o, name) : NULL;
	if (gns_py.PyErr_Occurred())
		gns_py.PyErr_Clear();
	return found;
}

/* "graph.py:123" of the innermost frame. */
static void put_place(char *out, size_t size, PyObject *trace)
{
	char file[96] = "", line[16] = "";
	PyObject *at = keep(trace ? trace : gns_py.none);
	for (PyObject *next; at && (next = attribute(at, "tb_next")); at = next) {
		if (next == gns_py.none) {
			gns_py.Py_DecRef(next);
			break;
		}
		gns_py.Py_DecRef(at);
	}
	PyObject *frame = attribute(at, "tb_frame"), *code = attribute(frame, "f_code");
	PyObject *name = attribute(code, "co_filename"), *number = attribute(at, "tb_lineno");
	put_text(file, sizeof file, name);
	put_text(line, sizeof line, number);
	const char *slash = strrchr(file, '/');
	snprintf(out, size, "%.20s:%.6s", slash ? slash + 1 : file, line);
	gns_py.Py_DecRef(number);
	gns_py.Py_DecRef(name);
	gns_py.Py_DecRef(code);
	gns_py.Py_DecRef(frame);
	gns_py.Py_DecRef(at);
}

bool gns_torch_failed(void)
{
	PyObject *type, *value, *trace;
	gns_py.PyErr_Fetch(&type, &value, &trace);
	gns_py.PyErr_NormalizeException(&type, &value, &trace);
	if (!type || !gns_py.PyErr_GivenExceptionMatches(type, gns_py.exception)) {
		if (value)
			gns_py.PyException_SetTraceback(value, gns_py.none);
		gns_py.Py_DecRef(trace);
		gns_py.PyErr_Restore(type, value, NULL);
		return false;
	}
	char place[28], what[24], name[18], reason[72];
	PyObject *word = attribute(type, "__name__");
	put_place(place, sizeof place, trace);
	put_text(name, sizeof name, word);
	put_text(what, sizeof what, value);
	snprintf(reason, sizeof reason, "%s %s: %s", place, name, what);
	gns_py.Py_DecRef(word);
	gns_py.Py_DecRef(type);
	gns_py.Py_DecRef(value);
	gns_py.Py_DecRef(trace);
	gns_layer_feed_give_up(reason);
	return true;
}

PyObject *gns_torch_before(PyObject *before, PyObject *args, PyObject *kwargs)
{
	struct gns_layer_feed_time time;
	PyObject *none = NULL, *token = NULL;
	if (!before) {
		gns_py.Py_IncRef(gns_py.none);
		return gns_py.none;
	}
	gns_layer_feed_time_begin(&time);
	if (!kwargs)
		kwargs = none = gns_py.PyDict_New();
	if (kwargs)
		token = gns_py.PyObject_CallFunctionObjArgs(before, args, kwargs, NULL);
	gns_py.Py_DecRef(none);
	gns_layer_feed_time_end(&time);
	if (!token)
		gns_torch_failed();
	return token;
}

bool gns_torch_after(PyObject *after, PyObject *token, PyObject *result)
{
	struct gns_layer_feed_time time;
	PyObject *type = NULL, *value = NULL, *trace = NULL;
	if (!after || gns_layer_feed_given_up())
		return true;
	if (!result)
		gns_py.PyErr_Fetch(&type, &value, &trace);
	gns_layer_feed_time_begin(&time);
	PyObject *failed = gns_py.PyBool_FromLong(!result);
	PyObject *nothing = gns_py.PyObject_CallFunctionObjArgs(after, token, result ? result : gns_py.none, failed, NULL);
	gns_py.Py_DecRef(failed);
	gns_layer_feed_time_end(&time);
	if (!nothing && !gns_torch_failed()) {
		gns_py.Py_DecRef(type);
		gns_py.Py_DecRef(value);
		gns_py.Py_DecRef(trace);
		return false;
	}
	gns_py.Py_DecRef(nothing);
	if (!result)
		gns_py.PyErr_Restore(type, value, trace);
	return true;
}

PyObject *gns_torch_around(PyObject *original, PyObject *before, PyObject *after, PyObject *args, PyObject *kwargs)
{
	PyObject *token = gns_torch_before(before, args, kwargs);
	if (!token && gns_py.PyErr_Occurred())
		return NULL;
	PyObject *result = gns_py.PyObject_Call(original, args, kwargs);
	if (token && !gns_torch_after(after, token, result)) {
		gns_py.Py_DecRef(result);
		result = NULL;
	}
	gns_py.Py_DecRef(token);
	return result;
}

static PyObject *call_hook(const struct wrap *w, PyObject *args)
{
	struct gns_layer_feed_time time;
	gns_layer_feed_time_begin(&time);
	PyObject *nothing = gns_py.PyObject_Call(w->before, args, NULL);
	gns_layer_feed_time_end(&time);
	if (!nothing && !gns_torch_failed())
		return NULL;
	gns_py.Py_DecRef(nothing);
	gns_py.Py_IncRef(gns_py.none);
	return gns_py.none;
}

static PyObject *call(PyObject *self, PyObject *args, PyObject *kwargs)
{
	const struct wrap *w = (const struct wrap *)self;
	bool off = gns_layer_feed_given_up();
	if (w->original && off)
		return gns_py.PyObject_Call(w->original, args, kwargs);
	if (w->entry)
		return w->entry->through(w->entry, w->original, args, kwargs);
	if (w->original)
		return gns_torch_around(w->original, w->before, w->after, args, kwargs);
	if (!off)
		return call_hook(w, args);
	gns_py.Py_IncRef(gns_py.none);
	return gns_py.none;
}

/* As functions bind. */
static PyObject *bind(PyObject *self, PyObject *instance, PyObject *type)
{
	if (instance && instance != gns_py.none)
		return gns_py.PyMethod_New(self, instance);
	gns_py.Py_IncRef(self);
	return self;
}

/* Pickled and copied as functions are: by the name that it has taken over. */
static PyObject *reduce(PyObject *self, PyObject *unused)
{
	return gns_py.PyObject_GetAttrString(self, "__qualname__");
}

static void drop(PyObject *self)
{
	struct wrap *w = (struct wrap *)self;
	if (w->weak)
		gns_py.PyObject_ClearWeakRefs(self);
	gns_py.Py_DecRef(w->original);
	gns_py.Py_DecRef(w->before);
	gns_py.Py_DecRef(w->after);
	gns_py.Py_DecRef(w->dict);
	gns_py.PyObject_Free(self);
	gns_py.Py_DecRef(wrap_type);
}

static PyObject *make_type(void)
{
	static struct gns_py_method methods[] = { { "__reduce__", (void *)reduce, GNS_PY_NOARGS, NULL }, { 0 } };
	static struct gns_py_member members[] = {
		{ "__dictoffset__", GNS_PY_SSIZE, offsetof(struct wrap, dict), GNS_PY_READONLY, NULL },
		{ "__weaklistoffset__", GNS_PY_SSIZE, offsetof(struct wrap, weak), GNS_PY_READONLY, NULL },
		{ 0 },
	};
	static struct gns_py_getset getsets[2];
	getsets[0] = (struct gns_py_getset){ "__dict__", (void *)gns_py.PyObject_GenericGetDict, (void *)gns_py.PyObject_GenericSetDict,
					     NULL, NULL };
	struct gns_py_slot slots[] = {
		{ GNS_PY_TP_CALL, (void *)call }, { GNS_PY_TP_DESCR_GET, (void *)bind }, { GNS_PY_TP_DEALLOC, (void *)drop },
		{ GNS_PY_TP_GETATTRO, (void *)gns_py.PyObject_GenericGetAttr }, { GNS_PY_TP_SETATTRO, (void *)gns_py.PyObject_GenericSetAttr },
		{ GNS_PY_TP_METHODS, methods }, { GNS_PY_TP_MEMBERS, members }, { GNS_PY_TP_GETSET, getsets }, { 0 },
	};
	struct gns_py_spec spec = { .name = "gnscope.wrapper", .basicsize = sizeof(struct wrap), .slots = slots,
				    .flags = GNS_PY_VERSION_TAG | GNS_PY_METHOD_DESCRIPTOR };
	return gns_py.PyType_FromSpec(&spec);
}

/* functools.update_wrapper(self, original) */
static bool look_like(PyObject *self, PyObject *original)
{
	static PyObject *update;
	if (!update) {
		PyObject *functools = gns_py.PyImport_ImportModule("functools");
		update = functools ? gns_py.PyObject_GetAttrString(functools, "update_wrapper") : NULL;
		gns_py.Py_DecRef(functools);
	}
	PyObject *same = update ? gns_py.PyObject_CallFunctionObjArgs(update, self, original, NULL) : NULL;
	gns_py.Py_DecRef(same);
	return same != NULL;
}

PyObject *gns_torch_wrap(PyObject *original, PyObject *before, PyObject *after)
{
	if (!wrap_type && !(wrap_type = make_type()))
		return NULL;
	PyObject *self = gns_py.PyType_GenericAlloc(wrap_type, 0);
	if (!self)
		return NULL;
	struct wrap *w = (struct wrap *)self;
	w->original = original ? keep(original) : NULL;
	w->before = keep(before);
	w->after = after ? keep(after) : NULL;
	if ((!original && !w->before) || (original && !look_like(self, original))) {
		if (!gns_py.PyErr_Occurred())
			gns_py.PyErr_SetString(gns_py.type_error, "nothing to call");
		gns_py.Py_DecRef(self);
		return NULL;
	}
	return self;
}

PyObject *gns_torch_wrap_entry(PyObject *original, const struct gns_torch_entry *entry)
{
	PyObject *self = gns_torch_wrap(original, gns_py.none, gns_py.none);
	if (self)
		((struct wrap *)self)->entry = entry;
	return self;
}
