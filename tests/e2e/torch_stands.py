#!/usr/bin/python3
"""Programs that use PyTorch in ways that a profiler may trip over do the same with gnscope: output, errors to the letter, status.

tests/torch/programs/peculiar.py has them. Each runs alone and, at the same time, with the library preloaded and every step measured.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

import common
import torch_programs as programs
from common import check

SCRIPT = os.path.join(programs.PROGRAMS, "peculiar.py")
NEVER = ("only_import", "only_infer", "only_optimizer", "bad_optimizer")
# name -> optimizer steps that the program makes in all processes and streams; those not named must leave one run or more
STEPS = {"plain": 12, "loader": 12, "changing_batch": 12, "forked": 24, "spawned": 24, "forked_in_training": 48, "threads": 24, "replaced": 48,
         "penalty": 12, "kept_graph": 12, "raises_and_goes_on": 11, "lbfgs": 6, "remade": 24, "module": 12}

NOTEBOOK = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
def cell(code):
    said = []
    reply = client.execute_interactive(code, timeout=120, output_hook=lambda m: said.append(m["content"]))
    print(reply["content"]["status"], [s.get("text", s.get("ename", "")) for s in said if "text" in s or "ename" in s], flush=True)
cell("import sys; sys.path.insert(0, %r); import peculiar; from peculiar import *")
cell("model, optimizer = make(); print(train(model, optimizer))")
cell("raise ValueError('a cell fails')")
cell("print(train(model, optimizer))")
client.stop_channels()
manager.shutdown_kernel()
""" % programs.PROGRAMS


def names():
    with open(SCRIPT) as f:
        return re.findall(r"^def (\w+)\(\):", f.read(), re.M)


def plain_text(text):
    """What a process prints without the lines that name the time and its pid."""
    return "\n".join(line for line in text.split("\n") if not line.startswith(("ERROR:2", "USDT:2", "[W", "[E")))


def both(bench, name, command, **more):
    """The same command alone and preloaded, at once: (how it ended, the default store)."""
    env = dict(bench.env, OMP_NUM_THREADS="1", XDG_STATE_HOME=bench.path(name), **more)
    watched = dict(env, LD_PRELOAD=bench.shim, GNSCOPE_EVERY="1")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        alone, got = pool.map(lambda e: bench.run(command, env=e, timeout=300, stdin=subprocess.DEVNULL), (env, watched))
    for what, a, b in (("status", alone.returncode, got.returncode), ("stdout", alone.stdout, got.stdout),
                       ("stderr", plain_text(alone.stderr), plain_text(got.stderr))):
        check(a == b, f"{name}: its {what} is\n{b}\nwithout gnscope\n{a}\n(stderr: {got.stderr[-1500:]})")
    return got, os.path.join(env["XDG_STATE_HOME"], "gnscope", "runs.db")


def recorded(bench, name, store):
    common.wait_for(lambda: not common.recorders(bench), f"{name}: the recorder ends by itself")
    if name in NEVER:
        check(not os.path.exists(os.path.dirname(store)), f"{name}: it trains nothing, and left {store}")
        return "no run"
    check(os.path.exists(store), f"{name}: no run was recorded")
    common.sound(store)
    runs = common.query(store, "SELECT * FROM run")
    steps = common.query(store, "SELECT count(*) AS n FROM step")[0]["n"]
    measured = common.query(store, "SELECT count(*) AS n FROM (SELECT DISTINCT run_id, step, rank FROM grad)")[0]["n"]
    off = [r["text"] for r in common.query(store, "SELECT text FROM event WHERE name = 'torch_off'")]
    check(not off, f"{name}: the PyTorch collector turned itself off: {off}")
    if name in STEPS:
        check(steps == STEPS[name], f"{name}: {steps} steps were recorded, {STEPS[name]} made")
    left = {r["left_out"] for r in common.query(store, "SELECT DISTINCT left_out FROM param WHERE left_out IS NOT NULL AND left_out <> ''")}
    return f"{len(runs)} runs, {steps} steps, {measured} measured" + (f", left out: {', '.join(sorted(left))}" if left else "")


def notebook(bench, python):
    able = bench.run([python, "-c", "import ipykernel, jupyter_client"]).returncode == 0
    if not able:
        print("notebook: skipped, this Python has no ipykernel and jupyter_client")
        return
    got, store = both(bench, "notebook", [python, "-c", NOTEBOOK])
    check(got.stdout.count("ok [") == 3 and "error ['ValueError" in got.stdout, f"the notebook's cells: {got.stdout}{got.stderr}")
    print(f"notebook: {recorded(bench, 'notebook', store)}")


def test(args):
    failed = []
    with common.Bench(args) as bench:
        text, _ = programs.torch_version(bench, args.python)
        print(f"PyTorch {text}", flush=True)
        for name in args.case or names() + ["module", "notebook"]:
            try:
                if name == "notebook":
                    notebook(bench, args.python)
                    continue
                words = ["-m", "peculiar", "plain"] if name == "module" else [SCRIPT, name]
                got, store = both(bench, name, [args.python, *words], PYTHONPATH=programs.PROGRAMS)
                print(f"{name}: status {got.returncode}, {recorded(bench, name, store)}", flush=True)
            except common.Failed as e:
                print(f"FAIL: {name}: {e}", file=sys.stderr, flush=True)
                failed.append(name)
        check(not failed, f"{len(failed)} programs: {', '.join(failed)}")


if __name__ == "__main__":
    a = programs.arguments(common.arguments(__doc__.splitlines()[0]))
    common.main(lambda: test(a))
