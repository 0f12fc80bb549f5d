#!/usr/bin/python3
"""Seventy training programs at once under one `gnscope run`: none vanishes. Where shared memory is short, those that could not be
measured are counted, with the reason."""
import json
import subprocess

import common
from common import check

N, STEPS, FEW = 70, 30, 5


def command(bench, n):
    trainer = " ".join(bench.example("mlp", "--data", "synthetic", "--hidden", 8, "--batch", 4, "--steps", STEPS, "--log-every", 0))
    return ["sh", "-c", f"i=0; while [ $i -lt {n} ]; do {trainer} & i=$((i+1)); done; wait"]


def all_there(bench, env):
    store = bench.path("all.db")
    done = bench.run(bench.gns_run(store, "--samples", 4, "--every", 10, "--", *command(bench, N)), env=env)
    check(done.returncode == 0, done)
    steps = [r["steps"] for r in common.query(store, "SELECT steps FROM rank")]
    check(steps == [STEPS] * N, f"{len(steps)} processes, {sum(steps)} steps of {N * STEPS}")
    lost = common.query(store, "SELECT sum(dropped_steps) AS n FROM rank")[0]["n"]
    check(lost == 0, f"{lost} steps lost")
    print(f"{N} processes, {sum(steps)} of {N * STEPS} steps, none lost")


def counted(bench, env):
    """A /dev/shm with room for two rings."""
    store = bench.path("few.db")
    words = bench.gns_run(store, "--samples", 4, "--every", 10, "--", *command(bench, FEW))
    private = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=10m none /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*private[:4], "mount -t tmpfs -o size=10m none /dev/shm"], capture_output=True).returncode:
        print("a small /dev/shm cannot be mounted here: its case was not tried")
        return
    done = bench.run([*private, *words], env=env)
    check(done.returncode == 0, done)
    there = len(common.query(store, "SELECT 1 FROM rank"))
    said = f"{FEW - there} processes could not hand over measurements: 4 MiB of shared memory in /dev/shm cannot be had: No space left on device"
    check(0 < there < FEW and said in done.stderr, done.stderr)
    events = [r["text"] for r in common.query(store, "SELECT text FROM event WHERE name = 'not_joined'")]
    check(events == [said], events)
    check(said in json.dumps(bench.show(store)["warnings"]), "show does not say it")
    print(f"room for {there} of {FEW}: {said}")


def test(args):
    with common.Bench(args) as bench:
        env = dict(bench.env, OPENBLAS_NUM_THREADS="1")
        all_there(bench, env)
        counted(bench, env)


if __name__ == "__main__":
    common.main(lambda: test(common.arguments(__doc__.splitlines()[0]).parse_args()))
