#!/usr/bin/python3
"""LD_PRELOAD alone, without `gnscope run`: a run appears in the default store, and nothing else is left behind."""
import os

import common
from common import check


def test(args):
    with common.Bench(args, torch=False) as bench:
        env = dict(bench.env, LD_PRELOAD=bench.shim, GNSCOPE_SAMPLES="128", GNSCOPE_EVERY="1")
        store = os.path.join(env["XDG_STATE_HOME"], "gnscope", "runs.db")
        done = bench.must(bench.example("fashion_mnist", "--steps", 60), env=env)
        check(done.stderr == "", f"the trainer's stderr is not empty: {done.stderr}")
        one_run(bench, store)
        nested = ["bash", "-c", '"$@" && "$@"', "bash", *bench.example("mlp", "--data", "synthetic", "--steps", 200)]
        bench.must(nested, env=env)
        common.wait_for(lambda: len(common.query(store, "SELECT run_id FROM run")) == 3, "two more runs, one each")
        common.wait_for(lambda: not common.recorders(bench), "the recorders end by themselves")
        print("three runs in the default store, recorders gone")


def one_run(bench, store):
    common.wait_for(lambda: os.path.exists(store), f"a store at {store}")
    common.wait_for(lambda: not common.recorders(bench), "the recorder ends by itself")
    runs = common.query(store, "SELECT * FROM run")
    check(len(runs) == 1, f"{len(runs)} runs in the store")
    shown = bench.must([bench.gnscope, "show", "--json"]).stdout
    got = common.json.loads(shown)
    check("fashion_mnist.py" in got["command"], f"the command is {got['command']!r}")
    check(59 <= got["steps"] <= 60, f"{got['steps']} steps of 60")
    check(got["steps_measured"] >= 57, f"{got['steps_measured']} steps measured of 60")
    check(got["samples_per_step"] == 128 and got["sample_unit"] == "samples", f"unit: {got['samples_per_step']} {got['sample_unit']}")
    check(got["dropped"] == 0, f"{got['dropped']} steps dropped")
    check(got["status"] in ("finished", "lost"), f"status {got['status']}")
    print(f"one run: {got['steps']} steps, {got['steps_measured']} measured, status {got['status']}, b_noise {got['b_noise']}")


if __name__ == "__main__":
    a = common.arguments(__doc__).parse_args()
    common.main(lambda: test(a))
