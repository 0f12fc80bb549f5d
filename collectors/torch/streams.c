/* The optimizers that have a stream. */
#include "collectors/torch/streams.h"

#include <string.h>

#include "collectors/torch/arguments.h"
#include "profiler/shim/process/config.h"
#include "profiler/shim/core/layer_feed.h"

#define STREAMS 64

struct gns_torch_streams gns_torch_streams;
static struct gns_torch_stream table[STREAMS];
static uint32_t used; /* the first so many have been in use */

static struct gns_torch_stream *find(const void *optimizer)
{
	for (uint32_t i = 0; i < used; i++)
		if (table[i].optimizer == optimizer)
			return &table[i];
	return NULL;
}

struct gns_torch_stream *gns_torch_stream_find(const PyObject *optimizer)
{
	return optimizer ? find(optimizer) : NULL;
}

static struct gns_torch_stream *numbered(int64_t id)
{
	for (uint32_t i = 0; i < used; i++)
		if (table[i].optimizer && table[i].id == id)
			return &table[i];
	return NULL;
}

struct gns_torch_stream *gns_torch_stream_look(void)
{
	if (gns_torch_streams.n != 1)
		return NULL;
	for (uint32_t i = 0; i < used; i++)
		if (table[i].optimizer)
			return table[i].look ? &table[i] : NULL;
	return NULL;
}

static int end_step(struct gns_torch_stream *s, int64_t id, uint32_t micro_steps, double lr)
{
	int measured = gns_layer_feed_step(id, micro_steps ? micro_steps : 1, lr);
	if (!s)
		return measured;
	uint64_t now = gns_layer_feed_began(id);
	s->steps++;
	s->passes = gns_torch_streams.passes;
	s->look = gns_torch_streams.every_loss || now - s->looked_ns >= GNS_TORCH_LOOK_NS;
	if (s->look)
		s->looked_ns = now;
	return measured;
}

bool gns_torch_stream_close(struct gns_torch_stream *s, uint32_t micro_steps, double lr)
{
	return end_step(s, s->id, micro_steps, lr) >= 0;
}

/* ---- functions of `_g` ---- */

/* bind(id(optimizer), stream, changed) */
static PyObject *g_bind(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t address, id;
	bool changed;
	if (!gns_take_count(n, 3, 3) || !gns_take_int(args[0], &address) || !gns_take_int(args[1], &id) || !gns_take_bool(args[2], &changed))
		return NULL;
	const void *optimizer = (const void *)(uintptr_t)address;
	struct gns_torch_stream *s = find(optimizer);
	if (!s) {
		s = find(NULL);
		if (!s && used < STREAMS)
			s = &table[used++];
		gns_torch_streams.n += s != NULL;
	}
	if (s)
		*s = (struct gns_torch_stream){ .optimizer = optimizer, .id = id, .changed = changed, .passes = gns_torch_streams.passes };
	return gns_nothing();
}

/* unbind(id(optimizer)) */
static PyObject *g_unbind(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t address;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &address))
		return NULL;
	struct gns_torch_stream *s = address ? find((const void *)(uintptr_t)address) : NULL;
	if (s) {
		memset(s, 0, sizeof *s);
		gns_torch_streams.n--;
	}
	return gns_nothing();
}

static PyObject *g_unbind_all(PyObject *self, PyObject *unused)
{
	struct gns_config config;
	gns_config_read(&config);
	memset(table, 0, sizeof table);
	used = 0;
	gns_torch_streams = (struct gns_torch_streams){ .every_loss = config.every_loss };
	return gns_nothing();
}

static PyObject *g_owners_changed(PyObject *self, PyObject *unused)
{
	for (uint32_t i = 0; i < used; i++)
		table[i].changed = true;
	return gns_nothing();
}

/* settled(id(optimizer)) */
static PyObject *g_settled(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t address;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &address))
		return NULL;
	struct gns_torch_stream *s = address ? find((const void *)(uintptr_t)address) : NULL;
	if (s)
		s->changed = false;
	return gns_nothing();
}

static PyObject *g_pending(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	return gns_take_count(n, 1, 1) && gns_take_bool(args[0], &gns_torch_streams.pending) ? gns_nothing() : NULL;
}

static PyObject *g_steps(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &id))
		return NULL;
	const struct gns_torch_stream *s = numbered(id);
	return gns_number(s ? (long long)s->steps : 0);
}

static PyObject *g_passes(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &id))
		return NULL;
	const struct gns_torch_stream *s = numbered(id);
	return gns_number(s ? (long long)(gns_torch_streams.passes - s->passes) : 0);
}

/* step(stream, micro_steps, lr) */
static PyObject *g_step(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id, micro;
	double lr;
	if (!gns_take_count(n, 3, 3) || !gns_take_int(args[0], &id) || !gns_take_int(args[1], &micro) || !gns_take_double(args[2], &lr))
		return NULL;
	return gns_number(end_step(numbered(id), id, micro > 0 && micro <= INT32_MAX ? (uint32_t)micro : 1, lr));
}

/* skip(stream) */
static PyObject *g_skip(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t id;
	if (!gns_take_count(n, 1, 1) || !gns_take_int(args[0], &id))
		return NULL;
	struct gns_torch_stream *s = numbered(id);
	gns_layer_feed_skip(id);
	if (s)
		s->passes = gns_torch_streams.passes;
	return gns_nothing();
}

struct gns_py_method gns_torch_stream_functions[] = {
#define FAST(name) { #name, (void *)g_##name, GNS_PY_FASTCALL, NULL }
#define BARE(name) { #name, (void *)g_##name, GNS_PY_NOARGS, NULL }
	FAST(bind), FAST(unbind), BARE(unbind_all), BARE(owners_changed), FAST(settled), FAST(pending), FAST(steps), FAST(passes), FAST(step),
	FAST(skip),
#undef FAST
#undef BARE
	{ NULL, NULL, 0, NULL },
};
