/* From Python's objects to C: the arguments of the functions of `_g`. Each returns false with a TypeError set, where it is not a tensor's. */
#ifndef GNS_COLLECTORS_TORCH_ARGUMENTS_H
#define GNS_COLLECTORS_TORCH_ARGUMENTS_H

#include "collectors/sketch/layers.h"
#include "collectors/torch/python.h"

#define GNS_TORCH_HOST (-1)

/* A tensor and where it is. */
struct gns_torch_tensor {
	struct gns_tensor t;
	int device; /* ordinal of a CUDA device; GNS_TORCH_HOST */
};

PyObject *gns_nothing(void);             /* None */
PyObject *gns_number(long long value);

bool gns_type_error(const char *what);   /* sets it; false */
bool gns_take_count(Py_ssize_t given, Py_ssize_t least, Py_ssize_t most);
bool gns_take_int(PyObject *o, int64_t *out);
bool gns_take_double(PyObject *o, double *out); /* None: NaN */
bool gns_take_bool(PyObject *o, bool *out);
bool gns_take_text(PyObject *o, char *out, size_t size); /* cut to `size`, never within a character. None: "" */
/* A tuple of sizes; more than `most` of them is -1. */
bool gns_take_sizes(PyObject *o, uint64_t *out, unsigned most, int *count);
/* 0, or -EINVAL: not a tensor that we can read. -EINTR: something that is not ours to handle was raised. */
int gns_take_tensor(PyObject *o, struct gns_torch_tensor *out);

/* Ends a reading of something of the training program's: what was raised on the way is not its to see. 0, -EINVAL (not read), -EINTR (a
 * KeyboardInterrupt or the like, which stays). */
int gns_settled(bool read);
/* An int, a float, or a plain tensor of one number in host memory. As gns_settled. */
int gns_take_number(PyObject *o, double *out);

/* setup(((dtype, code), ...), torch.Tensor[, device_of, stream_of]): the codes of element types; device_of(tensor): the ordinal of its CUDA device, -1 in
 * host memory; stream_of(ordinal): the present CUDA stream there. Without these all tensors are taken to be in host memory. */
PyObject *gns_torch_setup(PyObject *const *args, Py_ssize_t n);
/* The CUDA stream on which PyTorch works now on this device, in this thread. False: not told. */
bool gns_torch_stream(int device, void **stream);
bool gns_torch_arguments_init(void);

#endif
