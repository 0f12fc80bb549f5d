#!/usr/bin/python3
"""Is the answer of a run at default settings the one that every step gives?

For each seed the same training runs at default settings and with --every 1, in turn. Training is bit-identical, so both measure the same run:
the default run's interval should hold the other's value in 95% of seeds. Prints a Markdown row for each seed: steps measured, the share of the
run's tenths after step 100 (least and most, of an equal share), gnscope's own clock, B_noise of both.

    bench/default_runs.py --seeds 5 -- /usr/bin/python3 examples/fashion_mnist.py --seed {seed}

{seed} is replaced in the command. Run it on an otherwise idle machine.
"""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--samples", help="for programs without PyTorch")
    p.add_argument("command", nargs="+", help="after --, with {seed}")
    return p.parse_args()


def one_run(args, seed, every, store):
    gnscope = os.path.join(args.build, "bin", "gnscope")
    words = [gnscope, "run", "--store", store, *(["--every", "1"] if every else []), *(["--samples", args.samples] if args.samples else []), "--"]
    words += [w.replace("{seed}", str(seed)) for w in args.command]
    env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
    done = subprocess.run(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with status {done.returncode}:\n{done.stderr}")
    return json.loads(subprocess.run([gnscope, "show", "--store", store, "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout)


def tenths(store):
    """The least and the most measured tenth of the steps after the hundredth, in equal shares."""
    db = sqlite3.connect(store)
    steps = [s for (s,) in db.execute("SELECT DISTINCT step FROM step WHERE step > 100 AND weight IS NOT NULL")]
    (last,) = db.execute("SELECT max(step) FROM step").fetchone()
    db.close()
    if not steps or last < 200:
        return None
    share = [0] * 10
    for s in steps:
        share[min(9, (s - 101) * 10 // (last - 100))] += 1
    return min(share) * 10 / len(steps), max(share) * 10 / len(steps)


def number(x):
    return "-" if x is None else f"{x:.3g}"


def main():
    args = parse_args()
    print(f"load {os.getloadavg()[0]:.2f} at the start, {time.strftime('%Y-%m-%d')}: {' '.join(args.command)}\n")
    print("| seed | measured | tenths | start-up | overhead | verdict | B_noise, default (95% CI) | B_noise, every step (95% CI) | off by | interval contains it | overhead, every step |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    held = 0
    with tempfile.TemporaryDirectory(prefix="gnscope-bench-") as folder:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            stores = [os.path.join(folder, f"{seed}-{every}.db") for every in (0, 1)]
            a, b = (one_run(args, seed, every, stores[every]) for every in (0, 1))
            spread = tenths(stores[0])
            lo, hi, truth = a["b_noise_lo"], a["b_noise_hi"], b["b_noise"]
            ok = truth is not None and (lo is None or lo <= truth) and (hi is None or truth <= hi)
            held += ok
            off = "-" if a["b_noise"] is None or truth is None else f"{100 * (a['b_noise'] / truth - 1):+.1f}%"
            print(f"| {seed} | {a['steps_measured']} of {a['steps']} | {'-' if spread is None else '%.2f to %.2f' % spread} | {number(a.get('startup_ms'))} ms | "
                  f"{number(a['overhead_pct'])}% | {a['verdict']} | {number(a['b_noise'])} ({number(lo)} to {number(hi)}) | "
                  f"{number(truth)} ({number(b['b_noise_lo'])} to {number(b['b_noise_hi'])}) | {off} | {'yes' if ok else 'no'} | {number(b['overhead_pct'])}% |")
            sys.stdout.flush()
    print(f"\nThe interval of the default run contains the value of every step in {held} of {args.seeds}")


if __name__ == "__main__":
    main()
