#!/usr/bin/env python3
"""Views of a run that is written at full speed: every one is drawn, none is refused, and the writer goes on.

Usage: beside_writer.py GNSCOPE GENERATE
"""
import json, os, subprocess, sys, tempfile, time

GNSCOPE, GENERATE = (os.path.abspath(a) for a in sys.argv[1:3])
ROUNDS = 8


def look(store, view):
    done = subprocess.run([GNSCOPE, "top", "--once", "--json", "--store", store, "--view", view], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, f"view {view}: {done.returncode} {done.stderr}"
    return json.loads(done.stdout)


with tempfile.TemporaryDirectory() as folder:
    store = os.path.join(folder, "runs.db")
    writer = subprocess.Popen([GENERATE, "--store", store, "--steps", "100000000", "--layers", "40"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if subprocess.run([GNSCOPE, "top", "--once", "--store", store], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        steps = []
        for _ in range(ROUNDS):
            for view in "123456":
                steps.append(look(store, view)["steps"])
        assert steps == sorted(steps), f"the run went backwards: {steps}"
        assert steps[-1] > steps[0], f"the writer stood still: {steps}"
        assert writer.poll() is None, f"the writer ended with {writer.returncode}"
        print(f"{len(steps)} views, steps {steps[0]} to {steps[-1]}")
    finally:
        writer.kill()
        writer.wait()
