/* The PyTorch collector. PyTorch's wheels carry their BLAS inside, where no wrapper can stand, and what a parameter of any kind has
 * met is known to autograd alone: so this collector is told by Python.
 *
 *     entry.c    initModule of libtorch_python.so: where `import torch` passes; execs the first embedded file
 *     files.c    the embedded files and their namespace
 *     python.c   the C API of the Python in this process, by dlsym: nothing is linked, nothing needed at build
 *     wrap.c     callables in front of PyTorch's own, without a frame of ours in a traceback
 *     points.c   what runs in every step (backward, Optimizer.step, ...): decides in C whether our Python functions are wanted
 *     native.c   the functions that the embedded files call: object `_g`; measures.c those of them that read tensors, arguments.c what
 *                they are given
 *     py/        the embedded files: which node of the graph has which parameter's operands
 *
 * Behind it: collectors/sketch/layers.h measures, on a device collectors/gpu/layers_device.h; profiler/shim/core/layer_feed.h has streams, steps
 * and records. Everything here runs with the GIL held, but for long measurements in host memory. An error of ours never becomes the trainer's: the collector gives up and says so. */
#ifndef GNS_COLLECTORS_TORCH_TORCH_H
#define GNS_COLLECTORS_TORCH_TORCH_H

#include "collectors/torch/python.h"

/* The embedded files in order, ends with NULL: the first runs as torch is imported, the others at _g.load(). */
struct gns_torch_file {
	const char *name; /* "<gnscope>/stub.py" */
	const char *text;
};
extern const struct gns_torch_file gns_torch_files[];

/* The same as a tuple of code objects, marshalled by the Python that built us; another Python, by its magic number, compiles the texts. */
struct gns_torch_code {
	long magic; /* 0: none */
	const unsigned char *data;
	size_t size;
};
extern const struct gns_torch_code gns_torch_code;

/* The object `_g`; NULL with a Python error set. Its functions are in native.c, measures.c and docs/internals/pytorch.md. */
PyObject *gns_torch_native(void);
/* files.c: makes the namespace, with `_g`, and runs the first file; false with a Python error set. Once. */
bool gns_torch_begin(PyObject *native);
PyObject *gns_torch_load(void);       /* runs the files after the first. None; NULL with an error set */

/* wrap.c. A callable before(args, kwargs), original(*args, **kwargs), after(token, result or None, failed); before gives the token. original
 * NULL: a hook, which calls before(*args) and gives None. */
PyObject *gns_torch_wrap(PyObject *original, PyObject *before, PyObject *after);
/* After a call of our own Python has failed. True: it was an Exception; it is gone and the collector has given up. False: it is a
 * KeyboardInterrupt or the like and stays, without our frames. */
bool gns_torch_failed(void);

#endif
