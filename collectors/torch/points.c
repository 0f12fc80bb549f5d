/* The entry points. */
#include "collectors/torch/points.h"

#include <errno.h>
#include <string.h>

#include "collectors/torch/arguments.h"
#include "collectors/torch/streams.h"
#include "collectors/torch/wrap.h"
#include "profiler/shim/core/layer_feed.h"

static struct {
	bool packing; /* hooks on saved tensors have been seen */
	bool clipped; /* a gradient was clipped, and Python has said so */
	bool scaled;  /* a scaler has scaled a loss */
} seen;

enum point { MADE, REPLICA, GROUPS, BACKWARD, STEP, ZEROED, CLIP_NORM, CLIP_VALUE, PACKING, PACKING_UNSEEN, UNPACK, SCALE, SCALED_STEP, CAPTURE, FORKED, POINTS };
static struct gns_torch_entry points[POINTS];

static PyObject *argument(PyObject *args, Py_ssize_t at)
{
	return gns_py.PyTuple_Size(args) > at ? gns_py.PyTuple_GetItem(args, at) : NULL;
}

/* The argument `at`, by place or by name; NULL not given, or None. Borrowed. */
static PyObject *given(PyObject *args, PyObject *kwargs, Py_ssize_t at, const char *name)
{
	PyObject *found = argument(args, at);
	if (!found && kwargs)
		found = gns_py.PyDict_GetItemString(kwargs, name);
	return found == gns_py.none ? NULL : found;
}

static PyObject *around(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	return gns_torch_around(original, e->before, e->after, args, kwargs);
}

static bool busy(void)
{
	return gns_torch_streams.pending || gns_layer_feed_any();
}

/* A number, or a tensor of one in host memory: 1; anything else 0; -1: what was raised is not ours. Timed. */
static int read_number(PyObject *o, double *out)
{
	struct gns_layer_feed_time time;
	gns_layer_feed_time_begin(&time);
	int rc = gns_take_number(o, out);
	gns_layer_feed_time_end(&time);
	return rc == -EINTR ? -1 : rc == 0;
}

/* ---- backward ---- */

static PyObject *backward_with_loss(const struct gns_torch_entry *e, struct gns_torch_stream *s, PyObject *original, PyObject *args,
				    PyObject *kwargs)
{
	double loss;
	int64_t id = s->id;
	int read = seen.scaled ? 0 : read_number(argument(args, 0), &loss);
	if (!read)
		return around(e, original, args, kwargs);
	if (read < 0)
		return NULL;
	PyObject *result = gns_py.PyObject_Call(original, args, kwargs);
	if (result)
		gns_layer_feed_loss(id, loss);
	return result;
}

/* A pass that is given gradients is a checkpoint's, inside another, or of no loss. */
static PyObject *backward(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	PyObject *gradients = argument(args, 1);
	bool of_loss = !gradients || gradients == gns_py.none;
	gns_torch_streams.passes += of_loss;
	gns_layer_feed_pass_begins();
	if (busy())
		return around(e, original, args, kwargs);
	struct gns_torch_stream *s = of_loss && argument(args, 0) ? gns_torch_stream_look() : NULL;
	return s ? backward_with_loss(e, s, original, args, kwargs) : gns_py.PyObject_Call(original, args, kwargs);
}

/* ---- Optimizer.step ---- */

/* optimizer.param_groups[0]["lr"]; NaN: not known. False: interrupted. */
static bool read_rate(PyObject *optimizer, double *lr)
{
	*lr = __builtin_nan("");
	PyObject *groups = gns_py.PyObject_GetAttrString(optimizer, "param_groups");
	PyObject *group = groups ? gns_py.PySequence_GetItem(groups, 0) : NULL;
	PyObject *rate = group ? gns_py.PyDict_GetItemString(group, "lr") : NULL;
	int read = rate ? read_number(rate, lr) : 0;
	gns_py.Py_DecRef(group);
	gns_py.Py_DecRef(groups);
	return read >= 0 && gns_settled(true) != -EINTR;
}

