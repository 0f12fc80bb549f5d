#!/usr/bin/python3
"""Batched products (experts.c) and several BLAS libraries in one process (host.c) under the shim.

    blas_test.py LIBRARY WATCH EXPERTS HOST PLUGIN PLUGIN_2
"""
import os
import re
import subprocess
import sys
import tempfile

LIBRARY, WATCH, EXPERTS, HOST, PLUGIN, PLUGIN_2 = sys.argv[1:7]
failed = 0
ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")} | {"GNSCOPE_EVERY": "1", "GNSCOPE_SAMPLES": "8"}


def watched(*command):
    plain = subprocess.run(command, env=ENVIRON, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "records")
        done = subprocess.run([WATCH, LIBRARY, log, *command], env=ENVIRON, capture_output=True, text=True)
        records = open(log).read()
    assert (done.returncode, done.stderr, done.stdout) == (plain.returncode, plain.stderr, plain.stdout), \
        f"status {done.returncode} instead of {plain.returncode}, {done.stderr!r}"
    assert done.returncode == 0, f"status {done.returncode} even alone"
    return done.stdout, records


def near(a, b):
    return abs(a - b) <= 1e-4 * abs(b)


def experts(how, count, heads):
    """One weight an expert and one a projection; no head is taken for one."""
    out, records = watched(EXPERTS, how, str(count), str(heads), "20")
    truths = [(float(s), float(b)) for _, s, b in re.findall(r"TRUTH (\d+) (\S+) (\S+)", out)]
    weights = count + 3
    steps = {}
    for step, small, big in re.findall(r"GRAD step=(\d+) .* q_small=(\S+) q_big=(\S+)", records):
        steps[int(step)] = steps.get(int(step), 0) + 1
        # of this very step, though the first ones may not have been counted
        assert any(near(float(small), t[0]) and near(float(big), t[1]) for t in truths), f"step {step}: {small} {big} is not true"
    assert set(range(6, 20)) <= set(steps), f"steps measured: {sorted(steps)}"
    assert all(steps[s] == weights for s in range(6, 20)), f"weights of {weights} measured in each step: {steps}"


for name, case in (
    *((f"{how} {count} {heads}", lambda how=how, count=count, heads=heads: experts(how, count, heads))
      for how in ("batch", "strided") for count, heads in ((1, 1), (4, 2), (8, 4), (16, 16), (100, 2))),
    ("plugins", lambda: watched(HOST, PLUGIN, PLUGIN_2)),
):
    try:
        case()
    except AssertionError as error:
        failed += 1
        print(f"FAILED {name}: {error}")
print(f"{failed} failed")
sys.exit(failed != 0)
