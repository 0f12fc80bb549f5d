#!/usr/bin/python3
"""Follows the lives of weights (life.c): every gradient that is reported is true, of as many weights as can be known.

    life_test.py LIBRARY WATCH LIFE
"""
import os
import re
import subprocess
import sys
import tempfile

LIBRARY, WATCH, LIFE = sys.argv[1:4]
failed = 0


def near(a, b):
    return abs(a - b) <= 1e-4 * abs(b)


def is_true(q_small, q_big, n, micro, truths):
    if micro == 1:
        return any(t[0] == n and near(q_small, t[1]) and near(q_big, t[2]) for t in truths)
    # two micro-steps: the mean of two gradients of one weight, which lie a pass apart
    return any(near(q_small, (a[1] + b[1]) / 2) and near(q_big, (a[2] + b[2]) / 2)
               for i, a in enumerate(truths) for b in truths[i + 1:i + 12])


def live(how, steps, *, weights, least, reason=None):
    """`weights` ids are measured, in at least `least` steps each."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    environ.update(GNSCOPE_EVERY="1", GNSCOPE_SAMPLES="8", OPENBLAS_NUM_THREADS="1")
    plain = subprocess.run([LIFE, how, str(steps)], env=environ, capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "records")
        done = subprocess.run([WATCH, LIBRARY, log, LIFE, how, str(steps)], env=environ, capture_output=True, text=True)
        records = open(log).read()
    assert (done.returncode, done.stderr, done.stdout) == (0, "", plain.stdout), "the trainer did not run as it does alone"
    truths = [(int(n), float(s), float(b)) for n, s, b in re.findall(r"TRUTH (\d+) (\S+) (\S+)", done.stdout)]
    times = {}
    for param, n, groups, small, big in re.findall(r"GRAD step=\d+ param=(\d+) n_small=1 n_big=(\d+) groups=(\d+) q_small=(\S+) q_big=(\S+)",
                                                   records):
        times[int(param)] = times.get(int(param), 0) + 1
        assert is_true(float(small), float(big), int(n), int(groups) // int(n), truths), f"weight {param}: {small} {big} is not true"
    assert len(times) == weights, f"weights measured: {times}"
    assert min(times.values()) >= least, f"weights measured: {times}"
    assert not reason or re.search(rf"COUNTER name={reason} value=[1-9]", records), f"{reason} was not counted"


for case in (
    ("plain", dict(steps=40, weights=4, least=36)),
    ("eval", dict(steps=60, weights=4, least=56)),
    ("eval_micro", dict(steps=60, weights=4, least=56)),
    ("checkpoint", dict(steps=60, weights=4, least=56)),
    ("checkpoint_micro", dict(steps=60, weights=4, least=56)),
    ("tied", dict(steps=60, weights=2, least=56)),
    ("tied_checkpoint", dict(steps=60, weights=2, least=56)),
    ("turns", dict(steps=80, weights=6, least=30)),
    ("gan", dict(steps=80, weights=6, least=30)),
    ("moved", dict(steps=200, weights=6, least=50)),
    ("late", dict(steps=200, weights=4, least=100)),
    ("thawed", dict(steps=200, weights=4, least=60)),
    ("lengths", dict(steps=60, weights=4, least=40, reason="rows_changed")),
    ("last", dict(steps=60, weights=4, least=45, reason="rows_changed")),
):
    try:
        live(case[0], **case[1])
    except (AssertionError, subprocess.CalledProcessError) as error:
        failed += 1
        print(f"FAILED {case[0]}: {error}")
print(f"{failed} failed")
sys.exit(failed != 0)