/* Ends the step of a stream that nothing was measured of. False: interrupted. */
static bool close_plain(struct gns_torch_stream *s, PyObject *optimizer)
{
	double lr = __builtin_nan("");
	if (s->look && !read_rate(optimizer, &lr))
		return false;
	uint64_t passes = gns_torch_streams.n == 1 ? gns_torch_streams.passes - s->passes : 0;
	if (gns_torch_stream_close(s, (uint32_t)passes, lr))
		return true;
	return gns_torch_after(points[FORKED].after, gns_py.none, gns_py.none);
}

/* The optimizer's stream is found anew: there is none in a child, and the table may have changed during the call. */
static PyObject *call_step(PyObject *original, PyObject *optimizer, PyObject *args, PyObject *kwargs)
{
	struct gns_torch_stream *s = gns_torch_stream_find(optimizer);
	if (s)
		s->stepping = true;
	PyObject *result = gns_py.PyObject_Call(original, args, kwargs);
	s = gns_torch_stream_find(optimizer);
	if (s)
		s->stepping = false;
	return result;
}

static PyObject *step_plain(const struct gns_torch_entry *e, struct gns_torch_stream *s, PyObject *original, PyObject *args, PyObject *kwargs)
{
	PyObject *optimizer = argument(args, 0);
	bool closure = (kwargs || gns_py.PyTuple_Size(args) > 1) && given(args, kwargs, 1, "closure");
	if (!closure && !close_plain(s, optimizer))
		return NULL;
	PyObject *result = call_step(original, optimizer, args, kwargs);
	s = gns_torch_stream_find(optimizer);
	bool through = !closure || !result || !s || close_plain(s, optimizer);
	if (through && gns_layer_feed_any())
		through = gns_torch_after(e->after, gns_py.none, result); /* the next step is measured */
	if (through)
		return result;
	gns_py.Py_DecRef(result);
	return NULL;
}

static PyObject *step_measured(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	PyObject *optimizer = argument(args, 0), *token = gns_torch_before(e->before, args, kwargs);
	if (!token && gns_py.PyErr_Occurred())
		return NULL;
	PyObject *result = call_step(original, optimizer, args, kwargs);
	if (token && !gns_torch_after(e->after, token, result)) {
		gns_py.Py_DecRef(result);
		result = NULL;
	}
	gns_py.Py_DecRef(token);
	return result;
}

/* step() inside step() is a part of it, as where a class calls that of its base. */
static PyObject *step(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	struct gns_torch_stream *s = gns_torch_stream_find(argument(args, 0));
	if (s && (s->stepping || s->id < 0))
		return gns_py.PyObject_Call(original, args, kwargs);
	if (s && !s->changed && !gns_layer_feed_any())
		return step_plain(e, s, original, args, kwargs);
	return step_measured(e, original, args, kwargs);
}

static PyObject *add_param_group(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	struct gns_torch_stream *s = gns_torch_stream_find(argument(args, 0));
	if (s)
		s->changed = true;
	return gns_py.PyObject_Call(original, args, kwargs);
}

/* ---- clipping ---- */

/* Of the first one Python tells. False: interrupted. */
static bool count_clipped(const struct gns_torch_entry *e, PyObject *args, PyObject *kwargs, PyObject *norm)
{
	if (seen.clipped) {
		gns_layer_feed_count("clipped_steps");
		return true;
	}
	seen.clipped = true;
	PyObject *names = kwargs ? kwargs : gns_py.PyDict_New();
	PyObject *token = names ? gns_py.Py_BuildValue("(OO)", args, names) : NULL;
	bool told = token && gns_torch_after(e->after, token, norm);
	gns_py.Py_DecRef(token);
	if (!kwargs)
		gns_py.Py_DecRef(names);
	return told;
}

static PyObject *clip_norm(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	double norm, limit;
	bool python = busy();
	PyObject *result = python ? around(e, original, args, kwargs) : gns_py.PyObject_Call(original, args, kwargs);
	if (!gns_torch_streams.n)
		return result;
	PyObject *most = result ? given(args, kwargs, 1, "max_norm") : NULL;
	int read = most ? read_number(most, &limit) : 0;
	if (read > 0)
		read = read_number(result, &norm);
	bool over = read > 0 && norm > limit;
	seen.clipped |= over && python;
	if (over && !python && !count_clipped(e, args, kwargs, result))
		read = -1;
	if (read >= 0)
		return result;
	gns_py.Py_DecRef(result);
	return NULL;
}

