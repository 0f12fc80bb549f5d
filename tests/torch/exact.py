#!/usr/bin/python3
"""Runs a program of this folder without gnscope and writes the exact numbers of its own gradients.

usage: exact.py PROGRAM FILE [its options]. FILE (with .RANK behind it under torch.distributed) gets one JSON object:
{"streams": {stream: [{name: [samples, sum of |A_i|^2, |gradient|^2]} a step]}, "worst": of the loop's check}.
"""
import importlib
import json
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "programs"), HERE]
sys.dont_write_bytecode = True

from per_sample import loop, per_sample_squares


class Exact:
    """Told of every micro-step before its forward pass and of every step before its optimizer."""

    def __init__(self, coupled):
        self.coupled, self.looped, self.worst = coupled, False, 0.0
        self.streams, self.open = {}, {}

    def micro(self, stream, model, objective, x, alone=None):
        state = torch.get_rng_state(), torch.cuda.get_rng_state() if x.is_cuda else None
        n = len(x)
        double = x.double() if x.is_floating_point() else x
        squares = per_sample_squares(model, lambda m: objective(m, double), n)
        if alone and not self.coupled and not self.looped:
            self.looped = True
            self.check(squares, loop(model, lambda m, i: alone(m, double, i), n))
        torch.set_rng_state(state[0])
        if x.is_cuda:
            torch.cuda.set_rng_state(state[1])
        for name, q in squares.items():
            have = self.open.setdefault(stream, {}).setdefault(name, [0, 0.0])
            have[0] += n
            have[1] += q.sum().item()

    def check(self, ours, looped):
        for name, q in ours.items():
            if q.sum() > 0:
                self.worst = max(self.worst, ((q - looped[name]).abs().max() / q.mean()).item())

    def step(self, stream, model, scale=1.0, world=1, skipped=False):
        """The gradient as the optimizer, or a clipping before it, finds it."""
        rows = self.open.pop(stream, {})
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        if not skipped:
            self.streams.setdefault(stream, []).append(
                {name: [n, q, (grads[name].double() / scale).square().sum().item()] for name, (n, q) in rows.items()})


def main(program, path, *options):
    module = importlib.import_module(program)
    args = module.parse_args(options)
    observer = Exact(coupled=getattr(args, "model", None) in getattr(importlib.import_module("models"), "COUPLED"))
    module.main(options, observer)
    rank = os.environ.get("RANK")
    with open(path if rank is None else f"{path}.{rank}", "w") as f:
        json.dump({"streams": observer.streams, "worst": observer.worst}, f)


if __name__ == "__main__":
    main(*sys.argv[1:])
