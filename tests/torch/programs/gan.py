#!/usr/bin/python3
"""A small GAN trained as everybody does: two networks, two optimizers, two backward passes for the discriminator.

The generator's backward pass leaves gradients in the discriminator, which are zeroed before they are used.
"""
import argparse
import copy
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from train import weights_hash


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--steps", type=int, default=40)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--losses", metavar="FILE")
    p.add_argument("--weights-hash", action="store_true")
    return p.parse_args(argv)


def network(sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def judge(model, x, real):
    return F.binary_cross_entropy_with_logits(model(x)[:, 0], torch.full((len(x),), float(real), dtype=x.dtype))


def main(argv=None, observer=None):
    args = parse_args(argv)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    d, g = network([16, 48, 48, 1]), network([8, 48, 48, 16])
    opt_d = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.5, 0.999))
    opt_g = torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.5, 0.999))
    centre = torch.randn(16) * 2
    losses = []
    for step in range(args.steps):
        real, z = centre + torch.randn(args.batch, 16) * 0.5, torch.randn(args.batch, 8)
        d.zero_grad()
        if observer:
            observer.micro("d", d, lambda m, x: judge(m, x, True), real)
        on_real = judge(d, real, True)
        on_real.backward()
        fake = g(z)
        if observer:
            observer.micro("d", d, lambda m, x: judge(m, x, False), fake.detach())
        on_fake = judge(d, fake.detach(), False)
        on_fake.backward()
        if observer:
            observer.step("d", d)
        opt_d.step()

        g.zero_grad()
        if observer:
            observer.micro("g", g, lambda m, x: judge(copy.deepcopy(d).double(), m(x), True), z)
        fooled = judge(d, fake, True)
        fooled.backward()
        if observer:
            observer.step("g", g)
        opt_g.step()
        losses.append((on_real + on_fake).item() + fooled.item())
    if args.losses:
        with open(args.losses, "w") as f:
            f.writelines(f"{step} {loss.hex()}\n" for step, loss in enumerate(losses, 1))
    if args.weights_hash:
        print(f"weights {weights_hash(d)} {weights_hash(g)}")


if __name__ == "__main__":
    main()