static PyObject *if_busy(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	return busy() ? around(e, original, args, kwargs) : gns_py.PyObject_Call(original, args, kwargs);
}

/* ---- saved tensors that are packed away, as by a checkpoint ---- */

/* A graph of before a measured step shows that its tensors are packed ("packing_unseen": not where PyTorch is too old to tell). */
static PyObject *packing(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	if (seen.packing && !busy())
		return gns_py.PyObject_Call(original, args, kwargs);
	seen.packing = true;
	return around(e, original, args, kwargs);
}

/* ---- GradScaler ---- */

static PyObject *scale(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	if (seen.scaled && !busy() && !gns_torch_stream_look())
		return gns_py.PyObject_Call(original, args, kwargs);
	seen.scaled = true;
	return around(e, original, args, kwargs);
}

/* Where step() was not called in it, the gradients were not finite. */
static PyObject *scaled_step(const struct gns_torch_entry *e, PyObject *original, PyObject *args, PyObject *kwargs)
{
	PyObject *optimizer = argument(args, 1);
	struct gns_torch_stream *s = gns_torch_stream_find(optimizer);
	uint64_t steps = s ? s->steps : 0;
	PyObject *result = gns_py.PyObject_Call(original, args, kwargs);
	struct gns_torch_stream *now = result && s ? gns_torch_stream_find(optimizer) : NULL;
	if (!now || now->id < 0 || now->steps != steps || gns_torch_after(e->after, optimizer, result))
		return result;
	gns_py.Py_DecRef(result);
	return NULL;
}

/* ---- the table ---- */

static struct gns_torch_entry points[POINTS] = {
	[MADE] = { "made", around, NULL, NULL },
	[REPLICA] = { "replica", around, NULL, NULL },
	[GROUPS] = { "groups", add_param_group, NULL, NULL },
	[BACKWARD] = { "backward", backward, NULL, NULL },
	[STEP] = { "step", step, NULL, NULL },
	[ZEROED] = { "zeroed", if_busy, NULL, NULL },
	[CLIP_NORM] = { "clip_norm", clip_norm, NULL, NULL },
	[CLIP_VALUE] = { "clip_value", if_busy, NULL, NULL },
	[PACKING] = { "packing", packing, NULL, NULL },
	[PACKING_UNSEEN] = { "packing_unseen", around, NULL, NULL },
	[UNPACK] = { "unpack", if_busy, NULL, NULL },
	[SCALE] = { "scale", scale, NULL, NULL },
	[SCALED_STEP] = { "scaled_step", scaled_step, NULL, NULL },
	[CAPTURE] = { "capture", around, NULL, NULL },
	[FORKED] = { "forked", around, NULL, NULL },
};

static struct gns_torch_entry *take_point(PyObject *o)
{
	char name[16];
	if (!gns_take_text(o, name, sizeof name))
		return NULL;
	for (int i = 0; i < POINTS; i++)
		if (strcmp(points[i].name, name) == 0)
			return &points[i];
	gns_type_error("no such entry point");
	return NULL;
}

/* point(original, name): a callable in the original's place */
static PyObject *g_point(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	const struct gns_torch_entry *e = gns_take_count(n, 2, 2) ? take_point(args[1]) : NULL;
	return e ? gns_torch_wrap_entry(args[0], e) : NULL;
}

static void set(PyObject **slot, PyObject *function)
{
	PyObject *before = *slot;
	*slot = function == gns_py.none ? NULL : function;
	gns_py.Py_IncRef(*slot);
	gns_py.Py_DecRef(before);
}

/* handlers(name, before, after): Python's functions at that entry point, for when they are wanted */
static PyObject *g_handlers(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct gns_torch_entry *e = gns_take_count(n, 3, 3) ? take_point(args[0]) : NULL;
	if (!e)
		return NULL;
	set(&e->before, args[1]);
	set(&e->after, args[2]);
	return gns_nothing();
}

struct gns_py_method gns_torch_points[] = {
	{ "point", (void *)g_point, GNS_PY_FASTCALL, NULL },
	{ "handlers", (void *)g_handlers, GNS_PY_FASTCALL, NULL },
	{ NULL, NULL, 0, NULL },
};
