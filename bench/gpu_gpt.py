#!/usr/bin/env python3
"""Trains a GPT of 124 million parameters in bfloat16 on synthetic tokens and writes the time of each block of steps; for scripts/gpu-check.

usage: gpu_gpt.py FILE [--steps N] [--profiler]. FILE gets one line per block of BLOCK steps: milliseconds a step, from one synchronisation to the
next. --profiler: torch.profiler records kernels in a window of 3 of every 50 steps, as its users do. Tokens are from a fixed Markov chain, so that there is something
to learn; the model is GPT-2 small (tied head, LayerNorm, GELU), autocast, AdamW fused.
"""
import argparse
import contextlib
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

BLOCK = 10


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (a.view(b, t, self.heads, -1).transpose(1, 2) for a in self.qkv(self.ln1(x)).split(c, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary=50304, context=1024, layers=12, width=768, heads=12):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * layers) if "proj" in name or "down" in name else 1))

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.ln(x)).flatten(0, 1), targets.flatten())


def tokens(batch, context, vocabulary, generator):
    """A chain in which every token has 16 successors."""
    ids = torch.empty(batch, context + 1, dtype=torch.long)
    ids[:, 0] = torch.randint(vocabulary, (batch,), generator=generator)
    for t in range(context):
        ids[:, t + 1] = (ids[:, t] * 16807 + torch.randint(16, (batch,), generator=generator) * 7919 + 1) % vocabulary
    return ids


def profiled(on):
    if not on:
        return contextlib.nullcontext()
    return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA],
                                  schedule=torch.profiler.schedule(wait=45, warmup=2, active=3), on_trace_ready=lambda p: p.key_averages())


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("file")
    p.add_argument("--steps", type=int, default=150)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--context", type=int, default=1024)
    p.add_argument("--layers", type=int, default=12)
    p.add_argument("--vocabulary", type=int, default=50304)
    p.add_argument("--device", default="cuda")
    p.add_argument("--profiler", action="store_true")
    args = p.parse_args()
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    model = GPT(args.vocabulary, args.context, args.layers).to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=args.device == "cuda")
    data = [tokens(args.batch, args.context, args.vocabulary, generator).to(args.device) for _ in range(8)]
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    times = []
    with profiled(args.profiler) as profiler:
        start = time.perf_counter()
        for step in range(1, args.steps + 1):
            ids = data[step % len(data)]
            with torch.autocast(args.device, torch.bfloat16):
                loss = model(ids[:, :-1], ids[:, 1:])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if profiler:
                profiler.step()
            if step % BLOCK == 0:
                wait()
                now = time.perf_counter()
                times.append(1000 * (now - start) / BLOCK)
                start = now
    with open(args.file, "w") as f:
        f.writelines(f"{t:.6f}\n" for t in times)
    print(f"parameters {sum(p.numel() for p in model.parameters())} loss {loss.item():.4f} "
          f"peak {torch.cuda.max_memory_allocated() / 2**20 if args.device == 'cuda' else 0:.0f} MiB")


if __name__ == "__main__":
    main()
