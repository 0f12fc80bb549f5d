"""Small trainers with one peculiarity each, which note the exact numbers of their own gradients after every step.

usage: small.py CASE STEPS FILE. FILE gets one line of JSON a step: {"name": [rows, cols, n, q_small, q_big], ...}, from .grad and
from the operands of one-row samples, in float64. Adds and squares only: no product that a profiler could take for training.
"""
import json
import sys

import numpy as np

BATCH = 32


def torch_case(case, steps, out):
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.inp = nn.Linear(24, 48)
            self.gate = nn.Linear(48, 96)
            self.up = nn.Linear(48, 96)
            self.down = nn.Linear(96, 10)

        def forward(self, x):
            h = F.relu(self.inp(x))
            return self.down(torch.sigmoid(self.gate(h)) * self.up(h))

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.inp = nn.Linear(24, 48)
            self.twice = nn.Linear(48, 48)
            self.out = nn.Linear(48, 10)

        def forward(self, x):
            return self.out(torch.tanh(self.twice(torch.tanh(self.twice(F.relu(self.inp(x)))))))

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(24, 48)
            self.b = nn.Linear(48, 48)
            self.c = nn.Linear(48, 10)

        def forward(self, x):
            return self.c(F.relu(self.b(F.relu(self.a(x)))))

    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = {"gated": Gated, "tied": Tied}.get(case, Plain)()
    if case == "double":
        model = model.double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    seen = {}

    def watch(name):
        def hook(module, inputs, output):
            if output.requires_grad:
                x = inputs[0].detach()
                output.register_hook(lambda g: seen.setdefault(name, []).append((x, g.detach())))
        return hook

    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    for name, module in layers.items():
        module.register_forward_hook(watch(name))
    scale = 1024.0 if case == "scaled" else 1.0
    teacher = torch.randn(24, 10)
    test = torch.randn(500, 24)
    for step in range(steps):
        x = torch.randn(BATCH, 24)
        y = (x[:, :, None] * teacher).sum(1).add(torch.randn(BATCH, 10)).argmax(1)
        if case == "double":
            x = x.double()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, reduction="sum" if case == "summed" else "mean")
        (loss * scale).backward()
        line = {}
        for name, module in layers.items():
            w = module.weight
            q_big = w.grad.double().square().sum().item()
            per = sum(a.double().square().sum(1) * g.double().square().sum(1) for a, g in seen[name])
            line[name] = [*w.shape, BATCH, (BATCH * BATCH * per).mean().item(), q_big]
        seen.clear()
        out.write(json.dumps(line) + "\n")
        with torch.no_grad():  # the same step, whatever the loss's constant
            for p in model.parameters():
                p.grad /= scale * (BATCH if case == "summed" else 1)
        optimizer.step()
        if case == "evaluated" and step % 3 == 0:
            with torch.no_grad():
                model(test)
                model(test[:BATCH])


def numpy_case(steps, out):
    rng = np.random.default_rng(1)
    sizes = [24, 48, 40, 10]
    w = [rng.normal(0, (2 / a) ** 0.5, (a, b)).astype(np.float32) for a, b in zip(sizes, sizes[1:])]
    teacher = rng.normal(size=(24, 10)).astype(np.float32)
    for _ in range(steps):
        x = rng.normal(size=(BATCH, 24)).astype(np.float32)
        y = (x[:, :, None] * teacher).sum(1).argmax(1)
        h = [x]
        for i, m in enumerate(w):
            z = h[-1] @ m
            h.append(np.maximum(z, 0) if i < 2 else z)
        p = np.exp(h[-1] - h[-1].max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(BATCH), y] -= 1
        dy = (p / BATCH).astype(np.float32)
        line, grads = {}, [None] * 3
        for i in (2, 1, 0):
            grads[i] = h[i].T @ dy
            per = (h[i].astype(float) ** 2).sum(1) * (dy.astype(float) ** 2).sum(1)
            line[f"w{i}"] = [*w[i].shape, BATCH, BATCH ** 2 * per.mean(), (grads[i].astype(float) ** 2).sum()]
            if i:
                dy = (dy @ w[i].T) * (h[i] > 0)
        out.write(json.dumps(line) + "\n")
        for m, g in zip(w, grads):
            m -= np.float32(0.05) * g


if __name__ == "__main__":
    which, count, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(path, "w") as f:
        numpy_case(count, f) if which == "numpy" else torch_case(which, count, f)
