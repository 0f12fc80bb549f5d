#!/usr/bin/python3
"""A training program that replaces itself (execve) keeps one rank, and its steps are counted on; one that becomes another program ends there.

The truth: the program prints the loss of every step as an exact hexadecimal number, over all its images.
"""
import os
import sys

import common
from common import check

PROGRAM = """
import os, sys, torch
steps, images, last = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
torch.manual_seed(images)
model = torch.nn.Sequential(torch.nn.Linear(20, 30 + images), torch.nn.ReLU(), torch.nn.Linear(30 + images, 5))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(steps):
    x, y = torch.randn(32, 20), torch.randint(0, 5, (32,))
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item().hex(), flush=True)
if images > 1:
    os.execv(sys.executable, [sys.executable, __file__, str(steps), str(images - 1), *last])
if last:
    os.execv(last[0], last)
"""
STEPS = 40


def stored(store):
    runs = common.query(store, "SELECT run_id, status, exit_code FROM run ORDER BY run_id")
    ranks = common.query(store, "SELECT rank, steps, last_step, pooled, ended, dropped_steps FROM rank")
    losses = common.query(store, "SELECT run_id, step, loss FROM step ORDER BY run_id, step")
    return runs, ranks, losses


def printed(text):
    return [float.fromhex(line) for line in text.split()]


def one_rank(bench, program, images, last, status):
    store = bench.path(f"run-{images}-{len(last)}.db")
    done = bench.run(bench.gns_run(store, "--every", 1, "--", sys.executable, program, STEPS, images, *last))
    check(done.returncode == (1 if "false" in "".join(last) else 0), done)
    runs, ranks, losses = stored(store)
    n = STEPS * images
    check([r["status"] for r in runs] == [status], runs)
    check([tuple(r.values()) for r in ranks] == [(0, n, n, 1, 1, 0)], ranks)
    check([r["step"] for r in losses] == list(range(1, n + 1)), "steps are not counted on")
    truth = printed(done.stdout)
    check([r["loss"] for r in losses] == truth, "the losses of the steps are not those that were printed")
    shapes = common.query(store, "SELECT shape FROM param ORDER BY param_id")
    check(len(shapes) == (4 if images == 1 else 4 * images - (images - 1)), shapes)  # the last bias alone keeps its name and shape
    print(f"{images} images, then {' '.join(last) or 'the end'}: {n} of {n} steps, one rank, {status}")


def by_preload(bench, program):
    store = bench.path("preload.db")
    done = bench.run([sys.executable, program, str(STEPS), "3"], env=dict(bench.env, LD_PRELOAD=bench.shim, GNSCOPE_EVERY="1", GNSCOPE_STORE=store))
    check(done.returncode == 0, done)
    common.wait_for(lambda: not common.recorders(bench), "the recorders end")
    runs, ranks, losses = stored(store)
    check([r["status"] for r in runs] == ["finished"] * 3, runs)
    check(sorted(r["loss"] for r in losses) == sorted(printed(done.stdout)), "losses")
    print(f"by LD_PRELOAD: 3 runs of {STEPS} steps, all finished")


def test(args):
    with common.Bench(args) as bench:
        program = bench.path("program.py")
        with open(program, "w") as f:
            f.write(PROGRAM)
        one_rank(bench, program, 3, [], "finished")
        one_rank(bench, program, 1, ["/bin/sleep", "1"], "finished")
        one_rank(bench, program, 2, ["/bin/false"], "failed")
        by_preload(bench, program)


if __name__ == "__main__":
    common.main(lambda: test(common.arguments(__doc__.splitlines()[0]).parse_args()))
