/* Callables in front of PyTorch's own, and how our Python functions are run around a call: timed, and so that an error of ours is never the
 * training program's. All of it with the GIL. */
#ifndef GNS_COLLECTORS_TORCH_WRAP_H
#define GNS_COLLECTORS_TORCH_WRAP_H

#include "collectors/torch/python.h"

/* A callable that runs `through` in place of `original`, once the collector is on; after it has given up, `original` alone. */
struct gns_torch_entry;
typedef PyObject *(*gns_torch_through)(const struct gns_torch_entry *entry, PyObject *original, PyObject *args, PyObject *kwargs);
struct gns_torch_entry {
	const char *name;
	gns_torch_through through;
	PyObject *before, *after; /* NULL: none yet */
};
PyObject *gns_torch_wrap_entry(PyObject *original, const struct gns_torch_entry *entry);

/* before(args, kwargs), original(*args, **kwargs), after(token, result or None, failed); before and after may be NULL. */
PyObject *gns_torch_around(PyObject *original, PyObject *before, PyObject *after, PyObject *args, PyObject *kwargs);
/* The token, None where there is no `before`. NULL: it has failed; an error of ours is gone, anything else is set. */
PyObject *gns_torch_before(PyObject *before, PyObject *args, PyObject *kwargs);
/* `original` has returned, or failed with an error that is set and stays. False: ours was interrupted, and that is set. */
bool gns_torch_after(PyObject *after, PyObject *token, PyObject *result);

#endif
