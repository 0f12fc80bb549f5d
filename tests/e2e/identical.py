#!/usr/bin/python3
"""Training is unchanged: every loss and the final weights are the same to the bit with and without gnscope."""
import common
from common import check

RUNS = {
    "fashion_mnist": ("--steps", 100),
    "char_lm": ("--steps", 20),
    "mlp": ("--steps", 300),
}
SAMPLES = {"fashion_mnist": 128, "char_lm": 32, "mlp": 128}


def outcome(bench, name, how, wrap):
    log = bench.path(f"{name}-{how}.losses")
    command = wrap(bench.example(name, *RUNS[name], "--seed", 3, "--losses", log, "--weights-hash"))
    env = bench.env
    if how == "preload":
        env = dict(env, LD_PRELOAD=bench.shim, GNSCOPE_EVERY="1", GNSCOPE_SAMPLES=str(SAMPLES[name]))
    done = bench.must(command, env=env)
    steps = common.read_losses(log)
    check(len(steps) == RUNS[name][1], f"{name}, {how}: {len(steps)} losses of {RUNS[name][1]} steps")
    return open(log).read(), done.stdout


def test(args):
    with common.Bench(args, torch=False) as bench:
        for name in args.example or RUNS:
            def run(how, *options):
                return outcome(bench, name, how, lambda c: bench.gns_run(bench.path(f"{name}-{how}.db"), *options, "--", *c))

            plain = outcome(bench, name, "plain", lambda c: c)
            ways = {
                "default": lambda: run("default", "--samples", SAMPLES[name]),
                "every": lambda: run("every", "--samples", SAMPLES[name], "--every", 1),
                "preload": lambda: outcome(bench, name, "preload", lambda c: c),
            }
            for how, way in ways.items():
                got = way()
                check(got[0] == plain[0], f"{name}: losses differ between plain and {how}")
                check(got[1] == plain[1], f"{name}: output differs between plain and {how}:\n{plain[1]}\n{got[1]}")
            measured = common.query(bench.path(f"{name}-every.db"), "SELECT count(DISTINCT step) AS n FROM grad")[0]["n"]
            check(measured >= RUNS[name][1] - 2, f"{name}: only {measured} steps were measured, so this proves little")
            print(f"{name}: {RUNS[name][1]} losses and the final weights the same in 4 runs; {plain[1].splitlines()[-1]}")


if __name__ == "__main__":
    p = common.arguments(__doc__)
    p.add_argument("example", nargs="*", choices=[*RUNS, []])
    a = p.parse_args()
    common.main(lambda: test(a))
