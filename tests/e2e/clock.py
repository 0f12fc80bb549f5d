#!/usr/bin/python3
"""A clock that is set in mid-run: the run took as long as it took."""
import os
import subprocess
import time

import common
from common import check
from kill import SMALL


def one(bench, args, name, command, env):
    store, log, stepped = bench.path(name + ".db"), bench.path(name + ".losses"), bench.path(name + ".stepped")
    trainer = bench.example("mlp", *SMALL, "--steps", 3000, "--losses", log)
    env = dict(env, OPENBLAS_NUM_THREADS="1", CLOCK_STEP=stepped, GNSCOPE_STORE=store)
    began = time.monotonic()
    process = subprocess.Popen([*command(store), *trainer], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    common.wait_for(lambda: len(common.read_losses(log)) > 50, "the trainer gets going")
    with open(stepped, "w"):
        pass
    err = process.communicate(timeout=300)[1]
    check(process.returncode == 0, err)
    common.wait_for(lambda: not common.recorders(bench), "the recorder ends")
    took = time.monotonic() - began
    run = common.query(store, "SELECT status, (end_ns - start_ns) / 1e9 AS seconds FROM run")[0]
    check(run["status"] == "finished" and 0 < run["seconds"] <= took + 1, f"{name}: {run}, within {took:.1f} s")
    print(f"{name}: finished after {run['seconds']:.1f} s")


def test(args):
    library = os.path.join(args.build, "lib", "libclock_step.so")
    with common.Bench(args) as bench:
        one(bench, args, "run", lambda store: bench.gns_run(store, "--samples", 64, "--"), dict(bench.env, LD_PRELOAD=library))
        one(bench, args, "preload", lambda store: [], dict(bench.env, LD_PRELOAD=f"{bench.shim}:{library}", GNSCOPE_SAMPLES="64"))


if __name__ == "__main__":
    common.main(lambda: test(common.arguments(__doc__.splitlines()[0]).parse_args()))
