#!/usr/bin/python3
"""Trains an example by a loop of its own in one of the ways to get per-sample gradient norms; for bench/torch_cost.py.

usage: torch_ways.py WAY EXAMPLE STEPS FILE. FILE gets every step's wall time in milliseconds. Every way makes the same optimizer steps:

plain     forward, backward, step; gnscope watches this one
halves    two half-batches instead of one: norms of their gradients and of the sum (no per-sample norms)
hooks     every sample's weight gradient materialised from each layer's input and output gradient
func      torch.func.vmap(grad) (2.0 on)
opacus    Opacus' GradSampleModule
backpack  BackPACK's BatchL2Grad
"""
import importlib
import os
import sys
import time

import torch
from torch import nn

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "examples"))
sys.dont_write_bytecode = True


def square(t):
    return t.square().sum().item()


def plain(example, model):
    def step(x, y):
        example.loss_of(model, x, y).backward()
    return step


def halves(example, model):
    params = [p for p in model.parameters()]

    def step(x, y):
        total = [torch.zeros_like(p) for p in params]
        for a, b in zip(x.chunk(2), y.chunk(2)):
            grads = torch.autograd.grad(example.loss_of(model, a, b), params)
            sum(square(g) for g in grads)
            for t, g in zip(total, grads):
                t.add_(g, alpha=0.5)
        sum(square(t) for t in total)
        for p, t in zip(params, total):
            p.grad = t
    return step


def materialise(module, x, y):
    """Per-sample gradients of a layer's parameters from its input and output gradient."""
    if isinstance(module, nn.Linear):
        if x.dim() == 2:
            x, y = x[:, None], y[:, None]
        yield torch.einsum("nti,nto->noi", x, y)
        if module.bias is not None:
            yield y.sum(1)
    elif isinstance(module, nn.Conv2d):
        u = nn.functional.unfold(x, module.kernel_size, module.dilation, module.padding, module.stride)
        yield torch.einsum("nkl,nol->nok", u, y.flatten(2))
        if module.bias is not None:
            yield y.sum((2, 3))
    elif isinstance(module, nn.Embedding):
        g = y.new_zeros(len(x), *module.weight.shape)
        yield g.scatter_add_(1, x[:, :, None].expand(y.shape), y)
    elif isinstance(module, nn.LayerNorm):
        xhat = nn.functional.layer_norm(x, module.normalized_shape, eps=module.eps)
        yield (xhat * y).sum(1)
        yield y.sum(1)


def hooks(example, model):
    inputs, norms = {}, []

    def forward(module, args, out):
        inputs[module] = args[0].detach()
        out.register_hook(lambda g: norms.extend(p.flatten(1).square().sum(1) for p in materialise(module, inputs[module], g)))

    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding, nn.LayerNorm)):
            module.register_forward_hook(forward)

    def step(x, y):
        norms.clear()
        example.loss_of(model, x, y).backward()
        torch.stack([v.sum() for v in norms]).sum().item()
        for p in model.parameters():
            square(p.grad)
    return step


def func(example, model):
    from torch.func import functional_call, grad, vmap
    params = {n: p.detach() for n, p in model.named_parameters()}
    named = dict(model.named_parameters())

    class Called:
        """The model as loss_of wants it."""

        def __init__(self, values):
            self.values = values

        def __call__(self, x):
            return functional_call(model, self.values, (x,))

    def loss(values, x, y):
        return example.loss_of(Called(values), x[None], y[None])

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))

    def step(x, y):
        for name, g in per_sample(params, x, y).items():
            square(g)
            named[name].grad = g.mean(0)
            square(named[name].grad)
    return step


def opacus(example, model):
    from opacus.grad_sample import GradSampleModule
    watched = GradSampleModule(model, strict=False)

    def step(x, y):
        example.loss_of(watched, x, y).backward()
        for p in model.parameters():
            if getattr(p, "grad_sample", None) is not None:
                square(p.grad_sample)
                p.grad_sample = None
            square(p.grad)
    return step


def backpack(example, model):
    import backpack as b
    from backpack.extensions import BatchL2Grad
    if not isinstance(model, nn.Sequential):
        sys.exit("BackPACK takes sequences of its known modules alone")
    extended, criterion = b.extend(model), b.extend(nn.CrossEntropyLoss())

    def step(x, y):
        with b.backpack(BatchL2Grad()):
            criterion(extended(example.images(x)), y).backward()
        for p in extended.parameters():
            p.batch_l2.sum().item()
            square(p.grad)
    return step


def main(way, name, steps, path):
    example = importlib.import_module(name)
    args = example.parse_args(["--steps", steps, "--epochs", "100"])
    model, optimizer, data = example.setup(args)
    step = globals()[way](example, model)
    times = [time.perf_counter()]
    for _, x, y in example.batches(args, data):
        optimizer.zero_grad()
        step(x, y)
        optimizer.step()
        times.append(time.perf_counter())
    with open(path, "w") as f:
        f.writelines(f"{1000 * (b - a):.6f}\n" for a, b in zip(times, times[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
