#!/usr/bin/python3
"""Train a small convolutional network on Fashion-MNIST: an ordinary PyTorch script.

Data and options are those of fashion_mnist.py; --norm puts BatchNorm or GroupNorm behind each convolution.
"""
import argparse
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import fashion_mnist as mnist


def convolution(into, out, norm):
    """Convolution, normalisation, ReLU, and half the size."""
    make = {"none": [], "batch": [nn.BatchNorm2d(out)], "group": [nn.GroupNorm(8, out)]}[norm]
    return [nn.Conv2d(into, out, 3, padding=1), *make, nn.ReLU(), nn.MaxPool2d(2)]


def network(norm):
    return nn.Sequential(*convolution(1, 32, norm), *convolution(32, 64, norm), nn.Flatten(),
                         nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


def parse_args(argv=None):
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--norm", choices=["none", "batch", "group"], default="none")
    own, rest = own.parse_known_args(argv)
    args = mnist.parse_args(rest)
    args.norm = own.norm
    return args


def setup(args):
    """Model, optimizer and training data, all decided by the seed."""
    _, _, data = mnist.setup(args)
    torch.manual_seed(args.seed)
    model = network(args.norm)
    if args.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3 if args.lr is None else args.lr)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05 if args.lr is None else args.lr)
    return model, optimizer, data


batches = mnist.batches


def images(x):
    return x.view(-1, 1, 28, 28)


def loss_of(model, x, y):
    return F.cross_entropy(model(images(x)), y)


def evaluate(model, data):
    right = total = 0
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(data, 1000):
            right += (model(images(x)).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def main(argv=None):
    args = parse_args(sys.argv[1:] if argv is None else argv)
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
    print(f"test accuracy {100 * evaluate(model, mnist.load(args.data, 't10k')):.2f}%")
    if args.weights_hash:
        print(f"weights {mnist.weights_hash(model)}")


if __name__ == "__main__":
    main()
