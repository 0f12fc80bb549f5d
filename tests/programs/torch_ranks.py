"""A data-parallel PyTorch trainer whose all-reduce is NCCL's, called by hand on the gradients: stands in for DistributedDataParallel where
there is no PyTorch with CUDA. Needs the fakes with GNS_FAKE_ANY=1 (CPU tensors count as device memory) and GNS_FAKE_SYNC=1.

    torch_ranks.py --world 2 [--steps 40] [--batch 16] [--accumulate 1] [--scale 1] [--every-micro] [--zero]
"""
import argparse
import ctypes
import os
import subprocess
import sys

import torch

FLOAT32, SUM, AVG = 7, 0, 4


class Id(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_char * 128)]


def options():
    p = argparse.ArgumentParser()
    for name, default in dict(world=2, steps=40, batch=16, accumulate=1).items():
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--scale", type=float, default=1.0)
    p.add_argument("--every-micro", action="store_true")
    p.add_argument("--id")
    return p.parse_args()


class Ranks:
    def __init__(self, o):
        cuda = ctypes.CDLL("libcuda.so.1", mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL("libnccl.so.2", mode=ctypes.RTLD_GLOBAL)
        self.nccl = ctypes.CDLL(None) # the global scope, as a linked program has it
        self.nccl.ncclAllReduce.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p,
                                            ctypes.c_void_p]
        context, self.comm, self.stream, name = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), Id()
        name.internal = o.id.encode()
        self.nccl.ncclCommInitRank.argtypes = [ctypes.c_void_p, ctypes.c_int, Id, ctypes.c_int]
        assert not cuda.cuInit(0) and not cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) and not cuda.cuCtxSetCurrent(context)
        assert not cuda.cuStreamCreate(ctypes.byref(self.stream), 1)
        assert not self.nccl.ncclCommInitRank(ctypes.byref(self.comm), o.world, name, int(os.environ["RANK"]))

    def mean(self, parameters):
        """One flat bucket, divided beforehand and summed, as DistributedDataParallel does."""
        flat = torch.cat([p.grad.reshape(-1) for p in parameters]) / int(os.environ["WORLD_SIZE"])
        assert not self.nccl.ncclAllReduce(flat.data_ptr(), flat.data_ptr(), flat.numel(), FLOAT32, SUM, self.comm, self.stream)
        at = 0
        for p in parameters:
            p.grad.copy_(flat[at:at + p.numel()].view_as(p))
            at += p.numel()


def train(o):
    rank = int(os.environ["RANK"])
    ranks = Ranks(o)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))
    teacher = torch.nn.Linear(20, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    torch.manual_seed(100 + rank)
    for step in range(o.steps):
        optimizer.zero_grad()
        for micro in range(o.accumulate):
            x = torch.randn(o.batch, 20)
            y = teacher(x).detach() + torch.randn(o.batch, 10)
            loss = torch.nn.functional.mse_loss(model(x), y) / o.accumulate
            (loss * o.scale).backward()
            if o.every_micro:
                ranks.mean(list(model.parameters()))
        if not o.every_micro:
            ranks.mean(list(model.parameters()))
        for p in model.parameters():
            p.grad /= o.scale
        optimizer.step()
    total = sum(float(p.double().sum()) for p in model.parameters())
    os.write(1, f"{rank} {total.hex()}\n".encode()) # ranks write at one time


def main():
    o = options()
    if o.id:
        train(o)
        return 0
    name = os.urandom(12).hex()
    children = [subprocess.Popen([sys.executable, *sys.argv, "--id", name], env={**os.environ, "RANK": str(i), "WORLD_SIZE": str(o.world)})
                for i in range(o.world)]
    return max(c.wait() for c in children)


if __name__ == "__main__":
    sys.exit(main())
