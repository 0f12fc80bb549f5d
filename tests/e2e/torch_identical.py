#!/usr/bin/python3
"""PyTorch trainers are unchanged by gnscope: losses and final weights the same to the bit, nothing outlives its step, and the peak of memory.

By default (`gnscope run` with no option) and by LD_PRELOAD alone; with `--every 1` the same is shown by torch_truth.py for every case.
"""
import common
import torch_programs as programs
from common import check

CASES = ("mlp-adamw", "dropout", "accumulate-4", "closure", "clipped", "cnn-bn", "lm-tied", "encoder", "lstm", "checkpoint-saved", "amp", "scaler",
         "gan", "ddp-2")
# Enough activations that what is kept of them would show.
LARGE = programs.Case("train", "cnn", "--batch", 2048, "--steps", 8)
PEAK = 1.02, 8 * 1024  # the limit of the peak: a factor of the larger plain run's, and KiB that runs of the same program differ by


def outcome(bench, python, version, case, tag, how, *more):
    log = bench.path(f"{tag}-{how}.losses")
    command, env = programs.trainer(python, version, case, "--losses", log, "--weights-hash", *more), programs.environment(bench, case)
    if how == "preload":
        env = dict(env, LD_PRELOAD=bench.shim, GNSCOPE_EVERY="1")
    elif how != "plain":
        command = bench.gns_run(bench.path(f"{tag}-{how}.db"), *(["--every", 1] if how == "every" else []), "--", *command)
    done = bench.must(command, env=env)
    lines = done.stdout.splitlines()
    peak = [int(line.split()[1]) for line in lines if line.startswith("peak ")]
    return open(log).read(), [line for line in lines if not line.startswith("peak ")], peak, done.stderr


def same(bench, python, version, name, case):
    more = ["--alive"] if case.program == "train" and case.ranks == 1 and "--closure" not in case.options else []
    plain = outcome(bench, python, version, case, name, "plain", *more)
    for how in ("default", "preload"):
        got = outcome(bench, python, version, case, name, how, *more)
        check(got[0] == plain[0], f"{name}, {how}: the losses differ")
        check(got[1] == plain[1], f"{name}, {how}: the output is {got[1]}, without gnscope {plain[1]}")
        check(how != "preload" or got[3] == plain[3], f"{name}, {how}: stderr is {got[3]!r}, without gnscope {plain[3]!r}")
    print(f"{name}: {plain[0].count(chr(10))} losses, {', '.join(plain[1])}", flush=True)


def memory(bench, python, version):
    alone = ["--alive", "--memory"]
    runs = {how: [outcome(bench, python, version, LARGE, f"large{i}", how, *alone) for i in range(2)] for how in ("plain", "default", "every")}
    peak = {how: min(r[2][0] for r in of) for how, of in runs.items()}
    most = max(r[2][0] for r in runs["plain"])
    said = ", ".join(f"{how} {kib / 1024:.1f} MiB ({100 * (kib / peak['plain'] - 1):+.2f}%)" for how, kib in peak.items())
    for how, of in runs.items():
        check(of[0][:2] == runs["plain"][0][:2], f"large, {how}: losses or output differ")
        check(peak[how] <= most * PEAK[0] + PEAK[1], f"the peak of memory: {said}; plain runs up to {most / 1024:.1f} MiB")
    print(f"peak of memory, batch 2,048, the lesser of two: {said}; plain runs up to {most / 1024:.1f} MiB", flush=True)


def test(args):
    with common.Bench(args) as bench:
        text, version = programs.torch_version(bench, args.python)
        print(f"PyTorch {text}", flush=True)
        for name, case in programs.chosen(args.case or CASES, version, args.device).items():
            same(bench, args.python, version, name, case)
        if not args.case:
            memory(bench, args.python, version)


if __name__ == "__main__":
    a = programs.arguments(common.arguments(__doc__.splitlines()[0]))
    common.main(lambda: test(a))
