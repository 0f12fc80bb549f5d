#!/usr/bin/python3
"""An ordinary PyTorch trainer with the habits that real ones have, each an option.

A step's samples are drawn once and then dealt to ranks and micro-steps, so that 1 x 64, 4 x 16 and 2 ranks x 32 see the same. `main` takes
an observer, which a test uses to note the exact gradients of a run of its own; without one nothing here knows that it is watched.
"""
import argparse
import contextlib
import hashlib
import os
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from models import MODELS


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model", choices=MODELS)
    p.add_argument("--steps", type=int, default=40)
    p.add_argument("--batch", type=int, default=64, help="samples of a step, of all ranks and micro-steps")
    p.add_argument("--accumulate", type=int, default=1, metavar="K", help="micro-steps in a step")
    p.add_argument("--ddp", action="store_true", help="DistributedDataParallel over gloo; start it with torch.distributed.run")
    p.add_argument("--optimizer", choices=["SGD", "Adam", "AdamW"], default="SGD")
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    p.add_argument("--scaler", action="store_true", help="GradScaler; every 8th loss overflows and its step is skipped (2.3 on)")
    p.add_argument("--checkpoint", choices=["reentrant", "saved"], help="recompute the blocks of `deep`")
    p.add_argument("--clip", type=float, metavar="NORM")
    p.add_argument("--closure", action="store_true", help="hand the optimizer a closure")
    p.add_argument("--sum", action="store_true", help="sum the loss over the samples")
    p.add_argument("--times", type=float, default=1.0, help="multiply the loss")
    p.add_argument("--penalty", type=float, metavar="WEIGHT", help="add the squared slope of the loss in the inputs, times this")
    p.add_argument("--double", action="store_true", help="float64")
    p.add_argument("--device", default="cpu", help="cpu or cuda; on cuda by deterministic algorithms, without TF32 (default: %(default)s)")
    p.add_argument("--evaluate", action="store_true", help="evaluate between steps")
    p.add_argument("--freeze", metavar="PREFIX", help="parameters that are not trained")
    p.add_argument("--compile", metavar="BACKEND", help="torch.compile, by this backend (2.0 on)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--losses", metavar="FILE", help="every step's loss as an exact hexadecimal float (rank 0)")
    p.add_argument("--times-to", metavar="FILE", help="every step's wall time in milliseconds")
    p.add_argument("--weights-hash", action="store_true", help="print the SHA-256 of the final weights")
    p.add_argument("--alive", action="store_true", help="count storages of activations and gradients that outlive their step")
    p.add_argument("--memory", action="store_true", help="print the peak resident memory in KiB")
    return p.parse_args(argv)


def weights_hash(model):
    h = hashlib.sha256()
    for w in model.state_dict().values():
        h.update(w.detach().cpu().contiguous().numpy().tobytes())
    return h.hexdigest()


class Ranks:
    def __init__(self, args):
        self.rank, self.world = 0, 1
        if args.ddp:
            torch.distributed.init_process_group("gloo" if args.device == "cpu" else "nccl")
            self.rank, self.world = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def wrap(self, args, model):
        return torch.nn.parallel.DistributedDataParallel(model) if args.ddp else model


class Alive:
    """Weak references to the storages of a step's activations and gradients, and how many of them outlive the step."""

    def __init__(self, model):
        self.refs, self.steps = [], []
        for module in model.modules():
            module.register_forward_hook(lambda m, i, out: self.note(out) if torch.is_tensor(out) else None)

    def note(self, tensor):
        from torch.multiprocessing.reductions import StorageWeakRef
        self.refs.append(StorageWeakRef(tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()))

    def look(self):
        self.steps.append(sum(not r.expired() for r in self.refs))
        self.refs.clear()


def setup(args):
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    if args.device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    make, batch, loss = MODELS[args.model]
    model = make(args)
    if args.double:
        model = model.double()
    model = model.to(args.device)
    for name, p in model.named_parameters():
        if args.freeze and name.startswith(args.freeze):
            p.requires_grad_(False)
    wanted = {"lr": args.lr, **({"momentum": 0.9} if args.optimizer == "SGD" else {})}
    optimizer = getattr(torch.optim, args.optimizer)([p for p in model.parameters() if p.requires_grad], **wanted)
    return model, optimizer, batch, loss


