#!/usr/bin/python3
"""What gnscope costs a trainer: paired runs in turn, without it, by default, and with --every 1.

Each round runs the same training once in each way, in an order that rotates, so that a machine that warms up or
slows down favours none. The time is the sum of the trainer's own step times (its start and its final test are left
out); a way's cost is the median over rounds of its time over that of the plain run of the same round, once of all
steps and once without the first ten, in which gnscope learns which matrices are weights. Prints a Markdown table. Run it on an otherwise idle machine.
"""
import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
EXAMPLES = {"fashion_mnist": (128, 2000), "char_lm": (32, 150), "mlp": (128, 3000)}
WAYS = {"plain": None, "default": [], "every 1": ["--every", "1"]}
LEARNING = 10  # steps left out of the second figure


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("example", nargs="*", help=f"of {', '.join(EXAMPLES)} (default: all)")
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--pairs", type=int, default=5, help="rounds (default: %(default)s)")
    p.add_argument("--steps", type=int, help="steps a run (default: about 15 s of them)")
    p.add_argument("--probe", action="append", default=[], metavar="NAME=VALUE", help="a variable for every run")
    args = p.parse_args()
    for name in args.example:
        if name not in EXAMPLES:
            p.error(f"{name} is none of {', '.join(EXAMPLES)}")
    return args


def command(args, name, steps, times):
    if name == "mlp":
        words = [os.path.join(args.build, "bin", "mlp")]
    else:
        words = [PYTHON, os.path.join(ROOT, "examples", name + ".py")]
    return words + ["--steps", str(steps), "--log-every", "0", "--times", times]


def one_run(args, name, way, steps, folder):
    times = os.path.join(folder, "times")
    words = command(args, name, steps, times)
    if WAYS[way] is not None:
        store = os.path.join(folder, f"{name}-{way.replace(' ', '')}.db")
        gnscope = os.path.join(args.build, "bin", "gnscope")
        words = [gnscope, "run", "--store", store, "--samples", str(EXAMPLES[name][0]), *WAYS[way], "--", *words]
    env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
    env.update(v.split("=", 1) for v in args.probe)
    done = subprocess.run(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with status {done.returncode}:\n{done.stderr}")
    with open(times) as f:
        return [float(line) for line in f]


def measure(args, name, folder):
    steps = args.steps or EXAMPLES[name][1]
    ways, runs = list(WAYS), {w: [] for w in WAYS}
    for r in range(args.pairs):
        for way in ways[r % 3:] + ways[:r % 3]:
            runs[way].append(one_run(args, name, way, steps, folder))
        print(f"{name}: round {r + 1} of {args.pairs}: " + ", ".join(f"{w} {sum(runs[w][-1]) / 1000:.2f} s" for w in ways),
              file=sys.stderr)
    step = {w: statistics.median(statistics.median(times) for times in runs[w]) for w in ways}
    for way in ways[1:]:
        whole, later = ([100 * (sum(a[first:]) / sum(b[first:]) - 1) for a, b in zip(runs[way], runs["plain"])]
                        for first in (0, LEARNING))
        print(f"| {name} | {steps} | {way} | {step['plain']:.2f} ms | {step[way]:.2f} ms | {statistics.median(whole):+.2f}% "
              f"| {min(whole):+.2f} to {max(whole):+.2f}% | {statistics.median(later):+.2f}% |", flush=True)


def main():
    args = parse_args()
    print(f"{platform.node()}: {platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f} "
          f"at the start, {args.pairs} rounds\n")
    print("| example | steps | way | median step, plain | median step | cost, median of pairs | range | without the first 10 |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="gnscope-bench-") as folder:
        for name in args.example or EXAMPLES:
            measure(args, name, folder)


if __name__ == "__main__":
    main()
