"""collectors/sketch/layers.h on PyTorch's tensors: the library of layers_driver.c, named by the program's first argument."""
import ctypes as c
import sys

import torch

lib = c.CDLL(sys.argv[1])
CODES = {torch.float32: 1, torch.float64: 2, torch.float16: 3, torch.bfloat16: 4, torch.int64: 5, torch.int32: 6}


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("dtype", c.c_uint32), ("ndim", c.c_uint), ("size", c.c_size_t * 8), ("stride", c.c_ssize_t * 8)]


class Samples(c.Structure):
    _fields_ = [("n", c.c_size_t), ("axis", c.c_uint), ("probes", c.c_uint), ("seed", c.c_uint64), ("stream", c.c_uint64),
                ("uses", c.c_void_p), ("first", c.c_size_t), ("count", c.c_size_t), ("sum", c.c_double)]


class Conv(c.Structure):
    _fields_ = [("dims", c.c_uint), ("kernel", c.c_size_t * 3), ("stride", c.c_size_t * 3), ("padding", c.c_size_t * 3),
                ("dilation", c.c_size_t * 3), ("groups", c.c_size_t), ("transposed", c.c_bool)]


lib.drive_uses.restype = c.c_void_p
lib.drive_uses.argtypes = [c.c_size_t] * 3 + [c.c_uint, c.c_uint64, c.c_uint64]
lib.drive_uses_sum.restype = c.c_double
lib.drive_uses_sum.argtypes = [c.c_void_p]
lib.drive_norm2.restype = c.c_double


def tensor(t):
    if t is None:
        return None
    t = t.detach()
    pad = [0] * (8 - t.dim())
    return c.byref(Tensor(t.data_ptr(), CODES[t.dtype], t.dim(), (c.c_size_t * 8)(*t.shape, *pad), (c.c_ssize_t * 8)(*t.stride(), *pad)))


def take(function, samples, *args):
    rc = function(c.byref(samples), *args)
    if rc:
        raise AssertionError(f"{function.__name__}: {rc}")
    return samples.sum


def linear(s, x, y):
    return take(lib.drive_linear, s, tensor(x), tensor(y))


def conv(s, x, y, m):
    dims = len(m.kernel_size)
    pad = m.padding if isinstance(m.padding, tuple) else (m.padding,) * dims
    three = lambda v: (c.c_size_t * 3)(*v, *([0] * (3 - dims)))
    shape = Conv(dims, three(m.kernel_size), three(m.stride), three(pad), three(m.dilation), m.groups, m.transposed)
    return take(lib.drive_conv, s, tensor(x), tensor(y), c.byref(shape))


def embedding(s, ids, y, padding_idx=-1):
    return take(lib.drive_embedding, s, tensor(ids), tensor(y), c.c_int64(padding_idx))


def gain(s, x, mean, rstd, y, kind, groups=1):
    return take(lib.drive_gain, s, tensor(x), tensor(mean), tensor(rstd), tensor(y), kind, c.c_size_t(groups))


def reduce(s, g, shape, other=None):
    return take(lib.drive_reduce, s, tensor(g), tensor(other), len(shape), (c.c_size_t * 8)(*shape))
