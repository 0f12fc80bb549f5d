#!/usr/bin/env python3
"""What the per-sample kernels of each layer cost, beside a plain read of their operands and PyTorch's own backward of that layer.

    bench/layers.py build/lib/liblayers_driver.so [--rounds 15] [--threads 1]

Every round runs the three in turn on the same tensors; medians are printed, of processor time with one thread. "backward" is that of the layer alone, for its input
and its parameters; "read" is torch.sum of the operands. The kernels run in one thread."""
import argparse
import ctypes as c
import os
import statistics
import sys
import time

p = argparse.ArgumentParser()
p.add_argument("library")
p.add_argument("--rounds", type=int, default=15)
p.add_argument("--threads", type=int, default=1)
options = p.parse_args()

import torch
from torch import nn

sys.argv = [sys.argv[0], options.library]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "programs"))
import layers_driver as d

torch.set_num_threads(options.threads)
torch.manual_seed(1)


clock = time.thread_time if options.threads == 1 else time.perf_counter


def seconds(what):
    start = clock()
    what()
    return clock() - start


def line(name, module, x, kernel, operands):
    out = module(x)
    grad = torch.randn_like(out)
    inputs = [x] * x.requires_grad + list(module.parameters())
    backward = lambda: torch.autograd.grad(out, inputs, grad, retain_graph=True)
    ours = lambda: kernel(grad)
    read = lambda: [t.sum() for t in operands(grad)]
    times = {"ours": [], "read": [], "backward": []}
    for what in (ours, read, backward) * 2:
        what()
    for _ in range(options.rounds):
        times["ours"].append(seconds(ours))
        times["read"].append(seconds(read))
        times["backward"].append(seconds(backward))
    t = {k: statistics.median(v) * 1e6 for k, v in times.items()}
    print(f"{name:<44}{t['ours']:>10.0f}{t['read']:>10.0f}{t['backward']:>10.0f}{t['ours'] / t['read']:>8.1f}"
          f"{t['ours'] / t['backward']:>9.1%}", flush=True)


def sketch_conv(module, x):
    return lambda g: d.conv(d.Samples(x.shape[0], 0, 8, 1, 1), x, g, module)


def conv(n, c_in, size, c_out, kernel, **more):
    module = nn.Conv2d(c_in, c_out, kernel, **more)
    x = torch.randn(n, c_in, size, size, requires_grad=c_in > 3)
    name = f"conv {kernel}x{kernel} {c_in}->{c_out} at {size}x{size}" + "".join(f" {k} {v}" for k, v in more.items() if k != "padding")
    line(f"{name}, n {n}", module, x, sketch_conv(module, x), lambda g: (x, g))
    if c_in == 64 and kernel == 3:
        last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        line(f"{name}, n {n}, channels last", module.to(memory_format=torch.channels_last), last, sketch_conv(module, last), lambda g: (last, g))


def linear(n, t, c_in, c_out, dtype=torch.float32, axis=0):
    module = nn.Linear(c_in, c_out, bias=False).to(dtype)
    x = torch.randn(*((n, t) if axis == 0 else (t, n)), c_in, dtype=dtype).requires_grad_()
    line(f"linear {c_in}->{c_out}, n {n}, {t} rows{', time-major' * axis}{'' if dtype == torch.float32 else ', bfloat16'}", module, x,
         lambda g: d.linear(d.Samples(n, axis, 8, 1, 1), x, g), lambda g: (x, g))


print(f"torch {torch.__version__}, {options.threads} thread(s)")
print(f"{'layer':<44}{'ours us':>10}{'read us':>10}{'backw us':>10}{'x read':>8}{'of back':>9}")
linear(32, 64, 1024, 256)
linear(32, 64, 256, 1024)
linear(32, 64, 1024, 256, axis=1)
linear(32, 64, 1024, 256, torch.bfloat16)
conv(32, 64, 16, 64, 3, padding=1)
conv(32, 3, 32, 64, 3, padding=1)
conv(32, 128, 8, 128, 3, padding=1)
conv(32, 512, 4, 512, 3, padding=1)
conv(32, 64, 16, 128, 1)
conv(32, 64, 32, 64, 3, padding=1, stride=2)
conv(32, 64, 16, 64, 3, padding=1, groups=64)
conv(8, 3, 224, 64, 7, padding=3, stride=2)

embed = nn.Embedding(50000, 256)
ids = torch.randint(0, 2000, (32, 64))
line("embedding 50000 x 256, n 32, 64 ids", embed, ids, lambda g: d.embedding(d.Samples(32, 0, 8, 1, 1), ids, g), lambda g: (g,))
norm = nn.LayerNorm(256)
x = torch.randn(32, 64, 256, requires_grad=True)
_, mean, rstd = torch.native_layer_norm(x, (256,), norm.weight, norm.bias, norm.eps)
line("LayerNorm 256, n 32, 64 rows: gain and bias", norm, x, lambda g: (d.gain(d.Samples(32, 0, 8, 1, 1), x, mean, rstd, g, 0),
                                                                       d.reduce(d.Samples(32, 0, 8, 1, 1), g, (256,))), lambda g: (x, g))
batch = nn.BatchNorm2d(64)
im = torch.randn(32, 64, 16, 16, requires_grad=True)
_, bmean, brstd = torch.native_batch_norm(im, batch.weight, batch.bias, None, None, True, 0.1, batch.eps)
line("BatchNorm 64 at 16x16, n 32: gain and bias", batch, im, lambda g: (d.gain(d.Samples(32, 0, 8, 1, 1), im, bmean, brstd, g, 2),
                                                                        d.reduce(d.Samples(32, 0, 8, 1, 1), g, (64, 1, 1))), lambda g: (im, g))
