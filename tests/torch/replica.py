"""One of two processes that train one model: python3 replica.py RANK FILE"""
import sys

import mock
import torch
import torch.distributed as dist
from half_test import check, close, truth
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel


class Mock(mock.Mock):
    worlds = []

    def grad(self, number, t, world):
        self.worlds.append(world)
        super().grad(number, t, world)


def main(rank, path):
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="file://" + path, rank=rank, world_size=2)
    torch.manual_seed(1)
    g = mock.install(Mock())
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4))
    replica = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(replica.parameters(), lr=0.1)
    torch.manual_seed(10 + rank)
    for step in range(3):
        optimizer.zero_grad()
        want = {}
        g.worlds.clear()
        for micro in range(2):
            x, y = torch.randn(6, 5), torch.randint(0, 4, (6,))
            for k, v in truth(model, F.cross_entropy(model(x), y, reduction="none")).items():
                want[k] = want.get(k, 0.0) + v
            if micro == 0:
                with replica.no_sync():
                    F.cross_entropy(replica(x), y).backward()
                check(set(g.worlds) == {1}, f"{g.worlds}")
                g.worlds.clear()
            else:
                F.cross_entropy(replica(x), y).backward()
        check(set(g.worlds) == {2}, f"{g.worlds}")
        q_big = {k: float(p.grad.pow(2).sum()) for k, p in model.named_parameters()}
        optimizer.step()
        got = g.history[-1]["got"]
        check(set(got) == set(want), f"{got}, {g.left}")
        for k, (n, q_small, big) in got.items():
            check(n == 12 and close(q_small, want[k], 1e-9) and close(big, q_big[k], 1e-12), f"{k}: {got[k]}, truth {want[k]}")
    check(g.ranks == (rank, 2), f"{g.ranks}")
    check(g.gave_up is None, f"{g.gave_up}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