def deal(args, ranks, x, y):
    """This rank's micro-batches of the step's samples."""
    if args.double and x.is_floating_point():
        x = x.double()
    x, y = x.to(args.device), y.to(args.device)
    parts = list(zip(x.chunk(ranks.world * args.accumulate), y.chunk(ranks.world * args.accumulate)))
    return parts[ranks.rank * args.accumulate:(ranks.rank + 1) * args.accumulate]


def train(args, ranks, observer):
    bare, optimizer, batch, loss_of = setup(args)
    model = ranks.wrap(args, torch.compile(bare, backend=args.compile) if args.compile else bare)
    scaler = torch.amp.GradScaler(args.device, init_scale=1024.0, growth_interval=5) if args.scaler else None
    alive = Alive(bare) if args.alive else None
    generator = torch.Generator().manual_seed(args.seed)
    losses, times = [], [time.perf_counter()]

    micro = args.batch // ranks.world // args.accumulate

    def objective(m, x, y):
        """Its share of the micro-step's loss, where x is not the whole of it."""
        share = (len(x) if args.sum else len(x) / micro) * args.times / args.accumulate
        if not args.penalty:
            return loss_of(m, x, y) * share
        x = x.detach().requires_grad_()
        loss = loss_of(m, x, y)
        slope, = torch.autograd.grad(loss, x, create_graph=True)
        return (loss + args.penalty * len(x) * slope.square().sum()) * share

    def gradient(step, parts):
        optimizer.zero_grad(**({"set_to_none": True} if args.alive else {}))
        total = 0.0
        for i, (x, y) in enumerate(parts):
            if observer:
                observer.micro("0", bare, lambda m, x: objective(m, x, y), x, lambda m, x, i: objective(m, x[i:i + 1], y[i:i + 1]))
            hold = args.ddp and i + 1 < len(parts)
            with model.no_sync() if hold else contextlib.nullcontext(), torch.autocast(args.device, torch.bfloat16, enabled=args.amp):
                loss = objective(model, x, y)
            if scaler and step % 8 == 0:
                loss = loss * float("inf")
            (scaler.scale(loss) if scaler else loss).backward()
            total += loss.item()
        if observer:
            observer.step("0", bare, scaler.get_scale() if scaler else 1.0, ranks.world, skipped=bool(scaler) and step % 8 == 0)
        return total

    for step in range(1, args.steps + 1):
        parts = deal(args, ranks, *batch(args, generator, args.batch))
        if args.closure:
            losses.append(optimizer.step(lambda: gradient(step, parts)))
        else:
            losses.append(gradient(step, parts))
            if scaler and args.clip:
                scaler.unscale_(optimizer)
            if args.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            if alive:
                for p in bare.parameters():
                    alive.note(p.grad)
            scaler.step(optimizer) if scaler else optimizer.step()
            if scaler:
                scaler.update()
        if alive:
            optimizer.zero_grad(set_to_none=True)
            alive.look()
        if args.evaluate and step % 3 == 0:
            bare.eval()
            with torch.no_grad():
                loss_of(bare, *deal(args, ranks, *batch(args, torch.Generator().manual_seed(step), 100))[0])
            bare.train()
        times.append(time.perf_counter())
    if alive:
        print(f"alive {max(alive.steps)}")
    return bare, losses, times


def main(argv=None, observer=None):
    args = parse_args(argv)
    ranks = Ranks(args)
    model, losses, times = train(args, ranks, observer)
    if args.losses and ranks.rank == 0:
        with open(args.losses, "w") as f:
            f.writelines(f"{step} {loss.hex()}\n" for step, loss in enumerate(losses, 1))
    if args.times_to:
        with open(args.times_to, "w") as f:
            f.writelines(f"{1000 * (b - a):.6f}\n" for a, b in zip(times, times[1:]))
    if args.weights_hash and ranks.rank == 0:
        print(f"weights {weights_hash(model)}")
    if args.memory:
        import resource
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} KiB")
    if args.ddp:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
