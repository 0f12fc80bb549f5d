#!/usr/bin/python3
"""In a process that never trains the shim does nothing: no file, no shared memory, no output, no hang."""
import os
import re

import common
from common import PYTHON, check

FORKS = """
import os
for i in range(100):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print("forked")
"""

# Trains, and forks 100 times between steps; each child touches BLAS but trains nothing.
TRAIN_AND_FORK = """
import os, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
opt = torch.optim.SGD(model.parameters(), lr=0.01)
x, y = torch.randn(32, 64), torch.randint(0, 8, (32,))
torch.set_num_threads(1)
for step in range(100):
    opt.zero_grad()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    opt.step()
    pid = os.fork()
    if pid == 0:
        import numpy
        a = numpy.ones((4, 4), dtype=numpy.float32)
        (a @ a).sum()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
print("trained")
"""


def needed(bench):
    out = bench.must(["readelf", "-d", bench.shim]).stdout
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", out)
    check(names == ["libc.so.6"], f"NEEDED of the shim is {names}; libc alone expected")
    print("NEEDED is libc.so.6 alone")


def bystanders(bench):
    source = bench.path("t.c")
    with open(source, "w") as f:
        f.write("#include <stdio.h>\nint main(void){puts(\"compiled\");return 0;}\n")
    yield "bash", ["bash", "-c", "echo one; (echo two); ls / | wc -l; exit 3"]
    yield "compiler", ["gcc", "-O2", source, "-o", bench.path("t")]
    yield "compiled", [bench.path("t")]
    yield "git", ["git", "-C", common.ROOT, "log", "--oneline", "-n", "1"]
    yield "forks", [PYTHON, "-c", FORKS]
    yield "bash forks", ["bash", "-c", "for i in $(seq 100); do (true); done; echo forked"]
    yield "import torch", [PYTHON, "-c", "import torch; print(torch.ones(3).sum().item())"]
    yield "pipe", ["bash", "-c", "yes | head -n 1000 | sort -u"]
    yield "killed", ["bash", "-c", "kill -TERM $$"]


def untouched(bench):
    before = common.shared_memory()
    env = dict(bench.env, LD_PRELOAD=bench.shim)
    for name, command in bystanders(bench):
        plain = bench.run(command, timeout=120)
        got = bench.run(command, env=env, timeout=120)
        same = (plain.returncode, plain.stdout, plain.stderr) == (got.returncode, got.stdout, got.stderr)
        check(same, f"{name}: alone {plain}, with the shim {got}")
        check(not os.path.exists(env["XDG_STATE_HOME"]), f"{name}: a state folder was made")
        common.wait_for(lambda: not (common.shared_memory() - before), f"{name}: shared memory is free again")
    print("bystanders: same output and status, no files, no shared memory")


def under_run(bench):
    """The same programs as the whole command of `gnscope run`: the status is theirs."""
    for name, command in bystanders(bench):
        plain = bench.run(command, timeout=120)
        got = bench.run(bench.gns_run(bench.path("none.db"), "--", *command), timeout=120)
        status = plain.returncode if plain.returncode >= 0 else 128 - plain.returncode
        check(got.returncode in (plain.returncode, status), f"{name} under run: status {got.returncode}, {status} expected")
        check(got.stdout == plain.stdout, f"{name} under run: stdout {got.stdout!r}, {plain.stdout!r} expected")
    print("bystanders under `gnscope run`: same output and status")


def one_rank(bench, name, command, steps, output=None):
    before = common.shared_memory()
    store = bench.path(name + ".db")
    done = bench.must(bench.gns_run(store, "--samples", 32, "--every", 1, "--", *command))
    check(output is None or done.stdout == output, f"{name}: output {done.stdout!r}")
    runs = common.query(store, "SELECT run_id FROM run")
    ranks = common.query(store, "SELECT DISTINCT rank FROM step")
    procs = common.query(store, "SELECT * FROM rank")
    check(len(runs) == 1, f"{name}: {len(runs)} runs")
    check(len(ranks) == 1 and len(procs) == 1, f"{name}: {len(procs)} processes, {len(ranks)} ranks with steps; one expected")
    got = common.query(store, "SELECT count(*) AS n FROM step")[0]["n"]
    check(steps - 1 <= got <= steps, f"{name}: {got} steps of {steps}")
    common.wait_for(lambda: not (common.shared_memory() - before), f"{name}: shared memory is free again")
    print(f"{name}: one run, one process, {got} steps")


def test(args):
    with common.Bench(args) as bench:
        needed(bench)
        untouched(bench)
        under_run(bench)
        one_rank(bench, "forks", [PYTHON, "-c", TRAIN_AND_FORK], 100, "trained\n")
        loader = bench.example("fashion_mnist", "--workers", 2, "--steps", 50, "--batch-size", 32)
        plain = bench.must(loader).stdout
        one_rank(bench, "loader", loader, 50, plain)


if __name__ == "__main__":
    a = common.arguments(__doc__).parse_args()
    common.main(lambda: test(a))
