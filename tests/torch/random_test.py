#!/usr/bin/python3
"""Random small models: whatever the order of their dimensions, no number of a wrong sample.

Each is built of random operations, called with its dimensions in a random order, of sizes that often coincide (samples = moments =
features), and has a loss of each sample. Every parameter is either left out, or its sum over samples of |A_i|^2 and its number of samples
are those of one backward pass a sample, to 1e-6. Prints how many models had all of their parameters measured, some, none, and which were
wrong. usage: random_test.py [MODELS [SEED]]
"""
import collections
import random
import sys
import traceback
import warnings

import torch
from torch import nn
from torch.nn import functional as F

import half_test
import mock


class Attention(nn.Module):
    """By hand, over dimension `over` of (a, b, d)."""

    def __init__(self, d, over):
        super().__init__()
        self.qkv, self.out, self.over = nn.Linear(d, 3 * d), nn.Linear(d, d), over

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.over == 0:
            q, k, v = (t.transpose(0, 1) for t in (q, k, v))
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return self.out(y.transpose(0, 1) if self.over == 0 else y)


class Scan(nn.Module):
    def __init__(self, d, over):
        super().__init__()
        self.l, self.over = nn.Linear(d, d), over

    def forward(self, x):
        return torch.tanh(self.l(x.cumsum(self.over)))


class Residual(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.l = nn.LayerNorm(d), nn.Linear(d, d)

    def forward(self, x):
        return x + F.gelu(self.l(self.norm(x)))


class Model(nn.Module):
    """Called with (n, t, ...) or, `turned`, (t, n, ...)."""

    def __init__(self, r, kind, sizes, turned):
        super().__init__()
        t, d, self.kind, self.pool = sizes["t"], sizes["d"], kind, r.choice(["mean", "last", "none", "sum"])
        self.time = 0 if turned else 1
        self.flat = r.random() < 0.5
        if kind == "tokens":
            self.e = nn.Embedding(7, d)
        if kind == "frames":
            self.c, self.into = nn.Conv2d(2, 3, 3, padding=r.choice([0, 1])), nn.LazyLinear(d)
        self.blocks = nn.Sequential(*[r.choice([lambda: Residual(d), lambda: nn.Sequential(nn.Linear(d, d), nn.Tanh()), lambda: Attention(d, self.time),
                                                lambda: Scan(d, self.time)])() for _ in range(r.randint(0, 2))])
        self.head = nn.Linear(d, sizes["classes"])

    def forward(self, x):
        if self.kind == "tokens":
            x = self.e(x)
        if self.kind == "frames":
            a, b = x.shape[:2]
            x = self.into(F.relu(self.c(x.flatten(0, 1))).flatten(1)).view(a, b, -1)
        x = self.blocks(x)
        if self.pool == "mean":
            x = x.mean(self.time)
        elif self.pool == "last":
            x = x.select(self.time, -1)
        if self.pool in ("none", "sum") and self.flat:
            return self.head(x.flatten(0, 1)).view(x.shape[0], x.shape[1], -1)
        return self.head(x)


def losses_of(r, turned):
    views, joined = r.choice([1, 1, 1, 2]), r.choice(["mean", "sum", "product"])

    def losses(model, x, y):
        if views == 2:
            x = torch.cat((x, x.flip(-1)))
        out = model(x.transpose(0, 1) if turned else x)
        if out.dim() == 3:
            target = (y.repeat(views)[:, None] if not turned else y.repeat(views)[None]).expand(out.shape[:2])
            each = F.cross_entropy(out.flatten(0, 1), target.flatten(), reduction="none").view(target.shape)
            over = 0 if turned else 1
            if joined == "product":
                each = each.t() if turned else each
                each = each @ each.new_full((each.shape[1],), 1.0)
            else:
                each = each.sum(over) if joined == "sum" else each.mean(over)
        else:
            each = F.cross_entropy(out, y.repeat(views), reduction="none")
        return each if views == 1 else each[:len(y)] * each[len(y):]
    return losses


class Case:
    tolerance, samples, left = 1e-6, 0, {}

    def __init__(self, seed):
        r = random.Random(seed)
        n = r.randint(2, 5)
        kind = r.choice(["tokens", "sequences", "sequences", "frames"])
        sizes = {"n": n, "t": n if r.random() < 0.5 else r.randint(2, 6), "d": n if r.random() < 0.3 else r.randint(2, 6),
                 "classes": n if r.random() < 0.3 else r.randint(2, 5)}
        turned = r.random() < 0.5
        self.what = f"{kind} {sizes}{' turned' if turned else ''}"
        self.make = lambda: Model(random.Random(seed), kind, sizes, turned)
        self.losses = losses_of(r, turned)
        lead = (n, sizes["t"])

        def batch(i):
            y = torch.randint(0, sizes["classes"], (n,))
            if kind == "tokens":
                return torch.randint(0, 7, lead), y
            return torch.randn(lead + ((2, 4, 4) if kind == "frames" else (sizes["d"],))), y
        self.batch = batch
        self.optimizer = lambda m: torch.optim.SGD(m.parameters(), lr=0.05)


def one(case):
    """(parameters measured, left out)"""
    g = mock.install(mock.Mock())
    counts = [0, 0]

    def look(step, want, q_big, loss, batch):
        told = g.history[-1]
        left = {g.names[k]: r for k, r in g.left.items() if r}
        for name, q_small in want.items():
            if name not in told["got"]:
                half_test.check(left.get(name), f"{name} has no number, and no reason")
                continue
            samples, got, _ = told["got"][name]
            half_test.check(samples == len(batch[0]), f"{samples} samples of {name}, there are {len(batch[0])}")
            half_test.check(half_test.close(got, q_small, case.tolerance), f"{name}: {got}, truth {q_small}")
        counts[0], counts[1] = len(told["got"]), len(want) - len(told["got"])
    try:
        half_test.train(case, look)
        half_test.check(g.gave_up is None, f"gave up: {g.gave_up}")
    finally:
        mock.remove(g)
    return counts


def main(models, seed):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    found = collections.Counter()
    for i in range(models):
        case = Case(seed + i)
        try:
            measured, left = one(case)
            found["all measured" if not left else "some" if measured else "left out"] += 1
        except Exception as e:
            found["wrong"] += 1
            print(f"model {seed + i}, {case.what}: {e}" if isinstance(e, AssertionError) else traceback.format_exc())
    print(", ".join(f"{k}: {v}" for k, v in sorted(found.items())))
    if found["all measured"] < models / 3:
        print("too few are measured for the test to mean anything")
        return 1
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 150, int(sys.argv[2]) if len(sys.argv) > 2 else 0))
