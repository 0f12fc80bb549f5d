#!/usr/bin/python3
"""What per-sample gradient norms of PyTorch trainers cost: by gnscope, and in the ways that people have without it.

Rounds in turn: each runs the same training plain, under gnscope by default and with --every 1, in an order that rotates; a cost is the
median over rounds of the sum of the step times over that of the plain run of the same round. The other ways (bench/torch_ways.py) run in
the first rounds for a few steps each, against the median plain step of their round. Prints a Markdown table for each example and PyTorch.

    bench/torch_cost.py --build build --python /usr/bin/python3 --python VENV/bin/python --others OTHERS/bin/python

--others names an interpreter that has Opacus and BackPACK beside the PyTorch of the last --python; a way that a Python cannot do is left
out with the reason. With its defaults it takes some ten minutes. Run it on an otherwise idle machine.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WAYS = os.path.join(ROOT, "bench", "torch_ways.py")
GNSCOPE = {"plain": None, "default": [], "every 1": ["--every", "1"]}
OTHERS = ("halves", "hooks", "func", "opacus", "backpack")
SAID = {"plain": "nothing measured", "default": "gnscope, default", "every 1": "gnscope `--every 1`", "halves": "two half-batches (no per-sample norms)",
        "hooks": "hooks that materialise", "func": "torch.func", "opacus": "Opacus", "backpack": "BackPACK"}
EXAMPLES = ("char_lm", "fashion_cnn")
FIRST = 3  # steps left out of every figure: threads, caches, the collector's start


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("example", nargs="*", help=f"of {', '.join(EXAMPLES)} (default: all)")
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--python", action="append", help="may be given again (default: /usr/bin/python3)")
    p.add_argument("--others", help="a Python that has Opacus and BackPACK (default: the last --python)")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=6, help="of plain training in a run (default: %(default)s)")
    p.add_argument("--other-rounds", type=int, default=1, help="rounds of the other ways (default: %(default)s)")
    p.add_argument("--other-steps", type=int, default=12)
    p.add_argument("--ways", default=",".join(OTHERS), help="the other ways, by comma (default: %(default)s)")
    args = p.parse_args()
    args.python = args.python or ["/usr/bin/python3"]
    return args


def one_run(words, times, env):
    done = subprocess.run(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1][:100] if done.stderr.strip() else f"status {done.returncode}"
    with open(times) as f:
        return [float(line) for line in f][FIRST:], ""


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.gnscope = os.path.join(args.build, "bin", "gnscope")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
        self.own = {}  # gnscope's own clock

    def run(self, python, way, example, steps):
        times = os.path.join(self.folder, "times")
        words = [python, WAYS, "plain" if way in GNSCOPE else way, example, str(steps), times]
        if GNSCOPE.get(way) is None:
            return one_run(words, times, self.env)
        store = os.path.join(self.folder, f"{time.monotonic_ns()}.db")
        got = one_run([self.gnscope, "run", "--store", store, *GNSCOPE[way], "--", *words], times, self.env)
        shown = subprocess.run([self.gnscope, "show", "--store", store, "--json"], stdout=subprocess.PIPE, text=True).stdout
        shown = json.loads(shown) if shown else {}
        self.own.setdefault(way, []).append((shown.get("overhead_pct"), shown.get("steps_measured"), shown.get("coverage")))
        return got

    def table(self, python, example, others):
        version = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], stdout=subprocess.PIPE, text=True).stdout.strip()
        probe, why = self.run(python, "plain", example, FIRST + 12)
        if probe is None:
            sys.exit(f"{python} cannot train {example}: {why}")
        steps = FIRST + max(20, int(1000 * self.args.seconds / statistics.median(probe)))
        cost, step, failed, order = {}, {}, {}, list(GNSCOPE)
        self.own = {}
        for r in range(self.args.rounds):
            runs = {way: self.run(python, way, example, steps)[0] for way in order[r % 3:] + order[:r % 3]}
            plain = statistics.median(runs["plain"])
            for way, times in runs.items():
                cost.setdefault(way, []).append(100 * (sum(times) / sum(runs["plain"]) - 1))
                step.setdefault(way, []).append(statistics.median(times))
            for way in self.args.ways.split(",") if r < self.args.other_rounds else ():
                times, why = self.run(others, way, example, FIRST + self.args.other_steps)
                if times is None:
                    failed[way] = why
                    continue
                cost.setdefault(way, []).append(100 * (statistics.median(times) / plain - 1))
                step.setdefault(way, []).append(statistics.median(times))
        self.show(version, example, steps, cost, step, failed)

    def show(self, version, example, steps, cost, step, failed):
        print(f"\n{example}.py, PyTorch {version}, {steps} steps, {self.args.rounds} rounds:\n")
        print("| way | median step | cost, median of rounds | range | by gnscope's own clock | steps measured | coverage |\n|---|---|---|---|---|---|---|")
        for way, costs in cost.items():
            own = self.own.get(way)
            clock = f"{statistics.median(o[0] for o in own):.2f}% | {own[-1][1]} | {100 * own[-1][2]:.0f}%" if own and own[0][0] is not None else "| |"
            print(f"| {SAID[way]} | {statistics.median(step[way]):.2f} ms | {statistics.median(costs):+.1f}% | {min(costs):+.1f} to {max(costs):+.1f}% | {clock} |")
        for way, why in failed.items():
            print(f"| {SAID[way]} | not possible: {why} | | | | | |")
        sys.stdout.flush()


def main():
    args = parse_args()
    print(f"{platform.node()}: {platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f} at the start, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory(prefix="gnscope-bench-") as folder:
        bench = Bench(args, folder)
        for python in args.python:
            others = args.others if args.others and python == args.python[-1] else python
            for example in args.example or EXAMPLES:
                bench.table(python, example, others)


if __name__ == "__main__":
    main()
