#!/usr/bin/python3
"""Follows the lives of trainers on a GPU (gpu_life.c): each runs as it does alone, to the bit, and is measured where it can be.

    gpu_life_test.py LIBRARY WATCH LIFE FAKES
"""
import os
import re
import subprocess
import sys
import tempfile

LIBRARY, WATCH, LIFE, FAKES = sys.argv[1:5]
STEPS = 40
# how, its exit status, the least number of measured steps of both weights
LIVES = [("plain", 0, 22), ("stream", 0, 22), ("memory", 0, 22), ("pool", 0, 22), ("fork", 0, 22), ("spawn", 0, 22), ("thread", 0, 22),
         ("graph", 0, 22), ("destroy", 0, 22), ("reset", 0, 4), ("exit", 3, 20), ("_exit", 4, 18), ("thread_exit", 5, 22)]
failed = 0


def live(how, status, least):
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("GNSCOPE_", "GNS_"))}
    environ.update(LD_LIBRARY_PATH=FAKES, GNSCOPE_EVERY="1", GNSCOPE_SAMPLES="24")
    plain = subprocess.run([LIFE, how, str(STEPS)], env=environ, capture_output=True, text=True)
    assert plain.returncode == status, f"status {plain.returncode} even alone: {plain.stdout} {plain.stderr}"
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "records")
        done = subprocess.run([WATCH, LIBRARY, log, LIFE, how, str(STEPS)], env=environ, capture_output=True, text=True)
        records = open(log).read()
    got, want = (done.returncode, done.stderr, done.stdout), (status, "", plain.stdout)
    assert got == want, f"the trainer did not run as it does alone: {got}, alone {want}"
    steps = {}
    for step, param, small, big in re.findall(r"GRAD step=(\d+) param=(\d+) .*?q_small=(\S+) q_big=(\S+)", records):
        assert 0 < float(big) <= float(small) * 1.5, f"step {step}: q_small {small}, q_big {big}"
        steps.setdefault(step, set()).add(param)
    full = sum(len(params) == 2 for params in steps.values())
    if how == "graph":  # the runtime's own call of the driver is not a second launch
        counts = {n: max(map(int, re.findall(rf"COUNTER name={n} value=(\d+) .*collector=cuda ", records)), default=0)
                  for n in ("cudaStreamEndCapture", "cuStreamEndCapture", "cudaGraphLaunch", "cuGraphLaunch", "graph_launches")}
        assert list(counts.values()) == [1, 0, 5, 1, 6], counts
    print(f"{how}: {full} of {STEPS} steps", flush=True)
    assert full >= least, f"{full} steps of both weights, not {least}"


for case in LIVES:
    if sys.argv[5:] and case[0] not in sys.argv[5:]:
        continue
    try:
        live(*case)
    except AssertionError as error:
        failed += 1
        print(f"FAILED {case[0]}: {error}")
print(f"{failed} failed")
sys.exit(failed != 0)
