#!/usr/bin/python3
"""Train a small byte-level transformer on the licence texts of a Debian system: an ordinary PyTorch script.

Three pre-norm blocks, causal attention, learned positions; the head is a matrix of its own or, with --tied, the
token table. Deterministic for a seed on one machine; --losses and --weights-hash let two runs be compared to the bit.
"""
import argparse
import hashlib
import math
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

TEXT = "/usr/share/common-licenses"


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", default=TEXT, help="a text file, or a folder of them (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--context", type=int, default=64)
    p.add_argument("--dim", type=int, default=256)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--blocks", type=int, default=3)
    p.add_argument("--fused-qkv", action=argparse.BooleanOptionalAction, default=True,
                   help="one linear layer for queries, keys and values, or three")
    p.add_argument("--tied", action="store_true", help="let the head be the token table")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--weight-decay", type=float, default=0.01)
    p.add_argument("--optimizer", choices=["adamw", "sgd"], default="adamw")
    p.add_argument("--epochs", type=int, default=3, help="of as many steps as read the text once")
    p.add_argument("--steps", type=int, default=0, help="stop after this many steps (0: all epochs)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--log-every", type=int, default=20, help="print the loss every N steps")
    p.add_argument("--losses", metavar="FILE", help="write every step's loss as an exact hexadecimal float")
    p.add_argument("--times", metavar="FILE", help="write every step's wall time in milliseconds")
    p.add_argument("--weights-hash", action="store_true", help="print the SHA-256 of the final weights")
    return p.parse_args(argv)


def load(path):
    """Bytes of the text: the first nine tenths to train on, the rest to test on."""
    if os.path.isdir(path):
        names = sorted(os.path.join(path, n) for n in os.listdir(path))
        names = [n for n in names if os.path.isfile(n) and not os.path.islink(n)]
    else:
        names = [path]
    try:
        raw = b"".join(open(n, "rb").read() for n in names)
    except OSError as e:
        sys.exit(f"cannot read the text: {e}. Name another file or folder with --data.")
    text = torch.from_numpy(np.frombuffer(raw, np.uint8).astype(np.int64))
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


class Attention(nn.Module):
    def __init__(self, dim, heads, fused):
        super().__init__()
        self.heads = heads
        if fused:
            self.qkv = nn.Linear(dim, 3 * dim)
        else:
            self.q = nn.Linear(dim, dim)
            self.k = nn.Linear(dim, dim)
            self.v = nn.Linear(dim, dim)
        self.fused = fused
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        rows, length, dim = x.shape
        q, k, v = self.qkv(x).split(dim, dim=2) if self.fused else (self.q(x), self.k(x), self.v(x))
        q, k, v = (t.view(rows, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        if hasattr(F, "scaled_dot_product_attention"):
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
            future = torch.ones(length, length, dtype=torch.bool).triu(1)
            out = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        return self.proj(out.transpose(1, 2).reshape(rows, length, dim))


class Block(nn.Module):
    def __init__(self, dim, heads, fused):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, fused)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class LM(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.token = nn.Embedding(256, args.dim)
        self.position = nn.Embedding(args.context, args.dim)
        self.blocks = nn.ModuleList(Block(args.dim, args.heads, args.fused_qkv) for _ in range(args.blocks))
        self.norm = nn.LayerNorm(args.dim)
        self.head = nn.Linear(args.dim, 256, bias=False)
        if args.tied:
            nn.init.normal_(self.token.weight, std=args.dim ** -0.5)
            self.head.weight = self.token.weight

    def forward(self, x):
        h = self.token(x) + self.position.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def setup(args):
    """Model, optimizer and training text, all decided by the seed."""
    torch.manual_seed(args.seed)
    model = LM(args)
    if args.optimizer == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    return model, optimizer, load(args.data)[0]


def batches(args, text):
    order = torch.Generator().manual_seed(args.seed)
    steps = args.epochs * (len(text) // (args.batch_size * args.context))
    window = torch.arange(args.context + 1)
    for step in range(1, (args.steps or steps) + 1):
        start = torch.randint(len(text) - args.context, (args.batch_size, 1), generator=order)
        rows = text[start + window]
        yield step, rows[:, :-1], rows[:, 1:]


def loss_of(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def evaluate(args, model, text):
    model.eval()
    usable = len(text) // (args.context + 1) * (args.context + 1)
    rows = text[:usable].view(-1, args.context + 1)
    total = 0.0
    with torch.no_grad():
        for part in rows.split(args.batch_size):
            total += loss_of(model, part[:, :-1], part[:, 1:]).item() * len(part)
    return total / len(rows)


def weights_hash(model):
    h = hashlib.sha256()
    for w in model.state_dict().values():
        h.update(w.detach().contiguous().numpy().tobytes())
    return h.hexdigest()


def main(argv=None):
    args = parse_args(argv)
    model, optimizer, text = setup(args)
    losses = open(args.losses, "w", buffering=1) if args.losses else None
    times = [time.perf_counter()]
    for step, x, y in batches(args, text):
        optimizer.zero_grad()
        loss = loss_of(model, x, y)
        loss.backward()
        optimizer.step()
        if losses:
            losses.write(f"{step} {loss.item().hex()}\n")
        if args.log_every and step % args.log_every == 0:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
        times.append(time.perf_counter())
    if args.times:
        with open(args.times, "w") as f:
            f.writelines(f"{1000 * (b - a):.6f}\n" for a, b in zip(times, times[1:]))
    print(f"test loss {evaluate(args, model, load(args.data)[1]) / math.log(2):.3f} bits a byte")
    if args.weights_hash:
        print(f"weights {weights_hash(model)}")


if __name__ == "__main__":
    main()
