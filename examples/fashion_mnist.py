#!/usr/bin/python3
"""Train a small MLP on Fashion-MNIST: an ordinary PyTorch script.

Data: Debian's dataset-fashion-mnist (or any folder with the four .gz files, --data).
Deterministic for a seed on one machine; --losses and --weights-hash let two runs be compared to the bit.
"""
import argparse
import gzip
import hashlib
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

DATA = "/usr/share/datasets/fashion-mnist"


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", default=DATA, help="folder with the four .gz files (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--hidden", type=int, default=512)
    p.add_argument("--lr", type=float, default=None, help="default: 0.05 for sgd, 0.001 for adam")
    p.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--steps", type=int, default=0, help="stop after this many steps (0: all epochs)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--workers", type=int, default=0, help="data loader processes")
    p.add_argument("--log-every", type=int, default=100, help="print the loss every N steps")
    p.add_argument("--losses", metavar="FILE", help="write every step's loss as an exact hexadecimal float")
    p.add_argument("--times", metavar="FILE", help="write every step's wall time in milliseconds")
    p.add_argument("--weights-hash", action="store_true", help="print the SHA-256 of the final weights")
    return p.parse_args(argv)


def read_idx(path):
    with gzip.open(path, "rb") as f:
        raw = f.read()
    ndim = raw[3]
    shape = np.frombuffer(raw, ">u4", ndim, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def load(folder, part):
    try:
        images = read_idx(os.path.join(folder, part + "-images-idx3-ubyte.gz"))
        labels = read_idx(os.path.join(folder, part + "-labels-idx1-ubyte.gz"))
    except OSError as e:
        sys.exit(f"cannot read Fashion-MNIST: {e}. Install Debian's dataset-fashion-mnist or name a folder with --data.")
    x = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32))
    return TensorDataset((x / 255 - 0.286) / 0.353, torch.from_numpy(labels.astype(np.int64)))


class MLP(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.fc1 = nn.Linear(784, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def setup(args):
    """Model, optimizer and training data, all decided by the seed."""
    torch.manual_seed(args.seed)
    model = MLP(args.hidden)
    if args.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3 if args.lr is None else args.lr)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05 if args.lr is None else args.lr)
    order = torch.Generator().manual_seed(args.seed)
    data = DataLoader(load(args.data, "train"), args.batch_size, shuffle=True, drop_last=True,
                      num_workers=args.workers, generator=order)
    return model, optimizer, data


def batches(args, data):
    step = 0
    for _ in range(args.epochs):
        for x, y in data:
            step += 1
            yield step, x, y
            if step == args.steps:
                return


def loss_of(model, x, y):
    return F.cross_entropy(model(x), y)


def evaluate(model, data):
    right = total = 0
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(data, 1000):
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def weights_hash(model):
    h = hashlib.sha256()
    for w in model.state_dict().values():
        h.update(w.detach().contiguous().numpy().tobytes())
    return h.hexdigest()


def main(argv=None):
    args = parse_args(argv)
    model, optimizer, data = setup(args)
    losses = open(args.losses, "w", buffering=1) if args.losses else None
    times = [time.perf_counter()]
    for step, x, y in batches(args, data):
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
    print(f"test accuracy {100 * evaluate(model, load(args.data, 't10k')):.2f}%")
    if args.weights_hash:
        print(f"weights {weights_hash(model)}")


if __name__ == "__main__":
    main()
